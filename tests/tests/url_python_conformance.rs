//! Calls of `urllib.parse` recorded from CPython 3.13: every one but those the test lists with a reason.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use tidemill_core::url::{
    Error, ParseResult, SplitResult, unwrap, urldefrag_in, urljoin, urlparse_in, urlsplit_in, urlunparse, urlunsplit,
};

/// Why a row has no counterpart in Rust, or is not about text.
type Reason = &'static str;

const TYPES: Reason = "a TypeError or AttributeError of Python, which Rust's compiler gives";
const BEYOND_ASCII: Reason = "bytes beyond ASCII";

/// A recorded value as text: `str` itself, and `bytes`, recorded as `{"b": hexadecimal}`, which Python decodes as ASCII.
fn text(value: &Value) -> Result<String, Reason> {
    match value.as_str() {
        Some(text) => Ok(text.into()),
        None => String::from_utf8(bytes(value).ok_or(TYPES)?).ok().filter(|text| text.is_ascii()).ok_or(BEYOND_ASCII),
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    let hex = value["b"].as_str()?;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// Every `bytes` inside as the text it is, so that what Python does to bytes can be compared with what we do to text.
fn without_bytes(value: &Value) -> Value {
    match value {
        Value::Object(_) if bytes(value).is_some() => text(value).map_or(Value::Null, Value::from),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_bytes(value))).collect(),
        Value::Array(list) => list.iter().map(without_bytes).collect(),
        other => other.clone(),
    }
}

/// A call: its arguments by position, then by name.
struct Call<'a> {
    row: &'a Value,
    names: &'a [&'a str],
}

impl Call<'_> {
    fn argument(&self, name: &str) -> Option<&Value> {
        let at = self.names.iter().position(|known| *known == name)?;
        let named = self.row["kw"]["d"].as_array()?.iter().find(|pair| pair[0] == name);
        self.row["args"].get(at).or(named.map(|pair| &pair[1]))
    }

    fn text(&self, name: &str) -> Result<String, Reason> {
        self.argument(name).map_or(Ok(String::new()), text)
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.argument(name).map_or(default, |value| value.as_bool().unwrap_or_else(|| value != &json!(0)))
    }

    /// The parts of a result, or of a list, that is put together.
    fn parts(&self) -> Result<Vec<String>, Reason> {
        let argument = &self.row["args"][0];
        let parts = argument.get("v").unwrap_or(argument).as_array().ok_or(TYPES)?;
        let kinds: Vec<_> = parts.iter().filter(|part| **part != "").map(Value::is_string).collect();
        if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(TYPES);
        }
        parts.iter().map(text).collect()
    }
}

/// The attributes that `urlsplit` and `urlparse` share, as they were recorded.
fn attributes(kind: &str, values: Value, split: &SplitResult<'_>, url: String) -> Value {
    let port = match split.port() {
        Ok(port) => json!(port),
        Err(_) => json!("error"),
    };
    json!({
        "t": kind, "v": values, "username": split.username(), "password": split.password(),
        "hostname": split.hostname().map(|host| host.to_string()), "port": port, "geturl": url,
    })
}

fn split_result(split: &SplitResult<'_>) -> Value {
    let values: Vec<_> = (0..5).filter_map(|index| split.get(index)).map(|part| part.to_string()).collect();
    attributes("SplitResult", json!(values), split, split.geturl().to_string())
}

fn parse_result(parsed: &ParseResult<'_>) -> Value {
    let values: Vec<_> = (0..6).filter_map(|index| parsed.get(index)).map(|part| part.to_string()).collect();
    attributes("ParseResult", json!(values), parsed, parsed.geturl().to_string())
}

/// What Rust answers: a value, our error, or the reason why there is none.
fn answer(row: &Value) -> Result<Result<Value, Error>, Reason> {
    let name = row["fn"].as_str().ok_or("no name")?;
    let names: &[&str] = match name {
        "urlsplit" | "urlparse" => &["url", "scheme", "allow_fragments"],
        "urljoin" => &["base", "url", "allow_fragments"],
        _ => &["url"],
    };
    let call = Call { row, names };
    let mut buffer = vec![0; 4096];
    Ok(match name {
        "urlsplit" | "urlparse" => {
            let (url, scheme, fragments) =
                (call.text("url")?, call.text("scheme")?, call.flag("allow_fragments", true));
            if row["err"] == "TypeError" {
                return Err(TYPES);
            }
            if name == "urlsplit" {
                urlsplit_in(&url, &scheme, fragments, &mut buffer).map(|split| split_result(&split))
            } else {
                urlparse_in(&url, &scheme, fragments, &mut buffer).map(|parsed| parse_result(&parsed))
            }
        }
        "urlunsplit" => {
            let parts = call.parts()?;
            let [scheme, netloc, path, query, fragment] = &parts[..] else { return Err(TYPES) };
            Ok(urlunsplit([scheme, netloc, path, query, fragment]).to_string().into())
        }
        "urlunparse" => {
            let parts = call.parts()?;
            let [scheme, netloc, path, params, query, fragment] = &parts[..] else { return Err(TYPES) };
            Ok(urlunparse([scheme, netloc, path, params, query, fragment]).to_string().into())
        }
        "urljoin" => {
            let (base, url) = (call.text("base")?, call.text("url")?);
            urljoin(&base, &url, call.flag("allow_fragments", true), &mut buffer).map(Value::from)
        }
        "urldefrag" => {
            let url = call.text("url")?;
            urldefrag_in(&url, &mut buffer).map(|parts| {
                let values = [0, 1].map(|index| parts.get(index).map(|part| part.to_string()));
                json!({ "t": "DefragResult", "v": values, "geturl": parts.geturl().to_string() })
            })
        }
        "unwrap" => Ok(unwrap(&call.text("url")?).into()),
        _ => return Err("query and quote"),
    })
}

/// What was recorded, in the words of [`answer`].
fn recorded(row: &Value) -> Value {
    let mut value = without_bytes(&row["ret"]);
    if let Some(kind) = value["t"].as_str().map(|kind| kind.trim_end_matches("Bytes").to_string()) {
        value["t"] = kind.into();
    }
    if value["port"].get("err").is_some() {
        value["port"] = "error".into();
    }
    value
}

#[test]
fn every_recorded_call_is_answered_as_cpython_3_13_does() {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/cpython/urllib_parse_3.13.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: urllib.parse of CPython: no {file}").unwrap();
        return;
    };
    let mut passed = 0;
    let mut left_out = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        match answer(&row) {
            Ok(Ok(answer)) => assert_eq!(answer, recorded(&row), "{line}"),
            Ok(Err(error)) => assert_eq!(row["err"], "ValueError", "{error}: {line}"),
            Err(reason) => {
                *left_out.entry(reason).or_insert(0) += 1;
                continue;
            }
        }
        passed += 1;
    }
    // Exact, so that a row cannot slip from the one into the other.
    let expected = BTreeMap::from([(TYPES, 5), ("query and quote", 452)]);
    assert_eq!((passed, left_out), (1189, expected));
}
