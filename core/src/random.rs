//! Keyed randomness: a draw is a pure function of what it is for.
//!
//! A shared generator makes every draw depend on all the draws before it: take one event away and the rest of the
//! run changes. Here `draw(seed, [domain, entity, n])` depends on its key alone, so faults can be removed one by one
//! and a jitter can be recomputed. Not for secrets.
//!
//! ```
//! use tidemill_core::random::{below, draw};
//! assert_eq!(draw(7, &[1, 2]), draw(7, &[1, 2]));
//! assert_ne!(draw(7, &[1, 2]), draw(7, &[2, 1]));
//! assert!(below(draw(7, &[3]), 10) < 10);
//! ```

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
pub const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// 64 random bits for this seed and key. O(key length).
pub fn draw(seed: u64, key: &[u64]) -> u64 {
    key.iter().fold(mix(seed), |state, &word| mix(state ^ mix(word)))
}

/// Maps 64 random bits onto `0..bound` (Lemire's multiplication; bias below bound / 2^64). `0` when `bound` is 0.
pub const fn below(bits: u64, bound: u64) -> u64 {
    ((bits as u128 * bound as u128) >> 64) as u64
}
