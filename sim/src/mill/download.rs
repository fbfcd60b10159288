//! The download engine as a program that checks every byte it gets: what a test of the engine runs in a mill.

use core::borrow::BorrowMut;
use std::net::SocketAddr;

use tidemill_core::executor::Program;
use tidemill_core::fetch::{Failure, Fetch, Options, Sink, Slot, Source};
use tidemill_core::net::Stack;
use tidemill_core::time::{Duration, EPOCH, Instant};

use super::{Content, Mill, Scenario};
use crate::world::{Error, World};

const HEAD: usize = 4096;

/// Compares what it is given with what it should be, and notes which kilobytes it was given.
pub(crate) struct Checked {
    content: Content,
    total: Option<u64>,
    written: Vec<bool>,
}

/// Part of the file that is noted as a whole; downloads are split at other places too, so it is small.
const NOTED: u64 = 1 << 10;

impl Checked {
    /// Nothing yet of the content that this seed names.
    pub(crate) fn new(seed: u64) -> Self {
        Self { content: Content::new(seed), total: None, written: vec![] }
    }

    /// Whether every byte of a file of this length has come.
    pub(crate) fn is_complete(&self, len: u64) -> bool {
        self.total == Some(len) && self.written.iter().all(|&there| there)
    }
}

impl Sink for Checked {
    type Error = String;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), String> {
        if let Some(at) = self.content.first_difference(offset, data) {
            return Err(format!("byte {at} is wrong"));
        }
        // A part counts once its last byte is there; the file's last part, once its own last byte is.
        let end = offset + data.len() as u64;
        let total = self.total.ok_or("bytes before the length")?;
        for part in offset / NOTED..end.div_ceil(NOTED) {
            let last = ((part + 1) * NOTED).min(total) - 1;
            self.written[part as usize] |= (offset..end).contains(&last);
        }
        Ok(())
    }

    fn set_len(&mut self, total: u64) -> Result<(), String> {
        self.total = Some(total);
        self.written = vec![false; total.div_ceil(NOTED) as usize];
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        Err("the file did not change".into())
    }
}

struct Download {
    fetch: Fetch<'static, Checked, Vec<Slot<HEAD>>, HEAD, 1>,
    server: SocketAddr,
    scratch: Vec<u8>,
}

impl Download {
    fn new(scenario: &Scenario, server: SocketAddr, connections: usize, options: Options<'static>) -> Self {
        let sink = Checked::new(scenario.seed);
        let source = Source::new(&scenario.http_url());
        let slots = (0..connections).map(|_| Slot::EMPTY).collect();
        Self { fetch: Fetch::new(options, source, sink, slots, None), server, scratch: vec![0; 64 << 10] }
    }

    /// Its length if every byte of the file has come; or why not.
    fn outcome(&mut self) -> Option<Result<u64, String>> {
        let outcome = self.fetch.outcome()?.map_err(|why| match why {
            Failure::Sink(why) => why.clone(),
            why => why.reason().to_string(),
        });
        let complete = |len| if self.fetch.sink().is_complete(len) { Ok(len) } else { Err("a part is missing".into()) };
        Some(outcome.and_then(complete))
    }
}

impl<S: Stack> Program<S> for Download {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while let Some((source, ..)) = self.fetch.wanted() {
            self.fetch.resolved(source, &[self.server]);
        }
        self.fetch.turn(now, net, &mut self.scratch)
    }
}

/// What became of a download.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The file's length, or why it is not there; `None`: nothing came of it in a virtual hour.
    pub outcome: Option<Result<u64, String>>,
    /// When it ended.
    pub at: Instant,
    /// Bytes received, those fetched twice included.
    pub received: u64,
}

impl<const N: usize, W: BorrowMut<World>> Mill<N, W> {
    /// Downloads `scenario`'s file, byte by byte checked, over so many connections. Usually it is the mill's own
    /// scenario; another one's file is not found.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn download(
        &mut self,
        scenario: &Scenario,
        connections: usize,
        options: Options<'static>,
    ) -> Result<End, Error> {
        let mut download = Download::new(scenario, self.server_address(), connections, options);
        let limit = EPOCH + Duration::from_hours(1);
        while download.outcome().is_none() && self.now() < limit {
            if self.step(&mut download)?.is_none() {
                break;
            }
        }
        let received = download.fetch.progress(self.now()).received;
        Ok(End { outcome: download.outcome(), at: self.now(), received })
    }
}
