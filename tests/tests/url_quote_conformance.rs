//! Calls of the quote family recorded from CPython 3.13: every one but those the test lists with a reason.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;
use tidemill_core::url::{quote, quote_from_bytes, quote_plus, unquote, unquote_plus, unquote_to_bytes};

/// The bytes that the recording spells as `{"b": "hexadecimal"}`.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let hex = value["b"].as_str()?;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// What Rust answers, or why the call has no counterpart.
fn answer(row: &Value) -> Result<Value, &'static str> {
    if row.get("ret").is_none() {
        return Err("a TypeError or AttributeError, which the compiler gives");
    }
    let name = row["fn"].as_str().ok_or("no name")?;
    let args = row["args"].as_array().ok_or("no arguments")?;
    if args.len() != 1 {
        return Err("positional options");
    }
    let mut safe = None;
    for pair in row["kw"]["d"].as_array().into_iter().flatten() {
        match (pair[0].as_str(), &pair[1]) {
            (Some("safe"), Value::String(text)) => safe = Some(text.as_str()),
            // Python's defaults, said aloud.
            (Some("encoding" | "errors"), Value::Null) => {}
            (Some("errors"), Value::String(handler)) if handler == "replace" => {}
            _ => return Err("an encoding other than UTF-8: not written yet"),
        }
    }
    Ok(match (name, args[0].as_str(), bytes(&args[0])) {
        ("quote", Some(text), _) => quote(text, safe.unwrap_or("/")).to_string().into(),
        ("quote_plus", Some(text), _) => quote_plus(text, safe.unwrap_or("")).to_string().into(),
        ("quote" | "quote_from_bytes", _, Some(raw)) => quote_from_bytes(&raw, safe.unwrap_or("/")).to_string().into(),
        ("unquote", Some(text), _) => unquote(text).to_string().into(),
        ("unquote_plus", Some(text), _) => unquote_plus(text).to_string().into(),
        ("unquote_to_bytes", Some(text), _) => {
            let hex: Vec<_> = unquote_to_bytes(text.as_bytes()).map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "b": hex.concat() })
        }
        _ => return Err("unquote of bytes: not written yet"),
    })
}

#[test]
fn the_quote_family_answers_as_cpython_3_13_does() {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/cpython/urllib_parse_3.13.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: the quote family against CPython: no {file}").unwrap();
        return;
    };
    let mut passed = 0;
    let mut left_out = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("quote")) {
        let row: Value = serde_json::from_str(line).unwrap();
        if !row["fn"].as_str().is_some_and(|name| name.contains("quote")) {
            continue;
        }
        match answer(&row) {
            Ok(answer) => {
                assert_eq!(answer, row["ret"], "{line}");
                passed += 1;
            }
            Err(reason) => *left_out.entry(reason).or_insert(0) += 1,
        }
    }
    // Exact, so that a row cannot slip from the one into the other.
    let expected = (
        315,
        BTreeMap::from([
            ("a TypeError or AttributeError, which the compiler gives", 7),
            ("an encoding other than UTF-8: not written yet", 5),
            ("unquote of bytes: not written yet", 1),
        ]),
    );
    assert_eq!((passed, left_out), expected);
}
