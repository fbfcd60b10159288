//! Three tasks read a body each from a server, and try again when a connection is cut: a lost wake-up, an off-by-one in
//! chunked decoding, a lost FIN.

use core::net::{Ipv4Addr, SocketAddr};

use tidemill_core::executor::{Executor, Program};
use tidemill_core::http::chunked::{Decoder, Error as ChunkError, Event};
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::pool::Slot;
use tidemill_core::random::{below, draw};
use tidemill_core::task::{Context, Task};
use tidemill_core::time::{Duration, Instant};
use tidemill_sim::fault::{Fault, Menu, draw_link};
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::oracle::{Baseline, Stream, liveness};
use tidemill_sim::world::World;

use crate::stack::{Bug, Mutant, Sound};
use crate::{Outcome, hunt};

const READERS: usize = 3;
const SOCKETS: usize = 16;
const WINDOW: usize = 2048;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// How long a body is: often just what a send buffer holds, or nearly.
fn length(seed: u64) -> usize {
    match below(draw(seed, &[1]), 4) {
        0 => WINDOW,
        1 => WINDOW - 1 + below(draw(seed, &[2]), 3) as usize,
        _ => below(draw(seed, &[2]), 30_000) as usize,
    }
}

/// The body as it goes over the wire: in chunks of all sizes.
fn chunked(seed: u64) -> Vec<u8> {
    let (mut stream, mut wire, mut left) = (Stream::new(seed), Vec::new(), length(seed));
    while left > 0 {
        let size = left.min(1 + below(draw(seed, &[3, left as u64]), 300) as usize);
        let mut chunk = vec![0; size];
        stream.make(&mut chunk);
        wire.extend(format!("{size:x}\r\n").bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
        left -= size;
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

fn plain(seed: u64) -> Vec<u8> {
    let mut wire = vec![0; length(seed)];
    Stream::new(seed).make(&mut wire);
    wire
}

/// Sends everybody the same, and ends.
struct Server {
    wire: Vec<u8>,
    listener: Option<Handle>,
    clients: Vec<(Handle, usize)>,
}

impl Server {
    fn new(wire: Vec<u8>) -> Self {
        Self { wire, listener: None, clients: Vec::new() }
    }
}

impl<S: Stack> Program<S> for Server {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        let listener = *self.listener.get_or_insert_with(|| net.listen(any, 4).expect("the port is free"));
        while let Ok((socket, _)) = net.accept(listener) {
            self.clients.push((socket, 0));
        }
        net.watch(listener, Interest::Read, Token(0)).expect("it listens");
        let wire = &self.wire;
        self.clients.retain_mut(|(socket, sent)| {
            while *sent < wire.len() {
                match net.send(*socket, &wire[*sent..]) {
                    Ok(count) => *sent += count,
                    Err(nb::Error::WouldBlock) => return net.watch(*socket, Interest::Write, Token(1)).is_ok(),
                    Err(nb::Error::Other(_)) => {
                        net.close(*socket);
                        return false;
                    }
                }
            }
            if *sent == wire.len() {
                *sent += 1;
                let _ = net.shutdown(*socket);
            }
            // The client closes its half when it has read to the end.
            if net.recv(*socket, &mut [0; 8]) == Err(nb::Error::WouldBlock) {
                return net.watch(*socket, Interest::Read, Token(1)).is_ok();
            }
            net.close(*socket);
            false
        });
        None
    }
}

/// From bytes of the wire to bytes of the body.
trait Decode: Default + 'static {
    fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), ChunkError>;
}

impl Decode for Decoder {
    fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), ChunkError> {
        Decoder::receive(self, input)
    }
}

/// Takes the carriage return after a chunk for a part of it when nothing else follows yet.
#[derive(Default)]
struct OffByOne(Decoder);

impl Decode for OffByOne {
    fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), ChunkError> {
        Ok(match self.0.receive(input)? {
            (taken, Event::Data(data)) if taken + 1 == input.len() => {
                let from = taken - data.len();
                (self.0.receive(&input[taken..])?.0 + taken, Event::Data(&input[from..]))
            }
            other => other,
        })
    }
}

