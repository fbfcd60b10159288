//! The URL Standard's own tests (web-platform-tests), every row.
//!
//! Rows that are known to fail stand in `url_whatwg_failures.txt`, each with the way it is run in front. A row that is
//! listed and passes fails the test, too, so the list can only shrink.

use std::io::Write;

use serde_json::Value;
use tidemill_core::url::{AsciiOnly, DomainToAscii, Url, UrlError, UrlView, can_parse_with};
use tidemill_host::url::Idna;

const FAILURES: &str = include_str!("url_whatwg_failures.txt");

/// A file of the conformance data, which lies beside the repository unless the environment names another folder.
fn data(name: &str) -> Option<Value> {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/wpt/{name}");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Past the test harness, which would keep it to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "\nNOT TESTED: the URL Standard's tests: no {file}").unwrap();
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn get<'u>(url: &'u UrlView, name: &str) -> std::borrow::Cow<'u, str> {
    match name {
        "href" => url.href().into(),
        "origin" => url.origin().to_string().into(),
        "protocol" => url.protocol().into(),
        "username" => url.username().into(),
        "password" => url.password().into(),
        "host" => url.host().into(),
        "hostname" => url.hostname().into(),
        "port" => url.port().into(),
        "pathname" => url.pathname().into(),
        "search" => url.search().into(),
        "hash" => url.hash().into(),
        "searchParams" => url.search_params().to_string().into(),
        other => panic!("unknown attribute {other}"),
    }
}

/// What is wrong with `url`, of which `row` tells every attribute.
fn differences(url: &UrlView, row: &Value) -> Vec<String> {
    let attributes =
        row.as_object().unwrap().iter().filter(|(name, _)| !["input", "base", "comment"].contains(&&***name));
    let wrong = attributes.filter(|(name, value)| get(url, name) != value.as_str().unwrap());
    wrong.map(|(name, value)| format!("{name} is {:?}, not {value}", get(url, name))).collect()
}

/// What is wrong with the way a row of `urltestdata.json` is parsed.
fn parsing(idna: &dyn DomainToAscii, row: &Value) -> Vec<String> {
    let (input, base) = (row["input"].as_str().unwrap(), row["base"].as_str());
    let made = match base.map(|base| Url::<2048>::parse_with(idna, base, None)).transpose() {
        Ok(base) => Url::<2048>::parse_with(idna, input, base.as_deref()),
        Err(error) => Err(error),
    };
    assert_eq!(can_parse_with(idna, input, base), made.is_ok(), "{input:?} {base:?}");
    match made {
        Err(UrlError::Invalid { .. }) if row["failure"] == true => Vec::new(),
        Err(error) => vec![error.to_string()],
        Ok(url) if row["failure"] == true => vec![format!("is {url}, and should fail")],
        Ok(url) => {
            let mut wrong = differences(&url, row);
            let again = Url::<2048>::parse_with(idna, url.href(), None);
            if again.as_ref() != Ok(&url) {
                wrong.push(format!("is {again:?} when it is parsed again"));
            }
            wrong
        }
    }
}

/// What is wrong with the way a row of `setters_tests.json` changes the attribute `name`.
fn setting(idna: &dyn DomainToAscii, name: &str, row: &Value) -> Vec<String> {
    let value = row["new_value"].as_str().unwrap();
    let mut url = Url::<256>::parse(row["href"].as_str().unwrap(), None).unwrap();
    let before = url.clone();
    let outcome = set(&mut url, idna, name, value);
    assert!(outcome.is_ok() || url == before, "{name} of {before} set to {value:?} failed, and it is {url}");
    assert_eq!(Url::<256>::parse(url.href(), None).as_ref(), Ok(&url));
    let mut wrong = differences(&url, &row["expected"]);
    if !wrong.is_empty() {
        wrong.push(format!("{outcome:?}"));
    }
    wrong
}

/// Runs every row, each with its name, and holds the failures against the list. How many rows passed.
fn run<'r>(way: &str, rows: impl Iterator<Item = (String, &'r Value)>, test: impl Fn(&Value) -> Vec<String>) -> usize {
    let listed: Vec<&str> = FAILURES.lines().filter_map(|line| line.strip_prefix(way)?.strip_prefix(' ')).collect();
    let (mut passed, mut unexpected) = (0, Vec::new());
    for (name, row) in rows.filter(|(_, row)| row.is_object()) {
        let wrong = test(row);
        passed += usize::from(wrong.is_empty());
        if wrong.is_empty() == listed.contains(&&*name) {
            unexpected.push(format!("{way} {name}: {wrong:?}"));
        }
    }
    assert!(unexpected.is_empty(), "{} unexpected:\n{}", unexpected.len(), unexpected.join("\n"));
    passed
}

fn run_parser(way: &str, idna: &dyn DomainToAscii) -> Option<usize> {
    let data = data("urltestdata.json")?;
    let rows = data.as_array().unwrap().iter().map(|row| (row["input"].to_string(), row));
    Some(run(way, rows, |row| parsing(idna, row)))
}

fn run_setters(way: &str, idna: &dyn DomainToAscii) -> Option<usize> {
    let data = data("setters_tests.json")?;
    let attributes = data.as_object().unwrap().iter().filter(|(name, _)| *name != "comment");
    let passed = attributes.map(|(name, rows)| {
        let name_of = |row: &Value| format!("{name} of {} to {}", row["href"], row["new_value"]);
        run(way, rows.as_array().unwrap().iter().map(|row| (name_of(row), row)), |row| setting(idna, name, row))
    });
    Some(passed.sum())
}

#[test]
fn every_url_is_parsed() {
    if let Some(passed) = run_parser("idna", &Idna) {
        assert_eq!(passed, 891);
    }
}

#[test]
fn every_url_is_parsed_without_tables_but_those_beyond_ascii() {
    if let Some(passed) = run_parser("ascii", &AsciiOnly) {
        assert_eq!(passed, 878);
    }
}

#[test]
fn every_setter_does_as_the_standard_says() {
    if let Some(passed) = run_setters("idna", &Idna) {
        assert_eq!(passed, 278);
    }
}

#[test]
fn every_setter_does_as_the_standard_says_without_tables_but_beyond_ascii() {
    if let Some(passed) = run_setters("ascii", &AsciiOnly) {
        assert_eq!(passed, 275);
    }
}

fn set(url: &mut UrlView, idna: &dyn DomainToAscii, name: &str, value: &str) -> Result<(), UrlError> {
    match name {
        "href" => url.assign(idna, value, None),
        "protocol" => url.set_protocol(value),
        "username" => url.set_username(value),
        "password" => url.set_password(value),
        "host" => url.set_host_with(idna, value),
        "hostname" => url.set_hostname_with(idna, value),
        "port" => url.set_port(value),
        "pathname" => url.set_pathname(value),
        "search" => url.set_search(value),
        "hash" => url.set_hash(value),
        other => panic!("unknown setter {other}"),
    }
}

#[test]
fn queries_are_percent_encoded_as_utf_8() {
    let Some(data) = data("percent-encoding.json") else { return };
    let rows = data.as_array().unwrap().iter().filter(|row| row.is_object());
    let mut passed = 0;
    for row in rows {
        let (input, output) = (row["input"].as_str().unwrap(), row["output"]["utf-8"].as_str().unwrap());
        let url = Url::<64>::parse(&format!("http://h/?{input}#{input}"), None).unwrap();
        assert_eq!(url.search(), format!("?{output}"), "{input:?}");
        assert_eq!(url.hash(), format!("#{output}"), "{input:?}");
        passed += 1;
    }
    assert_eq!(passed, 7);
}
