//! The programs that a scenario's hosts can run: small, complete, and checked byte by byte.
//!
//! A server serves for ever. A client comes to an end, which it leaves in a place that survives its host's crashes: see
//! [`End`]. What a client is to do over one connection is a [`Talk`]; that it comes back after a connection broke, with a
//! pause, is the same for all of them. Nothing here knows that it is simulated.

pub(super) mod client;
pub(super) mod club;
pub(super) mod download;
pub(super) mod echo;
pub(super) mod greet;
pub(super) mod serial;
pub(super) mod server;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How a client ended: well, or not.
pub(super) type Outcome = Result<(), String>;

/// Where a client leaves how it ended. It is outside of its host, and so outlives a crash.
#[derive(Clone)]
pub(super) struct End {
    outcome: Rc<RefCell<Option<Outcome>>>,
    open: Rc<Cell<usize>>,
}

impl End {
    /// One more that has not come; `open` counts those.
    pub(super) fn new(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self { outcome: Rc::default(), open: Rc::clone(open) }
    }

    /// It has come. The first time counts.
    pub(super) fn come(&self, outcome: Outcome) {
        let mut place = self.outcome.borrow_mut();
        if place.is_none() {
            *place = Some(outcome);
            self.open.set(self.open.get() - 1);
        }
    }

    pub(super) fn has_come(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }
}
