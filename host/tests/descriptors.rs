//! A process that has run out of descriptors. Its own binary: the limit is the whole process's.

use std::net::{SocketAddr, TcpStream};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidemill_core::net::{Error, Interest, Stack, Token};
use tidemill_core::time::{Clock, Duration};
use tidemill_host::net::Net;

#[test]
fn a_listener_without_a_descriptor_rests_and_neither_spins_nor_forgets() {
    let mut net = Net::new(100).unwrap();
    let listener = net.listen(SocketAddr::from(([127, 0, 0, 1], 0)), 8).unwrap();
    let client = TcpStream::connect(net.local_addr(listener).unwrap()).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let next = std::fs::File::open("/dev/null").unwrap();
    let taken = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
    setrlimit(Resource::RLIMIT_NOFILE, taken, hard).unwrap();

    assert_eq!(net.accept(listener), Err(nb::Error::Other(Error::Full)));
    net.watch(listener, Interest::Read, Token(1)).unwrap();
    let soon = net.now() + Duration::from_millis(20);
    let mut waits = 0;
    while net.now() < soon {
        net.wait(Some(soon)).unwrap();
        assert_eq!(net.next_ready(), None);
        waits += 1;
    }
    assert!(waits < 5, "{waits} waits in 20 ms: that is spinning");

    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let late = net.now() + Duration::from_secs(2);
    while net.next_ready().is_none() {
        assert!(net.now() < late, "forgotten");
        net.wait(Some(late)).unwrap();
    }
    assert_eq!(net.accept(listener).unwrap().1, client.local_addr().unwrap());
}
