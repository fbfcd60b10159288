//! What may stand on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Args, Parser, Subcommand};
use tidemill_host::download::Sha256Sum;

use crate::sim::{Asked, Seeds};
use crate::units::{parse_bytes, parse_duration};

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold().fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Cyan))))
    .usage(Style::new().bold().fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Cyan))))
    .literal(Style::new().bold());

/// Downloads and serves files, on real networks and simulated ones, takes URLs apart, and runs commands side by side.
#[derive(Parser, Debug)]
#[command(name = "tidemill", version, styles = STYLES, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  tidemill get http://example.org/big.iso           four connections, resumes by itself
  tidemill get 'sim://mill/16MiB?loss=1%&seed=7'    the same through a simulated network
  tidemill serve ~/public                           share a folder
  tidemill url urljoin http://a/b/c ../d            what a link means
  tidemill sim crash-resume                         a thousand hostile networks, and what broke
  ls *.wav | tidemill map -j 4 -- flac {}           a command for each line, four at once

Exit status: 0 done, 1 failed, 2 the command line is wrong.
'tidemill COMMAND --help' tells more.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Get(Get),
    Serve(Serve),
    Url(Url),
    Sim(Sim),
    Map(Map),
}

/// Downloads a file over several connections; a broken download goes on where it stopped.
///
/// The bytes go to FILE.part until all are there; FILE.part.meta remembers which are. Run the same command again after
/// a failure, Ctrl-C or a crash, and only what is missing is fetched, provided the server still has the same file.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tidemill get http://example.org/big.iso
      to big.iso in this folder, over 4 connections
  tidemill get http://a.example/f http://b.example/f -n 8 -o f
      from two mirrors at once
  tidemill get http://example.org/f --checksum sha-256=9f86d081…
      verified while it arrives; a wrong file never gets its name
  tidemill get https://example.org/report -u me:secret --cookies jar.txt --save-cookies jar.txt
      what only you may see
  tidemill get https://example.org/big.iso --info
      how long it is, and whether it can be fetched in parts
  tidemill get http://example.org/logs.gz -o - | zcat | less
      straight into another program
  tidemill get 'sim://mill/16MiB?rtt=40ms&loss=1%&rate=50mbps&seed=7' -n 4 -o out.bin
      through a simulated network: no network needed, same engine, same result every time")]
pub(crate) struct Get {
    /// The file's URL (http:, https: or sim:), then mirrors, which must show the same ETag or Last-Modified, unless there is
    /// a --checksum
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,

    /// Where to put it; '-' streams to stdout over one connection [default: the name in the URL]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// How many connections to share the work among, 1 to 64
    #[arg(short = 'n', long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) connections: u8,

    /// The SHA-256 the file must have: sha-256=HEX
    #[arg(long, value_name = "ALGORITHM=HEX")]
    pub(crate) checksum: Option<Sha256Sum>,

    /// Add a field to each request, such as 'Authorization: Bearer …'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// Ask with another method than GET
    #[arg(short = 'X', long = "method", value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// Send this, or what is in a file: @FILE; it makes a POST unless -X says otherwise
    #[arg(short, long, value_name = "DATA")]
    pub(crate) data: Option<String>,

    /// Who you are, given where the server asks for it (Basic or Digest)
    #[arg(short, long, value_name = "NAME:PASSWORD", conflicts_with = "netrc")]
    pub(crate) user: Option<String>,

    /// The same, by $NETRC or ~/.netrc
    #[arg(long)]
    pub(crate) netrc: bool,

    /// Send the cookies in this file (cookies.txt of Netscape, or LWP)
    #[arg(long, value_name = "FILE")]
    pub(crate) cookies: Option<PathBuf>,

    /// Write the cookies into this file at the end, as cookies.txt
    #[arg(long, value_name = "FILE")]
    pub(crate) save_cookies: Option<PathBuf>,

