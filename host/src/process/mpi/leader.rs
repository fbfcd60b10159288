//! What the ranks say to each other, and the thread of the leader that speaks for it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ::mpi::topology::{Communicator as _, SimpleCommunicator};
use ::mpi::traits::{Destination as _, Source as _};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::super::pool::frame;
use super::super::pool::worker::answer;
use super::super::{Exit, Failure, lock, pidfd};
use super::{MpiPool, Task};
use crate::socket::wait_for_any;

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

/// Where a pid means the same: this boot of this machine, and in it this space of numbers.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{boot}{}", numbers.display()))
}

/// What a rank does that does not lead.
pub(super) fn serve(world: &SimpleCommunicator) {
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
pub(super) struct Leader<'a> {
    world: &'a SimpleCommunicator,
    pool: &'a MpiPool,
    /// From rank 1 on.
    ranks: Vec<Rank>,
    place: Option<String>,
    pub(super) lost: usize,
    signals: Option<SignalFd>,
}

impl<'a> Leader<'a> {
    pub(super) fn new(world: &'a SimpleCommunicator, pool: &'a MpiPool) -> Self {
        let signals = SigSet::from_iter([Signal::SIGTERM]);
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok();
        let ranks = (0..pool.ranks).map(|_| Rank::default()).collect();
        Self { world, pool, ranks, place: place(), lost: 0, signals }
    }

    /// Until the leader's function has returned and all tasks have ended.
    pub(super) fn drive(&mut self) {
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
