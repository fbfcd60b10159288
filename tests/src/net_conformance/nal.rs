//! The rows for drivers that are written against embedded-nal.

use core::net::SocketAddr;
use tidemill_core::net::Error;
use tidemill_core::net::nal::Nal;

use super::{Pair, settle_a_while, wait};

pub fn embedded_nal_carries_an_echo<P: Pair>(pair: &mut P) {
    use embedded_nal::{TcpClientStack as _, TcpFullStack as _};
    let addr = pair.refused_addr();
    let mut listener = Nal::new(pair.server(), 2).socket().unwrap();
    Nal::new(pair.server(), 2).bind(&mut listener, addr.port()).unwrap();
    Nal::new(pair.server(), 2).listen(&mut listener).unwrap();
    let mut client = Nal::new(pair.client(), 2).socket().unwrap();
    wait(pair, |pair| Nal::new(pair.client(), 2).connect(&mut client, addr)).unwrap();
    let (mut server, _) = wait(pair, |pair| Nal::new(pair.server(), 2).accept(&mut listener)).unwrap();
    assert_eq!(Nal::new(pair.client(), 2).receive(&mut client, &mut [0; 8]), Err(nb::Error::WouldBlock));
    wait(pair, |pair| Nal::new(pair.client(), 2).send(&mut client, b"echo")).unwrap();
    let mut buf = [0; 8];
    assert_eq!(wait(pair, |pair| Nal::new(pair.server(), 2).receive(&mut server, &mut buf)), Ok(4));
    wait(pair, |pair| Nal::new(pair.server(), 2).send(&mut server, &buf[..4])).unwrap();
    Nal::new(pair.server(), 2).close(server).unwrap();
    assert_eq!(wait(pair, |pair| Nal::new(pair.client(), 2).receive(&mut client, &mut buf)), Ok(4));
    assert_eq!(&buf[..4], b"echo");
    assert_eq!(wait(pair, |pair| Nal::new(pair.client(), 2).receive(&mut client, &mut buf)), Ok(0));
    Nal::new(pair.client(), 2).close(client).unwrap();
    Nal::new(pair.server(), 2).close(listener).unwrap();
}

pub fn embedded_nal_tells_a_refusal_and_the_socket_is_as_new<P: Pair>(pair: &mut P) {
    use embedded_nal::TcpClientStack as _;
    let addr = pair.refused_addr();
    let mut socket = Nal::new(pair.client(), 1).socket().unwrap();
    for _ in 0..2 {
        let outcome = wait(pair, |pair| Nal::new(pair.client(), 1).connect(&mut socket, addr));
        assert_eq!(outcome, Err(Error::Refused));
    }
    let nothing = Nal::new(pair.client(), 1).send(&mut socket, b"x");
    assert_eq!(nothing, Err(nb::Error::Other(Error::NotConnected)));
}

pub fn embedded_nal_carries_datagrams<P: Pair>(pair: &mut P) {
    use embedded_nal::{UdpClientStack, UdpFullStack};

    /// Drivers that know nothing of tidemill.
    fn open<T: UdpFullStack>(net: &mut T, port: u16) -> Result<T::UdpSocket, T::Error> {
        let mut socket = net.socket()?;
        net.bind(&mut socket, port)?;
        Ok(socket)
    }
    fn dial<T: UdpClientStack>(net: &mut T, to: SocketAddr) -> Result<T::UdpSocket, T::Error> {
        let mut socket = net.socket()?;
        net.connect(&mut socket, to)?;
        Ok(socket)
    }
    fn hear<T: UdpClientStack>(net: &mut T, socket: &mut T::UdpSocket) -> nb::Result<(Vec<u8>, SocketAddr), T::Error> {
        let mut buf = [0; 8];
        net.receive(socket, &mut buf).map(|(len, from)| (buf[..len].to_vec(), from))
    }
    let addr = pair.refused_addr();
    let not = Error::NotConnected;
    let mut fresh = UdpClientStack::socket(&mut Nal::new(pair.client(), 1)).unwrap();
    assert_eq!(UdpClientStack::send(&mut Nal::new(pair.client(), 1), &mut fresh, b"x"), Err(not.into()));
    let mut server = open(&mut Nal::new(pair.server(), 1), addr.port()).unwrap();
    assert_eq!(UdpFullStack::bind(&mut Nal::new(pair.server(), 1), &mut server, 0), Err(not));
    let mut client = dial(&mut Nal::new(pair.client(), 1), addr).unwrap();
    assert_eq!(hear(&mut Nal::new(pair.client(), 1), &mut client), Err(nb::Error::WouldBlock));

    let send = |pair: &mut P, socket: &mut _, text: &[u8]| {
        wait(pair, |pair| UdpClientStack::send(&mut Nal::new(pair.client(), 1), socket, text))
    };
    send(pair, &mut client, b"longer than its buffer").unwrap();
    send(pair, &mut client, b"tide").unwrap();
    assert_eq!(wait(pair, |pair| hear(&mut Nal::new(pair.server(), 1), &mut server)), Err(Error::TooLong));
    let (text, from) = wait(pair, |pair| hear(&mut Nal::new(pair.server(), 1), &mut server)).unwrap();
    assert_eq!(text, b"tide");

    // A stranger is answered, but not heard by who is connected.
    let mut stranger = dial(&mut Nal::new(pair.client(), 1), addr).unwrap();
    send(pair, &mut stranger, b"hello").unwrap();
    let (_, other) = wait(pair, |pair| hear(&mut Nal::new(pair.server(), 1), &mut server)).unwrap();
    assert_ne!(other.port(), from.port());
    UdpClientStack::connect(&mut Nal::new(pair.client(), 1), &mut stranger, SocketAddr::new(addr.ip(), 9)).unwrap();
    for (to, text) in [(other, b"nobody"), (from, b"answer")] {
        wait(pair, |pair| Nal::new(pair.server(), 1).send_to(&mut server, to, text)).unwrap();
    }
    // Whom it answered last is whom it sends to.
    wait(pair, |pair| UdpClientStack::send(&mut Nal::new(pair.server(), 1), &mut server, b"more")).unwrap();
    for text in [&b"answer"[..], b"more"] {
        let heard = wait(pair, |pair| hear(&mut Nal::new(pair.client(), 1), &mut client));
        assert_eq!(heard, Ok((text.to_vec(), addr)));
    }
    assert_eq!(hear(&mut Nal::new(pair.client(), 1), &mut stranger), Err(nb::Error::WouldBlock));

    UdpClientStack::close(&mut Nal::new(pair.server(), 1), server).unwrap();
    settle_a_while(pair);
    let again = open(&mut Nal::new(pair.server(), 1), addr.port()).expect("its port is free again");
    UdpClientStack::close(&mut Nal::new(pair.server(), 1), again).unwrap();
}
