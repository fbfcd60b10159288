//! Programs on the TCP/IP stack in a simulated world: transfers, faults, and determinism of the whole.

mod echo;

use echo::{Client, Echo, Server};
use tidemill_core::net::Error;
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::fault::{Fault, Menu};
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::trace::Kind;
use tidemill_sim::world::{HostId, World};

const MIB: u64 = 1 << 20;

fn lossy() -> Link {
    Link::new()
        .latency(Duration::from_millis(10))
        .jitter(Duration::from_millis(2))
        .rate_bps(20_000_000)
        .loss_ppm(10_000)
}

fn ms(millis: u64) -> Instant {
    EPOCH + Duration::from_millis(millis)
}

#[test]
fn a_transfer_takes_as_long_as_the_link_needs() {
    let link = Link::new().latency(Duration::from_micros(100)).rate_bps(8_000_000);
    let mut echo = Echo::new(World::new(1), link, MIB);
    let (at, result) = echo.run().expect("it ends");
    assert_eq!(result, Ok(()));
    // One MiB and its headers at one byte per µs; the way back is pipelined, and acknowledgements share it.
    assert!((ms(1_050)..ms(1_200)).contains(&at), "took {} us", at.as_ticks());
}

#[test]
fn every_byte_arrives_over_a_lossy_link() {
    for seed in 0..10 {
        let mut echo = Echo::new(World::new(seed), lossy(), MIB / 4);
        assert_eq!(echo.run().map(|(_, result)| result), Some(Ok(())), "seed {seed}");
        assert_eq!(echo.world.program::<Client>(echo.client).expect("it is on").received, MIB / 4);
    }
}

