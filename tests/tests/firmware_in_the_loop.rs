//! Firmware as one host of a simulated world: the same seed gives the same trace hash each time, and the same events as on a
//! simulated host, whatever happens to frames, links and the board's power. `tests/run firmware`.
//!
//! A few seeds; `TIDEMILL_FIRMWARE_FULL` runs 200.

// The firmware is a workspace of its own, within `core`: Cargo takes no package of it as a dependency.
#[allow(dead_code, unreachable_pub)]
#[path = "../../core/examples/mps2-an385/src/mirror.rs"]
mod mirror;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant as Wall;

use mirror::{BEGUN, CONNECTIONS, ENDED, FAILED, Mirror, RX, TX};
use tidemill_core::executor::Program;
use tidemill_core::frame::crc;
use tidemill_core::net::Stack;
use tidemill_core::net::lockstep::{Event, Tells};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::bridge::{Machine, Qemu, Told};
use tidemill_sim::fault::{Fault, Menu};
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::mill::{Content, Mill, Scenario};
use tidemill_sim::trace::Kind;
use tidemill_sim::world::{HostId, World};
use tidemill_tests::board::images;

const SIZE: usize = 24 << 10;
const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const URL: &str = "http://10.0.0.1/24KiB";

/// What one run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Outcome {
    hash: u64,
    events: Vec<Told>,
}

/// What has to be seen in some run, or the test shows nothing.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

/// A world of a server and a board that `add` makes, with the faults of this seed and one crash of the board, until the board
/// has told that it is done.
fn run(seed: u64, seen: &mut Seen, add: impl FnOnce(&mut World) -> HostId, is_done: impl Fn() -> bool) -> u64 {
    let scenario: Scenario = format!("sim://mill/24KiB?seed={seed}").parse().unwrap();
    let mut mill = Mill::<40, _>::within(World::ethernet(seed), &scenario).unwrap();
    let server = mill.server();
    let world = mill.world_mut();
    world.watch_wire();
    let board = add(world);
    let ms = Duration::from_millis;
    let link = Link::new().latency(ms(2 + seed % 7)).jitter(ms(1)).rate_bps(10_000_000);
    let link = link.loss_ppm(10_000).damage_ppm(3_000).duplicate_ppm(3_000).reorder_ppm(5_000);
    world.link(board, server, link).unwrap();
    let menu = Menu { horizon: ms(500), hosts: vec![board], links: vec![(board, server), (server, board)] };
    world.draw_faults(&menu).unwrap();
    // Amid the first download, or before it.
    let at = EPOCH + ms(5 + seed * 7 % 90);
    world.schedule(Fault::Crash { host: board, at, off_for: Some(ms(20)) }).unwrap();
    let end = world.run_until_done(EPOCH + Duration::from_hours(1), |_| is_done());
    assert_eq!(end, Ok(true), "seed {seed} at {} us", world.now().as_ticks());
    let trace = world.trace();
    let kinds = [
        (Kind::DroppedLoss, "a frame lost"),
        (Kind::Damaged, "a frame damaged"),
        (Kind::Duplicated, "a frame twice"),
        (Kind::DroppedDown, "a link down"),
        (Kind::Paused, "a pause"),
        (Kind::ClockSet, "a clock changed"),
        (Kind::Crash, "a crash"),
    ];
    seen.0.extend(kinds.into_iter().filter(|&(kind, _)| trace.count(kind) > 0).map(|(_, what)| what));
    world.hash()
}

fn on_the_board(seed: u64, seen: &mut Seen, machine: &Machine) -> Outcome {
    let add = |world: &mut World| world.machine("board", BOARD, machine, URL).unwrap();
    let hash = run(seed, seen, add, || machine.has_told(ENDED));
    Outcome { hash, events: machine.take_events() }
}

/// The board's program on a simulated host, whose events go where the test sees them.
struct Native {
    mirror: Mirror<Vec<u8>>,
    epoch: u32,
    told: Rc<RefCell<Vec<Told>>>,
}

