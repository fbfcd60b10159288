//! A download in which whatever can happen to it happens.

use tidemill_core::fetch::Options;
use tidemill_core::random;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{Menu, draw_link};
use tidemill_sim::link::Link;
use tidemill_sim::mill::{End, Mill, Scenario};
use tidemill_sim::world::{Error, World};

fn draw(seed: u64, what: u64, bound: u64) -> u64 {
    const NETWORK: u64 = 0x6E65_7477;
    random::below(random::draw(seed, &[NETWORK, what]), bound)
}

/// Up to 400 kB in a network drawn from the seed.
fn scenario(seed: u64) -> Scenario {
    let draw = |what, bound| draw(seed, what, bound);
    let link = Link::new().rate_bps(1_000_000 + draw(2, 50_000_000)).queue_bytes(20_000 + draw(3, 300_000));
    let (size, rtt) = (draw(4, 400_000), Duration::from_ticks(draw(5, 100_000)));
    Scenario { host: "mill".into(), path: "/file".into(), size, rtt, link: draw_link(seed, link), seed }
}

/// Downloads while hosts and links fail as the world's seed, or its plan, wants. Returns also how long the file is.
pub(crate) fn download(world: &mut World) -> Result<(u64, End), Error> {
    let seed = world.seed();
    let scenario = scenario(seed);
    let mut mill = Mill::<32, _>::within(world, &scenario)?;
    let (server, client) = (mill.server(), mill.client());
    let links = vec![(server, client), (client, server)];
    mill.world_mut().draw_faults(&Menu { horizon: Duration::from_secs(2), hosts: vec![server], links })?;
    let options = Options { split_min: 32 << 10, retries: 20, seed, ..Options::default() };
    let connections = 1 + draw(seed, 6, 8) as usize;
    Ok((scenario.size, mill.download(&scenario, connections, options)?))
}
