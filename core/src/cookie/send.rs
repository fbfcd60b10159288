//! Which cookies go with a request, and how they are written (5.8.3).

use core::fmt::{self, Write};

use super::domain::{bit_of, domain_match, domains_of, path_match};
use super::jar::Record;
use super::receive::is_public_suffix;
use super::{Cookie, From, JarView, Policy, Request, SameSite};

/// The `Cookie` field does not fit into the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoSpace;

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cookies do not fit into the buffer")
    }
}

impl core::error::Error for NoSpace {}

impl JarView {
    /// The cookies that go with a request, in the order in which they are sent; each counts as used when it comes by.
    /// O(cookies) for all of them.
    #[doc(alias = "add_cookie_header")]
    pub fn matching<'j>(&'j mut self, request: &Request<'j>, now: u64, policy: &'j dyn Policy) -> Matching<'j> {
        let (records, bytes, event) = self.touch();
        let domains = domains_of(request.host.as_bytes());
        Matching { records: records.iter_mut(), bytes, event, domains, request: *request, now, policy }
    }
}

/// The cookies that go with a request: an iterator, which can write the rest of itself as the value of `Cookie`.
pub struct Matching<'j> {
    records: core::slice::IterMut<'j, Record>,
    bytes: &'j [u8],
    event: u64,
    /// See [`domains_of`].
    domains: u64,
    request: Request<'j>,
    now: u64,
    policy: &'j dyn Policy,
}

impl<'j> Iterator for Matching<'j> {
    type Item = Cookie<'j>;

    fn next(&mut self) -> Option<Cookie<'j>> {
        loop {
            let record = self.records.next()?;
            // Most are sorted out here, without a look at their text.
            if self.domains & bit_of(record.domain_hash) == 0 || record.is_expired(self.now) {
                continue;
            }
            let cookie = record.cookie(self.bytes);
            if goes_with(&cookie, &self.request, self.policy) {
                record.used = self.event;
                return Some(cookie);
            }
        }
    }
}

fn goes_with(cookie: &Cookie<'_>, request: &Request<'_>, policy: &dyn Policy) -> bool {
    let path = if request.path.is_empty() { "/" } else { request.path };
    let is_domain = if cookie.host_only {
        cookie.domain.eq_ignore_ascii_case(request.host)
    } else {
        domain_match(request.host.as_bytes(), cookie.domain.as_bytes())
    };
    let is_site = match (request.from, cookie.same_site) {
        (From::SameSite, _) | (_, SameSite::None) => true,
        (From::Link, same_site) => same_site != SameSite::Strict,
        (From::Form | From::CrossSite, _) => false,
    };
    is_domain
        && path_match(path.as_bytes(), cookie.path)
        && (!cookie.secure || request.secure)
        && is_site
        && (cookie.host_only || !is_public_suffix(policy, cookie.domain))
        && policy.may_get(cookie, request)
}

impl Matching<'_> {
    /// Writes the value of `Cookie` into a buffer; empty if no cookie goes with the request, which then gets no such
    /// field.
    ///
    /// # Errors
    /// [`NoSpace`], after which `out` holds scraps.
    pub fn write_to(self, out: &mut [u8]) -> Result<&[u8], NoSpace> {
        let mut len = 0;
        let mut put = |part: &[u8]| {
            out.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
            Some(())
        };
        for (index, cookie) in self.enumerate() {
            let parts = parts(&cookie, index == 0);
            parts.iter().try_for_each(|part| put(part)).ok_or(NoSpace)?;
        }
        Ok(out.get(..len).unwrap_or_default())
    }

    /// Writes the same as text. Servers that set bytes which are no UTF-8 get U+FFFD for them: [`write_to`](Self::write_to)
    /// gives them back as they were.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(self, out: &mut dyn Write) -> fmt::Result {
        for (index, cookie) in self.enumerate() {
            for chunk in parts(&cookie, index == 0).into_iter().flat_map(<[u8]>::utf8_chunks) {
                out.write_str(chunk.valid())?;
                if !chunk.invalid().is_empty() {
                    out.write_char(char::REPLACEMENT_CHARACTER)?;
                }
            }
        }
        Ok(())
    }
}

/// What is written for one cookie.
fn parts<'c>(cookie: &Cookie<'c>, is_first: bool) -> [&'c [u8]; 4] {
    [if is_first { b"" } else { b"; " }, cookie.name, if cookie.name.is_empty() { b"" } else { b"=" }, cookie.value]
}
