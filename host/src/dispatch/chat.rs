//! Messages that end somewhere, in both directions: `asynchat`.

use tidemill_core::net::Error;
use tidemill_core::serve::{Collector, Terminator};

use super::{Channel, End, Handler};

/// What is answered to each message.
pub trait Conversation {
    /// A message is whole; it comes without its terminator.
    fn found_terminator(&mut self, message: &[u8], out: &mut Outgoing<'_>);

    /// The connection has ended.
    fn handle_close(&mut self, error: Option<Error>) {
        let _ = error;
    }
}

/// What a [`Conversation`] says, and how it goes on.
#[derive(Debug)]
pub struct Outgoing<'a> {
    bytes: &'a mut Vec<u8>,
    bound: usize,
    terminator: &'a mut Terminator,
    last: &'a mut bool,
}

impl Outgoing<'_> {
    /// Sends bytes once there is room.
    ///
    /// # Errors
    /// [`Error::TooLong`]: more than the chat's bound at once. Nothing of it is sent.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.bytes.len() + bytes.len() > self.bound {
            return Err(Error::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// What ends the next message, and those after it.
    pub fn set_terminator(&mut self, terminator: Terminator) {
        *self.terminator = terminator;
    }

    /// Ends the connection when all has been sent.
    pub fn close_when_done(&mut self) {
        *self.last = true;
    }
}

/// Messages of up to `N` bytes each way, their terminators included. While something is to be sent nothing is read, so a
/// peer that does not listen is not answered without end. A message that is too long cuts the connection.
#[derive(Debug)]
#[doc(alias = "async_chat")]
pub struct Chat<C, const N: usize> {
    conversation: C,
    collector: Collector<N>,
    terminator: Terminator,
    /// What was received behind the last message.
    input: Vec<u8>,
    out: Vec<u8>,
    last: bool,
}

impl<C: Conversation, const N: usize> Chat<C, N> {
    /// Before the first message, which ends so.
    pub fn new(conversation: C, terminator: Terminator) -> Self {
        let collector = Collector::new(terminator);
        Self { conversation, collector, terminator, input: Vec::new(), out: Vec::new(), last: false }
    }

    /// Has what was received answered, up to the first answer that is to be sent.
    fn proceed(&mut self, channel: &mut Channel<'_>) {
        while self.out.is_empty() && !self.last && (!self.input.is_empty() || self.terminator == Terminator::Count(0)) {
            let Ok((taken, whole)) = self.collector.take(&self.input) else {
                channel.end = End::Failed(Error::TooLong);
                return;
            };
            self.input.drain(..taken);
            if !whole {
                return;
            }
            let (bytes, terminator, last) = (&mut self.out, &mut self.terminator, &mut self.last);
            let mut out = Outgoing { bytes, bound: N, terminator, last };
            self.conversation.found_terminator(self.collector.message(), &mut out);
            self.collector.next(self.terminator);
        }
        if self.last && self.out.is_empty() {
            channel.close();
        }
    }
}

impl<C: Conversation, const N: usize> Handler for Chat<C, N> {
    fn readable(&self) -> bool {
        self.out.is_empty() && !self.last
    }

    fn writable(&self) -> bool {
        !self.out.is_empty()
    }

    fn handle_read(&mut self, channel: &mut Channel<'_>) {
        let mut piece = [0; 2048];
        if let Ok(count) = channel.recv(&mut piece) {
            self.input.extend_from_slice(&piece[..count]);
            self.proceed(channel);
        }
    }

    fn handle_write(&mut self, channel: &mut Channel<'_>) {
        if let Ok(count) = channel.send(&self.out) {
            self.out.drain(..count);
            self.proceed(channel);
        }
    }

    fn handle_close(&mut self, error: Option<Error>) {
        self.conversation.handle_close(error);
    }
}
