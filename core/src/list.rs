//! Lists threaded through slots that are there already: no memory of their own but an index or two each.
//!
//! A [`Node`] stands in every slot and is in at most one list at a time, so pool and timer wheel can move a slot from
//! list to list in O(1), and take it out of the middle of one.
//!
//! An index that has no node is ignored rather than trusted, so nothing here can panic.

use crate::time::Instant;

/// The index of no slot.
pub(crate) const NONE: u32 = u32::MAX;

/// The most slots there may be: the wheel needs the highest bit.
pub(crate) const NODES_MAX: usize = 1 << 31;

/// What a slot needs to be in a list, and in the wheel: 16 bytes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Node {
    // In halves, so that a slot is aligned to four bytes and a 32-bit target pads nothing.
    low: u32,
    high: u32,
    pub(crate) next: u32,
    pub(crate) prev: u32,
}

impl Node {
    pub(crate) const EMPTY: Self = Self { low: 0, high: 0, next: NONE, prev: NONE };

    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_ticks(u64::from(self.high) << 32 | u64::from(self.low))
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.high = (deadline.as_ticks() >> 32) as u32;
        self.low = deadline.as_ticks() as u32;
    }
}

/// Slots that have a node each.
pub(crate) trait Nodes {
    fn node(&mut self, index: u32) -> Option<&mut Node>;
}

/// First in, first out, with removal from anywhere. Everything is O(1).
///
/// The first node's `prev` means nothing: who is first is known here.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { first: NONE, last: NONE };

    pub(crate) fn is_empty(self) -> bool {
        self.first == NONE
    }

    pub(crate) fn first(self) -> u32 {
        self.first
    }

    /// Appends a node that is in no list.
    pub(crate) fn push<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let last = core::mem::replace(&mut self.last, index);
        match nodes.node(last) {
            Some(last) if self.first != NONE => last.next = index,
            _ => self.first = index,
        }
        if let Some(node) = nodes.node(index) {
            node.next = NONE;
            node.prev = last;
        }
    }

    /// The node so many behind the first; the last one if there are not so many. O(places).
    pub(crate) fn at<N: Nodes + ?Sized>(self, nodes: &mut N, places: u32) -> u32 {
        let mut index = self.first;
        for _ in 0..places {
            match nodes.node(index) {
                Some(node) if node.next != NONE => index = node.next,
                _ => break,
            }
        }
        index
    }

    /// How many nodes there are, if fewer than `bound`. O(bound).
    pub(crate) fn len_up_to<N: Nodes + ?Sized>(self, nodes: &mut N, bound: u32) -> u32 {
        let (mut index, mut len) = (self.first, 0);
        while len < bound
            && let Some(node) = nodes.node(index)
        {
            index = node.next;
            len += 1;
        }
        len
    }

    /// Moves a node that is in this list to its front.
    pub(crate) fn prefer<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        if self.first == index || nodes.node(index).is_none() {
            return;
        }
        self.remove(nodes, index);
        if let Some(first) = nodes.node(self.first) {
            first.prev = index;
        }
        if let Some(node) = nodes.node(index) {
            node.next = self.first;
        }
        self.first = index;
    }

    /// Takes out a node that is in this list.
    pub(crate) fn remove<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        let Some(&mut Node { next, prev, .. }) = nodes.node(index) else { return };
        if self.first == index {
            self.first = next;
        } else if let Some(before) = nodes.node(prev) {
            before.next = next;
        }
        match nodes.node(next) {
            Some(after) => after.prev = prev,
            None => self.last = prev,
        }
    }

    /// Takes out the first node.
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N) -> Option<u32> {
        let index = self.first;
        self.first = nodes.node(index)?.next;
        Some(index)
    }
}

/// Last in, first out: for free slots. Everything is O(1).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Stack {
    first: u32,
}

impl Stack {
    pub(crate) const EMPTY: Self = Self { first: NONE };

    pub(crate) fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// Puts in a node that is in no list.
    pub(crate) fn push<N: Nodes + ?Sized>(&mut self, nodes: &mut N, index: u32) {
        if let Some(node) = nodes.node(index) {
            node.next = self.first;
            self.first = index;
        }
    }

    /// Takes out the node that was put in last.
    pub(crate) fn pop<N: Nodes + ?Sized>(&mut self, nodes: &mut N) -> Option<u32> {
        let index = self.first;
        self.first = nodes.node(index)?.next;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    impl Nodes for [Node] {
        fn node(&mut self, index: u32) -> Option<&mut Node> {
            self.get_mut(index as usize)
        }
    }

    fn forward(list: List, nodes: &[Node]) -> Vec<u32> {
        core::iter::successors(Some(list.first), |&index| Some(nodes.get(index as usize)?.next))
            .take_while(|&index| index != NONE)
            .collect()
    }

    proptest! {
        /// Two lists over the same nodes against two deques.
        #[test]
        fn lists_agree_with_deques(ops in proptest::collection::vec((0..4u8, 0..2usize, 0..8u32), 0..200)) {
            let mut nodes = [Node::EMPTY; 8];
            let mut lists = [List::EMPTY; 2];
            let mut model = [VecDeque::new(), VecDeque::new()];
            for (op, which, index) in ops {
                match op {
                    0 if !model.iter().flatten().any(|&held| held == index) => {
                        lists[which].push(&mut nodes[..], index);
                        model[which].push_back(index);
                    }
                    1 if model[which].contains(&index) => {
                        lists[which].remove(&mut nodes[..], index);
                        model[which].retain(|&held| held != index);
                    }
                    2 => prop_assert_eq!(lists[which].pop(&mut nodes[..]), model[which].pop_front()),
                    3 if !model[which].is_empty() => {
                        let place = model[which].len().min(index as usize + 1) - 1;
                        let preferred = model[which].remove(place);
                        model[which].push_front(preferred.expect("it is below the length"));
                        let found = lists[which].at(&mut nodes[..], index);
                        prop_assert_eq!(Some(found), preferred);
                        lists[which].prefer(&mut nodes[..], found);
                    }
                    _ => {}
                }
                for which in 0..2 {
                    prop_assert_eq!(forward(lists[which], &nodes), Vec::from(model[which].clone()));
                    prop_assert_eq!(lists[which].is_empty(), model[which].is_empty());
                    let len = lists[which].len_up_to(&mut nodes[..], index);
                    prop_assert_eq!(len as usize, model[which].len().min(index as usize));
                }
            }
        }
    }
}
