//! The value of a `Set-Cookie` field, taken apart (5.6).

use super::{Ignored, Rules, SameSite, date};
use crate::url::scan::find;

/// How many bytes name and value may have together (5.6).
const NAME_AND_VALUE_MAX: usize = 4096;

/// How many bytes an attribute's value may have; a longer one is as if it were not there.
const ATTRIBUTE_MAX: usize = 1024;

/// A `Set-Cookie` field, as slices of its value: what the server said, before anybody asks whether it may.
///
/// ```
/// use tidemill_core::cookie::{Lifetime, Rules, SetCookie};
/// let cookie = SetCookie::parse(b"a = b; max-age=60; Expires=never; Secure", Rules::default())?;
/// assert_eq!((cookie.name, cookie.value), (&b"a"[..], &b"b"[..]));
/// assert_eq!((cookie.lifetime, cookie.secure), (Lifetime::For(60), true));
/// # Ok::<(), tidemill_core::cookie::Ignored>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SetCookie<'a> {
    /// Its name; it may be empty under [`Rules::Rfc6265bis`].
    pub name: &'a [u8],
    /// Its value, quotes and all.
    pub value: &'a [u8],
    /// The last `Domain`, without the dot in front, as sent; empty as good as none.
    pub domain: &'a [u8],
    /// The last `Path`, if it is one: it begins with a slash. `None`: the path follows from the request's.
    pub path: Option<&'a [u8]>,
    /// The last `Max-Age`, or else the last `Expires`.
    pub lifetime: Lifetime,
    /// Whether it is to be sent over secure connections only.
    pub secure: bool,
    /// Whether scripts must not see it.
    pub http_only: bool,
    /// The last `SameSite`.
    pub same_site: SameSite,
}

/// How long a cookie is to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lifetime {
    /// Until the session is over.
    #[default]
    Session,
    /// So many seconds from now; 0: it is over.
    For(u64),
    /// Until this second since 1970.
    Until(u64),
}

impl<'a> SetCookie<'a> {
    /// Takes the value of a field apart. O(n), without a copy.
    ///
    /// # Errors
    /// [`Ignored::Control`], [`Ignored::Empty`] and [`Ignored::TooLong`]: the rules say to ignore it.
    pub fn parse(text: &'a [u8], rules: Rules) -> Result<Self, Ignored> {
        if let Some(at) = control(text) {
            return Err(Ignored::Control { at });
        }
        let (pair, attributes) = partition(text, b';');
        let (name, value) = match (partition(pair, b'='), rules) {
            ((name, Some(value)), _) => (trim(name), trim(value)),
            ((value, None), Rules::Rfc6265bis) => (&b""[..], trim(value)),
            ((_, None), Rules::Rfc6265) => return Err(Ignored::Empty),
        };
        if name.is_empty() && (value.is_empty() || rules == Rules::Rfc6265) {
            return Err(Ignored::Empty);
        }
        if rules == Rules::Rfc6265bis && name.len() + value.len() > NAME_AND_VALUE_MAX {
            return Err(Ignored::TooLong);
        }
        let mut cookie = Self {
            name,
            value,
            domain: b"",
            path: None,
            lifetime: Lifetime::Session,
            secure: false,
            http_only: false,
            same_site: SameSite::Unspecified,
        };
        let mut rest = attributes;
        while let Some(text) = rest {
            let (attribute, after) = partition(text, b';');
            rest = after;
            let (name, value) = partition(attribute, b'=');
            let value = trim(value.unwrap_or_default());
            if rules == Rules::Rfc6265 || value.len() <= ATTRIBUTE_MAX {
                cookie.attribute(trim(name), value, rules);
            }
        }
        Ok(cookie)
    }

    fn attribute(&mut self, name: &[u8], value: &'a [u8], rules: Rules) {
        let is = |text: &[u8], what: &str| text.eq_ignore_ascii_case(what.as_bytes());
        if is(name, "expires") {
            if let (Some(second), Lifetime::Session | Lifetime::Until(_)) = (date::parse(value), self.lifetime) {
                self.lifetime = Lifetime::Until(second);
            }
        } else if is(name, "max-age") {
            if let Some(seconds) = max_age(value) {
                self.lifetime = Lifetime::For(seconds);
            }
        } else if is(name, "domain") {
            // In 2011 an empty one was to be overlooked; today it takes back those before it.
            if !value.is_empty() || rules == Rules::Rfc6265bis {
                self.domain = value.strip_prefix(b".").unwrap_or(value);
            }
        } else if is(name, "path") {
            self.path = value.starts_with(b"/").then_some(value);
        } else if is(name, "secure") {
            self.secure = true;
        } else if is(name, "httponly") {
            self.http_only = true;
        } else if is(name, "samesite") && rules == Rules::Rfc6265bis {
            self.same_site = match () {
                () if is(value, "none") => SameSite::None,
                () if is(value, "lax") => SameSite::Lax,
                () if is(value, "strict") => SameSite::Strict,
                () => SameSite::Unspecified,
            };
        }
    }
}

/// The seconds of a `Max-Age`: digits, perhaps behind a minus. What is beyond 64 bits is as much as they hold.
fn max_age(value: &[u8]) -> Option<u64> {
    let (digits, negative) = value.strip_prefix(b"-").map_or((value, false), |digits| (digits, true));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |seconds: u64, digit: &u8| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(if negative { 0 } else { digits.iter().fold(0, add) })
}

/// Where the first control stands that is no tab.
pub(super) fn control(text: &[u8]) -> Option<usize> {
    let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    // Hardly any has one: so looked at as a whole first, many bytes at once.
    let any = text.iter().fold(0, |any, byte| any | u8::from(is_control(*byte)));
    if any != 0 { text.iter().position(|byte| is_control(*byte)) } else { None }
}

/// What stands before the first `separator`, and what behind it.
fn partition(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match find(text, [separator]).and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Without blanks around: spaces and tabs only.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
