//! Content codings, undone while the body is read.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::opener::Handler;
use super::{Opener, Request, Response, UrlError};

/// The largest window that a zstd stream may ask for, in bytes (RFC 9659).
pub const WINDOW_MAX: u64 = 8 << 20;

/// The most codings on top of each other.
const CODINGS_MAX: usize = 2;

/// Undoes the coding of the content where the request asked for one by [`Request::compressed`]. No more is unpacked than is
/// read: a small body that stands for a large one costs only whoever reads it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Decoding;

impl Handler for Decoding {
    fn order(&self) -> u16 {
        400
    }

    fn response(&self, request: &Request, mut response: Response, _: &Opener) -> Result<Response, UrlError> {
        // What has no body has nothing to undo.
        if !request.compressed || request.get_method() == "HEAD" || response.length() == Some(0) {
            return Ok(response);
        }
        let codings: Vec<String> = response
            .headers
            .get_all("Content-Encoding")
            .flat_map(|value| value.split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        let known = |coding: &String| matches!(coding.as_str(), "gzip" | "x-gzip" | "deflate" | "zstd");
        // What is not known stays as it is, and the field says so.
        if codings.is_empty() || codings.len() > CODINGS_MAX || !codings.iter().all(known) {
            return Ok(response);
        }
        for coding in codings.iter().rev() {
            response = response.map_body(|body| Box::new(Lazy::Waiting(body, kind(coding))));
        }
        response.headers.remove("Content-Encoding");
        response.headers.remove("Content-Length");
        Ok(response)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Gzip,
    Deflate,
    Zstd,
}

fn kind(coding: &str) -> Kind {
    match coding {
        "deflate" => Kind::Deflate,
        "zstd" => Kind::Zstd,
        _ => Kind::Gzip,
    }
}

type Inner = Box<dyn Read + Send + Sync>;

/// A decoder that is made at the first read: to choose it, one must look at the bytes.
enum Lazy {
    Waiting(Inner, Kind),
    Reading(Inner),
    Over,
}

impl Read for Lazy {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::Reading(reader) => return reader.read(buf),
                Self::Over => return Ok(0),
                Self::Waiting(..) => {
                    let Self::Waiting(inner, kind) = std::mem::replace(self, Self::Over) else { return Ok(0) };
                    if let Some(reader) = decoder(BufReader::with_capacity(16 << 10, inner), kind)? {
                        *self = Self::Reading(reader);
                    }
                }
            }
        }
    }
}

/// `None`: there is nothing to decode.
fn decoder(mut inner: BufReader<Inner>, kind: Kind) -> io::Result<Option<Inner>> {
    let first = inner.fill_buf()?;
    if first.is_empty() {
        return Ok(None);
    }
    Ok(Some(match kind {
        Kind::Gzip => Box::new(MultiGzDecoder::new(inner)),
        // By the RFC it is zlib; some servers send what is inside of that alone.
        Kind::Deflate if first[0] & 0x0f == 8 && first.get(1).is_none_or(|second| is_zlib(first[0], *second)) => {
            Box::new(ZlibDecoder::new(inner))
        }
        Kind::Deflate => Box::new(DeflateDecoder::new(inner)),
        Kind::Zstd => {
            let mut frames = FrameDecoder::new();
            frames.set_max_window_size(WINDOW_MAX);
            let decoder = StreamingDecoder::new_with_decoder(inner, frames);
            Box::new(decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?)
        }
    }))
}

/// RFC 1950, 2.2: both bytes together are a multiple of 31.
fn is_zlib(first: u8, second: u8) -> bool {
    (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}
