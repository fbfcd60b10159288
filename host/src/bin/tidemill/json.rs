//! JSON lines: one object a line, built field by field. Escaping is all there is to it.

use std::fmt::{Display, Write};

/// One JSON object under construction.
pub(crate) struct Object(String);

impl Object {
    /// An object without fields.
    pub(crate) fn new() -> Self {
        Self("{".into())
    }

    /// An object that starts with `"event": name`.
    pub(crate) fn event(name: &str) -> Self {
        Self::new().text("event", name)
    }

    /// Adds a string.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        quote(value, &mut self.0);
        self
    }

    /// Adds a number, which is written as it is displayed.
    pub(crate) fn number(self, key: &str, value: impl Display) -> Self {
        self.raw(key, &value.to_string())
    }

    /// Adds a number, or `null`.
    pub(crate) fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.number(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// Adds a list of objects.
    pub(crate) fn list(mut self, key: &str, values: impl IntoIterator<Item = Object>) -> Self {
        self.key(key);
        self.0.push('[');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.0.push_str(&value.finish());
        }
        self.0.push(']');
        self
    }

    /// The text of the object.
    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn raw(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.0.push_str(value);
        self
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(key, &mut self.0);
        self.0.push(':');
    }
}

/// Appends `text` as a JSON string (RFC 8259, 7).
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// Escapes what is written into it, for the inside of a JSON string.
pub(crate) struct Escaped<'o>(pub(crate) &'o mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(text, self.0);
        Ok(())
    }
}

fn escape(mut text: &str, out: &mut String) {
    while let Some(at) = first_suspect(text.as_bytes()) {
        let (plain, rest) = text.split_at(at);
        out.push_str(plain);
        let mut rest = rest.chars();
        rest.next().into_iter().for_each(|character| escape_character(character, out));
        text = rest.as_str();
    }
    out.push_str(text);
}

/// Where the first byte stands that may have to be escaped. Whole chunks are passed over in vectors.
fn first_suspect(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<16>();
    let plain = |chunk: &[u8; 16]| chunk.iter().fold(0, |found, byte| found | u8::from(may_need_escape(*byte))) == 0;
    let start = chunks.iter().take_while(|chunk| plain(chunk)).count() * 16;
    bytes[start..].iter().position(|byte| may_need_escape(*byte)).map(|at| start + at)
}

/// Whether a character that starts with `byte` may have to be escaped. Others of its characters may not.
const fn may_need_escape(byte: u8) -> bool {
    matches!(byte, ..b' ' | b'"' | b'\\' | 0x7f | 0xc2 | 0xe2)
}

fn escape_character(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // Controls must be escaped; U+2028 and U+2029 end lines for some readers of lines.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_fields_in_order() {
        let parts = (0..2).map(|n| Object::new().number("n", n));
        let object = Object::event("x").maybe("total", None::<u64>).maybe("done", Some(7)).list("parts", parts);
        assert_eq!(object.finish(), r#"{"event":"x","total":null,"done":7,"parts":[{"n":0},{"n":1}]}"#);
        assert_eq!(Object::new().finish(), "{}");
    }

    #[test]
    fn a_hostile_text_stays_one_string_on_one_line() {
        let text = "a\"b\\c\r\n\t\0\u{1b}[2J\u{9b}\u{2028} é🌊";
        let expected = r#"{"t":"a\"b\\c\r\n\t\u0000\u001b[2J\u009b\u2028 é🌊"}"#;
        assert_eq!(Object::new().text("t", text).finish(), expected);
    }
}
