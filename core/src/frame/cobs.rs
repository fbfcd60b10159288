//! Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): bytes without a zero, so that a zero can end a frame.
//!
//! Both ways move a machine word at a time as long as it has no zero, and need no look ahead.

/// A machine word: as many bytes as are looked at in one go.
const WORD: usize = size_of::<usize>();
const LOW: usize = usize::MAX / 255;
const HIGH: usize = LOW << 7;

/// A block's code byte tells how many bytes it takes, itself included, at most this.
pub(crate) const BLOCK_MAX: u8 = 255;

/// Which bytes of a word are zero. The lowest bit set is right; above it there may be others.
const fn zeros(word: usize) -> usize {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Where the first zero is, or how many bytes were copied: all that are in both. O(n).
pub(crate) fn copy_until_zero(from: &[u8], to: &mut [u8]) -> Result<usize, usize> {
    let (words, _) = from.as_chunks::<WORD>();
    let (rooms, _) = to.as_chunks_mut::<WORD>();
    let mut copied = 0;
    for (word, room) in words.iter().zip(rooms) {
        let zeros = zeros(usize::from_le_bytes(*word));
        *room = *word;
        if zeros != 0 {
            return Err(copied + zeros.trailing_zeros() as usize / 8);
        }
        copied += WORD;
    }
    for (&byte, room) in from.iter().zip(to).skip(copied) {
        if byte == 0 {
            return Err(copied);
        }
        *room = byte;
        copied += 1;
    }
    Ok(copied)
}

/// Where the first zero is. O(n).
pub(crate) fn find_zero(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<WORD>();
    let before = words.iter().take_while(|word| zeros(usize::from_le_bytes(**word)) == 0).count();
    let tail = match words.get(before) {
        Some(word) => &word[..],
        None => rest,
    };
    Some(before * WORD + tail.iter().position(|&byte| byte == 0)?)
}

/// The most bytes that `len` bytes become, their delimiter included.
pub(crate) const fn encoded_max(len: usize) -> usize {
    len + len / (BLOCK_MAX as usize - 1) + 2
}

/// Stuffs bytes, part by part.
pub(crate) struct Encoder<'o> {
    out: &'o mut [u8],
    /// Where the next byte goes.
    at: usize,
    /// Where the code byte of the block goes.
    block: usize,
    /// The block before was full, so that it needs none after it.
    full: bool,
}

impl<'o> Encoder<'o> {
    pub(crate) fn new(out: &'o mut [u8]) -> Self {
        Self { out, at: 1, block: 0, full: false }
    }

    /// Takes the next bytes; `None` if they do not fit. O(n).
    #[inline]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let left = usize::from(BLOCK_MAX) - (self.at - self.block);
            if left == 0 {
                self.close()?;
                self.full = true;
                continue;
            }
            let run = bytes.get(..left).unwrap_or(bytes);
            match copy_until_zero(run, self.out.get_mut(self.at..)?) {
                Ok(copied) => {
                    self.at += copied;
                    bytes = bytes.get(copied..)?;
                    if copied < run.len() {
                        return None;
                    }
                }
                Err(copied) => {
                    self.at += copied;
                    bytes = bytes.get(copied + 1..)?;
                    self.close()?;
                }
            }
        }
        Some(())
    }

    /// Ends the block and begins another.
    #[inline]
    fn close(&mut self) -> Option<()> {
        *self.out.get_mut(self.block)? = (self.at - self.block) as u8;
        self.block = self.at;
        self.at += 1;
        self.full = false;
        Some(())
    }

    /// Writes the delimiter. How many bytes there are.
    pub(crate) fn finish(mut self) -> Option<usize> {
        if self.full && self.at - self.block == 1 {
            self.at = self.block;
        } else {
            *self.out.get_mut(self.block)? = (self.at - self.block) as u8;
        }
        *self.out.get_mut(self.at)? = 0;
        Some(self.at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn encode(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = std::vec![0xAA; encoded_max(parts.iter().map(|part| part.len()).sum())];
        let mut encoder = Encoder::new(&mut out);
        for part in parts {
            encoder.push(part).unwrap();
        }
        let len = encoder.finish().unwrap();
        out.truncate(len);
        out
    }

    /// Byte by byte, from the paper.
    fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
        let (&delimiter, mut bytes) = bytes.split_last()?;
        let mut out = Vec::new();
        while let Some((&code, rest)) = bytes.split_first() {
            let block = rest.get(..usize::from(code).checked_sub(1)?)?;
            out.extend_from_slice(block);
            bytes = &rest[block.len()..];
            if code != BLOCK_MAX && !bytes.is_empty() {
                out.push(0);
            }
        }
        (delimiter == 0).then_some(out)
    }

    #[test]
    fn the_examples_of_the_paper_and_of_its_readers() {
        assert_eq!(encode(&[]), [1, 0]);
        assert_eq!(encode(&[&[0]]), [1, 1, 0]);
        assert_eq!(encode(&[&[0, 0]]), [1, 1, 1, 0]);
        assert_eq!(encode(&[&[0x11, 0x22, 0, 0x33]]), [3, 0x11, 0x22, 2, 0x33, 0]);
        assert_eq!(encode(&[&[0x11, 0, 0, 0]]), [2, 0x11, 1, 1, 1, 0]);
        let long: Vec<u8> = (1..=255).collect();
        assert_eq!(encode(&[&long[..254]]), [&[255], &long[..254], &[0]].concat());
        assert_eq!(encode(&[&[0], &long[..254]]), [&[1, 255], &long[..254], &[0]].concat());
        assert_eq!(encode(&[&long]), [&[255], &long[..254], &[2, 255, 0]].concat());
        assert_eq!(encode(&[&long[..254], &[0]]), [&[255], &long[..254], &[1, 1, 0]].concat());
    }

    proptest! {
        #[test]
        fn what_is_stuffed_has_no_zero_and_comes_back(
            bytes in proptest::collection::vec(prop_oneof![4 => Just(0_u8), 4 => Just(255), 100 => any::<u8>()], 0..1000),
            cuts in (0..1000_usize, 0..1000_usize),
        ) {
            let (first, second) = (cuts.0.min(bytes.len()), cuts.1.min(bytes.len()));
            let (first, second) = (first.min(second), first.max(second));
            let encoded = encode(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
            prop_assert!(encoded.len() <= encoded_max(bytes.len()));
            prop_assert_eq!(encoded.iter().position(|&byte| byte == 0), Some(encoded.len() - 1));
            prop_assert_eq!(find_zero(&encoded), Some(encoded.len() - 1));
            prop_assert_eq!(decode(&encoded), Some(bytes));
        }

        #[test]
        fn what_does_not_fit_is_none(bytes in proptest::collection::vec(any::<u8>(), 1..600), room in 0..600_usize) {
            let whole = encode(&[&bytes]);
            let mut out = std::vec![0; room];
            let mut encoder = Encoder::new(&mut out);
            let len = encoder.push(&bytes).and_then(|()| encoder.finish());
            prop_assert_eq!(len, (whole.len() <= room).then_some(whole.len()));
        }
    }
}
