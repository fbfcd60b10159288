//! Cookies kept in files: the formats that Python's `MozillaCookieJar` and `LWPCookieJar`, curl, wget and browsers' exports
//! read and write.
//!
//! [`load`] tells the format by the first line and puts what the file holds into a jar: all of it, or nothing if a line is
//! malformed. [`save`] writes the whole file beside the old one, readable by nobody else, and puts it in its place in one
//! step. Neither has more than [`FILE_MAX`] bytes in memory, whatever the file is.
//!
//! ```
//! use tidemill_core::cookie::{AnyDomain, Jar, Request};
//! use tidemill_host::cookies::{Format, Keep, load, save};
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("cookies.txt");
//! let (now, request) = (1_700_000_000, Request::to("https", "example.org", "/"));
//! let mut jar = Jar::<16, 4096>::new();
//! jar.set(b"id=17; Max-Age=60", &request, now, &AnyDomain)?;
//! jar.set(b"visit=3", &request, now, &AnyDomain)?;
//! save(&jar, &file, Format::Netscape, Keep::Persistent, now)?;
//!
//! let mut again = Jar::<16, 4096>::new();
//! assert_eq!(load(&mut again, &file, Keep::Persistent, now)?.taken, 1);
//! assert_eq!(again.iter().next(), jar.iter().next());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod lwp;
mod netscape;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tidemill_core::cookie::{Cookie, JarView, SameSite};

/// The largest file that is read: 16 MiB, many times what a browser keeps.
pub const FILE_MAX: usize = 16 << 20;

/// The longest line that is read.
pub const LINE_MAX: usize = 64 << 10;

/// How a file of cookies is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `cookies.txt`: a line of seven fields each, tabs between. It has no `SameSite`.
    #[doc(alias = "MozillaCookieJar")]
    Netscape,
    /// `Set-Cookie3` lines of libwww-perl.
    #[doc(alias = "LWPCookieJar")]
    Lwp,
}

/// Which cookies to save or load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// Those that outlive the session.
    #[default]
    Persistent,
    /// Those of the session, too: Python's `ignore_discard`.
    All,
}

impl Keep {
    fn wants(self, cookie: &Cookie<'_>, now: u64) -> bool {
        !cookie.is_expired(now) && (self == Self::All || cookie.expires.is_some())
    }
}

/// How many cookies went from a file into a jar, or from a jar into a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Those that did. The jar may have given some up again for others.
    pub taken: usize,
    /// Those that are over, or of the session, or would not go: the jar ignores them, or the format has no way to write them
    /// (a tab in a value, for one).
    pub left_out: usize,
}

/// Why a file of cookies could not be loaded or saved.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It could not be read or written.
    File(PathBuf, io::Error),
    /// It is larger than [`FILE_MAX`].
    TooLarge,
    /// Its first line is that of neither format.
    NotCookies,
    /// A line is malformed, or longer than [`LINE_MAX`]. Nothing was loaded.
    Line {
        /// Which, from 1.
        number: usize,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {}", path.display(), crate::words::of_error(error)),
            Self::TooLarge => write!(f, "cookie file larger than {FILE_MAX} bytes"),
            Self::NotCookies => f.write_str("neither a Netscape nor an LWP cookie file"),
            Self::Line { number } => write!(f, "cookie file malformed at line {number}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Puts the cookies of a file into a jar, in the order of the file.
///
/// # Errors
/// All of [`Error`]; the jar is as it was then.
pub fn load(jar: &mut JarView, path: &Path, keep: Keep, now: u64) -> Result<Count, Error> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?.take(FILE_MAX as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    read_from(jar, &read().map_err(|error| Error::File(path.into(), error))?, keep, now)
}

/// Puts the cookies of a file that is in memory into a jar.
///
/// # Errors
/// All of [`Error`] but [`Error::File`]; the jar is as it was then.
pub fn read_from(jar: &mut JarView, text: &[u8], keep: Keep, now: u64) -> Result<Count, Error> {
    if text.len() > FILE_MAX {
        return Err(Error::TooLarge);
    }
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let parse = match first {
        _ if netscape::is_first(first) => netscape::parse,
        _ if lwp::is_first(first) => lwp::parse,
        _ => return Err(Error::NotCookies),
    };
    let numbered = || lines.clone().zip(2..);
    for (line, number) in numbered() {
        let malformed = Error::Line { number };
        if line.len() > LINE_MAX || parse(line, &mut |_| ()).is_none() {
            return Err(malformed);
        }
    }
    let mut count = Count::default();
    for (line, _) in numbered() {
        parse(line, &mut |cookie| {
            let taken = keep.wants(cookie, now) && jar.insert(cookie, now).is_ok();
            count.taken += usize::from(taken);
            count.left_out += usize::from(!taken);
        });
    }
    Ok(count)
}

/// Writes the cookies of a jar into a file, in place of what was there. Only its owner may read it.
///
/// # Errors
/// [`Error::File`]; what was there is there still.
pub fn save(jar: &JarView, path: &Path, format: Format, keep: Keep, now: u64) -> Result<Count, Error> {
    let mut text = Vec::new();
    let count = write_to(jar, &mut text, format, keep, now);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = file.write_all(&text).and_then(|()| std::fs::rename(&new, path));
        written.inspect_err(|_| drop(std::fs::remove_file(&new)))
    };
    write().map_err(|error| Error::File(path.into(), error))?;
    Ok(count)
}

/// Writes the cookies of a jar as [`save`] does, behind what `out` holds.
pub fn write_to(jar: &JarView, out: &mut Vec<u8>, format: Format, keep: Keep, now: u64) -> Count {
    let (first, write): (_, fn(&Cookie<'_>, &mut Vec<u8>) -> bool) = match format {
        Format::Netscape => (netscape::FIRST, netscape::write),
        Format::Lwp => (lwp::FIRST, lwp::write),
    };
    out.extend_from_slice(first);
    let mut count = Count::default();
    for cookie in jar.iter() {
        let taken = keep.wants(&cookie, now) && write(&cookie, out);
        count.taken += usize::from(taken);
        count.left_out += usize::from(!taken);
    }
    count
}

/// A cookie of which nothing is known but what has to be.
fn bare<'a>(name: &'a [u8], value: &'a [u8], domain: &'a str, path: &'a [u8]) -> Cookie<'a> {
    let (domain, host_only) = domain.strip_prefix('.').map_or((domain, true), |domain| (domain, false));
    Cookie {
        name,
        value,
        domain,
        host_only,
        path,
        expires: None,
        secure: false,
        http_only: false,
        same_site: SameSite::Unspecified,
    }
}

/// The domain as both formats have it: with a dot in front unless it is the host's alone.
fn dotted(cookie: &Cookie<'_>) -> String {
    format!("{}{}", if cookie.host_only { "" } else { "." }, cookie.domain)
}
