//! What a frame says, as far as one line goes: who to whom, and for TCP what a ladder shows.
//!
//! smoltcp's parsers read it. A frame that makes no sense to them, as a damaged one may, is told as what it is: so many
//! bytes. Sequence numbers are told relative to where each direction of a connection began, as Wireshark does.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use smoltcp::phy::Medium;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv6Packet, IpProtocol,
    Ipv4Packet, Ipv6Packet, TcpOption, TcpPacket, UdpPacket,
};

/// The flags of a TCP segment, by the bit each has in the header.
const FLAGS: [(u8, &str); 8] = [
    (0x02, "SYN"),
    (0x01, "FIN"),
    (0x04, "RST"),
    (0x08, "PSH"),
    (0x10, "ACK"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
];

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

/// What a frame is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Packet {
    /// A TCP segment.
    Tcp(Segment),
    /// Anything else, in words.
    Other(String),
}

/// A TCP segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// As in the header: see [`FLAGS`].
    pub(super) flags: u8,
    pub(super) seq: u32,
    /// Means nothing without [`ACK`].
    pub(super) ack: u32,
    /// As in the header: not scaled.
    pub(super) window: u16,
    /// Bytes of data.
    pub(super) len: u32,
    /// What its options say, in words; empty when they say nothing that matters.
    pub(super) options: String,
}

/// Reads a frame.
pub(super) fn decode(medium: Medium, frame: &[u8]) -> Packet {
    // A character on a serial line.
    if let [byte] = frame {
        return Packet::Other(format!("byte {byte:#04x} {:?}", char::from(*byte)));
    }
    let packet = match medium {
        Medium::Ip => ip(frame),
        Medium::Ethernet => ethernet(frame),
    };
    packet.unwrap_or_else(|| Packet::Other(format!("no packet we know, {} B", frame.len())))
}

fn ethernet(frame: &[u8]) -> Option<Packet> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => arp(frame.payload()),
        EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => ip(frame.payload()),
        EthernetProtocol::Unknown(kind) => Some(Packet::Other(format!("Ethernet type {kind:#06x}"))),
    }
}

fn arp(packet: &[u8]) -> Option<Packet> {
    let ArpRepr::EthernetIpv4 { operation, source_protocol_addr, source_hardware_addr, target_protocol_addr, .. } =
        ArpRepr::parse(&ArpPacket::new_checked(packet).ok()?).ok()?
    else {
        return None;
    };
    Some(Packet::Other(match operation {
        ArpOperation::Request => format!("ARP: who has {target_protocol_addr}? tell {source_protocol_addr}"),
        ArpOperation::Reply => format!("ARP: {source_protocol_addr} is at {source_hardware_addr}"),
        ArpOperation::Unknown(code) => format!("ARP operation {code}"),
    }))
}

fn ip(packet: &[u8]) -> Option<Packet> {
    let (from, to, protocol, payload): (IpAddr, IpAddr, _, _) = match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            if ip.frag_offset() > 0 {
                let (from, to, at) = (ip.src_addr(), ip.dst_addr(), ip.frag_offset());
                return Some(Packet::Other(format!("{from} > {to} fragment at {at}")));
            }
            (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), ip.payload())
        }
        6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), ip.payload())
        }
        _ => return None,
    };
    let ends = format!("{from} > {to}");
    Some(match protocol {
        IpProtocol::Tcp => match TcpPacket::new_checked(payload) {
            Ok(tcp) => Packet::Tcp(segment(from, to, &tcp)),
            Err(_) => Packet::Other(format!("{ends} TCP, header cut short")),
        },
        IpProtocol::Udp => Packet::Other(match UdpPacket::new_checked(payload) {
            Ok(udp) => {
                let (from, to) = (SocketAddr::new(from, udp.src_port()), SocketAddr::new(to, udp.dst_port()));
                format!("{from} > {to} UDP, {} B", udp.payload().len())
            }
            Err(_) => format!("{ends} UDP, header cut short"),
        }),
        IpProtocol::Icmp => Packet::Other(match Icmpv4Packet::new_checked(payload) {
            Ok(icmp) => format!("{ends} ICMP: {}", icmp.msg_type()),
            Err(_) => format!("{ends} ICMP, header cut short"),
        }),
        IpProtocol::Icmpv6 => Packet::Other(match Icmpv6Packet::new_checked(payload) {
            Ok(icmp) => format!("{ends} ICMPv6: {}", icmp.msg_type()),
            Err(_) => format!("{ends} ICMPv6, header cut short"),
        }),
        other => Packet::Other(format!("{ends} {other}, {} B", payload.len())),
    })
}

