//! Percent-encoding for what a person typed beyond ASCII.

use core::fmt::{self, Display, Formatter};

/// Displays a part of a URL with each byte beyond ASCII percent-encoded, as it must go over the wire (RFC 3986, 2.5).
/// Everything else stays, percent signs included.
///
/// ```
/// use tidemill_core::url::Ascii;
/// assert_eq!(std::format!("{}", Ascii("/é%20~")), "/%C3%A9%20~");
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ascii<'a>(pub &'a str);

impl Display for Ascii<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(|character: char| !character.is_ascii()) {
            let plain = part.trim_end_matches(|character: char| !character.is_ascii());
            f.write_str(plain)?;
            part[plain.len()..].bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn only_what_is_beyond_ascii_changes() {
        for (text, encoded) in
            [("", ""), ("/a?b=%zz c", "/a?b=%zz c"), ("ü", "%C3%BC"), ("a🌊é/", "a%F0%9F%8C%8A%C3%A9/")]
        {
            assert_eq!(Ascii(text).to_string(), encoded);
        }
    }
}
