//! Percent-encoding undone, by the rules of Python's `unquote`.

use core::fmt::{self, Display, Formatter, Write};

use super::Error;
use super::charset::{Charset, Undecodable};
use super::scan::{cut, find};

/// Text that is displayed with its percent-encoding undone: what [`unquote`] and [`unquote_plus`] give.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unquoted<'a> {
    text: &'a str,
    plus: bool,
    charset: Charset,
    errors: Undecodable,
}

/// Every `%XX` of `text` as its byte, and the bytes read as UTF-8; what is not UTF-8 becomes U+FFFD. A percent sign
/// without two hexadecimal digits stays.
///
/// ```
/// use tidemill_core::url::unquote;
///
/// assert_eq!(format!("{}", unquote("%E2%82%AC%")), "€%");
/// assert_eq!(format!("{}", unquote("%c3+%zz")), "\u{fffd}+%zz");
/// assert!(unquote("%61") == *"a");
/// ```
pub const fn unquote(text: &str) -> Unquoted<'_> {
    Unquoted { text, plus: false, charset: Charset::Utf8, errors: Undecodable::Replace }
}

/// As [`unquote`], with every `+` of the text as a space; `%2B` is still a plus.
///
/// ```
/// use tidemill_core::url::unquote_plus;
///
/// assert_eq!(format!("{}", unquote_plus("1+%2B+1")), "1 + 1");
/// ```
pub const fn unquote_plus(text: &str) -> Unquoted<'_> {
    let mut unquoted = unquote(text);
    unquoted.plus = true;
    unquoted
}

impl<'a> Unquoted<'a> {
    /// The same with the escaped bytes read as characters of `charset`: Python's `encoding` and `errors`.
    ///
    /// ```
    /// use tidemill_core::url::{Charset, Error, Undecodable, unquote};
    ///
    /// assert_eq!(unquote("a%ff").decoded(Charset::Latin1, Undecodable::Strict)?.to_string(), "aÿ");
    /// let error = unquote("a%ff").decoded(Charset::Utf8, Undecodable::Strict).unwrap_err();
    /// assert_eq!(error, Error::Undecodable { at: 1 });
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decoded(mut self, charset: Charset, errors: Undecodable) -> Result<Self, Error> {
        (self.charset, self.errors) = (charset, errors);
        if errors == Undecodable::Strict {
            let mut pieces = self.pieces();
            let mut at = 0;
            while let Some(piece) = pieces.next() {
                if piece.bad_len > 0 {
                    return Err(Error::Undecodable { at });
                }
                at = self.text.len() - pieces.rest.len();
            }
        }
        Ok(self)
    }

    /// The text as it was given.
    pub const fn as_written(&self) -> &'a str {
        self.text
    }

    /// The bytes under the percent signs, whatever the charset.
    pub const fn to_bytes(&self) -> UnquotedBytes<'a> {
        UnquotedBytes { rest: self.text.as_bytes(), plus: self.plus }
    }

    /// The characters, decoded.
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        let errors = self.errors;
        self.pieces().flat_map(move |piece| piece.text.chars().chain(piece.others(errors)))
    }

    const fn pieces(&self) -> Pieces<'a> {
        Pieces { rest: self.text, plus: self.plus, charset: self.charset }
    }
}

impl Display for Unquoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for piece in self.pieces() {
            f.write_str(piece.text)?;
            piece.others(self.errors).try_for_each(|character| f.write_char(character))?;
        }
        Ok(())
    }
}

/// Texts are the same when they are decoded to the same characters.
impl PartialEq for Unquoted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Unquoted<'_> {}

impl PartialEq<str> for Unquoted<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Unquoted<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// A step of decoding: text that stands for itself, then a character, or up to four bytes that are none.
struct Piece<'a> {
    text: &'a str,
    character: Option<char>,
    bad: [u8; 4],
    bad_len: usize,
}

impl<'a> Piece<'a> {
    const fn new(text: &'a str, character: Option<char>) -> Self {
        Self { text, character, bad: [0; 4], bad_len: 0 }
    }

    /// The characters that follow the text.
    fn others(&self, errors: Undecodable) -> impl Iterator<Item = char> + use<> {
        let bad = self.bad;
        let count = match errors {
            Undecodable::Ignore => 0,
            // With `Strict` nothing is bad: the text was checked.
            Undecodable::Strict | Undecodable::Replace => self.bad_len.min(1),
            Undecodable::Backslash => self.bad_len * 4,
        };
        let digit = |byte: Option<&u8>, shift: u8| {
            byte.and_then(|byte| char::from_digit(u32::from(byte >> shift & 15), 16)).unwrap_or('0')
        };
        let replaced = (0..count).map(move |at| match (errors, at % 4) {
            (Undecodable::Backslash, 0) => '\\',
            (Undecodable::Backslash, 1) => 'x',
            (Undecodable::Backslash, 2) => digit(bad.get(at / 4), 4),
            (Undecodable::Backslash, _) => digit(bad.get(at / 4), 0),
            _ => char::REPLACEMENT_CHARACTER,
        });
        self.character.into_iter().chain(replaced)
    }
}

