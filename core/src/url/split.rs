//! Python's `urlsplit` and `urlunsplit`: five parts, borrowed from the URL.

use core::fmt::{self, Display, Formatter};

use super::scan::{below, cut, find_noting};
use super::{Error, Folded, clean, netloc, scheme};

/// The five parts of a URL as Python's `urlsplit` gives them. A part that is absent is empty.
///
/// The fields are there to be read and, for another URL, replaced.
///
/// ```
/// use tidemill_core::url::urlsplit;
///
/// let mut split = urlsplit("http://user@Host:8080/a/b;c?q=1#top", "", true)?;
/// assert_eq!((split.netloc, split.path, split.query, split.fragment), ("user@Host:8080", "/a/b;c", "q=1", "top"));
/// assert_eq!((split.username(), split.port()), (Some("user"), Ok(Some(8080))));
/// split.query = "";
/// assert_eq!(split.geturl().to_string(), "http://user@Host:8080/a/b;c#top");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SplitResult<'a> {
    /// What stands before the first colon, in lower case; the default where there is none.
    pub scheme: Folded<'a>,
    /// What stands between `//` and the path: `[user[:password]@]host[:port]`.
    pub netloc: &'a str,
    /// The path.
    pub path: &'a str,
    /// What stands after `?`, without it.
    pub query: &'a str,
    /// What stands after `#`, without it.
    pub fragment: &'a str,
}

/// Splits `url` as CPython 3.13's `urlsplit` does, without a copy. O(length).
///
/// `scheme` is taken where the URL has none; without `allow_fragments` a `#` is a character as others. Python's defaults
/// are `""` and `true`. Controls and spaces in front are passed over. Nothing is decoded.
///
/// ```
/// use tidemill_core::url::{Error, urlsplit};
///
/// let split = urlsplit("//h/p#f", "ftp", false)?;
/// assert_eq!(split.scheme, "ftp");
/// assert_eq!((split.netloc, split.path, split.fragment), ("h", "/p#f", ""));
/// assert_eq!(urlsplit("http://[::1/", "", true), Err(Error::BadHost { at: 7 }));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::BadHost`]: brackets without a partner or an address in them; [`Error::BadNetloc`];
/// [`Error::NeedsCleaning`]: there are tabs or line ends, which Python takes out: see [`urlsplit_in`]. A bad port is told
/// by [`SplitResult::port`].
pub fn urlsplit<'a>(url: &'a str, scheme: &'a str, allow_fragments: bool) -> Result<SplitResult<'a>, Error> {
    let scheme = strip(scheme);
    if clean::first_taken_out(scheme).is_some() {
        return Err(Error::NeedsCleaning { at: 0 });
    }
    split(url, scheme.into(), allow_fragments)
}

/// As [`urlsplit`], of a URL that may hold tabs and line ends: they are taken out, in a copy in `buffer`. A clean URL is
/// borrowed as it is, and then `buffer` may be empty.
///
/// ```
/// use tidemill_core::url::urlsplit_in;
///
/// let split = urlsplit_in("ht\ttp://h\n/p", "", true, &mut [0; 32])?.path.len();
/// assert_eq!(split, 2);
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// [`Error::Full`]: `buffer` is smaller than what remains; [`Error::BadHost`], [`Error::BadNetloc`], whose places are
/// those in the cleaned text.
pub fn urlsplit_in<'a>(
    url: &'a str,
    scheme: &'a str,
    allow_fragments: bool,
    buffer: &'a mut [u8],
) -> Result<SplitResult<'a>, Error> {
    let (url, rest) = clean::clean(url, buffer)?;
    let (scheme, _) = clean::clean(strip(scheme), rest)?;
    split(url, scheme.into(), allow_fragments)
}

/// The default scheme without controls and spaces around it.
fn strip(scheme: &str) -> &str {
    let scheme = clean::strip_start(scheme);
    cut(scheme, scheme.bytes().rposition(|byte| byte > b' ').map_or(0, |last| last + 1)).0
}

