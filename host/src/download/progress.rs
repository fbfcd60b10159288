//! What a download tells while it runs, and to whom.

use std::time::Duration;

use tidemill_core::fetch::{Activity, Failure};

use super::{Sha256Sum, Target};

/// Whoever wants to know how a download goes: a progress bar, a log, a test. It is called from the loop that moves the
/// bytes, so it must not wait.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, event: &Event<'_>);
}

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The download begins, or goes on where it stopped.
    Started {
        /// The first URL.
        url: &'a str,
        /// Where the bytes go.
        target: &'a Target,
        /// Bytes there from before.
        resumed: u64,
        /// Bytes of the whole, where an earlier run has learnt it.
        total: Option<u64>,
    },
    /// What is there from before is of no use, and why.
    StartedOver(&'a str),
    /// A look at the counters, ten times a second at most.
    Progress(Progress<'a>),
    /// A connection failed and will be tried again.
    Retry {
        /// Which, from 0.
        connection: usize,
        /// What failed.
        reason: Failure<()>,
        /// How long it waits first.
        wait: Duration,
    },
    /// A source is given up; others go on.
    SourceFailed {
        /// Its URL.
        url: &'a str,
        /// What failed.
        reason: Failure<()>,
    },
    /// A source has moved to this URL.
    Redirected(&'a str),
    /// The server has no ranges: one connection fetches all.
    NoRanges,
    /// The file changed on the server: everything is fetched anew.
    Changed,
    /// It is complete, verified and in its place.
    Finished(&'a Summary),
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Bytes there.
    pub done: u64,
    /// Bytes of the whole, once known.
    pub total: Option<u64>,
    /// Bytes per second, over all connections.
    pub rate: u64,
    /// Each connection.
    pub connections: &'a [Connection],
}

impl Progress<'_> {
    /// How long the rest takes at this rate.
    pub fn left(&self) -> Option<Duration> {
        let rest = self.total?.saturating_sub(self.done);
        (self.rate > 0).then(|| Duration::from_secs(rest.div_ceil(self.rate)))
    }
}

/// One connection at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// What it is doing.
    pub activity: Activity,
    /// Bytes per second.
    pub rate: u64,
}

/// What came of a download.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that were there from before.
    pub resumed: u64,
    /// How long it took, by the clock of the world it ran in.
    pub took: Duration,
    /// The sum, where one was asked for.
    pub checksum: Option<Sha256Sum>,
    /// Where it is.
    pub target: Target,
}
