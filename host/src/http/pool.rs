//! Connections kept for the next request to the same place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::request::Target;

/// The most connections that are kept; the one unused for longest has to go.
pub const IDLE_MAX: usize = 16;

/// The most of them that are kept for one place.
pub const IDLE_PER_ORIGIN: usize = 4;

/// How long one is kept: servers mostly give up before a minute is over.
pub const IDLE_TIME: Duration = Duration::from_secs(30);

/// What a connection leads to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What is at its end.
    pub(super) target: Arc<Target>,
    /// The proxy on the way, and its credentials: who may use it.
    pub(super) via: Option<String>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.target.same_server(&other.target) && self.via == other.via
    }
}

/// Shared by an opener and the responses that still read from its connections.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<VecDeque<(Place, Instant, Box<Connection>)>>,
}

impl Pool {
    /// The one used last of those that lead there and still seem to live.
    pub(super) fn take(&self, place: &Place) -> Option<Box<Connection>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.retain(|(_, since, _)| now.duration_since(*since) < IDLE_TIME);
        while let Some(at) = idle.iter().rposition(|(kept, ..)| kept == place) {
            let (_, _, connection) = idle.remove(at)?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection that can carry another request.
    pub(super) fn put(self: &Arc<Self>, place: Place, connection: Box<Connection>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let same = idle.iter().filter(|(kept, ..)| *kept == place).count();
        if same >= IDLE_PER_ORIGIN
            && let Some(at) = idle.iter().position(|(kept, ..)| *kept == place)
        {
            idle.remove(at);
        } else if idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back((place, Instant::now(), connection));
    }
}
