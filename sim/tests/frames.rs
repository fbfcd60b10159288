//! Links of frames in simulated worlds: over TCP whose network fails, and over serial lines with wrong bits.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tidemill_core::executor::Program;
use tidemill_core::frame::Carrier;
use tidemill_core::frame::link::{self, Config, Endpoint, Post, Reliable};
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::random::{below, draw};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::check::check;
use tidemill_sim::fault::Menu;
use tidemill_sim::link::Link;
use tidemill_sim::serial::{self, Line, Port};
use tidemill_sim::world::World;

const CHANNELS: usize = 2;
const MESSAGES: u64 = 12;

/// The messages that one end sends, in order, and on which channel.
fn messages(seed: u64, end: u64, longest: u64) -> impl Iterator<Item = (u8, Vec<u8>)> {
    (0..MESSAGES).map(move |number| {
        let key = |what| [end, number, what];
        let len = below(draw(seed, &key(0)), longest);
        let channel = below(draw(seed, &key(1)), CHANNELS as u64);
        (channel as u8, (0..len).map(|at| draw(seed, &[end, number, 2, at]) as u8).collect())
    })
}

/// What an end sends on each channel.
fn by_channel(seed: u64, end: u64, longest: u64) -> [Vec<Vec<u8>>; CHANNELS] {
    let mut all = [const { Vec::new() }; CHANNELS];
    messages(seed, end, longest).for_each(|(channel, message)| all[usize::from(channel)].push(message));
    all
}

/// One end: sends its messages, keeps what comes, and says goodbye once it has all that it waits for.
struct End {
    endpoint: Endpoint<'static, Vec<u8>, CHANNELS, 0, Reliable>,
    to_send: VecDeque<(u8, Vec<u8>)>,
    /// How much of the first of them was sent.
    sent: usize,
    received: [Vec<Vec<u8>>; CHANNELS],
    /// Says goodbye when it has sent all and received so many.
    expects: usize,
}

impl End {
    fn new(config: Config<'static>, seed: u64, end: u64, longest: u64, expects: usize) -> Self {
        let config = Config { nonce: [end as u8 + 1; 16], payload_max: 64, window: 400, transmit: 600, ..config };
        Self {
            endpoint: Endpoint::reliable(config, vec![0; config.memory(CHANNELS)]).expect("it fits"),
            to_send: messages(seed, end, longest).collect(),
            sent: 0,
            received: [const { Vec::new() }; CHANNELS],
            expects,
        }
    }

    /// Sends what can be sent, takes what has come.
    fn talk(&mut self) {
        let mut link = self.endpoint.link();
        while let Some((channel, message)) = self.to_send.front() {
            match link.send(*channel, Post::Data, message, self.sent) {
                Ok(end) if end == message.len() => {
                    self.sent = 0;
                    self.to_send.pop_front();
                }
                Ok(end) => self.sent = end,
                Err(_) => break,
            }
        }
        for (channel, received) in (0..).zip(&mut self.received) {
            while let Some(message) = link.peek(channel) {
                received.push(message.payload.to_vec());
                link.pop(channel);
            }
        }
        while link.poll_event().is_some() {}
        if self.to_send.is_empty() && self.count() >= self.expects && self.endpoint.link().is_open() {
            self.endpoint.link().close();
        }
    }

    fn count(&self) -> usize {
        self.received.iter().map(Vec::len).sum()
    }

    fn ended(&mut self) -> Option<Result<(), link::Error>> {
        self.endpoint.link().ended().map(|why| why.map_or(Ok(()), Err))
    }
}

/// On a serial line.
struct OnLine(End);

impl serial::Program for OnLine {
    fn turn(&mut self, now: Instant, port: &mut Port<'_>) -> Option<Instant> {
        let mut buffer = [0; 64];
        loop {
            let read = port.read(&mut buffer);
            if read == 0 {
                break;
            }
            self.0.endpoint.link().handle_input(now, &buffer[..read]);
        }
        loop {
            self.0.talk();
            let mut link = self.0.endpoint.link();
            let output = link.poll_output(now);
            if output.is_empty() {
                return link.poll_timeout();
            }
            let count = port.write(output);
            link.wrote(count);
            if count == 0 {
                return Some(now + Duration::from_millis(1));
            }
        }
    }
}

