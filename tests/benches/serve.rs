//! The file server beside nginx and Python, by wrk, in one run: `cargo bench -p tidemill-tests --bench serve [-- SECONDS]`.
//!
//! Each row is a size, a number of connections, and whether they are kept; the servers take turns in rounds, with as many
//! workers each, so that what else the machine does falls on all of them. It prints medians: requests a second, the
//! slowest hundredth's time, and the server's CPU seconds for 10,000 requests, which tell more than the others where
//! wrk shares the cores with them. It needs `cargo build --release`, wrk, nginx and python3.

use std::fs;
use std::process::Command;

use tidemill_tests::e2e::{Content, Nginx, Python, Serving};

const ROUNDS: usize = 3;

/// What one run of wrk found.
#[derive(Clone, Copy, Default)]
struct Figures {
    per_second: f64,
    p99_ms: f64,
    cpu: f64,
    errors: f64,
}

/// CPU seconds of a process and its children that live.
fn cpu(pid: u32) -> f64 {
    let ticks = |pid: &str| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may have blanks: user and system time are the 12th and 13th.
        let times = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    };
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let all = ticks(&pid.to_string()) + children.split_whitespace().map(ticks).sum::<u64>();
    all as f64 / 100.0
}

/// A figure behind `name` in what wrk prints, with its unit.
fn figure(text: &str, name: &str) -> Option<f64> {
    let word = text.lines().find_map(|line| line.trim().strip_prefix(name))?.split_whitespace().next()?;
    let digits = word.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let scale = match &word[digits.len()..] {
        "us" => 1e-3,
        "s" => 1e3,
        "m" => 6e4,
        _ => 1.0,
    };
    digits.parse::<f64>().ok().map(|value| value * scale)
}

fn wrk(url: &str, pid: u32, connections: usize, kept: bool, seconds: usize) -> Figures {
    let mut command = Command::new("wrk");
    command.args([
        "-t2",
        "--latency",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds}s"),
        "--timeout",
        "10s",
    ]);
    if !kept {
        command.args(["-H", "Connection: close"]);
    }
    let before = cpu(pid);
    let output = command.arg(url).output().expect("wrk is needed: apt-get install wrk");
    let cpu = cpu(pid) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let per_second = figure(&text, "Requests/sec:").unwrap_or_default();
    let errors = text.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx")).count();
    Figures {
        per_second,
        p99_ms: figure(&text, "99%").unwrap_or_default(),
        cpu: cpu / (per_second * seconds as f64) * 10_000.0,
        errors: errors as f64,
    }
}

fn median(figures: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<_> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(4);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let ours = Serving::quiet(&["--max-connections", "4096", "--workers", &workers.to_string()]);
    let nginx = Nginx::quick(workers);
    for (name, size) in [("1k", 1 << 10), ("1m", 1 << 20)] {
        Content::new(1, size).write(&ours.path(name));
        Content::new(1, size).write(&nginx.path(name));
    }
    let python = Python::new(&ours.path(""));
    println!("{workers} workers each; medians of {ROUNDS} rounds of {seconds} s; ratios to nginx");
    println!(
        "{:<24} {:<9} {:>10} {:>6} {:>9} {:>14} {:>6}",
        "", "", "requests/s", "ratio", "p99 ms", "CPU s per 10^4", "ratio"
    );
    for name in ["1k", "1m"] {
        for connections in [32, 1000] {
            for kept in [true, false] {
                let contenders = [
                    ("tidemill", ours.url(name), ours.pid()),
                    ("nginx", nginx.url(name), nginx.pid()),
                    ("python", python.url(name), python.pid()),
                ];
                // Python's has a thread for each connection, and no need to be shown with a thousand.
                let contenders = &contenders[..if connections > 32 { 2 } else { 3 }];
                let mut all = vec![Vec::new(); contenders.len()];
                for _ in 0..ROUNDS {
                    for ((_, url, pid), figures) in contenders.iter().zip(&mut all) {
                        figures.push(wrk(url, *pid, connections, kept, seconds));
                    }
                }
                let of = |at: usize, of: fn(&Figures) -> f64| median(&all[at], of);
                for (at, (contender, ..)) in contenders.iter().enumerate() {
                    let (rate, cpu) = (of(at, |figures| figures.per_second), of(at, |figures| figures.cpu));
                    let ratio = rate / of(1, |figures| figures.per_second);
                    let cpu_ratio = cpu / of(1, |figures| figures.cpu);
                    let row = format!("{name} x{connections} {}", if kept { "kept" } else { "closed" });
                    let errors = if of(at, |figures| figures.errors) > 0.0 { " errors" } else { "" };
                    let p99 = of(at, |figures| figures.p99_ms);
                    println!(
                        "{row:<24} {contender:<9} {rate:>10.0} {ratio:>6.2} {p99:>9.2} {cpu:>14.3} {cpu_ratio:>6.2}{errors}"
                    );
                }
            }
        }
    }
}
