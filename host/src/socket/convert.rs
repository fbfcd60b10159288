//! To and from the sockets of std.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::{Error, Family, Kind, Socket};

/// Into a [`Socket`] always (if the kernel still knows it), back only what it is.
macro_rules! convert {
    ($($std:ty: $kind:expr, $ip:expr;)*) => {$(
        impl TryFrom<$std> for Socket {
            type Error = Error;

            /// The socket, with the time limit that its descriptor has: none, or zero if it is non-blocking.
            fn try_from(socket: $std) -> Result<Self, Error> {
                Self::from_descriptor(OwnedFd::from(socket))
            }
        }

        impl TryFrom<Socket> for $std {
            type Error = Error;

            /// [`Error::Kind`] or [`Error::Family`]: it is something else. A socket with a time limit is a non-blocking
            /// one of std.
            fn try_from(socket: Socket) -> Result<Self, Error> {
                if socket.kind() != $kind {
                    return Err(Error::Kind);
                }
                if (socket.family() != Family::Unix) != $ip {
                    return Err(Error::Family);
                }
                Ok(socket.detach()?.into())
            }
        }
    )*};
}

convert! {
    TcpStream: Kind::Stream, true;
    TcpListener: Kind::Stream, true;
    UdpSocket: Kind::Datagram, true;
    UnixStream: Kind::Stream, false;
    UnixListener: Kind::Stream, false;
    UnixDatagram: Kind::Datagram, false;
}

impl TryFrom<OwnedFd> for Socket {
    type Error = Error;

    fn try_from(descriptor: OwnedFd) -> Result<Self, Error> {
        Self::from_descriptor(descriptor)
    }
}