fn segment(from: IpAddr, to: IpAddr, tcp: &TcpPacket<&[u8]>) -> Segment {
    let set = [tcp.syn(), tcp.fin(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr()];
    let flags = FLAGS.iter().zip(set).fold(0, |flags, (&(bit, _), set)| if set { flags | bit } else { flags });
    let mut words = String::new();
    let mut options = tcp.options();
    while !options.is_empty() {
        let Ok((rest, option)) = TcpOption::parse(options) else { break };
        match option {
            TcpOption::EndOfList => break,
            TcpOption::MaxSegmentSize(size) => _ = write!(words, " mss {size}"),
            TcpOption::WindowScale(scale) => _ = write!(words, " wscale {scale}"),
            TcpOption::SackRange(ranges) => {
                for (left, right) in ranges.into_iter().flatten() {
                    // Counted from what is acknowledged: the numbers themselves say nothing.
                    let ahead = left.wrapping_sub(tcp.ack_number().0 as u32);
                    _ = write!(words, " sack ack+{ahead}..+{}", ahead.wrapping_add(right.wrapping_sub(left)));
                }
            }
            _ => {}
        }
        options = rest;
    }
    Segment {
        from: SocketAddr::new(from, tcp.src_port()),
        to: SocketAddr::new(to, tcp.dst_port()),
        flags,
        seq: tcp.seq_number().0 as u32,
        ack: tcp.ack_number().0 as u32,
        window: tcp.window_len(),
        len: tcp.payload().len() as u32,
        options: words,
    }
}

/// A segment in its connection: whose it is, and its numbers counted from where its directions began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    /// The number of the connection, from 0.
    pub(super) flow: u32,
    pub(super) seq: u32,
    pub(super) ack: u32,
}

/// A connection that was seen.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Who sent its first segment, and to whom.
    pub(super) ends: [SocketAddr; 2],
    /// The sequence number that counts as 0, by the end that sends.
    zero: [Option<u32>; 2],
}

/// The connections of a run, numbered as they appear. O(log connections) for a segment.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) all: Vec<Flow>,
    /// The latest between these two ends, the lower first.
    latest: BTreeMap<(SocketAddr, SocketAddr), u32>,
}

impl Flows {
    /// Where a segment belongs; segments must come in the order in which they were sent.
    pub(super) fn place(&mut self, segment: &Segment) -> Place {
        let key = (segment.from.min(segment.to), segment.from.max(segment.to));
        let opens = segment.flags & (SYN | ACK) == SYN;
        let known = self.latest.get(&key).copied().filter(|&flow| {
            let flow = &self.all[flow as usize];
            // The ports are used again by a SYN that is no retransmission.
            !opens || flow.zero[flow.side(segment)].is_none_or(|zero| zero == segment.seq)
        });
        let number = known.unwrap_or_else(|| {
            let number = self.all.len() as u32;
            self.all.push(Flow { ends: [segment.from, segment.to], zero: [None; 2] });
            self.latest.insert(key, number);
            number
        });
        let flow = &mut self.all[number as usize];
        let here = flow.side(segment);
        if segment.flags & SYN != 0 {
            flow.zero[here] = Some(segment.seq);
        }
        // Without its SYN, a direction begins at 1 where it is first seen.
        let seq = segment.seq.wrapping_sub(*flow.zero[here].get_or_insert(segment.seq.wrapping_sub(1)));
        let ack = if segment.flags & ACK == 0 {
            0
        } else {
            segment.ack.wrapping_sub(*flow.zero[1 - here].get_or_insert(segment.ack.wrapping_sub(1)))
        };
        Place { flow: number, seq, ack }
    }
}

impl Flow {
    fn side(&self, segment: &Segment) -> usize {
        usize::from(segment.from != self.ends[0])
    }
}

/// The names of the flags that are set, with commas.
pub(super) fn flags(flags: u8) -> String {
    let names: Vec<&str> = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|&(_, name)| name).collect();
    if names.is_empty() { "none".into() } else { names.join(",") }
}

