//! From the path of a request to a path in a folder.
//!
//! The path is cut at its slashes first and percent-decoded after, once. So an encoded slash cannot make a component,
//! and what is still encoded after that is part of a name. Components that would not stay below are refused here; that
//! a symbolic link does not lead out is the system's part, see [`super::folder`].

/// A path relative to the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Relative {
    /// Components with single slashes between them, none of them `.` or `..`; empty: the folder itself.
    pub(super) bytes: Vec<u8>,
    /// It ended in a slash: a folder is meant.
    pub(super) slash: bool,
}

/// A path that is none: malformed encoding, NUL, an encoded slash, or a dot segment, which the client is to resolve
/// (RFC 3986, section 5.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

impl Relative {
    /// Reads the path of a request, which begins with a slash. Empty components are skipped.
    pub(super) fn parse(path: &str) -> Result<Self, Malformed> {
        let path = path.strip_prefix('/').ok_or(Malformed)?;
        let mut bytes = Vec::with_capacity(path.len());
        for component in path.split('/').filter(|component| !component.is_empty()) {
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            let start = bytes.len();
            decode(component.as_bytes(), &mut bytes)?;
            let name = &bytes[start..];
            if name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                return Err(Malformed);
            }
        }
        Ok(Self { bytes, slash: path.is_empty() || path.ends_with('/') })
    }
}

/// Percent-decodes to the end of `out`.
fn decode(component: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let hex = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8).ok_or(Malformed);
    let mut rest = component;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(Malformed) };
        out.push(hex(*high)? << 4 | hex(*low)?);
        rest = after;
    }
    Ok(())
}

/// Appends a name so that it reads back as one component of a path.
pub(super) fn encode(name: &[u8], out: &mut String) {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<(Vec<u8>, bool), Malformed> {
        Relative::parse(path).map(|path| (path.bytes, path.slash))
    }

    #[test]
    fn paths_lose_their_slashes_and_are_decoded_once() {
        for (path, bytes, slash) in [
            ("/", &b""[..], true),
            ("/a", b"a", false),
            ("//a///b//", b"a/b", true),
            ("/a%20b/%C3%A9", b"a b/\xc3\xa9", false),
            ("/%2e%2E%2e", b"...", false),
            ("/%252e%252e/x", b"%2e%2e/x", false),
            ("/..a/.b", b"..a/.b", false),
        ] {
            assert_eq!(parse(path), Ok((bytes.to_vec(), slash)), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_below_is_refused() {
        for path in [
            "", "a", "*", "/..", "/a/../b", "/./a", "/%2e%2e/", "/.%2E", "/a%2fb", "/%2F", "/%00", "/%", "/%2", "/%zz",
            "/%+1",
        ] {
            assert_eq!(parse(path), Err(Malformed), "{path}");
        }
    }

    #[test]
    fn a_name_of_any_bytes_comes_back() {
        let name: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
        let mut path = "/".to_owned();
        encode(&name, &mut path);
        assert_eq!(parse(&path), Ok((name, false)));
    }
}
