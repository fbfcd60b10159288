//! Why a text is no URL, and at which byte.

use core::fmt;

/// Why a URL was refused. `at` counts bytes from the start of the text given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// A byte that must be percent-encoded there: a space or control anywhere, more in an authority.
    BadByte {
        /// Where.
        at: usize,
        /// Which.
        byte: u8,
    },
    /// What stands before the first colon is no scheme (RFC 3986, 3.1).
    BadScheme {
        /// Where the first byte stands that does not belong.
        at: usize,
    },
    /// Not a host: a bracket without its partner or without an IPv6 address inside, or an IPv6 address without
    /// brackets (RFC 3986, 3.2.2).
    BadHost {
        /// Where the host starts.
        at: usize,
    },
    /// The network location has a character that Unicode's normal form NFKC turns into one of `/?#@:`.
    BadNetloc {
        /// Where that character stands.
        at: usize,
    },
    /// Not decimal digits (RFC 3986, 3.2.3).
    BadPort {
        /// Where the port starts.
        at: usize,
    },
    /// A port above 65535.
    PortRange {
        /// Where the port starts.
        at: usize,
    },
    /// A tab or a line end, which Python takes out of URLs: use the function whose name ends in `_in`.
    NeedsCleaning {
        /// Where the first one stands.
        at: usize,
    },
    /// A character that the charset does not have.
    Unencodable {
        /// Where it stands.
        at: usize,
    },
    /// Percent-encoded bytes that are no character in the charset.
    Undecodable {
        /// Where the first one's percent sign stands.
        at: usize,
    },
    /// A field of a query without `=`.
    BadField {
        /// Where it starts.
        at: usize,
    },
    /// More fields in a query than are allowed.
    TooManyFields,
    /// Nothing can stand between fields if the separator is empty.
    EmptySeparator,
    /// A base without a scheme: nothing can be resolved against it (RFC 3986, 5.2.1).
    RelativeBase,
    /// The buffer is too small for the result: give a larger one.
    Full,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadByte { at, byte: byte @ b'!'..=b'~' } => {
                write!(f, "character '{}' not allowed at byte {at}", char::from(byte))
            }
            Self::BadByte { at, byte: b' ' } => write!(f, "space not allowed at byte {at}"),
            Self::BadByte { at, byte } => write!(f, "character 0x{byte:02x} not allowed at byte {at}"),
            Self::BadScheme { at } => write!(f, "bad scheme at byte {at}"),
            Self::BadHost { at } => write!(f, "bad host at byte {at}"),
            Self::BadNetloc { at } => write!(f, "character at byte {at} normalises to a delimiter"),
            Self::PortRange { at } => write!(f, "port at byte {at} is above 65535"),
            Self::NeedsCleaning { at } => write!(f, "tab or line end at byte {at}"),
            Self::BadPort { at } => write!(f, "bad port at byte {at}"),
            Self::Unencodable { at } => write!(f, "character at byte {at} is not in the charset"),
            Self::Undecodable { at } => write!(f, "bytes at byte {at} are not in the charset"),
            Self::BadField { at } => write!(f, "field at byte {at} has no '='"),
            Self::TooManyFields => f.write_str("too many fields"),
            Self::EmptySeparator => f.write_str("separator is empty"),
            Self::RelativeBase => f.write_str("base URL has no scheme"),
            Self::Full => f.write_str("URL too long for its buffer"),
        }
    }
}

impl Error {
    /// The same in a text that has `offset` bytes more in front.
    pub(super) const fn moved(self, offset: usize) -> Self {
        match self {
            Self::BadHost { at } => Self::BadHost { at: at + offset },
            Self::BadNetloc { at } => Self::BadNetloc { at: at + offset },
            Self::Unencodable { at } => Self::Unencodable { at: at + offset },
            Self::Undecodable { at } => Self::Undecodable { at: at + offset },
            other => other,
        }
    }
}

impl core::error::Error for Error {}
