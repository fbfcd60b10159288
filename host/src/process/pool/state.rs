//! What a pool knows: the tasks that wait, and of each worker the tasks on its wire.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Child, Failure};
use super::page::{Page, SLOTS};
use super::ticket::Ticket;

/// How much work a worker has on its wire beside what it does, if tasks are short: what hides the way there and back.
const AHEAD: Duration = Duration::from_millis(1);

/// How many bytes wait for room in a wire before no more tasks are put on it.
const BYTES_AHEAD: usize = 256 << 10;

/// A task.
pub(super) struct Task {
    /// Which of the pool's it is.
    pub(super) number: u64,
    pub(super) name: &'static str,
    /// As it goes over the wire.
    pub(super) frame: Vec<u8>,
    /// How long it may take.
    pub(super) limit: Option<Duration>,
    pub(super) ticket: Ticket,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct State {
    pub(super) queue: VecDeque<Task>,
    pub(super) workers: Vec<Worker>,
    /// How many tasks have been let in and have not ended.
    pub(super) live: usize,
    /// How many there were.
    pub(super) count: u64,
    /// No more are let in.
    pub(super) closed: bool,
    /// What there is is given up.
    pub(super) terminated: bool,
    pub(super) broken: Option<String>,
    /// The driver has been told to look.
    woken: bool,
    /// There is something that it may not know of: a wire that waits for room, or a deadline.
    look: bool,
    /// A worker has yet to pass what was taken back from its wire, before there is a slot for more.
    pub(super) crowded: bool,
}

/// A worker, as its pool sees it.
pub(super) struct Worker {
    pub(super) id: u64,
    pub(super) child: Child,
    page: Page,
    /// `None`: it is to end when it is through.
    wire: Option<Arc<File>>,
    /// What the wire had no room for: from `written` on.
    out: Vec<u8>,
    written: usize,
    /// It has said that it is.
    pub(super) ready: bool,
    /// Sent, with their numbers on this wire; neither answered nor taken back.
    on_wire: VecDeque<(u64, Task)>,
    sent: u64,
    /// How many more it may be given.
    left: u32,
    /// Since when it works on the first on its wire.
    since: Instant,
    /// How long a task takes, about.
    pace: Duration,
    /// It is being killed, for the sake of this task on its wire.
    condemned: Option<(u64, Failure)>,
}

impl Worker {
    pub(super) fn new(id: u64, child: Child, page: Page, wire: File, tasks_max: Option<u32>) -> Self {
        Self {
            id,
            child,
            page,
            wire: Some(Arc::new(wire)),
            out: Vec::new(),
            written: 0,
            ready: false,
            on_wire: VecDeque::new(),
            sent: 0,
            left: tasks_max.unwrap_or(u32::MAX),
            since: Instant::now(),
            pace: AHEAD,
            condemned: None,
        }
    }

    /// Whether it takes tasks.
    fn is_open(&self) -> bool {
        self.ready && self.wire.is_some() && self.left > 0 && self.condemned.is_none()
    }

    /// Whether it takes a task, and would begin it at once.
    fn is_idle(&self) -> bool {
        self.is_open() && self.on_wire.is_empty()
    }

    /// How many more tasks it takes now.
    fn room(&self) -> usize {
        let pace = self.pace.as_nanos().max(1);
        let window = (AHEAD.as_nanos() / pace).clamp(2, SLOTS as u128) as usize;
        if self.is_open() && self.out.len() < BYTES_AHEAD { window.saturating_sub(self.on_wire.len()) } else { 0 }
    }

    /// Puts a task on its wire; hands it back if there is no room.
    fn put(&mut self, task: Task) -> Result<(), Task> {
        if !self.page.send(self.sent) {
            return Err(task);
        }
        if self.on_wire.is_empty() {
            self.since = Instant::now();
        }
        self.out.extend_from_slice(&task.frame);
        self.on_wire.push_back((self.sent, task));
        self.sent += 1;
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    /// Writes what it can.
    pub(super) fn flush(&mut self) {
        let Some(wire) = &self.wire else { return };
        while self.written < self.out.len() {
            match (&**wire).write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It is gone, which its sentinel tells.
                Err(_) => break,
            }
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(BYTES_AHEAD);
    }

    /// Its wire, as long as it waits for room in it.
    pub(super) fn blocked_wire(&self) -> Option<Arc<File>> {
        self.wire.clone().filter(|_| !self.out.is_empty())
    }

    /// It has answered the first `count` tasks on its wire; hands them over. `None`: there are not as many.
    pub(super) fn answered(&mut self, count: usize) -> Option<impl Iterator<Item = Task>> {
        if count > self.on_wire.len() {
            return None;
        }
        let now = Instant::now();
        let each = now.duration_since(self.since) / count.max(1) as u32;
        self.pace = (self.pace * 3 + each) / 4;
        self.since = now;
        Some(self.on_wire.drain(..count).map(|(_, task)| task))
    }

    /// Takes back the last `count` tasks on its wire, or as many of them as it has not begun, to the front of `queue`.
    fn take_back(&mut self, count: usize, queue: &mut VecDeque<Task>) -> usize {
        for taken in 0..count {
            if self.on_wire.back().is_none_or(|&(n, _)| !self.page.revoke(n)) {
                return taken;
            }
            if let Some((_, task)) = self.on_wire.pop_back() {
                queue.push_front(task);
            }
            self.left = self.left.saturating_add(1);
        }
        count
    }

    /// It has died: what was on its wire goes back into the queue, but for the task that it was in the middle of.
    pub(super) fn bury(mut self, queue: &mut VecDeque<Task>) -> Option<(Task, Option<Failure>)> {
        let mut lost = None;
        while let Some((n, task)) = self.on_wire.pop_back() {
            if self.page.is_claimed(n) {
                let why = self.condemned.take().filter(|&(of, _)| of == n).map(|(_, why)| why);
                lost = Some((task, why));
            } else {
                queue.push_front(task);
            }
        }
        lost
    }

    /// When it is to be looked at whether the task it works on takes too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (_, task) = self.on_wire.front().filter(|_| self.condemned.is_none())?;
        self.since.checked_add(task.limit?)
    }

