//! Byte ranges (RFC 9110 14): asking for them, reading what was asked, and what was sent.
//!
//! On the wire a range names its first and last byte; [`ByteRange`] is half-open, as in Rust. All numbers are 64 bits,
//! and digits beyond that mean "beyond the end", never a wrapped number.
//!
//! ```
//! use tidemill_core::http::range::{ByteRange, ContentRange, Requested, request_value};
//! assert_eq!(request_value(5, Some(10)), "bytes=5-9");
//! assert_eq!(Requested::parse(b"bytes=-5", 1024), Requested::One(ByteRange::new(1019, 1024).unwrap()));
//! let sent = ContentRange::parse(b"bytes 1019-1023/1024").unwrap();
//! assert_eq!((sent.range.unwrap().start(), sent.total), (1019, Some(1024)));
//! ```

use core::fmt::Write as _;

use super::fields::decimal;

/// How many ranges one request may name. One that names more gets the whole.
pub const MAX_RANGES: usize = 16;

/// A range of bytes that is not empty: `start` included, `end` not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// From `start` to before `end`; `None` if that is empty.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// One past the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// The value of a `Range` field that asks for the bytes from `start` to before `end`, or to the end of the file. An
/// `end` not past `start` asks for the one byte at `start`.
pub fn request_value(start: u64, end: Option<u64>) -> heapless::String<47> {
    let mut value = heapless::String::new();
    // 47 bytes are "bytes=", two numbers of 20 digits and "-": this cannot fail.
    let _ = write!(value, "bytes={start}-");
    if let Some(end) = end {
        let _ = write!(value, "{}", end.saturating_sub(1).max(start));
    }
    value
}

/// What a `Range` field asks of a file of known length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Requested {
    /// The field is to be ignored: another unit, malformed, or more than [`MAX_RANGES`] ranges (RFC 9110 14.2).
    Whole,
    /// One range, or several that touch or overlap and so come to one. Within the file.
    One(ByteRange),
    /// Several ranges apart from each other: see [`several`].
    Several,
    /// No byte of the file is asked for: answer 416.
    Unsatisfiable,
}

impl Requested {
    /// Reads the value of a `Range` field for a file of `length` bytes. O(n) in the value's size, and at most
    /// [`MAX_RANGES`] ranges are compared.
    pub fn parse(value: &[u8], length: u64) -> Self {
        match several(value, length).as_deref() {
            None => Self::Whole,
            Some([]) => Self::Unsatisfiable,
            Some([one]) => Self::One(*one),
            Some(_) => Self::Several,
        }
    }
}

/// The ranges that a `Range` field asks for of a file of `length` bytes: in order, within the file, joined where they touch
/// or overlap, so that together they are never longer than the file. `None`: the field is to be ignored.
pub fn several(value: &[u8], length: u64) -> Option<heapless::Vec<ByteRange, MAX_RANGES>> {
    let (unit, set) = split_once(value, b'=')?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges = heapless::Vec::<ByteRange, MAX_RANGES>::new();
    let mut named = 0;
    for element in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()) {
        let range = one(element, length).ok()?;
        named += 1;
        if named > MAX_RANGES {
            return None;
        }
        if let Some(range) = range {
            // There are no more than were named, so it fits.
            let _ = ranges.push(range);
        }
    }
    ranges.sort_unstable();
    let mut joined = heapless::Vec::<ByteRange, MAX_RANGES>::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            // No more than there were.
            _ => drop(joined.push(range)),
        }
    }
    (named > 0).then_some(joined)
}

/// An element of a `Range` field that is not a range.
struct Malformed;

/// One range; `None` if it is outside of the file.
fn one(element: &[u8], length: u64) -> Result<Option<ByteRange>, Malformed> {
    let (first, last) = split_once(element, b'-').ok_or(Malformed)?;
    if first.is_empty() {
        let suffix = saturating(last).ok_or(Malformed)?;
        return Ok(ByteRange::new(length.saturating_sub(suffix), length));
    }
    let first = saturating(first).ok_or(Malformed)?;
    if last.is_empty() {
        return Ok(ByteRange::new(first, length));
    }
    let last = saturating(last).filter(|&last| last >= first).ok_or(Malformed)?;
    Ok(ByteRange::new(first, last.saturating_add(1).min(length)))
}

/// Parses `1*DIGIT`; more than 64 bits hold is as much as they hold.
fn saturating(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| decimal(digits).unwrap_or(u64::MAX))
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The value of a `Content-Range` field (RFC 9110 14.4). Displays as that value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ContentRange {
    /// The bytes sent; `None` in a 416, which sends none.
    pub range: Option<ByteRange>,
    /// The length of the whole; `None` if the server does not know it.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads a value. `None` if it is malformed, contradicts itself, or has another unit.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, rest) = split_once(value, b' ')?;
        let (range, total) = split_once(rest.trim_ascii(), b'/')?;
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let total = if total == b"*" { None } else { Some(decimal(total)?) };
        if range == b"*" {
            return total.is_some().then_some(Self { range: None, total });
        }
        let (first, last) = split_once(range, b'-')?;
        let range = ByteRange::new(decimal(first)?, decimal(last)?.checked_add(1)?)?;
        total.is_none_or(|total| range.end <= total).then_some(Self { range: Some(range), total })
    }
}

