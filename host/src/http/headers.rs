//! Header fields, as Python's `http.client.HTTPMessage` shows them.

use std::fmt;
use std::ops::Range;

use memchr::memchr;
use tidemill_core::http::fields::Fields;

/// Fields in order; names compare in any case. Values are text of Latin-1, as Python has them, so that no byte is lost.
#[derive(Clone, Default)]
#[doc(alias = "HTTPMessage")]
pub struct Headers {
    /// Names and values one behind the other: a head is read with two allocations, not two for each field.
    text: String,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Headers {
    /// Those of a head. Its text is taken as a whole, which is quicker than field by field.
    pub(super) fn of_head(head: &Fields<'_>) -> Self {
        let (text, mut fields, mut start) = (latin(head.lines_as_sent()), Vec::with_capacity(16), 0);
        while let Some(len) = memchr(b'\n', &text.as_bytes()[start..]) {
            let (line, next) = (&text[start..start + len], start + len + 1);
            if let Some(colon) = memchr(b':', line.as_bytes()) {
                let value = &line[colon + 1..];
                let from = next - 1 - value.trim_ascii_start().len();
                fields.push((start..start + colon, from..from + value.trim_ascii().len()));
            }
            start = next;
        }
        Self { text, fields }
    }

    /// The value of the first field of this name. O(n).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields, in order.
    #[doc(alias = "items")]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The media type without its parameters, in lower case; `text/plain` if none is told, as in Python.
    pub fn content_type(&self) -> String {
        let told = self.get("content-type").map(|value| value.split(';').next().unwrap_or("").trim());
        told.filter(|told| told.contains('/')).unwrap_or("text/plain").to_ascii_lowercase()
    }

    /// Sets a field, in place of all of this name.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.push(name, value);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            self.retain(|known| !known.eq_ignore_ascii_case(name));
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let mut kept = Self::default();
        for (name, value) in self.iter().filter(|(name, _)| keep(name)) {
            kept.push(name, value);
        }
        *self = kept;
    }

    fn push(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        self.fields.push((start..middle, middle..self.text.len()));
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Bytes as text of Latin-1.
pub(super) fn latin(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(plain) if plain.is_ascii() => plain.to_owned(),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The bytes that a value stands for: those of Latin-1 if it can be, else those of UTF-8.
pub(super) fn bytes_of(value: &str) -> Vec<u8> {
    value.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>().unwrap_or_else(|| value.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::http::client::Response;

    fn head(lines: &[u8]) -> Headers {
        let mut response = Response::<1024>::new();
        response.receive(&[b"HTTP/1.1 200 OK\r\n", lines, b"\r\n"].concat()).unwrap();
        Headers::of_head(&response.head().fields())
    }

    #[test]
    fn names_compare_in_any_case_and_no_byte_is_lost() {
        let mut headers = head(b"Set-Cookie:  a=\xe9 \t\r\nEmpty:\r\nset-cookie:b\r\n");
        assert!(headers.iter().eq([("Set-Cookie", "a=\u{e9}"), ("Empty", ""), ("set-cookie", "b")]));
        headers.remove("empty");
        assert_eq!(headers.get("SET-COOKIE").map(bytes_of), Some(b"a=\xe9".to_vec()));
        assert!(headers.get_all("Set-cookie").eq(["a=\u{e9}", "b"]));
        headers.set("SET-cookie", "c");
        assert_eq!((headers.len(), headers.get("set-cookie")), (1, Some("c")));
        assert_eq!(headers.content_type(), "text/plain");
        headers.set("Content-Type", "Text/HTML; charset=x");
        assert_eq!(headers.content_type(), "text/html");
        assert_eq!(bytes_of("水"), "水".as_bytes());
        let mut same = Headers::default();
        same.set("Content-Type", "Text/HTML; charset=x");
        assert_ne!(headers, same);
        headers.retain(|name| name == "Content-Type");
        assert_eq!(headers, same);
        assert_eq!(format!("{headers:?}"), r#"{"Content-Type": "Text/HTML; charset=x"}"#);
    }
}
