//! Connections between processes that do not descend from each other: Python's `Listener` and `Client`.
//!
//! They speak the frame protocol, which `core/src/frame/PROTOCOL.md` documents, so that other programs can, too.

use std::time::Duration;

use super::framed::{Framed, GREETING};
use super::{Connection, Error};
use crate::socket::{Address, Family, Kind, Socket, option};

/// How a connection is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What both sides must have; each proves it by HMAC-SHA-256 without showing it, and before anything else is read.
    /// `None`: anybody may connect.
    pub authkey: Option<Vec<u8>>,
    /// The longest message, in bytes. So much memory may be taken for each connection.
    pub message_max: usize,
    /// How long the other side may take to greet and prove.
    pub greeting: Duration,
}

impl Default for Options {
    /// No key, messages of up to 1 MiB, 10 s to greet.
    fn default() -> Self {
        Self { authkey: None, message_max: 1 << 20, greeting: GREETING }
    }
}

impl Options {
    /// The default, with this key.
    pub fn with_authkey(authkey: impl Into<Vec<u8>>) -> Self {
        Self { authkey: Some(authkey.into()), ..Self::default() }
    }

    fn framed(&self, socket: Socket) -> Result<Connection, Error> {
        let framed = Framed::new(socket, self.authkey.as_deref(), self.message_max, self.greeting)?;
        Ok(Connection::framed(framed))
    }
}

/// Where others connect.
///
/// ```
/// use std::thread;
/// use tidemill_host::ipc::{Listener, Options, connect};
/// use tidemill_host::socket::Address;
///
/// let options = Options::with_authkey(*b"spring tide");
/// let listener = Listener::bind(Address::Unnamed, options.clone())?;
/// let address = listener.address()?;
/// let client = thread::spawn(move || {
///     let mut mill = connect(address, &options)?;
///     mill.send(&("how high?", 7))
/// });
/// let mut pond = listener.accept()?;
/// assert_eq!(pond.recv::<(String, i32)>()?, ("how high?".into(), 7));
/// # client.join().unwrap()?;
/// # Ok::<(), tidemill_host::ipc::Error>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    options: Options,
}

impl Listener {
    /// Listens at this address: IPv4 or IPv6, a Unix path, which is removed at the end, or an abstract name;
    /// [`Address::Unnamed`] has the kernel choose one, and so does port 0.
    ///
    /// # Errors
    /// [`Error::Os`]: the address is in use, or not for this process.
    pub fn bind(address: impl Into<Address>, options: Options) -> Result<Self, Error> {
        let address = address.into();
        let socket = Socket::new(address.family(), Kind::Stream)?;
        if address.family() != Family::Unix {
            socket.setsockopt(option::ReuseAddr, &true)?;
        }
        socket.bind(address)?;
        socket.listen(128)?;
        Ok(Self { socket, options })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn address(&self) -> Result<Address, Error> {
        Ok(self.socket.getsockname()?)
    }

    /// Waits for a connection, and until the other side has greeted, and proved that it has the key. What it sent before can be
    /// received.
    ///
    /// # Errors
    /// [`Error::Denied`], and [`Error::TimedOut`] for one who does not greet in time: the next call takes the next.
    /// [`Error::Os`].
    pub fn accept(&self) -> Result<Connection, Error> {
        let (socket, _) = self.socket.accept()?;
        self.options.framed(socket)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Ok(Address::Path(path)) = self.socket.getsockname() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Connects to a [`Listener`], with the same key. Python's `Client`.
///
/// # Errors
/// [`Error::Denied`], [`Error::TimedOut`], [`Error::Os`]: nobody listens there.
#[doc(alias = "Client")]
pub fn connect(address: impl Into<Address>, options: &Options) -> Result<Connection, Error> {
    let address = address.into();
    let socket = Socket::new(address.family(), Kind::Stream)?;
    socket.settimeout(Some(options.greeting))?;
    socket.connect(address)?;
    socket.settimeout(None)?;
    options.framed(socket)
}
