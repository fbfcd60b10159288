//! What the two ends say to each other: frames of an EtherType that is nobody's, numbers little-endian.

use crate::time::Instant;
use core::net::Ipv4Addr;
use heapless::Vec;
use smoltcp::wire::EthernetAddress;

/// The EtherType for local experiments (IEEE 802, table 2).
const ETHERTYPE: [u8; 2] = [0x88, 0xB5];

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// The longest argument of a machine, in bytes.
pub const ARGUMENT_MAX: usize = 128;

/// How many events one answer tells; more come with the next.
pub const EVENTS_MAX: usize = 16;

/// The longest of these frames.
const FRAME_MAX: usize = 320;

/// One of these frames, with its Ethernet header.
pub type Frame = Vec<u8, FRAME_MAX>;

/// Something that the program has done, as numbers that it gives a meaning: what must be the same in every world.
pub type Event = [u32; 4];

/// What a machine is told when it is switched on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Boot {
    /// The time.
    pub now: Instant,
    /// What makes this life's random numbers, ports and sequence numbers.
    pub seed: u64,
    /// How often it has booted before.
    pub epoch: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its address; every other one is a neighbour's.
    pub address: Ipv4Addr,
    /// What its program is told: a URL, say.
    pub argument: Vec<u8, ARGUMENT_MAX>,
}

/// What goes from one end to the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// The machine is on, and knows nothing.
    Hello,
    /// Who it is.
    Boot(Boot),
    /// It is this late, and the frames that went before have arrived.
    Grant {
        /// The time.
        now: Instant,
        /// How many frames those were.
        frames: u16,
    },
    /// All is done that can be done at that time.
    Done {
        /// When it must be turned again, if nothing arrives; `None`: never.
        next: Option<Instant>,
        /// How many of the frames before the grant have not arrived.
        lost: u16,
        /// How many frames it has sent before this.
        frames: u16,
        /// What its program has done.
        events: Vec<Event, EVENTS_MAX>,
    },
}

const HELLO: u8 = 1;
const BOOT: u8 = 2;
const GRANT: u8 = 3;
const DONE: u8 = 4;

/// No time: never.
const NEVER: u64 = u64::MAX;

impl Control {
    /// As a frame for `to`.
    pub fn frame(&self, to: [u8; 6]) -> Frame {
        let mut out = Frame::new();
        // The longest of them has room: see the test.
        let mut put = |bytes: &[u8]| _ = out.extend_from_slice(bytes);
        put(&to);
        // Both ends are locally administered; nobody answers to this address.
        put(&[2, 0x88, 0xB5, 0, 0, 0]);
        put(&ETHERTYPE);
        match self {
            Self::Hello => put(&[HELLO]),
            Self::Boot(boot) => {
                put(&[BOOT]);
                put(&boot.now.as_ticks().to_le_bytes());
                put(&boot.seed.to_le_bytes());
                put(&boot.epoch.to_le_bytes());
                put(&boot.mac);
                put(&boot.address.octets());
                put(&[boot.argument.len() as u8]);
                put(&boot.argument);
            }
            Self::Grant { now, frames } => {
                put(&[GRANT]);
                put(&now.as_ticks().to_le_bytes());
                put(&frames.to_le_bytes());
            }
            Self::Done { next, lost, frames, events } => {
                put(&[DONE]);
                put(&next.map_or(NEVER, |next| next.as_ticks()).to_le_bytes());
                put(&lost.to_le_bytes());
                put(&frames.to_le_bytes());
                put(&[events.len() as u8]);
                events.iter().flatten().for_each(|number| put(&number.to_le_bytes()));
            }
        }
        out
    }

    /// What a frame says, if it is one of these.
    pub fn read(frame: &[u8]) -> Option<Self> {
        if frame.get(HEADER - 2..HEADER)? != ETHERTYPE {
            return None;
        }
        let mut rest = Rest(frame.get(HEADER..)?);
        Some(match rest.byte()? {
            HELLO => Self::Hello,
            BOOT => {
                let (now, seed) = (Instant::from_ticks(rest.u64()?), rest.u64()?);
                let (epoch, mac, address) = (rest.u32()?, rest.array()?, Ipv4Addr::from(rest.array::<4>()?));
                // So that a stack takes it: a group has no machine.
                let mac = Some(mac).filter(|&mac| EthernetAddress(mac).is_unicast())?;
                let len = rest.byte()?;
                let argument = Vec::from_slice(rest.take(len.into())?).ok()?;
                Self::Boot(Boot { now, seed, epoch, mac, address, argument })
            }
            GRANT => Self::Grant { now: Instant::from_ticks(rest.u64()?), frames: rest.u16()? },
            DONE => {
                let next = Some(rest.u64()?).filter(|&next| next != NEVER).map(Instant::from_ticks);
                let (lost, frames, count) = (rest.u16()?, rest.u16()?, rest.byte()?);
                let mut events = Vec::new();
                for _ in 0..count {
                    events.push([rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?]).ok()?;
                }
                Self::Done { next, lost, frames, events }
            }
            _ => return None,
        })
    }
}

/// What is left to be read.
struct Rest<'f>(&'f [u8]);

impl<'f> Rest<'f> {
    fn take(&mut self, len: usize) -> Option<&'f [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Control; 5] {
        let boot = Boot {
            now: Instant::from_ticks(1 << 40),
            seed: u64::MAX,
            epoch: 3,
            mac: [2, 0, 0, 0, 0, 9],
            address: Ipv4Addr::new(10, 0, 0, 9),
            argument: Vec::from_slice(&[b'x'; ARGUMENT_MAX]).unwrap(),
        };
        let events = Vec::from_slice(&[[1, 2, 3, u32::MAX]; EVENTS_MAX]).unwrap();
        [
            Control::Hello,
            Control::Boot(boot),
            Control::Grant { now: Instant::from_ticks(77), frames: 6 },
            Control::Done { next: Some(Instant::from_ticks(78)), lost: 2, frames: 40, events },
            Control::Done { next: None, lost: 0, frames: 0, events: Vec::new() },
        ]
    }

    #[test]
    fn what_is_written_can_be_read_padded_as_ethernet_pads_it_but_not_cut_short() {
        for control in all() {
            let frame = control.frame([0xFF; 6]);
            assert_eq!(Control::read(&frame).as_ref(), Some(&control));
            let mut padded = frame.to_vec();
            padded.resize(padded.len().max(60), 0);
            assert_eq!(Control::read(&padded), Some(control));
            for len in 0..frame.len() {
                assert_eq!(Control::read(&frame[..len]), None);
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_none_of_these() {
        let mut frame = Control::Hello.frame([0; 6]);
        frame[HEADER] = 9;
        assert_eq!(Control::read(&frame), None);
        frame[12] = 8;
        assert_eq!(Control::read(&frame), None);
        let [_, boot, _, done, _] = all();
        // An argument and a list of events that are longer than they may be, and a group's address.
        let mut long = boot.frame([0; 6]).to_vec();
        long[HEADER + 31] = 255;
        long.resize(600, 0);
        assert_eq!(Control::read(&long), None);
        let mut long = done.frame([0; 6]).to_vec();
        long[HEADER + 13] = 255;
        long.resize(9000, 0);
        assert_eq!(Control::read(&long), None);
        let mut group = boot.frame([0; 6]);
        group[HEADER + 21] = 1;
        assert_eq!(Control::read(&group), None);
    }
}
