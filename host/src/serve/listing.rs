//! What lists a folder: a page for people, or JSON for programs; bounded, and harmless whatever the names in it are.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use nix::dir::Dir;
use tidemill_core::http::date;
use tidemill_core::http::serve::Refusal;
use tidemill_core::http::server::Head;

use super::json;
use super::path::encode;
use super::root::Root;

/// How many names of a folder are read; of more, it is not defined which.
const MAX_NAMES: usize = 4096;

/// How many bytes of a page are lines of the listing.
const MAX_BYTES: usize = 512 * 1024;

/// The pictures are part of it: not every machine has letters that look like a folder.
const STYLE: &str = "<meta name=viewport content=\"width=device-width\"><style>\
    :root{color-scheme:light dark;--line:#8883;--soft:#8881;--mark:#0b6bcb}\
    @media(prefers-color-scheme:dark){:root{--mark:#6cb6ff}}\
    body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2.5rem auto;padding:0 1rem}\
    h1{font-size:1.15rem;font-weight:600;overflow-wrap:anywhere}h1 span{opacity:.4;padding:0 .15em}\
    table{width:100%;border-collapse:collapse}\
    th{font-size:.8rem;font-weight:500;opacity:.6;text-align:left}th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line)}\
    tr:hover td{background:var(--soft)}td:first-child{overflow-wrap:anywhere}\
    th+th,td+td{text-align:right;white-space:nowrap;opacity:.7;font-variant-numeric:tabular-nums}\
    td:first-child:before{display:inline-block;width:1.6em;vertical-align:-.15em;\
    content:url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='15' height='15' viewBox='0 0 16 16' \
    fill='none' stroke='gray'%3E%3Cpath d='M3.5.5h6l3 3v12h-9zM9.5.5v3h3'/%3E%3C/svg%3E\")}\
    tr.d td:first-child:before{\
    content:url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='15' height='15' viewBox='0 0 16 16' \
    fill='%23e5b567' stroke='%23b58a3c'%3E%3Cpath d='M.5 13.5v-11h5l2 2h8v9z'/%3E%3C/svg%3E\")}\
    tr.u td:first-child:before{\
    content:url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='15' height='15' viewBox='0 0 16 16' \
    fill='none' stroke='gray' stroke-width='1.5'%3E%3Cpath d='M8 14V3M3.5 7.5 8 3l4.5 4.5'/%3E%3C/svg%3E\")}\
    a{color:var(--mark);text-decoration:none}a:hover{text-decoration:underline}\
    p{opacity:.6;font-size:.85rem}@media(max-width:36rem){th:last-child,td:last-child{display:none}}</style>";

/// For whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Html,
    Json,
}

impl Format {
    /// JSON if the query is `json`, or `Accept` names it and no HTML.
    pub(super) fn asked_for_by(head: &Head<'_>) -> Self {
        let accepts = |wanted: &[u8]| {
            let mut types =
                head.fields().list("accept").filter_map(|element| element.split(|&byte| byte == b';').next());
            types.any(|found| found.trim_ascii().eq_ignore_ascii_case(wanted))
        };
        let json = head.query() == Some("json") || accepts(b"application/json") && !accepts(b"text/html");
        if json { Self::Json } else { Self::Html }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

type Entry = (Vec<u8>, Metadata);

/// Lists `folder`, which is at `path` below `root`.
pub(super) fn make(folder: OwnedFd, path: &[u8], root: &Root, format: Format) -> Result<Vec<u8>, Refusal> {
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
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_by(|(a, a_data), (b, b_data)| b_data.is_dir().cmp(&a_data.is_dir()).then_with(|| a.cmp(b)));
    let page = match format {
        Format::Html => html(path, &entries, more),
        Format::Json => json(path, &entries, more),
    };
    Ok(page.into_bytes())
}

fn slash(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "/" } else { "" }
}

fn html(path: &[u8], entries: &[Entry], more: bool) -> String {
    let title = format!("/{}{}", escape(path), if path.is_empty() { "" } else { "/" });
    let mut page = format!("<!DOCTYPE html><meta charset=utf-8><title>{title}</title>{STYLE}<h1>");
    crumbs(path, &mut page);
    page.push_str("</h1><table><tr><th>Name<th>Size<th>Modified\n");
    if !path.is_empty() {
        page.push_str("<tr class=u><td><a href=\"../\">../</a><td><td>\n");
    }
    let mut cut = more;
    for (name, metadata) in entries {
        if page.len() > MAX_BYTES {
            cut = true;
            break;
        }
        let slash = slash(metadata);
        // "./": or a name with a colon would be taken for a scheme.
        page.push_str(if metadata.is_dir() { "<tr class=d><td><a href=\"./" } else { "<tr><td><a href=\"./" });
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

/// The folders above, each a link.
fn crumbs(path: &[u8], page: &mut String) {
    let names: Vec<_> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    let link = |page: &mut String, up: usize, name: &str| {
        let target = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
        let _ = write!(page, "<a class=c href=\"{target}\">{name}</a>");
    };
    link(page, names.len(), "root");
    for (at, name) in names.iter().enumerate() {
        page.push_str("<span>/</span>");
        link(page, names.len() - 1 - at, &escape(name));
    }
}

fn json(path: &[u8], entries: &[Entry], more: bool) -> String {
    let mut out = String::from("{\"path\":");
    json::text(&format!("/{}{}", String::from_utf8_lossy(path), if path.is_empty() { "" } else { "/" }), &mut out);
    out.push_str(",\"entries\":[");
    let mut cut = more;
    for (at, (name, metadata)) in entries.iter().enumerate() {
        if out.len() > MAX_BYTES {
            cut = true;
            break;
        }
        out.push_str(if at == 0 { "\n{\"name\":" } else { ",\n{\"name\":" });
        json::text(&String::from_utf8_lossy(name), &mut out);
        // A name that is no text can be reached only by this.
        out.push_str(",\"href\":\"./");
        encode(name, &mut out);
        let kind = if metadata.is_dir() { "folder" } else { "file" };
        let _ = write!(out, "{}\",\"type\":\"{kind}\"", slash(metadata));
        if metadata.is_file() {
            let _ = write!(out, ",\"size\":{}", metadata.len());
        }
        let _ = write!(out, ",\"modified\":{}}}", metadata.mtime());
    }
    let _ = writeln!(out, "\n],\"complete\":{}}}", !cut);
    out
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
