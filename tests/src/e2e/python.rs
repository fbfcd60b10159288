//! Servers in Python: its own `http.server` (HTTP/1.0, no ranges), and what a script makes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Python {
    child: Child,
    port: u16,
}

impl Python {
    /// Serves `folder` at a free port.
    pub fn new(folder: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(folder);
        // "Serving HTTP on 127.0.0.1 port 12345 (http://127.0.0.1:12345/) ..."
        Self::start(command, |line| line.split(" port ").nth(1)?.split(' ').next())
    }

    /// Runs a script that prints its port.
    pub fn script(path: &Path) -> Self {
        let mut command = Command::new("python3");
        command.arg(path);
        Self::start(command, |line| Some(line.trim()))
    }

    fn start(mut command: Command, port: impl Fn(&str) -> Option<&str>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3 is needed: 'tests/run install'");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = port(&line).and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("python3 said {line:?}"));
        Self { child, port }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
