//! `tidemill get` against nginx, Python's server and servers that fail in every way: the file is right, byte for byte,
//! or there is one line that says why there is none.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::time::Duration;

use tidemill_tests::e2e::{Answer, Asked, Content, Nginx, Odd, Outcome, Python, Random, Tidemill, not_tested};

const MIB: u64 = 1 << 20;

/// A peak of memory that is too high, in KiB.
const PEAK_KIB: u64 = 16 << 10;

/// Large downloads take turns, so that neither the disk nor the patience of others is at stake.
static LARGE: Mutex<()> = Mutex::new(());

#[test]
fn a_file_of_any_length_arrives_whole_from_nginx() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    for len in [0, 1, MIB - 1, MIB, MIB + 1, 64 * MIB] {
        let content = Content::new(len, len);
        content.write(&nginx.path("f"));
        for connections in ["1", "8"] {
            let get = ["get", &nginx.url("f"), "-n", connections, "-q", "--checksum", &content.checksum()];
            let run = tidemill.run(&get);
            assert!(run.succeeded().stderr.is_empty(), "{}", run.stderr);
            content.assert_in(&tidemill.path("f"));
            assert_eq!(tidemill.files(), ["f"], "nothing else is left");
            fs::remove_file(tidemill.path("f")).unwrap();
        }
    }
}

#[test]
fn a_gigabyte_needs_no_more_memory_than_a_megabyte() {
    let _turn = LARGE.lock();
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(1, 1 << 30);
    content.write(&nginx.path("f"));
    let run = tidemill.run(&["get", &nginx.url("f"), "-n", "8", "-q", "--checksum", &content.checksum()]);
    assert!(run.succeeded().peak < PEAK_KIB, "{} KiB", run.peak);
    content.assert_in(&tidemill.path("f"));
}

#[test]
fn a_sparse_file_of_five_gigabytes_arrives_whole() {
    let _turn = LARGE.lock();
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let len = 5 << 30;
    let file = File::create(nginx.path("f")).unwrap();
    file.set_len(len).unwrap();
    // Around each border of 4 GiB and of a segment, and at the ends.
    let piece = Content::new(2, MIB);
    let places = [0, len / 8 - 3, (4 << 30) - MIB / 2, len - MIB];
    for at in places {
        file.write_all_at(&piece.bytes(0..MIB), at).unwrap();
    }
    // So that the zeros that are nowhere on the disk need no memory either.
    let run = tidemill.run(&["get", &nginx.url("direct/f"), "-n", "8", "-q"]);
    assert!(run.succeeded().peak < PEAK_KIB, "{} KiB", run.peak);

    let mut got = File::open(tidemill.path("f")).unwrap();
    assert_eq!(got.metadata().unwrap().len(), len);
    let mut nonzero = 0;
    let mut buffer = vec![0; 4 << 20];
    loop {
        let count = got.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        if buffer[..count] != vec![0; count] {
            nonzero += buffer[..count].iter().filter(|&&byte| byte != 0).count();
        }
    }
    let expected = piece.bytes(0..MIB).iter().filter(|&&byte| byte != 0).count() * places.len();
    assert_eq!(nonzero, expected, "zeros are zeros");
    for at in places {
        let mut found = vec![0; MIB as usize];
        got.read_exact_at(&mut found, at).unwrap();
        assert!(found == piece.bytes(0..MIB), "at {at}");
    }
}

#[test]
fn a_server_without_ranges_gives_the_file_over_one_connection() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(3, 20 * MIB + 3);
    content.write(&nginx.path("f"));
    let python = Python::new(nginx.path("f").parent().unwrap());
    for url in [python.url("f"), nginx.url("no-ranges/f")] {
        let run = tidemill.run(&["get", &url, "-n", "8", "--json"]);
        assert!(run.succeeded().event("no_ranges").is_some(), "{url}");
        content.assert_in(&tidemill.path("f"));
        fs::remove_file(tidemill.path("f")).unwrap();
    }
}

#[test]
fn connections_that_are_limited_add_up() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(4, 128 * MIB);
    content.write(&nginx.path("f"));
    let took = |connections: &str| {
        let run = tidemill.run(&["get", &nginx.url("8m/f"), "-n", connections, "-q"]);
        run.succeeded();
        content.assert_in(&tidemill.path("f"));
        run.took.as_secs_f64()
    };
    // 16 MiB each, the first 8 MiB of which nginx gives at once.
    let eight = took("8");
    assert!(eight < 2.5, "{eight} s");
}

