//! Frames and their buffers: a network card per host, a slab for what is on the wire, one free list for all.
//!
//! A buffer travels: a [`Nic`] takes it from the free list to send, the slab keeps it while it is under way, the card
//! of the receiver gives it back. So a run allocates as many buffers as were ever in use at once, and no more.

use std::collections::VecDeque;

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::ETHERNET_HEADER_LEN;

use crate::order::Order;

/// Largest IP packet, in bytes.
pub const MTU: usize = 1500;

/// How many frames a card takes in one turn. A host with more to send is turned again at the same instant.
const OUTBOX_MAX: usize = 1024;

/// How many frames that have arrived a card holds until its host reads them; more are dropped.
const INBOX_MAX: usize = 4096;

/// A host's network card: frames that have arrived, and frames to be sent at the end of the turn.
///
/// It is a [`smoltcp::phy::Device`], and can be read and written directly by a [`crate::world::Node`] without a stack.
// Behind a pointer: it changes places with the stack's at every turn.
pub struct Nic(Box<Card>);

struct Card {
    medium: Medium,
    frame_max: usize,
    inbox: VecDeque<Vec<u8>>,
    outbox: VecDeque<Vec<u8>>,
    free: Vec<Vec<u8>>,
    /// Buffers that were read: apart from `free`, which the reply to the frame may be borrowing.
    read: Vec<Vec<u8>>,
    /// Which ready task goes next: it travels with the card into the stack, where the executor asks.
    order: Order,
    /// Why its host cannot go on.
    failure: Option<String>,
}

impl Nic {
    pub(crate) fn new(medium: Medium) -> Self {
        let header = if medium == Medium::Ethernet { ETHERNET_HEADER_LEN } else { 0 };
        Self(Box::new(Card {
            medium,
            frame_max: header + MTU,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            free: Vec::new(),
            read: Vec::new(),
            order: Order::default(),
            failure: None,
        }))
    }

    /// Says why its host cannot go on, which ends the world's step. The first reason counts.
    pub(crate) fn fail(&mut self, why: String) {
        self.0.failure.get_or_insert(why);
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }

    /// The next frame that has arrived, and whether there is one.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        self.0.inbox.front().map(Vec::as_slice)
    }

    pub(crate) fn order(&mut self) -> &mut Order {
        &mut self.0.order
    }

    /// What a frame is: an IP packet, or an Ethernet frame.
    pub fn medium(&self) -> Medium {
        self.0.medium
    }

    /// Takes the next frame that has arrived; `read` sees its bytes.
    pub fn receive_with<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let frame = self.0.inbox.pop_front()?;
        Some(Rx { frame, read: &mut self.0.read }.consume(read))
    }

    /// Sends a frame of `len` bytes, all 0 until `write` fills them in. `None` when this turn's frames are all taken
    /// or `len` exceeds the largest frame.
    pub fn send_with<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if self.0.outbox.len() >= OUTBOX_MAX || len > self.0.frame_max {
            return None;
        }
        Some(Tx { outbox: &mut self.0.outbox, free: &mut self.0.free }.consume(len, write))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.inbox.len() < INBOX_MAX
    }

    /// Takes a frame in, for which there is room.
    pub(crate) fn deliver(&mut self, frame: Vec<u8>) {
        debug_assert!(self.has_room());
        self.0.inbox.push_back(frame);
    }

    /// It takes no more to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.0.outbox.len() >= OUTBOX_MAX
    }

    pub(crate) fn take_sent(&mut self) -> Option<Vec<u8>> {
        self.0.outbox.pop_front()
    }

    /// The world lends its free list for one turn, and takes it back.
    pub(crate) fn swap_free(&mut self, free: &mut Vec<Vec<u8>>) {
        std::mem::swap(&mut self.0.free, free);
        free.append(&mut self.0.read);
    }

    /// Switched off: what it held goes back to the free list.
    pub(crate) fn clear(&mut self, free: &mut Vec<Vec<u8>>) {
        free.extend(self.0.inbox.drain(..));
        free.extend(self.0.outbox.drain(..));
    }
}

