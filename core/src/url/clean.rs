//! What Python takes out of a URL before it looks at it: controls and spaces in front, tabs and line ends anywhere.

use super::Error;
use super::scan::cut;

/// The text without the controls and spaces in front of it.
pub(super) fn strip_start(text: &str) -> &str {
    cut(text, text.bytes().position(|byte| byte > b' ').unwrap_or(text.len())).1
}

const fn is_taken_out(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Where the first byte stands that must be taken out. O(length).
pub(super) fn first_taken_out(text: &str) -> Option<usize> {
    text.bytes().position(is_taken_out)
}

/// The clean text, and what is left of the buffer: the text itself where that is clean, else a copy in `buffer`.
///
/// # Errors
/// [`Error::Full`]: the cleaned text does not fit.
pub(super) fn clean<'a>(text: &'a str, buffer: &'a mut [u8]) -> Result<(&'a str, &'a mut [u8]), Error> {
    let text = strip_start(text);
    if first_taken_out(text).is_none() {
        return Ok((text, buffer));
    }
    let mut len = 0;
    for byte in text.bytes().filter(|&byte| !is_taken_out(byte)) {
        *buffer.get_mut(len).ok_or(Error::Full)? = byte;
        len += 1;
    }
    let (copy, rest) = buffer.split_at_mut(len);
    // Whole characters were left out, so what remains is UTF-8 still.
    Ok((core::str::from_utf8(copy).map_err(|_| Error::Full)?, rest))
}
