//! A device whose surplus connection requests never arrive.
//!
//! smoltcp answers a SYN that finds no listening socket with a reset, so a server whose backlog is full for a moment
//! would *refuse*. A client cannot tell that from a server that is not there. Operating systems drop such a SYN
//! instead, and the client's retransmission finds room. The gate does the same: it lets as many SYNs to a listened
//! port through as there are sockets listening there, and turns the others into empty frames, which smoltcp skips.

use core::cell::Cell;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket};

/// How many connection requests to `port` may still come in.
pub(super) struct Budget {
    pub(super) port: u16,
    pub(super) left: Cell<usize>,
}

/// A device behind its budgets, one for each listened port.
pub(super) struct Gate<'g, D> {
    pub(super) device: &'g mut D,
    pub(super) budgets: &'g [Budget],
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
        Some((Gated { inner, medium, budgets: self.budgets }, tx))
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
}

impl<R: RxToken> RxToken for Gated<'_, R> {
    fn consume<T, F: FnOnce(&[u8]) -> T>(self, f: F) -> T {
        let Self { inner, medium, budgets } = self;
        inner.consume(|frame| f(if admits(budgets, medium, frame) { frame } else { &[] }))
    }
}

/// Whether the frame may come in. Counts it against its port's budget if it asks for a connection.
fn admits(budgets: &[Budget], medium: Medium, frame: &[u8]) -> bool {
    let Some(port) = requested_port(medium, frame) else { return true };
    let Some(budget) = budgets.iter().find(|budget| budget.port == port) else { return true };
    let left = budget.left.get();
    budget.left.set(left.saturating_sub(1));
    left > 0
}

/// The port a frame asks a connection of: a TCP segment with SYN and without ACK. Behind IPv6 extension headers or
/// in fragments nothing is recognised, and the frame passes.
fn requested_port(medium: Medium, frame: &[u8]) -> Option<u16> {
    let packet = match medium {
        Medium::Ethernet => {
            let frame = EthernetFrame::new_checked(frame).ok()?;
            matches!(frame.ethertype(), EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6).then(|| frame.payload())?
        }
        Medium::Ip => frame,
    };
    let segment = match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            (packet.next_header() == IpProtocol::Tcp && packet.frag_offset() == 0).then(|| packet.payload())?
        }
        6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            (packet.next_header() == IpProtocol::Tcp).then(|| packet.payload())?
        }
        _ => return None,
    };
    let segment = TcpPacket::new_checked(segment).ok()?;
    (segment.syn() && !segment.ack()).then(|| segment.dst_port())
}
