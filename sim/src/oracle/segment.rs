//! TCP segments as an oracle reads them: from RFC 791, 8200 and 9293, without smoltcp, which is what is being watched.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::phy::Medium;

/// A TCP segment that makes sense: its lengths are right, and its checksums, if they were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    /// As in the header: not scaled.
    pub(super) window: u16,
    /// By how many bits windows are to be scaled; only a SYN says so.
    pub(super) scale: Option<u8>,
    pub(super) data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a frame; `None`: it is no TCP segment, or no sound one.
    pub(super) fn read(medium: Medium, frame: &'a [u8]) -> Option<Self> {
        let packet = match medium {
            Medium::Ip => frame,
            Medium::Ethernet => match frame.get(12..14)? {
                [0x08, 0x00] | [0x86, 0xDD] => frame.get(14..)?,
                _ => return None,
            },
        };
        let (from, to, tcp): (IpAddr, IpAddr, _) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 15) * 4;
                let total = usize::from(be16(packet, 2)?);
                // No fragment: neither stack nor links make any.
                if header < 20
                    || *packet.get(9)? != 6
                    || be16(packet, 6)? & 0x3FFF != 0
                    || sum(0, packet.get(..header)?) != 0xFFFF
                {
                    return None;
                }
                let from = Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?);
                let to = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?);
                (from.into(), to.into(), packet.get(header..total)?)
            }
            6 => {
                let len = usize::from(be16(packet, 4)?);
                if *packet.get(6)? != 6 {
                    return None;
                }
                let from = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
                let to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
                (from.into(), to.into(), packet.get(40..40 + len)?)
            }
            _ => return None,
        };
        let mut pseudo = 6 + tcp.len() as u64;
        for address in [from, to] {
            pseudo = match address {
                IpAddr::V4(address) => pseudo + u64::from(sum(0, &address.octets())),
                IpAddr::V6(address) => pseudo + u64::from(sum(0, &address.octets())),
            };
        }
        if sum(pseudo, tcp) != 0xFFFF {
            return None;
        }
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        let data = tcp.get(header.max(20)..)?;
        let flags = tcp[13];
        let syn = flags & 2 != 0;
        Some(Self {
            from: (from, be16(tcp, 0)?).into(),
            to: (to, be16(tcp, 2)?).into(),
            seq: be32(tcp, 4)?,
            ack: if flags & 0x10 == 0 { None } else { be32(tcp, 8) },
            syn,
            fin: flags & 1 != 0,
            rst: flags & 4 != 0,
            window: be16(tcp, 14)?,
            scale: if syn { scale(tcp.get(20..header)?) } else { None },
            data,
        })
    }

    /// How much of the sequence space it takes.
    pub(super) fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.syn) + u32::from(self.fin)
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&word| u16::from_be_bytes(word))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&word| u32::from_be_bytes(word))
}

/// The ones' complement sum of 16-bit words (RFC 1071): 0xFFFF over something with a right checksum in it.
fn sum(start: u64, bytes: &[u8]) -> u16 {
    // Four bytes at a time into 64 bits: the carries wait at the top, and 2^32 words may come before they overflow.
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum = words.iter().fold(start, |sum, word| sum + u64::from(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(last));
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// The window scale option (RFC 7323), if it is there.
fn scale(mut options: &[u8]) -> Option<u8> {
    loop {
        match *options {
            [0, ..] | [] => return None,
            [1, ref rest @ ..] => options = rest,
            [3, 3, shift, ..] => return Some(shift.min(14)),
            [_, len, ..] => options = options.get(usize::from(len.max(2))..)?,
            [_] => return None,
        }
    }
}

/// How far `to` lies after `from` in sequence space; negative: before it.
pub(super) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::wire::tests::{Part, frame};

    #[test]
    fn what_smoltcp_writes_is_read_the_same() {
        let part = Part { seq: 70_000, ack: Some(u32::MAX), window: 512, data: b"tide", fin: true, ..Part::default() };
        let bytes = frame(&part);
        let segment = Segment::read(Medium::Ip, &bytes).expect("it is sound");
        assert_eq!((segment.from, segment.to), ("10.0.0.1:1000".parse().unwrap(), "10.0.0.2:80".parse().unwrap()));
        assert_eq!(
            (segment.seq, segment.ack, segment.window, segment.data),
            (70_000, Some(u32::MAX), 512, &b"tide"[..])
        );
        assert_eq!(
            (segment.syn, segment.fin, segment.rst, segment.scale, segment.len()),
            (false, true, false, None, 5)
        );
        let syn = frame(&Part { syn: true, scale: Some(7), ..Part::default() });
        assert_eq!(Segment::read(Medium::Ip, &syn).expect("it is sound").scale, Some(7));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed_and_no_length_makes_it_panic() {
        let whole = frame(&Part { data: b"some data", ..Part::default() });
        assert!(Segment::read(Medium::Ip, &whole).is_some());
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Segment::read(Medium::Ip, &damaged).is_none(), "bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(Segment::read(Medium::Ip, &whole[..len]).is_none());
            assert!(Segment::read(Medium::Ethernet, &whole[..len]).is_none());
        }
    }

    #[test]
    fn sequence_numbers_go_round() {
        assert_eq!((distance(u32::MAX, 4), distance(4, u32::MAX), distance(7, 7)), (5, -5, 0));
    }
}
