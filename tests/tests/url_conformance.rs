//! The examples of RFC 3986, 5.4, as data: every one, the abnormal included.

use std::io::Write;

use tidemill_core::url::{Uri, resolve, urljoin};

/// The folder of conformance data that lies beside the repository, unless the environment names another.
fn data(name: &str) -> String {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    format!("{folder}/{name}")
}

#[test]
fn every_example_of_rfc_3986_5_4_resolves_as_it_says() {
    let file = data("rfc3986_5_4.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: the examples of RFC 3986, 5.4: no {file}").unwrap();
        return;
    };
    let data: serde_json::Value = serde_json::from_str(&text).unwrap();
    let base = Uri::parse(data["base"].as_str().unwrap()).unwrap();
    let mut buffer = [0; 128];
    let mut count = 0;
    for group in ["normal", "abnormal"] {
        for (reference, expected) in data[group].as_object().unwrap() {
            // Where there are two answers the first is the strict one, and Python gives the other.
            let [strict, lenient] = match expected.as_array() {
                Some(answers) => [0, 1].map(|index| answers[index].as_str().unwrap()),
                None => [expected.as_str().unwrap(); 2],
            };
            assert_eq!(resolve(&base, reference, &mut buffer), Ok(strict), "{reference:?}");
            assert_eq!(urljoin(base.as_str(), reference, true, &mut buffer), Ok(lenient), "{reference:?}");
            count += 1;
        }
    }
    assert_eq!(count, 42, "the RFC has 42 examples");
}

#[test]
fn strictness_takes_of_real_links_what_two_other_strict_parsers_take() {
    let file = data("urls/top100.txt");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // As above.
        writeln!(std::io::stderr(), "\nNOT TESTED: real links: no {file}").unwrap();
        return;
    };
    let mut refused = 0;
    for url in text.lines() {
        let strict = Uri::parse_strict(url).is_ok();
        assert_eq!(strict, fluent_uri::UriRef::parse(url).is_ok(), "{url}");
        assert_eq!(strict, iri_string::types::UriReferenceStr::new(url).is_ok(), "{url}");
        refused += usize::from(!strict);
    }
    assert_eq!(refused, 289, "of {} links", text.lines().count());
}
