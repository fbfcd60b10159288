//! Percent-encoding (RFC 3986, 2.1) with the names and the rules of Python's `urllib.parse`.
//!
//! Nothing is copied: each function gives a value that writes its result when it is displayed, into any
//! [`core::fmt::Write`]; [`unquote_to_bytes`] gives an iterator. All of it takes time linear in the text.

use core::fmt::{self, Write};

/// Text that is displayed percent-encoded: what [`quote`], [`quote_plus`] and [`quote_from_bytes`] give.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a> {
    bytes: &'a [u8],
    safe: &'a str,
    plus: bool,
}

/// Every byte of `text` as `%XX`, but ASCII letters, digits, `_.-~` and the ASCII characters of `safe`.
///
/// Python's default for `safe` is `"/"`.
///
/// ```
/// use tidemill_core::url::quote;
///
/// assert_eq!(format!("{}", quote("/a b/é", "/")), "/a%20b/%C3%A9");
/// assert_eq!(format!("{}", quote("/a b", "")), "%2Fa%20b");
/// ```
pub const fn quote<'a>(text: &'a str, safe: &'a str) -> Quoted<'a> {
    quote_from_bytes(text.as_bytes(), safe)
}

/// As [`quote`], with every space as `+`, also where `safe` has the space. Python's default for `safe` is `""`.
///
/// ```
/// use tidemill_core::url::quote_plus;
///
/// assert_eq!(format!("{}", quote_plus("1 + 1", "")), "1+%2B+1");
/// ```
pub const fn quote_plus<'a>(text: &'a str, safe: &'a str) -> Quoted<'a> {
    Quoted { bytes: text.as_bytes(), safe, plus: true }
}

/// As [`quote`], of bytes that need not be UTF-8.
pub const fn quote_from_bytes<'a>(bytes: &'a [u8], safe: &'a str) -> Quoted<'a> {
    Quoted { bytes, safe, plus: false }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        for &byte in self.bytes {
            if byte == b' ' && self.plus {
                f.write_char('+')?;
            } else if byte.is_ascii_alphanumeric()
                || b"_.-~".contains(&byte)
                || (byte.is_ascii() && self.safe.as_bytes().contains(&byte))
            {
                f.write_char(char::from(byte))?;
            } else {
                f.write_char('%')?;
                f.write_char(DIGITS[usize::from(byte >> 4)])?;
                f.write_char(DIGITS[usize::from(byte & 15)])?;
            }
        }
        Ok(())
    }
}

/// Text that is displayed with its percent-encoding undone: what [`unquote`] and [`unquote_plus`] give.
#[derive(Clone, Debug)]
pub struct Unquoted<'a>(UnquotedBytes<'a>);

/// Every `%XX` of `text` as its byte, and the bytes read as UTF-8; what is not UTF-8 becomes U+FFFD. A percent sign
/// without two hexadecimal digits stays.
///
/// ```
/// use tidemill_core::url::unquote;
///
/// assert_eq!(format!("{}", unquote("%E2%82%AC%")), "€%");
/// assert_eq!(format!("{}", unquote("%c3+%zz")), "\u{fffd}+%zz");
/// ```
pub const fn unquote(text: &str) -> Unquoted<'_> {
    Unquoted(unquote_to_bytes(text.as_bytes()))
}

/// As [`unquote`], with every `+` of the text as a space; `%2B` is still a plus.
///
/// ```
/// use tidemill_core::url::unquote_plus;
///
/// assert_eq!(format!("{}", unquote_plus("1+%2B+1")), "1 + 1");
/// ```
pub const fn unquote_plus(text: &str) -> Unquoted<'_> {
    Unquoted(UnquotedBytes { rest: text.as_bytes(), plus: true })
}

impl fmt::Display for Unquoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The longest UTF-8 sequence is four bytes, so what is not decided yet is three at most.
        let mut held = [0; 4];
        let mut len = 0;
        for byte in self.0.clone() {
            held[len] = byte;
            len += 1;
            while len > 0 {
                match core::str::from_utf8(&held[..len]) {
                    Ok(text) => {
                        f.write_str(text)?;
                        len = 0;
                    }
                    Err(error) => {
                        // Without a length the sequence may still become whole.
                        let Some(bad) = error.error_len() else { break };
                        f.write_char(char::REPLACEMENT_CHARACTER)?;
                        held.copy_within(bad..len, 0);
                        len -= bad;
                    }
                }
            }
        }
        if len > 0 {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
        }
        Ok(())
    }
}

/// The bytes of a text with its percent-encoding undone: what [`unquote_to_bytes`] gives.
#[derive(Clone, Debug)]
pub struct UnquotedBytes<'a> {
    rest: &'a [u8],
    plus: bool,
}

/// Every `%XX` as its byte, and all other bytes as they are. A percent sign without two hexadecimal digits stays.
///
/// ```
/// use tidemill_core::url::unquote_to_bytes;
///
/// assert!(unquote_to_bytes(b"%ff+a").eq([0xff, b'+', b'a']));
/// ```
pub const fn unquote_to_bytes(text: &[u8]) -> UnquotedBytes<'_> {
    UnquotedBytes { rest: text, plus: false }
}

impl Iterator for UnquotedBytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            self.rest = rest;
            // Two digits of four bits each fit a byte.
            return Some((high << 4 | low) as u8);
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(if byte == b'+' && self.plus { b' ' } else { byte })
    }
}