/// Splits, in one pass over nearly every URL, what needs no cleaning but in front.
pub(super) fn split<'a>(url: &'a str, default: Folded<'a>, allow_fragments: bool) -> Result<SplitResult<'a>, Error> {
    let stripped = clean::strip_start(url);
    let (scheme, mut rest) = match scheme::length(stripped.as_bytes()) {
        Some(len) => (Folded::all(cut(stripped, len).0), cut(stripped, len + 1).1),
        None => (default, stripped),
    };
    let control = |word| below(word, b' ');
    let (mut controls, mut rare) = (0, 0);
    let mut netloc = "";
    if rest.as_bytes().first_chunk() == Some(b"//") {
        let after = cut(rest, 2).1;
        let end = find_noting(after.as_bytes(), *b"/?#", |word| control(word) | netloc::rare(word), &mut rare);
        (netloc, rest) = cut(after, end.unwrap_or(after.len()));
    }
    let mut until = |text: &'a str, ends| {
        let end = find_noting(text.as_bytes(), ends, control, &mut controls);
        cut(text, end.unwrap_or(text.len()))
    };
    let (path, rest) = until(rest, [b'?', if allow_fragments { b'#' } else { b'?' }]);
    let (query, rest) = match rest.strip_prefix('?') {
        Some(after) if allow_fragments => until(after, [b'#'; 2]),
        Some(after) => (after, ""),
        None => ("", rest),
    };
    let fragment = rest.strip_prefix('#').unwrap_or("");
    // The last part ends nowhere; a control that stops the look there is noted.
    until(if allow_fragments { fragment } else { query }, [0; 2]);
    if rare | controls != 0 {
        if let Some(at) = clean::first_taken_out(stripped) {
            return Err(Error::NeedsCleaning { at: url.len() - stripped.len() + at });
        }
        netloc::check(netloc).map_err(|error| error.moved(netloc.as_ptr() as usize - url.as_ptr() as usize))?;
    }
    Ok(SplitResult { scheme, netloc, path, query, fragment })
}

impl<'a> SplitResult<'a> {
    /// The user's name, still percent-encoded: what stands before the last `@`, up to its first colon.
    pub fn username(&self) -> Option<&'a str> {
        netloc::credentials(self.netloc).0
    }

    /// The password, still percent-encoded: what follows the colon before the last `@`.
    pub fn password(&self) -> Option<&'a str> {
        netloc::credentials(self.netloc).1
    }

    /// The host in lower case, an IPv6 address without its brackets; `None` when it is empty.
    pub fn hostname(&self) -> Option<Folded<'a>> {
        netloc::hostname(self.netloc)
    }

    /// The port; `None` when there is none or when nothing follows the colon.
    ///
    /// # Errors
    /// [`Error::BadPort`]: not ASCII digits; [`Error::PortRange`]: above 65535. `at` counts from the start of `netloc`.
    pub fn port(&self) -> Result<Option<u16>, Error> {
        netloc::port(self.netloc)
    }

    /// The part at Python's index, 0 to 4: scheme, netloc, path, query, fragment.
    pub fn get(&self, index: usize) -> Option<Folded<'a>> {
        let rest = [self.netloc, self.path, self.query, self.fragment];
        index.checked_sub(1).map_or(Some(self.scheme), |index| rest.get(index).copied().map(Folded::from))
    }

    /// The parts put together, as [`urlunsplit`] does: equivalent to the text that was split, not always the same.
    pub const fn geturl(&self) -> Unsplit<'a> {
        Unsplit(Form::Parts { split: *self, params: "" })
    }
}

/// A URL that is displayed from its parts: what [`urlunsplit`], [`urlunparse`](super::urlunparse) and their kin give.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unsplit<'a>(pub(super) Form<'a>);

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Form<'a> {
    /// As it is.
    Whole(&'a str),
    /// From parts.
    Parts { split: SplitResult<'a>, params: &'a str },
}

/// Puts `[scheme, netloc, path, query, fragment]` together as CPython 3.13's `urlunsplit` does. O(length).
///
/// ```
/// use tidemill_core::url::urlunsplit;
///
/// assert_eq!(urlunsplit(["http", "h", "p", "q", ""]).to_string(), "http://h/p?q");
/// assert_eq!(urlunsplit(["", "", "//a", "", ""]).to_string(), "////a");
/// ```
pub fn urlunsplit([scheme, netloc, path, query, fragment]: [&str; 5]) -> Unsplit<'_> {
    SplitResult { scheme: scheme.into(), netloc, path, query, fragment }.geturl()
}

impl SplitResult<'_> {
    /// What stands between the scheme and the path, the network location aside: it comes after the first of the two.
    pub(super) fn slashes(&self, params: &str) -> (&'static str, &'static str) {
        let empty = self.path.is_empty() && params.is_empty();
        let absolute = self.path.starts_with('/');
        if !self.netloc.is_empty() {
            ("//", if empty || absolute { "" } else { "/" })
        } else if self.path.starts_with("//")
            || !self.scheme.is_empty() && (empty || absolute) && scheme::uses_netloc(self.scheme)
        {
            ("//", "")
        } else {
            ("", "")
        }
    }
}

