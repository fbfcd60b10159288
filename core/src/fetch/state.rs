//! What of a download can be saved, and how it is written down.

use super::segments::SEGMENTS_MAX;
use core::ops::Range;
use heapless::{String, Vec};

/// The longest validator kept, bytes. A longer one counts as none.
pub const VALIDATOR_MAX: usize = 256;

/// The most bytes [`State::encode`] writes.
pub const STATE_BYTES_MAX: usize = 8 + 1 + 2 + VALIDATOR_MAX + 1 + SEGMENTS_MAX * 16;

/// What tells one version of a file from another, as the server gave it (RFC 9110, 8.8).
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Validator {
    /// An entity tag, with its quotes and, if weak, its `W/`.
    Etag(String<VALIDATOR_MAX>),
    /// A `Last-Modified` date.
    Modified {
        /// As it was sent.
        date: String<VALIDATOR_MAX>,
        /// At least a minute older than the response's `Date`: two versions within one second can be ruled out
        /// (RFC 9110, 8.8.2.2).
        strong: bool,
    },
}

impl Validator {
    /// The text for an `If-Range` field; only a strong validator may stand there.
    pub fn if_range(&self) -> Option<&str> {
        match self {
            Self::Etag(tag) if tag.starts_with('"') => Some(tag),
            Self::Modified { date, strong: true } => Some(date),
            _ => None,
        }
    }

    /// Whether both name the same version. A date that has become strong since is still the same date.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Etag(a), Self::Etag(b)) | (Self::Modified { date: a, .. }, Self::Modified { date: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// A download that can be resumed: only one with a known length, a strong validator and a server that serves ranges is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct State {
    /// The length of the whole, bytes.
    pub total: u64,
    /// The version that the bytes so far belong to.
    pub validator: Validator,
    /// What is missing still.
    pub missing: Vec<Range<u64>, SEGMENTS_MAX>,
}

/// Why bytes are no [`State`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StateError {
    /// They end too early, or go on.
    Length,
    /// A field has a value that `encode` never writes.
    Value,
    /// `encode`: the buffer is shorter than [`STATE_BYTES_MAX`] and too short for this state.
    NoRoom,
}

impl core::fmt::Display for StateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Length => "the saved state is cut short or too long",
            Self::Value => "the saved state holds an impossible value",
            Self::NoRoom => "the buffer is too short for the state",
        })
    }
}

impl core::error::Error for StateError {}

impl State {
    /// Writes the state, little-endian: total u64, validator kind u8, length u16, bytes; count u8, (start, end) u64 each.
    ///
    /// # Errors
    /// [`StateError::NoRoom`].
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, StateError> {
        let (kind, text) = match &self.validator {
            Validator::Etag(tag) => (0u8, tag),
            Validator::Modified { date, strong: true } => (1, date),
            Validator::Modified { date, strong: false } => (2, date),
        };
        let mut at = 0;
        let mut put = |bytes: &[u8]| -> Result<(), StateError> {
            out.get_mut(at..at + bytes.len()).ok_or(StateError::NoRoom)?.copy_from_slice(bytes);
            at += bytes.len();
            Ok(())
        };
        put(&self.total.to_le_bytes())?;
        put(&[kind])?;
        put(&(text.len() as u16).to_le_bytes())?;
        put(text.as_bytes())?;
        put(&[self.missing.len() as u8])?;
        for range in &self.missing {
            put(&range.start.to_le_bytes())?;
            put(&range.end.to_le_bytes())?;
        }
        Ok(at)
    }

    /// Reads what [`encode`](Self::encode) wrote. Intervals must be within the total, not empty, and not overlap.
    ///
    /// # Errors
    /// [`StateError::Length`], [`StateError::Value`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut rest = bytes;
        let mut take = |len: usize| -> Result<&[u8], StateError> {
            let (head, tail) = rest.split_at_checked(len).ok_or(StateError::Length)?;
            rest = tail;
            Ok(head)
        };
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| StateError::Length);
        let total = word(take(8)?)?;
        let kind = take(1)?[0];
        let len = take(2)?.try_into().map(u16::from_le_bytes).map_err(|_| StateError::Length)?;
        let text = core::str::from_utf8(take(len.into())?).map_err(|_| StateError::Value)?;
        let text = String::try_from(text).map_err(|_| StateError::Value)?;
        let validator = match kind {
            0 => Validator::Etag(text),
            1 => Validator::Modified { date: text, strong: true },
            2 => Validator::Modified { date: text, strong: false },
            _ => return Err(StateError::Value),
        };
        let count = take(1)?[0];
        let mut missing: Vec<Range<u64>, SEGMENTS_MAX> = Vec::new();
        for _ in 0..count {
            let range = word(take(8)?)?..word(take(8)?)?;
            let overlaps = missing.iter().any(|other| range.start < other.end && other.start < range.end);
            if range.is_empty() || range.end > total || overlaps {
                return Err(StateError::Value);
            }
            missing.push(range).map_err(|_| StateError::Value)?;
        }
        if rest.is_empty() { Ok(Self { total, validator, missing }) } else { Err(StateError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_state_comes_back_as_it_was_saved(
            tag in "\"[a-z0-9-]{0,200}\"",
            kind in 0..3u8,
            steps in proptest::collection::vec((1..1000u64, 1..1000u64), 0..SEGMENTS_MAX),
        ) {
            let text = String::try_from(tag.as_str()).unwrap();
            let validator = match kind {
                0 => Validator::Etag(text),
                kind => Validator::Modified { date: text, strong: kind == 1 },
            };
            let mut total = 0;
            let mut missing = Vec::new();
            for (gap, len) in steps {
                missing.push(total + gap..total + gap + len).unwrap();
                total += gap + len;
            }
            let state = State { total, validator, missing };
            let mut bytes = [0; STATE_BYTES_MAX];
            let len = state.encode(&mut bytes).unwrap();
            prop_assert_eq!(State::decode(&bytes[..len]), Ok(state.clone()));
            for cut in 0..len {
                prop_assert!(State::decode(&bytes[..cut]).is_err());
                prop_assert!(state.encode(&mut [0; STATE_BYTES_MAX][..cut]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_a_state_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(state) = State::decode(&bytes) {
                let mut out = [0; STATE_BYTES_MAX];
                let len = state.encode(&mut out).unwrap();
                prop_assert_eq!(&out[..len], &bytes[..]);
            }
        }
    }
}
