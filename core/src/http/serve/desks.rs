//! Where requests are read and answers put together: fewer than there are connections, for most of those only wait.
//!
//! A connection takes a [`Desk`] with the first byte of a request and leaves it with the last byte of the answer. Who has
//! one and is still reading its request can lose it to a newcomer when none is free: the one that has read longest, which is
//! the one that is least likely to mean well.

use crate::http::server::Request;
use crate::list::{List, NONE, Node, Nodes, Stack};
use crate::net::Token;
use crate::task::Wake;

/// Bytes read from a peer at a time. What it pipelines beyond that waits in its socket.
pub(super) const INPUT: usize = 1024;

/// The longest head of an answer, with the text of an error.
pub(super) const OUTPUT: usize = 2048;

/// What one request needs while it is read and answered; its head may have `HEAD` bytes.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Desk<const HEAD: usize> {
    pub(super) request: Request<HEAD>,
    pub(super) input: Buffer<INPUT>,
    pub(super) output: Buffer<OUTPUT>,
    node: Node,
    owner: Token,
    /// Its owner still reads.
    reading: bool,
}

impl<const HEAD: usize> Desk<HEAD> {
    /// A desk at which nobody sits.
    pub const EMPTY: Self = Self {
        request: Request::new(),
        input: Buffer::EMPTY,
        output: Buffer::EMPTY,
        node: Node::EMPTY,
        owner: Token(NONE),
        reading: false,
    };
}

/// Bytes in `bytes[start..end]`.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Buffer<const N: usize> {
    pub(super) bytes: [u8; N],
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<const N: usize> Buffer<N> {
    const EMPTY: Self = Self { bytes: [0; N], start: 0, end: 0 };

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

impl<const HEAD: usize> Nodes for [Desk<HEAD>] {
    fn node(&mut self, index: u32) -> Option<&mut Node> {
        self.get_mut(index as usize).map(|desk| &mut desk.node)
    }
}

/// All desks. `D` holds them.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Desks<D, const HEAD: usize> {
    storage: D,
    free: Stack,
    /// Those whose owners still read, longest first.
    reading: List,
}

impl<D: AsMut<[Desk<HEAD>]>, const HEAD: usize> Desks<D, HEAD> {
    pub(super) fn new(mut storage: D) -> Self {
        let desks = storage.as_mut();
        let mut free = Stack::EMPTY;
        for index in (0..desks.len() as u32).rev() {
            free.push(desks, index);
        }
        Self { storage, free, reading: List::EMPTY }
    }

    /// A desk for a connection that begins to read. It may be another's, who is told.
    pub(super) fn take(&mut self, owner: Token, wake: &mut impl Wake) -> Option<u32> {
        let desks = self.storage.as_mut();
        let index = if let Some(index) = self.free.pop(desks) {
            index
        } else {
            let index = self.reading.first();
            let robbed = desks.get(index as usize)?.owner;
            self.reading.remove(desks, index);
            wake.wake(robbed);
            index
        };
        self.reading.push(desks, index);
        let desk = desks.get_mut(index as usize)?;
        (desk.owner, desk.reading) = (owner, true);
        desk.request.start();
        (desk.input.start, desk.input.end) = (0, 0);
        (desk.output.start, desk.output.end) = (0, 0);
        Some(index)
    }

    /// The desk, if it is still this owner's.
    pub(super) fn get(&mut self, index: u32, owner: Token) -> Option<&mut Desk<HEAD>> {
        self.storage.as_mut().get_mut(index as usize).filter(|desk| desk.owner == owner)
    }

    /// Its owner reads no more, or again, and counts as the last who began.
    pub(super) fn set_reading(&mut self, index: u32, reading: bool) {
        let desks = self.storage.as_mut();
        let Some(desk) = desks.get_mut(index as usize) else { return };
        if core::mem::replace(&mut desk.reading, reading) {
            self.reading.remove(desks, index);
        }
        if reading {
            self.reading.push(desks, index);
        }
    }

    /// Its owner needs it no more.
    pub(super) fn leave(&mut self, index: u32, owner: Token) {
        if self.get(index, owner).is_none() {
            return;
        }
        self.set_reading(index, false);
        let desks = self.storage.as_mut();
        if let Some(desk) = desks.get_mut(index as usize) {
            desk.owner = Token(NONE);
        }
        self.free.push(desks, index);
    }
}
