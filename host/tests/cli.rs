//! The `tidemill` command as other programs see it: exit status, stdout, stderr, and the files it leaves.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidemill_host::download::Sha256Sum;
use tidemill_host::net::Waker;
use tidemill_host::serve::{Limits, Options, Server};

/// Bytes that differ from place to place, and from seed to seed.
fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ (at >> 16) as u8 ^ seed).collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256Sum(Sha256::digest(bytes).into()).to_string()
}

/// A folder to download to, and a server for another.
struct Scene {
    folder: TempDir,
    served: TempDir,
    address: SocketAddr,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Scene {
    /// A server that gives each connection `rate` bytes a second, 0: all it can take.
    fn new(rate: u64) -> Self {
        let served = tempfile::tempdir().unwrap();
        let limits = Limits { rate: NonZeroU64::new(rate), ..Limits::default() };
        let options = Options { limits, ..Options::new(served.path(), "127.0.0.1:0".parse().unwrap()) };
        let mut server = Server::bind(&options, |_| ()).unwrap();
        let (address, waker, stop) = (server.local_addr(), server.waker(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let stop = stop.clone();
            move || server.run(&stop).unwrap()
        });
        Self { folder: tempfile::tempdir().unwrap(), served, address, waker, stop, thread: Some(thread) }
    }

    fn serve(&self, name: &str, contents: &[u8]) -> String {
        // In place of the old file, as a careful publisher does it.
        let new = self.served.path().join("new");
        fs::write(&new, contents).unwrap();
        fs::rename(new, self.served.path().join(name)).unwrap();
        format!("http://{}/{name}", self.address)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Outcome {
        outcome(self.command(args).spawn().unwrap())
    }

    /// The names of the files there are.
    fn files(&self) -> Vec<String> {
        let entries = self.folder.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Outcome { status: output.status.code(), stdout: output.stdout, stderr }
}

impl Outcome {
    fn succeeded(&self) -> &Self {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        self
    }

    /// It failed with this status and with one line that has these words.
    fn failed(&self, status: i32, words: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        let last = self.stderr.lines().last().unwrap_or("");
        assert!(last.starts_with("tidemill: ") && last.contains(words), "{words:?} in {:?}", self.stderr);
        assert_eq!(self.stderr.matches("tidemill: ").count(), 1, "{:?}", self.stderr);
    }

    /// Every line on stdout, as JSON.
    fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn event(&self, name: &str) -> Option<Value> {
        self.events().into_iter().find(|event| event["event"] == name)
    }
}

/// Answers each connection with `answer`, whatever was asked, and closes it.
fn answering(answer: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    format!("http://{address}/f")
}

/// Waits until the part file holds something, as its journal says.
fn wait_for_journal(path: &Path) {
    let start = Instant::now();
    while fs::metadata(path).map_or(0, |meta| meta.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "no journal");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_file_arrives_whole_whatever_its_size_and_however_many_connections() {
    let scene = Scene::new(0);
    for len in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 7] {
        let contents = bytes(len, 0);
        let url = scene.serve("f", &contents);
        for connections in ["1", "4", "64"] {
            scene.run(&["get", &url, "-n", connections, "--checksum", &sum(&contents)]).succeeded();
            assert!(fs::read(scene.path("f")).unwrap() == contents, "{len} bytes over {connections} connections");
            assert_eq!(scene.files(), ["f"], "part and journal are gone");
        }
    }
}

#[test]
fn a_name_beyond_ascii_is_asked_for_encoded_and_saved_as_it_reads() {
    let scene = Scene::new(0);
    let url = scene.serve("é 🌊", b"tide").replace(' ', "%20");
    scene.run(&["get", &url]).succeeded();
    assert_eq!(scene.files(), ["é 🌊"]);
}

#[test]
fn one_that_is_killed_again_and_again_resumes_and_gets_the_very_file() {
    let scene = Scene::new(2 << 20);
    let contents = bytes(12 << 20, 0);
    let url = scene.serve("f", &contents);
    let mut resumed = 0;
    for after in [400, 50, 300, 150] {
        let mut child = scene.command(&["get", &url, "--json"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        let killed = outcome(child);
        let now = killed.event("started").map_or(0, |event| event["resumed"].as_u64().unwrap());
        // But for the samples that are fetched once more: 4 KiB of each of at most 64 parts.
        assert!(now + (256 << 10) >= resumed, "{now} after {resumed}: what was saved stays saved");
        resumed = now;
        assert!(!scene.path("f").exists());
    }
    let last = scene.run(&["get", &url, "--json", "--checksum", &sum(&contents)]);
    assert!(last.succeeded().event("finished").unwrap()["resumed"].as_u64() > Some(0));
    assert!(fs::read(scene.path("f")).unwrap() == contents);
    assert_eq!(scene.files(), ["f"]);
}

#[test]
fn ctrl_c_says_how_to_resume_and_the_next_run_does() {
    let scene = Scene::new(1 << 20);
    let contents = bytes(4 << 20, 0);
    let url = scene.serve("f", &contents);
    let child = scene.command(&["get", &url, "-q"]).spawn().unwrap();
    wait_for_journal(&scene.path("f.part.meta"));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    outcome(child).failed(1, "f: interrupted; run the same command again to resume");
    assert_eq!(scene.files(), ["f.part", "f.part.meta"]);

    let resumed = scene.run(&["get", &url]);
    assert!(resumed.succeeded().stderr.contains("f: resumed, "), "{}", resumed.stderr);
    assert!(fs::read(scene.path("f")).unwrap() == contents);
}

#[test]
fn a_file_replaced_by_another_of_the_same_length_is_begun_anew_and_never_mixed() {
    let scene = Scene::new(1 << 20);
    let url = scene.serve("f", &bytes(4 << 20, 1));
    let child = scene.command(&["get", &url, "-q"]).spawn().unwrap();
    wait_for_journal(&scene.path("f.part.meta"));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    outcome(child);

    let contents = bytes(4 << 20, 2);
    scene.serve("f", &contents);
    let second = scene.run(&["get", &url, "--json"]);
    assert!(second.succeeded().event("changed").is_some());
    assert_eq!(second.event("finished").unwrap()["resumed"], 0);
    assert!(fs::read(scene.path("f")).unwrap() == contents);
}

#[test]
fn a_server_whose_validator_lies_is_found_out() {
    let scene = Scene::new(1 << 20);
    let url = scene.serve("f", &bytes(4 << 20, 1));
    let child = scene.command(&["get", &url, "-q"]).spawn().unwrap();
    wait_for_journal(&scene.path("f.part.meta"));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    outcome(child);
    // As if it had been of another version with the same validator.
    let part = fs::OpenOptions::new().read(true).write(true).open(scene.path("f.part")).unwrap();
    let mut contents = Vec::new();
    (&part).read_to_end(&mut contents).unwrap();
    for byte in &mut contents {
        *byte ^= 0x55;
    }
    std::os::unix::fs::FileExt::write_all_at(&part, &contents, 0).unwrap();

    let second = scene.run(&["get", &url, "--json"]);
    assert!(second.succeeded().event("changed").is_some());
    assert_eq!(second.event("finished").unwrap()["resumed"], 0);
    assert!(fs::read(scene.path("f")).unwrap() == bytes(4 << 20, 1));
}

#[test]
fn what_cannot_be_resumed_is_begun_anew_and_said_so() {
    let scene = Scene::new(0);
    let contents = bytes(100_000, 3);
    let url = scene.serve("f", &contents);
    for (part, meta, why) in [
        (&b"x"[..], None, "the part file has no journal"),
        (b"x", Some(&b"junk"[..]), "its journal is damaged"),
        (b"", Some(b"tidemill"), "its journal is damaged"),
    ] {
        fs::write(scene.path("f.part"), part).unwrap();
        if let Some(meta) = meta {
            fs::write(scene.path("f.part.meta"), meta).unwrap();
        }
        let run = scene.run(&["get", &url]);
        assert!(run.succeeded().stderr.contains(&format!("started over: {why}")), "{}", run.stderr);
        assert!(fs::read(scene.path("f")).unwrap() == contents);
    }
    fs::write(scene.path("f.part"), "x").unwrap();
    let run = scene.run(&["get", &url, "--no-resume"]);
    assert!(!run.succeeded().stderr.contains("started over"), "that is what was asked for");
}

#[test]
fn a_wrong_file_never_gets_its_name() {
    let scene = Scene::new(0);
    let url = scene.serve("f", b"right");
    fs::write(scene.path("f"), "old").unwrap();
    let run = scene.run(&["get", &url, "-q", "--checksum", &sum(b"wrong")]);
    run.failed(1, &format!("f: checksum mismatch: expected {}, got {}", sum(b"wrong"), sum(b"right")));
    assert_eq!(scene.files(), ["f"]);
    assert_eq!(fs::read(scene.path("f")).unwrap(), b"old");
}

#[test]
fn bad_input_gives_one_line_the_right_status_and_leaves_nothing() {
    let scene = Scene::new(0);
    let good = scene.serve("f", b"x");
    let missing = format!("{good}-missing");
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/f", listener.local_addr().unwrap())
    };
    let forbidden = answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let broken = answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    let odd = answering(b"SSH-2.0-OpenSSH_9.2\r\n");
    let get = |url| vec!["get", url, "-q", "--retry", "0", "-o", "out"];
    let with = |more: &[&'static str]| [get(&good), more.to_vec()].concat();
    for (args, status, words) in [
        (get("http://h/a b"), 2, "malformed URL: space not allowed at byte 10"),
        (get("http://h:99999/"), 2, "malformed URL: port at byte 9 is above 65535"),
        (get("http://[::1/"), 2, "malformed URL: bad host"),
        (get("http:///f"), 2, "names no host"),
        (get("gopher://h/f"), 2, "unknown scheme 'gopher'"),
        (vec!["get", "sim://mill/1KiB", "--info"], 2, "--info is about http: and https: URLs"),
        (with(&["-u", "a:b", "http://i/f"]), 2, "mirrors do not go together with"),
        (with(&["--proxy", "socks5://p"]), 2, "--proxy: unsupported scheme"),
        (with(&["--cacert", "/no/such.pem"]), 1, "/no/such.pem: no such file"),
        (with(&["--cookies", "/no/such"]), 1, "/no/such: "),
        (with(&["-d", "@/no/such"]), 1, "/no/such: no such file"),
        (get("example.org/f"), 2, "no scheme"),
        (get("sim://mill/x"), 2, "not a size"),
        (vec!["get", "http://h/"], 2, "the URL names no file"),
        (with(&["-n", "0"]), 2, "0 is not in 1..=64"),
        (with(&["-n", "1000"]), 2, "1000 is not in 1..=64"),
        (with(&["-n", "-1"]), 2, "'-1'"),
        (with(&["--checksum", "md5=00"]), 2, "sha-256="),
        (with(&["--timeout", "soon"]), 2, "expected a duration"),
        (with(&["--limit-rate", "0"]), 2, "out of range"),
        (with(&["-H", "no colon"]), 2, "expected 'Name: value'"),
        (with(&["-H", "a: b\r\nc: d"]), 2, "expected 'Name: value'"),
        (with(&["--nonsense"]), 2, "--nonsense"),
        (vec!["get", &good, "--json", "-o", "-"], 2, "stdout"),
        (vec!["get"], 2, "<URL>"),
        (vec!["dance"], 2, "dance"),
        (get(&refused), 1, "connection refused"),
        (get("http://no-such-host.invalid/f"), 1, "no-such-host.invalid: "),
        (get(&missing), 1, "404"),
        (get(&forbidden), 1, "403"),
        (get(&broken), 1, "500"),
        (get(&odd), 1, &odd),
        (vec!["get", &good, "-q", "-o", "/dev/null"], 1, "/dev/null: is not a regular file"),
        (vec!["get", &good, "-q", "-o", "/"], 1, "/: is a directory"),
        (vec!["get", &good, "-q", "-o", "no/such/folder"], 1, "no such file or directory"),
        (vec!["get", &good, "-q", "-o", "/proc/f"], 1, "/proc/f.part: "),
        (vec!["serve", "no/such/folder"], 1, "no/such/folder: no such file or directory"),
        (vec!["serve", "--bind", "nowhere"], 2, "nowhere"),
    ] {
        let run = scene.run(&args);
        assert!(run.stdout.is_empty() || args.contains(&"--json"), "{args:?}");
        run.failed(status, words);
        assert_eq!(scene.files(), [""; 0], "{args:?}");
    }
}

#[test]
fn a_full_disk_is_told_before_the_first_byte() {
    let scene = Scene::new(0);
    let url = scene.serve("f", &bytes(3 << 20, 0));
    // A file system of 1 MiB that only this process sees.
    let script = r#"mount -t tmpfs -o size=1m none . && cd . && exec "$0" get "$1" -q -o "$PWD/f""#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_tidemill"), &url]);
    command.current_dir(scene.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = outcome(command.spawn().unwrap());
    if !run.stderr.contains("tidemill: ") {
        // Past the test harness, which would keep it to itself.
        writeln!(std::io::stderr(), "\nNOT TESTED: a full disk: {}", run.stderr.trim()).unwrap();
        return;
    }
    run.failed(1, "f.part: the disk is full");
}

#[test]
fn two_processes_never_write_one_file() {
    let scene = Scene::new(1 << 20);
    let contents = bytes(4 << 20, 0);
    let url = scene.serve("f", &contents);
    let first = scene.command(&["get", &url, "-q"]).spawn().unwrap();
    wait_for_journal(&scene.path("f.part.meta"));
    scene.run(&["get", &url, "-q"]).failed(1, "f.part: another process is downloading to it");
    outcome(first).succeeded();
    assert!(fs::read(scene.path("f")).unwrap() == contents);
}

#[test]
fn stdout_carries_the_bytes_in_order_and_nothing_else() {
    let scene = Scene::new(0);
    let contents = bytes(3 << 20, 0);
    let url = scene.serve("f", &contents);
    let run = scene.run(&["get", &url, "-o", "-", "--checksum", &sum(&contents)]);
    assert!(run.succeeded().stdout == contents);
    assert!(scene.files().is_empty());
    scene.run(&["get", &url, "-o", "-", "-q", "--checksum", &sum(b"")]).failed(1, "stdout: checksum mismatch");
}

#[test]
fn json_is_all_there_is_on_stdout_and_lines_all_there_is_elsewhere() {
    let scene = Scene::new(0);
    let url = scene.serve("f", &bytes(100, 0));
    let json = scene.run(&["get", &url, "--json"]);
    let names: Vec<_> = json.succeeded().events().iter().map(|event| event["event"].to_string()).collect();
    assert_eq!((names.first().unwrap().as_str(), names.last().unwrap().as_str()), ("\"started\"", "\"finished\""));
    assert_eq!(json.stderr, "");

    let failed = scene.run(&["get", &format!("{url}-"), "--json"]);
    failed.failed(1, "404");
    assert!(failed.event("failed").unwrap()["reason"].as_str().unwrap().contains("404"));

    let plain = scene.run(&["get", &url]);
    assert!(plain.succeeded().stdout.is_empty());
    assert!(plain.stderr.starts_with("f: 100 B in ") && plain.stderr.lines().count() == 1, "{}", plain.stderr);
    assert!(!plain.stderr.contains('\x1b'), "no colours and no bars where there is no terminal");

    let quiet = scene.run(&["get", &url, "-q"]);
    assert!(quiet.succeeded().stdout.is_empty() && quiet.stderr.is_empty());
}

#[test]
fn a_server_cannot_steer_the_terminal() {
    let scene = Scene::new(0);
    let url = answering(b"HTTP/1.1 302 Found\r\nLocation: /\xc2\x9b31m\r\nContent-Length: 0\r\n\r\n");
    let run = scene.run(&["get", &url, "--retry", "0"]);
    assert_eq!(run.status, Some(1));
    assert!(!run.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", run.stderr);
}

#[test]
fn a_simulated_download_is_the_same_each_time() {
    let scene = Scene::new(0);
    let url = "sim://mill/300KiB?rtt=40ms&loss=1%&rate=50mbps&seed=7";
    let run = |name: &str| {
        let run = scene.run(&["get", url, "--json", "-o", name]);
        (run.succeeded().event("simulated").unwrap()["trace"].clone(), fs::read(scene.path(name)).unwrap())
    };
    let (first, second) = (run("a"), run("b"));
    assert_eq!(first.1.len(), 300 << 10);
    assert!(first == second);

    let told = scene.run(&["get", url, "-o", "c"]);
    assert!(told.succeeded().stderr.contains("s of virtual time in "), "{}", told.stderr);
}

#[test]
fn help_goes_to_stdout_and_says_how_to_start() {
    let scene = Scene::new(0);
    for (args, words) in
        [(&["--help"][..], "Examples:"), (&["get", "--help"], "sim://mill"), (&["serve", "-h"], "--bind")]
    {
        let run = scene.run(args);
        let text = String::from_utf8(run.succeeded().stdout.clone()).unwrap();
        assert!(text.contains(words) && run.stderr.is_empty(), "{text}");
    }
    assert_eq!(scene.run(&[]).status, Some(2));
}

#[test]
fn serve_tells_its_address_and_ends_well_when_interrupted() {
    let scene = Scene::new(0);
    fs::write(scene.path("f"), "served").unwrap();
    let mut server = scene.command(&["serve", "--json", "--bind", "127.0.0.1:0"]).spawn().unwrap();
    let mut first = Vec::new();
    let mut stdout = server.stdout.take().unwrap();
    while first.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        first.extend(byte);
    }
    let listening: Value = serde_json::from_slice(&first).unwrap();
    let url = format!("{}f", listening["url"].as_str().unwrap());
    let run = scene.run(&["get", &url, "-o", "-", "-q"]);
    assert_eq!(run.succeeded().stdout, b"served");

    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let served: Value = serde_json::from_str(rest.lines().next().unwrap()).unwrap();
    assert_eq!((served["status"].as_u64(), served["sent"].as_u64()), (Some(206), Some(6)), "{served}");
    outcome(server).succeeded();
}

#[test]
fn who_may_not_have_so_many_connections_is_told_how_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let serve = "ulimit -n 700; exec \"$0\" serve \"$1\" --bind 127.0.0.1:0 --json --max-connections 2000 --workers 1";
    let mut command = Command::new("sh");
    command.args(["-c", serve, env!("CARGO_BIN_EXE_tidemill")]).arg(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let places = serde_json::from_str::<Value>(&first).unwrap()["max_connections"].as_u64().unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let stderr = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    // Root raises its limit, where nobody has taken that right away.
    if places < 2000 {
        assert!((300..=350).contains(&places), "{places}");
        assert!(stderr.starts_with(&format!("tidemill: at most {places} connections at once;")), "{stderr}");
    } else {
        assert_eq!(stderr, "");
    }
}
