//! Seed sweeps: one world after another on every core, and which of them failed. And the question whether a scenario
//! is determined by its seed at all.
//!
//! [`check`] is what a `#[test]` calls. It runs the test in a world for each seed; the worlds live on all cores. When one
//! fails, what went wrong there is listed, down to single frames, and shrunk to the few faults that matter. The message
//! has that plan and the line that replays it, and beside the plan lie the [`report`]'s files. These
//! variables of the environment tell it to run something else:
//!
//! | | |
//! |---|---|
//! | `TIDEMILL_SEED=17` | this seed alone |
//! | `TIDEMILL_SEEDS=0..100000` | these seeds |
//! | `TIDEMILL_PLAN=FILE` | the plan in this file alone: see [`plan`](crate::plan) |
//! | `TIDEMILL_FAILURES=DIR` | where the folders of failures go; else the system's folder for temporary files |
//!
//! ```
//! use tidemill_core::time::{Duration, Instant};
//! use tidemill_sim::check::check;
//! use tidemill_sim::fault::Menu;
//! use tidemill_sim::trace::Kind;
//! # use tidemill_sim::{frame::Nic, world::Node};
//! # struct Idle;
//! # impl Node for Idle { fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> { None } }
//!
//! check(0..100, |world| {
//!     let host = world.node("host", [10, 0, 0, 1].into(), |_| Box::new(Idle))?;
//!     world.draw_faults(&Menu { horizon: Duration::from_secs(1), hosts: vec![host], links: vec![] })?;
//!     while world.step()?.is_some() {}
//!     // A sweep in which no seed had a crash proves nothing, and fails.
//!     world.sometimes("a crash", world.trace().count(Kind::Crash) > 0);
//!     // What must be true in every one of them comes here.
//!     Ok::<(), tidemill_sim::world::Error>(())
//! });
//! ```
//!
//! Whatever speaks a protocol joins the same sweeps by one scenario: a function that builds its hosts in the world it is
//! given, draws faults, runs until its programs are done, and says what is wrong. [`Wire`](crate::oracle::Wire) watches by
//! itself; [`Http`](crate::oracle::Http) and oracles of one's own are asked to by [`World::watch`]; and
//! [`liveness`](crate::oracle::liveness) ends it. `sim/tests/udp.rs` is the shortest, `sim/tests/mill.rs` the engine's.
//!
//! And below [`check`]:
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
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::plan::{Plan, PlanError};
use crate::report;
use crate::shrink::{Shrunk, shrink};
use crate::world::World;

/// How many failures a report keeps: the ones with the lowest seeds.
pub const FAILURES_MAX: usize = 100;

/// How many of them [`check`] names.
const FAILURES_SHOWN: usize = 5;

/// Of so many hosts at most a failure says which number is whose.
const HOSTS_SHOWN: usize = 12;

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

/// In how many worlds each thing was seen that [`World::sometimes`] asks for.
pub type Marks = BTreeMap<&'static str, u64>;

