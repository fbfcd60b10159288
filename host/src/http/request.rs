//! What to open.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidemill_core::http::redirect::Trail;
use tidemill_core::url::{Ascii, Uri};

use super::headers::latin;
use super::proxy::Proxy;
use super::{Headers, UrlError};

/// The longest URL, in bytes.
pub const URL_MAX: usize = 8 << 10;

/// What is sent with a request.
#[derive(Clone)]
pub enum Data {
    /// Bytes. They can be sent again, so redirects and authentication work with them.
    Bytes(Arc<[u8]>),
    /// As many bytes as said, from a reader; once.
    Sized(Reader, u64),
    /// What comes from a reader until its end, in chunks; once.
    Chunked(Reader),
}

/// A reader that a request owns, for clones of the request to share.
pub(super) type Reader = Arc<Mutex<Source<dyn Read + Send>>>;

/// A reader, and whether something was read from it: then that is gone.
pub struct Source<R: ?Sized> {
    begun: bool,
    reader: R,
}

impl Data {
    /// Of a reader: as long as `length` says, or in chunks.
    pub fn from_reader(reader: impl Read + Send + 'static, length: Option<u64>) -> Self {
        let reader: Reader = Arc::new(Mutex::new(Source { begun: false, reader }));
        length.map_or_else(|| Self::Chunked(Arc::clone(&reader)), |length| Self::Sized(Arc::clone(&reader), length))
    }

    /// Whether all of it can be sent now, be it the first time or another.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Sized(reader, _) | Self::Chunked(reader) => {
                !reader.lock().unwrap_or_else(PoisonError::into_inner).begun
            }
        }
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Sized(_, length) => write!(f, "{length} bytes from a reader"),
            Self::Chunked(_) => f.write_str("chunks from a reader"),
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Reads a piece of what a request sends.
pub(super) fn read_piece(reader: &Reader, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut source = reader.lock().unwrap_or_else(PoisonError::into_inner);
    source.begun = true;
    source.reader.read(buf)
}

/// A URL, taken apart once: it is asked about at every step, and requests are copied as they go through handlers.
#[derive(Debug)]
pub(super) struct Target {
    url: String,
    /// In lower case.
    scheme: Cow<'static, str>,
    authority: Range<usize>,
    host: Range<usize>,
    /// The scheme's, if it names none.
    port: u16,
    selector: Range<usize>,
}

impl Target {
    /// Of a URL, and name and password that stood in it.
    fn new(url: &str) -> Result<(Self, Option<(String, String)>), UrlError> {
        // Python strips `<URL:…>` and blanks around it; blanks within are encoded.
        let text = tidemill_core::url::unwrap(url);
        let mut url = if text.is_ascii() { text.to_owned() } else { Ascii(text).to_string() };
        if url.len() > URL_MAX {
            return Err(UrlError::Url(format!("longer than {URL_MAX} bytes")));
        }
        if url.contains(' ') {
            url = url.replace(' ', "%20");
        }
        let malformed = |error: tidemill_core::url::Error| UrlError::Url(error.to_string());
        let uri = Uri::parse(&url).map_err(malformed)?;
        let scheme = match uri.scheme().ok_or_else(|| UrlError::Url("it has no scheme".into()))? {
            "http" => Cow::Borrowed("http"),
            "https" => Cow::Borrowed("https"),
            other => other.to_ascii_lowercase().into(),
        };
        let is_http = is_http(&scheme);
        let host = uri.host().unwrap_or("");
        if is_http && host.is_empty() {
            return Err(UrlError::Url("it names no host".into()));
        }
        let port = uri.port().map_err(malformed)?.unwrap_or(if scheme == "https" { 443 } else { 80 });
        // `scheme://` or `scheme:`.
        let start = scheme.len() + if uri.authority().is_some() { 3 } else { 1 };
        if let Some(userinfo) = uri.userinfo().filter(|_| is_http) {
            let decoded = |text: &str| latin(&super::local::decoded(text));
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            let known = (decoded(user), decoded(password));
            // Without the part before the `@`, which is for us.
            let without = [&url[..start], &url[start + userinfo.len() + 1..]].concat();
            return Ok((Self::new(&without)?.0, Some(known)));
        }
        let authority = uri.authority().unwrap_or("");
        let name = start + usize::from(authority.starts_with('['));
        let (authority, host) = (start..start + authority.len(), name..name + host.len());
        let selector = authority.end..url.find('#').unwrap_or(url.len());
        Ok((Self { url, scheme, authority, host, port, selector }, None))
    }

