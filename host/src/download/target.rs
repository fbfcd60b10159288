//! Where the bytes of a download end up.

use std::fmt;
use std::path::PathBuf;

use tidemill_core::url::Uri;

/// A file, or the standard output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A file, complete or not there at all.
    File(PathBuf),
    /// The standard output, in order and as the bytes come.
    Stdout,
}

impl Target {
    /// The file that a URL names: the last segment of its path, percent-decoded, in the current folder. Characters that
    /// a file name cannot or should not hold become `_`. `None`: the URL names none.
    pub fn named_by(url: &str) -> Option<Self> {
        let path = Uri::parse(url).ok()?.path();
        let name = decode(path.rsplit('/').next()?);
        let name: String =
            name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
        (!matches!(name.as_str(), "" | "." | "..")).then(|| Self::File(name.into()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

/// Percent-decoding (RFC 3986, 2.1); a percent sign without two digits stands for itself, what is no UTF-8 is replaced.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_in_this_folder_and_nowhere_else() {
        for (url, name) in [
            ("http://h/a/big.iso?x=/y#z", Some("big.iso")),
            ("sim://mill/16MiB?seed=7", Some("16MiB")),
            ("http://h/%C3%A9%20b", Some("é b")),
            ("http://h/100%", Some("100%")),
            ("http://h/..%2f..%2fetc%2fpasswd", Some(".._.._etc_passwd")),
            ("http://h/a%00%1b[2Jb%5c", Some("a__[2Jb_")),
            ("http://h/%ff", Some("\u{fffd}")),
            ("http://h/", None),
            ("http://h", None),
            ("http://h/a/..", None),
            ("http://h/%2e%2E", None),
            ("no url", None),
        ] {
            assert_eq!(Target::named_by(url), name.map(|name| Target::File(name.into())), "{url}");
        }
    }
}
