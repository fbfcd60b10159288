//! Frames and their buffers: a network card per host, a slab for what is on the wire, one free list for all.
//!
//! A buffer travels: a [`Nic`] takes it from the free list to send, the slab keeps it while it is under way, the card
//! of the receiver gives it back. So a run allocates as many buffers as were ever in use at once, and no more.

use std::collections::VecDeque;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::ETHERNET_HEADER_LEN;
use tidemill_core::net::NoSockets;

use crate::checksum;
use crate::order::Order;

/// Largest IP packet, in bytes.
pub const MTU: usize = 1500;

/// How many frames a card takes in one turn. A host with more to send is turned again at the same instant.
const OUTBOX_MAX: usize = 1024;

/// How many frames that have arrived a card holds until its host reads them; more are dropped.
const INBOX_MAX: usize = 4096;

/// A frame in its buffer.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    /// Its checksums are right: a card has filled them in, and nothing has touched it since.
    pub(crate) is_sound: bool,
}

impl Buffer {
    /// A frame of which nobody knows.
    pub(crate) fn unknown(bytes: Vec<u8>) -> Self {
        Self { bytes, is_sound: false }
    }
}

/// Buffers that nobody uses.
#[derive(Default)]
pub(crate) struct Free(Vec<Buffer>);

impl Free {
    fn take(&mut self) -> Buffer {
        self.0.pop().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, buffer: Buffer) {
        self.0.push(buffer);
    }

    pub(crate) fn copy(&mut self, frame: &Buffer) -> Buffer {
        let mut copy = self.take();
        copy.bytes.clone_from(&frame.bytes);
        copy.is_sound = frame.is_sound;
        copy
    }
}

/// A host's network card: frames that have arrived, and frames to be sent at the end of the turn.
///
/// It is a [`smoltcp::phy::Device`], and can be read and written directly by a [`crate::world::Node`] without a stack.
// Behind a pointer: it changes places with the stack's at every turn.
pub struct Nic(Box<Card>);

struct Card {
    medium: Medium,
    frame_max: usize,
    inbox: VecDeque<Buffer>,
    outbox: VecDeque<Buffer>,
    free: Free,
    /// Buffers that were read: apart from `free`, which the reply to the frame may be borrowing.
    read: Vec<Buffer>,
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
            free: Free::default(),
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
        self.0.inbox.front().map(|frame| &*frame.bytes)
    }

    pub(crate) fn order(&mut self) -> &mut Order {
        &mut self.0.order
    }

    /// What a host without a stack gives its executor: no sockets, and the world's say in the order of its tasks.
    pub fn no_sockets(&mut self) -> NoSockets<&mut Order> {
        NoSockets(&mut self.0.order)
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
        Some(self.0.tx().send(len, false, write))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.inbox.len() < INBOX_MAX
    }

    /// Takes a frame in, for which there is room.
    pub(crate) fn deliver(&mut self, frame: Buffer) {
        debug_assert!(self.has_room());
        self.0.inbox.push_back(frame);
    }

    /// It takes no more to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.0.outbox.len() >= OUTBOX_MAX
    }

    pub(crate) fn take_sent(&mut self) -> Option<Buffer> {
        self.0.outbox.pop_front()
    }

    /// The world lends its free list for one turn, and takes it back.
    pub(crate) fn swap_free(&mut self, free: &mut Free) {
        std::mem::swap(&mut self.0.free, free);
        free.0.append(&mut self.0.read);
    }

    /// Switched off: what it held goes back to the free list.
    pub(crate) fn clear(&mut self, free: &mut Free) {
        free.0.extend(self.0.inbox.drain(..));
        free.0.extend(self.0.outbox.drain(..));
    }
}

impl Card {
    fn tx(&mut self) -> Tx<'_> {
        Tx { medium: self.medium, outbox: &mut self.outbox, free: &mut self.free }
    }
}

