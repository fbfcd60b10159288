//! Makes the tables of core's UTS 46 from the Unicode data that ICU4X's crates carry:
//!
//! ```text
//! cargo run -p tidemill-tests --example idna_tables > core/src/url/idna/tables.rs
//! ```
//!
//! A test makes them anew and compares: `tests/tests/idna_conformance.rs`. What the tables mean is told where they are
//! read, in `core/src/url/idna/table.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use icu_normalizer::properties::{
    CanonicalCombiningClassMapBorrowed, CanonicalCompositionBorrowed, CanonicalDecompositionBorrowed, Decomposed,
};
use icu_normalizer::uts46::Uts46MapperBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{BidiClass, GeneralCategory, JoiningType};

/// What the data crates' README files say, and a character that this version of Unicode was the first to have.
const UNICODE: (&str, char) = ("18.0.0", '\u{558}');

fn main() {
    print!("{}", generate());
}

/// What UTS 46 makes of a code point. Each kind but the first two is a run: of code points with one class, or of such as
/// are mapped in one way.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fate {
    Disallowed,
    Ignored,
    Valid(u8),
    Mapped(Vec<u16>),
}

/// Values of `VALUES`: the kind in the upper three bits, where in the pool in the others.
const KIND: u32 = 13;
const COUNTED: u16 = 7 << KIND;
const PREFIXED: u16 = 6 << KIND;
const LONGEST: usize = 5;
/// Kind 0 has no place in the pool: a class, or one of these.
const ALTERNATING: u16 = 256;
const IGNORED: u16 = 257;
const DISALLOWED: u16 = 258;

/// The bidi classes that RFC 5893 tells apart.
fn bidi(class: BidiClass) -> u8 {
    match class {
        BidiClass::LeftToRight => 0,
        BidiClass::RightToLeft | BidiClass::ArabicLetter => 1,
        BidiClass::ArabicNumber => 2,
        BidiClass::EuropeanNumber => 3,
        BidiClass::EuropeanSeparator
        | BidiClass::CommonSeparator
        | BidiClass::EuropeanTerminator
        | BidiClass::OtherNeutral
        | BidiClass::BoundaryNeutral => 4,
        BidiClass::NonspacingMark => 5,
        _ => 6,
    }
}

/// Everything that is asked of a character that may stand in a label: its combining class, and the bits of a class.
fn properties(c: char, joins_backward: bool) -> (u8, u8) {
    let mark = matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
    );
    let joining = match CodePointMapData::<JoiningType>::new().get(c) {
        JoiningType::LeftJoining => 1 << 4,
        JoiningType::RightJoining => 1 << 5,
        JoiningType::DualJoining => 3 << 4,
        JoiningType::Transparent => 1 << 6,
        _ => 0,
    };
    let bits = bidi(CodePointMapData::<BidiClass>::new().get(c))
        | u8::from(mark) << 3
        | joining
        | u8::from(joins_backward) << 7;
    (CanonicalCombiningClassMapBorrowed::new().get_u8(c), bits)
}

/// Of every character that two others compose to: those two. Hangul is left to arithmetic.
fn compositions() -> BTreeMap<char, (char, char)> {
    let (composition, decomposition) = (CanonicalCompositionBorrowed::new(), CanonicalDecompositionBorrowed::new());
    let mapper = Uts46MapperBorrowed::new();
    let mut pairs = BTreeMap::new();
    for c in ('\0'..=char::MAX).filter(|c| !('\u{ac00}'..='\u{d7a3}').contains(c)) {
        if let Decomposed::Expansion(first, second) = decomposition.decompose(c) {
            // What is never composed, and capital letters, are mapped before anything is composed.
            if mapper.map_normalize([c].into_iter()).eq([c]) {
                assert_eq!(composition.compose(first, second), Some(c));
                assert!(!matches!(decomposition.decompose(second), Decomposed::Expansion(..)), "{second}");
                pairs.insert(c, (first, second));
            }
        }
    }
    pairs
}

