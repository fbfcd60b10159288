//! The common case: an `http` or `https` URL that is in its canonical form already. It is looked at once and copied.
//!
//! The condition: it starts with `http://` or `https://`; its host is made of what a domain may have but capital letters and percent
//! signs, and its last label starts with neither a digit nor a dot, so that it is no IPv4 address; a slash follows; and
//! behind that nothing needs a percent sign in any part, no byte is ignored or a backslash, and no segment of the path starts
//! with a dot or a percent sign, so that none is resolved. Then the Standard's parser would give the same text, whatever
//! the base. All else is left to the [`machine`](super::machine), and a fuzz target holds both against each other.

use super::super::scan::{BYTES, Word, equal, find};
use super::out::{is_in, set};
use super::parts::{Kind, Parts};

/// Copies `input` to `buffer` if it is in canonical form, plainly so, and fits.
pub(super) fn parse(input: &str, buffer: &mut [u8]) -> Option<Parts> {
    let bytes = input.as_bytes();
    let place = buffer.get_mut(..bytes.len())?;
    let parts = parts(bytes)?;
    place.copy_from_slice(bytes);
    Some(parts)
}

/// Whether `input` is valid, plainly so: what is behind the host never matters.
pub(super) fn can_parse(input: &str) -> bool {
    let bytes = input.as_bytes();
    host(bytes).is_some_and(|(_, _, end)| matches!(bytes.get(end), None | Some(b'/' | b'?' | b'#')))
}

/// The kind, and where the host starts and ends.
fn host(bytes: &[u8]) -> Option<(Kind, usize, usize)> {
    let (kind, start) = match bytes {
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', ..] => (Kind::Https, 8),
        [b'h', b't', b't', b'p', b':', b'/', b'/', ..] => (Kind::Http, 7),
        _ => return None,
    };
    let mut last_label = b'.';
    let mut before = b'.';
    let mut end = start;
    for byte in bytes.get(start..)? {
        if !IN_HOST[usize::from(*byte)] {
            break;
        }
        if before == b'.' {
            last_label = *byte;
        }
        before = *byte;
        end += 1;
    }
    let is_name = before != b'.' && last_label != b'.' && !last_label.is_ascii_digit();
    is_name.then_some((kind, start, end))
}

const IN_HOST: [bool; 256] = {
    let mut in_host = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        in_host[byte as usize] = !is_in(byte, set::NO_DOMAIN) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    in_host
};

fn parts(bytes: &[u8]) -> Option<Parts> {
    let (kind, host, path) = host(bytes)?;
    let rest = bytes.get(path..)?;
    if rest.first() != Some(&b'/') || has_special(bytes) {
        return None;
    }
    let path_len = find(rest, [b'?', b'#']).unwrap_or(rest.len());
    if has_dots(rest.get(..path_len)?) {
        return None;
    }
    let query = path + path_len;
    let fragment = match bytes.get(query) {
        Some(b'?') => find(bytes.get(query..)?, [b'#']).map_or(bytes.len(), |at| query + at),
        _ => query,
    };
    // The buffer has no more bytes than 16 bits count, and it was found to be as long as the input.
    let place = |at: usize| at as u16;
    Some(Parts {
        kind,
        scheme_end: place(host - 3),
        user_end: place(host),
        host: place(host),
        host_end: place(path),
        path: place(path),
        query: place(query),
        fragment: place(fragment),
        len: place(bytes.len()),
    })
}

/// Whether there is a byte that is percent-encoded in some part, is ignored, or is a backslash.
#[expect(clippy::needless_bitwise_bool, reason = "without a branch it is done for sixteen bytes at once")]
fn has_special(bytes: &[u8]) -> bool {
    let is_special = |byte: u8| {
        (byte.wrapping_sub(b'!') > b'~' - b'!')
            | (byte == b'"')
            | (byte == b'\'')
            | (byte & 0xfd == b'<')
            | (byte & 0xfd == b'\\')
            | (byte == b'`')
            | (byte == b'{')
            | (byte == b'}')
    };
    let in_chunk = |chunk: &[u8; 16]| chunk.iter().fold(0, |found, byte| found | u8::from(is_special(*byte)));
    match bytes.last_chunk() {
        // The last sixteen, some of them once more.
        Some(last) => bytes.as_chunks().0.iter().fold(in_chunk(last), |found, chunk| found | in_chunk(chunk)) != 0,
        None => bytes.iter().any(|byte| is_special(*byte)),
    }
}

/// Whether a segment starts with a dot or a percent sign.
fn has_dots(path: &[u8]) -> bool {
    let (words, tail) = path.as_chunks::<BYTES>();
    // A slash at the end of the word before.
    let mut slash = 0;
    for word in words {
        let word = Word::from_le_bytes(*word);
        let slashes = equal(word, b'/');
        if (slashes << 8 | slash) & (equal(word, b'.') | equal(word, b'%')) != 0 {
            return true;
        }
        slash = slashes >> (8 * (BYTES - 1));
    }
    let mut is_first = slash != 0;
    tail.iter().any(|byte| {
        let found = is_first && matches!(byte, b'.' | b'%');
        is_first = *byte == b'/';
        found
    })
}

#[cfg(test)]
mod tests {
    use super::super::machine;
    use super::super::out::Out;
    use super::*;
    use crate::url::AsciiOnly;
    use proptest::prelude::*;

    fn machine(input: &str, buffer: &mut [u8]) -> Option<Parts> {
        machine::parse(input, None, &AsciiOnly, &mut Out::new(buffer)).ok().map(|(parts, _)| parts)
    }

    #[test]
    fn common_urls_are_taken_and_others_left() {
        let taken = |input| parse(input, &mut [0; 64]).is_some();
        for input in
            ["http://h/", "https://a.b-c.example/x/y.html?q=a&b=http://h/../.#f?#?", "http://a.b1/a%20%2e/a..b"]
        {
            assert!(taken(input), "{input}");
        }
        for input in [
            "http://h",
            "HTTP://h/",
            "http://H/",
            "http://1/",
            "http://a.0x1/",
            "http://a./",
            "http://.a/./",
            "http:///",
            "http://h:80/",
            "http://u@h/",
            "http://h/a b",
            "http://h/../a",
            "http://h/a/%2e%2e",
            "http://h/\\",
            "http://h/é",
            "http://h/\t",
            "http://h/?'",
            "http://h/#`",
            "http://h/{}",
            "http://h/^",
            "ftp://h/",
            " http://h/",
            "http://a%41/",
        ] {
            assert!(!taken(input), "{input}");
        }
        assert!(parse("http://h/", &mut [0; 8]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_machine_makes(input in "https?://[a-c0-9.:@%A-]{0,8}/(/|[.%2eéa-c?#'\"\\\\|^`{<> \t~-]){0,40}") {
            let (mut one, mut other) = ([0; 256], [0; 256]);
            if let Some(parts) = parse(&input, &mut one) {
                prop_assert_eq!(machine(&input, &mut other), Some(parts));
                prop_assert_eq!(one, other);
            }
            prop_assert!(!can_parse(&input) || machine(&input, &mut other).is_some());
        }

        #[test]
        fn most_plain_urls_are_taken(input in "https?://[a-z]{1,8}(\\.[a-z-]{1,9}){0,3}/[a-z0-9/=&_:@!~,;+*$()\\[\\]|-]{0,60}(\\?[a-z/?.%]{0,40})?(#[a-z?#%]{0,20})?") {
            prop_assert!(can_parse(&input));
            prop_assert!(parse(&input, &mut [0; 256]).is_some());
        }
    }
}
