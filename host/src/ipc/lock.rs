//! Mutual exclusion between processes: Python's `Lock` and `RLock`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Error;
use super::futex::deadline;
use super::region::{Head, Segment};
use super::robust::{Again, Robust, Taken};

#[repr(C)]
struct State(Robust);

// SAFETY: a robust lock.
#[expect(unsafe_code, reason = "promises what the trait says")]
unsafe impl Head for State {
    const KIND: u64 = u64::from_le_bytes(*b"tidelock");
}

/// A lock that processes and threads share. `Clone`, and what travels to another process, is another handle to the same.
///
/// A thread that ends while it holds it, killed or not, frees it, and the next to acquire it is told:
///
/// ```
/// use tidemill_host::ipc::{Lock, LockError};
/// use tidemill_host::process::Process;
///
/// fn dies_with(lock: Lock) {
///     let _guard = lock.acquire(None);
///     std::process::abort();
/// }
/// tidemill_host::register!(dies_with);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Lock::new()?;
/// Process::new(dies_with, lock.clone()).start()?.join();
/// let guard = match lock.acquire(None) {
///     Err(LockError::HolderDied(guard)) => guard,
///     other => panic!("{other:?}"),
/// };
/// drop(guard);
/// assert!(lock.acquire(None).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lock {
    state: Segment<State>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// Why a lock was not acquired as it should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// It was acquired, but who held it before died: what the lock protects may be half changed. As std's `PoisonError`, but
    /// once: whoever acquires it after this is not told.
    HolderDied(Guard),
    /// It was not: not in time, or this thread holds it already.
    Failed(Error),
}

impl LockError {
    /// The lock, if it was acquired: for those who do not mind, or have repaired what it protects.
    ///
    /// # Errors
    /// Why it was not.
    pub fn into_guard(self) -> Result<Guard, Error> {
        match self {
            Self::HolderDied(guard) => Ok(guard),
            Self::Failed(error) => Err(error),
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HolderDied(_) => Error::HolderDied.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

/// Lets go of the lock, if it was acquired.
impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::HolderDied(_) => Self::HolderDied,
            LockError::Failed(error) => error,
        }
    }
}

impl Lock {
    /// A lock that a thread takes once.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor or memory is left.
    pub fn new() -> Result<Self, Error> {
        Self::of(Again::Refused)
    }

    /// A lock that the thread which holds it may take again; it is free when all its [`Guard`]s are gone.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[doc(alias = "RLock")]
    pub fn recursive() -> Result<Self, Error> {
        Self::of(Again::Counts)
    }

    fn of(again: Again) -> Result<Self, Error> {
        let state = Segment::<State>::new(0)?;
        state.0.init(again)?;
        Ok(Self { state })
    }

    /// Waits for it, up to `timeout` or for ever; zero: not at all.
    ///
    /// # Errors
    /// [`LockError::HolderDied`]; [`Error::TimedOut`]; [`Error::Owner`].
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<Guard, LockError> {
        let guard = || Guard { state: self.state.clone(), thread: PhantomData };
        match self.state.0.lock(deadline(timeout)) {
            Ok(Some(Taken::Clean)) => Ok(guard()),
            Ok(Some(Taken::HolderDied)) => Err(LockError::HolderDied(guard())),
            Err(Errno::EDEADLK) => Err(LockError::Failed(Error::Owner)),
            Ok(None) => Err(LockError::Failed(Error::TimedOut)),
            Err(errno) => Err(LockError::Failed(errno.into())),
        }
    }
}

/// The lock is held by this thread, until this is dropped. It keeps the lock's memory: forgotten, it leaves the lock to
/// be freed when the thread ends.
#[derive(Debug)]
#[must_use = "the lock is free again at once"]
pub struct Guard {
    state: Segment<State>,
    /// It is the thread's that took it.
    thread: PhantomData<*const ()>,
}

impl Drop for Guard {
    #[doc(alias = "release")]
    fn drop(&mut self) {
        let _ = self.state.0.unlock();
    }
}
