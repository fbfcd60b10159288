//! The download engine with a journal in its host's flash: after a crash it goes on where the journal says.

use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

use tidemill_core::executor::Program;
use tidemill_core::fetch::{Failure, Fetch, Options, STATE_BYTES_MAX, Sink, Slot, Source, State};
use tidemill_core::net::Stack;
use tidemill_core::time::{Duration, Instant};

use super::End;
use crate::mill::Checked;
use crate::world::Flash;

const HEAD: usize = 2048;

/// The journal is written this often, and holds all that was written before.
const JOURNAL_EVERY: Duration = Duration::from_millis(100);

/// The file as far as it was written, which outlives a crash as the journal does.
pub(in crate::scenario) struct File {
    file: Checked,
    /// Bytes received over all boots.
    received: u64,
}

impl File {
    /// For a file of this seed's content.
    pub(in crate::scenario) fn new(seed: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { file: Checked::new(seed), received: 0 }))
    }
}

/// The file, as a place for bytes.
struct Kept(Rc<RefCell<File>>);

impl Sink for Kept {
    type Error = String;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), String> {
        self.0.borrow_mut().file.write_at(offset, data)
    }

    fn set_len(&mut self, total: u64) -> Result<(), String> {
        self.0.borrow_mut().file.set_len(total)
    }

    fn restart(&mut self) -> Result<(), String> {
        self.0.borrow_mut().file.restart()
    }
}

/// Downloads a file; see the [module](self).
pub(in crate::scenario) struct Download {
    fetch: Fetch<'static, Kept, Vec<Slot<HEAD>>, HEAD, 1>,
    server: SocketAddr,
    file: Rc<RefCell<File>>,
    journal: Flash,
    /// Received before this boot.
    before: u64,
    received_max: u64,
    journal_at: Instant,
    scratch: Box<[u8]>,
    end: End,
}

impl Download {
    /// From `http://mill/file` at this server, over so many connections. To receive more than `received_max` bytes is a
    /// failure.
    pub(in crate::scenario) fn new(
        server: SocketAddr,
        connections: usize,
        received_max: u64,
        seed: u64,
        file: Rc<RefCell<File>>,
        journal: Flash,
        end: End,
    ) -> Self {
        let mut written = vec![0; journal.len()];
        journal.read(0, &mut written);
        let state = State::decode(&written).ok();
        let before = file.borrow().received;
        let options = Options { split_min: 32 << 10, retries: 20, seed, ..Options::default() };
        let slots = (0..connections).map(|_| Slot::EMPTY).collect();
        let fetch = Fetch::new(options, Source::new("http://mill/file"), Kept(Rc::clone(&file)), slots, state);
        let journal_at = Instant::from_ticks(0);
        Self { fetch, server, file, journal, before, received_max, journal_at, scratch: vec![0; 4 << 10].into(), end }
    }

    fn save(&mut self, now: Instant) {
        if now < self.journal_at {
            return;
        }
        self.journal_at = now + JOURNAL_EVERY;
        if let Some(state) = self.fetch.state() {
            let mut bytes = [0; STATE_BYTES_MAX];
            // It fits: that is the most it takes.
            let len = state.encode(&mut bytes).unwrap_or(0);
            self.journal.erase();
            // It is far smaller than a flash.
            let _ = self.journal.write(0, &bytes[..len]);
        }
    }

    fn outcome(&self) -> Option<Result<(), String>> {
        let total = match self.fetch.outcome()? {
            Ok(total) => total,
            Err(Failure::Sink(why)) => return Some(Err(why.clone())),
            Err(why) => return Some(Err(why.reason().to_string())),
        };
        let received = self.file.borrow().received;
        Some(if !self.file.borrow().file.is_complete(total) {
            Err("a part of the file is missing".into())
        } else if received > self.received_max {
            Err(format!("{received} bytes were received, for a file of {total}"))
        } else {
            Ok(())
        })
    }
}

impl<S: Stack> Program<S> for Download {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while let Some((source, ..)) = self.fetch.wanted() {
            self.fetch.resolved(source, &[self.server]);
        }
        let next = self.fetch.turn(now, net, &mut self.scratch);
        self.file.borrow_mut().received = self.before + self.fetch.progress(now).received;
        self.save(now);
        if let Some(outcome) = self.outcome() {
            self.end.come(outcome);
        }
        next
    }
}
