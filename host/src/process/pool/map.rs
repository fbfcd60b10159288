//! A registered function over all that an iterator yields.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::pool::Failure as Ended;

use super::super::{Failure, lock, name_of};
use super::frame::{self, MANY};
use super::ticket::{self, Gather, Reply, Ticket, decode};
use super::{IfFull, ProcessPool, call_back, encode, refused};
use crate::threads::{Exception, Future, SubmitError};

/// For each of several arguments of one task.
pub(crate) type Results<R> = Vec<Result<R, Failure>>;

impl ProcessPool {
    /// Calls the function for all items, and waits for all results. Items go in chunks, four for each worker. All are done
    /// even if some fail; with several arguments an item is a tuple.
    ///
    /// # Errors
    /// The first failure, in the order of the items. The items of a chunk whose worker dies fail together.
    #[doc(alias = "starmap")]
    pub fn map<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Ended<Exception>> {
        self.map_async(function, items, |_| (), |_| ()).map_err(refused)?.result(None)
    }

    /// As [`map`](Self::map), with so many items in a task.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    ///
    /// # Panics
    /// If `chunksize` is zero.
    pub fn map_chunks<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        items: impl IntoIterator<Item = A>,
        chunksize: usize,
    ) -> Result<Vec<R>, Ended<Exception>> {
        let items: Vec<A> = items.into_iter().collect();
        self.gather(name_of(&function), items, chunksize, |_| ()).map_err(refused)?.result(None)
    }

    /// As [`map`](Self::map), but returns as soon as all tasks are taken (it waits while the pool is full), and calls one of
    /// these once, with all results or the first failure, in the pool's own thread.
    ///
    /// # Errors
    /// [`SubmitError`]: the pool is closed or broken.
    #[doc(alias = "starmap_async")]
    pub fn map_async<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        items: impl IntoIterator<Item = A>,
        callback: impl FnOnce(&Vec<R>) + Send + 'static,
        error_callback: impl FnOnce(Ended<Exception>) + Send + 'static,
    ) -> Result<Future<Vec<R>>, SubmitError<()>> {
        let items: Vec<A> = items.into_iter().collect();
        let chunksize = items.len().div_ceil(4 * self.workers()).max(1);
        self.gather(name_of(&function), items, chunksize, |future| call_back(future, callback, error_callback))
    }

    fn gather<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
        items: Vec<A>,
        chunksize: usize,
        begin: impl FnOnce(&Future<Vec<R>>),
    ) -> Result<Future<Vec<R>>, SubmitError<()>> {
        assert!(chunksize > 0, "a chunk has at least one item");
        let parts = items.len().div_ceil(chunksize);
        let whole = Arc::new(Whole::<R> {
            parts: Mutex::new(Parts { results: (0..parts).map(|_| None).collect(), left: parts, ticket: None }),
        });
        let (ticket, future) = ticket::future(self.home(), {
            let whole = whole.clone();
            move |_| whole.take()
        });
        begin(&future);
        // It cannot be cancelled: parts of it run.
        let begun = ticket.and_then(Ticket::begin);
        if parts == 0 {
            if let Some(ticket) = begun {
                ticket.deliver(Ok(&[]));
            }
            return Ok(future);
        }
        lock(&whole.parts).ticket = begun;
        for (part, chunk) in items.chunks(chunksize).enumerate() {
            if let Err(why) = self.enter(IfFull::Wait) {
                for missing in part..parts {
                    whole.deliver(missing, Err(Failure::ShutDown));
                }
                return if part == 0 { Err(why) } else { Ok(future) };
            }
            let frame = encode(name, MANY, |into| arguments(into, chunk));
            self.push(name, frame, self.shared.plan.limit, Ticket::Part(whole.clone(), part));
        }
        Ok(future)
    }

    /// The results for all items in their order, as they come. Items are taken as results are asked for: twice the workers
    /// tasks are ahead, of `chunksize` items each. A failed item is an error, and those after it still come.
    ///
    /// # Panics
    /// If `chunksize` is zero.
    pub fn imap<A, R, I, F>(&self, function: F, items: I, chunksize: usize) -> Imap<'_, I::IntoIter, R>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
        F: Fn(A) -> R + Copy,
    {
        let mut imap = Imap {
            source: Source::new(self, name_of(&function), items, chunksize),
            ahead: VecDeque::new(),
            ready: Vec::new().into_iter(),
        };
        imap.fill();
        imap
    }

    /// As [`imap`](Self::imap), but in the order in which the tasks end.
    ///
    /// # Panics
    /// If `chunksize` is zero.
    pub fn imap_unordered<A, R, I, F>(
        &self,
        function: F,
        items: I,
        chunksize: usize,
    ) -> ImapUnordered<'_, I::IntoIter, R>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
        F: Fn(A) -> R + Copy,
    {
        let (whom, told) = mpsc::channel();
        let mut imap = ImapUnordered {
            source: Source::new(self, name_of(&function), items, chunksize),
            ahead: 0,
            tell: Arc::new(Tell { whom, unwanted: AtomicBool::new(false) }),
            told,
            ready: Vec::new().into_iter(),
        };
        imap.fill();
        imap
    }
}

