//! Oracles: what must hold in every world, whatever goes wrong there.
//!
//! An [`Oracle`] watches what happens, frame by frame, and objects; [`World::watch`](crate::world::World::watch) takes one,
//! and its first objection ends the run. What an objection says begins with the oracle's name in brackets, and by that
//! name a failure is recognised while it is [shrunk](crate::shrink). Others are asked at the end of a run.
//!
//! | oracle | what it holds true |
//! |---|---|
//! | [`Wire`] | TCP as it is seen on the wire: nothing is acknowledged that was not sent, no window overrun, ... |
//! | [`Http`] | one response to each request, the range that was asked for, the length that was announced |
//! | [`Stream`] | what is received is what was sent, byte for byte |
//! | [`Ledger`] | nothing is done twice that was asked for once, and answers are answers to what was asked |
//! | [`Baseline`] | when all is quiet, hosts use no more than they did at the start |
//! | [`liveness`] | when nothing goes wrong any more, everything comes to its end |
//!
//! [`check`](crate::check::check) has [`Wire`] watch in every world. A sweep in which nothing interesting happened proves
//! nothing: [`expect_all`] has it fail unless each kind of fault, and each of the things TCP does about them, was seen.
//!
//! ```
//! use tidemill_sim::oracle::{Oracle, Seen};
//! use tidemill_sim::trace::Kind;
//! use tidemill_sim::world::{Error, World};
//!
//! /// Nobody may lose power before its time.
//! struct NoCrash;
//! impl Oracle for NoCrash {
//!     fn name(&self) -> &'static str {
//!         "power"
//!     }
//!     fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
//!         if seen.kind == Kind::Crash { Err(format!("{} has crashed", seen.host)) } else { Ok(()) }
//!     }
//! }
//!
//! # use tidemill_core::time::{EPOCH, Instant};
//! # use tidemill_sim::{fault::Fault, frame::Nic, world::Node};
//! # struct Idle;
//! # impl Node for Idle { fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> { None } }
//! let mut world = World::new(7);
//! world.watch(NoCrash);
//! let host = world.node("host", [10, 0, 0, 1].into(), |_| Box::new(Idle))?;
//! world.schedule(Fault::Crash { host, at: EPOCH, off_for: None })?;
//! assert_eq!(world.step().unwrap_err().to_string(), "[power] h0 has crashed");
//! # Ok::<(), Error>(())
//! ```

mod baseline;
mod http;
mod ledger;
mod marks;
mod segment;
mod stream;
mod wire;

pub use baseline::{Baseline, liveness};
pub use http::Http;
pub use ledger::Ledger;
pub use marks::{expect_all, expect_faults, expect_tcp};
pub use stream::Stream;
pub use wire::{Counts, Wire};

use core::any::Any;

use smoltcp::phy::Medium;
use tidemill_core::time::Instant;

use crate::trace::Kind;
use crate::world::HostId;

/// Something that watches a world and may object.
pub trait Oracle: Any {
    /// Its name, by which its failures are recognised. Short, and without brackets.
    fn name(&self) -> &'static str;

    /// Sees what happens to a host, or to a frame that a host sent or received; turns, and what passes through a switch,
    /// are not shown.
    ///
    /// # Errors
    /// Its objection, in words.
    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String>;
}

/// What an [`Oracle`] sees.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: Kind,
    /// To which host, or at which end of a link.
    pub host: HostId,
    /// The host, or the switch, at the other end of the link, for what happens on one.
    pub peer: Option<HostId>,
    /// The frame, if there is one; when it is sent, as it is sent; when it arrives, as it arrives.
    pub frame: &'a [u8],
    /// What frames are.
    pub medium: Medium,
    /// No host sent this, but the world: see [`Fault::Reset`](crate::fault::Fault::Reset).
    pub forged: bool,
}

impl Seen<'_> {
    /// A host offers a frame to a link, whatever becomes of it there.
    pub fn is_sent(&self) -> bool {
        let kinds = [Kind::Sent, Kind::DroppedDown, Kind::DroppedQueue, Kind::DroppedLoss, Kind::DroppedLong];
        kinds.contains(&self.kind) || self.kind == Kind::Reset
    }
}
