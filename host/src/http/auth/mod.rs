//! Names and passwords, given where they are asked for: `Basic` (RFC 7617) and `Digest` (RFC 7616).
//!
//! Nothing is sent before a server asks. Credentials come from the URL, or from a [`PasswordManager`], and go to the origin
//! that they are for and no other.

mod challenge;
mod digest;
mod netrc;

use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_core::url::Uri;

use super::opener::Handler;
use super::proxy::basic;
use super::redirect::drain;
use super::{Opener, Request, Response, UrlError};
use challenge::{Challenge, challenges};
pub use netrc::{NETRC_MAX, netrc};

/// How often a server may say that the nonce was too old.
const TRIES_MAX: u8 = 2;

/// Who is known where.
#[derive(Clone, Default)]
#[doc(alias = "HTTPPasswordMgrWithDefaultRealm")]
pub struct PasswordManager(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    realm: Option<String>,
    uri: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for PasswordManager {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| &entry.uri)).finish()
    }
}

impl PasswordManager {
    /// Nobody is known anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a realm (`None`: for any), at this URL and all beneath its path, or at an authority such as `host:80`.
    pub fn add_password(&mut self, realm: Option<&str>, uri: &str, user: &str, password: &str) {
        let (realm, uri) = (realm.map(str::to_owned), uri.to_owned());
        self.0.push(Entry { realm, uri, user: user.to_owned(), password: password.to_owned() });
    }

    /// Name and password for a realm at a URL. One for just this realm comes before one for any.
    pub fn find_user_password(&self, realm: &str, url: &str) -> Option<(&str, &str)> {
        let fits =
            |entry: &&Entry, wanted: Option<&str>| entry.realm.as_deref() == wanted && is_beneath(url, &entry.uri);
        let exact = self.0.iter().find(|entry| fits(entry, Some(realm)));
        let found = exact.or_else(|| self.0.iter().find(|entry| fits(entry, None)))?;
        Some((&found.user, &found.password))
    }
}

/// Whether a URL is at or beneath another, of the same origin: `/a` has `/a` and `/a/b` beneath it, not `/ab`.
fn is_beneath(url: &str, base: &str) -> bool {
    let Ok(url) = Uri::parse(url) else { return false };
    let with_scheme =
        if base.contains("://") { base.to_owned() } else { format!("{}://{base}", url.scheme().unwrap_or("http")) };
    let Ok(base) = Uri::parse(&with_scheme) else { return false };
    if !tidemill_core::http::redirect::same_origin(&url, &base) {
        return false;
    }
    let path = |text: &str| if text.is_empty() { "/".to_owned() } else { text.to_owned() };
    let (url, base) = (path(url.path()), path(base.path()));
    let rest = url.strip_prefix(base.as_str());
    // A dot segment could lead out of it again.
    let plain = !url.split('/').any(|segment| matches!(segment, "." | ".."));
    plain && rest.is_some_and(|rest| rest.is_empty() || base.ends_with('/') || rest.starts_with('/'))
}

/// Answers a server that asks who is there, with the strongest scheme that both know.
#[doc(alias = "HTTPBasicAuthHandler")]
#[doc(alias = "HTTPDigestAuthHandler")]
#[derive(Debug)]
pub struct AuthHandler {
    passwords: PasswordManager,
    /// Makes each client nonce another.
    count: AtomicU64,
}

impl AuthHandler {
    /// With these passwords, and those in URLs.
    pub fn new(passwords: PasswordManager) -> Self {
        Self { passwords, count: AtomicU64::new(0) }
    }

    /// The value of `Authorization` that answers one of these.
    fn answer(&self, request: &Request, challenges: &[Challenge]) -> Option<String> {
        let known = |realm: &str| {
            let from_url = request.userinfo.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            from_url.or_else(|| self.passwords.find_user_password(realm, request.full_url()))
        };
        let digests = challenges.iter().filter_map(digest::Asked::new);
        if let Some(asked) = digests.max_by_key(digest::Asked::strength) {
            // Only one that says the nonce was stale is worth another try with the same password.
            if request.auth_tries > 0 && !asked.stale {
                return None;
            }
            let (user, password) = known(&asked.realm)?;
            let cnonce = digest::client_nonce(self.count.fetch_add(1, Ordering::Relaxed));
            let target = match request.selector() {
                "" => "/",
                target => target,
            };
            return Some(asked.answer(user, password, request.get_method(), target, &cnonce));
        }
        let asked = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("basic"))?;
        let (user, password) = known(asked.get("realm").unwrap_or(""))?;
        (request.auth_tries == 0).then(|| basic(user, password))
    }
}

impl Handler for AuthHandler {
    fn order(&self) -> u16 {
        700
    }

    fn response(&self, request: &Request, response: Response, opener: &Opener) -> Result<Response, UrlError> {
        let whole = request.get_data().is_none_or(super::Data::is_whole);
        if response.status != 401 || request.auth_tries >= TRIES_MAX || !whole {
            return Ok(response);
        }
        let asked: Vec<Challenge> = response.headers.get_all("WWW-Authenticate").flat_map(challenges).collect();
        let Some(authorization) = self.answer(request, &asked) else { return Ok(response) };
        let mut again = request.clone();
        again.add_header("Authorization", &authorization);
        again.auth_tries += 1;
        drain(response);
        opener.open(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_its_origin_and_what_is_beneath_its_path() {
        let mut known = PasswordManager::new();
        known.add_password(Some("r"), "http://h/a", "u", "1");
        known.add_password(None, "http://h/", "any", "2");
        known.add_password(None, "i:81", "i", "3");
        let find = |realm, url| known.find_user_password(realm, url).map(|(user, _)| user);
        assert_eq!(find("r", "http://H:80/a/b"), Some("u"));
        assert_eq!(find("r", "http://h/ab"), Some("any"));
        assert_eq!(find("r", "http://h/a/../b"), None);
        assert_eq!(find("x", "http://h/a"), Some("any"));
        assert_eq!((find("x", "https://h/a"), find("x", "http://h.x/")), (None, None));
        assert_eq!((find("x", "http://i:81/z"), find("x", "http://i/z")), (Some("i"), None));
    }
}
