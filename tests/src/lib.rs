//! What crosses tidemill's crates; see `tests/`.
