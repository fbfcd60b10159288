//! Deciding a response (RFC 9110 13.2.2, 14.2) and writing its head.

use super::Head;
use crate::http::conditional::{Outcome, Validators};
use crate::http::range::{ByteRange, ContentRange, Requested};
use crate::http::write::{WriteError, Writer};
use crate::http::{date, etag::ETag};

/// A file, as far as HTTP cares.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Resource<'a> {
    /// Its size in bytes.
    pub len: u64,
    /// Its entity tag as it goes on the wire, quotes included; anything else (such as `""` of Rust) means none.
    pub etag: &'a str,
    /// When it last changed, in seconds since 1970.
    pub modified: Option<u64>,
}

/// A response, but for the bytes of its body.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// Which bytes of the resource to send after the head; `None`: none.
    pub body: Option<ByteRange>,
    /// Several ranges are asked for: if they are to be sent as parts, the head that of a
    /// [`Multipart`](super::Multipart); else all of the resource is.
    pub several: bool,
    content_length: Option<u64>,
    content_range: Option<ContentRange>,
    resource: Option<Resource<'a>>,
}

/// Decides what to answer to a request for a resource that exists: 405 unless it is GET or HEAD; 304, 412 or 416;
/// 206 with one range; or 200 with all of it. That several ranges were asked for is told beside that.
pub fn respond<'a>(head: &Head<'_>, resource: &Resource<'a>) -> Response<'a> {
    let get = head.method() == "GET";
    if !get && head.method() != "HEAD" {
        return Response::plain(405, 0);
    }
    let fields = head.fields();
    let validators = Validators::new(resource.etag, resource.modified);
    let whole = Response {
        status: 200,
        body: if get { ByteRange::new(0, resource.len) } else { None },
        content_length: Some(resource.len),
        content_range: None,
        several: false,
        resource: Some(*resource),
    };
    match validators.evaluate(&fields) {
        Outcome::Failed => return Response::plain(412, 0),
        Outcome::NotModified => return Response { status: 304, body: None, content_length: None, ..whole },
        Outcome::Proceed => {}
    }
    let mut ranges = fields.all("range");
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return whole };
    if !get || !validators.allow_range(&fields) {
        return whole;
    }
    let total = Some(resource.len);
    match Requested::parse(range, resource.len) {
        Requested::Whole => whole,
        Requested::Several => Response { several: true, ..whole },
        Requested::One(range) => Response {
            status: 206,
            body: Some(range),
            content_length: Some(range.len()),
            content_range: Some(ContentRange { range: Some(range), total }),
            ..whole
        },
        Requested::Unsatisfiable => Response {
            status: 416,
            body: None,
            content_length: Some(0),
            content_range: Some(ContentRange { range: None, total }),
            ..whole
        },
    }
}

impl Response<'_> {
    /// A response that is not about a file: an error, or a page that the server makes, of so many bytes.
    pub const fn plain(status: u16, content_length: u64) -> Self {
        Self {
            status,
            body: None,
            several: false,
            content_length: Some(content_length),
            content_range: None,
            resource: None,
        }
    }

    /// Of the same resource, in parts that are so long together.
    pub(super) const fn of_parts(self, content_length: u64) -> Self {
        Self { status: 206, body: None, content_length: Some(content_length), content_range: None, ..self }
    }

    /// Writes the head to the front of `out`; returns its length. `now` is the time in seconds since 1970, `None` if
    /// there is no clock (RFC 9110 6.6.1); `content_type` is that of the body, left out where there is none. `headers`
    /// come last, and must not repeat what is written here.
    pub fn write_head(
        &self,
        out: &mut [u8],
        now: Option<u64>,
        content_type: &str,
        keep_alive: bool,
        headers: &[(&str, &[u8])],
    ) -> Result<usize, WriteError> {
        let mut writer = Writer::new(out);
        writer.raw(b"HTTP/1.1 ")?;
        writer.fmt(format_args!("{:03} {}", self.status, reason(self.status)))?;
        writer.raw(b"\r\n")?;
        if let Some(now) = now {
            writer.field("Date", &date::format(now))?;
        }
        if let Some(length) = self.content_length {
            writer.field_fmt("Content-Length", format_args!("{length}"))?;
            if length > 0 || self.status == 200 {
                writer.field("Content-Type", content_type.as_bytes())?;
            }
        }
        if let Some(range) = self.content_range {
            writer.field_fmt("Content-Range", format_args!("{range}"))?;
        }
        if let Some(resource) = self.resource {
            writer.raw(b"Accept-Ranges: bytes\r\n")?;
            if ETag::parse(resource.etag.as_bytes()).is_some() {
                writer.field("ETag", resource.etag.as_bytes())?;
            }
            if let Some(modified) = resource.modified {
                writer.field("Last-Modified", &date::format(modified))?;
            }
        }
        if self.status == 405 {
            writer.raw(b"Allow: GET, HEAD\r\n")?;
        }
        // Said in either case: a client of HTTP/1.0 needs to be told that it may go on.
        writer.field("Connection", if keep_alive { b"keep-alive" } else { b"close" })?;
        for (name, value) in headers {
            writer.field(name, value)?;
        }
        writer.raw(b"\r\n")?;
        Ok(writer.len())
    }
}

