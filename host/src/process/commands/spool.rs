//! What a command has said, until it is its turn: a little in memory, the rest in one file that has no name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

/// How much of a command's output stays in memory; and how much is moved at once.
pub(super) const PART: usize = 16 << 10;

/// The file that all spools share. It is emptied when nothing of what is in it is wanted any more.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Option<File>,
    end: u64,
    wanted: u64,
}

/// What one command said on one stream, in order.
#[derive(Debug, Default)]
pub(super) struct Spool {
    /// In the file: where, and how much.
    spilled: Vec<(u64, u64)>,
    last: Vec<u8>,
}

impl Spill {
    fn add(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new()
                .read(true)
                .write(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_TMPFILE)
                .open(std::env::temp_dir())?,
        };
        let written = file.write_all_at(bytes, self.end);
        self.file = Some(file);
        written?;
        let at = self.end;
        self.end += bytes.len() as u64;
        self.wanted += bytes.len() as u64;
        Ok(at)
    }

    fn unwanted(&mut self, length: u64) -> io::Result<()> {
        self.wanted -= length;
        if self.wanted == 0 {
            self.end = 0;
            self.file.as_ref().map_or(Ok(()), |file| file.set_len(0))?;
        }
        Ok(())
    }
}

impl Spool {
    /// Adds what was said.
    pub(super) fn add(&mut self, bytes: &[u8], spill: &mut Spill) -> io::Result<()> {
        self.last.extend_from_slice(bytes);
        if self.last.len() >= PART {
            let at = spill.add(&self.last)?;
            let length = self.last.len() as u64;
            match self.spilled.last_mut() {
                Some((start, before)) if *start + *before == at => *before += length,
                _ => self.spilled.push((at, length)),
            }
            self.last.clear();
        }
        Ok(())
    }

    /// Hands over all that was said, in parts, and forgets it.
    pub(super) fn drain(&mut self, spill: &mut Spill, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut part = vec![0; if self.spilled.is_empty() { 0 } else { PART }];
        for (start, length) in std::mem::take(&mut self.spilled) {
            let mut done = 0;
            while done < length {
                let count = (length - done).min(PART as u64);
                if let Some(file) = &spill.file {
                    file.read_exact_at(&mut part[..count as usize], start + done)?;
                }
                to(&part[..count as usize])?;
                done += count;
            }
            spill.unwanted(length)?;
        }
        if !self.last.is_empty() {
            to(&std::mem::take(&mut self.last))?;
        }
        Ok(())
    }

    /// Forgets all that was said.
    pub(super) fn clear(&mut self, spill: &mut Spill) -> io::Result<()> {
        self.last.clear();
        std::mem::take(&mut self.spilled).into_iter().try_for_each(|(_, length)| spill.unwanted(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_file_is_emptied() {
        let mut spill = Spill::default();
        let mut spools = [Spool::default(), Spool::default()];
        let mut expected = [Vec::new(), Vec::new()];
        for n in 0..40_000u32 {
            let which = (n % 3 / 2) as usize;
            expected[which].extend(n.to_le_bytes());
            spools[which].add(&n.to_le_bytes(), &mut spill).unwrap();
        }
        assert!(spools.iter().all(|spool| spool.last.len() < PART && spool.spilled.len() > 1));
        let [first, second] = &mut spools;
        let mut seen = Vec::new();
        first
            .drain(&mut spill, |part| {
                assert!(part.len() <= PART);
                seen.extend_from_slice(part);
                Ok(())
            })
            .unwrap();
        assert!(seen == expected[0] && spill.wanted > 0);
        second.clear(&mut spill).unwrap();
        assert_eq!((spill.wanted, spill.end, spill.file.as_ref().unwrap().metadata().unwrap().len()), (0, 0, 0));
        second.drain(&mut spill, |_| panic!("it was forgotten")).unwrap();
    }
}
