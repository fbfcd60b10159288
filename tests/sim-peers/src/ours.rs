//! tidemill.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tidemill_core::executor::Program;
use tidemill_core::net::{Handle, Interest, Stack, Token};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::world::World;

use crate::{ANSWER_MAX, Asking, QUESTION};

const PORT: u16 = 80;

fn address(number: usize) -> IpAddr {
    let [_, _, high, low] = (number as u32 + 1).to_be_bytes();
    Ipv4Addr::new(10, 0, high, low).into()
}

/// Answers every question, on any number of connections.
struct Server {
    answer: usize,
    backlog: usize,
    listener: Option<Handle>,
    open: Vec<(Handle, usize, usize)>,
}

impl Server {
    fn new(answer: usize, backlog: usize) -> Self {
        Self { answer, backlog, listener: None, open: Vec::new() }
    }
}

impl<S: Stack> Program<S> for Server {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        let any = (Ipv4Addr::UNSPECIFIED, PORT).into();
        let listener = *self.listener.get_or_insert_with(|| net.listen(any, self.backlog).expect("the port is free"));
        while let Some(Token(token)) = net.next_ready() {
            if token == 0 {
                continue;
            }
            let (socket, asked, owed) = &mut self.open[token as usize - 1];
            let mut buffer = [0; ANSWER_MAX];
            loop {
                while *owed > 0 {
                    match net.send(*socket, &buffer[..*owed]) {
                        Ok(sent) => *owed -= sent,
                        Err(_) => break,
                    }
                }
                if *owed > 0 {
                    net.watch(*socket, Interest::Write, Token(token)).expect("it is open");
                    break;
                }
                match net.recv(*socket, &mut buffer[*asked..QUESTION]) {
                    Ok(0) => {
                        net.close(*socket);
                        break;
                    }
                    Ok(count) => *asked += count,
                    Err(nb::Error::WouldBlock) => {
                        net.watch(*socket, Interest::Read, Token(token)).expect("it is open");
                        break;
                    }
                    Err(_) => break,
                }
                if *asked == QUESTION {
                    (*asked, *owed) = (0, self.answer);
                }
            }
        }
        while let Ok((socket, _)) = net.accept(listener) {
            self.open.push((socket, 0, 0));
            net.watch(socket, Interest::Read, Token(self.open.len() as u32)).expect("it is open");
        }
        net.watch(listener, Interest::Read, Token(0)).expect("it listens");
        None
    }
}

struct Client {
    server: SocketAddr,
    asking: Asking,
    socket: Option<Handle>,
    asked: bool,
    received: usize,
    times: usize,
    next: Instant,
    open: Rc<Cell<usize>>,
}

impl<S: Stack> Program<S> for Client {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let server = self.server;
        let socket = *self.socket.get_or_insert_with(|| net.connect(server).expect("there is a socket"));
        if net.connected(socket) == Err(nb::Error::WouldBlock) {
            net.watch(socket, Interest::Write, Token(0)).expect("it is open");
            return None;
        }
        while self.times < self.asking.times {
            if now < self.next {
                return Some(self.next);
            }
            if !self.asked {
                match net.send(socket, &[1; QUESTION]) {
                    Err(nb::Error::WouldBlock) => {
                        net.watch(socket, Interest::Write, Token(0)).expect("it is open");
                        return None;
                    }
                    sent => assert_eq!(sent, Ok(QUESTION)),
                }
                self.asked = true;
            }
            let mut buffer = [0; ANSWER_MAX];
            while self.received < self.asking.answer {
                match net.recv(socket, &mut buffer) {
                    Ok(count) if count > 0 => self.received += count,
                    Err(nb::Error::WouldBlock) => {
                        net.watch(socket, Interest::Read, Token(0)).expect("it is open");
                        return None;
                    }
                    other => panic!("{other:?}"),
                }
            }
            (self.asked, self.received) = (false, 0);
            self.times += 1;
            self.next = now + Duration::from_ticks(self.asking.pause.as_micros() as u64);
        }
        if self.times == self.asking.times {
            self.times += 1;
            self.open.set(self.open.get() - 1);
            net.close(socket);
        }
        None
    }
}

/// Every host's buffers: enough for what is asked, which is nothing of UDP.
fn tuning() -> Tuning {
    Tuning { receive_bytes: 4096, send_bytes: 4096, datagram_sockets: 0, ..Tuning::default() }
}

pub fn ask(seed: u64, asking: Asking) {
    // A stack looks at each of its sockets at each turn: as many as are needed, those that listen included.
    match asking.clients {
        0..=4 => ask_of::<8>(seed, asking),
        5..=20 => ask_of::<40>(seed, asking),
        _ => ask_of::<128>(seed, asking),
    }
}

