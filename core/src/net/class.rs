//! The classes that IPv4 addresses once fell into, and what ranges of them are for.
//!
//! Networks are told by their prefix today (CIDR, RFC 4632). The classes of RFC 791 before that read the first bits of an
//! address: they said how many more bits name the network. What is left of them is the size that people mean by
//! "a class C", the class of multicast addresses, and one private range in each of the first three.
//!
//! | class | first byte | network bits | private range | |
//! |---|---|---|---|---|
//! | A | 0 to 127 | 8 | 10.0.0.0/8 | 0 is this network, 127 the machine itself |
//! | B | 128 to 191 | 16 | 172.16.0.0/12 | 169.254.0.0/16 is local to a link |
//! | C | 192 to 223 | 24 | 192.168.0.0/16 | |
//! | D | 224 to 239 | | | multicast |
//! | E | 240 to 255 | | | reserved; 255.255.255.255 is everyone on the link |
//!
//! ```
//! use core::net::Ipv4Addr;
//! use tidemill_core::net::class::{Class, Purpose};
//!
//! let address = Ipv4Addr::new(192, 168, 7, 9);
//! assert_eq!(Class::of(address), Class::C);
//! assert_eq!(Class::of(address).network(address), Some(Ipv4Addr::new(192, 168, 7, 0)));
//! assert_eq!(Purpose::of(address), Purpose::Private);
//! ```

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

/// A class of IPv4 addresses (RFC 791, 3.2; D and E: RFC 1112, 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Class {
    /// First bit 0: 128 networks of 2^24 addresses.
    A,
    /// First bits 10: 2^14 networks of 2^16 addresses.
    B,
    /// First bits 110: 2^21 networks of 256 addresses.
    C,
    /// First bits 1110: groups of receivers.
    D,
    /// First bits 1111: reserved.
    E,
}

impl Class {
    /// The class that `address` falls into.
    pub const fn of(address: Ipv4Addr) -> Self {
        match address.octets()[0].leading_ones() {
            0 => Self::A,
            1 => Self::B,
            2 => Self::C,
            3 => Self::D,
            _ => Self::E,
        }
    }

    /// How many of the 32 bits name the network, the others a host in it; `None` for D and E, which have no networks.
    pub const fn network_bits(self) -> Option<u8> {
        match self {
            Self::A => Some(8),
            Self::B => Some(16),
            Self::C => Some(24),
            Self::D | Self::E => None,
        }
    }

    /// The first and last address of the class.
    pub const fn range(self) -> RangeInclusive<Ipv4Addr> {
        let (first, last) = match self {
            Self::A => (0, 127),
            Self::B => (128, 191),
            Self::C => (192, 223),
            Self::D => (224, 239),
            Self::E => (240, 255),
        };
        Ipv4Addr::new(first, 0, 0, 0)..=Ipv4Addr::new(last, 255, 255, 255)
    }

    /// The addresses of the class that anyone may use within his own walls (RFC 1918, 3).
    pub const fn private_range(self) -> Option<RangeInclusive<Ipv4Addr>> {
        let (first, last) = match self {
            Self::A => (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255)),
            Self::B => (Ipv4Addr::new(172, 16, 0, 0), Ipv4Addr::new(172, 31, 255, 255)),
            Self::C => (Ipv4Addr::new(192, 168, 0, 0), Ipv4Addr::new(192, 168, 255, 255)),
            Self::D | Self::E => return None,
        };
        Some(first..=last)
    }

    /// The bits that name the network: 255.0.0.0, 255.255.0.0 or 255.255.255.0.
    pub const fn mask(self) -> Option<Ipv4Addr> {
        match self.network_bits() {
            Some(bits) => Some(Ipv4Addr::from_bits(u32::MAX << (32 - bits))),
            None => None,
        }
    }

    /// The network that `address` is in, if networks are of this class: its bits beyond the mask are zero.
    pub const fn network(self, address: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.mask() {
            Some(mask) => Some(Ipv4Addr::from_bits(address.to_bits() & mask.to_bits())),
            None => None,
        }
    }
}

/// What an IPv4 address is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Purpose {
    /// 0.0.0.0/8: this network, before a host knows its address (RFC 1122, 3.2.1.3).
    ThisNetwork,
    /// 127.0.0.0/8: the machine itself (RFC 1122, 3.2.1.3).
    Loopback,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16: within one's own walls (RFC 1918).
    Private,
    /// 169.254.0.0/16: drawn by hosts that nobody gave an address (RFC 3927).
    LinkLocal,
    /// Class D: a group of receivers.
    Multicast,
    /// 255.255.255.255: everyone on the link.
    Broadcast,
    /// The rest of class E.
    Reserved,
    /// A host anywhere.
    Unicast,
}

impl Purpose {
    /// What `address` is for.
    pub const fn of(address: Ipv4Addr) -> Self {
        match (Class::of(address), address.octets()[0]) {
            (Class::A, 0) => Self::ThisNetwork,
            (Class::A, 127) => Self::Loopback,
            (Class::D, _) => Self::Multicast,
            (Class::E, _) if address.is_broadcast() => Self::Broadcast,
            (Class::E, _) => Self::Reserved,
            _ if address.is_private() => Self::Private,
            _ if address.is_link_local() => Self::LinkLocal,
            _ => Self::Unicast,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Class; 5] = [Class::A, Class::B, Class::C, Class::D, Class::E];

    #[test]
    fn the_classes_share_all_addresses_between_them_in_order() {
        let mut next = Some(0);
        for class in ALL {
            let range = class.range();
            assert_eq!(Some(range.start().to_bits()), next, "{class:?}");
            assert_eq!((Class::of(*range.start()), Class::of(*range.end())), (class, class));
            next = range.end().to_bits().checked_add(1);
        }
        assert_eq!(next, None);
    }

    #[test]
    fn each_private_range_is_of_its_class_and_private_from_end_to_end() {
        for class in ALL {
            let Some(range) = class.private_range() else { continue };
            for address in [*range.start(), *range.end()] {
                assert_eq!((Class::of(address), Purpose::of(address)), (class, Purpose::Private));
            }
            for outside in [range.start().to_bits() - 1, range.end().to_bits() + 1] {
                assert_eq!(Purpose::of(Ipv4Addr::from_bits(outside)), Purpose::Unicast);
            }
        }
        assert_eq!(ALL.iter().filter(|class| class.private_range().is_some()).count(), 3);
    }

    #[test]
    fn only_the_first_three_have_networks() {
        let address = Ipv4Addr::new(1, 2, 3, 4);
        let networks = ALL.map(|class| class.network(address).map(|network| network.octets()));
        assert_eq!(networks, [Some([1, 0, 0, 0]), Some([1, 2, 0, 0]), Some([1, 2, 3, 0]), None, None]);
        assert_eq!(Class::B.mask(), Some(Ipv4Addr::new(255, 255, 0, 0)));
    }

    #[test]
    fn tells_what_an_address_is_for() {
        for (address, purpose) in [
            ([0, 0, 0, 0], Purpose::ThisNetwork),
            ([127, 255, 0, 1], Purpose::Loopback),
            ([169, 254, 9, 9], Purpose::LinkLocal),
            ([224, 0, 0, 1], Purpose::Multicast),
            ([255, 255, 255, 254], Purpose::Reserved),
            ([255, 255, 255, 255], Purpose::Broadcast),
            ([8, 8, 8, 8], Purpose::Unicast),
        ] {
            assert_eq!(Purpose::of(address.into()), purpose);
        }
    }
}