/// The steps of decoding a text.
struct Pieces<'a> {
    rest: &'a str,
    plus: bool,
    charset: Charset,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let bytes = self.rest.as_bytes();
        match bytes.first()? {
            b'+' if self.plus => {
                self.rest = cut(self.rest, 1).1;
                return Some(Piece::new("", Some(' ')));
            }
            b'%' if escaped(bytes).is_some() => return Some(self.escapes()),
            _ => {}
        }
        // A percent sign that is no escape stands for itself, like all up to what may be one.
        let wanted = if self.plus { *b"%+" } else { *b"%%" };
        let len = find(bytes.get(1..)?, wanted).map_or(bytes.len(), |at| at + 1);
        let (text, rest) = cut(self.rest, len);
        self.rest = rest;
        Some(Piece::new(text, None))
    }
}

impl<'a> Pieces<'a> {
    /// The character under the escapes that `rest` starts with, or the bytes that are none.
    fn escapes(&mut self) -> Piece<'a> {
        let mut bytes = [0; 4];
        let mut len = 0;
        while len < bytes.len()
            && let Some(byte) = self.rest.as_bytes().get(len * 3..).and_then(escaped)
        {
            bytes[len] = byte;
            len += 1;
        }
        let (taken, character) = self.charset.decode(bytes.get(..len).unwrap_or_default());
        self.rest = cut(self.rest, taken * 3).1;
        let bad_len = if character.is_none() { taken } else { 0 };
        Piece { text: "", character, bad: bytes, bad_len }
    }
}

/// The byte that `text` escapes at its start.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [b'%', high, low, ..] = text else { return None };
    // Two digits of four bits each fit a byte.
    Some((digit(*high)? << 4 | digit(*low)?) as u8)
}

/// The bytes of a text with its percent-encoding undone: what [`unquote_to_bytes`] gives.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        if let Some(byte) = escaped(self.rest) {
            self.rest = &self.rest[3..];
            return Some(byte);
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(if byte == b'+' && self.plus { b' ' } else { byte })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn bytes_that_are_no_character_are_treated_as_asked() {
        let decoded = |text, charset, errors| unquote(text).decoded(charset, errors).map(|text| text.to_string());
        let text = "a%e2%82b%ffé%C3%A9";
        for (errors, expected) in [
            (Undecodable::Replace, "a\u{fffd}b\u{fffd}éé"),
            (Undecodable::Ignore, "abéé"),
            (Undecodable::Backslash, "a\\xe2\\x82b\\xfféé"),
        ] {
            assert_eq!(decoded(text, Charset::Utf8, errors).as_deref(), Ok(expected));
        }
        assert_eq!(decoded(text, Charset::Utf8, Undecodable::Strict), Err(Error::Undecodable { at: 1 }));
        assert_eq!(decoded("é%C3%A9", Charset::Ascii, Undecodable::Replace).as_deref(), Ok("é\u{fffd}\u{fffd}"));
        assert_eq!(decoded("é%C3%A9", Charset::Latin1, Undecodable::Strict).as_deref(), Ok("éÃ©"));
        assert_eq!(
            decoded("%ed%a0%80", Charset::Utf8, Undecodable::Replace).as_deref(),
            Ok("\u{fffd}\u{fffd}\u{fffd}")
        );
        assert_eq!(decoded("%f0%9f%8c%8a%f0%9f%8c", Charset::Utf8, Undecodable::Replace).as_deref(), Ok("🌊\u{fffd}"));
    }

    #[test]
    fn a_percent_sign_without_two_digits_stays() {
        for (text, expected) in [("%", "%"), ("%%41", "%A"), ("%4", "%4"), ("%zz%u20ac", "%zz%u20ac"), ("%é", "%é")] {
            assert_eq!(unquote(text), expected);
            assert_eq!(unquote(text).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn decoding_is_what_std_makes_of_the_bytes(text in "(%[0-9a-fA-F]{2}|%(c3|e2|82|f0|9f)|[%+a4é🌊]){0,20}", plus in any::<bool>()) {
            let unquoted = if plus { unquote_plus(&text) } else { unquote(&text) };
            let bytes: Vec<u8> = unquoted.to_bytes().collect();
            let expected = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(unquoted.to_string(), expected.clone());
            prop_assert!(unquoted == *expected);
        }
    }
}
