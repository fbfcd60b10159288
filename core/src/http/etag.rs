//! Entity tags (RFC 9110 8.8.3): one version of a file, named.
//!
//! A strong tag changes with every byte; a weak one (`W/`) may stay the same while the meaning does. Only strong tags
//! may put together parts of one file.
//!
//! ```
//! use tidemill_core::http::etag::ETag;
//! let (strong, weak) = (ETag::parse(b"\"v1\"").unwrap(), ETag::parse(b"W/\"v1\"").unwrap());
//! assert!(strong.strong_eq(strong) && !strong.strong_eq(weak) && strong.weak_eq(weak));
//! ```

/// One entity tag, borrowed from the field it stood in.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ETag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> ETag<'a> {
    /// Reads a field's whole value: `"opaque"` or `W/"opaque"`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::split(value)?;
        rest.is_empty().then_some(tag)
    }

    /// Reads the tags of a list, as in `If-Match`. Stops at the first thing that is none. A comma may stand in a tag.
    pub fn list(value: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = value;
        core::iter::from_fn(move || {
            while let Some((b' ' | b'\t' | b',', after)) = rest.split_first() {
                rest = after;
            }
            let (tag, after) = Self::split(rest)?;
            let after = after.trim_ascii_start();
            // Without a comma between, it is no list.
            rest = if after.starts_with(b",") { after } else { &[] };
            (rest.is_empty() == after.is_empty()).then_some(tag)
        })
    }

    /// Whether it is weak.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whether both name the same bytes: equal, and both strong.
    pub fn strong_eq(self, other: ETag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Whether both name the same meaning: equal, weak or not.
    pub fn weak_eq(self, other: ETag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag at the front, and what follows it.
    fn split(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = value.strip_prefix(b"W/").map_or((false, value), |quoted| (true, quoted));
        let rest = quoted.strip_prefix(b"\"")?;
        let end = rest.iter().position(|&byte| byte == b'"')?;
        let opaque = &rest[..end];
        let valid = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        valid.then_some((Self { weak, opaque }, &rest[end + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in ["", "v1", "\"v1", "v1\"", "w/\"v1\"", "W/", "W/v1", "\"a b\"", "\"a\"b\"", "\"a\" ", "\"\x7f\""] {
            assert!(ETag::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(ETag::parse(b"\"\"").is_some());
        assert!(ETag::parse(b"\"\xe9,!\"").is_some());
    }

    #[test]
    fn lists_are_read_up_to_what_is_no_tag() {
        let tags = |value: &'static [u8]| -> Vec<&[u8]> { ETag::list(value).map(|tag| tag.opaque).collect() };
        assert_eq!(tags(b"\"a,b\" , W/\"c\",,\"d\""), [&b"a,b"[..], b"c", b"d"]);
        assert_eq!(tags(b"\"a\", b, \"c\""), [b"a"]);
        assert!(tags(b"\"a\"\"b\"").is_empty());
        assert!(tags(b"*").is_empty());
        assert!(tags(b" ,").is_empty());
    }
}
