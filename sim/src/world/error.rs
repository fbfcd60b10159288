//! Why a world cannot do what was asked, or cannot go on.

use core::fmt;
use core::net::IpAddr;

use tidemill_core::time::Instant;

use super::{HostId, TURNS_PER_INSTANT_MAX};

/// Why a world cannot do what was asked, or cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A host was turned [`TURNS_PER_INSTANT_MAX`] times without time going on: it keeps asking to be turned at once.
    Livelock {
        /// Its name.
        host: String,
        /// When.
        at: Instant,
    },
    /// Another host has this name.
    NameTaken(String),
    /// Another host has this address.
    AddressTaken(IpAddr),
    /// No host can have this address: it is a group's, or nobody's.
    NoHostAddress(IpAddr),
    /// The host is not of this world.
    UnknownHost(HostId),
    /// No link leads from the first host to the second.
    NoLink(HostId, HostId),
    /// A link from a host to itself: a stack does that without one.
    SelfLink(HostId),
    /// There are hosts already.
    NotEmpty,
    /// A switch has no address.
    NoAddress(HostId),
    /// Switches and machines exchange Ethernet frames; the hosts of this world exchange IP packets.
    NotEthernet,
    /// The two switches reach each other already: a frame to all would go round for ever.
    SwitchLoop(HostId, HostId),
    /// A machine outside of the world does not do its part: see [`bridge`](crate::bridge).
    Machine {
        /// Its host's name.
        host: String,
        /// Why.
        why: String,
    },
    /// An oracle has an objection: its name, and what it says.
    Broken {
        /// The oracle's name: what a failure is recognised by.
        oracle: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livelock { host, at } => {
                let (turns, at) = (TURNS_PER_INSTANT_MAX, at.as_ticks());
                // What it can be, for whoever wrote its program.
                let cause = "it asks for a time that has come, or watches a socket that is ready and lets it be";
                write!(f, "host {host} was turned {turns} times at {at} us: it is stuck: {cause}")
            }
            Self::NameTaken(name) => write!(f, "another host is called {name}"),
            Self::AddressTaken(address) => write!(f, "another host has the address {address}"),
            Self::NoHostAddress(address) => write!(f, "no host can have the address {address}"),
            Self::UnknownHost(host) => write!(f, "{host} is no host of this world"),
            Self::NoLink(from, to) => write!(f, "no link leads from {from} to {to}"),
            Self::SelfLink(host) => write!(f, "a link from {host} to itself"),
            Self::NotEmpty => f.write_str("there are hosts already"),
            Self::NoAddress(host) => write!(f, "{host} is a switch: it has no address"),
            Self::NotEthernet => f.write_str("neither switches nor machines but for Ethernet"),
            Self::SwitchLoop(a, b) => write!(f, "the switches {a} and {b} reach each other already"),
            Self::Machine { host, why } => write!(f, "the machine behind {host}: {why}"),
            Self::Broken { oracle, what } => write!(f, "[{oracle}] {what}"),
        }
    }
}

impl core::error::Error for Error {}
