//! Opening what is at a path below a folder, whatever links there are.
//!
//! The kernel resolves the whole path below the folder's descriptor (`openat2` with `RESOLVE_BENEATH`), so nothing can
//! be swapped for a link between a check and its use, and links that stay below work. A kernel without that call gets
//! one component opened at a time, and then no link is followed at all, nor any way up.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

/// How often a path is resolved again when something on it was renamed meanwhile.
const RENAMED: usize = 8;

/// The folder's descriptor, and how paths below it are resolved.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// Whether the kernel resolves paths below a folder.
    beneath: bool,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = nix::fcntl::open(path, flags, Mode::empty())?;
        let mut root = Self { folder, beneath: true };
        // An old kernel does not know the call, and an old sandbox does not allow it.
        root.beneath = root.open_beneath(b".", OFlag::O_PATH).is_ok();
        Ok(root)
    }

    /// Opens what is at this path to read it.
    pub(super) fn open_file(&self, path: &[u8]) -> Result<File, Errno> {
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

    /// The same with one call for each component, none of which may be a link or lead up.
    fn open_by_component(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let mut components = path.split(|&byte| byte == b'/').peekable();
        let mut folder = self.folder.try_clone().map_err(|_| Errno::EMFILE)?;
        while let Some(component) = components.next() {
            if component == b".." {
                return Err(Errno::EXDEV);
            }
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
    use super::super::folder::refusal;
    use super::*;
    use std::os::unix::fs::symlink;
    use tidemill_core::http::serve::Refusal;

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
                b"../secret",
                b"sub/../../secret",
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
