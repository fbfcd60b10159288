//! Why a download failed, as `what: why`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tidemill_core::fetch::{Failure, SourceError};

use super::{Sha256Sum, Target};
use crate::http::UrlError;
use crate::words;

/// Why a download failed. Displayed as one line: what it is about, a colon, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A URL that cannot be downloaded from.
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: SourceError,
    },
    /// More URLs or header fields than there is room for.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many at most.
        max: usize,
    },
    /// A host's name has no address.
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// The engine gave up. What is there may be resumed.
    Fetch {
        /// The first URL.
        url: String,
        /// The reason.
        why: Failure<()>,
    },
    /// It could not be opened, or not be read to its end.
    Open {
        /// The URL.
        url: String,
        /// The reason.
        why: Box<UrlError>,
    },
    /// It was told to stop.
    Interrupted {
        /// What it was writing.
        target: Target,
        /// The same download can go on where it stopped.
        resumable: bool,
    },
    /// The file changed on the server when a part of it was already on its way through stdout.
    Written,
    /// The system gives no sockets.
    System(io::Error),
    /// The output is a directory: name a file in it.
    IsDirectory(PathBuf),
    /// The output is a device or the like, which cannot be replaced by a file: stream to stdout instead.
    NotAFile(PathBuf),
    /// Another process downloads to this file.
    Busy(PathBuf),
    /// The disk, or the user's share of it, is full.
    DiskFull(PathBuf),
    /// The server has another file than the one that was begun, though its validator is the same. What was there has
    /// been removed: begin anew.
    Differs(PathBuf),
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
    /// Whether what was asked for could never work, as opposed to what was tried and failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Open { why, .. } => matches!(**why, UrlError::Url(_) | UrlError::UnknownScheme(_)),
            _ => matches!(self, Self::Url { .. } | Self::TooMany { .. }),
        }
    }

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
            Self::Url { url, why } => write!(f, "{url}: {why}"),
            Self::Open { url, why } => write!(f, "{url}: {why}"),
            Self::TooMany { what, max } => write!(f, "{what}: at most {max}"),
            Self::Unresolved { host, why } => write!(f, "{host}: {why}"),
            Self::Fetch { url, why: Failure::Net(error) } => write!(f, "{url}: {}", words::of_network(*error)),
            Self::Fetch { url, why } => write!(f, "{url}: {why}"),
            Self::Interrupted { target, resumable: true } => {
                write!(f, "{target}: interrupted; run the same command again to resume")
            }
            Self::Interrupted { target, resumable: false } => {
                write!(f, "{target}: interrupted; there is nothing to resume from")
            }
            Self::Written => {
                f.write_str("stdout: the file changed on the server, and a part of the old one is written")
            }
            Self::System(error) => write!(f, "system: {}", words::of_error(error)),
            Self::IsDirectory(path) => write!(f, "{}: is a directory", path.display()),
            Self::NotAFile(path) => write!(f, "{}: is not a regular file; stream to it with -o -", path.display()),
            Self::Busy(path) => write!(f, "{}: another process is downloading to it", path.display()),
            Self::Differs(path) => write!(f, "{}: the server has another file than the one begun", path.display()),
            Self::DiskFull(path) => write!(f, "{}: the disk is full", path.display()),
            Self::File { path, source } => write!(f, "{}: {}", path.display(), words::of_error(source)),
            Self::Checksum { path, expected, actual } => {
                write!(f, "{}: checksum mismatch: expected {expected}, got {actual}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}
