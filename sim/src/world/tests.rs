use super::*;

/// Sends `burst` packets to `peer` at boot and answers none; notes when each packet came.
struct Talker {
    address: IpAddr,
    peer: IpAddr,
    burst: usize,
    arrivals: Vec<Instant>,
    boot_seed: u64,
    epoch: u32,
}

const LEN: usize = 100;

fn packet(bytes: &mut [u8], from: IpAddr, to: IpAddr) {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("tests use IPv4") };
    bytes[..4].copy_from_slice(&[0x45, 0, 0, LEN as u8]);
    bytes[12..16].copy_from_slice(&from.octets());
    bytes[16..20].copy_from_slice(&to.octets());
}

impl Node for Talker {
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
        while nic.receive_with(|_| ()).is_some() {
            self.arrivals.push(now);
        }
        for _ in 0..std::mem::take(&mut self.burst) {
            nic.send_with(LEN, |bytes| packet(bytes, self.address, self.peer));
        }
        None
    }
}

fn talker(world: &mut World, name: &str, last: u8, peer: &'static str, burst: usize) -> HostId {
    let make = move |boot: Boot<'_>| -> Box<dyn Node> {
        let peer = boot.resolve(peer).unwrap_or(IpAddr::from([9, 9, 9, 9]));
        let (boot_seed, epoch) = (boot.seed, boot.epoch);
        Box::new(Talker { address: boot.address, peer, burst, arrivals: vec![], boot_seed, epoch })
    };
    world.node(name, [10, 0, 0, last].into(), make).expect("name and address are free")
}

fn pair(seed: u64, burst: usize, link: Link) -> (World, HostId, HostId) {
    let mut world = World::new(seed);
    let a = talker(&mut world, "a", 1, "b", burst);
    let b = talker(&mut world, "b", 2, "a", 0);
    world.link(a, b, link).expect("both are hosts");
    (world, a, b)
}

fn at(ticks: u64) -> Instant {
    Instant::from_ticks(ticks)
}

fn finish(world: &mut World) {
    while world.step().expect("nothing is stuck").is_some() {}
}

fn kinds(world: &World) -> Vec<Kind> {
    world.trace().recorded().iter().map(|event| event.kind).collect()
}

