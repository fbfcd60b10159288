//! One command that runs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::Id;
use nix::unistd::Pid;

use super::super::server::exit_of;
use super::super::{island, pidfd};
use super::Outcome;
use super::tree::strays;

/// How long a command that was told to end may take.
const GRACE: Duration = Duration::from_secs(1);

/// Stands for the line in an argument.
const PLACE: &[u8] = b"{}";

/// A command, with the line in place of each `{}`, or at its end if there is none.
pub(super) fn command(words: &[OsString], line: &[u8]) -> Command {
    let mut placed = false;
    let mut words = words.iter().map(|word| {
        let (word, found) = put(word.as_bytes(), line);
        placed |= found;
        OsString::from_vec(word)
    });
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    if !placed {
        command.arg(OsStr::from_bytes(line));
    }
    command
}

fn put(word: &[u8], line: &[u8]) -> (Vec<u8>, bool) {
    let (mut done, mut rest, mut found) = (Vec::new(), word, false);
    while let Some(at) = rest.windows(PLACE.len()).position(|part| part == PLACE) {
        done.extend_from_slice(&rest[..at]);
        done.extend_from_slice(line);
        rest = &rest[at + PLACE.len()..];
        found = true;
    }
    done.extend_from_slice(rest);
    (done, found)
}

/// A command that runs, in a process group of its own.
pub(super) struct Job {
    /// Which line it is for.
    pub(super) line: u64,
    child: Child,
    pidfd: OwnedFd,
    /// Its standard output and error, as long as they are open.
    pub(super) streams: [Option<File>; 2],
    deadline: Option<Instant>,
    ending: Option<Ending>,
}

/// It was told to end.
struct Ending {
    why: Outcome,
    /// When it is killed if it has not.
    killed: Instant,
    /// Those of its tree that had left its group.
    strays: Vec<OwnedFd>,
}

impl Job {
    pub(super) fn start(line: u64, mut command: Command, timeout: Option<Duration>) -> io::Result<Self> {
        island::unblocked_and_mortal(&mut command);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
        let streams = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)]
            .map(|fd| fd.map(File::from));
        let pidfd = pidfd::open(child.id() as i32).and_then(|pidfd| {
            for stream in streams.iter().flatten() {
                fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            }
            Ok(pidfd)
        });
        match pidfd {
            Ok(pidfd) => {
                let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
                Ok(Self { line, child, pidfd, streams, deadline, ending: None })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(io::Error::other(error))
            }
        }
    }

    pub(super) fn sentinel(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it is to be looked after at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ending.as_ref().map(|ending| ending.killed).or(self.deadline)
    }

    /// Has it and all that it started end, for this reason.
    pub(super) fn end(&mut self, why: Outcome) {
        if self.ending.is_none() {
            self.ending = Some(Ending { why, killed: Instant::now() + GRACE, strays: strays(self.group()) });
            self.signal(Signal::SIGTERM);
            // Or else one that was stopped would not heed it.
            self.signal(Signal::SIGCONT);
        }
    }

    /// Does what its deadline asks for, if that has come.
    pub(super) fn look(&mut self, now: Instant) {
        let group = self.group();
        match &mut self.ending {
            Some(ending) if ending.killed <= now => {
                ending.killed = now + GRACE;
                // They may have started more meanwhile.
                ending.strays.extend(strays(group));
                self.signal(Signal::SIGKILL);
            }
            None if self.deadline.is_some_and(|deadline| deadline <= now) => self.end(Outcome::TimedOut),
            _ => {}
        }
    }

    fn group(&self) -> i32 {
        self.child.id() as i32
    }

    /// It has not been reaped, so that its number, and its group's, is nobody else's.
    fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.group()), signal);
        for stray in self.ending.iter().flat_map(|ending| &ending.strays) {
            let _ = pidfd::send(stray, signal);
        }
    }

    /// How it ended, which reaps it; `None`: it runs. What is left of the tree of one that was to end is killed.
    pub(super) fn exit(&self) -> Option<Outcome> {
        if self.ending.is_some() {
            self.signal(Signal::SIGKILL);
        }
        let exit = exit_of(Id::PIDFd(self.pidfd.as_fd()))?;
        Some(match &self.ending {
            Some(ending) => ending.why.clone(),
            None => Outcome::Ended(exit),
        })
    }

    /// Reads once from a stream, and closes it at its end. How much; `None`: no more now.
    pub(super) fn read(&mut self, stream: usize, into: &mut [u8]) -> Option<usize> {
        let file = self.streams[stream].as_mut()?;
        match io::Read::read(file, into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Some(0),
            Ok(count) if count > 0 => Some(count),
            _ => {
                self.streams[stream] = None;
                None
            }
        }
    }
}

/// Whoever gives it up ends it.
impl Drop for Job {
    fn drop(&mut self) {
        if self.exit().is_none() {
            self.end(Outcome::Stopped);
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_where_it_is_wanted_or_to_the_end() {
        let shown = |words: &[&str], line: &str| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let command = command(&words, line.as_bytes());
            std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shown(&["echo"], "a b"), ["echo", "a b"]);
        assert_eq!(shown(&["cp", "{}", "{}.old/{}"], "f"), ["cp", "f", "f.old/f"]);
        assert_eq!(shown(&["{}"], "true"), ["true"]);
        assert_eq!(shown(&["echo", "{}"], "{}"), ["echo", "{}"], "a line is not looked into");
        assert_eq!(shown(&["echo", "{", "}"], "x"), ["echo", "{", "}", "x"]);
    }
}
