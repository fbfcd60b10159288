//! Finding a few bytes in a text, eight at a time.

/// One in each byte.
const LOW: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const HIGH: u64 = LOW << 7;

/// Where the first of `bytes` stands that is one of `wanted`. O(length).
pub(super) fn find<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte of `differs` is zero where `word` has the wanted byte; a borrow may mark bytes above the first such,
        // never one below it.
        let hits = wanted.iter().fold(0, |hits, &byte| {
            let differs = word ^ (LOW * u64::from(byte));
            hits | differs.wrapping_sub(LOW) & !differs
        }) & HIGH;
        if hits != 0 {
            return Some(at * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| wanted.contains(byte))?;
    Some(bytes.len() - tail.len() + at)
}

/// Whether a byte is `wanted`. O(length): the loop has no way out, so that it runs in vectors.
pub(super) fn has(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |found, &byte| found | u8::from(wanted(byte))) != 0
}

/// Cuts `text` before byte `at`, where an ASCII character stands that was found, or where the text ends.
pub(super) fn cut(text: &str, at: usize) -> (&str, &str) {
    // No character is cut beside an ASCII one, so the second half of this line is never taken.
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// Cuts `text` at the first `separator`, an ASCII character that belongs to neither part.
pub(super) fn partition(text: &str, separator: u8) -> (&str, Option<&str>) {
    match find(text.as_bytes(), [separator]) {
        Some(at) => (cut(text, at).0, Some(cut(text, at + 1).1)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_slow_search_finds(bytes in "[a-cà\u{0}\u{7f}-\u{81}]{0,40}", wanted in any::<[u8; 3]>()) {
            for wanted in [wanted, *b"abc", [b'c', 0, 0x7f], [0x80, 0xc3, 1]] {
                let slow = bytes.bytes().position(|byte| wanted.contains(&byte));
                prop_assert_eq!(find(bytes.as_bytes(), wanted), slow);
            }
        }
    }
}
