//! Registered functions run by the ranks of an MPI job, on this machine and on others: mpi4py's `MPIPoolExecutor`.
//!
//! `mpirun -n 4` starts the same program four times. Each calls [`run`]; there the rank 0 leads, with an [`MpiPool`] to submit
//! to, and the others serve until it is done. Futures, failures and registered functions are those of
//! [`ProcessPool`](super::ProcessPool).
//!
//! ```no_run
//! use tidemill_host::process::mpi;
//!
//! fn double(x: u64) -> u64 {
//!     2 * x
//! }
//! tidemill_host::register!(double);
//!
//! fn main() -> Result<(), mpi::Error> {
//!     let done = mpi::run(|pool| pool.map(double, 0..1000, 10))?;
//!     // In the ranks that served it is `None`.
//!     if let Some(doubled) = done {
//!         println!("{}", doubled.map_or_else(|why| why.to_string(), |all| all.len().to_string()));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! **A rank that dies** takes an MPI job with it: that is what MPI does unless told otherwise (`mpirun
//! --enable-recovery`). Of a rank on the leader's machine the leader learns before: it fails the rank's task with
//! [`Failure::WorkerDied`], says on standard error which rank died in which task, and goes on with the others for as long
//! as it is let. Such a job ends with exit status 1. Of a rank elsewhere only `mpirun` tells.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ::mpi::environment::Threading;
use ::mpi::topology::{Communicator as _, SimpleCommunicator};
use ::mpi::traits::{Destination as _, Source as _};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::pool::Failure as Ended;

use super::pool::frame::{self, MANY};
use super::pool::map::{arguments, results};
use super::pool::ticket::{self, Ticket};
use super::pool::worker::answer;
use super::pool::{encode, refused};
use super::{Exit, Failure, lock, name_of, pidfd};
use crate::socket::wait_for_any;
use crate::threads::{Exception, Future, SubmitError};

/// How many tasks wait or run at most.
const CAPACITY: usize = 1 << 16;

/// What a message is.
const HELLO: i32 = 1;
const TASK: i32 = 2;
const REPLY: i32 = 3;
const END: i32 = 4;

/// How long the leader looks again and again before it rests between looks, and how long it rests: MPI cannot be waited for
/// together with anything else.
const LOOK: Duration = Duration::from_micros(100);
const REST_MIN: Duration = Duration::from_micros(20);
const REST_MAX: Duration = Duration::from_millis(1);

/// Why there is no job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// MPI was initialized before, by whatever else is in this program.
    Initialized,
    /// There is nobody to serve: start it with `mpirun -n 2`, or more.
    Alone,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialized => "MPI has been initialized before",
            Self::Alone => "there is no other rank: start it with mpirun -n 2, or more",
        })
    }
}

impl std::error::Error for Error {}

/// The ranks that serve, as the leader has them: `MPIPoolExecutor`. See the [module](self).
#[doc(alias = "MPIPoolExecutor")]
#[derive(Debug)]
pub struct MpiPool {
    ranks: usize,
    state: Mutex<State>,
    /// Told when there is a task, or room for one.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    live: usize,
    count: u64,
    /// The leader's function has returned.
    over: bool,
    broken: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("live", &self.live).finish_non_exhaustive()
    }
}

struct Task {
    number: u64,
    name: &'static str,
    frame: Vec<u8>,
    ticket: Ticket,
}

/// Called by every rank of the job, from a program's main thread. The first calls `lead`, in another thread, and returns what
/// that does; the others serve until then, and return `None`.
///
/// # Errors
/// [`Error`].
pub fn run<T: Send>(lead: impl FnOnce(&MpiPool) -> T + Send) -> Result<Option<T>, Error> {
    // mpirun ends a job by SIGTERM. It is kept off, also from the threads that are started below, until it is known why.
    let termination = SigSet::from_iter([Signal::SIGTERM]);
    let _ = termination.thread_block();
    let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled).ok_or(Error::Initialized)?;
    let world = universe.world();
    if world.size() < 2 {
        let _ = termination.thread_unblock();
        return Err(Error::Alone);
    }
    if world.rank() > 0 {
        let _ = termination.thread_unblock();
        serve(&world);
        return Ok(None);
    }
    let pool = MpiPool { ranks: world.size() as usize - 1, state: Mutex::default(), changed: Condvar::new() };
    let mut leader = Leader::new(&world, &pool);
    let done = thread::scope(|scope| {
        let led = scope.spawn(|| {
            // Also if it panics.
            let _over = Over(&pool);
            lead(&pool)
        });
        leader.drive();
        led.join()
    });
    let _ = termination.thread_unblock();
    match done {
        Ok(done) if leader.lost == 0 => Ok(Some(done)),
        // Those that live could not leave in peace: all have to say good-bye.
        Ok(_) => world.abort(1),
        Err(panic) => {
            eprintln!("the leader panicked");
            let _ = panic;
            world.abort(1)
        }
    }
}

