//! What Unicode says about a character, read from [`tables`](super::tables).
//!
//! The code points are cut into runs of which one value tells. A run is found by binary search among the starts of its
//! plane, so a look-up takes about twelve steps. A value is a kind in its upper three bits and a number in the others:
//!
//! | kind | what each code point of the run is | number |
//! |---|---|---|
//! | 0 | kept, ignored, not allowed; or capital and small letters in turn, a capital mapped to what follows it | the class, or 256 and above |
//! | 1 to 5 | mapped to so many UTF-16 units | where the first one's stand in the pool |
//! | 6 | mapped to a longer text | where its length stands in the pool, and then the text |
//! | 7 | mapped to one character, the next to that one's successor | where the first one's stands in the pool |

use super::tables::{CLASSES, COMPOSED, ENDS, FIRSTS, PLANES, POOL, SECONDS, STARTS, VALUES};

const NUMBER: u16 = 0x1fff;
const ALTERNATING: u16 = 256;
const IGNORED: u16 = 257;

/// What UTS 46 makes of a code point (its section 5), not transitional.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It may stand in a label.
    Valid(Class),
    /// It is left out.
    Ignored,
    /// It makes the domain invalid.
    Disallowed,
    /// Another stands for it.
    Char(char),
    /// A text stands for it, in UTF-16. It is in normal form C, as is every valid character.
    Text(&'static [u16]),
}

/// All that is asked of a character in a label: combining class and, from the lowest bit, three for the [`Bidi`] class, then
/// mark, joins the next, joins the previous, transparent, composes with a starter before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class(u16);

/// Bidi classes as RFC 5893 tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Bidi {
    Left,
    /// R and AL.
    Right,
    ArabicNumber,
    EuropeanNumber,
    /// ES, CS, ET, ON and BN.
    Neutral,
    NonspacingMark,
    Other,
}

impl Class {
    const LETTER: Self = Self(0);

    pub(super) const fn combining(self) -> u8 {
        (self.0 >> 8) as u8
    }

    pub(super) const fn bidi(self) -> Bidi {
        match self.0 & 7 {
            0 => Bidi::Left,
            1 => Bidi::Right,
            2 => Bidi::ArabicNumber,
            3 => Bidi::EuropeanNumber,
            4 => Bidi::Neutral,
            5 => Bidi::NonspacingMark,
            _ => Bidi::Other,
        }
    }

    pub(super) const fn is_mark(self) -> bool {
        self.0 & 1 << 3 != 0
    }

