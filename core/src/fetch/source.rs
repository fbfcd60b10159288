//! One address of the file: its URL, where its host is, and what its server has shown it can do.

use super::Failure;
use super::state::Validator;
use crate::http::redirect::MAX_HOPS;
use crate::net::{self, Handle, Stack};
use crate::time::Duration;
use crate::url::{self, Ascii, Uri};
use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};
use heapless::{String, Vec};

/// The longest URL, bytes, also after a redirect.
pub const URL_MAX: usize = 2048;

/// The most addresses of one host that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// A URL and what is known of its server.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Source {
    /// `http://authority/path?query`, or `https:`, never without a path.
    url: String<URL_MAX>,
    /// Whether the scheme is `https`.
    secure: bool,
    /// Where the path begins.
    target_at: u16,
    pub(super) addresses: Vec<SocketAddr, ADDRESSES_MAX>,
    /// Changes with every redirect.
    pub(super) revision: u8,
    pub(super) validator: Option<Validator>,
    /// Whether it serves ranges, once that is known.
    pub(super) ranges: Option<bool>,
    /// It has answered at least once: a refusal may pass.
    pub(super) answered: bool,
    /// From the start of a connection to the first byte of its answer, a moving average.
    pub(super) setup: Duration,
    pub(super) failed: bool,
    /// A redirect has led to another host or port: what is secret must not follow.
    pub(super) moved: bool,
}

impl Source {
    /// A source for an `http` or `https` URL. The fragment is dropped; a literal address needs no resolver.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn new(url: &str) -> Result<Self, SourceError> {
        let uri = Uri::parse(url).map_err(SourceError::Url)?;
        let secure = match uri.scheme() {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
            _ => return Err(SourceError::Scheme),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(SourceError::Host)?;
        let port = uri.port().map_err(SourceError::Url)?.unwrap_or(default_port(secure));
        let authority = uri.authority().unwrap_or(host);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        let mut text = String::new();
        let too_long = |_| SourceError::TooLong;
        [prefix(secure), authority].iter().try_for_each(|part| text.push_str(part)).map_err(too_long)?;
        let target_at = text.len() as u16;
        write!(text, "{}", Ascii(path)).map_err(|_| SourceError::TooLong)?;
        if let Some(query) = uri.query() {
            write!(text, "?{}", Ascii(query)).map_err(|_| SourceError::TooLong)?;
        }
        let mut addresses = Vec::new();
        if let Ok(ip) = host.parse::<IpAddr>() {
            // The vector is empty and holds ADDRESSES_MAX.
            let _ = addresses.push(SocketAddr::new(ip, port));
        }
        Ok(Self {
            url: text,
            secure,
            target_at,
            addresses,
            revision: 0,
            validator: None,
            ranges: None,
            answered: false,
            setup: Duration::from_ticks(0),
            failed: false,
            moved: false,
        })
    }

    /// The URL in use now: after redirects, without its fragment.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `Host` field: host and, if given, port.
    pub(super) fn authority(&self) -> &str {
        self.url.get(prefix(self.secure).len()..self.target_at.into()).unwrap_or("")
    }

    /// The request target: path and query.
    pub(super) fn target(&self) -> &str {
        self.url.get(self.target_at.into()..).unwrap_or("/")
    }

    /// The name to resolve and the port to connect to.
    pub(super) fn host_port(&self) -> (&str, u16) {
        let default = default_port(self.secure);
        Uri::parse(&self.url)
            .map_or(("", default), |uri| (uri.host().unwrap_or(""), uri.port().ok().flatten().unwrap_or(default)))
    }

    /// Starts a connection, under TLS if the scheme says so.
    pub(super) fn connect<S: Stack>(&self, net: &mut S, to: SocketAddr) -> Result<Handle, net::Error> {
        if self.secure { net.connect_secure(to, self.host_port().0) } else { net.connect(to) }
    }

    /// Moves to where `location` points. Not inlined: the URL that it builds would be on the stack of every turn.
    #[inline(never)]
    pub(super) fn redirect<E>(&mut self, location: &[u8]) -> Result<(), Failure<E>> {
        if self.revision >= MAX_HOPS {
            return Err(Failure::Redirects);
        }
        let location = core::str::from_utf8(location).map_err(|_| Failure::Location)?;
        let base = Uri::parse(&self.url).map_err(|_| Failure::Location)?;
        let mut buffer = [0; URL_MAX];
        let url = url::resolve(&base, location, &mut buffer).map_err(|_| Failure::Location)?;
        let mut moved = Self::new(url).map_err(|error| match error {
            SourceError::Scheme => Failure::Scheme,
            _ => Failure::Location,
        })?;
        moved.moved = self.moved || self.secure != moved.secure || self.authority() != moved.authority();
        moved.revision = self.revision + 1;
        *self = moved;
        Ok(())
    }

    pub(super) fn note_setup(&mut self, took: Duration) {
        self.setup = if self.setup.is_zero() { took } else { (self.setup * 3 + took) / 4 };
    }
}

fn prefix(secure: bool) -> &'static str {
    if secure { "https://" } else { "http://" }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Why a text is no source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SourceError {
    /// It is no URL.
    Url(url::Error),
    /// Its scheme is neither `http` nor `https`.
    Scheme,
    /// It names no host.
    Host,
    /// It is longer than [`URL_MAX`].
    TooLong,
}

impl core::fmt::Display for SourceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Url(error) => write!(f, "malformed URL: {error}"),
            Self::Scheme => f.write_str("unsupported scheme"),
            Self::Host => f.write_str("the URL names no host"),
            Self::TooLong => write!(f, "the URL is longer than {URL_MAX} bytes"),
        }
    }
}

impl core::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_asks_for_the_root() {
        let source = Source::new("http://user@h.example:8080?q=1#f").unwrap();
        assert_eq!((source.authority(), source.target()), ("h.example:8080", "/?q=1"));
        assert_eq!(source.host_port(), ("h.example", 8080));
        assert!(source.addresses.is_empty());
    }

    #[test]
    fn what_is_beyond_ascii_goes_encoded_over_the_wire() {
        assert_eq!(Source::new("http://h/é?ü").unwrap().target(), "/%C3%A9?%C3%BC");
    }

    #[test]
    fn a_literal_address_needs_no_resolver() {
        let source = Source::new("http://[::1]/x").unwrap();
        assert_eq!(source.addresses.as_slice(), [SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))]);
    }

    #[test]
    fn https_has_a_port_of_its_own_and_is_another_origin() {
        let mut source = Source::new("HTTPS://h/x").unwrap();
        assert_eq!((source.authority(), source.host_port(), source.url()), ("h", ("h", 443), "https://h/x"));
        source.redirect::<()>(b"/y").unwrap();
        assert!(!source.moved);
        source.redirect::<()>(b"http://h/y").unwrap();
        assert!(source.moved, "what is secret must not follow in the clear");
    }

    #[test]
    fn redirects_are_resolved_and_counted() {
        let mut source = Source::new("http://h/a/b").unwrap();
        source.redirect::<()>(b"../c?d").unwrap();
        assert_eq!(source.url(), "http://h/c?d");
        assert_eq!(source.redirect::<()>(b"ftp://h/"), Err(Failure::Scheme));
        assert_eq!(source.redirect::<()>(b"ht tp:"), Err(Failure::Location));
        for _ in 1..MAX_HOPS {
            source.redirect::<()>(b"//i/").unwrap();
        }
        assert_eq!(source.redirect::<()>(b"/x"), Err(Failure::Redirects));
    }
}
