//! The SHA-256 of a file while it is being written out of order.
//!
//! A thread of its own follows the part of the file that is complete from its start, and reads it back: mostly from
//! the system's page cache, in pieces of 256 KiB, so memory stays constant and the network never waits for the hash.
//! When the last byte has come, what is left to hash is what came since.
//!
//! ```
//! use std::io::Write;
//! use tidemill_host::download::{Hasher, Sha256Sum};
//! let mut file = tempfile::tempfile()?;
//! let hasher = Hasher::new(file.try_clone()?);
//! file.write_all(b"abc")?;
//! hasher.advance(2);
//! let sum = hasher.finish(3)?;
//! let expected = "sha-256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
//! assert_eq!(Ok(sum), expected.parse::<Sha256Sum>());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// Bytes read and hashed at a time.
const PIECE: usize = 256 * 1024;

/// A SHA-256 sum. As text: `sha-256=` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sha256Sum(pub [u8; 32]);

/// Why a text is no checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParseError {
    /// It does not start with `sha-256=`.
    Algorithm,
    /// What follows is not 64 hexadecimal digits.
    Digits,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "a checksum starts with 'sha-256='",
            Self::Digits => "a SHA-256 sum has 64 hexadecimal digits",
        })
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Sha256Sum {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, digits) = text.split_once('=').ok_or(ParseError::Algorithm)?;
        if !name.eq_ignore_ascii_case("sha-256") && !name.eq_ignore_ascii_case("sha256") {
            return Err(ParseError::Algorithm);
        }
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ParseError::Digits);
        }
        let mut sum = [0; 32];
        for (byte, at) in sum.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| ParseError::Digits)?;
        }
        Ok(Self(sum))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256=")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far the thread may go. Guarded together: a restart changes them all.
#[derive(Default)]
struct Goal {
    /// Bytes from the start of the file that are written and final.
    prefix: u64,
    /// How often the contents were thrown away.
    epoch: u32,
    /// No more will come.
    ended: bool,
}

#[derive(Default)]
struct Shared {
    goal: Mutex<Goal>,
    changed: Condvar,
}

impl Shared {
    /// Every critical section is a few assignments, so even a poisoned goal is whole.
    fn lock(&self) -> MutexGuard<'_, Goal> {
        self.goal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Goal)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }
}

/// Hashes a file that grows, on a thread. Dropping it ends the thread.
pub struct Hasher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<Sha256Sum>>>,
}

impl Hasher {
    /// Starts to follow `file`, of which nothing counts as written yet.
    pub fn new(file: File) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || follow(&file, &shared)
        });
        Self { shared, thread: Some(thread) }
    }

    /// The first `prefix` bytes are written and will not change. Never goes back.
    pub fn advance(&self, prefix: u64) {
        if self.shared.lock().prefix < prefix {
            self.shared.update(|goal| goal.prefix = prefix);
        }
    }

    /// All that was written counts for nothing. To be called *before* the file is changed.
    pub fn restart(&self) {
        self.shared.update(|goal| {
            goal.prefix = 0;
            goal.epoch = goal.epoch.wrapping_add(1);
        });
    }

    /// The sum of the whole file of `total` bytes; waits for what is left to be read.
    ///
    /// # Errors
    /// Reading the file failed, or it is shorter.
    pub fn finish(mut self, total: u64) -> io::Result<Sha256Sum> {
        self.shared.update(|goal| {
            goal.prefix = total;
            goal.ended = true;
        });
        let result = self.thread.take().map(JoinHandle::join);
        // A thread that cannot be joined has panicked; nothing in it does so on any input.
        result.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("hashing failed")))
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.update(|goal| {
                goal.prefix = 0;
                goal.epoch = goal.epoch.wrapping_add(1);
                goal.ended = true;
            });
            // Its sum is of no interest any more.
            let _ = thread.join();
        }
    }
}