    /// Joining types L and D.
    pub(super) const fn joins_next(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// Joining types R and D.
    pub(super) const fn joins_previous(self) -> bool {
        self.0 & 1 << 5 != 0
    }

    /// Joining type T.
    pub(super) const fn is_transparent(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    /// Whether a text without such characters is in normal form C.
    pub(super) const fn keeps_normal(self) -> bool {
        self.combining() == 0 && self.0 & 1 << 7 == 0
    }
}

pub(super) fn fate(c: char) -> Fate {
    if c.is_ascii_lowercase() {
        return Fate::Valid(Class::LETTER);
    }
    look_up(c).unwrap_or(Fate::Disallowed)
}

/// The class of a character that is valid.
pub(super) fn class(c: char) -> Class {
    match fate(c) {
        Fate::Valid(class) => class,
        _ => Class::LETTER,
    }
}

/// Nothing where the code point has no run or no character, as in the planes that have none at all.
fn look_up(c: char) -> Option<Fate> {
    let (plane, low) = split(c);
    let from = usize::from(*PLANES.get(plane)?);
    let starts = STARTS.get(from..usize::from(*PLANES.get(plane + 1)?))?;
    let run = starts.partition_point(|start| *start <= low).checked_sub(1)?;
    let nth = usize::from(low.checked_sub(*starts.get(run)?)?);
    let value = *VALUES.get(from + run)?;
    let number = value & NUMBER;
    let pool = POOL.get(usize::from(number)..);
    Some(match value >> 13 {
        0 => match number {
            ALTERNATING if nth % 2 == 0 => Fate::Char(char::from_u32(u32::from(c) + 1)?),
            ALTERNATING => Fate::Valid(Class::LETTER),
            IGNORED => Fate::Ignored,
            class => Fate::Valid(Class(*CLASSES.get(usize::from(class))?)),
        },
        6 => {
            let (length, rest) = pool?.split_first()?;
            Fate::Text(rest.get(..usize::from(*length))?)
        }
        7 => {
            let first = char::decode_utf16(pool?.iter().copied()).next()?.ok()?;
            Fate::Char(char::from_u32(u32::from(first) + nth as u32)?)
        }
        length => {
            let length = usize::from(length);
            Fate::Text(pool?.get(nth * length..)?.get(..length)?)
        }
    })
}

/// The character that two make, in normal form C.
pub(super) fn compose(first: char, second: char) -> Option<char> {
    hangul::compose(first, second).or_else(|| {
        let (plane, low) = split(first);
        let group = SECONDS.binary_search(&((plane as u32) << 24 | u32::from(second))).ok()?;
        let end = usize::from(*ENDS.get(group)?);
        let start = group.checked_sub(1).and_then(|before| ENDS.get(before)).map_or(0, |end| usize::from(*end));
        let pair = start + FIRSTS.get(start..end)?.binary_search(&low).ok()?;
        join(plane, *COMPOSED.get(pair)?)
    })
}

/// The two characters that one is made of; the second is made of no others.
pub(super) fn decompose(c: char) -> Option<(char, char)> {
    if c.is_ascii() {
        return None;
    }
    hangul::decompose(c).or_else(|| {
        let (plane, low) = split(c);
        let of_plane = |group: &usize| SECONDS.get(*group).is_some_and(|second| (second >> 24) as usize == plane);
        // The same lower half may be composed in two planes.
        COMPOSED.iter().enumerate().filter(|(_, composed)| **composed == low).find_map(|(pair, _)| {
            let group = Some(ENDS.partition_point(|end| usize::from(*end) <= pair)).filter(of_plane)?;
            Some((join(plane, *FIRSTS.get(pair)?)?, char::from_u32(SECONDS.get(group)? & 0x1f_ffff)?))
        })
    })
}

/// Plane and place in it.
const fn split(c: char) -> (usize, u16) {
    ((c as u32 >> 16) as usize, c as u16)
}

fn join(plane: usize, low: u16) -> Option<char> {
    char::from_u32((plane as u32) << 16 | u32::from(low))
}

/// Syllables of the Korean script, which follow one another as their parts do (the Unicode Standard, section 3.12).
mod hangul {
    const SYLLABLES: u32 = 0xac00;
    const LEADING: u32 = 0x1100;
    const VOWELS: u32 = 0x1161;
    /// One before the first: the lack of a trailing consonant counts as one.
    const TRAILING: u32 = 0x11a7;
    const LEADING_COUNT: u32 = 19;
    const VOWEL_COUNT: u32 = 21;
    const TRAILING_COUNT: u32 = 28;

    /// How far `c` is behind `from`, if it is one of the `count` from there on.
    fn nth(c: char, from: u32, count: u32) -> Option<u32> {
        u32::from(c).checked_sub(from).filter(|nth| *nth < count)
    }

    fn syllable(c: char) -> Option<u32> {
        nth(c, SYLLABLES, LEADING_COUNT * VOWEL_COUNT * TRAILING_COUNT)
    }

    pub(super) fn compose(first: char, second: char) -> Option<char> {
        if let Some(leading) = nth(first, LEADING, LEADING_COUNT) {
            let vowel = nth(second, VOWELS, VOWEL_COUNT)?;
            return char::from_u32(SYLLABLES + (leading * VOWEL_COUNT + vowel) * TRAILING_COUNT);
        }
        syllable(first).filter(|syllable| syllable % TRAILING_COUNT == 0)?;
        let trailing = nth(second, TRAILING, TRAILING_COUNT).filter(|trailing| *trailing > 0)?;
        char::from_u32(u32::from(first) + trailing)
    }

    pub(super) fn decompose(c: char) -> Option<(char, char)> {
        let syllable = syllable(c)?;
        let trailing = syllable % TRAILING_COUNT;
        let (first, second) = if trailing == 0 {
            let pair = syllable / TRAILING_COUNT;
            (LEADING + pair / VOWEL_COUNT, VOWELS + pair % VOWEL_COUNT)
        } else {
            (SYLLABLES + syllable - trailing, TRAILING + trailing)
        };
        Some((char::from_u32(first)?, char::from_u32(second)?))
    }
}
