//! Conditional requests (RFC 9110 13): whether a request for a file is to be carried out, given the version there is.
//!
//! The order is that of RFC 9110 13.2.2: `If-Match`, else `If-Unmodified-Since`; then `If-None-Match`, else
//! `If-Modified-Since`; and when all that lets the request pass, `If-Range` decides over its `Range`.
//!
//! ```
//! use tidemill_core::http::conditional::{Outcome, Validators};
//! use tidemill_core::http::server::Request;
//! let mut request = Request::<256>::new();
//! request.receive(b"GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"v1\"\r\n\r\n")?;
//! let version = Validators::new("\"v1\"", None);
//! assert_eq!(version.evaluate(&request.head().fields()), Outcome::NotModified);
//! # Ok::<(), tidemill_core::http::server::Error>(())
//! ```

use super::date;
use super::etag::ETag;
use super::fields::Fields;

/// What the preconditions come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// Carry the request out.
    Proceed,
    /// The client has this version: 304.
    NotModified,
    /// The client wants another version: 412.
    Failed,
}

/// What identifies the version of a file that there is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Validators<'a> {
    etag: Option<ETag<'a>>,
    modified: Option<u64>,
}

impl<'a> Validators<'a> {
    /// Of an entity tag as it stands in `ETag` (anything else counts as none), and of the second of the last change.
    pub fn new(etag: &'a str, modified: Option<u64>) -> Self {
        Self { etag: ETag::parse(etag.as_bytes()), modified }
    }

    /// Evaluates the preconditions of a GET or HEAD request for a file that exists. A date that is none is ignored.
    pub fn evaluate(&self, fields: &Fields<'_>) -> Outcome {
        if fields.get("if-match").is_some() {
            if !self.named_in(fields, "if-match", ETag::strong_eq) {
                return Outcome::Failed;
            }
        } else if self.unmodified_since(fields, "if-unmodified-since") == Some(false) {
            return Outcome::Failed;
        }
        let known = if fields.get("if-none-match").is_some() {
            self.named_in(fields, "if-none-match", ETag::weak_eq)
        } else {
            self.unmodified_since(fields, "if-modified-since") == Some(true)
        };
        if known { Outcome::NotModified } else { Outcome::Proceed }
    }

    /// Whether `Range` may be honoured: there is no `If-Range`, or it names just this version, by a strong tag or the
    /// very date of its last change. Anything else gets the whole file, so that two versions are never mixed.
    pub fn allow_range(&self, fields: &Fields<'_>) -> bool {
        fields.all("if-range").all(|value| match ETag::parse(value) {
            Some(asked) => self.etag.is_some_and(|own| own.strong_eq(asked)),
            None => self.modified.is_some() && self.modified == date::parse(value),
        })
    }

    fn named_in(&self, fields: &Fields<'_>, name: &str, equal: fn(ETag<'a>, ETag<'_>) -> bool) -> bool {
        fields
            .all(name)
            .any(|value| value == b"*" || self.etag.is_some_and(|own| ETag::list(value).any(|asked| equal(own, asked))))
    }

    fn unmodified_since(&self, fields: &Fields<'_>, name: &str) -> Option<bool> {
        Some(self.modified? <= date::parse(fields.get(name)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn version() -> Validators<'static> {
        Validators::new("\"v1\"", Some(784_111_777))
    }

    fn evaluate(lines: &[(&str, &str)]) -> Outcome {
        let text =
            lines.iter().fold(std::string::String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
        version().evaluate(&Fields::new(text.as_bytes()))
    }

    #[test]
    fn behaviour_50_each_precondition_alone() {
        for (name, value, outcome) in [
            ("If-Match", "\"v1\"", Outcome::Proceed),
            ("If-Match", "*", Outcome::Proceed),
            ("If-Match", "\"zz\"", Outcome::Failed),
            ("If-Match", "W/\"v1\"", Outcome::Failed),
            ("If-Match", "v1", Outcome::Failed),
            ("If-Unmodified-Since", BEFORE, Outcome::Failed),
            ("If-Unmodified-Since", DATE, Outcome::Proceed),
            ("If-Unmodified-Since", "yesterday", Outcome::Proceed),
            ("If-None-Match", "\"a\", W/\"v1\"", Outcome::NotModified),
            ("If-None-Match", "*", Outcome::NotModified),
            ("If-None-Match", "\"zz\"", Outcome::Proceed),
            ("If-Modified-Since", BEFORE, Outcome::Proceed),
            ("If-Modified-Since", DATE, Outcome::NotModified),
            ("If-Modified-Since", "yesterday", Outcome::Proceed),
        ] {
            assert_eq!(evaluate(&[(name, value)]), outcome, "{name}: {value}");
        }
    }

    #[test]
    fn behaviour_50_tags_outrank_dates_and_failure_outranks_not_modified() {
        assert_eq!(evaluate(&[("If-Match", "\"v1\""), ("If-Unmodified-Since", BEFORE)]), Outcome::Proceed);
        assert_eq!(evaluate(&[("If-None-Match", "\"zz\""), ("If-Modified-Since", DATE)]), Outcome::Proceed);
        assert_eq!(evaluate(&[("If-None-Match", "*"), ("If-Match", "\"zz\"")]), Outcome::Failed);
        assert_eq!(evaluate(&[("If-None-Match", "\"a\""), ("If-None-Match", "\"v1\"")]), Outcome::NotModified);
    }

    #[test]
    fn behaviour_50_a_range_is_honoured_only_for_this_very_version() {
        let allowed = |value: &str| version().allow_range(&Fields::new(format!("If-Range: {value}\r\n").as_bytes()));
        assert!(allowed("\"v1\"") && allowed(DATE));
        for other in ["W/\"v1\"", "\"v2\"", LATER, BEFORE, "v1", "*", ""] {
            assert!(!allowed(other), "{other}");
        }
        assert!(version().allow_range(&Fields::new(b"\r\n")));
        assert!(!Validators::new("W/\"v1\"", None).allow_range(&Fields::new(b"If-Range: W/\"v1\"\r\n")));
        assert!(!Validators::new("", None).allow_range(&Fields::new(b"If-Range: yesterday\r\n")));
    }
}
