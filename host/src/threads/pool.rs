//! The pool, and how it is built.

use std::fmt;
use std::sync::Arc;

use super::error::{BuildError, SubmitError};
use super::exception::install_hook;
use super::future::Future;
use super::shared::{Plan, Shared};
use super::sizing::{cores, may_use};
use super::sync::{AtomicBool, Ordering};
use super::task::{BLOCK, alone, block};
use super::worker;

/// How many workers a pool has at most.
pub const WORKERS_MAX: usize = 4096;

/// How many tasks wait at most in a pool that was built without `capacity`.
const CAPACITY: usize = 1 << 16;

/// Threads that run tasks: `concurrent.futures.ThreadPoolExecutor`. See the [module](super).
///
/// Threads are started when there is work for them, and then stay. Dropping the pool is the end of Python's `with`: it
/// waits for all tasks, unless [`shutdown`](Self::shutdown) said not to.
#[doc(alias = "ThreadPoolExecutor")]
pub struct ThreadPool {
    pub(super) shared: Arc<Shared>,
    /// It was shut down without waiting.
    let_go: AtomicBool,
}

/// How a [`ThreadPool`] is to be.
pub struct Builder {
    plan: Plan,
    capacity: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            plan: Plan {
                name: "tidemill".into(),
                stack_size: 2 << 20,
                workers: cores(),
                initializer: None,
                cores: Vec::new(),
            },
            capacity: CAPACITY,
        }
    }
}

impl Builder {
    /// How many tasks run at once; unless said otherwise, one for each of the [`cores`]. See
    /// [`optimal_threads`](super::optimal_threads) for tasks that wait.
    #[doc(alias = "max_workers")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.plan.workers = workers;
        self
    }

    /// What the threads' names begin with; a number follows.
    #[doc(alias = "thread_name_prefix")]
    pub fn name(mut self, prefix: impl Into<String>) -> Self {
        self.plan.name = prefix.into();
        self
    }

    /// Bytes of stack of each thread; unless said otherwise, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.plan.stack_size = bytes;
        self
    }

    /// How many tasks may wait; unless said otherwise, 65,536. Those that run do not count.
    pub fn capacity(mut self, tasks: usize) -> Self {
        self.capacity = tasks;
        self
    }

    /// Called by each worker before its first task. If it panics, the pool is broken: all that waits fails, and nothing
    /// more is taken.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.plan.initializer = Some(Box::new(initializer));
        self
    }

    /// Worker `i` runs on core `i` of these and no other, beginning anew where there are more workers.
    pub fn affinity(mut self, cores: impl IntoIterator<Item = usize>) -> Self {
        self.plan.cores = cores.into_iter().collect();
        self
    }

    /// The pool. No thread is started yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<ThreadPool, BuildError> {
        let Self { plan, capacity } = self;
        if plan.workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if plan.workers > WORKERS_MAX {
            return Err(BuildError::TooManyWorkers);
        }
        if capacity == 0 {
            return Err(BuildError::NoCapacity);
        }
        if let Some(&core) = plan.cores.iter().find(|&&core| !may_use(core)) {
            return Err(BuildError::Core(core));
        }
        install_hook();
        Ok(ThreadPool { shared: Arc::new(Shared::new(plan, capacity)), let_go: AtomicBool::new(false) })
    }
}

impl ThreadPool {
    /// A pool that runs so many tasks at once.
    ///
    /// # Errors
    /// [`BuildError`]: none, or more than [`WORKERS_MAX`].
    pub fn new(workers: usize) -> Result<Self, BuildError> {
        Self::builder().workers(workers).build()
    }

    /// A pool to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How many tasks run at once.
    pub fn workers(&self) -> usize {
        self.shared.plan.workers
    }

    /// Has a worker call `f`, after what was submitted before. One allocation. From inside a task of this pool it goes to
    /// the worker's own queue, from which idle workers steal.
    ///
    /// # Errors
    /// [`SubmitError`] hands `f` back.
    #[doc(alias = "apply_async")]
    #[inline]
    pub fn submit<F, T>(&self, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let f = self.shared.enter(1, false, None, f)?;
        Ok(self.submit_let_in(f))
    }

    /// As [`submit`](Self::submit), but waits while the pool is full. From inside a task of this pool it does not wait: `f`
    /// is called in place, for the workers may all be waiting for what this task submits.
    ///
    /// # Errors
    /// [`SubmitError`] hands `f` back, but never because the pool is full.
    pub fn submit_blocking<F, T>(&self, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: it borrows nothing that does not live for ever.
        #[allow(unsafe_code)]
        unsafe {
            self.submit_or_wait(f)
        }
    }

