//! The unsafe part: a lock in shared memory that the kernel opens when its holder dies.
//!
//! It is POSIX's: `PTHREAD_PROCESS_SHARED` and `PTHREAD_MUTEX_ROBUST`. The kernel keeps, for each thread, the list of such
//! locks that it holds; when the thread ends, however, each is marked and one waiter woken, who learns of it.
//! No instruction is left out: a thread announces a lock to the list before it takes it. No pid is ever asked for that
//! may be somebody else's by now.
#![expect(unsafe_code, reason = "pthread's mutex")]

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;

/// `libc` has no name for it on Linux.
const PTHREAD_MUTEX_ROBUST: libc::c_int = 1;

/// How often a taken lock is looked at before its taker sleeps: it is seldom held for longer than a few copies take.
const LOOKS: usize = 100;

/// What a thread that holds it already may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Again {
    /// Take it again, and give it back as often.
    Counts,
    /// Not take it: that is an error.
    Refused,
}

/// The lock. All zero it is a lock that nobody holds, of no use until [`init`](Self::init).
#[repr(transparent)]
pub(super) struct Robust(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: it is only touched by pthread's functions, which are made for that.
unsafe impl Sync for Robust {}
// SAFETY: as above; it does not move while it is in use, since it is only ever seen by reference into shared memory.
unsafe impl Send for Robust {}

impl std::fmt::Debug for Robust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Robust")
    }
}

/// A lock that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// As it was given back.
    Clean,
    /// Its last holder died holding it.
    HolderDied,
}

impl Robust {
    /// Makes it a lock, before anybody else sees it.
    pub(super) fn init(&self, again: Again) -> Result<(), Errno> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let kind = match again {
            Again::Counts => libc::PTHREAD_MUTEX_RECURSIVE,
            Again::Refused => libc::PTHREAD_MUTEX_ERRORCHECK,
        };
        // SAFETY: init fills the attributes, the others change them; the lock is not in use yet, as the caller sees to.
        unsafe {
            let attributes = attributes.as_mut_ptr();
            check(libc::pthread_mutexattr_init(attributes))?;
            check(libc::pthread_mutexattr_settype(attributes, kind))?;
            check(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED))?;
            check(libc::pthread_mutexattr_setrobust(attributes, PTHREAD_MUTEX_ROBUST))?;
            check(libc::pthread_mutex_init(self.0.get(), attributes))?;
            check(libc::pthread_mutexattr_destroy(attributes))
        }
    }

    /// Takes it if it is free.
    pub(super) fn try_lock(&self) -> Result<Option<Taken>, Errno> {
        // SAFETY: the memory is there as long as the reference is.
        self.taken(unsafe { libc::pthread_mutex_trylock(self.0.get()) })
    }

    /// Takes it; `None`: not until then.
    pub(super) fn lock(&self, deadline: Option<Instant>) -> Result<Option<Taken>, Errno> {
        for _ in 0..LOOKS {
            if let Some(taken) = self.try_lock()? {
                return Ok(Some(taken));
            }
            spin_loop();
        }
        let Some(deadline) = deadline else {
            // SAFETY: as above.
            return self.taken(unsafe { libc::pthread_mutex_lock(self.0.get()) });
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.try_lock();
            }
            // It counts by a clock that can be set: so in small steps, and what is left by one that cannot.
            let until = SystemTime::now() + left.min(Duration::from_secs(1));
            let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // SAFETY: all zeroes are a valid timespec.
            let mut time: libc::timespec = unsafe { std::mem::zeroed() };
            time.tv_sec = libc::time_t::try_from(until.as_secs()).unwrap_or(libc::time_t::MAX);
            time.tv_nsec = libc::c_long::from(until.subsec_nanos().cast_signed());
            // SAFETY: as above.
            if let Some(taken) = self.taken(unsafe { libc::pthread_mutex_timedlock(self.0.get(), &raw const time) })? {
                return Ok(Some(taken));
            }
        }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// `EPERM`: this thread does not hold it.
    pub(super) fn unlock(&self) -> Result<(), Errno> {
        // SAFETY: the memory is there; of a thread that does not hold it, an error is all that comes of it.
        check(unsafe { libc::pthread_mutex_unlock(self.0.get()) })
    }

    /// Takes it for as long as the [`Held`] lives.
    pub(super) fn hold(&self, deadline: Option<Instant>) -> Result<Option<Held<'_>>, Errno> {
        Ok(self.lock(deadline)?.map(|_| Held(self, PhantomData)))
    }

    fn taken(&self, code: libc::c_int) -> Result<Option<Taken>, Errno> {
        match code {
            0 => Ok(Some(Taken::Clean)),
            libc::EOWNERDEAD => {
                // SAFETY: this thread has just taken it.
                check(unsafe { libc::pthread_mutex_consistent(self.0.get()) })?;
                Ok(Some(Taken::HolderDied))
            }
            libc::EBUSY | libc::ETIMEDOUT => Ok(None),
            code => Err(Errno::from_raw(code)),
        }
    }
}

fn check(code: libc::c_int) -> Result<(), Errno> {
    if code == 0 { Ok(()) } else { Err(Errno::from_raw(code)) }
}

/// A lock that this thread holds, and gives back at the end. Not to be forgotten: the kernel's list leads to it.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a Robust, PhantomData<*const ()>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
