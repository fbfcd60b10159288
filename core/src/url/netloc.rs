//! The network location, `user:password@host:port`: checked, and taken apart where it is asked for.

use super::scan::{Word, beyond_ascii, cut, equal, partition};
use super::{Error, Folded};

/// Marks what only a network location that must be checked has.
pub(super) const fn rare(word: Word) -> Word {
    equal(word, b'[') | equal(word, b']') | beyond_ascii(word)
}

/// Refuses brackets that hold no address, and characters that become a delimiter when a host name is normalised.
/// `at` of the errors counts from the start of `netloc`.
pub(super) fn check(netloc: &str) -> Result<(), Error> {
    check_brackets(netloc)?;
    match netloc.find(becomes_delimiter) {
        Some(at) => Err(Error::BadNetloc { at }),
        None => Ok(()),
    }
}

fn check_brackets(netloc: &str) -> Result<(), Error> {
    let place = |bracket| netloc.bytes().position(|byte| byte == bracket);
    match (place(b'['), place(b']')) {
        (None, None) => Ok(()),
        (Some(open), Some(_)) => {
            let host = partition(cut(netloc, open + 1).1, b']').0;
            if is_bracketed_host(host) { Ok(()) } else { Err(Error::BadHost { at: open + 1 }) }
        }
        (open, close) => Err(Error::BadHost { at: open.or(close).unwrap_or(0) }),
    }
}

/// An IPv6 address, perhaps with a zone; or `v`, hexadecimal digits, a dot and more.
fn is_bracketed_host(host: &str) -> bool {
    if let Some(future) = host.strip_prefix('v') {
        return is_ip_future(future);
    }
    match partition(host, b'%') {
        (address, None) => is_ipv6(address),
        (address, Some(zone)) => !zone.is_empty() && partition(zone, b'%').1.is_none() && is_ipv6(address),
    }
}

/// Whether `text` is an IPv6 address (RFC 4291, 2.2). What `Ipv6Addr::from_str` finds, in a fifth of its flash.
pub(super) fn is_ipv6(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let (mut groups, mut gap) = (0, false);
    if let [b':', b':', tail @ ..] = rest {
        (rest, gap) = (tail, true);
    }
    while !(rest.is_empty() && gap) {
        let digits = rest.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
        groups += 1;
        match rest.get(digits..).unwrap_or_default() {
            // An IPv4 address may stand for the last two groups.
            [b'.', ..] => {
                groups += 1;
                if !is_ipv4(rest) {
                    return false;
                }
                break;
            }
            _ if !(1..=4).contains(&digits) => return false,
            [] => break,
            [b':', b':', tail @ ..] if !gap => (rest, gap) = (tail, true),
            // After a colon there must be a group, even where a gap came before.
            [b':', tail @ ..] if !tail.is_empty() => rest = tail,
            _ => return false,
        }
    }
    if gap { groups <= 7 } else { groups == 8 }
}

/// Whether `text` is four numbers up to 255 with dots between, without zeros in front.
fn is_ipv4(text: &[u8]) -> bool {
    let is_number = |digits: &[u8]| match digits {
        [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'] | [b'1', b'0'..=b'9', b'0'..=b'9'] => true,
        [b'2', tens, ones] => matches!((tens, ones), (b'0'..=b'4', b'0'..=b'9') | (b'5', b'0'..=b'5')),
        _ => false,
    };
    let numbers = || text.split(|byte| *byte == b'.');
    numbers().count() == 4 && numbers().all(is_number)
}

/// Whether `text` is what may follow the `v` of an address of the future: digits, a dot and more (RFC 3986, 3.2.2).
pub(super) fn is_ip_future(text: &str) -> bool {
    matches!(partition(text, b'.'), (version, Some(address))
        if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit()) && !address.is_empty())
}

/// Every character, Unicode 15.1 through, whose normal form NFKC has one of `/?#@:` in it: a reader that normalises host
/// names would see another host.
const fn becomes_delimiter(character: char) -> bool {
    matches!(
        character,
        '\u{2047}'
            ..='\u{2049}'
                | '\u{2100}'
                | '\u{2101}'
                | '\u{2105}'
                | '\u{2106}'
                | '\u{2a74}'
                | '\u{fe13}'
                | '\u{fe16}'
                | '\u{fe55}'
                | '\u{fe56}'
                | '\u{fe5f}'
                | '\u{fe6b}'
                | '\u{ff03}'
                | '\u{ff0f}'
                | '\u{ff1a}'
                | '\u{ff1f}'
                | '\u{ff20}'
    )
}

