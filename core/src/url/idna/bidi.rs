//! The bidi rule (RFC 5893, section 2): what keeps a domain with right-to-left letters readable.

use super::table::{Bidi, class};
use crate::url::IdnaError;

/// What the labels seen so far say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels {
    any_right_to_left: bool,
    any_against_the_rule: bool,
}

impl Labels {
    pub(super) fn add(&mut self, label: &[char]) {
        let (mut seen, mut first, mut last) = (0_u8, None, Bidi::Other);
        for c in label {
            let bidi = class(*c).bidi();
            seen |= bit(bidi);
            first = first.or(Some(bidi));
            if bidi != Bidi::NonspacingMark {
                last = bidi;
            }
        }
        self.any_right_to_left |= seen & RIGHT_TO_LEFT != 0;
        self.any_against_the_rule |= first.is_some_and(|first| !obeys(first, seen, last));
    }

    /// The rule binds every label of a domain as soon as one of them has a letter or number that runs from right to left.
    pub(super) const fn verdict(self) -> Result<(), IdnaError> {
        if self.any_right_to_left && self.any_against_the_rule { Err(IdnaError::Invalid) } else { Ok(()) }
    }
}

const fn bit(bidi: Bidi) -> u8 {
    1 << bidi as u8
}

const RIGHT_TO_LEFT: u8 = bit(Bidi::Right) | bit(Bidi::ArabicNumber);
const ANYWHERE: u8 = bit(Bidi::EuropeanNumber) | bit(Bidi::Neutral) | bit(Bidi::NonspacingMark);

/// `last` is the last but for nonspacing marks.
const fn obeys(first: Bidi, seen: u8, last: Bidi) -> bool {
    match first {
        Bidi::Left => seen & !(ANYWHERE | bit(Bidi::Left)) == 0 && matches!(last, Bidi::Left | Bidi::EuropeanNumber),
        Bidi::Right => {
            let both_numbers = bit(Bidi::EuropeanNumber) | bit(Bidi::ArabicNumber);
            seen & !(ANYWHERE | RIGHT_TO_LEFT) == 0
                && seen & both_numbers != both_numbers
                && matches!(last, Bidi::Right | Bidi::ArabicNumber | Bidi::EuropeanNumber)
        }
        _ => false,
    }
}