/// Every byte is of the body.
#[derive(Default)]
struct Plain;

impl Decode for Plain {
    fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), ChunkError> {
        Ok(if input.is_empty() { (0, Event::NeedMore) } else { (input.len(), Event::Data(input)) })
    }
}

/// Reads the body, from its beginning when the connection is lost. Waits for its socket and for nothing else: who forgets
/// to wake it, it never comes back.
struct Reader<D> {
    seed: u64,
    socket: Option<Handle>,
    decoder: D,
    stream: Stream,
    retry_at: Option<Instant>,
}

impl<D: Decode> Reader<D> {
    fn new(seed: u64) -> Self {
        Self { seed, socket: None, decoder: D::default(), stream: Stream::new(seed), retry_at: None }
    }

    fn read<S: Stack>(&mut self, cx: &mut Context<'_, S, Vec<String>>) -> nb::Result<(), Error> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(cx.net.connect((SERVER, 80).into())?),
        };
        if let Err(error) = cx.net.connected(socket) {
            cx.wait_for(socket, Interest::Write)?;
            return Err(error);
        }
        let mut buf = [0; 512];
        loop {
            match cx.net.recv(socket, &mut buf) {
                Ok(0) => return Ok(()),
                Ok(count) => self.take(&buf[..count], cx.shared),
                Err(nb::Error::WouldBlock) => {
                    cx.wait_for(socket, Interest::Read)?;
                    return Err(nb::Error::WouldBlock);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, mut input: &[u8], offences: &mut Vec<String>) {
        loop {
            match self.decoder.receive(input) {
                Ok((taken, Event::Data(data))) => {
                    offences.extend(self.stream.take(data).err());
                    input = &input[taken..];
                }
                Ok(_) => return,
                Err(error) => return offences.push(format!("[stream] {error}")),
            }
        }
    }
}

impl<S: Stack, D: Decode> Task<S, Vec<String>> for Reader<D> {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Vec<String>>) -> nb::Result<(), ()> {
        if let Some(at) = self.retry_at
            && cx.now < at
        {
            cx.wait_until(at);
            return Err(nb::Error::WouldBlock);
        }
        self.retry_at = None;
        match self.read(cx) {
            Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
            Ok(()) if self.stream.at() == length(self.seed) as u64 => {}
            Ok(()) => cx.shared.push(format!("[stream] it ended after {} bytes", self.stream.at())),
            Err(nb::Error::Other(_)) => {
                if let Some(socket) = self.socket {
                    cx.net.abort(socket);
                }
                *self = Self { retry_at: Some(cx.now + Duration::from_millis(200)), ..Self::new(self.seed) };
                return self.poll(cx);
            }
        }
        if let Some(socket) = self.socket {
            cx.net.close(socket);
        }
        Ok(())
    }
}

type Slots<D> = [Slot<Reader<D>, (), ()>; READERS];

struct Client<D> {
    readers: Executor<Reader<D>, Slots<D>, (), ()>,
    offences: Vec<String>,
}

impl<D: Decode> Client<D> {
    fn new(seed: u64) -> Self {
        let mut readers = Executor::new([const { Slot::EMPTY }; READERS]);
        for _ in 0..READERS {
            readers.pool.spawn(Reader::new(seed)).expect("there is room for three");
        }
        Self { readers, offences: Vec::new() }
    }
}

impl<S: Stack, D: Decode> Program<S> for Client<D> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.readers.turn(now, net, &mut self.offences)
    }
}

