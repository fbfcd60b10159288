//! What TCP may do on the wire, whoever speaks it: a monitor of every segment that is sent and received.
//!
//! It knows nothing of smoltcp. Each direction of a connection is remembered by what its sender has sent (the sequence
//! numbers, the bytes not acknowledged yet, the FIN) and by what the sender has been allowed, which is what has
//! *arrived* there. So a sender is never blamed for what it could not know. It objects when
//!
//! | | RFC 9293 |
//! |---|---|
//! | something is acknowledged that was never sent | 3.10.7.4 |
//! | data goes beyond the window, but for the one byte that probes a window of zero | 3.8.6 |
//! | data follows a FIN, or the FIN moves | 3.6 |
//! | bytes are sent again, and are others | 3.8.1 |
//! | bytes are left out | 3.4 |
//! | a reset is not where its receiver could take it for one | 3.5.3 |
//! | a host begins with the sequence number with which it began before it restarted | 3.4.1 |
//! | a checksum is wrong as it is sent | 3.1 |
//!
//! Beside that it counts what a test may want to have seen: see [`Counts`].

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::segment::{Segment, distance};
use super::{Oracle, Seen};
use crate::trace::Kind;
use crate::world::HostId;

/// Directions remembered at most; then those that have ended are forgotten, and if that does not help, all are.
const HALVES_MAX: usize = 8192;

/// What was seen of TCP.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Connections begun.
    pub connections: u64,
    /// Segments sent again though no duplicate acknowledgements asked for them: a timer has fired.
    pub timeouts: u64,
    /// Segments sent again after three duplicate acknowledgements.
    pub fast_retransmits: u64,
    /// Single bytes sent into a window of zero.
    pub window_probes: u64,
    /// Resets that hosts sent.
    pub resets: u64,
    /// Hosts that restarted while a connection of theirs had not ended.
    pub restarts: u64,
}

/// One direction of a connection, seen from its sender.
#[derive(Debug)]
struct Half {
    host: HostId,
    /// Its first sequence number, and the one after the last that was ever sent.
    first: u32,
    next: u32,
    fin: Option<u32>,
    scale: Option<u8>,
    /// What has arrived at the sender: up to where it is acknowledged, up to where it may send.
    acked: u32,
    allowed: Option<u32>,
    /// The window was zero when it last heard of it.
    closed: bool,
    duplicates: u32,
    /// What was sent and not acknowledged, from `base` on.
    base: u32,
    bytes: VecDeque<u8>,
    /// The highest acknowledgement it has sent for the other direction.
    acks: Option<u32>,
    /// The direction that had the same ends before: from where to where.
    before: Option<(u32, u32)>,
}

type Ends = (SocketAddr, SocketAddr);

/// Watches every segment of every connection, and knows nothing of smoltcp. A sender is judged by what has arrived at it:
/// it is never blamed for what it could not know.
///
/// It objects when something is acknowledged that was never sent; when data goes beyond the window, but for the byte that
/// probes a window of zero; when data follows a FIN, or the FIN moves; when bytes that are sent again are others, or are
/// left out; when a reset lies where its receiver could not take it for one; when a host begins with the same sequence
/// number as before a restart; and when a checksum is wrong as it is sent.
#[derive(Default, Debug)]
pub struct Wire {
    halves: BTreeMap<Ends, Half>,
    /// The first sequence number of each boot, and whether this boot has had one.
    firsts: BTreeMap<HostId, (Vec<u32>, bool)>,
    interrupted: BTreeSet<HostId>,
    counts: Counts,
}

