//! When to go on: a token bucket for the rate limit, and the wait between retries.

use crate::random::{below, draw};
use crate::time::{Duration, EPOCH, Instant};

/// A bucket shared by all connections of a download. Holds a twentieth of a second's worth, at least 4 KiB.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Bytes per second; `None`: no limit.
    rate: Option<u64>,
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    pub(super) const fn new(rate: Option<u64>) -> Self {
        Self { rate, tokens: 0, filled: EPOCH }
    }

    fn size(rate: u64) -> u64 {
        (rate / 20).max(4096)
    }

    /// How many of `want` bytes may be read now; or when to ask again.
    pub(super) fn allow(&mut self, want: usize, now: Instant) -> Result<usize, Instant> {
        let Some(rate) = self.rate else { return Ok(want) };
        let rate = rate.max(1);
        let passed = now.checked_duration_since(self.filled).map_or(0, |passed| passed.as_ticks());
        let gained = u64::try_from(u128::from(rate) * u128::from(passed) / 1_000_000).unwrap_or(u64::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(Self::size(rate));
            self.filled = now;
        }
        // Reads of a few bytes would cost more than they carry.
        let enough = (want as u64).min(Self::size(rate) / 2);
        if self.tokens >= enough {
            return Ok(want.min(usize::try_from(self.tokens).unwrap_or(usize::MAX)));
        }
        let wait = u128::from(enough - self.tokens) * 1_000_000 / u128::from(rate) + 1;
        Err(now + Duration::from_ticks(u64::try_from(wait).unwrap_or(u64::MAX / 4)))
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.tokens = self.tokens.saturating_sub(bytes as u64);
        }
    }
}

/// How long to wait before the `attempt`th retry (from 1): half a second doubled each time up to 30 s, of which a
/// keyed draw takes away up to half, so that connections cut together do not come back together.
pub(super) fn backoff(attempt: u32, seed: u64, connection: u8, now: Instant) -> Duration {
    const FIRST_MS: u64 = 500;
    const LAST_MS: u64 = 30_000;
    let full = (FIRST_MS << attempt.saturating_sub(1).min(16)).min(LAST_MS) * 1000;
    let jitter = below(draw(seed, &[u64::from(connection), u64::from(attempt), now.as_ticks()]), full / 2);
    Duration::from_ticks(full - jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_through_its_rate_and_not_more() {
        let mut bucket = Bucket::new(Some(1_000_000));
        let (mut now, mut read) = (EPOCH, 0u64);
        let end = EPOCH + Duration::from_secs(10);
        while now < end {
            match bucket.allow(16_384, now) {
                Ok(bytes) => {
                    bucket.spend(bytes);
                    read += bytes as u64;
                }
                Err(at) => {
                    assert!(at > now, "a wait that does not wait");
                    now = at;
                }
            }
        }
        assert!((9_900_000..=10_100_000).contains(&read), "{read} bytes in 10 s at 1 MB/s");
    }

    #[test]
    fn a_backoff_grows_and_is_bounded() {
        let wait = |attempt| backoff(attempt, 7, 0, EPOCH);
        assert!(wait(1) >= Duration::from_millis(250) && wait(1) <= Duration::from_millis(500));
        assert!(wait(60) <= Duration::from_secs(30) && wait(60) >= Duration::from_secs(15));
        assert_ne!(backoff(3, 7, 0, EPOCH), backoff(3, 7, 1, EPOCH));
    }
}
