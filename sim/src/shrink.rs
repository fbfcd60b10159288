//! Shrinking: from a plan that fails to one that fails in the same way with fewer and smaller faults.
//!
//! First whole kinds of faults are struck, then what the test itself can do with less of ([`World::size`]), then halves,
//! quarters and so on down to single faults (Zeller and Hildebrandt's delta debugging). What is left is made shorter from
//! both ends, then simpler: a crash becomes a pause, an outage the silence of one direction, damage a loss; last of all
//! times become round. A step counts only if the *same* thing fails: the same [oracle](crate::oracle), or, where none is
//! named, the same words, numbers aside. Else one would shrink towards another failure.
//!
//! [`World::size`]: crate::world::World::size
//!
//! ```
//! use tidemill_core::time::{Duration, EPOCH};
//! use tidemill_sim::fault::Fault;
//! use tidemill_sim::plan::Plan;
//! use tidemill_sim::shrink::shrink;
//! # use tidemill_sim::{frame::Nic, world::{Node, World}};
//! # struct Idle;
//! # impl Node for Idle { fn turn(&mut self, _: tidemill_core::time::Instant, _: &mut Nic) -> Option<tidemill_core::time::Instant> { None } }
//! # let mut world = World::new(7);
//! # let host = world.node("a", [10, 0, 0, 1].into(), |_| Box::new(Idle)).unwrap();
//! let crash = |ms, off_for| Fault::Crash { host, at: EPOCH + Duration::from_millis(ms), off_for };
//! let plan = Plan { seed: 7, faults: vec![crash(1, None), crash(2, None), crash(3, None)] };
//! // Whatever crashes at 2 ms is the culprit.
//! let shrunk = shrink(plan, "crashed at 2 ms".into(), |plan| {
//!     if plan.faults.contains(&crash(2, None)) { Err("crashed at 2 ms") } else { Ok(()) }
//! });
//! assert_eq!(shrunk.plan.faults, [crash(2, None)]);
//! ```

use core::fmt::Display;
use core::mem::discriminant;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidemill_core::time::Duration;

use crate::check::message;
use crate::fault::Fault;
use crate::plan::Plan;

/// How many runs shrinking may take.
pub const RUNS_MAX: u32 = 500;

/// How long it may take. Whichever comes first ends it with the best so far.
pub const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// What is left of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// It fails.
    pub plan: Plan,
    /// With this.
    pub why: String,
    /// So many runs it took.
    pub runs: u32,
}

/// Shrinks a plan that failed with `why`; at most [`RUNS_MAX`] runs or [`TIME_MAX`]. A panic of `test` is a failure.
#[expect(clippy::disallowed_methods, reason = "a limit of patience, outside of every world")]
pub fn shrink<E: Display>(plan: Plan, why: String, test: impl Fn(&Plan) -> Result<(), E>) -> Shrunk {
    let mut search = Search { best: Shrunk { plan, why, runs: 0 }, test, began: std::time::Instant::now() };
    search.strike_kinds();
    search.strike_sizes();
    search.strike();
    search.shorten();
    search.simplify();
    search.best
}

struct Search<F> {
    best: Shrunk,
    test: F,
    began: std::time::Instant,
}

impl<E: Display, F: Fn(&Plan) -> Result<(), E>> Search<F> {
    /// Runs with these faults instead, and keeps them if the same thing fails.
    fn accept(&mut self, faults: Vec<Fault>) -> bool {
        let over = self.best.runs >= RUNS_MAX || self.began.elapsed() > TIME_MAX;
        if over || faults == self.best.plan.faults {
            return false;
        }
        self.best.runs += 1;
        let plan = Plan { seed: self.best.plan.seed, faults };
        let Err(why) = run(&self.test, &plan) else { return false };
        let same = kind(&why) == kind(&self.best.why);
        if same {
            self.best = Shrunk { plan, why, ..self.best };
        }
        same
    }

    /// Puts another fault in the place of one.
    fn replace(&mut self, index: usize, fault: Fault) -> bool {
        let mut faults = self.best.plan.faults.clone();
        faults[index] = fault;
        self.accept(faults)
    }

    fn strike_kinds(&mut self) {
        let mut kinds = Vec::new();
        for kind in self.best.plan.faults.iter().map(discriminant) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        for kind in kinds {
            let mut faults = self.best.plan.faults.clone();
            faults.retain(|fault| discriminant(fault) != kind);
            self.accept(faults);
        }
    }

    /// The fewer clients there are, the faster are all runs that follow.
    fn strike_sizes(&mut self) {
        let mut index = 0;
        while index < self.best.plan.faults.len() {
            if matches!(self.best.plan.faults[index], Fault::Size { .. }) {
                let mut faults = self.best.plan.faults.clone();
                faults.remove(index);
                if self.accept(faults) {
                    continue;
                }
                self.reduce(index, slighter);
            }
            index += 1;
        }
    }