/// The tables' text.
pub(crate) fn generate() -> String {
    let compositions = compositions();
    let seconds: BTreeSet<char> = compositions.values().map(|pair| pair.1).collect();
    let jamo = |c| ('\u{1161}'..='\u{1175}').contains(&c) || ('\u{11a8}'..='\u{11c2}').contains(&c);
    let mut classes = vec![properties('a', false)];
    let mapper = Uts46MapperBorrowed::new();
    let fates: Vec<Fate> = (0..=u32::from(char::MAX))
        .map(|code| {
            let Some(c) = char::from_u32(code) else { return Fate::Disallowed };
            let mapped: String = mapper.map_normalize([c].into_iter()).collect();
            if mapped.contains('\u{fffd}') {
                return Fate::Disallowed;
            }
            if mapped.chars().eq([c]) {
                assert!(mapper.normalize_validate([c].into_iter()).eq([c]), "{c} is kept, but not valid");
                let class = properties(c, seconds.contains(&c) || jamo(c));
                let index = classes.iter().position(|known| *known == class).unwrap_or_else(|| {
                    classes.push(class);
                    classes.len() - 1
                });
                return Fate::Valid(index.try_into().expect("fewer than 256 classes"));
            }
            if mapped.is_empty() { Fate::Ignored } else { Fate::Mapped(mapped.encode_utf16().collect()) }
        })
        .collect();
    assert!(fates[UNICODE.1 as usize] != Fate::Disallowed, "older than Unicode {}", UNICODE.0);
    // So what was composed need not be looked at again.
    for (composed, (first, second)) in &compositions {
        for c in [composed, first, second] {
            assert!(matches!(fates[*c as usize], Fate::Valid(_)), "{c:?} is part of a composition, but not valid");
        }
        assert_eq!(u32::from(*composed) >> 16, u32::from(*first) >> 16);
    }
    let runs = runs(&fates);
    let pool = pool(&runs);
    let mut out = head();
    let plane = |code: usize| code >> 16;
    let planes = (0..=17).map(|wanted| runs.partition_point(|run| plane(run.start) < wanted));
    table(&mut out, "PLANES", "u16", "Where each plane's runs begin.", planes);
    table(&mut out, "STARTS", "u16", "Where each run begins in its plane.", runs.iter().map(|run| run.start & 0xffff));
    table(&mut out, "VALUES", "u16", "What each run is.", runs.iter().map(|run| run.value(&pool)));
    table(&mut out, "POOL", "u16", "What is mapped to, in UTF-16.", pool.iter());
    let classes = classes.iter().map(|(combining, bits)| u16::from(*combining) << 8 | u16::from(*bits));
    table(&mut out, "CLASSES", "u16", "Combining class and bits of each class.", classes);
    let mut groups: BTreeMap<u32, Vec<(char, char)>> = BTreeMap::new();
    for (composed, (first, second)) in compositions {
        let plane = u32::from(first) >> 16;
        groups.entry(plane << 24 | u32::from(second)).or_default().push((first, composed));
    }
    for group in groups.values_mut() {
        group.sort_unstable();
    }
    let ends = groups.values().scan(0, |end, group| {
        *end += group.len();
        Some(*end)
    });
    let pairs: Vec<_> = groups.values().flatten().collect();
    let low = |c: char| u32::from(c) & 0xffff;
    let what = "What composes with a character before it, and above its bits the plane of that character.";
    table(&mut out, "SECONDS", "u32", what, groups.keys());
    table(&mut out, "ENDS", "u16", "Where the pairs of each of them end.", ends);
    table(&mut out, "FIRSTS", "u16", "The first of each pair, in its plane.", pairs.iter().map(|pair| low(pair.0)));
    table(&mut out, "COMPOSED", "u16", "What it becomes, in the same plane.", pairs.iter().map(|pair| low(pair.1)));
    out
}

/// Code points from `start` on that one value tells about.
struct Run {
    start: usize,
    kind: Kind,
}

enum Kind {
    Value(u16),
    /// Each is mapped to so many units of these, one after another.
    Units(Vec<u16>, usize),
    /// The first is mapped to this character, the next to its successor, and so on.
    Counted(Vec<u16>),
    /// One that is mapped to many.
    Prefixed(Vec<u16>),
}

impl Run {
    /// What stands in the pool for it.
    fn pooled(&self) -> Vec<u16> {
        match &self.kind {
            Kind::Value(_) => vec![],
            Kind::Units(units, _) | Kind::Counted(units) => units.clone(),
            Kind::Prefixed(units) => std::iter::once(units.len() as u16).chain(units.iter().copied()).collect(),
        }
    }

    fn value(&self, pool: &[u16]) -> u16 {
        let kind = match &self.kind {
            Kind::Value(value) => return *value,
            Kind::Units(_, length) => (*length as u16) << KIND,
            Kind::Counted(_) => COUNTED,
            Kind::Prefixed(_) => PREFIXED,
        };
        let pooled = self.pooled();
        let at = pool.windows(pooled.len()).position(|window| window == pooled).expect("all are in the pool");
        assert!(at < 1 << KIND, "the pool is too large");
        kind | at as u16
    }
}

/// How many code points from `start` on are mapped to one character that counts up with them.
fn counted(fates: &[Fate], start: usize) -> usize {
    let single = |fate: &Fate| match fate {
        Fate::Mapped(units) => match String::from_utf16_lossy(units).chars().collect::<Vec<_>>()[..] {
            [c] => Some(u32::from(c)),
            _ => None,
        },
        _ => None,
    };
    let Some(first) = single(&fates[start]) else { return 0 };
    (first..).zip(&fates[start..]).take_while(|(next, fate)| single(fate) == Some(*next)).count()
}