    fn authority(&self) -> &str {
        &self.url[self.authority.clone()]
    }

    /// Whether a connection to the one is one to the other. `http://h` and `http://h:80` count as two.
    pub(super) fn same_server(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority().eq_ignore_ascii_case(other.authority())
    }
}

/// Whether a scheme, in lower case, is one of HTTP.
pub(super) fn is_http(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// A request: a URL, and how to ask for it. As Python's `urllib.request.Request`.
///
/// ```
/// use tidemill_host::http::Request;
/// let request = Request::new("http://example.org/form")?.data("tide=high").header("Accept", "text/plain");
/// assert_eq!((request.get_method(), request.host()), ("POST", "example.org"));
/// assert_eq!(Request::new("http://example.org/a b#c")?.method("PUT").full_url(), "http://example.org/a%20b#c");
/// # Ok::<(), tidemill_host::http::UrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    target: Arc<Target>,
    method: Option<String>,
    pub(super) headers: Headers,
    data: Option<Data>,
    origin_req_host: Option<String>,
    unverifiable: bool,
    /// Name and password that stood in the URL; they are not sent with it.
    pub(super) userinfo: Option<(String, String)>,
    pub(super) trail: Trail,
    pub(super) proxy: Option<Proxy>,
    /// How often credentials were tried.
    pub(super) auth_tries: u8,
    /// When all must be over.
    pub(super) deadline: Option<Instant>,
    /// Whether a content coding is to be undone.
    pub(super) compressed: bool,
    /// How long to wait for a connection and for each byte, if not as the opener has it.
    pub(super) timeout: Option<Duration>,
}

impl Request {
    /// A request for a URL. What cannot be sent as it is gets percent-encoded.
    ///
    /// # Errors
    /// [`UrlError::Url`]: it has no scheme, is malformed, or longer than [`URL_MAX`].
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let (target, userinfo) = Target::new(url)?;
        Ok(Self {
            target: target.into(),
            method: None,
            headers: Headers::default(),
            data: None,
            origin_req_host: None,
            unverifiable: false,
            userinfo,
            trail: Trail::new(),
            proxy: None,
            auth_tries: 0,
            deadline: None,
            compressed: false,
            timeout: None,
        })
    }

    /// With another method than [`get_method`](Self::get_method) would choose.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.into());
        self
    }

    /// With data to send: it becomes a POST unless another method is set.
    pub fn data(mut self, data: impl Into<Data>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// With a field, in place of another of this name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.add_header(name, value);
        self
    }

    /// Asks for the content compressed (gzip, deflate or zstd), and undoes that in the response.
    pub fn compressed(mut self) -> Self {
        self.compressed = true;
        self.header("Accept-Encoding", "gzip, deflate, zstd")
    }

    /// Has the server say whether it wants the data before they are sent (`Expect: 100-continue`, RFC 9110 10.1.1): what it
    /// refuses costs nothing to send, and what comes from a reader is still there for a redirect or a password. Who says
    /// nothing within [`CONTINUE_TIME`](super::CONTINUE_TIME) gets them all the same.
    pub fn expect_continue(self) -> Self {
        self.header("Expect", "100-continue")
    }

    /// Whether the data are to wait for the server.
    pub(super) fn expects_continue(&self) -> bool {
        let told = self.get_header("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        told && self.data.is_some()
    }

    /// Waits so long for a connection and for each byte, whatever the opener's timeouts are.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The host on whose behalf the request is made, if it is another: see
    /// [`is_third_party`](Self::is_third_party).
    pub fn with_origin_req_host(mut self, host: &str) -> Self {
        self.origin_req_host = Some(host.into());
        self
    }

    /// Whether nobody had a say in the request, as with an image of a page (RFC 2965).
    pub fn with_unverifiable(mut self, unverifiable: bool) -> Self {
        self.unverifiable = unverifiable;
        self
    }

    /// Sets a field, in place of another of this name.
    pub fn add_header(&mut self, name: &str, value: &str) {
        self.headers.set(name, value);
    }

    /// Takes a field away.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.remove(name);
    }

    /// Whether there is such a field.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.get(name).is_some()
    }

    /// A field's value.
    pub fn get_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The fields.
    #[doc(alias = "header_items")]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The method: the one set, else POST with data, and GET without.
    pub fn get_method(&self) -> &str {
        self.method.as_deref().unwrap_or(if self.data.is_some() { "POST" } else { "GET" })
    }

    /// What is sent.
    pub fn get_data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    /// The URL, without a name and password.
    #[doc(alias = "get_full_url")]
    pub fn full_url(&self) -> &str {
        &self.target.url
    }

    /// The URL's scheme, in lower case.
    #[doc(alias = "type")]
    pub fn scheme(&self) -> &str {
        &self.target.scheme
    }

    /// The URL's host, and its port if it has one.
    pub fn host(&self) -> &str {
        self.target.authority()
    }

    /// What is asked of the server: the URL's path and query.
    pub fn selector(&self) -> &str {
        &self.target.url[self.target.selector.clone()]
    }

    /// The host alone, an address of IPv6 without its brackets.
    pub(super) fn host_name(&self) -> &str {
        &self.target.url[self.target.host.clone()]
    }

    /// The port; the scheme's if it names none.
    pub(super) fn port(&self) -> u16 {
        self.target.port
    }

    /// The URL, taken apart.
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Whether it is one of HTTP.
    pub(super) fn is_http(&self) -> bool {
        is_http(self.scheme())
    }

    /// The host on whose behalf the request is made: its own, unless another is set.
    pub fn origin_req_host(&self) -> &str {
        self.origin_req_host.as_deref().unwrap_or(self.host_name())
    }

    /// Whether nobody had a say in it.
    pub fn unverifiable(&self) -> bool {
        self.unverifiable
    }

    /// Whether it is made on behalf of another host.
    pub fn is_third_party(&self) -> bool {
        self.origin_req_host.as_deref().is_some_and(|other| !other.eq_ignore_ascii_case(self.host_name()))
    }

    pub(super) fn uri(&self) -> Option<Uri<'_>> {
        Uri::parse(self.full_url()).ok()
    }

    /// To another URL and with another method, as a redirect has it.
    pub(super) fn redirected(&self, url: &str, method: &str, same_method: bool) -> Result<Self, UrlError> {
        let to = Self::new(url)?;
        let origin = self.origin_req_host.clone().or_else(|| Some(self.origin_req_host().to_owned()));
        let data = self.data.clone().filter(|_| same_method);
        Ok(Self {
            target: to.target,
            userinfo: to.userinfo,
            method: Some(method.to_owned()),
            data,
            origin_req_host: origin,
            unverifiable: true,
            proxy: None,
            auth_tries: 0,
            ..self.clone()
        })
    }
}

