//! A call a line in, an answer a line out, in order: for programs in other languages.
//!
//! One thread reads what is there and cuts it after its last line, workers answer such blocks, and the caller's thread
//! writes the answers, in the order of the blocks. What was read is answered and written before more is awaited, so a
//! program may also write one line and wait for its answer. Memory is bounded by the longest line, which is bounded, and
//! by the few blocks that are under way.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::answer::Answer;
use super::call::Call;
use super::ops::{self, Scratch};
use crate::json;

/// The longest line that is read; a longer one is answered with an error.
const LINE_BYTES_MAX: usize = 16 << 20;
/// How many bytes are read at a time.
const READ_BYTES: usize = 1 << 16;
/// How many blocks wait before each worker, and after it.
const BLOCKS_AHEAD: usize = 2;
/// The most workers; reading and writing keep no more of them busy.
const WORKERS_MAX: usize = 8;

/// What one worker answers at a time.
enum Block {
    /// Whole lines.
    Lines(Vec<u8>),
    /// A line beyond the longest.
    TooLong,
    /// Why nothing more comes.
    Failed(io::Error),
}

/// Answers every line of `input`, which a thread reads that is left behind when `output` fails.
pub(super) fn run(input: impl Read + Send + 'static, mut output: impl Write) -> io::Result<()> {
    let workers = tidemill_host::threads::cores().min(WORKERS_MAX);
    let (mut jobs, mut results) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let (job, todo) = sync_channel(BLOCKS_AHEAD);
        let (done, result) = sync_channel(BLOCKS_AHEAD);
        thread::spawn(move || work(&todo, &done));
        jobs.push(job);
        results.push(result);
    }
    thread::spawn(move || {
        let mut turn = jobs.iter().cycle();
        // A worker is gone when the writer is, and then nobody wants more.
        read(input, |block| turn.next().is_some_and(|job| job.send(block).is_ok()));
    });
    // Blocks were dealt in turn, so they are collected in turn; the first that is missing is beyond the last.
    for result in results.iter().cycle() {
        match result.recv() {
            Ok(answers) => output.write_all(answers?.as_bytes()).and_then(|()| output.flush())?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// Cuts the input into blocks until it ends or they are not wanted any more.
fn read(mut input: impl Read, mut deal: impl FnMut(Block) -> bool) {
    let mut pending = Vec::new();
    let mut too_long = false;
    loop {
        let start = pending.len();
        pending.resize(start + READ_BYTES, 0);
        let count = loop {
            match input.read(&mut pending[start..]) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    deal(Block::Failed(error));
                    return;
                }
            }
        };
        pending.truncate(start + count);
        let ended = count == 0;
        if too_long {
            let end = pending.iter().position(|byte| *byte == b'\n');
            pending.drain(..end.map_or(pending.len(), |end| end + 1));
            too_long = end.is_none();
            if !(too_long || deal(Block::TooLong)) {
                return;
            }
        }
        // What was there before has no end of a line.
        let new = start.min(pending.len());
        let lines = match pending[new..].iter().rposition(|byte| *byte == b'\n') {
            _ if ended => pending.len(),
            Some(end) => new + end + 1,
            None => 0,
        };
        if lines > 0 {
            let rest = pending.split_off(lines);
            if !deal(Block::Lines(std::mem::replace(&mut pending, rest))) {
                return;
            }
        }
        if ended {
            if too_long {
                deal(Block::TooLong);
            }
            return;
        }
        if pending.len() > LINE_BYTES_MAX {
            too_long = true;
            pending.clear();
        }
    }
}

/// Answers blocks until no more come.
fn work(todo: &Receiver<Block>, done: &SyncSender<io::Result<String>>) {
    let mut scratch = Scratch::default();
    for block in todo {
        let mut answer = Answer { text: String::new(), plain: false };
        let result = match block {
            Block::Lines(lines) => {
                for line in lines.strip_suffix(b"\n").unwrap_or(&lines).split(|byte| *byte == b'\n') {
                    answer_line(line, &mut scratch, &mut answer);
                }
                Ok(answer.text)
            }
            Block::TooLong => {
                refuse(&mut answer, 0, "line too long");
                Ok(answer.text)
            }
            Block::Failed(error) => Err(error),
        };
        if done.send(result).is_err() {
            return;
        }
    }
}

