//! The heart in simulation: a plant whose host is sometimes late, loses its power, and is interrupted when it likes.
//!
//! A producer and a consumer over a small queue; a pool of four that runs a hundred jobs, some of which are called off; a
//! sampler that must not drift, with a monitor that must neither sleep nor cry wolf; an interrupt that feeds a queue.

use std::num::NonZeroU32;

use tidemill_core::executor::{Executor, Program};
use tidemill_core::future::State;
use tidemill_core::net::{NoSockets, Stack, Token};
use tidemill_core::pool::{Failure, Slot, TaskId, TaskPool};
use tidemill_core::queue::{Consumer, Fifo, FromInterrupt, Producer, Queue};
use tidemill_core::random::{below, draw};
use tidemill_core::task::{Context, Task};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_core::timer::{self, Missed, TimerId, TimerWheel};
use tidemill_core::wake::WakeFlags;
use tidemill_sim::check::{repeat, sweep};
use tidemill_sim::fault::Fault;
use tidemill_sim::trace::Kind;
use tidemill_sim::world::{HostId, World};

const JOBS: u32 = 100;
const WORKERS: u32 = 4;
const ITEMS: u32 = 200;
const BYTES: u8 = 60;
const LATE_MAX: u64 = 9_000;
const PERIOD: Duration = Duration::from_millis(10);
const ALLOWED: Duration = Duration::from_millis(15);

/// What the tasks share, and what becomes of them.
#[derive(Default)]
struct Log {
    consumed: Vec<u32>,
    received: Vec<u8>,
    called_back: Vec<(u32, Option<Job>)>,
}

struct Shared {
    belt: Queue<Fifo<u32, 3>>,
    log: Log,
}

/// Polls itself slowly, so that the queue is now full, now empty.
enum Worker {
    Producer { items: std::ops::Range<u32>, item: Option<u32>, rest: Instant, seed: u64 },
    Consumer { rest: Instant, seed: u64 },
    Line(Consumer<'static, u8>),
}

/// Rests now and then; true while it does.
fn rests<S>(rest: &mut Instant, seed: u64, cx: &mut Context<'_, S, Shared>) -> bool {
    if cx.now >= *rest {
        *rest = cx.now;
        let bits = draw(seed, &[cx.now.as_ticks()]);
        if below(bits, 4) == 0 {
            *rest = cx.now + Duration::from_micros(1 + bits % 3_000);
        }
    }
    if *rest > cx.now {
        cx.wait_until(*rest);
    }
    *rest > cx.now
}

impl<S: Stack> Task<S, Shared> for Worker {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Shared>) -> nb::Result<(), ()> {
        loop {
            let went_on = match self {
                Self::Producer { items, item, rest, seed } => {
                    if rests(rest, *seed, cx) {
                        return Err(nb::Error::WouldBlock);
                    }
                    *item = item.take().or_else(|| items.next());
                    if item.is_none() {
                        cx.shared.belt.shutdown(false, &mut cx.me);
                        return Ok(());
                    }
                    cx.shared.belt.put(item, &mut cx.me)
                }
                Self::Consumer { rest, seed } => {
                    if rests(rest, *seed, cx) {
                        return Err(nb::Error::WouldBlock);
                    }
                    cx.shared.belt.get(&mut cx.me).map(|item| cx.shared.log.consumed.push(item))
                }
                Self::Line(bytes) => bytes.get(&mut cx.me).map(|byte| cx.shared.log.received.push(byte)),
            };
            match went_on {
                Ok(()) => {}
                // Shut down.
                Err(nb::Error::Other(_)) => return Ok(()),
                Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
            }
        }
    }
}

/// Takes its time, and notes when it began and ended.
#[derive(Clone, Copy)]
struct Job {
    name: u32,
    lasts: Duration,
    began: Option<Instant>,
    ended: Instant,
}

impl<S: Stack> Task<S, Log> for Job {
    type Output = Job;
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Log>) -> nb::Result<Job, ()> {
        let until = *self.began.get_or_insert(cx.now) + self.lasts;
        if cx.now < until {
            cx.wait_until(until);
            return Err(nb::Error::WouldBlock);
        }
        Ok(Job { ended: cx.now, ..*self })
    }
}

type Jobs = Vec<Slot<Job, Job, (), Option<Note>>>;
type Note = Box<dyn FnOnce(TaskId, Result<&Job, Failure<&()>>, &mut Log)>;

#[derive(Clone, Copy)]
enum Tick {
    /// It is time to sample.
    Sample,
    /// The sample has been taken.
    Sampled,
    /// No sample has been taken for too long.
    Late,
}

struct Plant {
    seed: u64,
    turns: u64,
    /// When the interrupts come, the last first, and how many bytes there was no room for.
    interrupts: Vec<(Instant, u8)>,
    refused: Vec<u8>,
    uart: Producer<'static, u8>,
    flags: &'static WakeFlags<1>,
    shared: Shared,
    workers: Executor<Worker, [Slot<Worker, (), ()>; 3], (), ()>,
    jobs: Executor<Job, Jobs, Job, (), Option<Note>>,
    ids: Vec<TaskId>,
    wheel: TimerWheel<Tick, [timer::Slot<Tick>; 6]>,
    monitor: Option<TimerId>,
    sampled: u32,
    last_sample: Instant,
    late: u32,
    cut: u32,
}

