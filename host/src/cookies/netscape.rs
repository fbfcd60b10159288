//! `cookies.txt`: domain, whether beneath it, too, path, secure, expiry, name, value.

use std::io::Write;

use tidemill_core::cookie::Cookie;

use super::{bare, dotted};

/// What a file begins with: the line by which others know it, and a word to who opens it.
pub(super) const FIRST: &[u8] = b"# Netscape HTTP Cookie File\n# Written by tidemill; edit at your own risk.\n\n";

/// What stands before the domain of a cookie that scripts must not see.
const HTTP_ONLY: &[u8] = b"#HttpOnly_";

pub(super) fn is_first(line: &[u8]) -> bool {
    line.starts_with(b"# Netscape HTTP Cookie File") || line.starts_with(b"# HTTP Cookie File")
}

/// Hands out the cookie of a line, if there is one. `None`: the line is malformed.
pub(super) fn parse(line: &[u8], take: &mut dyn FnMut(&Cookie<'_>)) -> Option<()> {
    let (line, http_only) = line.strip_prefix(HTTP_ONLY).map_or((line, false), |line| (line, true));
    if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
        return Some(());
    }
    let mut fields = line.split(|byte| *byte == b'\t');
    let [domain, beneath, path, secure, expires, name] =
        [fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    // Some leave out the last field and its tab when it is empty.
    let value = fields.next().unwrap_or_default();
    if fields.next().is_some() {
        return None;
    }
    let is = |field: &[u8]| match field {
        b"TRUE" => Some(true),
        b"FALSE" => Some(false),
        _ => None,
    };
    let cookie = bare(name, value, std::str::from_utf8(domain).ok()?, path);
    let expires = Some(expiry(expires)?).filter(|second| *second > 0);
    // Some write the dot, some do not, and the second field says so as well.
    take(&Cookie { host_only: !is(beneath)?, secure: is(secure)?, expires, http_only, ..cookie });
    Some(())
}

/// The second at which a cookie is over, perhaps with a fraction: 0, as curl writes it, or nothing for one of the session.
fn expiry(field: &[u8]) -> Option<u64> {
    let (digits, negative) = field.strip_prefix(b"-").map_or((field, false), |digits| (digits, true));
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) || negative && whole.is_empty() {
        return None;
    }
    let add = |seconds: u64, digit: &u8| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    // What was over before 1970 is over at its first second.
    Some(if negative { 1 } else { whole.iter().fold(0, add) })
}

/// Appends a cookie's line. Whether that can be done.
pub(super) fn write(cookie: &Cookie<'_>, out: &mut Vec<u8>) -> bool {
    if [cookie.name, cookie.value, cookie.path].iter().any(|part| part.contains(&b'\t')) {
        return false;
    }
    let word = |is| if is { "TRUE" } else { "FALSE" };
    let http_only = if cookie.http_only { HTTP_ONLY } else { b"" };
    let expires = cookie.expires.map(|second| second.to_string()).unwrap_or_default();
    let fields = [
        dotted(cookie).as_bytes(),
        word(!cookie.host_only).as_bytes(),
        cookie.path,
        word(cookie.secure).as_bytes(),
        expires.as_bytes(),
        cookie.name,
        cookie.value,
    ]
    .join(&b'\t');
    // Writing into memory does not fail.
    out.write_all(&[http_only, &fields, b"\n"].concat()).is_ok()
}
