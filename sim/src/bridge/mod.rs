//! An emulated machine as one host of a world: firmware in the loop.
//!
//! The machine's Ethernet ends in a stream to here, and its time comes from here: [`lockstep`] says how the two take turns. So
//! a run with a machine in it is as repeatable as any other: the same seed gives the same trace hash, however long the emulator
//! takes. A crash of the host leaves the machine alone; its next boot resets it. Whoever does not answer within
//! [`PATIENCE`] fails the run with [`Error::Machine`]; a wall clock decides about nothing else.
//!
//! What the firmware's program tells as events can be held against the same program on a simulated host, in a world of the
//! same seed and faults: `tests/tests/firmware_in_the_loop.rs` does that.
//!
//! ```no_run
//! use tidemill_core::time::{Duration, EPOCH};
//! use tidemill_sim::bridge::{Machine, Qemu};
//! use tidemill_sim::link::Link;
//! use tidemill_sim::world::World;
//! # struct Server;
//! # impl<S> tidemill_core::executor::Program<S> for Server {
//! #     fn turn(&mut self, _: tidemill_core::time::Instant, _: &mut S) -> Option<tidemill_core::time::Instant> { None }
//! # }
//!
//! let machine = Machine::qemu(&Qemu::mps2_an385("firmware.elf".as_ref()))?;
//! for seed in 0..200 {
//!     let mut world = World::ethernet(seed);
//!     let server = world.host("server", [10, 0, 0, 1], |_| Server)?;
//!     let board = world.machine("board", [10, 0, 0, 2].into(), &machine, "http://10.0.0.1/file")?;
//!     world.link(board, server, Link::new().loss_ppm(10_000))?;
//!     world.run_until(EPOCH + Duration::from_secs(60))?;
//!     println!("{seed}: {:016x} {:?}", world.hash(), machine.take_events());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`lockstep`]: tidemill_core::net::lockstep

mod qemu;
#[cfg(test)]
mod tests;

pub use qemu::Qemu;

use core::net::Ipv4Addr;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use smoltcp::phy::Medium;
use tidemill_core::net::lockstep::{ARGUMENT_MAX, Boot as Given, Control, Event, FRAMES_MAX};
use tidemill_core::time::Instant;

use crate::frame::Nic;
use crate::world::{Error, HostId, Node, World};

/// How long a machine may take for an answer, by the wall clock: it hangs, or its emulator does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest frame that is taken from the stream; QEMU sends none longer.
const FRAME_MAX: usize = 4096;

/// How many frames a machine may send after one grant. More, and it never ends.
const SENT_MAX: usize = 4096;

/// Bytes of frames before one grant, with 64 for what their controller keeps with each: QEMU's LAN9118 holds 10,560.
const BATCH_MAX: usize = 9600;

/// What a machine's program told, when, and in which of its lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// How often the machine had booted before.
    pub epoch: u32,
    /// When, by the clock of its host.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// How a machine is made to start anew.
type Reset = Box<dyn FnMut() -> io::Result<()>>;

struct Inner {
    stream: UnixStream,
    reset: Reset,
    told: Vec<Told>,
}

/// A machine: one life in one world at a time. Cloning shares it.
#[derive(Clone)]
pub struct Machine(Rc<RefCell<Inner>>);

impl Machine {
    /// A machine whose Ethernet frames come and go by this stream, each after its length in 4 bytes, the first the highest (as
    /// QEMU's `-netdev stream` has it). `reset` switches it off and on: then it says `Hello`.
    ///
    /// # Errors
    /// The stream takes no time limit.
    pub fn over(stream: UnixStream, reset: impl FnMut() -> io::Result<()> + 'static) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(Rc::new(RefCell::new(Inner { stream, reset: Box::new(reset), told: Vec::new() }))))
    }

    /// What its program has told since this was asked.
    pub fn take_events(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.borrow_mut().told)
    }

    /// Whether its program has told something of this kind: an event's first number.
    pub fn has_told(&self, kind: u32) -> bool {
        self.0.borrow().told.iter().any(|told| told.event[0] == kind)
    }
}

