//! A label while it is worked on.

use super::LABEL_MAX;
use super::table::{Fate, class, compose, decompose, fate};
use crate::url::IdnaError;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// The characters of a label: the first `len` of an array.
pub(super) struct Label {
    chars: [char; LABEL_MAX],
    len: usize,
}

impl Label {
    pub(super) const fn new() -> Self {
        Self { chars: ['\0'; LABEL_MAX], len: 0 }
    }

    pub(super) fn chars(&self) -> &[char] {
        self.chars.get(..self.len).unwrap_or_default()
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.chars().iter().all(char::is_ascii)
    }

    pub(super) fn push(&mut self, c: char) -> Result<(), IdnaError> {
        *self.chars.get_mut(self.len).ok_or(IdnaError::Unsupported)? = c;
        self.len += 1;
        Ok(())
    }

    /// Puts `c` in front of what is at `at`, or at the end.
    pub(super) fn insert(&mut self, at: usize, c: char) -> Result<(), IdnaError> {
        self.push(c)?;
        let mut moved = c;
        for place in self.chars.iter_mut().take(self.len).skip(at) {
            core::mem::swap(place, &mut moved);
        }
        Ok(())
    }

    /// Brings it into normal form C (UAX 15), provided that each character alone is.
    pub(super) fn normalize(&mut self) -> Result<(), IdnaError> {
        if !self.chars().iter().all(|c| class(*c).keeps_normal()) {
            self.decompose()?;
            self.order();
            self.compose();
        }
        Ok(())
    }

    fn decompose(&mut self) -> Result<(), IdnaError> {
        let mut at = 0;
        while at < self.len {
            let Some(place) = self.chars.get_mut(at) else { break };
            if let Some((first, second)) = decompose(*place) {
                *place = first;
                self.insert(at + 1, second)?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    /// Marks between two starters, in the order of their combining classes: a stable sort.
    fn order(&mut self) {
        let mut sorted: usize = 0;
        while sorted < self.len {
            // The character after those that are in order already sinks to its place.
            let mut at = sorted;
            while let Some([before, c]) = at.checked_sub(1).and_then(|before| self.chars.get_mut(before..=at)) {
                let below = class(*c).combining();
                if below == 0 || class(*before).combining() <= below {
                    break;
                }
                core::mem::swap(before, c);
                at -= 1;
            }
            sorted += 1;
        }
    }

    fn compose(&mut self) {
        let (mut starter, mut last_combining, mut kept): (Option<usize>, u8, usize) = (None, 0, 0);
        for at in 0..self.len {
            let Some(&c) = self.chars.get(at) else { break };
            let combining = class(c).combining();
            if let Some(place) = starter
                && (kept == place + 1 || last_combining < combining)
                && let Some(first) = self.chars.get_mut(place)
                && let Some(composed) = compose(*first, c)
            {
                *first = composed;
                continue;
            }
            if combining == 0 {
                starter = Some(kept);
            }
            last_combining = combining;
            if let Some(place) = self.chars.get_mut(kept) {
                *place = c;
            }
            kept += 1;
        }
        self.len = kept;
    }

    /// UTS 46, section 4.1: every character is valid, the first is no mark, and joiners stand where RFC 5892 (appendix A.1
    /// and A.2) lets them.
    pub(super) fn check(&self) -> Result<(), IdnaError> {
        let chars = self.chars();
        let starts_with_mark = chars.first().is_some_and(|c| class(*c).is_mark());
        let all_valid = chars.iter().all(|c| matches!(fate(*c), Fate::Valid(_)));
        let all_join = chars.iter().enumerate().all(|(at, c)| match *c {
            NON_JOINER => follows_virama(chars, at) || joins(chars, at),
            JOINER => follows_virama(chars, at),
            _ => true,
        });
        if starts_with_mark || !all_valid || !all_join { Err(IdnaError::Invalid) } else { Ok(()) }
    }
}

/// Combining class 9 is that of the signs that take a consonant's vowel away.
fn follows_virama(chars: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| chars.get(before)).is_some_and(|before| class(*before).combining() == 9)
}

/// Whether the letters on both sides would join if there were no [`NON_JOINER`] between them.
fn joins(chars: &[char], at: usize) -> bool {
    let opaque = |c: &&char| !class(**c).is_transparent();
    let before = chars.get(..at).unwrap_or_default().iter().rev().find(opaque);
    let after = chars.get(at + 1..).unwrap_or_default().iter().find(opaque);
    before.is_some_and(|c| class(*c).joins_next()) && after.is_some_and(|c| class(*c).joins_previous())
}
