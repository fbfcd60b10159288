//! A host that greets its guests by name, and a guest who checks that it is greeted as it should be.
//!
//! A guest says `NAME N` and a new line, and hears `hello NAME, N` and a new line. It asks one thing at a time; where a
//! connection broke it asks the same again on the next one.

use tidemill_core::net::{Error, Stack};
use tidemill_core::serve::{Lines, Reply, Talk, Wire};

use super::client::{Again, Trouble};

/// The longest line, its end included.
const LINE: usize = 128;

/// The longest name of a guest.
pub(in crate::scenario) const NAME_MAX: usize = 64;

/// Greets whoever is at the other end.
pub(in crate::scenario) type Greet = Lines<fn(&[u8], &mut Reply<'_>) -> Result<(), Error>, LINE>;

pub(in crate::scenario) fn greet() -> Greet {
    Lines::new(|line, reply| {
        let space = line.iter().rposition(|&byte| byte == b' ').ok_or(Error::Closed)?;
        [b"hello ", &line[..space], b", ", &line[space + 1..], b"\n"].iter().try_for_each(|part| reply.push(part))
    })
}

/// Says its name so many times, and waits for each greeting.
pub(in crate::scenario) struct Visit {
    name: String,
    times: u64,
    greeted: u64,
    question: Vec<u8>,
    asked: bool,
    line: Vec<u8>,
}

impl Visit {
    pub(in crate::scenario) fn new(name: &str, times: u64) -> Self {
        Self { name: name.into(), times, greeted: 0, question: Vec::new(), asked: false, line: Vec::new() }
    }
}

impl Again for Visit {
    fn begin(&mut self) {
        self.question.clear();
        self.line.clear();
        self.asked = false;
    }
}

impl Talk for Visit {
    type Error = Trouble;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Trouble> {
        while self.greeted < self.times {
            if !self.asked {
                self.question.extend(format!("{} {}\n", self.name, self.greeted).as_bytes());
                self.asked = true;
            }
            while !self.question.is_empty() {
                let sent = wire.send(&self.question).map_err(|error| error.map(Trouble::from))?;
                self.question.drain(..sent);
            }
            // Not beyond the end of the line, and one that is too long is judged as it is.
            while self.line.last() != Some(&b'\n') && self.line.len() < LINE {
                let mut byte = [0];
                if wire.recv(&mut byte).map_err(|error| error.map(Trouble::from))? == 0 {
                    return Err(nb::Error::Other(Trouble::Broken));
                }
                self.line.push(byte[0]);
            }
            let right = format!("hello {}, {}\n", self.name, self.greeted);
            if self.line != right.as_bytes() {
                let heard = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                let what = format!("heard {heard:?}, not {:?}", right.trim_end());
                return Err(nb::Error::Other(Trouble::Wrong(what)));
            }
            self.line.clear();
            self.asked = false;
            self.greeted += 1;
        }
        Ok(())
    }
}
