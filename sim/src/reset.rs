//! Cutting a live TCP connection the way a box in the middle does: a segment is taken off the wire, and each end gets a
//! reset that the other seems to have sent.

use core::net::IpAddr;

use smoltcp::phy::{ChecksumCapabilities, Medium};
use smoltcp::wire::{
    ETHERNET_HEADER_LEN, IpAddress, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};

/// The resets to send instead of a segment.
pub(crate) struct Resets {
    /// To where the segment was going.
    pub(crate) onward: Vec<u8>,
    /// To where it came from.
    pub(crate) back: Vec<u8>,
}

/// Where an IP packet is going. `None`: not an IP packet.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Packet::new_checked(packet).ok()?.dst_addr().into()),
        6 => Some(Ipv6Packet::new_checked(packet).ok()?.dst_addr().into()),
        _ => None,
    }
}

/// The resets that cut the connection of this frame, if it is a TCP segment with data. Others cannot be used: only
/// data shows that the connection is up, and where in its stream both ends are.
pub(crate) fn cut(medium: Medium, frame: &[u8]) -> Option<Resets> {
    let header = if medium == Medium::Ethernet { ETHERNET_HEADER_LEN } else { 0 };
    let (header, packet) = frame.split_at_checked(header)?;
    let (source, target, protocol, payload): (IpAddress, IpAddress, _, _) = match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), ip.payload())
        }
        6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), ip.payload())
        }
        _ => return None,
    };
    if protocol != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(payload).ok()?;
    if segment.payload().is_empty() || !segment.ack() || segment.syn() || segment.rst() {
        return None;
    }
    let (here, there) = (segment.src_port(), segment.dst_port());
    let (sequence, acknowledged) = (segment.seq_number(), segment.ack_number());
    let onward = reset((source, here), (target, there), sequence, acknowledged);
    let back = reset((target, there), (source, here), acknowledged, sequence);
    // The way back is the way there with the two hardware addresses exchanged.
    let mut header_back = header.to_vec();
    if let Some((to, rest)) = header_back.split_at_mut_checked(6) {
        to.swap_with_slice(&mut rest[..6]);
    }
    Some(Resets { onward: [header, &onward].concat(), back: [&header_back[..], &back].concat() })
}

fn reset(from: (IpAddress, u16), to: (IpAddress, u16), seq_number: TcpSeqNumber, ack: TcpSeqNumber) -> Vec<u8> {
    let tcp = TcpRepr {
        src_port: from.1,
        dst_port: to.1,
        control: TcpControl::Rst,
        seq_number,
        ack_number: Some(ack),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = IpRepr::new(from.0, to.0, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let mut packet = vec![0; ip.buffer_len()];
    let checksums = ChecksumCapabilities::default();
    ip.emit(&mut packet[..], &checksums);
    let start = ip.header_len();
    tcp.emit(&mut TcpPacket::new_unchecked(&mut packet[start..]), &from.0, &to.0, &checksums);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddress = IpAddress::v4(10, 0, 0, 1);
    const B: IpAddress = IpAddress::v4(10, 0, 0, 2);

    fn segment(control: TcpControl, payload: &[u8]) -> Vec<u8> {
        let mut packet = reset((A, 1000), (B, 80), TcpSeqNumber(500), TcpSeqNumber(900));
        let tcp = TcpRepr {
            src_port: 1000,
            dst_port: 80,
            control,
            seq_number: TcpSeqNumber(500),
            ack_number: Some(TcpSeqNumber(900)),
            window_len: 10,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = IpRepr::new(A, B, IpProtocol::Tcp, tcp.buffer_len(), 64);
        packet.resize(ip.buffer_len(), 0);
        ip.emit(&mut packet[..], &ChecksumCapabilities::default());
        tcp.emit(&mut TcpPacket::new_unchecked(&mut packet[20..]), &A, &B, &ChecksumCapabilities::default());
        packet
    }

    fn read(packet: &[u8]) -> (IpAddress, u16, u16, i32, i32, bool) {
        let ip = Ipv4Packet::new_checked(packet).expect("a packet");
        assert!(ip.verify_checksum());
        let tcp = TcpPacket::new_checked(ip.payload()).expect("a segment");
        assert!(tcp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
        let to = ip.dst_addr().into();
        (to, tcp.src_port(), tcp.dst_port(), tcp.seq_number().0, tcp.ack_number().0, tcp.rst())
    }

    #[test]
    fn each_end_gets_a_reset_where_it_expects_the_next_byte() {
        let resets = cut(Medium::Ip, &segment(TcpControl::None, b"data")).expect("it carries data");
        assert_eq!(read(&resets.onward), (B, 1000, 80, 500, 900, true));
        assert_eq!(read(&resets.back), (A, 80, 1000, 900, 500, true));
    }

    #[test]
    fn on_ethernet_the_hardware_addresses_turn_round() {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend(segment(TcpControl::Psh, b"data"));
        let resets = cut(Medium::Ethernet, &frame).expect("it carries data");
        assert_eq!(resets.onward[..14], frame[..14]);
        assert_eq!(resets.back[..14], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        assert_eq!(read(&resets.back[14..]), (A, 80, 1000, 900, 500, true));
    }

    #[test]
    fn what_carries_no_data_is_left_alone() {
        assert!(cut(Medium::Ip, &segment(TcpControl::None, b"")).is_none());
        assert!(cut(Medium::Ip, &segment(TcpControl::Syn, b"x")).is_none());
        assert!(cut(Medium::Ip, &segment(TcpControl::Rst, b"x")).is_none());
        assert!(cut(Medium::Ip, &[]).is_none());
        assert!(cut(Medium::Ethernet, &[0; 14]).is_none());
        let whole = segment(TcpControl::None, b"data");
        for len in 0..whole.len() {
            assert!(cut(Medium::Ip, &whole[..len]).is_none());
        }
    }

    #[test]
    fn the_destination_is_read_from_whole_packets_only() {
        assert_eq!(destination(&segment(TcpControl::None, b"data")), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!(destination(&segment(TcpControl::None, b"data")[..19]), None);
        assert_eq!(destination(&[0x45]), None);
        assert_eq!(destination(&[0x60; 39]), None);
        assert_eq!(destination(&[]), None);
    }
}
