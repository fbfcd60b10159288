//! An nginx of our own, on a loopback port, as the user who runs the test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{comes_up, free_port};

/// A running nginx; it ends with this value.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

/// One line of its log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The path asked for.
    pub path: String,
    /// The status it answered.
    pub status: u16,
    /// The bytes of the body that it wrote to the socket.
    pub sent: u64,
}

impl Default for Nginx {
    fn default() -> Self {
        Self::new()
    }
}

impl Nginx {
    /// Starts one over an empty folder. Its files are at `/NAME`; at `/8m/NAME` with that many MiB/s for each
    /// connection, at `/direct/NAME` past the system's cache of files, at `/no-ranges/NAME` without
    /// ranges, at `/two/NAME` over at most two connections (8 MiB/s each), others of which get 503; `/403`, `/500` and
    /// `/503` answer just so.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("www")).unwrap();
        // Another process may take the port in between.
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            fs::write(folder.path().join("conf"), config(folder.path(), address)).unwrap();
            let path = std::env::var("PATH").unwrap_or_default();
            let mut command = Command::new("nginx");
            command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
            command.arg("-p").arg(folder.path()).args(["-c", "conf", "-e", "errors"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("nginx is needed: 'tests/run install'");
            if comes_up(&mut child, address) {
                return Self { child, folder, address };
            }
        }
        panic!("nginx does not start: {}", fs::read_to_string(folder.path().join("errors")).unwrap_or_default());
    }

    /// Where a file is that it serves.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("www").join(name)
    }

    /// The URL of `path`, which has no leading slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The requests it has finished.
    pub fn log(&self) -> Vec<Logged> {
        let text = fs::read_to_string(self.folder.path().join("access")).unwrap();
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let path = words.next()?.to_owned();
            Some(Logged { path, status: words.next()?.parse().ok()?, sent: words.next()?.parse().ok()? })
        };
        text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("{line:?}"))).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, address: SocketAddr) -> String {
    let www = folder.join("www");
    let www = www.display();
    format!(
        "daemon off; master_process off; pid pid;
        events {{ worker_connections 512; }}
        http {{
            log_format short '$uri $status $body_bytes_sent';
            access_log access short;
            sendfile on; tcp_nopush on; default_type application/octet-stream;
            client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
            limit_conn_zone $server_name zone=connections:32k;
            server {{
                listen {address};
                root {www};
                location /8m/ {{ alias {www}/; limit_rate 8m; }}
                location /direct/ {{ alias {www}/; sendfile off; directio 1m; output_buffers 1 1m; }}
                location /no-ranges/ {{ alias {www}/; max_ranges 0; }}
                location /two/ {{ alias {www}/; limit_conn connections 2; limit_rate 8m; }}
                location = /403 {{ return 403; }}
                location = /500 {{ return 500; }}
                location = /503 {{ return 503; }}
            }}
        }}"
    )
}
