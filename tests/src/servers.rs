//! Core's servers and their clients, as they are on every stack: the rows of [`servers!`](crate::servers!) run on each
//! [`Pair`].

#![allow(missing_docs, reason = "a row's name is its sentence")]

use core::net::SocketAddr;
use tidemill_core::executor::{Executor, Program as _};
use tidemill_core::net::{Datagrams as _, Error, Stack};
use tidemill_core::pool::{Failure, Slot, TaskId};
use tidemill_core::serve::{
    Answering, Beside, Call, Echo, Lines, Patience, Reply, Server, Session, Sessions, Talk, Wire,
};
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::net_conformance::Pair;

/// How often to settle before a test gives up.
const TURNS: usize = 20_000;

/// How long a turn counts as, for who waits for the time.
const TURN: Duration = Duration::from_millis(1);

/// How many connections the server has at once; there are more clients.
const SLOTS: usize = 2;

type Serving<T> = Server<Session<T>, [Slot<Session<T>>; SLOTS], Sessions<fn(SocketAddr) -> T>>;

type Clients<C> = Executor<Call<C>, [Slot<Call<C>, C, Error>; 4], C, Error>;

/// A server at one end, and clients at the other, in a time of their own.
struct Scene<'p, P, T, C: Talk> {
    pair: &'p mut P,
    server: Serving<T>,
    address: SocketAddr,
    clients: Clients<C>,
    now: Instant,
}

fn scene<P: Pair, T: Talk, C: Talk<Error = Error>>(
    pair: &mut P,
    patience: Patience,
    make: fn(SocketAddr) -> T,
) -> Scene<'_, P, T, C> {
    let at = pair.server_addr();
    let mut server = Serving::new(Sessions::new(make, patience), [const { Slot::EMPTY }; SLOTS]);
    let port = server.listen(pair.server(), at, 2).expect("a free port").port();
    let clients = Executor::new([const { Slot::EMPTY }; 4]);
    let address = SocketAddr::new(at.ip(), port);
    Scene { pair, server, address, clients, now: EPOCH }
}

impl<P: Pair, T: Talk, C: Talk<Error = Error>> Scene<'_, P, T, C> {
    fn call(&mut self, talk: C) -> TaskId {
        let call = Call::new(self.address, talk, Patience::default());
        self.clients.pool.submit(call).unwrap_or_else(|_| panic!("four clients at once"))
    }

    /// Both ends have a turn, and time passes.
    fn turn(&mut self) {
        self.server.turn(self.now, self.pair.server());
        self.clients.turn(self.now, self.pair.client(), &mut ());
        self.pair.settle();
        self.now += TURN;
    }

    fn result(&mut self, id: TaskId) -> Result<C, Failure<Error>> {
        for _ in 0..TURNS {
            match self.clients.pool.result(id) {
                Ok(talk) => return Ok(talk),
                Err(nb::Error::Other(failure)) => return Err(failure),
                Err(nb::Error::WouldBlock) => self.turn(),
            }
        }
        panic!("no end after {TURNS} turns");
    }
}

/// Sends bytes that say where they stand, and hears them come back.
struct Shout {
    total: usize,
    sent: usize,
    heard: usize,
    shut: bool,
}

impl Shout {
    fn new(total: usize) -> Self {
        Self { total, sent: 0, heard: 0, shut: false }
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 16) as u8
}

impl Talk for Shout {
    type Error = Error;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
        loop {
            let mut stuck = true;
            if self.sent < self.total {
                let piece: Vec<u8> = (self.sent..self.total.min(self.sent + 700)).map(byte).collect();
                match wire.send(&piece) {
                    Ok(count) => (self.sent, stuck) = (self.sent + count, false),
                    Err(nb::Error::WouldBlock) => {}
                    Err(error) => return Err(error),
                }
            } else if !self.shut {
                wire.shutdown()?;
                self.shut = true;
            }
            let mut buf = [0; 512];
            match wire.recv(&mut buf) {
                Ok(0) if self.heard == self.total => return Ok(()),
                Ok(0) => return Err(Error::Closed.into()),
                Ok(count) => {
                    let right = buf[..count].iter().enumerate().all(|(at, &got)| got == byte(self.heard + at));
                    assert!(right, "a byte of the echo is wrong");
                    (self.heard, stuck) = (self.heard + count, false);
                }
                Err(nb::Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            if stuck {
                return Err(nb::Error::WouldBlock);
            }
        }
    }
}

pub fn an_echo_gives_back_every_byte_to_more_clients_than_it_has_room_for<P: Pair>(pair: &mut P) {
    let mut scene = scene(pair, Patience::default(), |_| Echo::<300>::new());
    let clients: Vec<_> = [0, 1, 5_000, 20_000].map(|total| (total, scene.call(Shout::new(total)))).into();
    for (total, client) in clients {
        assert_eq!(scene.result(client).map(|shout| shout.heard), Ok(total));
    }
}

/// Says something, and hears all there is.
struct Say {
    text: &'static [u8],
    said: usize,
    heard: Vec<u8>,
    /// Ends when this many lines have come.
    lines: usize,
}

fn say(text: &'static str, lines: usize) -> Say {
    Say { text: text.as_bytes(), said: 0, heard: Vec::new(), lines }
}

impl Talk for Say {
    type Error = Error;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
        while self.said < self.text.len() {
            self.said += wire.send(&self.text[self.said..])?;
        }
        while self.heard.split(|&byte| byte == b'\n').count() <= self.lines {
            let mut buf = [0; 64];
            match wire.recv(&mut buf)? {
                0 => return Ok(()),
                count => self.heard.extend(&buf[..count]),
            }
        }
        Ok(())
    }
}

