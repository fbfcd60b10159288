//! A page that lists a folder: plain, bounded, and harmless whatever the names in it are.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use nix::dir::Dir;
use tidemill_core::http::date;
use tidemill_core::http::serve::Refusal;

use super::folder::Root;
use super::path::encode;

/// How many names of a folder are read; of more, it is not defined which.
const MAX_NAMES: usize = 4096;

/// How many bytes of a page are lines of the listing.
const MAX_BYTES: usize = 512 * 1024;

/// How many pages may exist at once: beyond that, 503.
const MAX_PAGES: usize = 16;

const STYLE: &str = "<meta name=viewport content=\"width=device-width\"><style>\
    :root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    h1{font-size:1.3rem}table{width:100%;border-collapse:collapse}td{padding:.15rem .5rem;border-top:1px solid #8884}\
    td+td{text-align:right;white-space:nowrap;opacity:.75;font-variant-numeric:tabular-nums}\
    a{text-decoration:none}a:hover{text-decoration:underline}</style>";

/// Makes listings, and knows how many there are.
#[derive(Debug)]
pub(super) struct Listings(Arc<()>);

/// One page.
#[derive(Debug)]
pub(super) struct Listing {
    page: Box<[u8]>,
    _counted: Arc<()>,
}

impl Listing {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.page
    }

    /// The page's bytes from `offset` on.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        usize::try_from(offset).ok().and_then(|offset| self.page.get(offset..)).unwrap_or_default()
    }
}

impl Listings {
    pub(super) fn new() -> Self {
        Self(Arc::new(()))
    }

    /// Lists `folder`, which is at `path` below `root`.
    pub(super) fn make(&self, folder: OwnedFd, path: &[u8], root: &Root) -> Result<Listing, Refusal> {
        if Arc::strong_count(&self.0) > MAX_PAGES {
            return Err(Refusal::Status(503));
        }
        let mut folder = Dir::from_fd(folder).map_err(|_| Refusal::Status(500))?;
        let names = folder.iter().filter_map(|entry| Some(entry.ok()?.file_name().to_bytes().to_vec()));
        let mut names: Vec<_> = names.filter(|name| name != b"." && name != b"..").take(MAX_NAMES + 1).collect();
        let more = names.len() > MAX_NAMES;
        names.truncate(MAX_NAMES);
        // What cannot be looked at would not be served either: links that lead out, or nowhere.
        let entries = names.into_iter().filter_map(|name| {
            let below = if path.is_empty() { name.clone() } else { [path, &name].join(&b'/') };
            let metadata = root.look_at(&below).filter(|metadata| metadata.is_dir() || metadata.is_file())?;
            Some((name, metadata))
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|(a, a_data), (b, b_data)| b_data.is_dir().cmp(&a_data.is_dir()).then_with(|| a.cmp(b)));
        let page = page(path, &entries, more).into_bytes().into_boxed_slice();
        Ok(Listing { page, _counted: self.0.clone() })
    }
}

fn page(path: &[u8], entries: &[(Vec<u8>, Metadata)], more: bool) -> String {
    let title = format!("/{}{}", escape(path), if path.is_empty() { "" } else { "/" });
    let mut page = format!("<!DOCTYPE html><meta charset=utf-8><title>{title}</title>{STYLE}<h1>{title}</h1><table>\n");
    if !path.is_empty() {
        page.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    let mut cut = more;
    for (name, metadata) in entries {
        if page.len() > MAX_BYTES {
            cut = true;
            break;
        }
        let slash = if metadata.is_dir() { "/" } else { "" };
        // "./": or a name with a colon would be taken for a scheme.
        page.push_str("<tr><td><a href=\"./");
        encode(name, &mut page);
        let modified = date::format(u64::try_from(metadata.mtime()).unwrap_or(0));
        // Day to minute, of "Sun, 06 Nov 1994 08:49:37 GMT".
        let modified = String::from_utf8_lossy(&modified[5..22]);
        let size = if metadata.is_dir() { String::new() } else { size(metadata.len()) };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{slash}\">{}{slash}</a><td>{size}<td>{modified}", escape(name));
    }
    page.push_str("</table>\n");
    if cut {
        page.push_str("<p>There is more than fits on this page.\n");
    }
    page
}

/// A name for people to read, with nothing in it that a browser would take for markup.
fn escape(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for char in String::from_utf8_lossy(name).chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char if char.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            char => out.push(char),
        }
    }
    out
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    // What would be rounded to 1024 is shown as 1 of the next unit.
    while size >= 1023.95 {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escape(b"<a href='\"&\n\xff>"), "&lt;a href=&#39;&quot;&amp;\u{fffd}\u{fffd}&gt;");
    }
}