impl Wire {
    /// What it has seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn sent(&mut self, seen: &Seen<'_>, segment: &Segment<'_>) -> Result<(), String> {
        let ends = (segment.from, segment.to);
        if segment.rst {
            return self.reset(segment);
        }
        if segment.syn {
            self.begun(seen.host, segment)?;
        }
        if let Some(ack) = segment.ack {
            self.acknowledged(segment, ack)?;
        }
        let Some(half) = self.halves.get_mut(&ends) else { return Ok(()) };
        half.acks = segment.ack.map(|ack| match half.acks {
            Some(highest) if distance(ack, highest) > 0 => highest,
            _ => ack,
        });
        let start = segment.seq.wrapping_add(segment.syn.into());
        let end = start.wrapping_add(segment.data.len() as u32);
        if let Some(fin) = half.fin
            && !segment.data.is_empty()
            && distance(end, fin) < 0
        {
            return Err(format!("sends {} bytes after its FIN", distance(fin, end)));
        }
        if segment.fin && *half.fin.get_or_insert(end) != end {
            return Err(format!("its FIN has moved by {}", distance(half.fin.unwrap_or(end), end)));
        }
        if !segment.data.is_empty() {
            half.may_send(start, end, &mut self.counts)?;
            half.keep(start, segment.data)?;
        } else if segment.fin && distance(half.next, end) > 0 {
            return Err("its FIN leaves bytes out".into());
        }
        if segment.len() > 0 && segment.seq == half.acked && distance(segment.seq, half.next) > 0 {
            if half.duplicates >= 3 {
                self.counts.fast_retransmits += 1;
                half.duplicates = 0;
            } else if !half.closed {
                self.counts.timeouts += 1;
            }
        }
        let end = segment.seq.wrapping_add(segment.len());
        if distance(half.next, end) > 0 {
            half.next = end;
        }
        Ok(())
    }

    fn begun(&mut self, host: HostId, segment: &Segment<'_>) -> Result<(), String> {
        let ends = (segment.from, segment.to);
        let known = self.halves.get(&ends);
        if known.is_some_and(|half| half.first == segment.seq) {
            return Ok(());
        }
        let before = known.map(|half| (half.first, half.next));
        if self.halves.len() >= HALVES_MAX {
            self.halves.retain(|_, half| half.fin.is_none_or(|fin| distance(half.acked, fin) >= 0));
            if self.halves.len() >= HALVES_MAX {
                self.halves.clear();
            }
        }
        self.counts.connections += u64::from(segment.ack.is_none());
        self.halves.insert(ends, Half::new(host, segment, before));
        let (firsts, had_one) = self.firsts.entry(host).or_default();
        if !std::mem::replace(had_one, true) {
            if firsts.contains(&segment.seq) {
                return Err(format!("begins with {} again after a restart", segment.seq));
            }
            firsts.push(segment.seq);
        }
        Ok(())
    }

    fn acknowledged(&self, segment: &Segment<'_>, ack: u32) -> Result<(), String> {
        let Some(peer) = self.halves.get(&(segment.to, segment.from)) else { return Ok(()) };
        let within = |(first, next)| distance(first, ack) >= 0 && distance(ack, next) >= 0;
        if within((peer.first, peer.next)) || peer.before.is_some_and(within) {
            return Ok(());
        }
        Err(format!("acknowledges {} bytes more than were sent", distance(peer.next, ack)))
    }

    fn reset(&mut self, segment: &Segment<'_>) -> Result<(), String> {
        self.counts.resets += 1;
        let half = self.halves.get(&(segment.from, segment.to));
        let peer = self.halves.get(&(segment.to, segment.from));
        let own = |half: &Half| {
            let within = |(first, next)| distance(first, segment.seq) >= 0 && distance(segment.seq, next) >= 0;
            within((half.first, half.next)) || half.before.is_some_and(within)
        };
        // It answers a segment of a connection that it knows nothing of: with the number that was expected of it, or, if
        // none was, with 0 and an acknowledgement.
        let expected = |peer: &Half| {
            half.is_none() && peer.acks == Some(segment.seq)
                || segment.seq == 0 && segment.ack.is_some_and(|ack| distance(peer.first, ack) > 0)
        };
        match (half, peer) {
            (None, None) => Ok(()),
            _ if half.is_some_and(own) || peer.is_some_and(expected) => Ok(()),
            _ => Err(format!("resets at {}, where nobody expects it", segment.seq)),
        }
    }

    /// What a host has received tells it how much it may send.
    fn arrived(&mut self, segment: &Segment<'_>) {
        let Some(ack) = segment.ack.filter(|_| !segment.rst) else { return };
        let offered = self.halves.get(&(segment.from, segment.to)).and_then(|peer| peer.scale);
        let Some(half) = self.halves.get_mut(&(segment.to, segment.from)) else { return };
        if distance(half.first, ack) <= 0 || distance(ack, half.next) < 0 {
            return;
        }
        let shift = match (offered, half.scale) {
            (Some(shift), Some(_)) if !segment.syn => shift,
            _ => 0,
        };
        let window = u32::from(segment.window) << shift;
        let edge = ack.wrapping_add(window);
        if half.allowed.is_none_or(|allowed| distance(allowed, edge) > 0) {
            half.allowed = Some(edge);
        }
        half.closed = window == 0;
        if distance(half.acked, ack) > 0 {
            half.acked = ack;
            half.duplicates = 0;
            let gone = distance(half.base, ack).max(0) as usize;
            half.bytes.drain(..gone.min(half.bytes.len()));
            if gone > 0 {
                half.base = ack;
            }
        } else if ack == half.acked && segment.len() == 0 && distance(ack, half.next) > 0 {
            half.duplicates += 1;
        }
    }
}

