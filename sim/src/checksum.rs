//! The checksums of TCP and UDP, where most network cards have them: on the card, not in the stack.
//!
//! A card puts them into what its stack sends, and looks at them before its stack sees a frame. A frame that it has
//! completed so, and that no fault has touched since, is known to be right, so only the others are added up again. The sum
//! is that of RFC 1071; it is not the one by which the wire monitor judges what is sent.

use smoltcp::phy::Medium;

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;

/// Where a segment or a datagram lies in its frame.
struct Place {
    start: usize,
    end: usize,
    /// Its checksum's two bytes.
    checksum: usize,
    is_udp: bool,
    /// The sum of its pseudo header.
    pseudo: u64,
}

/// Fills in the checksum of what the frame carries. O(length).
pub(crate) fn fill(medium: Medium, frame: &mut [u8]) {
    let Some(place) = place(medium, frame) else { return };
    frame[place.checksum..place.checksum + 2].fill(0);
    let mut checksum = !place.sum(frame);
    if place.is_udp && checksum == 0 {
        // In a datagram 0 says that there is none.
        checksum = !0;
    }
    frame[place.checksum..place.checksum + 2].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether the checksum of what the frame carries is right; also if it carries something else, or nothing that makes sense:
/// that is for the stack to find out. O(length).
pub(crate) fn is_right(medium: Medium, frame: &[u8]) -> bool {
    let Some(place) = place(medium, frame) else { return true };
    place.is_udp && frame[place.checksum..place.checksum + 2] == [0, 0] || place.sum(frame) == 0xFFFF
}

impl Place {
    fn sum(&self, frame: &[u8]) -> u16 {
        fold(self.pseudo + sum(&frame[self.start..self.end]))
    }
}

fn place(medium: Medium, frame: &[u8]) -> Option<Place> {
    let ip = match (medium, frame.get(12..14)) {
        (Medium::Ip, _) => 0,
        (Medium::Ethernet, Some([0x08, 0x00] | [0x86, 0xDD])) => 14,
        _ => return None,
    };
    let packet = frame.get(ip..)?;
    let (protocol, start, end, addresses) = match packet.first()? >> 4 {
        4 => (*packet.get(9)?, usize::from(packet[0] & 15) * 4, usize::from(be16(packet, 2)?), packet.get(12..20)?),
        6 => {
            let (next, end) = (*packet.get(6)?, 40 + usize::from(be16(packet, 4)?));
            // Of the headers between, the one that smoltcp takes.
            let (protocol, start) = match next {
                HOP_BY_HOP => (*packet.get(40)?, 48 + 8 * usize::from(*packet.get(41)?)),
                next => (next, 40),
            };
            (protocol, start, end, packet.get(8..40)?)
        }
        _ => return None,
    };
    let load = packet.get(start..end)?;
    let (is_udp, end, checksum) = match protocol {
        TCP => (false, end, 16),
        UDP => (true, start + usize::from(be16(load, 4)?), 6),
        _ => return None,
    };
    let load = packet.get(start..end).filter(|load| load.len() >= checksum + 2)?;
    // In the order of the sum's bytes: see there.
    let pseudo =
        sum(addresses) + u64::from(u16::from(protocol).swap_bytes()) + u64::from((load.len() as u16).swap_bytes());
    Some(Place { start: ip + start, end: ip + end, checksum: ip + start + checksum, is_udp, pseudo })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&word| u16::from_be_bytes(word))
}

