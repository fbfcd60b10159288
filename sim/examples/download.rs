//! Downloads from a simulated server: `cargo run --release -p tidemill-sim --example download -- URL CONNECTIONS`.

use tidemill_core::fetch::Options;
use tidemill_sim::mill::{Mill, Scenario};

fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "sim://mill/16MiB?rtt=40ms&loss=1%&rate=50mbps&seed=7".into());
    let connections = args.next().map_or(Ok(4), |count| count.parse());
    let (scenario, connections) = match (url.parse::<Scenario>(), connections) {
        (Ok(scenario), Ok(connections)) => (scenario, connections),
        (Err(why), _) => return eprintln!("{url}: {why}"),
        (_, Err(why)) => return eprintln!("CONNECTIONS: {why}"),
    };
    let mut mill = Mill::<144>::new(&scenario);
    let end = match mill.download(&scenario, connections, Options::default()) {
        Ok(end) => end,
        Err(why) => return eprintln!("{url}: {why}"),
    };
    let micros = end.at.as_ticks();
    let rate = end.received * 8 / micros.max(1);
    let (events, hash) = (mill.world().trace().events(), mill.hash());
    println!("{:?}: {micros} us of virtual time, {rate} Mbit/s, {events} events, hash {hash:016x}", end.outcome);
}