#[test]
fn two_mirrors_share_the_work_and_a_wrong_one_spoils_nothing() {
    let tidemill = Tidemill::new();
    let content = Content::new(5, 8 * MIB);
    let honest = || Odd::new(move |asked| Answer::honest(asked, content).rate(4 * MIB));
    let (one, two) = (honest(), honest());
    tidemill.run(&["get", &one.url(), &two.url(), "-n", "4", "-q"]).succeeded();
    content.assert_in(&tidemill.path("f"));
    assert!(one.sent() > MIB && two.sent() > MIB, "{} and {}", one.sent(), two.sent());

    for len in [8 * MIB, 8 * MIB + 1] {
        let other = Odd::new(move |asked| Answer::honest(asked, Content::new(6, len)));
        let run = tidemill.run(&["get", &one.url(), &other.url(), "-n", "4", "--json"]);
        assert!(run.succeeded().event("source_failed").is_some());
        content.assert_in(&tidemill.path("f"));
    }

    let gone = Odd::new(|_| Answer::status(404));
    let busy = Odd::new(|_| Answer::status(503));
    let silent = Odd::new(move |asked| Answer::honest(asked, content).stall_after(0));
    for bad in [gone, busy, silent] {
        for urls in [[one.url(), bad.url()], [bad.url(), one.url()]] {
            tidemill.run(&["get", &urls[0], &urls[1], "-n", "4", "-q", "--timeout", "1s"]).succeeded();
            content.assert_in(&tidemill.path("f"));
        }
    }
}

/// Downloads from a server that answers thus; four connections, a second of patience, two retries.
fn get(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Tidemill, Outcome) {
    let (odd, tidemill) = (Odd::new(answer), Tidemill::new());
    let run = tidemill.run(&["get", &odd.url(), "--json", "--timeout", "1s", "--retry", "2", "-o", "f"]);
    if run.status != Some(0) {
        assert!(!tidemill.path("f").exists(), "a failure leaves nothing under the final name");
    }
    (tidemill, run)
}

