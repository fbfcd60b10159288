//! Downloads beside those of curl and aria2, in one run: `cargo bench -p tidemill-tests --bench download [-- SECTION]`.
//!
//! Sections: `wall` (1 GiB, nothing in the way), `limited` (8 MiB/s for each connection), `skewed` (every fourth
//! connection eight times slower) and `memory`. Each prints medians of rounds in which the programs take turns, so that
//! what else the machine does falls on all of them. It needs `cargo build --release`, nginx, curl and aria2.

use std::fs::File;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use tidemill_tests::e2e::{Answer, Content, Nginx, Odd, Tidemill};

const ROUNDS: usize = 7;
const MIB: u64 = 1 << 20;

/// One program's command line; `{}` is the URL.
struct Contender(&'static str, &'static [&'static str]);

const TIDEMILL_8: Contender = Contender("tidemill", &["get", "{}", "-n", "8", "-q", "--no-resume", "-o", "out"]);
const TIDEMILL_4: Contender = Contender("tidemill", &["get", "{}", "-n", "4", "-q", "--no-resume", "-o", "out"]);
const TIDEMILL_1: Contender = Contender("tidemill", &["get", "{}", "-n", "1", "-q", "--no-resume", "-o", "out"]);
const CURL: Contender = Contender("curl", &["-s", "-o", "out", "{}"]);
const ARIA2_8: Contender = Contender("aria2c", &["-q", "-x8", "-s8", "-k1M", "--allow-overwrite", "-o", "out", "{}"]);
const ARIA2_4: Contender = Contender("aria2c", &["-q", "-x4", "-s4", "-k1M", "--allow-overwrite", "-o", "out", "{}"]);

#[derive(Clone, Copy)]
struct Figures {
    wall: f64,
    cpu: f64,
    peak_mib: f64,
}

impl Contender {
    fn name(&self) -> String {
        let flags = self.1.iter().zip(self.1.iter().skip(1)).find(|(flag, _)| **flag == "-n");
        flags.map_or(self.0.into(), |(_, count)| format!("{} -n {count}", self.0))
    }

    /// Runs it once in a folder of its own.
    fn run(&self, url: &str) -> Figures {
        let scene = Tidemill::new();
        let args: Vec<_> = self.1.iter().map(|arg| if *arg == "{}" { url } else { arg }).collect();
        let before = cpu_of_children();
        let outcome = match self.0 {
            "tidemill" => scene.run(&args),
            program => scene.run_program(program, &args),
        };
        outcome.succeeded();
        Figures {
            wall: outcome.took.as_secs_f64(),
            cpu: cpu_of_children().saturating_sub(before).as_secs_f64(),
            peak_mib: outcome.peak as f64 / 1024.0,
        }
    }
}

fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    let time = |value: nix::sys::time::TimeVal| Duration::new(value.tv_sec() as u64, value.tv_usec() as u32 * 1000);
    time(usage.user_time()) + time(usage.system_time())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets them take turns, after one round that does not count; prints a row for each, and its ratio to `ideal` seconds,
/// or to the contender of this index.
fn compare(contenders: &[Contender], rounds: usize, against: Result<f64, usize>, url: impl Fn() -> String) {
    let mut all: Vec<Vec<Figures>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (contender, figures) in contenders.iter().zip(&mut all) {
            let measured = contender.run(&url());
            if round > 0 {
                figures.push(measured);
            }
        }
    }
    let pick = |figures: &[Figures], of: fn(&Figures) -> f64| median(figures.iter().map(of).collect());
    let base = against.unwrap_or_else(|index| pick(&all[index], |figures| figures.wall));
    let base_cpu = against.err().map(|index| pick(&all[index], |figures| figures.cpu));
    println!("{:<14} {:>7} {:>6} {:>7} {:>6} {:>9}", "", "wall s", "ratio", "CPU s", "ratio", "peak MiB");
    for (contender, figures) in contenders.iter().zip(&all) {
        let (wall, cpu) = (pick(figures, |figures| figures.wall), pick(figures, |figures| figures.cpu));
        let cpu_ratio = base_cpu.map_or("-".into(), |base| format!("{:.2}", cpu / base));
        let peak = pick(figures, |figures| figures.peak_mib);
        println!("{:<14} {wall:>7.2} {:>6.2} {cpu:>7.2} {cpu_ratio:>6} {peak:>9.1}", contender.name(), wall / base);
    }
}

fn wall() {
    println!("\n1 GiB from nginx over loopback; ratios to curl");
    let nginx = Nginx::new();
    Content::new(1, 1024 * MIB).write(&nginx.path("f"));
    compare(&[TIDEMILL_8, TIDEMILL_1, CURL, ARIA2_8], ROUNDS, Err(2), || nginx.url("f"));
}

fn limited() {
    println!("\n128 MiB from nginx at 8 MiB/s for each of 8 connections; ratios to the ideal 2.00 s");
    let nginx = Nginx::new();
    Content::new(2, 128 * MIB).write(&nginx.path("f"));
    compare(&[TIDEMILL_8, ARIA2_8], ROUNDS, Ok(2.0), || nginx.url("8m/f"));
}

fn skewed() {
    println!("\n64 MiB over 4 connections, every fourth at 1 MiB/s, the others at 8; ratios to the ideal 2.56 s");
    let content = Content::new(3, 64 * MIB);
    // A server for each run, so that each begins with the same connections.
    let server = || {
        Odd::new(move |asked| {
            let rate = if asked.connection % 4 == 3 { MIB } else { 8 * MIB };
            Answer::honest(asked, content).rate(rate)
        })
    };
    let current = std::cell::RefCell::new(None);
    compare(&[TIDEMILL_4, ARIA2_4], ROUNDS, Ok(64.0 / 25.0), || current.borrow_mut().insert(server()).url());
}

fn memory() {
    println!("\npeak memory of tidemill get -n 8");
    let nginx = Nginx::new();
    for mib in [64, 1024, 5 * 1024] {
        File::create(nginx.path("f")).and_then(|file| file.set_len(mib * MIB)).expect("a sparse file");
        println!("{mib:>5} MiB file: {:.1} MiB", TIDEMILL_8.run(&nginx.url("f")).peak_mib);
    }
}

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let sections: [(&str, fn()); 4] = [("wall", wall), ("limited", limited), ("skewed", skewed), ("memory", memory)];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            section();
        }
    }
}
