//! Domains beyond ASCII: core's tables and the `idna` crate give the same, and what the URL Standard's tests ask for.

use std::io::Write;

use tidemill_core::random::draw;
use tidemill_core::url::{DomainToAscii, IdnaError, Uts46};
use tidemill_host::url::Idna;

#[allow(dead_code, reason = "its main")]
#[path = "../examples/idna_tables.rs"]
mod idna_tables;

#[test]
fn the_tables_are_what_their_generator_makes() {
    let committed = include_str!("../../core/src/url/idna/tables.rs");
    // Not `assert_eq`: nobody wants to see both.
    assert!(committed == idna_tables::generate(), "make them again: the head of core/src/url/idna/tables.rs says how");
}

/// The ASCII form, or nothing if the domain is refused.
fn ascii(by: &dyn DomainToAscii, domain: &str) -> Option<String> {
    let mut out = [0; 4096];
    match by.to_ascii(domain, &mut out) {
        Ok(length) => Some(String::from_utf8(out[..length].to_vec()).unwrap()),
        Err(IdnaError::Invalid) => None,
        Err(other) => panic!("{domain:?}: {other}"),
    }
}

/// Whether the domain was taken.
fn compare(domain: &str) -> bool {
    let (ours, theirs) = (ascii(&Uts46, domain), ascii(&Idna, domain));
    assert_eq!(ours, theirs, "{domain:?} is {}", domain.escape_unicode());
    ours.is_some()
}

