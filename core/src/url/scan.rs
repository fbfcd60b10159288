//! Finding a few bytes in a text, eight at a time.

/// One in each byte.
const LOW: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const HIGH: u64 = LOW << 7;

/// The highest bit of each byte of `word` that is below `bound`, an ASCII character. A borrow may mark bytes above the
/// first such, never one below it.
pub(super) const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(LOW * bound as u64) & !word & HIGH
}

/// The highest bit of each byte of `word` that is `byte`; as with [`below`] only the lowest is for certain.
pub(super) const fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ (LOW * byte as u64);
    differs.wrapping_sub(LOW) & !differs & HIGH
}

/// The highest bit of each byte of `word` that is no ASCII character.
pub(super) const fn beyond_ascii(word: u64) -> u64 {
    word & HIGH
}

/// Where the first of `bytes` stands that is one of `wanted`. O(length).
pub(super) fn find<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = wanted.iter().fold(0, |hits, &byte| hits | equal(word, byte));
        if hits != 0 {
            return Some(at * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| wanted.contains(byte))?;
    Some(bytes.len() - tail.len() + at)
}

/// Whether `hits` marks any byte. It must mark no `a`. O(length): nothing leaves the loop early.
pub(super) fn has_any(bytes: &[u8], hits: impl Fn(u64) -> u64) -> bool {
    let found = bytes.as_chunks::<8>().0.iter().fold(0, |found, word| found | hits(u64::from_le_bytes(*word)));
    // The last eight bytes, some of them once more; fewer bytes stand in a word of their own.
    let last = match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().fold(LOW * u64::from(b'a'), |word, &byte| word << 8 | u64::from(byte)),
    };
    found | hits(last) != 0
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
        fn tells_whether_one_is_there(text in "[a-z ]{0,40}(\\t|é|\\[)?[a-z\\^_\\]]{0,20}") {
            let bytes = text.as_bytes();
            prop_assert_eq!(has_any(bytes, |word| below(word, b' ')), bytes.iter().any(|byte| *byte < b' '));
            prop_assert_eq!(has_any(bytes, beyond_ascii), !text.is_ascii());
            let brackets = has_any(bytes, |word| equal(word, b'[') | equal(word, b']'));
            prop_assert_eq!(brackets, text.contains(['[', ']']));
        }

        #[test]
        fn finds_what_a_slow_search_finds(bytes in "[a-cà\u{0}\u{7f}-\u{81}]{0,40}", wanted in any::<[u8; 3]>()) {
            for wanted in [wanted, *b"abc", [b'c', 0, 0x7f], [0x80, 0xc3, 1]] {
                let slow = bytes.bytes().position(|byte| wanted.contains(&byte));
                prop_assert_eq!(find(bytes.as_bytes(), wanted), slow);
            }
        }
    }
}
