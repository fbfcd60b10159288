//! Python's `urljoin`: what a reference means in a document, by Python's rules.
//!
//! They are older than RFC 3986 and differ from [`resolve`](super::resolve) in this: schemes that Python does not know
//! are not joined at all, a reference with its base's scheme counts as relative, empty segments inside the path go, and
//! an empty query is none.

use super::split::split;
use super::writer::Writer;
use super::{Error, Folded, ParseResult, SplitResult, clean, scheme};

/// Writes what `url` means in the document `base` into `out`, and returns it, as CPython 3.13's `urljoin` does.
/// O(length).
///
/// Without `allow_fragments` (Python's default is `true`) a `#` is a character as others. The lengths of both and four
/// bytes are enough for `out`; where tabs or line ends must be taken out, which happens in `out`, twice as much.
///
/// ```
/// use tidemill_core::url::urljoin;
///
/// let mut buffer = [0; 64];
/// assert_eq!(urljoin("http://a/b/c/d;p?q", "../g", true, &mut buffer)?, "http://a/b/g");
/// assert_eq!(urljoin("mailto:x@y", "z", true, &mut buffer)?, "z");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadHost`], [`Error::BadNetloc`] of either; [`Error::Full`], after which `out` holds scraps.
pub fn urljoin<'o>(base: &str, url: &str, allow_fragments: bool, out: &'o mut [u8]) -> Result<&'o str, Error> {
    let dirty = |text| clean::first_taken_out(clean::strip_start(text)).is_some();
    let scratch = [base, url].into_iter().filter(|text| dirty(text)).map(str::len).sum();
    let (out, scratch) = out.split_at_mut_checked(out.len().wrapping_sub(scratch)).ok_or(Error::Full)?;
    let mut out = Writer { buffer: out, len: 0 };
    if base.is_empty() || url.is_empty() {
        out.put(base)?;
        out.put(url)?;
        return out.finish();
    }
    let (clean_base, scratch) = clean::clean(base, scratch)?;
    let (clean_url, _) = clean::clean(url, scratch)?;
    let base = ParseResult::from(split(clean_base, Folded::from(""), allow_fragments)?);
    let reference = ParseResult::from(split(clean_url, base.scheme, allow_fragments)?);

    if reference.scheme != base.scheme || !scheme::uses_relative(reference.scheme) {
        out.put(url)?;
    } else if !reference.netloc.is_empty() {
        out.display(&reference.geturl())?;
    } else if reference.path.is_empty() && reference.params.is_empty() {
        let query = if reference.query.is_empty() { base.query } else { reference.query };
        let split = SplitResult { query, fragment: reference.fragment, ..base.split };
        out.display(&ParseResult { split, ..base }.geturl())?;
    } else {
        join_paths(&base, &reference, &mut out)?;
    }
    out.finish()
}

/// The case in which both have a path: it is built first, because what stands before it depends on how it starts.
fn join_paths(base: &ParseResult<'_>, reference: &ParseResult<'_>, out: &mut Writer<'_>) -> Result<(), Error> {
    let mut path = Path { out, segments: 0 };
    path.merge(base.path, reference.path)?;
    if path.out.len == 0 {
        path.out.put("/")?;
    }
    let len = out.len;
    // Two bytes tell how the path starts, which is all that is asked of it.
    let start = match &out.buffer[..len] {
        [b'/', b'/', ..] => "//",
        [b'/', ..] => "/",
        _ => ".",
    };
    let joined = SplitResult { netloc: base.netloc, path: start, ..reference.split };
    let (before, after) = joined.slashes(reference.params);
    if !joined.scheme.is_empty() {
        out.display(&joined.scheme)?;
        out.put(":")?;
    }
    for part in [before, joined.netloc, after] {
        out.put(part)?;
    }
    out.buffer[..out.len].rotate_left(len);
    for (mark, part) in [(";", reference.params), ("?", joined.query), ("#", joined.fragment)] {
        if !part.is_empty() {
            out.put(mark)?;
            out.put(part)?;
        }
    }
    Ok(())
}

/// A path under construction at the start of `out`: Python's list of segments, joined by slashes. The first segment of
/// an absolute path is empty, and `..` can take it away like others.
struct Path<'w, 'o> {
    out: &'w mut Writer<'o>,
    segments: usize,
}