type Greeter = Lines<fn(&[u8], &mut Reply<'_>) -> Result<(), Error>, 32>;

fn greeter(_: SocketAddr) -> Greeter {
    Lines::new(|name, reply| {
        if name == b"bye" {
            reply.end();
        }
        [b"hello ", name, b"\n"].iter().try_for_each(|part| reply.push(part))
    })
}

pub fn lines_are_answered_each_and_one_too_long_cuts_the_connection<P: Pair>(pair: &mut P) {
    let mut scene = scene(pair, Patience::default(), greeter);
    let ada = scene.call(say("Ada\nGrace\r\n\n", 3));
    let bye = scene.call(say("bye\nlate\n", 9));
    assert_eq!(scene.result(ada).map(|say| say.heard), Ok(b"hello Ada\nhello Grace\nhello \n".to_vec()));
    assert_eq!(scene.result(bye).map(|say| say.heard), Ok(b"hello bye\n".to_vec()));
    let long = scene.call(say("a line that is longer than its server has room for\n", 1));
    assert!(matches!(scene.result(long), Err(Failure::Failed(Error::Reset))));
}

pub fn silence_ends_a_connection_and_nobody_stays_for_ever<P: Pair>(pair: &mut P) {
    let patience = Patience { silence: Duration::from_millis(200), whole: Duration::from_millis(600) };
    let mut scene = scene(pair, patience, greeter);
    let mute = scene.call(say("", 1));
    assert!(matches!(scene.result(mute), Err(Failure::Failed(Error::Reset))));
    // Who goes on and on is heard for its time, and no longer.
    let socket = scene.pair.client().connect(scene.address).expect("a free socket");
    let (mut said, start) = (0, scene.now);
    while scene.now < start + Duration::from_secs(4) {
        scene.turn();
        match scene.pair.client().send(socket, b"x\n") {
            Ok(_) => said += 1,
            Err(nb::Error::Other(Error::NotConnected) | nb::Error::WouldBlock) => {}
            Err(nb::Error::Other(_)) => break,
        }
        let _ = scene.pair.client().recv(socket, &mut [0; 64]);
    }
    let took = scene.now - start;
    assert!(said > 10 && took > Duration::from_millis(500) && took < Duration::from_secs(3), "{said} {took:?}");
    scene.pair.client().close(socket);
    assert_eq!(scene.server.connections(), 0);
}

pub fn stopped_a_server_answers_whom_it_has_begun_to_and_lets_the_silent_go<P: Pair>(pair: &mut P) {
    let mut scene = scene(pair, Patience::default(), |_| Echo::<300>::new());
    let (silent, busy) = (scene.call(Shout::new(0)), scene.call(Shout::new(20_000)));
    // The silent one is done at once; another takes its place, and says nothing.
    scene.result(silent).unwrap();
    let socket = scene.pair.client().connect(scene.address).expect("a free socket");
    for _ in 0..30 {
        scene.turn();
    }
    scene.server.stop(scene.pair.server());
    // What is on its way is sent back as long as there is no pause in it.
    let result = scene.result(busy);
    assert!(matches!(result, Ok(_) | Err(Failure::Failed(_))));
    for _ in 0..TURNS {
        if scene.server.connections() == 0 {
            break;
        }
        scene.turn();
    }
    assert_eq!(scene.server.connections(), 0);
    let ended = (0..TURNS).any(|_| {
        scene.turn();
        !matches!(scene.pair.client().recv(socket, &mut [0]), Err(nb::Error::WouldBlock))
    });
    assert!(ended, "the silent one was let go");
    let late = scene.call(Shout::new(1));
    assert!(scene.result(late).is_err(), "and nobody else gets in");
}

pub fn datagrams_are_answered_and_those_too_long_are_not<P: Pair>(pair: &mut P) {
    let at = pair.server_addr();
    let mut upper = Answering::<_, 16>::new(|buffer: &mut [u8], len, _| {
        buffer[..len].make_ascii_uppercase();
        (len > 0).then_some(len)
    });
    let port = upper.bind(pair.server(), at).expect("a free port").port();
    let server = SocketAddr::new(at.ip(), port);
    // The address that the client's end has itself is not known here: any will do.
    let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = pair.client().bind(any.parse().expect("an address")).expect("a free socket");
    let mut answers = Vec::new();
    for text in [&b"tide"[..], b"", b"longer than its buffer", b"mill"] {
        for _ in 0..200 {
            match pair.client().send_to(client, text, server) {
                Ok(()) => break,
                Err(nb::Error::WouldBlock) => pair.settle(),
                Err(nb::Error::Other(error)) => panic!("{error}"),
            }
        }
        for _ in 0..50 {
            upper.turn(EPOCH, pair.server());
            pair.settle();
            let mut buf = [0; 64];
            if let Ok((len, from)) = pair.client().recv_from(client, &mut buf) {
                assert_eq!(from.port(), port);
                answers.push(buf[..len].to_vec());
            }
        }
    }
    assert_eq!(answers, [b"TIDE".to_vec(), b"MILL".to_vec()]);
}

pub fn several_services_share_one_network<P: Pair>(pair: &mut P)
where
    P::Stack: 'static,
{
    let at = pair.server_addr();
    let echo: fn(SocketAddr) -> Echo<64> = |_| Echo::new();
    let greet: fn(SocketAddr) -> Greeter = greeter;
    let upper = Answering::<_, 16>::new(|buffer: &mut [u8], len, _| {
        buffer[..len].make_ascii_uppercase();
        Some(len)
    });
    let echo = Serving::new(Sessions::new(echo, Patience::default()), [const { Slot::EMPTY }; SLOTS]);
    let greeter = Serving::new(Sessions::new(greet, Patience::default()), [const { Slot::EMPTY }; SLOTS]);
    let mut all = Beside((echo, greeter, upper));
    let net = pair.server();
    let at_echo = all.0.0.listen(net, at, 2).expect("a free port");
    let at_greeter = all.0.1.listen(net, at, 2).expect("a free port");
    let at_upper = all.0.2.bind(net, at).expect("a free port");

    let mut clients = Clients::<Say>::new([const { Slot::EMPTY }; 4]);
    let mut call = |to: SocketAddr, talk: Say| {
        let call = Call::new(SocketAddr::new(at.ip(), to.port()), talk, Patience::default());
        clients.pool.submit(call).unwrap_or_else(|_| panic!("four clients at once"))
    };
    // As many of each as have a place, so that tokens of one are tokens of the other.
    let texts = ["tide\n", "mill\n"];
    let ids = texts.map(|text| (call(at_echo, say(text, 1)), call(at_greeter, say(text, 1))));
    let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = pair.client().bind(any.parse().expect("an address")).expect("a free socket");
    let to = SocketAddr::new(at.ip(), at_upper.port());
    let (mut now, mut answer) = (EPOCH, None);
    for turn in 0..TURNS {
        if turn % 500 == 0 && answer.is_none() {
            // What is lost before the ends know each other's addresses is sent again.
            let _ = pair.client().send_to(socket, b"high water", to);
        }
        let mut buf = [0; 16];
        if let Ok((len, _)) = pair.client().recv_from(socket, &mut buf) {
            answer = Some(buf[..len].to_vec());
        }
        all.turn(now, pair.server());
        clients.turn(now, pair.client(), &mut ());
        pair.settle();
        now += TURN;
        if answer.is_some() && clients.pool.live() == 0 {
            break;
        }
    }
    assert_eq!(answer.as_deref(), Some(&b"HIGH WATER"[..]));
    for (text, (echo, greeter)) in texts.into_iter().zip(ids) {
        assert_eq!(clients.pool.result(echo).map(|say| say.heard), Ok(text.into()));
        assert_eq!(clients.pool.result(greeter).map(|say| say.heard), Ok(format!("hello {text}").into()));
    }
}

/// A test for each row, on what `$make` makes.
#[macro_export]
macro_rules! servers {
    ($make:expr) => {
        $crate::servers!(@each $make;
            an_echo_gives_back_every_byte_to_more_clients_than_it_has_room_for,
            lines_are_answered_each_and_one_too_long_cuts_the_connection,
            silence_ends_a_connection_and_nobody_stays_for_ever,
            stopped_a_server_answers_whom_it_has_begun_to_and_lets_the_silent_go,
            datagrams_are_answered_and_those_too_long_are_not,
            several_services_share_one_network,
        );
    };
    (@each $make:expr; $($row:ident,)*) => {
        $(#[test]
        fn $row() {
            $crate::servers::$row(&mut $make());
        })*
    };
}
