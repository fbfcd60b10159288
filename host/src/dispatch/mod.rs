//! Handlers for many sockets on one thread: what Python had in `asyncore` and `asynchat`, over the readiness loop of
//! [`net`](crate::net).
//!
//! A [`Dispatcher`] owns a [`Net`] and a [`Handler`] for each of its sockets. It waits until something can be done, and
//! calls the handler that can do it. A handler that leaves something undone is called again; one that wants nothing is left
//! alone. When a connection has ended, or failed, its handler is told, once, and dropped. Nothing grows: there are as many
//! sockets as the `Net` has room for.
//!
//! | asyncore | here |
//! |---|---|
//! | `dispatcher` | [`Handler`], with the [`Channel`] it is called with |
//! | `handle_read`, `handle_write`, `handle_accepted`, `handle_connect`, `handle_close` | the same; `handle_accepted` is [`handle_accept`](Handler::handle_accept) |
//! | `handle_error` | [`handle_close`](Handler::handle_close) with an error |
//! | `readable`, `writable` | the same |
//! | `loop()` | [`run`](Dispatcher::run); one round of it is [`turn`](Dispatcher::turn) |
//! | `asynchat.async_chat` | [`Chat`], whose terminators are core's |
//!
//! An echo for any number of guests:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{Shutdown, SocketAddr, TcpStream};
//! use tidemill_host::dispatch::{Channel, Dispatcher, Handler};
//! use tidemill_host::net::Net;
//!
//! struct Door;
//! impl Handler for Door {
//!     fn handle_accept(&mut self, channel: &mut Channel<'_>, _: SocketAddr) -> Option<Box<dyn Handler>> {
//!         channel.close(); // One guest is enough for an example.
//!         Some(Box::new(Echo(Vec::new())))
//!     }
//! }
//!
//! struct Echo(Vec<u8>);
//! impl Handler for Echo {
//!     // What it was sent and has not sent back yet is all that it holds: it reads no more until that is gone.
//!     fn readable(&self) -> bool { self.0.is_empty() }
//!     fn writable(&self) -> bool { !self.0.is_empty() }
//!     fn handle_read(&mut self, channel: &mut Channel<'_>) {
//!         let mut buffer = [0; 1024];
//!         if let Ok(count) = channel.recv(&mut buffer) {
//!             self.0.extend_from_slice(&buffer[..count]);
//!         }
//!     }
//!     fn handle_write(&mut self, channel: &mut Channel<'_>) {
//!         if let Ok(count) = channel.send(&self.0) {
//!             self.0.drain(..count);
//!         }
//!     }
//! }
//!
//! let mut dispatcher = Dispatcher::new(Net::new(16)?);
//! let address = dispatcher.listen("127.0.0.1:0".parse()?, 8, Box::new(Door))?;
//! let guest = std::thread::spawn(move || -> std::io::Result<String> {
//!     let mut stream = TcpStream::connect(address)?;
//!     stream.write_all(b"high water")?;
//!     stream.shutdown(Shutdown::Write)?;
//!     let mut heard = String::new();
//!     stream.read_to_string(&mut heard)?;
//!     Ok(heard)
//! });
//! dispatcher.run()?;
//! assert_eq!(guest.join().unwrap()?, "high water");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chat;

pub use chat::{Chat, Conversation, Outgoing};

use std::io;
use std::net::SocketAddr;

use tidemill_core::net::{Error, Handle, Interest, Stack as _, Token};
use tidemill_core::time::Instant;

use crate::net::{Net, Waker};

/// How many connections one listener takes before the others get their turn.
const ACCEPTS: usize = 64;

/// What is done with a socket when it can be.
pub trait Handler {
    /// Whether it wants to be told that there is something to read, or somebody to accept.
    fn readable(&self) -> bool {
        true
    }

    /// Whether it wants to be told that there is room to write.
    fn writable(&self) -> bool {
        false
    }

    /// The connection that was asked for is up.
    fn handle_connect(&mut self, channel: &mut Channel<'_>) {
        let _ = channel;
    }

    /// Somebody has connected; `channel` is the listener. What comes back handles the new connection; `None` cuts it.
    #[doc(alias = "handle_accepted")]
    fn handle_accept(&mut self, channel: &mut Channel<'_>, peer: SocketAddr) -> Option<Box<dyn Handler>> {
        let _ = (channel, peer);
        None
    }

