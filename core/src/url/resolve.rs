//! References resolved against a base, in the caller's buffer.

use super::writer::Writer;
use super::{Error, Uri};

/// Writes the URL that `reference` means when found in the document `base`, and returns it (RFC 3986, 5.2.2 strict,
/// 5.2.4 and 5.3). O(length).
///
/// `out` must hold the path before its dot segments go: `base` and `reference` and three bytes are always enough.
/// Where the RFC's result would start with `//` for want of an authority, and so gain one, `/.` goes before it (as
/// WHATWG does).
///
/// # Errors
/// Those of [`Uri::parse`] about `reference`; [`Error::RelativeBase`]; [`Error::Full`], after which `out` holds scraps.
pub fn resolve<'o>(base: &Uri<'_>, reference: &str, out: &'o mut [u8]) -> Result<&'o str, Error> {
    let reference = Uri::parse(reference)?;
    let base_scheme = base.scheme().ok_or(Error::RelativeBase)?;
    let mut out = Writer { buffer: out, len: 0 };

    out.put(reference.scheme().unwrap_or(base_scheme))?;
    out.put(":")?;
    let own = reference.scheme().is_some() || reference.authority().is_some();
    let authority = if own { reference.authority() } else { base.authority() };
    if let Some(authority) = authority {
        out.put("//")?;
        out.put(authority)?;
    }
    let start = out.len;
    if !own && reference.path().is_empty() {
        out.put(base.path())?;
    } else {
        if !own && !reference.path().starts_with('/') {
            out.put(directory(base))?;
        }
        out.put(reference.path())?;
        out.remove_dot_segments(start);
        if authority.is_none() && out.buffer[start..out.len].starts_with(b"//") {
            out.insert(start, "/.")?;
        }
    }
    let query =
        if own || !reference.path().is_empty() { reference.query() } else { reference.query().or(base.query()) };
    for (mark, part) in [("?", query), ("#", reference.fragment())] {
        if let Some(part) = part {
            out.put(mark)?;
            out.put(part)?;
        }
    }
    out.finish()
}

/// The part of the base's path that a relative path continues (RFC 3986, 5.2.3).
fn directory<'a>(base: &Uri<'a>) -> &'a str {
    match base.path().rfind('/') {
        Some(slash) => &base.path()[..=slash],
        None if base.authority().is_some() => "/",
        None => "",
    }
}

impl Writer<'_> {
    fn insert(&mut self, at: usize, text: &str) -> Result<(), Error> {
        let end = self.len;
        self.put(text)?;
        self.buffer.copy_within(at..end, at + text.len());
        self.buffer[at..at + text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }

    /// RFC 3986, 5.2.4, in place: what is written never overtakes what is read. The letters are the RFC's.
    fn remove_dot_segments(&mut self, start: usize) {
        let (mut read, mut write, end) = (start, start, self.len);
        while read < end {
            match &self.buffer[read..end] {
                // A
                [b'.', b'.', b'/', ..] => read += 3,
                // A and B
                [b'.', b'/', ..] | [b'/', b'.', b'/', ..] => read += 2,
                [b'/', b'.'] => {
                    read += 1;
                    self.buffer[read] = b'/';
                }
                // C
                [b'/', b'.', b'.', b'/', ..] => {
                    read += 3;
                    write = self.parent(start, write);
                }
                [b'/', b'.', b'.'] => {
                    read += 2;
                    self.buffer[read] = b'/';
                    write = self.parent(start, write);
                }
                // D
                [b'.'] | [b'.', b'.'] => read = end,
                // E
                segment => {
                    let slash = segment[1..].iter().position(|&byte| byte == b'/');
                    let len = slash.map_or(segment.len(), |at| at + 1);
                    self.buffer.copy_within(read..read + len, write);
                    read += len;
                    write += len;
                }
            }
        }
        self.len = write;
    }

    /// Where the last segment of `buffer[start..end]` begins, its slash included.
    fn parent(&self, start: usize, end: usize) -> usize {
        start + self.buffer[start..end].iter().rposition(|&byte| byte == b'/').unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    fn resolved(base: &str, reference: &str) -> Result<String, Error> {
        resolve(&Uri::parse(base)?, reference, &mut [0; 256]).map(ToString::to_string)
    }

    #[test]
    fn a_reference_continues_the_directory_of_its_base() {
        assert_eq!(resolved("http://h/a/b?q#f", "c"), Ok("http://h/a/c".into()));
        assert_eq!(resolved("http://h", "c"), Ok("http://h/c".into()));
        assert_eq!(resolved("http://h/a/é/", "../ö"), Ok("http://h/a/ö".into()));
        assert_eq!(resolved("mailto:a", "b"), Ok("mailto:b".into()));
    }

    #[test]
    fn absent_and_empty_query_differ() {
        assert_eq!(resolved("http://h/a?q", ""), Ok("http://h/a?q".into()));
        assert_eq!(resolved("http://h/a?q", "?"), Ok("http://h/a?".into()));
        assert_eq!(resolved("http://h/a?q", "#"), Ok("http://h/a?q#".into()));
        assert_eq!(resolved("http://h/a?q", "//i"), Ok("http://i".into()));
    }

    #[test]
    fn a_path_never_turns_into_an_authority() {
        assert_eq!(resolved("x:/a", "/.//b"), Ok("x:/.//b".into()));
        assert_eq!(resolved("x:/.//b", "c"), Ok("x:/.//c".into()));
        assert_eq!(resolved("x:y", "z:a/..//b"), Ok("z:/.//b".into()));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(resolved("/a", "b"), Err(Error::RelativeBase));
        assert_eq!(resolved("http://h/", "a b"), Err(Error::BadByte { at: 1, byte: b' ' }));
        assert_eq!(resolved("http://h/", "//[::1"), Err(Error::BadHost { at: 2 }));
    }

    #[test]
    fn a_buffer_that_just_fits_is_enough_and_one_byte_less_is_full() {
        let base = Uri::parse("http://h/a/b").unwrap();
        assert_eq!(resolve(&base, "c?d#e", &mut [0; 16]), Ok("http://h/a/c?d#e"));
        for len in 0..16 {
            assert_eq!(resolve(&base, "c?d#e", &mut [0; 16][..len]), Err(Error::Full));
        }
    }

    fn reference() -> impl Strategy<Value = String> {
        "([a-z]{0,1}:)?(//[a-z]{0,2})?(/|\\.|\\.\\.|[a-z:é]){0,8}(\\?[a-z./]{0,3})?(#[a-z./]{0,3})?"
    }

    proptest! {
        #[test]
        fn a_result_is_a_url_and_resolves_to_itself(base in reference(), reference in reference()) {
            let Ok(first) = resolved(&base, &reference) else { return Ok(()) };
            // An empty reference keeps its base's dots (RFC 3986, 5.2.2), so only the second step is final.
            let second = resolved(&first, &first).unwrap();
            prop_assert!(Uri::parse(&second).unwrap().scheme().is_some());
            prop_assert_eq!(&resolved("x:/y", &second).unwrap(), &second);
            if !reference.is_empty() && !reference.starts_with(['?', '#']) {
                prop_assert_eq!(&first, &second);
            }
        }

        #[test]
        fn base_and_reference_and_three_bytes_are_enough(base in reference(), reference in reference()) {
            let Ok(uri) = Uri::parse(&base) else { return Ok(()) };
            let mut out = std::vec![0; base.len() + reference.len() + 3];
            prop_assert_ne!(resolve(&uri, &reference, &mut out), Err(Error::Full));
        }
    }
}
