//! How characters and bytes stand for each other under percent signs, and what happens to those that do not.

/// A way to write characters as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Charset {
    /// One to four bytes a character, all of Unicode.
    #[default]
    Utf8,
    /// One byte a character, up to U+00FF (ISO 8859-1).
    Latin1,
    /// One byte a character, up to U+007F.
    Ascii,
}

/// What becomes of a character that the charset does not have: Python's `errors` of `quote`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unencodable {
    /// [`Error::Unencodable`](super::Error::Unencodable) is returned.
    #[default]
    Strict,
    /// A question mark.
    Replace,
    /// Nothing.
    Ignore,
    /// Its number for XML and HTML, as in `&#8364;`.
    XmlCharRef,
    /// Its number for Python, as in `\u20ac`.
    Backslash,
}

/// What becomes of bytes that are no character in the charset: Python's `errors` of `unquote`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Undecodable {
    /// [`Error::Undecodable`](super::Error::Undecodable) is returned.
    Strict,
    /// U+FFFD.
    #[default]
    Replace,
    /// Nothing.
    Ignore,
    /// Their numbers, as in `\xff`.
    Backslash,
}

impl Charset {
    /// The bytes of `character`, in `buffer`; `None` when the charset does not have it.
    pub(super) fn encode(self, character: char, buffer: &mut [u8; 4]) -> Option<&[u8]> {
        let code = u32::from(character);
        match self {
            Self::Utf8 => Some(character.encode_utf8(buffer).as_bytes()),
            Self::Latin1 if code > 0xff => None,
            Self::Ascii if code > 0x7f => None,
            Self::Latin1 | Self::Ascii => {
                buffer[0] = u8::try_from(code).ok()?;
                Some(&buffer[..1])
            }
        }
    }

    /// How many of `bytes`, which are one to four, make the first character, and which; `None` in its place: they make
    /// none.
    pub(super) fn decode(self, bytes: &[u8]) -> (usize, Option<char>) {
        let first = bytes.first().copied().unwrap_or(0);
        match self {
            Self::Latin1 => (1, Some(char::from(first))),
            Self::Utf8 if !first.is_ascii() => {
                let good = match core::str::from_utf8(bytes) {
                    Ok(text) => text,
                    Err(error) if error.valid_up_to() > 0 => {
                        bytes.get(..error.valid_up_to()).and_then(|good| core::str::from_utf8(good).ok()).unwrap_or("")
                    }
                    // Without a length the bytes end too early, all of them.
                    Err(error) => return (error.error_len().unwrap_or(bytes.len()), None),
                };
                let character = good.chars().next();
                (character.map_or(1, char::len_utf8), character)
            }
            Self::Utf8 | Self::Ascii => (1, first.is_ascii().then_some(char::from(first))),
        }
    }
}
