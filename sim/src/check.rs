//! Seed sweeps: one world after another on every core, and which of them failed. And the question whether a scenario
//! is determined by its seed at all.
//!
//! [`check`] is what a `#[test]` calls: it sweeps, shrinks what fails to the few faults that matter, writes that plan down
//! and says how to replay it. These variables of the environment tell it to run something else:
//!
//! | | |
//! |---|---|
//! | `TIDEMILL_SEED=17` | this seed alone |
//! | `TIDEMILL_SEEDS=0..100000` | these seeds |
//! | `TIDEMILL_PLAN=FILE` | the plan in this file alone: see [`plan`](crate::plan) |
//! | `TIDEMILL_FAILURES=DIR` | where plans that fail are written; else in the system's folder for temporary files |
//!
//! ```
//! use tidemill_sim::check::check;
//! use tidemill_sim::plan::Plan;
//!
//! check(0..100, |seed| Plan { seed, faults: vec![] }, |plan| {
//!     // Here a world is built, runs, and is looked at.
//!     if plan.seed < 100 { Ok(()) } else { Err("too large") }
//! });
//! ```
//!
//! And below it:
//!
//! ```
//! use tidemill_sim::check::sweep;
//! let report = sweep(0..1000, 2, |seed| if seed == 700 { Err("seven hundred") } else { Ok(()) });
//! assert_eq!((report.passed, report.failures.len()), (999, 1));
//! assert_eq!((report.failures[0].seed, report.failures[0].why.as_str()), (700, "seven hundred"));
//! ```

use core::any::Any;
use core::fmt::{self, Display};
use core::ops::Range;
use core::str::FromStr;
use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::plan::Plan;
use crate::shrink::{self, Shrunk, shrink};
use crate::world::World;

/// How many failures a report keeps: the ones with the lowest seeds.
pub const FAILURES_MAX: usize = 100;

/// How many of them [`check`] names.
const FAILURES_SHOWN: usize = 5;

/// A seed that failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Failure {
    /// Which one.
    pub seed: u64,
    /// The error, or what it panicked with.
    pub why: String,
}

/// How a sweep went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Seeds that passed.
    pub passed: u64,
    /// Seeds that failed.
    pub failed: u64,
    /// The first [`FAILURES_MAX`] of them, by seed.
    pub failures: Vec<Failure>,
}

impl Report {
    fn join(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.sort_unstable();
        self.failures.truncate(FAILURES_MAX);
        self
    }

    fn add(&mut self, seed: u64, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => {
                self.failed += 1;
                // A thread takes its seeds in ascending order, so the ones it drops are higher than those it keeps.
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(Failure { seed, why });
                }
            }
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seeds passed, {} failed", self.passed, self.failed)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\nseed {}: {}", failure.seed, failure.why))?;
        match self.failed - self.failures.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Runs `test` for each seed on so many threads (at least one); each world lives in one thread. A panic is a failure