/// The same, and the file must be this one.
fn gets(content: Content, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Outcome {
    let (tidemill, run) = get(answer);
    run.succeeded();
    content.assert_in(&tidemill.path("f"));
    assert_eq!(tidemill.files(), ["f"]);
    run
}

const ODD: Content = Content { seed: 9, len: 5 * MIB + 5 };

#[test]
fn a_length_may_be_missing() {
    gets(ODD, |_| Answer::whole(ODD).chunked());
    gets(ODD, |_| Answer::whole(ODD).until_close());
    gets(ODD, |asked| Answer::honest(asked, ODD).chunked());
    gets(Content::new(0, 0), |_| Answer::whole(Content::new(0, 0)).chunked());
    gets(Content::new(0, 0), |_| Answer::whole(Content::new(0, 0)).until_close());
}

#[test]
fn a_server_may_promise_ranges_and_answer_with_all_of_it() {
    gets(ODD, |_| Answer::whole(ODD).field("Accept-Ranges", "bytes").field("ETag", "\"v\""));
    // It keeps the promise for a while.
    gets(ODD, |asked| if asked.number < 2 { Answer::honest(asked, ODD) } else { Answer::whole(ODD) });
    // Another part than the one asked for.
    let (_, run) = get(|_| Answer::part(ODD, 7..ODD.len).field("ETag", "\"v\""));
    run.failed(1, "another range");
}

#[test]
fn a_file_that_changes_midway_is_begun_anew_and_said_so() {
    let new = Content::new(10, ODD.len);
    let run = gets(new, move |asked| Answer::honest(asked, if asked.number < 2 { ODD } else { new }));
    assert!(run.event("changed").is_some());
    let shorter = Content::new(11, ODD.len - MIB);
    let run = gets(shorter, move |asked| Answer::honest(asked, if asked.number < 2 { ODD } else { shorter }));
    assert!(run.event("changed").is_some());
    // It changes with each request: there is no version to be had.
    let (_, run) = get(|asked| Answer::honest(asked, Content::new(asked.number as u64, 64 * MIB)).rate(MIB));
    run.failed(1, "keeps changing");
}

#[test]
fn a_connection_may_close_at_any_byte() {
    for seed in 0..8 {
        let random = Mutex::new(Random::new(seed));
        let run = gets(ODD, move |asked| Answer::honest(asked, ODD).cut_after(random.lock().unwrap().within(1..MIB)));
        assert!(run.event("retry").is_some());
    }
    // Without ranges nothing is gained by another try, until one comes through.
    gets(ODD, |asked| if asked.number < 2 { Answer::whole(ODD).cut_after(MIB) } else { Answer::whole(ODD) });
    let (_, run) = get(|_| Answer::whole(ODD).cut_after(MIB));
    run.failed(1, "closed");
    // Before the first byte of an answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    Tidemill::new().run(&["get", &url, "-q", "--retry", "1"]).failed(1, &url);
}

#[test]
fn a_server_that_stalls_is_left_and_asked_again() {
    let honest = |asked: &Asked| Answer::honest(asked, ODD);
    let run = gets(ODD, move |asked| if asked.number < 4 { honest(asked).stall_after(100_000) } else { honest(asked) });
    assert!(run.event("retry").is_some());
    for stall in [0, 100_000] {
        let (_, run) = get(move |asked| {
            // What it has sent once it never sends again.
            let ranges = asked.range.is_some_and(|(start, _)| start > 0);
            honest(asked).stall_after(if ranges { 0 } else { stall })
        });
        run.failed(1, "nothing for too long");
    }
}

#[test]
fn a_length_that_lies_gives_no_wrong_file() {
    // Longer than what comes.
    let (_, run) = get(|_| Answer::whole(ODD).declaring(ODD.len + 1000));
    run.failed(1, "");
    let (_, run) = get(|asked| Answer::honest(asked, ODD).declaring(ODD.len + 1000));
    run.failed(1, "");
    // Shorter than what comes, and than the range that it says it is.
    let (tidemill, run) = get(|asked| Answer::honest(asked, ODD).declaring(1000));
    if run.status == Some(0) {
        ODD.assert_in(&tidemill.path("f"));
    }
    // Shorter, and nothing else says so: that is the length, and what comes after is no answer to anything.
    let short = Content::new(ODD.seed, 1000);
    gets(short, |_| Answer::whole(ODD).declaring(1000));
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let run = gets(ODD, |asked| match asked.number {
        0 => Answer::status(503).field("Retry-After", "1"),
        _ => Answer::honest(asked, ODD),
    });
    assert!(run.took >= Duration::from_secs(1), "{:?}", run.took);
    // It wants fewer connections.
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(12, 24 * MIB);
    content.write(&nginx.path("f"));
    tidemill.run(&["get", &nginx.url("two/f"), "-n", "8", "-q", "--retry", "2"]).succeeded();
    content.assert_in(&tidemill.path("f"));
    get(|_| Answer::status(503)).1.failed(1, "503");
}

#[test]
fn redirects_are_followed_and_loops_are_left() {
    let moved = |status, to: &str| Answer::status(status).field("Location", to);
    for status in [301, 302, 303, 307, 308] {
        let target = Odd::new(|asked| Answer::honest(asked, ODD));
        let absolute = target.url();
        gets(ODD, move |asked| match asked.path.as_str() {
            "/f" => moved(status, "a/b"),
            "/a/b" => moved(status, "../c?d=e"),
            "/c?d=e" => moved(status, &absolute),
            path => panic!("{path}"),
        });
    }
    get(move |_| moved(302, "/f")).1.failed(1, "too many redirects");
    get(move |asked| moved(302, &format!("/{}", asked.number))).1.failed(1, "too many redirects");
    get(move |_| moved(302, "gopher://h/f")).1.failed(1, "unsupported scheme");
    get(|_| Answer::status(302)).1.failed(1, "leads nowhere");
}

#[test]
fn whatever_servers_do_the_file_is_right_or_there_is_none() {
    let mut arrived = 0;
    for seed in 0..16 {
        let random = Mutex::new(Random::new(seed));
        let (tidemill, run) = get(move |asked| {
            let mut random = random.lock().unwrap();
            let at = random.within(0..2 * MIB);
            let honest = Answer::honest(asked, ODD);
            match random.within(0..12) {
                0 => honest.stall_after(at),
                1 => Answer::whole(ODD).cut_after(at),
                2 => honest.chunked(),
                3 => Answer::status(503),
                4 => Answer::status(500),
                5 => honest.until_close().cut_after(at),
                6 => honest.declaring(at + 1),
                7 => Answer::whole(Content::new(99, ODD.len)),
                8 => Answer::part(ODD, at..at + 1).field("ETag", "\"9\""),
                _ => honest.cut_after(at),
            }
        });
        match run.status {
            // Seven in twelve answers of its version are of the other file: that, too, is a version.
            Some(0) => {
                let len = fs::metadata(tidemill.path("f")).unwrap().len();
                let first = fs::read(tidemill.path("f")).unwrap();
                let is = |seed| first == Content::new(seed, ODD.len).bytes(0..len.min(ODD.len));
                assert!(is(ODD.seed) || is(99), "seed {seed}: a mixed file");
                arrived += 1;
            }
            _ => run.failed(1, "http://"),
        }
    }
    assert!(arrived > 0, "none arrived");
}

#[test]
fn bad_input_gives_one_line_and_the_right_status_and_leaves_nothing() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(7, 100);
    content.write(&nginx.path("f"));
    let good = nginx.url("f");
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/f", listener.local_addr().unwrap())
    };
    let wrong = Content::new(8, 100).checksum();
    let with = |more: &[&str]| [vec![good.clone()], more.iter().map(|&arg| arg.into()).collect()].concat();
    let of = |url: &str| vec![url.to_owned(), "--retry".into(), "0".into()];
    for (args, status, words) in [
        (of("http://h/a b"), 2, "malformed URL"),
        (of("http://[::1/f"), 2, "malformed URL"),
        (of("http://h:port/f"), 2, "malformed URL"),
        (of(""), 2, ""),
        (of("gopher://h/f"), 2, "unknown scheme 'gopher'"),
        (with(&["-n", "0"]), 2, "'0'"),
        (with(&["-n", "1000"]), 2, "'1000'"),
        (with(&["--checksum", "sha-256=abc"]), 2, "--checksum"),
        (of(&refused), 1, "connection refused"),
        (of("http://no-such-host.invalid/f"), 1, "no-such-host.invalid"),
        (of(&nginx.url("missing")), 1, "404"),
        (of(&nginx.url("403")), 1, "403"),
        (of(&nginx.url("500")), 1, "500"),
        (with(&["--checksum", &wrong]), 1, "checksum mismatch"),
        // No user, root included, may write in these.
        (with(&["-o", "/proc/version/out"]), 1, "/proc/version/out"),
        (with(&["-o", "/proc/out"]), 1, "/proc/out"),
        (with(&["-o", "no/such/folder"]), 1, "no/such/folder"),
        (with(&["-o", "/"]), 1, "directory"),
    ] {
        let mut all = vec!["get", "-q"];
        if !args.iter().any(|arg| arg == "-o") {
            all.extend(["-o", "out"]);
        }
        all.extend(args.iter().map(String::as_str));
        let run = tidemill.run(&all);
        assert!(run.stdout.is_empty(), "{args:?}");
        run.failed(status, words);
        assert!(tidemill.files().is_empty(), "{args:?} leaves {:?}", tidemill.files());
    }
}

