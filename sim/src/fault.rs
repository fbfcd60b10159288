//! Faults as plain data: what goes wrong, where and when.
//!
//! A list of them is drawn from a seed, or written by hand, and handed to [`crate::world::World::schedule`]. Each draw
//! is keyed by the fault's own number, so striking one fault from a list leaves the others as they were.
//!
//! ```
//! use tidemill_core::time::{Duration, Instant};
//! use tidemill_sim::fault::{Fault, Menu, draw};
//! use tidemill_sim::world::World;
//! # use tidemill_sim::{frame::Nic, world::Node};
//! # struct Idle;
//! # impl Node for Idle { fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> { None } }
//! let mut world = World::new(7);
//! let server = world.node("server", [10, 0, 0, 1].into(), |_| Box::new(Idle))?;
//! let menu = Menu { horizon: Duration::from_secs(10), hosts: vec![server], links: vec![] };
//! let faults = draw(7, &menu);
//! assert!(faults.iter().all(|fault| matches!(fault, Fault::Crash { .. })));
//! for fault in faults {
//!     world.schedule(fault)?;
//! }
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```

use tidemill_core::random::{below, draw as bits};
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::world::HostId;

/// One thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The host loses its power: its program, its connections and what its card holds are gone. It boots anew after
    /// `off_for`; `None`: it stays off. Nothing happens when it is off already.
    Crash {
        /// Which host.
        host: HostId,
        /// When.
        at: Instant,
        /// For how long.
        off_for: Option<Duration>,
    },
    /// Both directions of a link drop every frame that is sent into them. What is under way still arrives.
    Outage {
        /// The hosts the link joins.
        link: (HostId, HostId),
        /// When.
        at: Instant,
        /// For how long.
        lasts: Duration,
    },
    /// One direction of a link drops every frame that is sent into it; the other goes on. What is under way still arrives.
    Silence {
        /// Which way nothing passes: from, to.
        link: (HostId, HostId),
        /// When.
        at: Instant,
        /// For how long.
        lasts: Duration,
    },
    /// The host stands still: frames wait in its card, and its deadlines pass. It goes on as if nothing had been. One
    /// that is switched on meanwhile boots when it goes on.
    Pause {
        /// Which host.
        host: HostId,
        /// When.
        at: Instant,
        /// For how long.
        lasts: Duration,
    },
    /// The connection of the first segment with data that is sent in this direction, at this time or later, is cut:
    /// the segment vanishes, and a reset goes to either end. The resets can be lost like any frame.
    Reset {
        /// Which way the segment goes: from, to.
        link: (HostId, HostId),
        /// From when on.
        at: Instant,
    },
}

impl Fault {
    /// When it begins.
    pub fn at(&self) -> Instant {
        match *self {
            Self::Crash { at, .. }
            | Self::Outage { at, .. }
            | Self::Silence { at, .. }
            | Self::Pause { at, .. }
            | Self::Reset { at, .. } => at,
        }
    }
}

/// What may go wrong in a world.
#[derive(Clone, Debug)]
pub struct Menu {
    /// Faults begin within this time.
    pub horizon: Duration,
    /// Hosts that may crash or stand still.
    pub hosts: Vec<HostId>,
    /// Links that may fail, or lose connections in the direction given.
    pub links: Vec<(HostId, HostId)>,
}

/// Most faults of one kind that [`draw`] gives.
pub const FAULTS_MAX: u64 = 3;

/// Longest outage, or time off, that [`draw`] gives.
pub const OUTAGE_MAX: Duration = Duration::from_secs(3);

/// Draws faults for this seed: which kinds there are at all, how many (at most [`FAULTS_MAX`] each), where and when.
///
/// Kinds are chosen first because a failure that needs one kind alone drowns where all kinds always happen.
pub fn draw(seed: u64, menu: &Menu) -> Vec<Fault> {
    const DRAW_FAULT: u64 = 0x6661_756C_7473;
    // What a draw is for: the last word of its key.
    const COUNT: u64 = 0;
    const PLACE: u64 = 1;
    const TIME: u64 = 2;
    const SPAN: u64 = 3;
    let mut faults = Vec::new();
    let (hosts, links) = (menu.hosts.len(), menu.links.len());
    for (kind, places) in [hosts, links, links, links, hosts].into_iter().enumerate() {
        let kind = kind as u64;
        let draw = |n, what, bound| below(bits(seed, &[DRAW_FAULT, kind, n, what]), bound);
        // Half of the seeds do without this kind.
        let count = draw(0, COUNT, 2 * FAULTS_MAX).saturating_sub(FAULTS_MAX - 1);
        for n in 0..if places == 0 { 0 } else { count } {
            let place = draw(n, PLACE, places as u64) as usize;
            let at = EPOCH + Duration::from_micros(draw(n, TIME, menu.horizon.as_ticks().max(1)));
            let span = Duration::from_micros(1 + draw(n, SPAN, OUTAGE_MAX.as_ticks()));
            faults.push(match kind {
                0 => Fault::Crash { host: menu.hosts[place], at, off_for: Some(span) },
                1 => Fault::Outage { link: menu.links[place], at, lasts: span },
                2 => Fault::Reset { link: menu.links[place], at },
                3 => Fault::Silence { link: menu.links[place], at, lasts: span },
                _ => Fault::Pause { host: menu.hosts[place], at, lasts: span },
            });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu() -> Menu {
        let (a, b) = (HostId::new(0), HostId::new(1));
        Menu { horizon: Duration::from_secs(5), hosts: vec![a, b], links: vec![(a, b), (b, a)] }
    }

    #[test]
    fn the_same_seed_draws_the_same_faults_and_another_draws_others() {
        assert_eq!(draw(1, &menu()), draw(1, &menu()));
        assert!((0..10).any(|seed| draw(seed, &menu()) != draw(seed + 1, &menu())));
    }

    #[test]
    fn every_kind_and_no_fault_at_all_occur_among_a_hundred_seeds() {
        let all: Vec<Vec<Fault>> = (0..100).map(|seed| draw(seed, &menu())).collect();
        let has = |kind: fn(&Fault) -> bool| all.iter().filter(|faults| faults.iter().any(kind)).count();
        for (name, seeds) in [
            ("crash", has(|fault| matches!(fault, Fault::Crash { .. }))),
            ("outage", has(|fault| matches!(fault, Fault::Outage { .. }))),
            ("silence", has(|fault| matches!(fault, Fault::Silence { .. }))),
            ("pause", has(|fault| matches!(fault, Fault::Pause { .. }))),
            ("reset", has(|fault| matches!(fault, Fault::Reset { .. }))),
        ] {
            assert!((30..=70).contains(&seeds), "{name} in {seeds} of 100 seeds");
        }
        assert!(all.iter().any(Vec::is_empty));
        assert!(all.iter().all(|faults| faults.len() <= 5 * FAULTS_MAX as usize));
        assert!(all.iter().flatten().all(|fault| fault.at() < EPOCH + Duration::from_secs(5)));
    }

    #[test]
    fn what_is_not_on_the_menu_does_not_happen() {
        let menu = Menu { hosts: vec![], ..menu() };
        let of_hosts = |fault| matches!(fault, Fault::Crash { .. } | Fault::Pause { .. });
        assert!((0..100).flat_map(|seed| draw(seed, &menu)).all(|fault| !of_hosts(fault)));
        let menu = Menu { links: vec![], ..menu };
        assert!((0..100).all(|seed| draw(seed, &menu).is_empty()));
    }
}
