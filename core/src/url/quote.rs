//! Percent-encoding (RFC 3986, 2.1) with the names and the rules of Python's `urllib.parse`.
//!
//! Nothing is copied: each function gives a value that writes its result when it is displayed, into any
//! [`core::fmt::Write`]. All of it takes time linear in the text.

use core::fmt::{self, Display, Formatter, Write};

use super::Error;
use super::charset::{Charset, Unencodable};
use super::set::Set;

/// Text that is displayed percent-encoded: what [`quote`], [`quote_plus`] and [`quote_from_bytes`] give.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quoted<'a> {
    source: Source<'a>,
    into: Percent,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Source<'a> {
    Bytes(&'a [u8]),
    Text(&'a str, Charset, Unencodable),
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
pub const fn quote<'a>(text: &'a str, safe: &str) -> Quoted<'a> {
    let source = Source::Text(text, Charset::Utf8, Unencodable::Strict);
    Quoted { source, into: Percent::new(safe, false) }
}

/// As [`quote`], with every space as `+`, also where `safe` has the space. Python's default for `safe` is `""`.
///
/// ```
/// use tidemill_core::url::quote_plus;
///
/// assert_eq!(format!("{}", quote_plus("1 + 1", "")), "1+%2B+1");
/// ```
pub const fn quote_plus<'a>(text: &'a str, safe: &str) -> Quoted<'a> {
    quote(text, safe).plus()
}

/// As [`quote`], of bytes that need not be UTF-8.
pub const fn quote_from_bytes<'a>(bytes: &'a [u8], safe: &str) -> Quoted<'a> {
    Quoted { source: Source::Bytes(bytes), into: Percent::new(safe, false) }
}

impl Quoted<'_> {
    /// The same with every space as `+`.
    pub const fn plus(mut self) -> Self {
        self.into.plus = true;
        self
    }

    /// The same with the text's characters as bytes of `charset`: Python's `encoding` and `errors`. What was given as
    /// bytes stays.
    ///
    /// ```
    /// use tidemill_core::url::{Charset, Error, Unencodable, quote};
    ///
    /// let text = quote("ü€", "").encoded(Charset::Latin1, Unencodable::Replace)?;
    /// assert_eq!(text.to_string(), "%FC%3F");
    /// let error = quote("ü€", "").encoded(Charset::Latin1, Unencodable::Strict).unwrap_err();
    /// assert_eq!(error, Error::Unencodable { at: 2 });
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unencodable`].
    pub fn encoded(mut self, charset: Charset, errors: Unencodable) -> Result<Self, Error> {
        if let Source::Text(text, ..) = self.source {
            if errors == Unencodable::Strict {
                check(text, charset)?;
            }
            self.source = Source::Text(text, charset, errors);
        }
        Ok(self)
    }
}

/// Whether `charset` has every character of `text`.
pub(super) fn check(text: &str, charset: Charset) -> Result<(), Error> {
    match text.char_indices().find(|(_, character)| charset.encode(*character, &mut [0; 4]).is_none()) {
        Some((at, _)) => Err(Error::Unencodable { at }),
        None => Ok(()),
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Bytes(bytes) => self.into.bytes(bytes, f),
            Source::Text(text, charset, errors) => self.into.text(text, charset, errors, f),
        }
    }
}

/// How bytes are written: what is safe as it is, the space perhaps as `+`, the rest after percent signs.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Percent {
    safe: Set,
    plus: bool,
}

impl Percent {
    pub(super) const fn new(safe: &str, plus: bool) -> Self {
        Self { safe: Set::UNRESERVED.and(safe), plus }
    }

    pub(super) fn text(
        self,
        text: &str,
        charset: Charset,
        errors: Unencodable,
        out: &mut (impl Write + ?Sized),
    ) -> fmt::Result {
        if charset == Charset::Utf8 {
            return self.bytes(text.as_bytes(), out);
        }
        let mut buffer = [0; 4];
        text.chars().try_for_each(|character| match charset.encode(character, &mut buffer) {
            Some(bytes) => self.bytes(bytes, out),
            None => self.unencodable(character, errors, out),
        })
    }

    fn unencodable(self, character: char, errors: Unencodable, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let code = u32::from(character);
        let mut out = Through { into: self, out };
        match errors {
            // With `Strict` nobody comes here: the text was checked.
            Unencodable::Strict | Unencodable::Ignore => Ok(()),
            Unencodable::Replace => out.write_str("?"),
            Unencodable::XmlCharRef => write!(out, "&#{code};"),
            Unencodable::Backslash if code < 0x100 => write!(out, "\\x{code:02x}"),
            Unencodable::Backslash if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
            Unencodable::Backslash => write!(out, "\\U{code:08x}"),
        }
    }

    pub(super) fn bytes(self, mut bytes: &[u8], out: &mut (impl Write + ?Sized)) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        while let Some(&byte) = bytes.first() {
            if byte == b' ' && self.plus {
                out.write_str("+")?;
            } else if self.safe.has(byte) {
                let len =
                    bytes.iter().take_while(|byte| self.safe.has(**byte) && !(self.plus && **byte == b' ')).count();
                let (safe, rest) = bytes.split_at(len);
                // All of it is ASCII.
                out.write_str(core::str::from_utf8(safe).map_err(|_| fmt::Error)?)?;
                bytes = rest;
                continue;
            } else {
                let escape = [b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                out.write_str(core::str::from_utf8(&escape).map_err(|_| fmt::Error)?)?;
            }
            bytes = &bytes[1..];
        }
        Ok(())
    }
}

/// Percent-encodes what is written into it.
struct Through<'w, W: ?Sized> {
    into: Percent,
    out: &'w mut W,
}

impl<W: Write + ?Sized> Write for Through<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.into.bytes(text.as_bytes(), self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_a_charset_has_not_is_treated_as_asked() {
        let quoted = |errors| quote("a€🌊é", "").encoded(Charset::Latin1, errors).map(|quoted| quoted.to_string());
        for (errors, expected) in [
            (Unencodable::Replace, "a%3F%3F%E9"),
            (Unencodable::Ignore, "a%E9"),
            (Unencodable::XmlCharRef, "a%26%238364%3B%26%23127754%3B%E9"),
            (Unencodable::Backslash, "a%5Cu20ac%5CU0001f30a%E9"),
        ] {
            assert_eq!(quoted(errors).as_deref(), Ok(expected));
        }
        assert_eq!(quoted(Unencodable::Strict), Err(Error::Unencodable { at: 1 }));
        assert_eq!(quote("é", "").encoded(Charset::Ascii, Unencodable::Backslash).unwrap().to_string(), "%5Cxe9");
        assert!(quote_from_bytes(b"\xff", "").encoded(Charset::Ascii, Unencodable::Strict).is_ok());
    }

    #[test]
    fn a_space_that_is_safe_is_a_plus_still() {
        assert_eq!(quote_plus("a b+c", " +").to_string(), "a+b+c");
        assert_eq!(quote_from_bytes(b"a b", " ").to_string(), "a b");
    }
}
