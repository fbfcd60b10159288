//! Openers: chains of handlers, as Python's `OpenerDirector`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auth::{AuthHandler, PasswordManager};
use super::coding::Decoding;
use super::cookies::CookieProcessor;
use super::error::HttpError;
use super::exchange::HttpHandler;
use super::local::{DataHandler, FileHandler};
use super::proxy::{Proxies, ProxyHandler};
use super::redirect::RedirectHandler;
use super::{Data, Request, Response, UrlError};
use crate::tls::Trust;

/// Something that takes part in opening a URL. Each method has an answer of its own, so that a handler says only what it
/// does: change the request, open it, or look at the response.
pub trait Handler: Send + Sync {
    /// Its place among the others: a lower one comes first, both on the way out and on the way back.
    #[doc(alias = "handler_order")]
    fn order(&self) -> u16 {
        500
    }

    /// Changes a request before it is opened.
    ///
    /// # Errors
    /// Why it must not be opened.
    #[doc(alias = "http_request")]
    fn request(&self, request: &mut Request) -> Result<(), UrlError> {
        let _ = request;
        Ok(())
    }

    /// Opens a request, or leaves it to others.
    #[doc(alias = "http_open")]
    fn open(&self, request: &Request) -> Option<Result<Response, UrlError>> {
        let _ = request;
        None
    }

    /// Looks at a response, and may ask for another by the opener.
    ///
    /// # Errors
    /// Why the response is none to be shown.
    #[doc(alias = "http_response")]
    fn response(&self, request: &Request, response: Response, opener: &Opener) -> Result<Response, UrlError> {
        let _ = (request, opener);
        Ok(response)
    }
}

impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn order(&self) -> u16 {
        (**self).order()
    }
    fn request(&self, request: &mut Request) -> Result<(), UrlError> {
        (**self).request(request)
    }
    fn open(&self, request: &Request) -> Option<Result<Response, UrlError>> {
        (**self).open(request)
    }
    fn response(&self, request: &Request, response: Response, opener: &Opener) -> Result<Response, UrlError> {
        (**self).response(request, response, opener)
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For a connection to come up, the look-up of the name included; what TLS then says counts as bytes that are waited for.
    pub connect: Duration,
    /// For the next byte, however many have come.
    pub idle: Duration,
    /// For all of it, redirects and the body included; `None`: as long as something comes.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s, 30 s, no end.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(30), total: None }
    }
}

/// Opens URLs by its handlers. May be used by many threads at once.
///
/// ```
/// use tidemill_host::http::Opener;
/// let opener = Opener::new();
/// let mut response = opener.open("data:text/plain,high%20water")?;
/// assert_eq!(response.read_all(100)?, b"high water");
/// # Ok::<(), tidemill_host::http::UrlError>(())
/// ```
#[doc(alias = "OpenerDirector")]
pub struct Opener {
    handlers: Vec<Box<dyn Handler>>,
    /// Fields that each request gets unless it has its own.
    #[doc(alias = "addheaders")]
    headers: Vec<(String, String)>,
    total: Option<Duration>,
}

impl Default for Opener {
    fn default() -> Self {
        Self::new()
    }
}

impl Opener {
    /// What `urlopen` uses: HTTP and HTTPS, redirects, credentials from the URL, proxies from the environment, `file:` and
    /// `data:`. No cookies.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// To choose what it does.
    #[doc(alias = "build_opener")]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// With no handler at all.
    pub fn empty() -> Self {
        Self { handlers: Vec::new(), headers: Vec::new(), total: None }
    }

    /// Adds a handler, behind those of the same order.
    pub fn add_handler(&mut self, handler: impl Handler + 'static) {
        let at = self.handlers.partition_point(|other| other.order() <= handler.order());
        self.handlers.insert(at, Box::new(handler));
    }

    /// Opens a URL or a request.
    ///
    /// # Errors
    /// Any [`UrlError`].
    pub fn open<R: TryInto<Request>>(&self, request: R) -> Result<Response, UrlError>
    where
        UrlError: From<R::Error>,
    {
        self.go(request.try_into()?)
    }

