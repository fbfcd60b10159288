//! Which responses redirect, and with which method the new request goes out (RFC 9110 15.4).
//!
//! Nothing is followed here: the caller resolves `Location`, decides whether it trusts the place, and drops
//! `Authorization` and `Cookie` when scheme, host or port change.
//!
//! ```
//! use tidemill_core::http::redirect::next_method;
//! assert_eq!(next_method(302, "POST"), Some("GET"));
//! assert_eq!(next_method(307, "POST"), Some("POST"));
//! assert_eq!(next_method(304, "GET"), None);
//! ```

/// How many redirects to follow before giving up.
pub const MAX_HOPS: u8 = 10;

/// The method of the request to `Location`, if this status redirects. When it is the method that was sent, the body
/// goes along (if it can be sent again); when it is not, neither the body nor the fields that describe it do.
pub fn next_method(status: u16, method: &str) -> Option<&str> {
    match status {
        301..=303 => Some(if method == "HEAD" { "HEAD" } else { "GET" }),
        307 | 308 => Some(method),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_redirects_become_get_and_new_ones_keep_the_method() {
        for status in 301..=303 {
            assert_eq!(next_method(status, "POST"), Some("GET"));
            assert_eq!(next_method(status, "HEAD"), Some("HEAD"));
        }
        for status in [307, 308] {
            assert_eq!(next_method(status, "PUT"), Some("PUT"));
        }
        for status in [200, 300, 304, 305, 306, 309, 404] {
            assert_eq!(next_method(status, "GET"), None);
        }
    }
}