#[test]
fn it_works_on_ethernet_and_over_ipv6() {
    let v6 = ["fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()];
    let v4 = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    for addresses in [v4, v6] {
        for world in [World::new(3), World::ethernet(3)] {
            let mut echo = Echo::at(world, lossy(), 100_000, addresses);
            assert_eq!(echo.run().map(|(_, result)| result), Some(Ok(())), "{addresses:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_hash_and_others_differ() {
    let hash = |seed| {
        let mut echo = Echo::new(World::new(seed), lossy(), MIB / 4);
        echo.run();
        echo.world.hash()
    };
    let all: Vec<u64> = (0..5).map(hash).collect();
    assert_eq!(all, (0..5).map(hash).collect::<Vec<u64>>());
    assert!((1..5).all(|n| all[n] != all[n - 1]));
}

#[test]
fn nothing_happens_once_the_connection_is_closed() {
    let mut echo = Echo::new(World::new(1), Link::new(), 1000);
    echo.run();
    // TIME-WAIT is over after ten seconds.
    echo.world.run_until(ms(60_000)).unwrap();
    let events = echo.world.trace().events();
    echo.world.run_until(ms(3_600_000)).unwrap();
    assert_eq!(echo.world.trace().events(), events);
    // 4 sockets listen.
    assert_eq!(
        echo.world.stack::<Server>(echo.server).expect("it is on").free_sockets(),
        tidemill_sim::host::SOCKETS - 4
    );
    assert_eq!(echo.world.stack::<Client>(echo.client).expect("it is on").free_sockets(), tidemill_sim::host::SOCKETS);
}

#[test]
fn a_server_that_restarts_resets_the_connections_it_forgot() {
    let mut echo = Echo::new(World::new(1), lossy(), 4 * MIB);
    let crash = Fault::Crash { host: echo.server, at: ms(500), off_for: Some(Duration::from_millis(100)) };
    echo.world.schedule(crash).unwrap();
    let (at, result) = echo.run().expect("it ends");
    assert_eq!(result, Err(Error::Reset));
    assert!(at > ms(600), "not before the server is back to say so");
}

#[test]
fn a_server_that_is_off_times_out() {
    let mut echo = Echo::new(World::new(1), Link::new(), MIB);
    echo.world.schedule(Fault::Crash { host: echo.server, at: EPOCH, off_for: None }).unwrap();
    assert_eq!(echo.run(), Some((ms(20_000), Err(Error::TimedOut))));
}

#[test]
fn a_cut_connection_is_reset_at_both_ends_and_others_work_afterwards() {
    for toward_client in [true, false] {
        let mut echo = Echo::new(World::new(1), lossy(), 4 * MIB);
        let link = if toward_client { (echo.server, echo.client) } else { (echo.client, echo.server) };
        echo.world.schedule(Fault::Reset { link, at: ms(500) }).unwrap();
        let (at, result) = echo.run().expect("it ends");
        assert_eq!(result, Err(Error::Reset));
        assert!((ms(500)..ms(800)).contains(&at), "at {} us", at.as_ticks());
        echo.world.run_until(ms(5_000)).unwrap();
        assert_eq!(echo.world.program::<Server>(echo.server).expect("it is on").failures, [Error::Reset]);
        *echo.world.program_mut::<Client>(echo.client).expect("it is on") = Client::new([10, 0, 0, 1].into(), 1000);
        assert_eq!(echo.run().map(|(_, result)| result), Some(Ok(())));
    }
}

/// An echo server, and an open host beside it.
fn open_world() -> (World, HostId) {
    let mut world = World::new(1);
    let server = world.host("server", [10, 0, 0, 1], |_| Server::default()).unwrap();
    let client = world.open_host::<4>("client", [10, 0, 0, 2], Tuning::default()).unwrap();
    world.link(client, server, lossy()).unwrap();
    (world, client)
}

#[test]
fn a_program_can_stay_outside_and_be_lent() {
    let (mut world, host) = open_world();
    let mut client = Client::new([10, 0, 0, 1].into(), 100_000);
    while client.outcome.is_none() && world.step().unwrap().is_some() {
        world.lend::<4>(host, &mut client);
    }
    assert_eq!((client.received, client.outcome.map(|(_, result)| result)), (100_000, Some(Ok(()))));
    assert!(!world.lend::<5>(host, &mut client), "it has 4 sockets");
}

#[test]
fn after_a_crash_a_lent_program_finds_its_sockets_unknown() {
    let (mut world, host) = open_world();
    world.schedule(Fault::Crash { host, at: ms(50), off_for: Some(Duration::from_millis(10)) }).unwrap();
    let mut client = Client::new([10, 0, 0, 1].into(), 100_000);
    while client.outcome.is_none() && world.step().unwrap().is_some() {
        world.lend::<4>(host, &mut client);
    }
    assert_eq!(client.outcome, Some((ms(60), Err(Error::Stale))));
}

#[test]
fn a_request_that_comes_twice_makes_one_connection() {
    for seed in 0..50 {
        let link = Link::new().duplicate_ppm(1_000_000);
        let mut echo = Echo::new(World::new(seed), link, 1000);
        echo.world.watch_wire();
        assert_eq!(echo.run().map(|(_, result)| result), Some(Ok(())), "seed {seed}");
        echo.world.run_until(ms(60_000)).unwrap();
        let stack = echo.world.stack::<Server>(echo.server).expect("it is on");
        assert_eq!((stack.counters().accepted, stack.counters().half_open_expired), (1, 0), "seed {seed}");
    }
}

#[test]
fn an_outage_delays_a_transfer_and_no_more() {
    let link = Link::new().latency(Duration::from_millis(10)).rate_bps(20_000_000);
    let time = |outage: bool| {
        let mut echo = Echo::new(World::new(1), link, MIB);
        if outage {
            let link = (echo.client, echo.server);
            echo.world.schedule(Fault::Outage { link, at: ms(100), lasts: Duration::from_millis(1_500) }).unwrap();
        }
        let (at, result) = echo.run().expect("it ends");
        assert_eq!(result, Ok(()));
        at
    };
    let delay = time(true) - time(false);
    assert!((1_500..10_000).contains(&delay.as_millis()), "{} ms", delay.as_millis());
}

#[test]
fn under_drawn_faults_a_transfer_ends_well_or_with_the_right_error() {
    let mut ends = [0; 3];
    for seed in 0..200 {
        let mut echo = Echo::new(World::new(seed), lossy(), MIB / 2);
        let menu = Menu {
            horizon: Duration::from_millis(600),
            hosts: vec![echo.server],
            links: vec![(echo.client, echo.server), (echo.server, echo.client)],
        };
        echo.world.draw_faults(&menu).unwrap();
        match echo.run().map(|(_, result)| result) {
            Some(Ok(())) => ends[0] += 1,
            Some(Err(Error::Reset)) => ends[1] += 1,
            Some(Err(Error::Refused | Error::TimedOut)) => ends[2] += 1,
            // Who only reads does not learn that the peer has forgotten him; TCP has no other way to tell.
            None if echo.world.trace().count(Kind::Crash) > 0 => ends[2] += 1,
            end => panic!("seed {seed}: {end:?}"),
        }
    }
    assert!(ends[0] > 50 && ends[1] > 50, "{ends:?}: one-sided");
}
