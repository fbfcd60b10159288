//! Domains beyond ASCII: the seam through which a parser gets their ASCII form.
//!
//! A host made of ASCII alone needs no tables to become a domain (URL Standard, "domain to ASCII", as of June 2026: its
//! letters are lowered, and a few characters are refused). `http://münchen.example/` needs Unicode's mapping tables (UTS 46),
//! which not every program wants to carry. So they come from outside, as a [`DomainToAscii`].

use core::fmt;

/// Turns domains with characters beyond ASCII into their ASCII form: UTS 46, `ToASCII`, as the URL Standard asks for it in
/// "domain to ASCII" with beStrict false (CheckHyphens, UseSTD3ASCIIRules and VerifyDnsLength false; CheckBidi and
/// CheckJoiners true; non-transitional; IgnoreInvalidPunycode false).
pub trait DomainToAscii {
    /// Writes the ASCII form of `domain` to the start of `out`; how many bytes it took. `domain` was percent-decoded, is never empty,
    /// and has a character beyond ASCII. What characters a URL's host may not have, the caller checks in the result.
    ///
    /// # Errors
    /// See [`IdnaError`]. Then `out` may hold scraps.
    fn to_ascii(&self, domain: &str, out: &mut [u8]) -> Result<usize, IdnaError>;
}

/// Why a domain has no ASCII form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdnaError {
    /// UTS 46 refuses it.
    Invalid,
    /// The form does not fit into the buffer given.
    Full,
    /// This implementation cannot tell: it has no tables, or the domain has a label longer than it can hold.
    Unsupported,
}

impl fmt::Display for IdnaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "not a domain name",
            Self::Full => "domain too long for its buffer",
            Self::Unsupported => "domain beyond ASCII, which is not supported here",
        })
    }
}

impl core::error::Error for IdnaError {}

/// No tables: every domain beyond ASCII is refused as [`IdnaError::Unsupported`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AsciiOnly;

impl DomainToAscii for AsciiOnly {
    fn to_ascii(&self, _: &str, _: &mut [u8]) -> Result<usize, IdnaError> {
        Err(IdnaError::Unsupported)
    }
}

impl<D: DomainToAscii + ?Sized> DomainToAscii for &D {
    fn to_ascii(&self, domain: &str, out: &mut [u8]) -> Result<usize, IdnaError> {
        (**self).to_ascii(domain, out)
    }
}
