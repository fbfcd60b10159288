//! Frames: messages between programs over whatever wire there is.
//!
//! A frame is a header of eight bytes, a payload and a checksum. On a pipe, a socket or in shared memory frames follow each
//! other as they are ([`Carrier::Stream`]); on a serial line, which loses and damages bytes, they are stuffed so that a zero
//! ends each, and whatever happens costs the frames that it hit and no other ([`Carrier::Line`]). PROTOCOL.md, beside this
//! file, says what is on the wire, so that somebody else can speak it.
//!
//! | layer | what it does |
//! |---|---|
//! | [`encode`], [`Decoder`] | frames to bytes, and bytes in any pieces to frames |
//! | [`link`] | two ends that greet, prove that they have the same key, talk on channels with credit, ask and answer, repeat what was lost, and part: without a wire or a clock |
//! | [`connection`] | a link on `embedded_io`: Python's `multiprocessing.connection`, blocking or `nb` |
//!
//! Nothing here allocates, and nothing a peer sends makes it hold more than was agreed, or work more than in proportion to
//! what it sent.
//!
//! ```
//! use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, crc, encode};
//!
//! let header = Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 2, sequence: 41 };
//! let mut wire = [0; 32];
//! let len = encode(Carrier::Stream, crc::software, header, [b"high ", b"water"], &mut wire).unwrap();
//! assert_eq!(len, 8 + 10 + 4);
//!
//! let mut decoder = Decoder::new(Carrier::Stream, crc::software, [0; 32]);
//! let (mut first, mut rest) = wire[..len].split_at(5);
//! assert!(decoder.next(&mut first).is_none());
//! let frame = decoder.next(&mut rest).unwrap().unwrap();
//! assert_eq!((frame.header, frame.payload), (header, &b"high water"[..]));
//! ```
//!
//! Interrupts: not to be touched from one.

mod cobs;
mod codec;
pub mod connection;
pub mod crc;
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
