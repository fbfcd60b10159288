//! tidemill's simulator beside its peers: turmoil, madsim and bach, the same work in one run of one thread.
//!
//! `cd tests/sim-peers && cargo run --release [-- ROW…]` prints the table; a row is `bulk`, `fan`, `hour`, `tiny`, `idle`.
//!
//! tidemill runs a whole TCP/IP stack over packets, with checksums, acknowledgements and a hash of every frame; turmoil's
//! and madsim's TCP are channels of segments, and bach's network is UDP. Figures are seconds of the processor, the best of
//! some rounds: other work on the machine disturbs them little.

mod bach;
mod madsim;
mod ours;
mod turmoil;

use std::time::Duration;

/// Bytes of the bulk transfer.
const BULK: usize = 64 << 20;

/// Clients who ask one server: so many, so often, with such a pause between two questions.
#[derive(Clone, Copy)]
struct Asking {
    clients: usize,
    times: usize,
    pause: Duration,
    /// Bytes of an answer.
    answer: usize,
    /// Least and most time on the way.
    latency: (Duration, Duration),
}

/// Bytes of a question.
const QUESTION: usize = 16;

/// Largest answer.
const ANSWER_MAX: usize = 1024;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const FAN: Asking = Asking { clients: 100, times: 100, pause: ms(0), answer: 1024, latency: (ms(1), ms(10)) };
const TINY: Asking = Asking { clients: 3, times: 10, pause: ms(0), answer: 32, latency: (ms(1), ms(10)) };

/// One question a second for an hour, or for a part of it.
const fn hour(clients: usize, parts: usize) -> Asking {
    Asking { clients, times: 3600 / parts, pause: Duration::from_secs(1), answer: 32, latency: (ms(1), ms(10)) }
}

/// Seconds of the processor that this process has used.
fn cpu() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to room for one, and all zeroes is one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The best of three rounds, in seconds of the processor.
fn best(mut run: impl FnMut()) -> f64 {
    (0..3)
        .map(|_| {
            let start = cpu();
            run();
            cpu() - start
        })
        .fold(f64::INFINITY, f64::min)
}

/// Runs for one seed after another for a second or more, and returns how many a second.
fn rate(mut run: impl FnMut(u64)) -> f64 {
    let (start, mut seed) = (cpu(), 0);
    while cpu() - start < 1.0 {
        for _ in 0..20 {
            run(seed);
            seed += 1;
        }
    }
    seed as f64 / (cpu() - start)
}

/// A line of the table, and how much slower ours is than the fastest peer. `higher`: more is better.
fn row(name: &str, figures: [Option<f64>; 4], higher: bool) {
    let [ours, peers @ ..] = figures;
    let ours = ours.expect("ours runs everything");
    let known = peers.into_iter().flatten();
    let fastest = if higher { known.fold(0.0, f64::max) } else { known.fold(f64::INFINITY, f64::min) };
    let slower = if higher { fastest / ours } else { ours / fastest };
    let show = |figure: Option<f64>| match figure {
        None => "-".to_owned(),
        Some(figure) if higher => format!("{figure:.0}"),
        Some(figure) => format!("{figure:.5}"),
    };
    let columns = figures.map(show);
    println!("| {name} | {} | {} | {} | {} | {slower:.2} |", columns[0], columns[1], columns[2], columns[3]);
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|each| each == name);
    println!("| | tidemill | turmoil 0.7 | madsim 0.2 | bach 0.2 (UDP) | ours to the fastest |");
    println!("|---|---|---|---|---|---|");
    if wants("bulk") {
        let figures = [
            Some(best(|| ours::bulk(BULK))),
            Some(best(|| turmoil::bulk(BULK))),
            Some(best(|| madsim::bulk(BULK))),
            None,
        ];
        row("(a) 64 MiB in bulk, 1 ms: s", figures, false);
    }
    if wants("fan") {
        let figures = [
            Some(best(|| ours::ask(1, FAN))),
            Some(best(|| turmoil::ask(1, FAN))),
            Some(best(|| madsim::ask(1, FAN))),
            Some(best(|| bach::ask(1, FAN))),
        ];
        row("(b) 100 clients ask 100 times for 1 KiB: s", figures, false);
    }
    if wants("hour") {
        for clients in [1, 20] {
            // turmoil walks through every millisecond: a part of the hour will do.
            let parts = 10 * clients;
            let figures = [
                Some(best(|| ours::ask(1, hour(clients, 1)))),
                Some(best(|| turmoil::ask(1, hour(clients, parts))) * parts as f64),
                Some(best(|| madsim::ask(1, hour(clients, 1)))),
                Some(best(|| bach::ask(1, hour(clients, 1)))),
            ];
            row(&format!("(c) {clients} ask once a second for an hour: s"), figures, false);
        }
    }
    if wants("tiny") {
        let figures = [
            Some(rate(|seed| ours::ask(seed, TINY))),
            Some(rate(|seed| turmoil::ask(seed, TINY))),
            Some(rate(|seed| madsim::ask(seed, TINY))),
            Some(rate(|seed| bach::ask(seed, TINY))),
        ];
        row("(d) 3 ask 10 times: seeds/s", figures, true);
    }
    if wants("idle") {
        for hosts in [2, 10, 25, 50, 100, 200] {
            let figures = [
                Some(best(|| ours::idle(hosts))),
                // At 200 hosts a second takes it half a minute.
                (hosts <= 100).then(|| best(|| turmoil::idle(hosts))),
                Some(best(|| madsim::idle(hosts))),
                Some(best(|| bach::idle(hosts))),
            ];
            row(&format!("{hosts} idle hosts for a second: s"), figures, false);
        }
    }
}
