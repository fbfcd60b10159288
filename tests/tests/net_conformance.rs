//! The conformance rows of [`tidemill_tests::net_conformance`], on each stack there is.

use core::net::SocketAddr;
use tidemill_tests::net_conformance::Pair;
use tidemill_tests::wire::{End, Medium, Wire, addr, addr6};

/// Two smoltcp stacks on a cable.
struct SmoltcpPair {
    wire: Wire<8>,
    server: SocketAddr,
    nobody: SocketAddr,
}

impl SmoltcpPair {
    fn ethernet_v4() -> Self {
        Self { wire: Wire::new(Medium::Ethernet, 1), server: addr(1, 0), nobody: addr(8, 80) }
    }

    fn ip_v6() -> Self {
        Self { wire: Wire::new(Medium::Ip, 2), server: addr6(1, 0), nobody: addr6(8, 80) }
    }
}

impl Pair for SmoltcpPair {
    type Stack = End<8>;

    fn client(&mut self) -> &mut End<8> {
        &mut self.wire.ends[0]
    }

    fn server(&mut self) -> &mut End<8> {
        &mut self.wire.ends[1]
    }

    fn settle(&mut self) {
        self.wire.step();
    }

    fn server_addr(&self) -> SocketAddr {
        self.server
    }

    fn refused_addr(&self) -> SocketAddr {
        SocketAddr::new(self.server.ip(), 81)
    }

    fn silent_addr(&self) -> Option<SocketAddr> {
        Some(self.nobody)
    }

    fn client_sockets(&self) -> Option<usize> {
        Some(8)
    }
}

mod smoltcp_over_ethernet_and_ipv4 {
    tidemill_tests::net_conformance!(super::SmoltcpPair::ethernet_v4);
}

mod smoltcp_over_ip_and_ipv6 {
    tidemill_tests::net_conformance!(super::SmoltcpPair::ip_v6);
}
