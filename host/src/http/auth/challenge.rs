//! `WWW-Authenticate` taken apart (RFC 9110, 11.6.1).

/// One challenge: a scheme and its parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The challenges in a field's value, as far as it is well formed.
pub(super) fn challenges(value: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((token, after)) = token(rest) else { return found };
        let after_blanks = after.trim_start_matches([' ', '\t']);
        match (after_blanks.strip_prefix('='), found.last_mut()) {
            // A parameter of the last scheme.
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else { return found };
                challenge.params.push((token.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push(Challenge { scheme: token.to_owned(), params: Vec::new() });
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or a quoted string.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_challenges_stand_in_one_field() {
        let found =
            challenges(r#"Newauth realm="apps, \"x\"", type=1 , Basic realm="simple",Digest qop="auth", nonce = "n""#);
        let schemes: Vec<_> = found.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["Newauth", "Basic", "Digest"]);
        assert_eq!(found[0].get("REALM"), Some(r#"apps, "x""#));
        assert_eq!((found[2].get("qop"), found[2].get("nonce")), (Some("auth"), Some("n")));
    }

    #[test]
    fn what_is_malformed_ends_it() {
        for (text, count) in
            [("", 0), ("=", 0), (",,,", 0), ("a=b", 0), ("Basic realm=\"open", 1), ("Basic a=, b", 1), ("\"", 0)]
        {
            assert_eq!(challenges(text).len(), count, "{text}");
        }
    }
}