impl Half {
    fn new(host: HostId, segment: &Segment<'_>, before: Option<(u32, u32)>) -> Self {
        let after = segment.seq.wrapping_add(1);
        Self {
            host,
            first: segment.seq,
            next: segment.seq,
            fin: None,
            scale: segment.scale,
            acked: segment.seq,
            allowed: None,
            closed: false,
            duplicates: 0,
            base: after,
            bytes: VecDeque::new(),
            acks: None,
            before,
        }
    }

    fn may_send(&self, start: u32, end: u32, counts: &mut Counts) -> Result<(), String> {
        let Some(allowed) = self.allowed else { return Ok(()) };
        let beyond = distance(allowed, end);
        if beyond == 1 && end.wrapping_sub(start) == 1 {
            counts.window_probes += 1;
            return Ok(());
        }
        if beyond > 0 { Err(format!("sends {beyond} bytes beyond the window")) } else { Ok(()) }
    }

    /// Compares what was sent before, and keeps what is new.
    fn keep(&mut self, start: u32, data: &[u8]) -> Result<(), String> {
        // What was acknowledged is forgotten.
        let skip = distance(start, self.base).max(0) as usize;
        let Some(data) = data.get(skip..).filter(|data| !data.is_empty()) else { return Ok(()) };
        let at = distance(self.base, start).max(0) as usize;
        if at > self.bytes.len() {
            return Err(format!("leaves {} bytes out", at - self.bytes.len()));
        }
        let known = data.len().min(self.bytes.len() - at);
        if let Some(n) = (0..known).find(|&n| self.bytes[at + n] != data[n]) {
            let place = self.base.wrapping_add((at + n) as u32).wrapping_sub(self.first).wrapping_sub(1);
            return Err(format!("byte {place} of its stream is another when it is sent again"));
        }
        self.bytes.extend(&data[known..]);
        Ok(())
    }
}

