//! Whether a rule matches a URL (RFC 9309, 2.2.2 and 2.2.3), octet by octet, without a copy of either.

/// The part of a URL that rules are about: path and query, as they are; at least a slash.
pub(super) fn target(url: &str) -> &[u8] {
    let url = url.as_bytes();
    let end = url.iter().position(|byte| *byte == b'#').unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    // After a scheme, if there is one; it cannot have a slash.
    let authority = match url.windows(3).position(|window| window == b"://") {
        Some(colon) if !url.iter().take(colon).any(|byte| b"/?".contains(byte)) => url.get(colon + 3..),
        _ if url.starts_with(b"//") => url.get(2..),
        _ => None,
    };
    let target = match authority {
        Some(rest) => {
            rest.iter().position(|byte| b"/?".contains(byte)).and_then(|at| rest.get(at..)).unwrap_or_default()
        }
        None => url,
    };
    if target.is_empty() { b"/" } else { target }
}

/// The octets of a rule or a target, in the form in which they are compared: those that never need a percent sign
/// without it, those that always do with it, digits in upper case. A rule keeps its `*`, and its `$` at the end; such a
/// character in a target is percent-encoded, so it matches only what is percent-encoded in the rule.
#[derive(Clone)]
struct Octets<'a> {
    rest: &'a [u8],
    /// A byte of which there are still hexadecimal digits to come, and how many.
    byte: u8,
    digits: u8,
    is_rule: bool,
}

impl<'a> Octets<'a> {
    fn of(text: &'a [u8], is_rule: bool) -> Self {
        Self { rest: text, byte: 0, digits: 0, is_rule }
    }
}

impl Iterator for Octets<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.digits > 0 {
            self.digits -= 1;
            let digit = self.byte >> (4 * self.digits) & 15;
            return Some(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 });
        }
        let [byte, rest @ ..] = self.rest else { return None };
        self.rest = rest;
        let byte = match rest {
            [high, low, after @ ..] if *byte == b'%' => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    self.rest = after;
                    let decoded = high << 4 | low;
                    if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
                        return Some(decoded);
                    }
                    decoded
                }
                _ => return Some(b'%'),
            },
            _ if *byte == b'*' && self.is_rule => return Some(b'*'),
            [] if *byte == b'$' && self.is_rule => return Some(b'$'),
            _ if byte.is_ascii_graphic() && *byte != b'*' && *byte != b'$' => return Some(*byte),
            _ => *byte,
        };
        (self.byte, self.digits) = (byte, 2);
        Some(b'%')
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// How many octets the rule has, if it matches the target; at least one.
pub(super) fn matched(rule: &[u8], target: &[u8]) -> Option<usize> {
    let whole = Octets::of(rule, true);
    let (mut pattern, mut text) = (whole.clone(), Octets::of(target, false));
    // What follows the last `*`, and where in the target that was last tried.
    let mut star = None;
    loop {
        let goes_on = match pattern.next() {
            None => return Some(whole.count()),
            Some(b'*') => {
                star = Some((pattern.clone(), text.clone()));
                true
            }
            // A `$` that means the end is the only one that comes out as such.
            Some(b'$') => {
                if text.next().is_none() {
                    return Some(whole.count());
                }
                false
            }
            Some(octet) => text.next() == Some(octet),
        };
        if !goes_on {
            let (after, tried) = star.as_mut()?;
            tried.next()?;
            (pattern, text) = (after.clone(), tried.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_target_is_path_and_query() {
        for (url, expected) in [
            ("http://h/a?b#c", "/a?b"),
            ("http://h", "/"),
            ("http://h?q", "?q"),
            ("http://h#f", "/"),
            ("//h/a", "/a"),
            ("/a://b/c", "/a://b/c"),
            ("/a?x=http://h/", "/a?x=http://h/"),
            ("", "/"),
        ] {
            assert_eq!(target(url), expected.as_bytes(), "{url}");
        }
    }

    fn matches(rule: &str, target: &str) -> bool {
        matched(rule.as_bytes(), target.as_bytes()).is_some()
    }

    #[test]
    fn behaviour_44_rules_are_prefixes_with_stars_and_an_end() {
        for (rule, target) in [
            ("/fish", "/fish.html"),
            ("/fish*.php", "/fishheads/catfish.php?parameters"),
            ("/fish$", "/fish"),
            ("/*$", "/fish"),
            ("/a*b*c$", "/a-b-b-c-c"),
            ("*", "/"),
            ("/a**b", "/ab"),
            ("/$", "/"),
            ("/a$b", "/a$b"),
            ("/%2A%24", "/*$"),
        ] {
            assert!(matches(rule, target), "{rule} {target}");
        }
        for (rule, target) in [
            ("/fish*.php", "/Fish.PHP"),
            ("/fish$", "/fish?id=1"),
            ("/$", "/x"),
            ("/*.php$", "/x.php5"),
            ("/a*b$", "/abc"),
            ("/%2A", "/x"),
            ("fish", "/fish"),
        ] {
            assert!(!matches(rule, target), "{rule} {target}");
        }
    }

    #[test]
    fn behaviour_45_octets_are_compared_encoded_where_that_makes_no_difference() {
        for (rule, target) in [
            ("/ツ", "/%E3%83%84"),
            ("/%e3%83%84", "/ツ"),
            ("/%62%61%7A", "/baz"),
            ("/baz", "/%62%61%7a"),
            ("/a b", "/a%20b"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/%2f", "/%2F"),
        ] {
            assert!(matches(rule, target), "{rule} {target}");
        }
        assert!(!matches("/a%2Fb", "/a/b"));
        assert_eq!(matched("/ツ".as_bytes(), b"/%E3%83%84"), Some(10));
    }

    /// The same by recursion.
    fn slowly(rule: &[u8], target: &[u8]) -> bool {
        match (rule, target) {
            ([], _) | ([b'$'], []) => true,
            ([b'*', rest @ ..], _) => (0..=target.len()).any(|skip| slowly(rest, &target[skip..])),
            ([octet, rest @ ..], [first, after @ ..]) => octet == first && slowly(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_rule_matches_as_it_does_by_recursion(rule in "[ab*]{0,8}\\$?", target in "[ab]{0,12}") {
            prop_assert_eq!(matches(&rule, &target), slowly(rule.as_bytes(), target.as_bytes()));
        }

        #[test]
        fn nothing_panics(rule in prop::collection::vec(any::<u8>(), 0..20), url in "\\PC{0,20}") {
            matched(&rule, target(&url));
        }
    }
}
