//! Downloads that are killed, interrupted, and find another file when they come back: `tidemill get` goes on where its
//! journal says, fetches little twice, and never mixes two files into one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tidemill_tests::e2e::{Answer, Asked, Content, Nginx, Odd, Random, Tidemill};

const MIB: u64 = 1 << 20;

/// What a killed download may have to fetch again. The journal is at most this far behind: a turn that just did not call
/// for it to be written, another one, and the read that ended that.
const GRANULARITY: u64 = 8 * MIB + 256 * 1024;

/// What is fetched again of each part that is there, to see that it is the same file, for 64 parts.
const SAMPLES: u64 = 256 * 1024;

#[test]
fn killed_twenty_times_a_gigabyte_arrives_whole_and_little_is_fetched_twice() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(1, 1 << 30);
    content.write(&nginx.path("f"));
    let get = ["get", &nginx.url("f"), "-n", "4", "--json"];
    let mut random = Random::new(1);
    // In steps of this: each segment may end within one.
    let step = 16 << 10;
    let (mut before, mut saved, mut unsaved) = (0, 0, 0);
    for kill in 0..=20 {
        let run = if kill < 20 {
            // 20 times half a second at 64 MiB/s are 640 MiB.
            let running = tidemill.start(&[&get[..], &["--limit-rate", "64MiB"]].concat());
            thread::sleep(Duration::from_millis(random.within(50..950)));
            running.killed()
        } else {
            tidemill.run(&get)
        };
        let started = run.event("started").unwrap_or_else(|| panic!("kill {kill}: nothing told"));
        let resumed = started["resumed"].as_u64().unwrap();
        assert!(resumed + SAMPLES >= saved, "kill {kill}: what was saved stays saved");
        saved = resumed;
        // What an earlier kill cost still lies there where nobody has come by since, and is no cost of this one.
        let again = before.max(resumed) - resumed;
        let bound = unsaved + GRANULARITY + SAMPLES + 64 * step;
        assert!(again <= bound, "kill {kill}: {again} bytes of {before} are fetched again, {unsaved} the time before");
        unsaved = again;
        if kill < 20 {
            assert!(!tidemill.path("f").exists());
            before = content.bytes_in(&tidemill.path("f.part"), step);
        } else {
            run.succeeded();
        }
    }
    assert!(saved > content.len / 4, "only {saved} bytes had come when it was last killed");
    content.assert_in(&tidemill.path("f"));
    assert_eq!(tidemill.files(), ["f"]);
}

/// How a server tells versions of a file apart.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Told {
    ByTag,
    ByWeakTag,
    ByDate,
    Not,
    /// The tag is the same for both: written within one second, say.
    Wrongly,
}

fn answer(asked: &Asked, content: Content, told: Told) -> Answer {
    let is_new = content.seed % 2;
    match told {
        Told::ByTag => Answer::honest(asked, content),
        Told::ByWeakTag => Answer::validated(asked, content, "ETag", &format!("W/\"{is_new}\"")),
        Told::ByDate => {
            let date = ["Mon, 01 Jun 2026 10:00:00 GMT", "Tue, 02 Jun 2026 10:00:00 GMT"][is_new as usize];
            // Long ago: so it could not be changed again within that second (RFC 9110, 8.8.2.2).
            Answer::validated(asked, content, "Last-Modified", date).field("Date", "Wed, 01 Jul 2026 10:00:00 GMT")
        }
        Told::Not => Answer::validated(asked, content, "X-Nothing", ""),
        Told::Wrongly => Answer::validated(asked, content, "ETag", "\"same\""),
    }
}

/// Kills a download midway, replaces the file by another of the same length, and resumes. Returns what had been saved.
fn replaced(seed: u64, told: Told) -> u64 {
    let (old, new) = (Content::new(2 * seed, 4 * MIB), Content::new(2 * seed + 1, 4 * MIB));
    let is_replaced = Arc::new(AtomicBool::new(false));
    let seen = is_replaced.clone();
    let server = Odd::new(move |asked| answer(asked, if seen.load(Ordering::SeqCst) { new } else { old }, told));
    let tidemill = Tidemill::new();
    let get = ["get", &server.url(), "--json", "-n", "4"];

    let running = tidemill.start(&[&get[..], &["--limit-rate", "6MiB"]].concat());
    // Without a version there is nothing to save.
    tidemill.wait_for(if matches!(told, Told::Not | Told::ByWeakTag) { "f.part" } else { "f.part.meta" });
    thread::sleep(Duration::from_millis(Random::new(seed).within(0..250)));
    running.killed();
    is_replaced.store(true, Ordering::SeqCst);
    let run = tidemill.run(&get);
    run.succeeded();
    new.assert_in(&tidemill.path("f"));
    run.event("started").unwrap()["resumed"].as_u64().unwrap()
}

