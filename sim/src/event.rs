//! The event queue: what happens next, in order of time and, within one instant, of entry.
//!
//! Nothing here ticks. The world takes the earliest event, sets its clock to it, and is done when none is left; an
//! hour in which nothing happens costs nothing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tidemill_core::time::Instant;

/// What may happen. Small plain data: the frame itself lies in the world's [`crate::frame::Slab`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// The frame with this id reaches the far end of this link.
    Arrival { link: u32, frame: u32 },
    /// A host asked to be turned at this time. It may have changed its mind since.
    Timer { host: u32 },
    /// A host is switched on.
    Boot { host: u32 },
    /// A fault begins.
    Fault { index: u32 },
    /// A fault ends.
    Over { index: u32 },
    /// A slow host has finished its turn.
    Free { host: u32 },
}

/// An event and its place in the order: the time above, the order of entry below, so that one comparison does.
struct Entry {
    place: u128,
    what: What,
}

impl Ord for Entry {
    /// The earlier is the greater: a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.place.cmp(&self.place)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Entry {}

/// Events ordered by (time, order of entry). O(log n) in and out.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    entered: u64,
}

impl Queue {
    pub(crate) fn enter(&mut self, at: Instant, what: What) {
        let place = u128::from(at.as_ticks()) << 64 | u128::from(self.entered);
        self.heap.push(Entry { place, what });
        self.entered += 1;
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| Instant::from_ticks((entry.place >> 64) as u64))
    }

    /// Takes the earliest event if it happens at `at` or before.
    pub(crate) fn pop_until(&mut self, at: Instant) -> Option<What> {
        if self.next_at()? > at {
            return None;
        }
        self.heap.pop().map(|entry| entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: u32) -> What {
        What::Timer { host }
    }

    #[test]
    fn events_come_out_by_time_and_then_in_order_of_entry() {
        let mut queue = Queue::default();
        for (at, id) in [(5, 0), (3, 9), (5, 1), (3, 2), (4, 7)] {
            queue.enter(Instant::from_ticks(at), host(id));
        }
        let far = Instant::from_ticks(100);
        let order: Vec<What> = std::iter::from_fn(|| queue.pop_until(far)).collect();
        assert_eq!(order, [host(9), host(2), host(7), host(0), host(1)]);
    }

    #[test]
    fn an_event_of_the_future_stays() {
        let mut queue = Queue::default();
        queue.enter(Instant::from_ticks(10), host(0));
        assert_eq!(queue.pop_until(Instant::from_ticks(9)), None);
        assert_eq!(queue.next_at(), Some(Instant::from_ticks(10)));
        assert_eq!(queue.pop_until(Instant::from_ticks(10)), Some(host(0)));
        assert_eq!(queue.next_at(), None);
    }
}
