//! Faults as plain data: what goes wrong, where and when.
//!
//! [`World::draw_faults`](crate::world::World::draw_faults) draws a list of them from the world's seed;
//! [`World::schedule`](crate::world::World::schedule) takes one that was written by hand. What a bad link does to its
//! frames is data too: [`World::plan`](crate::world::World::plan) gives it as [`Fault::Drop`] and its like. Each draw is
//! keyed by the fault's own number, so striking one fault leaves the others as they were.
//!
//! ```
//! use tidemill_core::time::{Duration, Instant};
//! use tidemill_sim::fault::{Fault, Menu};
//! use tidemill_sim::world::World;
//! # use tidemill_sim::{frame::Nic, world::Node};
//! # struct Idle;
//! # impl Node for Idle { fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> { None } }
//! let mut world = World::new(7);
//! let server = world.node("server", [10, 0, 0, 1].into(), |_| Box::new(Idle))?;
//! let second = Duration::from_secs(1);
//! world.schedule(Fault::Crash { host: server, at: Instant::from_ticks(20), off_for: Some(second) })?;
//! world.draw_faults(&Menu { horizon: 10 * second, hosts: vec![server], links: vec![] })?;
//! while world.step()?.is_some() {}
//! // What was drawn; the crash above is no matter of chance.
//! println!("{}", world.plan());
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```

use serde::{Deserialize, Serialize};
use tidemill_core::random::{below, draw as bits};
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::link::{Damage, Link};
use crate::plan::{duration, duration_or_none, instant};
use crate::world::HostId;

/// One thing that goes wrong. In a plan, `kind` is its name in small letters, and times are in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The host loses its power: its program, its connections and what its card holds are gone. It boots anew after
    /// `off_for`; `None`: it stays off. Nothing happens when it is off already.
    Crash {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "off_for_us", with = "duration_or_none", default, skip_serializing_if = "Option::is_none")]
        off_for: Option<Duration>,
    },
    /// Both directions of a link drop every frame that is sent into them. What is under way still arrives.
    Outage {
        /// The hosts the link joins.
        link: (HostId, HostId),
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
    },
    /// One direction of a link drops every frame that is sent into it; the other goes on. What is under way still arrives.
    Silence {
        /// Which way nothing passes: from, to.
        link: (HostId, HostId),
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
    },
    /// One direction of a link has this rate at most, so that its queue fills.
    Squeeze {
        /// Which way: from, to.
        link: (HostId, HostId),
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
        /// Bits per second; at least 1.
        rate_bps: u64,
    },
    /// The host stands still: frames wait in its card, and its deadlines pass. It goes on as if nothing had been. One
    /// that is switched on meanwhile boots when it goes on.
    Pause {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
    },
    /// The host is slow: after each turn it is busy for a time before it looks at anything again.
    Slow {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
        /// How long a turn takes.
        #[serde(rename = "turn_us", with = "duration")]
        turn: Duration,
    },
    /// The host's card sends nothing: what is to be sent waits in it, and it takes no more when it is full.
    Stall {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// For how long.
        #[serde(rename = "lasts_us", with = "duration")]
        lasts: Duration,
    },
    /// The host's clock jumps ahead. It never goes back: programs are told a monotonic time.
    ClockStep {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// By how much.
        #[serde(rename = "ahead_us", with = "duration")]
        ahead: Duration,
    },
    /// The host's clock runs fast, or slow, from then on.
    ClockDrift {
        /// Which host.
        host: HostId,
        /// When.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
        /// By so many millionths; at most half as fast again, or half as slow.
        ppm: i32,
    },
    /// The connection of the first segment with data that is sent in this direction, at this time or later, is cut:
    /// the segment vanishes, and a reset goes to either end. The resets can be lost like any frame.
    Reset {
        /// Which way the segment goes: from, to.
        link: (HostId, HostId),
        /// From when on.
        #[serde(rename = "at_us", with = "instant")]
        at: Instant,
    },
    /// Of the tasks that are ready on a host, another one than the longest ready is polled next.
    Sched {
        /// Which host.
        host: HostId,
        /// Which of all its choices, from 0. There is one whenever more than one task is ready.
        nth: u64,
        /// How many tasks are passed over; at most 15, and all but the last ready.
        pick: u32,
    },
    /// No fault, but what the test itself may have more or less of: see
    /// [`World::size`](crate::world::World::size). One that is not listed is as small as it may be.
    Size {
        /// Which of all that the test asked for, from 0.
        nth: u32,
        /// How much.
        value: u64,
    },
    /// One frame is lost.
    Drop {
        /// From, to.
        link: (HostId, HostId),
        /// Its number among all that are sent this way, from 0.
        frame: u64,
    },
    /// One bit of one frame is flipped.
    Flip {
        /// From, to.
        link: (HostId, HostId),
        /// Its number among all that are sent this way, from 0.
        frame: u64,
        /// Which bit, counted from the first byte's lowest. Beyond its end: none.
        bit: u64,
    },
    /// One frame loses its end.
    Cut {
        /// From, to.
        link: (HostId, HostId),
        /// Its number among all that are sent this way, from 0.
        frame: u64,
        /// How many bytes are left.
        len: u64,
    },
    /// One frame comes late, and others may overtake it.
    Delay {
        /// From, to.
        link: (HostId, HostId),
        /// Its number among all that are sent this way, from 0.
        frame: u64,
        /// By how much.
        #[serde(rename = "by_us", with = "duration")]
        by: Duration,
    },
    /// One frame arrives twice.
    Duplicate {
        /// From, to.
        link: (HostId, HostId),
        /// Its number among all that are sent this way, from 0.
        frame: u64,
        /// How long after the first time.
        #[serde(rename = "after_us", with = "duration")]
        after: Duration,
    },
}

/// What happens to a single frame, and its number.
pub(crate) type OfFrame = (u64, FrameFault);

/// What happens to a single frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameFault {
    Drop,
    Damage(Damage),
    Delay(Duration),
    Duplicate(Duration),
}

/// The kinds that [`draw`] gives, by their names in a plan.
pub const DRAWN: [&str; 10] =
    ["crash", "outage", "silence", "squeeze", "pause", "slow", "stall", "clock-step", "clock-drift", "reset"];

impl Fault {
    /// Its kind: its name in a plan.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Outage { .. } => "outage",
            Self::Silence { .. } => "silence",
            Self::Squeeze { .. } => "squeeze",
            Self::Pause { .. } => "pause",
            Self::Slow { .. } => "slow",
            Self::Stall { .. } => "stall",
            Self::ClockStep { .. } => "clock-step",
            Self::ClockDrift { .. } => "clock-drift",
            Self::Reset { .. } => "reset",
            Self::Sched { .. } => "sched",
            Self::Size { .. } => "size",
            Self::Drop { .. } => "drop",
            Self::Flip { .. } => "flip",
            Self::Cut { .. } => "cut",
            Self::Delay { .. } => "delay",
            Self::Duplicate { .. } => "duplicate",
        }
    }

    /// When it begins; `None` for what has no time of its own: what happens to a frame, or
    /// to the order of tasks, and sizes.
    pub fn at(&self) -> Option<Instant> {
        let mut fault = *self;
        fault.at_mut().copied()
    }

    /// When it begins, to be changed; `None` as for [`Fault::at`].
    pub(crate) fn at_mut(&mut self) -> Option<&mut Instant> {
        match self {
            Self::Crash { at, .. }
            | Self::Outage { at, .. }
            | Self::Silence { at, .. }
            | Self::Squeeze { at, .. }
            | Self::Pause { at, .. }
            | Self::Slow { at, .. }
            | Self::Stall { at, .. }
            | Self::ClockStep { at, .. }
            | Self::ClockDrift { at, .. }
            | Self::Reset { at, .. } => Some(at),
            _ => None,
        }
    }

    /// How long it lasts, to be changed; `None` for what does not.
    pub(crate) fn span_mut(&mut self) -> Option<&mut Duration> {
        match self {
            Self::Crash { off_for: span, .. } => span.as_mut(),
            Self::Outage { lasts: span, .. }
            | Self::Silence { lasts: span, .. }
            | Self::Squeeze { lasts: span, .. }
            | Self::Pause { lasts: span, .. }
            | Self::Slow { lasts: span, .. }
            | Self::Stall { lasts: span, .. }
            | Self::ClockStep { ahead: span, .. }
            | Self::Delay { by: span, .. }
            | Self::Duplicate { after: span, .. } => Some(span),
            Self::ClockDrift { .. }
            | Self::Reset { .. }
            | Self::Sched { .. }
            | Self::Size { .. }
            | Self::Drop { .. }
            | Self::Flip { .. }
            | Self::Cut { .. } => None,
        }
    }

    /// The host it happens to.
    pub(crate) fn host(&self) -> Option<HostId> {
        match *self {
            Self::Crash { host, .. }
            | Self::Pause { host, .. }
            | Self::Slow { host, .. }
            | Self::Stall { host, .. }
            | Self::ClockStep { host, .. }
            | Self::ClockDrift { host, .. }
            | Self::Sched { host, .. } => Some(host),
            _ => None,
        }
    }

    /// The direction it happens in; for an outage, one of both.
    pub(crate) fn link(&self) -> Option<(HostId, HostId)> {
        match *self {
            Self::Outage { link, .. }
            | Self::Silence { link, .. }
            | Self::Squeeze { link, .. }
            | Self::Reset { link, .. }
            | Self::Drop { link, .. }
            | Self::Flip { link, .. }
            | Self::Cut { link, .. }
            | Self::Delay { link, .. }
            | Self::Duplicate { link, .. } => Some(link),
            _ => None,
        }
    }

    /// What it does to a frame, if it is about one.
    pub(crate) fn of_frame(&self) -> Option<OfFrame> {
        match *self {
            Self::Drop { frame, .. } => Some((frame, FrameFault::Drop)),
            Self::Flip { frame, bit, .. } => Some((frame, FrameFault::Damage(Damage::Bit(bit as usize)))),
            Self::Cut { frame, len, .. } => Some((frame, FrameFault::Damage(Damage::Cut(len as usize)))),
            Self::Delay { frame, by, .. } => Some((frame, FrameFault::Delay(by))),
            Self::Duplicate { frame, after, .. } => Some((frame, FrameFault::Duplicate(after))),
            _ => None,
        }
    }
}

impl FrameFault {
    /// As it stands in a plan.
    pub(crate) fn on(self, link: (HostId, HostId), frame: u64) -> Fault {
        match self {
            Self::Drop => Fault::Drop { link, frame },
            Self::Damage(Damage::Bit(bit)) => Fault::Flip { link, frame, bit: bit as u64 },
            Self::Damage(Damage::Cut(len)) => Fault::Cut { link, frame, len: len as u64 },
            Self::Delay(by) => Fault::Delay { link, frame, by },
            Self::Duplicate(after) => Fault::Duplicate { link, frame, after },
        }
    }
}

/// What may go wrong in a world.
#[derive(Clone, Debug)]
pub struct Menu {
    /// Faults begin within this time.
    pub horizon: Duration,
    /// Hosts that may crash, stand still, be slow, have a stuck card or a wrong clock.
    pub hosts: Vec<HostId>,
    /// Links that may fail, be squeezed, or lose connections in the direction given.
    pub links: Vec<(HostId, HostId)>,
}

/// Most faults of one kind that [`draw`] gives.
pub const FAULTS_MAX: u64 = 3;

/// Longest outage, or time off, that [`draw`] gives.
pub const OUTAGE_MAX: Duration = Duration::from_secs(3);

/// How many kinds [`draw`] knows.
const KINDS: usize = 11;

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
    const DEGREE: u64 = 4;
    const SIDES: u64 = 5;
    // One of eight seeds is calm: with so many kinds, hardly one would be by chance.
    if below(bits(seed, &[DRAW_FAULT]), 8) == 0 {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let (hosts, links) = (menu.hosts.len(), menu.links.len());
    let places: [usize; KINDS] = [hosts, links, links, links, hosts, links, hosts, hosts, hosts, hosts, links];
    for (kind, places) in places.into_iter().enumerate() {
        let kind = kind as u64;
        let draw = |n, what, bound| below(bits(seed, &[DRAW_FAULT, kind, n, what]), bound);
        // Half of the seeds do without this kind.
        let count = draw(0, COUNT, 2 * FAULTS_MAX).saturating_sub(FAULTS_MAX - 1);
        for n in 0..if places == 0 { 0 } else { count } {
            let place = draw(n, PLACE, places as u64) as usize;
            let at = EPOCH + Duration::from_micros(draw(n, TIME, menu.horizon.as_ticks().max(1)));
            let lasts = Duration::from_micros(1 + draw(n, SPAN, OUTAGE_MAX.as_ticks()));
            let degree = |bound| draw(n, DEGREE, bound);
            faults.push(match kind {
                0 => Fault::Crash { host: menu.hosts[place], at, off_for: Some(lasts) },
                1 => Fault::Outage { link: menu.links[place], at, lasts },
                2 => Fault::Reset { link: menu.links[place], at },
                3 => Fault::Silence { link: menu.links[place], at, lasts },
                4 => Fault::Pause { host: menu.hosts[place], at, lasts },
                5 => Fault::Squeeze { link: menu.links[place], at, lasts, rate_bps: 100_000 + degree(2_000_000) },
                6 => Fault::Slow { host: menu.hosts[place], at, lasts, turn: Duration::from_ticks(1 + degree(20_000)) },
                7 => Fault::Stall { host: menu.hosts[place], at, lasts },
                8 => Fault::ClockStep { host: menu.hosts[place], at, ahead: lasts },
                9 => Fault::ClockDrift { host: menu.hosts[place], at, ppm: degree(20_001) as i32 - 10_000 },
                _ => {
                    // A partition: each host is on one side or the other.
                    let side = |host: HostId| draw(n, SIDES + u64::from(host.index()), 2);
                    let cut = menu.links.iter().filter(|(a, b)| side(*a) != side(*b));
                    faults.extend(cut.map(|&link| Fault::Silence { link, at, lasts }));
                    continue;
                }
            });
        }
    }
    faults
}

/// Whether this seed also decides in which order ready tasks are polled: half of them do.
pub(crate) fn draws_order(seed: u64) -> bool {
    const DRAW_SCHED: u64 = 0x7363_6865;
    below(bits(seed, &[DRAW_SCHED]), 2) == 1
}

/// A link as this seed spoils it: more jitter, loss and bursts of it, damage, reordering and duplicates, half of the seeds
/// without each of these. What is there already stays where nothing is drawn.
pub fn draw_link(seed: u64, link: Link) -> Link {
    const DRAW_LINK: u64 = 0x6C69_6E6B;
    let draw = |what, n, bound| below(bits(seed, &[DRAW_LINK, what, n]), bound);
    let some = |what, bound| (draw(what, 0, 2) == 1).then(|| draw(what, 1, bound));
    let mut link = link;
    if let Some(ticks) = some(0, 10_000) {
        link = link.jitter(Duration::from_ticks(ticks));
    }
    if let Some(ppm) = some(1, 50_000) {
        link = link.loss_ppm(ppm as u32);
    }
    if let Some(ppm) = some(2, 3_000) {
        link = link.bursts(ppm as u32, Duration::from_ticks(draw(2, 2, 2_000_000)));
    }
    if let Some(ppm) = some(3, 20_000) {
        link = link.damage_ppm(ppm as u32);
    }
    if let Some(ppm) = some(4, 50_000) {
        link = link.reorder_ppm(ppm as u32);
    }
    if let Some(ppm) = some(5, 50_000) {
        link = link.duplicate_ppm(ppm as u32);
    }
    link
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
        for kind in DRAWN {
            let seeds = all.iter().filter(|faults| faults.iter().any(|fault| fault.kind() == kind)).count();
            assert!((30..=70).contains(&seeds), "{kind} in {seeds} of 100 seeds");
        }
        assert!(all.iter().flatten().all(|fault| DRAWN.contains(&fault.kind())));
        assert!(all.iter().any(Vec::is_empty));
        assert!(all.iter().all(|faults| faults.len() <= KINDS * FAULTS_MAX as usize));
        assert!(all.iter().flatten().all(|fault| fault.at() < Some(EPOCH + Duration::from_secs(5))));
    }

    #[test]
    fn a_kind_is_called_as_in_a_plan() {
        let link = (HostId::new(0), HostId::new(1));
        let of_frames = [FrameFault::Drop, FrameFault::Damage(Damage::Bit(3)), FrameFault::Damage(Damage::Cut(3))];
        let of_frames = of_frames.into_iter().chain([FrameFault::Delay, FrameFault::Duplicate].map(|f| f(OUTAGE_MAX)));
        let others = [Fault::Sched { host: link.0, nth: 0, pick: 1 }, Fault::Size { nth: 0, value: 1 }];
        let drawn = (0..100).flat_map(|seed| draw(seed, &menu()));
        let all = drawn.chain(others).chain(of_frames.map(|fault| fault.on(link, 1)));
        let mut kinds = std::collections::BTreeSet::new();
        for fault in all {
            let text = toml::to_string(&fault).expect("it can be written");
            assert!(text.starts_with(&format!("kind = {:?}\n", fault.kind())), "{text}");
            kinds.insert(fault.kind());
        }
        assert_eq!(kinds.len(), DRAWN.len() + 7);
    }

    #[test]
    fn what_is_not_on_the_menu_does_not_happen() {
        let menu = Menu { hosts: vec![], ..menu() };
        assert!((0..100).flat_map(|seed| draw(seed, &menu)).all(|fault| fault.host().is_none()));
        let menu = Menu { links: vec![], ..menu };
        assert!((0..100).all(|seed| draw(seed, &menu).is_empty()));
    }
}
