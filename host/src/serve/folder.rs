//! A folder as the content of a server: what is at a path, in which coding, and what is not.

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::SystemTime;

use nix::errno::Errno;
use tidemill_core::http::serve::{Content, Opened, Refusal, Served};
use tidemill_core::http::server::Head;
use tidemill_core::net::{Error, Handle, Stack as _};
use tidemill_core::time::Instant;

use super::coding::Accepted;
use super::listing;
use super::media;
use super::page::{Page as Made, Pages};
use super::path::Relative;
use super::shared::{Shared, Tally};
use super::site::Site;
use crate::net::Net;

/// What is served for a folder that has it, instead of a listing.
const INDEX: &[u8] = b"index.html";

/// Where the counters are, if they are served.
const METRICS: &str = "/metrics";

/// A folder that is served, as one worker sees it.
pub(super) struct Folder {
    site: Arc<Site>,
    /// Of the site.
    version: usize,
    shared: Arc<Shared>,
    /// Which worker it is.
    worker: usize,
    pages: Pages,
    /// Lines of the access log that were not written yet.
    log: String,
}

/// What is sent: a file, or a page made for this request.
#[derive(Debug)]
pub(super) enum Page {
    File(File),
    Made(Made),
}

impl Folder {
    pub(super) fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Self { version: shared.version(), site: shared.site(), shared, worker, pages: Pages::new(), log: String::new() }
    }

    /// The loop has come round: what was logged is written, and what was reloaded counts from now on.
    pub(super) fn turned(&mut self, connections: usize) {
        self.tally().connections(connections);
        if !self.log.is_empty() {
            self.shared.write_log(&self.log);
            self.log.clear();
        }
        let version = self.shared.version();
        if version != self.version {
            self.version = version;
            self.site = self.shared.site();
        }
    }

    fn tally(&self) -> &Tally {
        self.shared.tally(self.worker)
    }

    fn find(&self, path: &Relative, head: &Head<'_>) -> Result<Opened<Page>, Refusal> {
        let root = &self.site.root;
        let file = root.open_file(&path.bytes).map_err(refusal)?;
        let metadata = file.metadata().map_err(|_| Refusal::Status(500))?;
        match (metadata.is_dir(), path.slash) {
            (false, false) if metadata.is_file() => Ok(self.coded(file, &metadata, &path.bytes, head)),
            // A pipe or a device. Or a file, asked for as if it were a folder.
            (false, slash) => Err(Refusal::Status(if slash { 404 } else { 403 })),
            (true, false) => Err(Refusal::Folder),
            (true, true) => {
                let index = [&path.bytes[..], INDEX].join(&b"/"[usize::from(path.bytes.is_empty())..]);
                if let Ok(file) = root.open_file(&index)
                    && let Ok(metadata) = file.metadata()
                    && metadata.is_file()
                {
                    return Ok(self.coded(file, &metadata, &index, head));
                }
                let format = listing::Format::asked_for_by(head);
                let page = self.pages.make(|| listing::make(file.into(), &path.bytes, root, format))?;
                Ok(made(page, format.media_type()))
            }
        }
    }

    /// The file, or one beside it that has the same content in a coding that is accepted, and is not older.
    fn coded(&self, file: File, metadata: &Metadata, name: &[u8], head: &Head<'_>) -> Opened<Page> {
        for (suffix, coding) in Accepted::of(head) {
            let sibling = [name, suffix].concat();
            if let Ok(sibling) = self.site.root.open_file(&sibling)
                && let Ok(coded) = sibling.metadata()
                && coded.is_file()
                && modified_nanos(&coded) >= modified_nanos(metadata)
            {
                return Opened { encoding: Some(coding), ..opened(sibling, &coded, name) };
            }
        }
        opened(file, metadata, name)
    }
}

fn opened(file: File, metadata: &Metadata, name: &[u8]) -> Opened<Page> {
    let mut etag = heapless::String::new();
    // Four numbers of 16 digits, three dashes and two quotes fit.
    let changed = modified_nanos(metadata) as u64;
    let _ = write!(etag, "\"{:x}-{:x}-{:x}-{changed:x}\"", metadata.dev(), metadata.ino(), metadata.len());
    // A time to come must not be told (RFC 9110, section 8.8.2.1), and it would match nothing anyway.
    let modified = u64::try_from(metadata.mtime()).ok().filter(|&modified| modified <= unix_time());
    let content_type = media::type_of(name);
    Opened { len: metadata.len(), file: Page::File(file), etag, modified, content_type, encoding: None }
}

fn made(page: Made, content_type: &'static str) -> Opened<Page> {
    let (len, etag) = (page.bytes().len() as u64, heapless::String::new());
    Opened { len, file: Page::Made(page), etag, modified: None, content_type, encoding: None }
}

fn modified_nanos(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What to answer when a file cannot be opened.
pub(super) fn refusal(errno: Errno) -> Refusal {
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
        if !self.site.admits(head.header("authorization")) {
            return Err(Refusal::Unauthorized);
        }
        if self.shared.serves_metrics() && head.path() == METRICS {
            let page = self.pages.make(|| Ok(self.shared.metrics().into_bytes()))?;
            return Ok(made(page, "text/plain; version=0.0.4; charset=utf-8"));
        }
        let path = Relative::parse(head.path()).map_err(|_| Refusal::Status(400))?;
        self.find(&path, head)
    }

    fn read(&mut self, page: &mut Page, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        match page {
            Page::Made(page) => {
                let rest = page.from(offset);
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
            Page::Made(page) => {
                let rest = page.from(offset);
                let count = rest.len().min(usize::try_from(len).unwrap_or(usize::MAX));
                Ok(net.send(socket, &rest[..count])? as u64)
            }
            Page::File(file) => net.sendfile(socket, file.as_fd(), offset, len),
        }
    }

    fn headers(&self) -> &[u8] {
        &self.site.headers
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        Some(unix_time())
    }

    fn served(&mut self, served: &Served<'_>) {
        self.tally().served(served);
        self.shared.served(served, &mut self.log);
    }
}