#[test]
fn frames_cross_a_link_at_its_rate_in_order() {
    // 100 bytes at 8 Mbit/s take 100 µs.
    let (mut world, _, b) = pair(7, 5, Link::new().latency(Duration::from_micros(50)).rate_bps(8_000_000));
    finish(&mut world);
    let arrivals = &world.get::<Talker>(b).expect("b is on").arrivals;
    assert_eq!(*arrivals, [at(150), at(250), at(350), at(450), at(550)]);
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_does_not() {
    let hash = |seed| {
        let (mut world, ..) = pair(seed, 500, Link::new().loss_ppm(100_000).jitter(Duration::from_millis(1)));
        finish(&mut world);
        world.hash()
    };
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn another_host_elsewhere_does_not_change_what_happens_on_a_link() {
    let arrivals = |crowd: u8| {
        let (mut world, _, b) = pair(7, 500, Link::new().loss_ppm(100_000).jitter(Duration::from_millis(1)));
        for n in 0..crowd {
            talker(&mut world, &format!("crowd {n}"), 100 + n, "a", 3);
        }
        finish(&mut world);
        world.get::<Talker>(b).expect("b is on").arrivals.clone()
    };
    assert_eq!(arrivals(0), arrivals(20));
}

#[test]
fn an_idle_world_has_no_events_and_its_clock_still_runs() {
    let (mut world, ..) = pair(7, 0, Link::new());
    world.run_until(EPOCH + Duration::from_hours(1000)).expect("nothing is stuck");
    assert_eq!(world.now(), EPOCH + Duration::from_hours(1000));
    // Two boots, two turns.
    assert_eq!(world.trace().events(), 4);
}

#[test]
fn a_frame_without_a_route_is_dropped_and_told() {
    let mut world = World::new(7);
    talker(&mut world, "a", 1, "nobody", 1);
    world.trace_mut().record(0..10);
    finish(&mut world);
    assert_eq!(kinds(&world), [Kind::Boot, Kind::Turn, Kind::NoRoute]);
}

#[test]
fn a_crash_loses_the_program_and_a_restart_makes_it_anew_with_another_seed() {
    let (mut world, a, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
    world.schedule(Fault::Crash { host: b, at: at(20_000), off_for: Some(Duration::from_millis(5)) }).unwrap();
    world.run_until(at(15_000)).unwrap();
    let before = world.get::<Talker>(b).expect("it is on");
    let (seed, epoch) = (before.boot_seed, before.epoch);
    assert_eq!(before.arrivals.len(), 1);
    world.run_until(at(21_000)).unwrap();
    assert!(world.get::<Talker>(b).is_none());
    world.run_until(at(30_000)).unwrap();
    let after = world.get::<Talker>(b).expect("it is on again");
    assert_eq!((epoch, after.epoch), (0, 1));
    assert_ne!(after.boot_seed, seed);
    assert!(after.arrivals.is_empty());
    assert_ne!(world.get::<Talker>(a).expect("it is on").boot_seed, seed);
}

#[test]
fn a_frame_to_a_host_that_is_off_is_gone() {
    let (mut world, _, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
    world.schedule(Fault::Crash { host: b, at: at(5_000), off_for: Some(Duration::from_millis(20)) }).unwrap();
    world.trace_mut().record(0..100);
    finish(&mut world);
    assert!(kinds(&world).contains(&Kind::NobodyHome));
    assert!(world.get::<Talker>(b).expect("it is on again").arrivals.is_empty());
}

#[test]
fn a_crashed_host_stays_off_when_nothing_switches_it_on() {
    let (mut world, _, b) = pair(7, 0, Link::new());
    world.schedule(Fault::Crash { host: b, at: at(5), off_for: None }).unwrap();
    world.schedule(Fault::Crash { host: b, at: at(6), off_for: Some(Duration::from_millis(20)) }).unwrap();
    finish(&mut world);
    assert!(world.get::<Talker>(b).is_none());
}

#[test]
fn an_outage_drops_what_is_sent_meanwhile_and_not_what_is_under_way() {
    let (mut world, a, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
    let outage = |at, lasts| Fault::Outage { link: (a, b), at, lasts: Duration::from_millis(lasts) };
    world.schedule(outage(at(5_000), 10)).unwrap();
    world.schedule(outage(at(12_000), 10)).unwrap();
    for (time, send) in [(11_000, 1), (16_000, 1), (23_000, 1)] {
        world.run_until(at(time)).unwrap();
        world.get_mut::<Talker>(a).expect("it is on").burst = send;
    }
    finish(&mut world);
    assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(10_000), at(33_000)]);
}

#[test]
fn a_silence_stops_one_direction_alone() {
    let (mut world, a, b) = pair(7, 1, Link::new());
    world.schedule(Fault::Silence { link: (a, b), at: EPOCH, lasts: Duration::from_millis(20) }).unwrap();
    world.run_until(at(5_000)).unwrap();
    for host in [a, b] {
        world.get_mut::<Talker>(host).expect("it is on").burst = 1;
    }
    world.run_until(at(20_000)).unwrap();
    world.get_mut::<Talker>(a).expect("it is on").burst = 1;
    finish(&mut world);
    let arrivals = |host| world.get::<Talker>(host).expect("it is on").arrivals.clone();
    assert_eq!((arrivals(a), arrivals(b)), (vec![at(6_000)], vec![at(21_000)]));
}

#[test]
fn a_partition_cuts_between_its_groups_and_heals() {
    let mut world = World::new(7);
    let hosts = [1, 2, 3].map(|n| talker(&mut world, &format!("h{n}"), n, if n == 1 { "h3" } else { "h1" }, 0));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        world.link(hosts[one], hosts[other], Link::new()).unwrap();
    }
    world.partition(&hosts[..2], &hosts[2..], at(10), Duration::from_millis(10)).unwrap();
    let send = |world: &mut World, host: HostId| world.get_mut::<Talker>(host).expect("it is on").burst = 1;
    world.run_until(at(1_000)).unwrap();
    // From the first to the third: cut. From the second to the first: not.
    send(&mut world, hosts[0]);
    send(&mut world, hosts[1]);
    world.run_until(at(11_000)).unwrap();
    send(&mut world, hosts[0]);
    finish(&mut world);
    let arrivals = hosts.map(|host| world.get::<Talker>(host).expect("it is on").arrivals.clone());
    assert_eq!(arrivals, [vec![at(2_000)], vec![], vec![at(12_000)]]);
    assert_eq!(
        world.partition(&hosts, &[HostId::new(9)], at(0), Duration::from_ticks(1)),
        Err(Error::UnknownHost(HostId::new(9)))
    );
}

#[test]
fn a_host_that_stands_still_finds_what_came_meanwhile() {
    let (mut world, a, b) = pair(7, 1, Link::new());
    for (from, lasts) in [(500, 5), (2_000, 6)] {
        let lasts = Duration::from_millis(lasts);
        world.schedule(Fault::Pause { host: b, at: at(from), lasts }).unwrap();
    }
    world.run_until(at(7_500)).unwrap();
    world.get_mut::<Talker>(a).expect("it is on").burst = 1;
    finish(&mut world);
    assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(8_000), at(8_500)]);

    // Switched on meanwhile, it boots only when it goes on: nobody is there before.
    let (mut world, a, b) = pair(7, 0, Link::new());
    world.schedule(Fault::Crash { host: b, at: at(1), off_for: Some(Duration::from_millis(2)) }).unwrap();
    world.schedule(Fault::Pause { host: b, at: at(1_000), lasts: Duration::from_millis(9) }).unwrap();
    for time in [5_000, 10_000] {
        world.run_until(at(time)).unwrap();
        world.get_mut::<Talker>(a).expect("it is on").burst = 1;
    }
    finish(&mut world);
    assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(11_000)]);

    let mut world = World::new(7);
    let host = world.node("clock", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap();
    world.schedule(Fault::Pause { host, at: at(2_500_000), lasts: Duration::from_secs(5) }).unwrap();
    world.run_until(at(9_000_000)).unwrap();
    // At 0, 1 and 2 s; at 7.5 s, late; at 8.5 s.
    assert_eq!(world.get::<Ticker>(host).map(|ticker| ticker.1), Some(5));
}

