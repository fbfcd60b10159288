//! Bugs planted on purpose: each is found, shrunk to a few faults, and replayed, and the same program without it passes.
//!
//! A mutant is test code around the real thing: a stack that forgets, a decoder that is off by one, a clock that is
//! counted twice. Nothing that ships can be switched to it.

mod alarm;
mod order;
mod resume;
mod stack;
mod transfer;

use tidemill_sim::check::{explain, explore};
use tidemill_sim::plan::Plan;
use tidemill_sim::world::World;

type Outcome = Result<(), String>;

/// How many seeds a bug may take to be found.
const SEEDS: u64 = 1_000;

/// How many faults may be left of what led to it.
const FAULTS: usize = 5;

/// The right program passes so many seeds; the wrong one fails in one of [`SEEDS`] with `what`, and is explained.
fn hunt(what: &str, right: impl Fn(&mut World) -> Outcome + Sync, wrong: impl Fn(&mut World) -> Outcome + Sync) {
    let (report, _) = explore(0..200, 2, right);
    assert_eq!(report.failed, 0, "the right one: {report}");

    let found = (0..SEEDS).find_map(|seed| explore(seed..seed + 1, 1, &wrong).0.failures.pop());
    let failure = found.unwrap_or_else(|| panic!("not found in {SEEDS} seeds"));
    assert!(failure.why.starts_with(what), "seed {}: {}", failure.seed, failure.why);

    let folder = tempfile::tempdir().expect("a folder");
    let explained = explain(failure.seed, &wrong, "", folder.path().join("failure"));
    let plan = &explained.shrunk.plan;
    assert!(explained.replays && plan.faults.len() <= FAULTS, "{explained}");
    println!("seed {}: {explained}", failure.seed);
    let again = |plan: &Plan| wrong(&mut World::replay(plan));
    for _ in 0..10 {
        assert_eq!(again(plan), Err(explained.shrunk.why.clone()), "{explained}");
    }
}
