//! Downloads into files: what the engine of `core` needs from an operating system.
//!
//! The engine ([`tidemill_core::fetch`]) decides which connection fetches what. Around it, a [`Job`] puts the bytes into
//! a [`PartFile`], keeps beside it a [`Journal`] from which a broken download resumes by itself, lets a [`Hasher`] follow
//! to verify them, and tells an [`Observer`] how it goes. [`download`] runs a job on the system's sockets.
//!
//! ```no_run
//! use tidemill_host::download::{Event, Observer, Options, Target, download};
//!
//! struct Percent;
//! impl Observer for Percent {
//!     fn observe(&mut self, event: &Event<'_>) {
//!         if let Event::Progress(progress) = event {
//!             eprintln!("{} of {:?} bytes", progress.done, progress.total);
//!         }
//!     }
//! }
//!
//! let options = Options::new("http://example.org/big.iso", Target::File("big.iso".into()));
//! let summary = download(&options, &mut Percent)?;
//! println!("{} bytes in {:?}", summary.bytes, summary.took);
//! # Ok::<(), tidemill_host::download::Error>(())
//! ```

mod checksum;
mod error;
mod job;
mod journal;
mod output;
mod overlap;
mod part;
mod progress;
mod stream;
mod target;

pub use checksum::{Hasher, ParseError, Sha256Sum};
pub use error::Error;
pub use job::{Job, Names, Options, SOURCES_MAX, fields};
pub use journal::{Found, Journal, STATE_MAX};
pub use part::PartFile;
pub use progress::{Connection, Event, Observer, Progress, Summary};
pub use stream::{PIECE, download_by, save};
pub use target::Target;

use std::net::SocketAddr;

use tidemill_core::executor;
use tidemill_core::fetch::ADDRESSES_MAX;

use crate::net::Net;
use crate::net::resolve::{Lookup, Resolver};

/// Downloads a file over the system's sockets. Blocks until it is there or has failed.
///
/// A download that was interrupted, by whatever, goes on where it stopped if the journal beside its part file is
/// intact and the server still has the same file.
///
/// # Errors
/// Any [`Error`]; nothing has the target's name then.
pub fn download(options: &Options, observer: &mut dyn Observer) -> Result<Summary, Error> {
    match attempt(options, observer) {
        Err(Error::Differs(_)) => {
            observer.observe(&Event::Changed);
            attempt(&Options { resume: false, ..options.clone() }, observer)
        }
        result => result,
    }
}

fn attempt(options: &Options, observer: &mut dyn Observer) -> Result<Summary, Error> {
    let mut net = Net::new(usize::from(options.connections) * ADDRESSES_MAX).map_err(Error::System)?;
    if let Some(trust) = &options.trust {
        net.set_trust(trust.clone());
    }
    let names = SystemNames { resolver: Resolver::new(net.waker()), asked: None };
    let fields = fields(options);
    let mut job = Job::new(options, &options.urls, &fields, observer, names)?;
    let result = executor::run(&mut net, &mut job, |job| job.is_over());
    let summary = job.finish();
    result.map_err(Error::System).and(summary)
}

/// The system's resolver, asked one question at a time.
struct SystemNames {
    resolver: Resolver,
    asked: Option<(String, u16, Lookup)>,
}

impl Names for SystemNames {
    fn addresses(&mut self, host: &str, port: u16) -> nb::Result<Vec<SocketAddr>, String> {
        if let Some((_, _, other)) = self.asked.take_if(|asked| (asked.0.as_str(), asked.1) != (host, port)) {
            self.resolver.give_up(other);
        }
        let lookup = match &self.asked {
            Some((_, _, lookup)) => *lookup,
            None => self.resolver.start(host, port).map_err(|error| error.to_string())?,
        };
        let answer = self.resolver.poll(lookup);
        let open = matches!(answer, Err(nb::Error::WouldBlock));
        self.asked = open.then(|| (host.to_owned(), port, lookup));
        answer.map_err(|error| error.map(|error| error.to_string()))
    }
}
