//! The pool's own thread: it starts workers, takes their answers, and learns of their deaths.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use super::super::{Child, Error, Exit, Failure, Process, lock};
use super::Shared;
use super::frame::{self, Inbox, READY};
use super::page::Page;
use super::state::{Task, Worker};
use super::ticket::Ticket;
use super::worker::work;
use crate::socket::wait_for_any;

/// So often in a row may workers die before they are ready; then the pool is broken. What somebody kills may do so more
/// often than what ends by itself.
const STILLBORN_MAX: u32 = 100;
const STILLBORN_BY_ITSELF: u32 = 30;

/// How long a worker that was told to end may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// When no worker could be started, it is tried again after that long.
const START_AGAIN: Duration = Duration::from_millis(100);

/// When there is no slot for a task, though a worker could take it, it is tried again after that long.
const CROWDED: Duration = Duration::from_millis(1);

/// What comes from a worker.
struct Line {
    id: u64,
    child: Child,
    replies: File,
    inbox: Inbox,
}

/// What is done by the thread.
pub(super) struct Driver {
    shared: Arc<Shared>,
    lines: Vec<Line>,
    /// Of workers that were started.
    count: u64,
    stillborn: u32,
    /// When the next may be started.
    next_start: Instant,
    /// Frames that have come, and whom they are for: empty but for a moment, so that they need no memory each time.
    frames: Vec<(u32, Range<usize>)>,
    answered: Vec<Ticket>,
}

