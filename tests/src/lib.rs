//! What crosses tidemill's crates; see `tests/`.

pub mod net_conformance;
pub mod wire;