/// The world of all: a bad network for two seconds, then a good one, in which all must be read to the end.
fn transfer<D: Decode, C: Bug, V: Bug>(
    world: &mut World,
    wire: fn(u64) -> Vec<u8>,
    client_bug: fn() -> C,
    server_bug: fn() -> V,
) -> Outcome {
    let told = |error: tidemill_sim::world::Error| error.to_string();
    let seed = world.seed();
    let tuning = Tuning { receive_bytes: WINDOW, send_bytes: WINDOW, ..Tuning::default() };
    let server = world
        .tuned_host::<_, SOCKETS>("server", SERVER, tuning, move |_| Mutant {
            program: Server::new(wire(seed)),
            bug: server_bug(),
        })
        .map_err(told)?;
    let client = world.open_host::<SOCKETS>("client", [10, 0, 0, 2], tuning).map_err(told)?;
    let rate = 500_000 + draw(seed, &[4]) % 20_000_000;
    world.link(client, server, draw_link(seed, Link::new().rate_bps(rate))).map_err(told)?;
    let links = vec![(client, server), (server, client)];
    let menu = Menu { horizon: Duration::from_secs(2), hosts: vec![server, client], links };
    // Who only reads never learns that its peer has forgotten it, by a crash or by a reset that is lost.
    let forgets = |fault: &Fault| matches!(fault, Fault::Crash { .. } | Fault::Reset { .. });
    world.draw_faults_where(&menu, |fault| !forgets(fault)).map_err(told)?;
    // Its sockets are free; the server's listen.
    world.step().map_err(told)?;
    let quiet = Baseline::of(world);

    let mut reading = Mutant { program: Client::<D>::new(seed), bug: client_bug() };
    let mut done = |world: &mut World| {
        world.lend::<SOCKETS>(client, &mut reading);
        reading.program.readers.pool.live() == 0 || !reading.program.offences.is_empty()
    };
    let horizon = world.now() + Duration::from_secs(3);
    while !done(world) && world.step_until(horizon).map_err(told)? {}
    // A minute for the retransmission timer, two until a peer that forgot is given up.
    liveness(world, Duration::from_secs(300), done)?;
    if let Some(offence) = reading.program.offences.into_iter().next() {
        return Err(offence);
    }
    // TIME-WAIT, and a server that lost its client's FIN.
    world.run_until(world.now() + Duration::from_secs(200)).map_err(told)?;
    quiet.check(world)
}

/// When several sockets become ready at once, the last one is heard of.
struct OneLetterBox;

impl Bug for OneLetterBox {
    fn next_ready<S: Stack>(&mut self, net: &mut S) -> Option<Token> {
        std::iter::from_fn(|| net.next_ready()).last()
    }
}

#[test]
fn a_lost_wake_up() {
    hunt(
        "[liveness]",
        |world| transfer::<Plain, _, _>(world, plain, || Sound, || Sound),
        |world| transfer::<Plain, _, _>(world, plain, || OneLetterBox, || Sound),
    );
}

#[test]
fn an_off_by_one_in_chunked_decoding() {
    hunt(
        "[stream]",
        |world| transfer::<Decoder, _, _>(world, chunked, || Sound, || Sound),
        |world| transfer::<OffByOne, _, _>(world, chunked, || Sound, || Sound),
    );
}

/// When what was sent in this turn is exactly what the window holds, the end of the stream is forgotten.
#[derive(Default)]
struct FullWindow(Vec<(Handle, usize)>);

impl Bug for FullWindow {
    fn begin(&mut self) {
        self.0.clear();
    }
    fn send<S: Stack>(&mut self, net: &mut S, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        let sent = net.send(socket, buf)?;
        self.0.push((socket, sent));
        Ok(sent)
    }
    fn shutdown<S: Stack>(&mut self, net: &mut S, socket: Handle) -> Result<(), Error> {
        let now: usize = self.0.iter().filter(|(to, _)| *to == socket).map(|(_, sent)| sent).sum();
        if now == WINDOW { Ok(()) } else { net.shutdown(socket) }
    }
}

#[test]
fn a_fin_that_is_dropped_when_a_window_is_exactly_full() {
    hunt(
        "[liveness]",
        |world| transfer::<Plain, _, _>(world, plain, || Sound, || Sound),
        |world| transfer::<Plain, _, _>(world, plain, || Sound, FullWindow::default),
    );
}
