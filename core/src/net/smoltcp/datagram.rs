//! [`Datagrams`] for [`Smoltcp`]: UDP sockets beside those of TCP, each with buffers of its own.
//!
//! A socket that was closed keeps its port until what it sent has gone out.

use super::address::endpoint;
use super::ready::Readiness;
use super::stack::Place;
use super::{LISTENERS_MAX, Smoltcp};
use crate::net::{Datagrams, Error, Handle, Interest};
use core::net::SocketAddr;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::socket::udp::{PacketBuffer, SendError, Socket, UdpMetadata};
use smoltcp::wire::{ETHERNET_HEADER_LEN, IpAddress, IpEndpoint, IpListenEndpoint};

/// How many UDP sockets one stack can have.
pub const DATAGRAM_SOCKETS_MAX: usize = 4;

/// Who waits for them.
pub(super) type Ready = Readiness<DATAGRAM_SOCKETS_MAX>;

/// Bytes of headers before a datagram's own.
const IPV4_AND_UDP: usize = 20 + 8;
const IPV6_AND_UDP: usize = 40 + 8;

/// A UDP socket and its holder.
pub(super) struct Slot<'a> {
    /// Holds it, and no other.
    set: SocketSet<'a>,
    generation: u16,
    held: bool,
}

impl<'a> Slot<'a> {
    /// The port it is bound to; 0: none.
    pub(super) fn port(&self) -> u16 {
        self.socket().endpoint().port
    }

    /// Whether something has yet to go out.
    pub(super) fn has_unsent(&self) -> bool {
        self.socket().send_queue() > 0
    }

    /// Whether this is its holder's handle.
    pub(super) fn is_held_as(&self, generation: u16) -> bool {
        self.held && self.generation == generation
    }

    pub(super) fn set(&self) -> &SocketSet<'a> {
        &self.set
    }

    pub(super) fn set_mut(&mut self) -> &mut SocketSet<'a> {
        &mut self.set
    }

    fn socket(&self) -> &Socket<'a> {
        // The handle of the first.
        self.set.get(SocketHandle::default())
    }

    fn socket_mut(&mut self) -> &mut Socket<'a> {
        self.set.get_mut(SocketHandle::default())
    }
}

impl<'a, D: Device, const N: usize> Smoltcp<'a, D, N> {
    /// Gives the stack a UDP socket with these buffers, for a later [`bind`](Datagrams::bind); at most
    /// [`DATAGRAM_SOCKETS_MAX`]. `set` is empty and has room for one. The send buffer bounds how long a datagram can be.
    ///
    /// # Errors
    /// [`Error::Full`].
    ///
    /// # Panics
    /// If `set` has no room.
    pub fn add_datagram_socket(
        &mut self,
        mut set: SocketSet<'a>,
        receive: PacketBuffer<'a>,
        send: PacketBuffer<'a>,
    ) -> Result<(), Error> {
        let free = self.datagrams.iter_mut().find(|slot| slot.is_none()).ok_or(Error::Full)?;
        set.add(Socket::new(receive, send));
        *free = Some(Slot { set, generation: 0, held: false });
        Ok(())
    }