/// Two ends of a serial line with this share of wrong bits. What each has received, when both have parted or `until` came.
fn line(
    world: &mut World,
    ppm: u32,
    config: Config<'static>,
    expects: usize,
    until: Duration,
) -> Result<[[Vec<Vec<u8>>; CHANNELS]; 2], String> {
    let seed = world.seed();
    let why = |error: tidemill_sim::world::Error| error.to_string();
    let a = world.serial_host("a", move |_| OnLine(End::new(config, seed, 0, 150, expects))).map_err(why)?;
    let b = world.serial_host("b", move |_| OnLine(End::new(config, seed, 1, 150, expects))).map_err(why)?;
    world.serial_line(a, b, Line::new(115_200).bit_error_ppm(ppm)).map_err(why)?;
    let ended = |world: &World, host| {
        // `ended` needs the end for itself, because a link borrows all of it.
        world.serial_program::<OnLine>(host).is_some_and(|end| end.0.count() >= expects && end.0.to_send.is_empty())
    };
    world.run_until_done(EPOCH + until, |world| ended(world, a) && ended(world, b)).map_err(why)?;
    Ok([a, b].map(|host| world.serial_program::<OnLine>(host).map(|end| end.0.received.clone()).unwrap_or_default()))
}

#[test]
fn a_reliable_link_on_a_line_with_one_wrong_bit_in_ten_thousand_delivers_everything_once_and_in_order() {
    check(0..1_000, |world| {
        let config = Config { reliable: true, reorder: 800, ..Config::new(Carrier::Line) };
        let (seed, all) = (world.seed(), MESSAGES as usize);
        let received = line(world, 100, config, all, Duration::from_secs(60))?;
        for (end, received) in (0..).zip(&received) {
            if *received != by_channel(seed, 1 - end, 150) {
                return Err(format!("end {end} received {:?}", received.each_ref().map(Vec::len)));
            }
        }
        world.sometimes("a frame that was lost", world.now() > EPOCH + Duration::from_millis(400));
        Ok(())
    });
}

#[test]
fn a_plain_link_on_such_a_line_delivers_nothing_that_was_not_sent_and_all_but_a_few_in_order() {
    let (all_lost, worlds) = (AtomicUsize::new(0), AtomicUsize::new(0));
    check(0..200, |world| {
        let seed = world.seed();
        let received = line(world, 100, Config::new(Carrier::Line), usize::MAX, Duration::from_secs(5))?;
        let mut lost = 0;
        for (end, received) in (0..).zip(&received) {
            for (received, sent) in received.iter().zip(by_channel(seed, 1 - end, 150)) {
                let mut sent = sent.iter();
                // Each is found after the one before it.
                if !received.iter().all(|message| sent.any(|sent| sent == message)) {
                    return Err("a message that was not sent, or out of order".into());
                }
            }
            lost += MESSAGES as usize - received.iter().map(Vec::len).sum::<usize>();
        }
        world.sometimes("a message that was lost", lost > 0);
        world.sometimes("nothing lost", lost == 0);
        all_lost.fetch_add(lost, Ordering::Relaxed);
        worlds.fetch_add(1, Ordering::Relaxed);
        Ok::<_, String>(())
    });
    // A frame of the greeting that is lost costs all that is sent until it is said again; else a message, now and then.
    let (lost, worlds) = (all_lost.into_inner(), worlds.into_inner());
    let sent = 2 * MESSAGES as usize * worlds;
    assert!(worlds < 100 || lost * 6 < sent, "{lost} of {sent} lost");
}

/// On a TCP connection: the one that listens, or the one that connects.
struct OnTcp {
    end: End,
    server: Option<IpAddr>,
    listener: Option<Handle>,
    socket: Option<Handle>,
    /// Why there is no connection, or none any more.
    failed: Option<Error>,
    over: Option<Result<(), link::Error>>,
}

const PORT: u16 = 7;

impl OnTcp {
    fn new(end: End, server: Option<IpAddr>) -> Self {
        Self { end, server, listener: None, socket: None, failed: None, over: None }
    }

    fn connection<S: Stack>(&mut self, net: &mut S) -> nb::Result<Handle, Error> {
        if let Some(socket) = self.socket {
            return Ok(socket);
        }
        if let Some(server) = self.server {
            self.socket = Some(net.connect((server, PORT).into())?);
        } else {
            let any = SocketAddr::from(([0, 0, 0, 0], PORT));
            let listener = *self.listener.get_or_insert_with(|| net.listen(any, 1).expect("the port is free"));
            net.watch(listener, Interest::Read, Token(0))?;
            self.socket = Some(net.accept(listener)?.0);
        }
        self.connection(net)
    }