impl Oracle for Wire {
    fn name(&self) -> &'static str {
        "wire"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen.kind {
            Kind::Crash => {
                let mut open = self.halves.values().filter(|half| half.host == seen.host && half.fin.is_none());
                if open.any(|half| half.next != half.first.wrapping_add(1)) {
                    self.interrupted.insert(seen.host);
                }
            }
            Kind::Boot => {
                if let Some((_, had_one)) = self.firsts.get_mut(&seen.host) {
                    *had_one = false;
                }
                self.counts.restarts += u64::from(self.interrupted.remove(&seen.host));
            }
            Kind::Arrived => {
                if let Some(segment) = Segment::read(seen.medium, seen.frame) {
                    self.arrived(&segment);
                }
            }
            _ if seen.is_sent() && !seen.forged => match Segment::read(seen.medium, seen.frame) {
                Some(segment) => self.sent(seen, &segment).map_err(|why| {
                    let (from, to) = (segment.from, segment.to);
                    format!("{} {from} > {to}: {why}", seen.host)
                })?,
                None if looks_like_tcp(seen) => {
                    return Err(format!("{} sends a TCP segment that is not sound", seen.host));
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }
}

/// Whether the packet says that it carries TCP.
fn looks_like_tcp(seen: &Seen<'_>) -> bool {
    let packet = match seen.medium {
        smoltcp::phy::Medium::Ip => seen.frame,
        smoltcp::phy::Medium::Ethernet => match seen.frame.get(12..14) {
            Some([0x08, 0x00] | [0x86, 0xDD]) => seen.frame.get(14..).unwrap_or_default(),
            _ => return false,
        },
    };
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9) == Some(&6),
        Some(6) => packet.get(6) == Some(&6),
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use smoltcp::phy::{ChecksumCapabilities, Medium};
    use smoltcp::wire::{IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
    use tidemill_core::time::EPOCH;

    /// A segment from 10.0.0.1:1000 to 10.0.0.2:80, or back.
    #[derive(Clone, Copy, Default)]
    pub(in crate::oracle) struct Part {
        pub(in crate::oracle) back: bool,
        /// Another port than 1000: so many above it.
        pub(in crate::oracle) port: u16,
        pub(in crate::oracle) seq: u32,
        pub(in crate::oracle) ack: Option<u32>,
        pub(in crate::oracle) window: u16,
        pub(in crate::oracle) scale: Option<u8>,
        pub(in crate::oracle) syn: bool,
        pub(in crate::oracle) fin: bool,
        pub(in crate::oracle) rst: bool,
        pub(in crate::oracle) data: &'static [u8],
    }

    pub(in crate::oracle) fn frame(part: &Part) -> Vec<u8> {
        let ends = [(IpAddress::v4(10, 0, 0, 1), 1000 + part.port), (IpAddress::v4(10, 0, 0, 2), 80)];
        let (from, to) = if part.back { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
        let control = match (part.syn, part.fin, part.rst) {
            (true, ..) => TcpControl::Syn,
            (_, true, _) => TcpControl::Fin,
            (.., true) => TcpControl::Rst,
            _ => TcpControl::None,
        };
        let tcp = TcpRepr {
            src_port: from.1,
            dst_port: to.1,
            control,
            seq_number: TcpSeqNumber(part.seq as i32),
            ack_number: part.ack.map(|ack| TcpSeqNumber(ack as i32)),
            window_len: part.window,
            window_scale: part.scale,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: part.data,
        };
        let ip = IpRepr::new(from.0, to.0, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let mut packet = vec![0; ip.buffer_len()];
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut packet[..], &checksums);
        let start = ip.header_len();
        tcp.emit(&mut TcpPacket::new_unchecked(&mut packet[start..]), &from.0, &to.0, &checksums);
        packet
    }

    fn see(wire: &mut Wire, kind: Kind, host: u32, frame: &[u8]) -> Result<(), String> {
        let (host, peer) = (HostId::new(host), Some(HostId::new(1 - host)));
        wire.see(&Seen { at: EPOCH, kind, host, peer, frame, medium: Medium::Ip, forged: false })
    }

    /// Sends it, and has it arrive.
    fn pass(wire: &mut Wire, part: Part) -> Result<(), String> {
        send(wire, part)?;
        see(wire, Kind::Arrived, u32::from(!part.back), &frame(&part))
    }

    fn send(wire: &mut Wire, part: Part) -> Result<(), String> {
        see(wire, Kind::Sent, u32::from(part.back), &frame(&part))
    }

    /// A connection that is up: from 100 one way and 500 the other, with windows of 10 bytes.
    fn up() -> Wire {
        let mut wire = Wire::default();
        for part in [
            Part { seq: 100, syn: true, window: 10, ..Part::default() },
            Part { back: true, seq: 500, ack: Some(101), syn: true, window: 10, ..Part::default() },
            Part { seq: 101, ack: Some(501), window: 10, ..Part::default() },
        ] {
            pass(&mut wire, part).unwrap();
        }
        wire
    }

    fn there(seq: u32, data: &'static [u8]) -> Part {
        Part { seq, ack: Some(501), window: 10, data, ..Part::default() }
    }

    fn back(ack: u32, window: u16) -> Part {
        Part { back: true, seq: 501, ack: Some(ack), window, ..Part::default() }
    }

    #[test]
    fn an_ordinary_exchange_with_losses_is_no_offence_and_is_counted() {
        let mut wire = up();
        send(&mut wire, there(101, b"lost.")).unwrap();
        pass(&mut wire, there(106, b"later")).unwrap();
        // The timer.
        pass(&mut wire, there(101, b"lost.")).unwrap();
        pass(&mut wire, back(111, 0)).unwrap();
        // A probe, refused; the window opens.
        pass(&mut wire, there(111, b"p")).unwrap();
        pass(&mut wire, back(111, 10)).unwrap();
        pass(&mut wire, there(111, b"probe")).unwrap();
        for _ in 0..3 {
            pass(&mut wire, back(111, 10)).unwrap();
        }
        pass(&mut wire, there(111, b"probe")).unwrap();
        pass(&mut wire, Part { fin: true, ..there(116, b"") }).unwrap();
        pass(&mut wire, back(117, 10)).unwrap();
        let Counts { connections, timeouts, fast_retransmits, window_probes, resets, .. } = wire.counts();
        assert_eq!((connections, timeouts, fast_retransmits, window_probes, resets), (1, 2, 1, 1, 0));
    }

    #[test]
    fn each_offence_is_told() {
        let cases: [(&[Part], &str); 9] = [
            (&[back(102, 10)], "acknowledges 1 bytes more than were sent"),
            (&[there(101, b"0123456789A")], "sends 1 bytes beyond the window"),
            (&[there(101, b"01234"), there(101, b"0123X")], "byte 4 of its stream is another"),
            (&[there(103, b"01")], "leaves 2 bytes out"),
            (&[Part { fin: true, ..there(101, b"") }, there(101, b"x")], "sends 1 bytes after its FIN"),
            (
                &[there(101, b"01"), Part { fin: true, ..there(103, b"") }, Part { fin: true, ..there(102, b"") }],
                "its FIN has moved by -1",
            ),
            (&[Part { fin: true, ..there(105, b"") }], "its FIN leaves bytes out"),
            (&[Part { rst: true, ..there(99, b"") }], "resets at 99, where nobody expects it"),
            (&[Part { rst: true, ..there(120, b"") }], "resets at 120, where nobody expects it"),
        ];
        for (parts, what) in cases {
            let mut wire = up();
            let (last, first) = parts.split_last().expect("one at least");
            for &part in first {
                send(&mut wire, part).unwrap();
            }
            let why = send(&mut wire, *last).expect_err(what);
            assert!(why.contains(what), "{why}");
        }
    }

    #[test]
    fn a_window_that_never_arrived_allows_nothing() {
        let mut wire = up();
        pass(&mut wire, there(101, b"0123456789")).unwrap();
        send(&mut wire, back(111, 10)).unwrap();
        assert!(send(&mut wire, there(111, b"more")).unwrap_err().contains("4 bytes beyond the window"));
    }

    #[test]
    fn windows_are_scaled_when_both_ends_said_so() {
        for (other, allowed) in [(Some(0), true), (None, false)] {
            let mut wire = Wire::default();
            pass(&mut wire, Part { seq: 100, syn: true, window: 10, scale: other, ..Part::default() }).unwrap();
            let answer = Part { back: true, seq: 500, ack: Some(101), syn: true, window: 1, ..Part::default() };
            pass(&mut wire, Part { scale: Some(2), ..answer }).unwrap();
            pass(&mut wire, back(101, 2)).unwrap();
            assert_eq!(send(&mut wire, there(101, b"01234567")).is_ok(), allowed);
        }
    }

    #[test]
    fn a_host_that_begins_where_it_began_before_is_caught() {
        let syn = Part { seq: 100, syn: true, window: 10, ..Part::default() };
        for (seq, fresh) in [(100, false), (101, true)] {
            let mut wire = up();
            see(&mut wire, Kind::Crash, 0, &[]).unwrap();
            see(&mut wire, Kind::Boot, 0, &[]).unwrap();
            // From another port, for the same one would be a segment sent again.
            assert_eq!(send(&mut wire, Part { seq, port: 1, ..syn }).is_ok(), fresh);
        }
    }

    #[test]
    fn a_restart_amid_a_transfer_is_counted_and_a_reset_that_answers_what_is_not_known_is_right() {
        let mut wire = up();
        pass(&mut wire, Part { back: true, seq: 501, ack: Some(101), window: 10, data: b"answer", ..Part::default() })
            .unwrap();
        see(&mut wire, Kind::Crash, 1, &[]).unwrap();
        see(&mut wire, Kind::Boot, 1, &[]).unwrap();
        pass(&mut wire, there(101, b"hello?")).unwrap();
        pass(&mut wire, Part { back: true, seq: 501, ack: Some(107), rst: true, ..Part::default() }).unwrap();
        assert_eq!((wire.counts().restarts, wire.counts().resets), (1, 1));
    }

    #[test]
    fn a_segment_that_is_broken_as_it_is_sent_is_an_offence_and_one_that_arrives_so_is_none() {
        let mut wire = up();
        let mut bytes = frame(&there(101, b"data"));
        *bytes.last_mut().expect("it has data") ^= 1;
        see(&mut wire, Kind::Arrived, 1, &bytes).unwrap();
        assert!(see(&mut wire, Kind::Sent, 0, &bytes).unwrap_err().contains("not sound"));
    }
}
