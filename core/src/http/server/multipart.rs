//! Several ranges of one file in one answer: `multipart/byteranges` (RFC 9110 14.6).

use core::fmt::Write as _;

use super::{Head, Response};
use crate::http::range::{ByteRange, ContentRange, MAX_RANGES, several};
use crate::http::write::{WriteError, Writer};

/// How long a boundary is, in bytes.
pub const BOUNDARY_LEN: usize = 16;

/// How long the media type of such an answer is, in bytes.
pub const MEDIA_TYPE_MAX: usize = "multipart/byteranges; boundary=".len() + BOUNDARY_LEN;

/// An answer in parts. It is computed from the request whenever it is needed, so nothing of it has to be kept but the
/// boundary and which part is next. At most [`MAX_RANGES`] parts, none of which overlaps another.
///
/// ```
/// use tidemill_core::http::server::{Multipart, Request, Resource, respond};
/// let mut request = Request::<256>::new();
/// request.receive(b"GET /f HTTP/1.1\r\nHost: h\r\nRange: bytes=0-0,2-3\r\n\r\n")?;
/// let response = respond(&request.head(), &Resource { len: 10, etag: "\"v1\"", modified: None });
/// assert!(response.several);
/// let parts = Multipart::new(&request.head(), 10, "text/plain", 7).unwrap();
/// let (mut out, mut body) = ([0; 256], String::new());
/// for number in 0.. {
///     let (len, range) = parts.part(number, &mut out)?;
///     body += core::str::from_utf8(&out[..len])?;
///     let Some(range) = range else { break };
///     body += &"0123456789"[range.start() as usize..range.end() as usize];
/// }
/// assert_eq!(body.len() as u64, parts.len());
/// assert!(body.contains("Content-Range: bytes 2-3/10\r\n\r\n23\r\n--"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Multipart<'a> {
    ranges: heapless::Vec<ByteRange, MAX_RANGES>,
    total: u64,
    content_type: &'a str,
    boundary: u64,
}

impl<'a> Multipart<'a> {
    /// The parts that this request asks for of a file of `total` bytes; `None`: not several. The file must be one in which
    /// the `boundary` does not occur: a number that nobody could know beforehand is as good as that.
    pub fn new(head: &Head<'_>, total: u64, content_type: &'a str, boundary: u64) -> Option<Self> {
        let ranges = several(head.header("range")?, total).filter(|ranges| ranges.len() > 1)?;
        Some(Self { ranges, total, content_type, boundary })
    }

    /// The media type of the whole.
    pub fn media_type(&self) -> heapless::String<MEDIA_TYPE_MAX> {
        let mut media_type = heapless::String::new();
        // It fits to the byte.
        let _ = write!(media_type, "multipart/byteranges; boundary={:016x}", self.boundary);
        media_type
    }

    /// The response whose head tells of it, made from the one that would send all.
    pub fn response<'r>(&self, whole: Response<'r>) -> Response<'r> {
        whole.of_parts(self.len())
    }

    /// How long the whole body is, in bytes. O(parts).
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u64 {
        let mut count = Count(0);
        let parts = (0..=self.ranges.len()).map(|number| {
            // Counting does not fail.
            let _ = self.write_part(number, &mut count);
            self.ranges.get(number).map_or(0, ByteRange::len)
        });
        let bytes: u64 = parts.sum();
        bytes + count.0
    }

    /// Writes what stands before part `number`, or after the last one, to the front of `out`: its length, and the bytes
    /// of the file that follow. `None`: that was all.
    ///
    /// # Errors
    /// [`WriteError::NoSpace`].
    pub fn part(&self, number: usize, out: &mut [u8]) -> Result<(usize, Option<ByteRange>), WriteError> {
        let mut writer = Writer::new(out);
        self.write_part(number, &mut writer).map_err(|core::fmt::Error| WriteError::NoSpace)?;
        Ok((writer.len(), self.ranges.get(number).copied()))
    }

    fn write_part(&self, number: usize, out: &mut impl core::fmt::Write) -> core::fmt::Result {
        let boundary = self.boundary;
        let Some(&range) = self.ranges.get(number) else { return write!(out, "\r\n--{boundary:016x}--\r\n") };
        let (range, content_type) = (ContentRange { range: Some(range), total: Some(self.total) }, self.content_type);
        write!(out, "\r\n--{boundary:016x}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n")
    }
}

/// Counts what is written.
struct Count(u64);

impl core::fmt::Write for Count {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}
