//! What makes a download resume after a crash: `FILE.part.meta`, beside the part file.
//!
//! Each save writes one whole record, with a sequence number and a CRC-32C, into one of two slots by turns. A crash in
//! the middle of a save, at whatever byte, spoils that slot only; the other still holds the record before. The caller
//! writes data first and the record that counts it afterwards, so a killed process never leaves a record that counts
//! too much.
//!
//! A machine that goes down is another matter: the system may have written the record to the disk and not the data. A
//! record therefore carries the boot it was written in, and is good after another boot only when it was saved as
//! *durable*, after a sync of the data.
//!
//! | bytes | what (numbers little endian) |
//! |---|---|
//! | 8 | `tidemill` |
//! | 2, 2 | version, flags (bit 0: durable) |
//! | 4 | length of the state, at most [`STATE_MAX`] |
//! | 8 | sequence |
//! | 16 | boot |
//! | 32 | SHA-256 of the URL, which may hold a secret and so is not kept itself |
//! | length | the engine's state |
//! | 4 | CRC-32C of all before |
//!
//! ```
//! use tidemill_host::download::{Found, Journal};
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("file.part.meta");
//! let (mut journal, found) = Journal::open(&path, "http://h/file")?;
//! assert_eq!(found, Found::Nothing);
//! journal.save(b"half of it is there", false)?;
//!
//! let (_, found) = Journal::open(&path, "http://h/file")?;
//! assert_eq!(found, Found::State(b"half of it is there".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use super::Error;

/// Bytes of a slot.
const SLOT: usize = 8192;
const HEADER: usize = 72;
/// The longest state a journal takes, in bytes.
pub const STATE_MAX: usize = SLOT - HEADER - 4;

const MAGIC: &[u8; 8] = b"tidemill";
const VERSION: u16 = 1;
const DURABLE: u16 = 1;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What a journal held when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing was saved.
    Nothing,
    /// The newest state saved.
    State(Vec<u8>),
    /// Something that is of no use, and why. The download starts over.
    Useless(&'static str),
}

/// An open journal of one download.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    sequence: u64,
    boot: [u8; 16],
    url: [u8; 32],
}

/// A record that is whole.
struct Record<'a> {
    flags: u16,
    sequence: u64,
    boot: &'a [u8],
    url: &'a [u8],
    state: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(slot: &'a [u8]) -> Option<Self> {
        let number = |at: usize, len: usize| -> Option<u64> {
            let mut bytes = [0; 8];
            bytes[..len].copy_from_slice(slot.get(at..at + len)?);
            Some(u64::from_le_bytes(bytes))
        };
        let len = number(12, 4)? as usize;
        if !slot.starts_with(MAGIC) || number(8, 2)? != u64::from(VERSION) || len > STATE_MAX {
            return None;
        }
        let end = HEADER + len;
        let good = number(end, 4)? == u64::from(CRC.checksum(slot.get(..end)?));
        good.then_some(Self {
            flags: number(10, 2)? as u16,
            sequence: number(16, 8)?,
            boot: &slot[24..40],
            url: &slot[40..HEADER],
            state: &slot[HEADER..end],
        })
    }
}

impl Journal {
    /// Opens or creates the journal at `path` for a download of `url`, and tells what it held.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path, url: &str) -> Result<(Self, Found), Error> {
        let why = |error| Error::file(path, error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(why)?;
        let mut bytes = [0; 2 * SLOT];
        let len = read_up_to(&file, &mut bytes).map_err(why)?;
        let mut journal =
            Self { file, path: path.into(), sequence: 0, boot: boot(), url: Sha256::digest(url.as_bytes()).into() };
        let found = journal.choose(&bytes[..len]);
        Ok((journal, found))
    }

    /// The newest record that counts, and the sequence number from which to go on.
    fn choose(&mut self, bytes: &[u8]) -> Found {
        if bytes.is_empty() {
            return Found::Nothing;
        }
        let mut found = Found::Useless("its journal is damaged");
        let mut newest = 0;
        for record in bytes.chunks(SLOT).filter_map(Record::parse) {
            self.sequence = self.sequence.max(record.sequence);
            let reason = if record.url != self.url {
                Some("its journal is of another URL")
            } else if record.boot != self.boot && record.flags & DURABLE == 0 {
                Some("the machine went down while it was written")
            } else {
                None
            };
            match reason {
                None if record.sequence > newest => {
                    newest = record.sequence;
                    found = Found::State(record.state.to_vec());
                }
                Some(reason) if newest == 0 => found = Found::Useless(reason),
                _ => {}
            }
        }
        found
    }

