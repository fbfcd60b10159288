//! IPv4 addresses as browsers read them: one to four numbers, decimal, octal or hexadecimal (URL Standard, "IPv4 parser").

use super::error::Invalid;
use super::out::Out;

/// The address that a domain in lower case spells. `None` if it ends in no number, and so is a name; an error if it ends in one and
/// is no address. A dot at the end does not count.
pub(super) fn parse(domain: impl Iterator<Item = u8>) -> Result<Option<u32>, Invalid> {
    let mut numbers = [0; 4];
    let (mut count, mut all_valid) = (0, true);
    let (mut last, mut number) = (Number::default(), Number::default());
    let mut end = |number: Number| {
        if let Some(place) = numbers.get_mut(count) {
            *place = number.value;
        }
        count += 1;
        all_valid &= number.is_valid();
        last = number;
    };
    let mut is_first = true;
    for byte in domain {
        if byte == b'.' {
            end(core::mem::take(&mut number));
            is_first = false;
        } else {
            number.push(byte);
        }
    }
    if number.len > 0 || is_first {
        end(number);
    }
    if !last.is_valid() && !last.is_decimal() {
        return Ok(None);
    }
    let (Some((lowest, high)), true) = (numbers.get(..count).and_then(<[u64]>::split_last), all_valid) else {
        return Err(Invalid::Ipv4);
    };
    let mut address = 0;
    for number in high {
        if *number > 255 {
            return Err(Invalid::Ipv4);
        }
        address = address << 8 | *number;
    }
    // The last number fills the bytes that are left, of four.
    let bits = 8 * (4 - high.len() as u32);
    let whole = u32::try_from(address << bits | lowest).ok().filter(|_| lowest >> bits == 0);
    whole.map(Some).ok_or(Invalid::Ipv4)
}

/// Writes four decimal numbers.
pub(super) fn write(address: u32, out: &mut Out<'_>) {
    for (at, byte) in address.to_be_bytes().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.decimal(byte.into());
    }
}

/// A label on the way to a number.
#[derive(Clone, Copy)]
struct Number {
    len: usize,
    radix: u8,
    is_bad: bool,
    has_other: bool,
    /// At most a bit more than fits an address.
    value: u64,
}

impl Default for Number {
    fn default() -> Self {
        Self { len: 0, radix: 10, is_bad: false, has_other: false, value: 0 }
    }
}

impl Number {
    fn push(&mut self, byte: u8) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 255,
        };
        self.has_other |= digit > 9;
        if self.len == 1 && self.value == 0 && self.radix == 10 && !self.is_bad {
            self.radix = if byte == b'x' { 16 } else { 8 };
        }
        if !(self.len == 1 && self.radix == 16) {
            self.is_bad |= digit >= self.radix;
            self.value = (self.value * u64::from(self.radix) + u64::from(digit)).min(1 << 33);
        }
        self.len += 1;
    }

    /// Whether it is a number in its radix; `0x` alone is zero.
    const fn is_valid(&self) -> bool {
        self.len > 0 && !self.is_bad
    }

    /// Whether it has digits from 0 to 9 only, though they may be beyond its radix.
    const fn is_decimal(&self) -> bool {
        self.len > 0 && !self.has_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for (text, address) in [
            ("1.2.3.4", Ok(Some(0x0102_0304))),
            ("1.2.3.4.", Ok(Some(0x0102_0304))),
            ("0x7f.1", Ok(Some(0x7f00_0001))),
            ("017700000001", Ok(Some(0x7f00_0001))),
            ("0x.0x.0", Ok(Some(0))),
            ("256", Ok(Some(256))),
            ("4294967295", Ok(Some(u32::MAX))),
            ("4294967296", Err(Invalid::Ipv4)),
            ("18446744073709551616", Err(Invalid::Ipv4)),
            ("1.65536", Ok(Some(0x0101_0000))),
            ("1.16777216", Err(Invalid::Ipv4)),
            ("256.1", Err(Invalid::Ipv4)),
            ("1.2.3.4.5", Err(Invalid::Ipv4)),
            ("a.1", Err(Invalid::Ipv4)),
            ("1..2", Err(Invalid::Ipv4)),
            ("08", Err(Invalid::Ipv4)),
            ("a.09", Err(Invalid::Ipv4)),
            ("0xg", Ok(None)),
            ("1.a", Ok(None)),
            ("1.a.", Ok(None)),
            ("1..", Ok(None)),
            ("a0x1", Ok(None)),
            (".", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(parse(text.bytes()), address, "{text}");
        }
    }
}
