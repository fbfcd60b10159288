//! Lines as they arrive, and the groups that they make (RFC 9309, 2.1 and 2.2).

use super::store::Kind;
use super::{RequestRate, RobotsView};
use crate::time::Duration;

/// The line that is being collected, behind what is kept.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Line {
    len: usize,
    /// A comment has begun.
    comment: bool,
    /// There was no room for all of it.
    cut: bool,
}

impl Line {
    pub(super) const EMPTY: Self = Self { len: 0, comment: false, cut: false };
}

/// Whom the lines now coming are for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Group {
    everybody: bool,
    agent: bool,
    /// It has rules: the next `User-agent` begins another.
    has_rules: bool,
}

impl Group {
    pub(super) const NONE: Self = Self { everybody: false, agent: false, has_rules: false };
}

/// The product's token at the start: letters, digits, `-`, `_` and `.`. The RFC has no digits and no dots, robots do.
pub(super) fn token(text: &[u8]) -> &[u8] {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let len = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
    text.get(..len).unwrap_or_default()
}

impl RobotsView {
    /// Takes a byte of a line.
    pub(super) fn collect(&mut self, byte: u8) {
        let line = &mut self.line;
        line.comment |= byte == b'#';
        // Blanks in front need no room.
        if line.comment || line.len == 0 && matches!(byte, b' ' | b'\t') {
            return;
        }
        match self.used.checked_add(line.len).and_then(|at| self.bytes.get_mut(at)) {
            Some(room) => {
                *room = byte;
                line.len += 1;
            }
            None => line.cut = true,
        }
    }

    /// The line is whole.
    pub(super) fn end_line(&mut self) {
        let Line { len, cut, .. } = core::mem::replace(&mut self.line, Line::EMPTY);
        // As much as there is room for is not enough to know what it was.
        self.overflowed |= cut;
        let start = self.used.min(self.bytes.len());
        let line = self.bytes.get(start..start + len).unwrap_or_default();
        // A byte order mark, at the start of the file or where it does no harm.
        let bom = if line.starts_with(b"\xef\xbb\xbf") && self.used == self.agent { 3 } else { 0 };
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let key = line.get(bom..colon).unwrap_or_default().trim_ascii();
        let after = line.get(colon + 1..).unwrap_or_default();
        let value = after.trim_ascii();
        let from = start + colon + 1 + (after.len() - after.trim_ascii_start().len());
        let range = from..from + value.len();

        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("user-agent") {
            let everybody = matches!(value, [b'*'] | [b'*', b' ' | b'\t', ..]);
            let agent = !token(value).is_empty() && token(value).eq_ignore_ascii_case(self.agent());
            self.begin_group(everybody, agent);
        } else if is("allow") || is("disallow") {
            self.group.has_rules = true;
            let kind = match (self.group, is("allow")) {
                (Group { agent: true, .. }, true) => Kind::Allow,
                (Group { agent: true, .. }, false) => Kind::Disallow,
                (Group { everybody: true, .. }, _) if self.named => return,
                (Group { everybody: true, .. }, true) => Kind::AllowAny,
                (Group { everybody: true, .. }, false) => Kind::DisallowAny,
                _ => return,
            };
            // An empty rule says nothing.
            if !range.is_empty() {
                self.keep(kind, range);
            }
        } else if is("sitemap") {
            if !value.is_empty() && core::str::from_utf8(value).is_ok() {
                self.keep(Kind::SiteMap, range);
            }
        } else if is("crawl-delay") {
            let delay = seconds(value);
            self.paces().for_each(|pace| pace.delay = delay.or(pace.delay));
        } else if is("request-rate") {
            let rate = rate(value);
            self.paces().for_each(|pace| pace.rate = rate.or(pace.rate));
        }
    }

    /// A `User-agent` line: for everybody, for our agent, or for others.
    fn begin_group(&mut self, everybody: bool, agent: bool) {
        if self.group.has_rules {
            self.group = Group::NONE;
        }
        self.group.everybody |= everybody;
        self.group.agent |= agent;
        if agent && !self.named {
            self.named = true;
            self.drop_rules_for_everybody();
        }
    }

    /// The paces of those whom the group is for.
    fn paces(&mut self) -> impl Iterator<Item = &mut super::Pace> {
        let concerned = [self.group.everybody, self.group.agent];
        self.pace.iter_mut().zip(concerned).filter_map(|(pace, concerned)| concerned.then_some(pace))
    }
}

/// Decimal digits, as many as fit.
fn number(text: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    let add = |value: u32, byte| value.checked_mul(10)?.checked_add(digit(byte)?);
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

/// Seconds, perhaps with a fraction.
fn seconds(text: &[u8]) -> Option<Duration> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = number(parts.next()?)?;
    let fraction = parts.next().unwrap_or(b"0");
    number(fraction.get(..fraction.len().min(6))?)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000000").take(6);
    let micros = digits.fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'));
    Some(Duration::from_micros(u64::from(whole) * 1_000_000 + micros))
}

/// `requests/seconds`.
fn rate(text: &[u8]) -> Option<RequestRate> {
    let mut parts = text.splitn(2, |byte| *byte == b'/').map(<[u8]>::trim_ascii);
    Some(RequestRate {
        requests: number(parts.next()?)?,
        seconds: number(parts.next()?).filter(|seconds| *seconds > 0)?,
    })
}
