//! A download in which whatever can happen to it happens.

use core::ops::Range;

use tidemill_core::fetch::Options;
use tidemill_core::random;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{self, Menu};
use tidemill_sim::link::Link;
use tidemill_sim::mill::{End, Mill, Scenario};
use tidemill_sim::world::World;

/// Downloads up to 400 kB in a network drawn from the seed, while the server crashes, the link fails and connections
/// are cut as the seed wants. Records the events with these numbers.
pub(crate) fn download(seed: u64, record: Range<u64>) -> (Scenario, End, World) {
    const NETWORK: u64 = 0x6E65_7477;
    let draw = |what, bound| random::below(random::draw(seed, &[NETWORK, what]), bound);
    // Half of the seeds do without each of these: a failure that needs one alone drowns where all always happen.
    let sometimes = |what, bound| if draw(what, 2) == 0 { 0 } else { draw(what + 100, bound) as u32 };
    let link = Link::new()
        .jitter(Duration::from_ticks(draw(0, 10_000)))
        .loss_ppm(draw(1, 50_000) as u32)
        .rate_bps(1_000_000 + draw(2, 50_000_000))
        .queue_bytes(20_000 + draw(3, 300_000))
        .bursts(sometimes(7, 3_000), 1 + draw(8, 20) as u32)
        .damage_ppm(sometimes(9, 20_000))
        .reorder_ppm(sometimes(10, 50_000))
        .duplicate_ppm(sometimes(11, 50_000));
    let (size, rtt) = (draw(4, 400_000), Duration::from_ticks(draw(5, 100_000)));
    let scenario = Scenario { host: "mill".into(), path: "/file".into(), size, rtt, link, seed };
    let mut mill = Mill::<32>::new(&scenario);
    mill.world_mut().trace_mut().record(record);
    let (server, client) = (mill.server(), mill.client());
    let menu =
        Menu { horizon: Duration::from_secs(2), hosts: vec![server], links: vec![(server, client), (client, server)] };
    for fault in fault::draw(seed, &menu) {
        mill.world_mut().schedule(fault).expect("both are hosts of the mill");
    }
    let options = Options { split_min: 32 << 10, retries: 20, seed, ..Options::default() };
    let end = mill.download(&scenario, 1 + draw(6, 8) as usize, options).expect("no host is stuck");
    (scenario, end, mill.into_world())
}
