//! The loop that turns a pool of tasks, and says until when it may sleep.
//!
//! A turn wakes the tasks whose sockets became ready or whose deadlines have come, polls them first in, first out, and
//! returns the next deadline. It never polls a task that has nothing to do, and never more than a budget per turn, so
//! that a task which always has something to do starves nobody.
//!
//! ```
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::pool::Slot;
//! use tidemill_core::task::{Context, Task};
//! use tidemill_core::time::{Duration, EPOCH, Instant};
//!
//! /// Done when its time has come.
//! struct Sleep(Instant);
//! impl Task<NoNetwork> for Sleep {
//!     type Output = Instant;
//!     type Error = ();
//!     fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<Instant, ()> {
//!         if cx.now >= self.0 {
//!             return Ok(cx.now);
//!         }
//!         cx.wait_until(self.0);
//!         Err(nb::Error::WouldBlock)
//!     }
//! }
//!
//! let mut executor = Executor::new([const { Slot::EMPTY }; 2]);
//! let later = EPOCH + Duration::from_millis(5);
//! let id = executor.pool.submit(Sleep(later)).unwrap();
//! assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), Some(later));
//! assert_eq!(executor.pool.result(id), Err(nb::Error::WouldBlock));
//! assert_eq!(executor.turn(later, &mut NoNetwork, &mut ()), None);
//! assert_eq!(executor.pool.result(id), Ok(later));
//! ```

use crate::log::trace;
use crate::net::{Stack, Token};
use crate::pool::{Callback, Callbacks, Slot, TaskPool};
use crate::task::{Context, Task, Wake};
use crate::time::{Clock, Duration, Instant};

/// When a task is polled again that would wait, but named nothing to wait for.
pub const TICK: Duration = Duration::from_millis(1);

/// How many ready tasks [`Stack::pick`] may choose from; those behind them wait.
pub const PICKS_MAX: u32 = 16;

/// What a world runs: it is turned whenever something may have changed, and says when it must be turned next.
///
/// The world calls `turn` when a watched socket became ready, when the time last returned has come, and once at the
/// start. Between turns the world sleeps (host) or jumps (simulator).
pub trait Program<S> {
    /// Does all that can be done at `now`. Returns the latest time of the next turn; `None`: only the network can
    /// bring more. A time not after `now` means: again at once, after the world has moved bytes.
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant>;
}

/// Where a program runs: bare metal, an operating system, a simulator.
pub trait World: Clock {
    /// Its network; [`NoNetwork`](crate::net::NoNetwork) if it has none.
    type Net: Stack;
    /// Why it cannot go on.
    type Error;

    /// Its network.
    fn net(&mut self) -> &mut Self::Net;

    /// Wakes the tasks for which an interrupt or another core has set a flag: see [`wake`](crate::wake). Does nothing
    /// where there are none.
    fn wake(&mut self, tasks: &mut impl Wake) {
        let _ = tasks;
    }

    /// Moves bytes, and sleeps until the network has something, a flag is set, or `until` has come (`None`: for ever). May
    /// return earlier, and does so at once if `until` has passed.
    ///
    /// # Errors
    /// The world is broken.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Self::Error>;
}

/// Turns `program` and waits, over and over, until `done` says so after a turn.
///
/// # Errors
/// Those of [`World::wait`].
pub fn run<W: World, P: Program<W::Net>>(
    world: &mut W,
    program: &mut P,
    mut done: impl FnMut(&mut P) -> bool,
) -> Result<(), W::Error> {
    loop {
        let now = world.now();
        let next = program.turn(now, world.net());
        if done(program) {
            return Ok(());
        }
        world.wait(next)?;
    }
}

/// A pool and the loop that polls it. `B` holds the slots; see [`TaskPool`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Executor<T, B, O = (), E = (), C = ()> {
    /// The tasks.
    pub pool: TaskPool<T, B, O, E, C>,
    counts: Counts,
}

/// What an executor has done since it was made. The counts wrap; take differences.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counts {
    /// Turns.
    pub turns: u32,
    /// Turns that ended with tasks still ready: the budget was too small for the work.
    pub cut_short: u32,
    /// Polls of tasks.
    pub polls: u32,
    /// Wake-ups: by siblings, from outside, by the network.
    pub wakes: u32,
    /// Deadlines that came.
    pub expiries: u32,
}

