//! Python's `urlparse`, `urlunparse` and `urldefrag`: what `urlsplit` gives, once more divided.

use core::ops::Deref;

use super::scan::find;
use super::split::{Form, Unsplit, split};
use super::{Error, Folded, SplitResult, clean, scheme, urlsplit, urlsplit_in};

/// The six parts of a URL as Python's `urlparse` gives them: those of [`SplitResult`], to which this dereferences, and
/// the parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ParseResult<'a> {
    /// The other five; the path is without the parameters.
    pub split: SplitResult<'a>,
    /// What stands after the first `;` of the path's last segment, for schemes that Python knows to use them.
    pub params: &'a str,
}

impl<'a> Deref for ParseResult<'a> {
    type Target = SplitResult<'a>;

    fn deref(&self) -> &SplitResult<'a> {
        &self.split
    }
}

impl<'a> From<SplitResult<'a>> for ParseResult<'a> {
    fn from(mut split: SplitResult<'a>) -> Self {
        let mut params = "";
        if find(split.path.as_bytes(), *b";").is_some() && scheme::uses_params(split.scheme) {
            let segment = split.path.rfind('/').unwrap_or(0);
            if let Some(at) = split.path[segment..].find(';') {
                (split.path, params) = (&split.path[..segment + at], &split.path[segment + at + 1..]);
            }
        }
        Self { split, params }
    }
}

/// As [`urlsplit`], with the parameters of the last segment on their own.
///
/// ```
/// use tidemill_core::url::urlparse;
///
/// let parsed = urlparse("http://h/a;b/c;d?q", "", true)?;
/// assert_eq!((parsed.path, parsed.params, parsed.query), ("/a;b/c", "d", "q"));
/// assert_eq!(urlparse("x:y;z", "", true)?.params, "");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// Those of [`urlsplit`].
pub fn urlparse<'a>(url: &'a str, scheme: &'a str, allow_fragments: bool) -> Result<ParseResult<'a>, Error> {
    urlsplit(url, scheme, allow_fragments).map(ParseResult::from)
}

/// As [`urlparse`], of a URL that may hold tabs and line ends.
///
/// # Errors
/// Those of [`urlsplit_in`].
pub fn urlparse_in<'a>(
    url: &'a str,
    scheme: &'a str,
    allow_fragments: bool,
    buffer: &'a mut [u8],
) -> Result<ParseResult<'a>, Error> {
    urlsplit_in(url, scheme, allow_fragments, buffer).map(ParseResult::from)
}

impl<'a> ParseResult<'a> {
    /// The part at Python's index, 0 to 5: scheme, netloc, path, params, query, fragment.
    pub fn get(&self, index: usize) -> Option<Folded<'a>> {
        match index {
            0..=2 => self.split.get(index),
            3 => Some(self.params.into()),
            _ => self.split.get(index - 1),
        }
    }

    /// The parts put together, as [`urlunparse`] does.
    pub const fn geturl(&self) -> Unsplit<'a> {
        Unsplit(Form::Parts { split: self.split, params: self.params })
    }
}

/// Puts `[scheme, netloc, path, params, query, fragment]` together as CPython 3.13's `urlunparse` does. O(length).
///
/// ```
/// use tidemill_core::url::urlunparse;
///
/// assert_eq!(urlunparse(["http", "h", "p", "x", "y", "z"]).to_string(), "http://h/p;x?y#z");
/// ```
pub fn urlunparse([scheme, netloc, path, params, query, fragment]: [&str; 6]) -> Unsplit<'_> {
    let split = SplitResult { scheme: scheme.into(), netloc, path, query, fragment };
    ParseResult { split, params }.geturl()
}

/// A URL without its fragment, and the fragment, as Python's `urldefrag` gives them.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DefragResult<'a> {
    /// The URL; its own text where it had no `#`.
    pub url: Unsplit<'a>,
    /// What stands after the first `#`, without it.
    pub fragment: &'a str,
}

/// Takes the fragment off `url`. O(length).
///
/// ```
/// use tidemill_core::url::urldefrag;
///
/// let parts = urldefrag("HTTP://h/p?#f")?;
/// assert_eq!((parts.url.to_string().as_str(), parts.fragment), ("http://h/p", "f"));
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// Where there is a `#`, those of [`urlsplit`].
pub fn urldefrag(url: &str) -> Result<DefragResult<'_>, Error> {
    defrag(url, || urlparse(url, "", true))
}

/// As [`urldefrag`], of a URL that may hold tabs and line ends.
///
/// # Errors
/// Where there is a `#`, those of [`urlsplit_in`].
pub fn urldefrag_in<'a>(url: &'a str, buffer: &'a mut [u8]) -> Result<DefragResult<'a>, Error> {
    defrag(url, || {
        let (url, _) = clean::clean(url, buffer)?;
        split(url, "".into(), true).map(ParseResult::from)
    })
}

fn defrag<'a>(url: &'a str, parse: impl FnOnce() -> Result<ParseResult<'a>, Error>) -> Result<DefragResult<'a>, Error> {
    if !url.contains('#') {
        return Ok(DefragResult { url: Unsplit(Form::Whole(url)), fragment: "" });
    }
    let mut parsed = parse()?;
    let fragment = core::mem::take(&mut parsed.split.fragment);
    Ok(DefragResult { url: parsed.geturl(), fragment })
}

impl<'a> DefragResult<'a> {
    /// The part at Python's index: 0 is the URL, 1 the fragment.
    pub fn get(&self, index: usize) -> Option<Unsplit<'a>> {
        [self.url, Unsplit(Form::Whole(self.fragment))].get(index).copied()
    }

    /// The URL with its fragment, when that is not empty.
    pub const fn geturl(&self) -> Unsplit<'a> {
        match self.url.0 {
            Form::Whole(_) => self.url,
            Form::Parts { mut split, params } => {
                split.fragment = self.fragment;
                Unsplit(Form::Parts { split, params })
            }
        }
    }
}