impl Plant {
    fn new(seed: u64, now: Instant) -> Self {
        let flags: &'static WakeFlags<1> = Box::leak(Box::default());
        let queue: &'static mut FromInterrupt<u8, 8> = Box::leak(Box::default());
        let (uart, line) = queue.split(flags.flag(Token(2)).expect("one of 32"));
        let mut workers = Executor::new([const { Slot::EMPTY }; 3]);
        let producer = Worker::Producer { items: 0..ITEMS, item: None, rest: now, seed: draw(seed, &[1]) };
        for worker in [producer, Worker::Consumer { rest: now, seed: draw(seed, &[2]) }, Worker::Line(line)] {
            workers.pool.spawn(worker).expect("there is room");
        }
        let mut at = now;
        let mut interrupts: Vec<_> = (0..BYTES)
            .map(|byte| {
                // One in four after a pause, the others hard upon each other.
                let bits = draw(seed, &[3, byte.into()]);
                at += Duration::from_micros(if below(bits, 4) == 0 { bits % 9_000 } else { bits % 300 });
                (at, byte)
            })
            .collect();
        interrupts.reverse();
        let slots = std::iter::repeat_with(Slot::with_callbacks).take(JOBS as usize).collect();
        let workers_max = NonZeroU32::new(WORKERS).expect("four");
        Self {
            seed,
            turns: 0,
            interrupts,
            refused: Vec::new(),
            uart,
            flags,
            shared: Shared { belt: Queue::new(Fifo::new()), log: Log::default() },
            workers,
            jobs: Executor::over(TaskPool::with_workers(slots, workers_max)),
            ids: Vec::new(),
            wheel: TimerWheel::new([const { timer::Slot::EMPTY }; 6]),
            monitor: None,
            sampled: 0,
            last_sample: now,
            late: 0,
            cut: 0,
        }
    }

    fn begin(&mut self, now: Instant) {
        for name in 0..JOBS {
            let lasts = Duration::from_micros(draw(self.seed, &[4, name.into()]) % 20_000);
            let id = self.jobs.pool.submit(Job { name, lasts, began: None, ended: now }).expect("there is room");
            let note: Note = Box::new(move |_, job, log| log.called_back.push((name, job.ok().copied())));
            let added = self.jobs.pool.add_done_callback(id, note, &mut self.shared.log);
            added.expect("there is room for one");
            self.ids.push(id);
        }
        self.wheel.start_periodic(now, PERIOD, Missed::Skip, Tick::Sample).expect("there is room");
        self.monitor = self.wheel.start(now + ALLOWED, Tick::Late).ok();
    }

    /// Calls off a job now and then.
    fn call_off(&mut self) {
        let bits = draw(self.seed, &[5, self.turns]);
        if below(bits, 40) == 0 {
            let id = self.ids[bits as usize % self.ids.len()];
            let pending = self.jobs.pool.state(id) == Ok(State::Pending);
            let cancelled = self.jobs.pool.cancelled(id) == Ok(true);
            assert_eq!(self.jobs.pool.cancel(id), pending || cancelled);
            self.cut += u32::from(pending);
        }
    }