/// of its seed. The report is the same whatever the number of threads.
pub fn sweep<E: Display>(seeds: Range<u64>, threads: usize, test: impl Fn(u64) -> Result<(), E> + Sync) -> Report {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut report = Report::default();
        loop {
            // Stops before the end of the range of u64: nobody takes more than one seed too many.
            let seed = next.load(Ordering::Relaxed);
            if seed >= seeds.end {
                return report;
            }
            if next.compare_exchange_weak(seed, seed + 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            let result = catch_unwind(AssertUnwindSafe(|| test(seed)));
            report.add(
                seed,
                match result {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(panic) => Err(message(panic.as_ref())),
                },
            );
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        others.into_iter().fold(work(), |report, thread| match thread.join() {
            Ok(other) => report.join(other),
            // The test's panics are caught above; what is left is a mistake of ours.
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Checks that `test` passes for the plan of every seed, on all cores.
///
/// # Panics
/// When it does not: with the lowest seed that fails, the plan it was shrunk to, and the line that replays it. Also when a
/// variable of the environment makes no sense.
pub fn check<E: Display>(
    seeds: Range<u64>,
    plan: impl Fn(u64) -> Plan + Sync,
    test: impl Fn(&Plan) -> Result<(), E> + Sync,
) {
    if let Some(path) = env::var_os("TIDEMILL_PLAN") {
        let path = PathBuf::from(path);
        return replay(&path, &test).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
    let seeds = match (variable::<u64>("TIDEMILL_SEED"), variable::<Seeds>("TIDEMILL_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(Seeds(seeds))) => seeds,
        (None, None) => seeds,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut report = sweep(seeds, threads, |seed| test(&plan(seed)));
    report.failures.truncate(FAILURES_SHOWN);
    if let Some(Failure { seed, why }) = report.failures.first().cloned() {
        let planned = plan(seed);
        let faults = planned.faults.len();
        let shrunk = shrink(planned, why, &test);
        panic!("{report}\n\n{}", explain(seed, faults, &shrunk));
    }
}

/// Checks that `test` passes for every plan in this folder: those that failed once.
///
/// # Panics
/// When it does not, with the file's name; or when there is no plan.
pub fn check_corpus<E: Display>(folder: &Path, test: impl Fn(&Plan) -> Result<(), E>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty(), "{}: no plans", folder.display());
    for path in paths {
        replay(&path, &test).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}

fn replay<E: Display>(path: &Path, test: &impl Fn(&Plan) -> Result<(), E>) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    shrink::run(test, &text.parse().map_err(|error: crate::plan::PlanError| error.to_string())?)
}

/// `A..B` as text.
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (start, end) = text.split_once("..").ok_or(())?;
        Ok(Self(start.parse().map_err(drop)?..end.parse().map_err(drop)?))
    }
}

#[expect(clippy::disallowed_methods, reason = "what to run is asked for outside of every world")]
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: makes no sense")))
}

/// Writes the plan down and says what it is and how to run it again.
#[expect(clippy::disallowed_methods, reason = "the test is named by its thread, outside of every world")]
fn explain(seed: u64, faults: usize, Shrunk { plan, why, runs }: &Shrunk) -> String {
    let left = plan.faults.len();
    let current = thread::current();
    let test = current.name().unwrap_or("test");
    let folder = env::var_os("TIDEMILL_FAILURES").map_or_else(|| env::temp_dir().join("tidemill"), PathBuf::from);
    let path = folder.join(format!("{}-{seed}.toml", test.replace("::", "-")));
    let how = match fs::create_dir_all(&folder).and_then(|()| fs::write(&path, plan.to_string())) {
        Ok(()) => format!("replay: TIDEMILL_PLAN={} cargo test {test}", path.display()),
        Err(error) => format!("{}: {error}\nreplay: TIDEMILL_SEED={seed} cargo test {test}", path.display()),
    };
    format!("seed {seed}, shrunk from {faults} faults to {left} in {runs} runs: {why}\n\n{plan}\n{how}")
}

/// Two runs that should have been the same, and are not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The first event in which they differ, in words; `None`: the run had ended.
    pub first: Option<String>,
    /// The other run's event.
    pub second: Option<String>,
}

impl Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |event: &Option<String>| event.clone().unwrap_or_else(|| "nothing more".into());
        write!(f, "two runs of one seed part: first {}, then {}", words(&self.first), words(&self.second))
    }
}

impl core::error::Error for Divergence {}

/// Runs a scenario twice and returns its hash. `run` builds its world, has it record the events that it is told
/// (see [`Trace::record`](crate::trace::Trace::record)), runs it, and returns it.
///
/// # Errors
/// [`Divergence`], after two more runs to find the event.
///
/// ```
/// use tidemill_sim::{check::repeat, link::Link, world::World};
/// let hash = repeat(|record| {
///     let mut world = World::new(7);
///     world.trace_mut().record(record);
///     while world.step().unwrap().is_some() {}
///     world
/// });
/// assert!(hash.is_ok());
/// ```
pub fn repeat(mut run: impl FnMut(Range<u64>) -> World) -> Result<u64, Divergence> {
    let (first, second) = (run(0..0), run(0..0));
    let Some(events) = first.trace().divergence(second.trace()) else { return Ok(first.hash()) };
    let (first, second) = (run(events.clone()), run(events));
    let mut pairs = first.trace().recorded().iter().zip(second.trace().recorded());
    let same = pairs.position(|(one, other)| one != other);
    // All of the shorter is the same: then they part where it ends.
    let same = same.unwrap_or(first.trace().recorded().len().min(second.trace().recorded().len()));
    let words = |world: &World| world.trace().recorded().get(same).map(|event| world.describe(event));
    Err(Divergence { first: words(&first), second: words(&second) })
}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Nic;
    use crate::world::Node;
    use std::sync::Mutex;
    use tidemill_core::time::Instant;

    #[test]
    fn what_fails_is_shrunk_written_down_and_replayed() {
        use crate::fault::Fault;
        use crate::world::HostId;
        use tidemill_core::time::Duration;

        let crash = |at| Fault::Crash {
            host: HostId::new(0),
            at: Instant::from_ticks(at),
            off_for: Some(Duration::from_ticks(1)),
        };
        // From seed 17 on, the crash at 5 µs is one too many.
        let plan = |seed| Plan { seed, faults: (0..10).map(crash).collect() };
        let test = |plan: &Plan| {
            let fails = plan.faults.contains(&crash(5)) && plan.seed >= 17;
            if fails { Err(format!("seed {} crashed", plan.seed)) } else { Ok(()) }
        };
        check(0..17, plan, test);
        let panic = catch_unwind(|| check(0..100, plan, test)).unwrap_err();
        let text = message(panic.as_ref());
        assert!(text.contains("17 seeds passed, 83 failed\nseed 17: "), "{text}");
        assert!(text.contains("seed 21: seed 21 crashed\nand 78 more\n"), "{text}");
        assert!(text.contains("seed 17, shrunk from 10 faults to 1 in "), "{text}");
        assert!(text.contains("at_us = 5"), "{text}");
        let path = text.split("TIDEMILL_PLAN=").nth(1).and_then(|rest| rest.split(' ').next()).expect("how to replay");
        let path = Path::new(path);
        assert_eq!(replay(path, &test), Err("seed 17 crashed".into()));
        assert_eq!(replay(path, &|_: &Plan| Ok::<(), String>(())), Ok(()));
        fs::remove_file(path).unwrap();
        assert!(replay(path, &test).unwrap_err().contains("No such file"));
    }

    #[test]
    fn seeds_are_two_numbers() {
        assert_eq!("3..70".parse::<Seeds>().map(|seeds| seeds.0), Ok(3..70));
        for text in ["", "3", "3..", "..7", "a..b", "-1..2"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_seed_runs_once_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 7] {
            let seen = Mutex::new(Vec::new());
            let report = sweep(10..60, threads, |seed| {
                seen.lock().unwrap().push(seed);
                Ok::<(), String>(())
            });
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen, (10..60).collect::<Vec<u64>>());
            assert_eq!(report, Report { passed: 50, failed: 0, failures: vec![] });
        }
    }

    #[test]
    fn the_report_does_not_depend_on_the_number_of_threads() {
        let report =
            |threads| sweep(0..1000, threads, |seed| if seed % 3 == 0 { Err(format!("s{seed}")) } else { Ok(()) });
        let one = report(1);
        assert_eq!((one.passed, one.failed, one.failures.len()), (666, 334, FAILURES_MAX));
        assert_eq!(one.failures[99], Failure { seed: 297, why: "s297".into() });
        assert_eq!(one, report(4));
    }

    #[test]
    fn a_panic_is_a_failure_of_its_seed() {
        let report = sweep(0..3, 1, |seed| {
            assert_ne!(seed, 1, "one");
            Ok::<(), String>(())
        });
        assert_eq!((report.passed, report.failed), (2, 1));
        assert!(report.failures[0].why.starts_with("panicked: ") && report.failures[0].why.contains("one"));
        assert!(report.to_string().starts_with("2 seeds passed, 1 failed\nseed 1: panicked: "));
    }

    /// A world in which one host is booted, and others later, at odd times.
    fn booted(others: u64, at: impl Fn(u64) -> u64, record: Range<u64>) -> World {
        struct Idle;
        impl Node for Idle {
            fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> {
                None
            }
        }
        let mut world = World::new(1);
        world.trace_mut().record(record);
        for n in 0..others {
            world.run_until(Instant::from_ticks(at(n))).unwrap();
            let address = [10, 0, (n >> 8) as u8, n as u8].into();
            world.node(&format!("host {n}"), address, |_| Box::new(Idle)).unwrap();
        }
        while world.step().unwrap().is_some() {}
        world
    }

    #[test]
    fn a_scenario_that_repeats_has_a_hash() {
        let run = |record| booted(10, |n| n, record);
        assert_eq!(repeat(run), Ok(run(0..0).hash()));
    }

    #[test]
    fn the_first_event_that_differs_is_told() {
        // The worlds that are built second and fourth are the odd ones.
        let mut built = 0;
        let error = repeat(|record| {
            built += 1;
            booted(300, |n| if built % 2 == 0 && n >= 200 { n + 7 } else { n }, record)
        })
        .unwrap_err();
        assert!(error.first.as_ref().unwrap().starts_with("#400 0.000200 s host 200: boot"), "{error}");
        assert!(error.second.as_ref().unwrap().starts_with("#400 0.000207 s host 200: boot"), "{error}");

        let mut built = 0;
        let error = repeat(|record| {
            built += 1;
            booted(if built % 2 == 0 { 3 } else { 4 }, |n| n, record)
        })
        .unwrap_err();
        assert!(error.first.is_some() && error.second.is_none(), "{error}");
        assert!(error.to_string().ends_with(", then nothing more"), "{error}");
    }

    #[test]
    fn an_empty_range_is_no_work_and_the_last_seed_can_be_reached() {
        assert_eq!(sweep(5..5, 3, |_| Err("never")), Report::default());
        assert_eq!(sweep(u64::MAX - 2..u64::MAX, 3, |_| Ok::<(), String>(())).passed, 2);
    }
}
