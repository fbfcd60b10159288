//! HTTP dates (RFC 9110 5.6.7) as seconds since 1970: one form is written, three are read.
//!
//! ```
//! use tidemill_core::http::date;
//! assert_eq!(&date::format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
//! assert_eq!(date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
//! assert_eq!(date::parse(b"Sun Nov  6 08:49:37 1994"), Some(784_111_777));
//! ```

const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const LONG_DAYS: [&[u8]; 7] = [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The last second of the year 9999: the format has no room for later ones.
const LAST: u64 = 253_402_300_799;

/// Writes the preferred form (IMF-fixdate). Times after the year 9999 are written as its last second.
pub fn format(unix_seconds: u64) -> [u8; 29] {
    let seconds = unix_seconds.min(LAST);
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // Day 0 was a Thursday.
    out[..3].copy_from_slice(DAYS[(days as usize + 3) % 7]);
    out[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    let mut two = |at: usize, value: u64| {
        out[at] = b'0' + (value / 10 % 10) as u8;
        out[at + 1] = b'0' + (value % 10) as u8;
    };
    two(5, day);
    two(12, year / 100);
    two(14, year % 100);
    two(17, seconds / 3600 % 24);
    two(20, seconds / 60 % 60);
    two(23, seconds % 60);
    out
}

/// Reads any of the three forms. The weekday must be one, but is not held against the date. A two-digit year from 70 is
/// of the last century. A leap second is the next minute's first. `None` if malformed, no date, or before 1970.
pub fn parse(text: &[u8]) -> Option<u64> {
    let comma = text.iter().position(|&byte| byte == b',');
    let (year, month, day, time) = match (comma, text) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        (
            Some(3),
            [
                w0,
                w1,
                w2,
                b',',
                b' ',
                d0,
                d1,
                b' ',
                m0,
                m1,
                m2,
                b' ',
                y0,
                y1,
                y2,
                y3,
                b' ',
                time @ ..,
                b' ',
                b'G',
                b'M',
                b'T',
            ],
        ) => {
            position(&DAYS, [*w0, *w1, *w2])?;
            (number(&[*y0, *y1, *y2, *y3])?, position(&MONTHS, [*m0, *m1, *m2])?, number(&[*d0, *d1])?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        (Some(comma), _) => {
            LONG_DAYS.iter().find(|day| ***day == text[..comma])?;
            let [b',', b' ', d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', time @ .., b' ', b'G', b'M', b'T'] =
                &text[comma..]
            else {
                return None;
            };
            let year = number(&[*y0, *y1])?;
            let year = year + if year >= 70 { 1900 } else { 2000 };
            (year, position(&MONTHS, [*m0, *m1, *m2])?, number(&[*d0, *d1])?, time)
        }
        // Sun Nov  6 08:49:37 1994
        (None, [w0, w1, w2, b' ', m0, m1, m2, b' ', d0, d1, b' ', time @ .., b' ', y0, y1, y2, y3]) => {
            position(&DAYS, [*w0, *w1, *w2])?;
            let tens = if *d0 == b' ' { b'0' } else { *d0 };
            (number(&[*y0, *y1, *y2, *y3])?, position(&MONTHS, [*m0, *m1, *m2])?, number(&[tens, *d1])?, time)
        }
        _ => return None,
    };
    let [h0, h1, b':', i0, i1, b':', s0, s1] = time else { return None };
    let (hour, minute, second) = (number(&[*h0, *h1])?, number(&[*i0, *i1])?, number(&[*s0, *s1])?);
    if year < 1970 {
        return None;
    }
    // A leap second, and only that, is carried over.
    Some(seconds_since_1970(year, month, day, [hour, minute, second.min(59)])? + u64::from(second == 60))
        .filter(|_| second <= 60)
}

/// The second at which a date and a time of day (hour, minute, second) begin. `None` if there is no such day or time, or
/// the year is before 1601. What comes before 1970 is second 0. Months and days count from 1.
///
/// ```
/// use tidemill_core::http::date::seconds_since_1970;
/// assert_eq!(seconds_since_1970(1994, 11, 6, [8, 49, 37]), Some(784_111_777));
/// assert_eq!(seconds_since_1970(2023, 2, 29, [0, 0, 0]), None);
/// ```
pub fn seconds_since_1970(year: u64, month: u64, day: u64, time: [u64; 3]) -> Option<u64> {
    let [hour, minute, second] = time;
    let date_exists =
        (1601..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    let time_exists = hour < 24 && minute < 60 && second < 60;
    if !date_exists || !time_exists {
        return None;
    }
    let days = if year < 1970 { return Some(0) } else { days_since_1970(year, month, day) };
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The month's or weekday's number, from 1.
fn position(names: &[&[u8; 3]], name: [u8; 3]) -> Option<u64> {
    names.iter().position(|known| **known == name).map(|at| at as u64 + 1)
}

fn number(digits: &[u8]) -> Option<u64> {
    super::fields::decimal(digits)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date from then on. Years are counted from March, so that the leap day is a year's last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 153 days are any five months from March on.
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The reverse: year, month, day.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_that_are_easily_got_wrong() {
        assert_eq!(&format(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&format(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(&format(4_107_542_399), b"Sun, 28 Feb 2100 23:59:59 GMT");
        assert_eq!(&format(4_107_542_400), b"Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(&format(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn two_digit_years_turn_at_seventy() {
        assert_eq!(parse(b"Thursday, 01-Jan-70 00:00:00 GMT"), Some(0));
        assert_eq!(parse(b"Tuesday, 01-Jan-69 00:00:00 GMT"), parse(b"Tue, 01 Jan 2069 00:00:00 GMT"));
    }

    #[test]
    fn a_leap_second_is_the_next_minute() {
        assert_eq!(parse(b"Sat, 31 Dec 2016 23:59:60 GMT"), parse(b"Sun, 01 Jan 2017 00:00:00 GMT"));
        assert_eq!(parse(b"Sat, 31 Dec 2016 23:59:60 GMT"), Some(1_483_228_800));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..=LAST) {
            prop_assert_eq!(parse(&format(seconds)), Some(seconds));
        }

        #[test]
        fn reading_anything_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
            parse(&text);
        }
    }
}
