//! A download in which whatever can happen to it happens.

use core::ops::Range;

use tidemill_core::fetch::Options;
use tidemill_core::random;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{self, Menu};
use tidemill_sim::link::Link;
use tidemill_sim::mill::{End, Mill, Scenario};
use tidemill_sim::plan::Plan;
use tidemill_sim::world::World;

/// The server crashes, the link fails and connections are cut as the seed wants.
pub(crate) fn plan(seed: u64) -> Plan {
    let mill = mill(&scenario(seed));
    let (server, client) = (mill.server(), mill.client());
    let menu =
        Menu { horizon: Duration::from_secs(2), hosts: vec![server], links: vec![(server, client), (client, server)] };
    Plan { seed, faults: fault::draw(seed, &menu) }
}

fn mill(scenario: &Scenario) -> Mill<32> {
    Mill::new(scenario)
}

fn draw(seed: u64, what: u64, bound: u64) -> u64 {
    const NETWORK: u64 = 0x6E65_7477;
    random::below(random::draw(seed, &[NETWORK, what]), bound)
}

/// Up to 400 kB in a network drawn from the seed.
fn scenario(seed: u64) -> Scenario {
    let draw = |what, bound| draw(seed, what, bound);
    // Half of the seeds do without each of these: a failure that needs one alone drowns where all always happen.
    let sometimes = |what, bound| if draw(what, 2) == 0 { 0 } else { draw(what + 100, bound) as u32 };
    let link = Link::new()
        .jitter(Duration::from_ticks(draw(0, 10_000)))
        .loss_ppm(draw(1, 50_000) as u32)
        .rate_bps(1_000_000 + draw(2, 50_000_000))
        .queue_bytes(20_000 + draw(3, 300_000))
        .bursts(sometimes(7, 3_000), Duration::from_ticks(draw(8, 2_000_000)))
        .damage_ppm(sometimes(9, 20_000))
        .reorder_ppm(sometimes(10, 50_000))
        .duplicate_ppm(sometimes(11, 50_000));
    let (size, rtt) = (draw(4, 400_000), Duration::from_ticks(draw(5, 100_000)));
    Scenario { host: "mill".into(), path: "/file".into(), size, rtt, link, seed }
}

/// Downloads as planned. Records the events with these numbers.
pub(crate) fn download(plan: &Plan, record: Range<u64>) -> (Scenario, End, World) {
    let scenario = scenario(plan.seed);
    let mut mill = mill(&scenario);
    mill.world_mut().trace_mut().record(record);
    for &fault in &plan.faults {
        mill.world_mut().schedule(fault).expect("both are hosts of the mill");
    }
    let options = Options { split_min: 32 << 10, retries: 20, seed: plan.seed, ..Options::default() };
    let connections = 1 + draw(plan.seed, 6, 8) as usize;
    let end = mill.download(&scenario, connections, options).expect("no host is stuck");
    (scenario, end, mill.into_world())
}
