//! The split: five components as slices of one text.

use super::{Error, netloc, scan};

/// A URL or relative reference, borrowed from its text and taken apart. `Copy`, nine words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uri<'a> {
    text: &'a str,
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Takes `text` apart (RFC 3986, 3 and appendix B). O(length).
    ///
    /// # Errors
    /// [`Error::BadByte`], [`Error::BadScheme`], [`Error::BadHost`]. A bad port is told by [`Uri::port`].
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if let Some(at) = text.bytes().position(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(Error::BadByte { at, byte: text.as_bytes()[at] });
        }
        let (rest, fragment) = scan::partition(text, b'#');
        let (rest, query) = scan::partition(rest, b'?');
        let (scheme, rest) = match rest.find([':', '/']) {
            Some(colon) if rest.as_bytes()[colon] == b':' => {
                check_scheme(&rest[..colon])?;
                (Some(&rest[..colon]), &rest[colon + 1..])
            }
            _ => (None, rest),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        let uri = Self { text, scheme, authority, path, query, fragment };
        uri.check_authority()?;
        Ok(uri)
    }

    /// The whole text.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// What stands before the first colon, in the case it was written in: compare without case. `None`: a relative
    /// reference.
    pub const fn scheme(&self) -> Option<&'a str> {
        self.scheme
    }

    /// What stands between `//` and the path: `[userinfo@]host[:port]`.
    pub const fn authority(&self) -> Option<&'a str> {
        self.authority
    }

    /// The path, possibly empty.
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// What stands after `?`, without it.
    pub const fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// What stands after `#`, without it.
    pub const fn fragment(&self) -> Option<&'a str> {
        self.fragment
    }

    /// What stands before the last `@` of the authority, still percent-encoded.
    pub fn userinfo(&self) -> Option<&'a str> {
        self.authority?.rsplit_once('@').map(|(userinfo, _)| userinfo)
    }

    /// The host in the case it was written in, an IPv6 address without its brackets. Present with the authority, and
    /// possibly empty.
    pub fn host(&self) -> Option<&'a str> {
        let host = self.host_port()?.0;
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }

    /// The port; `None` when there is none or when nothing follows the colon.
    ///
    /// # Errors
    /// [`Error::BadPort`], [`Error::PortRange`].
    pub fn port(&self) -> Result<Option<u16>, Error> {
        let Some((_, Some(port))) = self.host_port() else { return Ok(None) };
        if port.is_empty() {
            return Ok(None);
        }
        netloc::decimal(port, self.offset(port)).map(Some)
    }

    /// The host with its brackets, and what follows its colon. A colon inside brackets is the address's own.
    fn host_port(&self) -> Option<(&'a str, Option<&'a str>)> {
        let authority = self.authority?;
        // Mostly there is none, which is known word by word.
        let behind = |text: &str, byte| match scan::find(text.as_bytes(), [byte]) {
            Some(first) => text.as_bytes().iter().rposition(|&other| other == byte).unwrap_or(first) + 1,
            None => 0,
        };
        let host_port = &authority[behind(authority, b'@')..];
        let bracket = behind(host_port, b']');
        Some(match scan::find(&host_port.as_bytes()[bracket..], [b':']) {
            Some(colon) => (&host_port[..bracket + colon], Some(&host_port[bracket + colon + 1..])),
            None => (host_port, None),
        })
    }

    /// Where `part`, a slice of the text, starts in it.
    pub(super) fn offset(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.text.as_ptr() as usize
    }

    fn check_authority(&self) -> Result<(), Error> {
        let (Some(authority), Some((host, port))) = (self.authority, self.host_port()) else { return Ok(()) };
        // A reader that takes `\` for `/` sees another host in `h\@evil`; the rest is refused by RFC 3986, 3.2.
        let refused = |byte| matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}');
        if let Some(at) = authority.bytes().position(refused) {
            return Err(Error::BadByte { at: self.offset(authority) + at, byte: authority.as_bytes()[at] });
        }
        let good = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').is_some_and(is_ip_literal),
            None => !host.contains(['[', ']']) && !port.is_some_and(|port| port.contains(':')),
        };
        if good { Ok(()) } else { Err(Error::BadHost { at: self.offset(host) }) }
    }
}