    /// Go through this proxy, http://HOST:PORT [default: $http_proxy, $https_proxy, $all_proxy, but not for $no_proxy]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Trust the certificates in this file, not the system's
    #[arg(long, value_name = "FILE.pem")]
    pub(crate) cacert: Option<PathBuf>,

    /// Download nothing: tell about the resource as one JSON object
    #[arg(long, conflicts_with_all = ["output", "json", "checksum"])]
    pub(crate) info: bool,

    /// How many failures in a row a connection may have
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) retry: u8,

    /// How long a server may stay silent
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// The most bytes a second, over all connections, such as 500k or 2MiB
    #[arg(long, value_name = "RATE", value_parser = parse_bytes)]
    pub(crate) limit_rate: Option<u64>,

    /// Start over, even where an earlier download could be resumed
    #[arg(long)]
    pub(crate) no_resume: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,

    /// Tell all on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Serves the files of a folder over HTTP: ranges, conditional requests, listings.
///
/// Nothing outside the folder is ever served, and memory does not grow with the number of clients.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tidemill serve                              this folder, at http://127.0.0.1:8000/
  tidemill serve ~/public --bind 0.0.0.0:80   to everyone who can reach this machine
  tidemill serve --bind 127.0.0.1:0           at a free port, which is printed")]
pub(crate) struct Serve {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) bind: SocketAddr,

    /// How many connections at once; more are told to come back later
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    /// How many loops serve, each on a core; as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,

    /// Speak TLS with this certificate and key, both in PEM
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    pub(crate) tls: Option<Vec<PathBuf>>,

    /// Let in only who knows this; @FILE has one NAME:PASSWORD a line
    #[arg(long, value_name = "NAME:PASSWORD|@FILE")]
    pub(crate) auth: Option<String>,

    /// A header for every answer, such as 'Cache-Control: max-age=60'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_field)]
    pub(crate) headers: Vec<(String, String)>,

    /// Append a line for each request to this file, which SIGHUP opens anew
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,

    /// How those lines look
    #[arg(long, value_name = "FORMAT", default_value = "common", requires = "access_log")]
    pub(crate) log_format: LogFormat,

    /// Tell counters at /metrics, for Prometheus
    #[arg(long)]
    pub(crate) metrics: bool,

    /// How many seconds answers that have begun may take once it is to end
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u64,

    /// The most bytes a second to each client, such as 500k or 2MiB
    #[arg(long, value_name = "RATE", value_parser = parse_bytes)]
    pub(crate) limit_rate: Option<u64>,

    /// Do not tell of requests
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,

    /// Tell all on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("no colon between name and value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// How the lines of an access log look.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// The Common Log Format
    Common,
    /// A JSON object
    Json,
}

impl From<LogFormat> for tidemill_host::serve::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Common => Self::Common,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Takes URLs and queries apart and puts them together, as Python's urllib.parse and as browsers do.
///
/// With --batch each line of stdin is a call in JSON, and each line of stdout its answer.
#[derive(Args, Debug)]
#[command(after_help = crate::url::help())]
pub(crate) struct Url {
    /// The function, by its name in Python, or whatwg or whatwg_set
    #[arg(value_name = "OP", required_unless_present = "batch")]
    pub(crate) op: Option<String>,

    /// Its arguments
    #[arg(value_name = "ARG")]
    pub(crate) args: Vec<String>,

    /// An argument by its name in Python, such as safe=/ or keep_blank_values=true; may be repeated
    #[arg(short, long = "kw", value_name = "NAME=VALUE")]
    pub(crate) kw: Vec<String>,

    /// Tell the answer as JSON, as --batch does
    #[arg(long)]
    pub(crate) json: bool,

    /// Read calls from stdin, one a line, and answer each on a line
    #[arg(long, conflicts_with_all = ["op", "args", "kw", "json"])]
    pub(crate) batch: bool,
}

