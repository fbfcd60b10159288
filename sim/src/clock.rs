//! A host's own clock: it may be ahead of the world's, and run fast or slow, but it never goes back.

use tidemill_core::time::{Duration, Instant};

/// Parts in a whole: drift is given in parts per million.
const MILLION: u64 = 1_000_000;

/// How fast or slow a clock may be, in parts per million.
const DRIFT_MAX: i32 = 500_000;

/// From the world's time to a host's and back. Whole µs: it reads a multiple of one, rounded down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When it was last changed, by the world's time and by its own.
    world: u64,
    own: u64,
    /// Its own µs in a million of the world's.
    rate: u64,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self { world: 0, own: 0, rate: MILLION }
    }

    /// What it shows at this time of the world.
    pub(crate) fn reads(&self, world: Instant) -> Instant {
        let passed = world.as_ticks() - self.world;
        if self.rate == MILLION {
            // Nearly all clocks, at every turn: without a division.
            return Instant::from_ticks(self.own.saturating_add(passed));
        }
        let passed = u128::from(passed) * u128::from(self.rate) / u128::from(MILLION);
        Instant::from_ticks(self.own.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// The world's time at which it first shows `own` or more; what it has shown already was at its last change.
    pub(crate) fn when(&self, own: Instant) -> Instant {
        let left = own.as_ticks().saturating_sub(self.own);
        if self.rate == MILLION {
            return Instant::from_ticks(self.world.saturating_add(left));
        }
        // Rounded up: a microsecond early, a host would be turned again and again before its time.
        let left = u128::from(left) * u128::from(MILLION);
        let left = u64::try_from(left.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX);
        Instant::from_ticks(self.world.saturating_add(left))
    }

    /// Jumps ahead.
    pub(crate) fn step(&mut self, now: Instant, ahead: Duration) {
        self.own = self.reads(now).as_ticks().saturating_add(ahead.as_ticks());
        self.world = now.as_ticks();
    }

    /// Runs fast, or slow, from now on.
    pub(crate) fn drift(&mut self, now: Instant, ppm: i32) {
        self.step(now, Duration::from_ticks(0));
        self.rate = MILLION.saturating_add_signed(ppm.clamp(-DRIFT_MAX, DRIFT_MAX).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ticks: u64) -> Instant {
        Instant::from_ticks(ticks)
    }

    #[test]
    fn a_clock_that_was_never_touched_shows_the_time() {
        let clock = Clock::new();
        for ticks in [0, 1, 1 << 40, u64::MAX] {
            assert_eq!((clock.reads(at(ticks)), clock.when(at(ticks))), (at(ticks), at(ticks)));
        }
    }

    #[test]
    fn the_time_for_which_one_waits_is_never_a_microsecond_early() {
        for ppm in [-500_000, -20_000, -1, 1, 333, 500_000, i32::MAX, i32::MIN] {
            let mut clock = Clock::new();
            clock.drift(at(77), ppm);
            clock.step(at(1_000), Duration::from_ticks(5));
            let mut last = clock.reads(at(1_000));
            for ticks in 1_000..3_000 {
                let shown = clock.reads(at(ticks));
                assert!(shown >= last, "never back");
                last = shown;
                let when = clock.when(shown + Duration::from_ticks(7));
                assert!(clock.reads(when) >= shown + Duration::from_ticks(7));
                assert!(clock.reads(at(when.as_ticks() - 1)) < shown + Duration::from_ticks(7));
            }
        }
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        let mut clock = Clock::new();
        clock.drift(at(0), 500_000);
        assert_eq!(clock.reads(at(u64::MAX)), at(u64::MAX));
        clock.drift(at(0), -500_000);
        assert_eq!(clock.when(at(u64::MAX)), at(u64::MAX));
        clock.step(at(9), Duration::from_ticks(u64::MAX));
        assert_eq!(clock.reads(at(10)), at(u64::MAX));
    }
}
