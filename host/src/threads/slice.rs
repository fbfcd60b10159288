//! A function over a slice, by all workers and the caller at once: nothing is boxed, the slice is divided.
//!
//! Each who takes part has a share, a range of the slice in one atomic word, and takes some from its front again and
//! again: as many elements as make a few microseconds of work, which it measures as it goes. He whose share is used up
//! takes the upper half of the largest share that is left. So elements that cost the same are divided once, and where
//! one costs a thousand times another, nobody is left with a heap of them while others are idle.
//!
//! The caller does his part, and what the workers have not begun when he is done is not waited for: it works, slower, if
//! the pool is busy, full or shut down, and from inside a task of the pool.

use std::mem::{MaybeUninit, needs_drop};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::exception::{Exception, catch};
use super::pool::ThreadPool;
use super::sync::{AtomicU64, Ordering};

/// How long a piece should take: long beside taking it, and short beside all.
const PIECE: Range<Duration> = Duration::from_micros(3)..Duration::from_micros(12);

/// Shares of a slice of that many units.
struct Shares(Box<[CachePadded<AtomicU64>]>);

fn word(range: &Range<u64>) -> u64 {
    range.end << 32 | range.start
}

fn range(word: u64) -> Range<u64> {
    word & 0xFFFF_FFFF..word >> 32
}

impl Shares {
    fn new(units: u64, count: usize) -> Self {
        let share = |index: u64| {
            let at = |index: u64| (u128::from(units) * u128::from(index) / count as u128) as u64;
            CachePadded::new(AtomicU64::new(word(&(at(index)..at(index + 1)))))
        };
        Self((0..count as u64).map(share).collect())
    }

    /// Takes up to `count` units from the front of one's own share.
    fn take(&self, me: usize, count: u64) -> Option<Range<u64>> {
        let mut now = self.0[me].load(Ordering::Relaxed);
        loop {
            let Range { start, end } = range(now);
            if start >= end {
                return None;
            }
            // Towards the end of a share, pieces become small, so that there is something for others to take.
            let taken = start + count.min((end - start).div_ceil(4)).max(1);
            match self.0[me].compare_exchange_weak(now, word(&(taken..end)), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(start..taken),
                Err(other) => now = other,
            }
        }
    }

    /// Moves half of the largest share to one's own, which is empty. False: there is nothing left.
    fn steal(&self, me: usize) -> bool {
        loop {
            let shares = self.0.iter().map(|share| (share, share.load(Ordering::Relaxed)));
            let size = |word| range(word).end.saturating_sub(range(word).start);
            let Some((victim, now)) = shares.max_by_key(|&(_, word)| size(word)) else { return false };
            if size(now) == 0 {
                return false;
            }
            let Range { start, end } = range(now);
            let middle = start + (end - start) / 2;
            let left = word(&(start..middle));
            if victim.compare_exchange(now, left, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.0[me].store(word(&(middle..end)), Ordering::Relaxed);
                return true;
            }
        }
    }

    /// Nobody is to go on.
    fn clear(&self) {
        for share in &self.0 {
            share.store(0, Ordering::Relaxed);
        }
    }

    /// Calls `body` for pieces, until nothing is left.
    fn work(&self, me: usize, body: impl Fn(Range<u64>)) {
        let mut count = 1;
        loop {
            let Some(piece) = self.take(me, count) else {
                if self.steal(me) {
                    continue;
                }
                return;
            };
            let (began, size) = (Instant::now(), piece.end - piece.start);
            body(piece);
            let took = began.elapsed();
            if took < PIECE.start && size == count {
                count = (count * 2).min(1 << 20);
            } else if took > PIECE.end {
                count = (size / 2).max(1);
            }
        }
    }
}

