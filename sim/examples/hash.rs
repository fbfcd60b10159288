//! Prints the trace hash of a few scenarios over a few seeds: what must be the same in debug and in release, on every
//! machine, in every run. `cargo run -p tidemill-sim --example hash [-- SEEDS]`

#[path = "../tests/echo/mod.rs"]
mod echo;

use echo::Echo;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{Menu, draw};
use tidemill_sim::link::Link;
use tidemill_sim::world::World;

/// Sends 256 KiB to an echo server over a lossy link, with the faults this seed draws.
fn echo(world: World) -> (u64, String) {
    let seed = world.seed();
    let link = Link::new()
        .latency(Duration::from_millis(10))
        .jitter(Duration::from_millis(3))
        .rate_bps(10_000_000)
        .loss_ppm(20_000);
    let mut echo = Echo::new(world, link, 256 << 10);
    let menu = Menu {
        horizon: Duration::from_secs(1),
        hosts: vec![echo.server],
        links: vec![(echo.client, echo.server), (echo.server, echo.client)],
    };
    for fault in draw(seed, &menu) {
        echo.world.schedule(fault).expect("the menu names hosts of this world");
    }
    let end = match echo.run() {
        Some((at, result)) => format!("{:?} after {} us", result, at.as_ticks()),
        None => "no end".into(),
    };
    (echo.world.hash(), end)
}

fn main() {
    let seeds = std::env::args().nth(1).map_or(20, |seeds| seeds.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        for (name, world) in [("echo-ip", World::new(seed)), ("echo-ethernet", World::ethernet(seed))] {
            let (hash, end) = echo(world);
            println!("{name} {seed} {hash:016x} {end}");
        }
    }
}
