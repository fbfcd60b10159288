//! Who is told what came of a task.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::super::Failure;
use crate::threads::{Entry, Exception, Future, Started};

/// What came of a task: its result's bytes, or why there is none.
pub(crate) type Reply<'a> = Result<&'a [u8], Failure>;

/// Who is told.
pub(crate) enum Ticket {
    /// A future that can be cancelled yet.
    Waiting(Entry),
    /// A future.
    Begun(Started),
    /// Whoever gathers the parts of a map: this one.
    Part(Arc<dyn Gather>, usize),
}

/// See [`Ticket::Part`].
pub(crate) trait Gather: Send + Sync {
    fn deliver(&self, part: usize, reply: Reply<'_>);

    /// Nobody waits for it any more, so that it need not be begun.
    fn is_unwanted(&self) -> bool {
        false
    }
}

thread_local! {
    /// What the closure of the future that this thread is about to end will find.
    static REPLY: RefCell<(Vec<u8>, Option<Failure>)> = const { RefCell::new((Vec::new(), None)) };
}

/// A future of a task that runs elsewhere, and its ticket. `decode` makes the value of the reply's bytes.
pub(crate) fn future<T: Send + 'static>(
    home: usize,
    decode: impl FnOnce(&[u8]) -> Result<T, Failure> + Send + 'static,
) -> (Option<Ticket>, Future<T>) {
    let take = || {
        let result = REPLY.with_borrow_mut(|(bytes, failure)| match failure.take() {
            Some(failure) => Err(failure),
            None => decode(bytes),
        });
        result.unwrap_or_else(|failure| resume_unwind(Box::new(Exception::from(failure))))
    };
    let (entry, future) = Future::elsewhere(take, home);
    (entry.map(Ticket::Waiting), future)
}

/// The one value of a reply.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    postcard::from_bytes(bytes).map_err(|error| Failure::Encoding(error.to_string()))
}

impl Ticket {
    /// The task goes to a worker; `None`: it was cancelled.
    pub(crate) fn begin(self) -> Option<Self> {
        match self {
            Self::Waiting(entry) => entry.start().map(Self::Begun),
            Self::Part(whole, _) if whole.is_unwanted() => None,
            begun => Some(begun),
        }
    }

    /// Whether it is this future's.
    pub(crate) fn is_of(&self, id: usize) -> bool {
        match self {
            Self::Waiting(entry) => entry.id() == id,
            Self::Begun(started) => started.id() == id,
            Self::Part(..) => false,
        }
    }

    /// Tells what came of it. Callbacks are called here.
    pub(crate) fn deliver(self, reply: Reply<'_>) {
        let Some(begun) = self.begin() else { return };
        // A result that nobody wants may panic when it is dropped: the hook has told of it.
        let _ = catch_unwind(AssertUnwindSafe(|| match begun {
            Self::Part(whole, part) => whole.deliver(part, reply),
            Self::Begun(started) => {
                REPLY.with_borrow_mut(|(bytes, failure)| {
                    bytes.clear();
                    bytes.shrink_to(64 << 10);
                    match reply {
                        Ok(body) => bytes.extend_from_slice(body),
                        Err(why) => *failure = Some(why),
                    }
                });
                started.end();
            }
            Self::Waiting(_) => {}
        }));
    }
}
