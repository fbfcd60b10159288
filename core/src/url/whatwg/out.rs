//! A URL under construction, and what must be percent-encoded in each of its parts.

use super::piece::is_ignored;

/// Sets of ASCII characters that are percent-encoded (URL Standard, "percent-encode sets") or forbidden (URL Standard,
/// "forbidden host code point", "forbidden domain code point"), one bit each.
pub(super) mod set {
    pub(crate) const CONTROL: u8 = 1;
    pub(crate) const FRAGMENT: u8 = 2;
    pub(crate) const QUERY: u8 = 4;
    pub(crate) const SPECIAL_QUERY: u8 = 8;
    pub(crate) const PATH: u8 = 16;
    pub(crate) const USERINFO: u8 = 32;
    pub(crate) const NO_HOST: u8 = 64;
    pub(crate) const NO_DOMAIN: u8 = 128;
}

/// The sets that each ASCII character is in.
const SETS: [u8; 128] = {
    const fn add(sets: &mut [u8; 128], characters: &[u8], which: u8) {
        let mut at = 0;
        while at < characters.len() {
            sets[characters[at] as usize] |= which;
            at += 1;
        }
    }
    let mut sets = [0; 128];
    let mut control = 0;
    while control < 0x20 {
        sets[control] = !set::NO_HOST;
        control += 1;
    }
    sets[0x7f] = !set::NO_HOST;
    add(&mut sets, b" \"<>`", set::FRAGMENT);
    add(&mut sets, b" \"#<>", set::QUERY);
    add(&mut sets, b" \"#<>'", set::SPECIAL_QUERY);
    add(&mut sets, b" \"#<>?^`{}", set::PATH);
    add(&mut sets, b" \"#<>?^`{}/:;=@[\\]|", set::USERINFO);
    add(&mut sets, b"\0\t\n\r #/:<>?@[\\]^|", set::NO_HOST);
    add(&mut sets, b" #/:<>?@[\\]^|%", set::NO_DOMAIN);
    sets
};

/// Whether `byte` is in one of `sets`; what is not ASCII is in each.
pub(super) const fn is_in(byte: u8, sets: u8) -> bool {
    byte as usize >= SETS.len() || SETS[byte as usize] & sets != 0
}

/// The byte that `%XX` at the start of `bytes` stands for.
pub(super) fn escaped(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let [b'%', high, low, ..] = bytes else { return None };
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Text that is appended to. Beyond the buffer's end it is only counted, so that afterwards it is known how much room
/// there should have been.
pub(super) struct Out<'b> {
    buffer: &'b mut [u8],
    /// How long it would be.
    pub(super) len: usize,
}

impl<'b> Out<'b> {
    pub(super) const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        // What does not fit as a whole is not written at all: nobody looks at it.
        if let Some(place) = self.buffer.get_mut(self.len..).and_then(|rest| rest.get_mut(..text.len())) {
            place.copy_from_slice(text);
        }
        self.len += text.len();
    }

    /// `byte` as `%XX`.
    pub(super) fn escape(&mut self, byte: u8) {
        self.text(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }

    /// `bytes` without tabs and line ends, percent-encoded where they are in `set`.
    pub(super) fn encode(&mut self, bytes: &[u8], set: u8) {
        self.encode_all(bytes, set, is_ignored);
    }

    /// `bytes` without those that are `ignored`, percent-encoded where they are in `set`.
    pub(super) fn encode_all(&mut self, mut bytes: &[u8], set: u8, ignored: fn(u8) -> bool) {
        loop {
            let plain = bytes.iter().position(|byte| is_in(*byte, set)).unwrap_or(bytes.len());
            let Some((plain, rest)) = bytes.split_at_checked(plain) else { return };
            self.text(plain);
            let [byte, rest @ ..] = rest else { return };
            if !ignored(*byte) {
                self.escape(*byte);
            }
            bytes = rest;
        }
    }

    pub(super) fn decimal(&mut self, number: u16) {
        let mut divisor = 10_000;
        while divisor > 1 && number < divisor {
            divisor /= 10;
        }
        while divisor > 0 {
            self.push(b'0' + (number / divisor % 10) as u8);
            divisor /= 10;
        }
    }

    /// In lower case, without leading zeros.
    pub(super) fn hexadecimal(&mut self, number: u16) {
        let mut shift = 12;
        while shift > 0 && number >> shift == 0 {
            shift -= 4;
        }
        loop {
            self.push(DIGITS[usize::from(number >> shift & 15)] | 0x20);
            if shift == 0 {
                return;
            }
            shift -= 4;
        }
    }

    /// Room for `len` bytes, which the caller fills; none where it does not fit.
    pub(super) fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = self.len;
        self.len += len;
        self.buffer.get_mut(start..self.len)
    }
}

/// Digits have the bit that makes letters small, so it may be set on all of them.
const DIGITS: [u8; 16] = *b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn numbers_have_no_leading_zeros() {
        for number in [0, 1, 9, 10, 80, 0x100, 4095, 9999, 10_000, 65_535] {
            let mut buffer = [0; 12];
            let mut out = Out::new(&mut buffer);
            out.decimal(number);
            out.push(b' ');
            out.hexadecimal(number);
            let len = out.len;
            assert_eq!(str::from_utf8(&buffer[..len]), Ok(&*format!("{number} {number:x}")));
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut buffer = [0; 4];
        let mut out = Out::new(&mut buffer);
        out.encode(b"a\tb c\n", set::PATH);
        assert_eq!(out.len, 6);
        assert_eq!(&buffer[..2], b"ab");
    }

    #[test]
    fn every_set_holds_the_one_before_it() {
        for byte in 0..=255 {
            let has = |set| is_in(byte, set);
            assert!(!has(set::CONTROL) || has(set::FRAGMENT) && has(set::QUERY) && has(set::NO_DOMAIN));
            assert!(!has(set::QUERY) || has(set::SPECIAL_QUERY) && has(set::PATH));
            assert!(!has(set::PATH) || has(set::USERINFO));
            assert!(!has(set::NO_HOST) || has(set::NO_DOMAIN));
        }
    }
}
