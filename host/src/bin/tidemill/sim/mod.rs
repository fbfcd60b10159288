//! `tidemill sim`: runs a scenario over many seeds, and explains what failed.

mod merge;
mod shard;
mod show;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tidemill_sim::check::{Explained, explain, explore};
use tidemill_sim::plan::{Plan, PlanError};
use tidemill_sim::report;
use tidemill_sim::scenario::{Scenario, ScenarioError};
use tidemill_sim::world::World;

use crate::args::{Sim, SimOp};
use crate::json::Object;
use crate::{Failure, print};
use merge::{Ended, FAILURES_MAX, Failed, Mark};
pub(crate) use shard::Asked;
use show::Show;

/// The seeds of a sweep unless others are asked for.
const SEEDS: Range<u64> = 0..1000;

/// From so many seeds on a sweep must have seen what its scenario asks for.
const JUDGED_FROM: u64 = 200;

/// How many failures are shrunk and written down; of others the seed and the reason are told.
const EXPLAINED_MAX: u64 = 5;

/// `A..B`, not empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seeds(pub(crate) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let like = "expected two numbers such as 0..10000";
        let (start, end) = text.split_once("..").ok_or(like)?;
        let range = start.parse().map_err(|_| like)?..end.parse().map_err(|_| like)?;
        Ok(Self(range))
    }
}

/// Runs the command.
pub(crate) fn run(args: &Sim) -> Result<(), Failure> {
    match &args.op {
        Some(SimOp::List { json }) => {
            list(*json);
            Ok(())
        }
        Some(SimOp::Merge { files, json }) => {
            let whole = merge::merge(files)?;
            let judged = is_judged(whole.passed + whole.failed);
            if *json {
                print(&whole.line(judged));
            } else {
                show::ended(&whole);
                whole.failures.iter().for_each(show::failed);
            }
            whole.verdict(judged)
        }
        None => {
            // clap asks for it.
            let scenario = Chosen::new(args.scenario.as_deref().unwrap_or_default())?;
            match (&args.plan, args.seed) {
                (Some(path), _) => replay(args, &scenario, path),
                (None, Some(seed)) => one(args, &scenario, seed),
                (None, None) => sweep(args, &scenario),
            }
        }
    }
}

const fn is_judged(seeds: u64) -> bool {
    seeds >= JUDGED_FROM
}

fn list(json: bool) {
    for name in Scenario::builtin_names() {
        let about = Scenario::builtin(name).map(|scenario| scenario.about().to_owned()).unwrap_or_default();
        if json {
            print(&Object::event("scenario").text("name", name).text("about", &about).finish());
        } else {
            print(&format!("{name:<16} {about}"));
        }
    }
}

/// The scenario that was asked for.
struct Chosen {
    name: String,
    /// Its text, if it is not built in.
    text: Option<String>,
    scenario: Scenario,
}

impl Chosen {
    fn new(name: &str) -> Result<Self, Failure> {
        if let Some(scenario) = Scenario::builtin(name) {
            return Ok(Self { name: name.into(), text: None, scenario });
        }
        let text = fs::read_to_string(name).map_err(|why| {
            let known = Scenario::builtin_names().collect::<Vec<_>>().join(", ");
            Failure::Usage(if why.kind() == io::ErrorKind::NotFound {
                format!("{name}: there is no such file, and no such scenario: there is {known}")
            } else {
                format!("{name}: {why}")
            })
        })?;
        let scenario = text.parse().map_err(|why: ScenarioError| Failure::Usage(format!("{name}: {why}")))?;
        Ok(Self { name: name.into(), text: Some(text), scenario })
    }

    /// Its name, fit for a folder.
    fn stem(&self) -> String {
        let stem = Path::new(&self.name).file_stem().unwrap_or_default().to_string_lossy();
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
    }

    /// The command that replays the plan in the file `$plan`, beside which the scenario lies.
    fn command(&self) -> String {
        let program = std::env::current_exe().map_or_else(|_| "tidemill".into(), |path| path.display().to_string());
        let scenario = if self.text.is_some() { "\"${plan%/*}\"/scenario.toml".into() } else { self.name.clone() };
        format!("{} sim {scenario} --plan $plan", quoted(&program))
    }

    /// The command that runs this one world again.
    fn again(&self, args: &Sim, seed: u64) -> String {
        let what = match &args.plan {
            Some(plan) => format!("--plan {}", quoted(&plan.display().to_string())),
            None => format!("--seed {seed}"),
        };
        format!("tidemill sim {} {what}", quoted(&self.name))
    }

    /// Shrinks what failed, and writes down what there is to see.
    fn explain(&self, args: &Sim, seed: u64) -> Explained {
        let folder = args.failures.clone().or_else(|| std::env::var_os("TIDEMILL_FAILURES").map(PathBuf::from));
        let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("tidemill"));
        let folder = folder.join(format!("{}-{seed}", self.stem()));
        let explained = explain(seed, &|world: &mut World| self.scenario.run(world), &self.command(), folder);
        if let (Some(text), Ok(folder)) = (&self.text, &explained.folder)
            && let Err(why) = fs::write(folder.join("scenario.toml"), text)
        {
            return Explained { folder: Err(why), ..explained };
        }
        explained
    }
}

