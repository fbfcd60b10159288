//! Who of a pool's workers looks for work, who sleeps, and whom a new task wakes.
//!
//! A worker without work *searches*: it looks into the queues again and again for some microseconds. Then it *sleeps*.
//! Whoever puts work into a queue calls [`recruit`](Sleep::recruit), and at most one more worker is set to it:
//!
//! - somebody searches: nobody is woken, he will find it;
//! - else somebody sleeps: he is woken, as a searcher;
//! - else, if there are fewer workers than there may be: one is started, as a searcher.
//!
//! So a burst of a thousand tasks wakes one worker, not all. He who was the last to search and has found something calls
//! `recruit` in his turn if there is more: workers come one after the other, as long as there is work for them.
//!
//! **Nobody sleeps over work.** The counts are in one word. He who submits puts the task into a queue, *then* reads the
//! word; he who goes to sleep says so in the word, *then* looks into the queues once more (both in the one order of
//! `SeqCst`). So either the first sees that he sleeps, or the second sees the task. If the first sees somebody search,
//! that one has not said yet that he goes to sleep, or found something else, and looks or recruits after that.
//!
//! A worker may *block*: its task waits for another one. It does not count then, and another may take its place; to bound
//! the threads, there are at most `most` of them. Once it goes on there may be one awake too many: he goes to sleep as
//! soon as he has ended his task ([`is_excess`](Sleep::is_excess)).

use super::sync::{AtomicU64, Mutex, Ordering, fence, lock};

/// Counts of sixteen bits in one word.
const SEARCHING: u64 = 1;
const SLEEPING: u64 = 1 << 16;
const ALIVE: u64 = 1 << 32;
const BLOCKED: u64 = 1 << 48;

#[derive(Debug)]
pub(super) struct Sleep {
    word: AtomicU64,
    /// Who sleeps; changed together with the word.
    sleepers: Mutex<Vec<usize>>,
    /// How many may be awake and not blocked.
    max: u64,
    /// How many there may be.
    most: u64,
}

/// Who is to be set to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recruit {
    Nobody,
    /// Wake this one; it counts as searching already.
    Wake(usize),
    /// Start one; it counts as alive and searching already.
    Start,
}

/// How many there are of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counts {
    pub(super) searching: u64,
    pub(super) sleeping: u64,
    pub(super) alive: u64,
    pub(super) blocked: u64,
}

impl Counts {
    fn of(word: u64) -> Self {
        let part = |unit| (word / unit) & 0xFFFF;
        Self { searching: part(SEARCHING), sleeping: part(SLEEPING), alive: part(ALIVE), blocked: part(BLOCKED) }
    }

    fn awake(self) -> u64 {
        self.alive - self.sleeping - self.blocked
    }
}