    fn datagram(&self, index: usize) -> Option<&Socket<'a>> {
        Some(self.datagrams.get(index)?.as_ref()?.socket())
    }

    fn datagram_mut(&mut self, index: usize) -> Option<&mut Socket<'a>> {
        Some(self.datagrams.get_mut(index)?.as_mut()?.socket_mut())
    }

    fn find_datagram(&self, handle: Handle) -> Result<usize, Error> {
        match self.find(handle)? {
            Place::Datagram(index) => Ok(index),
            Place::Socket(_) | Place::Listener(_) => Err(Error::NotConnected),
        }
    }

    fn is_bound(&self, port: u16) -> bool {
        (0..DATAGRAM_SOCKETS_MAX).any(|index| self.datagram(index).is_some_and(|socket| socket.endpoint().port == port))
    }

    /// The socket's own address; `None`: it is not bound.
    pub(super) fn datagram_addr(&self, index: usize) -> Option<SocketAddr> {
        let endpoint = self.datagram(index)?.endpoint();
        let addr = endpoint.addr.unwrap_or(IpAddress::v4(0, 0, 0, 0));
        (endpoint.port != 0).then(|| IpEndpoint::new(addr, endpoint.port).into())
    }

    pub(super) fn close_datagram(&mut self, index: usize) {
        if let Some(Some(slot)) = self.datagrams.get_mut(index) {
            slot.held = false;
            slot.generation = slot.generation.wrapping_add(1);
        }
        // Its watcher learns that there is nothing to wait for any more.
        self.datagrams_ready.fire(index);
    }

    /// Lets go of the sockets that were closed and have nothing left to send.
    pub(super) fn end_datagrams(&mut self) {
        for slot in self.datagrams.iter_mut().flatten().filter(|slot| !slot.held) {
            let socket = slot.socket_mut();
            if socket.is_open() && socket.send_queue() == 0 {
                socket.close();
            }
        }
    }

    pub(super) fn wake_datagrams(&mut self) {
        for index in 0..DATAGRAM_SOCKETS_MAX {
            self.wake_datagram_if_ready(index);
        }
    }

    pub(super) fn wake_datagram_if_ready(&mut self, index: usize) {
        let Some(interest) = self.datagrams_ready.armed(index) else { return };
        let held = matches!(self.datagrams.get(index), Some(Some(Slot { held: true, .. })));
        let Some(socket) = self.datagram(index) else { return };
        let ready = match interest {
            Interest::Read => socket.can_recv(),
            Interest::Write => socket.can_send(),
            Interest::Both => socket.can_recv() || socket.can_send(),
        };
        if ready || !held {
            self.datagrams_ready.fire(index);
        }
    }
}

impl<D: Device, const N: usize> Datagrams for Smoltcp<'_, D, N> {
    fn bind(&mut self, local: SocketAddr) -> Result<Handle, Error> {
        let addr = self.own_addr(local)?;
        if local.port() != 0 && self.is_bound(local.port()) {
            return Err(Error::AddressInUse);
        }
        let free = |&index: &usize| {
            self.datagram(index).is_some_and(|socket| !socket.is_open()) && self.datagrams_ready.is_idle(index)
        };
        let index = (0..DATAGRAM_SOCKETS_MAX).find(free).ok_or(Error::Full)?;
        let port = match local.port() {
            0 => {
                let mut ports = self.ports;
                let port = ports.next(DATAGRAM_SOCKETS_MAX + 1, |port| self.is_bound(port)).ok_or(Error::Full)?;
                self.ports = ports;
                port
            }
            port => port,
        };
        let socket = self.datagram_mut(index).ok_or(Error::Full)?;
        socket.bind(IpListenEndpoint { addr, port }).map_err(|_| Error::AddressInUse)?;
        let Some(Some(slot)) = self.datagrams.get_mut(index) else { return Err(Error::Full) };
        slot.held = true;
        Ok(Handle::new((N + LISTENERS_MAX + index) as u16, slot.generation))
    }

    fn recv_from(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error> {
        let index = self.find_datagram(socket)?;
        let socket = self.datagram_mut(index).ok_or(Error::Stale)?;
        let (data, from) = socket.recv().map_err(|_| nb::Error::WouldBlock)?;
        for (to, from) in buf.iter_mut().zip(data) {
            *to = *from;
        }
        Ok((data.len(), from.endpoint.into()))
    }

    fn send_to(&mut self, socket: Handle, buf: &[u8], to: SocketAddr) -> nb::Result<(), Error> {
        let index = self.find_datagram(socket)?;
        let headers = if to.is_ipv4() { IPV4_AND_UDP } else { IPV6_AND_UDP };
        let to = endpoint(to).ok_or(Error::Unreachable)?;
        if to.port == 0 || !self.is_reachable(to.addr) {
            return Err(Error::Unreachable.into());
        }
        let caps = self.device.capabilities();
        let link = if caps.medium == Medium::Ethernet { ETHERNET_HEADER_LEN } else { 0 };
        let socket = self.datagram_mut(index).ok_or(Error::Stale)?;
        let longest = caps.max_transmission_unit.saturating_sub(link + headers).min(socket.payload_send_capacity());
        if buf.len() > longest {
            return Err(Error::TooLong.into());
        }
        match socket.send_slice(buf, UdpMetadata::from(to)) {
            Ok(()) => {
                self.used = true;
                Ok(())
            }
            Err(SendError::BufferFull) => Err(nb::Error::WouldBlock),
            Err(SendError::Unaddressable) => Err(Error::Unreachable.into()),
        }
    }
}
