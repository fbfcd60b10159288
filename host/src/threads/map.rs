//! A function over all that an iterator yields, results in order: `Executor.map`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::pool::Failure;

use super::error::SubmitError;
use super::exception::{Exception, catch};
use super::future::{Future, deadline};
use super::pool::ThreadPool;
use super::worker;

/// How [`ThreadPool::map_with`] goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapOptions {
    /// How long all of it may take, from the call; `None`: for ever.
    pub timeout: Option<Duration>,
    /// How many items make one task; at least one. Many, if the function takes less than a few microseconds.
    pub chunksize: usize,
    /// How many tasks are submitted ahead of the one whose result is asked for; at least one. Zero: twice the workers.
    #[doc(alias = "buffersize")]
    pub in_flight: usize,
}

impl Default for MapOptions {
    fn default() -> Self {
        Self { timeout: None, chunksize: 1, in_flight: 0 }
    }
}

type Chunk<T> = Vec<Result<T, Exception>>;

/// The results of a [`ThreadPool::map`], in order, as they come. Dropped, it cancels what has not begun.
///
/// An item whose call panicked yields its exception; those after it still come. After a time-out, or if the pool takes
/// no more, there is one error, and then no more.
#[must_use = "what is not asked for is cancelled"]
pub struct Map<'a, I: Iterator, F, T> {
    pool: &'a ThreadPool,
    items: Option<I>,
    f: Arc<F>,
    chunksize: usize,
    in_flight_max: usize,
    in_flight: VecDeque<Future<Chunk<T>>>,
    /// A chunk for which there was no room.
    held: Option<Vec<I::Item>>,
    ready: std::vec::IntoIter<Result<T, Exception>>,
    deadline: Option<Instant>,
    refused: Option<Failure<Exception>>,
}

impl ThreadPool {
    /// Calls `f` for all that `items` yields, several at once, and yields the results in their order. The first are
    /// submitted before a result is asked for; never more than twice the workers are ahead of the one that is.
    ///
    /// ```
    /// use tidemill_host::threads::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let squares: Result<Vec<u64>, _> = pool.map(1..=4, |n: u64| n * n).collect();
    /// assert_eq!(squares.unwrap(), [1, 4, 9, 16]);
    /// # Ok::<(), tidemill_host::threads::BuildError>(())
    /// ```
    #[doc(alias = "imap")]
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<'_, I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_with(MapOptions::default(), items, f)
    }

    /// As [`map`](Self::map), with a time-out, several items a task, or another bound.
    pub fn map_with<I, F, T>(&self, options: MapOptions, items: I, f: F) -> Map<'_, I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let ahead = if options.in_flight == 0 { 2 * self.workers() } else { options.in_flight };
        let mut map = Map {
            pool: self,
            items: Some(items.into_iter()),
            f: Arc::new(f),
            chunksize: options.chunksize.max(1),
            in_flight_max: ahead,
            in_flight: VecDeque::new(),
            held: None,
            ready: Vec::new().into_iter(),
            deadline: deadline(options.timeout),
            refused: None,
        };
        map.fill();
        map
    }
}

impl<I, F, T> Map<'_, I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    /// Submits until there is enough in flight, no room, or nothing left.
    fn fill(&mut self) {
        while self.in_flight.len() < self.in_flight_max {
            let Some(chunk) = self.next_chunk() else { return };
            match self.pool.shared.enter(1, false, None, chunk) {
                Ok(chunk) => self.submit(chunk),
                Err(refused) => return self.hold(refused),
            }
        }
    }

    /// When nothing is in flight and there is no room: waits for it; inside a task of this pool, works in place.
    fn fill_waiting(&mut self) {
        let Some(chunk) = self.held.take() else { return };
        let inside = worker::is_of(&self.pool.shared);
        match self.pool.shared.enter(1, !inside, self.deadline, chunk) {
            Ok(chunk) => self.submit(chunk),
            Err(SubmitError::Full(chunk)) if inside => self.ready = run(&*self.f, chunk).into_iter(),
            Err(SubmitError::Full(_)) => self.end(Failure::TimedOut),
            Err(refused) => self.hold(refused),
        }
    }

    fn submit(&mut self, chunk: Vec<I::Item>) {
        let f = self.f.clone();
        self.in_flight.push_back(self.pool.submit_let_in(move || run(&*f, chunk)));
    }

    fn next_chunk(&mut self) -> Option<Vec<I::Item>> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        let items = self.items.as_mut()?;
        // Not more than the iterator promises, lest a large chunksize alone takes memory.
        let mut chunk = Vec::with_capacity(self.chunksize.min(items.size_hint().0.max(4)));
        chunk.extend(items.take(self.chunksize));
        if chunk.is_empty() {
            self.items = None;
            return None;
        }
        Some(chunk)
    }

    fn hold(&mut self, refused: SubmitError<Vec<I::Item>>) {
        match refused {
            SubmitError::Full(chunk) => self.held = Some(chunk),
            SubmitError::ShutDown(_) => (self.items, self.refused) = (None, Some(Failure::Cancelled)),
            SubmitError::Broken(_, why) => (self.items, self.refused) = (None, Some(Failure::Failed(why))),
        }
    }

    fn end(&mut self, why: Failure<Exception>) {
        self.cancel();
        (self.items, self.held, self.refused) = (None, None, Some(why));
    }
}

impl<I: Iterator, F, T> Map<'_, I, F, T> {
    fn cancel(&mut self) {
        for future in self.in_flight.drain(..) {
            future.cancel();
        }
    }
}

fn run<A, T>(f: impl Fn(A) -> T, chunk: Vec<A>) -> Chunk<T> {
    chunk.into_iter().map(|item| catch(|| f(item))).collect()
}

impl<I, F, T> Iterator for Map<'_, I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Failure<Exception>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(result) = self.ready.next() {
                return Some(result.map_err(Failure::Failed));
            }
            if self.in_flight.is_empty() {
                self.fill();
            }
            if self.in_flight.is_empty() && self.held.is_some() {
                self.fill_waiting();
                continue;
            }
            let Some(future) = self.in_flight.front_mut() else { return self.refused.take().map(Err) };
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match future.result(left) {
                Ok(chunk) => {
                    self.ready = chunk.into_iter();
                    self.in_flight.pop_front();
                    self.fill();
                }
                Err(why) => self.end(why),
            }
        }
    }
}

impl<I: Iterator, F, T> Drop for Map<'_, I, F, T> {
    fn drop(&mut self) {
        self.cancel();
    }
}