impl ThreadPool {
    /// Calls `f` for each element, and puts the results in a new vector, in order.
    ///
    /// ```
    /// use tidemill_host::threads::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let numbers: Vec<u64> = (0..100_000).collect();
    /// let squares = pool.map_slice(&numbers, |n| n * n);
    /// assert_eq!(squares[300], 90_000);
    /// # Ok::<(), tidemill_host::threads::BuildError>(())
    /// ```
    ///
    /// # Panics
    /// If `f` does, with what it did, when nobody calls it any more.
    pub fn map_slice<A: Sync, B: Send>(&self, items: &[A], f: impl Fn(&A) -> B + Sync) -> Vec<B> {
        let mut results = Vec::with_capacity(items.len());
        let places = &mut results.spare_capacity_mut()[..items.len()];
        prefer_large_pages(places);
        let filled = Filled::default();
        let outcome = self.spread(places, |start, places| {
            let mut done = Done { filled: &filled, range: start..start, keeps: needs_drop::<B>() };
            for (place, item) in places.iter_mut().zip(&items[start..]) {
                place.write(f(item));
                done.range.end += 1;
            }
        });
        if let Err(exception) = outcome {
            for range in filled.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
                for place in &mut places[range] {
                    // SAFETY: it was written, and noted once.
                    #[allow(unsafe_code)]
                    unsafe {
                        place.assume_init_drop();
                    }
                }
            }
            exception.resume();
        }
        // SAFETY: every place was written: there is no error, so that every piece was gone through to its end.
        #[allow(unsafe_code)]
        unsafe {
            results.set_len(items.len());
        }
        results
    }

    /// Calls `f` for each element, and puts the results in the places of `results`, in order; stops at the end of the
    /// shorter one.
    ///
    /// # Panics
    /// If `f` does, with what it did, when nobody calls it any more.
    pub fn map_into<A: Sync, B: Send>(&self, items: &[A], results: &mut [B], f: impl Fn(&A) -> B + Sync) {
        let count = items.len().min(results.len());
        let outcome = self.spread(&mut results[..count], |start, results| {
            for (result, item) in results.iter_mut().zip(&items[start..]) {
                *result = f(item);
            }
        });
        outcome.unwrap_or_else(|exception| exception.resume());
    }

    /// Calls `f` for each element, which it may change.
    ///
    /// # Panics
    /// If `f` does, with what it did, when nobody calls it any more.
    pub fn for_each_mut<A: Send>(&self, items: &mut [A], f: impl Fn(&mut A) + Sync) {
        let outcome = self.spread(items, |_, items| items.iter_mut().for_each(&f));
        outcome.unwrap_or_else(|exception| exception.resume());
    }

    /// Calls `body` for pieces of a slice, each with where it begins, until all of it was gone through, or one panics.
    fn spread<A: Send>(&self, items: &mut [A], body: impl Fn(usize, &mut [A]) + Sync) -> Result<(), Exception> {
        let len = items.len();
        // A word has room for 2^32 - 1 units.
        let unit = len.div_ceil(u32::MAX as usize).max(1);
        let units = len.div_ceil(unit) as u64;
        let shares = Shares::new(units, self.workers());
        let items = Pieces(items.as_mut_ptr());
        let work = |me: usize| {
            // All of it, that is, not the pointer alone.
            let items = &items;
            let result = catch(|| {
                shares.work(me, |piece| {
                    let range = piece.start as usize * unit..(piece.end as usize * unit).min(len);
                    // SAFETY: the range lies in the slice, which is borrowed for the whole call, and no two pieces
                    // have a unit in common: a unit leaves a share once, in the step that takes it.
                    #[allow(unsafe_code)]
                    let part = unsafe { std::slice::from_raw_parts_mut(items.0.add(range.start), range.len()) };
                    body(range.start, part);
                });
            });
            if result.is_err() {
                shares.clear();
            }
            result
        };
        if len == 0 {
            return Ok(());
        }
        let work = &work;
        self.scope(|scope| {
            let helpers = (1..self.workers().min(len)).map_while(|me| scope.submit(move || work(me)).ok());
            let helpers: Vec<_> = helpers.collect();
            let mut outcome = work(0);
            for mut helper in helpers {
                // One that has not begun has nothing left to do.
                if !helper.cancel() {
                    outcome = outcome.and(helper.result(None).unwrap_or(Ok(())));
                }
            }
            outcome
        })
    }
}

/// The start of a slice whose pieces go to several threads.
struct Pieces<A>(*mut A);

// SAFETY: each thread makes references to other elements, which are `Send`.
#[allow(unsafe_code)]
unsafe impl<A: Send> Sync for Pieces<A> {}

/// Which places have been written, to be dropped if a call panics.
#[derive(Default)]
struct Filled(Mutex<Vec<Range<usize>>>);

struct Done<'a> {
    filled: &'a Filled,
    range: Range<usize>,
    keeps: bool,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if self.keeps {
            let mut filled = self.filled.0.lock().unwrap_or_else(PoisonError::into_inner);
            match filled.last_mut() {
                Some(last) if last.end == self.range.start => last.end = self.range.end,
                _ => filled.push(self.range.clone()),
            }
        }
    }
}

/// Most of what it costs to fill fresh memory is that the system hands it out page by page. It is asked to do so in pages
/// of 2 MiB where the memory has whole ones.
fn prefer_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 2 << 20;
    let range = memory.as_mut_ptr_range();
    let skip = range.start.addr().wrapping_neg() % PAGE;
    let size = size_of_val(memory).saturating_sub(skip) / PAGE * PAGE;
    if size < 2 * PAGE {
        return;
    }
    // SAFETY: the pages lie in memory that is ours, and the advice changes nothing that is in them.
    #[allow(unsafe_code)]
    unsafe {
        if let Some(start) = std::ptr::NonNull::new(range.start.byte_add(skip).cast()) {
            // A system that has none does without.
            let _ = nix::sys::mman::madvise(start, size, nix::sys::mman::MmapAdvise::MADV_HUGEPAGE);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once_however_they_are_taken_and_stolen() {
        for (units, count) in [(0, 1), (1, 4), (1000, 3), (100_000, 2)] {
            let shares = Shares::new(units, count);
            let seen: Vec<_> = (0..units).map(|_| AtomicU64::new(0)).collect();
            std::thread::scope(|scope| {
                for me in 0..count {
                    let (shares, seen) = (&shares, &seen);
                    scope.spawn(move || {
                        shares.work(me, |piece| {
                            for unit in piece {
                                seen[unit as usize].fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    });
                }
            });
            assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn shares_of_all_units_that_a_word_has_room_for_are_divided_evenly() {
        let shares = Shares::new(u64::from(u32::MAX), 3);
        assert_eq!(range(shares.0[2].load(Ordering::Relaxed)).end, u64::from(u32::MAX));
        let sizes = shares.0.iter().map(|share| range(share.load(Ordering::Relaxed)));
        assert!(sizes.map(|range| range.end - range.start).all(|size| size == u64::from(u32::MAX) / 3));
    }
}
