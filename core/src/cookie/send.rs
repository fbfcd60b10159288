//! Which cookies go with a request, and how they are written (5.8.3).

use core::fmt::{self, Write};

use super::domain::{is_address, is_beneath, marks_of, path_match};
use super::record::Record;
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
        let host = request.host.as_bytes();
        let (records, marks, bytes, event) = self.touch();
        Matching {
            records: records.iter_mut(),
            marks,
            bytes,
            event,
            domains: marks_of(host),
            is_name: !is_address(host),
            request: Request { path: if request.path.is_empty() { "/" } else { request.path }, ..*request },
            now,
            policy,
        }
    }
}

/// The cookies that go with a request: an iterator, which can write the rest of itself as the value of `Cookie`.
pub struct Matching<'j> {
    records: core::slice::IterMut<'j, Record>,
    /// Of the records that are left.
    marks: &'j [u32],
    bytes: &'j [u8],
    event: u32,
    /// See [`marks_of`].
    domains: u32,
    /// Whether the host is a name, so that it may lie beneath others.
    is_name: bool,
    request: Request<'j>,
    now: u64,
    policy: &'j dyn Policy,
}

impl<'j> Iterator for Matching<'j> {
    type Item = Cookie<'j>;

    fn next(&mut self) -> Option<Cookie<'j>> {
        loop {
            let record = self.next_near()?;
            if let Some(cookie) = self.taken(record) {
                record.used = self.event;
                return Some(cookie);
            }
        }
    }
}

impl<'j> Matching<'j> {
    /// The next whose mark lets it be one. Most are sorted out here, without a look at the rest of them.
    fn next_near(&mut self) -> Option<&'j mut Record> {
        let domains = self.domains;
        let is_near = |mark: &u32| mark & domains == *mark;
        let (mut marks, mut far) = (self.marks, 0);
        // So many at once, as processors can.
        while let Some((many, rest)) = marks.split_first_chunk::<8>()
            && many.iter().fold(0, |any, mark| any | u8::from(is_near(mark))) == 0
        {
            (marks, far) = (rest, far + many.len());
        }
        let at = marks.iter().position(is_near)?;
        self.marks = marks.get(at + 1..).unwrap_or_default();
        self.records.nth(far + at)
    }

    /// The cookie, if it goes with the request.
    fn taken(&self, record: &Record) -> Option<Cookie<'j>> {
        let parts @ [_, _, domain, path] = record.parts(self.bytes);
        let (host, request) = (self.request.host.as_bytes(), &self.request);
        let is_domain =
            is_beneath(host, domain) && (host.len() == domain.len() || !record.is_host_only() && self.is_name);
        if !is_domain
            || !path_match(request.path.as_bytes(), path)
            || record.is_expired(self.now)
            || record.is_secure() && !request.secure
        {
            return None;
        }
        let cookie = record.cookie_of(parts);
        let is_site = match (request.from, cookie.same_site) {
            (From::SameSite, _) | (_, SameSite::None) => true,
            (From::Link, same_site) => same_site != SameSite::Strict,
            (From::Form | From::CrossSite, _) => false,
        };
        // It lies in the jar in lower case.
        let is_suffix = !cookie.host_only && self.policy.is_public_suffix(cookie.domain);
        (is_site && !is_suffix && self.policy.may_get(&cookie, request)).then_some(cookie)
    }

    /// Writes the value of `Cookie` into a buffer; empty if no cookie goes with the request, which then gets no such
    /// field.
    ///
    /// # Errors
    /// [`NoSpace`], after which `out` holds scraps.
    pub fn write_to(self, out: &mut [u8]) -> Result<&[u8], NoSpace> {
        let mut len = 0;
        for (index, cookie) in self.enumerate() {
            let mut rest = out.get_mut(len..).unwrap_or_default();
            for part in parts(&cookie, index == 0) {
                let (room, behind) = rest.split_at_mut_checked(part.len()).ok_or(NoSpace)?;
                room.copy_from_slice(part);
                (rest, len) = (behind, len + part.len());
            }
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