impl core::fmt::Display for ContentRange {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.range {
            Some(range) => write!(f, "bytes {}-{}/", range.start, range.end - 1)?,
            None => f.write_str("bytes */")?,
        }
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).unwrap()
    }

    fn asked(value: &str) -> Requested {
        Requested::parse(value.as_bytes(), 1024)
    }

    #[test]
    fn behaviour_47_single_ranges_of_1024_bytes() {
        assert_eq!(asked("bytes=0-0"), Requested::One(range(0, 1)));
        assert_eq!(asked("bytes=-5"), Requested::One(range(1019, 1024)));
        assert_eq!(asked("bytes=-2000"), Requested::One(range(0, 1024)));
        assert_eq!(asked("bytes=5-"), Requested::One(range(5, 1024)));
        assert_eq!(asked("bytes=1023-2000"), Requested::One(range(1023, 1024)));
        assert_eq!(asked("bytes=1024-"), Requested::Unsatisfiable);
        assert_eq!(asked("bytes=-0"), Requested::Unsatisfiable);
    }

    #[test]
    fn behaviour_48_malformed_ranges_never_send_wrong_bytes() {
        for bad in ["5-2", "abc", "--5", "+1-2", "-", "1", "0x0-1", "1-2-3", "", ",", "0-1,x", "1 -2"] {
            assert_eq!(asked(&format!("bytes={bad}")), Requested::Whole, "{bad}");
        }
        assert_eq!(asked("items=0-1"), Requested::Whole);
        assert_eq!(asked("bytes"), Requested::Whole);
        assert_eq!(asked("BYTES=0-1"), Requested::One(range(0, 2)));
        assert_eq!(asked("bytes= 0-1"), Requested::One(range(0, 2)));
        assert_eq!(asked("bytes=0-99999999999999999999"), Requested::One(range(0, 1024)));
        assert_eq!(asked("bytes=-99999999999999999999"), Requested::One(range(0, 1024)));
        assert_eq!(asked("bytes=99999999999999999999-"), Requested::Unsatisfiable);
    }

    #[test]
    fn behaviour_49_several_ranges_join_or_are_told_apart() {
        assert_eq!(asked("bytes=0-1,2000-3000"), Requested::One(range(0, 2)));
        assert_eq!(asked("bytes=2-3, 0-1"), Requested::One(range(0, 4)));
        assert_eq!(asked("bytes=0-0,2-3"), Requested::Several);
        assert_eq!(asked(&format!("bytes={}", ["0-"; 16].join(","))), Requested::One(range(0, 1024)));
        assert_eq!(asked(&format!("bytes={}", ["0-"; 17].join(","))), Requested::Whole);
    }

    #[test]
    fn behaviour_51_an_empty_file_satisfies_no_range() {
        for value in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(Requested::parse(value.as_bytes(), 0), Requested::Unsatisfiable);
        }
    }

    #[test]
    fn content_ranges_are_read_and_written() {
        for value in ["bytes 0-0/1", "bytes 5-9/*", "bytes */1024", "bytes 0-18446744073709551614/18446744073709551615"]
        {
            assert_eq!(ContentRange::parse(value.as_bytes()).unwrap().to_string(), value);
        }
        for bad in [
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes */*",
            "bytes 0-/10",
            "bytes -5/10",
            "items 0-1/2",
            "bytes 0-1",
            "0-1/2",
            "bytes=0-1/2",
            "bytes 0-18446744073709551615/*",
            "bytes 0-1/+2",
            "",
        ] {
            assert_eq!(ContentRange::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_longest_request_fits() {
        assert_eq!(request_value(u64::MAX, None), "bytes=18446744073709551615-");
        assert_eq!(request_value(u64::MAX, Some(0)).len(), 47);
        assert_eq!(request_value(0, Some(1)), "bytes=0-0");
    }

    /// One range as numbers: what it is written as, and which bytes of a small file it names.
    fn piece() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
        (prop::option::of(0_u64..40), prop::option::of(0_u64..40))
            .prop_filter("not both absent", |piece| piece != &(None, None))
    }

    proptest! {
        #[test]
        fn ranges_name_the_bytes_that_a_naive_reading_names(pieces in prop::collection::vec(piece(), 1..5), length in 0_u64..32) {
            let mut named = std::vec![false; length as usize];
            let mut valid = true;
            for (first, last) in &pieces {
                for (at, named) in named.iter_mut().enumerate() {
                    let at = at as u64;
                    *named |= match (first, last) {
                        (Some(first), Some(last)) => (*first..=*last).contains(&at),
                        (Some(first), None) => at >= *first,
                        (None, Some(suffix)) => length - at <= *suffix,
                        (None, None) => false,
                    };
                }
                valid &= !matches!((first, last), (Some(first), Some(last)) if last < first);
            }
            let text: Vec<String> = pieces.iter().map(|(first, last)| {
                let text = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
                format!("{}-{}", text(first), text(last))
            }).collect();
            let runs: Vec<usize> = (0..named.len()).filter(|&at| named[at] && (at == 0 || !named[at - 1])).collect();
            let expected = match runs[..] {
                _ if !valid => Requested::Whole,
                [] => Requested::Unsatisfiable,
                [start] => {
                    let len = named[start..].iter().take_while(|&&named| named).count();
                    Requested::One(range(start as u64, (start + len) as u64))
                }
                _ => Requested::Several,
            };
            prop_assert_eq!(Requested::parse(format!("bytes={}", text.join(",")).as_bytes(), length), expected);
        }
    }
}