    /// Tasks that are submitted at once: a few allocations for all, and a worker is woken once. All, or none.
    ///
    /// # Errors
    /// [`SubmitError`] hands all of them back: there is not room for all.
    pub fn submit_batch<F, T>(&self, tasks: impl IntoIterator<Item = F>) -> Result<Vec<Future<T>>, SubmitError<Vec<F>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let tasks: Vec<F> = tasks.into_iter().collect();
        let tasks = self.shared.enter(tasks.len(), false, None, tasks)?;
        let mut futures = Vec::with_capacity(tasks.len());
        self.submit_blocks(tasks, &mut futures);
        Ok(futures)
    }

    /// As [`submit_batch`](Self::submit_batch), but waits for room; so there may be more tasks than the pool has room for.
    /// From inside a task of this pool, what finds no room is run in place.
    ///
    /// # Errors
    /// [`SubmitError`], with the futures of those tasks that were taken. The others are dropped.
    pub fn submit_batch_blocking<F, T>(
        &self,
        tasks: impl IntoIterator<Item = F>,
    ) -> Result<Vec<Future<T>>, SubmitError<Vec<Future<T>>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut tasks = tasks.into_iter();
        let mut futures = Vec::with_capacity(tasks.size_hint().0);
        let size = BLOCK.min(self.shared.room.capacity());
        let inside = worker::is_of(&self.shared);
        loop {
            let some: Vec<F> = tasks.by_ref().take(size).collect();
            if some.is_empty() {
                return Ok(futures);
            }
            match self.shared.enter(some.len(), !inside, None, some) {
                Ok(some) => self.submit_blocks(some, &mut futures),
                Err(SubmitError::Full(some)) if inside => {
                    for f in some {
                        match self.submit_blocking(f) {
                            Ok(future) => futures.push(future),
                            Err(why) => return Err(why.with(|_| futures)),
                        }
                    }
                }
                Err(why) => return Err(why.with(|_| futures)),
            }
        }
    }

    /// Submits tasks that were let in.
    fn submit_blocks<F, T>(&self, tasks: Vec<F>, futures: &mut Vec<Future<T>>)
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let home = self.shared.home();
        let mut tasks = tasks.into_iter();
        while let Some(job) = block(&mut tasks, home, &mut |handle| futures.push(Future::new(handle))) {
            self.shared.push(job);
        }
    }

    /// Submits a task that was let in.
    #[inline]
    pub(super) fn submit_let_in<F, T>(&self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: it borrows nothing that does not live for ever.
        #[allow(unsafe_code)]
        unsafe {
            self.submit_entered(f)
        }
    }

    /// # Safety
    /// What `f` borrows lives until the task is settled.
    #[allow(unsafe_code)]
    #[inline]
    unsafe fn submit_entered<F: FnOnce() -> T + Send, T: Send>(&self, f: F) -> Future<T> {
        // SAFETY: by contract.
        let (job, handle) = unsafe { alone(f, self.shared.home()) };
        self.shared.push(job);
        Future::new(handle)
    }

    /// # Safety
    /// As [`submit_entered`](Self::submit_entered).
    #[allow(unsafe_code)]
    unsafe fn submit_or_wait<F: FnOnce() -> T + Send, T: Send>(&self, f: F) -> Result<Future<T>, SubmitError<F>> {
        let inside = worker::is_of(&self.shared);
        match self.shared.enter(1, !inside, None, f) {
            // SAFETY: by contract.
            Ok(f) => Ok(unsafe { self.submit_entered(f) }),
            Err(SubmitError::Full(f)) if inside => {
                // SAFETY: by contract.
                let (mut job, handle) = unsafe { alone(f, self.shared.home()) };
                job.next().map(super::task::Entry::run);
                Ok(Future::new(handle))
            }
            Err(why) => Err(why),
        }
    }

    /// Takes no more tasks. `cancel_futures`: what has not begun is cancelled. `wait`: returns when all tasks have ended
    /// and the threads are gone; else at once, the tasks still go on, and dropping the pool does not wait either. May be
    /// called twice. A task that shuts its own pool down does not wait.
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.let_go.store(!wait, Ordering::Relaxed);
        self.shared.shutdown(wait, cancel_futures);
    }
}

/// One worker for each of the [`cores`].
impl Default for ThreadPool {
    fn default() -> Self {
        #[allow(clippy::unwrap_used)]
        // There is at least one core, and nothing else that could be refused was asked for.
        Self::new(cores().clamp(1, WORKERS_MAX)).unwrap()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.shutdown(!self.let_go.load(Ordering::Relaxed), false);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
