//! Which responses redirect, and with which method the new request goes out (RFC 9110 15.4).
//!
//! Nothing is followed here: a [`Trail`] says where a redirect leads, and refuses those that lead astray, and [`goes_along`]
//! which fields go there, too. Who keeps the trail by other means asks [`is_followed`] and [`next_method`].
//!
//! ```
//! use tidemill_core::http::redirect::next_method;
//! assert_eq!(next_method(302, "POST"), Some("GET"));
//! assert_eq!(next_method(307, "POST"), Some("POST"));
//! assert_eq!(next_method(304, "GET"), None);
//! ```

use crate::url::{Uri, resolve};

/// How many redirects to follow before giving up.
pub const MAX_HOPS: u8 = 10;

/// How often one URL may be redirected to before that is a loop, as in Python.
pub const MAX_VISITS: u8 = 4;

/// The way of one request through redirects: decides at each where it goes on, and when to stop.
///
/// ```
/// use tidemill_core::http::redirect::{Refused, Trail};
/// let (mut trail, mut room) = (Trail::new(), [0; 256]);
/// let next = trail.follow(302, "POST", "https://h/a/b#top", Some(b"../c d"), &mut room)?.unwrap();
/// assert_eq!((next.url, next.method, next.same_origin), ("https://h/c%20d#top", "GET", true));
/// assert_eq!(trail.follow(302, "GET", "http://h/", Some(b"file:///etc/passwd"), &mut room), Err(Refused::Scheme));
/// assert_eq!(trail.follow(304, "GET", "http://h/", None, &mut room), Ok(None));
/// # Ok::<(), Refused>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Trail {
    /// Of each URL a hash, so that the trail has no length of its own.
    visited: [u64; MAX_HOPS as usize],
    hops: u8,
}

/// Where a redirect leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Next<'a> {
    /// The URL, whole.
    pub url: &'a str,
    /// The method to ask with there.
    pub method: &'a str,
    /// Whether it has the same origin as the last.
    pub same_origin: bool,
    /// Whether the method is the same: then the body goes along.
    pub same_method: bool,
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// It does not say where to.
    NoLocation,
    /// What it says is no URL, or longer than there is room for.
    Location,
    /// It leads to something other than HTTP.
    Scheme,
    /// It leads to the same URL for more than the [`MAX_VISITS`]th time.
    Loop,
    /// It is one more than [`MAX_HOPS`].
    TooMany,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoLocation => "redirect without a Location",
            Self::Location => "redirect to a malformed URL",
            Self::Scheme => "redirect to a scheme that is not followed",
            Self::Loop => "redirects go round in circles",
            Self::TooMany => "too many redirects",
        })
    }
}

impl core::error::Error for Refused {}

impl Trail {
    /// Before the first request.
    pub const fn new() -> Self {
        Self { visited: [0; MAX_HOPS as usize], hops: 0 }
    }

    /// How many redirects were followed.
    pub const fn hops(&self) -> u8 {
        self.hops
    }

    /// What this status and `Location`, in answer to `method` at `url`, lead to; `None` if that is no redirect. Bytes that
    /// cannot stand in a URL are percent-encoded, and the fragment goes along unless there is another (RFC 9110 10.2.2).
    /// `room` is for the new URL and for working it out: twice the length of both together, three times that of a
    /// `Location` full of blanks, is always enough.
    ///
    /// # Errors
    /// [`Refused`]: the response is to be shown as it is.
    pub fn follow<'a>(
        &mut self,
        status: u16,
        method: &'a str,
        url: &str,
        location: Option<&[u8]>,
        room: &'a mut [u8],
    ) -> Result<Option<Next<'a>>, Refused> {
        let Some(next_method) = next_method(status, method) else { return Ok(None) };
        let location = location.filter(|location| !location.is_empty()).ok_or(Refused::NoLocation)?;
        let from = Uri::parse(url).map_err(|_| Refused::Location)?;
        let half = room.len() / 2;
        let (out, scratch) = room.split_at_mut(half);
        let location = quoted(location, scratch).ok_or(Refused::Location)?;
        let resolved = resolve(&from, location, out).map_err(|_| Refused::Location)?.len();
        let len = match from.fragment() {
            Some(fragment) if !location.contains('#') => {
                let tail = out.get_mut(resolved..=resolved + fragment.len()).ok_or(Refused::Location)?;
                tail[0] = b'#';
                tail[1..].copy_from_slice(fragment.as_bytes());
                resolved + 1 + fragment.len()
            }
            _ => resolved,
        };
        let url = core::str::from_utf8(&out[..len]).map_err(|_| Refused::Location)?;
        let to = Uri::parse(url).map_err(|_| Refused::Location)?;
        if !is_followed(&to) {
            return Err(Refused::Scheme);
        }
        let hash = fnv(&url.as_bytes()[..resolved]);
        let before = &self.visited[..usize::from(self.hops)];
        if before.iter().filter(|&&visited| visited == hash).count() >= usize::from(MAX_VISITS) {
            return Err(Refused::Loop);
        }
        *self.visited.get_mut(usize::from(self.hops)).ok_or(Refused::TooMany)? = hash;
        self.hops += 1;
        let same_method = next_method == method;
        Ok(Some(Next { url, method: next_method, same_origin: same_origin(&from, &to), same_method }))
    }
}