    fn strike(&mut self) {
        let mut len = self.best.plan.faults.len();
        while len > 0 {
            let mut struck = false;
            let mut from = 0;
            while from < self.best.plan.faults.len() {
                let mut faults = self.best.plan.faults.clone();
                faults.drain(from..(from + len).min(faults.len()));
                // What follows has moved up.
                if self.accept(faults) {
                    struck = true;
                } else {
                    from += len;
                }
            }
            // Striking one may have made another needless.
            len = if struck { len.min(self.best.plan.faults.len()) } else { len / 2 };
        }
    }

    /// Puts what `smaller` makes of a fault in its place, as often as it still fails; whether it ever did.
    fn reduce(&mut self, index: usize, smaller: fn(Fault) -> Option<Fault>) -> bool {
        let mut reduced = false;
        while let Some(fault) = smaller(self.best.plan.faults[index]) {
            if !self.replace(index, fault) {
                break;
            }
            reduced = true;
        }
        reduced
    }

    fn shorten(&mut self) {
        for index in 0..self.best.plan.faults.len() {
            while self.reduce(index, shorter) | self.reduce(index, later) {}
        }
    }

    fn simplify(&mut self) {
        for index in 0..self.best.plan.faults.len() {
            for simpler in simpler(self.best.plan.faults[index]).into_iter().flatten() {
                if self.replace(index, simpler) {
                    break;
                }
            }
            self.reduce(index, slighter);
            for unit in [1_000_000, 100_000, 1_000] {
                let rounded = rounded(self.best.plan.faults[index], unit);
                if rounded.is_some_and(|rounded| self.replace(index, rounded)) {
                    break;
                }
            }
        }
    }
}

/// Over in half the time.
fn shorter(mut fault: Fault) -> Option<Fault> {
    let span = fault.span_mut().filter(|span| span.as_ticks() > 0)?;
    *span /= 2;
    Some(fault)
}

/// Begins when half of it would have been over, and ends as before.
fn later(mut fault: Fault) -> Option<Fault> {
    let span = fault.span_mut()?;
    let half = Duration::from_ticks(span.as_ticks().div_ceil(2));
    if half.as_ticks() == 0 {
        return None;
    }
    *span -= half;
    let at = fault.at_mut()?;
    *at += half;
    Some(fault)
}

/// Half as much of it.
fn slighter(mut fault: Fault) -> Option<Fault> {
    let before = fault;
    match &mut fault {
        Fault::Slow { turn, .. } => *turn /= 2,
        Fault::ClockDrift { ppm, .. } => *ppm /= 2,
        Fault::Sched { pick, .. } => *pick = (*pick / 2).max(1),
        Fault::Size { value, .. } => *value /= 2,
        _ => return None,
    }
    (fault != before).then_some(fault)
}

/// What is easier to understand, the best first.
fn simpler(fault: Fault) -> [Option<Fault>; 2] {
    match fault {
        Fault::Crash { host, at, off_for: Some(lasts) } => [Some(Fault::Pause { host, at, lasts }), None],
        Fault::Outage { link: (a, b), at, lasts } => {
            [(a, b), (b, a)].map(|link| Some(Fault::Silence { link, at, lasts }))
        }
        Fault::Flip { link, frame, .. } | Fault::Cut { link, frame, .. } | Fault::Delay { link, frame, .. } => {
            [Some(Fault::Drop { link, frame }), None]
        }
        _ => [None; 2],
    }
}

/// Begins at a multiple of `unit`, in µs, if it does not; at most so much earlier.
fn rounded(mut fault: Fault, unit: u64) -> Option<Fault> {
    let at = fault.at_mut()?;
    let rest = at.as_ticks() % unit;
    *at -= Duration::from_ticks(rest);
    (rest > 0).then_some(fault)
}

/// What a run of the plan says, if it fails or panics.
fn run<E: Display>(test: &impl Fn(&Plan) -> Result<(), E>, plan: &Plan) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| test(plan))) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(message(panic.as_ref())),
    }
}