struct Over<'a>(&'a MpiPool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).over = true;
        self.0.changed.notify_all();
    }
}

/// Where a pid means the same: this boot of this machine, and in it this space of numbers.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{boot}{}", numbers.display()))
}

/// What a rank does that does not lead.
fn serve(world: &SimpleCommunicator) {
    crate::threads::install_hook();
    let leader = world.process_at_rank(0);
    let hello = postcard::to_allocvec(&(std::process::id() as i32, place())).unwrap_or_default();
    leader.send_with_tag(&hello[..], HELLO);
    let mut said = Vec::new();
    loop {
        let (bytes, status) = leader.receive_vec::<u8>();
        if status.tag() == END {
            return;
        }
        said.clear();
        match frame::next(&mut &bytes[..]) {
            Some((function, body)) => answer(&mut said, function, body),
            None => frame::failure(&mut said, &Failure::Encoding("half a task".into())),
        }
        leader.send_with_tag(&said[..], REPLY);
    }
}

/// A rank that serves, as its leader sees it.
#[derive(Default)]
struct Rank {
    /// Of one on this machine.
    pidfd: Option<OwnedFd>,
    ready: bool,
    dead: bool,
    task: Option<Task>,
}

/// What the thread does that speaks MPI.
struct Leader<'a> {
    world: &'a SimpleCommunicator,
    pool: &'a MpiPool,
    /// From rank 1 on.
    ranks: Vec<Rank>,
    place: Option<String>,
    lost: usize,
    signals: Option<SignalFd>,
}

impl<'a> Leader<'a> {
    fn new(world: &'a SimpleCommunicator, pool: &'a MpiPool) -> Self {
        let signals = SigSet::from_iter([Signal::SIGTERM]);
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok();
        let ranks = (0..pool.ranks).map(|_| Rank::default()).collect();
        Self { world, pool, ranks, place: place(), lost: 0, signals }
    }

    /// Until the leader's function has returned and all tasks have ended.
    fn drive(&mut self) {
        let mut idle_since = Instant::now();
        loop {
            let worked = self.hear() | self.send();
            let mut state = lock(&self.pool.state);
            if state.over && state.live == 0 {
                break;
            }
            if worked {
                idle_since = Instant::now();
            } else if idle_since.elapsed() > LOOK {
                // The longer nothing has come, the longer it rests; a new task wakes it.
                let rest = (idle_since.elapsed() / 16).clamp(REST_MIN, REST_MAX);
                state = self.pool.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
                drop(state);
                self.look_for_dead();
            }
        }
        for (rank, at) in self.ranks.iter().zip(1..) {
            if !rank.dead {
                self.world.process_at_rank(at).send_with_tag(&[0u8; 0][..], END);
            }
        }
    }

    /// Takes what ranks have said. Whether there was anything.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        while let Some(status) = self.world.any_process().immediate_probe() {
            heard = true;
            let from = status.source_rank();
            let (bytes, status) = self.world.process_at_rank(from).receive_vec::<u8>();
            let Some(rank) = usize::try_from(from - 1).ok().and_then(|at| self.ranks.get_mut(at)) else { continue };
            if status.tag() == HELLO {
                rank.ready = true;
                let known = postcard::from_bytes::<(i32, Option<String>)>(&bytes).ok();
                rank.pidfd = known
                    .filter(|(_, place)| place.is_some() && *place == self.place)
                    .and_then(|(pid, _)| pidfd::open(pid).ok());
                continue;
            }
            let Some(task) = rank.task.take() else { continue };
            let reply = match frame::next(&mut &bytes[..]) {
                Some((what, body)) => frame::reply(what, body),
                None => Err(Failure::Encoding("half a reply".into())),
            };
            self.pool.settle(task.ticket, reply);
        }
        heard
    }

    /// Gives tasks to ranks that have none. Whether there were any.
    fn send(&mut self) -> bool {
        let mut sent = false;
        for (rank, at) in self.ranks.iter_mut().zip(1..) {
            if !rank.ready || rank.dead || rank.task.is_some() {
                continue;
            }
            let Some(task) = self.pool.next() else { break };
            self.world.process_at_rank(at).send_with_tag(&task.frame[..], TASK);
            rank.task = Some(task);
            sent = true;
        }
        sent
    }

    /// Learns which ranks have died, and of a job that is being ended.
    fn look_for_dead(&mut self) {
        let ending = self.signals.as_ref().is_some_and(|signals| matches!(signals.read_signal(), Ok(Some(_))));
        // Whoever ends it may have known of a death before it can be seen here.
        let until = Instant::now() + if ending { REST_MAX * 100 } else { Duration::ZERO };
        let mut fds: Vec<PollFd<'_>> = self
            .ranks
            .iter()
            .filter(|rank| !rank.dead)
            .filter_map(|rank| Some(PollFd::new(rank.pidfd.as_ref()?.as_fd(), PollFlags::POLLIN)))
            .collect();
        let dead = matches!(wait_for_any(&mut fds, Some(until)), Ok(true));
        if dead {
            // What it said last comes first.
            self.hear();
            for at in 0..self.ranks.len() {
                self.bury(at);
            }
        }
        if ending {
            eprintln!("the job was terminated");
            self.world.abort(1);
        }
    }

    /// If the rank has died: its task fails, and that is said.
    fn bury(&mut self, at: usize) {
        let rank = &mut self.ranks[at];
        let Some(pidfd) = rank.pidfd.as_ref().filter(|_| !rank.dead) else { return };
        let now = Some(Instant::now());
        if !matches!(wait_for_any(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], now), Ok(true)) {
            return;
        }
        rank.dead = true;
        self.lost += 1;
        match rank.task.take() {
            Some(task) => {
                eprintln!("rank {} died in task {}, {}", at + 1, task.number, task.name);
                let exitcode = Exit::Unknown.exitcode();
                let died = Failure::WorkerDied { exitcode, function: task.name.into(), task: task.number };
                self.pool.settle(task.ticket, Err(died));
            }
            None => eprintln!("rank {} died", at + 1),
        }
        if self.lost == self.ranks.len() {
            self.pool.break_down();
        }
    }
}

