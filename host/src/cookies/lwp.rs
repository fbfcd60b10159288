//! `Set-Cookie3` lines of libwww-perl, as Python's `LWPCookieJar` has them: `name=value; path="/"; domain=…`.

use tidemill_core::cookie::{Cookie, SameSite};
use tidemill_core::http::date;

use super::{bare, dotted};

/// What a file begins with.
pub(super) const FIRST: &[u8] = b"#LWP-Cookies-2.0\n";

const HEADER: &[u8] = b"Set-Cookie3:";

pub(super) fn is_first(line: &[u8]) -> bool {
    matches!(line.strip_prefix(b"#LWP-Cookies-"), Some([b'0'..=b'9', b'.', b'0'..=b'9', ..]))
}

/// A word, and what stands behind its `=`, if it has one.
type Pair = (Vec<u8>, Option<Vec<u8>>);

/// Hands out the cookies of a line, commas between. `None`: one has no name, no domain or no path.
pub(super) fn parse(line: &[u8], take: &mut dyn FnMut(&Cookie<'_>)) -> Option<()> {
    let Some(mut rest) = line.strip_prefix(HEADER) else { return Some(()) };
    loop {
        let mut pairs = Vec::new();
        rest = loop {
            rest = skip(rest, |byte| byte.is_ascii_whitespace() || b"=;".contains(&byte));
            match rest {
                [] => break None,
                [b',', after @ ..] => break Some(after),
                _ => {}
            }
            let (pair, after) = pair(rest);
            pairs.push(pair);
            rest = after;
        }
        .unwrap_or_default();
        if !pairs.is_empty() {
            read(&pairs, take)?;
        }
        if rest.is_empty() {
            return Some(());
        }
    }
}

/// What follows the bytes in front that are `blank`.
fn skip(text: &[u8], blank: impl Fn(u8) -> bool) -> &[u8] {
    let at = text.iter().position(|byte| !blank(*byte)).unwrap_or(text.len());
    &text[at..]
}

/// The word in front, with its value, quoted or not; and what follows.
fn pair(text: &[u8]) -> (Pair, &[u8]) {
    let space = |byte: u8| byte.is_ascii_whitespace();
    let end = skip(text, |byte| !space(byte) && !b"=;,".contains(&byte));
    let name = text[..text.len() - end.len()].to_vec();
    let Some(value) = skip(end, space).strip_prefix(b"=") else { return ((name, None), end) };
    let value = skip(value, space);
    if let Some(quoted) = value.strip_prefix(b"\"").and_then(unquote) {
        return ((name, Some(quoted.0)), quoted.1);
    }
    let end = skip(value, |byte| !space(byte) && !b";,".contains(&byte));
    ((name, Some(value[..value.len() - end.len()].to_vec())), end)
}

/// The text up to the closing quote, without the backslashes that protect what follows them.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut plain, mut rest) = (Vec::new(), text);
    loop {
        match rest {
            [b'"', after @ ..] => return Some((plain, after)),
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                plain.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Makes a cookie of the words of one.
fn read(pairs: &[Pair], take: &mut dyn FnMut(&Cookie<'_>)) -> Option<()> {
    let ((name, value), attributes) = pairs.split_first()?;
    let find = |what: &str| attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(what.as_bytes()));
    let text = |what: &str| find(what).and_then(|(_, value)| value.as_deref());
    let domain = std::str::from_utf8(text("domain")?).ok()?;
    let expires = text("expires").and_then(iso_seconds);
    let same_site = match text("samesite").map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"none") => SameSite::None,
        Some(b"lax") => SameSite::Lax,
        Some(b"strict") => SameSite::Strict,
        _ => SameSite::Unspecified,
    };
    take(&Cookie {
        secure: find("secure").is_some(),
        http_only: find("httponly").is_some(),
        expires,
        same_site,
        ..bare(name, value.as_deref().unwrap_or_default(), domain, text("path")?)
    });
    Some(())
}

/// Seconds since 1970 of a date as ISO 8601 has it, with or without separators, a time, and a zone.
fn iso_seconds(text: &[u8]) -> Option<u64> {
    let mut rest = text.trim_ascii();
    let digits = |rest: &mut &[u8], count: usize| {
        let (number, after) = rest.split_at_checked(count)?;
        *rest = after;
        number
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    };
    let separator = |rest: &mut &[u8], among: &[u8]| {
        let found = rest.first().is_some_and(|byte| among.contains(byte));
        *rest = &rest[usize::from(found)..];
        found
    };
    let year = digits(&mut rest, 4)?;
    separator(&mut rest, b"-/");
    let month = digits(&mut rest, 2)?;
    separator(&mut rest, b"-/");
    let day = digits(&mut rest, 2)?;
    let mut time = [0; 3];
    if separator(&mut rest, b" \t-:Tt") {
        rest = rest.trim_ascii_start();
        time[0] = digits(&mut rest, 2)?;
        separator(&mut rest, b":");
        time[1] = digits(&mut rest, 2)?;
        if separator(&mut rest, b":") || rest.first().is_some_and(u8::is_ascii_digit) {
            time[2] = digits(&mut rest, 2)?;
            if separator(&mut rest, b".") {
                rest = skip(rest, |byte| byte.is_ascii_digit());
            }
        }
    }
    let second = date::seconds_since_1970(year, month, day, time)?;
    match rest.trim_ascii_start() {
        [] | [b'Z' | b'z'] => Some(second),
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let mut zone = zone;
            let hours = digits(&mut zone, 2)?;
            separator(&mut zone, b":");
            let minutes = if zone.is_empty() { 0 } else { digits(&mut zone, 2)? };
            let offset = hours * 3600 + minutes * 60;
            let utc = if *sign == b'+' { second.saturating_sub(offset) } else { second.saturating_add(offset) };
            zone.is_empty().then_some(utc)
        }
        _ => None,
    }
}

