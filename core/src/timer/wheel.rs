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
//! moves. It need not keep up with the time, either: while a bucket holds few nodes, looking through them is cheaper than
//! moving them, and `elapsed` stays before it.

use crate::list::{NONE, Node, Nodes};
use crate::time::{EPOCH, Instant};

const LEVELS: u32 = 8;
const DIGITS: u32 = 16;
/// The bucket of what lies beyond the eight digits, and its level.
const FAR: u32 = LEVELS * DIGITS;
/// Of a bucket with more nodes than this, the nodes move down when time enters it.
const CROWD: u32 = 8;
/// As the first deadline: to be looked for. Not after any deadline, so that none takes its place.
const UNKNOWN: Instant = EPOCH;

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Wheel {
    elapsed: Instant,
    /// When the first node is due, if that is known and there is one.
    first: Instant,
    /// Whose it is.
    first_at: u32,
    /// Its bucket was found to hold a crowd.
    crowded: bool,
    /// One bit for each level that holds anything, and one for `far`.
    levels: u32,
    /// One bit for each bucket that holds anything.
    digits: [u16; LEVELS as usize],
    /// The first node of each bucket. Its `prev` is the last one; and the last one's `next` is the bucket, with `END`
    /// added, so that a node can be taken out without knowing where it lies.
    buckets: [u32; FAR as usize],
    far: u32,
}

