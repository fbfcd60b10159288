//! What it costs to take real URLs apart, beside other parsers, in one process.
//!
//! `cargo bench -p tidemill-tests --bench url` prints nanoseconds a URL over the 100,031 links in `urls/top100.txt` of the
//! conformance data: each row is the median of rounds in which all take turns. `--features ada` measures `ada-url`, too,
//! which needs a C++ compiler; CPython is measured where a Python 3.13 is named by `TIDEMILL_PYTHON`, on the path, or
//! among those of pyenv.
//!
//! What the rows do differs: `url` and `ada-url` make a canonical copy, `fluent-uri` and `iri-string` refuse what is not
//! RFC 3986; the column of URLs taken shows it.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use tidemill_core::url::{Uri, Url, can_parse, urljoin, urlparse, urlsplit};

const ROUNDS: usize = 15;

/// A parser's name, and whether it takes a URL.
type Row = (&'static str, fn(&str) -> bool);

const ROWS: &[Row] = &[
    ("urlsplit", |url| black_box(urlsplit(black_box(url), "", true)).is_ok()),
    ("urlparse", |url| black_box(urlparse(black_box(url), "", true)).is_ok()),
    ("urlsplit, hostname, port", |url| {
        let Ok(split) = urlsplit(black_box(url), "", true) else { return false };
        black_box(split.hostname());
        black_box(split.port()).is_ok()
    }),
    ("urljoin", |url| black_box(urljoin(black_box(url), "../g?x#y", true, &mut [0; 4096])).is_ok()),
    ("Uri::parse", |url| black_box(Uri::parse(black_box(url))).is_ok()),
    ("Uri::parse_strict", |url| black_box(Uri::parse_strict(black_box(url))).is_ok()),
    // Looked at where they are made: moving one copies its free room.
    ("Url<2048>::parse", |url| black_box(&Url::<2048>::parse(black_box(url), None)).is_ok()),
    ("Url<512>::parse", |url| black_box(&Url::<512>::parse(black_box(url), None)).is_ok()),
    ("can_parse", |url| black_box(can_parse(black_box(url), None))),
    ("fluent-uri", |url| black_box(fluent_uri::UriRef::parse(black_box(url))).is_ok()),
    ("iri-string", |url| black_box(iri_string::types::UriReferenceStr::new(black_box(url))).is_ok()),
    ("url", |url| black_box(url::Url::parse(black_box(url))).is_ok()),
    #[cfg(feature = "ada")]
    ("ada-url", |url| black_box(ada_url::Url::parse(black_box(url), None)).is_ok()),
    #[cfg(feature = "ada")]
    ("ada-url can_parse", |url| black_box(ada_url::Url::can_parse(black_box(url), None))),
];

/// Prints nanoseconds a URL, by the function beneath the cache of 128 results that hides its cost.
const PYTHON: &str = "
import sys, time, urllib.parse as up
urls = open(sys.argv[1], encoding='utf-8').read().split('\\n')
split, best = up.urlsplit.__wrapped__, []
for _ in range(5):
    start = time.perf_counter_ns()
    for url in urls: split(url)
    best.append((time.perf_counter_ns() - start) / len(urls))
print(sorted(best)[2])
";

fn python(file: &str) -> Option<f64> {
    let name = tidemill_tests::python()?;
    let output = Command::new(name).args(["-c", PYTHON, file]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn main() {
    let folder = std::env::var("TIDEMILL_CONFORMANCE");
    let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance").into());
    let file = format!("{folder}/urls/top100.txt");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("NOT MEASURED: no {file}");
        return;
    };
    let urls: Vec<&str> = text.lines().collect();
    let mut times = vec![Vec::new(); ROWS.len()];
    let mut taken = vec![0; ROWS.len()];
    for _ in 0..ROUNDS {
        for (row, (_, parse)) in ROWS.iter().enumerate() {
            let start = Instant::now();
            taken[row] = urls.iter().filter(|url| parse(url)).count();
            times[row].push(start.elapsed().as_nanos() as f64 / urls.len() as f64);
        }
    }
    println!("{:<26}{:>10}{:>14}{:>10}", "", "ns/URL", "to urlsplit", "taken");
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        })
        .collect();
    for ((name, _), (time, taken)) in ROWS.iter().zip(medians.iter().zip(taken)) {
        println!("{name:<26}{time:>10.1}{:>14.2}{taken:>10}", time / medians[0]);
    }
    match python(&file) {
        Some(time) => println!("{:<26}{time:>10.1}{:>14.2}", "CPython urlsplit", time / medians[0]),
        None => println!("NOT MEASURED: CPython: no Python 3.13 here"),
    }
    if !cfg!(feature = "ada") {
        println!("NOT MEASURED: ada-url: it needs --features ada");
    }
}
