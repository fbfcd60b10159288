//! Prints the trace hash of each scenario over a few seeds: what must be the same in debug and in release, on every
//! machine, in every run. `cargo run -p tidemill-sim --example hash [-- SEEDS]`
//!
//! Each is run twice; where the two part, the first event that differs is told, and that is a failure. Where two builds
//! differ, `-- SCENARIO SEED` prints every event of one run, so that `diff` finds the first that does.

#[path = "../tests/echo/mod.rs"]
mod echo;
#[path = "../tests/hostile/mod.rs"]
mod hostile;

use core::ops::Range;
use std::process::ExitCode;

use echo::Echo;
use tidemill_core::time::Duration;
use tidemill_sim::check::repeat;
use tidemill_sim::fault::Menu;
use tidemill_sim::link::Link;
use tidemill_sim::scenario::Scenario;
use tidemill_sim::world::World;

/// Sends 256 KiB to an echo server over a lossy link, with the faults this seed draws.
fn echo(world: World) -> (String, World) {
    let ms = Duration::from_millis;
    let link = Link::new().latency(ms(10)).jitter(ms(3)).rate_bps(10_000_000).loss_ppm(20_000);
    let mut echo = Echo::new(world, link, 256 << 10);
    let links = vec![(echo.client, echo.server), (echo.server, echo.client)];
    let menu = Menu { horizon: Duration::from_secs(1), hosts: vec![echo.server], links };
    echo.world.draw_faults(&menu).expect("the menu names hosts of this world");
    let end = match echo.run() {
        Some((at, outcome)) => format!("{outcome:?} after {} us", at.as_ticks()),
        // It only read when the server forgot it.
        None => "no end".into(),
    };
    (end, echo.world)
}

/// Downloads over a hostile network.
fn download(mut world: World) -> (String, World) {
    let (_, end) = hostile::download(&mut world).expect("no host is stuck");
    (format!("{:?} after {} us and {} bytes", end.outcome, end.at.as_ticks(), end.received), world)
}

/// Those of this example, and those of `tidemill sim`, whose names begin with this.
const BUILT_IN: &str = "sim-";

fn scenarios() -> Vec<String> {
    let own = ["echo-ip", "echo-ethernet", "download"].map(String::from);
    own.into_iter().chain(Scenario::builtin_names().map(|name| format!("{BUILT_IN}{name}"))).collect()
}

/// One of the scenarios of `tidemill sim`.
fn built_in(name: &str, mut world: World) -> (String, World) {
    let scenario = Scenario::builtin(name).expect("a built-in scenario");
    let end = scenario.run(&mut world);
    (format!("{end:?} after {} us", world.now().as_ticks()), world)
}

fn run(scenario: &str, seed: u64, record: Range<u64>) -> (String, World) {
    let mut world = if scenario == "echo-ethernet" { World::ethernet(seed) } else { World::new(seed) };
    world.trace_mut().record(record);
    match scenario.strip_prefix(BUILT_IN) {
        Some(name) => built_in(name, world),
        None if scenario == "download" => download(world),
        None => echo(world),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [scenario, seed] = &args[..] {
        let (_, world) = run(scenario, seed.parse().expect("SEED is a number"), 0..u64::MAX);
        for event in world.trace().recorded() {
            println!("{}", world.describe(event));
        }
        return ExitCode::SUCCESS;
    }
    let seeds = args.first().map_or(20, |seeds| seeds.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        for scenario in &scenarios() {
            let mut end = String::new();
            let hash = repeat(|record| {
                let (said, world) = run(scenario, seed, record);
                end = said;
                world
            });
            match hash {
                Ok(hash) => println!("{scenario} {seed} {hash:016x} {end}"),
                Err(parted) => {
                    eprintln!("{scenario} {seed}: {parted}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}
