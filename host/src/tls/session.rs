//! One connection's TLS, over whatever carries its records without blocking.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use tidemill_core::net::{Error, TlsError};

use super::{Identity, Trust, reason};
use crate::net::failure;

/// The most that waits to go out, in bytes.
const OUT_MAX: usize = 64 << 10;

/// Bytes in the clear on one side, records on the other. The carrier is lent to each call; its `WouldBlock` comes out as
/// that, and the call may be repeated. What was taken but has not gone out yet goes with the next call, or with
/// [`flush`](Self::flush).
pub(crate) struct Session {
    tls: Connection,
    /// What broke it; it stays broken.
    fault: Option<Error>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("handshaking", &self.is_handshaking()).finish_non_exhaustive()
    }
}

impl Session {
    /// A client's, to a server that must prove to be `name`: a name, or an address, in brackets or without.
    pub(crate) fn client(trust: &Trust, name: &str) -> Result<Self, Error> {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| Error::Tls(TlsError::WrongName))?;
        Self::new(ClientConnection::new(Arc::clone(&trust.0), name).map(Connection::Client))
    }

    /// A server's.
    pub(crate) fn server(identity: &Identity) -> Result<Self, Error> {
        Self::new(ServerConnection::new(Arc::clone(&identity.0)).map(Connection::Server))
    }

    fn new(tls: Result<Connection, rustls::Error>) -> Result<Self, Error> {
        let mut tls = tls.map_err(|error| Error::Tls(reason(&error)))?;
        tls.set_buffer_limit(Some(OUT_MAX));
        Ok(Self { tls, fault: None })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether something waits to go out.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Whether [`recv`](Self::recv) has something to say without new records.
    pub(crate) fn has_plaintext(&mut self) -> bool {
        let told = |state: rustls::IoState| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed();
        self.fault.is_some() || self.tls.process_new_packets().is_ok_and(told)
    }

    /// Goes on with the handshake: `Ok` when it is over.
    pub(crate) fn handshake(&mut self, carrier: &mut (impl Read + Write)) -> nb::Result<(), Error> {
        while self.tls.is_handshaking() {
            self.flush(carrier)?;
            if self.tls.is_handshaking() && self.fill(carrier)? == 0 {
                // A server that wants nothing to do with TLS mostly just closes.
                return Err(self.broken(Error::Tls(TlsError::Truncated)).into());
            }
        }
        // The last flight may still be on its way; it goes out with what is sent next, or when there is room.
        match self.flush(carrier) {
            Err(nb::Error::Other(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reads what is there, at least one byte; `Ok(0)`: the peer has said that it is done.
    pub(crate) fn recv(&mut self, carrier: &mut (impl Read + Write), buf: &mut [u8]) -> nb::Result<usize, Error> {
        loop {
            match self.tls.reader().read(buf) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.broken(Error::Tls(TlsError::Truncated)).into()),
            }
            if let Some(fault) = self.fault {
                return Err(fault.into());
            }
            self.fill(carrier)?;
            // Answers of the protocol itself. They can wait; a peer that is gone shows in what follows.
            let _ = self.flush(carrier);
        }
    }

    /// Takes what fits, at least one byte of a `buf` that is not empty.
    pub(crate) fn send(&mut self, carrier: &mut (impl Read + Write), buf: &[u8]) -> nb::Result<usize, Error> {
        self.flush(carrier)?;
        let count = self.tls.writer().write(buf).map_err(|error| self.broken(failure(&error)))?;
        match self.flush(carrier) {
            Err(nb::Error::Other(error)) => Err(error.into()),
            _ => Ok(count),
        }
    }

    /// Says that nothing more is sent.
    pub(crate) fn close(&mut self, carrier: &mut (impl Read + Write)) -> nb::Result<(), Error> {
        self.tls.send_close_notify();
        self.flush(carrier)
    }

    /// Hands what waits to the carrier.
    pub(crate) fn flush(&mut self, carrier: &mut (impl Read + Write)) -> nb::Result<(), Error> {
        while self.tls.wants_write() {
            if let Some(fault) = self.fault {
                return Err(fault.into());
            }
            match self.tls.write_tls(carrier) {
                Ok(_) => {}
                Err(error) if would_block(&error) => return Err(nb::Error::WouldBlock),
                Err(error) => return Err(self.broken(failure(&error)).into()),
            }
        }
        Ok(())
    }

    /// Takes records in; how many bytes of them. 0: the carrier has ended.
    fn fill(&mut self, carrier: &mut (impl Read + Write)) -> nb::Result<usize, Error> {
        let count = match self.tls.read_tls(carrier) {
            Ok(count) => count,
            Err(error) if would_block(&error) => return Err(nb::Error::WouldBlock),
            Err(error) => return Err(self.broken(failure(&error)).into()),
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The alert that tells the peer why. If it does not go out, the end of the connection says enough.
            let _ = self.flush(carrier);
            return Err(self.broken(Error::Tls(reason(&error))).into());
        }
        Ok(count)
    }

    fn broken(&mut self, error: Error) -> Error {
        *self.fault.get_or_insert(error)
    }
}

/// Also what a blocking socket says when its time is over.
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
