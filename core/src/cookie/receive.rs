//! The rules by which a cookie is taken or ignored (5.7).

use core::fmt;

use super::domain::{default_path, domain_match, path_match};
use super::{Cookie, From, JarView, Lifetime, Policy, Request, Rules, SameSite, SetCookie};

/// How long a cookie may live, whatever it says: 400 days, in seconds (5.5).
const LIFETIME_MAX: u64 = 400 * 86_400;

/// What became of a cookie that was not ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stored {
    /// It is in the jar, and was not before.
    New,
    /// It is in the jar, in place of the one of this name before it.
    Replaced,
    /// It was over already, which is how servers take a cookie back: none of this name is in the jar.
    Expired,
}

/// Why a cookie was ignored. The jar is as it was, except after [`Full`](Self::Full).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Ignored {
    /// There is a control other than a tab.
    Control {
        /// Where.
        at: usize,
    },
    /// There is a `;`, or a `=` in the name, which would make it another cookie when it is sent. Not from `Set-Cookie`.
    Separator,
    /// There is neither a name nor a value; or, under [`Rules::Rfc6265`], no name.
    Empty,
    /// Name and value are longer than 4,096 bytes together.
    TooLong,
    /// It alone is larger than the jar, or has a part of 64 KiB.
    TooLarge,
    /// `Domain` is a public suffix.
    PublicSuffix,
    /// `Domain` is neither the request's host nor above it.
    Domain,
    /// It is `Secure`, and the connection is not.
    Insecure,
    /// The connection is not secure, and it would stand in for a cookie that is.
    OverSecure,
    /// Another site's page caused it, and it does not say `SameSite=None`.
    CrossSite,
    /// `SameSite=None` without `Secure`.
    NoneInsecure,
    /// Its name begins with `__Secure-` or `__Host-`, and it lacks what these promise.
    Prefix,
    /// The policy does not want it.
    Policy,
    /// The jar is full of cookies that are worth more than this one: it came over an insecure connection from a domain that
    /// has many. If it was to replace one, that is gone.
    Full,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control { at } => return write!(f, "cookie has a control at byte {at}"),
            Self::Separator => "cookie has a ';' or '='",
            Self::Empty => "cookie has no name",
            Self::TooLong => "cookie longer than 4096 bytes",
            Self::TooLarge => "cookie larger than the jar",
            Self::PublicSuffix => "cookie for a public suffix",
            Self::Domain => "cookie for another domain",
            Self::Insecure => "secure cookie over an insecure connection",
            Self::OverSecure => "insecure cookie would overlay a secure one",
            Self::CrossSite => "cookie from another site's page",
            Self::NoneInsecure => "SameSite=None without Secure",
            Self::Prefix => "cookie lacks what its prefix promises",
            Self::Policy => "cookie against the policy",
            Self::Full => "jar is full",
        })
    }
}

impl core::error::Error for Ignored {}

impl JarView {
    /// Takes the value of one `Set-Cookie` field of the response to `request`. O(cookies + bytes of the jar).
    ///
    /// # Errors
    /// Says why it was ignored, which is nobody's fault but the server's.
    #[doc(alias = "extract_cookies")]
    pub fn set(
        &mut self,
        field: &[u8],
        request: &Request<'_>,
        now: u64,
        policy: &dyn Policy,
    ) -> Result<Stored, Ignored> {
        let bis = self.rules() == Rules::Rfc6265bis;
        let sent = SetCookie::parse(field, self.rules())?;
        let host = request.host;
        let mut domain = core::str::from_utf8(sent.domain).ok().filter(|domain| domain.is_ascii());
        if let Some(named) = domain.filter(|named| !named.is_empty()) {
            if is_public_suffix(policy, named) {
                if !named.eq_ignore_ascii_case(host) {
                    return Err(Ignored::PublicSuffix);
                }
                domain = Some("");
            } else if !domain_match(host.as_bytes(), named.as_bytes()) {
                return Err(Ignored::Domain);
            }
        }
        let domain = domain.ok_or(Ignored::Domain)?;
        let limit = if bis { now.saturating_add(LIFETIME_MAX) } else { u64::MAX };
        let cookie = Cookie {
            name: sent.name,
            value: sent.value,
            domain: if domain.is_empty() { host } else { domain },
            host_only: domain.is_empty(),
            path: sent.path.unwrap_or(default_path(request.path).as_bytes()),
            expires: match sent.lifetime {
                Lifetime::Session => None,
                Lifetime::For(0) => Some(0),
                Lifetime::For(seconds) => Some(now.saturating_add(seconds).min(limit)),
                Lifetime::Until(second) => Some(second.min(limit)),
            },
            secure: sent.secure,
            http_only: sent.http_only,
            same_site: sent.same_site,
        };
        if bis {
            self.check(&cookie, sent.path.is_some(), request)?;
        }
        if !policy.may_set(&cookie, request) {
            return Err(Ignored::Policy);
        }
        self.store(&cookie, now)
    }

    /// What the rules of today ask beyond those of 2011 (5.7, steps 13 to 22).
    fn check(&self, cookie: &Cookie<'_>, has_path: bool, request: &Request<'_>) -> Result<(), Ignored> {
        if cookie.secure && !request.secure {
            return Err(Ignored::Insecure);
        }
        if !cookie.secure && !request.secure && self.iter().any(|other| overlays(cookie, &other)) {
            return Err(Ignored::OverSecure);
        }
        if cookie.same_site != SameSite::None && request.from == From::CrossSite {
            return Err(Ignored::CrossSite);
        }
        if cookie.same_site == SameSite::None && !cookie.secure {
            return Err(Ignored::NoneInsecure);
        }
        let begins = |text: &[u8], prefix: &str| {
            text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let (secure, host) = ("__Secure-", "__Host-");
        let bound_to_host = cookie.secure && cookie.host_only && has_path && cookie.path == b"/";
        // A server that is lax about the missing name would read a name from the value.
        let hidden = cookie.name.is_empty() && (begins(cookie.value, secure) || begins(cookie.value, host));
        if begins(cookie.name, secure) && !cookie.secure || begins(cookie.name, host) && !bound_to_host || hidden {
            return Err(Ignored::Prefix);
        }
        Ok(())
    }
}

/// Whether a cookie would stand in for a secure one, for some requests (5.7, step 16).
fn overlays(new: &Cookie<'_>, old: &Cookie<'_>) -> bool {
    let (new_domain, old_domain) = (new.domain.as_bytes(), old.domain.as_bytes());
    old.secure
        && old.name == new.name
        && (domain_match(old_domain, new_domain) || domain_match(new_domain, old_domain))
        && path_match(new.path, old.path)
}

/// Asks in lower case, if the name is one that DNS could have.
fn is_public_suffix(policy: &dyn Policy, domain: &str) -> bool {
    if !domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return policy.is_public_suffix(domain);
    }
    let mut lower = [0; 253];
    let Some(lower) = lower.get_mut(..domain.len()) else { return false };
    lower.copy_from_slice(domain.as_bytes());
    lower.make_ascii_lowercase();
    core::str::from_utf8(lower).is_ok_and(|lower| policy.is_public_suffix(lower))
}
