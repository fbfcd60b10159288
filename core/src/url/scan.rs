//! Finding a few bytes in a text, as many at a time as the processor's word holds.

/// So many bytes of a text, the first of them lowest.
pub(super) type Word = usize;
/// Bytes in a word.
pub(super) const BYTES: usize = size_of::<Word>();

/// One in each byte.
const LOW: Word = Word::MAX / 255;
/// The highest bit of each byte.
const HIGH: Word = LOW << 7;

/// The highest bit of each byte of `word` that is below `bound`, an ASCII character. A borrow may mark bytes above the
/// first such, never one below it.
pub(super) const fn below(word: Word, bound: u8) -> Word {
    word.wrapping_sub(LOW * bound as Word) & !word & HIGH
}

/// The highest bit of each byte of `word` that is `byte`, ASCII; as with [`below`] only the lowest is for certain.
pub(super) const fn equal(word: Word, byte: u8) -> Word {
    (word ^ (LOW * byte as Word)).wrapping_sub(LOW) & !word & HIGH
}

/// The highest bit of each byte of `word` that is no ASCII character.
pub(super) const fn beyond_ascii(word: Word) -> Word {
    word & HIGH
}

/// Where the first of `bytes` stands that is one of `wanted`. O(length).
pub(crate) fn find<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    find_noting(bytes, wanted, |_| 0, &mut 0)
}

/// As [`find`], and adds to `noted` what `note` marks up to the place, itself included. It must mark no `a`.
#[inline]
pub(super) fn find_noting<const N: usize>(
    bytes: &[u8],
    wanted: [u8; N],
    note: impl Fn(Word) -> Word,
    noted: &mut Word,
) -> Option<usize> {
    let mut look = |word| {
        let hits = wanted.iter().fold(0, |hits, &byte| hits | equal(word, byte));
        let notes = note(word);
        if hits | notes == 0 {
            return None;
        }
        // All up to the lowest hit; all, where there is none.
        *noted |= notes & (hits ^ hits.wrapping_sub(1));
        (hits != 0).then_some(hits.trailing_zeros() as usize / 8)
    };
    let (words, tail) = bytes.as_chunks::<BYTES>();
    for (at, word) in words.iter().enumerate() {
        if let Some(byte) = look(Word::from_le_bytes(*word)) {
            return Some(at * BYTES + byte);
        }
    }
    if tail.is_empty() {
        return None;
    }
    look(last_word(bytes, tail)).filter(|at| *at < tail.len()).map(|at| bytes.len() - tail.len() + at)
}

/// The `tail` of `bytes`, less than a word and more than nothing: behind it stand `a`s.
fn last_word(bytes: &[u8], tail: &[u8]) -> Word {
    const FILL: Word = LOW * b'a' as Word;
    match bytes.last_chunk() {
        Some(last) => Word::from_le_bytes(*last) >> (8 * (BYTES - tail.len())) | FILL << (8 * tail.len()),
        None => tail.iter().rev().fold(FILL, |word, &byte| word << 8 | Word::from(byte)),
    }
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
        fn notes_what_stands_up_to_the_place(text in "[a-z ]{0,40}(\\t|é|\\[|\\?|\u{0}){0,3}[a-z\\^_\\]]{0,20}", wanted in "[b?\u{0}]") {
            let (bytes, wanted) = (text.as_bytes(), wanted.as_bytes()[0]);
            let noted = |note: fn(Word) -> Word| {
                let mut noted = 0;
                let at = find_noting(bytes, [wanted], note, &mut noted);
                (at, noted != 0)
            };
            let at = bytes.iter().position(|byte| *byte == wanted);
            let seen = &bytes[..at.map_or(bytes.len(), |at| at + 1)];
            prop_assert_eq!(noted(|word| below(word, b' ')), (at, seen.iter().any(|byte| *byte < b' ')));
            prop_assert_eq!(noted(beyond_ascii), (at, !seen.is_ascii()));
            let brackets = noted(|word| equal(word, b'[') | equal(word, b']'));
            prop_assert_eq!(brackets, (at, seen.contains(&b'[') || seen.contains(&b']')));
        }

        #[test]
        fn finds_what_a_slow_search_finds(bytes in "[a-cà\u{0}\u{7f}-\u{81}]{0,40}", wanted in any::<[u8; 3]>()) {
            for wanted in [wanted.map(|byte| byte & 0x7f), *b"abc", [b'c', 0, 0x7f], [0x7e, 0x20, 1]] {
                let slow = bytes.bytes().position(|byte| wanted.contains(&byte));
                prop_assert_eq!(find(bytes.as_bytes(), wanted), slow);
            }
        }
    }
}