/// Runs `test` in the world of each seed, as [`sweep`] does, and returns also what was seen.
pub fn explore<E: Display>(
    seeds: Range<u64>,
    threads: usize,
    test: impl Fn(&mut World) -> Result<(), E> + Sync,
) -> (Report, Marks) {
    let marks = Mutex::new(Marks::new());
    let report = sweep(seeds, threads, |seed| {
        let mut world = watched(World::new(seed));
        let result = test(&mut world);
        // Whoever panicked elsewhere did so before or after this, not within.
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        for (&mark, &seen) in world.marks() {
            *marks.entry(mark).or_default() += u64::from(seen);
        }
        result
    });
    (report, marks.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Checks that `test` passes in the world of every seed, on all cores.
///
/// # Panics
/// When it does not: with the lowest seed that fails, the plan it was shrunk to, and the line that replays it. When
/// something that [`World::sometimes`] asks for was in no world. And when a variable of the environment makes no sense.
#[expect(clippy::disallowed_methods, reason = "what to run is asked for outside of every world")]
pub fn check<E: Display>(seeds: Range<u64>, test: impl Fn(&mut World) -> Result<(), E> + Sync) {
    if let Some(path) = env::var_os("TIDEMILL_PLAN") {
        let path = PathBuf::from(path);
        let plan = read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        if let Err(why) = run(&test, &mut replay(&plan)) {
            let folder = failures().join(format!("{}-replay", test_name()));
            let shrunk = Shrunk { plan, why, runs: 0 };
            panic!("{}", Explained::new(shrunk, None, &test, &cargo_test(), folder));
        }
        return;
    }
    let (asked, seeds) = match (variable::<u64>("TIDEMILL_SEED"), variable::<Seeds>("TIDEMILL_SEEDS")) {
        (Some(seed), _) => (true, seed..seed.saturating_add(1)),
        (None, Some(Seeds(seeds))) => (true, seeds),
        (None, None) => (false, seeds),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (mut report, marks) = explore(seeds, threads, &test);
    report.failures.truncate(FAILURES_SHOWN);
    if let Some(Failure { seed, .. }) = report.failures.first() {
        let folder = failures().join(format!("{}-{seed}", test_name()));
        panic!("{report}\n\n{}", explain(*seed, &test, &cargo_test(), folder));
    }
    // Of a few seeds nobody expects that they saw everything.
    let unseen: Vec<&str> = marks.into_iter().filter(|&(_, worlds)| worlds == 0).map(|(mark, _)| mark).collect();
    assert!(asked || unseen.is_empty(), "{report}, but none of them saw {}", unseen.join(", or "));
}

/// Checks that `test` passes for every plan in this folder: those that failed once.
///
/// # Panics
/// When it does not, with the file's name; or when there is no plan.
pub fn check_corpus<E: Display>(folder: &Path, test: impl Fn(&mut World) -> Result<(), E>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty(), "{}: no plans", folder.display());
    for path in paths {
        let result = read(&path).and_then(|plan| run(&test, &mut replay(&plan)));
        result.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}

fn read(path: &Path) -> Result<Plan, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: PlanError| error.to_string())
}

/// A world as every test gets it: with the wire monitor.
fn watched(mut world: World) -> World {
    world.watch_wire();
    world
}

fn replay(plan: &Plan) -> World {
    watched(World::replay(plan))
}

/// What `test` says of this world, if it fails or panics.
fn run<E: Display>(test: &impl Fn(&mut World) -> Result<(), E>, world: &mut World) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| test(world))) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(message(panic.as_ref())),
    }
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

/// The name of the test that runs, fit for a file.
#[expect(clippy::disallowed_methods, reason = "the test is named by its thread, outside of every world")]
fn test_name() -> String {
    thread::current().name().unwrap_or("test").replace("::", "-")
}

/// What replays this test, with whatever runs it now.
#[expect(clippy::disallowed_methods, reason = "asked outside of every world")]
fn cargo_test() -> String {
    let run = if env::var_os("NEXTEST").is_some() { "nextest run" } else { "test" };
    format!("TIDEMILL_PLAN=$plan cargo {run} {}", test_name().replace('-', "::"))
}

#[expect(clippy::disallowed_methods, reason = "asked outside of every world")]
fn failures() -> PathBuf {
    env::var_os("TIDEMILL_FAILURES").map_or_else(|| env::temp_dir().join("tidemill"), PathBuf::from)
}

/// A failure, shrunk, and where more about it lies.
#[derive(Debug)]
pub struct Explained {
    /// The plan that is left, and what it fails with.
    pub shrunk: Shrunk,
    /// How many faults there were at first, those of single frames included.
    pub faults: usize,
    /// Whether the plan alone fails as the seed did.
    pub replays: bool,
    /// The names of the hosts, which the plan has by number.
    pub hosts: Vec<String>,
    /// The folder with the plan, the trace, the capture, the page and the line that replays.
    pub folder: io::Result<PathBuf>,
}

