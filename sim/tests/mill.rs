//! The download engine against core's server in simulated networks.

mod hostile;

use tidemill_core::fetch::Options;
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::check::{check, check_corpus, repeat};
use tidemill_sim::fault::Fault;
use tidemill_sim::mill::{End, Mill, Scenario};
use tidemill_sim::oracle::{Http, expect_all};
use tidemill_sim::plan::Plan;
use tidemill_sim::world::World;

fn scenario(url: &str) -> Scenario {
    url.parse().expect("a scenario")
}

fn download(url: &str, connections: usize) -> End {
    let scenario = scenario(url);
    Mill::<40>::new(&scenario).download(&scenario, connections, Options::default()).expect("no host is stuck")
}

fn ms(millis: u64) -> Instant {
    EPOCH + Duration::from_millis(millis)
}

#[test]
fn a_clean_link_is_used_to_the_full() {
    let end = download("sim://mill/4MiB?rtt=20ms&rate=50mbps", 4);
    assert_eq!(end.outcome, Some(Ok(4 << 20)));
    assert_eq!(end.received, 4 << 20);
    // 4 MiB and 2.7 % of headers at 50 Mbit/s take 690 ms.
    assert!((ms(690)..ms(900)).contains(&end.at), "took {} ms", end.at.as_ticks() / 1000);
}

#[test]
fn files_of_every_size_arrive() {
    for size in [0, 1, 1023, 1024, 1025, 100_000, (1 << 20) - 1, (1 << 20) + 1] {
        let end = download(&format!("sim://mill/{size}?rtt=5ms&loss=1%&rate=100mbps&seed={size}"), 4);
        assert_eq!(end.outcome, Some(Ok(size)), "{size} bytes");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_does_not() {
    let url = |seed| format!("sim://mill/1MiB?rtt=20ms&loss=2%&jitter=3ms&rate=50mbps&seed={seed}");
    let hash = |seed| {
        let scenario = scenario(&url(seed));
        let mut mill = Mill::<40>::new(&scenario);
        mill.download(&scenario, 4, Options::default()).unwrap();
        mill.hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn another_path_than_the_file_is_not_found() {
    let right = scenario("sim://mill/1MiB");
    let wrong = scenario("sim://mill/2MiB");
    let end = Mill::<40>::new(&right).download(&wrong, 2, Options::default()).unwrap();
    assert_eq!(end.outcome, Some(Err("the server answered 404".into())));
}

#[test]
fn a_restart_of_the_server_is_survived_without_starting_over() {
    let scenario = scenario("sim://mill/4MiB?rtt=20ms&rate=50mbps");
    let mut mill = Mill::<40>::new(&scenario);
    let crash = Fault::Crash { host: mill.server(), at: ms(300), off_for: Some(Duration::from_millis(500)) };
    mill.world_mut().schedule(crash).unwrap();
    let end = mill.download(&scenario, 4, Options::default()).unwrap();
    assert_eq!(end.outcome, Some(Ok(4 << 20)));
    assert_eq!(end.received, 4 << 20, "nothing is fetched twice");
    assert!(end.at > ms(1_000));
}

#[test]
fn a_server_that_stays_away_is_given_up_in_time_and_with_the_reason() {
    // Waits of 10 s to connect, three for each connection at most; from midway on one of 30 s for bytes before them.
    for (crash, limit) in [(0, 120_000), (300, 150_000)] {
        let scenario = scenario("sim://mill/4MiB?rtt=20ms&rate=50mbps");
        let mut mill = Mill::<40>::new(&scenario);
        let crash = Fault::Crash { host: mill.server(), at: ms(crash), off_for: None };
        mill.world_mut().schedule(crash).unwrap();
        let end = mill.download(&scenario, 4, Options { retries: 2, ..Options::default() }).unwrap();
        assert_eq!(end.outcome, Some(Err("no connection in time".into())), "{crash:?}");
        assert!(end.at < ms(limit), "{crash:?}: after {} us", end.at.as_ticks());
    }
}

#[test]
fn every_download_completes_in_a_hostile_network_and_can_be_repeated() {
    check(0..2000, |world| {
        world.watch(Http::new(80));
        completes(world)?;
        expect_all(world);
        if world.seed() >= 100 {
            return Ok(());
        }
        let plan = world.plan();
        let again = |record| {
            let mut world = World::new(plan.seed);
            world.trace_mut().record(record);
            // Whether it completes was seen above.
            let _ = hostile::download(&mut world);
            world
        };
        repeat(again).map(drop).map_err(|parted| parted.to_string())
    });
}

#[test]
fn what_went_wrong_can_be_listed_and_replayed_to_the_same_hash() {
    let mut frames = 0;
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.keep_frame_faults();
        let end = hostile::download(&mut world).unwrap();
        let plan: Plan = world.plan().to_string().parse().unwrap();
        frames += plan.faults.iter().filter(|fault| fault.at().is_none()).count();
        let mut again = World::replay(&plan);
        assert_eq!(hostile::download(&mut again).unwrap(), end, "seed {seed}");
        assert_eq!((again.hash(), again.plan()), (world.hash(), plan), "seed {seed}");
    }
    assert!(frames > 1_000, "{frames} frames had a fault of their own");
}

fn completes(world: &mut World) -> Result<(), String> {
    let (size, end) = hostile::download(world).map_err(|error| error.to_string())?;
    match end.outcome {
        Some(Ok(len)) if len == size => Ok(()),
        Some(Ok(len)) => Err(format!("{len} bytes of {size}")),
        Some(Err(why)) => Err(why),
        None => Err("it never ended".into()),
    }
}

#[test]
fn plans_that_failed_once_do_not_fail_again() {
    let corpus = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/download"));
    check_corpus(corpus, completes);
}
