//! What can be changed while it is served: the folder, who may see it, and what is said with every answer.

use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::root::Root;
use super::{Auth, Error, Options};

/// The most bytes of header lines that every answer gets.
const HEADERS_MAX: usize = 512;

/// The most bytes of a file of names and passwords.
const USERS_MAX: u64 = 1 << 20;

/// What is served, as of one moment.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) root: Root,
    /// Each as it stands in a request, after `Basic `; `None`: everybody may.
    credentials: Option<Vec<String>>,
    /// Whole lines.
    pub(super) headers: Vec<u8>,
}

impl Site {
    pub(super) fn open(options: &Options) -> Result<Self, Error> {
        let root = Root::open(&options.folder).map_err(Error::Folder)?;
        let credentials = options.auth.as_ref().map(credentials).transpose()?;
        Ok(Self { root, credentials, headers: header_lines(&options.headers)? })
    }

    /// Whether whoever sends this in `Authorization` may see it.
    pub(super) fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(credentials) = &self.credentials else { return true };
        let Some((scheme, said)) = authorization.and_then(|value| value.split_at_checked(6)) else { return false };
        let said = said.trim_ascii_end();
        // All are compared, and each to its end, so that the time tells nothing.
        let admits = credentials.iter().fold(false, |any, known| any | same(known.as_bytes(), said));
        admits && scheme.eq_ignore_ascii_case(b"basic ")
    }
}

/// Whether they are equal, in a time that tells only their lengths.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

fn credentials(auth: &Auth) -> Result<Vec<String>, Error> {
    let users = match auth {
        Auth::User(user) => vec![user.clone()],
        Auth::File(path) => read_lines(path).map_err(|error| Error::File(path.clone(), error))?,
    };
    match users.iter().find(|user| !user.contains(':') || user.chars().any(char::is_control)) {
        Some(_) => Err(Error::Credentials),
        None if users.is_empty() => Err(Error::Credentials),
        None => Ok(users.iter().map(|user| STANDARD.encode(user)).collect()),
    }
}

fn read_lines(path: &PathBuf) -> io::Result<Vec<String>> {
    if fs::metadata(path)?.len() > USERS_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let text = fs::read_to_string(path)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(String::from)
        .collect())
}

fn header_lines(headers: &[(String, String)]) -> Result<Vec<u8>, Error> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        // What the server itself says must not be said twice.
        let own =
            ["Connection", "Content-Length", "Content-Range", "Date", "ETag", "Last-Modified", "Transfer-Encoding"];
        let valid = !name.is_empty()
            && name.bytes().all(token)
            && value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f)
            && !own.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !valid {
            return Err(Error::Header(name.clone()));
        }
        lines.extend([name.as_bytes(), b": ", value.trim().as_bytes(), b"\r\n"].concat());
    }
    if lines.len() > HEADERS_MAX { Err(Error::Header("all of them together".to_owned())) } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(auth: Option<Auth>, headers: &[(&str, &str)]) -> Result<Site, Error> {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        Site::open(&Options { auth, headers, ..Options::new(folder.path(), "127.0.0.1:0".parse().unwrap()) })
    }

    #[test]
    fn who_knows_the_password_is_admitted_and_nobody_else() {
        let site = site(Some(Auth::User("Aladdin:open sesame".to_owned())), &[]).unwrap();
        let right = "QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        for scheme in ["Basic", "basic", "BASIC"] {
            assert!(site.admits(Some(format!("{scheme} {right}").as_bytes())));
        }
        let long = format!("Basic {right}x");
        for wrong in ["", "Basic", "Basic ", &format!("Bearer {right}"), &long, &long[..long.len() - 2], right] {
            assert!(!site.admits(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!site.admits(None));
    }

    #[test]
    fn what_is_no_header_or_ours_is_refused() {
        assert_eq!(site(None, &[("Cache-Control", " no-store ")]).unwrap().headers, b"Cache-Control: no-store\r\n");
        for (name, value) in
            [("", "x"), ("A B", "x"), ("A", "x\r\nB: y"), ("content-length", "1"), ("A", &"x".repeat(600))]
        {
            assert!(matches!(site(None, &[(name, value)]), Err(Error::Header(_))), "{name}: {value}");
        }
        assert!(matches!(site(Some(Auth::User("nobody".to_owned())), &[]), Err(Error::Credentials)));
    }
}