impl Explained {
    /// Runs the plan once more, and writes down what there is to see.
    fn new<E: Display>(
        shrunk: Shrunk,
        full: Option<&Plan>,
        test: &impl Fn(&mut World) -> Result<(), E>,
        how: &str,
        folder: PathBuf,
    ) -> Self {
        let mut world = replay(&shrunk.plan);
        world.trace_mut().capture(0..u64::MAX);
        let replays = run(test, &mut world).is_err();
        let written = fs::create_dir_all(&folder)
            .and_then(|()| full.map_or(Ok(()), |full| fs::write(folder.join("plan.full.toml"), full.to_string())))
            .and_then(|()| fs::write(folder.join("plan.toml"), shrunk.plan.to_string()))
            .and_then(|()| write_script(&folder.join("repro.sh"), how, &shrunk.why))
            .and_then(|()| report::write(&world, &shrunk.plan, &shrunk.why, &folder));
        let faults = full.unwrap_or(&shrunk.plan).faults.len();
        let hosts = world.hosts().filter_map(|host| Some(world.name(host).ok()?.to_owned())).collect();
        Self { shrunk, faults, replays, hosts, folder: written.map(|()| folder) }
    }

    /// Which number in the plan is which host, as a comment; `None`: it names none, or there are too many.
    pub fn legend(&self) -> Option<String> {
        let names_hosts = self.shrunk.plan.faults.iter().any(|fault| fault.host().is_some() || fault.link().is_some());
        let named = || self.hosts.iter().enumerate().map(|(number, name)| format!("{number} {name}"));
        let is_short = (1..=HOSTS_SHOWN).contains(&self.hosts.len());
        (names_hosts && is_short).then(|| format!("# hosts: {}", named().collect::<Vec<_>>().join(", ")))
    }
}

fn write_script(path: &Path, how: &str, why: &str) -> io::Result<()> {
    let why = why.lines().next().unwrap_or_default();
    let here = env::current_dir()?;
    let text = format!(
        "#!/bin/sh\n# {why}\nplan=$(cd \"$(dirname \"$0\")\" && pwd)/plan.toml\ncd '{}' &&\n    {}\n",
        here.display().to_string().replace('\'', "'\\''"),
        how.replace("$plan", "\"$plan\""),
    );
    fs::write(path, text)?;
    let mut permissions = fs::metadata(path)?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(path, permissions)
}

impl Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shrunk: Shrunk { plan, why, runs }, faults, replays, folder, .. } = self;
        let left = plan.faults.len();
        writeln!(f, "seed {}, shrunk from {faults} faults to {left} in {runs} runs: {why}\n", plan.seed)?;
        if let Some(legend) = self.legend() {
            writeln!(f, "{legend}")?;
        }
        writeln!(f, "{plan}")?;
        if !replays {
            writeln!(f, "the plan alone does not fail, only the seed does: TIDEMILL_SEED={}", plan.seed)?;
        }
        match folder {
            Ok(folder) => write!(f, "look at {0}/report.html\nreplay: {0}/repro.sh", folder.display()),
            Err(error) => write!(f, "nothing could be written: {error}"),
        }
    }
}

