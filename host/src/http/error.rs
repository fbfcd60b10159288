//! What goes wrong when a URL is opened, as `urllib.error` tells it apart.

use std::fmt::{self, Write as _};
use std::io;
use std::ops::{Deref, DerefMut};

use tidemill_core::http::client;
use tidemill_core::http::redirect::Refused;
use tidemill_core::net;

use super::Response;
use crate::{tls, words};

/// Why a URL could not be opened.
#[derive(Debug)]
#[non_exhaustive]
#[doc(alias = "URLError")]
pub enum UrlError {
    /// The server answered with a status that is no success. It is a response still.
    Http(Box<HttpError>),
    /// Less came than the server had promised. What came has been kept.
    #[doc(alias = "ContentTooShortError")]
    ContentTooShort {
        /// How many bytes came.
        got: u64,
        /// How many bytes are missing, if that is known.
        missing: Option<u64>,
    },
    /// The text is no URL, or one that names no host.
    Url(String),
    /// No handler knows the scheme.
    UnknownScheme(String),
    /// The host's name has no address; why, as the resolver says it.
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// The network said no, or the server cannot prove who it is.
    Net(net::Error),
    /// It took longer than was allowed.
    Timeout(Phase),
    /// The request cannot be written, or the response is not HTTP.
    Protocol(client::Error),
    /// The proxy's address is none, or nobody is there, or it refused, with this status, to connect to the server.
    Proxy(String),
    /// The certificates that were asked for cannot be used.
    Tls(tls::Error),
    /// A file, or the body of the request, could not be read.
    Io(io::Error),
}

/// What took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Getting through to the server.
    Connect,
    /// Nothing came, or nothing was taken, for the idle time.
    Idle,
    /// All of it together.
    Total,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::ContentTooShort { got, missing: Some(missing) } => {
                write!(f, "got only {got} of {} bytes", got + missing)
            }
            Self::ContentTooShort { got, missing: None } => write!(f, "connection closed after {got} bytes"),
            Self::Url(why) => write!(f, "malformed URL: {why}"),
            Self::UnknownScheme(scheme) => write!(f, "unknown scheme '{scheme}'"),
            Self::Resolve { host, why } => write!(f, "{host}: {why}"),
            Self::Net(error) => f.write_str(&words::of_network(*error)),
            Self::Timeout(Phase::Connect) => f.write_str("no connection in time"),
            Self::Timeout(Phase::Idle) => f.write_str("the server was silent for too long"),
            Self::Timeout(Phase::Total) => f.write_str("not done in time"),
            Self::Protocol(error) => error.fmt(f),
            Self::Proxy(why) => write!(f, "proxy: {why}"),
            Self::Tls(error) => error.fmt(f),
            Self::Io(error) => f.write_str(&words::of_error(error)),
        }
    }
}

impl std::error::Error for UrlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Net(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<net::Error> for UrlError {
    fn from(error: net::Error) -> Self {
        Self::Net(error)
    }
}

impl From<client::Error> for UrlError {
    fn from(error: client::Error) -> Self {
        Self::Protocol(error)
    }
}

/// From reading a body: the cause that a [`Response`] put into it comes out again.
impl From<io::Error> for UrlError {
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(cause) => return cause,
            Err(error) => error,
        };
        Self::Io(error)
    }
}

/// To be told by [`io::Read`]: with the kind that says most, and the cause within.
impl From<UrlError> for io::Error {
    fn from(error: UrlError) -> Self {
        let kind = match &error {
            UrlError::Timeout(_) => io::ErrorKind::TimedOut,
            UrlError::ContentTooShort { .. } => io::ErrorKind::UnexpectedEof,
            UrlError::Net(net::Error::Reset) => io::ErrorKind::ConnectionReset,
            UrlError::Protocol(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// A response whose status is no success, or a redirect that is not followed. Read it as any other [`Response`].
#[derive(Debug)]
#[doc(alias = "HTTPError")]
pub struct HttpError {
    response: Response,
    refused: Option<Refused>,
}

impl HttpError {
    pub(super) fn raise(response: Response, refused: Option<Refused>) -> UrlError {
        UrlError::Http(Box::new(Self { response, refused }))
    }

    /// The status.
    #[doc(alias = "code")]
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// Why a redirect was not followed, if it is one.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// The response.
    pub fn into_response(self) -> Response {
        self.response
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.response.status)?;
        if !self.response.reason.is_empty() {
            f.write_str(" ")?;
            // It may not speak to a terminal.
            for character in self.response.reason.chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_debug())
                } else {
                    f.write_char(character)
                }?;
            }
        }
        self.refused.map_or(Ok(()), |refused| write!(f, ": {refused}"))
    }
}

impl std::error::Error for HttpError {}

impl Deref for HttpError {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl DerefMut for HttpError {
    fn deref_mut(&mut self) -> &mut Response {
        &mut self.response
    }
}
