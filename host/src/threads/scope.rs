//! Tasks that borrow from the function that submits them.

use std::fmt;
use std::marker::PhantomData;

use super::error::SubmitError;
use super::future::{Future, look};
use super::gate::Gate;
use super::pool::ThreadPool;
use super::sync::Arc;
use super::task::{Watcher, alone};
use super::worker;

/// Where tasks may borrow: see [`ThreadPool::scope`].
pub struct Scope<'scope, 'env: 'scope> {
    pool: &'scope ThreadPool,
    /// Opens when the scope's function has returned and all tasks are settled.
    gate: Arc<Gate>,
    /// Neither may be shortened or lengthened.
    lifetimes: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

impl ThreadPool {
    /// Calls `f` with a [`Scope`], whose tasks may borrow what lives longer than this call; returns when all of them have
    /// ended and what they captured is dropped, also if `f` panics. A task that panics fails, as any: look at its future.
    ///
    /// ```
    /// use tidemill_host::threads::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let tides = [3, 1, 2];
    /// let (least, most) = pool.scope(|scope| {
    ///     let mut least = scope.submit(|| tides.iter().min()).unwrap();
    ///     let mut most = scope.submit(|| tides.iter().max()).unwrap();
    ///     (least.result(None).unwrap(), most.result(None).unwrap())
    /// });
    /// assert_eq!((least, most), (Some(&1), Some(&3)));
    /// # Ok::<(), tidemill_host::threads::BuildError>(())
    /// ```
    pub fn scope<'env, R>(&self, f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
        /// Waits, however `f` ends.
        struct Join<'a>(&'a Gate);
        impl Drop for Join<'_> {
            fn drop(&mut self) {
                self.0.tell(false);
                if !look(|| self.0.is_open(), None) {
                    worker::blocked(|| self.0.wait(None));
                }
            }
        }
        let scope = Scope { pool: self, gate: Arc::new(Gate::new(1)), lifetimes: PhantomData };
        let _join = Join(&scope.gate);
        f(&scope)
    }
}

impl<'scope> Scope<'scope, '_> {
    /// As [`ThreadPool::submit`], for what borrows.
    ///
    /// # Errors
    /// [`SubmitError`] hands `f` back.
    pub fn submit<F, T>(&'scope self, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let shared = &self.pool.shared;
        let f = shared.enter(1, false, None, f)?;
        // SAFETY: what `f` borrows lives as long as `'scope`, and so does a result that borrows; the scope does not end
        // before its gate was told that the task is settled: then the closure is gone, and the result, if nobody asked
        // for it. A future that is still there is outlived by what its result borrows. That nothing else of the task
        // refers to what is borrowed: callbacks are `'static`.
        #[allow(unsafe_code)]
        let (job, handle) = unsafe { alone(f, shared.home()) };
        self.gate.expect();
        if handle.task().watch(Watcher::Settled(self.gate.clone())).is_err() {
            // It cannot have ended: nobody has it yet.
            self.gate.tell(false);
        }
        shared.push(job);
        Ok(Future::new(handle))
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
