//! URLs by the generic syntax of RFC 3986: taken apart without a copy, and references resolved against a base.
//!
//! [`Uri::parse`] finds the five components (RFC 3986, appendix B) and keeps them as slices of the text. A component
//! that is absent differs from one that is there and empty: `http://h/?` has a query, `http://h/` has none. Nothing is
//! decoded and no letter changes its case, so the parts put together again are the text. [`resolve`] turns a reference,
//! such as the `Location` of a redirect, into a full URL inside the caller's buffer (RFC 3986, section 5.2).
//!
//! Beside it stands the whole of Python's `urllib.parse`, by the rules of CPython 3.13 and under its names: [`urlsplit`],
//! [`urlparse`], [`urljoin`] and [`urldefrag`] take URLs apart as crawlers and scripts do, with fewer refusals than the
//! RFC; [`quote`], [`unquote`] and their kin encode and decode percent signs. What Python returns as a new string is
//! here a value that displays it, so nothing is copied; [`write_in`] puts it into a buffer.
//!
//! And there is [`Url`], the URL of the WHATWG's URL Standard, as browsers have it: repaired, made canonical, and changed part
//! by part, in a buffer of fixed capacity.
//!
//! Deviation of [`Uri::parse`] from the RFC, in favour of links as they are found: outside the authority every byte is let through but
//! controls and spaces, and percent signs need not be followed by digits. In the authority, where a lenient reader is
//! a security hole, only what section 3.2 allows is let through, and letters beyond ASCII.
//!
//! ```
//! use tidemill_core::url::{Uri, resolve};
//!
//! let base = Uri::parse("http://[::1]:8080/a/b?x=1")?;
//! assert_eq!((base.host(), base.port()?, base.path()), (Some("::1"), Some(8080), "/a/b"));
//!
//! let mut buffer = [0; 64];
//! assert_eq!(resolve(&base, "../c#top", &mut buffer)?, "http://[::1]:8080/c#top");
//! # Ok::<(), tidemill_core::url::Error>(())
//! ```

mod ascii;
mod charset;
mod clean;
mod domain;
mod error;
mod folded;
#[cfg(feature = "idna")]
mod idna;
mod join;
mod netloc;
mod parse;
mod query;
mod quote;
mod resolve;
pub(crate) mod scan;
mod scheme;
mod set;
mod split;
mod strict;
mod unquote;
mod unwrap;
mod uri;
mod urlencode;
mod whatwg;
mod writer;

pub use ascii::Ascii;
pub use charset::{Charset, Undecodable, Unencodable};
pub use domain::{AsciiOnly, DomainToAscii, IdnaError};
pub use error::Error;
pub use folded::Folded;
#[cfg(feature = "idna")]
pub use idna::Uts46;
pub use join::urljoin;
pub use parse::{DefragResult, ParseResult, urldefrag, urldefrag_in, urlparse, urlparse_in, urlunparse};
pub use query::{Fields, Groups, QueryOptions, parse_qs, parse_qsl};
pub use quote::{Quoted, quote, quote_from_bytes, quote_plus};
pub use resolve::resolve;
pub use split::{SplitResult, Unsplit, urlsplit, urlsplit_in, urlunsplit};
pub use unquote::{Unquoted, UnquotedBytes, unquote, unquote_plus, unquote_to_bytes};
pub use unwrap::unwrap;
pub use uri::Uri;
pub use urlencode::{EncodeOptions, Encoded, FormValue, QuoteVia, urlencode};
pub use whatwg::{
    Invalid, Origin, SearchParams, SearchParamsMut, Url, UrlError, UrlInner, UrlView, can_parse, can_parse_with,
};
pub use writer::write_in;
