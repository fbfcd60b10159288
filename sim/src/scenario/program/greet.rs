//! A host that greets its guests by name, and a guest who checks that it is greeted as it should be.
//!
//! A guest says `NAME N` and a new line, and hears `hello NAME, N` and a new line. It asks one thing at a time; where a
//! connection broke it asks the same again on the next one.

use tidemill_core::net::{Error, Handle, Interest, Stack};

use super::client::{Talk, Trouble};
use super::server::Answer;

/// The longest line, its end included.
const LINE: usize = 96;

/// The longest name of a guest.
pub(in crate::scenario) const NAME_MAX: usize = 64;

/// A line that comes in pieces.
#[derive(Default)]
struct Line(heapless::Vec<u8, LINE>);

impl Line {
    /// Reads up to the end of a line, and not beyond; false: the stream ended.
    fn read<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<bool, Error> {
        while self.0.last() != Some(&b'\n') {
            let mut byte = [0];
            if net.recv(socket, &mut byte)? == 0 {
                return Ok(false);
            }
            *moved = true;
            // One that is too long is given back as it is, without its end.
            if self.0.push(byte[0]).is_err() {
                return Ok(true);
            }
        }
        Ok(true)
    }
}

/// Sends what is left of `text`.
fn send<S: Stack>(text: &mut Vec<u8>, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Error> {
    while !text.is_empty() {
        let sent = net.send(socket, text)?;
        text.drain(..sent);
        *moved = true;
    }
    Ok(())
}

/// Greets whoever is at the other end.
#[derive(Default)]
pub(in crate::scenario) struct Greet {
    line: Line,
    answer: Vec<u8>,
}

impl Answer for Greet {
    fn turn<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Option<Error>> {
        loop {
            send(&mut self.answer, net, socket, moved).map_err(|error| error.map(Some))?;
            if !self.line.read(net, socket, moved).map_err(|error| error.map(Some))? {
                return Ok(());
            }
            let Some((name, number)) = self.line.0.strip_suffix(b"\n").and_then(|line| {
                let space = line.iter().rposition(|&byte| byte == b' ')?;
                Some((&line[..space], &line[space + 1..]))
            }) else {
                return Err(nb::Error::Other(None));
            };
            self.answer.extend([b"hello ", name, b", ", number, b"\n"].concat());
            self.line.0.clear();
        }
    }

    fn waits_for(&self) -> Interest {
        if self.answer.is_empty() { Interest::Read } else { Interest::Write }
    }
}

/// Says its name so many times, and waits for each greeting.
pub(in crate::scenario) struct Visit {
    name: String,
    times: u64,
    greeted: u64,
    question: Vec<u8>,
    asked: bool,
    line: Line,
}

impl Visit {
    pub(in crate::scenario) fn new(name: &str, times: u64) -> Self {
        Self { name: name.into(), times, greeted: 0, question: Vec::new(), asked: false, line: Line::default() }
    }
}

impl Talk for Visit {
    fn begin(&mut self) {
        self.question.clear();
        self.line.0.clear();
        self.asked = false;
    }

    fn turn<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Trouble> {
        while self.greeted < self.times {
            if !self.asked {
                self.question.extend(format!("{} {}\n", self.name, self.greeted).as_bytes());
                self.asked = true;
            }
            send(&mut self.question, net, socket, moved).map_err(|error| error.map(Trouble::from))?;
            if !self.line.read(net, socket, moved).map_err(|error| error.map(Trouble::from))? {
                return Err(nb::Error::Other(Trouble::Broken));
            }
            let right = format!("hello {}, {}\n", self.name, self.greeted);
            if *self.line.0 != *right.as_bytes() {
                let heard = String::from_utf8_lossy(&self.line.0).trim_end().to_owned();
                let what = format!("heard {heard:?}, not {:?}", right.trim_end());
                return Err(nb::Error::Other(Trouble::Wrong(what)));
            }
            self.line.0.clear();
            self.asked = false;
            self.greeted += 1;
        }
        Ok(())
    }

    fn waits_for(&self) -> Interest {
        if self.question.is_empty() { Interest::Read } else { Interest::Write }
    }
}
