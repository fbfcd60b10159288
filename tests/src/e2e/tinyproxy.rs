//! A tinyproxy of our own, on a loopback port.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{comes_up, free_port};

/// A running proxy, for `who` with the password `knows`; it ends with this value.
#[derive(Debug)]
pub struct Tinyproxy {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Tinyproxy {
    /// Starts one that makes tunnels to any port. `None`: it is not installed.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            let log = folder.path().join("log");
            let config = format!(
                "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\nBasicAuth who knows\nLogFile \"{}\"\nLogLevel Connect\n",
                address.port(),
                log.display()
            );
            fs::write(folder.path().join("conf"), config).unwrap();
            let mut command = Command::new("tinyproxy");
            command.arg("-d").arg("-c").arg(folder.path().join("conf"));
            let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = spawned.ok()?;
            if comes_up(&mut child, address) {
                return Some(Self { child, folder, address });
            }
        }
        panic!("tinyproxy does not start: {:?}", fs::read_to_string(folder.path().join("log")));
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        format!("http://who:knows@{}", self.address)
    }

    /// Its URL, without.
    pub fn url_without_password(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
