//! Between processes: pipes, queues, locks and numbers in shared memory, and authenticated connections. Python's
//! `multiprocessing` without its hangs.
//!
//! Everything here can be an argument of a [`Process`](crate::process::Process), whatever its start method, as it is: what it
//! is made of (descriptors) goes along. It can also be sent through a [`pipe`].
//!
//! ```
//! use tidemill_host::ipc::{Connection, Error, pipe};
//! use tidemill_host::process::Process;
//!
//! fn doubles(mut from: Connection) -> Result<(), Error> {
//!     while let Ok(number) = from.recv::<u64>() {
//!         from.send(&(2 * number))?;
//!     }
//!     Ok(())
//! }
//! tidemill_host::register!(doubles);
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut here, there) = pipe(true)?;
//! let child = Process::new(doubles, there).start()?;
//! here.send(&21_u64)?;
//! assert_eq!(here.recv::<u64>()?, 42);
//! here.close();
//! child.result()??;
//! # Ok(())
//! # }
//! ```
//!
//! | Python | here |
//! |---|---|
//! | `Pipe(duplex)` | [`pipe`]: a ring in shared memory, or a socket where there is none |
//! | `Connection`, `connection.wait` | [`Connection`], [`wait`] |
//! | `Queue`, `JoinableQueue` | [`Queue`] |
//! | `Listener`, `Client` | [`Listener`], [`connect`] |
//! | `Lock`, `RLock` | [`Lock::new`], [`Lock::recursive`] |
//! | `Semaphore`, `BoundedSemaphore` | [`Semaphore::new`], [`Semaphore::bounded`]; [`Permits`], which a dead holder gives back |
//! | `Event`, `Condition`, `Barrier` | [`Event`], [`Condition`], [`Barrier`] |
//! | `Value`, `Array` | [`Value`], [`Array`] |
//!
//! A process that is killed at any instruction takes nothing with it but what it had taken, leaves no lock held, and nobody
//! waits for it: each module says why. What lies in shared memory is gone with the last process that has it. Processes that
//! share something trust each other with it: one may spoil what is in a queue for the others, not their memory; but a lock that
//! another has scribbled over is the system's, and not proof against that. With strangers one talks over a [`Listener`].
//!
//! A process that was forked with a closure has copies of all that its parent has, as in Python: an end of which it has the other's
//! copy does not learn of the other's end.

mod bell;
mod connection;
mod error;
mod framed;
mod futex;
mod listener;
mod lock;
mod permits;
mod queue;
mod region;
mod ring;
mod robust;
mod sleepers;
mod stream;
mod sync;
#[cfg(test)]
mod tests;
mod travel;
mod value;

use connection::Incoming;
pub use connection::{Connection, MESSAGE_MAX, Ready, pipe, wait};
pub use error::Error;
pub use listener::{Listener, Options, connect};
pub use lock::{Guard, Lock, LockError};
pub use permits::{PERMITS_MAX, Permit, Permits};
pub use queue::Queue;
pub(crate) use region::shared_file;
pub use sync::{Barrier, Condition, Event, Semaphore};
pub use travel::Descriptor;
pub(crate) use travel::{give_away, lines, pack, unpack};
pub use value::{Array, Plain, Value};
