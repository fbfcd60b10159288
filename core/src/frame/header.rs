//! The eight bytes that a frame begins with: checked and parsed, and written.

use super::error::{Error, Why};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

/// The version that is spoken here.
pub const VERSION: u8 = 1;

/// The longest payload that a header can tell: 16 MiB less one byte.
pub const PAYLOAD_MAX: usize = (1 << 24) - 1;

/// What a frame is for. What the payload of each looks like is in PROTOCOL.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// Greets the peer: what we can take, and the proof that we have the key.
    Hello = 0,
    /// A message, or part of one.
    Data = 1,
    /// A message that is to be answered, or part of one.
    Request = 2,
    /// The answer to a request, or part of it.
    Response = 3,
    /// The answer is not wanted any more.
    Cancel = 4,
    /// How much more may be sent on a channel.
    Credit = 5,
    /// The sender waits for credit.
    Blocked = 6,
    /// What has arrived, where that is confirmed.
    Ack = 7,
    /// Asks for a sign of life.
    Ping = 8,
    /// The sign of life.
    Pong = 9,
    /// Nothing comes after this.
    Goodbye = 10,
}

impl Kind {
    /// In the order of their numbers.
    const ALL: [Self; 11] = [
        Self::Hello,
        Self::Data,
        Self::Request,
        Self::Response,
        Self::Cancel,
        Self::Credit,
        Self::Blocked,
        Self::Ack,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
    ];
}

/// Eight marks of a frame. Two of them mean something else in a hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flags(pub u8);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// A message begins here.
    pub const START: Self = Self(1);
    /// A message ends here.
    pub const END: Self = Self(2);
    /// A response: the request failed, and this is why.
    pub const FAILED: Self = Self(4);
    /// To be acknowledged: the sequence number counts the frames of the link, not of the channel.
    pub const RELIABLE: Self = Self(8);
    /// A hello: it tells which hello of the peer was seen.
    pub const SEEN: Self = Self(1);
    /// A hello: the peer is known and believed, an answer is not needed.
    pub const DONE: Self = Self(2);
    /// Those that have a meaning.
    const KNOWN: u8 = 15;

    /// Those of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both, if `condition`.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    /// Whether all of these are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// Its marks.
    pub flags: Flags,
    /// The conversation it belongs to.
    pub channel: u8,
    /// Which one it is, of its channel or, if it is [`RELIABLE`](Flags::RELIABLE), of the link.
    pub sequence: u16,
}

impl Header {
    /// The bytes on the wire, before a payload of `len` bytes, of which only the lower 24 bits can be told.
    pub const fn emit(self, len: usize) -> [u8; HEADER_LEN] {
        ((VERSION << 4 | self.kind as u8) as u64
            | (self.flags.0 as u64) << 8
            | (self.channel as u64) << 16
            | (self.sequence as u64) << 24
            | (len as u64) << 40)
            .to_le_bytes()
    }

    /// The header, and how long the payload is. O(1).
    ///
    /// # Errors
    /// [`Why::Version`], [`Why::Kind`] and [`Why::Flags`].
    pub fn parse(bytes: [u8; HEADER_LEN]) -> Result<(Self, usize), Error> {
        let word = u64::from_le_bytes(bytes);
        let [first, flags, channel, ..] = bytes;
        if first >> 4 != VERSION {
            return Err(Error { at: 0, why: Why::Version });
        }
        let Some(&kind) = Kind::ALL.get(usize::from(first & 15)) else {
            return Err(Error { at: 0, why: Why::Kind });
        };
        if flags & !Flags::KNOWN != 0 {
            return Err(Error { at: 1, why: Why::Flags });
        }
        Ok((Self { kind, flags: Flags(flags), channel, sequence: (word >> 24) as u16 }, (word >> 40) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_these_bytes() {
        let header =
            Header { kind: Kind::Request, flags: Flags::START.with(Flags::RELIABLE), channel: 7, sequence: 0x0102 };
        let bytes = [0x12, 9, 7, 0x02, 0x01, 0x05, 0x04, 0x03];
        assert_eq!(header.emit(0x03_0405), bytes);
        assert_eq!(Header::parse(bytes), Ok((header, 0x03_0405)));
    }

    #[test]
    fn every_kind_has_the_number_of_its_place() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_says_where() {
        let why = |bytes| Header::parse(bytes).map_err(|error| (error.at, error.why));
        assert_eq!(why([0x21, 0, 0, 0, 0, 0, 0, 0]), Err((0, Why::Version)));
        assert_eq!(why([0x1B, 0, 0, 0, 0, 0, 0, 0]), Err((0, Why::Kind)));
        assert_eq!(why([0x11, 16, 0, 0, 0, 0, 0, 0]), Err((1, Why::Flags)));
    }
}
