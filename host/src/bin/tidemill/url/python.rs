//! Values as Python prints them: `str(value)`, which `urlencode` takes where it wants text.

use std::fmt::{self, Display, Formatter, Write};

use super::call::Arg;

/// Displays a value as Python's `str` does.
pub(super) struct Str<'v, 'a>(pub(super) &'v Arg<'a>);

impl Display for Str<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Arg::Text(text) => f.write_str(text),
            value => Repr(value).fmt(f),
        }
    }
}

/// Displays a value as Python's `repr` does.
struct Repr<'v, 'a>(&'v Arg<'a>);

impl Display for Repr<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Arg::Null => f.write_str("None"),
            Arg::Bool(true) => f.write_str("True"),
            Arg::Bool(false) => f.write_str("False"),
            Arg::Int(value) => value.fmt(f),
            Arg::Float(value) => float(*value, f),
            Arg::Text(text) => quoted(text, is_printable, f),
            Arg::Bytes(bytes) => {
                f.write_char('b')?;
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                quoted(&text, |c| is_printable(c) && c.is_ascii(), f)
            }
            Arg::List(list) => {
                f.write_char('[')?;
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { ", " } else { "" }, Repr(value))?;
                }
                f.write_char(']')
            }
            Arg::Map(map) => {
                f.write_char('{')?;
                for (at, (key, value)) in map.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    quoted(key, is_printable, f)?;
                    write!(f, ": {}", Repr(value))?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Whether Python shows a character as itself: what Rust's `Debug` does is the same but for a few of the newest.
fn is_printable(character: char) -> bool {
    !matches!(character, '\\' | '\'' | '"') && character.escape_debug().count() == 1
}

/// `text` in single quotes, or in double ones where it has single ones only.
fn quoted(text: &str, is_plain: impl Fn(char) -> bool, f: &mut Formatter<'_>) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    f.write_char(quote)?;
    for character in text.chars() {
        match (character, u32::from(character)) {
            ('\\', _) => f.write_str("\\\\")?,
            ('\n', _) => f.write_str("\\n")?,
            ('\r', _) => f.write_str("\\r")?,
            ('\t', _) => f.write_str("\\t")?,
            ('\'' | '"', _) if character == quote => write!(f, "\\{character}")?,
            ('\'' | '"', _) => f.write_char(character)?,
            _ if is_plain(character) => f.write_char(character)?,
            (_, code @ ..0x100) => write!(f, "\\x{code:02x}")?,
            (_, code @ ..0x1_0000) => write!(f, "\\u{code:04x}")?,
            (_, code) => write!(f, "\\U{code:08x}")?,
        }
    }
    f.write_char(quote)
}

/// The shortest digits that mean the same number, with at least two digits of exponent.
fn float(value: f64, f: &mut Formatter<'_>) -> fmt::Result {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => f.write_str(&text),
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => write!(f, "{digits}e-{exponent:0>2}"),
            None => write!(f, "{digits}e+{exponent:0>2}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_python_does() {
        for (json, printed) in [
            (r#""a'b""#, "a'b"),
            (r#"["1","2"]"#, "['1', '2']"),
            (r#"["a'b","a'\"b","\\","é\u200b\n\u0001🌊"]"#, r#"["a'b", 'a\'"b', '\\', 'é\u200b\n\x01🌊']"#),
            (r"[null,true,false,1,-2]", "[None, True, False, 1, -2]"),
            (r"[1.0,1e16,0.0001,0.00001,1.5e-7]", "[1.0, 1e+16, 0.0001, 1e-05, 1.5e-07]"),
            (r#"{"a":{"b":"6100"},"c":[]}"#, "{'a': {'b': '6100'}, 'c': []}"),
        ] {
            let value: Arg<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(Str(&value).to_string(), printed);
        }
        assert_eq!(Str(&Arg::Bytes(b"a\0\xff'".to_vec())).to_string(), r#"b"a\x00\xff'""#);
    }
}
