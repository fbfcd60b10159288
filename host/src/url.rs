//! What URLs need of a host: the ASCII form of domains beyond ASCII.
//!
//! The tables come with the `idna` crate. A firmware has core's own instead, behind its feature `idna`: smaller, and without a heap.
//!
//! ```
//! use tidemill_core::url::DomainToAscii;
//! use tidemill_host::url::Idna;
//!
//! let mut ascii = [0; 64];
//! let length = Idna.to_ascii("Bücher.example", &mut ascii)?;
//! assert_eq!(&ascii[..length], b"xn--bcher-kva.example");
//! # Ok::<(), tidemill_core::url::IdnaError>(())
//! ```

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use tidemill_core::url::{DomainToAscii, IdnaError};

/// UTS 46 by the `idna` crate. It refuses labels whose code points or Punycode are beyond its own limits (1,000 and 2,000) as
/// [`IdnaError::Invalid`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Idna;

impl DomainToAscii for Idna {
    fn to_ascii(&self, domain: &str, out: &mut [u8]) -> Result<usize, IdnaError> {
        // The caller checks for forbidden characters, so that the deny list is empty.
        let ascii = Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
            .map_err(|_| IdnaError::Invalid)?;
        out.get_mut(..ascii.len()).ok_or(IdnaError::Full)?.copy_from_slice(ascii.as_bytes());
        Ok(ascii.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_from_what_is_no_domain() {
        assert_eq!(Idna.to_ascii("é", &mut [0; 8]), Ok(7));
        assert_eq!(Idna.to_ascii("é", &mut [0; 6]), Err(IdnaError::Full));
        assert_eq!(Idna.to_ascii("\u{fffd}.com", &mut [0; 64]), Err(IdnaError::Invalid));
    }

    #[test]
    fn a_url_s_forbidden_characters_are_left_to_the_caller() {
        let mut out = [0; 64];
        let length = Idna.to_ascii("é.a b", &mut out).unwrap();
        assert_eq!(&out[..length], b"xn--9ca.a b");
    }
}