/// The thread: hashes up to the goal, then waits for the goal to move.
fn follow(file: &File, shared: &Shared) -> io::Result<Sha256Sum> {
    let mut piece = vec![0; PIECE];
    let (mut sum, mut done, mut epoch) = (Sha256::new(), 0, 0);
    loop {
        let prefix = {
            let mut goal = shared.lock();
            loop {
                if goal.epoch != epoch {
                    (sum, done, epoch) = (Sha256::new(), 0, goal.epoch);
                }
                if goal.prefix != done {
                    break;
                }
                if goal.ended {
                    return Ok(Sha256Sum(sum.finalize().into()));
                }
                goal = shared.changed.wait(goal).unwrap_or_else(PoisonError::into_inner);
            }
            goal.prefix
        };
        let want = usize::try_from(prefix.saturating_sub(done)).unwrap_or(PIECE).min(PIECE);
        match file.read_at(&mut piece[..want], done) {
            // A restart may just have cut the file; then this end of file means nothing.
            Ok(0) if shared.lock().epoch == epoch => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                sum.update(&piece[..count]);
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> Sha256Sum {
        Sha256Sum(Sha256::digest(bytes).into())
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    #[test]
    fn the_sum_of_a_file_written_backwards_is_right() {
        let data = bytes(3 * PIECE + 17);
        let file = tempfile::tempfile().unwrap();
        let hasher = Hasher::new(file.try_clone().unwrap());
        for start in (0..data.len()).step_by(PIECE).rev() {
            let end = data.len().min(start + PIECE);
            file.write_all_at(&data[start..end], start as u64).unwrap();
        }
        hasher.advance(PIECE as u64);
        assert_eq!(hasher.finish(data.len() as u64).unwrap(), sum(&data));
    }

    #[test]
    fn nothing_is_read_before_it_is_said_to_be_there() {
        let data = bytes(PIECE);
        let file = tempfile::tempfile().unwrap();
        let hasher = Hasher::new(file.try_clone().unwrap());
        file.write_all_at(&vec![0; PIECE], 0).unwrap();
        hasher.advance(0);
        std::thread::sleep(std::time::Duration::from_millis(20));
        file.write_all_at(&data, 0).unwrap();
        assert_eq!(hasher.finish(PIECE as u64).unwrap(), sum(&data));
    }

    #[test]
    fn after_a_restart_only_the_new_contents_count() {
        let (old, new) = (bytes(2 * PIECE), vec![5; 100]);
        for _ in 0..50 {
            let file = tempfile::tempfile().unwrap();
            let hasher = Hasher::new(file.try_clone().unwrap());
            file.write_all_at(&old, 0).unwrap();
            hasher.advance(old.len() as u64);
            hasher.restart();
            file.set_len(0).unwrap();
            file.write_all_at(&new, 0).unwrap();
            assert_eq!(hasher.finish(100).unwrap(), sum(&new));
        }
    }

    #[test]
    fn a_file_shorter_than_told_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let error = Hasher::new(file).finish(1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_empty_file_has_a_sum_and_dropping_ends_the_thread() {
        let file = tempfile::tempfile().unwrap();
        drop(Hasher::new(file.try_clone().unwrap()));
        assert_eq!(Hasher::new(file).finish(0).unwrap(), sum(b""));
    }

    #[test]
    fn a_sum_is_read_as_it_is_written() {
        let text = sum(b"x").to_string();
        assert_eq!(text.parse(), Ok(sum(b"x")));
        assert_eq!(text.to_uppercase().parse(), Ok(sum(b"x")));
        assert_eq!("md5=00".parse::<Sha256Sum>(), Err(ParseError::Algorithm));
        assert_eq!(text["sha-256=".len()..].parse::<Sha256Sum>(), Err(ParseError::Algorithm));
        for digits in ["", "0", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65), &"é".repeat(32), &"+1".repeat(32)] {
            assert_eq!(format!("sha-256={digits}").parse::<Sha256Sum>(), Err(ParseError::Digits), "{digits}");
        }
    }
}
