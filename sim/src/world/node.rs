//! What hosts are to a world: names, factories, and what is behind them.

use core::any::Any;
use core::cell::RefCell;
use core::fmt;
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::rc::Rc;

use smoltcp::phy::Medium;
use tidemill_core::time::{Duration, Instant};

use crate::clock::Clock;
use crate::frame::Nic;
use crate::link::Pipe;

/// Names a host of one world, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct HostId(pub(super) u32);

impl HostId {
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Its number, from 0.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Its hardware address in a world of Ethernet.
    pub const fn mac(self) -> [u8; 6] {
        let [a, b, c, d] = self.0.to_be_bytes();
        // Locally administered, and no group.
        [2, 0, a, b, c, d]
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

/// What a host is made of: anything that takes and sends frames.
///
/// [`World::host`](super::World::host) makes one of a program on a TCP/IP stack; implement it for what brings its own stack.
pub trait Node: Any {
    /// Does all that can be done at `now`: reads the frames that have arrived, sends others. Returns when it must be
    /// turned even if no frame arrives; `None`: never. A time not after `now` means once more at this instant.
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant>;

    /// How many of its sockets, or of whatever else it has a fixed number of, are in use; `None`: it does not count.
    fn in_use(&self) -> Option<usize> {
        None
    }
}

/// A host's flash: what a program wrote there before a crash, it finds there after it. Cloning shares it.
///
/// ```
/// use tidemill_sim::world::Flash;
/// let flash = Flash::default();
/// flash.write(2, b"tide")?;
/// let mut bytes = [0xAA; 8];
/// assert_eq!(flash.read(0, &mut bytes), 6);
/// assert_eq!(bytes, *b"\0\0tide\xAA\xAA");
/// # Ok::<(), tidemill_sim::world::FlashFull>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct Flash(Rc<RefCell<Vec<u8>>>);

/// How many bytes a [`Flash`] holds at most.
pub const FLASH_MAX: usize = 16 << 20;

/// What was to be written lies beyond [`FLASH_MAX`]: nothing of it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlashFull;

impl fmt::Display for FlashFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a flash holds {FLASH_MAX} bytes")
    }
}

impl core::error::Error for FlashFull {}

impl Flash {
    /// Copies what stands from `at` on, and returns how many bytes that were. O(length).
    pub fn read(&self, at: usize, buf: &mut [u8]) -> usize {
        let bytes = self.0.borrow();
        let there = bytes.get(at..).unwrap_or_default();
        let len = there.len().min(buf.len());
        buf[..len].copy_from_slice(&there[..len]);
        len
    }

    /// Writes `data` from `at` on; between the end and `at` are zeros. O(length).
    ///
    /// # Errors
    /// [`FlashFull`].
    pub fn write(&self, at: usize, data: &[u8]) -> Result<(), FlashFull> {
        let end = at.checked_add(data.len()).filter(|&end| end <= FLASH_MAX).ok_or(FlashFull)?;
        let mut bytes = self.0.borrow_mut();
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[at..end].copy_from_slice(data);
        Ok(())
    }

    /// Forgets everything.
    pub fn erase(&self) {
        self.0.borrow_mut().clear();
    }

    /// How many bytes are written, zeros in between included.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Nothing is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a factory is told at each boot.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// Which host boots.
    pub host: HostId,
    /// How often it has booted before.
    pub epoch: u32,
    /// A seed that no other host, and no other boot of this one, has.
    pub seed: u64,
    /// The time.
    pub now: Instant,
    /// The host's address.
    pub address: IpAddr,
    /// What its frames are.
    pub medium: Medium,
    /// What survives a crash.
    pub flash: &'a Flash,
    pub(super) names: &'a BTreeMap<String, u32>,
    pub(super) addresses: &'a [Option<IpAddr>],
}

impl Boot<'_> {
    /// The address of the host with this name. O(log hosts).
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.names.get(name).and_then(|&host| self.addresses[host as usize])
    }
}

pub(super) type Factory = Box<dyn FnMut(Boot<'_>) -> Box<dyn Node>>;

pub(super) struct Host {
    pub(super) name: String,
    pub(super) factory: Factory,
    /// `None` while it is off.
    pub(super) node: Option<Box<dyn Node>>,
    pub(super) nic: Nic,
    pub(super) flash: Flash,
    /// It is a switch: behind which neighbour each hardware address was last seen.
    pub(super) learnt: Option<BTreeMap<[u8; 6], u32>>,
    pub(super) boots: u32,
    pub(super) clock: Clock,
    /// When it wants to be turned, by its own clock.
    pub(super) due: Option<Instant>,
    /// The one entry for it in the queue that counts; never later than `due`. Others are left over, and ignored.
    pub(super) queued: Option<Instant>,
    pub(super) touched: bool,
    /// Pauses under way; they may overlap.
    pub(super) pauses: u32,
    /// It was switched on meanwhile.
    pub(super) boots_late: bool,
    /// Times under way in which its card sends nothing.
    pub(super) stalls: u32,
    /// How long its turns take, by each fault under way that makes it slow; the longest counts.
    pub(super) slow: Vec<Duration>,
    pub(super) busy_until: Instant,
    pub(super) turned_at: Instant,
    pub(super) turns: u32,
    /// The most it ever had in use.
    pub(super) in_use_max: usize,
}

/// What stands for a switch while it is on: it is never turned.
pub(super) struct Switch;

impl Node for Switch {
    fn turn(&mut self, _: Instant, _: &mut Nic) -> Option<Instant> {
        None
    }
}

/// How many hardware addresses a switch remembers at most; frames to others go everywhere.
pub(super) const LEARNT_MAX: usize = 1024;

pub(super) struct Direction {
    pub(super) from: HostId,
    pub(super) to: HostId,
    pub(super) pipe: Pipe,
    /// Connections still to be cut by [`Fault::Reset`].
    pub(super) resets: u32,
}
