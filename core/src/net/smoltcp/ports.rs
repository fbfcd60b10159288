//! Ephemeral ports: a cursor over the dynamic range (RFC 6335, section 6) that starts where the seed says.
//!
//! The cursor moves on with every draw, so a port comes back only after all the others; whether one is free is for the
//! caller to ask, who knows the tuples in use.

use crate::random::{below, draw};

const FIRST: u16 = 49_152;
const COUNT: u16 = u16::MAX - FIRST + 1;

/// Names this use of the seed among the draws of the crate.
const DOMAIN: u64 = 0x706f_7274;

/// The next port to try.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    offset: u16,
}

impl Ports {
    pub(super) fn new(seed: u64) -> Self {
        Self { offset: below(draw(seed, &[DOMAIN]), u64::from(COUNT)) as u16 }
    }

    /// The next port for which `taken` is false. At most `limit` ports are asked for; O(limit).
    pub(super) fn next(&mut self, limit: usize, taken: impl Fn(u16) -> bool) -> Option<u16> {
        for _ in 0..limit.min(usize::from(COUNT)) {
            let port = FIRST + self.offset;
            self.offset = (self.offset + 1) % COUNT;
            if !taken(port) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_comes_once_before_any_comes_again() {
        let mut ports = Ports::new(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..COUNT {
            let port = ports.next(1, |_| false).unwrap();
            assert!(port >= FIRST && seen.insert(port));
        }
        assert!(seen.contains(&ports.next(1, |_| false).unwrap()));
    }

    #[test]
    fn taken_ports_are_skipped_and_the_search_ends() {
        let mut ports = Ports::new(3);
        let first = Ports::new(3).next(1, |_| false).unwrap();
        assert_ne!(ports.next(2, |port| port == first).unwrap(), first);
        assert_eq!(ports.next(usize::MAX, |_| true), None);
    }

    #[test]
    fn another_seed_starts_elsewhere() {
        let first = |seed| Ports::new(seed).next(1, |_| false);
        assert_ne!(first(1), first(2));
    }
}
