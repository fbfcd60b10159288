use super::*;
use std::string::String;

fn ascii(domain: &str) -> Result<String, IdnaError> {
    let mut out = [0; 512];
    let length = Uts46.to_ascii(domain, &mut out)?;
    Ok(core::str::from_utf8(&out[..length]).unwrap().into())
}

#[track_caller]
fn gives(domain: &str, expected: &str) {
    assert_eq!(ascii(domain).as_deref(), Ok(expected), "{domain}");
}

#[track_caller]
fn refuses(domain: &str) {
    assert_eq!(ascii(domain), Err(IdnaError::Invalid), "{domain}");
}

#[test]
fn letters_are_lowered_and_signs_become_what_they_stand_for() {
    gives("BÜCHER.example", "xn--bcher-kva.example");
    gives("ＧＯ。com", "go.com");
    gives("a\u{ad}b", "ab");
    gives("№5", "no5");
    // One that stands for eighteen, of which some are spaces, and one for three beyond sixteen bits.
    gives("a\u{1d162}", &ascii("a\u{1d158}\u{1d165}\u{1d170}").unwrap());
    refuses("ﷺ");
    gives("faß.de", "xn--fa-hia.de");
    gives("𐐀", "xn--hj8c");
    refuses("\u{378}");
    refuses("a\u{2024}b");
}

#[test]
fn a_text_is_composed_however_it_was_given() {
    for same in ["ệ", "e\u{323}\u{302}", "e\u{302}\u{323}", "\u{1eb9}\u{302}", "ê\u{323}"] {
        gives(same, "xn--qlg");
    }
    gives("한글", "xn--bj0bj06e");
    gives("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}", "xn--bj0bj06e");
    gives("a\u{300}\u{301}", "xn--0ca40i");
    // A mark of the same class between keeps a letter and its accent apart.
    gives("a\u{313}\u{301}", "xn--a-xbb7c");
    gives("\u{105d2}\u{307}", &ascii("\u{105c9}").unwrap());
}

#[test]
fn what_is_encoded_already_must_be_as_it_would_be_encoded() {
    gives("é.xn--fa-hia", "xn--9ca.xn--fa-hia");
    gives("é.XN--FA-HIA", "xn--9ca.xn--fa-hia");
    gives("ｘn--9ca", "xn--9ca");
    gives("é.xn--q-vbb9d", "xn--9ca.xn--q-vbb9d");
    // Its marks the other way round.
    refuses("é.xn--q-vbb0e");
    // A capital letter, an accent apart, a dot, an ASCII text, nothing, and what is no Punycode.
    for label in [
        "xn--dca",
        "xn--e-xbb",
        "xn--a-93t",
        "xn--a-",
        "xn--",
        "xn---",
        "xn--a",
        "xn---9ca",
        "xn--9ca9999999999",
        "xn--é",
    ] {
        refuses(&std::format!("{label}.é"));
    }
}

#[test]
fn a_label_begins_with_no_mark() {
    refuses("\u{301}a");
    refuses("é.\u{903}");
    gives("a\u{301}", "xn--1ca");
}

#[test]
fn joiners_stand_only_where_they_can_be_seen() {
    gives("\u{915}\u{94d}\u{200d}\u{937}", "xn--11b2ezcw70k");
    gives("\u{646}\u{627}\u{645}\u{647}\u{200c}\u{627}\u{6cc}", "xn--mgba3gch31f060k");
    // The signs between are transparent.
    assert!(ascii("\u{628}\u{64b}\u{200c}\u{64b}\u{628}").is_ok());
    refuses("a\u{200c}b");
    refuses("\u{200d}a");
    refuses("\u{628}\u{200c}");
    refuses("\u{628}\u{200d}\u{628}");
}

#[test]
fn one_right_to_left_label_binds_all_to_the_bidi_rule() {
    gives("1é.com", "xn--1-bga.com");
    gives("א.com", "xn--4db.com");
    refuses("1a.א");
    refuses("א.-");
    refuses("אa");
    refuses("aא");
    gives("א1", "xn--1-zhc");
    gives("א\u{661}", "xn--4db40a");
    refuses("א1\u{661}");
    refuses("א-");
    gives("א..", "xn--4db..");
}

#[test]
fn a_buffer_is_filled_to_its_last_byte_and_not_beyond() {
    let mut out = [0; 8];
    assert_eq!(Uts46.to_ascii("é.", &mut out), Ok(8));
    assert_eq!(&out, b"xn--9ca.");
    for length in 0..8 {
        assert_eq!(Uts46.to_ascii("é.", &mut out[..length]), Err(IdnaError::Full), "{length}");
    }
    assert_eq!(Uts46.to_ascii("é.xn--9ca", &mut [0; 14]), Err(IdnaError::Full));
}

#[test]
fn a_label_may_be_as_long_as_its_array() {
    let longest = "é".repeat(LABEL_MAX);
    assert!(ascii(&longest).is_ok());
    assert_eq!(ascii(&(longest.clone() + "é")), Err(IdnaError::Unsupported));
    // Beside a mark that has to be put in order, letters and accents are apart.
    assert_eq!(ascii(&("é".repeat(LABEL_MAX - 1) + "\u{323}")), Err(IdnaError::Unsupported));
    assert!(ascii(&("é".repeat(LABEL_MAX / 2) + "\u{323}")).is_ok());
}

/// RFC 3492, section 7.1: samples A, B, L, and an extreme.
#[test]
fn punycode_reads_and_writes_the_samples_of_its_rfc() {
    for (text, ascii) in [
        ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
        ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
        ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
        ("\u{80}\u{10ffff}", "a08093t"),
    ] {
        let chars: std::vec::Vec<char> = text.chars().collect();
        let mut written = String::new();
        punycode::encode(&chars, |byte| {
            written.push(char::from(byte));
            Ok(())
        })
        .unwrap();
        let mut label = Label::new();
        assert_eq!(written, ascii);
        punycode::decode(written.as_bytes(), &mut label).unwrap();
        assert_eq!(label.chars(), chars);
    }
}

#[test]
fn what_two_characters_compose_to_decomposes_into_them() {
    let mut composed = 0;
    for c in '\0'..=char::MAX {
        if let Some((first, second)) = table::decompose(c) {
            assert_eq!(table::compose(first, second), Some(c));
            assert_eq!(table::decompose(second), None);
            composed += 1;
        }
    }
    assert_eq!(composed, 543 + 11_172);
}