impl Device for Nic {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Rx<'_>, Tx<'_>)> {
        if self.0.outbox.len() >= OUTBOX_MAX {
            return None;
        }
        let frame = self.0.inbox.pop_front()?;
        Some((Rx { frame, read: &mut self.0.read }, Tx { outbox: &mut self.0.outbox, free: &mut self.0.free }))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Tx<'_>> {
        (self.0.outbox.len() < OUTBOX_MAX).then_some(Tx { outbox: &mut self.0.outbox, free: &mut self.0.free })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = self.0.medium;
        caps.max_transmission_unit = self.0.frame_max;
        // The default is all of them, both ways: a corrupted frame must not reach a program.
        caps.checksum = ChecksumCapabilities::default();
        caps
    }
}

/// A frame being received.
pub struct Rx<'a> {
    frame: Vec<u8>,
    read: &'a mut Vec<Vec<u8>>,
}

impl RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.frame);
        self.read.push(self.frame);
        result
    }
}

/// Room for one frame to be sent.
pub struct Tx<'a> {
    outbox: &'a mut VecDeque<Vec<u8>>,
    free: &'a mut Vec<Vec<u8>>,
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.free.pop().unwrap_or_default();
        frame.clear();
        // Old bytes must not shine through: they would tie this frame to the ones before it.
        frame.resize(len, 0);
        let result = f(&mut frame);
        self.outbox.push_back(frame);
        result
    }
}

/// Frames on the wire, by id. O(1).
#[derive(Default)]
pub(crate) struct Slab {
    /// With the number of the event in which each was sent.
    frames: Vec<(Vec<u8>, u64)>,
    vacant: Vec<u32>,
}

impl Slab {
    pub(crate) fn insert(&mut self, frame: Vec<u8>, sent: u64) -> u32 {
        if let Some(id) = self.vacant.pop() {
            self.frames[id as usize] = (frame, sent);
            id
        } else {
            self.frames.push((frame, sent));
            self.frames.len() as u32 - 1
        }
    }

    /// Takes the frame that `insert` gave this id; an id names one frame once.
    pub(crate) fn remove(&mut self, id: u32) -> (Vec<u8>, u64) {
        self.vacant.push(id);
        std::mem::take(&mut self.frames[id as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_round_and_is_clean_each_time() {
        let mut free = Vec::new();
        let mut nic = Nic::new(Medium::Ip);
        nic.swap_free(&mut free);
        assert_eq!(nic.send_with(100, |bytes| bytes.fill(0xAA)), Some(()));
        let frame = nic.take_sent().expect("a frame was sent");
        let address = frame.as_ptr();
        nic.deliver(frame);
        assert_eq!(nic.receive_with(<[u8]>::len), Some(100));
        nic.swap_free(&mut free);
        assert_eq!(free.len(), 1);

        nic.swap_free(&mut free);
        assert_eq!(nic.send_with(60, |bytes| bytes.iter().all(|&b| b == 0)), Some(true));
        assert_eq!(nic.take_sent().map(|frame| frame.as_ptr()), Some(address));
    }

    #[test]
    fn a_card_refuses_what_is_too_long_or_too_much() {
        let mut nic = Nic::new(Medium::Ip);
        assert_eq!(nic.send_with(1501, |_| ()), None);
        for _ in 0..OUTBOX_MAX {
            assert_eq!(nic.send_with(1, |_| ()), Some(()));
        }
        assert_eq!(nic.send_with(1, |_| ()), None);
        assert!(nic.transmit(StackInstant::ZERO).is_none());
        for _ in 0..INBOX_MAX {
            assert!(nic.has_room());
            nic.deliver(vec![1]);
        }
        assert!(!nic.has_room());
    }

    #[test]
    fn an_id_is_used_again_once_its_frame_has_left() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert(vec![1], 10), slab.insert(vec![2], 20));
        assert_eq!(slab.remove(a), (vec![1], 10));
        assert_eq!(slab.insert(vec![3], 30), a);
        assert_eq!((slab.remove(b), slab.remove(a)), ((vec![2], 20), (vec![3], 30)));
    }
}
