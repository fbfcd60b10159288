//! A queue between many processes: Python's `multiprocessing.Queue` and `JoinableQueue`, without a feeder thread.
//!
//! Items lie in a ring in shared memory. Who puts holds one lock, who gets another:
//!
//! | step | a putter | a getter |
//! |---|---|---|
//! | 1 | takes the putters' lock | takes the getters' lock |
//! | 2 | writes the item beyond `head` | copies the item at `tail` |
//! | 3 | stores the new `head` | stores the new `tail` |
//! | 4 | gives the lock back, wakes a getter if one sleeps | gives the lock back, wakes a putter if one sleeps |
//!
//! # Whoever is killed, wherever
//! `head` and `tail` are one word each, place and number of items together, and only who holds the lock stores it. So what
//! the queue holds changes in step 3 alone, by one store. A putter killed before it has put nothing: what it wrote lies beyond `head`,
//! where the next putter writes. A getter killed before it has taken nothing: the item stays, and is the next getter's. After it the
//! item is in the queue, or was taken by the killed. Nothing is ever to be undone.
//!
//! Locks are [`Robust`]: the kernel gives them to the next. A wake-up that was not sent, since its sender died in step 4, is made
//! up for when the sleeper looks by itself, within a tenth of a second ([`Sleepers`]). How many tasks are unfinished follows from two words
//! that only grow, what was put and what was done.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::futex::{deadline, is_over, rouse, sleep};
use super::region::{Apart, Head, Segment};
use super::robust::{Again, Robust};
use super::sleepers::Sleepers;
use super::{Error, travel};

/// How many bytes there are for items, unless said otherwise. Memory is only taken for what is in use at a time or was.
const CAPACITY: usize = 4 << 20;

#[repr(C)]
struct State {
    putters: Apart<Robust>,
    getters: Apart<Robust>,
    /// Where the next item goes, in units of eight bytes, and how many were put: 32 bits each, both wrap.
    head: Apart<AtomicU64>,
    /// Where the next item is, and how many were taken.
    tail: Apart<AtomicU64>,
    items: Apart<Sleepers>,
    room: Apart<Sleepers>,
    /// How many tasks were done.
    done: Apart<AtomicU32>,
    joining: AtomicU32,
    maxsize: AtomicU32,
    shut: AtomicU32,
}

// SAFETY: atomics and robust locks, in the order and at the places they are written in.
#[expect(unsafe_code, reason = "promises what the trait says")]
unsafe impl Head for State {
    const KIND: u64 = u64::from_le_bytes(*b"tidequeu");
}

/// Place and count, as one word.
#[derive(Clone, Copy)]
struct Mark {
    place: u32,
    count: u32,
}

impl Mark {
    fn of(word: u64) -> Self {
        Self { place: word as u32, count: (word >> 32) as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.place) | u64::from(self.count) << 32
    }

    /// Behind an item of so many bytes.
    fn after(self, len: usize) -> Self {
        Self { place: self.place.wrapping_add(units(len)), count: self.count.wrapping_add(1) }
    }
}

/// What an item takes, in units of eight bytes.
fn units(len: usize) -> u32 {
    1 + len.div_ceil(8) as u32
}

/// How long to wait for a lock, whose holder has only to copy an item, but may have been stopped.
fn patience(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| deadline.max(Instant::now() + Duration::from_secs(1)))
}

thread_local! {
    /// What an item is encoded in, or copied to.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory for items that a thread keeps from one to the next.
const SCRATCH_MAX: usize = 1 << 20;

fn with_scratch<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut scratch = SCRATCH.take();
    let result = work(&mut scratch);
    if scratch.capacity() <= SCRATCH_MAX {
        SCRATCH.set(scratch);
    }
    result
}

