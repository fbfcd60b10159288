//! Where the engine's bytes go: a part file with its journal and its hash, or the standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use sha2::{Digest, Sha256};
use tidemill_core::fetch::{STATE_BYTES_MAX, Sink, State, TURN_BYTES};
use tidemill_core::time::{Duration, EPOCH, Instant};

use super::overlap::Overlap;
use super::{Error, Found, Hasher, Journal, PartFile, STATE_MAX, Sha256Sum, Target};

/// The journal is at most this many bytes behind the data, and what one turn brings: 8 MiB in all,
const SAVE_BYTES: u64 = (8 << 20) - TURN_BYTES;
/// and at most this long.
const SAVE_EVERY: Duration = Duration::from_millis(250);

const _: () = assert!(STATE_BYTES_MAX <= STATE_MAX, "every state fits the journal");

/// A download's output, and what went wrong with it.
pub(super) struct Output {
    kind: Kind,
    trouble: Option<Error>,
}

enum Kind {
    File(FileOutput),
    Stdout(Stdout),
}

/// What an earlier run has left.
pub(super) enum Left {
    Nothing,
    State(Box<State>),
    Useless(&'static str),
}

impl Output {
    /// Opens `target` for a download of `url`; its checksum is computed if `verify`.
    pub(super) fn open(target: &Target, url: &str, resume: bool, verify: bool) -> Result<(Self, Left), Error> {
        let (kind, left) = match target {
            Target::Stdout => (Kind::Stdout(Stdout::open(verify)?), Left::Nothing),
            Target::File(path) => {
                let (file, left) = FileOutput::open(path, url, resume, verify)?;
                (Kind::File(file), left)
            }
        };
        Ok((Self { kind, trouble: None }, left))
    }

    /// Whether it is time to [`save`](Self::save).
    pub(super) fn is_save_due(&self, now: Instant) -> bool {
        match &self.kind {
            Kind::File(file) => file.is_save_due(now),
            Kind::Stdout(_) => false,
        }
    }

    /// Saves what is there; if `last`, it shall survive a crash of the machine, too.
    pub(super) fn save(&mut self, state: Option<&State>, now: Instant, last: bool) -> Result<(), Error> {
        match &mut self.kind {
            Kind::File(file) => file.save(state, now, last),
            Kind::Stdout(_) => Ok(()),
        }
    }

    /// All `total` bytes are there: verifies them and gives the file its name.
    pub(super) fn finish(self, total: u64, expected: Option<Sha256Sum>) -> Result<(), Error> {
        match self.kind {
            Kind::File(file) => file.finish(total, expected),
            Kind::Stdout(stdout) => match expected {
                Some(expected) => check(Path::new(Stdout::NAME), expected, Sha256Sum(stdout.sum.finalize().into())),
                None => Ok(()),
            },
        }
    }

    /// Nothing of it is of any use.
    pub(super) fn discard(self) -> Result<(), Error> {
        match self.kind {
            Kind::File(file) => file.part.discard(),
            Kind::Stdout(_) => Ok(()),
        }
    }

    /// Why a call of [`Sink`] failed.
    pub(super) fn take_trouble(&mut self) -> Option<Error> {
        self.trouble.take()
    }

    fn keep(&mut self, result: Result<(), Error>) -> Result<(), Failed> {
        result.map_err(|error| {
            self.trouble.get_or_insert(error);
            Failed
        })
    }
}

/// A call of [`Sink`] failed: [`Output::take_trouble`] tells why, once, to whoever owns the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

impl Sink for Output {
    type Error = Failed;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Failed> {
        let result = match &mut self.kind {
            Kind::File(file) => file.write_at(offset, data),
            Kind::Stdout(stdout) => stdout.write_at(offset, data),
        };
        self.keep(result)
    }

    fn set_len(&mut self, total: u64) -> Result<(), Failed> {
        let result = match &mut self.kind {
            Kind::File(file) => file.part.set_len(total),
            Kind::Stdout(_) => Ok(()),
        };
        self.keep(result)
    }

