//! From an interrupt to a task: one producer, one consumer, nobody ever waits for the other.

use super::error::{GetError, PutError, ShutDown};
use crate::sync::{AtomicU8, Ordering};
use crate::task::Me;
use crate::time::Instant;
use crate::wake::Flag;
use heapless::spsc;

/// A queue from an interrupt to a task, first in, first out, for `N - 1` items: Python's `SimpleQueue`, which may be put
/// to while it is being put to, but bounded. Nothing is counted as done, for an interrupt cannot `join`.
///
/// [`split`](Self::split) it: the [`Producer`] goes to the interrupt, the [`Consumer`] to the task. It does as well
/// between two threads or cores.
///
/// ```
/// use tidemill_core::executor::Executor;
/// use tidemill_core::net::{NoNetwork, Token};
/// use tidemill_core::pool::Slot;
/// use tidemill_core::queue::{FromInterrupt, ShutDown};
/// use tidemill_core::task::{Context, from_fn};
/// use tidemill_core::time::EPOCH;
/// use tidemill_core::wake::WakeFlags;
///
/// static FLAGS: WakeFlags<1> = WakeFlags::new();
///
/// // On a target: in a `static`, through `static_cell` or `cortex_m::singleton!`.
/// let mut queue = FromInterrupt::<u8, 4>::new();
/// let (mut uart, mut bytes) = queue.split(FLAGS.flag(Token(0)).unwrap());
///
/// // The interrupt: a byte came. It counts what it cannot keep.
/// let mut lost = 0;
/// let mut interrupt = |byte| lost += u32::from(uart.put_nowait(byte).is_err());
///
/// // The task: done at the end of a line.
/// let mut length = 0;
/// let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
/// let line = executor
///     .pool
///     .submit(from_fn(move |cx: &mut Context<'_, NoNetwork>| {
///         while bytes.get(&mut cx.me)? != b'\n' {
///             length += 1;
///         }
///         Ok::<_, nb::Error<ShutDown>>(length)
///     }))
///     .unwrap();
/// executor.turn(EPOCH, &mut NoNetwork, &mut ());
/// for byte in *b"ok\n" {
///     interrupt(byte);
/// }
/// FLAGS.wake(&mut executor);
/// executor.turn(EPOCH, &mut NoNetwork, &mut ());
/// assert_eq!(executor.pool.result(line), Ok(2));
/// assert_eq!(executor.counts().polls, 2);
/// assert_eq!(lost, 0);
/// ```
#[doc(alias = "SimpleQueue")]
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FromInterrupt<T, const N: usize> {
    items: spsc::Queue<T, N>,
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    shut_down: AtomicU8,
}

impl<T, const N: usize> Default for FromInterrupt<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> FromInterrupt<T, N> {
    crate::sync::const_new! {
        /// An empty queue. Interrupts: no, it cannot be there yet.
        pub fn new() -> Self {
            const { assert!(N > 1, "a queue holds at least one item, and there is one place more") };
            Self { items: spsc::Queue::new(), shut_down: AtomicU8::new(0) }
        }
    }

    /// The two ends. `consumer` is the flag of the task that gets: it is set when there is something to get. Interrupts:
    /// no, it needs the whole queue.
    pub fn split<'a>(&'a mut self, consumer: Flag<'a>) -> (Producer<'a, T>, Consumer<'a, T>) {
        let (put, get) = self.items.split();
        let shut_down = &self.shut_down;
        (Producer { items: put, shut_down, consumer }, Consumer { items: get, shut_down, immediate: false })
    }
}

/// The end to put in.
///
/// Interrupts: yes, everything; no lock, and no loop but the one of an atomic operation.
pub struct Producer<'a, T> {
    items: spsc::Producer<'a, T>,
    shut_down: &'a AtomicU8,
    consumer: Flag<'a>,
}

crate::log::format_as_name!(Producer<'a, T>);

impl<T> Producer<'_, T> {
    /// Puts the item if there is room, and has the consumer polled. O(1). Interrupts: yes.
    ///
    /// # Errors
    /// [`PutError::Full`], [`PutError::ShutDown`]; they hand the item back.
    pub fn put_nowait(&mut self, item: T) -> Result<(), PutError<T>> {
        if is_set(self.shut_down) {
            return Err(PutError::ShutDown(item));
        }
        self.items.enqueue(item).map_err(PutError::Full)?;
        // After the item: whom this wakes sees it.
        self.consumer.set();
        Ok(())
    }

    /// Puts nothing any more; the consumer gets what is there, then [`ShutDown`]. O(1). Interrupts: yes.
    pub fn shutdown(&mut self) {
        set(self.shut_down);
        self.consumer.set();
    }

    /// How many items there are; soon there may be fewer. Interrupts: yes.
    pub fn qsize(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none. Interrupts: yes.
    pub fn empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether there is no room; soon there may be some. Interrupts: yes.
    pub fn full(&self) -> bool {
        !self.items.ready()
    }
}

/// The end to get from.
///
/// Interrupts: yes, in one that owns it, everything that does not wait; else it belongs to the task.
pub struct Consumer<'a, T> {
    items: spsc::Consumer<'a, T>,
    shut_down: &'a AtomicU8,
    /// Shut down from this end at once: what comes late is dropped.
    immediate: bool,
}

