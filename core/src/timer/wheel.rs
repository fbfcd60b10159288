//! The wheel itself: which node is due when. It knows nothing of what the nodes stand for.
//!
//! Time is read as eight digits of four bits, and a node lies at the level of the highest digit in which its deadline
//! differs from `elapsed`, in the bucket of that digit:
//!
//! ```text
//! elapsed = 0x0000_0123    deadline 0x0000_0127: level 0, bucket 7      every node of a bucket here is due at once
//!                          deadline 0x0000_0456: level 2, bucket 4      here their order is not known yet
//!                          deadline 0x1_0000_0000: far                  beyond these 2^32 ticks (71 minutes)
//! ```
//!
//! All of a level comes before all of the next, and within a level buckets come in order; so the first bucket that
//! holds anything holds what is due first, and two words of bits find it. Nodes of the same deadline are always in the
//! same bucket, in order of insertion.
//!
//! `elapsed` never passes a deadline that is still here. When it enters a bucket, the bucket's nodes move to lower
//! levels (each at most once per level: that is the whole cost of waiting); when it jumps over empty time, nothing
//! moves.

use crate::list::{List, NONE, Nodes};
use crate::time::{EPOCH, Instant};

const LEVELS: usize = 8;
const DIGITS: usize = 16;
/// The level of nodes beyond the eight digits.
const FAR: u32 = LEVELS as u32;

#[derive(Debug)]
pub(crate) struct Wheel {
    elapsed: Instant,
    /// The first deadline, while it is known.
    first: Option<Instant>,
    /// One bit for each level that holds anything, and one for `far`.
    levels: u16,
    /// One bit for each bucket that holds anything.
    digits: [u16; LEVELS],
    buckets: [List; LEVELS * DIGITS],
    far: List,
}

/// Where a node lies.
#[derive(Clone, Copy)]
struct Place {
    level: u32,
    digit: u32,
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            elapsed: EPOCH,
            first: None,
            levels: 0,
            digits: [0; LEVELS],
            buckets: [List::EMPTY; LEVELS * DIGITS],
            far: List::EMPTY,
        }
    }

    /// Puts a node in that is in no list. A deadline that has passed is due at once, after what is due already. O(1).
    pub(crate) fn insert<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let Some(node) = nodes.node(index) else { return };
        node.set_deadline(deadline);
        if self.levels == 0 || self.first.is_some_and(|first| deadline < first) {
            self.first = Some(deadline);
        }
        self.link(nodes, index, deadline);
    }

    /// Takes out a node that is in the wheel. O(1).
    pub(crate) fn remove<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let Some(node) = nodes.node(index) else { return };
        let deadline = node.deadline();
        if self.first == Some(deadline) {
            self.first = None;
        }
        let place = self.place(deadline);
        let bucket = self.bucket(place);
        bucket.remove(nodes, index);
        if bucket.is_empty() {
            self.emptied(place);
        }
    }

    /// Takes out the first node that is due at `now`, in order of deadline, then of insertion. O(1) amortised: a node
    /// moves at most once per level, and once for every 71 minutes that it waits.
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N, now: Instant) -> Option<u32> {
        while let Some(place) = self.first_place() {
            let start = self.start(place);
            let bucket = self.bucket(place);
            let index = bucket.first();
            let node = nodes.node(index)?;
            let due = if place.level == 0 {
                start
            } else if node.next() == NONE {
                node.deadline()
            } else if start <= now {
                let bucket = *bucket;
                let first = earliest(nodes, bucket);
                self.first = Some(first);
                self.elapsed = first.min(now);
                self.spill(nodes, place);
                continue;
            } else {
                break;
            };
            if due <= now {
                bucket.pop(nodes);
                if bucket.is_empty() {
                    self.emptied(place);
                }
                self.elapsed = due;
                self.first = None;
                return Some(index);
            }
            if place.level > 0 && start <= now {
                self.elapsed = now;
                self.spill(nodes, place);
            }
            break;
        }
        // Nothing is due, and the first bucket starts after `now`.
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// The first deadline. O(1); after a removal of what was first, O(nodes in the first bucket).
    pub(crate) fn first<N: Nodes + ?Sized>(&mut self, nodes: &mut N) -> Option<Instant> {
        let place = self.first_place()?;
        if self.first.is_none() {
            let bucket = *self.bucket(place);
            self.first = Some(earliest(nodes, bucket));
        }
        self.first
    }

    fn link<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let place = self.place(deadline);
        self.levels |= 1 << place.level;
        if place.level < FAR {
            self.digits[place.level as usize % LEVELS] |= 1 << place.digit;
        }
        self.bucket(place).push(nodes, index);
    }

    /// Puts the nodes of a bucket that time has entered where they belong now.
    fn spill<N: Nodes + ?Sized>(&mut self, nodes: &mut N, place: Place) {
        let mut bucket = core::mem::replace(self.bucket(place), List::EMPTY);
        self.emptied(place);
        while let Some(index) = bucket.pop(nodes) {
            let Some(node) = nodes.node(index) else { return };
            let deadline = node.deadline();
            self.link(nodes, index, deadline);
        }
    }

    fn place(&self, deadline: Instant) -> Place {
        let at = deadline.max(self.elapsed).as_ticks();
        let elapsed = self.elapsed.as_ticks();
        if at >> 32 != elapsed >> 32 {
            return Place { level: FAR, digit: 0 };
        }
        let difference = (at ^ elapsed) as u32;
        let level = (difference | 1).ilog2() / 4;
        Place { level, digit: at as u32 >> (4 * level) & 15 }
    }

    fn first_place(&self) -> Option<Place> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let digit = if level < FAR { self.digits[level as usize % LEVELS].trailing_zeros() } else { 0 };
        Some(Place { level, digit })
    }

    /// The time at which a bucket that lies ahead begins.
    fn start(&self, place: Place) -> Instant {
        let elapsed = self.elapsed.as_ticks();
        Instant::from_ticks(if place.level < FAR {
            let above = !(0xF_u32 << (4 * place.level)) & !((1 << (4 * place.level)) - 1);
            elapsed >> 32 << 32 | u64::from(elapsed as u32 & above | place.digit << (4 * place.level))
        } else {
            ((elapsed >> 32) + 1) << 32
        })
    }

    fn bucket(&mut self, place: Place) -> &mut List {
        if place.level < FAR {
            &mut self.buckets[(place.level as usize * DIGITS + place.digit as usize) % (LEVELS * DIGITS)]
        } else {
            &mut self.far
        }
    }

    fn emptied(&mut self, place: Place) {
        if place.level < FAR {
            let digits = &mut self.digits[place.level as usize % LEVELS];
            *digits &= !(1 << place.digit);
            if *digits != 0 {
                return;
            }
        }
        self.levels &= !(1 << place.level);
    }
}

/// The earliest deadline in a list that is not empty.
fn earliest<N: Nodes + ?Sized>(nodes: &mut N, list: List) -> Instant {
    let mut earliest = Instant::from_ticks(u64::MAX);
    let mut index = list.first();
    while let Some(node) = nodes.node(index) {
        earliest = earliest.min(node.deadline());
        index = node.next();
    }
    earliest
}
