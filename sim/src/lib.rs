//! A deterministic world of simulated hosts.
