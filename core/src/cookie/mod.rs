//! Cookies as browsers keep them (RFC 6265bis), in a jar of fixed capacity.
//!
//! A [`Jar`] has room for so many cookies and so many bytes, chosen by its type; it never grows, and never refuses for
//! want of room what is worth more than what it holds: it gives up cookies in the draft's order. Feed it each `Set-Cookie`
//! field of a response with [`JarView::set`]; before a request, [`JarView::matching`] walks the cookies that go with it,
//! and writes them as the value of `Cookie` into a buffer. Neither copies anything in between.
//!
//! | file | its one job |
//! |---|---|
//! | `set_cookie` | a field's value, taken apart |
//! | `date` | the dates in it |
//! | `domain` | which hosts and paths a cookie belongs to |
//! | `receive` | the rules by which a cookie is taken or ignored |
//! | `record` | where a cookie lies in the arena, and what is asked of it most |
//! | `jar` | the arena, and who has to leave when it is full |
//! | `send` | which cookies go with a request, and how they are written |
//! | `policy` | what the rules leave to whoever runs the jar |
//!
//! The rules are those of draft-ietf-httpbis-rfc6265bis (2026); [`Rules::Rfc6265`] switches to those of 2011, which know
//! neither prefixes nor `SameSite` nor limits. Section numbers in here are the draft's.
//!
//! Time is a value: `now` is in seconds since 1970, as servers write it. A [`time::Instant`](crate::time::Instant) counts
//! from the start of the world and knows no date, so who has only that adds the date at which the world began. A device
//! that never learns the date may count from anywhere, say 0: `Max-Age` works, and only `Expires` needs the date.
//!
//! ```
//! use tidemill_core::cookie::{AnyDomain, Jar, Request};
//!
//! let mut jar = Jar::<16, 1024>::new();
//! let mut now = 1_700_000_000;
//! let login = Request::to("https", "www.example.org", "/login");
//! jar.set(b"id=17; Path=/; Secure; Max-Age=60", &login, now, &AnyDomain)?;
//! jar.set(b"theme=dark; Domain=example.org; Path=/", &login, now, &AnyDomain)?;
//!
//! let mut out = [0; 64];
//! let next = Request::to("https", "www.example.org", "/news");
//! assert_eq!(jar.matching(&next, now, &AnyDomain).write_to(&mut out)?, b"id=17; theme=dark");
//! let other = Request::to("http", "shop.example.org", "/");
//! assert_eq!(jar.matching(&other, now, &AnyDomain).write_to(&mut out)?, b"theme=dark");
//! now += 60;
//! assert_eq!(jar.matching(&next, now, &AnyDomain).write_to(&mut out)?, b"theme=dark");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod date;
mod domain;
mod jar;
mod policy;
mod receive;
mod record;
mod send;
mod set_cookie;
#[cfg(test)]
mod tests;

pub use date::parse as parse_date;
pub use jar::{Jar, JarView, Storage};
pub use policy::{AnyDomain, Domains, Policy};
pub use receive::{Ignored, Stored};
pub use send::{Matching, NoSpace};
pub use set_cookie::{Lifetime, SetCookie};

/// By which rules a jar takes cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rules {
    /// Those of today's browsers: draft-ietf-httpbis-rfc6265bis.
    #[default]
    Rfc6265bis,
    /// Those of 2011: a cookie needs a name; no prefixes, no `SameSite`, no limits but the jar's, no protection of secure
    /// cookies. Controls are refused all the same, for they would break a header apart.
    Rfc6265,
}

/// With which requests from other sites a cookie goes (5.6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SameSite {
    /// The server did not say: as [`Lax`](Self::Lax). The draft's "Default".
    #[default]
    Unspecified,
    /// With all.
    None,
    /// Only when a person follows a link.
    Lax,
    /// With none.
    Strict,
}

/// A cookie: in a jar, or on its way into one. Text is bytes, since servers send any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cookie<'a> {
    /// Its name; it may be empty under [`Rules::Rfc6265bis`].
    pub name: &'a [u8],
    /// Its value, quotes and all.
    pub value: &'a [u8],
    /// The host it belongs to, in lower case, without a dot in front.
    pub domain: &'a str,
    /// Whether it belongs to that host alone, not to those beneath it.
    pub host_only: bool,
    /// The path at and beneath which it is sent.
    pub path: &'a [u8],
    /// The second since 1970 at which it is over; `None`: with the session.
    pub expires: Option<u64>,
    /// Whether it is sent over secure connections only.
    pub secure: bool,
    /// Whether scripts must not see it.
    pub http_only: bool,
    /// With which requests from other sites it goes.
    pub same_site: SameSite,
}

impl Cookie<'_> {
    /// Whether it is over.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A request, as far as cookies go: what is asked for, and on whose behalf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Whether nobody can listen: HTTPS, and whatever else the caller trusts.
    pub secure: bool,
    /// The host, in any case, an IPv6 address without brackets. Beyond ASCII it must be in its ASCII form (`xn--`).
    pub host: &'a str,
    /// The path, without query, as it is sent.
    pub path: &'a str,
    /// Who asks.
    pub from: From,
}

impl<'a> Request<'a> {
    /// A request that a program makes for itself: secure if the scheme is `https` or `wss`.
    pub fn to(scheme: &str, host: &'a str, path: &'a str) -> Self {
        let secure = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss");
        Self { secure, host, path, from: From::SameSite }
    }
}

/// Who makes a request (5.2). A program that is no browser asks for itself: [`SameSite`](Self::SameSite).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum From {
    /// The site itself, or nobody else.
    #[default]
    SameSite,
    /// Another site's link, followed by a person, with a method that changes nothing.
    Link,
    /// Another site's form, sent by a person with another method.
    Form,
    /// Another site's page: an image, a frame, a script.
    CrossSite,
}
