//! Who waits for which socket, and whose turn has come: one-shot tokens, O(1) each, none lost.
//!
//! Each slot holds at most one armed watch and one token that fired but was not yet taken. While a token waits to be
//! taken, a later watch of the same slot stays armed and fires afterwards. So the queue never needs more room than
//! there are slots, and a token leaves it exactly once.

use crate::net::{Interest, Token};
use heapless::Deque;

#[derive(Clone, Copy, Default)]
struct Watch {
    armed: Option<(Interest, Token)>,
    fired: Option<Token>,
}

/// The watches of `M` slots. See the [module](self).
pub(super) struct Readiness<const M: usize> {
    watches: [Watch; M],
    /// Slots whose `fired` is taken next, in order. A slot stands here exactly while its `fired` is `Some`.
    queue: Deque<u16, M>,
}

impl<const M: usize> Readiness<M> {
    pub(super) fn new() -> Self {
        Self { watches: [Watch { armed: None, fired: None }; M], queue: Deque::new() }
    }

    /// Arms a watch; one already armed is replaced.
    pub(super) fn arm(&mut self, slot: usize, interest: Interest, token: Token) {
        self.watches[slot].armed = Some((interest, token));
    }

    /// What the slot's watcher waits for, while it waits.
    pub(super) fn armed(&self, slot: usize) -> Option<Interest> {
        self.watches[slot].armed.map(|(interest, _)| interest)
    }

    /// Queues the armed token, unless an earlier one of this slot has not been taken yet: then it stays armed.
    pub(super) fn fire(&mut self, slot: usize) {
        let watch = &mut self.watches[slot];
        if watch.fired.is_none()
            && let Some((_, token)) = watch.armed.take()
        {
            watch.fired = Some(token);
            // Cannot be full: it holds each of the M slots at most once.
            let _ = self.queue.push_back(slot as u16);
        }
    }

    /// The next token and its slot. The caller fires the slot again if it is still ready.
    pub(super) fn next(&mut self) -> Option<(usize, Token)> {
        let slot = usize::from(self.queue.pop_front()?);
        Some((slot, self.watches[slot].fired.take()?))
    }

    /// Whether a token waits to be taken.
    pub(super) fn any(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether nobody waits for this slot and nothing of it is left to take.
    pub(super) fn is_idle(&self, slot: usize) -> bool {
        self.watches[slot].armed.is_none() && self.watches[slot].fired.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_out_once() {
        let mut ready = Readiness::<2>::new();
        ready.arm(1, Interest::Read, Token(7));
        assert_eq!(ready.next(), None);
        assert!(!ready.any());
        ready.fire(1);
        ready.fire(1);
        assert!(ready.any());
        assert_eq!(ready.next(), Some((1, Token(7))));
        assert!(!ready.any());
        assert_eq!(ready.next(), None);
        assert!(ready.is_idle(1));
    }

    #[test]
    fn a_second_watch_waits_until_the_first_token_is_taken() {
        let mut ready = Readiness::<1>::new();
        ready.arm(0, Interest::Read, Token(1));
        ready.fire(0);
        ready.arm(0, Interest::Write, Token(2));
        ready.fire(0);
        assert_eq!(ready.next(), Some((0, Token(1))));
        assert!(!ready.is_idle(0));
        ready.fire(0);
        assert_eq!(ready.next(), Some((0, Token(2))));
        assert!(ready.is_idle(0));
    }
}
