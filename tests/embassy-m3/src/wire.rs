//! A frame of 64 bytes, and a URL: ours do more (a header that says channel and sequence; every part of the URL, and what
//! may not be in one), which is part of their price.

use crate::TIMES;
use crate::meter::{self, Row};
use core::hint::black_box;
use crc::{CRC_32_ISCSI, Crc, Table};
use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, crc as checksum, encode};
use tidemill_core::url::{Uri, urlsplit};

static TABLE: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);
const URL: &str = "http://10.0.2.2:8000/firmware/image.bin?version=17";

pub fn measure() {
    ours();
    theirs();
    urls();
}

/// Bytes as they come, zeros among them.
fn payload(n: u32) -> [u8; 64] {
    core::array::from_fn(|i| (n.wrapping_mul(0x9E37_79B1).rotate_left(i as u32) >> 24) as u8)
}

fn ours() {
    let [mut encoded, mut decoded] = ["frame64.encode", "frame64.decode"].map(|what| Row::new(what, "tidemill"));
    let mut decoder = Decoder::new(Carrier::Line, checksum::software, [0; 80]);
    for sequence in 0..TIMES {
        let payload = payload(sequence);
        let header =
            Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 1, sequence: sequence as u16 };
        let mut wire = [0; 96];
        meter::begin();
        let len = encode(Carrier::Line, checksum::software, header, [black_box(&payload), &[]], &mut wire);
        meter::end();
        encoded.add();
        let mut input = &wire[..len.expect("fits")];
        meter::begin();
        let good = decoder.next(black_box(&mut input)).is_some_and(|frame| frame.is_ok());
        meter::end();
        decoded.add();
        assert!(good);
    }
    encoded.print();
    decoded.print();
}

/// COBS around the payload and its checksum.
fn theirs() {
    let [mut encoded, mut decoded] = ["frame64.encode", "frame64.decode"].map(|what| Row::new(what, "cobs+crc"));
    for n in 0..TIMES {
        let payload = payload(n);
        let mut wire = [0; 96];
        meter::begin();
        let mut frame = [0; 68];
        frame[..64].copy_from_slice(black_box(&payload));
        let sum = TABLE.checksum(&frame[..64]);
        frame[64..].copy_from_slice(&sum.to_le_bytes());
        let len = cobs::encode(&frame, &mut wire);
        meter::end();
        encoded.add();
        let mut back = [0; 96];
        meter::begin();
        let len = cobs::decode(black_box(&wire[..len]), &mut back).map_or(0, |report| report.frame_size());
        let good =
            back[..len].split_last_chunk::<4>().is_some_and(|(bytes, sum)| TABLE.checksum(bytes).to_le_bytes() == *sum);
        meter::end();
        decoded.add();
        assert!(good && back[..64] == payload);
    }
    encoded.print();
    decoded.print();
}

fn urls() {
    let mut python = Row::new("url.split", "tidemill");
    let mut uri = Row::new("url.parse", "tidemill");
    // Scheme, host, port and path: it looks for neither query nor fragment, and refuses nothing.
    let mut theirs = ["url.split", "url.parse"].map(|what| Row::new(what, "nourl"));
    for _ in 0..TIMES {
        meter::begin();
        let split = urlsplit(black_box(URL), black_box(""), black_box(true));
        let _ = black_box(split);
        meter::end();
        python.add();
        meter::begin();
        let parsed = Uri::parse(black_box(URL));
        let port = parsed.and_then(|uri| uri.port());
        let _ = black_box(port);
        meter::end();
        uri.add();
        meter::begin();
        let url = nourl::Url::parse(black_box(URL));
        let _ = black_box(url);
        meter::end();
        theirs.iter_mut().for_each(Row::add);
    }
    [python, uri].iter().chain(&theirs).for_each(Row::print);
}
