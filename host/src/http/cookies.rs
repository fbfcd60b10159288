//! Cookies for each request, and from each response.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::cookie::{self, AnyDomain, Jar, JarView, Policy};

use super::headers::{bytes_of, latin};
use super::opener::Handler;
use super::{Opener, Request, Response, UrlError};

/// How many cookies a [`CookieJar`] has room for.
pub const COOKIES_MAX: usize = 1024;

/// How many bytes they may have together.
pub const COOKIE_BYTES_MAX: usize = 256 << 10;

/// A jar that openers and threads share. Cheap to clone.
#[derive(Clone)]
pub struct CookieJar(Arc<Mutex<Box<Jar<COOKIES_MAX, COOKIE_BYTES_MAX>>>>);

impl Default for CookieJar {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Box::new(Jar::new()))))
    }
}

impl CookieJar {
    /// An empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does something with the jar itself, such as loading or saving it: see [`cookies`](crate::cookies). Others wait.
    pub fn with<R>(&self, call: impl FnOnce(&mut JarView) -> R) -> R {
        call(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Box<Jar<COOKIES_MAX, COOKIE_BYTES_MAX>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the cookies of a jar along, and takes those that servers set. Requests get what belongs to them at each redirect
/// anew.
#[doc(alias = "HTTPCookieProcessor")]
pub struct CookieProcessor {
    jar: CookieJar,
    policy: Box<dyn Policy + Send + Sync>,
}

impl CookieProcessor {
    /// With the rules alone to decide.
    pub fn new(jar: CookieJar) -> Self {
        Self::with_policy(jar, AnyDomain)
    }

    /// With a policy besides: blocked domains, a list of public suffixes.
    pub fn with_policy(jar: CookieJar, policy: impl Policy + Send + Sync + 'static) -> Self {
        Self { jar, policy: Box::new(policy) }
    }
}

/// The second since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// What a request is to the jar.
fn asked(request: &Request) -> Option<cookie::Request<'_>> {
    let uri = request.uri().filter(|_| request.is_http())?;
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let mut asked = cookie::Request::to(uri.scheme()?, uri.host()?, path);
    if request.is_third_party() && request.unverifiable() {
        // A redirect from elsewhere is a link that was followed, unless it changes something.
        asked.from = match request.get_method() {
            "GET" | "HEAD" => cookie::From::Link,
            _ => cookie::From::Form,
        };
    }
    Some(asked)
}

impl Handler for CookieProcessor {
    fn request(&self, request: &mut Request) -> Result<(), UrlError> {
        // Whoever wrote the field by hand wants just that.
        if request.has_header("Cookie") {
            return Ok(());
        }
        let Some(asked) = asked(request) else { return Ok(()) };
        let mut jar = self.jar.lock();
        // As much as in the jar, and what stands between.
        let mut out = vec![0; jar.bytes() + "=; ".len() * jar.len()];
        let value = latin(jar.matching(&asked, now(), &*self.policy).write_to(&mut out).unwrap_or_default());
        drop(jar);
        if !value.is_empty() {
            request.add_header("Cookie", &value);
        }
        Ok(())
    }

    fn response(&self, request: &Request, response: Response, _: &Opener) -> Result<Response, UrlError> {
        if let Some(asked) = asked(request) {
            let mut jar = self.jar.lock();
            for value in response.headers.get_all("Set-Cookie") {
                // What the rules do not take is no error of whoever asked.
                let _ = jar.set(&bytes_of(value), &asked, now(), &*self.policy);
            }
        }
        Ok(response)
    }
}
