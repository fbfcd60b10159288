//! What the rules leave to whoever runs the jar: public suffixes, and whom to trust with cookies at all.

use super::{Cookie, Request};

/// Decides what the rules do not. Every method has an answer of its own, so that an implementation says only what it
/// wants otherwise.
///
/// ```
/// use tidemill_core::cookie::{Cookie, Ignored, Jar, Policy, Request};
///
/// struct Ours;
/// impl Policy for Ours {
///     fn is_public_suffix(&self, domain: &str) -> bool {
///         !domain.contains('.') || domain == "co.uk"
///     }
///     fn may_set(&self, cookie: &Cookie<'_>, _: &Request<'_>) -> bool {
///         cookie.name != b"tracker"
///     }
/// }
///
/// let mut jar = Jar::<4, 256>::new();
/// let request = Request::to("https", "shop.co.uk", "/");
/// assert_eq!(jar.set(b"a=1; Domain=co.uk", &request, 0, &Ours), Err(Ignored::PublicSuffix));
/// assert_eq!(jar.set(b"tracker=1", &request, 0, &Ours), Err(Ignored::Policy));
/// ```
pub trait Policy {
    /// Whether anybody can register names beneath this domain, as beneath `com` or `github.io`: no cookie may belong to
    /// all of them. Unless told otherwise, any domain without a dot is one. Who has the Public Suffix List asks it here.
    /// The domain is in lower case.
    fn is_public_suffix(&self, domain: &str) -> bool {
        !domain.contains('.')
    }

    /// Whether the response to this request may set this cookie, which the rules would take.
    fn may_set(&self, cookie: &Cookie<'_>, request: &Request<'_>) -> bool {
        let _ = (cookie, request);
        true
    }

    /// Whether this cookie may go with this request, as the rules would have it.
    fn may_get(&self, cookie: &Cookie<'_>, request: &Request<'_>) -> bool {
        let _ = (cookie, request);
        true
    }
}

/// Leaves everything to the rules; a domain without a dot is a public suffix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AnyDomain;

impl Policy for AnyDomain {}

/// Lists of hosts that may or may not set and get cookies, as `DefaultCookiePolicy` of Python has them: an entry that
/// begins with a dot stands for all hosts beneath it, any other for itself. O(n) for each question.
///
/// ```
/// use tidemill_core::cookie::{Domains, Ignored, Jar, Request};
/// let policy = Domains { allowed: None, blocked: &["ads.example", ".ads.example"] };
/// let mut jar = Jar::<4, 256>::new();
/// let set = |jar: &mut Jar<4, 256>, host| jar.set(b"a=1", &Request::to("http", host, "/"), 0, &policy);
/// assert_eq!(set(&mut jar, "x.ads.example"), Err(Ignored::Policy));
/// assert!(set(&mut jar, "example").is_ok());
/// ```
#[doc(alias = "DefaultCookiePolicy")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Domains<'a> {
    /// The only hosts that may, if there is such a list.
    pub allowed: Option<&'a [&'a str]>,
    /// Hosts that may not.
    pub blocked: &'a [&'a str],
}

impl Domains<'_> {
    fn trusts(&self, host: &str) -> bool {
        let stands_for = |entry: &&str| {
            let end = if entry.starts_with('.') { host.len().checked_sub(entry.len()) } else { Some(0) };
            end.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(entry))
        };
        !self.blocked.iter().any(stands_for) && self.allowed.is_none_or(|hosts| hosts.iter().any(stands_for))
    }
}

impl Policy for Domains<'_> {
    fn may_set(&self, _: &Cookie<'_>, request: &Request<'_>) -> bool {
        self.trusts(request.host)
    }

    fn may_get(&self, _: &Cookie<'_>, request: &Request<'_>) -> bool {
        self.trusts(request.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stands_for_a_host_or_with_a_dot_for_those_beneath_it() {
        let domains = |allowed, blocked| Domains { allowed, blocked };
        assert!(domains(None, &[]).trusts("a.b"));
        assert!(!domains(None, &["A.b"]).trusts("a.B"));
        assert!(domains(None, &["b"]).trusts("a.b") && domains(None, &[".b"]).trusts("b"));
        assert!(!domains(None, &[".b"]).trusts("a.b"));
        assert!(domains(Some(&[".b"]), &[]).trusts("a.b") && !domains(Some(&[]), &[]).trusts("a.b"));
        assert!(!domains(Some(&["a.b"]), &["a.b"]).trusts("a.b"));
    }
}
