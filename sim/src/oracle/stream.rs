//! What is received is what was sent.

use crate::mill::Content;

/// One end of a stream whose every byte follows from a seed: makes what is sent, and checks what is received.
///
/// ```
/// use tidemill_sim::oracle::Stream;
/// let (mut sender, mut receiver) = (Stream::new(7), Stream::new(7));
/// let mut bytes = [0; 100];
/// sender.make(&mut bytes);
/// receiver.take(&bytes[..60])?;
/// receiver.take(&bytes[60..])?;
/// assert_eq!(receiver.at(), 100);
/// bytes[3] ^= 1;
/// assert_eq!(Stream::new(7).take(&bytes), Err("[stream] byte 3 is wrong".into()));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct Stream {
    content: Content,
    at: u64,
}

impl Stream {
    /// The stream of this seed, at its beginning. Give each direction of each connection a seed of its own: bytes that
    /// reach another connection are noticed then, too.
    pub fn new(seed: u64) -> Self {
        Self { content: Content::new(seed), at: 0 }
    }

    /// The next bytes to be sent; what was not sent is given back with [`Stream::back`].
    pub fn make(&mut self, buf: &mut [u8]) {
        self.content.read(self.at, buf);
        self.at += buf.len() as u64;
    }

    /// The last so many bytes were not sent.
    pub fn back(&mut self, bytes: usize) {
        self.at = self.at.saturating_sub(bytes as u64);
    }

    /// Checks the next bytes that were received.
    ///
    /// # Errors
    /// Which byte of the stream is wrong.
    pub fn take(&mut self, data: &[u8]) -> Result<(), String> {
        if let Some(at) = self.content.first_difference(self.at, data) {
            return Err(format!("[stream] byte {at} is wrong"));
        }
        self.at += data.len() as u64;
        Ok(())
    }

    /// How many bytes were made, or taken.
    pub fn at(&self) -> u64 {
        self.at
    }
}
