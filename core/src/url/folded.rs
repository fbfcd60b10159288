//! Text whose case does not matter: schemes and host names, in lower case whenever they are looked at.

use core::fmt::{self, Display, Formatter, Write};

/// Text of a URL that is compared and displayed in lower case, and not copied for it.
///
/// Lower case is Unicode's, as Python's `str.lower` has it, the final sigma included; of what may stand unseen beside
/// that sigma only punctuation of host names and common accents are known. A zone (`%` and what follows, in the host
/// name of an IPv6 address) keeps its case, and so does a scheme that the caller gave.
///
/// ```
/// use tidemill_core::url::urlsplit;
///
/// let split = urlsplit("HTTP://Example.ORG/", "", true)?;
/// assert_eq!(split.scheme, "http");
/// let host = split.hostname().unwrap();
/// assert_eq!((host.to_string().as_str(), host.as_written()), ("example.org", "Example.ORG"));
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Folded<'a> {
    text: &'a str,
    /// How many bytes at the start are to be lower case.
    folded: usize,
}

impl<'a> Folded<'a> {
    /// The whole text in lower case.
    pub(super) const fn all(text: &'a str) -> Self {
        Self { text, folded: text.len() }
    }

    /// In lower case up to the first `%`.
    pub(super) fn before_zone(text: &'a str) -> Self {
        Self { text, folded: text.find('%').unwrap_or(text.len()) }
    }

    /// The text in the case it was written in.
    pub const fn as_written(&self) -> &'a str {
        self.text
    }

    /// Whether there is no text.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text itself, when it needs no folding.
    pub fn as_str(&self) -> Option<&'a str> {
        let changes = |byte: &u8| byte.is_ascii_uppercase() || !byte.is_ascii();
        (!self.text.as_bytes()[..self.folded].iter().any(changes)).then_some(self.text)
    }

    /// The byte at `at`, folded, of text that is ASCII.
    fn ascii_byte(&self, at: usize) -> u8 {
        let byte = self.text.as_bytes()[at];
        if at < self.folded { byte.to_ascii_lowercase() } else { byte }
    }

    /// The characters, folded.
    pub fn chars(&self) -> impl Iterator<Item = char> {
        let (text, folded) = (self.text, self.folded);
        text.char_indices().flat_map(move |(at, character)| {
            let lower = at < folded;
            let sigma = lower && character == 'Σ' && is_final(&text[..folded], at);
            let character = if sigma { 'ς' } else { character };
            let (folded, kept) = if lower { (Some(character.to_lowercase()), None) } else { (None, Some(character)) };
            folded.into_iter().flatten().chain(kept)
        })
    }
}

/// Whether the sigma at `at` ends a word (Unicode, table 3-17): a letter stands before it and none after.
fn is_final(text: &str, at: usize) -> bool {
    let unseen = |c: &char| matches!(c, '\'' | '.' | ':' | '^' | '`' | '\u{ad}' | '·' | '\u{300}'..='\u{36f}' | '’');
    let is_cased = |c: char| c.is_lowercase() || c.is_uppercase();
    let before = text[..at].chars().rev().find(|c| !unseen(c));
    let after = text[at..].chars().skip(1).find(|c| !unseen(c));
    before.is_some_and(is_cased) && !after.is_some_and(is_cased)
}

impl<'a> From<&'a str> for Folded<'a> {
    /// `text` as it is: a caller's own scheme keeps its case, as Python's does.
    fn from(text: &'a str) -> Self {
        Self { text, folded: 0 }
    }
}

impl Display for Folded<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => f.write_str(text),
            None => self.chars().try_for_each(|character| f.write_char(character)),
        }
    }
}

impl PartialEq for Folded<'_> {
    fn eq(&self, other: &Self) -> bool {
        if !self.text.is_ascii() || !other.text.is_ascii() {
            return self.chars().eq(other.chars());
        }
        // Of ASCII, which is nearly all, the lower case is as long.
        self.text.len() == other.text.len()
            && (0..self.text.len()).all(|at| self.ascii_byte(at) == other.ascii_byte(at))
    }
}

impl Eq for Folded<'_> {}

impl PartialEq<str> for Folded<'_> {
    fn eq(&self, other: &str) -> bool {
        *self == Folded::from(other)
    }
}

impl PartialEq<&str> for Folded<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn displays_lower_case() {
        for (text, lower) in [("", ""), ("Host.EX", "host.ex"), ("ÉCOLE", "école"), ("fe80::A%tESt", "fe80::a%tESt")]
        {
            assert_eq!(Folded::before_zone(text).to_string(), lower);
            assert_eq!(Folded::before_zone(text), lower);
        }
        assert_eq!(Folded::from("FTP").to_string(), "FTP");
        assert_ne!(Folded::from("FTP"), Folded::from("ftp"));
    }

    #[test]
    fn lower_case_is_that_of_std_the_final_sigma_included() {
        for text in ["ΟΔΟΣ", "ΟΔΟΣ.gr", "Σ", "ΑΣ-Α", "ΣΑΣ.", "İ.com", "ǅ", "A\u{301}Σ\u{301}", "A.Σ"]
        {
            assert_eq!(Folded::all(text).to_string(), text.to_lowercase());
        }
    }
}
