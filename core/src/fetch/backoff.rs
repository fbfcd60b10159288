//! The wait between two tries.

use crate::random::{below, draw};
use crate::time::{Duration, Instant};

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
    use crate::time::EPOCH;

    #[test]
    fn a_backoff_grows_and_is_bounded() {
        let wait = |attempt| backoff(attempt, 7, 0, EPOCH);
        assert!(wait(1) >= Duration::from_millis(250) && wait(1) <= Duration::from_millis(500));
        assert!(wait(60) <= Duration::from_secs(30) && wait(60) >= Duration::from_secs(15));
        assert_ne!(backoff(3, 7, 0, EPOCH), backoff(3, 7, 1, EPOCH));
    }
}