impl TryFrom<&str> for Request {
    type Error = UrlError;

    fn try_from(url: &str) -> Result<Self, UrlError> {
        Self::new(url)
    }
}

impl TryFrom<&String> for Request {
    type Error = UrlError;

    fn try_from(url: &String) -> Result<Self, UrlError> {
        Self::new(url)
    }
}

impl From<std::convert::Infallible> for UrlError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_python_does_and_keeps_no_password() {
        let request = Request::new(" http://u:p%40x@H.example:81/a b?c#d ").unwrap();
        assert_eq!(request.full_url(), "http://H.example:81/a%20b?c#d");
        assert_eq!((request.host(), request.selector()), ("H.example:81", "/a%20b?c"));
        assert_eq!(request.userinfo, Some(("u".into(), "p@x".into())));
        assert_eq!(request.origin_req_host(), "H.example");
        assert!(!request.is_third_party() && request.with_origin_req_host("x").is_third_party());
        assert_eq!(Request::new("http://h?q").unwrap().selector(), "?q");
        for bad in ["", "/a", "http:///a", "http://", "http://h:99999/", "http://[/"] {
            assert!(matches!(Request::new(bad), Err(UrlError::Url(_))), "{bad}");
        }
        assert!(Request::new(&format!("http://h/{}", "a".repeat(URL_MAX))).is_err());
    }

    #[test]
    fn data_makes_a_post_unless_the_method_is_told() {
        let request = Request::new("http://h/").unwrap();
        assert_eq!(request.get_method(), "GET");
        assert_eq!(request.clone().data("x").get_method(), "POST");
        assert_eq!(request.data("x").method("PUT").get_method(), "PUT");
    }

    #[test]
    fn a_header_replaces_its_namesake() {
        let mut request = Request::new("http://h/").unwrap().header("accept", "a").header("ACCEPT", "b");
        assert_eq!((request.get_header("Accept"), request.headers().len()), (Some("b"), 1));
        request.remove_header("accept");
        assert!(!request.has_header("Accept"));
    }
}
