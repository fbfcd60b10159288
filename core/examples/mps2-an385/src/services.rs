//! The services that every network has, side by side on one stack: an echo and greetings over TCP, an echo of datagrams,
//! and the same two echoes by drivers that know nothing of tidemill, through embedded-nal.

use core::net::SocketAddr;
use embedded_nal::{TcpFullStack, UdpFullStack};
use tidemill_core::executor::Program;
use tidemill_core::net::nal::{Nal, Socket, UdpSocket};
use tidemill_core::net::{Datagrams, Error, Interest, Token};
use tidemill_core::pool::Slot;
use tidemill_core::serve::{Answering, Beside, Echo, Lines, Patience, Reply, Server, Session, Sessions};
use tidemill_core::time::Instant;

/// Where they are.
pub const ECHO: u16 = 7;
/// A line is a name, and is answered by a greeting.
pub const GREETINGS: u16 = 4000;
/// By drivers over embedded-nal, in TCP and in UDP.
pub const FOREIGN: u16 = 4007;

/// Connections of each of the first two, and those that may wait at each.
const CONNECTIONS: usize = 2;
const BACKLOG: usize = 2;
/// The longest line, and the longest datagram.
const LINE: usize = 64;
const DATAGRAM: usize = 512;
/// What the drivers have to do is not told to anybody.
const TOKENS: [Token; 2] = [Token(1 << 20), Token(1 << 20 | 1)];

type Talks<T> = Server<Session<T>, [Slot<Session<T>>; CONNECTIONS], Sessions<fn(SocketAddr) -> T>>;
type Greeter = Lines<fn(&[u8], &mut Reply<'_>) -> Result<(), Error>, LINE>;
type Answer = fn(&mut [u8], usize, SocketAddr) -> Option<usize>;

/// All of them.
pub type Services = Beside<(Talks<Echo<256>>, Talks<Greeter>, Answering<Answer, DATAGRAM>, Foreign)>;

fn greet(name: &[u8], reply: &mut Reply<'_>) -> Result<(), Error> {
    [b"hello ", name, b"\n"].iter().try_for_each(|part| reply.push(part))
}

/// They listen nowhere yet.
pub fn services() -> Services {
    let echo: fn(SocketAddr) -> Echo<256> = |_| Echo::new();
    let greeter: fn(SocketAddr) -> Greeter = |_| Lines::new(greet);
    let answer: Answer = |_, len, _| Some(len);
    Beside((
        Server::new(Sessions::new(echo, Patience::default()), [const { Slot::EMPTY }; CONNECTIONS]),
        Server::new(Sessions::new(greeter, Patience::default()), [const { Slot::EMPTY }; CONNECTIONS]),
        Answering::new(answer),
        Foreign::default(),
    ))
}

/// Has them listen.
///
/// # Errors
/// The stack has not enough sockets.
pub fn listen<S: Datagrams>(services: &mut Services, net: &mut S) -> Result<(), Error> {
    let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let Beside((echo, greeter, datagrams, foreign)) = services;
    echo.listen(net, at(ECHO), BACKLOG)?;
    greeter.listen(net, at(GREETINGS), BACKLOG)?;
    datagrams.bind(net, at(ECHO))?;
    foreign.listen(net)
}

/// Sends back what it gets, one connection after the other. `K` is a driver's idea of a socket.
#[derive(Debug)]
struct StreamEcho<K> {
    listener: K,
    peer: Option<K>,
    bytes: [u8; 128],
    start: usize,
    end: usize,
}

impl<K> StreamEcho<K> {
    fn open<T: TcpFullStack<TcpSocket = K>>(net: &mut T, port: u16) -> Result<Self, T::Error> {
        let mut listener = net.socket()?;
        net.bind(&mut listener, port)?;
        net.listen(&mut listener)?;
        Ok(Self { listener, peer: None, bytes: [0; 128], start: 0, end: 0 })
    }

    /// Does what can be done. `Ok`: a connection is over.
    fn turn<T: TcpFullStack<TcpSocket = K>>(&mut self, net: &mut T) -> nb::Result<(), T::Error> {
        let peer = match &mut self.peer {
            Some(peer) => peer,
            none => none.insert(net.accept(&mut self.listener)?.0),
        };
        let outcome = loop {
            if self.start < self.end {
                match net.send(peer, &self.bytes[self.start..self.end]) {
                    Ok(count) => self.start += count,
                    outcome => break outcome,
                }
                continue;
            }
            match net.receive(peer, &mut self.bytes) {
                Ok(count) if count > 0 => (self.start, self.end) = (0, count),
                outcome => break outcome,
            }
        };
        if matches!(outcome, Err(nb::Error::WouldBlock)) {
            return Err(nb::Error::WouldBlock);
        }
        (self.start, self.end) = (0, 0);
        let closed = self.peer.take().map_or(Ok(()), |peer| net.close(peer));
        Ok(closed?)
    }
}

/// Sends datagrams back to who sent them; those that are too long are lost.
fn echo_datagrams<T: UdpFullStack>(
    net: &mut T,
    socket: &mut T::UdpSocket,
    buffer: &mut [u8],
) -> nb::Result<(), T::Error> {
    let (len, from) = net.receive(socket, buffer)?;
    net.send_to(socket, from, &buffer[..len])
}

/// The drivers, and where they are turned.
#[derive(Debug, Default)]
pub struct Foreign {
    streams: Option<StreamEcho<Socket>>,
    datagrams: UdpSocket,
}

impl Foreign {
    fn listen<S: Datagrams>(&mut self, net: &mut S) -> Result<(), Error> {
        self.streams = Some(StreamEcho::open(&mut Nal::new(net, BACKLOG), FOREIGN)?);
        UdpFullStack::bind(&mut Nal::new(net, BACKLOG), &mut self.datagrams, FOREIGN)
    }
}

impl<S: Datagrams> Program<S> for Foreign {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let streams = self.streams.as_mut()?;
        while streams.turn(&mut Nal::new(net, BACKLOG)).is_ok() {}
        let mut buffer = [0; DATAGRAM];
        while !matches!(
            echo_datagrams(&mut Nal::new(net, BACKLOG), &mut self.datagrams, &mut buffer),
            Err(nb::Error::WouldBlock | nb::Error::Other(Error::NotConnected))
        ) {}
        // embedded-nal cannot say when to come back: the stack can.
        let waiting = match &streams.peer {
            Some(peer) => (peer.handle(), if streams.start < streams.end { Interest::Write } else { Interest::Read }),
            None => (streams.listener.handle(), Interest::Read),
        };
        for ((handle, interest), token) in [waiting, (self.datagrams.handle(), Interest::Read)].into_iter().zip(TOKENS)
        {
            if let Some(handle) = handle {
                // It is open.
                let _ = net.watch(handle, interest, token);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::net::NoNetwork;
    use tidemill_core::time::EPOCH;

    #[test]
    fn without_a_network_they_say_so_and_wait() {
        let mut services = services();
        assert_eq!(listen(&mut services, &mut NoNetwork), Err(Error::Full));
        assert_eq!(services.turn(EPOCH, &mut NoNetwork), None);
    }
}
