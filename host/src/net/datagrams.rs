//! UDP on the operating system's sockets.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tidemill_core::net::{Datagrams, Error, Handle};

use super::Net;
use super::entry::{Entry, retry};
use super::error::failure;

impl Datagrams for Net {
    fn bind(&mut self, local: SocketAddr) -> Result<Handle, Error> {
        if self.sockets.room() == 0 {
            return Err(Error::Full);
        }
        let open = || {
            let kind = Type::DGRAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::UDP))?;
            socket.bind(&local.into())?;
            Ok(UdpSocket::from(socket))
        };
        let socket = open().map_err(|error| failure(&error))?;
        self.admit(Entry::datagrams(socket))
    }

    fn recv_from(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error> {
        let entry = self.sockets.get_mut(socket).ok_or(Error::Stale)?;
        let socket = entry.as_datagrams()?;
        if !entry.readable {
            return Err(nb::Error::WouldBlock);
        }
        match retry(|| receive(socket, buf)) {
            Ok(received) => Ok(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                entry.readable = false;
                Err(nb::Error::WouldBlock)
            }
            Err(error) => Err(failure(&error).into()),
        }
    }

    fn send_to(&mut self, socket: Handle, buf: &[u8], to: SocketAddr) -> nb::Result<(), Error> {
        let entry = self.sockets.get_mut(socket).ok_or(Error::Stale)?;
        let socket = entry.as_datagrams()?;
        if to.port() == 0 {
            return Err(Error::Unreachable.into());
        }
        if !entry.writable {
            return Err(nb::Error::WouldBlock);
        }
        match retry(|| socket.send_to(buf, to)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                entry.writable = false;
                Err(nb::Error::WouldBlock)
            }
            Err(error) => Err(failure(&error).into()),
        }
    }
}

/// Takes a datagram; its length as it was sent, whether it fits or not.
fn receive(socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let mut parts = [IoSliceMut::new(buf)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, None, MsgFlags::MSG_TRUNC)?;
    let from = message.address.as_ref().and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|&from| SocketAddr::V4(SocketAddrV4::from(from)));
        v4.or_else(|| from.as_sockaddr_in6().map(|&from| SocketAddr::V6(SocketAddrV6::from(from))))
    });
    let from = from.ok_or(io::ErrorKind::InvalidData)?;
    Ok((message.bytes, SocketAddr::new(from.ip().to_canonical(), from.port())))
}