    fn tick(&mut self, now: Instant, booted: Instant) {
        while let Some(timer) = self.wheel.expire(now) {
            assert!(timer.deadline <= now, "expired early");
            match timer.value {
                Tick::Sample => {
                    let due = booted + PERIOD * self.sampled;
                    assert_eq!(timer.deadline, due, "the sampler drifts");
                    self.sampled += 1 + timer.missed as u32;
                    let takes = Duration::from_micros(draw(self.seed, &[8, self.sampled.into()]) % 8_000);
                    self.wheel.start(now + takes, Tick::Sampled).expect("there is room");
                }
                Tick::Sampled => {
                    if let Some(monitor) = self.monitor.take() {
                        self.wheel.cancel(monitor);
                    }
                    self.monitor = self.wheel.start(now + ALLOWED, Tick::Late).ok();
                    self.last_sample = now;
                }
                Tick::Late => {
                    assert!(now - self.last_sample >= ALLOWED, "cried wolf");
                    self.monitor = None;
                    self.late += 1;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.interrupts.is_empty() && self.jobs.pool.live() == 0 && self.workers.pool.live() <= 1
    }

    /// Nothing lost, nothing doubled, nothing out of order.
    fn check(&mut self) {
        assert_eq!(self.shared.log.consumed, (0..ITEMS).collect::<Vec<_>>());
        let mut bytes = [&self.shared.log.received[..], &self.refused[..]].concat();
        assert!(self.shared.log.received.is_sorted());
        bytes.sort_unstable();
        assert_eq!(bytes, (0..BYTES).collect::<Vec<_>>());
        let called = &mut self.shared.log.called_back;
        called.sort_by_key(|(name, _)| *name);
        assert_eq!(called.iter().map(|(name, _)| *name).collect::<Vec<_>>(), (0..JOBS).collect::<Vec<_>>());
        let mut cut = 0;
        for ((name, noted), id) in called.iter().zip(&self.ids) {
            match self.jobs.pool.result(*id) {
                Ok(job) => {
                    let late = job.ended - (job.began.expect("it has run") + job.lasts);
                    assert!(late.as_ticks() <= LATE_MAX, "job {name} ended {late} late");
                    assert_eq!((job.name, noted.map(|job| job.ended)), (*name, Some(job.ended)));
                }
                Err(nb::Error::Other(Failure::Cancelled)) => {
                    assert!(noted.is_none());
                    cut += 1;
                }
                Err(error) => panic!("job {name}: {error:?}"),
            }
        }
        assert_eq!(cut, self.cut);
    }
}

/// A plant in a world, and when it booted.
struct Host(Plant, Option<Instant>);

impl<S: Stack> Program<S> for Host {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        let Self(plant, booted) = self;
        if booted.is_none() {
            plant.begin(now);
        }
        let booted = *booted.get_or_insert(now);
        plant.turns += 1;
        while let Some(&(at, byte)) = plant.interrupts.last().filter(|(at, _)| *at <= now) {
            assert!(at <= now);
            plant.interrupts.pop();
            if plant.uart.put_nowait(byte).is_err() {
                plant.refused.push(byte);
            }
        }
        plant.flags.wake(&mut plant.workers);
        plant.tick(now, booted);
        let next = [
            // A stack is one executor's; the other has the order of its tasks from it.
            plant.workers.turn(now, net, &mut plant.shared),
            plant.jobs.turn(now, &mut NoSockets(net), &mut plant.shared.log),
            plant.wheel.next_deadline(),
            plant.interrupts.last().map(|(at, _)| *at),
        ];
        let running = plant.ids.iter().filter(|&&id| plant.jobs.pool.running(id) == Ok(true)).count();
        assert!(running <= WORKERS as usize, "{running} jobs run");
        plant.call_off();
        assert!(!plant.flags.any(), "a flag was slept over");
        let next = next.into_iter().flatten().min()?.max(now);
        // The host is busy with something else, now and then.
        let bits = draw(plant.seed, &[6, plant.turns]);
        let late = if below(bits, 5) == 0 { bits % LATE_MAX } else { 0 };
        Some(next + Duration::from_micros(late))
    }
}

fn plant(seed: u64) -> (World, HostId) {
    let mut world = World::new(seed);
    let boots = move |boot: tidemill_sim::world::Boot<'_>| Host(Plant::new(boot.seed, boot.now), None);
    let host = world.host("plant", [10, 0, 0, 1], boots).expect("a name and an address");
    // Half of them poll their tasks as they come.
    if draw(seed, &[9]).is_multiple_of(2) {
        world.shuffle_tasks();
    }
    // Half of them lose their power once, and begin anew.
    let bits = draw(seed, &[7]);
    if bits.is_multiple_of(2) {
        let at = EPOCH + Duration::from_micros(below(bits, 200_000));
        let off_for = Some(Duration::from_micros(bits % 50_000));
        world.schedule(Fault::Crash { host, at, off_for }).expect("the host is known");
    }
    (world, host)
}

#[test]
fn the_heart_of_a_plant_loses_nothing_over_a_thousand_seeds() {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    let [late, refused, cut, picked] = [const { AtomicU32::new(0) }; 4];
    let report = sweep(0..1_000, 2, |seed| {
        let (mut world, host) = plant(seed);
        let done = |world: &World| world.program::<Host>(host).is_some_and(|host| host.0.is_done());
        if !world.run_until_done(EPOCH + Duration::from_secs(60), done).map_err(|error| error.to_string())? {
            return Err(String::from("not done in a minute"));
        }
        picked.fetch_add(world.trace().count(Kind::Picked) as u32, Relaxed);
        let plant = &mut world.program_mut::<Host>(host).expect("it is done").0;
        plant.check();
        late.fetch_add(plant.late, Relaxed);
        refused.fetch_add(plant.refused.len() as u32, Relaxed);
        cut.fetch_add(plant.cut, Relaxed);
        Ok(())
    });
    assert_eq!(report.failed, 0, "{report}");
    // Else nothing was tried.
    for happened in [late, refused, cut, picked] {
        assert!(happened.load(Relaxed) > 100);
    }
}

#[test]
fn the_same_seed_is_the_same_plant() {
    for seed in 0..10 {
        let run = |record| {
            let (mut world, _) = plant(seed);
            world.trace_mut().record(record);
            world.run_until(EPOCH + Duration::from_secs(1)).expect("no livelock");
            world
        };
        repeat(run).unwrap_or_else(|divergence| panic!("seed {seed}: {divergence:?}"));
    }
}