/// The phrase for people that follows the code.
pub(in crate::http) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;
    use std::format;
    use std::string::String;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn answer(method: &str, fields: &str, len: u64) -> (u16, Option<(u64, u64)>, String) {
        let mut request = Request::<1024>::new();
        request.receive(format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).unwrap();
        let resource = Resource { len, etag: "\"v1\"", modified: Some(784_111_777) };
        let response = respond(&request.head(), &resource);
        let mut out = [0; 1024];
        let written = response.write_head(&mut out, Some(784_111_778), "a/b", request.keep_alive(), &[]).unwrap();
        let range = response.body.map(|range| (range.start(), range.end()));
        (response.status, range, String::from_utf8(out[..written].to_vec()).unwrap())
    }

    fn get(fields: &str) -> (u16, Option<(u64, u64)>) {
        let (status, range, _) = answer("GET", fields, 1024);
        (status, range)
    }

    const WHOLE: (u16, Option<(u64, u64)>) = (200, Some((0, 1024)));

    #[test]
    fn the_whole_file_and_everything_about_it() {
        let (status, range, head) = answer("GET", "", 1024);
        assert_eq!((status, range), WHOLE);
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\nContent-Length: 1024\r\nContent-Type: a/b\r\n\
             Accept-Ranges: bytes\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn behaviours_47_to_49_ranges() {
        assert_eq!(get("Range: bytes=-5\r\n"), (206, Some((1019, 1024))));
        assert_eq!(get("Range: bytes=0-1,2000-3000\r\n"), (206, Some((0, 2))));
        for whole in ["items=0-1", "bytes=5-2", "bytes=0-0\r\nRange: bytes=1-1"] {
            assert_eq!(get(&format!("Range: {whole}\r\n")), WHOLE, "{whole}");
        }
        let (_, _, head) = answer("GET", "Range: bytes=0-0\r\n", 1024);
        assert!(head.contains("\r\nContent-Length: 1\r\nContent-Type: a/b\r\nContent-Range: bytes 0-0/1024\r\n"));
        let (status, range, head) = answer("GET", "Range: bytes=1024-\r\n", 1024);
        assert_eq!((status, range), (416, None));
        assert!(head.contains("\r\nContent-Length: 0\r\nContent-Range: bytes */1024\r\n"));
    }

    #[test]
    fn behaviour_50_conditions_come_before_ranges() {
        assert_eq!(get("Range: bytes=0-0\r\nIf-Range: \"v1\"\r\n").0, 206);
        for other in ["W/\"v1\"", "\"v2\"", "Sun, 06 Nov 1994 08:49:38 GMT"] {
            assert_eq!(get(&format!("Range: bytes=0-0\r\nIf-Range: {other}\r\n")), WHOLE);
        }
        assert_eq!(get(&format!("Range: bytes=0-0\r\nIf-Range: {DATE}\r\n")).0, 206);
        assert_eq!(get("Range: bytes=9999-\r\nIf-Match: \"zz\"\r\n"), (412, None));
        let (status, range, head) = answer("GET", "Range: bytes=0-0\r\nIf-None-Match: *\r\n", 1024);
        assert_eq!((status, range), (304, None));
        assert!(head.contains("ETag") && !head.contains("Content-"));
    }

    #[test]
    fn behaviour_50_head_is_never_partial_and_has_no_body() {
        let (status, range, head) = answer("HEAD", "Range: bytes=0-0\r\n", 1024);
        assert_eq!((status, range), (200, None));
        assert!(head.contains("\r\nContent-Length: 1024\r\n"));
    }

    #[test]
    fn behaviour_51_an_empty_file() {
        let (status, range, head) = answer("GET", "", 0);
        assert_eq!((status, range), (200, None));
        assert!(head.contains("\r\nContent-Length: 0\r\nContent-Type: a/b\r\n"));
        let (status, _, head) = answer("GET", "Range: bytes=0-\r\n", 0);
        assert!(status == 416 && head.contains("\r\nContent-Range: bytes */0\r\n"));
    }

    #[test]
    fn other_methods_are_told_what_is_allowed() {
        let (status, range, head) = answer("POST", "Connection: close\r\n", 1024);
        assert_eq!((status, range), (405, None));
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n") && head.contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_head_that_does_not_fit_or_would_break_apart_is_not_written() {
        let write =
            |out: &mut [u8], value: &[u8]| Response::plain(404, 0).write_head(out, None, "", false, &[("A", value)]);
        let len = write(&mut [0; 256], b"b").unwrap();
        assert_eq!(write(&mut [0; 256][..len], b"b"), Ok(len));
        assert_eq!(write(&mut [0; 256][..len - 1], b"b"), Err(WriteError::NoSpace));
        assert_eq!(write(&mut [0; 256], b"b\r\nC: d"), Err(WriteError::Invalid));
    }
}