/// Runs a shell script as root of a mount namespace of its own, in the folder; `$0` is the binary.
fn in_own_mounts(tidemill: &Tidemill, script: &str, url: &str) -> Option<Outcome> {
    let binary = Tidemill::binary();
    let run = tidemill.run_program("unshare", &["-rm", "sh", "-c", script, binary.to_str().unwrap(), url]);
    if !run.stderr.contains("tidemill: ") {
        not_tested(run.stderr.trim());
        return None;
    }
    Some(run)
}

#[test]
fn a_full_disk_and_one_that_may_only_be_read_are_told() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    Content::new(1, 9 * MIB).write(&nginx.path("f"));
    let full = r#"mount -t tmpfs -o size=8m none . && cd . && "$0" get "$1" -q -o "$PWD/f"; s=$?; ls | grep -qx f && s=9; exit $s"#;
    if let Some(run) = in_own_mounts(&tidemill, full, &nginx.url("f")) {
        run.failed(1, "the disk is full");
    }
    let read_only = r#"mount -t tmpfs -o ro none . && cd . && exec "$0" get "$1" -q -o "$PWD/f""#;
    if let Some(run) = in_own_mounts(&tidemill, read_only, &nginx.url("f")) {
        run.failed(1, "read-only file system");
    }
}

#[test]
fn json_is_all_there_is_on_stdout() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(7, 64 * MIB);
    content.write(&nginx.path("f"));
    let run = tidemill.run(&["get", &nginx.url("f"), "--json"]);
    assert!(run.succeeded().stdout.ends_with(b"\n") && run.stderr.is_empty());
    let (events, finished) = (run.events(), run.event("finished").unwrap());
    assert_eq!(events.first().unwrap()["event"], "started");
    assert_eq!((&finished["bytes"], &finished["resumed"]), (&(64 * MIB).into(), &0.into()));
    let run = tidemill.run(&["get", &nginx.url("missing"), "--json"]);
    run.failed(1, "404");
    assert!(run.event("failed").unwrap()["reason"].as_str().unwrap().contains("404"));
}

#[test]
fn a_dash_streams_the_bytes_to_stdout() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(7, 10 * MIB);
    content.write(&nginx.path("f"));
    let run = tidemill.run(&["get", &nginx.url("f"), "-o", "-", "-n", "4"]);
    assert!(run.succeeded().stdout == content.bytes(0..content.len));
    assert!(tidemill.files().is_empty());
}

#[test]
fn a_limited_rate_holds_over_all_connections() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    Content::new(7, 16 * MIB).write(&nginx.path("f"));
    let run = tidemill.run(&["get", &nginx.url("f"), "-q", "-n", "4", "--limit-rate", "8MiB"]);
    let took = run.succeeded().took.as_secs_f64();
    assert!((1.7..3.0).contains(&took), "16 MiB at 8 MiB/s took {took} s");
}
