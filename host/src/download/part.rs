//! The file under construction: `FILE.part`, which becomes `FILE` in one step when it is complete.
//!
//! Whoever opens it holds an advisory lock, so two processes never write one file. Its space is reserved as soon as
//! the length is known, which tells a full disk before the first byte rather than after the last; where the file
//! system cannot reserve, the file is sparse instead.
//!
//! ```
//! use tidemill_host::download::PartFile;
//! # let folder = tempfile::tempdir()?;
//! let target = folder.path().join("greeting");
//! let part = PartFile::open(&target)?;
//! part.set_len(5)?;
//! part.write_at(2, b"llo")?;
//! part.write_at(0, b"he")?;
//! part.finish()?;
//! assert_eq!(std::fs::read(&target)?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use super::Error;

/// An open, locked `FILE.part`. Dropping it leaves the file where it is, to be resumed.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    target: PathBuf,
    path: PathBuf,
}

/// `path` with `suffix` after its last component.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

impl PartFile {
    /// Opens or creates the part file of `target` and locks it; what it holds already is kept.
    ///
    /// # Errors
    /// [`Error::IsDirectory`] and [`Error::NotAFile`] about `target`, [`Error::Busy`] when another process downloads to
    /// it, [`Error::File`] when the folder is missing or may not be written.
    pub fn open(target: &Path) -> Result<Self, Error> {
        match target.metadata() {
            Ok(meta) if meta.is_dir() => return Err(Error::IsDirectory(target.into())),
            Ok(meta) if !meta.is_file() => return Err(Error::NotAFile(target.into())),
            _ => {}
        }
        let path = with_suffix(target, ".part");
        let why = |error| Error::file(&path, error);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .map_err(why)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::Busy(path)),
                Err(TryLockError::Error(error)) => return Err(why(error)),
            }
            // Between open and lock another process may have completed the file: then ours has its final name.
            let ours = file.metadata().map_err(why)?;
            if path.symlink_metadata().is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Self { file, target: target.into(), path });
            }
        }
    }

    /// Where the journal of this part file belongs.
    pub fn journal_path(&self) -> PathBuf {
        with_suffix(&self.path, ".meta")
    }

    /// The path of the part file itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name it will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Its length in bytes now.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn size(&self) -> Result<u64, Error> {
        self.file.metadata().map(|meta| meta.len()).map_err(|error| self.why(error))
    }

    /// Another handle on the same file, to read back what was written.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn reader(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|error| self.why(error))
    }

    /// Makes the file `total` bytes long and reserves them on the disk.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::File`].
    pub fn set_len(&self, total: u64) -> Result<(), Error> {
        if self.size()? == total {
            return Ok(());
        }
        if let Ok(len @ 1..) = i64::try_from(total) {
            match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
                Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINTR) => {}
                Err(error) => {
                    // The disk is full: give back what was reserved. Should that fail too, the first error says more.
                    let _ = self.file.set_len(0);
                    return Err(self.why(error.into()));
                }
            }
        }
        self.file.set_len(total).map_err(|error| self.why(error))
    }

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::File`].
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(data, offset).map_err(|error| self.why(error))
    }

    /// Fills `buffer` with what is at `offset`.
    ///
    /// # Errors
    /// [`Error::File`], also when the file ends before.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.why(error))
    }

    /// Throws the contents away.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn clear(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| self.why(error))
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::File`].
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| self.why(error))
    }

    /// Gives the file its final name, replacing what had it, in one step; the journal goes.
    ///
    /// # Errors
    /// [`Error::File`]; the part file is still there then.
    pub fn finish(self) -> Result<(), Error> {
        std::fs::rename(&self.path, &self.target).map_err(|error| Error::file(&self.target, error))?;
        remove(&self.journal_path())
    }

    /// Removes the file and its journal.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn discard(self) -> Result<(), Error> {
        remove(&self.journal_path())?;
        remove(&self.path)
    }

    fn why(&self, error: io::Error) -> Error {
        Error::file(&self.path, error)
    }
}

/// Removes a file that may be missing.
fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn nothing_has_the_final_name_until_it_is_finished() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("f");
        std::fs::write(&target, "old").unwrap();
        let part = PartFile::open(&target).unwrap();
        part.set_len(3).unwrap();
        part.write_at(0, b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        std::fs::write(part.journal_path(), "x").unwrap();
        part.finish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "part and journal are gone");
    }

    #[test]
    fn two_never_write_one_file() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("f");
        let first = PartFile::open(&target).unwrap();
        assert!(matches!(PartFile::open(&target), Err(Error::Busy(_))));
        drop(first);
        PartFile::open(&target).unwrap();
    }

    #[test]
    fn what_was_written_before_is_kept_when_the_length_is_set_again() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("f");
        let part = PartFile::open(&target).unwrap();
        part.set_len(4).unwrap();
        part.write_at(1, b"ab").unwrap();
        drop(part);
        let part = PartFile::open(&target).unwrap();
        part.set_len(4).unwrap();
        assert_eq!(std::fs::read(part.path()).unwrap(), b"\0ab\0");
        part.set_len(2).unwrap();
        assert_eq!(part.size().unwrap(), 2);
    }

    #[test]
    fn a_length_no_disk_has_is_told_at_once_and_reserves_nothing() {
        let folder = tempdir().unwrap();
        let part = PartFile::open(&folder.path().join("f")).unwrap();
        for total in [1 << 60, i64::MAX as u64, u64::MAX] {
            assert!(matches!(part.set_len(total), Err(Error::DiskFull(_) | Error::File { .. })), "{total}");
            assert_eq!(part.size().unwrap(), 0);
        }
    }

    #[test]
    fn a_target_that_is_no_file_is_refused() {
        let folder = tempdir().unwrap();
        assert!(matches!(PartFile::open(folder.path()), Err(Error::IsDirectory(_))));
        assert!(matches!(PartFile::open(Path::new("/dev/null")), Err(Error::NotAFile(_))));
        assert!(matches!(PartFile::open(&folder.path().join("missing/f")), Err(Error::File { .. })));
    }

    #[test]
    fn a_link_in_place_of_the_part_file_is_not_followed() {
        let folder = tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("f.part")).unwrap();
        assert!(matches!(PartFile::open(&folder.path().join("f")), Err(Error::File { .. })));
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn discarding_leaves_nothing() {
        let folder = tempdir().unwrap();
        let part = PartFile::open(&folder.path().join("f")).unwrap();
        part.discard().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
