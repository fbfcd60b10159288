//! `robots.txt`: what a site asks of crawlers (RFC 9309), read as it arrives, kept for one crawler in fixed memory.
//!
//! [`Robots`] is made for one agent. It reads the file in any pieces, to the end or to [`LIMIT`], and keeps only the rules
//! of the groups that name this agent, or else of those for everybody: a site's file may have 500 KiB, but what it says to
//! one crawler is mostly some hundred bytes, so it fits into a microcontroller, and a question costs a walk over those.
//! (To keep the whole file would let other agents ask, at a thousand times the memory and the time for each question; who
//! plays many agents feeds the file to as many.) Rules are kept as they were written, and compared as RFC 9309, 2.2.2 says:
//! percent-encoded where that makes no difference, or not.
//!
//! Before the file can be read a server has to answer: [`RobotsView::answer`] knows what each status means, and how many
//! redirects to follow. Until all is known, everything is forbidden.
//!
//! ```
//! use tidemill_core::robots::{Answer, Robots};
//!
//! let mut robots = Robots::<1024>::new("ExampleBot/1.0");
//! let now = 1_700_000_000;
//! assert_eq!(robots.answer(200, now), Answer::Read);
//! for piece in ["User-agent: *\nDisallow: /private/\nAllow: /private/*.ht", "ml$\nCrawl-delay: 2\n"] {
//!     robots.receive(piece.as_bytes());
//! }
//! robots.end(now);
//! assert!(robots.can_fetch("https://example.org/index.html"));
//! assert!(!robots.can_fetch("/private/x"));
//! assert!(robots.can_fetch("/private/x.html"));
//! assert_eq!(robots.crawl_delay().unwrap().as_millis(), 2000);
//! ```
//!
//! The words are those of Python's `urllib.robotparser`; the rules differ from those of CPython 3.13, which are older than
//! the RFC: the longest rule wins instead of the first, `*` and `$` work, and 401 and 403 allow as any 4xx does.

mod parse;
mod pattern;
mod store;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::time::Duration;
use parse::{Group, Line};
use store::Kind;

/// How many bytes of a file are read (RFC 9309, 2.5); the rest is as if it were not there.
pub const LIMIT: usize = 500 * 1024;

/// How many redirects are followed (RFC 9309, 2.3.1.2).
pub const REDIRECTS_MAX: u8 = 5;

/// After how many seconds a file should be fetched anew (RFC 9309, 2.4).
const FRESH: u64 = 24 * 60 * 60;

/// What to do with an answer to the request for `/robots.txt`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// Feed the body to [`RobotsView::receive`], then say [`RobotsView::end`].
    Read,
    /// Ask where `Location` points to, and come back with that answer.
    Follow,
    /// Nothing more: all is allowed, or forbidden, or as it was.
    Decided,
}

/// `Request-rate`: so many requests in so many seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestRate {
    /// How many requests.
    pub requests: u32,
    /// In how many seconds.
    pub seconds: u32,
}

/// How much is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Known {
    Nothing,
    Rules,
    AllAllowed,
    AllForbidden,
}

/// What groups ask besides rules.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Pace {
    delay: Option<Duration>,
    rate: Option<RequestRate>,
}

impl Pace {
    const NONE: Self = Self { delay: None, rate: None };
}

/// What is known of a site, whatever the room for it: what all [`Robots`] are beneath, and all their methods. So there is
/// one copy of the code.
#[derive(Debug)]
pub struct RobotsView<B: ?Sized = [u8]> {
    known: Known,
    redirects: u8,
    modified: Option<u64>,
    /// Something did not fit.
    overflowed: bool,
    /// How much of the file was read.
    received: usize,
    line: Line,
    group: Group,
    /// Whether a group names the agent: then those for everybody do not count.
    named: bool,
    /// Of the groups for everybody, and of those that name the agent.
    pace: [Pace; 2],
    /// How many bytes in front are the agent's name.
    agent: usize,
    /// How many are in use; behind them the line that arrives is collected.
    used: usize,
    bytes: B,
}

/// What one site asks of one agent, in at most `BYTES` bytes: the agent's name, each rule and site map with 3 bytes
/// beside it, and room to collect the longest line. 4 KiB are enough for nearly all sites.
///
/// What it can do stands at [`RobotsView`]; the [module](self) has an example. Not to be touched from an interrupt.
#[derive(Debug)]
#[doc(alias = "RobotFileParser")]
pub struct Robots<const BYTES: usize>(RobotsView<[u8; BYTES]>);

impl<const BYTES: usize> Robots<BYTES> {
    /// Knows nothing yet. Of `agent` only the product's token counts, up to the first byte that is no letter, digit, `-`,
    /// `_` or `.`. If even that does not fit, everything stays forbidden.
    pub fn new(agent: &str) -> Self {
        let mut robots = Self(RobotsView {
            known: Known::Nothing,
            redirects: 0,
            modified: None,
            overflowed: false,
            received: 0,
            line: Line::EMPTY,
            group: Group::NONE,
            named: false,
            pace: [Pace::NONE; 2],
            agent: 0,
            used: 0,
            bytes: [0; BYTES],
        });
        robots.set_agent(agent);
        robots
    }
}

impl<const BYTES: usize> Deref for Robots<BYTES> {
    type Target = RobotsView;

    fn deref(&self) -> &RobotsView {
        &self.0
    }
}

