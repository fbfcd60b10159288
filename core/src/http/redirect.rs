//! Which responses redirect, and with which method the new request goes out (RFC 9110 15.4).
//!
//! Nothing is followed here: the caller resolves `Location` and asks [`is_followed`] whether to go there, [`next_method`] with
//! which method, and [`goes_along`] which fields go there, too.
//!
//! ```
//! use tidemill_core::http::redirect::next_method;
//! assert_eq!(next_method(302, "POST"), Some("GET"));
//! assert_eq!(next_method(307, "POST"), Some("POST"));
//! assert_eq!(next_method(304, "GET"), None);
//! ```

use crate::url::Uri;

/// How many redirects to follow before giving up.
pub const MAX_HOPS: u8 = 10;

/// The method of the request to `Location`, if this status redirects. When it is the method that was sent, the body
/// goes along (if it can be sent again); when it is not, neither the body nor the fields that describe it do.
pub fn next_method(status: u16, method: &str) -> Option<&str> {
    match status {
        301..=303 => Some(if method == "HEAD" { "HEAD" } else { "GET" }),
        307 | 308 => Some(method),
        _ => None,
    }
}

/// Whether two URLs have the same origin: scheme, host and port, the scheme's own if they name none.
pub fn same_origin(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    let port = |uri: &Uri<'_>| uri.port().map(|port| port.or(default_port(uri)));
    let equal = |one: Option<&str>, other: Option<&str>| {
        one.zip(other).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    // A port that is none is that of no origin, nor has what is not HTTP one.
    default_port(one).is_some()
        && equal(one.scheme(), other.scheme())
        && equal(one.host(), other.host())
        && port(one).is_ok_and(|port_of_one| port(other) == Ok(port_of_one))
}

/// Whether a redirect to this URL may be followed at all: it is one of HTTP. Never to `file:` or the like, which a server
/// must not make a client read.
pub fn is_followed(to: &Uri<'_>) -> bool {
    default_port(to).is_some() && to.host().is_some_and(|host| !host.is_empty())
}

/// Whether a field of the request goes along to the next: what identifies the user only to the same origin, what describes
/// the body only if it is sent again.
///
/// ```
/// use tidemill_core::http::redirect::goes_along;
/// assert!(goes_along("Accept", false, false));
/// assert!(!goes_along("authorization", false, true));
/// assert!(!goes_along("Content-Type", true, false));
/// ```
pub fn goes_along(field: &str, same_origin: bool, same_method: bool) -> bool {
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(field));
    let describes_body = field.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
    (same_origin || !is(&["authorization", "cookie", "proxy-authorization"]))
        && (same_method || !describes_body && !is(&["transfer-encoding", "expect", "trailer"]))
}

fn default_port(uri: &Uri<'_>) -> Option<u16> {
    match uri.scheme() {
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some(80),
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn behaviour_61_an_origin_is_scheme_host_and_port() {
        let same = |one, other| same_origin(&uri(one), &uri(other));
        assert!(same("http://h/a", "HTTP://H:80/b"));
        assert!(same("https://u@h:443", "https://h/"));
        for other in ["https://h/", "http://x/", "http://h:81/", "http://h.x/", "//h/", "/", "http://h:99999/"] {
            assert!(!same("http://h/", other), "{other}");
        }
        assert!(!same("http://h:99999/", "http://h:99999/"));
        assert!(!same("file:///a", "file:///a"), "only HTTP has origins here");
    }

    #[test]
    fn behaviour_61_credentials_stay_with_their_origin() {
        for field in ["Authorization", "cookie", "PROXY-AUTHORIZATION"] {
            assert!(goes_along(field, true, true) && !goes_along(field, false, true), "{field}");
        }
        assert!(goes_along("Accept", false, false));
    }

    #[test]
    fn behaviour_60_what_describes_a_body_goes_with_it() {
        for field in ["Content-Type", "content-length", "Transfer-Encoding", "Expect"] {
            assert!(goes_along(field, true, true) && !goes_along(field, true, false), "{field}");
        }
    }

    #[test]
    fn behaviour_59_only_http_is_followed() {
        for to in ["http://h/", "HTTPS://h"] {
            assert!(is_followed(&uri(to)), "{to}");
        }
        for to in ["file:///etc/passwd", "ftp://h/", "data:,x", "http:", "http:///x", "/x", "//h/x"] {
            assert!(!is_followed(&uri(to)), "{to}");
        }
    }

    #[test]
    fn old_redirects_become_get_and_new_ones_keep_the_method() {
        for status in 301..=303 {
            assert_eq!(next_method(status, "POST"), Some("GET"));
            assert_eq!(next_method(status, "HEAD"), Some("HEAD"));
        }
        for status in [307, 308] {
            assert_eq!(next_method(status, "PUT"), Some("PUT"));
        }
        for status in [200, 300, 304, 305, 306, 309, 404] {
            assert_eq!(next_method(status, "GET"), None);
        }
    }
}