crate::log::format_as_name!(Consumer<'a, T>);

impl<T> Consumer<'_, T> {
    /// Takes the next item, or waits until there is one. O(1). The wake flags must be those that wake this task, see
    /// [`split`](FromInterrupt::split). Interrupts: no, they cannot wait.
    ///
    /// # Errors
    /// [`ShutDown`], when the queue is empty, too.
    pub fn get(&mut self, me: &mut Me) -> nb::Result<T, ShutDown> {
        self.get_nowait().map_err(|error| {
            if error == GetError::ShutDown {
                return ShutDown.into();
            }
            me.wait_for_wake();
            nb::Error::WouldBlock
        })
    }

    /// As [`get`](Self::get), until `deadline`. Interrupts: no.
    ///
    /// # Errors
    /// [`GetError::Empty`] at the deadline, [`GetError::ShutDown`].
    pub fn get_until(&mut self, now: Instant, deadline: Instant, me: &mut Me) -> nb::Result<T, GetError> {
        self.get_nowait().map_err(|error| {
            if error == GetError::ShutDown || now >= deadline {
                return error.into();
            }
            me.wait_until(deadline);
            nb::Error::WouldBlock
        })
    }

    /// Takes the next item if there is one. O(1). Interrupts: yes, in one that owns this end.
    ///
    /// # Errors
    /// [`GetError::Empty`], [`GetError::ShutDown`].
    pub fn get_nowait(&mut self) -> Result<T, GetError> {
        if self.immediate {
            self.drain();
            return Err(GetError::ShutDown);
        }
        if let Some(item) = self.items.dequeue() {
            return Ok(item);
        }
        if !is_set(self.shut_down) {
            return Err(GetError::Empty);
        }
        // What was put before the shutdown may have come after the first look.
        self.items.dequeue().ok_or(GetError::ShutDown)
    }

    /// Lets the producer put nothing any more. `immediate`: what is there is dropped, O(N). Interrupts: yes, in one that
    /// owns this end.
    pub fn shutdown(&mut self, immediate: bool) {
        set(self.shut_down);
        self.immediate |= immediate;
        if immediate {
            self.drain();
        }
    }

    /// How many items there are; soon there may be more. Interrupts: yes, in one that owns this end.
    pub fn qsize(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none; soon there may be some. Interrupts: yes, in one that owns this end.
    pub fn empty(&self) -> bool {
        !self.items.ready()
    }

    /// Whether there is no room. Interrupts: yes, in one that owns this end.
    pub fn full(&self) -> bool {
        self.items.len() == self.items.capacity()
    }

    fn drain(&mut self) {
        while self.items.dequeue().is_some() {}
    }
}

/// Releases what was put before.
fn set(flag: &AtomicU8) {
    flag.store(1, Ordering::Release);
}

fn is_set(flag: &AtomicU8) -> bool {
    flag.load(Ordering::Acquire) != 0
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::net::Token;
    use crate::task::Wake;
    use crate::wake::WakeFlags;
    use loom::thread;
    use std::boxed::Box;
    use std::vec::Vec;

    struct Woken(bool);

    impl Wake for Woken {
        fn wake(&mut self, _: Token) {
            self.0 = true;
        }
    }

    /// The items' own atomics are not loom's: between two of ours they happen in the order of the program.
    #[test]
    fn loom_a_consumer_that_looks_only_when_woken_gets_all_that_was_put_before_the_shutdown() {
        loom::model(|| {
            let flags: &'static WakeFlags<1> = Box::leak(Box::new(WakeFlags::new()));
            let queue: &'static mut FromInterrupt<u8, 4> = Box::leak(Box::new(FromInterrupt::new()));
            let (mut producer, mut consumer) = queue.split(flags.flag(Token(0)).unwrap());
            let interrupt = thread::spawn(move || {
                producer.put_nowait(1).unwrap();
                producer.put_nowait(2).unwrap();
                producer.shutdown();
            });
            let mut got = Vec::new();
            loop {
                match consumer.get_nowait() {
                    Ok(item) => got.push(item),
                    Err(GetError::ShutDown) => break,
                    Err(_) => {
                        let mut woken = Woken(false);
                        while !woken.0 {
                            flags.wake(&mut woken);
                            thread::yield_now();
                        }
                    }
                }
            }
            assert_eq!(got, [1, 2]);
            interrupt.join().unwrap();
        });
    }
}
