//! Hosts (URL Standard, "host parsing"): domains, IPv4 addresses in all their spellings, IPv6 addresses, and opaque hosts of
//! URLs that are not special.

use super::super::{DomainToAscii, IdnaError};
use super::error::{Invalid, UrlError};
use super::ipv4;
use super::ipv6;
use super::out::{Out, escaped, is_in, set};
use super::piece::{Piece, is_ignored};

/// The longest domain beyond ASCII, percent-decoded or in its ASCII form, in bytes: several times what DNS can carry.
const DOMAIN_MAX: usize = 1024;

/// Writes the host that `host` spells, which is not empty, in its canonical form. Whether it is `localhost`.
pub(super) fn write(
    host: Piece<'_>,
    special: bool,
    idna: &dyn DomainToAscii,
    out: &mut Out<'_>,
) -> Result<bool, UrlError> {
    if let Some((b'[', inside)) = host.split_first() {
        let Some(b']') = inside.clean().next_back() else { return Err(Invalid::Ipv6.at(host.at)) };
        let address = ipv6::parse(inside.clean()).ok_or(Invalid::Ipv6.at(host.at))?;
        ipv6::write(&address, out);
        return Ok(false);
    }
    if !special {
        if let Some(at) =
            host.bytes.iter().position(|byte| byte.is_ascii() && is_in(*byte, set::NO_HOST) && !is_ignored(*byte))
        {
            return Err(Invalid::HostByte.at(host.at + at));
        }
        out.encode(host.bytes, set::CONTROL);
        return Ok(false);
    }
    let domain = Domain::encoded(host);
    if domain.clone().any(|(_, byte)| !byte.is_ascii()) {
        return beyond_ascii(host, idna, out);
    }
    write_ascii(domain, out)
}

/// A domain through UTS 46. Apart from the rest because of the room it takes on the stack.
#[inline(never)]
fn beyond_ascii(host: Piece<'_>, idna: &dyn DomainToAscii, out: &mut Out<'_>) -> Result<bool, UrlError> {
    let bad = |error| Invalid::Domain(error).at(host.at);
    let (mut decoded, mut ascii) = ([0; DOMAIN_MAX], [0; DOMAIN_MAX]);
    let mut domain = host.bytes;
    if domain.iter().any(|byte| *byte == b'%' || is_ignored(*byte)) {
        let mut len = 0;
        // Letters may well be lowered: UTS 46 does so first.
        for (_, byte) in Domain::encoded(host) {
            *decoded.get_mut(len).ok_or(bad(IdnaError::Unsupported))? = byte;
            len += 1;
        }
        domain = decoded.get(..len).unwrap_or_default();
    }
    if domain.len() > DOMAIN_MAX {
        return Err(bad(IdnaError::Unsupported));
    }
    // The Standard puts U+FFFD in place of what is not UTF-8, and UTS 46 refuses it.
    let domain = str::from_utf8(domain).map_err(|_| bad(IdnaError::Invalid))?;
    let len = idna.to_ascii(domain, &mut ascii).map_err(|error| match error {
        IdnaError::Full => bad(IdnaError::Unsupported),
        error => bad(error),
    })?;
    match ascii.get(..len) {
        None | Some([]) => Err(bad(IdnaError::Invalid)),
        Some(bytes) => {
            write_ascii(Domain { rest: Piece { bytes, at: host.at }, encoded: false }, out).map_err(|error| match error
            {
                // Places in the ASCII form are none in the input.
                UrlError::Invalid { why, .. } => why.at(host.at),
                error => error,
            })
        }
    }
}

/// A domain of ASCII characters: lowered, checked, and an IPv4 address if it ends in a number.
fn write_ascii(domain: Domain<'_>, out: &mut Out<'_>) -> Result<bool, UrlError> {
    let start = domain.rest.at;
    if let Some((at, _)) = domain.clone().find(|(_, byte)| is_in(*byte, set::NO_DOMAIN)) {
        return Err(Invalid::HostByte.at(at));
    }
    let bytes = domain.map(|(_, byte)| byte);
    if let Some(address) = ipv4::parse(bytes.clone()).map_err(|why| why.at(start))? {
        ipv4::write(address, out);
        return Ok(false);
    }
    bytes.clone().for_each(|byte| out.push(byte));
    Ok(bytes.eq(*b"localhost"))
}

/// The bytes of a domain, percent-decoded and in lower case, and where each stands.
#[derive(Clone)]
struct Domain<'a> {
    rest: Piece<'a>,
    /// Whether `%XX` is a byte.
    encoded: bool,
}

impl<'a> Domain<'a> {
    const fn encoded(rest: Piece<'a>) -> Self {
        Self { rest, encoded: true }
    }
}

impl Iterator for Domain<'_> {
    type Item = (usize, u8);

    fn next(&mut self) -> Option<(usize, u8)> {
        let (mut byte, mut rest) = self.rest.split_first()?;
        let at = rest.at - 1;
        if byte == b'%'
            && self.encoded
            && let Some((high, after)) = rest.split_first()
            && let Some((low, after)) = after.split_first()
            && let Some(decoded) = escaped(&[b'%', high, low])
        {
            (byte, rest) = (decoded, after);
        }
        self.rest = rest;
        Some((at, byte.to_ascii_lowercase()))
    }
}