/// What there was to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Something, and perhaps there is more.
    More,
    All,
    Nothing,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            lines: Vec::new(),
            count: 0,
            stillborn: 0,
            next_start: Instant::now(),
            frames: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// Until the pool is closed and all is done, or it is terminated.
    pub(super) fn run(mut self) {
        loop {
            let (over, wants, broken) = {
                let mut state = lock(&self.shared.state);
                state.seen();
                state.expire();
                // What a worker left behind that died after the pool broke.
                let broken = state.broken.clone().filter(|_| !state.queue.is_empty());
                (state.is_over(), state.wants_worker(self.shared.plan.workers), broken)
            };
            if let Some(why) = broken {
                self.break_down(&why);
                continue;
            }
            if over {
                break;
            }
            if wants
                && self.next_start <= Instant::now()
                && let Err(error) = self.start_worker()
            {
                // With others there it goes on with fewer.
                self.next_start = Instant::now() + START_AGAIN;
                if self.lines.is_empty() {
                    self.break_down(&format!("no worker can be started: {error}"));
                }
            }
            if self.wait().is_err() {
                self.break_down("the system does not let it wait");
                break;
            }
        }
        self.end();
    }

    /// Waits until something has come, and takes it.
    fn wait(&mut self) -> Result<(), Errno> {
        let (blocked, deadline) = {
            let state = lock(&self.shared.state);
            let blocked: Vec<Arc<File>> = state.workers.iter().filter_map(Worker::blocked_wire).collect();
            let start = state.wants_worker(self.shared.plan.workers).then_some(self.next_start);
            let crowded = state.crowded.then(|| Instant::now() + CROWDED);
            (blocked, state.workers.iter().filter_map(Worker::deadline).chain(start).chain(crowded).min())
        };
        let mut fds = vec![PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN)];
        for line in &self.lines {
            fds.push(PollFd::new(line.replies.as_fd(), PollFlags::POLLIN));
            fds.push(PollFd::new(line.child.sentinel(), PollFlags::POLLIN));
        }
        fds.extend(blocked.iter().map(|wire| PollFd::new(wire.as_fd(), PollFlags::POLLOUT)));
        wait_for_any(&mut fds, deadline)?;
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        drop(fds);
        if ready.first() == Some(&true) {
            let _ = self.shared.wake.read();
        }
        // From the last to the first, as those that have died are taken out.
        for at in (0..self.lines.len()).rev() {
            if ready[2 * at + 2] {
                while self.hear(at) == Heard::More {}
                self.bury(at);
            } else if ready[2 * at + 1] {
                self.hear(at);
            }
        }
        if !blocked.is_empty() {
            lock(&self.shared.state).workers.iter_mut().for_each(Worker::flush);
        }
        Ok(())
    }

    /// Takes what the worker says, and tells who waits for it.
    fn hear(&mut self, at: usize) -> Heard {
        let line = &mut self.lines[at];
        let room = line.inbox.room();
        let all = room.len();
        let heard = match line.replies.read(room) {
            Ok(0) => return Heard::Nothing,
            Ok(count) => {
                line.inbox.filled(count);
                if count == all { Heard::More } else { Heard::All }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Heard::More,
            Err(_) => return Heard::Nothing,
        };
        let mut frames = std::mem::take(&mut self.frames);
        frames.extend(std::iter::from_fn(|| line.inbox.next()));
        let mut failed = None;
        {
            let mut guard = lock(&self.shared.state);
            let state = &mut *guard;
            let Some(worker) = state.workers.iter_mut().find(|worker| worker.id == line.id) else { return heard };
            if !worker.ready && !frames.is_empty() {
                self.stillborn = 0;
                match frames.remove(0) {
                    (READY, _) => worker.ready = true,
                    (what, body) => failed = frame::reply(what, line.inbox.body(body)).err(),
                }
            }
            let tasks = worker.answered(frames.len()).map(|tasks| tasks.map(|task| task.ticket));
            let believed = tasks.map(|tasks| self.answered.extend(tasks)).is_some() && !line.inbox.is_nonsense();
            state.live -= self.answered.len();
            if !believed {
                let _ = worker.child.kill();
            }
            state.spread();
        }
        self.shared.room.notify_all();
        for (ticket, (what, body)) in self.answered.drain(..).zip(frames.drain(..)) {
            ticket.deliver(frame::reply(what, line.inbox.body(body)));
        }
        self.frames = frames;
        if let Some(why) = failed {
            self.break_down(&format!("its initializer failed: {why}"));
        }
        heard
    }

    /// A worker has ended: the task that it was in the middle of fails, those that it had not begun go to others.
    fn bury(&mut self, at: usize) {
        let line = self.lines.swap_remove(at);
        let exit = line.child.join();
        line.child.forget();
        let lost = {
            let mut state = lock(&self.shared.state);
            let Some(at) = state.workers.iter().position(|worker| worker.id == line.id) else { return };
            let worker = state.workers.swap_remove(at);
            if !worker.ready {
                let killed = matches!(exit, Exit::Signal(Signal::SIGKILL) | Exit::Unknown);
                self.stillborn += if killed { 1 } else { STILLBORN_BY_ITSELF };
            }
            let state = &mut *state;
            let lost = worker.bury(&mut state.queue);
            state.live -= usize::from(lost.is_some());
            state.spread();
            lost
        };
        self.shared.room.notify_all();
        if let Some((task, why)) = lost {
            let died =
                || Failure::WorkerDied { exitcode: exit.exitcode(), function: task.name.into(), task: task.number };
            let why = why.unwrap_or_else(died);
            task.ticket.deliver(Err(why));
        }
        if self.stillborn > STILLBORN_MAX {
            self.break_down(&format!("its workers end before they are ready: {exit}"));
        }
    }

    fn start_worker(&mut self) -> Result<(), Error> {
        let plan = &self.shared.plan;
        let (tasks, wire) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (replies, its_replies) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        for ours in [&wire, &replies] {
            fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let (page, memory) = Page::create()?;
        let id = self.count;
        let mut process = Process::new(work, plan.initializer.clone())
            .name(format!("{}-{}", plan.name, id + 1))
            .daemon(true)
            .method(plan.method)
            .forked_by(plan.template.clone())
            .pass(tasks)
            .pass(its_replies)
            .pass(memory);
        for handle in &plan.handles {
            process = process.pass(handle.try_clone()?);
        }
        let child = process.start_child()?;
        self.count += 1;
        self.lines.push(Line { id, child: child.clone(), replies: replies.into(), inbox: Inbox::default() });
        lock(&self.shared.state).workers.push(Worker::new(id, child, page, wire.into(), plan.tasks_max));
        Ok(())
    }

    /// Nothing that waits will be done, and no more is taken.
    fn break_down(&mut self, why: &str) {
        let tasks: Vec<Task> = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            state.broken.get_or_insert_with(|| why.to_owned());
            let tasks: Vec<Task> = state.queue.drain(..).collect();
            state.live -= tasks.len();
            tasks
        };
        self.shared.room.notify_all();
        for task in tasks {
            task.ticket.deliver(Err(Failure::Broken(why.to_owned())));
        }
    }

    /// Ends the workers: those that are through by themselves, all others at once.
    fn end(self) {
        let (tasks, terminated) = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            let tasks = state.give_up();
            state.workers.clear();
            (tasks, state.terminated)
        };
        self.shared.room.notify_all();
        let deadline = Instant::now() + FAREWELL;
        if terminated {
            for line in &self.lines {
                let _ = line.child.kill();
            }
        }
        for line in &self.lines {
            if line.child.join_timeout(deadline.saturating_duration_since(Instant::now())).is_none() {
                let _ = line.child.kill();
                line.child.join();
            }
            line.child.forget();
        }
        for task in tasks {
            match task.ticket {
                // Its future is cancelled by that.
                Ticket::Waiting(entry) => drop(entry),
                begun => begun.deliver(Err(Failure::ShutDown)),
            }
        }
    }
}