/// Set in a `next` that names a bucket. It limits the nodes to 2^31.
const END: u32 = 1 << 31;

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            elapsed: EPOCH,
            first: UNKNOWN,
            first_at: NONE,
            crowded: false,
            levels: 0,
            digits: [0; LEVELS as usize],
            buckets: [NONE; FAR as usize],
            far: NONE,
        }
    }

    #[cfg(test)]
    pub(crate) fn elapsed(&self) -> Instant {
        self.elapsed
    }

    /// Puts a node in that is in no list. A deadline that has passed is due at once, after what is due already. O(1).
    #[inline]
    pub(crate) fn insert<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let Some(node) = nodes.node(index) else { return };
        node.set_deadline(deadline);
        let due = deadline.max(self.elapsed);
        if self.levels == 0 || due < self.first {
            self.first = due;
            self.first_at = index;
            self.crowded = false;
        }
        let bucket = self.place(due);
        self.push(nodes, index, bucket);
    }

    /// Takes out a node that is in the wheel. O(1).
    pub(crate) fn remove<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let Some(&mut node) = nodes.node(index) else { return };
        if self.first_at == index {
            self.first = UNKNOWN;
        }
        let Some(before) = nodes.node(node.prev) else { return };
        if before.next & END != 0 {
            // Only the last node comes before the first.
            let bucket = before.next & !END;
            self.remove_first(nodes, bucket, index, node);
            return;
        }
        before.next = node.next;
        let after = if node.next & END == 0 { node.next } else { *self.head(node.next & !END) };
        if let Some(after) = nodes.node(after) {
            after.prev = node.prev;
        }
    }

    /// Takes out the first node that is due at `now`, in order of deadline, then of insertion. O(1) amortised: a node
    /// moves at most once per level, and once for every 71 minutes that it waits.
    #[inline]
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N, now: Instant) -> Option<u32> {
        if self.levels == 0 || now < self.first { None } else { self.pop_first(nodes, now) }
    }

    #[inline(never)]
    fn pop_first<N: Nodes + ?Sized>(&mut self, nodes: &mut N, now: Instant) -> Option<u32> {
        let bucket = self.first_bucket();
        if self.first == UNKNOWN {
            self.find_first(nodes);
        }
        let due = self.first <= now;
        let index = self.first_at;
        let elapsed = self.first.min(now);
        if due {
            self.remove(nodes, index);
        }
        if self.start(bucket) > elapsed || *self.head(bucket) == NONE {
            self.elapsed = self.elapsed.max(elapsed);
        } else if self.crowded {
            self.crowded = false;
            self.elapsed = elapsed;
            self.spill(nodes, bucket);
        }
        due.then_some(index)
    }

    /// When the first node is due. O(1); after what was first was taken out, O(nodes in the first bucket).
    #[inline]
    pub(crate) fn first<N: Nodes + ?Sized>(&mut self, nodes: &mut N) -> Option<Instant> {
        if self.levels == 0 {
            return None;
        }
        if self.first == UNKNOWN {
            self.find_first(nodes);
        }
        Some(self.first)
    }

    #[inline(never)]
    fn find_first<N: Nodes + ?Sized>(&mut self, nodes: &mut N) {
        let bucket = self.first_bucket();
        let mut index = *self.head(bucket);
        if bucket < DIGITS {
            self.first = self.start(bucket);
            self.first_at = index;
            self.crowded = false;
            return;
        }
        let mut count = 0;
        while let Some(node) = nodes.node(index) {
            if count == 0 || node.deadline() < self.first {
                self.first = node.deadline();
                self.first_at = index;
            }
            count += 1;
            index = node.next;
        }
        self.crowded = count > CROWD;
    }

    /// Where what is due `at` belongs now, which is not before `elapsed`: a level's number times `DIGITS`, and a digit.
    #[inline]
    fn place(&self, at: Instant) -> u32 {
        let (at, elapsed) = (at.as_ticks(), self.elapsed.as_ticks());
        if at >> 32 != elapsed >> 32 {
            return FAR;
        }
        let shift = ((at ^ elapsed) as u32 | 1).ilog2() & !3;
        shift / 4 * DIGITS + (at as u32 >> shift) % DIGITS
    }

    /// The time at which a bucket that lies ahead begins.
    fn start(&self, bucket: u32) -> Instant {
        let elapsed = self.elapsed.as_ticks();
        Instant::from_ticks(if bucket < FAR {
            let shift = bucket / DIGITS * 4;
            let above = !(DIGITS - 1) << shift;
            elapsed >> 32 << 32 | u64::from(elapsed as u32 & above | (bucket % DIGITS) << shift)
        } else {
            ((elapsed >> 32) + 1) << 32
        })
    }

    /// The first bucket that holds anything; of an empty wheel, one that does not.
    fn first_bucket(&self) -> u32 {
        let level = self.levels.trailing_zeros().min(LEVELS);
        let digits = self.digits.get(level as usize).copied().unwrap_or(1);
        level * DIGITS + digits.trailing_zeros() % DIGITS
    }

    fn head(&mut self, bucket: u32) -> &mut u32 {
        self.buckets.get_mut(bucket as usize).unwrap_or(&mut self.far)
    }

    fn push<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, bucket: u32) {
        let head = self.head(bucket);
        let last = if let Some(first) = nodes.node(*head) {
            core::mem::replace(&mut first.prev, index)
        } else {
            *head = index;
            self.levels |= 1 << (bucket / DIGITS);
            if let Some(digits) = self.digits.get_mut((bucket / DIGITS) as usize) {
                *digits |= 1 << (bucket % DIGITS);
            }
            index
        };
        if let Some(last) = nodes.node(last) {
            last.next = index;
        }
        if let Some(node) = nodes.node(index) {
            node.next = END | bucket;
            node.prev = last;
        }
    }

    fn remove_first<N: Nodes + ?Sized>(&mut self, nodes: &mut N, bucket: u32, index: u32, node: Node) {
        if node.prev == index {
            self.empty(bucket);
            return;
        }
        *self.head(bucket) = node.next;
        if let Some(after) = nodes.node(node.next) {
            after.prev = node.prev;
        }
    }

    /// Empties a bucket, and returns what was its first node.
    fn empty(&mut self, bucket: u32) -> u32 {
        let first = core::mem::replace(self.head(bucket), NONE);
        if let Some(digits) = self.digits.get_mut((bucket / DIGITS) as usize) {
            *digits &= !(1 << (bucket % DIGITS));
            if *digits != 0 {
                return first;
            }
        }
        self.levels &= !(1 << (bucket / DIGITS));
        first
    }

    /// Puts the nodes of a bucket that time has entered where they belong now.
    fn spill<N: Nodes + ?Sized>(&mut self, nodes: &mut N, bucket: u32) {
        let mut index = self.empty(bucket);
        while let Some(&mut node) = nodes.node(index) {
            let bucket = self.place(node.deadline());
            self.push(nodes, index, bucket);
            index = node.next;
        }
    }
}
