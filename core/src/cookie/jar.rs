//! The arena: records in the order in which cookies are sent, their text in one run of bytes.
//!
//! Kept true between calls: records are sorted by length of path, longest first, then by age, which is the order of
//! `Cookie` (5.8.3), so nothing is ever sorted; no two have the same name, domain, host-only flag and path; their blocks
//! of bytes (name, value, domain, path, and what is spare) cover `bytes[..used]` exactly; `spare` adds up what is spare;
//! `sharing` counts the records of one domain.
//!
//! A value that is replaced by a shorter one leaves its bytes to the cookie, for the next: values change all the time, and
//! mostly within some length. What is spare is taken back before any cookie has to leave for want of room. To close a gap
//! moves half the bytes on average: a microsecond for the 30 KB of 300 cookies.

use core::fmt;
use core::ops::{Deref, DerefMut};

use super::record::{Record, Traits};
use super::{Cookie, Ignored, Rules, Stored};

/// Cookies beyond these many of one domain have to leave first, unless the jar is told otherwise (5.7).
const PER_DOMAIN: u16 = 50;

/// Where the records and the bytes of a jar are. Only [`Jar`] has it.
pub trait Storage: sealed::Sealed {}

mod sealed {
    use super::{Parts, PartsMut};

    pub trait Sealed {
        fn parts(&self) -> Parts<'_>;
        fn parts_mut(&mut self) -> PartsMut<'_>;
    }
}

/// What a storage has: of each cookie at one index its record, mark and key, and the bytes of all.
pub struct Parts<'j> {
    records: &'j [Record],
    marks: &'j [u32],
    keys: &'j [u32],
    bytes: &'j [u8],
}

/// The same, to change.
pub struct PartsMut<'j> {
    records: &'j mut [Record],
    marks: &'j mut [u32],
    keys: &'j mut [u32],
    bytes: &'j mut [u8],
}

/// The storage of a [`Jar`].
struct Arrays<const COOKIES: usize, const BYTES: usize> {
    records: [Record; COOKIES],
    marks: [u32; COOKIES],
    keys: [u32; COOKIES],
    bytes: [u8; BYTES],
}

impl<const COOKIES: usize, const BYTES: usize> Storage for Arrays<COOKIES, BYTES> {}

impl<const COOKIES: usize, const BYTES: usize> sealed::Sealed for Arrays<COOKIES, BYTES> {
    fn parts(&self) -> Parts<'_> {
        Parts { records: &self.records, marks: &self.marks, keys: &self.keys, bytes: &self.bytes }
    }

    fn parts_mut(&mut self) -> PartsMut<'_> {
        let Self { records, marks, keys, bytes } = self;
        PartsMut { records, marks, keys, bytes }
    }
}

/// A jar whatever its capacity: what all [`Jar`]s are beneath, and all their methods. So there is one copy of the code.
pub struct JarView<S: Storage + ?Sized = dyn Storage> {
    rules: Rules,
    per_domain: u16,
    len: usize,
    used: usize,
    spare: usize,
    /// Counts what changes `Record::used`.
    events: u32,
    storage: S,
}

