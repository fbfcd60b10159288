//! The bytes of a simulated file: a function of a seed and the offset, so that nobody needs to keep them.

use tidemill_core::random::mix;

/// The increment of SplitMix64: consecutive words get inputs far apart.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// A file of random bytes that is nowhere stored: byte `i` depends on the seed and `i` alone.
///
/// ```
/// use tidemill_sim::mill::Content;
/// let content = Content::new(7);
/// let (mut whole, mut part) = ([0; 100], [0; 10]);
/// content.read(0, &mut whole);
/// content.read(35, &mut part);
/// assert_eq!(part, whole[35..45]);
/// assert_eq!(content.first_difference(0, &whole), None);
/// whole[40] ^= 1;
/// assert_eq!(content.first_difference(0, &whole), Some(40));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    key: u64,
}

impl Content {
    /// The content that this seed names.
    pub const fn new(seed: u64) -> Self {
        Self { key: mix(seed) }
    }

    const fn word(self, index: u64) -> [u8; 8] {
        mix(self.key.wrapping_add(index.wrapping_mul(STRIDE))).to_le_bytes()
    }

    /// Fills `out` with the bytes from `offset` on. One mix for 8 bytes.
    pub fn read(self, offset: u64, out: &mut [u8]) {
        let (mut index, within) = (offset / 8, (offset % 8) as usize);
        let head = out.len().min((8 - within) % 8);
        let (head, rest) = out.split_at_mut(head);
        if !head.is_empty() {
            head.copy_from_slice(&self.word(index)[within..within + head.len()]);
            index += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        for word in words {
            *word = self.word(index);
            index += 1;
        }
        tail.copy_from_slice(&self.word(index)[..tail.len()]);
    }

    /// The offset of the first byte of `data`, which was read from `offset` on, that is wrong. O(length).
    pub fn first_difference(self, offset: u64, data: &[u8]) -> Option<u64> {
        let mut right = [0; 512];
        let mut at = offset;
        for part in data.chunks(right.len()) {
            let right = &mut right[..part.len()];
            self.read(at, right);
            if part != right {
                let within = part.iter().zip(&*right).position(|(a, b)| a != b)?;
                return Some(at + within as u64);
            }
            at += part.len() as u64;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_a_part_of_the_whole() {
        let content = Content::new(7);
        let mut whole = [0; 64];
        content.read(0, &mut whole);
        for start in 0..64 {
            for end in start..=64 {
                let mut part = vec![0; end - start];
                content.read(start as u64, &mut part);
                assert_eq!(part, whole[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn another_seed_is_another_file_and_no_byte_is_favoured() {
        let bytes = |seed| {
            let mut bytes = vec![0; 1 << 16];
            Content::new(seed).read(0, &mut bytes);
            bytes
        };
        let (a, b) = (bytes(1), bytes(2));
        let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
        assert!((150..370).contains(&same), "{same} of 65536 bytes are the same");
        let mut counts = [0; 256];
        for byte in a {
            counts[usize::from(byte)] += 1;
        }
        assert!(counts.iter().all(|count| (150..370).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_first_wrong_byte_is_found_anywhere() {
        let content = Content::new(3);
        let mut bytes = vec![0; 2000];
        content.read(1 << 40, &mut bytes);
        assert_eq!(content.first_difference(1 << 40, &bytes), None);
        for at in [0, 1, 511, 512, 1025, 1999] {
            bytes[at] ^= 0x10;
            assert_eq!(content.first_difference(1 << 40, &bytes), Some((1 << 40) + at as u64));
            bytes[at] ^= 0x10;
        }
        assert!(content.first_difference((1 << 40) + 1, &bytes).is_some());
    }
}
