//! One connection to a server, blocking, with an end to each wait.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tidemill_core::net::{Error, TlsError};

use super::{Phase, Timeouts, UrlError};
use crate::net::{failure, resolve};
use crate::tls::{Session, Trust};

/// A socket, and TLS over it where there is one.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    tls: Option<Box<Session>>,
    idle: Duration,
    deadline: Option<Instant>,
    /// What the socket's timeouts are set to.
    set: Option<Duration>,
}

impl Wire {
    /// Connects to the first address of a host that answers.
    pub(super) fn connect(
        host: &str,
        port: u16,
        timeouts: &Timeouts,
        deadline: Option<Instant>,
    ) -> Result<Self, UrlError> {
        let give_up = Instant::now() + timeouts.connect;
        let give_up = deadline.map_or(give_up, |deadline| deadline.min(give_up));
        let late = || UrlError::Timeout(if deadline == Some(give_up) { Phase::Total } else { Phase::Connect });
        let left = || give_up.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        let unresolved = |why: resolve::Error| UrlError::Resolve { host: host.to_owned(), why: why.to_string() };
        let found = resolve::addresses(host, port, left().ok_or_else(late)?).map_err(unresolved)?;
        let addresses = found.ok_or_else(late)?;
        let mut last = late();
        for (at, address) in addresses.iter().enumerate() {
            // What is left is shared by those not yet tried, so that one that is silent does not use it all up.
            let Some(left) = left() else { break };
            match TcpStream::connect_timeout(address, left / (addresses.len() - at) as u32) {
                Ok(socket) => {
                    socket.set_nodelay(true).map_err(|error| failure(&error))?;
                    return Ok(Self { socket, tls: None, idle: timeouts.idle, deadline, set: None });
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {}
                Err(error) => last = UrlError::Net(failure(&error)),
            }
        }
        Err(last)
    }

    /// Goes on under TLS, with a server that proves to be `name`.
    pub(super) fn secure(&mut self, trust: &Trust, name: &str) -> Result<(), UrlError> {
        let mut session = Session::client(trust, name)?;
        self.arm()?;
        match session.handshake(&mut &self.socket) {
            Ok(()) => {}
            Err(nb::Error::WouldBlock) => return Err(self.late()),
            Err(nb::Error::Other(error)) => return Err(error.into()),
        }
        self.tls = Some(Box::new(session));
        Ok(())
    }

    /// When the next request must be over.
    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>, idle: Duration) {
        (self.deadline, self.idle) = (deadline, idle);
    }

    /// Reads what is there, at least one byte; 0 at the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, UrlError> {
        self.arm()?;
        let read = match &mut self.tls {
            Some(tls) => tls.recv(&mut &self.socket, buf),
            None => blocking(|| (&self.socket).read(buf)),
        };
        read.map_err(|error| self.told(error))
    }

    /// The same, if it comes within so long.
    pub(super) fn read_within(&mut self, buf: &mut [u8], wait: Duration) -> Result<Option<usize>, UrlError> {
        let idle = std::mem::replace(&mut self.idle, wait);
        let read = self.read(buf);
        self.idle = idle;
        match read {
            Err(UrlError::Timeout(Phase::Idle)) => Ok(None),
            read => read.map(Some),
        }
    }

    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), UrlError> {
        while !bytes.is_empty() {
            self.arm()?;
            let sent = match &mut self.tls {
                Some(tls) => tls.send(&mut &self.socket, bytes),
                None => blocking(|| (&self.socket).write(bytes)),
            };
            bytes = &bytes[sent.map_err(|error| self.told(error))?..];
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), UrlError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let flushed = tls.flush(&mut &self.socket);
        flushed.map_err(|error| self.told(error))
    }

    /// Whether it is as it was left: open, and nothing has come. What comes unasked is an answer to nothing.
    pub(super) fn is_quiet(&self) -> bool {
        let peeked = recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        // Under TLS there may be tickets for later sessions; the end of the stream shows all the same.
        matches!(peeked, Err(Errno::EAGAIN)) || self.tls.is_some() && matches!(peeked, Ok(1))
    }

    /// Sets the socket's timeouts to what is allowed now.
    fn arm(&mut self) -> Result<(), UrlError> {
        let mut allowed = self.idle;
        if let Some(deadline) = self.deadline {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            allowed = allowed.min(left.ok_or(UrlError::Timeout(Phase::Total))?);
        }
        // The kernel takes 0 for no limit.
        let allowed = allowed.max(Duration::from_millis(1));
        if self.set != Some(allowed) {
            let set = self.socket.set_read_timeout(Some(allowed));
            set.and_then(|()| self.socket.set_write_timeout(Some(allowed))).map_err(|error| failure(&error))?;
            self.set = Some(allowed);
        }
        Ok(())
    }

    fn told(&self, error: nb::Error<Error>) -> UrlError {
        match error {
            nb::Error::WouldBlock => self.late(),
            nb::Error::Other(error) => UrlError::Net(error),
        }
    }

    fn late(&self) -> UrlError {
        let total = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        UrlError::Timeout(if total { Phase::Total } else { Phase::Idle })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            // A courtesy, which must not take long.
            if self.socket.set_nonblocking(true).is_ok() {
                let _ = tls.close(&mut &self.socket);
            }
        }
    }
}

/// Whether an error may mean that a connection kept alive had been given up by the server before it was used.
pub(super) fn was_stale(error: &UrlError) -> bool {
    use tidemill_core::http::client::Error::NoResponse;
    matches!(
        error,
        UrlError::Protocol(NoResponse) | UrlError::Net(Error::Reset | Error::Closed | Error::Tls(TlsError::Truncated))
    )
}

/// A call on a blocking socket, whose timeout reads as "would block".
fn blocking(mut call: impl FnMut() -> io::Result<usize>) -> nb::Result<usize, Error> {
    loop {
        match call() {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(nb::Error::WouldBlock),
            Err(error) => return Err(failure(&error).into()),
        }
    }
}
