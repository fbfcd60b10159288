//! What a call answers, as JSON for programs and as lines for people.

use std::fmt::{Display, Write};

use crate::json;

/// Where answers are written, one after another, each once.
pub(super) struct Answer {
    /// What was written so far.
    pub(super) text: String,
    pub(super) plain: bool,
}

impl Answer {
    /// A text.
    pub(super) fn text(&mut self, value: &str) {
        if self.plain {
            self.text.push_str(&crate::printable(value));
            self.text.push('\n');
        } else {
            json::quote(value, &mut self.text);
        }
    }

    /// A text that displays itself.
    pub(super) fn shown(&mut self, value: &impl Display) {
        if self.plain {
            self.text(&value.to_string());
        } else {
            self.text.push('"');
            // Writing to a string cannot fail.
            let _ = write!(json::Escaped(&mut self.text), "{value}");
            self.text.push('"');
        }
    }

    /// Bytes, in hexadecimal.
    pub(super) fn bytes(&mut self, bytes: impl Iterator<Item = u8>) {
        self.text.push_str(if self.plain { "" } else { r#"{"b":""# });
        for byte in bytes {
            // As above.
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push_str(if self.plain { "\n" } else { r#""}"# });
    }

    /// An object, whose fields the closure writes.
    pub(super) fn object(&mut self, fields: impl FnOnce(&mut Fields<'_>)) {
        self.enclosed('{', '}', |answer| fields(&mut Fields(answer, "")));
    }

    /// A list, whose items the closure writes.
    pub(super) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.enclosed('[', ']', |answer| {
            for (at, value) in items.into_iter().enumerate() {
                if at > 0 && !answer.plain {
                    answer.text.push(',');
                }
                item(answer, value);
            }
        });
    }

    fn enclosed(&mut self, open: char, close: char, content: impl FnOnce(&mut Self)) {
        if !self.plain {
            self.text.push(open);
        }
        content(self);
        if !self.plain {
            self.text.push(close);
        }
    }
}

/// The fields of an object under construction: for people a line each, without those that are absent.
pub(super) struct Fields<'o>(&'o mut Answer, &'static str);

impl Fields<'_> {
    /// The answer, after a field's name that anything may stand in: its value follows.
    pub(super) fn any_key(&mut self, name: &str) -> &mut Answer {
        if self.0.plain {
            return self.key(&crate::printable(name));
        }
        let mut escaped = String::new();
        // Writing to a string cannot fail.
        let _ = json::Escaped(&mut escaped).write_str(name);
        self.key(&escaped)
    }

    /// The answer, after a field's name that needs no escapes: its value follows.
    fn key(&mut self, name: &str) -> &mut Answer {
        if self.0.plain {
            let _ = write!(self.0.text, "{name:<9} ");
        } else {
            for part in [self.1, "\"", name, "\":"] {
                self.0.text.push_str(part);
            }
            self.1 = ",";
        }
        self.0
    }

    /// A text that may be absent.
    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.key(name).text(value),
            None => self.null(name),
        }
    }

    /// A text that displays itself and may be absent.
    pub(super) fn shown(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.key(name).shown(&value),
            None => self.null(name),
        }
    }

    /// A number that may be absent, or in place of which there is an error.
    pub(super) fn number(&mut self, name: &str, value: Result<Option<u16>, impl Display>) {
        match value {
            Ok(None) => self.null(name),
            Ok(Some(number)) => {
                let answer = self.key(name);
                let end = if answer.plain { "\n" } else { "" };
                let _ = write!(answer.text, "{number}{end}");
            }
            Err(error) if self.0.plain => self.key(name).text(&format!("error: {error}")),
            Err(error) => self.key(name).object(|fields| fields.shown("error", Some(error))),
        }
    }

    fn null(&mut self, name: &str) {
        if !self.0.plain {
            self.key(name).text.push_str("null");
        }
    }
}
