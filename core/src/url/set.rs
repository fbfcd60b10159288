//! Sets of ASCII characters, one bit each.

/// A set of ASCII characters: 16 bytes, and one shift to ask it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Set(u128);

impl Set {
    /// What never needs a percent sign (RFC 3986, 2.3).
    pub(super) const UNRESERVED: Self =
        Self(0).and("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~");

    /// What may delimit parts within a component (RFC 3986, 2.2), and what is unreserved.
    pub(super) const SUB_DELIMITERS: Self = Self::UNRESERVED.and("!$&'()*+,;=");

    /// This set and the ASCII characters of `text`.
    pub(super) const fn and(self, text: &str) -> Self {
        let (mut set, mut at) = (self.0, 0);
        let bytes = text.as_bytes();
        while at < bytes.len() {
            if bytes[at].is_ascii() {
                set |= 1 << bytes[at];
            }
            at += 1;
        }
        Self(set)
    }

    /// Whether `byte` is in it.
    pub(super) const fn has(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 != 0
    }
}