    /// There is something to read, or the end of it. Whoever leaves it is called again.
    fn handle_read(&mut self, channel: &mut Channel<'_>) {
        channel.close();
    }

    /// There is room to write.
    fn handle_write(&mut self, channel: &mut Channel<'_>) {
        let _ = channel;
    }

    /// The connection has ended, by the peer, by [`Channel::close`], or by an error. It is the last that is heard of it.
    #[doc(alias = "handle_error")]
    fn handle_close(&mut self, error: Option<Error>) {
        let _ = error;
    }
}

/// A socket, as its handler sees it while it is called.
#[derive(Debug)]
pub struct Channel<'a> {
    net: &'a mut Net,
    socket: Handle,
    end: End,
}

/// Whether a socket is to be closed after a call, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    No,
    Closed,
    Failed(Error),
}

impl Channel<'_> {
    /// Reads what is there. `Ok(0)` is the end of what the peer sends; the connection is closed after this call, once what
    /// the handler still wants to write is written.
    ///
    /// # Errors
    /// As [`recv`](tidemill_core::net::Stack::recv); the connection is closed after this call.
    pub fn recv(&mut self, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let result = self.net.recv(self.socket, buf);
        match result {
            Ok(0) if !buf.is_empty() => self.end = End::Closed,
            Err(nb::Error::Other(error)) => self.end = End::Failed(error),
            _ => {}
        }
        result
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// As [`send`](tidemill_core::net::Stack::send); the connection is closed after this call.
    pub fn send(&mut self, buf: &[u8]) -> nb::Result<usize, Error> {
        let result = self.net.send(self.socket, buf);
        if let Err(nb::Error::Other(error)) = result {
            self.end = End::Failed(error);
        }
        result
    }

    /// Closes the socket after this call.
    pub fn close(&mut self) {
        self.end = End::Closed;
    }

    /// The address of this end.
    ///
    /// # Errors
    /// As [`local_addr`](tidemill_core::net::Stack::local_addr).
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.net.local_addr(self.socket)
    }
}

/// What a socket is to its dispatcher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Listener,
    Connecting,
    Connection,
    /// All was read; what the handler wants to write still goes out.
    Ending,
}

struct Seat {
    socket: Handle,
    role: Role,
    handler: Box<dyn Handler>,
}

/// Sockets and their handlers. See the [module](self).
pub struct Dispatcher {
    net: Net,
    /// By the slot of the socket.
    seats: Vec<Option<Seat>>,
    open: usize,
}

impl Dispatcher {
    /// Of as many sockets as there is room for in `net`.
    pub fn new(net: Net) -> Self {
        let seats = (0..net.room()).map(|_| None).collect();
        Self { net, seats, open: 0 }
    }

