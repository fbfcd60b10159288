//! `sim:` URLs: the same download from a simulated server, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidemill_host::download::{Job, Names, Observer, Options, Summary, fields};
use tidemill_sim::mill::{Mill, Scenario};

use crate::Failure;

/// Sockets of the simulated hosts: twice the most connections, and 8 for the listener.
const SOCKETS: usize = 2 * 64 + 8;

/// What a simulation was like, beside what it downloaded.
pub(crate) struct Simulated {
    /// How long it took by the wall clock.
    pub(crate) real: Duration,
    /// The hash of all that happened: the same URL and options give the same.
    pub(crate) trace: u64,
}

/// The one host of the simulated world, whatever its name.
struct Server(SocketAddr);

impl Names for Server {
    fn addresses(&mut self, _: &str, _: u16) -> nb::Result<Vec<SocketAddr>, String> {
        Ok(vec![self.0])
    }
}

/// Runs the download in the world that `scenario` describes.
pub(crate) fn download(
    scenario: &Scenario,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<(Summary, Simulated), Failure> {
    let start = Instant::now();
    let mut mill = Mill::<SOCKETS>::new(scenario);
    let fields = fields(options);
    let names = Server(mill.server_address());
    let mut job = Job::new(options, &[scenario.http_url()], &fields, observer, names)?;
    let mut stuck = None;
    while !job.is_over() && stuck.is_none() {
        stuck = match mill.step(&mut job) {
            Ok(Some(_)) => None,
            Ok(None) => Some("nothing happens any more".to_owned()),
            Err(error) => Some(error.to_string()),
        };
    }
    let summary = job.finish();
    match stuck {
        Some(why) => Err(Failure::Failed(format!("simulation: {why}"))),
        None => Ok((summary?, Simulated { real: start.elapsed(), trace: mill.hash() })),
    }
}
