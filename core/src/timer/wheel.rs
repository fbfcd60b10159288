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

/// Eight of digits, and one for what is beyond them.
const LEVELS: usize = 9;
const DIGITS: usize = 16;
/// The level of nodes beyond the eight digits: it has a single bucket.
const FAR: u32 = LEVELS as u32 - 1;
/// Of the first deadline.
const UNKNOWN: Instant = EPOCH;

#[derive(Debug)]
pub(crate) struct Wheel {
    elapsed: Instant,
    /// The first deadline, or `UNKNOWN`: what comes before it cannot be, so that one comparison tells.
    first: Instant,
    /// One bit for each level that holds anything.
    levels: u16,
    /// One bit for each bucket that holds anything.
    digits: [u16; LEVELS],
    buckets: [List; FAR as usize * DIGITS + 1],
}

/// Where a node lies.
#[derive(Clone, Copy)]
struct Place {
    level: u32,
    digit: u32,
}

impl Place {
    fn bucket(self) -> usize {
        self.level as usize * DIGITS + self.digit as usize
    }
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            elapsed: EPOCH,
            first: UNKNOWN,
            levels: 0,
            digits: [0; LEVELS],
            buckets: [List::EMPTY; FAR as usize * DIGITS + 1],
        }
    }

    /// Puts a node in that is in no list. A deadline that has passed is due at once, after what is due already. O(1).
    pub(crate) fn insert<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let Some(node) = nodes.node(index) else { return };
        node.set_deadline(deadline);
        if deadline < self.first || self.levels == 0 {
            self.first = deadline;
        }
        self.link(nodes, index, deadline);
    }

    /// Takes out a node that is in the wheel. O(1).
    pub(crate) fn remove<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let Some(node) = nodes.node(index) else { return };
        let deadline = node.deadline();
        if self.first == deadline {
            self.first = UNKNOWN;
        }
        let place = self.place(deadline);
        let Some(bucket) = self.buckets.get_mut(place.bucket()) else { return };
        bucket.remove(nodes, index);
        if bucket.is_empty() {
            self.emptied(place);
        }
    }

    /// Takes out the first node that is due at `now`, in order of deadline, then of insertion. O(1) amortised: a node
    /// moves at most once per level, and once for every 71 minutes that it waits.
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N, now: Instant) -> Option<u32> {
        while self.levels != 0 {
            let place = self.first_place();
            let start = self.start(place);
            let bucket = self.buckets.get_mut(place.bucket())?;
            let index = bucket.first();
            let node = nodes.node(index)?;
            let due = if place.level == 0 {
                start
            } else if node.next() == NONE {
                node.deadline()
            } else if start <= now {
                let first = self.first(nodes)?;
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
                self.first = UNKNOWN;
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
        if self.levels == 0 {
            return None;
        }
        if self.first == UNKNOWN {
            self.first = earliest(nodes, *self.buckets.get(self.first_place().bucket())?);
        }
        Some(self.first)
    }

    fn link<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let place = self.place(deadline);
        let Some(bucket) = self.buckets.get_mut(place.bucket()) else { return };
        if bucket.is_empty() {
            self.levels |= 1 << place.level;
            if let Some(digits) = self.digits.get_mut(place.level as usize) {
                *digits |= 1 << place.digit;
            }
        }
        bucket.push(nodes, index);
    }

    /// Puts the nodes of a bucket that time has entered where they belong now.
    fn spill<N: Nodes + ?Sized>(&mut self, nodes: &mut N, place: Place) {
        let Some(bucket) = self.buckets.get_mut(place.bucket()) else { return };
        let mut next = core::mem::replace(bucket, List::EMPTY).first();
        self.emptied(place);
        while let Some(node) = nodes.node(next) {
            let (index, deadline) = (next, node.deadline());
            next = node.next();
            self.link(nodes, index, deadline);
        }
    }

    fn place(&self, deadline: Instant) -> Place {
        let at = deadline.max(self.elapsed).as_ticks();
        let apart = at ^ self.elapsed.as_ticks();
        if apart >> 32 != 0 {
            return Place { level: FAR, digit: 0 };
        }
        let level = (apart as u32 | 1).ilog2() / 4;
        Place { level, digit: at as u32 >> (4 * level) & 15 }
    }

    /// The first bucket that holds anything. There must be one.
    fn first_place(&self) -> Place {
        let level = self.levels.trailing_zeros();
        let digits = self.digits.get(level as usize).copied().unwrap_or_default();
        Place { level, digit: digits.trailing_zeros() }
    }

    /// The time at which a bucket that lies ahead begins.
    fn start(&self, place: Place) -> Instant {
        let elapsed = self.elapsed.as_ticks();
        Instant::from_ticks(if place.level < FAR {
            let below = 4 * place.level;
            elapsed >> 32 << 32 | u64::from((elapsed as u32 >> below & !15 | place.digit) << below)
        } else {
            ((elapsed >> 32) + 1) << 32
        })
    }

    fn emptied(&mut self, place: Place) {
        if let Some(digits) = self.digits.get_mut(place.level as usize) {
            *digits &= !(1 << place.digit);
            if *digits == 0 {
                self.levels &= !(1 << place.level);
            }
        }
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