impl<T, B, O, E, C> Executor<T, B, O, E, C>
where
    B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
    C: Callbacks,
{
    /// An executor over these slots. O(N).
    pub fn new(slots: B) -> Self {
        Self::over(TaskPool::new(slots))
    }

    /// An executor of a pool that was made already, as with a limit on its workers.
    pub fn over(pool: TaskPool<T, B, O, E, C>) -> Self {
        Self { pool, counts: Counts::default() }
    }

    /// What it has done; how many tasks lived at once says [`TaskPool::live_max`].
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Has every task polled in the next turn: something they share was changed from outside. O(N).
    pub fn wake_all(&mut self) {
        self.counts.wakes = self.counts.wakes.wrapping_add(1);
        self.pool.wake_all();
    }

    /// Polls what is ready at `now`; returns when it must be turned next at the latest (see [`Program::turn`]).
    ///
    /// Tokens of `net` are taken as slots of this pool, so one executor owns a stack's readiness.
    pub fn turn<S, X>(&mut self, now: Instant, net: &mut S, shared: &mut X) -> Option<Instant>
    where
        S: Stack,
        T: Task<S, X, Output = O, Error = E>,
        C::Callback: Callback<O, E, X>,
    {
        self.counts.turns = self.counts.turns.wrapping_add(1);
        self.counts.expiries = self.counts.expiries.wrapping_add(self.pool.expire(now));
        if self.pool.any_called() {
            self.pool.call_back(shared);
        }
        // Two polls for each live task and a few for new ones: enough to go on after a wake-up by a sibling, and
        // little enough that the network gets its turn.
        let budget = 2 * self.pool.live() as u32 + 8;
        let mut polls = 0;
        let mut ended = false;
        while !ended {
            while let Some(token) = net.next_ready() {
                self.wake(token);
            }
            if polls == budget && self.pool.any_ready() {
                trace!("turn cut short after {} polls", polls);
                self.counts.cut_short = self.counts.cut_short.wrapping_add(1);
                ended = true;
                break;
            }
            let pick = net.pick(|| self.pool.ready_up_to(PICKS_MAX));
            if pick > 0 {
                self.pool.prefer_ready(pick);
            }
            let Some((index, task)) = self.pool.pop_ready() else { break };
            polls += 1;
            let mut cx = Context::new(now, net, shared, Token(index));
            let result = task.poll(&mut cx);
            let waits = cx.into_waits();
            match result {
                Err(nb::Error::WouldBlock) => match waits.deadline {
                    None if waits.named => {}
                    None => self.pool.set_deadline(index, now + TICK),
                    Some(deadline) if deadline <= now => self.pool.wake(index),
                    Some(deadline) => self.pool.set_deadline(index, deadline),
                },
                Ok(output) => self.pool.complete(index, Ok(output)),
                Err(nb::Error::Other(error)) => self.pool.complete(index, Err(error)),
            }
            if waits.wake_all {
                self.wake_all();
            }
            for &token in &waits.woken {
                self.wake(token);
            }
            if self.pool.any_called() {
                self.pool.call_back(shared);
            }
            ended = waits.end_turn;
        }
        self.counts.polls = self.counts.polls.wrapping_add(polls);
        if ended { Some(now) } else { self.pool.first_deadline() }
    }

    /// Turns and waits, over and over, until no task lives.
    ///
    /// # Errors
    /// Those of [`World::wait`].
    pub fn run<W, X>(&mut self, world: &mut W, shared: &mut X) -> Result<(), W::Error>
    where
        W: World,
        T: Task<W::Net, X, Output = O, Error = E>,
        C::Callback: Callback<O, E, X>,
    {
        loop {
            world.wake(self);
            let now = world.now();
            let next = self.turn(now, world.net(), shared);
            if self.pool.live() == 0 {
                return Ok(());
            }
            world.wait(next)?;
        }
    }
}

