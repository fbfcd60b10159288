//! Which codings a client takes, of those in which a file may lie beside itself.

use tidemill_core::http::server::Head;

/// Suffix and name of each, best first.
const CODINGS: [(&[u8], &str); 3] = [(b".br", "br"), (b".zst", "zstd"), (b".gz", "gzip")];

/// The codings that a request accepts, those it wants most first.
pub(super) struct Accepted {
    /// With a quality above none, in thousandths.
    codings: [(u16, usize); CODINGS.len()],
    at: usize,
}

impl Accepted {
    pub(super) fn of(head: &Head<'_>) -> Self {
        let mut codings = [0, 1, 2].map(|index| (0, index));
        // Without the field a client takes anything; but who would say so means the plain file (RFC 9110 12.5.3).
        for element in head.fields().list("accept-encoding") {
            let (name, quality) = split(element);
            for (best, index) in &mut codings {
                let own = CODINGS[*index].1.as_bytes();
                if name.eq_ignore_ascii_case(own) || own == b"gzip" && name.eq_ignore_ascii_case(b"x-gzip") {
                    *best = quality;
                }
            }
        }
        // Stable: of equals the better one first.
        codings.sort_by_key(|&(quality, _)| std::cmp::Reverse(quality));
        Self { codings, at: 0 }
    }
}

impl Iterator for Accepted {
    type Item = (&'static [u8], &'static str);

    fn next(&mut self) -> Option<Self::Item> {
        let &(quality, index) = self.codings.get(self.at)?;
        self.at += 1;
        (quality > 0).then(|| CODINGS[index])
    }
}

/// An element's name, and its quality in thousandths; a malformed quality counts as none.
fn split(element: &[u8]) -> (&[u8], u16) {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    let quality = weight.map_or(Some(1.0), |weight| std::str::from_utf8(weight).ok()?.parse::<f32>().ok());
    (name, quality.map_or(0, |quality| (quality.clamp(0.0, 1.0) * 1000.0) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::http::server::Request;

    fn accepted(field: &str) -> Vec<&'static str> {
        let mut request = Request::<512>::new();
        request.receive(format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n").as_bytes()).unwrap();
        Accepted::of(&request.head()).map(|(_, name)| name).collect()
    }

    #[test]
    fn the_clients_order_counts_and_then_ours() {
        assert!(accepted("").is_empty());
        assert_eq!(accepted("Accept-Encoding: gzip, deflate, br, zstd\r\n"), ["br", "zstd", "gzip"]);
        assert_eq!(accepted("Accept-Encoding: br;q=0.5, GZIP;q=1.0\r\n"), ["gzip", "br"]);
        assert_eq!(accepted("Accept-Encoding: x-gzip\r\n"), ["gzip"]);
        for none in ["br;q=0", "br; q=0.000", "br;q=x", "identity", "*", "br;q=-1", "br;q=NaN"] {
            assert!(accepted(&format!("Accept-Encoding: {none}\r\n")).is_empty(), "{none}");
        }
    }
}
