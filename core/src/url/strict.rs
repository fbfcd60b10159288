//! RFC 3986 to the letter, for those who must send nothing else.

use super::set::Set;
use super::{Error, Uri};

/// What may stand in a segment of a path (RFC 3986, 3.3), percent signs aside.
const SEGMENT: Set = Set::SUB_DELIMITERS.and(":@");

impl<'a> Uri<'a> {
    /// As [`Uri::parse`], and refuses all that the grammar of RFC 3986 (appendix A) does not have: characters beyond
    /// ASCII, `"<>\^{|}` and backquotes, brackets outside the host, a percent sign without two hexadecimal digits, a
    /// port that is no number. One link in 400 of those found in pages is refused. O(length).
    ///
    /// ```
    /// use tidemill_core::url::{Error, Uri};
    ///
    /// assert_eq!(Uri::parse_strict("http://h/a|b"), Err(Error::BadByte { at: 10, byte: b'|' }));
    /// assert_eq!(Uri::parse_strict("http://h/%zz"), Err(Error::BadByte { at: 9, byte: b'%' }));
    /// assert!(Uri::parse_strict("http://[::1]:80/a%20b?c/d#e").is_ok());
    /// ```
    ///
    /// # Errors
    /// Those of [`Uri::parse`], [`Error::BadByte`] above all, and [`Error::BadPort`].
    pub fn parse_strict(text: &'a str) -> Result<Self, Error> {
        let uri = Self::parse(text)?;
        let query = SEGMENT.and("/?");
        let host = uri.host().unwrap_or("");
        // Brackets hold an address, in which nothing is escaped.
        let in_brackets = uri.authority().is_some_and(|authority| authority.ends_with(']') || authority.contains("]:"));
        if in_brackets && let Some(at) = host.find('%') {
            return Err(Error::BadByte { at: uri.offset(host) + at, byte: b'%' });
        }
        let host_set = if in_brackets { Set::SUB_DELIMITERS.and(":") } else { Set::SUB_DELIMITERS };
        for (part, set) in [
            (uri.userinfo().unwrap_or(""), Set::SUB_DELIMITERS.and(":")),
            (host, host_set),
            (uri.path(), SEGMENT.and("/")),
            (uri.query().unwrap_or(""), query),
            (uri.fragment().unwrap_or(""), query),
        ] {
            if let Some(at) = first_outside(part.as_bytes(), set) {
                return Err(Error::BadByte { at: uri.offset(part) + at, byte: part.as_bytes()[at] });
            }
        }
        match uri.port() {
            // Any number of digits is a port to the grammar.
            Err(error @ Error::BadPort { .. }) => Err(error),
            _ => Ok(uri),
        }
    }
}

/// Where the first byte stands that is neither in the set nor part of a percent sign and two hexadecimal digits.
fn first_outside(text: &[u8], set: Set) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += match text.get(at + 1..at + 3) {
            _ if set.has(byte) => 1,
            Some([high, low]) if byte == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
            _ => return Some(at),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_grammar_has() {
        for text in [
            "",
            "a",
            "//",
            "?#",
            "x:",
            "./a:b",
            "mailto:a@b.c",
            "http://u:p:q@h:99999999/;x=y/@:!$&'()*+,;=?/?:@#/?",
            "http://[v1.fe80::a+en1]/",
            "http://[::ffff:1.2.3.4]:/",
            "http://%41.example/",
            "urn:example:a:b",
        ] {
            assert!(Uri::parse_strict(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_has_not_and_tells_where() {
        for (text, error) in [
            ("http://h/é", Error::BadByte { at: 9, byte: 0xc3 }),
            ("http://h/[a]", Error::BadByte { at: 9, byte: b'[' }),
            ("http://h/?a#b#c", Error::BadByte { at: 13, byte: b'#' }),
            ("http://h/%4", Error::BadByte { at: 9, byte: b'%' }),
            ("http://u@v@h/", Error::BadByte { at: 8, byte: b'@' }),
            ("http://h:8x/", Error::BadPort { at: 9 }),
            ("http://[v1.a%41]/", Error::BadByte { at: 12, byte: b'%' }),
            ("1a:b", Error::BadScheme { at: 0 }),
        ] {
            assert_eq!(Uri::parse_strict(text), Err(error), "{text}");
        }
    }
}
