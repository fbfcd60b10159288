//! In which order items come out: where a queue keeps them.

use core::cmp::Ordering;
use heapless::binary_heap::Min;
use heapless::{BinaryHeap, Deque, Vec};

/// Items in a fixed number of places, and which of them is next.
///
/// Interrupts: no by itself, it has a single owner; a [`Shared`](super::Shared) queue guards it.
pub trait Order {
    /// What is kept.
    type Item;

    /// How many items are there.
    fn len(&self) -> usize;

    /// How many there can be.
    fn capacity(&self) -> usize;

    /// Puts an item in.
    ///
    /// # Errors
    /// Hands the item back if there are [`capacity`](Self::capacity) already.
    fn push(&mut self, item: Self::Item) -> Result<(), Self::Item>;

    /// Takes the next item out.
    fn pop(&mut self) -> Option<Self::Item>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for another.
    fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }
}

/// First in, first out: `N` items. Everything is O(1). No capacity of zero, which Python takes for endless, compiles.
///
/// Interrupts: no by itself, as [`Order`] says.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fifo<T, const N: usize>(Deque<T, N>);

/// Last in, first out: `N` items. Everything is O(1).
///
/// Interrupts: no by itself, as [`Order`] says.
#[doc(alias = "LifoQueue")]
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lifo<T, const N: usize>(Vec<T, N>);

/// The least first, and of equal ones the one that was put first: `N` items. O(log N) to put and to get; eight bytes for
/// each beside the item.
///
/// Interrupts: no by itself, as [`Order`] says.
#[doc(alias = "PriorityQueue")]
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Priority<T: Ord, const N: usize> {
    heap: BinaryHeap<Entry<T>, Min, N>,
    /// The number of the next entry. It may wrap: two entries that are there at once are never 2^63 apart.
    next: u64,
}

/// An item that is compared by its priority alone, the lower first: for [`Priority`] queues of what has no order.
///
/// Interrupts: yes; a plain value.
#[doc(alias = "PrioritizedItem")]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prioritized<P, T>(
    /// What is compared.
    pub P,
    /// What is not.
    pub T,
);

impl<P: Ord, T> PartialEq for Prioritized<P, T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<P: Ord, T> Eq for Prioritized<P, T> {}

impl<P: Ord, T> PartialOrd for Prioritized<P, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Ord, T> Ord for Prioritized<P, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T, const N: usize> Fifo<T, N> {
    /// Empty.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a queue holds at least one item") };
        Self(Deque::new())
    }
}

impl<T, const N: usize> Lifo<T, N> {
    /// Empty.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a queue holds at least one item") };
        Self(Vec::new())
    }
}

impl<T: Ord, const N: usize> Priority<T, N> {
    /// Empty.
    pub const fn new() -> Self {
        Self::numbered_from(0)
    }

    pub(super) const fn numbered_from(next: u64) -> Self {
        const { assert!(N > 0, "a queue holds at least one item") };
        Self { heap: BinaryHeap::new(), next }
    }
}

impl<T, const N: usize> Default for Fifo<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Default for Lifo<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Ord, const N: usize> Default for Priority<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Order for Fifo<T, N> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        self.0.push_back(item)
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }
}

impl<T, const N: usize> Order for Lifo<T, N> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        self.0.push(item)
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

impl<T: Ord, const N: usize> Order for Priority<T, N> {
    type Item = T;

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        self.heap.push(Entry { item, number: self.next }).map_err(|entry| entry.item)?;
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.item)
    }
}

/// An item and when it came.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Entry<T> {
    item: T,
    number: u64,
}

impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Hardly ever are two equal.
        self.item.cmp(&other.item).then_with(|| (self.number.wrapping_sub(other.number) as i64).cmp(&0))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}
