//! A device whose surplus connection requests never arrive.
//!
//! smoltcp answers a SYN that finds no listening socket with a reset, so a server whose backlog is full for a moment
//! would *refuse*. A client cannot tell that from a server that is not there. Operating systems drop such a SYN
//! instead, and the client's retransmission finds room. The gate does the same: it lets as many SYNs to a listened
//! port through as there are sockets listening there, and turns the others into empty frames, which smoltcp skips.
//!
//! A SYN that comes twice is a danger too. smoltcp gives a segment to the first socket that would take it; for a SYN that
//! may be one that listens, though another talks to its sender already. Then two sockets have the same peer, send it
//! different sequence numbers, and one of them answers it with a reset. So a SYN from a peer that has a socket does not
//! come in: that socket sends its own SYN again when it must.

use core::cell::{Cell, RefCell};
use heapless::vec::VecView;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket,
};

/// How many connection requests to `port` may still come in.
pub(super) struct Budget {
    pub(super) port: u16,
    pub(super) left: Cell<usize>,
}

/// Who talks to which port.
pub(super) type Peer = (IpEndpoint, u16);

/// A device behind its budgets, one for each listened port, and the peers that have a socket.
pub(super) struct Gate<'g, D> {
    pub(super) device: &'g mut D,
    pub(super) budgets: &'g [Budget],
    pub(super) peers: &'g RefCell<VecView<Peer>>,
}

impl<D: Device> Device for Gate<'_, D> {
    type RxToken<'a>
        = Gated<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let medium = self.device.capabilities().medium;
        let (inner, tx) = self.device.receive(now)?;
        Some((Gated { inner, medium, budgets: self.budgets, peers: self.peers }, tx))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A frame that may turn out empty.
pub(super) struct Gated<'a, R> {
    inner: R,
    medium: Medium,
    budgets: &'a [Budget],
    peers: &'a RefCell<VecView<Peer>>,
}

impl<R: RxToken> RxToken for Gated<'_, R> {
    fn consume<T, F: FnOnce(&[u8]) -> T>(self, f: F) -> T {
        let Self { inner, medium, budgets, peers } = self;
        inner.consume(|frame| f(if admits(budgets, peers, medium, frame) { frame } else { &[] }))
    }
}

/// Whether the frame may come in. Counts it against its port's budget if it asks for a connection, and its sender among
/// the peers.
fn admits(budgets: &[Budget], peers: &RefCell<VecView<Peer>>, medium: Medium, frame: &[u8]) -> bool {
    let Some((from, port)) = request(medium, frame) else { return true };
    let Some(budget) = budgets.iter().find(|budget| budget.port == port) else { return true };
    // Nobody else holds them while a frame is looked at.
    let Ok(mut peers) = peers.try_borrow_mut() else { return false };
    if peers.contains(&(from, port)) || budget.left.get() == 0 {
        return false;
    }
    budget.left.set(budget.left.get() - 1);
    // There is room for as many as there are sockets.
    peers.push((from, port)).is_ok()
}

/// Whose frame asks a connection of which port: a TCP segment with SYN and without ACK. Behind IPv6 extension headers or
/// in fragments nothing is recognised, and the frame passes.
fn request(medium: Medium, frame: &[u8]) -> Option<Peer> {
    let packet = match medium {
        Medium::Ethernet => {
            let frame = EthernetFrame::new_checked(frame).ok()?;
            matches!(frame.ethertype(), EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6).then(|| frame.payload())?
        }
        Medium::Ip => frame,
    };
    let (from, segment) = match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            let whole = packet.next_header() == IpProtocol::Tcp && packet.frag_offset() == 0;
            (IpAddress::from(packet.src_addr()), whole.then(|| packet.payload())?)
        }
        6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            (packet.src_addr().into(), (packet.next_header() == IpProtocol::Tcp).then(|| packet.payload())?)
        }
        _ => return None,
    };
    let segment = TcpPacket::new_checked(segment).ok()?;
    let peer = (IpEndpoint::new(from, segment.src_port()), segment.dst_port());
    (segment.syn() && !segment.ack()).then_some(peer)
}
