//! The frames of `frame/vectors.json` and a second implementation in Python, which reads the same, hold the protocol to its
//! words: what is written differently by either fails here.

use serde_json::Value;
use std::process::Command;
use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, OVERHEAD, Why, crc, encode};

fn file(name: &str) -> String {
    format!("{}/frame/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn vectors() -> Value {
    serde_json::from_str(&std::fs::read_to_string(file("vectors.json")).expect("vectors")).expect("JSON")
}

fn number(vector: &Value, name: &str) -> usize {
    vector[name].as_u64().unwrap_or_else(|| panic!("{name} in {vector}")) as usize
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    let hex = vector[name].as_str().unwrap_or_else(|| panic!("{name} in {vector}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn carrier(vector: &Value) -> Carrier {
    if vector["carrier"] == "line" { Carrier::Line } else { Carrier::Stream }
}

/// What comes out of `wire`, taken `step` bytes at a time.
fn decode(vector: &Value, longest: usize, step: usize) -> Vec<Result<(Header, Vec<u8>), Why>> {
    let mut decoder = Decoder::new(carrier(vector), crc::software, vec![0; longest + OVERHEAD]);
    let mut outcomes = Vec::new();
    for mut piece in bytes(vector, "wire").chunks(step) {
        while let Some(outcome) = decoder.next(&mut piece) {
            outcomes.push(outcome.map(|frame| (frame.header, frame.payload.to_vec())).map_err(|error| error.why));
        }
    }
    outcomes
}

#[test]
fn good_frames_are_written_and_read_as_the_vectors_say() {
    let vectors = vectors();
    let longest = number(&vectors, "longest");
    let frames = vectors["frames"].as_array().expect("frames");
    assert!(frames.len() > 40);
    for vector in frames {
        let kind = [
            Kind::Hello,
            Kind::Data,
            Kind::Request,
            Kind::Response,
            Kind::Cancel,
            Kind::Credit,
            Kind::Blocked,
            Kind::Ack,
            Kind::Ping,
            Kind::Pong,
            Kind::Goodbye,
        ][number(vector, "kind")];
        let flags = Flags(number(vector, "flags") as u8);
        let (channel, sequence) = (number(vector, "channel") as u8, number(vector, "sequence") as u16);
        let header = Header { kind, flags, channel, sequence };
        let payload = bytes(vector, "payload");
        let mut wire = vec![0; carrier(vector).encoded_max(payload.len())];
        let len = encode(carrier(vector), crc::software, header, [&payload, &[]], &mut wire).expect("room");
        assert_eq!(wire[..len], bytes(vector, "wire"), "{}", vector["name"]);
        for step in [1, 5, usize::MAX] {
            assert_eq!(decode(vector, longest, step), [Ok((header, payload.clone()))], "{}", vector["name"]);
        }
    }
}

#[test]
fn damaged_frames_are_told_as_the_vectors_say() {
    let vectors = vectors();
    for vector in vectors["damaged"].as_array().expect("damaged") {
        let why = match vector["error"].as_str().expect("error") {
            "version" => Why::Version,
            "kind" => Why::Kind,
            "flags" => Why::Flags,
            "too_long" => Why::TooLong,
            "length" => Why::Length,
            "checksum" => Why::Checksum,
            other => panic!("unknown error {other}"),
        };
        for step in [1, 5, usize::MAX] {
            assert_eq!(decode(vector, number(&vectors, "longest"), step), [Err(why)], "{}", vector["name"]);
        }
    }
}

#[test]
fn python_reads_and_writes_the_same() {
    let output = Command::new("python3")
        .args([&file("peer.py"), "vectors", &file("vectors.json")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let vectors = vectors();
    let count: usize =
        ["frames", "damaged", "proofs"].map(|part| vectors[part].as_array().expect(part).len()).iter().sum();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), count.to_string());
}