/// What stands before the last `@`, and what follows it.
fn userinfo(netloc: &str) -> (Option<&str>, &str) {
    match netloc.rfind('@') {
        Some(at) => (Some(cut(netloc, at).0), cut(netloc, at + 1).1),
        None => (None, netloc),
    }
}

/// The user's name, and the password behind its colon.
pub(super) fn credentials(netloc: &str) -> (Option<&str>, Option<&str>) {
    match userinfo(netloc).0 {
        Some(userinfo) => {
            let (name, password) = partition(userinfo, b':');
            (Some(name), password)
        }
        None => (None, None),
    }
}

/// The host without brackets, and what stands after its colon.
fn host_and_port(netloc: &str) -> (&str, &str) {
    let hostinfo = userinfo(netloc).1;
    let (host, port) = match partition(hostinfo, b'[') {
        (_, Some(bracketed)) => {
            let (host, rest) = partition(bracketed, b']');
            (host, rest.and_then(|rest| partition(rest, b':').1))
        }
        _ => partition(hostinfo, b':'),
    };
    (host, port.unwrap_or(""))
}

/// The host in lower case; `None` when it is empty.
pub(super) fn hostname(netloc: &str) -> Option<Folded<'_>> {
    let host = host_and_port(netloc).0;
    (!host.is_empty()).then(|| Folded::before_zone(host))
}

/// The port; `None` when there is none or when nothing follows the colon. `at` of the errors counts from the start of
/// `netloc`.
pub(super) fn port(netloc: &str) -> Result<Option<u16>, Error> {
    let port = host_and_port(netloc).1;
    if port.is_empty() {
        return Ok(None);
    }
    decimal(port, port.as_ptr() as usize - netloc.as_ptr() as usize).map(Some)
}

/// The number that `port` spells in ASCII digits; `at` is where it stands.
pub(super) fn decimal(port: &str, at: usize) -> Result<u16, Error> {
    // `u16::from_str` alone would take a plus sign.
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::BadPort { at });
    }
    port.parse().map_err(|_| Error::PortRange { at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brackets_hold_an_address_or_nothing_goes() {
        for good in ["[::1]", "u@[::1%eth0]:80", "[v1.x]", "[vA.a[b]", "a[::1]b", "[1:2:3:4:5:6:1.2.3.4]"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["[", "]", "[]", "]a[", "[1.2.3.4]", "[::1%]", "[::1%a%b]", "[V1.x]", "[v.x]", "[v1.]", "[h]"] {
            assert!(matches!(check(bad), Err(Error::BadHost { .. })), "{bad}");
        }
    }

    #[test]
    fn characters_that_turn_into_delimiters_are_refused_with_their_place() {
        assert_eq!(check("h℀x"), Err(Error::BadNetloc { at: 1 }));
        assert_eq!(check("h＃@x"), Err(Error::BadNetloc { at: 1 }));
        assert_eq!(check("bücher.example"), Ok(()));
    }

    #[test]
    fn the_last_at_sign_ends_the_credentials() {
        assert_eq!(credentials("u:p:q@h"), (Some("u"), Some("p:q")));
        assert_eq!(credentials("u@h@i"), (Some("u@h"), None));
        assert_eq!(credentials(":@h"), (Some(""), Some("")));
        assert_eq!(credentials("h:80"), (None, None));
    }

    #[test]
    fn a_port_is_ascii_digits_up_to_65535() {
        assert_eq!(port("h:00080"), Ok(Some(80)));
        assert_eq!(port("h:"), Ok(None));
        assert_eq!(port("[::1]:8080"), Ok(Some(8080)));
        assert_eq!(port("h:65536"), Err(Error::PortRange { at: 2 }));
        assert_eq!(port("h:99999999999999999999"), Err(Error::PortRange { at: 2 }));
        for bad in ["h:+1", "h:-1", "h: 8", "h:0x5", "h:８０", "h:8:0"] {
            assert_eq!(port(bad), Err(Error::BadPort { at: 2 }), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_ipv6_address_is_what_std_takes_for_one(
            text in "([0-9a-fA-Fg]{0,5}[:.]{0,2}){0,9}|(::)?([1f]{1,4}:){0,8}(:[1f]{1,2}){0,8}(:?(25[4-7]|0|01|9)(\\.(1|0|00|255)){2,4})?",
        ) {
            prop_assert_eq!(is_ipv6(&text), text.parse::<core::net::Ipv6Addr>().is_ok());
        }
    }
}
