//! Header fields, as Python's `http.client.HTTPMessage` shows them.

/// Fields in order; names compare in any case. Values are text of Latin-1, as Python has them, so that no byte is lost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[doc(alias = "HTTPMessage")]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first field of this name. O(n).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All fields, in order.
    #[doc(alias = "items")]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The media type without its parameters, in lower case; `text/plain` if none is told, as in Python.
    pub fn content_type(&self) -> String {
        let told = self.get("content-type").map(|value| value.split(';').next().unwrap_or("").trim());
        told.filter(|told| told.contains('/')).unwrap_or("text/plain").to_ascii_lowercase()
    }

    /// Sets a field, in place of all of this name.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.into(), value.into()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    pub(super) fn push_bytes(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.into(), value.iter().copied().map(char::from).collect()));
    }
}

/// The bytes that a value stands for: those of Latin-1 if it can be, else those of UTF-8.
pub(super) fn bytes_of(value: &str) -> Vec<u8> {
    value.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>().unwrap_or_else(|| value.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_in_any_case_and_no_byte_is_lost() {
        let mut headers = Headers::default();
        headers.push_bytes("Set-Cookie", b"a=\xe9");
        headers.push_bytes("set-cookie", b"b");
        assert_eq!(headers.get("SET-COOKIE").map(bytes_of), Some(b"a=\xe9".to_vec()));
        assert!(headers.get_all("Set-cookie").eq(["a=\u{e9}", "b"]));
        headers.set("SET-cookie", "c");
        assert_eq!((headers.len(), headers.get("set-cookie")), (1, Some("c")));
        assert_eq!(headers.content_type(), "text/plain");
        headers.set("Content-Type", "Text/HTML; charset=x");
        assert_eq!(headers.content_type(), "text/html");
        assert_eq!(bytes_of("水"), "水".as_bytes());
    }
}
