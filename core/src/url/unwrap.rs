//! URLs as they stand in running text, between angle brackets.

/// The URL in `<URL:scheme://host/path>` or `<scheme://host/path>`, without what is white around it; a text that is not
/// wrapped is returned without that white space (Python's `urllib.parse.unwrap`; RFC 3986, appendix C).
///
/// ```
/// use tidemill_core::url::unwrap;
///
/// assert_eq!(unwrap(" <URL: http://h/p >\n"), "http://h/p");
/// ```
pub fn unwrap(text: &str) -> &str {
    let text = strip(text);
    let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).map_or(text, strip);
    text.strip_prefix("URL:").map_or(text, strip)
}

/// Python counts four controls more as white space than Unicode does.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_off_what_is_around() {
        for text in ["<URL:x:y>", "<x:y>", "URL:x:y", "x:y", "\x1cURL: x:y\u{3000}", "< URL:x:y>"] {
            assert_eq!(unwrap(text), "x:y", "{text:?}");
        }
        assert_eq!(unwrap("<"), "<");
        assert_eq!(unwrap("<>"), "");
        assert_eq!(unwrap("<x:y"), "<x:y");
    }
}
