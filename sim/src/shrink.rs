//! Shrinking: from a plan that fails to one that fails in the same way with fewer and smaller faults.
//!
//! First whole kinds of faults are struck, then halves, quarters and so on down to single ones (Zeller and Hildebrandt's
//! delta debugging), then what is left is made shorter. A step counts only if the *same* thing fails, numbers in its words aside: else one
//! would shrink towards another failure.
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

/// Shrinks a plan that failed with `why`; at most [`RUNS_MAX`] runs. A panic of `test` is a failure.
pub fn shrink<E: Display>(plan: Plan, why: String, test: impl Fn(&Plan) -> Result<(), E>) -> Shrunk {
    let mut search = Search { best: Shrunk { plan, why, runs: 0 }, test };
    search.strike_kinds();
    search.strike();
    search.shorten();
    search.best
}

struct Search<F> {
    best: Shrunk,
    test: F,
}

impl<E: Display, F: Fn(&Plan) -> Result<(), E>> Search<F> {
    /// Runs with these faults instead, and keeps them if the same thing fails.
    fn accept(&mut self, faults: Vec<Fault>) -> bool {
        if self.best.runs >= RUNS_MAX || faults == self.best.plan.faults {
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

    /// Halves how long each fault lasts, as often as it still fails.
    fn shorten(&mut self) {
        for index in 0..self.best.plan.faults.len() {
            loop {
                let mut faults = self.best.plan.faults.clone();
                let halved = faults[index].span_mut().is_some_and(halve);
                if !halved || !self.accept(faults) {
                    break;
                }
            }
        }
    }
}

/// False: it is as short as it can be.
fn halve(span: &mut Duration) -> bool {
    let ticks = span.as_ticks();
    *span = Duration::from_ticks(ticks / 2);
    ticks > 1
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