impl Path<'_, '_> {
    fn merge(&mut self, base: &str, reference: &str) -> Result<(), Error> {
        if reference.starts_with('/') {
            reference.split('/').try_for_each(|segment| self.push(segment))?;
        } else {
            // The first and the last segment may be empty; those between them go.
            let (inner, last) = reference.split_at(reference.rfind('/').map_or(0, |slash| slash + 1));
            let directory = if base.is_empty() { Some("") } else { base.rfind('/').map(|slash| &base[..slash]) };
            let mut directory = directory.into_iter().flat_map(|directory| directory.split('/'));
            directory.next().map_or(Ok(()), |first| self.push(first))?;
            directory
                .chain(inner.split('/'))
                .filter(|segment| !segment.is_empty())
                .try_for_each(|segment| self.push(segment))?;
            self.push(last)?;
        }
        let last = reference.rsplit('/').next();
        if matches!(last, Some("." | "..")) { self.append("") } else { Ok(()) }
    }

    fn push(&mut self, segment: &str) -> Result<(), Error> {
        match segment {
            "." => {}
            ".." => {
                let path = &self.out.buffer[..self.out.len];
                self.out.len = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                self.segments = self.segments.saturating_sub(1);
            }
            segment => self.append(segment)?,
        }
        Ok(())
    }

    fn append(&mut self, segment: &str) -> Result<(), Error> {
        if self.segments > 0 {
            self.out.put("/")?;
        }
        self.segments += 1;
        self.out.put(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    fn joined(base: &str, url: &str) -> String {
        urljoin(base, url, true, &mut [0; 128]).unwrap().to_string()
    }

    #[test]
    fn joins_as_python_does_where_the_rfc_differs() {
        let base = "http://a/b/c/d;p?q";
        for (url, expected) in [
            ("?", base),
            ("#", base),
            (";", base),
            ("//", base),
            ("///g", "http://a/g"),
            ("////g", "http://a//g"),
            ("http:", base),
            ("http:g", "http://a/b/c/g"),
            ("g//h/../i", "http://a/b/c/g/i"),
        ] {
            assert_eq!(joined(base, url), expected, "{url:?}");
        }
    }

    #[test]
    fn joins_what_is_no_whole_url() {
        for (base, url, expected) in [
            ("", "g", "g"),
            ("g", "", "g"),
            ("a/b", "../../c", "c"),
            ("/a/b", "../../../c", "c"),
            ("mailto:x@y", "z", "z"),
            ("foo://a/b/", "c", "c"),
            ("svn+ssh://a/b/", "c", "svn+ssh://a/b/c"),
            ("http://a//b//c", "../d", "http://a/d"),
            ("http:///a", "b", "http:///b"),
            ("http://h/a", "HTTP:b", "http://h/b"),
            ("http://h/a", "https:b", "https:b"),
            ("//h/a", "b", "//h/b"),
            ("http://h/p;x", "?y", "http://h/p;x?y"),
            ("file:a", "b", "file:b"),
        ] {
            assert_eq!(joined(base, url), expected, "{base:?} and {url:?}");
        }
    }

    #[test]
    fn takes_tabs_and_line_ends_out_in_the_free_part_of_the_buffer() {
        assert_eq!(joined("http://h/\ta", "b\n"), "http://h/b");
        assert_eq!(joined("x:y", "z\n"), "z\n");
        for len in 0..36 {
            let result = urljoin("http://h/\ta", "b\n", true, &mut [0; 36][..len]).map(ToString::to_string);
            assert!(matches!(result.as_deref(), Ok("http://h/b") | Err(Error::Full)), "{len}");
        }
    }

    proptest! {
        #[test]
        fn both_lengths_and_four_bytes_are_enough(
            base in "([a-z]{0,4}:)?(//[a-z]{0,2})?(/|\\.|\\.\\.|;|[a-z:é]){0,8}(\\?[a-z./]{0,3})?(#[a-z./]{0,3})?|http:/{0,3}[a-c./]{0,6}",
            url in "([a-z]{0,4}:)?(//[a-z]{0,2})?(/|\\.|\\.\\.|;|[a-z:é]){0,8}(\\?[a-z./]{0,3})?(#[a-z./]{0,3})?",
        ) {
            let mut out = std::vec![0; base.len() + url.len() + 4];
            prop_assert_ne!(urljoin(&base, &url, true, &mut out), Err(Error::Full));
        }
    }
}
