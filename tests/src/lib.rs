//! What crosses tidemill's crates; see `tests/`.

pub mod e2e;
pub mod net_conformance;
pub mod wire;