impl Inner {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(&(frame.len() as u32).to_be_bytes())?;
        self.stream.write_all(frame)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > FRAME_MAX {
            return Err(io::Error::other(format!("a frame of {len} bytes")));
        }
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// Switches it on, and returns when it wants to be turned.
    fn boot(&mut self, given: &Given) -> io::Result<Option<Instant>> {
        (self.reset)()?;
        // What it said before it was reset is of its life before.
        while Control::read(&self.receive()?) != Some(Control::Hello) {}
        self.send(&Control::Boot(given.clone()).frame([0xFF; 6]))?;
        match Control::read(&self.receive()?) {
            Some(Control::Done { next, .. }) => Ok(next),
            other => Err(io::Error::other(format!("{other:?} from a machine that boots"))),
        }
    }
}

/// A machine's life, as a node.
struct Life {
    machine: Machine,
    given: Given,
    /// It is on, or why it is not.
    state: io::Result<()>,
}

impl Life {
    fn begin(machine: &Machine, given: Given) -> Self {
        let state = machine.0.borrow_mut().boot(&given).map(drop);
        Self { machine: machine.clone(), given, state }
    }

    /// Lets the machine do all that it can do at `now`.
    fn grant(&mut self, now: Instant, nic: &mut Nic) -> io::Result<Option<Instant>> {
        let mut machine = self.machine.0.borrow_mut();
        loop {
            let (mut frames, mut bytes) = (0, 0);
            while let Some(frame) = nic.peek() {
                bytes += frame.len() + 64;
                if usize::from(frames) == FRAMES_MAX || frames > 0 && bytes > BATCH_MAX {
                    break;
                }
                nic.receive_with(|frame| machine.send(frame)).transpose()?;
                frames += 1;
            }
            machine.send(&Control::Grant { now, frames }.frame(self.given.mac))?;
            let mut sent = 0;
            let next = loop {
                let frame = machine.receive()?;
                match Control::read(&frame) {
                    Some(Control::Done { next, lost: 0, frames, events }) if usize::from(frames) == sent => {
                        let epoch = self.given.epoch;
                        machine.told.extend(events.iter().map(|&event| Told { epoch, at: now, event }));
                        break next;
                    }
                    None if sent < SENT_MAX => {
                        sent += 1;
                        // One that the card does not take is lost, as on a stalled one.
                        let _ = nic.send_with(frame.len(), |bytes| bytes.copy_from_slice(&frame));
                    }
                    other => return Err(io::Error::other(format!("{other:?} after {sent} frames of a machine"))),
                }
            };
            // What did not fit arrives next, at the same time.
            if nic.peek().is_none() {
                return Ok(next);
            }
        }
    }
}

impl Node for Life {
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
        let state = std::mem::replace(&mut self.state, Ok(()));
        state.and_then(|()| self.grant(now, nic)).unwrap_or_else(|error| {
            nic.fail(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("no answer for {PATIENCE:?}"),
                _ => error.to_string(),
            });
            None
        })
    }
}

impl World {
    /// Adds a machine outside of this world as a host of it; it boots at the next step, with this argument for its program.
    ///
    /// # Errors
    /// [`Error::NotEthernet`], [`Error::NameTaken`], [`Error::AddressTaken`], [`Error::NoHostAddress`].
    ///
    /// # Panics
    /// The argument is longer than [`ARGUMENT_MAX`].
    pub fn machine(
        &mut self,
        name: &str,
        address: Ipv4Addr,
        machine: &Machine,
        argument: &str,
    ) -> Result<HostId, Error> {
        if self.medium() != Medium::Ethernet {
            return Err(Error::NotEthernet);
        }
        let argument = heapless::Vec::<u8, ARGUMENT_MAX>::from_slice(argument.as_bytes()).expect("a short argument");
        let machine = machine.clone();
        self.node(name, address.into(), move |boot| {
            let given = Given {
                now: boot.now,
                seed: boot.seed,
                epoch: boot.epoch,
                mac: boot.host.mac(),
                address,
                argument: argument.clone(),
            };
            Box::new(Life::begin(&machine, given))
        })
    }
}
