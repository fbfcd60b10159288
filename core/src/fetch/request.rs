//! What a connection asks for, and how that is said.

use super::engine::{Engine, UNKNOWN_END};
use super::state::Validator;
use super::{HEADERS_MAX, Sink};
use crate::http::body::Framing;
use crate::http::client::{self, Request};
use crate::http::range::request_value;
use crate::http::redirect::goes_along;
use core::ops::Range;
use heapless::Vec;

/// Request fields of ours: `Accept-Encoding`, `Range`, `If-Range`.
const FIELDS_MAX: usize = HEADERS_MAX + 3;

/// What was asked for.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Asked {
    pub(super) source: usize,
    pub(super) revision: u8,
    pub(super) range: Range<u64>,
    pub(super) ranged: bool,
}

/// Writes the request into `out`; how long it is.
pub(super) fn write_request<K: Sink, const N: usize>(
    asked: &Asked,
    engine: &Engine<'_, K, N>,
    out: &mut [u8],
) -> Result<usize, client::Error> {
    let source = &engine.sources[asked.source];
    let end = (asked.range.end != UNKNOWN_END).then_some(asked.range.end);
    let range = request_value(asked.range.start, end);
    let mut fields: Vec<(&str, &[u8]), FIELDS_MAX> = Vec::new();
    // Offsets are those of the file as it is, so it must come as it is (RFC 9110, 12.5.3).
    let mut add = |name, value| fields.push((name, value)).map_err(|_| client::Error::NoSpace);
    add("Accept-Encoding", &b"identity"[..])?;
    if asked.ranged {
        add("Range", range.as_bytes())?;
        if let Some(validator) = source.validator.as_ref().and_then(Validator::if_range) {
            add("If-Range", validator.as_bytes())?;
        }
    }
    for &(name, value) in engine.options.headers {
        if goes_along(name, !source.moved, true) {
            add(name, value)?;
        }
    }
    let (target, host) = (source.target(), source.authority());
    Request { method: "GET", target, host, headers: &fields, body: Framing::None }.write_to(out)
}
