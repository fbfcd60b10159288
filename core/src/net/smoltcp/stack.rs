//! [`Stack`] for [`Smoltcp`]: each call finds its slot by handle and gives the outcome the trait's table asks for.

use super::address::{endpoint, has_router, known};
use super::demux::Peer;
use super::slot::{Role, wipe};
use super::{LISTENERS_MAX, Listener, Smoltcp};
use crate::net::{Error, Handle, Interest, Stack, Token};
use core::net::SocketAddr;
use smoltcp::phy::Device;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

/// What a handle names.
pub(super) enum Place {
    Socket(usize),
    Listener(usize),
    Datagram(usize),
}

impl<D: Device, const N: usize> Smoltcp<'_, D, N> {
    /// Handles count sockets from 0, listeners from `N`, and UDP sockets after them.
    pub(super) fn find(&self, handle: Handle) -> Result<Place, Error> {
        let index = handle.index();
        if let Some(slot) = self.table.slots.get(index) {
            let known = slot.is_held() && slot.generation == handle.generation();
            return if known { Ok(Place::Socket(index)) } else { Err(Error::Stale) };
        }
        match self.listeners.get(index - N) {
            Some(listener) if listener.endpoint.is_some() && listener.generation == handle.generation() => {
                Ok(Place::Listener(index - N))
            }
            Some(_) => Err(Error::Stale),
            None => match self.datagrams.get(index - N - LISTENERS_MAX) {
                Some(Some(slot)) if slot.is_held_as(handle.generation()) => {
                    Ok(Place::Datagram(index - N - LISTENERS_MAX))
                }
                _ => Err(Error::Stale),
            },
        }
    }

    /// The slot of a connection, up or not.
    fn find_socket(&self, handle: Handle) -> Result<usize, Error> {
        match self.find(handle)? {
            Place::Socket(index) => Ok(index),
            Place::Listener(_) | Place::Datagram(_) => Err(Error::NotConnected),
        }
    }

    fn handle(&self, index: usize) -> Handle {
        Handle::new(index as u16, self.table.slots[index].generation)
    }

    fn is_listened(&self, port: u16) -> bool {
        self.listeners.iter().any(|listener| listener.has_port(port))
    }

    /// A port that neither a listener nor, towards `remote`, a tuple has. More than N + LISTENERS_MAX cannot be taken.
    fn ephemeral_port(&mut self, remote: Option<IpEndpoint>) -> Option<u16> {
        let mut ports = self.ports;
        let port = ports.next(N + LISTENERS_MAX + 1, |port| {
            let is_taken = |remote| self.table.with(Peer { remote, port }).next().is_some();
            self.is_listened(port) || remote.is_some_and(is_taken)
        });
        self.ports = ports;
        port
    }

    /// The address to listen at; `None`: at each that we have.
    pub(super) fn own_addr(&self, local: SocketAddr) -> Result<Option<IpAddress>, Error> {
        if local.ip().is_unspecified() {
            return Ok(None);
        }
        known(local.ip()).filter(|&addr| self.iface.has_ip_addr(addr)).map(Some).ok_or(Error::Unreachable)
    }

    /// Whether a packet to `addr` has somewhere to go.
    pub(super) fn is_reachable(&self, addr: IpAddress) -> bool {
        let on_link = self.iface.ip_addrs().iter().any(|cidr| cidr.contains_addr(&addr));
        let routed = has_router(self.iface.routes(), addr.into());
        (on_link || routed) && addr.is_unicast() && !self.iface.has_ip_addr(addr)
    }

    /// Takes the socket from its holder. A reset, if one is due, goes out with the next poll.
    fn release(&mut self, index: usize) {
        self.table.slots[index].release(self.now);
        // Its watcher learns that there is nothing to wait for any more.
        self.ready.fire(index);
        let socket = self.socket_mut(index);
        if socket.state() == State::Closed && socket.remote_endpoint().is_none() {
            wipe(socket);
            self.table.slots[index].role = Role::Free;
        }
        self.touch(index);
    }

    pub(super) fn wake_listener_if_ready(&mut self, index: usize) {
        if self.listeners_ready.armed(index).is_some()
            && (self.listeners[index].endpoint.is_none() || self.listeners[index].arrived > 0)
        {
            self.listeners_ready.fire(index);
        }
    }

    fn close_listener(&mut self, index: usize) {
        for spare in 0..N {
            if self.is_spare_of(spare, index) {
                self.socket_mut(spare).abort();
                self.release(spare);
            }
        }
        let listener = &mut self.listeners[index];
        *listener = Listener { generation: listener.generation.wrapping_add(1), ..Listener::NONE };
        self.listeners_ready.fire(index);
    }

    /// The longest waiting connection of the listener that is up.
    fn oldest_arrival(&self, listener: usize) -> Option<usize> {
        if self.listeners[listener].arrived == 0 {
            return None;
        }
        (0..N).filter(|&index| self.has_arrived(index, listener)).min_by_key(|&index| self.table.slots[index].since)
    }
}

