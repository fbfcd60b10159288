//! A page of memory that a pool and one worker share: for each task on the wire, who has it.
//!
//! The tasks are sent in order and begun in order; the `n`th has slot `n % SLOTS`, from when it is sent until the worker
//! is through with it. The worker *claims* a task before it begins it, the pool *revokes* one that it wants back: of the two
//! one succeeds. So a task is begun once at most, wherever a worker is killed, and the pool knows whether it was.
#![expect(unsafe_code, reason = "memory shared between processes")]

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::ipc::shared_file;

/// How many tasks are on the wire of one worker at most.
pub(super) const SLOTS: usize = 256;

const FREE: u8 = 0;
const SENT: u8 = 1;
const CLAIMED: u8 = 2;
const REVOKED: u8 = 3;

/// The page, as mapped in this process.
#[derive(Debug)]
pub(super) struct Page(NonNull<c_void>);

// SAFETY: all that is done with it is atomic.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// A new one, and the descriptor by which another process maps it.
    pub(super) fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = shared_file(SLOTS)?;
        Ok((Self::map(&memory)?, memory))
    }

    /// The one of this descriptor.
    pub(super) fn map(memory: impl AsFd) -> io::Result<Self> {
        let length = NonZeroUsize::MIN.saturating_add(SLOTS - 1);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel likes, which nothing else in this process knows. The file is as long
        // as `create` made it, since nobody makes it shorter.
        Ok(Self(unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, memory, 0) }?))
    }

    fn slot(&self, n: u64) -> &AtomicU8 {
        let at = (n % SLOTS as u64) as usize;
        // SAFETY: the mapping is `SLOTS` bytes long and lives as long as `self`; any byte is an `AtomicU8`, and nobody
        // touches it but as one. What the other process writes there is only ever compared.
        unsafe { self.0.cast::<AtomicU8>().add(at).as_ref() }
    }

    fn step(&self, n: u64, from: u8, to: u8) -> bool {
        self.slot(n).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The pool is about to send the `n`th task. False: the slot is taken.
    pub(super) fn send(&self, n: u64) -> bool {
        self.step(n, FREE, SENT)
    }

    /// The pool takes the `n`th task back. False: it has been begun.
    pub(super) fn revoke(&self, n: u64) -> bool {
        self.step(n, SENT, REVOKED)
    }

    /// The worker begins the `n`th task. False: it was taken back; the slot is free.
    pub(super) fn claim(&self, n: u64) -> bool {
        let claimed = self.step(n, SENT, CLAIMED);
        if !claimed {
            self.free(n);
        }
        claimed
    }

    /// The worker has said what came of the `n`th task.
    pub(super) fn free(&self, n: u64) {
        self.slot(n).store(FREE, Ordering::Release);
    }

    /// Whether the worker has begun the `n`th task, and has not said what came of it.
    pub(super) fn is_claimed(&self, n: u64) -> bool {
        self.slot(n).load(Ordering::Acquire) == CLAIMED
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and no reference to it outlives `self`.
        let _ = unsafe { munmap(self.0, SLOTS) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn of_a_claim_and_a_revocation_one_succeeds_however_they_race() {
        let (ours, memory) = Page::create().unwrap();
        let theirs = Page::map(&memory).unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        const ROUNDS: usize = 20_000;
        let worker = std::thread::spawn({
            let sent = sent.clone();
            move || {
                let mut claimed = Vec::new();
                for n in 0..ROUNDS {
                    while sent.load(Ordering::Acquire) <= n {
                        std::thread::yield_now();
                    }
                    if theirs.claim(n as u64) {
                        claimed.push(n);
                        theirs.free(n as u64);
                    }
                }
                claimed
            }
        });
        let mut revoked = Vec::new();
        for n in 0..ROUNDS {
            while !ours.send(n as u64) {
                std::thread::yield_now();
            }
            sent.store(n + 1, Ordering::Release);
            if ours.revoke(n as u64) {
                revoked.push(n);
            }
        }
        let mut all = worker.join().unwrap();
        all.extend(revoked);
        all.sort_unstable();
        assert!(all.into_iter().eq(0..ROUNDS), "each once");
    }

    #[test]
    fn a_slot_is_taken_until_the_worker_is_through() {
        let (page, _memory) = Page::create().unwrap();
        let (first, again) = (3, 3 + SLOTS as u64);
        assert!(page.send(first) && !page.send(again));
        assert!(page.claim(first) && page.is_claimed(first) && !page.revoke(first));
        assert!(!page.send(again), "not before it is through");
        page.free(first);
        assert!(page.send(again) && page.revoke(again));
        assert!(!page.send(first), "taken back, but the worker has yet to pass it");
        assert!(!page.claim(again) && page.send(first));
    }
}