/// The arguments of a task with several.
pub(crate) fn arguments<A: Serialize>(into: &mut Vec<u8>, items: &[A]) -> Result<(), postcard::Error> {
    items.iter().try_for_each(|item| {
        frame::write(into, 0, |into| frame::value(into, item)).map_err(|_| postcard::Error::SerializeBufferFull)
    })
}

/// The results of such a task, of which there are `count` if nothing went wrong.
pub(crate) fn results<R: DeserializeOwned>(mut bytes: &[u8]) -> Results<R> {
    std::iter::from_fn(|| {
        let (what, body) = frame::next(&mut bytes)?;
        Some(frame::reply(what, body).and_then(decode))
    })
    .collect()
}

/// What all parts of a map bring together.
struct Whole<R> {
    parts: Mutex<Parts<R>>,
}

struct Parts<R> {
    results: Vec<Option<Results<R>>>,
    left: usize,
    ticket: Option<Ticket>,
}

impl<R> Whole<R> {
    fn take(&self) -> Result<Vec<R>, Failure> {
        std::mem::take(&mut lock(&self.parts).results).into_iter().flatten().flatten().collect()
    }
}

impl<R: DeserializeOwned + Send> Gather for Whole<R> {
    fn deliver(&self, part: usize, reply: Reply<'_>) {
        let results = reply.map_or_else(|why| vec![Err(why)], results);
        let ticket = {
            let mut parts = lock(&self.parts);
            let Some(place) = parts.results.get_mut(part) else { return };
            *place = Some(results);
            parts.left -= 1;
            if parts.left > 0 {
                return;
            }
            parts.ticket.take()
        };
        if let Some(ticket) = ticket {
            ticket.deliver(Ok(&[]));
        }
    }
}

/// Items on their way into the pool.
struct Source<'a, I: Iterator> {
    pool: &'a ProcessPool,
    name: &'static str,
    items: Option<I>,
    chunksize: usize,
    /// A chunk for which there was no room.
    held: Option<Vec<I::Item>>,
    /// Why no more are taken.
    refused: Option<Ended<Exception>>,
}

impl<'a, I: Iterator<Item: Serialize>> Source<'a, I> {
    fn new(
        pool: &'a ProcessPool,
        name: &'static str,
        items: impl IntoIterator<IntoIter = I, Item = I::Item>,
        chunksize: usize,
    ) -> Self {
        assert!(chunksize > 0, "a chunk has at least one item");
        Self { pool, name, items: Some(items.into_iter()), chunksize, held: None, refused: None }
    }

    /// How many tasks are ahead of the one whose result is asked for.
    fn ahead_max(&self) -> usize {
        2 * self.pool.workers()
    }

    /// Submits the next chunk, with the ticket that `ticket` makes; `None`: there is none, or no room for it, for which it
    /// `waits` if nothing is ahead.
    fn submit<T>(&mut self, ahead: usize, ticket: impl FnOnce() -> (Option<Ticket>, T)) -> Option<T> {
        if ahead >= self.ahead_max() {
            return None;
        }
        let chunk = self.held.take().or_else(|| {
            let chunk: Vec<I::Item> = self.items.as_mut()?.take(self.chunksize).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let Some(chunk) = chunk else {
            self.items = None;
            return None;
        };
        // If nothing is ahead, others have to make room.
        match self.pool.enter(if ahead == 0 { IfFull::Wait } else { IfFull::Refuse }) {
            Ok(()) => {
                let (ticket, told) = ticket();
                let frame = encode(self.name, MANY, |into| arguments(into, &chunk));
                self.pool.push(self.name, frame, self.pool.shared.plan.limit, ticket?);
                Some(told)
            }
            Err(SubmitError::Full(())) => {
                self.held = Some(chunk);
                None
            }
            Err(why) => {
                (self.items, self.refused) = (None, Some(refused(why)));
                None
            }
        }
    }
}

/// One result after the other, in the order of the items. Dropped, it cancels what has not been begun. See
/// [`ProcessPool::imap`].
#[must_use = "what is not asked for is cancelled"]
pub struct Imap<'a, I: Iterator, R> {
    source: Source<'a, I>,
    ahead: VecDeque<Future<Results<R>>>,
    ready: std::vec::IntoIter<Result<R, Failure>>,
}

impl<I: Iterator<Item: Serialize>, R: DeserializeOwned + Send + 'static> Imap<'_, I, R> {
    fn fill(&mut self) {
        let future = || ticket::future(self.source.pool.home(), |bytes| Ok(results(bytes)));
        while let Some(future) = self.source.submit(self.ahead.len(), future) {
            self.ahead.push_back(future);
        }
    }