impl<D: Device, const N: usize> Stack for Smoltcp<'_, D, N> {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error> {
        let addr = self.own_addr(local)?;
        if local.port() != 0 && self.is_listened(local.port()) {
            return Err(Error::AddressInUse);
        }
        let index = (0..LISTENERS_MAX)
            .find(|&index| self.listeners[index].endpoint.is_none() && self.listeners_ready.is_idle(index))
            .ok_or(Error::Full)?;
        let port = match local.port() {
            0 => self.ephemeral_port(None).ok_or(Error::Full)?,
            port => port,
        };
        let endpoint = IpListenEndpoint { addr, port };
        let spare = self.allocate(false).ok_or(Error::Full)?;
        if !self.open(spare, Role::Spare { listener: index }, |socket, _| socket.listen(endpoint).is_ok()) {
            return Err(Error::AddressInUse);
        }
        let listener = &mut self.listeners[index];
        listener.endpoint = Some(endpoint);
        listener.backlog = backlog.clamp(1, N);
        let handle = Handle::new((N + index) as u16, listener.generation);
        self.refill(index);
        Ok(handle)
    }

    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        let Place::Listener(listener) = self.find(listener)? else { return Err(Error::NotConnected.into()) };
        let index = self.oldest_arrival(listener).ok_or(nb::Error::WouldBlock)?;
        // A socket that may send has a peer.
        let remote = self.socket(index).remote_endpoint().ok_or(nb::Error::WouldBlock)?;
        self.table.slots[index].role = Role::Up;
        self.listeners[listener].arrived -= 1;
        self.touch(index);
        self.counters.accepted += 1;
        self.refill(listener);
        Ok((self.handle(index), remote.into()))
    }

    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error> {
        let remote = endpoint(remote).ok_or(Error::Unreachable)?;
        if remote.port == 0 || !self.is_reachable(remote.addr) {
            return Err(Error::Unreachable);
        }
        let port = self.ephemeral_port(Some(remote)).ok_or(Error::Full)?;
        let index = self.allocate(false).ok_or(Error::Full)?;
        // What is left to fail is that we have no address of the peer's family.
        if !self.open(index, Role::Connecting, |socket, cx| socket.connect(cx, remote, port).is_ok()) {
            return Err(Error::Unreachable);
        }
        Ok(self.handle(index))
    }

    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error> {
        let slot = &self.table.slots[self.find_socket(socket)?];
        match (slot.role, slot.failed) {
            (Role::Up, _) => Ok(()),
            (_, Some(failure)) => Err(failure.into()),
            _ => Err(nb::Error::WouldBlock),
        }
    }

    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let index = self.find_socket(socket)?;
        if buf.is_empty() {
            return Ok(0);
        }
        let slot = &self.table.slots[index];
        let (eof, up) = (slot.eof, slot.role == Role::Up);
        let failed = slot.failed;
        let socket = self.socket_mut(index);
        if up && socket.can_recv() {
            // `can_recv` means that the buffer holds something, so this neither fails nor reads nothing.
            let read = socket.recv_slice(buf).unwrap_or(0);
            self.touch(index);
            return Ok(read);
        }
        match failed {
            _ if up && eof => Ok(0),
            Some(failure) => Err(failure.into()),
            None if up => Err(nb::Error::WouldBlock),
            None => Err(Error::NotConnected.into()),
        }
    }

    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        let index = self.find_socket(socket)?;
        if buf.is_empty() {
            return Ok(0);
        }
        let slot = &self.table.slots[index];
        match slot.failed {
            _ if slot.shut => return Err(Error::Closed.into()),
            Some(failure) => return Err(failure.into()),
            None if slot.role != Role::Up => return Err(Error::NotConnected.into()),
            None => {}
        }
        match self.socket_mut(index).send_slice(buf) {
            Ok(0) => Err(nb::Error::WouldBlock),
            Ok(sent) => {
                self.touch(index);
                Ok(sent)
            }
            Err(_) => Err(Error::Closed.into()),
        }
    }

    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        let index = self.find_socket(socket)?;
        let slot = &mut self.table.slots[index];
        if slot.role != Role::Up {
            return Err(slot.failed.unwrap_or(Error::NotConnected));
        }
        slot.shut = true;
        self.socket_mut(index).close();
        self.touch(index);
        Ok(())
    }

    fn close(&mut self, socket: Handle) {
        match self.find(socket) {
            Ok(Place::Socket(index)) => {
                self.socket_mut(index).close();
                self.release(index);
            }
            Ok(Place::Listener(index)) => self.close_listener(index),
            Ok(Place::Datagram(index)) => self.close_datagram(index),
            Err(_) => {}
        }
    }

    fn abort(&mut self, socket: Handle) {
        match self.find(socket) {
            Ok(Place::Socket(index)) => {
                self.socket_mut(index).abort();
                self.release(index);
            }
            Ok(Place::Listener(index)) => self.close_listener(index),
            Ok(Place::Datagram(index)) => self.close_datagram(index),
            Err(_) => {}
        }
    }

    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, Error> {
        match self.find(socket)? {
            Place::Socket(index) => {
                self.socket(index).local_endpoint().map(SocketAddr::from).ok_or(Error::NotConnected)
            }
            Place::Listener(index) => {
                let endpoint = self.listeners[index].endpoint.ok_or(Error::Stale)?;
                let addr = endpoint.addr.unwrap_or(IpAddress::v4(0, 0, 0, 0));
                Ok(IpEndpoint::new(addr, endpoint.port).into())
            }
            Place::Datagram(index) => self.datagram_addr(index).ok_or(Error::Stale),
        }
    }

    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        match self.find(socket)? {
            Place::Socket(index) => {
                self.ready.arm(index, interest, token);
                self.wake_if_ready(index);
            }
            Place::Listener(index) => {
                self.listeners_ready.arm(index, interest, token);
                self.wake_listener_if_ready(index);
            }
            Place::Datagram(index) => {
                self.datagrams_ready.arm(index, interest, token);
                self.wake_datagram_if_ready(index);
            }
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Token> {
        if let Some((index, token)) = self.listeners_ready.next() {
            self.wake_listener_if_ready(index);
            return Some(token);
        }
        if let Some((index, token)) = self.datagrams_ready.next() {
            self.wake_datagram_if_ready(index);
            return Some(token);
        }
        let (index, token) = self.ready.next()?;
        self.wake_if_ready(index);
        if self.is_free(index) {
            // Only now: a listener may be waiting for it.
            self.touch(index);
        }
        Some(token)
    }
}