impl Sleep {
    pub(super) fn new(max: usize, most: usize) -> Self {
        Self {
            word: AtomicU64::new(0),
            sleepers: Mutex::new(Vec::with_capacity(most)),
            max: max as u64,
            most: most as u64,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts::of(self.word.load(Ordering::SeqCst))
    }

    fn wants_one(&self, counts: Counts) -> bool {
        counts.searching == 0 && counts.awake() < self.max && (counts.sleeping > 0 || counts.alive < self.most)
    }

    /// After work was put into a queue: who is to come for it.
    #[inline]
    pub(super) fn recruit(&self) -> Recruit {
        fence(Ordering::SeqCst);
        if self.wants_one(self.counts()) { self.choose() } else { Recruit::Nobody }
    }

    /// Whether a recruit would be a new thread, which is dear.
    pub(super) fn would_start(&self) -> bool {
        let counts = self.counts();
        counts.sleeping == 0 && self.wants_one(counts)
    }

    #[cold]
    fn choose(&self) -> Recruit {
        let mut sleepers = lock(&self.sleepers);
        loop {
            let word = self.word.load(Ordering::SeqCst);
            if !self.wants_one(Counts::of(word)) {
                return Recruit::Nobody;
            }
            let (next, recruit) = match sleepers.last() {
                Some(&seat) => (word - SLEEPING + SEARCHING, Recruit::Wake(seat)),
                None => (word + ALIVE + SEARCHING, Recruit::Start),
            };
            if self.word.compare_exchange(word, next, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                if recruit != Recruit::Start {
                    sleepers.pop();
                }
                return recruit;
            }
        }
    }

    /// A worker found nothing at first sight.
    pub(super) fn start_search(&self) {
        self.word.fetch_add(SEARCHING, Ordering::SeqCst);
    }

    /// A searcher found work. True: nobody else searches, so that he is to recruit if there is more.
    pub(super) fn end_search(&self) -> bool {
        Counts::of(self.word.fetch_sub(SEARCHING, Ordering::SeqCst)).searching == 1
    }

    /// A searcher gives up. He must look into the queues once more, and [`wake_up`](Self::wake_up) if there is something;
    /// else sleep until he is woken.
    pub(super) fn fall_asleep(&self, seat: usize) {
        let mut sleepers = lock(&self.sleepers);
        sleepers.push(seat);
        self.word.fetch_add(SLEEPING - SEARCHING, Ordering::SeqCst);
        drop(sleepers);
        fence(Ordering::SeqCst);
    }

    /// He who has fallen asleep searches again. False: somebody has woken him already, that is, is about to.
    pub(super) fn wake_up(&self, seat: usize) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == seat) else { return false };
        sleepers.swap_remove(at);
        self.word.fetch_sub(SLEEPING - SEARCHING, Ordering::SeqCst);
        true
    }

    /// All who sleep are to be woken, and search.
    pub(super) fn wake_all(&self) -> Vec<usize> {
        let mut sleepers = lock(&self.sleepers);
        self.word.fetch_sub((SLEEPING - SEARCHING) * sleepers.len() as u64, Ordering::SeqCst);
        std::mem::take(&mut *sleepers)
    }

    /// A worker's task waits for another. He who blocks is to recruit if there is work.
    pub(super) fn block(&self) {
        self.word.fetch_add(BLOCKED, Ordering::SeqCst);
    }

    pub(super) fn unblock(&self) {
        self.word.fetch_sub(BLOCKED, Ordering::SeqCst);
    }

    /// Whether there is another, or may be, to take the place of one who blocks.
    pub(super) fn has_spare(&self) -> bool {
        let counts = self.counts();
        counts.sleeping > 0 || counts.alive < self.most
    }

    /// Whether more are awake than may be.
    pub(super) fn is_excess(&self) -> bool {
        self.counts().awake() > self.max
    }

    /// Whether one more may be awake.
    pub(super) fn has_place(&self) -> bool {
        self.counts().awake() < self.max
    }

    /// A searcher ends.
    pub(super) fn exit(&self) {
        self.word.fetch_sub(ALIVE + SEARCHING, Ordering::SeqCst);
    }
}

