//! Which hosts and paths a cookie belongs to (5.1.3, 5.1.4).

/// Whether `host` is the domain, or beneath it. In any case; `domain` has no dot in front.
pub(super) fn domain_match(host: &[u8], domain: &[u8]) -> bool {
    is_beneath(host, domain) && (host.len() == domain.len() || !is_address(host))
}

/// The same of a host that is no address, or is the domain.
pub(super) fn is_beneath(host: &[u8], domain: &[u8]) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    let (above, end) = host.split_at_checked(at).unwrap_or_default();
    (above.is_empty() || above.ends_with(b".")) && is_same(end, domain)
}

/// Whether two names are the same, in any case. Mostly they are to the byte.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one == other || one.eq_ignore_ascii_case(other)
}

/// Whether this is an IP address, or what some resolver would take for one: it has a colon, or its last label is a number
/// (as in the URL Standard, so that `0x7f.1` is one, too).
pub(super) fn is_address(host: &[u8]) -> bool {
    let last = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let hexadecimal = matches!(last, [b'0', b'x' | b'X', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit));
    host.contains(&b':') || !last.is_empty() && last.iter().all(u8::is_ascii_digit) || hexadecimal
}

/// Whether a request to `path` is at or beneath a cookie's path.
pub(super) fn path_match(path: &[u8], cookie_path: &[u8]) -> bool {
    let Some(beneath) = path.strip_prefix(cookie_path) else { return false };
    beneath.is_empty() || cookie_path.ends_with(b"/") || beneath.starts_with(b"/")
}

/// The path of a cookie that names none.
pub(super) fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(1..) if path.starts_with('/') => path.rsplit_once('/').map_or("/", |(folder, _)| folder),
        _ => "/",
    }
}

/// A hash of nothing.
const EMPTY: u32 = 0x811c_9dc5;

/// Adds a word to a hash (FNV-1a). Whoever makes two texts collide gains nothing: hashes only spare comparisons.
fn step(hash: u32, word: u32) -> u32 {
    (hash ^ word).wrapping_mul(0x0100_0193)
}

/// Adds a text to a hash, four bytes at a time, and its length.
pub(super) fn fold(hash: u32, text: &[u8]) -> u32 {
    let (words, tail) = text.as_chunks::<4>();
    let hash = words.iter().fold(hash, |hash, word| step(hash, u32::from_le_bytes(*word)));
    let tail = tail.iter().fold(text.len() as u32, |tail, byte| tail << 8 | u32::from(*byte));
    step(hash, tail)
}

/// The hash of a domain: from its end, byte by byte, so that those of all the domains above it come by on the way.
pub(super) fn domain_hash(domain: &[u8]) -> u32 {
    domain.iter().rev().fold(EMPTY, |hash, byte| step(hash, byte.to_ascii_lowercase().into()))
}

/// Two bits of 32 for a domain by its hash.
pub(super) fn mark_of(hash: u32) -> u32 {
    1 << (hash & 31) | 1 << (hash >> 27)
}

/// The marks of all domains that a host is or lies beneath: those whose mark is not within need no comparison.
pub(super) fn marks_of(host: &[u8]) -> u32 {
    let (mut hash, mut marks) = (EMPTY, 0);
    for byte in host.iter().rev().map(u8::to_ascii_lowercase) {
        if byte == b'.' {
            marks |= mark_of(hash);
        }
        hash = step(hash, byte.into());
    }
    marks | mark_of(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn behaviour_31_a_domain_covers_itself_and_the_names_beneath_it() {
        let matches = |host: &str, domain: &str| domain_match(host.as_bytes(), domain.as_bytes());
        assert!(matches("example.org", "example.org"));
        assert!(matches("a.b.Example.ORG", "example.org"));
        for (host, domain) in [
            ("badexample.org", "example.org"),
            ("org", "example.org"),
            ("127.0.0.1", "0.0.1"),
            ("0x7f.0x1", "0x1"),
            ("a::1", "1"),
            ("example.org", ""),
            ("", "org"),
        ] {
            assert!(!matches(host, domain), "{host} {domain}");
        }
        assert!(matches("127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn behaviour_32_a_path_covers_itself_and_what_lies_beneath_it() {
        let matches = |path: &str, cookie: &str| path_match(path.as_bytes(), cookie.as_bytes());
        for path in ["/foo", "/foo/", "/foo/x"] {
            assert!(matches(path, "/foo"), "{path}");
        }
        assert!(matches("/foo/x", "/foo/") && matches("/x", "/"));
        assert!(!matches("/foobar", "/foo") && !matches("/foo", "/foo/") && !matches("/", "/foo"));
        for (path, expected) in
            [("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("", "/"), ("a/b", "/"), ("/a/b/", "/a/b"), ("//x", "/")]
        {
            assert_eq!(default_path(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_marks_of_a_host_have_those_of_every_domain_above_it(labels in prop::collection::vec("[a-zA-Z]{1,3}", 1..6)) {
            let host = labels.join(".");
            for from in 0..labels.len() {
                let domain = labels[from..].join(".");
                prop_assert!(domain_match(host.as_bytes(), domain.as_bytes()));
                let mark = mark_of(domain_hash(domain.as_bytes()));
                prop_assert_eq!(marks_of(host.as_bytes()) & mark, mark);
            }
        }
    }
}
