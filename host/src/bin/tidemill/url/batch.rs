//! A call a line in, an answer a line out, in order: for programs in other languages.
//!
//! Answers wait in a buffer only while more calls are already here, so a program may also write one line and wait for
//! its answer. Memory is bounded by the longest line, which is bounded.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::answer::Answer;
use super::call::Call;
use super::ops::{self, Scratch};
use crate::json;

/// The longest line that is read; a longer one is answered with an error.
const LINE_BYTES_MAX: usize = 16 << 20;
/// How many bytes of calls are read, and of answers are held back, at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Answers every line of `input`.
pub(super) fn run(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut answer = Answer { text: String::new(), plain: false };
    let mut scratch = Scratch::default();
    let mut line = Vec::new();
    loop {
        if answer.text.len() >= BUFFER_BYTES || !input.buffer().contains(&b'\n') {
            output.write_all(answer.text.as_bytes())?;
            output.flush()?;
            answer.text.clear();
        }
        line.clear();
        let count = (&mut input).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if count == 0 {
            return output.write_all(answer.text.as_bytes());
        }
        if count > LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            refuse(&mut answer, 0, "line too long");
            continue;
        }
        answer_line(&line, &mut scratch, &mut answer);
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

/// Passes over what is left of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (len, done) = (end.map_or(buffer.len(), |end| end + 1), end.is_some() || buffer.is_empty());
        input.consume(len);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &str) -> Vec<String> {
        let mut output = Vec::new();
        run(lines.as_bytes(), &mut output).unwrap();
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
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(LINE_BYTES_MAX + 100);
        let answers = answers(&format!("{long}\n{}\n", r#"{"op":"unwrap","args":["<a>"]}"#));
        assert_eq!(answers, [r#"{"error":"line too long"}"#, r#"{"ok":"a"}"#]);
    }

    #[test]
    fn an_answer_is_written_before_the_next_line_is_awaited() {
        /// Gives a line at a time, and only when all before it were answered.
        struct OneByOne<'a>(std::slice::Iter<'a, &'a [u8]>, &'a std::cell::Cell<usize>, usize);
        impl Read for OneByOne<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert_eq!(self.1.get(), self.2, "an answer is held back");
                let Some(line) = self.0.next() else { return Ok(0) };
                self.2 += 1;
                buffer[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        struct Counted<'a>(&'a std::cell::Cell<usize>);
        impl Write for Counted<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.set(self.0.get() + bytes.split(|byte| *byte == b'\n').count() - 1);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let answered = std::cell::Cell::new(0);
        let lines: [&[u8]; 2] = [b"{\"op\":\"unwrap\",\"args\":[\"a\"]}\n", b"{\"op\":\"unwrap\",\"args\":[\"b\"]}\n"];
        run(OneByOne(lines.iter(), &answered, 0), Counted(&answered)).unwrap();
        assert_eq!(answered.get(), 2);
    }
}