/// Asks to be turned every `period`, or at once when that is 0.
struct Ticker(Duration, u64);

impl Node for Ticker {
    fn turn(&mut self, now: Instant, _: &mut Nic) -> Option<Instant> {
        self.1 += 1;
        Some(now + self.0)
    }
}

#[test]
fn a_host_is_turned_when_it_asked_to_be() {
    let mut world = World::new(7);
    let host = world.node("clock", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap();
    world.run_until(EPOCH + Duration::from_secs(60)).unwrap();
    assert_eq!(world.get::<Ticker>(host).map(|ticker| ticker.1), Some(61));
}

#[test]
fn a_host_that_never_lets_time_pass_is_named() {
    let mut world = World::new(7);
    world.node("stuck", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_ticks(0), 0))).unwrap();
    let error = world.run_until(at(1)).unwrap_err();
    assert_eq!(error, Error::Livelock { host: "stuck".into(), at: EPOCH });
    assert!(error.to_string().starts_with("host stuck was turned 1000 times at 0 us: it is stuck: it asks for a time"));
}

#[test]
fn names_and_addresses_are_given_once_and_links_join_two_hosts_of_the_world() {
    let mut world = World::new(7);
    let a = talker(&mut world, "a", 1, "b", 0);
    let again = |world: &mut World, name: &str, last: u8| {
        world.node(name, [10, 0, 0, last].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0)))
    };
    assert_eq!(again(&mut world, "a", 2), Err(Error::NameTaken("a".into())));
    assert_eq!(again(&mut world, "b", 1), Err(Error::AddressTaken([10, 0, 0, 1].into())));
    for nowhere in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
        let nowhere: IpAddr = nowhere.parse().unwrap();
        let error = world.node("c", nowhere, |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap_err();
        assert_eq!(error, Error::NoHostAddress(nowhere));
    }
    let stranger = HostId::new(5);
    assert_eq!(world.link(a, a, Link::new()), Err(Error::SelfLink(a)));
    assert_eq!(world.link(a, stranger, Link::new()), Err(Error::UnknownHost(stranger)));
    let b = again(&mut world, "b", 2).unwrap();
    assert_eq!(world.schedule(Fault::Reset { link: (a, b), at: EPOCH }), Err(Error::NoLink(a, b)));
    assert_eq!(
        world.schedule(Fault::Crash { host: stranger, at: EPOCH, off_for: None }),
        Err(Error::UnknownHost(stranger))
    );
}

/// Sends one frame to a hardware address, from its own, and counts what comes in.
#[derive(Default)]
struct Shouter(Option<([u8; 6], [u8; 6])>, u32);

impl Node for Shouter {
    fn turn(&mut self, _: Instant, nic: &mut Nic) -> Option<Instant> {
        while nic.receive_with(|_| ()).is_some() {
            self.1 += 1;
        }
        if let Some((to, from)) = self.0.take() {
            nic.send_with(64, |frame| frame[..12].copy_from_slice(&[to, from].concat()));
        }
        None
    }
}