impl Display for Unsplit<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (split, params) = match &self.0 {
            Form::Whole(text) => return f.write_str(text),
            Form::Parts { split, params } => (split, *params),
        };
        if !split.scheme.is_empty() {
            split.scheme.fmt(f)?;
            f.write_str(":")?;
        }
        let (before, after) = split.slashes(params);
        for part in [before, split.netloc, after, split.path] {
            f.write_str(part)?;
        }
        for (mark, part) in [(";", params), ("?", split.query), ("#", split.fragment)] {
            if !part.is_empty() {
                f.write_str(mark)?;
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{urlparse, write_in};
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    fn parts(url: &str) -> [String; 5] {
        let split = urlsplit(url, "", true).unwrap();
        [0, 1, 2, 3, 4].map(|index| split.get(index).unwrap().to_string())
    }

    #[test]
    fn only_letters_digits_and_three_marks_make_a_scheme() {
        assert_eq!(parts("path:80"), ["path", "", "80", "", ""]);
        assert_eq!(parts("a+B-.:x"), ["a+b-.", "", "x", "", ""]);
        for url in ["1http:x", ":x", "é:x", "a_b:x", "a/b:x"] {
            assert_eq!(parts(url), ["", "", url, "", ""]);
        }
    }

    #[test]
    fn a_default_scheme_keeps_its_case_and_loses_what_is_around_it() {
        let split = urlsplit("//h", " FTP\u{1f}", true).unwrap();
        assert_eq!(split.scheme, "FTP");
        assert_eq!(urlsplit("http://h", "ftp", true).unwrap().scheme, "http");
        assert_eq!(urlsplit("h", "f\tp", true), Err(Error::NeedsCleaning { at: 0 }));
        assert_eq!(urlsplit_in("h", "f\tp", true, &mut [0; 2]).unwrap().scheme, "fp");
    }

    #[test]
    fn what_stands_in_front_goes_and_what_stands_behind_stays() {
        assert_eq!(parts(" \0\thttp://h/p "), ["http", "h", "/p ", "", ""]);
        assert_eq!(parts("\u{a0}http://h"), ["", "", "\u{a0}http://h", "", ""]);
    }

    #[test]
    fn tabs_and_line_ends_are_told_with_their_place_and_taken_out_where_there_is_room() {
        let url = " ht\ttp://h\n/p\r";
        assert_eq!(urlsplit(url, "", true), Err(Error::NeedsCleaning { at: 3 }));
        assert_eq!(urlsplit_in(url, "", true, &mut [0; 10]).unwrap().geturl().to_string(), "http://h/p");
        assert_eq!(urlsplit_in(url, "", true, &mut [0; 9]), Err(Error::Full));
        assert_eq!(urlsplit_in("http://h/p", "", true, &mut []).unwrap().netloc, "h");
    }

    #[test]
    fn a_bad_host_is_told_with_its_place_in_the_text() {
        assert_eq!(urlsplit(" http://u@[::1/", "", true), Err(Error::BadHost { at: 10 }));
        assert_eq!(urlsplit("http://h℀x/", "", true), Err(Error::BadNetloc { at: 8 }));
    }

    #[test]
    fn puts_slashes_where_a_reader_needs_them() {
        for (parts, url) in [
            (["", "h", "p", "", ""], "//h/p"),
            (["", "", "//a", "", ""], "////a"),
            (["http", "", "", "", ""], "http://"),
            (["x", "", "", "", ""], "x:"),
            (["http", "", "a", "", ""], "http:a"),
            (["file", "", "/a", "", ""], "file:///a"),
            (["git+ssh", "", "/a", "q", "f"], "git+ssh:///a?q#f"),
            (["HTTP", "", "/a", "", ""], "HTTP:/a"),
        ] {
            assert_eq!(urlunsplit(parts).to_string(), url);
        }
    }

    #[test]
    fn an_index_beyond_the_tuple_has_nothing() {
        let parsed = urlparse("http://h/p;x?y#z", "", true).unwrap();
        let all = [0, 1, 2, 3, 4, 5, 6].map(|index| parsed.get(index).map(|part| part.to_string()));
        let expected = ["http", "h", "/p", "x", "y", "z"].map(|part| Some(part.to_string()));
        assert_eq!((&all[..6], &all[6]), (&expected[..], &None));
        assert_eq!(parsed.split.get(5), None);
    }

    #[test]
    fn a_buffer_that_just_fits_is_enough_and_one_byte_less_is_full() {
        let split = urlsplit("HTTP://h?q#f", "", true).unwrap();
        assert_eq!(write_in(&split.geturl(), &mut [0; 12]), Ok("http://h?q#f"));
        assert_eq!(write_in(&split.geturl(), &mut [0; 11]), Err(Error::Full));
    }

    proptest! {
        #[test]
        fn what_was_put_together_once_stays_as_it_is(
            url in "([ -~é℀İΣ\t]{0,3}[a-zA-Z;]{0,3}[:/?#@\\[\\]]{0,3}){0,5}|\\PC*",
            allow_fragments in any::<bool>(),
        ) {
            let mut buffer = std::vec![0; url.len()];
            let Ok(split) = urlsplit_in(&url, "", allow_fragments, &mut buffer) else { return Ok(()) };
            let _ = (split.username(), split.password(), split.hostname(), split.port());
            let once = split.geturl().to_string();
            let twice = urlsplit(&once, "", allow_fragments).unwrap();
            prop_assert_eq!(&twice.geturl().to_string(), &once);
            // Empty parameters go, and then nothing more.
            let once = urlparse(&once, "", allow_fragments).unwrap().geturl().to_string();
            let twice = urlparse(&once, "", allow_fragments).unwrap();
            prop_assert_eq!(twice.geturl().to_string(), once);
        }
    }
}
