//! Text as JSON has it.

use std::fmt::Write as _;

/// Appends `text`, quoted.
pub(super) fn text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            char if char.is_control() => {
                // Controls beyond ASCII are below U+00A0, so four digits do. Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_written_is_read_back() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain("🌊\u{2028}".chars()).collect();
        let mut out = String::new();
        super::text(&all, &mut out);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), all);
    }
}
