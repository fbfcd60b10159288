//! `embedded_io` over a socket: what is written for a serial line, such as a frame's
//! [`Connection`](tidemill_core::frame), runs over it as it is.

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::{Error, Flags, Socket, wait_for_any};
use std::os::fd::AsFd as _;

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::PathLength { .. } | Self::PathNul { .. } | Self::Family => ErrorKind::InvalidInput,
            Self::Kind => ErrorKind::Unsupported,
            Self::Lookup(_) => ErrorKind::NotFound,
            Self::Os(errno) => match errno {
                Errno::ECONNREFUSED => ErrorKind::ConnectionRefused,
                Errno::ECONNRESET => ErrorKind::ConnectionReset,
                Errno::ECONNABORTED => ErrorKind::ConnectionAborted,
                Errno::ENOTCONN => ErrorKind::NotConnected,
                Errno::EADDRINUSE => ErrorKind::AddrInUse,
                Errno::EADDRNOTAVAIL => ErrorKind::AddrNotAvailable,
                Errno::EPIPE => ErrorKind::BrokenPipe,
                Errno::ETIMEDOUT => ErrorKind::TimedOut,
                Errno::EACCES | Errno::EPERM => ErrorKind::PermissionDenied,
                Errno::ENOMEM | Errno::ENOBUFS => ErrorKind::OutOfMemory,
                _ => ErrorKind::Other,
            },
            Self::WouldBlock => ErrorKind::Other,
        }
    }
}

impl ErrorType for Socket {
    type Error = Error;
}

/// Waits as the socket does: see [`Socket::settimeout`].
impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        self.recv_into(buf, Flags::empty())
    }
}

/// Nothing is kept back, so there is nothing to flush.
impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() { Ok(0) } else { self.send(buf, Flags::empty()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl ReadReady for Socket {
    fn read_ready(&mut self) -> Result<bool, Error> {
        self.is_ready(PollFlags::POLLIN)
    }
}

impl WriteReady for Socket {
    fn write_ready(&mut self) -> Result<bool, Error> {
        self.is_ready(PollFlags::POLLOUT)
    }
}

impl Socket {
    fn is_ready(&self, ready: PollFlags) -> Result<bool, Error> {
        let now = Some(std::time::Instant::now());
        Ok(wait_for_any(&mut [PollFd::new(self.as_fd(), ready)], now)?)
    }
}