/// A jar for at most `COOKIES` cookies, whose names, values, marks and paths take at most `BYTES` bytes together.
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
        let records = [const { Record::EMPTY }; COOKIES];
        let storage = Arrays { records, marks: [0; COOKIES], keys: [0; COOKIES], bytes: [0; BYTES] };
        Self(JarView { rules, per_domain: PER_DOMAIN, len: 0, used: 0, spare: 0, events: 0, storage })
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
        self.used - self.spare
    }

    /// For how many cookies and bytes there is room.
    pub fn capacity(&self) -> (usize, usize) {
        let Parts { records, bytes, .. } = self.storage.parts();
        (records.len().min(u16::MAX.into()), bytes.len().min(u32::MAX as usize))
    }

    /// All cookies, in the order in which they would be sent: longest path first, then oldest first. To put them into
    /// another jar in this order keeps it.
    pub fn iter(&self) -> impl Iterator<Item = Cookie<'_>> {
        let Parts { records, bytes, .. } = self.parts();
        records.iter().map(|record| record.cookie(bytes))
    }

    /// Removes every cookie that `keep` does not want. O(cookies + bytes) for each removed.
    pub fn retain(&mut self, mut keep: impl FnMut(&Cookie<'_>) -> bool) {
        for index in (0..self.len).rev() {
            let Parts { records, bytes, .. } = self.parts();
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
        (self.len, self.used, self.spare) = (0, 0, 0);
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
        let traits = Traits::of(cookie);
        let (most, room) = self.capacity();
        if most == 0 || new.len() > room {
            return Err(Ignored::TooLarge);
        }
        new.used = self.event();
        let before = self.find(traits.key, cookie);
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
            None => self.parts().records.partition_point(|record| record.path >= new.path),
        };
        while self.len == most || self.bytes() + new.len() > room {
            let gone = self.victim(&new, traits.mark, cookie.domain, now).ok_or(Ignored::Full)?;
            self.remove_at(gone);
            place -= usize::from(gone < place);
        }
        while self.used + new.len() > room && self.squeeze() {}
        self.insert_at(place, new, traits, cookie);
        Ok(if before.is_some() { Stored::Replaced } else { Stored::New })
    }

    /// What is in use of each part.
    fn parts(&self) -> Parts<'_> {
        let Parts { records, marks, keys, bytes } = self.storage.parts();
        let (records, marks) = (records.get(..self.len), marks.get(..self.len));
        Parts {
            records: records.unwrap_or_default(),
            marks: marks.unwrap_or_default(),
            keys: keys.get(..self.len).unwrap_or_default(),
            bytes,
        }
    }

    /// The records, to be used in an event (`.3`), their marks, and the bytes.
    pub(super) fn touch(&mut self) -> (&mut [Record], &[u32], &[u8], u32) {
        let event = self.event();
        let PartsMut { records, marks, bytes, .. } = self.storage.parts_mut();
        let (records, marks) = (records.get_mut(..self.len), marks.get(..self.len));
        (records.unwrap_or_default(), marks.unwrap_or_default(), bytes, event)
    }

    /// Counts an event. When no number is left, all that was before counts as equally long ago.
    fn event(&mut self) -> u32 {
        if self.events == u32::MAX {
            self.storage.parts_mut().records.iter_mut().for_each(|record| record.used = 0);
            self.events = 0;
        }
        self.events += 1;
        self.events
    }

    /// Where the cookie is that a new one would replace.
    fn find(&self, key: u32, cookie: &Cookie<'_>) -> Option<usize> {
        let Parts { records, keys, bytes, .. } = self.parts();
        let is_it = |record: &Record| {
            let [name, _, domain, path] = record.parts(bytes);
            record.is_host_only() == cookie.host_only
                && name == cookie.name
                && path == cookie.path
                && domain.eq_ignore_ascii_case(cookie.domain.as_bytes())
        };
        let within = |from: usize, keys: &[u32]| {
            let records = records.get(from..).unwrap_or_default();
            let same = keys.iter().zip(records).position(|(other, record)| *other == key && is_it(record));
            same.map(|at| from + at)
        };
        // So many at once, as processors can.
        let (groups, rest) = keys.as_chunks::<16>();
        let near = groups
            .iter()
            .enumerate()
            .filter(|(_, keys)| keys.iter().fold(0, |any, other| any | u8::from(*other == key)) != 0);
        let mut found = near.filter_map(|(group, keys)| within(group * 16, keys));
        found.next().or_else(|| within(groups.len() * 16, rest))
    }

    /// Replaces a cookie where it lies, if there is room for the new value without another's leaving.
    fn overwrite(&mut self, index: usize, new: Record, cookie: &Cookie<'_>) -> bool {
        let (_, room) = self.capacity();
        let old = |jar: &Self| jar.parts().records.get(index).copied().unwrap_or(Record::EMPTY);
        if self.bytes() - old(self).len() + new.len() > room {
            return false;
        }
        // What is taken back may be its own: then it lacks more than before.
        let lacks = |jar: &Self| new.len().saturating_sub(old(jar).room());
        while self.used + lacks(self) > room && self.squeeze() {}
        let more = lacks(self);
        if more > 0 {
            self.widen(index, more);
        }
        let old = old(self);
        let record = Record { at: old.at, sharing: old.sharing, spare: (old.room() - new.len()) as u16, ..new };
        self.spare = self.spare - usize::from(old.spare) + usize::from(record.spare);
        let PartsMut { records, bytes, .. } = self.storage.parts_mut();
        record.write(cookie, bytes);
        if let Some(place) = records.get_mut(index) {
            *place = record;
        }
        true
    }

    /// Takes back what is spare of the cookie that has most; false: none has any.
    fn squeeze(&mut self) -> bool {
        let records = self.parts().records.iter().enumerate();
        let most = records.max_by_key(|(_, record)| record.spare).filter(|(_, record)| record.spare > 0);
        let Some((index, record)) = most.map(|(index, record)| (index, *record)) else { return false };
        if let Some(record) = self.storage.parts_mut().records.get_mut(index) {
            record.spare = 0;
        }
        self.spare -= usize::from(record.spare);
        self.close(record.at as usize + record.len(), record.spare.into());
        true
    }

    /// Gives a cookie so many spare bytes more. They must be there.
    fn widen(&mut self, index: usize, more: usize) {
        let (used, len) = (self.used, self.len);
        let PartsMut { records, bytes, .. } = self.storage.parts_mut();
        let Some(record) = records.get_mut(index) else { return };
        let end = record.at as usize + record.room();
        record.spare += more as u16;
        bytes.copy_within(end..used, end + more);
        for record in records.iter_mut().take(len).filter(|record| record.at as usize >= end) {
            record.at += more as u32;
        }
        (self.used, self.spare) = (used + more, self.spare + more);
    }

    /// Closes a gap: what lies behind it moves up.
    fn close(&mut self, gap: usize, len: usize) {
        let (used, count) = (self.used, self.len);
        let PartsMut { records, bytes, .. } = self.storage.parts_mut();
        bytes.copy_within(gap + len..used, gap);
        for record in records.iter_mut().take(count).filter(|record| record.at as usize > gap) {
            record.at -= len as u32;
        }
        self.used = used - len;
    }

    fn insert_at(&mut self, index: usize, mut new: Record, traits: Traits, cookie: &Cookie<'_>) {
        let (used, len) = (self.used, self.len);
        let PartsMut { records, marks, keys, bytes } = self.storage.parts_mut();
        new.at = used as u32;
        new.write(cookie, bytes);
        new.sharing = 1;
        for (record, _) in records.iter_mut().zip(&*marks).take(len).filter(|(_, mark)| **mark == traits.mark) {
            if record.domain(bytes) == new.domain(bytes) {
                record.sharing += 1;
                new.sharing = record.sharing;
            }
        }
        insert(records, index, len, new);
        insert(marks, index, len, traits.mark);
        insert(keys, index, len, traits.key);
        (self.used, self.len) = (used + new.len(), len + 1);
    }

    fn remove_at(&mut self, index: usize) {
        let len = self.len;
        let PartsMut { records, marks, keys, bytes } = self.storage.parts_mut();
        let (Some(gone), Some(mark)) = (records.get(index).copied(), marks.get(index).copied()) else { return };
        for (record, _) in records.iter_mut().zip(&*marks).take(len).filter(|(_, other)| **other == mark) {
            record.sharing -= u16::from(record.domain(bytes) == gone.domain(bytes));
        }
        records.copy_within(index + 1..len, index);
        marks.copy_within(index + 1..len, index);
        keys.copy_within(index + 1..len, index);
        (self.len, self.spare) = (len - 1, self.spare - usize::from(gone.spare));
        self.close(gone.at as usize, gone.room());
    }

    /// Who has to leave for a new cookie (5.7, "remove excess cookies"). `None`: the new one.
    fn victim(&self, new: &Record, mark: u32, domain: &str, now: u64) -> Option<usize> {
        let Parts { records, marks, bytes, .. } = self.parts();
        let all = || records.iter().zip(marks);
        let is_same = |(record, other): (&Record, &u32)| {
            *other == mark && record.domain(bytes).eq_ignore_ascii_case(domain.as_bytes())
        };
        let sharing = all().find(|one| is_same(*one)).map_or(1, |(record, _)| record.sharing + 1);
        let worth = |record: &Record, sharing: u16| match (sharing > self.per_domain, record.is_secure()) {
            _ if record.is_expired(now) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, _) => 3,
        };
        let worths = all().enumerate().map(|(index, one)| {
            let (record, _) = one;
            let sharing = if is_same(one) { sharing } else { record.sharing };
            (worth(record, sharing), record.used, index)
        });
        let (least, _, index) = worths.min()?;
        (least <= worth(new, sharing)).then_some(index)
    }

    /// Has the next event begin the count anew. For tests.
    #[cfg(test)]
    pub(super) fn exhaust_events(&mut self) {
        self.events = u32::MAX;
    }

    /// Whether what is kept true is true. For tests.
    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let Parts { records, marks, keys, bytes } = self.parts();
        let mut blocks: std::vec::Vec<_> = records.iter().map(|record| (record.at as usize, record.room())).collect();
        blocks.sort_unstable();
        let mut end = 0;
        blocks.iter().all(|(at, len)| (*at == end, end += len).0)
            && end == self.used
            && records.iter().map(|record| usize::from(record.spare)).sum::<usize>() == self.spare
            && records.is_sorted_by(|one, next| one.path >= next.path)
            && records.iter().zip(marks.iter().zip(keys)).all(|(record, (mark, key))| {
                let sharing = records.iter().filter(|other| other.domain(bytes) == record.domain(bytes)).count();
                let traits = Traits::of(&record.cookie(bytes));
                usize::from(record.sharing) == sharing && (traits.mark, traits.key) == (*mark, *key)
            })
    }
}

/// Puts an item among the first `len`.
fn insert<T: Copy>(items: &mut [T], index: usize, len: usize, item: T) {
    if let Some(tail @ [_, ..]) = items.get_mut(index..=len) {
        tail.rotate_right(1);
        tail[0] = item;
    }
}
