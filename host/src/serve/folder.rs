//! A folder as the content of a server: files that no path, and no symbolic link, can lead out of.
//!
//! The kernel resolves the whole path below the folder's descriptor (`openat2` with `RESOLVE_BENEATH`), so nothing can
//! be swapped for a link between a check and its use, and links that stay below work. A kernel without that call gets
//! one component opened at a time, and then no link is followed at all.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use tidemill_core::http::serve::{Content, Opened, Refusal, Served};
use tidemill_core::http::server::Head;
use tidemill_core::net::{Error, Handle, Stack as _};
use tidemill_core::time::Instant;

use super::listing::{Listing, Listings};
use super::media;
use super::path::Relative;
use crate::net::Net;

/// What is served for a folder that has it, instead of a listing.
const INDEX: &[u8] = b"index.html";

/// How often a path is resolved again when something on it was renamed meanwhile.
const RENAMED: usize = 8;

/// Who is told of each request.
pub(super) type Log = Box<dyn FnMut(&Served<'_>) + Send>;

/// A folder that is served.
pub(super) struct Folder {
    root: Root,
    listings: Listings,
    log: Log,
}

/// What is sent: a file, or a page made from a folder.
#[derive(Debug)]
pub(super) enum Page {
    File(File),
    Listing(Listing),
}

impl Folder {
    pub(super) fn open(path: &Path, log: Log) -> io::Result<Self> {
        Ok(Self { root: Root::open(path)?, listings: Listings::new(), log })
    }

    fn find(&self, path: &Relative) -> Result<Opened<Page>, Refusal> {
        let file = self.root.open_file(&path.bytes).map_err(refusal)?;
        let metadata = file.metadata().map_err(|_| Refusal::Status(500))?;
        match (metadata.is_dir(), path.slash) {
            (false, false) if metadata.is_file() => Ok(opened(file, &metadata, &path.bytes)),
            // A pipe or a device. Or a file, asked for as if it were a folder.
            (false, slash) => Err(Refusal::Status(if slash { 404 } else { 403 })),
            (true, false) => Err(Refusal::Folder),
            (true, true) => {
                let index = [&path.bytes[..], INDEX].join(&b"/"[usize::from(path.bytes.is_empty())..]);
                if let Ok(file) = self.root.open_file(&index)
                    && let Ok(metadata) = file.metadata()
                    && metadata.is_file()
                {
                    return Ok(opened(file, &metadata, INDEX));
                }
                let listing = self.listings.make(file.into(), &path.bytes, &self.root)?;
                Ok(Opened {
                    len: listing.bytes().len() as u64,
                    file: Page::Listing(listing),
                    etag: heapless::String::new(),
                    modified: None,
                    content_type: "text/html; charset=utf-8",
                    encoding: None,
                })
            }
        }
    }
}

fn opened(file: File, metadata: &std::fs::Metadata, name: &[u8]) -> Opened<Page> {
    let mut etag = heapless::String::new();
    let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    // Four numbers of 16 digits, three dashes and two quotes fit.
    let _ = write!(etag, "\"{:x}-{:x}-{:x}-{:x}\"", metadata.dev(), metadata.ino(), metadata.len(), changed as u64);
    // A time to come must not be told (RFC 9110, section 8.8.2.1), and it would match nothing anyway.
    let modified = u64::try_from(metadata.mtime()).ok().filter(|&modified| modified <= unix_time());
    Opened {
        len: metadata.len(),
        file: Page::File(file),
        etag,
        modified,
        content_type: media::type_of(name),
        encoding: None,
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What to answer when a file cannot be opened.
fn refusal(errno: Errno) -> Refusal {
    Refusal::Status(match errno {
        // A link that leads out tells no more than one that leads nowhere.
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV | Errno::ENAMETOOLONG => 404,
        Errno::EACCES | Errno::EPERM | Errno::ENXIO | Errno::ENODEV => 403,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => 503,
        _ => 500,
    })
}

impl Content<Net> for Folder {
    type File = Page;

    fn open(&mut self, head: &Head<'_>) -> Result<Opened<Page>, Refusal> {
        let path = Relative::parse(head.path()).map_err(|_| Refusal::Status(400))?;
        self.find(&path)
    }

    fn read(&mut self, page: &mut Page, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        match page {
            Page::Listing(listing) => {
                let rest = listing.from(offset);
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Page::File(file) => {
                let mut read = 0;
                while read < buf.len() {
                    match file.read_at(&mut buf[read..], offset + read as u64) {
                        Ok(0) => break,
                        Ok(count) => read += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(Error::Os(error.raw_os_error().unwrap_or(nix::libc::EIO))),
                    }
                }
                Ok(read)
            }
        }
    }

    fn transmit(
        &mut self,
        page: &mut Page,
        net: &mut Net,
        socket: Handle,
        offset: u64,
        len: u64,
    ) -> nb::Result<u64, Error> {
        match page {
            Page::Listing(listing) => {
                let rest = listing.from(offset);
                let count = rest.len().min(usize::try_from(len).unwrap_or(usize::MAX));
                Ok(net.send(socket, &rest[..count])? as u64)
            }
            Page::File(file) => net.sendfile(socket, file.as_fd(), offset, len),
        }
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        Some(unix_time())
    }

    fn served(&mut self, served: &Served<'_>) {
        (self.log)(served);
    }
}

/// The folder's descriptor, and how paths below it are resolved.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// Whether the kernel resolves paths below a folder.
    beneath: bool,
}

impl Root {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = nix::fcntl::open(path, flags, Mode::empty())?;
        let mut root = Self { folder, beneath: true };
        // An old kernel does not know the call, and an old sandbox does not allow it.
        root.beneath = root.open_beneath(b".", OFlag::O_PATH).is_ok();
        Ok(root)
    }

    /// Opens what is at this path to read it.
    fn open_file(&self, path: &[u8]) -> Result<File, Errno> {
        // Opening a pipe must not wait for its writer, nor a terminal become ours.
        self.open_at(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).map(File::from)
    }

    /// What is at this path, without opening it: it must only exist.
    pub(super) fn look_at(&self, path: &[u8]) -> Option<std::fs::Metadata> {
        File::from(self.open_at(path, OFlag::O_PATH).ok()?).metadata().ok()
    }

    fn open_at(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        if self.beneath { self.open_beneath(path, flags) } else { self.open_by_component(path, flags) }
    }

    fn open_beneath(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        let mut tries = RENAMED;
        loop {
            match openat2(&self.folder, path, how) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if tries > 0 => tries -= 1,
                result => return result,
            }
        }
    }

    /// The same with one call for each component, none of which may be a link.
    fn open_by_component(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let mut components = path.split(|&byte| byte == b'/').peekable();
        let mut folder = self.folder.try_clone().map_err(|_| Errno::EMFILE)?;
        while let Some(component) = components.next() {
            let last = components.peek().is_none();
            let flags = if last { flags } else { OFlag::O_PATH | OFlag::O_DIRECTORY };
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            // With `O_PATH` a link itself would be opened: then it must be no link.
            let found = openat(&folder, std::ffi::OsStr::from_bytes(component), flags, Mode::empty())?;
            if !flags.contains(OFlag::O_PATH) {
                return Ok(found);
            }
            let found = File::from(found);
            if found.metadata().map_err(|_| Errno::EIO)?.is_symlink() {
                return Err(Errno::ELOOP);
            }
            folder = found.into();
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder with a secret beside it, and links of every kind.
    fn scene() -> (tempfile::TempDir, Vec<Root>) {
        let scene = tempfile::tempdir().unwrap();
        let at = |name: &str| scene.path().join(name);
        std::fs::create_dir_all(at("public/sub")).unwrap();
        std::fs::write(at("secret"), "secret").unwrap();
        std::fs::write(at("public/sub/file"), "tide").unwrap();
        symlink("sub/file", at("public/inside")).unwrap();
        symlink("../public/sub/file", at("public/out-and-in")).unwrap();
        symlink("../secret", at("public/out")).unwrap();
        symlink(at("secret"), at("public/absolute")).unwrap();
        symlink("..", at("public/sub/up")).unwrap();
        symlink("../..", at("public/sub/up-and-out")).unwrap();
        symlink("loop", at("public/loop")).unwrap();
        symlink("/proc/self/root", at("public/magic")).unwrap();
        let root = Root::open(&at("public")).unwrap();
        let by_component = Root { folder: root.folder.try_clone().unwrap(), beneath: false };
        (scene, vec![root, by_component])
    }

    #[test]
    fn no_link_leads_out_whichever_way_the_path_is_resolved() {
        let (_scene, roots) = scene();
        for root in roots {
            assert!(root.open_file(b"sub/file").is_ok());
            for path in [
                &b"out"[..],
                b"absolute",
                b"out-and-in",
                b"sub/up-and-out/secret",
                b"loop",
                b"magic",
                b"magic/etc/passwd",
                b"sub/file/",
                b"nothing",
            ] {
                let error = root.open_file(path).unwrap_err();
                assert_eq!(refusal(error), Refusal::Status(404), "{}", path.escape_ascii());
                assert!(root.look_at(path).is_none(), "{}", path.escape_ascii());
            }
        }
    }

    #[test]
    fn a_link_that_stays_below_is_followed_if_the_kernel_can_tell() {
        let (_scene, roots) = scene();
        for root in roots {
            assert_eq!(root.open_file(b"inside").is_ok(), root.beneath);
            assert_eq!(root.open_file(b"sub/up/inside").is_ok(), root.beneath);
        }
    }
}
