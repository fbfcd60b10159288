//! How often a timer repeats, in four bytes.

use crate::time::Duration;
use core::num::NonZeroU32;

/// `ONCE`, or a span in microseconds, milliseconds or seconds, and whether missed periods are replayed: count << 3 |
/// replay << 2 | unit. Not zero, so that a free slot costs no more than this.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Period(NonZeroU32);

/// Microseconds in a unit.
const UNITS: [u64; 3] = [1, 1_000, 1_000_000];

impl Period {
    pub(super) const ONCE: Self = Self(NonZeroU32::MAX);

    /// `None`: the span is zero, or needs more than 29 bits in every unit that divides it.
    pub(super) fn new(span: Duration, replay: bool) -> Option<Self> {
        let (mut count, mut unit) = (span.as_ticks(), 0);
        while count >= 1 << 29 {
            count = thousandth(count)?;
            unit += 1;
        }
        let fits = unit < UNITS.len() as u32;
        NonZeroU32::new(if fits { (count as u32) << 3 } else { 0 })
            .map(|count| Self(count | u32::from(replay) << 2 | unit))
    }

    pub(super) fn is_once(self) -> bool {
        self.0 == Self::ONCE.0
    }

    /// Not zero; meaningless if it is never repeated.
    pub(super) fn span(self) -> Duration {
        let unit = UNITS.get((self.0.get() & 3) as usize).unwrap_or(&1);
        Duration::from_ticks(u64::from(self.0.get() >> 3) * unit)
    }

    pub(super) fn replays(self) -> bool {
        self.0.get() & 4 != 0
    }
}

/// `None`: it is not whole. In digits of 16 bits, because dividing 64 bits takes a kilobyte of flash on small targets.
fn thousandth(value: u64) -> Option<u64> {
    let (mut quotient, mut rest) = (0, 0);
    for shift in [48, 32, 16, 0] {
        let digits = rest << 16 | (value >> shift) as u32 & 0xFFFF;
        quotient = quotient << 16 | u64::from(digits / 1_000);
        rest = digits % 1_000;
    }
    (rest == 0).then_some(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_ask_for_is_kept_exactly() {
        let minute = 60_000_000;
        for ticks in [1, 37, 999_999, 1_000_000, minute, 60 * minute, 24 * 60 * minute, 365 * 24 * 60 * minute] {
            for replay in [false, true] {
                let period = Period::new(Duration::from_ticks(ticks), replay).unwrap();
                assert_eq!(period.span(), Duration::from_ticks(ticks));
                assert!(!period.is_once());
                assert_eq!(period.replays(), replay);
            }
        }
        assert!(Period::ONCE.is_once());
    }

    proptest! {
        #[test]
        fn a_period_is_kept_exactly_or_refused(ticks: u64, shift in 0..64u32) {
            let span = Duration::from_ticks(ticks >> shift);
            match Period::new(span, false) {
                Some(period) => prop_assert_eq!(period.span(), span),
                None => prop_assert!(ticks >> shift == 0 || ticks >> shift >= 1 << 29),
            }
        }
    }
}
