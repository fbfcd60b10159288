//! Cookie dates (5.1.1): whatever looks like a time, a day, a month and a year, in any order.

use crate::http::date::seconds_since_1970;

/// Seconds since 1970 of a date as servers write it into `Expires`. `None` if it is none. Dates before 1970 are second
/// 0: they are all equally over. O(n).
///
/// ```
/// use tidemill_core::cookie::parse_date;
/// assert_eq!(parse_date(b"Sun, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
/// assert_eq!(parse_date(b"Nov 6 1994, 8:49:37"), Some(784_111_777));
/// assert_eq!(parse_date(b"30 Feb 2030 00:00:00"), None);
/// ```
pub fn parse(text: &[u8]) -> Option<u64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|byte| is_delimiter(*byte)).filter(|token| !token.is_empty()) {
        if time.is_none() {
            time = clock(token);
            if time.is_some() {
                continue;
            }
        }
        let number = leading_number(token).filter(|(_, rest)| !starts_with_digit(rest));
        match number {
            Some((value, rest)) if day.is_none() && token.len() - rest.len() <= 2 => day = Some(value),
            Some((value, rest)) if year.is_none() && (2..=4).contains(&(token.len() - rest.len())) => {
                year = Some(match value {
                    0..=69 => value + 2000,
                    70..=99 => value + 1900,
                    _ => value,
                });
            }
            None if month.is_none() => month = month_of(token),
            _ => {}
        }
    }
    seconds_since_1970(year?, month?, day?, time?)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'/' | b';'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

fn starts_with_digit(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

/// Up to four digits at the start, and what follows them.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut rest) = (0, text);
    while let [digit @ b'0'..=b'9', tail @ ..] = rest
        && text.len() - rest.len() < 4
    {
        (value, rest) = (value * 10 + u64::from(digit - b'0'), tail);
    }
    (rest.len() < text.len()).then_some((value, rest))
}

/// `h:m:s` with one or two digits each, and anything behind that is no digit.
fn clock(token: &[u8]) -> Option<[u64; 3]> {
    let field = |text| leading_number(text).filter(|(_, rest)| text.len() - rest.len() <= 2);
    let (hour, rest) = field(token)?;
    let (minute, rest) = field(rest.strip_prefix(b":")?)?;
    let (second, rest) = field(rest.strip_prefix(b":")?)?;
    (!starts_with_digit(rest)).then_some([hour, minute, second])
}

/// The month that a word begins with, from 1.
fn month_of(token: &[u8]) -> Option<u64> {
    let name = token.get(..3)?;
    let names = "janfebmaraprmayjunjulaugsepoctnovdec".as_bytes();
    let at = names.chunks_exact(3).position(|month| month.eq_ignore_ascii_case(name))?;
    Some(at as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date;
    use proptest::prelude::*;

    #[test]
    fn behaviour_35_dates_as_servers_write_them() {
        let same = |text: &str, as_http: &str| {
            assert_eq!(parse(text.as_bytes()), date::parse(as_http.as_bytes()), "{text}");
        };
        same("Mon, 10-Dec-07 20:35:03 GMT", "Mon, 10 Dec 2007 20:35:03 GMT");
        same("1 Jan 69 00:00:00", "Tue, 01 Jan 2069 00:00:00 GMT");
        same("1 Jan 70 00:00:00", "Thu, 01 Jan 1970 00:00:00 GMT");
        same("DECEMBER 31;1999;23:59:59x", "Fri, 31 Dec 1999 23:59:59 GMT");
        for bad in [
            "30 Feb 2030 00:00:00",
            "1 Jan 1600 00:00:00",
            "1 Jan 2030 24:00:00",
            "1 Jan 2030 00:60:00",
            "1 Jan 2030 00:00:60",
            "0 Jan 2030 00:00:00",
            "32 Jan 2030 00:00:00",
            "Jan 2030 00:00:00",
            "1 2030 00:00:00",
            "1 Jan 00:00:00",
            "1 Jan 2030",
            "1 Jan 20300 00:00:00",
            "1 Jan 2030 00:00:000",
            "1 Jan 2030 000:00:00",
            "",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"1 Jan 1601 00:00:00"), Some(0));
    }

    proptest! {
        #[test]
        fn what_http_writes_is_read(seconds in 0..=253_402_300_799_u64) {
            prop_assert_eq!(parse(&date::format(seconds)), Some(seconds));
        }

        #[test]
        fn reading_anything_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            parse(&text);
        }
    }
}
