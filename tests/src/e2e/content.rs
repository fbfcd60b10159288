//! Bytes drawn from a seed: any range of them can be had at any time, so that a gigabyte needs no memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes handled at a time.
const CHUNK: u64 = 256 << 10;

/// The contents of a file: `len` bytes that `seed` determines. Every eight of them depend on their offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// What they are drawn from.
    pub seed: u64,
    /// How many there are.
    pub len: u64,
}

impl Content {
    /// `len` bytes of `seed`.
    pub fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    /// The eight bytes that begin at eight times `index`.
    fn block(self, index: u64) -> [u8; 8] {
        mix(self.seed.rotate_left(32) ^ index).to_le_bytes()
    }

    /// Some of the bytes.
    pub fn bytes(self, range: Range<u64>) -> Vec<u8> {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        let first = range.start / 8;
        let mut bytes = vec![0; ((range.end.div_ceil(8) - first) * 8) as usize];
        for (index, block) in (first..).zip(bytes.chunks_exact_mut(8)) {
            block.copy_from_slice(&self.block(index));
        }
        bytes.truncate((range.end - first * 8) as usize);
        bytes.drain(..(range.start - first * 8) as usize);
        bytes
    }

    /// All of it, a chunk at a time, with the offset of each.
    fn chunks(self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        (0..self.len.div_ceil(CHUNK)).map(move |at| {
            let start = at * CHUNK;
            (start, self.bytes(start..self.len.min(start + CHUNK)))
        })
    }

    /// Writes it to a file, in place of what was there.
    pub fn write(self, path: &Path) {
        let new = path.with_extension("new");
        let mut file = File::create(&new).unwrap();
        for (_, chunk) in self.chunks() {
            file.write_all(&chunk).unwrap();
        }
        std::fs::rename(new, path).unwrap();
    }

    /// The sum, as `--checksum` takes it.
    pub fn checksum(self) -> String {
        let mut sum = Sha256::new();
        self.chunks().for_each(|(_, chunk)| sum.update(chunk));
        let (sum, mut halves) = (sum.finalize(), [[0; 16]; 2]);
        halves.as_flattened_mut().copy_from_slice(&sum);
        let [first, second] = halves.map(u128::from_be_bytes);
        format!("sha-256={first:032x}{second:032x}")
    }

    /// Panics unless the file holds just these bytes.
    pub fn assert_in(self, path: &Path) {
        let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(file.metadata().unwrap().len(), self.len, "length of {}", path.display());
        let mut found = vec![0; CHUNK as usize];
        for (start, chunk) in self.chunks() {
            let found = &mut found[..chunk.len()];
            file.read_exact(found).unwrap();
            if found != chunk {
                let at = found.iter().zip(&chunk).take_while(|(a, b)| a == b).count() as u64;
                panic!("{} is wrong from byte {}", path.display(), start + at);
            }
        }
    }

    /// How many bytes of it a file under construction holds, in whole steps of `step` bytes.
    pub fn bytes_in(self, path: &Path, step: u64) -> u64 {
        let file = File::open(path).unwrap();
        let holds = |&at: &u64| {
            let mut found = [0; 8];
            let read: io::Result<()> = file.read_exact_at(&mut found, at);
            read.is_ok() && found == self.block(at / 8)
        };
        (0..self.len / step).map(|at| at * step).filter(holds).count() as u64 * step
    }
}

/// Random numbers of a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of a range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        range.start + mix(self.0) % (range.end - range.start)
    }
}

/// The output function of SplitMix64.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_the_bytes_is_that_part_of_all_of_them() {
        let content = Content::new(3, 101);
        let all = content.bytes(0..101);
        for start in 0..=101 {
            for end in start..=101 {
                assert_eq!(content.bytes(start..end), all[start as usize..end as usize]);
            }
        }
        assert_ne!(Content::new(4, 101).bytes(0..101), all);
    }

    #[test]
    fn a_file_is_held_against_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let content = Content::new(5, CHUNK + 9);
        content.write(&path);
        content.assert_in(&path);
        assert_eq!(content.bytes_in(&path, 1024), CHUNK);
        let mut bytes = content.bytes(0..content.len);
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let told = std::panic::catch_unwind(|| content.assert_in(&path)).unwrap_err();
        assert!(told.downcast::<String>().unwrap().ends_with("wrong from byte 262152"));
    }
}
