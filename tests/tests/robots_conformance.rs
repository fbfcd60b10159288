//! The cases of Google's robots.txt library: 100 of a file, an agent, a URL and whether it may be fetched. Those whose name
//! begins with `GoogleOnly_` go beyond RFC 9309. Where we differ, the case stands in a list with the reason, and one that
//! stands there without a difference fails, too.

use std::io::Write;

use tidemill_core::robots::{Answer, Robots};

/// (case, agent, start of the URL, its end, why we differ).
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "GoogleOnly_AcceptUserAgentUpToFirstSpace",
        "Foo Bar",
        "http://foo.bar/x/y",
        "",
        "Google cuts the file's agent at a space, and not the asker's; we cut both, as Python does, so they are the same",
    ),
    (
        "GoogleOnly_IndexHTMLisDirectory",
        "foobot",
        "http://foo.com/allowed-slash/",
        "slash/",
        "Google lets a rule for `index.html` stand for its folder; the RFC does not",
    ),
    (
        "GoogleOnly_LineTooLong",
        "FooBot",
        "http://foo.bar/x/aaaa",
        "a/fux",
        "Google cuts lines after 16,663 bytes, so its rule is a shorter one; we read them whole",
    ),
    ("GoogleOnly_LineTooLong", "FooBot", "http://foo.bar/x/bbbb", "b/fux", "the same"),
    (
        "ID_Encoding",
        "FooBot",
        "http://foo.bar/foo/bar/ツ",
        "",
        "Google wants URLs percent-encoded by the caller; RFC 9309, 2.2.2, has them compared as if they were",
    ),
];

/// Says something past the test harness, which would keep it to itself.
fn say(text: &str) {
    std::io::stderr().write_all(format!("\n{text}\n").as_bytes()).unwrap();
}

#[test]
fn every_case_of_googles_library_but_the_listed_is_decided_alike() {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/robots/cases.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        say(&format!("NOT TESTED: Google's cases of robots.txt: no {file}"));
        return;
    };
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 100);
    let (mut wrong, mut differing) = (Vec::new(), 0);
    for case in cases {
        let [name, file, agent, url] = ["test", "robots", "agent", "url"].map(|key| case[key].as_str().unwrap());
        // Bytes stand there as characters of Latin-1.
        let bytes = |text: &str| text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
        let (file, url): (Vec<u8>, _) = (bytes(file), String::from_utf8(bytes(url)).unwrap());
        let mut robots = Box::new(Robots::<65536>::new(agent));
        assert_eq!(robots.answer(200, 0), Answer::Read);
        robots.receive(&file);
        robots.end(0);
        let listed = DIFFERENCES.iter().any(|(test, by, start, end, _)| {
            *test == name && *by == agent && url.starts_with(start) && url.ends_with(end)
        });
        let same = robots.can_fetch(&url) == case["allowed"].as_bool().unwrap();
        differing += usize::from(!same);
        if same == listed {
            wrong.push(format!("{name} {agent} {url:.60}: as expected {same}, listed {listed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    say(&format!("robots.txt: {} of {} cases as Google has them", cases.len() - differing, cases.len()));
}
