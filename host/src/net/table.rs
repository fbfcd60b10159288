//! Slots for sockets, handed out under generational handles, and the queue of tokens that are due.
//!
//! Everything is taken when the table is made: a full table says so, and the queue holds each slot at most once.

use std::collections::VecDeque;

use tidemill_core::net::{Handle, Token};

#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Box<[Slot<T>]>,
    free: Vec<u16>,
    queue: VecDeque<u16>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u16,
    occupant: Option<T>,
    /// The token that is due; one without it, found in the queue, is skipped.
    due: Option<Token>,
    queued: bool,
}

impl<T> Table<T> {
    /// `capacity` slots, at most 65,535.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = u16::try_from(capacity).unwrap_or(u16::MAX);
        Self {
            slots: (0..capacity).map(|_| Slot { generation: 0, occupant: None, due: None, queued: false }).collect(),
            free: (0..capacity).rev().collect(),
            queue: VecDeque::with_capacity(usize::from(capacity)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    pub(super) fn insert(&mut self, occupant: T) -> Option<Handle> {
        let index = self.free.pop()?;
        let slot = &mut self.slots[usize::from(index)];
        slot.occupant = Some(occupant);
        Some(Handle::new(index, slot.generation))
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<T> {
        let slot = self.slot_mut(handle)?;
        let occupant = slot.occupant.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.due = None;
        self.free.push(handle.index() as u16);
        Some(occupant)
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self.slots.get(handle.index())?;
        slot.occupant.as_ref().filter(|_| slot.generation == handle.generation())
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        self.slot_mut(handle)?.occupant.as_mut()
    }

    /// The occupant of slot `index`.
    pub(super) fn at_mut(&mut self, index: usize) -> Option<(Handle, &mut T)> {
        let slot = self.slots.get_mut(index)?;
        let handle = Handle::new(index as u16, slot.generation);
        Some((handle, slot.occupant.as_mut()?))
    }

    /// Makes `token` due for this socket, instead of one that is due already.
    pub(super) fn queue(&mut self, handle: Handle, token: Token) {
        let Some(slot) = self.slot_mut(handle) else { return };
        slot.due = Some(token);
        if !std::mem::replace(&mut slot.queued, true) {
            self.queue.push_back(handle.index() as u16);
        }
    }

    /// Forgets what is due for this socket.
    pub(super) fn unqueue(&mut self, handle: Handle) {
        if let Some(slot) = self.slot_mut(handle) {
            slot.due = None;
        }
    }

    pub(super) fn any_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next token that is due, first in, first out.
    pub(super) fn pop(&mut self) -> Option<Token> {
        loop {
            let slot = &mut self.slots[usize::from(self.queue.pop_front()?)];
            slot.queued = false;
            if let Some(token) = slot.due.take() {
                return Some(token);
            }
        }
    }

    fn slot_mut(&mut self, handle: Handle) -> Option<&mut Slot<T>> {
        self.slots.get_mut(handle.index()).filter(|slot| slot.generation == handle.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_says_so_and_a_slot_given_back_never_answers_to_its_old_handle() {
        let mut table = Table::new(1);
        let first = table.insert('a').unwrap();
        assert_eq!(table.insert('b'), None);
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b').unwrap();
        assert_ne!(first, second);
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&'b'));
    }

    #[test]
    fn tokens_come_out_in_order_and_the_last_one_asked_for_counts() {
        let mut table = Table::new(3);
        let [a, b, c] = ['a', 'b', 'c'].map(|name| table.insert(name).unwrap());
        table.queue(b, Token(1));
        table.queue(a, Token(2));
        table.queue(b, Token(3));
        table.queue(c, Token(4));
        table.unqueue(a);
        assert_eq!(std::iter::from_fn(|| table.pop()).collect::<Vec<_>>(), [Token(3), Token(4)]);
    }

    #[test]
    fn what_was_due_for_a_closed_socket_is_not_told_to_its_successor() {
        let mut table = Table::new(1);
        let first = table.insert('a').unwrap();
        table.queue(first, Token(1));
        table.remove(first);
        let second = table.insert('b').unwrap();
        assert_eq!(table.pop(), None);
        table.queue(second, Token(2));
        assert_eq!(table.pop(), Some(Token(2)));
    }
}
