//! What a stack is at its start: addresses, seed, and how long it waits for what.

use super::address::{add_router, known};
use super::slot::{Role, Slot, is_outstanding};
use crate::time::{Duration, Instant};
use core::net::IpAddr;
use smoltcp::iface::Interface;
use smoltcp::socket::tcp::{CongestionControl, State};
use smoltcp::wire::IpCidr;

/// How long a reset may take to get out, for a socket that nobody holds.
const RESET_DEADLINE: Duration = Duration::from_secs(1);

/// smoltcp drops what was not read when TIME-WAIT ends (after 10 s); a holder's data is saved shortly before.
const TIME_WAIT_KEEP: Duration = Duration::from_millis(9_900);

/// How long the stack waits for a peer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timeouts {
    /// For an answer to `connect`; then [`TimedOut`](crate::net::Error::TimedOut). smoltcp sends the SYN at 0, 1, 3, 7 and 15 s.
    pub connect: Duration,
    /// For the last step of a handshake that a peer began with a listener.
    pub half_open: Duration,
    /// For any progress in acknowledging what was sent; then [`TimedOut`](crate::net::Error::TimedOut). A peer that reads nothing for so
    /// long counts as gone.
    pub stall: Duration,
    /// For the peer's FIN after `close`.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            half_open: Duration::from_secs(10),
            stall: Duration::from_secs(120),
            linger: Duration::from_secs(30),
        }
    }
}

/// What a stack is at its start.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config<'c> {
    /// The Ethernet address; unused where the device carries IP packets.
    pub mac: [u8; 6],
    /// Own addresses with their prefix lengths (IPv6 ones with the feature `ipv6`), at most `SMOLTCP_IFACE_MAX_ADDR_COUNT`.
    pub addrs: &'c [(IpAddr, u8)],
    /// Default routers, at most one for each family.
    pub gateways: &'c [IpAddr],
    /// Where sequence numbers and ephemeral ports start. Differ by boot, or old segments may fit new connections.
    pub seed: u64,
    /// How the sending rate answers to loss. Without effect in smoltcp 0.13.1, see the [module](super).
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub congestion: CongestionControl,
    /// How long peers are waited for.
    pub timeouts: Timeouts,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            mac: [0x02, 0, 0, 0, 0, 1],
            addrs: &[],
            gateways: &[],
            seed: 0,
            congestion: CongestionControl::Reno,
            timeouts: Timeouts::default(),
        }
    }
}

impl Config<'_> {
    /// Gives the interface its addresses and routers.
    pub(super) fn set_addresses(&self, iface: &mut Interface) -> Result<(), ConfigError> {
        let mut room = true;
        for &(addr, prefix) in self.addrs {
            let bits = if addr.is_ipv4() { 32 } else { 128 };
            let own = known(addr).filter(|own| own.is_unicast() && prefix <= bits).ok_or(ConfigError::Address(addr))?;
            iface.update_ip_addrs(|addrs| room &= addrs.push(IpCidr::new(own, prefix)).is_ok());
        }
        for &gateway in self.gateways {
            room &= add_router(iface.routes_mut(), gateway);
        }
        if room { Ok(()) } else { Err(ConfigError::TooMany) }
    }
}

/// Why a [`Config`] makes no stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a unicast address, or its prefix is longer than the address, or it is IPv6 without the feature `ipv6`.
    Address(IpAddr),
    /// More addresses or routers than the interface holds, or a router whose family it does not speak.
    TooMany,
    /// The Ethernet address is a group's.
    Mac,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Address(addr) => write!(f, "{addr}: not a unicast address with a prefix that fits"),
            Self::TooMany => f.write_str("too many addresses or routers"),
            Self::Mac => f.write_str("not a unicast Ethernet address"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Timeouts {
    /// When the wait that the socket is in ends, if it ends.
    pub(super) fn deadline(&self, slot: &Slot<'_>) -> Option<Instant> {
        let socket = slot.socket();
        let state = socket.state();
        let span = match slot.role {
            Role::Spare { .. } if state == State::SynReceived => self.half_open,
            Role::Connecting if slot.failed.is_none() => self.connect,
            Role::Up if state == State::TimeWait && socket.can_recv() => TIME_WAIT_KEEP,
            Role::Up if state != State::Closed && is_outstanding(socket) => self.stall,
            Role::Lingering => match state {
                State::Closed => RESET_DEADLINE,
                // smoltcp ends this one by itself.
                State::TimeWait => return None,
                State::FinWait2 => self.linger,
                _ => self.stall,
            },
            _ => return None,
        };
        Some(slot.since + span)
    }
}
