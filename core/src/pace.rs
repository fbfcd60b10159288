//! A limit on bytes per second, kept as the time at which what was moved is paid for.

use core::num::NonZeroU64;

use crate::time::{Duration, EPOCH, Instant};

/// How much unused time may be made up for.
const SLACK: Duration = Duration::from_millis(100);

/// How many times a second there is something to send.
const STEPS: u64 = 32;

/// The least that is worth a call.
const LEAST: u64 = 512;

/// `count * times / parts`, rounded down; no product on the way is too large, and what the result cannot hold is
/// `u64::MAX`. In one place, because 128 bits take much code where there are 32.
#[inline(never)]
pub(crate) fn share(count: u64, times: u64, parts: u64) -> u64 {
    let parts = parts.max(1);
    match count.checked_mul(times) {
        Some(product) => product / parts,
        None => u64::try_from(u128::from(count) * u128::from(times) / u128::from(parts)).unwrap_or(u64::MAX),
    }
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    paid: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, paid: EPOCH }
    }

    /// How much may be moved at `now`; else from when on.
    pub(crate) fn allows(&self, now: Instant) -> Result<u64, Instant> {
        let Some(rate) = self.rate else { return Ok(u64::MAX) };
        if self.paid > now {
            return Err(self.paid);
        }
        let unused = (now - self.paid).min(SLACK).as_ticks();
        Ok((rate.get() / STEPS).max(LEAST).saturating_add(share(unused, rate.get(), 1_000_000)))
    }

    /// `count` bytes were moved at `now`.
    pub(crate) fn spend(&mut self, now: Instant, count: u64) {
        let Some(rate) = self.rate else { return };
        let from = if now.as_ticks() > SLACK.as_ticks() { self.paid.max(now - SLACK) } else { self.paid };
        let price = share(count, 1_000_000, rate.get());
        // A hundred years: later than any deadline, and far from the end of time.
        self.paid = from + Duration::from_ticks(price.min(1 << 51));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_minute_the_rate_is_kept_to_a_part_in_a_hundred_whatever_it_is() {
        for rate in [100, 4_096, 1_000_000, 8 << 20, 10_000_000_000] {
            let mut pace = Pace::new(NonZeroU64::new(rate));
            let start = EPOCH + Duration::from_secs(7);
            let (mut now, mut sent) = (start, 0);
            while now < start + Duration::from_secs(60) {
                match pace.allows(now) {
                    Ok(count) => {
                        // The socket takes less than what it is offered.
                        let count = count.min(300_000_000);
                        pace.spend(now, count);
                        sent += count;
                    }
                    // The loop wakes up a little late.
                    Err(until) => now = until + Duration::from_micros(700),
                }
            }
            let due = rate * 60;
            let most = due / 100 + 2 * LEAST + rate / 5;
            assert!(sent.abs_diff(due) < most, "{sent} bytes instead of {due}");
        }
    }

    #[test]
    fn no_limit_never_waits() {
        let mut pace = Pace::new(None);
        pace.spend(EPOCH, u64::MAX);
        assert_eq!(pace.allows(EPOCH), Ok(u64::MAX));
    }
}
