//! How a pool is to be.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::Serialize;

use super::super::{Error, Function, StartMethod, cpu_count, get_start_method, name_of, server};
use super::driver::Driver;
use super::worker::Initializer;
use super::{Plan, ProcessPool, Shared};
use crate::ipc;
use crate::threads::{WORKERS_MAX, install_hook};

/// How many tasks a pool that was built without `capacity` has in hand at most.
const CAPACITY: usize = 1 << 16;

/// How a [`ProcessPool`] is to be.
#[derive(Debug)]
pub struct Builder {
    name: String,
    workers: usize,
    capacity: usize,
    tasks_max: Option<u32>,
    limit: Option<Duration>,
    initializer: Option<Result<Initializer, Error>>,
    handles: Vec<OwnedFd>,
    method: Option<StartMethod>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            name: "PoolWorker".into(),
            workers: cpu_count(),
            capacity: CAPACITY,
            tasks_max: None,
            limit: None,
            initializer: None,
            handles: Vec::new(),
            method: None,
        }
    }
}

impl Builder {
    /// How many processes at most; unless said otherwise, one for each core.
    #[doc(alias = "max_workers")]
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// What the workers' names begin with; a number follows.
    #[must_use]
    pub fn name(mut self, prefix: impl Into<String>) -> Self {
        self.name = prefix.into();
        self
    }

    /// How many tasks may wait or run; unless said otherwise, 65,536. One that is cancelled counts until its turn comes.
    #[must_use]
    pub fn capacity(mut self, tasks: usize) -> Self {
        self.capacity = tasks;
        self
    }

    /// After so many tasks a worker ends, and another takes its place.
    #[doc(alias = "max_tasks_per_child")]
    #[must_use]
    pub fn maxtasksperchild(mut self, tasks: u32) -> Self {
        self.tasks_max = Some(tasks);
        self
    }

    /// How long a task may take from when it is begun. Then its worker is killed, and it fails with
    /// [`TimedOut`](crate::process::Failure::TimedOut).
    #[must_use]
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// A registered function that each worker calls before its first task. Its argument may contain what [`ipc`] has, which
    /// a task's may not: all workers share it. If it panics or returns an error, the pool is
    /// broken: all that waits fails, and nothing more is taken.
    #[must_use]
    pub fn initializer<A: Serialize, R>(mut self, function: impl Fn(A) -> R + Copy, argument: A) -> Self {
        let (encoded, handles) = ipc::pack(|| postcard::to_allocvec(&argument));
        ipc::give_away(argument);
        let argument = encoded.map_err(|error| Error::Encoding(error.to_string()));
        let name = name_of(&function);
        let function = Function::index(name).ok_or(Error::NotRegistered(name));
        self.initializer = Some(function.and_then(|function| Ok(Initializer { function, argument: argument? })));
        self.handles = handles;
        self
    }

    /// How workers are started; else as [`get_start_method`] says. By [`StartMethod::Fork`] they are copies of this process
    /// as it is when the pool is built, which then may not have other threads.
    #[doc(alias = "mp_context")]
    #[must_use]
    pub fn method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// The pool. No worker is started yet.
    ///
    /// # Errors
    /// [`Error::Setting`]: a number is zero, or more workers than [`WORKERS_MAX`]. What is wrong with the initializer.
    /// [`Error::Threads`] by [`StartMethod::Fork`]. [`Error::Os`].
    pub fn build(self) -> Result<ProcessPool, Error> {
        if self.workers == 0 || self.workers > WORKERS_MAX {
            return Err(Error::Setting("the number of workers"));
        }
        if self.capacity == 0 {
            return Err(Error::Setting("the capacity"));
        }
        if self.tasks_max == Some(0) {
            return Err(Error::Setting("the number of tasks of a worker"));
        }
        let method = self.method.unwrap_or_else(get_start_method);
        let template = match method {
            StartMethod::Fork => Some(Arc::new(server::Server::copy()?)),
            _ => None,
        };
        install_hook();
        let shared = Arc::new(Shared {
            plan: Plan {
                name: self.name,
                workers: self.workers,
                capacity: self.capacity,
                tasks_max: self.tasks_max,
                limit: self.limit,
                initializer: self.initializer.transpose()?,
                handles: self.handles,
                method,
                template,
            },
            state: Mutex::default(),
            room: Condvar::new(),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        });
        let driver = Driver::new(shared.clone());
        let driver = std::thread::Builder::new().name("tidemill-pool".into()).spawn(|| driver.run())?;
        Ok(ProcessPool { shared, driver_id: driver.thread().id(), driver: Mutex::new(Some(driver)) })
    }
}
