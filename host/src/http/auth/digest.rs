//! The scheme `Digest` (RFC 7616): MD5 and SHA-256, each also by session, with `qop=auth` or, of old, none.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::challenge::Challenge;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Algorithm {
    Md5,
    Sha256,
}

/// What the server asks for, as far as it can be given.
#[derive(Debug)]
pub(super) struct Asked {
    algorithm: Algorithm,
    /// As it was written, to be repeated.
    algorithm_name: Option<String>,
    session: bool,
    pub(super) realm: String,
    nonce: String,
    opaque: Option<String>,
    qop: bool,
    pub(super) stale: bool,
}

impl Asked {
    pub(super) fn new(challenge: &Challenge) -> Option<Self> {
        if !challenge.scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let name = challenge.get("algorithm");
        let upper = name.unwrap_or("MD5").to_ascii_uppercase();
        let plain = upper.strip_suffix("-SESS").unwrap_or(&upper);
        let algorithm = match plain {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            _ => return None,
        };
        let qop = match challenge.get("qop") {
            None => false,
            Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            // Only the integrity of the body, which must be known before.
            Some(_) => return None,
        };
        // What stands in quotes again must not end them.
        let text = |name| challenge.get(name).filter(|value| !value.contains(['"', '\\'])).map(str::to_owned);
        Some(Self {
            algorithm,
            algorithm_name: name.map(str::to_owned),
            session: upper.ends_with("-SESS"),
            realm: text("realm")?,
            nonce: text("nonce")?,
            opaque: text("opaque"),
            qop,
            stale: challenge.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    pub(super) fn strength(&self) -> impl Ord + use<> {
        self.algorithm
    }

    fn hash(&self, text: &str) -> String {
        let bytes = match self.algorithm {
            Algorithm::Md5 => Md5::digest(text).to_vec(),
            Algorithm::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().fold(String::new(), |mut hex, byte| {
            // Writing into a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The value of `Authorization`.
    pub(super) fn answer(&self, user: &str, password: &str, method: &str, target: &str, cnonce: &str) -> String {
        let Self { realm, nonce, .. } = self;
        let mut a1 = self.hash(&format!("{user}:{realm}:{password}"));
        if self.session {
            a1 = self.hash(&format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = self.hash(&format!("{method}:{target}"));
        let response = if self.qop {
            self.hash(&format!("{a1}:{nonce}:00000001:{cnonce}:auth:{a2}"))
        } else {
            self.hash(&format!("{a1}:{nonce}:{a2}"))
        };
        let user = user.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", response=\"{response}\""
        );
        // Writing into a string does not fail.
        if let Some(name) = &self.algorithm_name {
            let _ = write!(value, ", algorithm={name}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(value, ", opaque=\"{opaque}\"");
        }
        if self.qop {
            let _ = write!(value, ", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
        } else if self.session {
            let _ = write!(value, ", cnonce=\"{cnonce}\"");
        }
        value
    }
}

/// Something that nobody can guess: the hash of a count under the keys that the system gives each hash table.
pub(super) fn client_nonce(count: u64) -> String {
    let half = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(count);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::super::challenge::challenges;
    use super::*;

    /// RFC 7616, 3.9.1.
    #[test]
    fn the_examples_of_the_rfc() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let field = format!(
                r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
            );
            let asked = Asked::new(&challenges(&field)[0]).unwrap();
            let answer = asked.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains(&format!("algorithm={algorithm}")) && answer.contains("nc=00000001"), "{answer}");
        }
    }

    #[test]
    fn what_cannot_be_given_is_no_challenge() {
        for field in [
            r#"Digest realm="r", nonce="n", algorithm=SHA-512-256"#,
            r#"Digest realm="r", nonce="n", qop="auth-int""#,
            r#"Digest realm="r""#,
            r#"Digest realm="r", nonce="a\"b""#,
            r#"Basic realm="r""#,
        ] {
            assert!(Asked::new(&challenges(field)[0]).is_none(), "{field}");
        }
        assert_ne!(client_nonce(1), client_nonce(1));
    }
}