/// A packet in words: one line.
pub(super) fn line(packet: &Packet, place: Place) -> String {
    let segment = match packet {
        Packet::Other(words) => return words.clone(),
        Packet::Tcp(segment) => segment,
    };
    let mut line = format!("{} > {} [{}] seq {}", segment.from, segment.to, flags(segment.flags), place.seq);
    // Writing to a string cannot fail.
    if segment.flags & ACK != 0 {
        _ = write!(line, " ack {}", place.ack);
    }
    _ = write!(line, " win {} len {}{}", segment.window, segment.len, segment.options);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, IpRepr, TcpControl, TcpRepr, TcpSeqNumber};

    const A: IpAddress = IpAddress::v4(10, 0, 0, 1);
    const B: IpAddress = IpAddress::v4(10, 0, 0, 2);

    fn tcp(from: (IpAddress, u16), to: (IpAddress, u16), control: TcpControl, seq: i32, ack: Option<i32>) -> Vec<u8> {
        let tcp = TcpRepr {
            src_port: from.1,
            dst_port: to.1,
            control,
            seq_number: TcpSeqNumber(seq),
            ack_number: ack.map(TcpSeqNumber),
            window_len: 1000,
            window_scale: (control == TcpControl::Syn).then_some(3),
            max_seg_size: (control == TcpControl::Syn).then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: if control == TcpControl::Psh { b"hello" } else { b"" },
        };
        let ip = IpRepr::new(from.0, to.0, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let mut packet = vec![0; ip.buffer_len()];
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut packet[..], &checksums);
        tcp.emit(&mut TcpPacket::new_unchecked(&mut packet[ip.header_len()..]), &from.0, &to.0, &checksums);
        packet
    }

    fn lines(flows: &mut Flows, frames: &[Vec<u8>]) -> Vec<String> {
        let read = |frame: &Vec<u8>| {
            let packet = decode(Medium::Ip, frame);
            let Packet::Tcp(segment) = &packet else { panic!("{packet:?} is no segment") };
            line(&packet, flows.place(segment))
        };
        frames.iter().map(read).collect()
    }

    #[test]
    fn a_segment_is_told_with_its_numbers_counted_from_where_its_direction_began() {
        let (a, b) = ((A, 1000), (B, 80));
        let mut flows = Flows::default();
        let told = lines(
            &mut flows,
            &[
                tcp(a, b, TcpControl::Syn, -1, None),
                tcp(b, a, TcpControl::Syn, 700, Some(0)),
                tcp(a, b, TcpControl::Psh, 0, Some(701)),
                tcp(b, a, TcpControl::None, 701, Some(5)),
            ],
        );
        assert_eq!(
            told,
            [
                "10.0.0.1:1000 > 10.0.0.2:80 [SYN] seq 0 win 1000 len 0 mss 1460 wscale 3",
                "10.0.0.2:80 > 10.0.0.1:1000 [SYN,ACK] seq 0 ack 1 win 1000 len 0 mss 1460 wscale 3",
                "10.0.0.1:1000 > 10.0.0.2:80 [PSH,ACK] seq 1 ack 1 win 1000 len 5",
                "10.0.0.2:80 > 10.0.0.1:1000 [ACK] seq 1 ack 6 win 1000 len 0",
            ]
        );
        assert_eq!(flows.all.len(), 1);
    }

    #[test]
    fn ports_used_again_are_another_connection_and_a_retransmitted_syn_is_not() {
        let (a, b) = ((A, 1000), (B, 80));
        let mut flows = Flows::default();
        for (seq, flow) in [(5, 0), (5, 0), (9, 1), (9, 1)] {
            let Packet::Tcp(segment) = decode(Medium::Ip, &tcp(a, b, TcpControl::Syn, seq, None)) else {
                panic!("it is a segment")
            };
            assert_eq!(flows.place(&segment).flow, flow);
        }
    }

    #[test]
    fn a_connection_whose_beginning_was_not_seen_begins_at_one() {
        let mut flows = Flows::default();
        let told = lines(&mut flows, &[tcp((A, 1), (B, 2), TcpControl::Psh, 500, Some(900))]);
        assert_eq!(told, ["10.0.0.1:1 > 10.0.0.2:2 [PSH,ACK] seq 1 ack 1 win 1000 len 5"]);
    }

    #[test]
    fn what_is_not_tcp_is_told_in_words() {
        let other = |medium, frame: &[u8]| match decode(medium, frame) {
            Packet::Other(words) => words,
            Packet::Tcp(segment) => panic!("{segment:?} is a segment"),
        };
        assert_eq!(other(Medium::Ip, &[]), "no packet we know, 0 B");
        assert_eq!(other(Medium::Ip, &[0x55; 40]), "no packet we know, 40 B");
        let mut frame = vec![0xFF; 14];
        frame[12..].copy_from_slice(&[0x88, 0xB5]);
        assert_eq!(other(Medium::Ethernet, &frame), "Ethernet type 0x88b5");
        frame[12..].copy_from_slice(&[0x08, 0x06]);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        assert_eq!(other(Medium::Ethernet, &frame), "ARP: who has 10.0.0.2? tell 10.0.0.1");
    }

    #[test]
    fn no_damage_makes_the_reader_panic() {
        let whole = tcp((A, 1000), (B, 80), TcpControl::Syn, -1, Some(7));
        for medium in [Medium::Ip, Medium::Ethernet] {
            for len in 0..whole.len() {
                decode(medium, &whole[..len]);
            }
            for bit in 0..8 * whole.len() {
                let mut frame = whole.clone();
                frame[bit / 8] ^= 1 << (bit % 8);
                decode(medium, &frame);
                for byte in 0..=255 {
                    frame[bit / 8] = byte;
                    decode(medium, &frame);
                }
            }
        }
    }
}