/// `location` with what is not visible ASCII percent-encoded, as Python and browsers do.
fn quoted<'o>(location: &[u8], out: &'o mut [u8]) -> Option<&'o str> {
    let mut len = 0;
    let mut put = |byte| {
        *out.get_mut(len)? = byte;
        len += 1;
        Some(())
    };
    for &byte in location {
        if byte.is_ascii_graphic() {
            put(byte)?;
        } else {
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value & 15)];
            [b'%', digit(byte >> 4), digit(byte)].into_iter().try_for_each(&mut put)?;
        }
    }
    core::str::from_utf8(&out[..len]).ok()
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

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
    fn behaviour_60_a_trail_ends_at_a_loop_and_after_ten_hops() {
        let mut room = [0; 256];
        let mut trail = Trail::new();
        for _ in 0..MAX_VISITS {
            assert!(trail.follow(302, "GET", "http://h/a", Some(b"/a"), &mut room).unwrap().is_some());
        }
        assert_eq!(trail.follow(302, "GET", "http://h/a", Some(b"/a"), &mut room), Err(Refused::Loop));
        let mut trail = Trail::new();
        for hop in 0..MAX_HOPS {
            assert!(trail.follow(307, "GET", "http://h/a", Some(&[b'a' + hop]), &mut room).unwrap().is_some());
        }
        assert_eq!(trail.follow(307, "GET", "http://h/a", Some(b"z"), &mut room), Err(Refused::TooMany));
        assert_eq!(trail.hops(), MAX_HOPS);
    }

    #[test]
    fn behaviour_60_a_location_is_resolved_and_made_fit_to_be_sent() {
        for (url, location, expected) in [
            ("http://h/a?q", &b"//i/z"[..], "http://i/z"),
            ("http://h/a", b"?b c", "http://h/a?b%20c"),
            ("http://h/a", b"\xc3\xa9", "http://h/%C3%A9"),
            ("http://h/a#f", b"b#g", "http://h/b#g"),
            ("http://h/a#f", b"b", "http://h/b#f"),
        ] {
            let (mut trail, mut room) = (Trail::new(), [0; 128]);
            assert_eq!(trail.follow(301, "GET", url, Some(location), &mut room).unwrap().unwrap().url, expected);
        }
        fn refused(location: Option<&[u8]>, room: &mut [u8]) -> Result<(), Refused> {
            Trail::new().follow(301, "GET", "http://h/", location, room).map(drop)
        }
        assert_eq!(refused(None, &mut [0; 64]), Err(Refused::NoLocation));
        assert_eq!(refused(Some(b""), &mut [0; 64]), Err(Refused::NoLocation));
        assert_eq!(refused(Some(b"http://[/"), &mut [0; 64]), Err(Refused::Location));
        for location in [&b"file:///x"[..], b"data:,x", b"ftp://h/"] {
            assert_eq!(refused(Some(location), &mut [0; 64]), Err(Refused::Scheme));
        }
        for room in 0..40 {
            let _ = refused(Some(b"/a longer one"), &mut [0; 40][..room]);
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