    /// Kills it if it is in the middle of this task, for this reason. Whether it does.
    fn kill_in(&mut self, n: u64, why: Failure, queue: &mut VecDeque<Task>) -> bool {
        // So that it begins no other, which would be lost with it.
        let after = self.on_wire.iter().rev().take_while(|&&(other, _)| other > n).count();
        if self.condemned.is_some() || self.take_back(after, queue) < after || !self.page.is_claimed(n) {
            return false;
        }
        self.condemned = Some((n, why));
        self.child.kill().is_ok()
    }

    /// It gets no more tasks, and ends when it is through.
    fn retire(&mut self) {
        self.wire = None;
    }
}

impl State {
    /// Puts tasks on the wires of workers that have room: first on those that have nothing to do.
    pub(super) fn pump(&mut self) {
        let open = self.workers.iter().filter(|worker| worker.is_open()).count();
        if open == 0 || self.queue.is_empty() {
            return;
        }
        let share = self.queue.len().div_ceil(open);
        for idle in [true, false] {
            for worker in self.workers.iter_mut().filter(|worker| worker.on_wire.is_empty() == idle) {
                let room = worker.room().min(share).min(worker.left as usize);
                for _ in 0..room {
                    let Some(mut task) = self.queue.pop_front() else { break };
                    let Some(begun) = task.ticket.begin() else {
                        self.live -= 1;
                        continue;
                    };
                    task.ticket = begun;
                    if let Err(task) = worker.put(task) {
                        self.queue.push_front(task);
                        (self.crowded, self.look) = (true, true);
                        break;
                    }
                }
                worker.flush();
                self.look |= worker.blocked_wire().is_some() || worker.deadline().is_some();
            }
        }
    }

    /// Whether the driver is to be woken, after a change that it did not make itself.
    pub(super) fn has_news(&mut self, workers_max: usize) -> bool {
        let news = !self.woken && (self.look || self.wants_worker(workers_max));
        self.woken |= news;
        news
    }

    /// The driver looks.
    pub(super) fn seen(&mut self) {
        (self.woken, self.look, self.crowded) = (false, false, false);
    }

    /// After workers have answered, come, or gone: what there is to do is spread among them.
    pub(super) fn spread(&mut self) {
        self.pump();
        while self.queue.is_empty() && self.has_idle() {
            let Some(busy) = self.workers.iter_mut().max_by_key(|worker| worker.on_wire.len()) else { break };
            let half = busy.on_wire.len() / 2;
            if half == 0 || busy.take_back(half, &mut self.queue) == 0 {
                break;
            }
            self.pump();
        }
        let over = self.closed && self.queue.is_empty();
        for worker in self.workers.iter_mut().filter(|worker| worker.ready && worker.on_wire.is_empty()) {
            if over || worker.left == 0 {
                worker.retire();
            }
        }
    }

    /// Whether a worker has nothing to do.
    pub(super) fn has_idle(&self) -> bool {
        self.workers.iter().any(Worker::is_idle)
    }

    /// Whether another worker is to be started.
    pub(super) fn wants_worker(&self, workers_max: usize) -> bool {
        let coming = self.workers.iter().filter(|worker| !worker.ready).count();
        !self.terminated
            && self.broken.is_none()
            && self.workers.len() < workers_max
            && coming < self.queue.len()
            && !self.has_idle()
    }

    /// Whether all is done, and no more will come.
    pub(super) fn is_over(&self) -> bool {
        self.terminated || (self.closed && self.live == 0)
    }

    /// Kills workers whose task takes too long.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            if worker.deadline().is_some_and(|deadline| deadline <= now)
                && let Some(&(n, _)) = worker.on_wire.front()
                && !worker.kill_in(n, Failure::TimedOut, &mut self.queue)
            {
                // It has just ended, or not yet begun.
                worker.since = now;
            }
        }
        self.spread();
    }

    /// Kills the worker that is in the middle of the task of this future: then true; or hands the task over, if it has not
    /// been begun.
    pub(super) fn kill(&mut self, id: usize) -> Result<bool, Task> {
        for worker in &mut self.workers {
            let Some(at) = worker.on_wire.iter().position(|(_, task)| task.ticket.is_of(id)) else { continue };
            let n = worker.on_wire[at].0;
            let from_here = worker.on_wire.len() - at;
            if worker.take_back(from_here, &mut self.queue) < from_here {
                let killed = worker.kill_in(n, Failure::Killed, &mut self.queue);
                self.spread();
                return Ok(killed);
            }
            break;
        }
        let at = self.queue.iter().position(|task| task.ticket.is_of(id));
        match at.and_then(|at| self.queue.remove(at)) {
            Some(task) => {
                self.live -= 1;
                self.spread();
                Err(task)
            }
            None => Ok(false),
        }
    }

    /// Takes all there is.
    pub(super) fn give_up(&mut self) -> Vec<Task> {
        let mut all: Vec<Task> = self.queue.drain(..).collect();
        for worker in &mut self.workers {
            all.extend(worker.on_wire.drain(..).map(|(_, task)| task));
            worker.retire();
        }
        self.live -= all.len();
        all
    }
}