fn ask_of<const N: usize>(seed: u64, asking: Asking) {
    let mut world = World::new(seed);
    // All ask at once, and a peer's listener has no limit.
    let backlog = asking.clients;
    let server = world
        .tuned_host::<_, N>("server", address(0), tuning(), move |_| Server::new(asking.answer, backlog))
        .expect("it is the first");
    let micros = |time: std::time::Duration| Duration::from_ticks(time.as_micros() as u64);
    let link = Link::new().latency(micros(asking.latency.0)).jitter(micros(asking.latency.1 - asking.latency.0));
    let open = Rc::new(Cell::new(asking.clients));
    for number in 0..asking.clients {
        let open = Rc::clone(&open);
        let make = move |_: tidemill_sim::world::Boot<'_>| Client {
            server: (address(0), PORT).into(),
            asking,
            socket: None,
            asked: false,
            received: 0,
            times: 0,
            next: EPOCH,
            open: Rc::clone(&open),
        };
        let name = format!("client {number}");
        let client = world.tuned_host::<_, 1>(&name, address(number + 1), tuning(), make).expect("it is new");
        world.link(client, server, link).expect("both are hosts");
    }
    let limit = EPOCH + Duration::from_hours(10);
    let done = world.run_until_done(limit, |_| open.get() == 0).expect("no host is stuck");
    assert!(done, "{} clients did not end", open.get());
}

/// Takes what comes; or sends so many bytes.
struct Pump {
    to: Option<SocketAddr>,
    socket: Option<Handle>,
    left: usize,
    open: Rc<Cell<usize>>,
    buffer: Vec<u8>,
}

impl<S: Stack> Program<S> for Pump {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let Some(to) = self.to else {
            // The listener's first, then the connection's.
            let listener = *self
                .socket
                .get_or_insert_with(|| net.listen((Ipv4Addr::UNSPECIFIED, PORT).into(), 1).expect("it is free"));
            if let Ok((socket, _)) = net.accept(listener) {
                self.socket = Some(socket);
            }
            let socket = self.socket.expect("it was set above");
            while let Ok(count) = net.recv(socket, &mut self.buffer) {
                self.left = self.left.saturating_sub(count);
                if self.left == 0 || count == 0 {
                    self.open.set(0);
                    return None;
                }
            }
            net.watch(socket, Interest::Read, Token(0)).expect("it is open");
            return None;
        };
        let socket = *self.socket.get_or_insert_with(|| net.connect(to).expect("there is a socket"));
        if net.connected(socket) == Err(nb::Error::WouldBlock) {
            net.watch(socket, Interest::Write, Token(0)).expect("it is open");
            return None;
        }
        while self.left > 0 {
            let len = self.left.min(self.buffer.len());
            match net.send(socket, &self.buffer[..len]) {
                Ok(sent) => self.left -= sent,
                Err(_) => {
                    net.watch(socket, Interest::Write, Token(0)).expect("it is open");
                    return None;
                }
            }
        }
        None
    }
}

pub fn bulk(bytes: usize) {
    let mut world = World::new(1);
    let tuning = Tuning { receive_bytes: 1 << 20, send_bytes: 1 << 20, ..Tuning::default() };
    let open = Rc::new(Cell::new(1));
    let pump = |to: Option<SocketAddr>| {
        let open = Rc::clone(&open);
        move |_: tidemill_sim::world::Boot<'_>| Pump {
            to,
            socket: None,
            left: bytes,
            open: Rc::clone(&open),
            buffer: vec![7; 64 << 10],
        }
    };
    let server = world.tuned_host::<_, 2>("server", address(0), tuning, pump(None)).expect("it is the first");
    let client = world
        .tuned_host::<_, 1>("client", address(1), tuning, pump(Some((address(0), PORT).into())))
        .expect("it is the second");
    world.link(client, server, Link::new()).expect("both are hosts");
    let done = world.run_until_done(EPOCH + Duration::from_hours(1), |_| open.get() == 0).expect("no host is stuck");
    assert!(done, "the transfer did not end");
}

/// Sleeps.
struct Idle;

impl<S: Stack> Program<S> for Idle {
    fn turn(&mut self, now: Instant, _: &mut S) -> Option<Instant> {
        Some(now + Duration::from_hours(1))
    }
}

pub fn idle(hosts: usize) {
    let mut world = World::new(1);
    for number in 0..hosts {
        world.tuned_host::<_, 1>(&format!("host {number}"), address(number), tuning(), |_| Idle).expect("it is new");
    }
    world.run_until(EPOCH + Duration::from_secs(1)).expect("no host is stuck");
}