/// Appends a cookie's line. Whether that can be done: a name must be a word, for it is not quoted.
pub(super) fn write(cookie: &Cookie<'_>, out: &mut Vec<u8>) -> bool {
    let is_word = |byte: &u8| !byte.is_ascii_whitespace() && !b"=;,".contains(byte);
    if cookie.name.is_empty() || !cookie.name.iter().all(is_word) {
        return false;
    }
    out.extend_from_slice(HEADER);
    let mut attribute = |name: &[u8], value: Option<&[u8]>| {
        let first = out.ends_with(HEADER);
        out.extend_from_slice(if first { b" " } else { b"; " });
        out.extend_from_slice(name);
        let Some(value) = value else { return };
        out.push(b'=');
        if !value.is_empty() && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            out.extend_from_slice(value);
            return;
        }
        out.push(b'"');
        for byte in value {
            if b"\"\\".contains(byte) {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    };
    attribute(cookie.name, Some(cookie.value));
    attribute(b"path", Some(cookie.path));
    attribute(b"domain", Some(dotted(cookie).as_bytes()));
    attribute(b"path_spec", None);
    if !cookie.host_only {
        attribute(b"domain_dot", None);
    }
    if cookie.secure {
        attribute(b"secure", None);
    }
    match cookie.expires {
        Some(second) => attribute(b"expires", Some(iso(second).as_bytes())),
        None => attribute(b"discard", None),
    }
    // As Python writes an attribute that has no value, in the case in which it looks for this one.
    if cookie.http_only {
        attribute(b"HTTPOnly", Some(b"None"));
    }
    match cookie.same_site {
        SameSite::Unspecified => {}
        SameSite::None => attribute(b"SameSite", Some(b"None")),
        SameSite::Lax => attribute(b"SameSite", Some(b"Lax")),
        SameSite::Strict => attribute(b"SameSite", Some(b"Strict")),
    }
    attribute(b"version", Some(b"0"));
    out.push(b'\n');
    true
}

/// A second since 1970 as ISO 8601 has it. Beyond the year 9999: its last second.
fn iso(second: u64) -> String {
    let text = date::format(second);
    let part = |range| String::from_utf8_lossy(&text[range]).into_owned();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == part(8..11)).map_or(1, |index| index + 1);
    format!("{}-{month:02}-{} {}Z", part(12..16), part(5..7), part(17..25))
}
