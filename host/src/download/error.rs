//! Why a download failed, as `what: why`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::Sha256Sum;

/// Why a download failed. Displayed as one line: what it is about, a colon, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The output is a directory: name a file in it.
    IsDirectory(PathBuf),
    /// The output is a device or the like, which cannot be replaced by a file: stream to stdout instead.
    NotAFile(PathBuf),
    /// Another process downloads to this file.
    Busy(PathBuf),
    /// The disk, or the user's share of it, is full.
    DiskFull(PathBuf),
    /// Any other failure of a file.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The contents are not the ones expected; they have been removed.
    Checksum {
        /// Which output.
        path: PathBuf,
        /// The sum that was asked for.
        expected: Sha256Sum,
        /// The sum of what came.
        actual: Sha256Sum,
    },
}

impl Error {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path.into()),
            _ => Self::File { path: path.into(), source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsDirectory(path) => write!(f, "{}: is a directory", path.display()),
            Self::NotAFile(path) => write!(f, "{}: is not a regular file; stream to it with -o -", path.display()),
            Self::Busy(path) => write!(f, "{}: another process is downloading to it", path.display()),
            Self::DiskFull(path) => write!(f, "{}: the disk is full", path.display()),
            Self::File { path, source } => match source.raw_os_error() {
                // The system's own words without the number that std adds.
                Some(code) => write!(f, "{}: {}", path.display(), Errno::from_raw(code).desc()),
                None => write!(f, "{}: {source}", path.display()),
            },
            Self::Checksum { path, expected, actual } => {
                write!(f, "{}: checksum mismatch: expected {expected}, got {actual}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}
