//! Requests of ours that wait for their answer.

use super::{Error, Event, Link};
use crate::frame::{Flags, Kind};
use crate::time::{Duration, Instant};

/// Names a request of ours: a slot and the generation of its occupant. `Copy`; stale once it was answered or given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CallId(pub(super) u32);

/// Names a request of the peer's: what its response has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId(pub(super) u32);

/// A slot for a request of ours: 16 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    deadline: Instant,
    id: u32,
    channel: u8,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Free,
    Waiting,
    /// Its time is over, which has not been told yet.
    Expired,
    /// The peer has not been told yet that it need not answer.
    Cancelled,
}

/// The time that never comes.
pub(super) const NEVER: Instant = Instant::from_ticks(u64::MAX);

impl Call {
    pub(super) const FREE: Self = Self { deadline: NEVER, id: 0, channel: 0, life: Life::Free };
}

/// See the methods of the same names. Nothing but [`call`](Link::call) names them, so that they are not in a program that
/// makes no calls.
pub(super) struct Ways {
    pub(super) tend: fn(&mut Link<'_>),
    pub(super) next_expired: fn(&mut Link<'_>) -> Option<Event>,
    pub(super) next_deadline: fn(&Link<'_>) -> Instant,
}

static WAYS: Ways = Ways {
    tend: |link| link.tend_calls(),
    next_expired: |link| link.next_expired(),
    next_deadline: |link| link.next_deadline(),
};

impl Link<'_> {
    /// Takes a slot for a request, whose answer has to be there within `timeout` of the time that the link was told last. It
    /// is sent by [`send`](Link::send) as [`Post::Request`](super::Post::Request). O(calls).
    ///
    /// # Errors
    /// [`Error::Full`] if every slot is taken.
    pub fn call(&mut self, channel: u8, timeout: Option<Duration>) -> Result<CallId, Error> {
        let deadline = timeout.map_or(NEVER, |timeout| self.state.now + timeout);
        self.state.calls = Some(&WAYS);
        for (index, call) in self.calls.iter_mut().enumerate() {
            if call.life == Life::Free {
                let generation = (call.id >> 8).wrapping_add(1);
                *call = Call { deadline, id: generation << 8 | index as u32, channel, life: Life::Waiting };
                return Ok(CallId(call.id));
            }
        }
        Err(Error::Full)
    }

    /// Gives a request up: its answer will not be read, and the peer is told. Whether it was still waiting. O(1).
    pub fn cancel(&mut self, id: CallId) -> bool {
        self.waiting(id).is_some_and(|call| {
            call.life = Life::Cancelled;
            true
        })
    }

    /// What is left of the time for a request, in milliseconds, rounded up; 0 if there is no end to it, or none within 71
    /// minutes.
    pub(super) fn left_ms(&mut self, id: CallId) -> Option<u32> {
        let now = self.state.now;
        let deadline = self.waiting(id)?.deadline;
        // In 32 bits, where a small processor can divide.
        let left_us = u32::try_from(deadline.as_ticks().saturating_sub(now.as_ticks()));
        Some(left_us.map_or(0, |left_us| left_us / 1000 + 1))
    }

    fn waiting(&mut self, id: CallId) -> Option<&mut Call> {
        let call = self.calls.get_mut((id.0 & 0xFF) as usize)?;
        (call.id == id.0 && call.life == Life::Waiting).then_some(call)
    }

    /// Whether an answer is still wanted.
    pub(super) fn wanted(&mut self, id: CallId) -> bool {
        self.waiting(id).is_some()
    }

    /// The answer has been read.
    pub(super) fn answered(&mut self, id: CallId) {
        if let Some(call) = self.waiting(id) {
            call.life = Life::Free;
        }
    }

    /// Lets requests expire, and tells the peer of those that were given up, as far as there is room.
    fn tend_calls(&mut self) {
        for index in 0..self.calls.len() {
            let Some(&Call { deadline, id, channel, life }) = self.calls.get(index) else { return };
            let next = match life {
                Life::Waiting if deadline <= self.state.now => Life::Expired,
                Life::Cancelled => {
                    let whole = Flags::START.with(Flags::END);
                    match self.send_frame(channel, Kind::Cancel, whole, [&id.to_le_bytes(), &[]]) {
                        Err(nb::Error::WouldBlock) => Life::Cancelled,
                        _ => Life::Free,
                    }
                }
                life => life,
            };
            if let Some(call) = self.calls.get_mut(index) {
                call.life = next;
            }
        }
    }

    fn next_expired(&mut self) -> Option<Event> {
        let call = self.calls.iter_mut().find(|call| call.life == Life::Expired)?;
        call.life = Life::Cancelled;
        Some(Event::Expired(CallId(call.id)))
    }

    fn next_deadline(&self) -> Instant {
        let waiting = self.calls.iter().filter(|call| call.life == Life::Waiting);
        waiting.map(|call| call.deadline).min().unwrap_or(NEVER)
    }
}
