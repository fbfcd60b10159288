//! What parent and child say to each other: an order when the child begins, a report when its function has ended.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::socket::{Error, Flags, Socket};

/// The longest order or report, in bytes.
pub const MESSAGE_MAX: usize = 1 << 30;

/// What a child is to do.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) function: String,
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) parent: i32,
    pub(super) parent_name: String,
    /// Variables of the environment, as bytes.
    pub(super) environment: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) directory: Option<Vec<u8>>,
    /// How many of the descriptors belong to the arguments; they come first.
    pub(super) handles: usize,
}

/// What came of it: the result's bytes, or why there is none.
pub(super) type Report = Result<Vec<u8>, Failure>;

/// A message: its length, a head, and bytes that are passed on as they are.
///
/// # Errors
/// The head cannot be encoded, or all is longer than [`MESSAGE_MAX`].
pub(super) fn encode<T: Serialize>(head: &T, body: &[u8]) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(head, vec![0; 4])?;
    bytes.extend(body);
    let length = u32::try_from(bytes.len() - 4).ok().filter(|&length| length as usize <= MESSAGE_MAX);
    bytes[..4].copy_from_slice(&length.ok_or(postcard::Error::SerializeBufferFull)?.to_le_bytes());
    Ok(bytes)
}

/// The head of a message, and its body.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), String> {
    postcard::take_from_bytes(bytes).map_err(|error| error.to_string())
}

/// A message on its way in, however it is cut.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    ended: bool,
}

impl Incoming {
    /// Takes what is there. `Some` once the message is whole, or the other end is gone (then perhaps without a message).
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::TimedOut`]: there may be more. Whatever else the socket says.
    pub(super) fn receive(&mut self, from: &Socket) -> Result<Option<&[u8]>, Error> {
        while !self.ended {
            let missing = match self.bytes.first_chunk::<4>() {
                None => 4 - self.bytes.len(),
                Some(&length) => {
                    let whole = 4 + (u32::from_le_bytes(length) as usize).min(MESSAGE_MAX);
                    whole.saturating_sub(self.bytes.len()).min(1 << 20)
                }
            };
            if missing == 0 {
                break;
            }
            let part = from.recv(missing, Flags::empty())?;
            self.ended = part.is_empty();
            self.bytes.extend(part);
        }
        Ok(self.whole())
    }

    fn whole(&self) -> Option<&[u8]> {
        let (length, rest) = self.bytes.split_first_chunk::<4>()?;
        (rest.len() == u32::from_le_bytes(*length) as usize).then_some(rest)
    }
}
