//! An nginx of our own, on a loopback port, as the user who runs the test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{comes_up, free_port};

/// A running nginx; it ends with this value.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    /// Where it speaks TLS, if it does.
    secure: Option<SocketAddr>,
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
    /// Its master process; the workers are its children.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts one over an empty folder. Its files are at `/NAME`; at `/8m/NAME` with that many MiB/s for each
    /// connection, at `/direct/NAME` past the system's cache of files, at `/no-ranges/NAME` without
    /// ranges, at `/two/NAME` over at most two connections (8 MiB/s each), others of which get 503; `/403`, `/500` and
    /// `/503` answer just so. `/gzip/NAME` is compressed for who accepts that, `/private/NAME` for `tide` with the password
    /// `high water` only, `/moved/NAME` redirects, `/login` sets a cookie without which `/member/NAME` is 403.
    pub fn new() -> Self {
        Self::start(None, config)
    }

    /// The same, also over TLS, with a certificate and its key in PEM.
    pub fn secure(certificate: &str, key: &str) -> Self {
        Self::start(Some((certificate, key)), config)
    }

    /// As quick as it can be: so many workers, files at `/NAME`, also over TLS, with a certificate and its key in PEM; and
    /// no log.
    pub fn quick(workers: usize, certificate: &str, key: &str) -> Self {
        Self::start(Some((certificate, key)), |folder, address, secure| {
            let (folder, secure) = (folder.display(), secure.unwrap_or(address));
            format!(
                "worker_processes {workers}; daemon off; pid {folder}/pid; worker_rlimit_nofile 8192;
                events {{ worker_connections 4096; }}
                http {{
                    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
                    default_type application/octet-stream;
                    ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols TLSv1.2 TLSv1.3;
                    server {{
                        listen {address} backlog=1024; listen {secure} ssl backlog=1024;
                        root {folder}/www;
                    }}
                }}"
            )
        })
    }

    fn start(identity: Option<(&str, &str)>, config: impl Fn(&Path, SocketAddr, Option<SocketAddr>) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("www")).unwrap();
        fs::write(folder.path().join("users"), "tide:{PLAIN}high water\n").unwrap();
        if let Some((certificate, key)) = identity {
            fs::write(folder.path().join("server.pem"), certificate).unwrap();
            fs::write(folder.path().join("server.key"), key).unwrap();
        }
        // Another process may take the port in between.
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            let secure = identity.map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
            fs::write(folder.path().join("conf"), config(folder.path(), address, secure)).unwrap();
            let path = std::env::var("PATH").unwrap_or_default();
            let mut command = Command::new("nginx");
            command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
            command.arg("-p").arg(folder.path()).args(["-c", "conf", "-e", "errors"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("nginx is needed: 'tests/run install'");
            if comes_up(&mut child, address) {
                return Self { child, folder, address, secure };
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

    /// The same over TLS, for the host `localhost`.
    pub fn secure_url(&self, path: &str) -> String {
        let port = self.secure.expect("an nginx with TLS").port();
        format!("https://localhost:{port}/{path}")
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
        // Killed, it would leave its workers behind.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, address: SocketAddr, secure: Option<SocketAddr>) -> String {
    let secure = secure.map_or_else(String::new, |secure| {
        format!("listen {secure} ssl; ssl_certificate server.pem; ssl_certificate_key server.key;")
    });
    let www = folder.join("www");
    let www = www.display();
    format!(
        "daemon off; master_process off; pid pid;
        events {{ worker_connections 512; }}
        http {{
            log_format short '$uri $status $body_bytes_sent';
            access_log access short;
            sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
            client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
            limit_conn_zone $server_name zone=connections:32k;
            server {{
                listen {address};
                {secure}
                root {www};
                location /8m/ {{ alias {www}/; limit_rate 8m; }}
                location /direct/ {{ alias {www}/; sendfile off; directio 1m; output_buffers 1 1m; }}
                location /no-ranges/ {{ alias {www}/; max_ranges 0; }}
                location /two/ {{ alias {www}/; limit_conn connections 2; limit_rate 8m; }}
                location /gzip/ {{ alias {www}/; gzip on; gzip_types *; gzip_min_length 1; }}
                location /private/ {{ alias {www}/; auth_basic tides; auth_basic_user_file users; }}
                location ~ ^/moved/(.*)$ {{ return 301 /$1; }}
                location = /login {{ add_header Set-Cookie 'id=17; Path=/'; return 302 /member/f; }}
                location /member/ {{ if ($cookie_id != 17) {{ return 403; }} alias {www}/; }}
                location = /403 {{ return 403; }}
                location = /500 {{ return 500; }}
                location = /503 {{ return 503; }}
            }}
        }}"
    )
}