/// How many code points from `start` on are pairs of a capital letter and its small one.
fn alternating(fates: &[Fate], start: usize) -> usize {
    let pair = |at: usize| {
        let small = (at + 1) as u16;
        matches!(fates.get(at..at + 2), Some([Fate::Mapped(to), Fate::Valid(0)]) if at < 0xffff && *to == [small])
    };
    2 * (start..).step_by(2).take_while(|at| pair(*at)).count()
}

fn runs(fates: &[Fate]) -> Vec<Run> {
    let mut runs = vec![];
    let mut start = 0;
    while start < fates.len() {
        let plane = &fates[..=(start | 0xffff)];
        let same = || plane[start..].iter().take_while(|fate| **fate == plane[start]).count();
        let (kind, length) = match &plane[start] {
            Fate::Disallowed => (Kind::Value(DISALLOWED), same()),
            Fate::Ignored => (Kind::Value(IGNORED), same()),
            Fate::Valid(class) => (Kind::Value(u16::from(*class)), same()),
            Fate::Mapped(_) if alternating(plane, start) > 0 => (Kind::Value(ALTERNATING), alternating(plane, start)),
            Fate::Mapped(to) if counted(plane, start) >= 4 => (Kind::Counted(to.clone()), counted(plane, start)),
            Fate::Mapped(to) if to.len() > LONGEST => (Kind::Prefixed(to.clone()), 1),
            Fate::Mapped(to) => {
                let mut units = to.clone();
                let mut end = start + 1;
                while let Some(Fate::Mapped(next)) = plane.get(end) {
                    if next.len() != to.len() || counted(plane, end) >= 4 || alternating(plane, end) >= 4 {
                        break;
                    }
                    units.extend(next);
                    end += 1;
                }
                (Kind::Units(units, to.len()), end - start)
            }
        };
        runs.push(Run { start, kind });
        start += length;
    }
    // Planes without any character need no run.
    let empty = |code: usize| fates[code..][..0x10000].iter().all(|fate| *fate == Fate::Disallowed);
    runs.retain(|run| run.start & 0xffff != 0 || !empty(run.start));
    runs
}

/// One text that has each run's in it: the next to be joined is always the one that begins most as the others end.
fn pool(runs: &[Run]) -> Vec<u16> {
    let mut all: Vec<_> = runs.iter().map(Run::pooled).filter(|text| !text.is_empty()).collect();
    all.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    let holds = |whole: &[u16], part: &[u16]| whole.windows(part.len()).any(|window| window == part);
    let mut texts: Vec<Vec<u16>> = vec![];
    for text in all {
        if !texts.iter().any(|longer| holds(longer, &text)) {
            texts.push(text);
        }
    }
    let mut pool = vec![];
    while !texts.is_empty() {
        let overlap = |text: &[u16]| (0..text.len()).rev().find(|length| pool.ends_with(&text[..*length])).unwrap_or(0);
        let overlaps: Vec<_> = texts.iter().map(|text| overlap(text)).collect();
        let most = (0..texts.len()).rev().max_by_key(|next| overlaps[*next]).expect("texts are left");
        pool.extend(&texts.remove(most)[overlaps[most]..]);
    }
    pool
}

fn head() -> String {
    format!(
        "//! Made by `cargo run -p tidemill-tests --example idna_tables`: not to be edited.\n\
         //!\n\
         //! Derived from Unicode {} (IdnaMappingTable, UnicodeData, DerivedBidiClass, DerivedJoiningType), as it comes with\n\
         //! ICU4X 2.4 (crates `icu_normalizer_data` and `icu_properties_data`). Copyright © Unicode, Inc.; Unicode License V3\n\
         //! (SPDX: Unicode-3.0), <https://www.unicode.org/license.txt>.\n\
         \n\
         #![allow(clippy::unreadable_literal, reason = \"nobody reads them one by one\")]\n",
        UNICODE.0
    )
}

fn table(out: &mut String, name: &str, kind: &str, what: &str, values: impl Iterator<Item: ToString>) {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    write!(out, "\n/// {what}\n#[rustfmt::skip]\npub(super) static {name}: [{kind}; {}] = [", values.len()).unwrap();
    let mut column = usize::MAX;
    for value in values {
        if column.saturating_add(value.len()) > 118 {
            out.push_str("\n   ");
            column = 3;
        }
        write!(out, " {value},").unwrap();
        column += value.len() + 2;
    }
    out.push_str("\n];\n");
}