    fn restart(&mut self) -> Result<(), Failed> {
        let result = match &mut self.kind {
            Kind::File(file) => file.restart(),
            Kind::Stdout(stdout) if stdout.written == 0 => Ok(()),
            Kind::Stdout(_) => Err(Error::Written),
        };
        self.keep(result)
    }
}

fn check(path: &Path, expected: Sha256Sum, actual: Sha256Sum) -> Result<(), Error> {
    if expected == actual { Ok(()) } else { Err(Error::Checksum { path: path.into(), expected, actual }) }
}

/// A part file, its journal, and the thread that hashes it.
struct FileOutput {
    part: PartFile,
    journal: Journal,
    hasher: Option<Hasher>,
    overlap: Overlap,
    /// Bytes written in order from the start, for the hasher: the state is not known while there is nothing to resume.
    prefix: u64,
    unsaved: u64,
    saved_at: Instant,
}

impl FileOutput {
    fn open(target: &Path, url: &str, resume: bool, verify: bool) -> Result<(Self, Left), Error> {
        let part = PartFile::open(target)?;
        let size = part.size()?;
        let (journal, found) = Journal::open(&part.journal_path(), url)?;
        let mut overlap = Overlap::default();
        let left = match found {
            _ if !resume => Left::Nothing,
            Found::State(bytes) => match State::decode(&bytes) {
                Ok(mut state) if state.total == size => {
                    overlap = Overlap::take(&mut state);
                    Left::State(Box::new(state))
                }
                Ok(_) => Left::Useless("the part file is not as long as its journal says"),
                Err(_) => Left::Useless("its journal is damaged"),
            },
            Found::Useless(reason) => Left::Useless(reason),
            Found::Nothing if size > 0 => Left::Useless("the part file has no journal"),
            Found::Nothing => Left::Nothing,
        };
        let hasher = if verify { Some(Hasher::new(part.reader()?)) } else { None };
        let mut file = Self { part, journal, hasher, overlap, prefix: 0, unsaved: 0, saved_at: EPOCH };
        if !matches!(left, Left::State(_)) {
            file.restart()?;
        }
        Ok((file, left))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        if !self.overlap.agrees(offset, data, &self.part)? {
            return Err(Error::Differs(self.part.target().into()));
        }
        self.part.write_at(offset, data)?;
        self.unsaved += data.len() as u64;
        if offset == self.prefix {
            self.prefix += data.len() as u64;
        }
        Ok(())
    }

    fn is_save_due(&self, now: Instant) -> bool {
        self.unsaved >= SAVE_BYTES || self.unsaved > 0 && now >= self.saved_at + SAVE_EVERY
    }

    fn save(&mut self, state: Option<&State>, now: Instant, last: bool) -> Result<(), Error> {
        self.unsaved = 0;
        self.saved_at = now;
        let whole = state.and_then(|state| state.missing.iter().map(|range| range.start).min());
        if let Some(hasher) = &self.hasher {
            hasher.advance(whole.unwrap_or(self.prefix));
        }
        let Some(state) = state else { return Ok(()) };
        if last {
            self.part.sync()?;
        }
        let mut bytes = [0; STATE_BYTES_MAX];
        // `STATE_BYTES_MAX` bytes are enough for every state, so the empty record is never saved.
        let len = state.encode(&mut bytes).unwrap_or(0);
        self.journal.save(&bytes[..len], last)
    }

    /// In this order: no crash leaves a journal, or a sum, of contents that have gone.
    fn restart(&mut self) -> Result<(), Error> {
        self.journal.clear()?;
        if let Some(hasher) = &self.hasher {
            hasher.restart();
        }
        self.overlap = Overlap::default();
        self.prefix = 0;
        self.unsaved = 0;
        self.part.clear()
    }

    fn finish(self, total: u64, expected: Option<Sha256Sum>) -> Result<(), Error> {
        if let (Some(hasher), Some(expected)) = (self.hasher, expected) {
            let actual = hasher.finish(total).map_err(|error| Error::file(self.part.path(), error))?;
            if let Err(error) = check(self.part.target(), expected, actual) {
                self.part.discard()?;
                return Err(error);
            }
        }
        self.part.finish()
    }
}

/// The standard output.
struct Stdout {
    file: File,
    written: u64,
    sum: Sha256,
    verify: bool,
}

impl Stdout {
    const NAME: &str = "stdout";