/// Answers one line.
fn answer_line(line: &[u8], scratch: &mut Scratch, answer: &mut Answer) {
    let start = answer.text.len();
    let call: Call<'_> = match serde_json::from_slice(line) {
        Ok(call) => call,
        Err(error) => return refuse(answer, start, &format!("no call: {error}")),
    };
    answer.text.push_str(r#"{"ok":"#);
    match ops::run(&call, scratch, answer) {
        Ok(()) => answer.text.push_str("}\n"),
        Err(error) => refuse(answer, start, &error),
    }
}

/// Puts an error in place of what was written from `start` on.
fn refuse(answer: &mut Answer, start: usize, error: &str) {
    answer.text.truncate(start);
    answer.text.push_str(r#"{"error":"#);
    json::quote(error, &mut answer.text);
    answer.text.push_str("}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    fn answers(lines: &str) -> Vec<String> {
        let mut output = Vec::new();
        run(io::Cursor::new(lines.to_owned()), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_line_has_its_answer_and_a_bad_one_spoils_nothing() {
        let lines = concat!(
            r#"{"op":"urljoin","args":["http://a/b","../c"],"kw":{}}"#,
            "\n",
            "nonsense\n",
            "\n",
            r#"{"op":"urlsplit","args":["http://[/"]}"#,
            "\n",
            r#"{"op":"nothing"}"#,
            "\n",
            r#"{"op":"unquote","args":["%22%0a"]}"#,
        );
        let answers = answers(lines);
        assert_eq!(answers.len(), 6);
        assert_eq!(answers[0], r#"{"ok":"http://a/c"}"#);
        assert!(answers[1].starts_with(r#"{"error":"no call: "#), "{}", answers[1]);
        assert!(answers[2].starts_with(r#"{"error":"no call: "#), "{}", answers[2]);
        assert_eq!(answers[3], r#"{"error":"bad host at byte 7"}"#);
        assert_eq!(answers[4], r#"{"error":"unknown operation: nothing"}"#);
        assert_eq!(answers[5], r#"{"ok":"\"\n"}"#);
    }

    #[test]
    fn answers_come_in_the_order_of_their_calls() {
        let count = 30_000;
        let lines = (0..count).map(|at| format!("{{\"op\":\"unwrap\",\"args\":[\"{at}\"]}}\n")).collect::<Vec<_>>();
        let expected = (0..count).map(|at| format!("{{\"ok\":\"{at}\"}}")).collect::<Vec<_>>();
        assert_eq!(answers(&lines.concat()), expected);
        assert!(answers("").is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(LINE_BYTES_MAX + 2 * READ_BYTES);
        let call = r#"{"op":"unwrap","args":["<a>"]}"#;
        let error = r#"{"error":"line too long"}"#;
        assert_eq!(answers(&format!("{call}\n{long}\n{call}\n")), [r#"{"ok":"a"}"#, error, r#"{"ok":"a"}"#]);
        assert_eq!(answers(&long), [error]);
    }

    #[test]
    fn an_answer_is_written_before_the_next_line_is_awaited() {
        /// Gives a call at a time, and only when all before it were answered.
        struct OneByOne(usize, Arc<AtomicUsize>);
        impl Read for OneByOne {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                while self.1.load(SeqCst) < self.0 {
                    thread::yield_now();
                }
                self.0 += 1;
                let line: &[u8] = if self.0 > 3 { b"" } else { b"{\"op\":\"unwrap\",\"args\":[\"a\"]}\n" };
                buffer[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        struct Counted(Arc<AtomicUsize>);
        impl Write for Counted {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(bytes.split(|byte| *byte == b'\n').count() - 1, SeqCst);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let answered = Arc::new(AtomicUsize::new(0));
        run(OneByOne(0, answered.clone()), Counted(answered.clone())).unwrap();
        assert_eq!(answered.load(SeqCst), 3);
    }

    #[test]
    fn what_cannot_be_read_or_written_ends_it_with_the_reason() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
        assert_eq!(run(Broken, io::sink()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let full = &mut [0_u8; 3][..];
        assert_eq!(run(io::Cursor::new("x\ny\n"), full).unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
