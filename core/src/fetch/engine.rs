//! What the connections of a download share: the plan, and the one place where it changes.

use super::answer::Version;
use super::segments::Segments;
use super::source::Source;
use super::state::State;
use super::{Event, Failure, Options, Sink};
use crate::pace::Pace;
use crate::time::Instant;
use heapless::{Deque, Vec};

/// How often a file may change under a download before it is given up.
const CHANGES_MAX: u8 = 3;

/// Until the length is known, the file ends here.
pub(super) const UNKNOWN_END: u64 = u64::MAX;

pub(super) struct Engine<'h, K: Sink, const SOURCES: usize> {
    pub(super) options: Options<'h>,
    pub(super) sources: Vec<Source, SOURCES>,
    pub(super) segments: Segments,
    pub(super) total: Option<u64>,
    pub(super) sink: K,
    pub(super) pace: Pace,
    /// Changes whenever every connection must drop what it does.
    pub(super) epoch: u32,
    /// One connection fetches the whole from its start: no source serves ranges.
    pub(super) single: bool,
    /// In single mode, bytes below this are written already and of the same version.
    pub(super) written: u64,
    /// In single mode, how far any stream of this version has come: only what is beyond is progress.
    furthest: u64,
    pub(super) changes: u8,
    /// Begun by an earlier run.
    pub(super) resumed: bool,
    /// What the first answer said, or the saved state: what mirrors must agree with.
    pub(super) version: Option<Version>,
    pub(super) received: u64,
    /// When so much has been received, this turn ends.
    pub(super) turn_end: u64,
    /// Connections that have not given up.
    pub(super) active: u8,
    /// Something has changed that idle connections may have waited for.
    pub(super) replanned: bool,
    pub(super) outcome: Option<Result<u64, Failure<K::Error>>>,
    pub(super) events: Deque<Event, 16>,
}

impl<'h, K: Sink, const SOURCES: usize> Engine<'h, K, SOURCES> {
    /// Without sources; then [`begin`](Self::begin), where it stays.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "called, it would be made on the stack")]
    pub(super) fn new(options: Options<'h>, sink: K) -> Self {
        Self {
            active: 0,
            replanned: false,
            pace: Pace::new(options.rate),
            options,
            sources: Vec::new(),
            segments: Segments::default(),
            total: None,
            sink,
            epoch: 0,
            single: false,
            written: 0,
            furthest: 0,
            changes: 0,
            resumed: false,
            version: None,
            received: 0,
            turn_end: 0,
            outcome: None,
            events: Deque::new(),
        }
    }

    /// From the start, or where `state` says.
    pub(super) fn begin(&mut self, state: Option<State>) {
        let Some(state) = state else { return self.segments.reset(UNKNOWN_END) };
        self.total = Some(state.total);
        self.segments = Segments::of(state.missing.iter().cloned());
        self.resumed = true;
        self.version = Some(Version::saved(&state.validator));
        if let Some(source) = self.sources.first_mut() {
            source.validator = Some(state.validator);
        }
        self.finish_if_whole();
    }

