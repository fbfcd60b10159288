//! HTTP/1.1 (RFC 9110, RFC 9112) as machines: bytes go in, events come out, and no socket is in sight.
//!
//! A [`client::Request`] is written into a buffer of the caller's. What comes back is fed to a [`client::Response`],
//! which keeps only the head (in a fixed buffer) and hands the body out as slices of the very bytes it was given.
//! How the bytes were cut on the way makes no difference to the events. Every length, count and size has a limit,
//! and each limit its own error.
//!
//! | module | what lives there |
//! |---|---|
//! | [`client`] | the request writer and the response decoder |
//! | [`server`] | the request decoder, the decision what to answer, the writer of the response's head |
//! | [`serve`] | a server for files: connections, deadlines, limits |
//! | [`fields`] | header fields of a head that has been read: look-up and lists |
//! | [`body`] | how a body is delimited: by length, by chunks, by the end of the connection |
//! | [`chunked`] | the chunked coding, decoded |
//! | [`send`] | a body on its way out: as long as promised, or in chunks |
//! | [`range`] | `Range` and `Content-Range` |
//! | [`date`] | HTTP dates |
//! | [`etag`], [`conditional`] | versions of a file, and requests that depend on them |
//! | [`redirect`] | which statuses redirect, and with which method |
//!
//! ```
//! use tidemill_core::http::body::Framing;
//! use tidemill_core::http::client::{Asked, Event, Request, Response};
//!
//! let request = Request { method: "GET", target: "/", host: "example.org", headers: &[], body: Framing::None };
//! let mut out = [0; 256];
//! let written = request.write_to(&mut out)?;
//! assert!(out[..written].starts_with(b"GET / HTTP/1.1\r\nHost: example.org\r\n"));
//!
//! let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
//! let mut response = Response::<1024>::new();
//! response.start(Asked::Resource);
//! loop {
//!     let (consumed, event) = response.receive(input)?;
//!     input = &input[consumed..];
//!     match event {
//!         Event::Head => assert_eq!(response.head().status(), 200),
//!         Event::Body(bytes) => assert_eq!(bytes, b"hello"),
//!         Event::NeedMore => unreachable!("everything has arrived"),
//!         Event::End => break,
//!     }
//! }
//! assert!(response.reusable());
//! # Ok::<(), tidemill_core::http::client::Error>(())
//! ```

pub mod body;
pub mod chunked;
pub mod client;
pub mod conditional;
pub mod date;
pub mod etag;
pub mod fields;
mod head;
pub mod range;
pub mod redirect;
pub mod send;
pub mod serve;
pub mod server;
mod write;

pub use write::WriteError;

/// How many header fields a head may have. While a head is parsed, each takes four words of stack.
pub const MAX_FIELDS: usize = 100;
