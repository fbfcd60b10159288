//! Queues of fixed capacity between tasks, between cores, and from an interrupt, in the words of Python's `queue`.
//!
//! | | for | who waits is named by | from an interrupt |
//! |---|---|---|---|
//! | [`Queue`] | tasks of one executor | its token | no |
//! | [`Shared`] | cores, threads, executors; many producers, many consumers | a waker | only what does not wait |
//! | [`FromInterrupt`] | one interrupt (thread, core) and one task | the task's wake flag | to put: yes |
//!
//! What comes out first says the [`Order`] that a `Queue` or `Shared` is made with: [`Fifo`], [`Lifo`] or [`Priority`].
//! None of them ever grows: a full queue hands the item back, or keeps whoever puts waiting.
//!
//! **Waiting.** `put`, `get` and `join` answer `WouldBlock` and remember who asked; the operation that makes it possible to
//! go on wakes exactly as many as can, first come, first served. Nobody polls. A waiting `put` takes the item out of the
//! caller's `Option` only when it has put it, for `WouldBlock` can carry nothing.
//!
//! **Done.** Each item that is put counts as unfinished until somebody calls `task_done` for it; `join` waits until none
//! is. **Shut down**, a queue takes nothing more, and gives what it has; immediately, it drops that.
//!
//! A producer and a consumer over a queue for a single item:
//!
//! ```
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::pool::Slot;
//! use tidemill_core::queue::{Fifo, Queue, ShutDown};
//! use tidemill_core::task::{Context, Task};
//! use tidemill_core::time::EPOCH;
//!
//! /// What the tasks share.
//! struct Shop {
//!     counter: Queue<Fifo<u32, 1>>,
//!     sold: Vec<u32>,
//! }
//!
//! /// The baker puts loaf after loaf; the customer takes them until there will be none.
//! enum Worker {
//!     Baker { loaves: core::ops::Range<u32>, loaf: Option<u32> },
//!     Customer,
//! }
//!
//! impl Task<NoNetwork, Shop> for Worker {
//!     type Output = ();
//!     type Error = ShutDown;
//!
//!     fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Shop>) -> nb::Result<(), ShutDown> {
//!         match self {
//!             Self::Baker { loaves, loaf } => loop {
//!                 cx.shared.counter.put(loaf, &mut cx.me)?;
//!                 *loaf = loaves.next();
//!                 if loaf.is_none() {
//!                     cx.shared.counter.shutdown(false, &mut cx.me);
//!                     return Ok(());
//!                 }
//!             },
//!             Self::Customer => loop {
//!                 let loaf = cx.shared.counter.get(&mut cx.me)?;
//!                 cx.shared.sold.push(loaf);
//!             },
//!         }
//!     }
//! }
//!
//! let mut shop = Shop { counter: Queue::new(Fifo::new()), sold: Vec::new() };
//! let mut executor = Executor::new([const { Slot::EMPTY }; 2]);
//! executor.pool.spawn(Worker::Customer).unwrap();
//! executor.pool.spawn(Worker::Baker { loaves: 1..5, loaf: None }).unwrap();
//! assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut shop), None);
//! assert_eq!(shop.sold, [1, 2, 3, 4]);
//! assert_eq!(executor.pool.live(), 0);
//! ```

mod error;
mod interrupt;
mod local;
mod order;
mod shared;
mod state;
#[cfg(all(test, not(loom)))]
mod tests;
mod waiters;

pub use error::{GetError, PutError, ShutDown, TooManyDone};
pub use interrupt::{Consumer, FromInterrupt, Producer};
pub use local::Queue;
pub use order::{Fifo, Lifo, Order, Prioritized, Priority};
pub use shared::Shared;
