//! The loop that turns a pool of tasks, and says until when it may sleep.

use crate::time::Instant;

/// What a world runs: it is turned whenever something may have changed, and says when it must be turned next.
///
/// The world calls `turn` when a watched socket became ready, when the time last returned has come, and once at the
/// start. Between turns the world sleeps (host) or jumps (simulator).
pub trait Program<S> {
    /// Does all that can be done at `now`. Returns the latest time of the next turn; `None`: only the network can
    /// bring more. A time not after `now` means: again at once, after the world has moved bytes.
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant>;
}