/// Wakes a task from outside, between two turns. O(1).
impl<T, B, O, E, C> Wake for Executor<T, B, O, E, C>
where
    B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
    C: Callbacks,
{
    fn wake(&mut self, Token(index): Token) {
        self.counts.wakes = self.counts.wakes.wrapping_add(1);
        self.pool.wake(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NoNetwork;
    use crate::pool::{Failure, SubmitError, TaskId};
    use crate::time::EPOCH;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Waits for each deadline in turn, then yields how often it was polled.
    struct Steps {
        deadlines: Vec<u64>,
        polls: u32,
    }

    impl Task<NoNetwork, Vec<u64>> for Steps {
        type Output = u32;
        type Error = u64;

        fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Vec<u64>>) -> nb::Result<u32, u64> {
            self.polls += 1;
            while let Some(&at) = self.deadlines.first() {
                if cx.now.as_ticks() < at {
                    cx.wait_until(Instant::from_ticks(at));
                    return Err(nb::Error::WouldBlock);
                }
                cx.shared.push(at);
                self.deadlines.remove(0);
            }
            if self.polls == 1 { Err(nb::Error::Other(7)) } else { Ok(self.polls) }
        }
    }

    fn executor<const N: usize>() -> Executor<Steps, [Slot<Steps, u32, u64>; N], u32, u64> {
        Executor::new([const { Slot::EMPTY }; N])
    }

    fn steps(deadlines: &[u64]) -> Steps {
        Steps { deadlines: deadlines.to_vec(), polls: 0 }
    }

    #[test]
    fn a_task_is_polled_only_when_its_deadline_has_come() {
        let mut executor = executor::<2>();
        let mut log = Vec::new();
        let id = executor.pool.submit(steps(&[10, 20])).unwrap();
        let mut now = EPOCH;
        while let Some(next) = executor.turn(now, &mut NoNetwork, &mut log) {
            assert!(next > now);
            now = next;
        }
        assert_eq!(log, [10, 20]);
        assert_eq!(executor.pool.result(id), Ok(3));
    }

    #[test]
    fn a_full_pool_hands_the_task_back_and_a_freed_slot_takes_another() {
        let mut executor = executor::<1>();
        let mut log = Vec::new();
        let first = executor.pool.submit(steps(&[])).unwrap();
        let Err(SubmitError::Full(back)) = executor.pool.submit(steps(&[5])) else { panic!("took more than it holds") };
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut log), None);
        assert!(executor.pool.submit(steps(&[])).is_err(), "the result still holds the slot");
        assert_eq!(executor.pool.result(first), Err(nb::Error::Other(Failure::Failed(7))));
        let second = executor.pool.submit(back).unwrap();
        assert_eq!(executor.pool.result(first), Err(nb::Error::Other(Failure::Stale)));
        assert!(executor.pool.abort(second));
        assert_eq!(executor.pool.result(second), Err(nb::Error::Other(Failure::Cancelled)));
    }

    #[test]
    fn a_detached_task_frees_its_slot_by_itself_even_when_aborted_while_ready() {
        let mut executor = executor::<1>();
        let mut log = Vec::new();
        let id = executor.pool.spawn(steps(&[])).unwrap();
        assert!(executor.pool.abort(id));
        executor.turn(EPOCH, &mut NoNetwork, &mut log);
        assert!(executor.pool.has_room());
        executor.pool.spawn(steps(&[])).unwrap();
        executor.turn(EPOCH, &mut NoNetwork, &mut log);
        assert!(executor.pool.has_room());
        assert_eq!(executor.pool.live(), 0);
    }

    #[test]
    fn a_task_that_names_nothing_is_polled_on_the_next_tick() {
        struct Shy(u8);
        impl Task<NoNetwork> for Shy {
            type Output = ();
            type Error = ();
            fn poll(&mut self, _: &mut Context<'_, NoNetwork>) -> nb::Result<(), ()> {
                self.0 += 1;
                if self.0 == 2 { Ok(()) } else { Err(nb::Error::WouldBlock) }
            }
        }
        let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
        let id = executor.pool.submit(Shy(0)).unwrap();
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), Some(EPOCH + TICK));
        executor.turn(EPOCH + TICK, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.result(id), Ok(()));
    }

    #[test]
    fn a_task_that_is_always_ready_leaves_the_turn_to_others() {
        struct Greedy;
        impl Task<NoNetwork> for Greedy {
            type Output = ();
            type Error = ();
            fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<(), ()> {
                cx.wait_until(cx.now);
                Err(nb::Error::WouldBlock)
            }
        }
        let mut executor = Executor::new([const { Slot::EMPTY }; 3]);
        executor.pool.spawn(Greedy).unwrap();
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), Some(EPOCH));
    }

    #[test]
    fn a_task_may_end_the_turn_and_the_next_one_goes_on_where_it_ended() {
        struct Step(u8);
        impl Task<NoNetwork, Vec<u8>> for Step {
            type Output = ();
            type Error = ();
            fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Vec<u8>>) -> nb::Result<(), ()> {
                cx.shared.push(self.0);
                cx.wait_until(cx.now);
                cx.end_turn();
                Err(nb::Error::WouldBlock)
            }
        }
        let mut executor = Executor::new([const { Slot::EMPTY }; 3]);
        for name in 0..3 {
            executor.pool.spawn(Step(name)).unwrap();
        }
        let mut log = Vec::new();
        for _ in 0..7 {
            assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut log), Some(EPOCH));
        }
        assert_eq!(log, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_task_wakes_its_siblings_by_name_however_many() {
        /// The first wakes all others, each of which waits for nothing else.
        struct Ring(bool);
        impl Task<NoNetwork, Vec<Token>> for Ring {
            type Output = ();
            type Error = ();
            fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Vec<Token>>) -> nb::Result<(), ()> {
                if self.0 {
                    return Ok(());
                }
                if cx.now > EPOCH {
                    for token in cx.shared.clone() {
                        cx.wake(token);
                        cx.wake(token);
                    }
                    return Ok(());
                }
                self.0 = !cx.shared.is_empty();
                let token = cx.token();
                cx.shared.push(token);
                if self.0 {
                    cx.wait_for_wake();
                } else {
                    cx.wait_until(EPOCH + TICK);
                }
                Err(nb::Error::WouldBlock)
            }
        }
        for siblings in 1..8 {
            let mut executor = Executor::new([const { Slot::EMPTY }; 8]);
            for _ in 0..=siblings {
                executor.pool.spawn(Ring(false)).unwrap();
            }
            let mut tokens = Vec::new();
            assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut tokens), Some(EPOCH + TICK));
            assert_eq!(executor.pool.live(), siblings + 1);
            assert_eq!(executor.turn(EPOCH + TICK, &mut NoNetwork, &mut tokens), None);
            assert_eq!(executor.pool.live(), 0, "{siblings}");
        }
    }

    /// Time passes only while one waits; two interrupts come meanwhile.
    struct Lab {
        now: Instant,
        net: NoNetwork,
        flags: crate::wake::WakeFlags<1>,
        interrupts: Vec<(u64, u32)>,
    }

    impl Clock for Lab {
        fn now(&self) -> Instant {
            self.now
        }
    }

    impl World for Lab {
        type Net = NoNetwork;
        type Error = &'static str;

        fn net(&mut self) -> &mut NoNetwork {
            &mut self.net
        }

        fn wake(&mut self, tasks: &mut impl Wake) {
            self.flags.wake(tasks);
        }

        fn wait(&mut self, until: Option<Instant>) -> Result<(), &'static str> {
            let interrupt = self.interrupts.first().copied();
            let until = until.map(|until| until.max(self.now));
            match (interrupt, until) {
                (Some((at, token)), until) if until.is_none_or(|until| Instant::from_ticks(at) < until) => {
                    self.interrupts.remove(0);
                    self.now = Instant::from_ticks(at);
                    self.flags.flag(Token(token)).unwrap().set();
                }
                (_, Some(until)) => self.now = until,
                (_, None) => return Err("would sleep for ever"),
            }
            Ok(())
        }
    }

    #[test]
    fn a_world_runs_until_no_task_lives_and_its_interrupts_wake_them() {
        /// Done when it was woken at this time.
        struct Until(u64);
        impl Task<NoNetwork, Vec<u64>> for Until {
            type Output = ();
            type Error = ();
            fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Vec<u64>>) -> nb::Result<(), ()> {
                cx.shared.push(cx.now.as_ticks());
                if cx.now.as_ticks() == self.0 {
                    return Ok(());
                }
                cx.wait_for_wake();
                Err(nb::Error::WouldBlock)
            }
        }
        let mut world = Lab {
            now: EPOCH,
            net: NoNetwork,
            flags: crate::wake::WakeFlags::new(),
            interrupts: std::vec![(5, 1), (7, 0), (9, 7)],
        };
        let mut executor = Executor::new([const { Slot::EMPTY }; 3]);
        for time in [7, 5] {
            executor.pool.spawn(Until(time)).unwrap();
        }
        let mut polled = Vec::new();
        assert_eq!(executor.run(&mut world, &mut polled), Ok(()));
        assert_eq!(polled, [0, 0, 5, 7]);
        executor.pool.spawn(Until(u64::MAX)).unwrap();
        assert_eq!(executor.run(&mut world, &mut polled), Err("would sleep for ever"));
    }

    #[test]
    fn a_task_is_woken_from_outside() {
        let mut executor = executor::<1>();
        let mut log = Vec::new();
        let id = executor.pool.submit(steps(&[10])).unwrap();
        executor.turn(EPOCH, &mut NoNetwork, &mut log);
        executor.wake(Token(0));
        executor.wake(Token(1));
        executor.turn(EPOCH, &mut NoNetwork, &mut log);
        executor.turn(Instant::from_ticks(10), &mut NoNetwork, &mut log);
        assert_eq!(executor.pool.result(id), Ok(3));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Submit(Vec<u64>),
        Abort(usize),
        Take(usize),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            proptest::collection::vec(0..200u64, 0..4).prop_map(|mut deadlines| {
                deadlines.sort_unstable();
                Op::Submit(deadlines)
            }),
            (0..32usize).prop_map(Op::Abort),
            (0..32usize).prop_map(Op::Take),
            (0..40u64).prop_map(Op::Advance),
        ]
    }

    proptest! {
        /// The model: a plain list of (id, deadlines left, fate). Deadlines come due in order, none early, none lost.
        #[test]
        fn pool_and_executor_agree_with_a_list(ops in proptest::collection::vec(op(), 1..80)) {
            const N: usize = 5;
            struct Model { id: TaskId, last: u64, fate: Option<Result<(), Failure<()>>> }
            let mut executor = executor::<N>();
            let mut now = EPOCH;
            let mut log = Vec::new();
            let mut model: Vec<Model> = Vec::new();
            let mut taken: Vec<TaskId> = Vec::new();
            for op in ops {
                match op {
                    Op::Submit(deadlines) => {
                        let last = deadlines.last().copied().unwrap_or(0);
                        let submitted = executor.pool.submit(steps(&deadlines));
                        prop_assert_eq!(submitted.is_ok(), model.len() < N);
                        model.extend(submitted.ok().map(|id| Model { id, last, fate: None }));
                    }
                    Op::Abort(i) if !model.is_empty() => {
                        let i = i % model.len();
                        let entry = &mut model[i];
                        let live = entry.fate.is_none();
                        prop_assert_eq!(executor.pool.abort(entry.id), live);
                        if live { entry.fate = Some(Err(Failure::Cancelled)); }
                    }
                    Op::Take(i) if !model.is_empty() => {
                        let i = i % model.len();
                        let result = executor.pool.result(model[i].id);
                        match model[i].fate {
                            None => prop_assert_eq!(result, Err(nb::Error::WouldBlock)),
                            Some(Ok(())) => {
                                prop_assert!(matches!(result, Ok(_) | Err(nb::Error::Other(Failure::Failed(7)))));
                            }
                            Some(Err(_)) => prop_assert_eq!(result, Err(nb::Error::Other(Failure::Cancelled))),
                        }
                        if model[i].fate.is_some() { taken.push(model.remove(i).id); }
                    }
                    Op::Advance(by) => {
                        let end = now + Duration::from_micros(by);
                        loop {
                            let next = executor.turn(now, &mut NoNetwork, &mut log);
                            match next {
                                Some(next) if next <= end => { prop_assert!(next > now); now = next; }
                                _ => break,
                            }
                        }
                        now = end;
                        executor.turn(now, &mut NoNetwork, &mut log);
                        for entry in &mut model {
                            if entry.fate.is_none() && entry.last <= now.as_ticks() { entry.fate = Some(Ok(())); }
                        }
                        let live = model.iter().filter(|entry| entry.fate.is_none()).count();
                        prop_assert_eq!(executor.pool.live(), live);
                    }
                    _ => {}
                }
                for &id in &taken {
                    prop_assert_eq!(executor.pool.result(id), Err(nb::Error::Other(Failure::Stale)));
                }
            }
        }
    }
}
