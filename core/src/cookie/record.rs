//! Where a cookie lies in a jar's bytes, and what is asked of it without looking there.

use super::domain::{domain_hash, fold, mark_of};
use super::{Cookie, SameSite};

/// A cookie, but for its text, and its [`Traits`], which stand apart so that a search reads nothing else.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Record {
    /// `u64::MAX`: with the session.
    pub(super) expires: u64,
    pub(super) at: u32,
    /// When it was last set or sent, in the jar's count of such events.
    pub(super) used: u32,
    pub(super) name: u16,
    pub(super) value: u16,
    pub(super) domain: u16,
    pub(super) path: u16,
    /// How many bytes behind the text are its own, and empty: its value was longer before.
    pub(super) spare: u16,
    /// How many cookies have this domain, this one among them.
    pub(super) sharing: u16,
    pub(super) flags: u8,
}

/// What sorts out most cookies in a search: the mark of its domain, and a hash of all that tells it from others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) mark: u32,
    pub(super) key: u32,
}

impl Traits {
    pub(super) fn of(cookie: &Cookie<'_>) -> Self {
        let domain = domain_hash(cookie.domain.as_bytes());
        Self { mark: mark_of(domain), key: fold(fold(domain, cookie.name), cookie.path) }
    }
}

impl Record {
    const HOST_ONLY: u8 = 1;
    const SECURE: u8 = 2;
    const HTTP_ONLY: u8 = 4;
    const PERSISTENT: u8 = 8;
    const SAME_SITE: u8 = 16;

    pub(super) const EMPTY: Self =
        Self { expires: 0, at: 0, used: 0, name: 0, value: 0, domain: 0, path: 0, spare: 0, sharing: 0, flags: 0 };

    /// `None`: a part is too long.
    pub(super) fn of(cookie: &Cookie<'_>) -> Option<Self> {
        let len = |part: &[u8]| u16::try_from(part.len()).ok();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        Some(Self {
            expires: cookie.expires.unwrap_or(u64::MAX),
            name: len(cookie.name)?,
            value: len(cookie.value)?,
            domain: len(cookie.domain.as_bytes())?,
            path: len(cookie.path)?,
            flags: flag(cookie.host_only, Self::HOST_ONLY)
                | flag(cookie.secure, Self::SECURE)
                | flag(cookie.http_only, Self::HTTP_ONLY)
                | flag(cookie.expires.is_some(), Self::PERSISTENT)
                | (cookie.same_site as u8 * Self::SAME_SITE),
            ..Self::EMPTY
        })
    }

    /// How long its text is.
    pub(super) fn len(&self) -> usize {
        [self.name, self.value, self.domain, self.path].into_iter().map(usize::from).sum()
    }

    /// How many bytes are its own.
    pub(super) fn room(&self) -> usize {
        self.len() + usize::from(self.spare)
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.flags & Self::PERSISTENT != 0 && self.expires <= now
    }

    pub(super) fn is_secure(&self) -> bool {
        self.flags & Self::SECURE != 0
    }

    pub(super) fn is_host_only(&self) -> bool {
        self.flags & Self::HOST_ONLY != 0
    }

    /// Name, value, domain and path.
    pub(super) fn parts<'j>(&self, bytes: &'j [u8]) -> [&'j [u8]; 4] {
        let mut rest = bytes.get(self.at as usize..).unwrap_or_default();
        [self.name, self.value, self.domain, self.path].map(|len| {
            let (part, after) = rest.split_at_checked(len.into()).unwrap_or_default();
            rest = after;
            part
        })
    }

    pub(super) fn domain<'j>(&self, bytes: &'j [u8]) -> &'j [u8] {
        self.parts(bytes)[2]
    }

    /// Writes its text to where it lies.
    pub(super) fn write(&self, cookie: &Cookie<'_>, bytes: &mut [u8]) {
        let mut rest = bytes.get_mut(self.at as usize..).unwrap_or_default();
        for part in [cookie.name, cookie.value, cookie.domain.as_bytes(), cookie.path] {
            let Some((room, after)) = rest.split_at_mut_checked(part.len()) else { return };
            room.copy_from_slice(part);
            rest = after;
        }
        let domain = self.at as usize + usize::from(self.name) + usize::from(self.value);
        if let Some(domain) = bytes.get_mut(domain..domain + usize::from(self.domain)) {
            domain.make_ascii_lowercase();
        }
    }

    pub(super) fn cookie<'j>(&self, bytes: &'j [u8]) -> Cookie<'j> {
        self.cookie_of(self.parts(bytes))
    }

    /// The same, of its parts.
    pub(super) fn cookie_of<'j>(&self, [name, value, domain, path]: [&'j [u8]; 4]) -> Cookie<'j> {
        Cookie {
            name,
            value,
            // It was text when it came in.
            domain: core::str::from_utf8(domain).unwrap_or_default(),
            host_only: self.is_host_only(),
            path,
            expires: (self.flags & Self::PERSISTENT != 0).then_some(self.expires),
            secure: self.is_secure(),
            http_only: self.flags & Self::HTTP_ONLY != 0,
            same_site: match self.flags / Self::SAME_SITE {
                1 => SameSite::None,
                2 => SameSite::Lax,
                3 => SameSite::Strict,
                _ => SameSite::Unspecified,
            },
        }
    }
}
