//! The file server beside nginx, static-web-server and Python, by wrk, in one run:
//! `cargo bench -p tidemill-tests --bench serve [-- SECONDS] [install]`.
//!
//! Each row is a size, a number of connections, whether they are kept, and whether they are under TLS, with the same
//! certificate and key for all; the servers take turns in rounds, with as many workers each, so that what else the machine
//! does falls on all of them. It prints medians: requests a second, the slowest hundredth's time, and the server's CPU
//! seconds for 10,000 requests, which tell more than the others where wrk shares the cores with them. It needs
//! `cargo build --release`, wrk, nginx and python3; static-web-server is taken from the path, or with `install` built by
//! `cargo install` into a folder that goes away, or left out aloud.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidemill_tests::e2e::{Content, Nginx, Python, Serving};

const ROUNDS: usize = 3;

/// What one run of wrk found.
#[derive(Clone, Copy, Default)]
struct Figures {
    per_second: f64,
    p99_ms: f64,
    cpu: f64,
    errors: f64,
}

/// CPU seconds of a process and its children that live.
fn cpu(pid: u32) -> f64 {
    let ticks = |pid: &str| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may have blanks: user and system time are the 12th and 13th.
        let times = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    };
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let all = ticks(&pid.to_string()) + children.split_whitespace().map(ticks).sum::<u64>();
    all as f64 / 100.0
}

/// A figure behind `name` in what wrk prints, with its unit.
fn figure(text: &str, name: &str) -> Option<f64> {
    let word = text.lines().find_map(|line| line.trim().strip_prefix(name))?.split_whitespace().next()?;
    let digits = word.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let scale = match &word[digits.len()..] {
        "us" => 1e-3,
        "s" => 1e3,
        "m" => 6e4,
        _ => 1.0,
    };
    digits.parse::<f64>().ok().map(|value| value * scale)
}

fn wrk(url: &str, pid: u32, connections: usize, kept: bool, seconds: usize) -> Figures {
    let mut command = Command::new("wrk");
    command.args([
        "-t2",
        "--latency",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds}s"),
        "--timeout",
        "10s",
    ]);
    if !kept {
        command.args(["-H", "Connection: close"]);
    }
    let before = cpu(pid);
    let output = command.arg(url).output().expect("wrk is needed: apt-get install wrk");
    let cpu = cpu(pid) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let per_second = figure(&text, "Requests/sec:").unwrap_or_default();
    let errors = text.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx")).count();
    Figures {
        per_second,
        p99_ms: figure(&text, "99%").unwrap_or_default(),
        cpu: cpu / (per_second * seconds as f64) * 10_000.0,
        errors: errors as f64,
    }
}

/// Python's server over a folder, with connections that are kept and a thread for each.
fn python(folder: &Path, tls: Option<&Path>, scripts: &Path) -> Python {
    let wrap = tls.map_or_else(String::new, |pem| {
        let load = format!("context.load_cert_chain({:?})", pem.display().to_string());
        format!(
            "import ssl\ncontext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n{load}\n\
             server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)\n"
        )
    });
    let script = format!(
        "from functools import partial\n\
         from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer\n\
         class Handler(SimpleHTTPRequestHandler):\n    protocol_version = 'HTTP/1.1'\n    disable_nagle_algorithm = True\n    log_message = lambda *_: None\n\
         ThreadingHTTPServer.request_queue_size = 1024\n\
         server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory={:?}))\n\
         {wrap}print(server.server_address[1], flush=True)\nserver.serve_forever()\n",
        folder.display().to_string()
    );
    let path = scripts.join(if tls.is_some() { "secure.py" } else { "plain.py" });
    fs::write(&path, script).unwrap();
    Python::script(&path)
}

/// A static-web-server; it ends with this value.
struct StaticWebServer {
    child: Child,
    port: u16,
}

impl StaticWebServer {
    fn new(program: &Path, workers: usize, folder: &Path, pem: Option<&Path>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // It has a number of threads for each core.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new(program);
        command
            .args(["--host", "127.0.0.1", "--log-level", "error", "--port", &port.to_string(), "--root"])
            .arg(folder);
        command.args([
            "--threads-multiplier",
            &workers.div_ceil(cores).to_string(),
            "--cache-control-headers",
            "false",
        ]);
        if let Some(pem) = pem {
            command.args(["--http2", "true", "--http2-tls-cert"]).arg(pem).arg("--http2-tls-key").arg(pem);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(up, "static-web-server does not listen");
        Self { child, port }
    }
}

impl Drop for StaticWebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where static-web-server is, if it is.
fn static_web_server(install: bool, root: &Path) -> Option<PathBuf> {
    if Command::new("static-web-server").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some("static-web-server".into());
    }
    if !install {
        println!("NOT MEASURED: static-web-server is not on the path, and 'install' was not said");
        return None;
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "--quiet", "--locked", "static-web-server", "--root"]).arg(root);
    if !cargo.status().is_ok_and(|status| status.success()) {
        println!("NOT MEASURED: static-web-server cannot be installed");
        return None;
    }
    Some(root.join("bin/static-web-server"))
}