impl<S: Stack> Program<S> for Native {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        let next = self.mirror.turn(now, net);
        while let Some(event) = self.mirror.next_event() {
            self.told.borrow_mut().push(Told { epoch: self.epoch, at: now, event });
        }
        next
    }
}

fn on_a_simulated_host(seed: u64, seen: &mut Seen) -> Outcome {
    let told = Rc::new(RefCell::new(Vec::new()));
    let tuning = Tuning { receive_bytes: RX, send_bytes: TX, datagram_sockets: 0, ..Tuning::default() };
    let add = |world: &mut World| {
        let told = Rc::clone(&told);
        let make = move |boot: tidemill_sim::world::Boot<'_>| Native {
            mirror: Mirror::new(URL.as_bytes(), boot.seed, vec![0; 64 << 10]),
            epoch: boot.epoch,
            told: Rc::clone(&told),
        };
        world.tuned_host::<_, CONNECTIONS>("board", BOARD, tuning, make).unwrap()
    };
    let hash = run(seed, seen, add, || told.borrow().iter().any(|told: &Told| told.event[0] == ENDED));
    Outcome { hash, events: told.take() }
}

/// The file's checksum.
fn right_crc(seed: u64) -> u32 {
    let mut file = vec![0; SIZE];
    Content::new(seed).read(0, &mut file);
    crc::software(0, &file)
}

fn of_kind(events: &[Told], kind: u32) -> Vec<(u32, Event)> {
    events.iter().filter(|told| told.event[0] == kind).map(|told| (told.epoch, told.event)).collect()
}

#[test]
fn firmware_in_the_loop_repeats_itself_and_does_what_a_simulated_host_does() {
    let Some(images) = images() else { return };
    let image = images.join("lockstep");
    if !image.is_file() {
        println!("NOT TESTED: no image {}", image.display());
        return;
    }
    let full = std::env::var_os("TIDEMILL_FIRMWARE_FULL").is_some();
    let seeds = if full { 200 } else { 10 };
    let machine = Machine::qemu(&Qemu::mps2_an385(&image)).unwrap();
    let (mut seen, began) = (Seen::default(), Wall::now());
    let (mut same_trace, mut crashed_amid, mut failed) = (0, 0, 0);
    for seed in 0..seeds {
        let first = on_the_board(seed, &mut seen, &machine);
        assert_eq!(on_the_board(seed, &mut seen, &machine), first, "seed {seed} once more");
        let native = on_a_simulated_host(seed, &mut seen);
        // The board's controller holds six frames: of more that arrive at once, after a pause, some come in a turn of their
        // own, and are acknowledged otherwise. From there on what chance does to frames differs, and with it the times.
        let without_times = |events: &[Told]| events.iter().map(|told| (told.epoch, told.event)).collect::<Vec<_>>();
        assert_eq!(without_times(&native.events), without_times(&first.events), "seed {seed} on a simulated host");
        if native.hash == first.hash {
            assert_eq!(native.events, first.events, "seed {seed} has the same trace");
            same_trace += 1;
        }
        let ends = of_kind(&first.events, ENDED);
        let [(epoch, [_, len, crc, _])] = ends[..] else { panic!("seed {seed}: {ends:?}") };
        assert_eq!((len as usize, crc), (SIZE, right_crc(seed)), "seed {seed}");
        // Each life begins once and again after each failure.
        failed += of_kind(&first.events, FAILED).len();
        crashed_amid += u32::from(epoch > 0 && !of_kind(&first.events, BEGUN).is_empty());
    }
    println!(
        "{seeds} seeds, each twice on the board, in {:?}: {same_trace} with the very trace of a simulated host, \
         {crashed_amid} done after a crash, {failed} downloads failed; seen: {:?}",
        began.elapsed(),
        seen.0
    );
    assert!(crashed_amid > 0 && seen.0.len() >= 5, "nothing happened: {:?}", seen.0);
}
