//! The examples of RFC 3986, 5.4, as data: every one, the abnormal included.

use std::io::Write;

use tidemill_core::url::{Uri, resolve};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/rfc3986_5_4.json");

#[test]
fn every_example_of_rfc_3986_5_4_resolves_as_it_says() {
    let Ok(text) = std::fs::read_to_string(DATA) else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: the examples of RFC 3986, 5.4: no {DATA}").unwrap();
        return;
    };
    let data: serde_json::Value = serde_json::from_str(&text).unwrap();
    let base = Uri::parse(data["base"].as_str().unwrap()).unwrap();
    let mut buffer = [0; 128];
    let mut count = 0;
    for group in ["normal", "abnormal"] {
        for (reference, expected) in data[group].as_object().unwrap() {
            // Where there are two answers the first is the strict one, which is ours.
            let expected = expected.as_str().unwrap_or_else(|| expected[0].as_str().unwrap());
            assert_eq!(resolve(&base, reference, &mut buffer), Ok(expected), "{reference:?}");
            count += 1;
        }
    }
    assert_eq!(count, 42, "the RFC has 42 examples");
}