/// Finds out why a seed fails: lists all that goes wrong in its world, shrinks the list, and writes into `folder` what
/// there is to see: `plan.toml`, `plan.full.toml`, `repro.sh` and the files of [`report`]. `how` is the
/// command that replays the plan in the file `$plan`.
pub fn explain<E: Display>(
    seed: u64,
    test: &impl Fn(&mut World) -> Result<(), E>,
    how: &str,
    folder: PathBuf,
) -> Explained {
    let mut world = watched(World::new(seed));
    world.keep_frame_faults();
    let again = "it failed once, and not again: something beside its seed decides";
    let why = run(test, &mut world).err().unwrap_or_else(|| again.into());
    let mut full = world.plan();
    // What was to come after the failure never happened.
    full.faults.retain(|fault| fault.at().is_none_or(|at| at <= world.now()));
    let shrunk = shrink(full.clone(), why, |plan| run(test, &mut replay(plan)));
    Explained::new(shrunk, Some(&full), test, how, folder)
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
    use tidemill_core::time::Instant;

    #[test]
    fn what_fails_is_shrunk_written_down_and_replayed() {
        use crate::fault::Menu;
        use crate::trace::Kind;
        use tidemill_core::time::Duration;

        // Whoever crashes twice is one that fails.
        let test = |world: &mut World| {
            let host = idle(world, "host", 1);
            world.draw_faults(&Menu { horizon: Duration::from_secs(9), hosts: vec![host], links: vec![] }).unwrap();
            while world.step().unwrap().is_some() {}
            let crashes = world.trace().count(Kind::Crash);
            if crashes >= 2 { Err(format!("{crashes} crashes")) } else { Ok(()) }
        };
        let folder = tempfile::tempdir().unwrap();
        let (report, _) = explore(0..100, 1, test);
        assert!((10..90).contains(&report.failed), "{report}");
        let seed = report.failures[0].seed;
        let explained = explain(seed, &test, "sh test $plan", folder.path().join("failure"));
        let text = explained.to_string();
        assert!(explained.replays && explained.faults > 2, "{text}");
        assert_eq!((explained.shrunk.plan.faults.len(), explained.shrunk.why.as_str()), (2, "2 crashes"));
        let folder = explained.folder.unwrap();
        let plan = read(&folder.join("plan.toml")).unwrap();
        assert_eq!(plan, explained.shrunk.plan);
        assert_eq!(run(&test, &mut replay(&plan)), Err("2 crashes".into()));
        assert!(read(&folder.join("plan.full.toml")).unwrap().faults.len() == explained.faults);
        assert!(fs::read_to_string(folder.join("repro.sh")).unwrap().ends_with("    sh test \"$plan\"\n"));
        assert!(folder.join("report.html").exists() && folder.join("world.pcapng").exists());
        assert!(text.contains(&format!("shrunk from {} faults to 2 in ", explained.faults)), "{text}");
        assert!(text.contains("kind = \"crash\"") && text.ends_with("repro.sh"), "{text}");
        assert!(text.contains("\n\n# hosts: 0 host\nseed = "), "{text}");
    }

    #[test]
    fn what_the_test_has_too_much_of_is_shrunk_too() {
        let test = |world: &mut World| {
            let (hosts, _) = (world.size(1..=20), world.size(0..=9));
            for n in 0..hosts {
                idle(world, &format!("host {n}"), n as u16);
            }
            while world.step().unwrap().is_some() {}
            if hosts > 4 { Err("[crowd] too many") } else { Ok(()) }
        };
        let (report, _) = explore(0..50, 1, test);
        assert!((20..50).contains(&report.failed), "{report}");
        let folder = tempfile::tempdir().unwrap();
        let explained = explain(report.failures[0].seed, &test, "", folder.path().join("failure"));
        let [crate::fault::Fault::Size { nth: 0, value: 5..=9 }] = explained.shrunk.plan.faults[..] else {
            panic!("{explained}")
        };
    }

    #[test]
    fn a_sweep_that_never_saw_what_it_looks_for_fails() {
        let test = |seen: u64| {
            move |world: &mut World| {
                world.sometimes("seed 3", world.seed() == 3);
                world.sometimes("a large seed", world.seed() >= seen);
                Ok::<(), String>(())
            }
        };
        check(0..10, test(9));
        let panic = catch_unwind(|| check(0..10, test(10))).unwrap_err();
        assert_eq!(message(panic.as_ref()), "panicked: 10 seeds passed, 0 failed, but none of them saw a large seed");
        let (_, marks) = explore(0..10, 2, test(8));
        assert_eq!(marks, Marks::from([("a large seed", 2), ("seed 3", 1)]));
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

    struct Idle;

    impl Node for Idle {
        fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> {
            None
        }
    }

    fn idle(world: &mut World, name: &str, last: u16) -> crate::world::HostId {
        let [high, low] = last.to_be_bytes();
        world.node(name, [10, 0, high, low].into(), |_| Box::new(Idle)).unwrap()
    }

    /// A world in which one host is booted, and others later, at odd times.
    fn booted(others: u64, at: impl Fn(u64) -> u64, record: Range<u64>) -> World {
        let mut world = World::new(1);
        world.trace_mut().record(record);
        for n in 0..others {
            world.run_until(Instant::from_ticks(at(n))).unwrap();
            idle(&mut world, &format!("host {n}"), n as u16);
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
