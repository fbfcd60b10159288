//! What is still missing, as intervals, and who fetches which.
//!
//! There are no fixed pieces. Each connection owns at most one interval and eats it from the front. A connection that
//! runs dry takes an interval that nobody owns; if there is none it *steals*: it cuts the interval that would take
//! longest to finish, so that both ends are done at the same moment by the rates measured so far.

use super::meter::Meter;
use crate::pace::share;
use crate::time::{Duration, Instant};
use core::ops::Range;
use heapless::Vec;

/// The most intervals a download is ever in: bounds its memory and its saved state.
pub const SEGMENTS_MAX: usize = 64;

/// An interval cut off a victim is at least this long, bytes.
pub const STEAL_MIN: u64 = 64 * 1024;

/// Stealing must bring the end nearer by at least this, whatever a connection costs.
const GAIN_MIN: Duration = Duration::from_millis(20);

/// An owner from whom nothing has come yet is left alone for this long: a thief would have to start from nothing too.
const GRACE: Duration = Duration::from_secs(1);

/// A missing interval: `pos..end` and who fetches it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Segment {
    pub(super) pos: u64,
    pub(super) end: u64,
    owner: Option<u8>,
    meter: Meter,
}

impl Segment {
    fn left(&self) -> u64 {
        self.end - self.pos
    }
}

/// The missing intervals of one file.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Segments {
    list: Vec<Segment, SEGMENTS_MAX>,
}

impl Segments {
    /// Everything below `end` is missing again, and nobody fetches it.
    pub(super) fn reset(&mut self, end: u64) {
        self.list.clear();
        // It is empty. In place: a new list would pass over the stack.
        let _ = self.list.push(Segment { pos: 0, end, owner: None, meter: Meter::default() });
    }

