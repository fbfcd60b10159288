//! Redirects, followed by the rules of core.

use std::io::Read as _;

use tidemill_core::http::redirect::{Refused, goes_along, next_method};

use super::error::HttpError;
use super::headers::bytes_of;
use super::opener::Handler;
use super::request::URL_MAX;
use super::{Opener, Request, Response, UrlError};

/// How much of a redirect's own body is read, so that its connection can be used again.
const DRAIN_MAX: u64 = 64 << 10;

/// Follows redirects to HTTP and nowhere else, at most [`MAX_HOPS`](tidemill_core::http::redirect::MAX_HOPS) of them. What
/// identifies the user goes to the same origin only.
#[derive(Clone, Copy, Default, Debug)]
#[doc(alias = "HTTPRedirectHandler")]
pub struct RedirectHandler;

impl Handler for RedirectHandler {
    fn order(&self) -> u16 {
        800
    }

    fn response(&self, request: &Request, response: Response, opener: &Opener) -> Result<Response, UrlError> {
        if next_method(response.status, request.get_method()).is_none() || !request.is_http() {
            return Ok(response);
        }
        let mut trail = request.trail;
        let location = response.header("Location").map(bytes_of);
        let mut room = vec![0; 8 * URL_MAX];
        let from = request.full_url();
        let next = match trail.follow(response.status, request.get_method(), from, location.as_deref(), &mut room) {
            Ok(None) => return Ok(response),
            Ok(Some(next)) => next,
            Err(refused) => return Err(HttpError::raise(response, Some(refused))),
        };
        // What was read from a reader is gone: it cannot be sent again.
        if next.same_method && request.get_data().is_some_and(|data| !data.is_whole()) {
            return Err(HttpError::raise(response, None));
        }
        let Ok(mut onward) = request.redirected(next.url, next.method, next.same_method) else {
            return Err(HttpError::raise(response, Some(Refused::Location)));
        };
        onward.trail = trail;
        onward.headers.retain(|name| goes_along(name, next.same_origin, next.same_method));
        if onward.userinfo.is_none() && next.same_origin {
            onward.userinfo.clone_from(&request.userinfo);
        }
        drain(response);
        opener.open(onward)
    }
}

/// Reads what is left of a response that nobody wants, if it is little.
pub(super) fn drain(response: Response) {
    let _ = std::io::copy(&mut response.take(DRAIN_MAX), &mut std::io::sink());
}