/// A queue of values between processes. `Clone` is another handle to the same queue; so is what a
/// [`Process`](crate::process::Process) gets as an argument, or another process through a [pipe](super::pipe). When
/// [`put`](Self::put) has returned, the item is in the queue, whatever becomes of who put it. Each item is got once; those of one
/// producer in the order in which it put them.
///
/// ```
/// use tidemill_host::ipc::Queue;
/// use tidemill_host::process::Process;
///
/// fn double((from, to): (Queue<u64>, Queue<u64>)) -> Result<(), tidemill_host::ipc::Error> {
///     to.put(&(2 * from.get()?))
/// }
/// tidemill_host::register!(double);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (work, results) = (Queue::new(8)?, Queue::new(8)?);
/// let child = Process::new(double, (work.clone(), results.clone())).start()?;
/// work.put(&21)?;
/// assert_eq!(results.get()?, 42);
/// child.result()??;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "JoinableQueue")]
pub struct Queue<T> {
    state: Segment<State>,
    /// How many units of eight bytes there are.
    units: u32,
    items: PhantomData<fn(T) -> T>,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("qsize", &self.qsize()).field("maxsize", &self.maxsize()).finish_non_exhaustive()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), units: self.units, items: PhantomData }
    }
}

impl<T> Queue<T> {
    /// A queue of up to `maxsize` items, which together, encoded and with 8 to 15 bytes more for each, take up to 4 MiB.
    ///
    /// # Errors
    /// [`Error::Config`]: `maxsize` is 0 or above 2^31; [`Error::Os`]: no descriptor or memory is left.
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        Self::with_capacity(maxsize, CAPACITY)
    }

    /// As [`new`](Self::new), with room for so many bytes, rounded up to a power of two, of at most 16 GiB.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_capacity(maxsize: usize, bytes: usize) -> Result<Self, Error> {
        let max = u32::try_from(maxsize).ok().filter(|max| (1..=1 << 31).contains(max)).ok_or(Error::Config)?;
        let bytes =
            bytes.max(64).checked_next_power_of_two().filter(|&bytes| bytes <= 16 << 30).ok_or(Error::Config)?;
        let state = Segment::<State>::new(bytes)?;
        state.putters.init(Again::Refused)?;
        state.getters.init(Again::Refused)?;
        state.maxsize.store(max, Ordering::Release);
        Self::of(state)
    }

    fn of(state: Segment<State>) -> Result<Self, Error> {
        let units =
            u32::try_from(state.len() / 8).ok().filter(|units| units.is_power_of_two()).ok_or(Error::Damaged)?;
        Ok(Self { state, units, items: PhantomData })
    }

    /// How many items it holds at most.
    pub fn maxsize(&self) -> usize {
        self.state.maxsize.load(Ordering::Relaxed) as usize
    }

    /// How many items it holds, at this moment.
    pub fn qsize(&self) -> usize {
        let tail = Mark::of(self.state.tail.load(Ordering::Acquire));
        let head = Mark::of(self.state.head.load(Ordering::Acquire));
        (head.count.wrapping_sub(tail.count) as usize).min(self.maxsize())
    }

    /// Whether it holds none, at this moment.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether it holds as many items as it may, at this moment. There may also be no room for a long one before that.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.qsize() == self.maxsize()
    }

    fn is_shut(&self) -> bool {
        self.state.shut.load(Ordering::Acquire) != 0
    }

    /// Whether there is room for so many units. To be asked with the putters' lock, or for a guess.
    fn has_room(&self, head: Mark, need: u32) -> bool {
        let tail = Mark::of(self.state.tail.load(Ordering::Acquire));
        let used = head.place.wrapping_sub(tail.place);
        head.count.wrapping_sub(tail.count) < self.state.maxsize.load(Ordering::Relaxed)
            && used.checked_add(need).is_some_and(|used| used <= self.units)
    }

    fn bytes(&self) -> usize {
        self.units as usize * 8
    }

    fn put_bytes(&self, item: &[u8], deadline: Option<Instant>) -> Result<(), Error> {
        if item.len() > self.bytes() - 8 {
            return Err(Error::TooLong(item.len()));
        }
        let need = units(item.len());
        let mut waited = false;
        loop {
            if self.is_shut() {
                return Err(Error::ShutDown);
            }
            let held = self.state.putters.hold(patience(deadline))?.ok_or(Error::Full)?;
            let head = Mark::of(self.state.head.load(Ordering::Relaxed));
            if self.has_room(head, need) && !self.is_shut() {
                let at = u64::from(head.place) * 8;
                self.state.write_ring(0, self.bytes(), at, &(item.len() as u64).to_le_bytes());
                self.state.write_ring(0, self.bytes(), at + 8, item);
                self.state.head.store(head.after(item.len()).word(), Ordering::Release);
                drop(held);
                self.state.items.wake_one();
                if waited {
                    self.state.room.wake_one();
                }
                return Ok(());
            }
            drop(held);
            waited = true;
            if is_over(deadline) {
                return Err(if self.is_shut() { Error::ShutDown } else { Error::Full });
            }
            self.state.room.wait(deadline, || {
                self.has_room(Mark::of(self.state.head.load(Ordering::Acquire)), need) || self.is_shut()
            });
        }
    }

    fn get_bytes(&self, item: &mut Vec<u8>, deadline: Option<Instant>) -> Result<(), Error> {
        let mut waited = false;
        loop {
            let held = self.state.getters.hold(patience(deadline))?.ok_or(Error::Empty)?;
            let tail = Mark::of(self.state.tail.load(Ordering::Relaxed));
            let head = Mark::of(self.state.head.load(Ordering::Acquire));
            if head.count != tail.count {
                let mut len = [0; 8];
                let at = u64::from(tail.place) * 8;
                self.state.read_ring(0, self.bytes(), at, &mut len);
                let len = u64::from_le_bytes(len) as usize;
                if len > self.bytes() - 8 {
                    return Err(Error::Damaged);
                }
                item.resize(len, 0);
                self.state.read_ring(0, self.bytes(), at + 8, item);
                self.state.tail.store(tail.after(len).word(), Ordering::Release);
                drop(held);
                self.state.room.wake_one();
                if waited && head.count.wrapping_sub(tail.count) > 1 {
                    self.state.items.wake_one();
                }
                return Ok(());
            }
            drop(held);
            waited = true;
            if self.is_shut() {
                return Err(Error::ShutDown);
            }
            if is_over(deadline) {
                return Err(Error::Empty);
            }
            self.state.items.wait(deadline, || self.qsize() > 0 || self.is_shut());
        }
    }

    /// How many items were put for which [`task_done`](Self::task_done) was not called.
    fn unfinished(&self) -> u32 {
        let done = self.state.done.load(Ordering::SeqCst);
        Mark::of(self.state.head.load(Ordering::SeqCst)).count.wrapping_sub(done)
    }

    /// Tells that an item that was got has been worked on.
    ///
    /// # Errors
    /// [`Error::TooManyDone`].
    pub fn task_done(&self) -> Result<(), Error> {
        let mut done = self.state.done.load(Ordering::SeqCst);
        loop {
            let unfinished = Mark::of(self.state.head.load(Ordering::SeqCst)).count.wrapping_sub(done);
            // Below zero: another was done between the two loads.
            if unfinished == 0 || unfinished > 1 << 31 {
                return Err(Error::TooManyDone);
            }
            match self.state.done.compare_exchange(done, done.wrapping_add(1), Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if unfinished == 1 && self.state.joining.swap(0, Ordering::SeqCst) != 0 => {
                    rouse(&self.state.done, u32::MAX >> 1);
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(now) => done = now,
            }
        }
    }

    /// Waits until every item that was put has been worked on, up to `timeout` or for ever. What a process got that was killed
    /// before it told will never be.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::ShutDown`] if the queue was shut down at once.
    #[doc(alias = "join")]
    pub fn join_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let deadline = deadline(timeout);
        loop {
            self.state.joining.store(1, Ordering::SeqCst);
            let done = self.state.done.load(Ordering::SeqCst);
            if self.unfinished() == 0 {
                return Ok(());
            }
            if self.state.shut.load(Ordering::Acquire) == IMMEDIATE {
                return Err(Error::ShutDown);
            }
            if is_over(deadline) {
                return Err(Error::TimedOut);
            }
            sleep(&self.state.done, done, deadline);
        }
    }

    /// As [`join_timeout`](Self::join_timeout), for ever.
    ///
    /// # Errors
    /// [`Error::ShutDown`].
    pub fn join(&self) -> Result<(), Error> {
        self.join_timeout(None)
    }

    /// From now on nothing can be put, in any process. What is there can be got, unless `immediate`: then it is dropped, and who
    /// joins is released. Whoever waits is woken.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn shutdown(&self, immediate: bool) -> Result<(), Error> {
        self.state.shut.fetch_max(if immediate { IMMEDIATE } else { DRAINING }, Ordering::SeqCst);
        if immediate {
            // In the locks' order nobody puts after this.
            let putters = self.state.putters.hold(None)?;
            let getters = self.state.getters.hold(None)?;
            let head = self.state.head.load(Ordering::Acquire);
            self.state.tail.store(head, Ordering::Release);
            drop((putters, getters));
        }
        self.state.items.wake_all();
        self.state.room.wake_all();
        rouse(&self.state.done, u32::MAX >> 1);
        Ok(())
    }

    /// Lets go of this handle, as dropping does. That it is not used after does not need to be checked: it does not compile.
    pub fn close(self) {}
}

