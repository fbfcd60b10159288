//! What waits to be written: pieces in the order they came, each in one part, in a ring of the caller's bytes.

/// Where the pieces are. The bytes come with every call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    head: u32,
    tail: u32,
    /// Where the upper part ends, once pieces are put in before it.
    end: u32,
    used: u32,
}

impl Queue {
    pub(super) const EMPTY: Self = Self { head: 0, tail: 0, end: 0, used: 0 };

    pub(super) const fn is_empty(self) -> bool {
        self.used == 0
    }

    /// Where `len` bytes fit in one part, in a ring of `capacity` bytes.
    pub(super) const fn room(self, len: usize, capacity: usize) -> Option<usize> {
        let (head, tail) = (self.head as usize, self.tail as usize);
        if self.used == 0 {
            return if len <= capacity { Some(0) } else { None };
        }
        if self.end > 0 {
            return if len <= head - tail { Some(tail) } else { None };
        }
        if len <= capacity - tail {
            return Some(tail);
        }
        if len <= head { Some(0) } else { None }
    }

    /// Puts in the `len` bytes that were written at `at`, where there was room.
    pub(super) const fn push(&mut self, at: usize, len: usize) {
        if self.used == 0 {
            *self = Self::EMPTY;
        } else if at == 0 {
            self.end = self.tail;
        }
        self.tail = (at + len) as u32;
        self.used += len as u32;
    }

    /// The first bytes, as many as lie in one part.
    pub(super) const fn front(self) -> core::ops::Range<usize> {
        let end = if self.used == 0 {
            self.head
        } else if self.end > 0 {
            self.end
        } else {
            self.tail
        };
        self.head as usize..end as usize
    }

    /// Takes out the first `len` bytes, of those at the front.
    pub(super) const fn pop(&mut self, len: usize) {
        self.head += len as u32;
        self.used -= len as u32;
        if self.end > 0 && self.head == self.end {
            self.head = 0;
            self.end = 0;
        }
    }

    /// Where the piece after this one begins, or would begin.
    pub(super) const fn after(self, at: usize, len: usize) -> usize {
        if self.end > 0 && at + len == self.end as usize { 0 } else { at + len }
    }

    /// How many bytes are in it.
    pub(super) const fn used(self) -> usize {
        self.used as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(ops in proptest::collection::vec((any::<bool>(), 1..40_usize), 0..300)) {
            let mut ring = [0_u8; 100];
            let mut queue = Queue::EMPTY;
            let mut model = VecDeque::new();
            let mut next = 0_u8;
            for (put, len) in ops {
                if put {
                    let Some(at) = queue.room(len, ring.len()) else {
                        prop_assert!(!queue.is_empty());
                        continue;
                    };
                    for byte in &mut ring[at..at + len] {
                        *byte = next;
                        model.push_back(next);
                        next = next.wrapping_add(1);
                    }
                    queue.push(at, len);
                } else {
                    let front = queue.front();
                    let len = len.min(front.len());
                    let expected: Vec<u8> = model.drain(..len).collect();
                    prop_assert_eq!(&ring[front][..len], &expected[..]);
                    queue.pop(len);
                }
                prop_assert_eq!(queue.used(), model.len());
                prop_assert!(queue.is_empty() || !queue.front().is_empty());
            }
        }
    }
}
