//! The header fields of a head that has been read and found well formed.
//!
//! [`Fields`] borrows the head's bytes and walks them again for each question, which for the few hundred bytes of a
//! head is cheaper than an index, and needs no memory. Values are bytes: HTTP does not promise UTF-8.
//!
//! ```
//! use tidemill_core::http::client::{Asked, Response};
//! let mut response = Response::<256>::new();
//! response.start(Asked::Resource);
//! response.receive(b"HTTP/1.1 200 OK\r\nVia: a, b\r\nVia: c\r\n\r\n")?;
//! let fields = response.head().fields();
//! assert_eq!(fields.get("via"), Some(&b"a, b"[..]));
//! assert!(fields.list("Via").eq([&b"a"[..], b"b", b"c"]));
//! # Ok::<(), tidemill_core::http::client::Error>(())
//! ```

use crate::url::scan::find;

/// The fields of one head, in order.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fields<'a> {
    /// Lines `name: value CRLF`; the empty line ends them.
    lines: &'a [u8],
}

/// `Content-Length` is not a decimal number of 64 bits, or given twice with different values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadLength;

impl<'a> Fields<'a> {
    /// Over lines that httparse, or the decoder of chunks, has accepted.
    pub(super) fn new(lines: &'a [u8]) -> Self {
        Self { lines }
    }

    /// The lines `name: value`, each with its CR LF, as they came; perhaps with the empty line behind the last.
    pub fn lines_as_sent(&self) -> &'a [u8] {
        self.lines
    }

    /// All fields, in order, as (name as sent, value without surrounding blanks). O(n) in the size of the head.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines().filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = core::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii()))
        })
    }

    /// The values of every field of this name (in any case), in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.lines().filter_map(move |line| {
            let (found, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    }

    /// The header lines, each with its end.
    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.lines;
        core::iter::from_fn(move || {
            let (line, after) = rest.split_at(line_end(rest)?);
            rest = after;
            Some(line)
        })
    }

    /// The value of the first field of this name (in any case).
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The elements of a comma-separated list, over all fields of this name (RFC 9110 5.6.1), blanks trimmed. An empty
    /// element is passed on. Not for values with quoted strings.
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name).flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
    }

    /// `Content-Length` (RFC 9110 8.6): digits only; repeated only with the same value.
    pub fn content_length(&self) -> Result<Option<u64>, BadLength> {
        content_length(self.list("content-length"))
    }

    /// Whether the sender lets the connection live on (RFC 9112 9.3); `minor` is that of its version, 1.0 or 1.1.
    pub(super) fn keep_alive(&self, minor: u8) -> bool {
        keep_alive(self.list("connection"), minor)
    }
}

/// [`Fields::content_length`] of the elements of `Content-Length`.
pub(super) fn content_length<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, BadLength> {
    let mut length = None;
    for element in elements {
        let value = decimal(element).ok_or(BadLength)?;
        if length.is_some_and(|before| before != value) {
            return Err(BadLength);
        }
        length = Some(value);
    }
    Ok(length)
}

/// [`Fields::keep_alive`] of the elements of `Connection`.
pub(super) fn keep_alive<'a>(options: impl Iterator<Item = &'a [u8]>, minor: u8) -> bool {
    let (mut close, mut keep) = (false, minor > 0);
    for option in options {
        close |= option.eq_ignore_ascii_case(b"close");
        keep |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep && !close
}

/// The length of the first line, with its LF.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = find(bytes, [b'\n']).map(|at| at + 1);
    #[cfg(test)]
    LOOKED_AT.with(|count| count.set(count.get() + end.unwrap_or(bytes.len())));
    end
}

#[cfg(test)]
std::thread_local! {
    /// How many bytes were looked at for the ends of lines, to test how often a head is read.
    pub(super) static LOOKED_AT: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// Parses `1*DIGIT`: no sign, no blank, no more than 64 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a byte may stand in a token: a method or a field name (RFC 9110 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a byte may stand in a field value (RFC 9110 5.5): no control but the tab.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_matches_whole_and_in_any_case() {
        let fields = Fields::new(b"Range: a\r\nRanges: b\r\nIf-Range: c\r\nRANGE:d\r\n\r\n");
        assert!(fields.all("range").eq([&b"a"[..], b"d"]));
        assert_eq!((fields.get("if-range"), fields.get("rang"), fields.get("")), (Some(&b"c"[..]), None, None));
        assert!(fields.iter().eq([("Range", &b"a"[..]), ("Ranges", b"b"), ("If-Range", b"c"), ("RANGE", b"d")]));
    }

    proptest! {
        #[test]
        fn the_end_of_a_line_is_found_as_byte_by_byte(bytes in prop::collection::vec(prop::sample::select(&b"\n\x0b\x09\x8a\0\xff a"[..]), 0..40)) {
            let slow = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            prop_assert_eq!(line_end(&bytes), slow);
        }
    }

    #[test]
    fn behaviour_55_content_length_is_digits_and_repeats_only_itself() {
        let length = |lines| Fields::new(lines).content_length();
        assert_eq!(length(b"\r\n"), Ok(None));
        assert_eq!(length(b"Content-Length: 5\r\n\r\n"), Ok(Some(5)));
        assert_eq!(length(b"Content-Length: 5,5\r\ncontent-length: 5\r\n\r\n"), Ok(Some(5)));
        assert_eq!(length(b"Content-Length: 18446744073709551615\r\n\r\n"), Ok(Some(u64::MAX)));
        for bad in [
            &b"Content-Length: 5,6\r\n\r\n"[..],
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"Content-Length: +5\r\n\r\n",
            b"Content-Length: -1\r\n\r\n",
            b"Content-Length:  \r\n\r\n",
            b"Content-Length: 5,\r\n\r\n",
            b"Content-Length: 0x5\r\n\r\n",
            b"Content-Length: 18446744073709551616\r\n\r\n",
        ] {
            assert_eq!(length(bad), Err(BadLength));
        }
    }

    #[test]
    fn behaviour_58_keep_alive_follows_the_version_and_the_connection_options() {
        let lives = |lines, minor| Fields::new(lines).keep_alive(minor);
        assert!(lives(b"\r\n", 1));
        assert!(!lives(b"\r\n", 0));
        assert!(lives(b"Connection: Keep-Alive\r\n\r\n", 0));
        assert!(!lives(b"Connection: Upgrade, close\r\n\r\n", 1));
        assert!(!lives(b"Connection: keep-alive\r\nConnection: close\r\n\r\n", 0));
        assert!(lives(b"Connection: closed\r\n\r\n", 1));
    }
}
