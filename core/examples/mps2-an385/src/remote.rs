//! Named requests over a serial line: the firmware's side of `tidemill_host::remote`.
//!
//! A link of reliable frames, on which the peer asks and this end answers. What is on the wire beside core's frame
//! protocol (`core/src/frame/PROTOCOL.md`):
//!
//! - Channel 0: requests, each a name, a zero byte and arguments, whatever bytes the task takes. The answer is bytes; a failure is
//!   text that says why. A cancelled request need not be answered.
//! - Channel 1: reports, messages that answer nothing: how far something is. Where the peer does not read them they are
//!   left out, not kept.
//!
//! A peer that begins anew finds a link that begins anew; what the one before it had asked for is void, which
//! [`Remote::life`] tells.

use embedded_io::{Read, ReadReady, Write, WriteReady};
use tidemill_core::frame::Carrier;
use tidemill_core::frame::link::{Config, Endpoint, Event, Post, Reliable, RequestId, Subject};
use tidemill_core::random::mix;
use tidemill_core::time::{Duration, Instant};

/// The longest payload of a message: the peer's requests, our answers.
pub const MESSAGE_MAX: usize = 200;

const REQUESTS: u8 = 0;
const REPORTS: u8 = 1;
const CHANNELS: usize = 2;

const CONFIG: Config<'static> = Config {
    reliable: true,
    payload_max: MESSAGE_MAX + 8,
    window: 512,
    transmit: 1024,
    reorder: 512,
    retry: Duration::from_millis(50),
    ..Config::new(Carrier::Line)
};

/// Pieces of input that one turn takes: more than the wire's queue holds.
const PIECES: usize = 32;
const PIECE: usize = 64;

/// What a peer wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked<'a> {
    /// A task by this name is to be run on these bytes, and answered in this time.
    Submit {
        /// What the answer has to say.
        id: RequestId,
        /// Which task.
        name: &'a str,
        /// What it is to work on.
        args: &'a [u8],
        /// How long the peer waits, from when it asked.
        timeout: Option<Duration>,
    },
    /// The peer does not want the answer any more.
    Cancel(RequestId),
}

/// How long an end that both have agreed on is remembered, for a peer that has not heard that we heard.
const FAREWELL: Duration = Duration::from_millis(500);

/// This end of the line.
pub struct Remote<Io> {
    io: Io,
    link: Line,
    boots: u32,
    life: u32,
    /// When the link is to begin anew.
    over_at: Option<Instant>,
}

type Line = Endpoint<'static, [u8; CONFIG.memory(CHANNELS)], CHANNELS, 0, Reliable>;

impl<Io: Read + Write + ReadReady + WriteReady> Remote<Io> {
    /// A line on `io`, whose reads and writes do not wait. `boots`: another number each time that the board starts.
    pub fn new(io: Io, boots: u32) -> Self {
        Self { io, link: line(boots, 0), boots, life: 0, over_at: None }
    }

    /// Which peer this is, counted: another number, another peer.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// Moves what can be moved. Returns when to come again if nothing comes before.
    pub fn turn(&mut self, now: Instant) -> Option<Instant> {
        if self.over_at.is_some_and(|at| now >= at) {
            self.over_at = None;
            self.life = self.life.wrapping_add(1);
            self.link = line(self.boots, self.life);
        }
        let mut link = self.link.link();
        for _ in 0..PIECES {
            let mut piece = [0; PIECE];
            let Ok(true) = self.io.read_ready() else { break };
            let Ok(count) = self.io.read(&mut piece) else { break };
            link.handle_input(now, piece.get(..count).unwrap_or_default());
        }
        while let Some(event) = link.poll_event() {
            match event {
                Event::PeerClosed => link.close(),
                Event::Ended(None) => self.over_at = Some(now + FAREWELL),
                Event::Ended(Some(_)) => self.over_at = Some(now),
                _ => {}
            }
        }
        while let Ok(true) = self.io.write_ready() {
            let output = link.poll_output(now);
            if output.is_empty() {
                break;
            }
            let Ok(count) = self.io.write(output) else { break };
            link.wrote(count);
        }
        if link.ended().is_some() && self.over_at.is_none() {
            // The link has just given its peer up: the next turn hears of it.
            return Some(now);
        }
        link.poll_timeout().into_iter().chain(self.over_at).min()
    }

    /// Shows what was asked, the oldest first, until `take` does not take one: that one is shown again next time.
    pub fn asked(&mut self, mut take: impl FnMut(Asked<'_>) -> bool) {
        let mut link = self.link.link();
        while let Some(message) = link.peek(REQUESTS) {
            let taken = match message.subject {
                Subject::Request { id, timeout } => {
                    let zero = message.payload.iter().position(|&byte| byte == 0);
                    let (name, args) = message.payload.split_at(zero.unwrap_or(message.payload.len()));
                    // What is no text names nothing.
                    let name = core::str::from_utf8(name).unwrap_or_default();
                    take(Asked::Submit { id, name, args: args.get(1..).unwrap_or_default(), timeout })
                }
                Subject::Cancelled(id) => take(Asked::Cancel(id)),
                // Nothing else means anything here.
                _ => true,
            };
            if !taken {
                return;
            }
            link.pop(REQUESTS);
        }
    }

    /// Answers. False: the line has no room now, try again after the next turn. True also if the peer has gone.
    pub fn answer(&mut self, id: RequestId, result: Result<&[u8], &str>) -> bool {
        let (post, payload) = match result {
            Ok(bytes) => (Post::Response(id), bytes),
            Err(why) => (Post::Failure(id), why.as_bytes()),
        };
        let payload = payload.get(..MESSAGE_MAX).unwrap_or(payload);
        self.link.link().send(REQUESTS, post, payload, 0) != Err(nb::Error::WouldBlock)
    }

    /// Tells how far something is, if the peer can hear it now.
    pub fn report(&mut self, report: &[u8]) {
        let _ = self.link.link().send(REPORTS, Post::Data, report, 0);
    }
}

/// An end that has not greeted yet.
fn line(boots: u32, life: u32) -> Line {
    let mut nonce = [0; 16];
    let (first, second) = nonce.split_at_mut(8);
    first.copy_from_slice(&mix(u64::from(boots)).to_le_bytes());
    second.copy_from_slice(&mix(u64::from(boots) << 32 | u64::from(life) | 1 << 31).to_le_bytes());
    match Endpoint::reliable(Config { nonce, ..CONFIG }, [0; CONFIG.memory(CHANNELS)]) {
        Ok(line) => line,
        // The memory is as much as the configuration says, which is sound.
        Err(_) => unreachable!(),
    }
}
