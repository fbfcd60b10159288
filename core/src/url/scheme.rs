//! Schemes: where one ends, and what Python knows of the common ones.

use super::Folded;

/// The bytes of the scheme that `url` starts with; `None` when it has none (RFC 3986, 3.1).
pub(super) fn length(url: &[u8]) -> Option<usize> {
    // Nearly every URL ends here, without a branch on which of the two it is.
    if let [b'h', b't', b't', b'p', ..] = url {
        let end = 4 + usize::from(url.get(4) == Some(&b's'));
        if url.get(end) == Some(&b':') {
            return Some(end);
        }
    }
    let is_part = |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.');
    if !url.first()?.is_ascii_alphabetic() {
        return None;
    }
    let end = url.iter().position(|byte| !is_part(byte))?;
    (url.get(end) == Some(&b':')).then_some(end)
}

/// Schemes whose references are joined (`uses_relative`); each of them has a network location, too.
pub(super) fn uses_relative(scheme: Folded<'_>) -> bool {
    const NAMES: [&str; 20] = [
        "", "http", "https", "ftp", "file", "ws", "wss", "gopher", "imap", "mms", "nntp", "prospero", "rtsp", "rtsps",
        "rtspu", "sftp", "shttp", "svn", "svn+ssh", "wais",
    ];
    NAMES.iter().any(|name| scheme == *name)
}

/// Schemes whose URLs have a network location (`uses_netloc`).
pub(super) fn uses_netloc(scheme: Folded<'_>) -> bool {
    const NAMES: [&str; 7] = ["git", "git+ssh", "itms-services", "nfs", "rsync", "snews", "telnet"];
    uses_relative(scheme) || NAMES.iter().any(|name| scheme == *name)
}

/// Schemes whose paths may end in parameters (`uses_params`).
pub(super) fn uses_params(scheme: Folded<'_>) -> bool {
    const NAMES: [&str; 16] = [
        "", "http", "https", "ftp", "hdl", "imap", "mms", "prospero", "rtsp", "rtsps", "rtspu", "sftp", "shttp", "sip",
        "sips", "tel",
    ];
    NAMES.iter().any(|name| scheme == *name)
}