/// One server of a row.
struct Contender {
    name: &'static str,
    url: String,
    pid: u32,
}

/// All servers, in the clear or under TLS.
struct Field {
    ours: Serving,
    nginx: Nginx,
    secure: bool,
    other: Option<StaticWebServer>,
    python: Python,
    /// Scripts and keys; it goes with this value.
    _scripts: TempDir,
}

impl Field {
    fn new(workers: usize, secure: bool, other: Option<&Path>) -> Self {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
        let scripts = tempfile::tempdir().unwrap();
        let pem = scripts.path().join("both.pem");
        fs::write(&pem, format!("{certificate}{key}")).unwrap();
        let (workers_text, pem_text) = (workers.to_string(), pem.display().to_string());
        let mut args = vec!["--max-connections", "4096", "--workers", &workers_text];
        if secure {
            args.extend(["--tls", &pem_text, &pem_text]);
        }
        let ours = Serving::quiet(&args);
        let nginx = Nginx::quick(workers, &certificate, &key);
        for (name, size) in SIZES {
            Content::new(1, size).write(&ours.path(name));
            Content::new(1, size).write(&nginx.path(name));
        }
        let tls = secure.then_some(pem.as_path());
        let other = other.map(|program| StaticWebServer::new(program, workers, &ours.path(""), tls));
        let python = python(&ours.path(""), tls, scripts.path());
        Self { ours, nginx, secure, other, python, _scripts: scripts }
    }

    /// nginx is the second.
    fn contenders(&self, name: &str, connections: usize) -> Vec<Contender> {
        let scheme = if self.secure { "https" } else { "http" };
        let nginx = if self.secure { self.nginx.secure_url(name) } else { self.nginx.url(name) };
        let mut all = vec![
            Contender { name: "tidemill", url: self.ours.url(name), pid: self.ours.pid() },
            Contender { name: "nginx", url: nginx, pid: self.nginx.pid() },
        ];
        if let Some(other) = &self.other {
            let url = format!("{scheme}://127.0.0.1:{}/{name}", other.port);
            all.push(Contender { name: "static-web-server", url, pid: other.child.id() });
        }
        // Python's has a thread for each connection, and no need to be shown with a thousand.
        if connections <= 32 {
            let url = self.python.url(name).replacen("http", scheme, 1);
            all.push(Contender { name: "python", url, pid: self.python.pid() });
        }
        all
    }
}

fn median(figures: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<_> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The files that are asked for.
const SIZES: [(&str, u64); 2] = [("1k", 1 << 10), ("1m", 1 << 20)];

fn row(title: &str, contenders: &[Contender], connections: usize, kept: bool, seconds: usize) {
    let mut all = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (Contender { url, pid, .. }, figures) in contenders.iter().zip(&mut all) {
            figures.push(wrk(url, *pid, connections, kept, seconds));
        }
    }
    let of = |at: usize, of: fn(&Figures) -> f64| median(&all[at], of);
    for (at, Contender { name, .. }) in contenders.iter().enumerate() {
        let (rate, cpu) = (of(at, |figures| figures.per_second), of(at, |figures| figures.cpu));
        let ratio = rate / of(1, |figures| figures.per_second);
        let cpu_ratio = cpu / of(1, |figures| figures.cpu);
        let errors = if of(at, |figures| figures.errors) > 0.0 { " errors" } else { "" };
        let p99 = of(at, |figures| figures.p99_ms);
        println!("{title:<22} {name:<17} {rate:>10.0} {ratio:>6.2} {p99:>9.2} {cpu:>14.3} {cpu_ratio:>6.2}{errors}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(4);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let root = tempfile::tempdir().unwrap();
    let other = static_web_server(arguments.iter().any(|argument| argument == "install"), root.path());
    println!("{workers} workers each; medians of {ROUNDS} rounds of {seconds} s; ratios to nginx");
    println!(
        "{:<22} {:<17} {:>10} {:>6} {:>9} {:>14} {:>6}",
        "", "", "requests/s", "ratio", "p99 ms", "CPU s per 10^4", "ratio"
    );
    for secure in [false, true] {
        let field = Field::new(workers, secure, other.as_deref());
        for (name, _) in SIZES {
            for connections in [32, 1000] {
                for kept in [true, false] {
                    let title = format!(
                        "{name} x{connections} {}{}",
                        if kept { "kept" } else { "closed" },
                        if secure { " TLS" } else { "" }
                    );
                    row(&title, &field.contenders(name, connections), connections, kept, seconds);
                }
            }
        }
    }
}