impl MpiPool {
    /// How many ranks serve.
    pub fn workers(&self) -> usize {
        self.ranks
    }

    /// Has a rank call the function. What is wrong with function or argument is told by the future.
    ///
    /// # Errors
    /// [`SubmitError`] hands the argument back: 65,536 tasks wait or run, or no rank lives.
    pub fn submit<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<Future<R>, SubmitError<A>> {
        let name = name_of(&function);
        let frame = encode(name, 0, |into| frame::value(into, &argument));
        let (ticket, future) = ticket::future(self.home(), ticket::decode);
        self.push(name, frame, ticket, false).map_err(|why| why.with(|()| argument))?;
        Ok(future)
    }

    /// Calls the function for all items, `chunksize` of them in a task, and waits for all results, in order. An unbalanced
    /// load is balanced by that: a rank gets its next chunk when it is through with one.
    ///
    /// # Errors
    /// The first failure, in the order of the items.
    ///
    /// # Panics
    /// If `chunksize` is zero.
    pub fn map<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        items: impl IntoIterator<Item = A>,
        chunksize: usize,
    ) -> Result<Vec<R>, Ended<Exception>> {
        assert!(chunksize > 0, "a chunk has at least one item");
        let name = name_of(&function);
        let mut items = items.into_iter();
        let mut futures = Vec::new();
        loop {
            let chunk: Vec<A> = items.by_ref().take(chunksize).collect();
            if chunk.is_empty() {
                break;
            }
            let frame = encode(name, MANY, |into| arguments(into, &chunk));
            let (ticket, future) = ticket::future(self.home(), |bytes| Ok(results::<R>(bytes)));
            self.push(name, frame, ticket, true).map_err(refused)?;
            futures.push(future);
        }
        let mut all = Vec::new();
        for future in &mut futures {
            for result in future.result(None)? {
                all.push(result.map_err(|why| Ended::Failed(why.into()))?);
            }
        }
        Ok(all)
    }

    fn home(&self) -> usize {
        (&raw const *self).addr()
    }

    fn push(
        &self,
        name: &'static str,
        frame: Result<Vec<u8>, Failure>,
        ticket: Option<Ticket>,
        waits: bool,
    ) -> Result<(), SubmitError<()>> {
        let Some(ticket) = ticket else { return Ok(()) };
        let frame = match frame {
            Ok(frame) => frame,
            Err(why) => {
                ticket.deliver(Err(why));
                return Ok(());
            }
        };
        let mut state = lock(&self.state);
        while state.live >= CAPACITY && waits && !state.broken {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.broken {
            return Err(SubmitError::Broken((), no_rank().into()));
        }
        if state.live >= CAPACITY {
            return Err(SubmitError::Full(()));
        }
        let number = state.count;
        state.queue.push_back(Task { number, name, frame, ticket });
        state.live += 1;
        state.count += 1;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// The next task, begun.
    fn next(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            let mut task = state.queue.pop_front()?;
            if let Some(begun) = task.ticket.begin() {
                task.ticket = begun;
                return Some(task);
            }
            state.live -= 1;
        }
    }

    fn settle(&self, ticket: Ticket, reply: ticket::Reply<'_>) {
        lock(&self.state).live -= 1;
        self.changed.notify_all();
        ticket.deliver(reply);
    }

    fn break_down(&self) {
        let tasks: Vec<Task> = {
            let mut state = lock(&self.state);
            state.broken = true;
            state.queue.drain(..).collect()
        };
        for task in tasks {
            self.settle(task.ticket, Err(no_rank()));
        }
    }
}

fn no_rank() -> Failure {
    Failure::Broken("no rank lives that could serve".into())
}
