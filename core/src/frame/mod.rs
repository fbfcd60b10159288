//! Frames: messages between programs over whatever wire there is.
//!
//! PROTOCOL.md, beside this file, says what is on the wire.

pub mod crc;
mod cobs;
mod codec;
mod error;
mod header;
mod line;
pub mod link;
mod stream;
#[cfg(test)]
mod tests;

pub use codec::{CHECKSUM_LEN, Carrier, Decoder, Frame, OVERHEAD, encode};
pub use crc::Checksum;
pub use error::{Error, Why};
pub use header::{Flags, HEADER_LEN, Header, Kind, PAYLOAD_MAX, VERSION};
