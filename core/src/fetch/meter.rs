//! How fast bytes come: a moving average that notices a stall.

use crate::pace::share;
use crate::time::{Duration, EPOCH, Instant};

/// Bytes are counted over at least this long before they change the average.
const WINDOW: Duration = Duration::from_millis(100);

/// Sources that pace themselves send in bursts; a gap shorter than this says nothing.
const SILENCE: Duration = Duration::from_millis(500);

/// A rate in bytes per second: each window counts for a quarter of the average.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Meter {
    since: Instant,
    bytes: u64,
    average: u64,
    measured: bool,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(EPOCH)
    }
}

impl Meter {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, average: 0, measured: false }
    }

    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(rate) = self.window(now) {
            self.average =
                if self.measured { (self.average / 4).saturating_mul(3).saturating_add(rate / 4) } else { rate };
            self.measured = true;
            self.since = now;
            self.bytes = 0;
        }
    }

    /// Bytes per second. After a silence of some windows it sinks with the length of the silence.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        match self.window(now) {
            Some(rate) if !self.measured => rate,
            Some(rate) if now.checked_duration_since(self.since) >= Some(SILENCE) => self.average.min(rate),
            _ => self.average,
        }
    }

    /// Nothing has been measured yet, and not for longer than `grace`.
    pub(super) fn is_young(&self, now: Instant, grace: Duration) -> bool {
        !self.measured && now.checked_duration_since(self.since).is_none_or(|passed| passed < grace)
    }

    /// The rate of the window under way, once it is long enough.
    fn window(&self, now: Instant) -> Option<u64> {
        let passed = now.checked_duration_since(self.since)?;
        (passed >= WINDOW).then(|| share(self.bytes, 1_000_000, passed.as_ticks()))
    }
}