/// What a failure is recognised by: the oracle that it names in brackets; else its words, without their numbers.
fn kind(why: &str) -> String {
    if let Some((oracle, _)) = why.strip_prefix('[').and_then(|why| why.split_once(']')) {
        return oracle.to_owned();
    }
    why.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::HostId;
    use tidemill_core::time::Instant;

    fn crash(at: u64) -> Fault {
        Fault::Crash { host: HostId::new(0), at: Instant::from_ticks(at), off_for: Some(Duration::from_ticks(1 << 20)) }
    }

    fn plan(faults: impl Iterator<Item = u64>) -> Plan {
        Plan { seed: 3, faults: faults.map(crash).collect() }
    }

    fn times(plan: &Plan) -> Vec<u64> {
        plan.faults.iter().map(|fault| fault.at().expect("a crash has a time").as_ticks()).collect()
    }

    #[test]
    fn of_a_thousand_faults_the_three_that_matter_are_left() {
        let culprits = [17, 500, 999];
        let shrunk = shrink(plan(0..1_000), "it broke".into(), |plan| {
            let all = culprits.iter().all(|culprit| times(plan).contains(culprit));
            if all { Err("it broke") } else { Ok(()) }
        });
        assert_eq!(times(&shrunk.plan), culprits);
        assert!(shrunk.runs < 200, "{}", shrunk.runs);
    }

    #[test]
    fn another_failure_is_not_what_is_looked_for_but_other_numbers_are_the_same() {
        let shrunk = shrink(plan(0..8), "lost 8 bytes".into(), |plan| match times(plan).len() {
            8 => Err("lost 8 bytes".to_string()),
            len if times(plan).contains(&2) => Err(format!("lost {len} bytes")),
            _ => Err("never ended".into()),
        });
        assert_eq!((times(&shrunk.plan), shrunk.why.as_str()), (vec![2], "lost 1 bytes"));
    }

    #[test]
    fn what_is_left_is_made_as_short_as_it_may_be() {
        let shrunk = shrink(plan(5..6), "off too long".into(), |plan| match plan.faults[..] {
            [Fault::Crash { off_for: Some(span), .. }] if span.as_ticks() >= 1_000 => Err("off too long"),
            _ => Ok(()),
        });
        let Fault::Crash { off_for: Some(span), .. } = shrunk.plan.faults[0] else { panic!("{shrunk:?}") };
        assert!((1_000..2_000).contains(&span.as_ticks()), "{span}");
    }

    #[test]
    fn an_outage_is_cut_to_the_moment_and_the_direction_that_matter() {
        let (a, b) = (HostId::new(0), HostId::new(1));
        let at = Instant::from_ticks(1_234_567);
        let outage = Fault::Outage { link: (a, b), at, lasts: Duration::from_secs(3) };
        // Whatever keeps b from being heard at 3 s.
        let moment = Instant::from_ticks(3_000_000);
        let shrunk = shrink(Plan { seed: 1, faults: vec![outage] }, "[wire] silent".into(), |plan| {
            let silent = plan.faults.iter().any(|fault| match *fault {
                Fault::Outage { at, lasts, .. } => (at..at + lasts).contains(&moment),
                Fault::Silence { link, at, lasts } => link == (b, a) && (at..at + lasts).contains(&moment),
                _ => false,
            });
            if silent { Err("[wire] silent") } else { Ok(()) }
        });
        let Fault::Silence { link, at, lasts } = shrunk.plan.faults[0] else { panic!("{shrunk:?}") };
        assert_eq!(link, (b, a));
        assert!(at.as_ticks() % 1_000 == 0 && lasts.as_millis() < 1_000, "{shrunk:?}");
    }

    #[test]
    fn what_is_not_needed_becomes_as_simple_as_it_may_be() {
        let (link, host, one) = ((HostId::new(0), HostId::new(1)), HostId::new(0), Duration::from_ticks(1));
        let at = Instant::from_ticks(7_000_000);
        for (fault, simple) in [
            (Fault::Crash { host, at, off_for: Some(one) }, Fault::Pause { host, at, lasts: one }),
            (Fault::Flip { link, frame: 3, bit: 9 }, Fault::Drop { link, frame: 3 }),
            (Fault::Sched { host, nth: 4, pick: 13 }, Fault::Sched { host, nth: 4, pick: 1 }),
            (Fault::Size { nth: 0, value: 100 }, Fault::Size { nth: 0, value: 0 }),
        ] {
            let shrunk = shrink(Plan { seed: 1, faults: vec![fault] }, "x".into(), |plan| {
                let gone = |mut fault: Fault| fault.span_mut().is_some_and(|span| span.as_ticks() == 0);
                if plan.faults.is_empty() || gone(plan.faults[0]) { Ok(()) } else { Err("x") }
            });
            assert_eq!(shrunk.plan.faults, [simple]);
        }
    }

    #[test]
    fn another_oracle_is_another_failure_whatever_it_says() {
        let shrunk = shrink(plan(0..4), "[wire] a".into(), |plan| match times(plan).len() {
            4 => Err("[wire] a"),
            3 => Err("[wire] something else"),
            _ => Err("[http] a"),
        });
        assert_eq!((shrunk.plan.faults.len(), shrunk.why.as_str()), (3, "[wire] something else"));
    }

    #[test]
    fn a_panic_is_shrunk_like_any_failure_and_the_runs_are_bounded() {
        let shrunk = shrink(plan(0..3), "panicked: boom 3".into(), |plan| -> Result<(), String> {
            panic!("boom {}", plan.faults.len());
        });
        assert_eq!((shrunk.plan.faults.len(), shrunk.why.as_str()), (0, "panicked: boom 0"));
        let stubborn =
            shrink(plan(0..2_000), "x".into(), |plan| if plan.faults.len() == 2_000 { Err("x") } else { Ok(()) });
        assert_eq!(stubborn.runs, RUNS_MAX);
    }
}
