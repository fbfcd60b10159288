//! What crosses tidemill's crates; see `tests/`.

pub mod board;
pub mod e2e;
pub mod net_conformance;
pub mod wire;

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