    fn open(verify: bool) -> Result<Self, Error> {
        // A handle of its own, without the line buffer of `std::io::Stdout`.
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(Self::why)?;
        Ok(Self { file: file.into(), written: 0, sum: Sha256::new(), verify })
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        if offset != self.written {
            // One connection brings the bytes in order; anything else would be a broken stream.
            return Err(Self::why(io::ErrorKind::NotSeekable.into()));
        }
        self.file.write_all(data).map_err(Self::why)?;
        self.written += data.len() as u64;
        if self.verify {
            self.sum.update(data);
        }
        Ok(())
    }

    fn why(error: io::Error) -> Error {
        Error::file(Path::new(Self::NAME), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::{TempDir, tempdir};
    use tidemill_core::fetch::Validator;

    const URL: &str = "http://h/f";

    fn folder() -> (TempDir, Target) {
        let folder = tempdir().unwrap();
        let target = Target::File(folder.path().join("f"));
        (folder, target)
    }

    fn at(ms: u64) -> Instant {
        EPOCH + Duration::from_millis(ms)
    }

    /// 20 bytes, of which the last 10 are missing.
    fn half() -> State {
        let validator = Validator::Etag("\"x\"".try_into().unwrap());
        State { total: 20, validator, missing: std::iter::once(10..20).collect() }
    }

    fn half_written(target: &Target) -> Output {
        let (mut output, _) = Output::open(target, URL, true, false).unwrap();
        output.set_len(20).unwrap();
        output.write_at(0, b"0123456789").unwrap();
        output.save(Some(&half()), at(1), false).unwrap();
        output
    }

    fn left(target: &Target) -> Left {
        Output::open(target, URL, true, false).unwrap().1
    }

    #[test]
    fn what_was_saved_is_left_with_a_sample_to_prove_it() {
        let (_folder, target) = folder();
        drop(half_written(&target));
        let Left::State(state) = left(&target) else { panic!("nothing is left") };
        assert_eq!(state.missing.first(), Some(&(0..20)));
    }

    #[test]
    fn after_a_restart_nothing_is_left_of_the_old_contents() {
        let (folder, target) = folder();
        drop(half_written(&target));
        let (mut output, _) = Output::open(&target, URL, true, false).unwrap();
        output.restart().unwrap();
        // The new contents are as long; a crash comes before their first save.
        output.set_len(20).unwrap();
        output.write_at(0, b"x").unwrap();
        drop(output);
        assert_eq!(std::fs::read(folder.path().join("f.part")).unwrap(), b"x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert!(matches!(left(&target), Left::Useless("the part file has no journal")));
    }

    #[test]
    fn a_part_file_of_another_length_is_useless() {
        let (folder, target) = folder();
        drop(half_written(&target));
        std::fs::write(folder.path().join("f.part"), "0123456789").unwrap();
        assert!(matches!(left(&target), Left::Useless("the part file is not as long as its journal says")));
    }

    #[test]
    fn a_save_is_due_after_8_mib_or_a_quarter_of_a_second() {
        let (_folder, target) = folder();
        let mut output = half_written(&target);
        assert!(!output.is_save_due(at(1000)), "nothing has come since the last");
        output.write_at(10, b"x").unwrap();
        assert!(!output.is_save_due(at(250)));
        assert!(output.is_save_due(at(251)));
        output.write_at(0, &vec![0; SAVE_BYTES as usize]).unwrap();
        assert!(output.is_save_due(at(1)));
    }

    #[test]
    fn a_failed_call_tells_its_reason_once() {
        let (_folder, target) = folder();
        let mut output = half_written(&target);
        assert!(output.set_len(u64::MAX).is_err());
        assert!(output.take_trouble().is_some());
        assert!(output.take_trouble().is_none());
    }
}