    /// Exactly these are missing. Empty ones, and those past the 64th, are left out: the caller has checked them.
    pub(super) fn of(missing: impl Iterator<Item = Range<u64>>) -> Self {
        let owner = None;
        let list = missing
            .filter(|range| range.start < range.end)
            .take(SEGMENTS_MAX)
            .map(|range| Segment { pos: range.start, end: range.end, owner, meter: Meter::default() })
            .collect();
        Self { list }
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = Range<u64>> {
        self.list.iter().map(|segment| segment.pos..segment.end)
    }

    pub(super) fn left(&self) -> u64 {
        self.list.iter().map(Segment::left).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The interval `owner` is fetching.
    pub(super) fn owned(&self, owner: u8) -> Option<Range<u64>> {
        self.list.iter().find(|segment| segment.owner == Some(owner)).map(|segment| segment.pos..segment.end)
    }

    /// `owner`'s measured rate, bytes per second.
    pub(super) fn rate(&self, owner: u8, now: Instant) -> u64 {
        self.list.iter().find(|segment| segment.owner == Some(owner)).map_or(0, |segment| segment.meter.rate(now))
    }

    /// Gives `owner` an interval that nobody fetches: the first in the file, so that its front is whole early.
    pub(super) fn claim(&mut self, owner: u8, now: Instant) -> Option<Range<u64>> {
        let free = self.list.iter_mut().filter(|segment| segment.owner.is_none()).min_by_key(|segment| segment.pos)?;
        free.owner = Some(owner);
        free.meter = Meter::new(now);
        Some(free.pos..free.end)
    }

    /// `owner` lets go of its interval; what is left of it is free to be claimed.
    pub(super) fn release(&mut self, owner: u8) {
        for segment in self.list.iter_mut().filter(|segment| segment.owner == Some(owner)) {
            segment.owner = None;
        }
    }

    /// `owner` has `len` bytes more. False once its interval is whole; it owns nothing then.
    pub(super) fn advance(&mut self, owner: u8, len: u64, now: Instant) -> bool {
        let Some(index) = self.list.iter().position(|segment| segment.owner == Some(owner)) else { return false };
        let segment = &mut self.list[index];
        segment.pos = segment.end.min(segment.pos.saturating_add(len));
        segment.meter.add(len, now);
        if segment.pos == segment.end {
            self.list.swap_remove(index);
            return false;
        }
        true
    }

    /// The file's end is now known to be `total`. What lies beyond is not missing.
    pub(super) fn truncate(&mut self, total: u64) {
        for segment in &mut self.list {
            segment.end = segment.end.min(total).max(segment.pos.min(total));
            segment.pos = segment.pos.min(segment.end);
        }
        self.list.retain(|segment| segment.left() > 0);
    }

    /// Everything below `end` is missing again, and `owner` fetches it from the start.
    pub(super) fn rewind(&mut self, owner: u8, end: u64, now: Instant) {
        self.reset(end);
        self.claim(owner, now);
    }

    /// Cuts the only interval into `parts` of about the same length, none shorter than `min`. Whoever owns it keeps
    /// the first.
    pub(super) fn split_even(&mut self, parts: usize, min: u64) {
        let [only] = self.list.as_mut_slice() else { return };
        let parts = (parts as u64).min(SEGMENTS_MAX as u64).min(only.left() / min.max(1)).max(1);
        let (start, end) = (only.pos, only.end);
        let cut = |part: u64| start + share(end - start, part, parts);
        only.end = cut(1);
        for part in 1..parts {
            let segment = Segment { pos: cut(part), end: cut(part + 1), owner: None, meter: Meter::default() };
            // At most SEGMENTS_MAX parts in a list that held one.
            let _ = self.list.push(segment);
        }
    }

    /// Takes the tail of the interval that would end last, for `thief`, who needs `setup` before its first byte comes
    /// and then is about as fast as `rate` (0: not known). None where that would not end the download earlier.
    pub(super) fn steal(&mut self, thief: u8, rate: u64, setup: Duration, now: Instant) -> Option<Range<u64>> {
        if self.list.is_full() {
            return None;
        }
        let known = self.list.iter().map(|segment| segment.meter.rate(now)).filter(|&rate| rate > 0);
        let (sum, count) = known.fold((0u64, 0u64), |(sum, count), rate| (sum.saturating_add(rate), count + 1));
        let typical = sum.checked_div(count).unwrap_or(1).max(1);
        let thief_rate = if rate == 0 { typical } else { rate };
        let speed = |segment: &Segment| match segment.meter.rate(now) {
            0 if segment.meter.is_young(now, GRACE) => typical,
            rate => rate.max(1),
        };
        let time_left = |segment: &Segment| share(segment.left(), 1_000_000, speed(segment));
        let victim = self.list.iter_mut().max_by_key(|segment| time_left(segment))?;
        if victim.meter.is_young(now, GRACE.max(setup * 4)) {
            return None;
        }
        let (victim_rate, left) = (speed(victim), victim.left());
        // Both finish together when keep / victim = setup + (left - keep) / thief.
        let meanwhile = share(thief_rate, setup.as_ticks(), 1_000_000);
        let keep = share(victim_rate, left.saturating_add(meanwhile), victim_rate.saturating_add(thief_rate));
        let taken = left.checked_sub(keep)?;
        if share(taken, 1_000_000, victim_rate) < GAIN_MIN.max(setup).as_ticks() || taken < STEAL_MIN {
            return None;
        }
        let cut = victim.pos + keep;
        let end = core::mem::replace(&mut victim.end, cut);
        let stolen = Segment { pos: cut, end, owner: Some(thief), meter: Meter::new(now) };
        // There is room: the list was not full.
        let _ = self.list.push(stolen);
        self.list.retain(|segment| segment.left() > 0);
        Some(cut..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::EPOCH;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn whole(end: u64) -> Segments {
        Segments::of(core::iter::once(0..end))
    }

    fn at(ms: u64) -> Instant {
        EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn an_even_split_covers_the_file_and_keeps_the_first_owner() {
        let mut segments = whole(1000);
        segments.claim(0, EPOCH);
        segments.split_even(3, 1);
        assert_eq!(segments.owned(0), Some(0..333));
        assert_eq!(segments.claim(1, EPOCH), Some(333..666));
        assert_eq!(segments.claim(2, EPOCH), Some(666..1000));
    }

    #[test]
    fn a_small_file_is_not_split() {
        let mut segments = whole(1000);
        segments.split_even(8, 600);
        assert_eq!(segments.missing().count(), 1);
    }

    #[test]
    fn a_thief_eight_times_faster_takes_eight_ninths_of_the_slow_one() {
        let mut segments = whole(9 << 20);
        segments.claim(0, EPOCH);
        for ms in 1..=1000 {
            segments.advance(0, 1024, at(ms));
        }
        let left = segments.left();
        let stolen = segments.steal(1, 8 * 1024 * 1000, Duration::from_ticks(0), at(1000)).unwrap();
        let share = (stolen.end - stolen.start) * 90 / left;
        assert!((78..=82).contains(&share), "took {share} of 90");
        assert_eq!(segments.left(), left);
    }

    #[test]
    fn nothing_is_stolen_when_a_new_connection_would_take_longer_than_it_saves() {
        let mut segments = whole(1 << 20);
        segments.claim(0, EPOCH);
        for ms in 1..=500 {
            segments.advance(0, 1024, at(ms));
        }
        assert_eq!(segments.steal(1, 1 << 20, Duration::from_secs(2), at(500)), None);
    }

    #[test]
    fn a_stalled_connection_loses_nearly_all_it_has_left() {
        let mut segments = whole(10 << 20);
        segments.claim(0, EPOCH);
        segments.advance(0, 1 << 20, at(100));
        let stolen = segments.steal(1, 10 << 20, Duration::from_millis(10), at(20_000)).unwrap();
        assert!(stolen.end - stolen.start > 8 << 20);
    }

    proptest! {
        /// The model: a bit per byte. Whatever is claimed, stolen, released and advanced, each byte is missing in exactly
        /// one interval until somebody has fetched it, and nobody owns two intervals.
        #[test]
        fn no_byte_is_lost_or_fetched_by_two(
            total in 1..200_000u64,
            parts in 1..9usize,
            ops in proptest::collection::vec((0..4u8, 0..8u8, 1..40_000u64), 1..200),
        ) {
            let mut segments = whole(total * 64);
            let total = total * 64;
            let mut have = StdVec::new();
            let mut done = 0u64;
            segments.claim(0, EPOCH);
            segments.split_even(parts, 1);
            for (i, (op, owner, amount)) in ops.into_iter().enumerate() {
                let now = at(i as u64 * 7);
                let owned = segments.owned(owner);
                match op {
                    0 if owned.is_none() => { segments.claim(owner, now); }
                    1 if owned.is_none() => { segments.steal(owner, amount * 100, Duration::from_millis(1), now); }
                    2 => segments.release(owner),
                    _ => if let Some(range) = owned {
                        let len = (amount * 64).min(range.end - range.start);
                        have.push(range.start..range.start + len);
                        done += len;
                        segments.advance(owner, len, now);
                    },
                }
                prop_assert_eq!(segments.left() + done, total);
                let mut all: StdVec<_> = segments.missing().chain(have.iter().cloned()).collect();
                all.sort_by_key(|range| range.start);
                let mut pos = 0;
                for range in all {
                    prop_assert_eq!(range.start, pos);
                    prop_assert!(range.end > range.start);
                    pos = range.end;
                }
                prop_assert_eq!(pos, total);
            }
        }
    }
}
