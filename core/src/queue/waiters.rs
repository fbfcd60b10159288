//! Who waits, first come, first served.

use crate::net::Token;
use core::task::Waker;
use heapless::Vec;

/// What names one who waits.
pub(super) trait Name: Clone {
    /// Whether both name the same.
    fn same(&self, other: &Self) -> bool;
}

impl Name for Token {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Name for Waker {
    fn same(&self, other: &Self) -> bool {
        self.will_wake(other)
    }
}

/// At most `W` names, each once, in the order in which they came. Everything is O(W), and W is small.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Waiters<K, const W: usize>(Vec<K, W>);

impl<K, const W: usize> Waiters<K, W> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Who came first. Name by name: `Vec::remove` would bring a kilobyte and a half of `memmove` to a small target.
    pub(super) fn pop(&mut self) -> Option<K> {
        let mut name = self.0.pop()?;
        for before in self.0.iter_mut().rev() {
            core::mem::swap(before, &mut name);
        }
        Some(name)
    }

    /// All of them; nobody waits any more.
    pub(super) fn take_all(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }
}

impl<K: Name, const W: usize> Waiters<K, W> {
    /// False: there is no room, and whoever this is must look again by itself.
    pub(super) fn add(&mut self, name: &K) -> bool {
        self.0.iter().any(|waiting| waiting.same(name)) || self.0.push(name.clone()).is_ok()
    }

    pub(super) fn remove(&mut self, name: &K) {
        self.0.retain(|waiting| !waiting.same(name));
    }
}

impl<K, const W: usize> Iterator for Waiters<K, W> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.pop()
    }
}