#[test]
fn killed_and_replaced_by_a_file_of_the_same_length_a_hundred_times_it_is_never_mixed() {
    let kinds = [Told::ByTag, Told::ByDate, Told::Wrongly, Told::ByWeakTag, Told::Not];
    let halves = [0..50, 50..100].map(|seeds| {
        thread::spawn(move || seeds.map(|seed| (seed, replaced(seed, kinds[seed as usize % kinds.len()]))).collect())
    });
    let runs: Vec<Vec<(u64, u64)>> = halves.into_iter().map(|half| half.join().unwrap()).collect();
    // Where there was nothing to resume, nothing was tried.
    let tried = runs.iter().flatten().filter(|(seed, saved)| seed % 5 < 3 && *saved > 0).count();
    assert!(tried >= 50, "only {tried} of 60 had something to resume");
}

#[test]
fn what_has_not_changed_is_resumed_however_versions_are_told() {
    for told in [Told::ByTag, Told::ByDate] {
        let content = Content::new(2, 8 * MIB);
        let (server, tidemill) = (Odd::new(move |asked| answer(asked, content, told)), Tidemill::new());
        let get = ["get", &server.url(), "--json"];
        let running = tidemill.start(&[&get[..], &["--limit-rate", "8MiB"]].concat());
        // The first time that the journal is written there are a quarter of a second's bytes, and it is again as often.
        tidemill.wait_for("f.part.meta");
        thread::sleep(Duration::from_millis(350));
        running.killed();
        let run = tidemill.run(&get);
        let resumed = run.succeeded().event("finished").unwrap()["resumed"].as_u64().unwrap();
        assert!(resumed > MIB, "{told:?}: {resumed} bytes");
        content.assert_in(&tidemill.path("f"));
    }
}

#[test]
fn a_file_of_another_length_is_begun_anew() {
    for len in [3 * MIB, 5 * MIB, 0] {
        let is_replaced = Arc::new(AtomicBool::new(false));
        let (old, new, seen) = (Content::new(2, 4 * MIB), Content::new(3, len), is_replaced.clone());
        let server = Odd::new(move |asked| Answer::honest(asked, if seen.load(Ordering::SeqCst) { new } else { old }));
        let tidemill = Tidemill::new();
        let running = tidemill.start(&["get", &server.url(), "-q", "--limit-rate", "6MiB"]);
        tidemill.wait_for("f.part.meta");
        running.killed();
        is_replaced.store(true, Ordering::SeqCst);
        tidemill.run(&["get", &server.url(), "-q"]).succeeded();
        new.assert_in(&tidemill.path("f"));
    }
}

#[test]
fn interrupted_it_says_how_to_resume_and_does() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
        let content = Content::new(4, 32 * MIB);
        content.write(&nginx.path("f"));
        let running = tidemill.start(&["get", &nginx.url("f"), "-q", "--limit-rate", "32MiB"]);
        thread::sleep(Duration::from_millis(500));
        running.signal(signal);
        running.outcome().failed(1, "f: interrupted; run the same command again to resume");
        assert_eq!(tidemill.files(), ["f.part", "f.part.meta"]);
        let there = content.bytes_in(&tidemill.path("f.part"), 16 << 10);

        let run = tidemill.run(&["get", &nginx.url("f"), "--json"]);
        let resumed = run.succeeded().event("finished").unwrap()["resumed"].as_u64().unwrap();
        assert!(resumed >= there.saturating_sub(MIB), "{resumed} of {there} bytes: it had the time to save all");
        content.assert_in(&tidemill.path("f"));
        assert_eq!(tidemill.files(), ["f"]);
    }
}
