//! One GET, as a task: connects, asks, and hands on what comes.
//!
//! What a program wants to see of the answer it takes through [`Receive`]; the task itself yields the status. It waits for
//! nothing without an end: a deadline ends it whatever the peer does.

use core::net::{Ipv4Addr, SocketAddr};
use tidemill_core::http::body::Framing;
use tidemill_core::http::client::{self, Event, Head, Request, Response};
use tidemill_core::net::{self, Handle, Interest, Stack};
use tidemill_core::task::{Context, Task};
use tidemill_core::time::{Duration, Instant};
use tidemill_core::url::Uri;

/// The longest URL.
pub const URL_MAX: usize = 256;
/// The longest head of a request.
const REQUEST_MAX: usize = 640;
/// The longest head of an answer.
const HEAD_MAX: usize = 1024;
/// Bytes read at a time.
const CHUNK: usize = 512;

/// Takes an answer.
pub trait Receive {
    /// The head has come.
    fn head(&mut self, head: &Head<'_>);
    /// So have these bytes of the body.
    fn body(&mut self, bytes: &[u8]);
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// It is no `http` URL, or too long.
    Url,
    /// The host is a name or an address of IPv6, and there is nobody here to ask for its address.
    Name,
    /// The network said no.
    Net(net::Error),
    /// The server does not speak HTTP as it should, or the request cannot be written.
    Http(client::Error),
    /// It took too long.
    TimedOut,
}

impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        Self::Net(error)
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        Self::Http(error)
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Url => f.write_str("no http URL, or too long"),
            Self::Name => f.write_str("names are not resolved here"),
            Self::Net(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::TimedOut => f.write_str("took too long"),
        }
    }
}

impl core::error::Error for Error {}

/// A URL, taken apart as far as a request needs it.
pub struct Target<'u> {
    /// Host, and port if it says one.
    pub authority: &'u str,
    /// The host alone.
    pub host: &'u str,
    /// Path and query, as they are.
    pub path: &'u str,
    /// Where to connect.
    pub address: SocketAddr,
}

impl<'u> Target<'u> {
    /// Of an `http` URL whose host is an IPv4 address.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Name`].
    pub fn of(url: &'u str) -> Result<Self, Error> {
        let uri = Uri::parse(url).map_err(|_| Error::Url)?;
        let http = uri.scheme().is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
        let (Some(authority), Some(host), true) = (uri.authority(), uri.host(), http) else { return Err(Error::Url) };
        let port = uri.port().map_err(|_| Error::Url)?.unwrap_or(80);
        let address: Ipv4Addr = host.parse().map_err(|_| Error::Name)?;
        // What follows the authority, without the fragment, which is not the server's.
        let start = "http://".len() + authority.len();
        let end = url.len() - uri.fragment().map_or(0, |fragment| fragment.len() + 1);
        let path = url.get(start..end).filter(|path| path.starts_with('/')).unwrap_or("/");
        let user = uri.userinfo().map_or(0, |user| user.len() + 1);
        let authority = authority.get(user..).unwrap_or(authority);
        Ok(Self { authority, host, path, address: SocketAddr::new(address.into(), port) })
    }
}

/// A GET under way.
pub struct Get<K> {
    /// What takes the answer.
    pub sink: K,
    request: heapless::Vec<u8, REQUEST_MAX>,
    address: SocketAddr,
    deadline: Instant,
    response: Response<HEAD_MAX>,
    socket: Option<Handle>,
    sent: usize,
}

impl<K> Get<K> {
    /// Of this URL, with this value of `Cookie` unless it is empty, until `deadline`.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Name`], [`Error::Http`] if the request cannot be written.
    pub fn new(url: &str, cookie: &[u8], deadline: Instant, sink: K) -> Result<Self, Error> {
        let target = Target::of(url)?;
        let all: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Cookie", cookie)];
        let headers = if cookie.is_empty() { &all[..1] } else { &all[..] };
        let mut request = heapless::Vec::new();
        // It has that capacity.
        let _ = request.resize(REQUEST_MAX, 0);
        let head = Request { method: "GET", target: target.path, host: target.authority, headers, body: Framing::None };
        let len = head.write_to(&mut request)?;
        request.truncate(len);
        let response = Response::new();
        Ok(Self { sink, request, address: target.address, deadline, response, socket: None, sent: 0 })
    }

    /// The end of the task, for who takes it out of its pool before it is over.
    pub fn abort<S: Stack>(&mut self, net: &mut S) {
        if let Some(socket) = self.socket.take() {
            net.abort(socket);
        }
    }
}

impl<K: Receive> Get<K> {
    fn advance<S: Stack, X>(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<u16, Error> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(cx.net.connect(self.address).map_err(Error::Net)?),
        };
        let waits = |cx: &mut Context<'_, S, X>, error: nb::Error<net::Error>, interest| match error {
            nb::Error::WouldBlock => match cx.wait_for(socket, interest) {
                Ok(()) => nb::Error::WouldBlock,
                Err(error) => nb::Error::Other(error.into()),
            },
            nb::Error::Other(error) => nb::Error::Other(error.into()),
        };
        cx.net.connected(socket).map_err(|error| waits(cx, error, Interest::Write))?;
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            self.sent += cx.net.send(socket, rest).map_err(|error| waits(cx, error, Interest::Write))?;
        }
        let mut buffer = [0; CHUNK];
        loop {
            let count = cx.net.recv(socket, &mut buffer).map_err(|error| waits(cx, error, Interest::Read))?;
            if count == 0 {
                self.response.end_of_stream().map_err(Error::Http)?;
                return Ok(self.response.head().status());
            }
            let mut rest = buffer.get(..count).unwrap_or_default();
            loop {
                let (taken, event) = self.response.receive(rest).map_err(Error::Http)?;
                rest = rest.get(taken..).unwrap_or_default();
                match event {
                    Event::Head => self.sink.head(&self.response.head()),
                    Event::Body(bytes) => self.sink.body(bytes),
                    Event::NeedMore => break,
                    Event::End => return Ok(self.response.head().status()),
                }
            }
        }
    }
}

impl<S: Stack, X, K: Receive> Task<S, X> for Get<K> {
    type Output = u16;
    type Error = Error;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<u16, Error> {
        let mut result = self.advance(cx);
        if result == Err(nb::Error::WouldBlock) {
            if cx.now < self.deadline {
                cx.wait_until(self.deadline);
                return result;
            }
            result = Err(Error::TimedOut.into());
        }
        if let Some(socket) = self.socket.take() {
            cx.net.close(socket);
        }
        result
    }
}

/// How long a GET may take, unless somebody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::of("http://u@10.0.2.2:8000/a/b?c=d#e").unwrap();
        assert_eq!((target.authority, target.host, target.path), ("10.0.2.2:8000", "10.0.2.2", "/a/b?c=d"));
        assert_eq!(target.address, "10.0.2.2:8000".parse().unwrap());
        assert_eq!(Target::of("http://10.0.2.2").unwrap().path, "/");
        assert_eq!(Target::of("ftp://10.0.2.2/").err(), Some(Error::Url));
        assert_eq!(Target::of("http://mill/").err(), Some(Error::Name));
    }
}
