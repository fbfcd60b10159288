//! Ticks: time as a value, one microsecond each, 64 bits wide (584,000 years before it wraps).
//!
//! Nothing in this crate reads a clock. A driver asks its [`Clock`] once a turn and hands the answer down as `now`;
//! what is due next comes back up as an [`Instant`]. So a test, or the simulator, can own time.
//!
//! ```
//! use tidemill_core::time::{Duration, Instant};
//! let start = Instant::from_ticks(0);
//! let deadline = start + Duration::from_millis(3);
//! assert_eq!(deadline.as_ticks(), 3_000);
//! assert!(deadline > start);
//! ```

/// A point in time: microseconds since the world's start. Never wraps, so it is totally ordered.
pub type Instant = fugit::MonotonicInstant<u64, 1, 1_000_000>;

/// A span of time in microseconds.
pub type Duration = fugit::Duration<u64, 1, 1_000_000>;

/// The time at which every world starts.
pub const EPOCH: Instant = Instant::from_ticks(0);

/// Where a driver reads the time. Readings never go back.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Instant;
}