    /// Tells the observer; the oldest news give way.
    pub(super) fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        // There is room now.
        let _ = self.events.push_back(event);
    }

    pub(super) fn fail(&mut self, failure: Failure<K::Error>) {
        self.outcome.get_or_insert(Err(failure));
        self.replanned = true;
    }

    /// `connection` fetches its interval no more.
    pub(super) fn release(&mut self, connection: u8) {
        self.segments.release(connection);
        self.replanned = true;
    }

    /// Which source the connection of this index uses.
    pub(super) fn source_for(&self, connection: u8) -> Option<usize> {
        let good = self.sources.iter().filter(|source| !source.failed).count();
        let nth = usize::from(connection) % good.max(1);
        self.sources.iter().enumerate().filter(|(_, source)| !source.failed).nth(nth).map(|(index, _)| index)
    }

    /// Work for a connection that has none.
    pub(super) fn work_for(&mut self, connection: u8, rate: u64, now: Instant) -> Option<core::ops::Range<u64>> {
        let range = self.segments.owned(connection).or_else(|| self.segments.claim(connection, now));
        if range.is_some() || self.single || self.total.is_none() {
            return range;
        }
        let setup = self.sources[self.source_for(connection)?].setup;
        let range = self.segments.steal(connection, rate, setup, now);
        self.finish_if_whole();
        range
    }

    /// The length is known for the first time.
    pub(super) fn learn_total(&mut self, total: u64) {
        self.total = Some(total);
        self.replanned = true;
        if let Err(error) = self.sink.set_len(total) {
            return self.fail(Failure::Sink(error));
        }
        self.segments.truncate(total);
        self.finish_if_whole();
    }

    pub(super) fn finish_if_whole(&mut self) {
        if let (Some(total), true) = (self.total, self.segments.is_empty()) {
            self.outcome.get_or_insert(Ok(total));
            self.replanned = true;
        }
    }

    /// Whether `len` bytes more for `connection` bring the download on.
    pub(super) fn is_progress(&self, connection: u8, len: usize) -> bool {
        let pos = self.segments.owned(connection).map_or(0, |range| range.start);
        !self.single || pos + len as u64 > self.furthest
    }

    /// Writes `data` at the front of what `connection` fetches. False when its interval is whole, or the sink failed.
    pub(super) fn store(&mut self, connection: u8, data: &[u8], now: Instant) -> bool {
        let Some(range) = self.segments.owned(connection) else { return false };
        let skip = if self.single { self.written.saturating_sub(range.start).min(data.len() as u64) } else { 0 };
        let fresh = data.get(skip as usize..).filter(|fresh| !fresh.is_empty());
        if let Some(Err(error)) = fresh.map(|fresh| self.sink.write_at(range.start + skip, fresh)) {
            self.fail(Failure::Sink(error));
            return false;
        }
        if self.single {
            self.written = self.written.max(range.start + data.len() as u64);
            self.furthest = self.furthest.max(self.written);
        }
        self.received += data.len() as u64;
        let more = self.segments.advance(connection, data.len() as u64, now);
        self.finish_if_whole();
        more
    }

    /// The file is not the one that was begun: everything is fetched anew.
    pub(super) fn restart(&mut self) {
        self.changes += 1;
        if self.changes > CHANGES_MAX {
            self.fail(Failure::Changing);
            return;
        }
        self.tell(Event::Changed);
        self.epoch = self.epoch.wrapping_add(1);
        self.replanned = true;
        self.total = None;
        self.single = false;
        self.written = 0;
        self.furthest = 0;
        self.resumed = false;
        self.version = None;
        for source in &mut self.sources {
            source.validator = None;
            source.ranges = None;
        }
        self.segments.reset(UNKNOWN_END);
        if let Err(error) = self.sink.restart() {
            self.fail(Failure::Sink(error));
        }
    }

    /// `connection` has the whole file coming, from its start, and there is no other way to get it: the others stop.
    /// `same`: it is certain that this is the version that was written so far.
    pub(super) fn go_single(&mut self, connection: u8, total: Option<u64>, same: bool, now: Instant) {
        if !self.single {
            if total != Some(0) {
                self.tell(Event::NoRanges);
            }
            self.epoch = self.epoch.wrapping_add(1);
            self.replanned = true;
        }
        self.single = true;
        let begun = self.resumed || self.received > 0;
        if begun && !same {
            self.written = 0;
            if let Err(error) = self.sink.restart() {
                return self.fail(Failure::Sink(error));
            }
        }
        self.segments.rewind(connection, total.or(self.total).unwrap_or(UNKNOWN_END), now);
        if let (Some(total), None) = (total, self.total) {
            self.learn_total(total);
        }
    }

    pub(super) fn state(&self) -> Option<State> {
        let source = self.sources.first()?;
        let validator = source.validator.clone().filter(|validator| validator.if_range().is_some())?;
        if self.single || source.ranges != Some(true) && !self.resumed {
            return None;
        }
        Some(State { total: self.total?, validator, missing: self.segments.missing().collect() })
    }
}
