//! Which socket a frame is for.
//!
//! Each socket stands in a set of its own, so a frame must be shown to the right one: what smoltcp would find by asking
//! all, [`Table::place`] finds by the ends of the connection. Two things it does as operating systems do, and smoltcp not:
//!
//! smoltcp answers a SYN that finds no listening socket with a reset, so a server whose backlog is full for a moment
//! would *refuse*. A client cannot tell that from a server that is not there. Here such a SYN is dropped, and the
//! client's retransmission finds room.
//!
//! A SYN that comes twice is a danger too. A socket that listens would take it, though another talks to its sender
//! already. Then two sockets have the same peer, send it different sequence numbers, and one of them answers it with a
//! reset. So a SYN from a peer that has a socket does not come in: that socket sends its own SYN again when it must.

use super::Listener;
use super::slot::{Role, Slot};
use core::net::IpAddr;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken};
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};
#[cfg(feature = "ipv6")]
use smoltcp::wire::{Ipv6ExtHeader, Ipv6Packet};

/// Who talks to which port of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) remote: IpEndpoint,
    pub(super) port: u16,
}

impl Peer {
    /// A number that another peer hardly has.
    fn tag(self) -> u32 {
        let addr = match IpAddr::from(self.remote.addr) {
            IpAddr::V4(addr) => addr.to_bits(),
            IpAddr::V6(addr) => {
                let bits = addr.to_bits();
                (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
            }
        };
        addr.wrapping_mul(0x9E37_79B1) ^ (u32::from(self.remote.port) << 16 | u32::from(self.port))
    }
}

/// What a frame carries.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// A TCP segment.
    Segment { peer: Peer, syn: bool, ack: bool },
    /// A UDP datagram to this port.
    Datagram(u16),
    /// Anything else, or nothing that makes sense.
    Other,
}

/// Where a frame goes.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Socket(usize),
    /// To the UDP socket with this port.
    Port(u16),
    /// To none: the interface itself answers it.
    Interface,
    /// Nowhere.
    Dropped,
}

/// The TCP sockets, and who talks to which.
pub(super) struct Table<'a, const N: usize> {
    pub(super) slots: [Slot<'a>; N],
    /// The tag of each socket's peer when it last got one. It may have lost it, so a tag that fits proves nothing.
    tags: [u32; N],
}

impl<'a, const N: usize> Table<'a, N> {
    pub(super) fn new(slots: [Slot<'a>; N]) -> Self {
        Self { slots, tags: [0; N] }
    }

    /// Notes a socket's peer: to be called when it may have got one.
    pub(super) fn note(&mut self, index: usize) {
        self.tags[index] = self.slots[index].peer().map_or(0, Peer::tag);
    }

    /// The sockets that have this peer, closed ones with a reset to send included. O(N).
    pub(super) fn with(&self, peer: Peer) -> impl Iterator<Item = usize> {
        let tag = peer.tag();
        let fits = self.tags.iter().enumerate().filter(move |&(_, &each)| each == tag).map(|(index, _)| index);
        fits.filter(move |&index| self.slots[index].peer() == Some(peer))
    }

    /// A socket of this listener that waits for a connection. O(N).
    pub(super) fn listening(&self, listener: usize) -> Option<usize> {
        self.slots.iter().position(|slot| slot.role == Role::Spare { listener } && slot.socket().is_listening())
    }

    /// Which socket a frame is for. O(N).
    pub(super) fn place(&self, listeners: &[Listener], load: Load) -> Place {
        match load {
            Load::Datagram(port) => Place::Port(port),
            Load::Other => Place::Interface,
            Load::Segment { peer, syn, ack } => {
                let talking = self.with(peer).find(|&index| self.slots[index].socket().state() != State::Closed);
                // What acknowledges something is for nobody who listens.
                let listener = listeners.iter().position(|each| !ack && each.has_port(peer.port));
                match (talking, listener.map(|listener| self.listening(listener))) {
                    (Some(_), Some(_)) | (None, Some(None)) if syn => Place::Dropped,
                    (Some(index), _) | (None, Some(Some(index))) => Place::Socket(index),
                    (None, _) => Place::Interface,
                }
            }
        }
    }
}

/// What a frame carries. In fragments nothing is recognised; of IPv6's extension headers, that of hop-by-hop options is
/// skipped, the one that smoltcp takes before a segment.
pub(super) fn load(medium: Medium, frame: &[u8]) -> Load {
    read(medium, frame).unwrap_or(Load::Other)
}

fn read(medium: Medium, frame: &[u8]) -> Option<Load> {
    let packet = match medium {
        Medium::Ethernet => {
            let frame = EthernetFrame::new_checked(frame).ok()?;
            matches!(frame.ethertype(), EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6).then(|| frame.payload())?
        }
        Medium::Ip => frame,
    };
    let (from, protocol, payload) = match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            let whole = packet.frag_offset() == 0;
            (IpAddress::from(packet.src_addr()), packet.next_header(), whole.then(|| packet.payload())?)
        }
        #[cfg(feature = "ipv6")]
        6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            let (protocol, payload) = match packet.next_header() {
                IpProtocol::HopByHop => {
                    let options = Ipv6ExtHeader::new_checked(packet.payload()).ok()?;
                    let len = 8 + 8 * usize::from(options.header_len());
                    (options.next_header(), packet.payload().get(len..)?)
                }
                protocol => (protocol, packet.payload()),
            };
            (packet.src_addr().into(), protocol, payload)
        }
        _ => return None,
    };
    match protocol {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            let peer = Peer { remote: IpEndpoint::new(from, segment.src_port()), port: segment.dst_port() };
            Some(Load::Segment { peer, syn: segment.syn(), ack: segment.ack() })
        }
        IpProtocol::Udp => Some(Load::Datagram(UdpPacket::new_checked(payload).ok()?.dst_port())),
        _ => None,
    }
}

/// A device that has one frame, and room for one that answers it.
pub(super) struct Once<'f, T> {
    pub(super) frame: Option<(Shown<'f>, T)>,
    pub(super) caps: &'f DeviceCapabilities,
}

impl<'f, T: TxToken> Device for Once<'f, T> {
    type RxToken<'a>
        = Shown<'f>
    where
        Self: 'a;
    type TxToken<'a>
        = T
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Shown<'f>, T)> {
        self.frame.take()
    }

    fn transmit(&mut self, _: Instant) -> Option<T> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.caps.clone()
    }
}

/// A frame, as it was shown by its device.
pub(super) struct Shown<'f> {
    pub(super) bytes: &'f [u8],
    pub(super) meta: PacketMeta,
}

impl RxToken for Shown<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.bytes)
    }

    fn meta(&self) -> PacketMeta {
        self.meta
    }
}
