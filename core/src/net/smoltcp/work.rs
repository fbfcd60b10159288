//! Which sockets there is something to do for: those that were used or got a frame, and those whose time has come.
//!
//! smoltcp asks every socket of a set at every turn. So each socket has a set of its own, and only those listed here are
//! asked: a turn costs what has happened, not what exists. When a listed socket has been seen to, it is noted when it
//! wants to be looked at again; until then it is left alone.

use crate::time::Instant;
use heapless::Vec;

/// A time that never comes.
const NEVER: Instant = Instant::from_ticks(u64::MAX);

/// What there is to do for `N` sockets.
pub(super) struct Work<const N: usize> {
    /// Each once, in the order of their numbers: so they take turns as in one set.
    listed: Vec<u16, N>,
    /// When each wants to be looked at though nobody has used it.
    due: [Instant; N],
    /// The earliest of them.
    earliest: Instant,
}

impl<const N: usize> Work<N> {
    pub(super) fn new() -> Self {
        Self { listed: Vec::new(), due: [NEVER; N], earliest: NEVER }
    }

    /// Lists a socket. O(listed).
    pub(super) fn add(&mut self, index: usize) {
        if let Err(place) = self.listed.binary_search(&(index as u16)) {
            // There is room for each of the N once.
            let _ = self.listed.insert(place, index as u16);
        }
    }

    /// Lists all of them. O(N).
    pub(super) fn add_all(&mut self) {
        self.listed.clear();
        self.listed.extend(0..N as u16);
    }

    /// Lists those whose time has come. O(1) if there is none, else O(N).
    pub(super) fn add_due(&mut self, now: Instant) {
        if self.earliest <= now {
            for index in (0..N).filter(|&index| self.due[index] <= now).collect::<Vec<usize, N>>() {
                self.add(index);
            }
        }
    }

    /// How many are listed.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// The `n`-th that is listed.
    pub(super) fn nth(&self, n: usize) -> usize {
        usize::from(self.listed[n])
    }

    /// Notes when a socket wants to be looked at. O(1), or O(N) if it was the first to be.
    pub(super) fn set_due(&mut self, index: usize, at: Option<Instant>) {
        let before = core::mem::replace(&mut self.due[index], at.unwrap_or(NEVER));
        let after = self.due[index];
        if after <= self.earliest {
            self.earliest = after;
        } else if before == self.earliest {
            self.earliest = self.due.iter().copied().min().unwrap_or(NEVER);
        }
    }

    /// All that were listed have been seen to.
    pub(super) fn clear(&mut self) {
        self.listed.clear();
    }

    /// When the first wants to be looked at.
    pub(super) fn earliest(&self) -> Option<Instant> {
        (self.earliest < NEVER).then_some(self.earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed<const N: usize>(work: &Work<N>) -> std::vec::Vec<usize> {
        (0..work.len()).map(|n| work.nth(n)).collect()
    }

    #[test]
    fn each_is_listed_once_in_order() {
        let mut work = Work::<4>::new();
        for index in [2, 0, 2, 3, 0] {
            work.add(index);
        }
        assert_eq!(listed(&work), [0, 2, 3]);
        work.add_all();
        assert_eq!(listed(&work), [0, 1, 2, 3]);
        work.clear();
        assert_eq!(work.len(), 0);
    }

    #[test]
    fn whose_time_has_come_is_listed_and_the_earliest_is_known_whatever_changes() {
        let at = |ticks| Some(Instant::from_ticks(ticks));
        let mut work = Work::<3>::new();
        assert_eq!(work.earliest(), None);
        for (index, ticks, earliest) in [(0, 50, 50), (1, 40, 40), (2, 60, 40), (1, 55, 50), (0, 70, 55)] {
            work.set_due(index, at(ticks));
            assert_eq!(work.earliest(), at(earliest));
        }
        work.add_due(Instant::from_ticks(54));
        assert_eq!(work.len(), 0);
        work.add_due(Instant::from_ticks(60));
        assert_eq!(listed(&work), [1, 2]);
        for index in 0..3 {
            work.set_due(index, None);
        }
        assert_eq!(work.earliest(), None);
    }
}
