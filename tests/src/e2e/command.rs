//! The `tidemill` binary, run in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::STARTUP;

/// Nothing that a test runs takes as long as this.
const PATIENCE: Duration = Duration::from_mins(2);

/// A folder to run `tidemill` in; it goes with this value.
#[derive(Debug)]
pub struct Tidemill {
    folder: TempDir,
}

/// A process that has not been waited for. It is killed with this value.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    /// The most memory that it was seen to have, in KiB.
    peak: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status, if no signal ended it.
    pub status: Option<i32>,
    /// What it wrote to the standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to the standard error.
    pub stderr: String,
    /// The most memory it had at any time, in KiB.
    pub peak: u64,
    /// How long it took.
    pub took: Duration,
}

/// The release binary: `TIDEMILL_BIN`, or the one beside the running test.
pub(super) fn binary() -> PathBuf {
    let path = match std::env::var_os("TIDEMILL_BIN") {
        Some(path) => PathBuf::from(path),
        // target/PROFILE/deps/TEST
        None => std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("release/tidemill"),
    };
    assert!(path.is_file(), "no binary at {}: build it with 'cargo build --release'", path.display());
    path
}

impl Default for Tidemill {
    fn default() -> Self {
        Self::new()
    }
}

impl Tidemill {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The binary.
    pub fn binary() -> PathBuf {
        binary()
    }

    /// A name in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of the files there are.
    pub fn files(&self) -> Vec<String> {
        let entries = self.folder.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Starts `tidemill` with these arguments.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_program(binary(), args)
    }

    /// Starts another program in the folder.
    pub fn start_program(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Running {
        let mut command = Command::new(&program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
        Running { child: Some(child), peak: 0 }
    }

    /// Runs `tidemill` with these arguments to its end.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.start(args).outcome()
    }

    /// Runs another program in the folder to its end.
    pub fn run_program(&self, program: &str, args: &[&str]) -> Outcome {
        self.start_program(program, args).outcome()
    }

    /// Waits until a file has something in it.
    pub fn wait_for(&self, name: &str) {
        let (path, start) = (self.path(name), Instant::now());
        while fs::metadata(&path).map_or(0, |meta| meta.len()) == 0 {
            assert!(start.elapsed() < STARTUP, "no {}", path.display());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end, reads all it writes, and watches its memory.
    pub fn outcome(mut self) -> Outcome {
        let start = Instant::now();
        let mut child = self.child.take().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out = thread::spawn(move || read_all(stdout));
        let err = thread::spawn(move || read_all(stderr));
        let status = loop {
            // The high-water mark: what is missed is only what grows in the last moment. That of wait4() would count
            // the memory of the process that forks, too.
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = mark.and_then(|text| text.trim_end_matches("kB").trim().parse().ok());
            self.peak = self.peak.max(kib.unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("still running after {PATIENCE:?}: {}", String::from_utf8_lossy(&err.join().unwrap()));
            }
            thread::sleep(Duration::from_millis(2));
        };
        let stderr = String::from_utf8(err.join().unwrap()).unwrap();
        let stdout = out.join().unwrap();
        Outcome { status: status.code(), stdout, stderr, peak: self.peak, took: start.elapsed() }
    }

    /// Kills it at once (SIGKILL), and tells what it has said. It must still run.
    pub fn killed(self) -> Outcome {
        self.signal(Signal::SIGKILL);
        let outcome = self.outcome();
        assert_eq!(outcome.status, None, "killed too late: {}", outcome.stderr);
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read_all(mut from: impl std::io::Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

impl Outcome {
    /// Panics unless the exit status is 0.
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        self
    }

    /// Panics unless it ended with this status, having written one line that has `words` to stderr:
    /// `tidemill: what: why`.
    pub fn failed(&self, status: i32, words: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {:?}", self.stderr));
        let shape = line.strip_prefix("tidemill: ").is_some_and(|rest| rest.contains(": ") || status == 2);
        assert!(shape && !line.contains('\n') && line.contains(words), "{words:?} in {line:?}");
    }

    /// The lines on stdout, each of which must be a JSON object with an event.
    pub fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).unwrap();
        // A process that was killed may have been in the middle of a line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let events: Vec<Value> = whole.lines().map(parse).collect();
        assert!(events.iter().all(|event| event["event"].is_string()), "{events:?}");
        events
    }

    /// The first event of this name.
    pub fn event(&self, name: &str) -> Option<Value> {
        self.events().into_iter().find(|event| event["event"] == name)
    }
}
