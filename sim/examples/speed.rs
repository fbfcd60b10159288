//! How many worlds a second one core gets through: `cargo run --release -p tidemill-sim --example speed [-- SECONDS]`.
//!
//! *tiny*: three clients ask a server ten questions each, over links that lose and reorder two of a hundred frames.
//! *download*: 64 KiB over four connections and a link of 20 ms, with whatever the seed lets go wrong. Each is run bare, and
//! with the wire monitor that `check` sets.

use std::time::{Duration as Span, Instant as Wall};

use tidemill_core::executor::Program;
use tidemill_core::fetch::Options;
use tidemill_core::net::{Handle, Interest, Stack, Token};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::fault::Menu;
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::mill::{Mill, Scenario};
use tidemill_sim::world::World;

const ASKED: u32 = 10;
const LEN: usize = 16;

/// Answers each question with itself.
#[derive(Default)]
struct Server {
    listener: Option<Handle>,
    clients: Vec<Handle>,
}

impl<S: Stack> Program<S> for Server {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let listener = *self.listener.get_or_insert_with(|| net.listen(([0, 0, 0, 0], 80).into(), 3).expect("a port"));
        while let Ok((client, _)) = net.accept(listener) {
            self.clients.push(client);
        }
        let _ = net.watch(listener, Interest::Read, Token(0));
        self.clients.retain(|&client| {
            let mut question = [0; LEN];
            loop {
                match net.recv(client, &mut question) {
                    Ok(len @ 1..) => drop(net.send(client, &question[..len])),
                    Err(nb::Error::WouldBlock) => return net.watch(client, Interest::Read, Token(1)).is_ok(),
                    _ => {
                        net.close(client);
                        return false;
                    }
                }
            }
        });
        None
    }
}

/// Asks, one question after the other.
struct Client {
    server: std::net::IpAddr,
    socket: Option<Handle>,
    sent: bool,
    received: usize,
    done: u32,
}

impl<S: Stack> Program<S> for Client {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let socket = *self.socket.get_or_insert_with(|| net.connect((self.server, 80).into()).expect("a socket"));
        if net.connected(socket).is_err() {
            let _ = net.watch(socket, Interest::Write, Token(0));
            return None;
        }
        while self.done < ASKED {
            if !std::mem::replace(&mut self.sent, true) {
                let _ = net.send(socket, &[7; LEN]);
            }
            let Ok(len) = net.recv(socket, &mut [0; LEN]) else {
                let _ = net.watch(socket, Interest::Read, Token(0));
                return None;
            };
            self.received += len;
            if self.received == LEN {
                (self.sent, self.received) = (false, 0);
                self.done += 1;
            }
        }
        net.close(socket);
        None
    }
}

fn tiny(world: &mut World) {
    let tuning = Tuning { receive_bytes: 512, send_bytes: 512, datagram_sockets: 0, ..Tuning::default() };
    let server = world.tuned_host::<_, 8>("server", [10, 0, 0, 1], tuning, |_| Server::default()).expect("a name");
    let link = Link::new().jitter(Duration::from_millis(4)).loss_ppm(20_000).reorder_ppm(20_000);
    let mut clients = Vec::with_capacity(3);
    for n in 0..3_u8 {
        let client = world.open_host::<2>(["a", "b", "c"][usize::from(n)], [10, 0, 0, 2 + n], tuning).expect("a name");
        world.link(client, server, link).expect("both are there");
        let server = std::net::Ipv4Addr::new(10, 0, 0, 1).into();
        clients.push((client, Client { server, socket: None, sent: false, received: 0, done: 0 }));
    }
    while clients.iter().any(|(_, client)| client.done < ASKED) && world.now() < EPOCH + Duration::from_hours(1) {
        world.step().expect("no host is stuck").expect("they go on");
        for (host, client) in &mut clients {
            world.lend::<2>(*host, client);
        }
    }
}

fn download(world: &mut World) {
    let scenario: Scenario = "sim://mill/64KiB?rtt=20ms&loss=1%&rate=50mbps".parse().expect("a scenario");
    let mut mill = Mill::<16, _>::within(world, &scenario).expect("an empty world");
    let (server, client) = (mill.server(), mill.client());
    let menu = Menu { horizon: Duration::from_secs(1), hosts: vec![server], links: vec![(server, client)] };
    mill.world_mut().draw_faults(&menu).expect("they are there");
    let options = Options { split_min: 16 << 10, retries: 20, ..Options::default() };
    let end = mill.download(&scenario, 4, options).expect("no host is stuck");
    assert_eq!(end.outcome, Some(Ok(64 << 10)));
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the clock is what is measured with")]
fn main() {
    let seconds = std::env::args().nth(1).map_or(2, |seconds| seconds.parse().expect("SECONDS is a number"));
    for (name, run) in [("tiny", tiny as fn(&mut World)), ("download", download)] {
        for watched in [false, true] {
            let began = Wall::now();
            let (mut seeds, mut events) = (0, 0);
            let limit = Span::from_secs(seconds);
            while seeds % 64 > 0 || began.elapsed() < limit {
                let mut world = World::new(seeds);
                if watched {
                    world.watch_wire();
                }
                run(&mut world);
                seeds += 1;
                events += world.trace().events();
            }
            let rate = seeds as f64 / began.elapsed().as_secs_f64();
            let monitor = if watched { "with the wire monitor" } else { "bare" };
            println!("{name:<9} {rate:>8.0} seeds/s {monitor}, {} events each", events / seeds);
        }
    }
}
