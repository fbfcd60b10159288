//! The arena: records in the order in which cookies are sent, their text in one run of bytes without gaps.
//!
//! Kept true between calls: records are sorted by length of path, longest first, then by age, which is the order of
//! `Cookie` (5.8.3), so nothing is ever sorted; no two have the same name, domain, host-only flag and path; their blocks
//! of bytes (name, value, domain, path) cover `bytes[..used]` exactly; `sharing` counts the records of one domain.
//!
//! To remove a cookie closes the gap, which moves half the bytes on average: a microsecond for the 30 KB of 300 cookies.

use core::fmt;
use core::ops::{Deref, DerefMut};

use super::domain::{domain_hash, fold};
use super::{Cookie, Ignored, Rules, SameSite, Stored};

/// Cookies beyond these many of one domain have to leave first, unless the jar is told otherwise (5.7).
const PER_DOMAIN: u16 = 50;

/// Where a cookie lies and what is asked of it without looking there.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    at: u32,
    name: u16,
    value: u16,
    domain: u16,
    pub(super) path: u16,
    /// `u64::MAX`: with the session.
    pub(super) expires: u64,
    /// When it was last set or sent, in the jar's count of such events.
    pub(super) used: u64,
    pub(super) domain_hash: u32,
    key_hash: u32,
    /// How many cookies have this domain, this one among them.
    sharing: u16,
    flags: u8,
}

impl Record {
    const HOST_ONLY: u8 = 1;
    const SECURE: u8 = 2;
    const HTTP_ONLY: u8 = 4;
    const PERSISTENT: u8 = 8;
    const SAME_SITE: u8 = 16;

    const EMPTY: Self = Self {
        at: 0,
        name: 0,
        value: 0,
        domain: 0,
        path: 0,
        expires: 0,
        used: 0,
        domain_hash: 0,
        key_hash: 0,
        sharing: 0,
        flags: 0,
    };

    /// `None`: a part is too long.
    fn of(cookie: &Cookie<'_>) -> Option<Self> {
        let len = |part: &[u8]| u16::try_from(part.len()).ok();
        let domain_hash = domain_hash(cookie.domain.as_bytes());
        let key = cookie.name.iter().chain(b"\0").chain(cookie.path).copied();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        Some(Self {
            name: len(cookie.name)?,
            value: len(cookie.value)?,
            domain: len(cookie.domain.as_bytes())?,
            path: len(cookie.path)?,
            expires: cookie.expires.unwrap_or(u64::MAX),
            domain_hash,
            key_hash: fold(domain_hash, key),
            flags: flag(cookie.host_only, Self::HOST_ONLY)
                | flag(cookie.secure, Self::SECURE)
                | flag(cookie.http_only, Self::HTTP_ONLY)
                | flag(cookie.expires.is_some(), Self::PERSISTENT)
                | (cookie.same_site as u8 * Self::SAME_SITE),
            ..Self::EMPTY
        })
    }

    fn len(&self) -> usize {
        [self.name, self.value, self.domain, self.path].into_iter().map(usize::from).sum()
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.flags & Self::PERSISTENT != 0 && self.expires <= now
    }

    fn is_secure(&self) -> bool {
        self.flags & Self::SECURE != 0
    }

    fn is_host_only(&self) -> bool {
        self.flags & Self::HOST_ONLY != 0
    }

    /// Name, value, domain and path.
    fn parts<'j>(&self, bytes: &'j [u8]) -> [&'j [u8]; 4] {
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

    pub(super) fn cookie<'j>(&self, bytes: &'j [u8]) -> Cookie<'j> {
        let [name, value, domain, path] = self.parts(bytes);
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

/// Where the records and the bytes of a jar are. Only [`Jar`] has it.
pub trait Storage: sealed::Sealed {}

mod sealed {
    use super::Record;

    pub trait Sealed {
        fn parts(&self) -> (&[Record], &[u8]);
        fn parts_mut(&mut self) -> (&mut [Record], &mut [u8]);
    }
}

/// The storage of a [`Jar`].
struct Arrays<const COOKIES: usize, const BYTES: usize> {
    records: [Record; COOKIES],
    bytes: [u8; BYTES],
}

impl<const COOKIES: usize, const BYTES: usize> Storage for Arrays<COOKIES, BYTES> {}