/// The sum of the 16-bit words of at most 64 KiB, carries at the top. The words are little-endian: a ones' complement sum
/// comes out the same with its bytes swapped (RFC 1071, 2 (B)), and this is the order that most machines read without a
/// step more.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Two halves of a word into two sums: so a compiler can take several words at once.
    let halves = |(low, high): (u64, u64), word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        (low + (word & 0xFFFF_FFFF), high + (word >> 32))
    };
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let (low, high) = halves(words.iter().fold((0, 0), halves), &last);
    low + high
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::phy::{Checksum, ChecksumCapabilities};
    use smoltcp::wire::{
        IpAddress, IpProtocol, IpRepr, Ipv6Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
    };
    use tidemill_core::random::draw;

    const MEDIA: [Medium; 2] = [Medium::Ip, Medium::Ethernet];

    fn payload(seed: u64, len: usize) -> Vec<u8> {
        (0..len as u64).map(|n| draw(seed, &[n]) as u8).collect()
    }

    fn ends(six: bool) -> [IpAddress; 2] {
        if six {
            [IpAddress::v6(0xFD00, 0, 0, 0, 0, 0, 0, 1), IpAddress::v6(0xFD00, 0, 0, 0, 0, 0, 0xFFFF, 2)]
        } else {
            [IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2)]
        }
    }

    /// What smoltcp sends, with its checksums or without.
    fn frame(medium: Medium, six: bool, udp: bool, data: &[u8], summed: bool) -> Vec<u8> {
        let mut caps = ChecksumCapabilities::default();
        if !summed {
            (caps.tcp, caps.udp) = (Checksum::None, Checksum::None);
        }
        let [from, to] = ends(six);
        let (datagram, segment) = (
            UdpRepr { src_port: 1000, dst_port: 53 },
            TcpRepr {
                src_port: 1000,
                dst_port: 80,
                control: TcpControl::Psh,
                seq_number: TcpSeqNumber(77),
                ack_number: Some(TcpSeqNumber(-5)),
                window_len: 512,
                window_scale: None,
                max_seg_size: None,
                sack_permitted: false,
                sack_ranges: [None; 3],
                timestamp: None,
                payload: data,
            },
        );
        let (protocol, len) =
            if udp { (IpProtocol::Udp, 8 + data.len()) } else { (IpProtocol::Tcp, segment.buffer_len()) };
        let ip = IpRepr::new(from, to, protocol, len, 64);
        let mut packet = vec![0; ip.buffer_len()];
        ip.emit(&mut packet[..], &caps);
        let load = &mut packet[ip.header_len()..];
        if udp {
            let mut into = UdpPacket::new_unchecked(load);
            datagram.emit(&mut into, &from, &to, data.len(), |payload| payload.copy_from_slice(data), &caps);
        } else {
            segment.emit(&mut TcpPacket::new_unchecked(load), &from, &to, &caps);
        }
        if medium == Medium::Ethernet {
            let kind = if six { [0x86, 0xDD] } else { [0x08, 0x00] };
            packet.splice(0..0, [[0; 6], [1; 6]].concat().into_iter().chain(kind));
        }
        packet
    }

    fn each(mut run: impl FnMut(Medium, bool, bool)) {
        for medium in MEDIA {
            for (six, udp) in [(false, false), (false, true), (true, false), (true, true)] {
                run(medium, six, udp);
            }
        }
    }

    #[test]
    fn what_the_card_fills_in_is_what_smoltcp_does() {
        each(|medium, six, udp| {
            for len in (0..70).chain([1000, 1379]) {
                let data = payload(len as u64, len);
                let mut filled = frame(medium, six, udp, &data, false);
                let whole = frame(medium, six, udp, &data, true);
                assert_ne!(filled, whole);
                fill(medium, &mut filled);
                assert!(filled == whole, "{medium:?} {six} {udp} {len}");
                assert!(is_right(medium, &whole));
            }
        });
    }

    #[test]
    fn a_datagram_whose_sum_is_zero_does_not_say_that_it_has_none() {
        let mut zero = 0;
        for last in 0..=u16::MAX {
            let data = last.to_be_bytes();
            let mut filled = frame(Medium::Ip, false, true, &data, false);
            assert!(is_right(Medium::Ip, &filled), "not summed");
            fill(Medium::Ip, &mut filled);
            assert_ne!(filled[26..28], [0, 0]);
            zero += u32::from(filled[26..28] == [0xFF, 0xFF]);
        }
        assert_eq!(zero, 1);
    }

    #[test]
    fn one_flipped_bit_of_a_segment_or_its_addresses_is_noticed() {
        each(|medium, six, udp| {
            let whole = frame(medium, six, udp, &payload(3, 33), true);
            let ip = if medium == Medium::Ethernet { 14 } else { 0 };
            let start = ip + if six { 40 } else { 20 };
            let addresses = ip + if six { 8 } else { 12 };
            for bit in (addresses * 8..whole.len() * 8).filter(|bit| {
                // A length that is longer than the packet is for the stack to find.
                !udp || !(start + 4..start + 6).contains(&(bit / 8))
            }) {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_right(medium, &damaged), "bit {bit}");
            }
        });
    }

    /// What smoltcp says of the checksum, where it finds a segment or a datagram.
    fn smoltcp(packet: &[u8]) -> Option<bool> {
        let packet = Ipv6Packet::new_checked(packet).ok().filter(|packet| packet.version() == 6)?;
        let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
        match packet.next_header() {
            IpProtocol::Tcp => Some(TcpPacket::new_checked(packet.payload()).ok()?.verify_checksum(&from, &to)),
            IpProtocol::Udp => Some(UdpPacket::new_checked(packet.payload()).ok()?.verify_checksum(&from, &to)),
            _ => None,
        }
    }

    #[test]
    fn whatever_comes_it_says_what_smoltcp_would_and_does_not_panic() {
        let mut said = [0; 3];
        for seed in 0..20_000 {
            let mut packet = frame(Medium::Ip, true, seed % 2 == 0, &payload(seed, 20), true);
            for n in 0..draw(seed, &[1]) % 3 {
                let at = draw(seed, &[2, n]) as usize % packet.len();
                packet[at] = draw(seed, &[3, n]) as u8;
            }
            packet.truncate(draw(seed, &[4]) as usize % 800);
            let right = is_right(Medium::Ip, &packet);
            let expected = smoltcp(&packet);
            assert!(expected.is_none_or(|expected| right == expected), "{seed}: {right}");
            said[expected.map_or(2, usize::from)] += 1;
            fill(Medium::Ip, &mut packet);
            is_right(Medium::Ethernet, &packet);
            fill(Medium::Ethernet, &mut packet);
        }
        assert!(said.iter().all(|&count| count > 500), "{said:?}");
    }

    #[test]
    fn a_segment_behind_options_from_hop_to_hop_is_found() {
        let mut packet = frame(Medium::Ip, true, false, b"tide", true);
        let len = packet.len() as u16 - 40 + 8;
        packet.splice(40..40, [TCP, 0, 1, 4, 0, 0, 0, 0]);
        packet[6] = HOP_BY_HOP;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
        assert!(is_right(Medium::Ip, &packet));
        *packet.last_mut().expect("it has data") ^= 1;
        assert!(!is_right(Medium::Ip, &packet));
    }
}