/// Runs a scenario in simulated networks, one for each seed, and explains what fails.
///
/// A failing seed is shrunk to the few faults that matter, and leaves a folder with the plan, the trace, a capture for
/// Wireshark, a page to look around in, and a script that replays it.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "list | merge"
)]
#[command(after_help = "\
Examples:
  tidemill sim list
      the scenarios that are built in
  tidemill sim download --seeds 0..10000
      ten thousand networks on all cores
  tidemill sim mine.toml --seed 17 --report run.html --pcap run.pcapng
      one of them, to look at
  tidemill sim mine.toml --plan failures/mine-17/plan.toml
      what a failure was shrunk to, once more
  tidemill sim mine.toml --seeds 0..1000000 --shard auto --json > part.json
      this machine's part of a sweep over many: a Slurm array, a Kubernetes Job, a CI matrix
  tidemill sim merge part*.json
      the parts as one report

Exit status: 0 all passed, 1 one failed (or a sweep never saw what it should), 2 the command line or a file is wrong.")]
pub(crate) struct Sim {
    #[command(subcommand)]
    pub(crate) op: Option<SimOp>,

    /// A scenario that is built in, or a TOML file
    #[arg(value_name = "SCENARIO", required = true)]
    pub(crate) scenario: Option<String>,

    /// Run these seeds [default: 0..1000]
    #[arg(long, value_name = "A..B", conflicts_with_all = ["seed", "plan"])]
    pub(crate) seeds: Option<Seeds>,

    /// Run this seed alone
    #[arg(long, value_name = "N", conflicts_with = "plan")]
    pub(crate) seed: Option<u64>,

    /// Replay this plan alone
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,

    /// How many worlds at once [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Run part I of N of the seeds, from 0; 'auto' reads both from the environment, 'auto/N' which one
    #[arg(long, value_name = "I/N", conflicts_with_all = ["seed", "plan"])]
    pub(crate) shard: Option<Asked>,

    /// Write what happened as a capture for Wireshark; of one run
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// Write what happened as a page; of one run
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,

    /// Where the folders of failures go [default: $TIDEMILL_FAILURES, or 'tidemill' in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) failures: Option<PathBuf>,

    /// Say nothing but failures
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,

    /// Tell all on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs a command for each line of standard input, several at once.
///
/// The line stands for each {} in the command, or comes last if there is none; no shell looks at it. What the commands
/// print comes in the order of the lines, each one's in one piece. Each runs in a process group of its own, which is
/// ended with it after a --timeout or Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ls *.wav | tidemill map -j 4 -- flac --best {}
      four at once
  tidemill map --retries 3 --timeout 1m -- curl -fsS -O {} < urls.txt
      what fails or takes too long is tried again
  seq 100 | tidemill map --halt now -- ./check.sh
      the first failure ends all
  seq 100 | tidemill map --json -- sh -c 'exit $(({} % 2))'
      for programs

Exit status: 0 all ended well, 1 one failed, 2 the command line is wrong.")]
pub(crate) struct Map {
    /// The program
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,

    /// How many at once [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Print in the order in which the commands end
    #[arg(long)]
    pub(crate) unordered: bool,

    /// How often a command that failed is tried again; what it printed is forgotten
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retries: u8,

    /// How long a command may take
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// After a failure: start no more, or end those that run as well
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) halt: When,

    /// Tell all on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// See [`Map::halt`].
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(crate) enum When {
    /// Go on
    Never,
    /// Start no more
    Soon,
    /// End those that run
    Now,
}

/// What else there is to be done with scenarios.
#[derive(Subcommand, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) enum SimOp {
    /// Lists the scenarios that are built in
    List {
        /// Tell all on stdout as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Joins the JSON reports of a sweep's parts, and judges the whole
    Merge {
        /// What 'tidemill sim --shard I/N --json' printed, a file for each part
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,

        /// Tell all on stdout as JSON
        #[arg(long)]
        json: bool,
    },
}