/// Workers as in `worker`, over a queue that is only a number, and the shutdown of `room`: if anybody slept over work, or
/// over the end, all threads of the model would wait, and loom would say so.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::threads::room::Room;
    use crate::threads::sync::{Arc, AtomicUsize, Condvar};
    use loom::thread;

    struct Model {
        sleep: Sleep,
        room: Room,
        queue: AtomicUsize,
        taken: AtomicU64,
        woken: [(Mutex<bool>, Condvar); 2],
    }

    impl Model {
        fn new(workers: usize) -> Arc<Self> {
            Arc::new(Self {
                sleep: Sleep::new(workers, workers),
                room: Room::new(8),
                queue: AtomicUsize::new(0),
                taken: AtomicU64::new(0),
                woken: std::array::from_fn(|_| (Mutex::new(false), Condvar::new())),
            })
        }

        fn taken(&self) -> u64 {
            self.taken.load(Ordering::SeqCst)
        }

        fn take(&self) -> bool {
            let took =
                self.queue.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok();
            if took {
                self.taken.fetch_add(1, Ordering::SeqCst);
            }
            took
        }

        fn has_work(&self) -> bool {
            self.queue.load(Ordering::SeqCst) > 0
        }

        fn wake(&self, seat: usize) {
            *lock(&self.woken[seat].0) = true;
            self.woken[seat].1.notify_one();
        }

        fn recruit(&self) {
            match self.sleep.recruit() {
                Recruit::Nobody => {}
                Recruit::Wake(seat) => self.wake(seat),
                // All were started. Only when all was taken and one has ended, he is replaced by one who ends, too.
                Recruit::Start => {
                    assert!(!self.has_work());
                    self.sleep.exit();
                }
            }
        }

        /// As the loops of `worker`, where a search is one look.
        fn work(&self, seat: usize) {
            loop {
                if self.take() {
                    if self.sleep.end_search() && self.has_work() {
                        self.recruit();
                    }
                    while self.take() {}
                    self.sleep.start_search();
                    continue;
                }
                if self.room.is_spent(|| self.taken()) {
                    self.sleep.exit();
                    self.sleep.wake_all().into_iter().for_each(|seat| self.wake(seat));
                    return;
                }
                self.sleep.fall_asleep(seat);
                let awake = (self.sleep.has_place() && self.has_work()) || self.room.is_spent(|| self.taken());
                if awake && self.sleep.wake_up(seat) {
                    continue;
                }
                let mut woken = lock(&self.woken[seat].0);
                while !std::mem::take(&mut *woken) {
                    woken = self.woken[seat].1.wait(woken).unwrap();
                }
            }
        }

        fn start(model: &Arc<Self>, seat: usize) -> thread::JoinHandle<()> {
            // As a recruit that starts counts.
            model.sleep.word.fetch_add(ALIVE + SEARCHING, Ordering::SeqCst);
            let model = model.clone();
            thread::spawn(move || model.work(seat))
        }

        fn submit(&self) {
            if self.room.enter(1, || self.taken()).is_ok() {
                self.queue.fetch_add(1, Ordering::SeqCst);
                self.recruit();
            }
        }

        fn close(&self) {
            self.room.close();
            self.sleep.wake_all().into_iter().for_each(|seat| self.wake(seat));
        }
    }

    /// With so many switches of threads that are not forced.
    fn bounded(switches: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(switches);
        builder.check(model);
    }

    #[test]
    fn loom_a_worker_that_goes_to_sleep_while_a_task_comes_runs_it_and_ends_at_the_shutdown() {
        bounded(3, || {
            let model = Model::new(1);
            let worker = Model::start(&model, 0);
            model.submit();
            model.close();
            worker.join().unwrap();
            assert_eq!(model.taken(), 1);
            assert_eq!(model.sleep.counts(), Counts { searching: 0, sleeping: 0, alive: 0, blocked: 0 });
        });
    }

    #[test]
    fn loom_of_two_workers_and_two_tasks_nobody_sleeps_over_work_or_over_the_end() {
        bounded(2, || {
            let model = Model::new(2);
            let workers = [Model::start(&model, 0), Model::start(&model, 1)];
            model.submit();
            model.submit();
            model.close();
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            assert_eq!(model.taken(), 2);
            assert_eq!(model.sleep.counts(), Counts { searching: 0, sleeping: 0, alive: 0, blocked: 0 });
        });
    }

    #[test]
    fn loom_of_a_submit_and_a_shutdown_what_was_let_in_is_run() {
        bounded(3, || {
            let model = Model::new(1);
            let worker = Model::start(&model, 0);
            let other = model.clone();
            let submitter = thread::spawn(move || other.submit());
            model.close();
            submitter.join().unwrap();
            worker.join().unwrap();
            assert_eq!(model.taken(), model.room.entered());
        });
    }

    #[test]
    fn loom_when_a_worker_blocks_another_takes_its_place() {
        bounded(3, || {
            let model = Model::new(1);
            // One worker is at a task that will wait; the other is the one too many, asleep or about to be.
            model.sleep.word.fetch_add(ALIVE, Ordering::SeqCst);
            let spare = Model::start(&model, 1);
            let other = model.clone();
            let submitter = thread::spawn(move || other.submit());
            model.sleep.block();
            if model.has_work() {
                model.recruit();
            }
            submitter.join().unwrap();
            // It waits until the spare has run the task.
            model.close();
            spare.join().unwrap();
            assert_eq!(model.taken(), 1);
        });
    }
}
