//! Where everything that happens is told: the trace, and the oracles that watch.

use core::any::Any;

use smoltcp::phy::Medium;
use tidemill_core::time::Instant;

use super::{Error, HostId};
use crate::oracle::{Oracle, Seen};
use crate::trace::{Frame, Kind, Trace};

/// The trace and the oracles of one world.
pub(super) struct Record {
    pub(super) trace: Trace,
    pub(super) medium: Medium,
    /// What is sent now comes from the world, not from a host.
    pub(super) forging: bool,
    oracles: Vec<Box<dyn Oracle>>,
    /// What the first objection is.
    objection: Option<Error>,
}

impl Record {
    pub(super) fn new(trace: Trace, medium: Medium) -> Self {
        Self { trace, medium, forging: false, oracles: Vec::new(), objection: None }
    }

    /// Tells what happened to a host, or to a frame that it sent or received. Returns the event's number.
    pub(super) fn add(&mut self, at: Instant, kind: Kind, host: HostId, peer: Option<HostId>, frame: Frame<'_>) -> u64 {
        if !self.oracles.is_empty() && kind != Kind::Turn && self.objection.is_none() {
            let bytes = match frame {
                Frame::Bytes(bytes) | Frame::Changed(bytes, _) | Frame::Again(bytes, _) => bytes,
                Frame::Len(_) => &[],
            };
            let seen = Seen { at, kind, host, peer, frame: bytes, medium: self.medium, forged: self.forging };
            for oracle in &mut self.oracles {
                if let Err(what) = oracle.see(&seen) {
                    self.objection = Some(Error::Broken { oracle: oracle.name(), what });
                    break;
                }
            }
        }
        self.pass(at, kind, host, peer, frame)
    }

    /// As [`Record::add`], for what only passes through a switch: no host sent or received it, so no oracle is told.
    pub(super) fn pass(
        &mut self,
        at: Instant,
        kind: Kind,
        host: HostId,
        peer: Option<HostId>,
        frame: Frame<'_>,
    ) -> u64 {
        self.trace.add(at, kind, host, peer, frame)
    }

    pub(super) fn watch(&mut self, oracle: Box<dyn Oracle>) {
        self.oracles.push(oracle);
    }

    pub(super) fn oracle<O: Oracle>(&self) -> Option<&O> {
        self.oracles.iter().find_map(|oracle| (&**oracle as &dyn Any).downcast_ref())
    }

    /// The first objection, as long as the world exists.
    pub(super) fn objection(&self) -> Option<Error> {
        self.objection.clone()
    }
}
