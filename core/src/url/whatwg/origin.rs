//! Origins: for whom a URL speaks (HTML Standard, "origin"; URL Standard, "origin").

use core::fmt;

use super::super::AsciiOnly;
use super::machine;
use super::out::Out;
use super::parts::Kind;
use super::{UrlView, text_of};

/// The longest origin inside a `blob:` URL that is found, in bytes.
const INNER_MAX: usize = 512;

/// A scheme, a host and a port, displayed as `https://example.com:8080`; or an opaque origin, the same as no other, displayed as
/// `null`.
///
/// The origin of a `blob:` URL is that of the URL inside it. There a domain beyond ASCII is not looked up, and so is opaque, as is
/// one of more than 500 bytes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Origin<'a>(Inner<'a>);

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Inner<'a> {
    Opaque,
    /// The scheme with its colon, and the host with its port.
    Tuple(&'a str, &'a str),
    /// What the URL inside starts with.
    Blob(&'a str),
}

impl<'a> Origin<'a> {
    pub(super) fn of(url: &'a UrlView) -> Self {
        Self(match url.parts.kind {
            Kind::Other if url.protocol() == "blob:" && blob(url.pathname(), &mut [0; INNER_MAX]).is_some() => {
                Inner::Blob(url.pathname())
            }
            Kind::Other | Kind::File => Inner::Opaque,
            _ => Inner::Tuple(url.protocol(), url.host()),
        })
    }

    /// Whether it is the same as no other, its own included.
    pub const fn is_opaque(&self) -> bool {
        matches!(self.0, Inner::Opaque)
    }
}

/// The scheme and the host of an `http` or `https` URL.
fn blob<'r>(inner: &str, room: &'r mut [u8; INNER_MAX]) -> Option<(&'r str, &'r str)> {
    let mut out = Out::new(&mut *room);
    let (parts, _) = machine::parse(inner, None, &AsciiOnly, &mut out).ok()?;
    // Beyond that, places are not to be trusted.
    let is_short = u16::try_from(out.len).is_ok() && usize::from(parts.path) <= INNER_MAX;
    let is_web = matches!(parts.kind, Kind::Http | Kind::Https);
    let room: &[u8] = room;
    (is_short && is_web).then(|| (text_of(room, 0, parts.scheme_end + 1), text_of(room, parts.host, parts.path)))
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = [0; INNER_MAX];
        let (scheme, host) = match self.0 {
            Inner::Opaque => return f.write_str("null"),
            Inner::Tuple(scheme, host) => (scheme, host),
            // It was found to have one.
            Inner::Blob(inner) => blob(inner, &mut room).unwrap_or_default(),
        };
        f.write_str(scheme)?;
        f.write_str("//")?;
        f.write_str(host)
    }
}
