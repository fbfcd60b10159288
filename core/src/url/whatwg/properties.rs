//! What holds for every URL, whatever is thrown at it.

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Texts that are nearly URLs: pieces that mean something to the parser, in any order.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "http:", "https:", "ws:", "file:", "foo:", "blob:", "mailto:", "//", "/", "\\", "..", ".", "%2e", "?", "#", "@",
            ":", "C:", "C|", "localhost", "h", "[::1]", "[1::2.3.4.5]", "0x7f.1", "256", ":80", ":443", ":65536", " ", "\t", "%41", "%zz",
            "é", "&", "=", "+", "a=b", "[", "]", "xn--", "\0",
        ]).prop_map(String::from),
        1 => "[ -~é]{0,6}",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

type Setter = fn(&mut UrlView, &str) -> Result<(), UrlError>;

const SETTERS: [Setter; 10] = [
    UrlView::set_href,
    UrlView::set_protocol,
    UrlView::set_username,
    UrlView::set_password,
    UrlView::set_host,
    UrlView::set_hostname,
    UrlView::set_port,
    UrlView::set_pathname,
    UrlView::set_search,
    UrlView::set_hash,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_is_read_again_and_changes_no_more(input in texts(), base in prop::option::of(texts())) {
        let base = base.map(|base| Url::<256>::parse(&base, None)).transpose();
        let Ok(base) = base else { return Ok(()) };
        if let Ok(url) = Url::<512>::parse(&input, base.as_deref()) {
            prop_assert!(url.href().is_ascii());
            prop_assert_eq!(Url::<512>::parse(url.href(), None), Ok(url.clone()));
            prop_assert_eq!(Url::<512>::parse(url.href(), base.as_deref()).map(|url| url.parts), Ok(url.parts));
        }
    }

    #[test]
    fn the_capacity_that_is_told_is_the_one_that_is_needed(input in texts(), base in prop::option::of(texts())) {
        let base = base.and_then(|base| Url::<256>::parse(&base, None).ok());
        let parse = |capacity| fill(&mut vec![0; capacity], &AsciiOnly, &input, base.as_deref());
        let outcome = parse(2048);
        match (outcome, parse(0)) {
            (Err(why), again) => prop_assert_eq!(again, Err(why)),
            (Ok(parts), Err(UrlError::DoesNotFit { needed })) => {
                prop_assert_eq!(needed, usize::from(parts.len));
                prop_assert_eq!(parse(needed), Ok(parts));
                prop_assert_eq!(parse(needed - 1), Err(UrlError::DoesNotFit { needed }));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn what_can_be_parsed_is_parsed(input in texts(), base in prop::option::of(texts())) {
        let made = match base.as_deref().map(|base| Url::<256>::parse(base, None)).transpose() {
            Ok(base) => Url::<512>::parse(&input, base.as_deref()).map(drop),
            Err(why) => Err(why),
        };
        prop_assert_eq!(can_parse(&input, base.as_deref()), made.is_ok());
    }

    #[test]
    fn a_setter_keeps_a_url_or_makes_one_and_fits_when_it_can(
        input in texts(),
        steps in prop::collection::vec((0..SETTERS.len(), texts()), 1..6),
    ) {
        let Ok(mut small) = Url::<64>::parse(&input, None) else { return Ok(()) };
        for (which, value) in steps {
            let mut large = Url::<1024>::parse(small.href(), None).unwrap();
            prop_assert_eq!(large.parts, small.parts);
            let before = small.clone();
            let (outcome, expected) = (SETTERS[which](&mut small, &value), SETTERS[which](&mut large, &value));
            prop_assert_eq!(Url::<1024>::parse(large.href(), None).map(|url| url.parts), Ok(large.parts), "{}", large);
            if large.href().len() > 64 {
                prop_assert_eq!(outcome, Err(UrlError::DoesNotFit { needed: large.href().len() }));
                prop_assert_eq!(&small, &before);
            } else {
                prop_assert_eq!(outcome, expected);
                prop_assert_eq!(small.parts, large.parts);
                prop_assert_eq!(&small, &large);
            }
            if outcome.is_err() {
                prop_assert_eq!(&small, &before);
            }
        }
    }

    #[test]
    fn setting_what_is_there_changes_nothing(input in texts()) {
        let Ok(url) = Url::<256>::parse(&input, None) else { return Ok(()) };
        let mut again = url.clone();
        again.set_href(url.href()).unwrap();
        let _ = again.set_protocol(url.protocol());
        // No host is another thing than an empty one, which would be set.
        if url.has_host() {
            let _ = again.set_host(url.host());
            let _ = again.set_hostname(url.hostname());
        }
        if !url.port().is_empty() {
            again.set_port(url.port()).unwrap();
        }
        let _ = again.set_pathname(url.pathname());
        if !url.search().is_empty() {
            again.set_search(url.search()).unwrap();
        }
        if !url.hash().is_empty() {
            again.set_hash(url.hash()).unwrap();
        }
        prop_assert_eq!(again, url);
    }

    #[test]
    fn fields_are_edited_as_a_list_of_pairs_would_be(
        query in "[a-c=&+%41~é]{0,24}",
        edits in prop::collection::vec((0..5_usize, "[ab]{0,2}|[~é ]", "[a-c é]{0,4}"), 0..6),
    ) {
        let mut url = Url::<512>::parse("http://h/#f", None).unwrap();
        url.set_search(&query).unwrap();
        let mut small = Url::<48>::parse("http://h/#f", None).unwrap();
        for (which, name, value) in edits {
            let mut model = pairs(&url);
            let is_kept = small.set_search(url.search()).is_ok();
            let before = small.clone();
            edit(&mut model, which, &name, &value);
            change(&mut url, which, &name, &value).unwrap();
            let form: Vec<_> = model.iter().map(|(name, value)| format!("{}={}", form(name), form(value))).collect();
            prop_assert_eq!(url.search().strip_prefix('?').unwrap_or_default(), form.join("&"));
            prop_assert_eq!(pairs(&url), model);
            prop_assert_eq!(url.search_params().to_string(), form.join("&"));
            prop_assert_eq!(Url::<512>::parse(url.href(), None).map(|url| url.parts), Ok(url.parts));
            if is_kept {
                match change(&mut small, which, &name, &value) {
                    Ok(()) => prop_assert_eq!(&small, &url),
                    Err(why) => {
                        let UrlError::DoesNotFit { needed } = why else { panic!("{why}") };
                        prop_assert!(needed > 48);
                        prop_assert_eq!(&small, &before);
                    }
                }
            }
        }
    }

    #[test]
    fn a_field_that_just_fits_is_added_to_fields_in_their_normal_form(
        query in "([a-c]{1,4}=[a-c+]{0,8}(%C3%A9)?&){0,3}d=e",
        name in "[a-c]{0,3}",
    ) {
        let mut url = Url::<128>::parse(&format!("http://h/?{query}#f"), None).unwrap();
        let mut room = url.clone();
        room.search_params_mut().append(&name, "").unwrap();
        // The fragment takes what the field will not.
        let rest = 128 - room.href().len();
        url.set_hash(&format!("f{}", "x".repeat(rest))).unwrap();
        url.search_params_mut().append(&name, "").unwrap();
        prop_assert_eq!(url.href().len(), 128);
        let before = url.clone();
        prop_assert_eq!(url.search_params_mut().append("", ""), Err(UrlError::DoesNotFit { needed: 130 }));
        prop_assert_eq!(url, before);
    }

    #[test]
    fn fields_are_sorted_as_a_list_of_pairs_would_be(names in prop::collection::vec("[ab]{0,3}|é|\u{ffff}|🌊", 0..40)) {
        let mut url = Url::<2048>::parse("http://h/", None).unwrap();
        for (at, name) in names.iter().enumerate() {
            url.search_params_mut().append(name, &at.to_string()).unwrap();
        }
        let mut model = pairs(&url);
        model.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
        url.search_params_mut().sort().unwrap();
        prop_assert_eq!(pairs(&url), model);
    }
}

fn pairs(url: &UrlView) -> Vec<(String, String)> {
    let fields = url.search_params();
    let pairs: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(fields.size(), pairs.len());
    for (name, _) in &pairs {
        let own = || pairs.iter().filter(|(other, _)| name == other).map(|(_, value)| value.clone());
        assert!(fields.has(name, None) && fields.has(name, own().next_back().as_deref()));
        assert_eq!(fields.get(name).map(|value| value.to_string()), own().next());
        assert!(fields.get_all(name).map(|value| value.to_string()).eq(own()));
    }
    pairs
}

fn edit(model: &mut Vec<(String, String)>, which: usize, name: &str, value: &str) {
    match which {
        0 => model.push((name.into(), value.into())),
        1 => model.retain(|(own, _)| own != name),
        2 => model.retain(|(own, other)| own != name || other != value),
        3 => match model.iter().position(|(own, _)| own == name) {
            Some(at) => {
                model[at].1 = value.into();
                let mut place = 0..;
                model.retain(|(own, _)| place.next() <= Some(at) || own != name);
            }
            None => model.push((name.into(), value.into())),
        },
        _ => model.sort_by(|one, other| one.0.cmp(&other.0)),
    }
}

fn change(url: &mut UrlView, which: usize, name: &str, value: &str) -> Result<(), UrlError> {
    let mut fields = url.search_params_mut();
    match which {
        0 => fields.append(name, value),
        1 => fields.delete(name, None),
        2 => fields.delete(name, Some(value)),
        3 => fields.set(name, value),
        _ => fields.sort(),
    }
}

/// The URL Standard's "application/x-www-form-urlencoded serializing", of one text.
fn form(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b' ' => "+".into(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}
