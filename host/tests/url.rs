//! `tidemill url`, as a person and as a program use it, and against Python itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use serde_json::{Value, json};

fn tidemill(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill")).arg("url").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn answer(args: &[&str]) -> String {
    let (status, out, err) = tidemill(args);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    out
}

#[test]
fn a_person_sees_a_part_a_line() {
    let expected = "scheme    http\nnetloc    u@H:80\npath      /a\nquery     q\nfragment  f\nusername  u\nhostname  h\n\
                    port      80\ngeturl    http://u@H:80/a?q#f\n";
    assert_eq!(answer(&["urlsplit", "HTTP://u@H:80/a?q#f"]), expected);
    assert_eq!(answer(&["urljoin", "http://a/b/c", "../d"]), "http://a/d\n");
    assert_eq!(answer(&["urlunsplit", "http", "h", "p", "q", "f"]), "http://h/p?q#f\n");
    assert_eq!(answer(&["urlencode", "q=tides & mills", "page=2"]), "q=tides+%26+mills&page=2\n");
    assert_eq!(answer(&["parse_qsl", "a=1&b=&a=2", "--kw", "keep_blank_values=true"]), "a = 1\nb = \na = 2\n");
    assert_eq!(answer(&["parse_qs", "a=1&b=3&a=2"]), "a         1, 2\nb         3\n");
    assert_eq!(answer(&["parse_qsl", ""]), "");
    assert_eq!(answer(&["unquote", "--", "-%0a%1b"]), "-\u{fffd}\u{fffd}\n");
}

#[test]
fn a_program_sees_json() {
    assert_eq!(answer(&["unquote", "%22", "--json"]), "{\"ok\":\"\\\"\"}\n");
    let split: Value = serde_json::from_str(&answer(&["urlsplit", "http://h:x/", "--json"])).unwrap();
    assert_eq!(split["ok"]["port"], json!({ "error": "bad port at byte 2" }));
    assert_eq!(split["ok"]["username"], Value::Null);
}

#[test]
fn what_fails_says_why_and_ends_with_its_status() {
    let failed = |args: &[&str], status, message: &str| {
        let (code, out, err) = tidemill(args);
        assert_eq!((code, err.as_str()), (Some(status), format!("tidemill: {message}\n").as_str()));
        out
    };
    assert_eq!(failed(&["urlsplit", "http://[/"], 1, "urlsplit: bad host at byte 7"), "");
    let out = failed(&["urlsplit", "http://[/", "--json"], 1, "urlsplit: bad host at byte 7");
    assert_eq!(out, "{\"error\":\"bad host at byte 7\"}\n");
    failed(&["urljoin", "x"], 1, "urljoin: argument 'url' is missing");
    failed(&["urlspilt", "x"], 2, "unknown operation 'urlspilt': see 'tidemill url --help'");
    failed(&["quote", "x", "--kw", "safe"], 2, "no name and value: 'safe'");
}

/// A Python 3.13, by name or among those of pyenv.
fn python() -> Option<String> {
    let own = std::env::var("TIDEMILL_PYTHON").ok();
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let installed = versions.map(|entry| entry.path().join("bin/python3").display().to_string());
    let mut names = own.into_iter().chain(["python3.13".to_owned(), "python3".to_owned()]).chain(installed);
    names.find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.stdout.starts_with(b"Python 3.13."))
    })
}

/// Errors as Python's are recorded: that there is one.
fn without_reasons(value: Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("error") => json!({ "error": true }),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, without_reasons(value))).collect(),
        other => other,
    }
}

/// How many calls are compared: 20,000, unless `TIDEMILL_URL_CALLS` says more. `TIDEMILL_SEED` draws others.
#[test]
fn drawn_calls_are_answered_as_python_answers_them() {
    let Some(python) = python() else {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: urllib.parse against Python itself: no Python 3.13 here").unwrap();
        return;
    };
    let set = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let (seed, count) = (set("TIDEMILL_SEED", "1"), set("TIDEMILL_URL_CALLS", "20000"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/url_python.py");
    let mut drawn = Command::new(&python).args([script, &seed, &count]).stdout(Stdio::piped()).spawn().unwrap();
    let mut batch = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["url", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (calls, answers) = (drawn.stdout.take().unwrap(), batch.stdout.take().unwrap());
    let mut input = batch.stdin.take().unwrap();
    let (send, expected) = sync_channel(10_000);
    let feeder = std::thread::spawn(move || {
        for line in BufReader::new(calls).lines() {
            let line = line.unwrap();
            let (call, answer) = line.split_once('\t').unwrap();
            // When an answer was wrong the other side is gone, and says so.
            if writeln!(input, "{call}").is_err() || send.send(line.clone()).is_err() || answer.is_empty() {
                return;
            }
        }
    });
    let (mut compared, mut errors) = (0_u64, 0_u64);
    for answer in BufReader::new(answers).lines() {
        let line = expected.recv().unwrap();
        let (call, expected) = line.split_once('\t').unwrap();
        let answer = without_reasons(serde_json::from_str(&answer.unwrap()).unwrap());
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(answer, expected, "seed {seed}: {call}");
        compared += 1;
        errors += u64::from(answer.get("error").is_some());
    }
    feeder.join().unwrap();
    assert!(drawn.wait().unwrap().success() && batch.wait().unwrap().success());
    assert_eq!(Ok(compared), count.parse());
    assert!(errors > 0 && errors < compared / 2, "{errors} errors show too little");
}
