//! The cases of http-state's test suite for RFC 6265 of 2011: 170 of what a browser sends after what a server set, and 15
//! dates. They are run by both rules of the jar; where one differs from what the suite expects, the case stands in a list
//! with the reason, and a case that stands there without a difference fails, too.

use std::io::Write;

use serde_json::Value;
use tidemill_core::cookie::{AnyDomain, Jar, Request, Rules, parse_date};
use tidemill_core::http::date;
use tidemill_core::url::Uri;

/// The clock that the suite was made for: some day in 2012.
const NOW: u64 = 1_340_000_000;

/// A cookie without a name is sent today, by its value alone. In 2011 it was ignored.
const NAMELESS: &[&str] = &[
    "0004",
    "0021",
    "0024",
    "0025",
    "0027",
    "0028",
    "CHROMIUM0009",
    "CHROMIUM0010",
    "MOZILLA0012",
    "MOZILLA0014",
    "MOZILLA0017",
    "NAME0017",
    "NAME0023",
    "NAME0025",
    "NAME0028",
    "NAME0031",
    "NAME0032",
    "NAME0033",
];

/// By today's rules an empty `Domain` takes back those before it. In 2011 what to do was left open, and the suite expects
/// the foreign domain before it to stand, and so the cookie to be ignored.
const EMPTY_DOMAIN: &[&str] = &["OPTIONAL_DOMAIN0042"];

/// Cases that the suite itself disables: a value is to be cut off at a NUL, where the jar takes no cookie with a control; and
/// paths are to be compared decoded, where every RFC compares them as they are.
const DISABLED: &[&str] = &["DISABLED_CHROMIUM0022", "DISABLED_PATH0029"];

/// Says something past the test harness, which would keep it to itself.
fn say(text: &str) {
    std::io::stderr().write_all(format!("\n{text}\n").as_bytes()).unwrap();
}

/// The data of this name, or a word that it is missing.
fn data(name: &str) -> Option<Value> {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let Ok(text) = std::fs::read_to_string(format!("{folder}/{name}")) else {
        say(&format!("NOT TESTED: http-state's cases: no {folder}/{name}"));
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The `Cookie` field that a jar of these rules sends in a case.
fn sent(case: &Value, rules: Rules) -> String {
    let mut jar = Box::new(Jar::<64, 16384>::with_rules(rules));
    let set_at = Request::to("http", "home.example.org", "/cookie-parser");
    for field in case["received"].as_array().unwrap() {
        let _ = jar.set(field.as_str().unwrap().as_bytes(), &set_at, NOW, &AnyDomain);
    }
    let target = Uri::parse(case["sent-to"].as_str().unwrap_or("/cookie-parser-result")).unwrap();
    let host = target.host().unwrap_or("home.example.org");
    let mut text = String::new();
    jar.matching(&Request::to("http", host, target.path()), NOW, &AnyDomain).write_text(&mut text).unwrap();
    text
}

fn expected(case: &Value) -> String {
    let cookies = case["sent"].as_array().unwrap().iter();
    let texts: Vec<_> = cookies
        .map(|cookie| format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap()))
        .collect();
    texts.join("; ")
}

/// Runs all cases; exactly those on the lists differ.
fn run(rules: Rules, differences: &[&[&str]]) {
    let Some(cases) = data("cookies/parser.json") else { return };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 170);
    let listed = |name: &str| differences.iter().any(|list| list.contains(&name));
    let mut wrong = Vec::new();
    for case in cases {
        let name = case["test"].as_str().unwrap();
        let (sent, expected) = (sent(case, rules), expected(case));
        if (sent == expected) == listed(name) {
            wrong.push(format!("{name}: sent {sent:?}, expected {expected:?}, listed {}", listed(name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count: usize = differences.iter().map(|list| list.len()).sum();
    say(&format!("{rules:?}: {} of {} cases as in 2011", cases.len() - count, cases.len()));
}

#[test]
fn by_the_rules_of_2011_what_the_suite_expects_is_sent() {
    run(Rules::Rfc6265, &[DISABLED]);
}

#[test]
fn by_todays_rules_the_differences_are_those_that_the_draft_made() {
    run(Rules::Rfc6265bis, &[NAMELESS, EMPTY_DOMAIN, DISABLED]);
}

#[test]
fn every_date_is_read_as_the_suite_reads_it() {
    let Some(cases) = data("cookies/dates.json") else { return };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let expected = case["expected"].as_str().map(|text| date::parse(text.as_bytes()).unwrap());
        assert_eq!(parse_date(case["test"].as_str().unwrap().as_bytes()), expected, "{case}");
    }
}
