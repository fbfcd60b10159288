//! Stretches of the input, with tabs and line ends as if they were not there.

/// A stretch of the input, and where it starts there. Tabs and line ends may stand anywhere in it and mean nothing (URL
/// Standard, "basic URL parser"); what looks at it must look past them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// Whether a byte is to be looked past.
pub(super) const fn is_ignored(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r')
}

impl<'a> Piece<'a> {
    /// All of `text`.
    pub(super) const fn whole(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    /// `text` without controls and spaces at its ends.
    pub(super) fn trimmed(text: &'a str) -> Self {
        let mut piece = Self::whole(text);
        while let [b'\0'..=b' ', rest @ ..] = piece.bytes {
            piece = Self { bytes: rest, at: piece.at + 1 };
        }
        while let [rest @ .., b'\0'..=b' '] = piece.bytes {
            piece.bytes = rest;
        }
        piece
    }

    /// The bytes that mean something.
    pub(super) fn clean(self) -> impl DoubleEndedIterator<Item = u8> + Clone + use<'a> {
        self.bytes.iter().copied().filter(|byte| !is_ignored(*byte))
    }

    /// Whether nothing in it means something.
    pub(super) fn is_empty(self) -> bool {
        self.clean().next().is_none()
    }

    /// The first byte that means something, and what follows it.
    pub(super) fn split_first(self) -> Option<(u8, Self)> {
        let at = self.bytes.iter().position(|byte| !is_ignored(*byte))?;
        Some((*self.bytes.get(at)?, self.from(at + 1)))
    }

    /// What stands before byte `at`.
    pub(super) fn to(self, at: usize) -> Self {
        Self { bytes: self.bytes.get(..at).unwrap_or(self.bytes), ..self }
    }

    /// What stands from byte `at` on.
    pub(super) fn from(self, at: usize) -> Self {
        Self { bytes: self.bytes.get(at..).unwrap_or_default(), at: self.at + at }
    }

    /// What stands before the first `byte`, and after it where there is one.
    pub(super) fn cut(self, byte: u8) -> (Self, Option<Self>) {
        match super::super::scan::find(self.bytes, [byte]) {
            Some(at) => (self.to(at), Some(self.from(at + 1))),
            None => (self, None),
        }
    }

    /// What stands before the first slash, and from that on.
    pub(super) fn cut_before_slash(self, special: bool) -> (Self, Self) {
        let at = self.bytes.iter().position(|byte| is_slash(*byte, special)).unwrap_or(self.bytes.len());
        (self.to(at), self.from(at))
    }

    /// The same without a slash in front, and whether there was one.
    pub(super) fn strip_slash(self, special: bool) -> (Self, bool) {
        match self.split_first() {
            Some((byte, rest)) if is_slash(byte, special) => (rest, true),
            _ => (self, false),
        }
    }
}

/// Whether `byte` separates segments of a path: in special URLs a backslash does, too.
pub(super) const fn is_slash(byte: u8, special: bool) -> bool {
    byte == b'/' || special && byte == b'\\'
}
