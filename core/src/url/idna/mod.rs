//! Domains beyond ASCII without a heap: UTS 46 with tables of its own.
//!
//! A domain is mapped character by character (`Bücher` to `bücher`, `。` to `.`), each label is brought into normal form C,
//! checked, and written as Punycode (`xn--bcher-kva`) if it is still beyond ASCII. A label that is Punycode already
//! must be what its text would be written as. Only one label at a time is held, in an array.
//!
//! [`tables`] is made from Unicode 18.0.0 by `tests/examples/idna_tables.rs`.

mod bidi;
mod label;
mod punycode;
mod table;
mod tables;

use super::{DomainToAscii, IdnaError};
use label::Label;
use table::{Fate, fate};

/// How many code points of a label there is room for, also while its letters are taken apart from their accents. The
/// domain name system has room for 59.
const LABEL_MAX: usize = 255;

/// UTS 46 over tables of 28 KiB, of Unicode 18.0.0.
///
/// A label of more than 255 code points, counted with letters and accents apart, is refused as [`IdnaError::Unsupported`]. Takes about
/// 1.1 KiB of stack. Linear in the domain's length, and at worst quadratic in a label's.
///
/// ```
/// use tidemill_core::url::{DomainToAscii, Uts46};
///
/// let mut ascii = [0; 64];
/// let length = Uts46.to_ascii("Bücher.example", &mut ascii)?;
/// assert_eq!(&ascii[..length], b"xn--bcher-kva.example");
/// # Ok::<(), tidemill_core::url::IdnaError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uts46;

impl DomainToAscii for Uts46 {
    fn to_ascii(&self, domain: &str, out: &mut [u8]) -> Result<usize, IdnaError> {
        let mut domain_out = Domain { label: Label::new(), bidi: bidi::Labels::default(), out, len: 0 };
        for c in domain.chars() {
            match fate(c) {
                Fate::Valid(_) => domain_out.take(c)?,
                Fate::Ignored => {}
                Fate::Disallowed => return Err(IdnaError::Invalid),
                Fate::Char(mapped) => domain_out.take(mapped)?,
                Fate::Text(units) => {
                    for mapped in char::decode_utf16(units.iter().copied()) {
                        domain_out.take(mapped.map_err(|_| IdnaError::Invalid)?)?;
                    }
                }
            }
        }
        domain_out.end_label()?;
        domain_out.bidi.verdict()?;
        Ok(domain_out.len)
    }
}

/// A domain on its way: the label at work, and the ASCII form of those before it, `out[..len]`.
struct Domain<'o> {
    label: Label,
    bidi: bidi::Labels,
    out: &'o mut [u8],
    len: usize,
}

impl Domain<'_> {
    /// A character after mapping.
    fn take(&mut self, c: char) -> Result<(), IdnaError> {
        if c != '.' {
            return self.label.push(c);
        }
        self.end_label()?;
        self.label.clear();
        self.put(b'.')
    }

    fn put(&mut self, byte: u8) -> Result<(), IdnaError> {
        put(self.out, &mut self.len, byte)
    }

    fn end_label(&mut self) -> Result<(), IdnaError> {
        self.label.normalize()?;
        let start = self.len;
        let is_encoded = self.label.chars().starts_with(&['x', 'n', '-', '-']);
        if is_encoded || self.label.is_ascii() {
            for c in self.label.chars() {
                put(self.out, &mut self.len, if c.is_ascii() { *c as u8 } else { return Err(IdnaError::Invalid) })?;
            }
        }
        let end = self.len;
        if is_encoded {
            punycode::decode(self.out.get(start + 4..end).unwrap_or_default(), &mut self.label)?;
        }
        self.label.check()?;
        self.bidi.add(self.label.chars());
        if self.label.is_ascii() {
            return Ok(());
        }
        // What came encoded and is not in normal form is now written otherwise than it was given.
        self.label.normalize()?;
        self.len = start;
        for byte in *b"xn--" {
            self.put(byte)?;
        }
        punycode::encode(self.label.chars(), |byte| {
            let given = self.out.get(self.len..end).and_then(|rest| rest.first());
            if is_encoded && given != Some(&byte) {
                return Err(IdnaError::Invalid);
            }
            put(self.out, &mut self.len, byte)
        })?;
        if is_encoded && self.len != end { Err(IdnaError::Invalid) } else { Ok(()) }
    }
}

fn put(out: &mut [u8], len: &mut usize, byte: u8) -> Result<(), IdnaError> {
    *out.get_mut(*len).ok_or(IdnaError::Full)? = byte;
    *len += 1;
    Ok(())
}

#[cfg(test)]
mod tests;