#[test]
fn on_ethernet_a_frame_goes_to_its_hardware_address_and_a_broadcast_to_every_neighbour() {
    for (to, received) in [([0xFF; 6], [1, 1]), (HostId::new(2).mac(), [0, 1]), ([2, 0, 0, 0, 0, 9], [0, 0])] {
        let mut world = World::ethernet(7);
        let host = |world: &mut World, name: &str, last: u8, to: Option<[u8; 6]>| {
            world
                .node(name, [10, 0, 0, last].into(), move |boot| {
                    Box::new(Shouter(to.map(|to| (to, boot.host.mac())), 0))
                })
                .unwrap()
        };
        let from = host(&mut world, "from", 1, Some(to));
        let near = [host(&mut world, "b", 2, None), host(&mut world, "c", 3, None)];
        for neighbour in near {
            world.link(from, neighbour, Link::new()).unwrap();
        }
        finish(&mut world);
        assert_eq!(near.map(|host| world.get::<Shouter>(host).map_or(0, |node| node.1)), received);
    }
}

#[test]
fn two_runs_that_part_show_the_first_event_that_differs() {
    let run = |late: bool, record| {
        let (mut world, a, b) = pair(7, 300, Link::new());
        world.trace_mut().record(record);
        world.run_until(at(900)).unwrap();
        if late {
            world.link_one_way(a, b, Link::new().latency(Duration::from_millis(2))).unwrap();
        }
        world.get_mut::<Talker>(a).expect("it is on").burst = 300;
        finish(&mut world);
        world
    };
    let range = run(false, 0..0).trace().divergence(run(true, 0..0).trace()).expect("they part");
    let (one, other) = (run(false, range.clone()), run(true, range));
    let (one, other) = (one.trace().recorded(), other.trace().recorded());
    let first = one.iter().zip(other).find(|(one, other)| one != other).expect("it is in the range");
    assert_eq!((first.0.kind, first.1.kind, first.0.at), (Kind::Arrived, Kind::Arrived, at(1_900)));
    assert_eq!(first.1.at, at(2_900));
}

#[test]
fn what_becomes_of_a_frame_names_the_event_in_which_it_was_sent() {
    let link = Link::new().damage_ppm(300_000).reorder_ppm(300_000).duplicate_ppm(300_000).loss_ppm(100_000);
    let (mut world, ..) = pair(7, 200, link);
    world.trace_mut().capture(0..u64::MAX);
    finish(&mut world);
    let events = world.trace().recorded();
    let bytes = |n: usize| world.trace().frame(&events[n]);
    let (mut whole, mut twice) = (0, 0);
    for sent in events.iter().filter(|event| event.kind == Kind::Sent) {
        assert_eq!(sent.frame, sent.number);
        let same: Vec<usize> = (sent.number as usize + 1..events.len())
            .filter(|&n| events[n].frame == sent.number && events[n].number != sent.number)
            .collect();
        let of = |kind| same.iter().copied().filter(move |&n| events[n].kind == kind);
        let arrivals: Vec<usize> = of(Kind::Arrived).collect();
        assert_eq!(arrivals.len(), 1 + of(Kind::Duplicated).count());
        let seen = of(Kind::Damaged).next().unwrap_or(sent.number as usize);
        assert!(arrivals.iter().all(|&n| bytes(n) == bytes(seen)));
        whole += usize::from(seen == sent.number as usize);
        twice += arrivals.len() - 1;
    }
    assert!((80..180).contains(&whole) && (20..100).contains(&twice), "{whole} whole, {twice} twice");
}

#[test]
fn an_event_is_told_in_words() {
    let (mut world, ..) = pair(7, 1, Link::new());
    world.trace_mut().record(3..4);
    finish(&mut world);
    let line = world.describe(&world.trace().recorded()[0]);
    assert!(line.starts_with("#3 0.000000 s a ~ b: frame sent, 100 B ["), "{line}");
}

