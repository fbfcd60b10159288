//! Prints the trace hash of a few scenarios over a few seeds: what must be the same in debug and in release, on every
//! machine, in every run. `cargo run -p tidemill-sim --example hash [-- SEEDS]`

#[path = "../tests/download/mod.rs"]
mod download;
#[path = "../tests/echo/mod.rs"]
mod echo;
#[path = "../tests/hostile/mod.rs"]
mod hostile;

use echo::Echo;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{Menu, draw};
use tidemill_sim::link::Link;
use tidemill_sim::world::World;

/// Sends 256 KiB to an echo server over a lossy link, with the faults this seed draws.
fn echo(name: &str, world: World) {
    let (seed, ms) = (world.seed(), Duration::from_millis);
    let link = Link::new().latency(ms(10)).jitter(ms(3)).rate_bps(10_000_000).loss_ppm(20_000);
    let mut echo = Echo::new(world, link, 256 << 10);
    let links = vec![(echo.client, echo.server), (echo.server, echo.client)];
    for fault in draw(seed, &Menu { horizon: Duration::from_secs(1), hosts: vec![echo.server], links }) {
        echo.world.schedule(fault).expect("the menu names hosts of this world");
    }
    let (at, outcome) = echo.run().expect("every wait for a peer has an end");
    println!("{name} {seed} {:016x} {outcome:?} after {} us", echo.world.hash(), at.as_ticks());
}

/// Downloads over a hostile network.
fn download(seed: u64) {
    let (_, end) = hostile::download(seed);
    let (at, received) = (end.at.as_ticks(), end.received);
    println!("download {seed} {:016x} {:?} after {at} us and {received} bytes", end.trace.hash(), end.outcome);
}

fn main() {
    let seeds = std::env::args().nth(1).map_or(20, |seeds| seeds.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        echo("echo-ip", World::new(seed));
        echo("echo-ethernet", World::ethernet(seed));
        download(seed);
    }
}