/// RFC 3986, 3.1: a letter, then letters, digits, `+`, `-` and `.`.
fn check_scheme(scheme: &str) -> Result<(), Error> {
    let good = |(at, byte): (usize, u8)| {
        byte.is_ascii_alphabetic() || at > 0 && (byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.'))
    };
    match scheme.bytes().enumerate().position(|item| !good(item)) {
        Some(at) => Err(Error::BadScheme { at }),
        None if scheme.is_empty() => Err(Error::BadScheme { at: 0 }),
        None => Ok(()),
    }
}

/// What may stand in brackets (RFC 3986, 3.2.2): an IPv6 address, or `v`, hexadecimal digits, a dot and more.
fn is_ip_literal(text: &str) -> bool {
    netloc::is_ipv6(text)
        || text
            .strip_prefix(['v', 'V'])
            .is_some_and(|future| netloc::is_ip_future(future) && !future.contains(['[', ']', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    fn parts(text: &str) -> (Option<&str>, Option<&str>, &str, Option<&str>, Option<&str>) {
        let uri = Uri::parse(text).unwrap();
        (uri.scheme(), uri.authority(), uri.path(), uri.query(), uri.fragment())
    }

    fn put_together(uri: &Uri<'_>) -> String {
        let mut text = String::new();
        for (before, part, after) in [
            ("", uri.scheme(), ":"),
            ("//", uri.authority(), ""),
            ("", Some(uri.path()), ""),
            ("?", uri.query(), ""),
            ("#", uri.fragment(), ""),
        ] {
            if let Some(part) = part {
                text.extend([before, part, after]);
            }
        }
        text
    }

    #[test]
    fn splits_the_example_of_appendix_b() {
        let text = "http://www.ics.uci.edu/pub/ietf/uri/#Related";
        assert_eq!(parts(text), (Some("http"), Some("www.ics.uci.edu"), "/pub/ietf/uri/", None, Some("Related")));
    }

    #[test]
    fn tells_absent_from_empty() {
        assert_eq!(parts(""), (None, None, "", None, None));
        assert_eq!(parts("//?#"), (None, Some(""), "", Some(""), Some("")));
        assert_eq!(parts("x:"), (Some("x"), None, "", None, None));
        assert_eq!(parts("file:///p"), (Some("file"), Some(""), "/p", None, None));
    }

    #[test]
    fn a_separator_counts_only_where_it_stands_first() {
        assert_eq!(parts("http://h?a/b:c?d#e?f#g"), (Some("http"), Some("h"), "", Some("a/b:c?d"), Some("e?f#g")));
        assert_eq!(parts("a/b:c"), (None, None, "a/b:c", None, None));
        assert_eq!(parts("mailto:a@b:c"), (Some("mailto"), None, "a@b:c", None, None));
        assert_eq!(parts("////a//b"), (None, Some(""), "//a//b", None, None));
    }

    #[test]
    fn takes_the_authority_apart() {
        let part = |text| {
            let uri = Uri::parse(text).unwrap();
            (uri.userinfo(), uri.host(), uri.port())
        };
        assert_eq!(part("http://user:pa:ss@Host.EX:8080/"), (Some("user:pa:ss"), Some("Host.EX"), Ok(Some(8080))));
        assert_eq!(part("http://u@h@i/"), (Some("u@h"), Some("i"), Ok(None)));
        assert_eq!(part("http://@h/"), (Some(""), Some("h"), Ok(None)));
        assert_eq!(part("http://[::1]:80/"), (None, Some("::1"), Ok(Some(80))));
        assert_eq!(part("http://[v1.fe80:a]"), (None, Some("v1.fe80:a"), Ok(None)));
        assert_eq!(part("http://h:"), (None, Some("h"), Ok(None)));
        assert_eq!(part("http://bücher.example"), (None, Some("bücher.example"), Ok(None)));
        assert_eq!(part("mailto:x@y"), (None, None, Ok(None)));
    }

    #[test]
    fn a_bad_port_is_told_with_its_place() {
        assert_eq!(Uri::parse("http://h:65536/").unwrap().port(), Err(Error::PortRange { at: 9 }));
        for text in ["http://h:-1/", "http://h:+1/", "http://h:0x50/", "http://h:８０/"] {
            assert_eq!(Uri::parse(text).unwrap().port(), Err(Error::BadPort { at: 9 }), "{text}");
        }
        assert_eq!(Uri::parse("http://[::1]:x/").unwrap().port(), Err(Error::BadPort { at: 13 }));
    }

    #[test]
    fn tells_which_byte_is_wrong() {
        for (text, error) in [
            ("http://h/a b", Error::BadByte { at: 10, byte: b' ' }),
            ("http://h/\r\nX: y", Error::BadByte { at: 9, byte: b'\r' }),
            ("http://h/\u{7f}", Error::BadByte { at: 9, byte: 0x7f }),
            ("http://h\\@evil/", Error::BadByte { at: 8, byte: b'\\' }),
            ("1http://h", Error::BadScheme { at: 0 }),
            ("ht_tp://h", Error::BadScheme { at: 2 }),
            ("://h", Error::BadScheme { at: 0 }),
        ] {
            assert_eq!(Uri::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for host in ["[::1", "::1]", "::1", "[1.2.3.4]", "a[::1]b", "a[::1]", "[::1]b", "[]", "[::1%25eth0]", "[v.a]"] {
            let text = std::format!("http://{host}/");
            assert_eq!(Uri::parse(&text), Err(Error::BadHost { at: 7 }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_put_together_are_the_text(text in "([a-z]{0,2}[:/?#@]{0,3}[\\[\\]:a-zé.%]{0,5}){0,5}|\\PC*") {
            if let Ok(uri) = Uri::parse(&text) {
                let _ = (uri.userinfo(), uri.host(), uri.port());
                prop_assert_eq!(put_together(&uri), text);
            }
        }
    }
}
