//! Why a text became no URL: it is none, or there is no room for it.

use core::fmt;

use super::super::IdnaError;

/// Why a URL was not parsed, or not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UrlError {
    /// No buffer would help: this is no URL.
    Invalid {
        /// What is wrong.
        why: Invalid,
        /// At which byte of the text given; of the base where [`Invalid::Base`] says so.
        at: usize,
    },
    /// It is valid, and longer than its buffer.
    DoesNotFit {
        /// The capacity that it takes, in bytes.
        needed: usize,
    },
}

/// What is wrong with a URL, or with a part that was to be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Invalid {
    /// A reference without a scheme, and there is no base.
    Relative,
    /// A reference to a base that has an opaque path, such as `mailto:`: only a fragment can be relative to it.
    OpaqueBase,
    /// The base is no URL itself.
    Base,
    /// Not a scheme, or not one that this URL can change to.
    Scheme,
    /// There must be a host.
    NoHost,
    /// A character that no host of this kind has, raw or percent-encoded.
    HostByte,
    /// Ends in a number and is no IPv4 address.
    Ipv4,
    /// Brackets with no IPv6 address inside, or without their partner.
    Ipv6,
    /// A domain that has no ASCII form.
    Domain(IdnaError),
    /// Not decimal digits.
    Port,
    /// A port above 65535.
    PortRange,
    /// This URL cannot have such a part: a port or a user where there is no host, a host where the path is opaque.
    NotHere,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { why, at } => write!(f, "{why} at byte {at}"),
            Self::DoesNotFit { needed } => write!(f, "URL of {needed} bytes does not fit its buffer"),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relative => "relative URL without a base",
            Self::OpaqueBase => "base URL cannot have relative references",
            Self::Base => "bad base URL",
            Self::Scheme => "bad scheme",
            Self::NoHost => "no host",
            Self::HostByte => "bad character in the host",
            Self::Ipv4 => "bad IPv4 address",
            Self::Ipv6 => "bad IPv6 address",
            Self::Domain(error) => return error.fmt(f),
            Self::Port => "bad port",
            Self::PortRange => "port above 65535",
            Self::NotHere => "this URL cannot have such a part",
        })
    }
}

impl Invalid {
    /// The error, with its place.
    pub(super) const fn at(self, at: usize) -> UrlError {
        UrlError::Invalid { why: self, at }
    }
}

impl core::error::Error for UrlError {}
