//! `tidemill sim`, run as a program.

use std::fs;

use serde_json::Value;
use tidemill_tests::e2e::Tidemill;

/// A scenario in which about every second seed fails.
const FAILS: &str = r#"about = "a client that has too little time"

[[host]]
name = "server"
serve = { size = "300KiB" }

[[host]]
name = "client"
download = { from = "server" }

[[link]]
between = ["client", "server"]
latency = "20ms"
rate = "10mbps"
spoiled = true

[menu]
within = "500ms"
hosts = ["server"]
links = [["server", "client"]]

[must]
finish_within = "5s"
"#;

fn with(text: &str) -> Tidemill {
    let tidemill = Tidemill::new();
    fs::write(tidemill.path("fails.toml"), text).unwrap();
    tidemill
}

fn lines(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"))).collect()
}

#[test]
fn every_built_in_scenario_is_listed_and_passes() {
    let tidemill = Tidemill::new();
    let list = tidemill.run(&["sim", "list", "--json"]);
    let names: Vec<String> = lines(&list.stdout).iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(list.status, Some(0));
    for name in ["download", "echo", "greeting", "crash-resume", "thundering-herd"] {
        assert!(names.iter().any(|each| each == name), "{name} in {names:?}");
    }
    for name in &names {
        let run = tidemill.run(&["sim", name, "--seeds", "0..200"]);
        assert_eq!(run.status, Some(0), "{name}: {}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(run.stdout.starts_with(format!("{name}: 200 seeds passed, 0 failed, in ").as_bytes()));
    }
}

#[test]
fn a_failure_is_shrunk_and_its_folder_replays_it() {
    let tidemill = with(FAILS);
    let run = tidemill.run(&["sim", "fails.toml", "--seeds", "0..20", "--json", "--failures", "out", "--jobs", "1"]);
    assert_eq!(run.status, Some(1));
    let events = lines(&run.stdout);
    let end = events.last().unwrap();
    let (passed, failed) = (end["passed"].as_u64().unwrap(), end["failed"].as_u64().unwrap());
    assert!(passed + failed == 20 && failed > 0, "{end}");
    assert_eq!(run.stderr, format!("tidemill: fails.toml: {failed} of 20 seeds failed\n"));
    assert_eq!((&events[0]["event"], &events[0]["seeds"]), (&"started".into(), &"0..20".into()));
    let failure = events.iter().find(|event| event["event"] == "failure").unwrap();
    assert_eq!(failure["why"], "client did not finish within 5s");
    assert!(failure["left"].as_u64() < failure["faults"].as_u64(), "{failure}");
    let folder = tidemill.path(failure["folder"].as_str().unwrap());
    let mut files: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let expected =
        ["plan.full.toml", "plan.toml", "report.html", "repro.sh", "scenario.toml", "trace.txt", "world.pcapng"];
    assert_eq!(files, expected);
    assert_eq!(fs::read_to_string(folder.join("plan.toml")).unwrap(), failure["plan"].as_str().unwrap());
    // The folder alone is enough.
    fs::remove_file(tidemill.path("fails.toml")).unwrap();
    let hashes = [0, 1].map(|_| {
        let again = tidemill.run_program(folder.join("repro.sh").to_str().unwrap(), &[]);
        assert_eq!(again.status, Some(1), "{}", again.stderr);
        assert!(again.stderr.ends_with("scenario.toml: client did not finish within 5s\n"), "{}", again.stderr);
        String::from_utf8(again.stdout).unwrap()
    });
    assert_eq!(hashes[0], hashes[1]);
    assert!(hashes[0].contains(" failed after "), "{}", hashes[0]);
}

#[test]
fn failures_that_come_at_once_are_told_one_after_the_other() {
    // Whatever happens, it is too late.
    let tidemill = with(&FAILS.replace("\"5s\"", "\"1ms\""));
    for _ in 0..5 {
        let run = tidemill.run(&["sim", "fails.toml", "--seeds", "0..5", "--jobs", "5", "--failures", "out"]);
        let text = String::from_utf8(run.stdout).unwrap();
        let told: Vec<&str> = text.lines().take(25).collect();
        for (number, block) in told.chunks(5).enumerate() {
            let [seed, faults, look, replay, ""] = block else { panic!("{number}: {text}") };
            let seed = seed.strip_prefix("seed ").and_then(|rest| rest.split_once(": client did not")).expect(seed).0;
            assert!(faults.contains(" faults, none of which matters (found in "), "{text}");
            assert!(look.ends_with(&format!("/fails-{seed}/report.html")), "{text}");
            assert!(replay.ends_with(&format!("/fails-{seed}/repro.sh")), "{text}");
        }
    }
}

#[test]
fn parts_are_merged_to_what_the_whole_says() {
    let tidemill = with(FAILS);
    let seeds = ["sim", "fails.toml", "--seeds", "10..50", "--json", "--failures", "out"];
    let end = |outcome: &[u8]| {
        let mut end = lines(outcome).pop().unwrap();
        end["seconds"] = 0.into();
        end
    };
    let whole = end(&tidemill.run(&seeds).stdout);
    let names = ["part0", "part1", "part2"];
    for (number, name) in names.iter().enumerate() {
        let part = tidemill.run(&[&seeds[..], &["--shard", &format!("{number}/3")]].concat());
        fs::write(tidemill.path(name), part.stdout).unwrap();
    }
    let merged = tidemill.run(&[&["sim", "merge", "--json"], &names[..]].concat());
    assert_eq!((merged.status, end(&merged.stdout)), (Some(1), whole));
    let missing = tidemill.run(&["sim", "merge", "part0", "part2"]);
    assert_eq!(missing.status, Some(1));
    assert_eq!(missing.stderr, "tidemill: the seeds 23..36 are in none of the files\n");
}

#[test]
fn a_sweep_that_saw_nothing_of_what_it_looks_for_fails_and_so_do_its_merged_parts() {
    let calm = FAILS.replace("5s\"", "5min\"\nsometimes = [\"card-full\"]");
    let tidemill = with(&calm);
    let run = tidemill.run(&["sim", "fails.toml", "--seeds", "0..200"]);
    let why = "tidemill: fails.toml: 200 seeds passed, but that proves little: none of them had a case of card-full\n";
    assert_eq!((run.status, run.stderr.lines().last()), (Some(1), why.lines().last()));
    for number in ["0", "1"] {
        let shard = format!("{number}/2");
        let part = tidemill.run(&["sim", "fails.toml", "--seeds", "0..200", "--shard", &shard, "--json"]);
        assert_eq!(part.status, Some(0), "{}", part.stderr);
        fs::write(tidemill.path(number), part.stdout).unwrap();
    }
    let merged = tidemill.run(&["sim", "merge", "0", "1"]);
    assert_eq!((merged.status, merged.stderr.as_str()), (Some(1), why));
}

#[test]
fn one_run_is_shown_as_a_page_and_as_a_capture() {
    let tidemill = Tidemill::new();
    let run = tidemill.run(&["sim", "greeting", "--seed", "7", "--pcap", "a.pcapng", "--report", "a.html", "--json"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(tidemill.files(), ["a.html", "a.pcapng"]);
    let page = fs::read_to_string(tidemill.path("a.html")).unwrap();
    assert!(page.contains("guest3") && page.contains("\"replay\":\"tidemill sim greeting --seed 7\""));
    let ran = lines(&run.stdout).pop().unwrap();
    assert_eq!((&ran["event"], &ran["verdict"]), (&"ran".into(), &"passed".into()));
    let again = tidemill.run(&["sim", "greeting", "--seed", "7", "--json"]);
    assert_eq!(lines(&again.stdout).pop().unwrap()["hash"], ran["hash"]);
}

#[test]
fn what_is_asked_for_wrongly_is_told_in_a_line() {
    let tidemill = with(&FAILS.replace("latency", "latncy"));
    fs::write(tidemill.path("plan.toml"), "seed = 1\nsede = 2\n").unwrap();
    for (args, why) in [
        (&["nope"][..], "nope: there is no such file, and no such scenario: there is download, echo, "),
        (
            &["fails.toml"],
            "fails.toml: line 13: unknown field `latncy`, expected one of `between`, `one_way`, `latency`",
        ),
        (&["echo", "--seeds", "7"], "invalid value '7' for '--seeds <A..B>': expected two numbers such as 0..10000"),
        (&["echo", "--seeds", "7..7"], "--seeds 7..7: there is no seed in it"),
        (&["echo", "--shard", "4/4"], "invalid value '4/4' for '--shard <I/N>': there is no part 4 of 4: they are"),
        (&["echo", "--report", "a.html"], "--pcap and --report show one run: say which with --seed N or --plan FILE"),
        (&["echo", "--plan", "plan.toml"], "plan.toml: "),
        (
            &["echo", "--seed", "1", "--plan", "plan.toml"],
            "the argument '--seed <N>' cannot be used with '--plan <FILE>'",
        ),
        (&[], "the following required arguments were not provided: <SCENARIO>"),
    ] {
        let run = tidemill.run(&[&["sim"], args].concat());
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.starts_with(&format!("tidemill: {why}")), "{args:?}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{args:?}: {}", run.stderr);
    }
}
