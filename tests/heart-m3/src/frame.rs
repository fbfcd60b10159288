//! Frames of 64 bytes: written, and found again, on either carrier.

use crate::draw::Draw;
use crate::meter::Meter;
use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, crc, encode};

pub fn measure(meter: &mut Meter) {
    one(meter, Carrier::Stream, ["frame64.stream.encode", "frame64.stream.decode"]);
    one(meter, Carrier::Line, ["frame64.line.encode", "frame64.line.decode"]);
}

#[inline(never)]
fn one(meter: &mut Meter, carrier: Carrier, names: [&'static str; 2]) {
    let mut draw = Draw::new();
    let mut decoder = Decoder::new(carrier, crc::software, [0; 80]);
    let mut counts = [meter.count(); 2];
    let [encoded, decoded] = &mut counts;
    for sequence in 0..1_000 {
        let mut payload = [0; 64];
        for byte in &mut payload {
            *byte = draw.next() as u8;
        }
        let header = Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 1, sequence };
        let mut wire = [0; 80];
        let len = encoded.of((header, &payload), |(header, payload)| {
            encode(carrier, crc::software, header, [payload, &[]], &mut wire)
        });
        let Some(mut input) = len.and_then(|len| wire.get(..len)) else { continue };
        decoded.of((), |()| decoder.next(&mut input).is_some_and(|frame| frame.is_ok()));
    }
    for (what, count) in names.into_iter().zip(counts) {
        meter.add(what, "tidemill", 10, count);
    }
}