#[test]
fn every_code_point_is_treated_alike() {
    let (mut taken, mut refused) = (0, 0);
    for c in '\0'..=char::MAX {
        let encoded = idna::punycode::encode_str(&format!("{c}")).unwrap();
        // Alone; after a letter; between a letter that joins and one that does; after a vowel killer; in a domain that runs
        // from right to left; and already encoded.
        for domain in [
            format!("{c}"),
            format!("a{c}"),
            format!("\u{628}{c}\u{200c}{c}\u{628}"),
            format!("\u{915}\u{94d}{c}"),
            format!("{c}\u{200d}b"),
            format!("\u{5d0}{c}1"),
            format!("a{c}1.\u{5d0}"),
            format!("xn--{encoded}"),
        ] {
            if compare(&domain) { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 800_000 && refused > 2_000_000, "{taken} taken, {refused} refused");
}

/// Random numbers, one after another.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.thrown += 1;
        (draw(self.seed, &[self.thrown]) % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Where characters come from that meet in labels: first and last of each range, and how often to draw from it.
const RANGES: [(char, char, usize); 38] = [
    ('a', 'z', 6),
    ('A', 'Z', 2),
    ('0', '9', 3),
    ('-', '.', 3),
    ('\0', '\u{7f}', 1),
    ('\u{80}', '\u{24f}', 4),
    ('\u{300}', '\u{36f}', 5),
    ('\u{370}', '\u{52f}', 2),
    ('\u{591}', '\u{5f4}', 2),
    ('\u{5d0}', '\u{5ea}', 3),
    ('\u{600}', '\u{6ff}', 4),
    ('\u{660}', '\u{669}', 2),
    ('\u{700}', '\u{8ff}', 2),
    ('\u{900}', '\u{9ff}', 3),
    ('\u{94d}', '\u{94d}', 3),
    ('\u{a00}', '\u{dff}', 2),
    ('\u{e00}', '\u{10ff}', 1),
    ('\u{1100}', '\u{11ff}', 2),
    ('\u{1161}', '\u{1175}', 1),
    ('\u{11a8}', '\u{11c2}', 1),
    ('\u{1780}', '\u{18ff}', 1),
    ('\u{1ab0}', '\u{1dff}', 1),
    ('\u{1e00}', '\u{1fff}', 3),
    ('\u{200c}', '\u{200d}', 4),
    ('\u{2000}', '\u{24ff}', 2),
    ('\u{2c00}', '\u{30ff}', 2),
    ('\u{3002}', '\u{3002}', 1),
    ('\u{3099}', '\u{309a}', 1),
    ('\u{3400}', '\u{9fff}', 1),
    ('\u{a600}', '\u{abff}', 2),
    ('\u{ac00}', '\u{d7a3}', 1),
    ('\u{f900}', '\u{fdff}', 2),
    ('\u{fe00}', '\u{ffff}', 2),
    ('\u{10000}', '\u{10fff}', 2),
    ('\u{11000}', '\u{123ff}', 3),
    ('\u{16000}', '\u{1ffff}', 2),
    ('\u{20000}', '\u{323af}', 1),
    ('\0', '\u{10ffff}', 1),
];

/// A few ranges, as a script and its signs meet in a label, and some characters of each.
fn label(dice: &mut Dice, weighted: &[(char, char)]) -> String {
    let ranges = [dice.pick(weighted), dice.pick(weighted), dice.pick(weighted)];
    let length = 1 + dice.below(7);
    (0..length)
        .filter_map(|_| {
            let (first, last) = dice.pick(&ranges);
            char::from_u32(first as u32 + dice.below(last as usize - first as usize + 1) as u32)
        })
        .collect()
}

/// One to three labels; one in four is Punycode, of which one in four has an error.
fn domain(dice: &mut Dice, weighted: &[(char, char)]) -> String {
    let labels: Vec<String> = (0..=dice.below(3))
        .map(|_| {
            let mut label = label(dice, weighted);
            if dice.below(4) == 0 {
                // Often of a text that may stand in a label, or nearly every one would be refused.
                if dice.below(2) == 0
                    && let Some(ascii) = ascii(&Uts46, &label)
                    && ascii.starts_with("xn--")
                {
                    label = ascii;
                } else {
                    label = format!(
                        "{}{}",
                        dice.pick(&["xn--", "XN--", "xN--"]),
                        idna::punycode::encode_str(&label).unwrap()
                    );
                }
                if dice.below(4) == 0 {
                    let at = dice.below(label.len() + 1);
                    label.insert(at, dice.pick(&['a', 'Z', '9', '-', '\u{e9}', '_']));
                }
            }
            label
        })
        .collect();
    labels.join(".")
}

/// `TIDEMILL_SEED` draws others, `TIDEMILL_IDNA_DOMAINS` more.
#[test]
fn drawn_domains_are_treated_alike() {
    let number = |name, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (seed, count) = (number("TIDEMILL_SEED", 1), number("TIDEMILL_IDNA_DOMAINS", 1_000_000));
    let weighted: Vec<_> = RANGES.iter().flat_map(|range| vec![(range.0, range.1); range.2]).collect();
    let mut dice = Dice { seed, thrown: 0 };
    let taken = (0..count).filter(|_| compare(&domain(&mut dice, &weighted))).count() as u64;
    assert!(taken > count / 10 && taken < count / 2, "{taken} of {count} taken show too little");
}

/// The URL Standard's "domain to ASCII" around UTS 46: ASCII alone is lowered, and some characters no host may have.
fn domain_to_ascii(by: &dyn DomainToAscii, domain: &str) -> Option<String> {
    let ascii = if domain.is_ascii() { domain.to_ascii_lowercase() } else { ascii(by, domain)? };
    let forbidden = |byte: u8| byte <= b' ' || byte == 0x7f || b"#%/:<>?@[\\]^|".contains(&byte);
    (!ascii.is_empty() && !ascii.bytes().any(forbidden)).then_some(ascii)
}

#[test]
fn every_row_of_toascii_json_gives_what_it_says() {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/wpt/toascii.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: domain to ASCII: no {file}").unwrap();
        return;
    };
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for row in rows.iter().filter(|row| row.is_object()) {
        let (input, expected) = (row["input"].as_str().unwrap(), row["output"].as_str());
        for by in [&Uts46 as &dyn DomainToAscii, &Idna] {
            assert_eq!(domain_to_ascii(by, input).as_deref(), expected, "{row}");
        }
        count += 1;
    }
    assert_eq!(count, 87, "rows");
}
