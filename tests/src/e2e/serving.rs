//! `tidemill serve` as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::command::binary;

/// A running server over a folder; it ends with this value.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    secure: bool,
    max_connections: u64,
}

impl Serving {
    /// Serves an empty folder at a free port, with these arguments besides.
    pub fn new(args: &[&str]) -> Self {
        Self::start(&["--json"], args)
    }

    /// As [`new`](Self::new), telling nothing of its requests.
    pub fn quiet(args: &[&str]) -> Self {
        Self::start(&["--quiet"], args)
    }

    fn start(telling: &[&str], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("www")).unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").arg(folder.path().join("www")).args(["--bind", "127.0.0.1:0"]).args(telling).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it prints its address").unwrap();
        // An event, or "serving FOLDER at http://127.0.0.1:12345/".
        let event: Option<Value> = serde_json::from_str(&first).ok();
        let url = event.as_ref().map_or(first.rsplit(' ').next(), |event| event["url"].as_str());
        let url = url.unwrap_or_else(|| panic!("{first:?}"));
        let secure = url.starts_with("https:");
        let address =
            url.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let max_connections = event.as_ref().and_then(|event| event["max_connections"].as_u64()).unwrap_or(0);
        // So that it never waits for someone to read.
        thread::spawn(move || lines.for_each(drop));
        Self { child, folder, address, secure, max_connections }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a file is that it serves. The folder above is not served.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("www").join(name)
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("{}://{}/{name}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// How many connections it serves at once, as it says; 0 if it is [quiet](Self::quiet).
    pub fn max_connections(&self) -> u64 {
        self.max_connections
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits until it has ended by itself; whether it ended well.
    pub fn ended(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// The most memory it had so far, in KiB.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory it has now, in KiB.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mark = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        mark.trim_end_matches("kB").trim().parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
