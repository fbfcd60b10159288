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
//! holds anything holds what is due first, and a few words of bits find it. Nodes of the same deadline are always in the
//! same bucket.
//!
//! A bucket is a stack: what was put in last comes first, because that touches one other node and no more. Whoever looks
//! through one looks for the last of the least, which is the one that was put in first.
//!
//! `elapsed` never passes a deadline that is still here, nor the time. It moves only when it must: when a bucket was
//! emptied, which costs nothing; and when one is entered that holds a crowd, whose nodes then move to lower levels (each
//! at most once per level: that is the whole cost of waiting). A few nodes are looked through instead, which is cheaper
//! than to move them.

use crate::list::{NONE, Node, Nodes};
use crate::time::{EPOCH, Instant};

const LEVELS: u32 = 8;
const DIGITS: u32 = 16;
/// The bucket of what lies beyond the eight digits.
const FAR: u32 = LEVELS * DIGITS;
const BUCKETS: u32 = FAR + 1;
/// Of a bucket with more nodes than this, the nodes move down when time enters it.
const CROWD: u32 = 8;
/// As the first deadline: to be looked for. Not after any deadline, so that none takes its place.
const UNKNOWN: Instant = EPOCH;
/// Set in a `prev` that names a bucket. It limits the nodes to 2^31.
const END: u32 = 1 << 31;

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Wheel {
    elapsed: Instant,
    /// No node is due before this.
    first: Instant,
    /// Whose that is; `NONE`: nobody knows.
    first_at: u32,
    /// What its bucket was found to hold.
    company: Company,
    /// How many nodes there are.
    len: u32,
    /// One bit for each bucket that holds anything.
    filled: [u32; BUCKETS.div_ceil(32) as usize],
    /// The node of each bucket that was put in last. Its `next` is the one before, and so on to `NONE`; its own `prev` is
    /// the bucket, with `END` added, so that a node can be taken out without knowing where it lies.
    buckets: [u32; BUCKETS as usize],
}