    /// The next result, if it comes in time; [`Ended::TimedOut`]: it can be asked for again. `None`: there is no more.
    #[doc(alias = "next")]
    pub fn next_timeout(&mut self, timeout: impl Into<Option<Duration>>) -> Option<Result<R, Ended<Exception>>> {
        let timeout = timeout.into();
        loop {
            if let Some(result) = self.ready.next() {
                return Some(result.map_err(|why| Ended::Failed(why.into())));
            }
            self.fill();
            let Some(future) = self.ahead.front_mut() else { return self.source.refused.take().map(Err) };
            match future.result(timeout) {
                Err(Ended::TimedOut) => return Some(Err(Ended::TimedOut)),
                Ok(results) => {
                    self.ahead.pop_front();
                    self.ready = results.into_iter();
                }
                Err(why) => {
                    self.ahead.pop_front();
                    return Some(Err(why));
                }
            }
            self.fill();
        }
    }
}

impl<I: Iterator<Item: Serialize>, R: DeserializeOwned + Send + 'static> Iterator for Imap<'_, I, R> {
    type Item = Result<R, Ended<Exception>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_timeout(None)
    }
}

impl<I: Iterator, R> Drop for Imap<'_, I, R> {
    fn drop(&mut self) {
        for future in &self.ahead {
            future.cancel();
        }
    }
}

/// One result after the other, in the order in which tasks end. Dropped, it cancels what has not been begun. See
/// [`ProcessPool::imap_unordered`].
#[must_use = "what is not asked for is cancelled"]
pub struct ImapUnordered<'a, I: Iterator, R> {
    source: Source<'a, I>,
    ahead: usize,
    tell: Arc<Tell<R>>,
    told: mpsc::Receiver<Results<R>>,
    ready: std::vec::IntoIter<Result<R, Failure>>,
}

struct Tell<R> {
    whom: mpsc::Sender<Results<R>>,
    unwanted: AtomicBool,
}

impl<R: DeserializeOwned + Send> Gather for Tell<R> {
    fn deliver(&self, _: usize, reply: Reply<'_>) {
        // Who asked may have gone.
        let _ = self.whom.send(reply.map_or_else(|why| vec![Err(why)], results));
    }

    fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Relaxed)
    }
}

impl<I: Iterator<Item: Serialize>, R: DeserializeOwned + Send + 'static> ImapUnordered<'_, I, R> {
    fn fill(&mut self) {
        let tell = self.tell.clone();
        while let Some(()) = self.source.submit(self.ahead, || (Some(Ticket::Part(tell.clone(), 0)), ())) {
            self.ahead += 1;
        }
    }

    /// The next result, if it comes in time; [`Ended::TimedOut`]: it can be asked for again. `None`: there is no more.
    #[doc(alias = "next")]
    pub fn next_timeout(&mut self, timeout: impl Into<Option<Duration>>) -> Option<Result<R, Ended<Exception>>> {
        let timeout = timeout.into();
        loop {
            if let Some(result) = self.ready.next() {
                return Some(result.map_err(|why| Ended::Failed(why.into())));
            }
            self.fill();
            if self.ahead == 0 {
                return self.source.refused.take().map(Err);
            }
            let told = match timeout {
                Some(timeout) => self.told.recv_timeout(timeout).ok(),
                None => self.told.recv().ok(),
            };
            let Some(results) = told else { return Some(Err(Ended::TimedOut)) };
            self.ahead -= 1;
            self.ready = results.into_iter();
        }
    }
}

impl<I: Iterator<Item: Serialize>, R: DeserializeOwned + Send + 'static> Iterator for ImapUnordered<'_, I, R> {
    type Item = Result<R, Ended<Exception>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_timeout(None)
    }
}

impl<I: Iterator, R> Drop for ImapUnordered<'_, I, R> {
    fn drop(&mut self) {
        self.tell.unwanted.store(true, Ordering::Relaxed);
    }
}
