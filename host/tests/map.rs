//! `tidemill map` as other programs see it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// What never comes on a machine that works.
const LONG: Duration = Duration::from_mins(1);

fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .arg("map")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn map(args: &[&str], lines: &str) -> Output {
    let mut child = start(args);
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    // It may end before it has read all.
    let feeder = thread::spawn(move || drop(stdin.write_all(lines.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn numbers(count: u32) -> String {
    (1..=count).fold(String::new(), |mut all, n| {
        writeln!(all, "{n}").unwrap();
        all
    })
}

/// Whether it runs: a zombie does not.
fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X'])))
}

/// Killed, a process takes a moment.
fn end_in_time(pids: &[i32]) {
    let began = Instant::now();
    while pids.iter().any(|&pid| runs(pid)) {
        assert!(began.elapsed() < LONG / 3, "{pids:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_order_of_the_lines_is_kept_unless_it_need_not_be() {
    let sleeper = ["sh", "-c", "sleep $1; echo $1; echo err$1 >&2", "sh"];
    let ordered = map(&[&["-j", "3", "--"][..], &sleeper].concat(), "0.4\n0.2\n0\n");
    assert_eq!((ordered.status.code(), text(&ordered.stdout)), (Some(0), "0.4\n0.2\n0\n".into()));
    assert_eq!(text(&ordered.stderr), "err0.4\nerr0.2\nerr0\n");
    let unordered = map(&[&["-j", "3", "--unordered", "--"][..], &sleeper].concat(), "1.5\n0\n");
    assert_eq!(text(&unordered.stdout), "0\n1.5\n");
}

#[test]
fn the_line_goes_in_place_of_the_braces_or_last_and_no_shell_sees_it() {
    assert_eq!(text(&map(&["echo", "-n", "<{}>{}", "x"], "a;b $HOME\n").stdout), "<a;b $HOME>a;b $HOME x");
    assert_eq!(text(&map(&["--", "echo", "-e"], "a\\tb\nlast").stdout), "a\tb\nlast\n");
    assert_eq!(text(&map(&["echo", "x{}"], "\n").stdout), "x\n", "an empty line is one");
    assert!(map(&["echo"], "").stdout.is_empty());
}

#[test]
fn failures_are_told_and_make_the_exit_status() {
    let output = map(&["-j", "2", "sh", "-c", "exit {}"], "0\n3\n0\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "tidemill: map: line 2 (3): exit code 3\ntidemill: map: 1 of 3 failed\n");
    let output = map(&["no-such-program-here"], "a\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("line 1 (a): not started: "), "{}", text(&output.stderr));
    let output = map(&["sh", "-c", "kill -9 $$"], "a\n");
    assert!(text(&output.stderr).contains("SIGKILL"));
    assert_eq!(map(&[], "").status.code(), Some(2));
    assert_eq!(map(&["-j", "0", "true"], "").status.code(), Some(2));
}

#[test]
fn what_fails_is_tried_again_and_what_it_said_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "echo x >> {0}/{{}}; echo try$(wc -l < {0}/{{}}); test $(wc -l < {0}/{{}}) -ge {{}}",
        folder.path().display()
    );
    let output = map(&["--retries", "2", "--", "sh", "-c", &script], "1\n3\n2\n4\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "try1\ntry3\ntry2\ntry3\n");
    let words = text(&output.stderr);
    assert_eq!(words.matches("; again").count(), 5, "{words}");
    assert!(words.ends_with("tidemill: map: 1 of 4 failed\n"));
}

#[test]
fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let began = Instant::now();
    let output =
        map(&["--timeout", "300ms", "--", "sh", "-c", "trap '' TERM; sleep 60 & echo $! $$; wait; sleep 60"], "a\n");
    assert!(began.elapsed() < LONG / 2);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("took too long"));
    let pids = text(&output.stdout);
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    end_in_time(&pids);
}

#[test]
fn a_failure_halts_if_it_is_to() {
    let soon = map(&["-j", "1", "--halt", "soon", "sh", "-c", "echo {}; test {} -ne 3"], &numbers(100));
    assert_eq!((soon.status.code(), text(&soon.stdout)), (Some(1), "1\n2\n3\n".into()));
    assert!(text(&soon.stderr).ends_with("map: stopped after 3 lines, of which 1 failed\n"));
    let began = Instant::now();
    let now = map(&["-j", "2", "--halt", "now", "sh", "-c", "test {} -ne 1 && exec sleep 60"], "1\n2\n3\n");
    assert!(now.status.code() == Some(1) && began.elapsed() < LONG / 2);
}

#[test]
fn an_interrupt_ends_the_whole_tree() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        // One of each tree has left the group, with a child of its own.
        let mut child = start(&[
            "-j2",
            "--",
            "sh",
            "-c",
            "trap '' TERM; setsid sh -c 'sleep 60 & echo $! $$ >&2; wait' & echo $$ >&2; wait",
        ]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"1\n2\n3\n").unwrap();
        let mut words = Vec::new();
        let mut stderr = child.stderr.take().unwrap();
        let began = Instant::now();
        // The first line's words come at once, the second's when it has its turn.
        while !words.contains(&b'\n') {
            let mut byte = [0; 64];
            let count = stderr.read(&mut byte).unwrap();
            words.extend_from_slice(&byte[..count]);
        }
        thread::sleep(Duration::from_millis(200));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        // Whoever is impatient does not leave them behind.
        thread::sleep(Duration::from_millis(50));
        let _ = kill(Pid::from_raw(child.id() as i32), signal);
        stderr.read_to_end(&mut words).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(began.elapsed() < LONG / 2);
        let pids: Vec<i32> = text(&words).split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let pids: Vec<i32> = pids.into_iter().filter(|&pid| pid > 10).collect();
        assert_eq!(pids.len(), 6, "{}", text(&words));
        end_in_time(&pids);
    }
}

#[test]
fn what_looks_like_an_option_is_one_or_wrong_before_the_command_and_an_argument_after_it() {
    let output = map(&["-j2", "--halt=now", "echo", "-j3", "--halt"], "a\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "-j3 --halt a\n".into()));
    assert_eq!(map(&["--retry", "1", "--", "echo"], "a\n").status.code(), Some(2));
}

#[test]
fn programs_are_told_in_json() {
    let output = map(&["-j", "1", "--retries", "1", "--json", "sh", "-c", "echo \"out {}\"; exit {}"], "0\n7\n");
    assert_eq!(output.status.code(), Some(1));
    let events: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "said", "ended", "started", "retry", "started", "said", "ended", "finished"]);
    assert_eq!((&events[2]["exitcode"], &events[2]["input"]), (&Value::from(0), &Value::from("0")));
    assert_eq!((&events[7]["exitcode"], &events[7]["tries"]), (&Value::from(7), &Value::from(2)));
    assert_eq!((&events[8]["lines"], &events[8]["failed"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(events[6]["text"], "out 7\n");
}

#[test]
fn long_output_before_its_turn_needs_no_memory() {
    // The second says 64 MiB while the first has its turn.
    let mut child =
        start(&["-j", "2", "sh", "-c", "test {} = 1 && sleep 1 && echo first || head -c 67108864 /dev/zero"]);
    child.stdin.take().unwrap().write_all(b"1\n2\n").unwrap();
    let status = format!("/proc/{}/status", child.id());
    let reader = thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    });
    let mut peak = 0;
    while !reader.is_finished() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        thread::sleep(Duration::from_millis(20));
    }
    let said = reader.join().unwrap();
    assert_eq!((said.len(), &said[..6]), ((64 << 20) + 6, &b"first\n"[..]));
    assert!((1..32 << 10).contains(&peak), "{peak} KiB");
}

#[test]
fn ten_thousand_lines_are_done_soon() {
    let lines = numbers(10_000);
    let began = Instant::now();
    let output = map(&["-j", "4", "/bin/echo", "{}"], &lines);
    assert!(output.status.success() && output.stdout == lines.as_bytes());
    println!("10,000 lines in {:.1} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < 3 * LONG);
}

/// What it says first on stderr, up to the end of the line, as numbers.
fn first_numbers(child: &mut Child) -> Vec<i32> {
    let mut words = String::new();
    let mut byte = [0];
    while !words.ends_with('\n') {
        child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
        words.push(byte[0].into());
    }
    words.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn a_command_has_no_signal_blocked_and_can_end_as_it_should() {
    let blocked = map(&["sh", "-c", "grep SigBlk /proc/self/status"], "a\n");
    assert_eq!(text(&blocked.stdout), "SigBlk:\t0000000000000000\n");
    let script = "trap 'echo cleaned up; exit' TERM; sleep 60 & wait";
    let output = map(&["--timeout", "300ms", "--", "sh", "-c", script], "a\n");
    assert_eq!(text(&output.stdout), "cleaned up\n");
}

#[test]
fn neither_a_group_of_ones_own_nor_a_deaf_ear_saves_from_interrupts() {
    let script = "trap '' TERM HUP INT; setsid sh -c 'sleep 60; true' & sleep 0.3; echo $! $$ $(cat /proc/$!/task/*/children) >&2; wait; sleep 60";
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut child = start(&["sh", "-c", script]);
        child.stdin.take().unwrap().write_all(b"1\n").unwrap();
        let pids = first_numbers(&mut child);
        assert!(pids.len() == 3 && pids.iter().all(|&pid| runs(pid)), "{pids:?}");
        assert_eq!(interrupted(&mut child, signal).code(), Some(1));
        end_in_time(&pids);
    }
}

#[test]
fn interrupts_end_it_though_nobody_reads_what_it_says() {
    let mut child = start(&["sh", "-c", "echo $$ >&2; exec yes"]);
    child.stdin.take().unwrap().write_all(b"1\n").unwrap();
    let pids = first_numbers(&mut child);
    assert_eq!(interrupted(&mut child, Signal::SIGINT).code(), Some(1));
    end_in_time(&pids);
}

/// Interrupted again and again, as by somebody who has no patience. How it ended.
fn interrupted(child: &mut Child, signal: Signal) -> ExitStatus {
    for _ in 0..200 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    panic!("ten seconds of interrupts do not end it");
}

#[test]
fn commands_do_not_outlive_it_when_it_is_killed_or_its_terminal_goes() {
    for signal in [Signal::SIGKILL, Signal::SIGHUP] {
        let mut child = start(&["sh", "-c", "echo $$ >&2; exec sleep 60"]);
        child.stdin.take().unwrap().write_all(b"1\n").unwrap();
        let pids = first_numbers(&mut child);
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        child.wait().unwrap();
        end_in_time(&pids);
    }
}

#[test]
fn a_hangup_that_is_ignored_is() {
    let mut child = Command::new("nohup")
        .args([env!("CARGO_BIN_EXE_tidemill"), "map", "sh", "-c", "echo $$ >&2; sleep 0.5; echo done"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"1\n").unwrap();
    first_numbers(&mut child);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "done\n".into()));
}

#[test]
fn json_has_every_character_however_it_was_cut() {
    // Three bytes each: no power of two is between two of them.
    let script = "printf x; yes € | head -n 60000 | tr -d '\\n'; printf '\\342\\202'; printf '\\377' >&2";
    let output = map(&["--json", "sh", "-c", script], "a\n");
    let all = text(&output.stdout);
    let events = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said = |stream: &str| -> String {
        events
            .clone()
            .filter(|event| event["stream"] == stream)
            .map(|event| event["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(said("stdout") == format!("x{}\u{fffd}", "€".repeat(60_000)), "a character was cut, or lost");
    assert_eq!(said("stderr"), "\u{fffd}");
    assert!(all.lines().count() > 4, "it came in one piece");
}