/// What is in the bucket of the first node beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Company {
    /// So few, if any, that they stay where they are.
    Few,
    /// So many that they are to be parted.
    Crowd,
    /// What is due at the same time. The first was put in first, and the next was put in next.
    Equals,
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            elapsed: EPOCH,
            first: UNKNOWN,
            first_at: NONE,
            company: Company::Few,
            len: 0,
            filled: [0; BUCKETS.div_ceil(32) as usize],
            buckets: [NONE; BUCKETS as usize],
        }
    }

    #[cfg(test)]
    pub(crate) fn elapsed(&self) -> Instant {
        self.elapsed
    }

    /// Puts a node in that is in no list. A deadline that has passed is due at once. O(1).
    pub(crate) fn insert<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, deadline: Instant) {
        let Some(node) = nodes.node(index) else { return };
        node.set_deadline(deadline);
        let (due, bucket) = if deadline > self.elapsed {
            (deadline, self.place_differing(deadline, 0))
        } else {
            rarely();
            (self.elapsed, self.place(self.elapsed))
        };
        if due < self.first {
            self.first = due;
            self.first_at = index;
            self.company = Company::Few;
        }
        self.len += 1;
        self.push(nodes, index, bucket);
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Takes out a node that is in the wheel. O(1).
    pub(crate) fn remove<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let Some(&mut node) = nodes.node(index) else { return };
        if self.first_at == index {
            self.pass_first(node.prev);
        }
        self.take(nodes, node);
    }

    /// Takes out the first node that is due at `now`, in order of deadline, then of insertion. O(1) amortised: a node
    /// moves at most once per level, and once for every 71 minutes that it waits.
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N, now: Instant) -> Option<u32> {
        if !self.may_be_due(now) {
            return None;
        }
        if self.first_at == NONE {
            self.find_first(nodes);
        }
        if now < self.first {
            return None;
        }
        if self.first_at == NONE {
            // All of its bucket are due at once.
            self.first_at = Self::oldest(nodes, self.head(self.place(self.first)));
            self.company = Company::Equals;
        }
        let (index, due, company) = (self.first_at, self.first, self.company);
        let &mut node = nodes.node(index)?;
        self.pass_first(node.prev);
        if self.take(nodes, node) || company == Company::Equals {
            self.elapsed = due;
        } else if company == Company::Crowd {
            self.spill(nodes, due);
        }
        Some(index)
    }

    /// False: nothing is due at `now`. True: look.
    pub(crate) fn may_be_due(&self, now: Instant) -> bool {
        self.len != 0 && now >= self.first
    }

    /// When the first node is due. O(1); after what was first was taken out, O(nodes in the first bucket).
    #[inline]
    pub(crate) fn first<N: Nodes + ?Sized>(&mut self, nodes: &mut N) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        if self.first_at == NONE {
            self.find_first(nodes);
        }
        Some(self.first)
    }

    /// Notes when the first node is due, and whose that is, unless many are due at once whose order is not known yet.
    #[inline(never)]
    fn find_first<N: Nodes + ?Sized>(&mut self, nodes: &mut N) {
        self.company = Company::Few;
        let Some(bucket) = self.first_bucket() else { return };
        let mut index = self.head(bucket);
        if bucket < DIGITS {
            self.first = Instant::from_ticks(self.elapsed.as_ticks() & !u64::from(DIGITS - 1) | u64::from(bucket));
            if nodes.node(index).is_some_and(|node| node.next == NONE) {
                self.first_at = index;
            }
        } else {
            let (mut first, mut count) = (Instant::from_ticks(u64::MAX), 0);
            while let Some(node) = nodes.node(index) {
                let deadline = node.deadline();
                if deadline <= first {
                    first = deadline;
                    self.first_at = index;
                }
                count += 1;
                index = node.next;
            }
            self.first = first;
            if count > CROWD {
                self.company = Company::Crowd;
            }
        }
    }

    /// The node that was put in first, of those from here on.
    #[inline(never)]
    fn oldest<N: Nodes + ?Sized>(nodes: &mut N, mut index: u32) -> u32 {
        let mut oldest = NONE;
        while let Some(node) = nodes.node(index) {
            oldest = index;
            index = node.next;
        }
        oldest
    }

    /// The first node is taken out. `next` is what was put in next into its bucket.
    fn pass_first(&mut self, next: u32) {
        if self.company == Company::Equals && next & END == 0 {
            self.first_at = next;
        } else {
            self.first = UNKNOWN;
            self.first_at = NONE;
        }
    }

    /// Where what is due `at` belongs now, which is not before `elapsed`: a level's number times `DIGITS`, and a digit.
    #[inline]
    fn place(&self, at: Instant) -> u32 {
        // What differs in nothing belongs where what differs in the last bit does.
        self.place_differing(at, 1)
    }

    /// As `place`, of what differs from `elapsed`, and in these bits at least.
    #[inline]
    fn place_differing(&self, at: Instant, bits: u32) -> u32 {
        let (at, elapsed) = (at.as_ticks(), self.elapsed.as_ticks());
        if at >> 32 != elapsed >> 32 {
            return FAR;
        }
        let shift = u32::BITS.wrapping_sub(1 + ((at ^ elapsed) as u32 | bits).leading_zeros()) & 0x1C;
        shift * (DIGITS / 4) + (at as u32 >> shift) % DIGITS
    }

    /// The first bucket that holds anything.
    fn first_bucket(&self) -> Option<u32> {
        let (word, bits) = (0..).zip(self.filled).find(|&(_, bits)| bits != 0)?;
        Some(word * 32 + bits.trailing_zeros())
    }

    fn head(&self, bucket: u32) -> u32 {
        self.buckets.get(bucket as usize).copied().unwrap_or(NONE)
    }

    fn push<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32, bucket: u32) {
        let Some(head) = self.buckets.get_mut(bucket as usize) else { return };
        let before = core::mem::replace(head, index);
        match nodes.node(before) {
            Some(node) => node.prev = index,
            None => {
                if let Some(bits) = self.filled.get_mut((bucket / 32) as usize) {
                    *bits |= 1 << (bucket % 32);
                }
            }
        }
        if let Some(node) = nodes.node(index) {
            node.next = before;
            node.prev = END | bucket;
        }
    }

    /// Takes out a node. True: its bucket is empty now.
    fn take<N: Nodes + ?Sized>(&mut self, nodes: &mut N, Node { next, prev, .. }: Node) -> bool {
        self.len -= 1;
        if let Some(before) = nodes.node(next) {
            before.prev = prev;
        }
        if let Some(after) = nodes.node(prev) {
            after.next = next;
            return false;
        }
        let bucket = prev & !END;
        if let Some(head) = self.buckets.get_mut(bucket as usize) {
            *head = next;
        }
        if next == NONE {
            self.unfill(bucket);
        }
        next == NONE
    }

    fn unfill(&mut self, bucket: u32) {
        if let Some(bits) = self.filled.get_mut((bucket / 32) as usize) {
            *bits &= !(1 << (bucket % 32));
        }
    }

    /// Empties a bucket, and returns what was put in last.
    fn empty(&mut self, bucket: u32) -> u32 {
        self.unfill(bucket);
        self.buckets.get_mut(bucket as usize).map_or(NONE, |head| core::mem::replace(head, NONE))
    }

    /// Time has entered a bucket: its nodes go where they belong now, beginning with what was put in first.
    #[inline(never)]
    fn spill<N: Nodes + ?Sized>(&mut self, nodes: &mut N, due: Instant) {
        let last = self.empty(self.place(due));
        self.elapsed = due;
        let mut index = Self::oldest(nodes, last);
        while let Some(&mut node) = nodes.node(index) {
            self.push(nodes, index, self.place(node.deadline()));
            index = node.prev;
        }
    }
}

/// What is done from here on is hardly ever done.
#[cold]
fn rarely() {}