impl Device for Nic {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Rx<'_>, Tx<'_>)> {
        let card = &mut *self.0;
        if card.outbox.len() >= OUTBOX_MAX {
            return None;
        }
        loop {
            let frame = card.inbox.pop_front()?;
            if frame.is_sound || checksum::is_right(card.medium, &frame.bytes) {
                let tx = Tx { medium: card.medium, outbox: &mut card.outbox, free: &mut card.free };
                return Some((Rx { frame, read: &mut card.read }, tx));
            }
            card.read.push(frame);
        }
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Tx<'_>> {
        (self.0.outbox.len() < OUTBOX_MAX).then(|| self.0.tx())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = self.0.medium;
        caps.max_transmission_unit = self.0.frame_max;
        // These two are the card's; what else there is the stack fills in and looks at, both ways.
        (caps.checksum.tcp, caps.checksum.udp) = (Checksum::None, Checksum::None);
        caps
    }
}

/// A frame being received.
pub struct Rx<'a> {
    frame: Buffer,
    read: &'a mut Vec<Buffer>,
}

impl RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.frame.bytes);
        self.read.push(self.frame);
        result
    }
}

/// Room for one frame to be sent.
pub struct Tx<'a> {
    medium: Medium,
    outbox: &'a mut VecDeque<Buffer>,
    free: &'a mut Free,
}

impl Tx<'_> {
    /// Sends a frame as it is written; with its checksums filled in, if it is a stack's.
    fn send<R>(self, len: usize, is_stacks: bool, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = self.free.take();
        frame.bytes.clear();
        // Old bytes must not shine through: they would tie this frame to the ones before it.
        frame.bytes.resize(len, 0);
        let result = write(&mut frame.bytes);
        if is_stacks {
            checksum::fill(self.medium, &mut frame.bytes);
        }
        frame.is_sound = is_stacks;
        self.outbox.push_back(frame);
        result
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.send(len, true, f)
    }
}

/// Frames on the wire, by id. O(1).
#[derive(Default)]
pub(crate) struct Slab {
    /// With the number of the event in which each was sent.
    frames: Vec<(Buffer, u64)>,
    vacant: Vec<u32>,
}

impl Slab {
    pub(crate) fn insert(&mut self, frame: Buffer, sent: u64) -> u32 {
        if let Some(id) = self.vacant.pop() {
            self.frames[id as usize] = (frame, sent);
            id
        } else {
            self.frames.push((frame, sent));
            self.frames.len() as u32 - 1
        }
    }

    /// Takes the frame that `insert` gave this id; an id names one frame once.
    pub(crate) fn remove(&mut self, id: u32) -> (Buffer, u64) {
        self.vacant.push(id);
        std::mem::take(&mut self.frames[id as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(byte: u8) -> Buffer {
        Buffer::unknown(vec![byte])
    }

    #[test]
    fn a_buffer_goes_round_and_is_clean_each_time() {
        let mut free = Free::default();
        let mut nic = Nic::new(Medium::Ip);
        nic.swap_free(&mut free);
        assert_eq!(nic.send_with(100, |bytes| bytes.fill(0xAA)), Some(()));
        let frame = nic.take_sent().expect("a frame was sent");
        let address = frame.bytes.as_ptr();
        nic.deliver(frame);
        assert_eq!(nic.receive_with(<[u8]>::len), Some(100));
        nic.swap_free(&mut free);
        assert_eq!(free.0.len(), 1);

        nic.swap_free(&mut free);
        assert_eq!(nic.send_with(60, |bytes| bytes.iter().all(|&b| b == 0)), Some(true));
        assert_eq!(nic.take_sent().map(|frame| frame.bytes.as_ptr()), Some(address));
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
            nic.deliver(buffer(1));
        }
        assert!(!nic.has_room());
    }

    #[test]
    fn an_id_is_used_again_once_its_frame_has_left() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert(buffer(1), 10), slab.insert(buffer(2), 20));
        assert_eq!(slab.remove(a), (buffer(1), 10));
        assert_eq!(slab.insert(buffer(3), 30), a);
        assert_eq!((slab.remove(b), slab.remove(a)), ((buffer(2), 20), (buffer(3), 30)));
    }
}
