//! Serial lines: bytes one after another, some of them wrong, missing, or never sent.
//!
//! A byte on a line is a frame on a [`Link`]: so it takes its time, is drawn by the seed whether it is lost, damaged or
//! comes twice, is in the trace, can be named in a plan, and a failure is shrunk to the bytes that matter. A character has
//! ten bits, a start bit, eight of data and a stop bit; one in four characters with a wrong bit is lost as a whole, as are
//! those whose start or stop bit is wrong on a real line.
//!
//! [`World::serial_host`] takes a [`Program`], which reads and writes a [`Port`]; [`World::serial_line`] joins two such
//! hosts. Whatever speaks over a byte stream runs here: a protocol of frames takes what [`Port::read`] gives, and hands what
//! it has to [`Port::write`].
//!
//! ```
//! use tidemill_core::time::{Duration, EPOCH, Instant};
//! use tidemill_sim::serial::{Line, Port, Program};
//! use tidemill_sim::world::World;
//!
//! /// Says hello at boot, and keeps what it hears.
//! struct Talker(&'static [u8], Vec<u8>);
//! impl Program for Talker {
//!     fn turn(&mut self, _: Instant, port: &mut Port<'_>) -> Option<Instant> {
//!         let sent = port.write(self.0);
//!         self.0 = &self.0[sent..];
//!         let mut buffer = [0; 16];
//!         let read = port.read(&mut buffer);
//!         self.1.extend_from_slice(&buffer[..read]);
//!         None
//!     }
//! }
//!
//! let mut world = World::new(7);
//! let a = world.serial_host("a", |_| Talker(b"hello", vec![]))?;
//! let b = world.serial_host("b", |_| Talker(b"", vec![]))?;
//! world.serial_line(a, b, Line::new(9600))?;
//! while world.step()?.is_some() {}
//! assert_eq!(world.serial_program::<Talker>(b).unwrap().1, b"hello");
//! // Five characters of ten bits at 9600 bits a second, and a microsecond on the way.
//! assert_eq!(world.now(), EPOCH + Duration::from_micros(5_209 + 1));
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```

use core::num::NonZeroU32;

use tidemill_core::net::NoSockets;
use tidemill_core::time::{Duration, Instant};

use crate::frame::Nic;
use crate::link::Link;
use crate::order::Order;
use crate::world::{Boot, Error, HostId, Node, World};

/// Bits on the wire for each byte: a start bit, eight of data, a stop bit.
const BITS: u32 = 10;

/// What a serial line is like, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    baud: NonZeroU32,
    bit_error_ppm: u32,
    lost_ppm: u32,
    inserted_ppm: u32,
}

impl Line {
    /// A line without faults, of so many bits per second; 0 counts as 1.
    pub const fn new(baud: u32) -> Self {
        let baud = match NonZeroU32::new(baud) {
            Some(baud) => baud,
            None => NonZeroU32::MIN,
        };
        Self { baud, bit_error_ppm: 0, lost_ppm: 0, inserted_ppm: 0 }
    }

    /// How many of a million bits are wrong; up to 100,000.
    pub const fn bit_error_ppm(mut self, ppm: u32) -> Self {
        self.bit_error_ppm = ppm;
        self
    }

    /// How many of a million bytes never arrive.
    pub const fn lost_ppm(mut self, ppm: u32) -> Self {
        self.lost_ppm = ppm;
        self
    }

    /// After how many of a million bytes another one comes that nobody sent: a copy, up to 20 ms later.
    pub const fn inserted_ppm(mut self, ppm: u32) -> Self {
        self.inserted_ppm = ppm;
        self
    }

    /// As a link whose frames are single bytes.
    fn link(self) -> Link {
        let bits = u64::from(self.baud.get()) * 8 / u64::from(BITS);
        Link::new()
            .latency(Duration::from_ticks(0))
            .rate_bps(bits.max(1))
            .damage_ppm(self.bit_error_ppm.saturating_mul(BITS))
            .loss_ppm(self.lost_ppm)
            .duplicate_ppm(self.inserted_ppm)
    }
}

/// A host's end of a line.
pub struct Port<'n>(&'n mut Nic);

impl Port<'_> {
    /// For the host's executor: no sockets, and the world's say in the order of its tasks.
    pub fn no_sockets(&mut self) -> NoSockets<&mut Order> {
        self.0.no_sockets()
    }

    /// Takes bytes that have come, and returns how many.
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buf.len() {
            // A character that was lost is an empty frame.
            match self.0.receive_with(|frame| frame.first().copied()) {
                Some(Some(byte)) => {
                    buf[count] = byte;
                    count += 1;
                }
                Some(None) => {}
                None => break,
            }
        }
        count
    }

    /// Sends bytes, and returns how many; less than all when this turn's are taken. They wait for the line.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.iter().take_while(|&&byte| self.0.send_with(1, |frame| frame[0] = byte).is_some());
        taken.count()
    }
}

/// What runs on a host at the end of a line.
pub trait Program {
    /// Does all that can be done at `now`, as [`Node::turn`]: bytes that are not read now are there at the next turn.
    fn turn(&mut self, now: Instant, port: &mut Port<'_>) -> Option<Instant>;
}

struct Serial<P>(P);

impl<P: Program + 'static> Node for Serial<P> {
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
        self.0.turn(now, &mut Port(nic))
    }
}

impl World {
    /// Adds a host that has a serial port and nothing else; it boots at the next step.
    ///
    /// # Errors
    /// [`Error::NameTaken`].
    pub fn serial_host<P: Program + 'static>(
        &mut self,
        name: &str,
        mut make: impl FnMut(Boot<'_>) -> P + 'static,
    ) -> Result<HostId, Error> {
        self.device(name, move |boot| Box::new(Serial(make(boot))))
    }

    /// Joins two hosts that have a serial port, each of which has one line.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::SelfLink`].
    pub fn serial_line(&mut self, a: HostId, b: HostId, line: Line) -> Result<(), Error> {
        self.link(a, b, line.link())
    }

    /// The program of a host with a serial port; `None` when it is off or runs another type.
    pub fn serial_program<P: Program + 'static>(&self, host: HostId) -> Option<&P> {
        self.get::<Serial<P>>(host).map(|serial| &serial.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::trace::Kind;
    use tidemill_core::time::EPOCH;

    /// Sends these bytes as the line takes them, and keeps what comes.
    struct Talker {
        says: Vec<u8>,
        hears: Vec<u8>,
    }

    impl Program for Talker {
        fn turn(&mut self, now: Instant, port: &mut Port<'_>) -> Option<Instant> {
            let sent = port.write(&self.says);
            self.says.drain(..sent);
            let mut buffer = [0; 7];
            loop {
                match port.read(&mut buffer) {
                    0 => break,
                    read => self.hears.extend_from_slice(&buffer[..read]),
                }
            }
            (!self.says.is_empty()).then_some(now)
        }
    }

    const BYTES: usize = 20_000;

    fn said() -> Vec<u8> {
        (0..BYTES).map(|n| (n * 7 + n / 256) as u8).collect()
    }

    /// What the second host hears of what the first says.
    fn heard(mut world: World, line: Line) -> (Vec<u8>, World) {
        let host = |world: &mut World, name: &str, says: Vec<u8>| {
            world.serial_host(name, move |_| Talker { says: says.clone(), hears: vec![] }).unwrap()
        };
        let (a, b) = (host(&mut world, "a", said()), host(&mut world, "b", vec![]));
        world.serial_line(a, b, line).unwrap();
        while world.step().unwrap().is_some() {}
        let hears = world.serial_program::<Talker>(b).unwrap().hears.clone();
        (hears, world)
    }

    #[test]
    fn a_line_without_faults_carries_every_byte_at_its_rate() {
        let (hears, world) = heard(World::new(7), Line::new(115_200));
        assert!(hears == said());
        // 200,000 bits, and a microsecond on the way.
        assert_eq!(world.now(), EPOCH + Duration::from_micros(200_000 * 1_000_000 / 115_200 + 1 + 1));
    }

    #[test]
    fn bits_are_wrong_and_bytes_lost_and_inserted_as_often_as_it_says() {
        let (hears, world) = heard(World::new(7), Line::new(115_200).bit_error_ppm(1_000));
        // One in a hundred characters has a wrong bit; of these one in four is lost.
        let damaged = world.trace().count(Kind::Damaged);
        let lost = BYTES - hears.len();
        assert!((150..250).contains(&damaged) && (25..80).contains(&lost), "{damaged} damaged, {lost} of them lost");
        let (hears, _) = heard(World::new(7), Line::new(115_200).lost_ppm(10_000));
        assert!((150..250).contains(&(BYTES - hears.len())), "{}", hears.len());
        let (hears, _) = heard(World::new(7), Line::new(115_200).inserted_ppm(10_000));
        assert!((150..250).contains(&(hears.len() - BYTES)), "{}", hears.len());
    }

    #[test]
    fn what_happened_to_single_bytes_is_a_plan_that_can_be_replayed() {
        let line = Line::new(9_600).bit_error_ppm(100).lost_ppm(1_000).inserted_ppm(1_000);
        let mut world = World::new(3);
        world.keep_frame_faults();
        let (hears, world) = heard(world, line);
        let plan: Plan = world.plan().to_string().parse().unwrap();
        assert!(plan.faults.len() > 30, "{}", plan.faults.len());
        let (again, replayed) = heard(World::replay(&plan), line);
        assert!(hears != said() && hears == again);
        assert_eq!(replayed.hash(), world.hash());
    }
}