    pub(super) fn go(&self, mut request: Request) -> Result<Response, UrlError> {
        if request.deadline.is_none() {
            request.deadline = self.total.map(|total| Instant::now() + total);
        }
        for (name, value) in &self.headers {
            if !request.has_header(name) {
                request.add_header(name, value);
            }
        }
        // What handlers add is for this request, not for those that follow from it.
        let mut dressed = request.clone();
        for handler in &self.handlers {
            handler.request(&mut dressed)?;
        }
        let opened = self.handlers.iter().find_map(|handler| handler.open(&dressed));
        let mut response = opened.ok_or_else(|| UrlError::UnknownScheme(request.scheme().to_owned()))??;
        request.proxy = dressed.proxy;
        for handler in &self.handlers {
            response = handler.response(&request, response, self)?;
        }
        Ok(response)
    }
}

/// Builds an [`Opener`].
#[derive(Default)]
pub struct Builder {
    timeouts: Timeouts,
    trust: Option<Trust>,
    proxies: Option<Proxies>,
    cookies: Option<CookieProcessor>,
    passwords: Option<PasswordManager>,
    headers: Vec<(String, String)>,
    local: bool,
    more: Vec<Box<dyn Handler>>,
}

impl Builder {
    /// How long to wait.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Whom to trust, instead of the system's roots.
    pub fn trust(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// Which proxies to use, instead of those of the environment.
    pub fn proxies(self, proxies: Proxies) -> Self {
        Self { proxies: Some(proxies), ..self }
    }

    /// Keeps cookies.
    pub fn cookies(self, cookies: CookieProcessor) -> Self {
        Self { cookies: Some(cookies), ..self }
    }

    /// Whose names and passwords to use where they are asked for, besides those in URLs.
    pub fn passwords(self, passwords: PasswordManager) -> Self {
        Self { passwords: Some(passwords), ..self }
    }

    /// A field for each request that has none of this name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Opens nothing but HTTP: no `file:` and no `data:`.
    pub fn only_http(self) -> Self {
        Self { local: true, ..self }
    }

    /// Another handler.
    pub fn handler(mut self, handler: impl Handler + 'static) -> Self {
        self.more.push(Box::new(handler));
        self
    }

    /// The opener.
    pub fn build(self) -> Opener {
        let mut opener = Opener { headers: self.headers, total: self.timeouts.total, ..Opener::empty() };
        let http = HttpHandler::new(self.timeouts);
        opener.add_handler(match self.trust {
            Some(trust) => http.with_trust(trust),
            None => http,
        });
        opener.add_handler(ProxyHandler::new(self.proxies.unwrap_or_else(Proxies::from_environment)));
        opener.add_handler(Decoding);
        opener.add_handler(AuthHandler::new(self.passwords.unwrap_or_default()));
        opener.add_handler(RedirectHandler);
        opener.add_handler(ErrorProcessor);
        if let Some(cookies) = self.cookies {
            opener.add_handler(cookies);
        }
        if !self.local {
            opener.add_handler(FileHandler);
            opener.add_handler(DataHandler);
        }
        for handler in self.more {
            opener.add_handler(Arc::<dyn Handler>::from(handler));
        }
        opener
    }
}

/// Makes an error of each response whose status is no success.
#[derive(Clone, Copy, Default, Debug)]
#[doc(alias = "HTTPErrorProcessor")]
pub struct ErrorProcessor;

impl Handler for ErrorProcessor {
    fn order(&self) -> u16 {
        1000
    }

    fn response(&self, request: &Request, response: Response, _: &Opener) -> Result<Response, UrlError> {
        let switched = response.status == 101 && request.has_header("Upgrade");
        if (200..300).contains(&response.status) || switched {
            Ok(response)
        } else {
            Err(HttpError::raise(response, None))
        }
    }
}

/// The data of a form, as `urlopen(url, data)` takes it.
pub(super) fn with_data(mut request: Request, data: Option<Data>) -> Request {
    if let Some(data) = data {
        request = request.data(data);
    }
    request
}
