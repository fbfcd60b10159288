//! Opening URLs: Python's `urllib.request`, on the machines of [`tidemill_core::http`].
//!
//! [`urlopen`] opens a URL, or a [`Request`], and gives a [`Response`] to read from. What it can do is the sum of the
//! handlers in an [`Opener`]: HTTP and HTTPS over connections that are kept, redirects, cookies, names and passwords, proxies,
//! content codings, `file:` and `data:`. Everything has a bound: heads, redirects, connections that are kept, and each wait.
//!
//! Where Python is careless, this is not. What identifies the user (`Authorization`, `Cookie`, `Proxy-Authorization`) follows
//! no redirect to another origin, and none leads to `file:`. Credentials are not sent before they are asked for. A connection
//! that ends early is an error, under TLS even where nothing was promised.
//!
//! | file | its one job |
//! |---|---|
//! | `request`, `response`, `headers`, `error` | what is asked, what comes, and what goes wrong |
//! | `opener` | the chain of handlers |
//! | `exchange`, `connection`, `wire`, `pool` | HTTP itself, one connection, its bytes, and connections kept |
//! | `redirect`, `cookies`, `auth`, `proxy`, `coding`, `local` | a handler each |
//! | `retrieve` | a URL into a file |
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
//! use tidemill_host::http::{Request, UrlError, urlopen};
//! use tidemill_host::serve::{Options, Server};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("tide.txt"), "high\nlow\n")?;
//! let mut server = Server::bind(&Options::new(folder.path(), "127.0.0.1:0".parse()?), |_| ())?;
//! let (address, waker, stop) = (server.local_addr(), server.waker(), Arc::new(AtomicBool::new(false)));
//! let thread = std::thread::spawn({
//!     let stop = stop.clone();
//!     move || server.run(&stop)
//! });
//!
//! let mut response = urlopen(&format!("http://{address}/tide.txt"), None, None)?;
//! assert_eq!((response.status, response.length()), (200, Some(9)));
//! assert_eq!(response.readline()?, b"high\n");
//!
//! let request = Request::new(&format!("http://{address}/none"))?.method("HEAD");
//! match urlopen(request, None, None) {
//!     Err(UrlError::Http(error)) => assert_eq!(error.status(), 404),
//!     other => panic!("{other:?}"),
//! }
//!
//! stop.store(true, Relaxed);
//! waker.wake();
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod coding;
mod connection;
mod cookies;
mod error;
mod exchange;
mod headers;
mod local;
mod opener;
mod pool;
mod proxy;
mod redirect;
mod request;
mod response;
mod retrieve;
#[cfg(test)]
mod tests;
mod wire;

pub use auth::{AuthHandler, NETRC_MAX, PasswordManager, netrc};
pub use coding::{Decoding, WINDOW_MAX};
pub use connection::{CONTINUE_TIME, HEAD_MAX};
pub use cookies::{COOKIE_BYTES_MAX, COOKIES_MAX, CookieJar, CookieProcessor};
pub use error::{HttpError, Phase, UrlError};
pub use exchange::HttpHandler;
pub use headers::Headers;
pub use local::{DataHandler, FileHandler};
pub use opener::{Builder, ErrorProcessor, Handler, Opener, Timeouts};
pub use pool::{IDLE_MAX, IDLE_PER_ORIGIN, IDLE_TIME};
pub use proxy::{Proxies, Proxy, ProxyHandler};
pub use redirect::RedirectHandler;
pub use request::{Data, Request, URL_MAX};
pub use response::{LINE_MAX, Response};
pub use retrieve::urlretrieve;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// What [`install_opener`] has installed, or what was made for the first [`urlopen`].
static OPENER: RwLock<Option<Arc<Opener>>> = RwLock::new(None);

/// Opens a URL or a request by the opener that is installed, with `data` to send if there is some. `timeout`, if given, is how
/// long to wait for a connection and for each byte.
///
/// # Errors
/// Any [`UrlError`]; a status that is no success is [`UrlError::Http`].
pub fn urlopen<R: TryInto<Request>>(url: R, data: Option<Data>, timeout: Option<Duration>) -> Result<Response, UrlError>
where
    UrlError: From<R::Error>,
{
    let mut request = opener::with_data(url.try_into()?, data);
    request.timeout = timeout.or(request.timeout);
    urlopener().go(request)
}

/// Has [`urlopen`] and [`urlretrieve`] use this opener from now on.
pub fn install_opener(opener: Opener) {
    *OPENER.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opener));
}

/// The opener that is installed; at first, [`Opener::new`].
fn urlopener() -> Arc<Opener> {
    if let Some(opener) = &*OPENER.read().unwrap_or_else(PoisonError::into_inner) {
        return Arc::clone(opener);
    }
    let mut opener = OPENER.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(opener.get_or_insert_with(|| Arc::new(Opener::new())))
}