    /// Listens at `local`; returns the address.
    ///
    /// # Errors
    /// As [`listen`](tidemill_core::net::Stack::listen).
    pub fn listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        handler: Box<dyn Handler>,
    ) -> Result<SocketAddr, Error> {
        let socket = self.net.listen(local, backlog)?;
        self.seat(Seat { socket, role: Role::Listener, handler })?;
        self.net.local_addr(socket)
    }

    /// Connects to `remote`; how that goes, the handler is told.
    ///
    /// # Errors
    /// As [`connect`](tidemill_core::net::Stack::connect).
    pub fn connect(&mut self, remote: SocketAddr, handler: Box<dyn Handler>) -> Result<(), Error> {
        let socket = self.net.connect(remote)?;
        self.seat(Seat { socket, role: Role::Connecting, handler })
    }

    /// Takes a connection that is up already, such as one [adopted](Net::adopt).
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn add(&mut self, socket: Handle, handler: Box<dyn Handler>) -> Result<(), Error> {
        self.seat(Seat { socket, role: Role::Connection, handler })
    }

    /// Its network, to open or adopt sockets that are then [added](Self::add).
    pub fn net(&mut self) -> &mut Net {
        &mut self.net
    }

    /// How many sockets it handles.
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether it handles none.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// What ends a [`turn`](Self::turn) from another thread or a signal handler.
    pub fn waker(&self) -> Waker {
        self.net.waker()
    }

    /// Handles sockets until there is none left.
    ///
    /// # Errors
    /// The system refuses to wait.
    #[doc(alias = "loop")]
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_empty() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Waits until a socket is ready, `until` has come (`None`: for ever) or the [`waker`](Self::waker) was used; and
    /// has what is ready handled. It may return sooner, with nothing handled.
    ///
    /// # Errors
    /// The system refuses to wait.
    #[doc(alias = "poll")]
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.net.wait(until)?;
        // Those that are ready again while these are handled have their turn in the next one.
        let mut ready = Vec::with_capacity(self.open);
        while ready.len() < self.open
            && let Some(Token(index)) = self.net.next_ready()
        {
            ready.push(index as usize);
        }
        for index in ready {
            self.handle(index);
        }
        Ok(())
    }

    fn seat(&mut self, seat: Seat) -> Result<(), Error> {
        self.net.local_addr(seat.socket)?;
        self.watch(&seat);
        let place = self.seats.get_mut(seat.socket.index()).ok_or(Error::Full)?;
        if place.replace(seat).is_none() {
            self.open += 1;
        }
        Ok(())
    }

    fn watch(&mut self, seat: &Seat) {
        let (reads, writes) = (seat.handler.readable(), seat.handler.writable());
        let interest = match seat.role {
            Role::Connecting | Role::Ending => Interest::Write,
            Role::Listener => Interest::Read,
            Role::Connection if reads && writes => Interest::Both,
            Role::Connection if writes => Interest::Write,
            Role::Connection if reads => Interest::Read,
            // Wants nothing: it hears of nothing until another handler's turn changes that, which none can.
            Role::Connection => return,
        };
        if seat.role != Role::Listener || reads {
            // It is open: it was just used, and is closed only where its seat is given up.
            let _ = self.net.watch(seat.socket, interest, Token(seat.socket.index() as u32));
        }
    }

    fn handle(&mut self, index: usize) {
        let Some(mut seat) = self.seats.get_mut(index).and_then(Option::take) else { return };
        let mut channel = Channel { net: &mut self.net, socket: seat.socket, end: End::No };
        let mut newcomers = Vec::new();
        match seat.role {
            Role::Listener => accept(&mut channel, &mut *seat.handler, &mut newcomers),
            Role::Connecting => match channel.net.connected(seat.socket) {
                Ok(()) => {
                    seat.role = Role::Connection;
                    seat.handler.handle_connect(&mut channel);
                }
                Err(nb::Error::WouldBlock) => {}
                Err(nb::Error::Other(error)) => channel.end = End::Failed(error),
            },
            Role::Connection | Role::Ending => {
                if seat.role == Role::Connection && seat.handler.readable() {
                    seat.handler.handle_read(&mut channel);
                    if channel.end == End::Closed && seat.handler.writable() {
                        (seat.role, channel.end) = (Role::Ending, End::No);
                    }
                }
                if channel.end == End::No && seat.handler.writable() {
                    seat.handler.handle_write(&mut channel);
                }
                if seat.role == Role::Ending && channel.end == End::No && !seat.handler.writable() {
                    channel.end = End::Closed;
                }
            }
        }
        let end = channel.end;
        for (socket, handler) in newcomers {
            if self.add(socket, handler).is_err() {
                self.net.abort(socket);
            }
        }
        let error = match end {
            End::No => {
                self.watch(&seat);
                self.seats[index] = Some(seat);
                return;
            }
            End::Closed => {
                self.net.close(seat.socket);
                None
            }
            End::Failed(error) => {
                self.net.abort(seat.socket);
                Some(error)
            }
        };
        self.open -= 1;
        seat.handler.handle_close(error);
    }
}

fn accept(channel: &mut Channel<'_>, handler: &mut dyn Handler, newcomers: &mut Vec<(Handle, Box<dyn Handler>)>) {
    for _ in 0..ACCEPTS {
        if channel.end != End::No || !handler.readable() {
            return;
        }
        match channel.net.accept(channel.socket) {
            Ok((socket, peer)) => match handler.handle_accept(channel, peer) {
                Some(handler) => newcomers.push((socket, handler)),
                None => channel.net.abort(socket),
            },
            // No room now: the network asks again by itself.
            Err(nb::Error::WouldBlock | nb::Error::Other(Error::Full)) => return,
            Err(nb::Error::Other(error)) => channel.end = End::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests;