/// As one word of a shell's command.
fn quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Runs one world, and shows it.
fn shown(args: &Sim, chosen: &Chosen, world: &mut World) -> Result<Result<(), String>, Failure> {
    // As every world of a sweep.
    world.watch_wire();
    let shows = args.pcap.is_some() || args.report.is_some();
    if shows {
        world.trace_mut().capture(0..u64::MAX);
        world.keep_frame_faults();
    }
    let result = chosen.scenario.run(world);
    let (plan, why) = (world.plan(), result.as_ref().err().map_or("nothing failed", String::as_str));
    let failed = |path: &Path, why: io::Error| Failure::Failed(format!("{}: {why}", path.display()));
    if let Some(path) = &args.pcap {
        report::write_capture(world, &plan, why, path).map_err(|why| failed(path, why))?;
    }
    if let Some(path) = &args.report {
        report::write_page(world, &plan, why, &chosen.again(args, world.seed()), path)
            .map_err(|why| failed(path, why))?;
    }
    Ok(result)
}

fn told(args: &Sim, chosen: &Chosen, world: &World, result: &Result<(), String>) {
    let (seconds, events) = (world.now().as_ticks() as f64 / 1e6, world.trace().events());
    let (seed, faults, hash) = (world.seed(), world.plan().faults.len(), world.hash());
    if args.json {
        let object = Object::event("ran")
            .text("scenario", &chosen.name)
            .number("seed", seed)
            .text("verdict", if result.is_ok() { "passed" } else { "failed" })
            .number("virtual_seconds", seconds)
            .number("events", events)
            .number("faults", faults)
            .text("hash", &format!("{hash:016x}"));
        let object = match result {
            Err(why) => object.text("why", why),
            Ok(()) => object,
        };
        print(&object.finish());
    } else if !args.quiet {
        let verdict = if result.is_ok() { "passed" } else { "failed" };
        print(&format!(
            "{}: seed {seed} {verdict} after {seconds:.3} s of virtual time, {events} events, hash {hash:016x}",
            chosen.name
        ));
    }
}

/// Replays a plan.
fn replay(args: &Sim, chosen: &Chosen, path: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(path).map_err(|why| Failure::Failed(format!("{}: {why}", path.display())))?;
    let plan: Plan = text.parse().map_err(|why: PlanError| {
        let why = why.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Failure::Usage(format!("{}: {why}", path.display()))
    })?;
    let mut world = World::replay(&plan);
    let result = shown(args, chosen, &mut world)?;
    told(args, chosen, &world, &result);
    result.map_err(|why| Failure::Failed(format!("{}: {why}", chosen.name)))
}

/// Runs one seed.
fn one(args: &Sim, chosen: &Chosen, seed: u64) -> Result<(), Failure> {
    let mut world = World::new(seed);
    let result = shown(args, chosen, &mut world)?;
    told(args, chosen, &world, &result);
    result.map_err(|why| {
        show::explained(args.json, &chosen.explain(args, seed));
        Failure::Failed(format!("{}: seed {seed}: {why}", chosen.name))
    })
}

/// Runs many seeds.
fn sweep(args: &Sim, chosen: &Chosen) -> Result<(), Failure> {
    if args.pcap.is_some() || args.report.is_some() {
        let what = "--pcap and --report show one run: say which with --seed N or --plan FILE";
        return Err(Failure::Usage(format!("{what}; a sweep writes both for each failure")));
    }
    let whole = args.seeds.as_ref().map_or(SEEDS, |seeds| seeds.0.clone());
    if whole.is_empty() {
        return Err(Failure::Usage(format!("--seeds {}..{}: there is no seed in it", whole.start, whole.end)));
    }
    let shard = match args.shard {
        Some(asked) => Some(asked.resolve(|name| std::env::var(name).ok()).map_err(Failure::Usage)?),
        None => None,
    };
    let seeds = shard.map_or(whole.clone(), |shard| shard.of(&whole));
    let cores = tidemill_host::threads::cores();
    let jobs = args.jobs.map_or(cores, usize::from);
    let all = seeds.end - seeds.start;
    let show = Show::new(args.json, args.quiet, all);
    show.started(&chosen.name, &seeds, shard, jobs);
    let (done, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let told = Mutex::new(Vec::new());
    let start = Instant::now();
    let tell = |seed: u64, why: &str| {
        let number = failed.fetch_add(1, Ordering::Relaxed);
        // Whoever panicked elsewhere did so before or after this, not within.
        told.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
        if number < EXPLAINED_MAX {
            show.explained(&chosen.explain(args, seed));
        } else if number < FAILURES_MAX as u64 {
            show.failed(&Failed { seed, why: why.into() });
        }
    };
    let (report, marks) = thread::scope(|scope| {
        // Its end ends the watch, whatever way we leave.
        let (_over, goes_on) = mpsc::channel::<()>();
        let (show, done, failed) = (&show, &done, &failed);
        scope.spawn(move || {
            while goes_on.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                show.progress(done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed), start.elapsed());
            }
        });
        explore(seeds.clone(), jobs, |world: &mut World| {
            let result = chosen.scenario.run(world);
            if let Err(why) = &result {
                tell(world.seed(), why);
            }
            done.fetch_add(1, Ordering::Relaxed);
            result
        })
    });
    let seconds = start.elapsed().as_secs_f64();
    // A program that panicked did not come back to tell.
    for failure in &report.failures {
        if !told.lock().unwrap_or_else(PoisonError::into_inner).contains(&failure.seed) {
            tell(failure.seed, &failure.why);
        }
    }
    let ended = Ended {
        scenario: chosen.name.clone(),
        sweep: format!("{}..{}", whole.start, whole.end),
        seeds: format!("{}..{}", seeds.start, seeds.end),
        passed: report.passed,
        failed: report.failed,
        failures: report.failures.into_iter().map(|each| Failed { seed: each.seed, why: each.why }).collect(),
        marks: marks.into_iter().map(|(what, worlds)| Mark { what: what.into(), worlds }).collect(),
        seconds,
    };
    // Of a part nobody expects that it saw everything: `merge` judges the whole.
    let judged = shard.is_none() && is_judged(all);
    show.ended(&ended, judged);
    ended.verdict(judged)
}
