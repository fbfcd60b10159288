//! Permits that come back when their holder dies.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Error;
use super::futex::{deadline, is_over, rouse, sleep};
use super::region::{Head, Segment};
use super::robust::{Again, Robust, Taken};

/// How many permits there are at most.
pub const PERMITS_MAX: u32 = 256;

#[repr(C)]
struct State {
    /// How often one was given back.
    returns: AtomicU32,
    count: AtomicU32,
    locks: [Robust; PERMITS_MAX as usize],
}

// SAFETY: atomics and robust locks.
#[expect(unsafe_code, reason = "promises what the trait says")]
unsafe impl Head for State {
    const KIND: u64 = u64::from_le_bytes(*b"tideperm");
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// So many permits, each held by the thread that took it until its [`Permit`] is dropped, or the thread ends, killed or not.
/// It is the [`Semaphore`](super::Semaphore) to take where holders may die; that one's permits have no owner, so one process
/// may give back what another took.
///
/// Each permit is a lock that the kernel opens for the dead; who takes it looks for one that is open, O(permits). Those who wait
/// learn of a death within a tenth of a second.
///
/// ```
/// use tidemill_host::ipc::Permits;
/// use tidemill_host::process::Process;
///
/// fn dies_with(permits: Permits) {
///     let _permit = permits.acquire(None);
///     std::process::abort();
/// }
/// tidemill_host::register!(dies_with);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let permits = Permits::new(1)?;
/// Process::new(dies_with, permits.clone()).start()?.join();
/// assert!(permits.acquire(None)?.holder_died());
/// assert!(!permits.acquire(None)?.holder_died(), "that was told once");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Permits {
    state: Segment<State>,
}

impl Permits {
    /// So many: 1 to [`PERMITS_MAX`].
    ///
    /// # Errors
    /// [`Error::Config`]; [`Error::Os`]: no descriptor or memory is left.
    pub fn new(count: u32) -> Result<Self, Error> {
        if !(1..=PERMITS_MAX).contains(&count) {
            return Err(Error::Config);
        }
        let state = Segment::<State>::new(0)?;
        state.count.store(count, SeqCst);
        let permits = Self { state };
        permits.locks().iter().try_for_each(|lock| lock.init(Again::Refused))?;
        Ok(permits)
    }

    fn locks(&self) -> &[Robust] {
        let count = self.state.count.load(SeqCst).min(PERMITS_MAX) as usize;
        &self.state.locks[..count]
    }

    /// Takes a permit; waits for one up to `timeout` or for ever; zero: not at all. A thread may hold several.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<Permit, Error> {
        let deadline = deadline(timeout);
        loop {
            let returns = self.state.returns.load(SeqCst);
            for (place, lock) in self.locks().iter().enumerate() {
                match lock.try_lock() {
                    Ok(Some(taken)) => {
                        let (state, holder_died) = (self.state.clone(), taken == Taken::HolderDied);
                        return Ok(Permit { state, place, holder_died, thread: PhantomData });
                    }
                    // Taken, perhaps by this very thread.
                    Ok(None) | Err(Errno::EDEADLK) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            if is_over(deadline) {
                return Err(Error::TimedOut);
            }
            sleep(&self.state.returns, returns, deadline);
        }
    }
}

/// One of some [`Permits`], this thread's until this is dropped. Forgotten, it comes back when the thread ends.
#[derive(Debug)]
#[must_use = "it is given back at once"]
pub struct Permit {
    state: Segment<State>,
    place: usize,
    holder_died: bool,
    /// It is the thread's that took it.
    thread: PhantomData<*const ()>,
}

impl Permit {
    /// Whether who held this one before died with it: what it was about may be half done.
    pub fn holder_died(&self) -> bool {
        self.holder_died
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.state.locks[self.place].unlock();
        self.state.returns.fetch_add(1, SeqCst);
        rouse(&self.state.returns, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn there_are_as_many_as_were_asked_for() {
        assert!(matches!(Permits::new(0), Err(Error::Config)));
        assert!(matches!(Permits::new(PERMITS_MAX + 1), Err(Error::Config)));
        for count in [1, 2, PERMITS_MAX] {
            let permits = Permits::new(count).unwrap();
            let mut held: Vec<Permit> = (0..count).map(|_| permits.acquire(NOW).unwrap()).collect();
            assert!(matches!(permits.acquire(NOW), Err(Error::TimedOut)), "{count}");
            held.pop();
            assert!(!permits.acquire(NOW).unwrap().holder_died());
        }
    }

    #[test]
    fn no_more_threads_are_within_than_permits_and_a_threads_end_gives_back() {
        let (permits, within) = (Permits::new(2).unwrap(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let _permit = permits.acquire(None).unwrap();
                        assert!(within.fetch_add(1, SeqCst) < 2);
                        within.fetch_sub(1, SeqCst);
                    }
                    std::mem::forget(permits.acquire(None).unwrap());
                });
            }
        });
        // A thread may have said that it is through, and not have ended yet.
        let permit = || permits.acquire(Some(Duration::from_secs(20))).unwrap();
        assert!([permit(), permit()].iter().any(Permit::holder_died));
    }
}