const DRAINING: u32 = 1;
const IMMEDIATE: u32 = 2;

impl<T: Serialize> Queue<T> {
    fn put_by(&self, item: &T, deadline: Option<Instant>) -> Result<(), Error> {
        with_scratch(|scratch| {
            scratch.clear();
            // Descriptors do not travel among the items: who would hold them meanwhile?
            let (encoded, met) = travel::pack(|| postcard::to_io(item, &mut *scratch).map(drop));
            encoded?;
            if met.is_empty() { self.put_bytes(scratch, deadline) } else { Err(Error::CannotTravel) }
        })
    }

    /// Puts an item. It waits while there is no room.
    ///
    /// # Errors
    /// [`Error::ShutDown`]; [`Error::TooLong`]: there will never be room; [`Error::Value`], [`Error::CannotTravel`].
    pub fn put(&self, item: &T) -> Result<(), Error> {
        self.put_by(item, None)
    }

    /// Puts an item, and waits up to `timeout` for room.
    ///
    /// # Errors
    /// [`Error::Full`], and those of [`put`](Self::put).
    #[doc(alias = "put")]
    pub fn put_timeout(&self, item: &T, timeout: Duration) -> Result<(), Error> {
        self.put_by(item, deadline(Some(timeout)))
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    /// [`Error::Full`], and those of [`put`](Self::put).
    pub fn put_nowait(&self, item: &T) -> Result<(), Error> {
        self.put_timeout(item, Duration::ZERO)
    }
}

impl<T: DeserializeOwned> Queue<T> {
    fn get_by(&self, deadline: Option<Instant>) -> Result<T, Error> {
        with_scratch(|scratch| {
            self.get_bytes(scratch, deadline)?;
            Ok(postcard::from_bytes(scratch)?)
        })
    }

    /// Gets an item. It waits until there is one.
    ///
    /// # Errors
    /// [`Error::ShutDown`], when nothing is left; [`Error::Value`]: somebody put another kind of thing.
    pub fn get(&self) -> Result<T, Error> {
        self.get_by(None)
    }

    /// Gets an item, and waits up to `timeout` for one.
    ///
    /// # Errors
    /// [`Error::Empty`], and those of [`get`](Self::get).
    #[doc(alias = "get")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_by(deadline(Some(timeout)))
    }

    /// Gets an item if there is one now.
    ///
    /// # Errors
    /// [`Error::Empty`], and those of [`get`](Self::get).
    pub fn get_nowait(&self) -> Result<T, Error> {
        self.get_timeout(Duration::ZERO)
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.state.serialize(to)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(Segment::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