impl<const COOKIES: usize, const BYTES: usize> sealed::Sealed for Arrays<COOKIES, BYTES> {
    fn parts(&self) -> (&[Record], &[u8]) {
        (&self.records, &self.bytes)
    }

    fn parts_mut(&mut self) -> (&mut [Record], &mut [u8]) {
        (&mut self.records, &mut self.bytes)
    }
}

/// A jar whatever its capacity: what all [`Jar`]s are beneath, and all their methods. So there is one copy of the code.
pub struct JarView<S: Storage + ?Sized = dyn Storage> {
    rules: Rules,
    per_domain: u16,
    len: usize,
    used: usize,
    /// Counts what changes `Record::used`. It takes longer than the world to wrap.
    events: u64,
    storage: S,
}

/// A jar for at most `COOKIES` cookies, whose names, values, domains and paths take at most `BYTES` bytes together.
/// It takes 40 bytes for each cookie besides these. At most 65,535 cookies and 4 GiB are used.
///
/// What it can do stands at [`JarView`]; the [module](super) has an example. [`Jar::new`] is constant, so a jar may be a
/// static. Not to be touched from an interrupt.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[doc(alias = "CookieJar")]
pub struct Jar<const COOKIES: usize, const BYTES: usize>(JarView<Arrays<COOKIES, BYTES>>);

impl<const COOKIES: usize, const BYTES: usize> Jar<COOKIES, BYTES> {
    /// An empty jar that goes by the rules of today.
    pub const fn new() -> Self {
        Self::with_rules(Rules::Rfc6265bis)
    }

    /// An empty jar.
    pub const fn with_rules(rules: Rules) -> Self {
        let storage = Arrays { records: [const { Record::EMPTY }; COOKIES], bytes: [0; BYTES] };
        Self(JarView { rules, per_domain: PER_DOMAIN, len: 0, used: 0, events: 0, storage })
    }
}

impl<const COOKIES: usize, const BYTES: usize> Default for Jar<COOKIES, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const COOKIES: usize, const BYTES: usize> Deref for Jar<COOKIES, BYTES> {
    type Target = JarView;

    fn deref(&self) -> &JarView {
        &self.0
    }
}

impl<const COOKIES: usize, const BYTES: usize> DerefMut for Jar<COOKIES, BYTES> {
    fn deref_mut(&mut self) -> &mut JarView {
        &mut self.0
    }
}

/// What is in it stays out of logs: cookies are secrets.
impl<S: Storage + ?Sized> fmt::Debug for JarView<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar").field("rules", &self.rules).field("cookies", &self.len).finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<S: Storage + ?Sized> defmt::Format for JarView<S> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Jar {{ rules: {}, cookies: {} }}", self.rules, self.len);
    }
}

impl JarView {
    /// By which rules it takes cookies.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Sets how many cookies of one domain are too many (50 unless set): when the jar is full, those leave first.
    pub fn set_per_domain(&mut self, cookies: u16) {
        self.per_domain = cookies;
    }

    /// How many cookies are in it, those among them that are over.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes their text takes.
    pub fn bytes(&self) -> usize {
        self.used
    }

    /// For how many cookies and bytes there is room.
    pub fn capacity(&self) -> (usize, usize) {
        let (records, bytes) = self.storage.parts();
        (records.len().min(u16::MAX.into()), bytes.len().min(u32::MAX as usize))
    }

