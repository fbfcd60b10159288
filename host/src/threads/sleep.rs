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