#[test]
fn a_switch_learns_where_hosts_are_and_forgets_it_with_its_power() {
    let mut world = World::ethernet(7);
    let b_mac = HostId::new(1).mac();
    // Each sends one frame: a to b, then b to a, then a to b again.
    let host = |world: &mut World, name: &str, last: u8| {
        world.node(name, [10, 0, 0, last].into(), move |_| Box::new(Shouter::default())).unwrap()
    };
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, last)| host(&mut world, name, last));
    assert_eq!(b.mac(), b_mac);
    let [left, right] = ["left", "right"].map(|name| world.switch(name).unwrap());
    for (one, other) in [(a, left), (b, right), (c, right), (left, right)] {
        world.link(one, other, Link::new()).unwrap();
    }
    assert_eq!(world.link(right, left, Link::new()), Ok(()), "the same link may be changed");
    let third = world.switch("third").unwrap();
    world.link(right, third, Link::new()).unwrap();
    assert_eq!(world.link(third, left, Link::new()), Err(Error::SwitchLoop(third, left)));
    assert_eq!(world.address(left), Err(Error::NoAddress(left)));
    finish(&mut world);
    let say = |world: &mut World, from: HostId, to: HostId| {
        *world.get_mut::<Shouter>(from).expect("it is on") = Shouter(Some((to.mac(), from.mac())), 0);
        finish(world);
        [a, b, c].map(|host| std::mem::take(&mut world.get_mut::<Shouter>(host).expect("it is on").1))
    };
    assert_eq!(say(&mut world, a, b), [0, 1, 1], "nobody knows where b is");
    assert_eq!(say(&mut world, b, a), [1, 0, 0]);
    assert_eq!(say(&mut world, a, b), [0, 1, 0], "b was heard of");
    let now = world.now();
    world.schedule(Fault::Crash { host: right, at: now, off_for: Some(Duration::from_millis(1)) }).unwrap();
    finish(&mut world);
    assert_eq!(say(&mut world, a, b), [0, 1, 1], "it was forgotten");
    assert_eq!(World::new(7).switch("s"), Err(Error::NotEthernet));
}

#[test]
fn flash_survives_a_crash_and_nothing_else_does() {
    /// Counts its boots in its flash.
    struct Counter(u8);
    impl Node for Counter {
        fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> {
            None
        }
    }
    let mut world = World::new(7);
    let host = world
        .node("host", [10, 0, 0, 1].into(), |boot| {
            let mut boots = [0];
            boot.flash.read(5, &mut boots);
            boot.flash.write(5, &[boots[0] + 1]).unwrap();
            Box::new(Counter(boots[0] + 1))
        })
        .unwrap();
    for ms in [10, 20] {
        world.schedule(Fault::Crash { host, at: at(ms * 1_000), off_for: Some(Duration::from_millis(1)) }).unwrap();
    }
    finish(&mut world);
    assert_eq!(world.get::<Counter>(host).map(|counter| counter.0), Some(3));
    let flash = world.flash(host).unwrap();
    assert_eq!((flash.len(), flash.is_empty()), (6, false));
    assert_eq!(flash.write(FLASH_MAX, &[1]), Err(FlashFull));
    assert_eq!(flash.write(usize::MAX, &[1]), Err(FlashFull));
}

#[test]
fn a_clock_may_be_ahead_from_the_start_and_drift() {
    let mut world = World::new(7);
    let host = world.node("clock", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap();
    world.set_clock(host, Duration::from_hours(1), 100_000).unwrap();
    world.run_until(at(10_000_000)).unwrap();
    assert_eq!(world.host_now(host), Ok(EPOCH + Duration::from_hours(1) + Duration::from_secs(11)));
    // Its seconds are short: eleven of them, each up to a microsecond late, and the turn at the start.
    world.run_until(at(10_000_100)).unwrap();
    assert_eq!(world.get::<Ticker>(host).map(|ticker| ticker.1), Some(12));
}

#[test]
fn an_oracle_ends_the_run_with_its_first_objection() {
    use crate::oracle::{Oracle, Seen};
    /// Objects to the third frame that arrives.
    #[derive(Default)]
    struct Counts(u32);
    impl Oracle for Counts {
        fn name(&self) -> &'static str {
            "counts"
        }
        fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
            self.0 += u32::from(seen.kind == Kind::Arrived && seen.frame.len() == LEN);
            if self.0 < 3 { Ok(()) } else { Err(format!("frame {} at {}", self.0, seen.host)) }
        }
    }
    let (mut world, ..) = pair(7, 5, Link::new());
    world.watch(Counts::default());
    let error = world.run_until(at(9_000)).unwrap_err();
    assert_eq!(error.to_string(), "[counts] frame 3 at h1");
    assert_eq!(world.oracle::<Counts>().map(|counts| counts.0), Some(3), "it is not asked again");
}