    fn pump<S: Stack>(&mut self, now: Instant, net: &mut S) -> nb::Result<(), Error> {
        let socket = self.connection(net)?;
        if let Err(error) = net.connected(socket) {
            net.watch(socket, Interest::Both, Token(1))?;
            return Err(error);
        }
        let mut buffer = [0; 256];
        loop {
            let (mut stuck, mut interest) = (true, Interest::Read);
            self.end.talk();
            let mut link = self.end.endpoint.link();
            let output = link.poll_output(now);
            if !output.is_empty() {
                interest = Interest::Both;
                match net.send(socket, output) {
                    Ok(count) => {
                        link.wrote(count);
                        stuck = false;
                    }
                    Err(nb::Error::WouldBlock) => {}
                    Err(error) => return Err(error),
                }
            }
            match net.recv(socket, &mut buffer) {
                Ok(0) => {
                    link.handle_end();
                    return Ok(());
                }
                Ok(count) => {
                    link.handle_input(now, &buffer[..count]);
                    stuck = false;
                }
                Err(nb::Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            if stuck {
                if link.ended().is_some() && link.is_flushed() {
                    return Ok(());
                }
                net.watch(socket, interest, Token(1))?;
                return Err(nb::Error::WouldBlock);
            }
        }
    }
}

impl<S: Stack> Program<S> for OnTcp {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        if self.over.is_some() {
            return None;
        }
        match self.pump(now, net) {
            // Without a connection its time does not begin.
            Err(nb::Error::WouldBlock) => {
                return self.end.endpoint.link().poll_timeout().filter(|_| self.socket.is_some());
            }
            Err(nb::Error::Other(error)) => {
                self.failed = Some(error);
                self.end.endpoint.link().handle_end();
            }
            Ok(()) => {}
        }
        self.end.talk();
        self.over = self.end.ended();
        if let Some(socket) = self.socket {
            net.close(socket);
        }
        None
    }
}

#[test]
fn over_tcp_whose_network_fails_either_all_arrives_or_a_part_in_order_and_the_end_says_so() {
    check(0..1_000, |world| {
        const LONGEST: u64 = 300;
        let (seed, all) = (world.seed(), MESSAGES as usize);
        let config = Config { keep_alive: Some(Duration::from_secs(10)), ..Config::new(Carrier::Stream) };
        let why = |error: tidemill_sim::world::Error| error.to_string();
        let make = move |end, server| OnTcp::new(End::new(config, seed, end, LONGEST, all), server);
        let server = world.host("server", [10, 0, 0, 1], move |_| make(0, None)).map_err(why)?;
        let client = world.host("client", [10, 0, 0, 2], move |boot| make(1, boot.resolve("server")));
        let client = client.map_err(why)?;
        let link =
            Link::new().latency(Duration::from_millis(5)).rate_bps(1_000_000).loss_ppm(20_000).damage_ppm(10_000);
        world.link(client, server, link).map_err(why)?;
        let links = vec![(client, server), (server, client)];
        world
            .draw_faults(&Menu { horizon: Duration::from_millis(400), hosts: vec![], links })
            .map_err(|error| error.to_string())?;
        let over = |world: &World, host| world.program::<OnTcp>(host).and_then(|program| program.over);
        let until = EPOCH + Duration::from_minutes(10);
        world
            .run_until_done(until, |world| over(world, client).is_some() && over(world, server).is_some())
            .map_err(why)?;
        for (host, peer) in [(server, 1), (client, 0)] {
            let program = world.program::<OnTcp>(host).ok_or("it is on")?;
            let (received, sent) = (&program.end.received, by_channel(seed, peer, LONGEST));
            let whole = *received == sent;
            if !received.iter().zip(&sent).all(|(received, sent)| sent.starts_with(received)) {
                return Err("a message that was not sent, or out of order".to_owned());
            }
            let (over, failed, nothing) = (program.over, program.failed, received.iter().all(Vec::is_empty));
            world.sometimes("a good end", over == Some(Ok(())));
            world.sometimes("a broken pipe", over == Some(Err(link::Error::BrokenPipe)));
            match over {
                Some(Ok(())) if !whole => return Err("a goodbye, but something is missing".into()),
                // Who has not connected waits for ever, and so does who listens to him.
                None if failed.is_none() && nothing => {}
                None => return Err("it did not end".into()),
                _ => {}
            }
        }
        Ok(())
    });
}
