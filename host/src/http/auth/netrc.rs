//! Names and passwords in `.netrc`, as curl, wget and Python read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, in bytes.
pub const NETRC_MAX: u64 = 1 << 20;

/// Name and password for a host, by a file in the format of `.netrc`; those of `default` for a host that it does not name.
///
/// # Errors
/// The file cannot be read, or is larger than [`NETRC_MAX`].
pub fn netrc(path: &Path, host: &str) -> io::Result<Option<(String, String)>> {
    let mut text = String::new();
    File::open(path)?.take(NETRC_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > NETRC_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(find(&text, host))
}

fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = words(text).into_iter();
    let (mut ours, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" | "default" => {
                if ours {
                    break;
                }
                ours = word == "default" || words.next()?.eq_ignore_ascii_case(host);
            }
            "login" => user = words.next().filter(|_| ours),
            "password" => password = words.next().filter(|_| ours),
            "account" => drop(words.next()),
            // What a macro does is none of our business; it ends the file for us.
            "macdef" => break,
            _ => {}
        }
    }
    ours.then(|| (user.unwrap_or_default(), password.unwrap_or_default()))
}

/// The words, some of them quoted; without comments.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let Some(quoted) = rest.strip_prefix('"') else {
                let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                found.push(word.to_owned());
                rest = after.trim_start();
                continue;
            };
            let (mut word, mut escaped, mut end) = (String::new(), false, quoted.len());
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => {
                        word.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    _ => word.push(c),
                }
            }
            found.push(word);
            rest = quoted[end..].trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_own_and_others_have_the_default() {
        let text = "# mine\nmachine a.example login u password \"p \\\"x\" # yes\nmachine b\n  login v account z\n password q#1\ndefault login d password e\n";
        let own = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(find(text, "A.example"), own("u", "p \"x"));
        assert_eq!(find(text, "b"), own("v", "q#1"));
        assert_eq!(find(text, "c"), own("d", "e"));
        assert_eq!(find("machine a login u", "b"), None);
        assert_eq!(find("machine", "b"), None);
        assert_eq!(find("macdef x\nmachine b", "b"), None);
    }
}
