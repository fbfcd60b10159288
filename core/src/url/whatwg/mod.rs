//! URLs as browsers read them: see [`Url`].
//!
//! | file | what it does |
//! |---|---|
//! | `fast`, `machine` | parse: what is canonical already, and everything |
//! | `host`, `ipv4`, `ipv6`, `path` | the parts that have rules of their own |
//! | `get`, `set`, `origin`, `params`, `sort` | look at a URL and change it |
//! | `piece`, `out`, `parts`, `error` | the input, the text under construction, where its parts stand, why there is none |

mod error;
mod fast;
mod get;
mod host;
mod ipv4;
mod ipv6;
mod machine;
mod origin;
mod out;
mod params;
mod parts;
mod path;
mod piece;
#[cfg(test)]
mod properties;
mod set;
mod sort;

use core::cell::Cell;
use core::fmt;
use core::ops::{Deref, DerefMut, Range};

use super::{AsciiOnly, DomainToAscii};
pub use error::{Invalid, UrlError};
use machine::Base;
pub use origin::Origin;
use out::Out;
pub use params::{SearchParams, SearchParamsMut};
use parts::Parts;

/// A URL of at most `N` bytes, `N` at most 65,535, as browsers read it: the [URL Standard](https://url.spec.whatwg.org/) of the
/// WHATWG, as of July 2026.
///
/// It is its text in canonical form, in `N` bytes of its own, and where the parts stand in it. Parsing repairs what
/// people write (`HTTP:\\Example.COM:80\a\..\b` is `http://example.com/b`), and refuses what cannot be repaired. The setters change
/// one part and keep the rest; [`search_params`](UrlView::search_params) reads the query as a form, and
/// [`search_params_mut`](UrlView::search_params_mut) edits it in place. Nothing needs a heap.
///
/// Everything works on [`UrlView`], a URL whose capacity is not part of its type, so code is generated once and not once a
/// capacity. `&Url<N>` turns into `&UrlView` by itself.
///
/// There are two ways to fail, and [`UrlError`] keeps them apart: a text that is *invalid*, and a URL that *does not fit*, with the
/// capacity that it takes. Where a setter fails, the URL is what it was.
///
/// Domains beyond ASCII need tables, which come from outside as a [`DomainToAscii`]; without them such domains are refused. Of
/// 100,031 real links 512 bytes hold all but 240, and 2048 hold all.
///
/// ```
/// use tidemill_core::url::{Invalid, Url, UrlError};
///
/// let base = Url::<64>::parse("HTTP://user@Example.COM:80/a/b?x=1", None)?;
/// assert_eq!(base.href(), "http://user@example.com/a/b?x=1");
///
/// let mut url = Url::<64>::parse("../c d#top", Some(&base))?;
/// assert_eq!((url.pathname(), url.hash(), url.port_or_default()), ("/c%20d", "#top", Some(80)));
/// url.set_host("[::ffff:1.2.3.4]:8080")?;
/// url.search_params_mut().append("q", "1+1")?;
/// assert_eq!(url.href(), "http://user@[::ffff:102:304]:8080/c%20d?q=1%2B1#top");
///
/// assert_eq!(Url::<64>::parse("http://1.2.3.400/", None), Err(UrlError::Invalid { why: Invalid::Ipv4, at: 7 }));
/// assert_eq!(Url::<8>::parse("http://h/", None), Err(UrlError::DoesNotFit { needed: 9 }));
/// # Ok::<(), UrlError>(())
/// ```
pub type Url<const N: usize> = UrlInner<[u8; N]>;

/// A [`Url`] of whatever capacity.
pub type UrlView = UrlInner<[u8]>;

/// What [`Url`] and [`UrlView`] have in common.
pub struct UrlInner<B: ?Sized> {
    /// Where the parts of the text stand in it.
    parts: Parts,
    /// The text, which is ASCII and always a whole URL, and free room.
    buffer: B,
}

impl<const N: usize> Url<N> {
    /// Parses `input`, relative to `base` if it has no scheme. O(length).
    ///
    /// # Errors
    /// [`UrlError::Invalid`] where the Standard says failure; a domain beyond ASCII is, too.
    /// [`UrlError::DoesNotFit`] where the URL is valid and longer than `N`.
    pub fn parse(input: &str, base: Option<&UrlView>) -> Result<Self, UrlError> {
        Self::parse_with(&AsciiOnly, input, base)
    }

    /// As [`Url::parse`], with domains beyond ASCII.
    ///
    /// # Errors
    /// As [`Url::parse`], but for a domain beyond ASCII that `idna` takes.
    pub fn parse_with(idna: &dyn DomainToAscii, input: &str, base: Option<&UrlView>) -> Result<Self, UrlError> {
        const { assert!(N <= u16::MAX as usize, "a URL's parts are found by 16 bits") };
        // Made where it is returned: moving it would copy the free room, too.
        let mut url = Ok(Self { parts: Parts::default(), buffer: [0; N] });
        let made = match &mut url {
            Ok(url) => fill(&mut url.buffer, idna, input, base).map(|parts| url.parts = parts),
            Err(_) => Ok(()),
        };
        if let Err(error) = made {
            url = Err(error);
        }
        url
    }
}