    /// All cookies, in the order in which they would be sent: longest path first, then oldest first. To put them into
    /// another jar in this order keeps it.
    pub fn iter(&self) -> impl Iterator<Item = Cookie<'_>> {
        let (records, bytes) = self.parts();
        records.iter().map(|record| record.cookie(bytes))
    }

    /// Removes every cookie that `keep` does not want. O(cookies + bytes) for each removed.
    pub fn retain(&mut self, mut keep: impl FnMut(&Cookie<'_>) -> bool) {
        for index in (0..self.len).rev() {
            let (records, bytes) = self.parts();
            if records.get(index).is_some_and(|record| !keep(&record.cookie(bytes))) {
                self.remove_at(index);
            }
        }
    }

    /// Removes one cookie: that of this host alone, or that of the domain and all beneath it. Whether it was there.
    pub fn remove(&mut self, domain: &str, host_only: bool, path: &[u8], name: &[u8]) -> bool {
        let len = self.len;
        self.retain(|cookie| {
            !(cookie.host_only == host_only
                && cookie.domain.eq_ignore_ascii_case(domain)
                && cookie.path == path
                && cookie.name == name)
        });
        self.len < len
    }

    /// Removes all cookies.
    pub fn clear(&mut self) {
        (self.len, self.used) = (0, 0);
    }

    /// Removes the cookies that live until the session is over, as it now is.
    #[doc(alias = "clear_session_cookies")]
    pub fn clear_session(&mut self) {
        self.retain(|cookie| cookie.expires.is_some());
    }

    /// Removes the cookies that are over. They are never sent in any case, and leave first when room is needed.
    #[doc(alias = "clear_expired_cookies")]
    pub fn clear_expired(&mut self, now: u64) {
        self.retain(|cookie| !cookie.is_expired(now));
    }

    /// Puts a cookie in as it is, say from a file: no rules are asked but those that keep `Cookie` fields apart. A cookie
    /// of the same name, domain and path is replaced, and keeps its place in the order. O(cookies + bytes).
    ///
    /// # Errors
    /// [`Ignored::Control`], [`Ignored::Separator`], [`Ignored::Empty`], [`Ignored::Domain`] if the domain is empty,
    /// [`Ignored::TooLarge`], [`Ignored::Full`].
    #[doc(alias = "set_cookie")]
    pub fn insert(&mut self, cookie: &Cookie<'_>, now: u64) -> Result<Stored, Ignored> {
        let mut text = cookie.name.iter().chain(cookie.value).chain(cookie.path);
        if let Some(at) = text.position(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Ignored::Control { at });
        }
        if cookie.name.contains(&b';') || cookie.value.contains(&b';') || cookie.name.contains(&b'=') {
            return Err(Ignored::Separator);
        }
        if cookie.name.is_empty() && cookie.value.is_empty() {
            return Err(Ignored::Empty);
        }
        self.store(cookie, now)
    }

    /// The same for one whose text is known to be harmless.
    pub(super) fn store(&mut self, cookie: &Cookie<'_>, now: u64) -> Result<Stored, Ignored> {
        if cookie.domain.is_empty() {
            return Err(Ignored::Domain);
        }
        let mut new = Record::of(cookie).ok_or(Ignored::TooLarge)?;
        let (most, room) = self.capacity();
        if most == 0 || new.len() > room {
            return Err(Ignored::TooLarge);
        }
        self.events += 1;
        new.used = self.events;
        let before = self.find(&new, cookie);
        if cookie.is_expired(now) {
            before.inspect(|index| self.remove_at(*index));
            return Ok(Stored::Expired);
        }
        let mut place = match before {
            Some(index) if self.overwrite(index, new, cookie) => return Ok(Stored::Replaced),
            Some(index) => {
                self.remove_at(index);
                index
            }
            None => self.parts().0.partition_point(|record| record.path >= new.path),
        };
        while self.len == most || self.used + new.len() > room {
            let gone = self.victim(&new, cookie.domain, now).ok_or(Ignored::Full)?;
            self.remove_at(gone);
            place -= usize::from(gone < place);
        }
        self.insert_at(place, new, cookie);
        Ok(if before.is_some() { Stored::Replaced } else { Stored::New })
    }

    /// The records in use, and the bytes.
    fn parts(&self) -> (&[Record], &[u8]) {
        let (records, bytes) = self.storage.parts();
        (records.get(..self.len).unwrap_or_default(), bytes)
    }

    /// The same to change; a use of them now counts as event `.2`.
    pub(super) fn touch(&mut self) -> (&mut [Record], &[u8], u64) {
        self.events += 1;
        let (records, bytes) = self.storage.parts_mut();
        (records.get_mut(..self.len).unwrap_or_default(), bytes, self.events)
    }

    /// Where the cookie is that a new one would replace.
    fn find(&self, new: &Record, cookie: &Cookie<'_>) -> Option<usize> {
        let (records, bytes) = self.parts();
        records.iter().position(|record| {
            record.key_hash == new.key_hash && record.is_host_only() == cookie.host_only && {
                let [name, _, domain, path] = record.parts(bytes);
                name == cookie.name && path == cookie.path && domain.eq_ignore_ascii_case(cookie.domain.as_bytes())
            }
        })
    }

    /// Replaces a cookie where it lies, if there is room for the new value without another's leaving.
    fn overwrite(&mut self, index: usize, new: Record, cookie: &Cookie<'_>) -> bool {
        let used = self.used;
        let (records, bytes) = self.storage.parts_mut();
        let Some(old) = records.get(index).copied() else { return false };
        let len = used - usize::from(old.value) + usize::from(new.value);
        if len > bytes.len() {
            return false;
        }
        let at = old.at as usize + usize::from(old.name);
        if new.value != old.value {
            bytes.copy_within(at + usize::from(old.value)..used, at + usize::from(new.value));
            let shift = u32::from(new.value).wrapping_sub(u32::from(old.value));
            for record in records.iter_mut().take(self.len) {
                record.at = if record.at > old.at { record.at.wrapping_add(shift) } else { record.at };
            }
        }
        if let (Some(value), Some(record)) = (bytes.get_mut(at..at + cookie.value.len()), records.get_mut(index)) {
            value.copy_from_slice(cookie.value);
            *record = Record { at: old.at, sharing: old.sharing, ..new };
        }
        self.used = len;
        true
    }

    fn insert_at(&mut self, index: usize, mut new: Record, cookie: &Cookie<'_>) {
        let (used, len) = (self.used, self.len);
        let (records, bytes) = self.storage.parts_mut();
        new.at = used as u32;
        let mut at = used;
        for part in [cookie.name, cookie.value, cookie.domain.as_bytes(), cookie.path] {
            if let Some(room) = bytes.get_mut(at..at + part.len()) {
                room.copy_from_slice(part);
                at += part.len();
            }
        }
        let domain = used + usize::from(new.name) + usize::from(new.value);
        if let Some(domain) = bytes.get_mut(domain..domain + usize::from(new.domain)) {
            domain.make_ascii_lowercase();
        }
        new.sharing = 1;
        for record in records.iter_mut().take(len).filter(|record| record.domain_hash == new.domain_hash) {
            if record.domain(bytes) == new.domain(bytes) {
                record.sharing += 1;
                new.sharing = record.sharing;
            }
        }
        if let Some(tail) = records.get_mut(index..=len) {
            tail.rotate_right(1);
            tail[0] = new;
            (self.used, self.len) = (at, len + 1);
        }
    }

    fn remove_at(&mut self, index: usize) {
        let (used, len) = (self.used, self.len);
        let (records, bytes) = self.storage.parts_mut();
        let Some(gone) = records.get(index).copied() else { return };
        for record in records.iter_mut().take(len).filter(|record| record.domain_hash == gone.domain_hash) {
            record.sharing -= u16::from(record.domain(bytes) == gone.domain(bytes));
        }
        for record in records.iter_mut().take(len).filter(|record| record.at > gone.at) {
            record.at -= gone.len() as u32;
        }
        bytes.copy_within(gone.at as usize + gone.len()..used, gone.at as usize);
        records.copy_within(index + 1..len, index);
        (self.used, self.len) = (used - gone.len(), len - 1);
    }

    /// Who has to leave for a new cookie (5.7, "remove excess cookies"). `None`: the new one.
    fn victim(&self, new: &Record, domain: &str, now: u64) -> Option<usize> {
        let (records, bytes) = self.parts();
        let is_same = |record: &Record| {
            record.domain_hash == new.domain_hash && record.domain(bytes).eq_ignore_ascii_case(domain.as_bytes())
        };
        let sharing = records.iter().find(|record| is_same(record)).map_or(1, |record| record.sharing + 1);
        let worth = |record: &Record, sharing: u16| match (sharing > self.per_domain, record.is_secure()) {
            _ if record.is_expired(now) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, _) => 3,
        };
        let all = records.iter().enumerate().map(|(index, record)| {
            let sharing = if is_same(record) { sharing } else { record.sharing };
            (worth(record, sharing), record.used, index)
        });
        let (least, _, index) = all.min()?;
        (least <= worth(new, sharing)).then_some(index)
    }

    /// Whether what is kept true is true. For tests.
    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let (records, bytes) = self.parts();
        let mut blocks: std::vec::Vec<_> = records.iter().map(|record| (record.at as usize, record.len())).collect();
        blocks.sort_unstable();
        let mut end = 0;
        blocks.iter().all(|(at, len)| (*at == end, end += len).0)
            && end == self.used
            && records.is_sorted_by(|one, next| one.path >= next.path)
            && records.iter().all(|record| {
                let sharing = records.iter().filter(|other| other.domain(bytes) == record.domain(bytes)).count();
                usize::from(record.sharing) == sharing
            })
    }
}
