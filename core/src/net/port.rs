//! Port numbers: the three ranges they fall into, and the names of well-known services.
//!
//! ```
//! use tidemill_core::net::port::{PortRange, number, service};
//!
//! assert_eq!(PortRange::of(8080), PortRange::Registered);
//! assert_eq!((number("https"), number("DNS")), (Some(443), Some(53)));
//! assert_eq!(service(22), Some("ssh"));
//! ```

use core::ops::RangeInclusive;

/// A range of port numbers (RFC 6335, 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PortRange {
    /// 0 to 1023: assigned to services by IANA; systems let only the privileged listen there.
    WellKnown,
    /// 1024 to 49151: registered with IANA, free to anyone.
    Registered,
    /// 49152 to 65535: never assigned; for one connection's time.
    Dynamic,
}

impl PortRange {
    /// The range that `port` falls into.
    pub const fn of(port: u16) -> Self {
        match port {
            0..=1023 => Self::WellKnown,
            1024..=49151 => Self::Registered,
            49152.. => Self::Dynamic,
        }
    }

    /// The first and last port of the range.
    pub const fn ports(self) -> RangeInclusive<u16> {
        match self {
            Self::WellKnown => 0..=1023,
            Self::Registered => 1024..=49151,
            Self::Dynamic => 49152..=65535,
        }
    }
}

/// Ports by IANA's registry, each with its name there before those that people use for it (`dns`, `sftp`, `smb`).
const SERVICES: [(&str, u16); 55] = [
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("sftp", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("bootps", 67),
    ("dhcp", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("gopher", 70),
    ("finger", 79),
    ("http", 80),
    ("ws", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("nntp", 119),
    ("ntp", 123),
    ("netbios-ns", 137),
    ("netbios-ssn", 139),
    ("imap", 143),
    ("imap4", 143),
    ("snmp", 161),
    ("snmptrap", 162),
    ("bgp", 179),
    ("irc", 194),
    ("ldap", 389),
    ("https", 443),
    ("wss", 443),
    ("microsoft-ds", 445),
    ("smb", 445),
    ("submissions", 465),
    ("smtps", 465),
    ("syslog", 514),
    ("rtsp", 554),
    ("nntps", 563),
    ("submission", 587),
    ("ldaps", 636),
    ("rsync", 873),
    ("ftps-data", 989),
    ("ftps", 990),
    ("telnets", 992),
    ("imaps", 993),
    ("pop3s", 995),
    ("mqtt", 1883),
    ("nfs", 2049),
    ("ms-wbt-server", 3389),
    ("rdp", 3389),
    ("svn", 3690),
    ("sip", 5060),
    ("sips", 5061),
    ("secure-mqtt", 8883),
    ("mqtts", 8883),
];

/// The port that the service called `name`, in any case, listens at. O(names).
pub fn number(name: &str) -> Option<u16> {
    SERVICES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}

/// The name of the service that listens at `port`. O(names).
pub fn service(port: u16) -> Option<&'static str> {
    SERVICES.iter().find(|(_, known)| *known == port).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_in_the_range_that_holds_it() {
        for port in 0..=u16::MAX {
            assert!(PortRange::of(port).ports().contains(&port));
        }
        let starts = [0, 1024, 49152].map(PortRange::of);
        assert_eq!(starts, [PortRange::WellKnown, PortRange::Registered, PortRange::Dynamic]);
    }

    #[test]
    fn every_name_has_its_port_and_every_port_its_first_name() {
        assert!(SERVICES.is_sorted_by_key(|(_, port)| *port));
        for (name, port) in SERVICES {
            assert_eq!(number(name), Some(port), "a name stands once: {name}");
            assert_eq!(number(service(port).unwrap()), Some(port));
        }
        assert_eq!((service(80), service(53), service(443)), (Some("http"), Some("domain"), Some("https")));
        assert_eq!((number("Imap"), number("http "), service(4)), (Some(143), None, None));
    }
}