/// Parses into `buffer`.
fn fill(buffer: &mut [u8], idna: &dyn DomainToAscii, input: &str, base: Option<&UrlView>) -> Result<Parts, UrlError> {
    if let Some(parts) = fast::parse(input, buffer) {
        return Ok(parts);
    }
    let capacity = buffer.len();
    let mut out = Out::new(buffer);
    let (parts, _) = machine::parse(input, base.map(UrlView::as_base), idna, &mut out)?;
    fits(out.len, capacity).map(|()| parts)
}

fn fits(needed: usize, capacity: usize) -> Result<(), UrlError> {
    if needed > capacity { Err(UrlError::DoesNotFit { needed }) } else { Ok(()) }
}

/// Moves the bytes `from` to where `to` is. What is out of bounds is not moved; nobody asks for it.
fn shift(buffer: &mut [u8], from: Range<usize>, to: usize) {
    // As `copy_within` does, which panics where this stops.
    let cells = Cell::from_mut(buffer).as_slice_of_cells();
    let len = from.end.saturating_sub(from.start);
    let is_up = to > from.start;
    let (Some(from), Some(to)) = (cells.get(from), cells.get(to..).and_then(|to| to.get(..len))) else { return };
    let pairs = from.iter().zip(to);
    if is_up {
        pairs.rev().for_each(|(from, to)| to.set(from.get()));
    } else {
        pairs.for_each(|(from, to)| to.set(from.get()));
    }
}

/// Whether `input`, relative to `base`, is a URL: whether [`Url::parse`] takes it, if there is room enough. Needs no buffer.
///
/// ```
/// use tidemill_core::url::can_parse;
///
/// assert!(can_parse("../c", Some("http://h/a/b")));
/// assert!(!can_parse("../c", Some("mailto:a@b")));
/// ```
pub fn can_parse(input: &str, base: Option<&str>) -> bool {
    can_parse_with(&AsciiOnly, input, base)
}

/// As [`can_parse`], with domains beyond ASCII.
pub fn can_parse_with(idna: &dyn DomainToAscii, input: &str, base: Option<&str>) -> bool {
    let base = match base {
        None => None,
        Some(base) => match machine::parse(base, None, idna, &mut Out::new(&mut [])) {
            // What stands in the base does not matter, only what it is.
            Ok((parts, is_opaque)) => Some(Base { text: &[], parts, is_opaque }),
            Err(_) => return false,
        },
    };
    fast::can_parse(input) || machine::parse(input, base, idna, &mut Out::new(&mut [])).is_ok()
}

impl UrlView {
    /// Becomes what [`Url::parse_with`] makes of `input` and `base`: for a URL that is used again and again.
    ///
    /// # Errors
    /// As [`Url::parse_with`]; then the URL is what it was.
    pub fn assign(&mut self, idna: &dyn DomainToAscii, input: &str, base: Option<&Self>) -> Result<(), UrlError> {
        if let Some(parts) = fast::parse(input, &mut self.buffer) {
            self.parts = parts;
            return Ok(());
        }
        let base = base.map(Self::as_base);
        let mut count = Out::new(&mut []);
        machine::parse(input, base, idna, &mut count)?;
        fits(count.len, self.buffer.len())?;
        self.parts = machine::parse(input, base, idna, &mut Out::new(&mut self.buffer))?.0;
        Ok(())
    }

    fn as_base(&self) -> Base<'_> {
        Base { text: self.href().as_bytes(), parts: self.parts, is_opaque: self.has_opaque_path() }
    }
}

impl<const N: usize> Deref for Url<N> {
    type Target = UrlView;

    fn deref(&self) -> &UrlView {
        self
    }
}

impl<const N: usize> DerefMut for Url<N> {
    fn deref_mut(&mut self) -> &mut UrlView {
        self
    }
}

impl<const N: usize> Clone for Url<N> {
    fn clone(&self) -> Self {
        Self { parts: self.parts, buffer: self.buffer }
    }
}

impl<const N: usize> core::str::FromStr for Url<N> {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text, None)
    }
}

/// Text of a buffer that holds `parts`; everything that is written there is ASCII, so it is never empty for want of that.
fn text_of(buffer: &[u8], from: u16, to: u16) -> &str {
    buffer.get(from.into()..to.into()).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
}

impl<B: AsRef<[u8]> + ?Sized> AsRef<str> for UrlInner<B> {
    fn as_ref(&self) -> &str {
        text_of(self.buffer.as_ref(), 0, self.parts.len)
    }
}

/// URLs are the same when their texts are, whatever their capacities.
impl<A: AsRef<[u8]> + ?Sized, B: AsRef<[u8]> + ?Sized> PartialEq<UrlInner<B>> for UrlInner<A> {
    fn eq(&self, other: &UrlInner<B>) -> bool {
        let (one, other): (&str, &str) = (self.as_ref(), other.as_ref());
        one == other
    }
}

impl<B: AsRef<[u8]> + ?Sized> Eq for UrlInner<B> {}

impl<B: AsRef<[u8]> + ?Sized> core::hash::Hash for UrlInner<B> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let text: &str = self.as_ref();
        text.hash(state);
    }
}

impl<B: AsRef<[u8]> + ?Sized> fmt::Display for UrlInner<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_ref())
    }
}

impl<B: AsRef<[u8]> + ?Sized> fmt::Debug for UrlInner<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&AsRef::<str>::as_ref(self)).finish()
    }
}

#[cfg(feature = "defmt")]
impl<B: AsRef<[u8]> + ?Sized> defmt::Format for UrlInner<B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.as_ref());
    }
}