    /// Saves `state`. `durable`: the data it counts has been synced, and the record shall be too.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::File`]; also when `state` is longer than [`STATE_MAX`].
    pub fn save(&mut self, state: &[u8], durable: bool) -> Result<(), Error> {
        if state.len() > STATE_MAX {
            return Err(self.why(io::ErrorKind::FileTooLarge.into()));
        }
        self.sequence += 1;
        let flags = if durable { DURABLE } else { 0 };
        let mut record = Vec::with_capacity(HEADER + state.len() + 4);
        record.extend_from_slice(MAGIC);
        record.extend_from_slice(&VERSION.to_le_bytes());
        record.extend_from_slice(&flags.to_le_bytes());
        record.extend_from_slice(&(state.len() as u32).to_le_bytes());
        record.extend_from_slice(&self.sequence.to_le_bytes());
        record.extend_from_slice(&self.boot);
        record.extend_from_slice(&self.url);
        record.extend_from_slice(state);
        let crc = CRC.checksum(&record);
        record.extend_from_slice(&crc.to_le_bytes());

        let slot = (self.sequence % 2) * SLOT as u64;
        self.file.write_all_at(&record, slot).map_err(|error| self.why(error))?;
        if durable {
            self.file.sync_data().map_err(|error| self.why(error))?;
        }
        Ok(())
    }

    /// Forgets everything. To be called *before* the data is thrown away.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| self.why(error))
    }

    fn why(&self, error: io::Error) -> Error {
        Error::file(&self.path, error)
    }
}

fn read_up_to(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// What tells this boot of the machine from every other; all zeros where the system does not say, in which case a
/// crash of the machine goes unnoticed.
fn boot() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::{TempDir, tempdir};

    const URL: &str = "http://h/f";

    fn saved(states: &[&[u8]]) -> (TempDir, PathBuf) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("meta");
        let (mut journal, _) = Journal::open(&path, URL).unwrap();
        for state in states {
            journal.save(state, false).unwrap();
        }
        (folder, path)
    }

    fn found(path: &Path) -> Found {
        Journal::open(path, URL).unwrap().1
    }

    fn state(text: &[u8]) -> Found {
        Found::State(text.to_vec())
    }

    #[test]
    fn the_newest_state_is_found_again_and_saving_goes_on_from_there() {
        let (_folder, path) = saved(&[b"one", b"two", b"three"]);
        assert_eq!(found(&path), state(b"three"));
        let (mut journal, _) = Journal::open(&path, URL).unwrap();
        journal.save(b"four", false).unwrap();
        assert_eq!(found(&path), state(b"four"));
    }

    #[test]
    fn a_crash_at_any_byte_of_a_save_leaves_the_state_before_or_the_new_one() {
        let (_folder, path) = saved(&[b"state one", b"state two"]);
        let before = std::fs::read(&path).unwrap();
        let (mut journal, _) = Journal::open(&path, URL).unwrap();
        journal.save(b"state 3, a longer one", false).unwrap();
        let after = std::fs::read(&path).unwrap();
        let slot = SLOT..SLOT + HEADER + 21 + 4;
        assert!(before.len() >= SLOT && after.len() == slot.end);

        for written in 0..=slot.len() {
            let mut torn = before.clone();
            torn.resize(torn.len().max(slot.start + written), 0);
            torn[slot.start..slot.start + written].copy_from_slice(&after[slot.start..slot.start + written]);
            std::fs::write(&path, &torn).unwrap();
            let expected = if written == slot.len() { state(b"state 3, a longer one") } else { state(b"state two") };
            assert_eq!(found(&path), expected, "{written} bytes written");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let (_folder, path) = saved(&[b"one", b"two"]);
        let good = std::fs::read(&path).unwrap();
        for at in 0..HEADER + 3 + 4 {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(found(&path), state(b"one"), "byte {at} of the newer slot");
        }
    }

    #[test]
    fn what_is_no_journal_is_useless_and_said_so() {
        let (_folder, path) = saved(&[]);
        for junk in [&b"x"[..], &vec![0; 3 * SLOT], &vec![0xff; 2 * SLOT], b"tidemill"] {
            std::fs::write(&path, junk).unwrap();
            assert_eq!(found(&path), Found::Useless("its journal is damaged"));
        }
    }

    #[test]
    fn a_journal_of_another_url_is_not_used() {
        let (_folder, path) = saved(&[b"one"]);
        let (_, found) = Journal::open(&path, "http://h/other").unwrap();
        assert_eq!(found, Found::Useless("its journal is of another URL"));
    }

    #[test]
    fn after_another_boot_only_a_durable_state_counts() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("meta");
        let (mut journal, _) = Journal::open(&path, URL).unwrap();
        journal.boot = [7; 16];
        journal.save(b"maybe on the disk", false).unwrap();
        assert_eq!(found(&path), Found::Useless("the machine went down while it was written"));
        journal.save(b"on the disk", true).unwrap();
        journal.save(b"maybe", false).unwrap();
        assert_eq!(found(&path), state(b"on the disk"));
    }

    #[test]
    fn a_cleared_journal_holds_nothing() {
        let (_folder, path) = saved(&[b"one"]);
        Journal::open(&path, URL).unwrap().0.clear().unwrap();
        assert_eq!(found(&path), Found::Nothing);
    }

    #[test]
    fn a_state_that_does_not_fit_is_an_error_and_harms_nothing() {
        let (_folder, path) = saved(&[b"one"]);
        let (mut journal, _) = Journal::open(&path, URL).unwrap();
        assert!(journal.save(&[0; STATE_MAX + 1], false).is_err());
        assert_eq!(found(&path), state(b"one"));
        journal.save(&[1; STATE_MAX], false).unwrap();
        assert_eq!(found(&path), state(&[1; STATE_MAX]));
    }
}