impl<const BYTES: usize> DerefMut for Robots<BYTES> {
    fn deref_mut(&mut self) -> &mut RobotsView {
        &mut self.0
    }
}

#[cfg(feature = "defmt")]
impl<B: ?Sized> defmt::Format for RobotsView<B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Robots {{ known: {}, used: {} }}", self.known, self.used);
    }
}

#[cfg(feature = "defmt")]
impl<const BYTES: usize> defmt::Format for Robots<BYTES> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::Format::format(&self.0, f);
    }
}

impl RobotsView {
    /// Takes the status of an answer to the request for `/robots.txt` (RFC 9309, 2.3.1) and says what to do.
    ///
    /// | status | means |
    /// |---|---|
    /// | 2xx | the body says what is allowed; what was known before is forgotten |
    /// | 301, 302, 303, 307, 308 | follow, five times; then all is allowed |
    /// | 304 | all is as it was, and fresh |
    /// | other 4xx | there is no such file: all is allowed |
    /// | any other | the server cannot say: all is forbidden |
    pub fn answer(&mut self, status: u16, now: u64) -> Answer {
        let is_redirect = matches!(status, 301..=303 | 307 | 308);
        if is_redirect && self.redirects < REDIRECTS_MAX {
            self.redirects += 1;
            return Answer::Follow;
        }
        self.redirects = 0;
        match status {
            200..=299 => {
                self.forget();
                return Answer::Read;
            }
            304 => {}
            400..=499 => self.known = Known::AllAllowed,
            _ => self.known = if is_redirect { Known::AllAllowed } else { Known::AllForbidden },
        }
        self.modified(now);
        Answer::Decided
    }

    /// There was no answer: all is forbidden.
    pub fn unreachable(&mut self, now: u64) {
        (self.redirects, self.known) = (0, Known::AllForbidden);
        self.modified(now);
    }

    /// Takes bytes of the file, in any pieces. Whether more of it would be read: it is not beyond [`LIMIT`]. O(n).
    pub fn receive(&mut self, input: &[u8]) -> bool {
        let room = LIMIT - self.received;
        let (input, beyond) = input.split_at_checked(room).unwrap_or((input, b""));
        self.received += input.len();
        for byte in input {
            match byte {
                b'\r' | b'\n' => self.end_line(),
                _ => self.collect(*byte),
            }
        }
        // A line that the limit cuts would say something else than it does.
        if !beyond.is_empty() {
            self.line = Line::EMPTY;
        }
        self.received < LIMIT
    }

    /// The file is whole: from here on its rules hold.
    pub fn end(&mut self, now: u64) {
        self.end_line();
        self.known = Known::Rules;
        self.modified(now);
    }

    /// Whether the agent may fetch this: a URL, or a path that begins with `/`, with its query. Always true for
    /// `/robots.txt`. O(bytes of the rules), times the length of the URL at worst, if they have many `*`.
    pub fn can_fetch(&self, url: &str) -> bool {
        let target = pattern::target(url);
        match self.known {
            _ if target == b"/robots.txt" => true,
            Known::AllAllowed => true,
            Known::Nothing | Known::AllForbidden => false,
            // What did not fit may have been what forbids it.
            Known::Rules if self.overflowed => false,
            Known::Rules => {
                let longest = |kind| {
                    let rules = self.records(kind);
                    rules.filter_map(|rule| pattern::matched(rule, target)).max().unwrap_or(0)
                };
                let own = (Kind::Allow, Kind::Disallow);
                let (allow, disallow) = if self.named { own } else { (Kind::AllowAny, Kind::DisallowAny) };
                longest(allow) >= longest(disallow)
            }
        }
    }

    /// How long to wait between two requests, if the site says so. No part of the RFC; Python takes whole seconds only,
    /// here they may have a fraction.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.pace[usize::from(self.named)].delay
    }

    /// How many requests in how many seconds, if the site says so. No part of the RFC.
    pub fn request_rate(&self) -> Option<RequestRate> {
        self.pace[usize::from(self.named)].rate
    }

    /// The site maps that the file names, in order. They are for everybody.
    pub fn site_maps(&self) -> impl Iterator<Item = &str> {
        // Others than UTF-8 were not taken.
        self.records(Kind::SiteMap).filter_map(|url| core::str::from_utf8(url).ok())
    }

    /// Whether the rules did not fit. Everything is forbidden then; more room is needed.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// When this was last fetched, in seconds since 1970.
    pub fn mtime(&self) -> Option<u64> {
        self.modified
    }

    /// It was fetched now, or is known to be as it was.
    pub fn modified(&mut self, now: u64) {
        self.modified = Some(now);
    }

    /// Whether it should be fetched anew: it was not in the last 24 hours (RFC 9309, 2.4).
    pub fn is_stale(&self, now: u64) -> bool {
        self.modified.is_none_or(|modified| now.saturating_sub(modified) >= FRESH)
    }

    /// Forgets all but the agent.
    fn forget(&mut self) {
        (self.known, self.received, self.line, self.group) = (Known::Nothing, 0, Line::EMPTY, Group::NONE);
        (self.named, self.pace, self.used) = (false, [Pace::NONE; 2], self.agent);
        self.overflowed = self.used > self.bytes.len();
    }
}

impl fmt::Display for RequestRate {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.seconds)
    }
}
