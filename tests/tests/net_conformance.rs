//! The rows of [`tidemill_tests::net_conformance`], and of [`tidemill_tests::servers`], on each stack there is.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use tidemill_core::time::{Clock, Duration};
use tidemill_host::net::Net;
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
    tidemill_tests::servers!(super::SmoltcpPair::ethernet_v4);
}

mod smoltcp_over_ip_and_ipv6 {
    tidemill_tests::net_conformance!(super::SmoltcpPair::ip_v6);
    tidemill_tests::servers!(super::SmoltcpPair::ip_v6);
}

/// Two ends on the loopback interface of the operating system.
struct OsPair {
    ends: [Net; 2],
    server: SocketAddr,
    /// A port that is this pair's own, and nobody listens at.
    unused: u16,
}

impl OsPair {
    const SOCKETS: usize = 8;

    fn ipv4() -> Self {
        Self::at("127.0.0.1:0")
    }

    fn ipv6() -> Self {
        Self::at("[::1]:0")
    }

    fn at(server: &str) -> Self {
        let net = || Net::new(Self::SOCKETS).expect("an epoll");
        // Below the ports that the system hands out by itself.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let ports =
            (0..100).map(|_| 20_000 + (std::process::id() as u16 % 97) * 100 + NEXT.fetch_add(1, Relaxed) % 100);
        let mut free = ports.filter(|&port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
        let unused = free.next().expect("a free port");
        Self { ends: [net(), net()], server: server.parse().expect("an address"), unused }
    }
}

impl Pair for OsPair {
    type Stack = Net;

    fn client(&mut self) -> &mut Net {
        &mut self.ends[0]
    }

    fn server(&mut self) -> &mut Net {
        &mut self.ends[1]
    }

    fn settle(&mut self) {
        for net in &mut self.ends {
            let soon = net.now() + Duration::from_micros(500);
            net.wait(Some(soon)).expect("a wait");
        }
    }

    fn server_addr(&self) -> SocketAddr {
        self.server
    }

    fn refused_addr(&self) -> SocketAddr {
        // Of IPv4 in either case: embedded-nal listens there.
        SocketAddr::from(([127, 0, 0, 1], self.unused))
    }

    fn silent_addr(&self) -> Option<SocketAddr> {
        // The kernel waits two minutes for an answer.
        None
    }

    fn client_sockets(&self) -> Option<usize> {
        Some(Self::SOCKETS)
    }
}

mod os_sockets_and_ipv4 {
    tidemill_tests::net_conformance!(super::OsPair::ipv4);
    tidemill_tests::servers!(super::OsPair::ipv4);
}

mod os_sockets_and_ipv6 {
    tidemill_tests::net_conformance!(super::OsPair::ipv6);
    tidemill_tests::servers!(super::OsPair::ipv6);
}
