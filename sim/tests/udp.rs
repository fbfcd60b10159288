//! Datagrams between simulated hosts: what arrives is what was sent, and what is lost is asked for again.

use core::net::{Ipv4Addr, SocketAddr};

use tidemill_core::executor::Program;
use tidemill_core::net::{Datagrams, Handle, Interest, Token};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::check::check;
use tidemill_sim::fault::{Menu, draw_link};
use tidemill_sim::link::Link;
use tidemill_sim::oracle::{Ledger, liveness};
use tidemill_sim::world::World;

const PORT: u16 = 123;
const ANY: SocketAddr = SocketAddr::V4(core::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT));
const QUESTIONS: u8 = 20;
const RETRY: Duration = Duration::from_millis(300);

/// Answers each question once, and says the same again when it is asked again. It forgets what it was asked in a crash,
/// so it writes that into its flash first.
struct Server {
    socket: Option<Handle>,
    flash: tidemill_sim::world::Flash,
    ledger: Ledger,
}

impl<S: Datagrams> Program<S> for Server {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let socket = *self.socket.get_or_insert_with(|| net.bind(ANY).expect("the port is free"));
        let mut question = [0; 8];
        while let Ok((len, from)) = net.recv_from(socket, &mut question) {
            assert_eq!(len, 1, "datagrams are whole, or they are not");
            let mut done = [0];
            self.flash.read(question[0].into(), &mut done);
            if done == [0] {
                self.flash.write(question[0].into(), &[1]).expect("it is small");
                let _ = self.ledger.done(question[0].into(), &[!question[0]]);
            }
            let _ = net.send_to(socket, &[question[0], !question[0]], from);
        }
        net.watch(socket, Interest::Read, Token(0)).expect("it is bound");
        None
    }
}

/// Asks one question after the other, each until it is answered.
struct Client {
    server: SocketAddr,
    socket: Option<Handle>,
    at: u8,
    retry_at: Instant,
    ledger: Ledger,
}

impl<S: Datagrams> Program<S> for Client {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let socket = *self.socket.get_or_insert_with(|| net.bind(any).expect("a port is free"));
        let mut answer = [0; 8];
        while let Ok((len, from)) = net.recv_from(socket, &mut answer) {
            assert_eq!((len, from), (2, self.server));
            // An old one may come late.
            if answer[0] == self.at && self.at < QUESTIONS {
                let _ = self.ledger.answered(self.at.into(), &answer[1..2]);
                self.at += 1;
                self.retry_at = now;
            }
        }
        if self.at == QUESTIONS {
            return None;
        }
        if now >= self.retry_at {
            self.ledger.asked(self.at.into());
            let _ = net.send_to(socket, &[self.at], self.server);
            self.retry_at = now + RETRY;
        }
        net.watch(socket, Interest::Read, Token(0)).expect("it is bound");
        Some(self.retry_at)
    }
}

#[test]
fn questions_are_answered_though_datagrams_are_lost_and_hosts_crash() {
    check(0..200, |world| {
        let ledger = Ledger::default();
        let book = ledger.clone();
        let server = world.host("server", [10, 0, 0, 1], move |boot| Server {
            socket: None,
            flash: boot.flash.clone(),
            ledger: book.clone(),
        })?;
        let book = ledger.clone();
        let client = world.host("client", [10, 0, 0, 2], move |boot| Client {
            server: SocketAddr::new(boot.resolve("server").expect("there is a server"), PORT),
            socket: None,
            at: 0,
            retry_at: boot.now,
            ledger: book.clone(),
        })?;
        let bad = draw_link(world.seed(), Link::new().latency(Duration::from_millis(10)).rate_bps(50_000));
        world.link(client, server, bad.loss_ppm(100_000))?;
        let links = vec![(client, server), (server, client)];
        world.draw_faults(&Menu { horizon: Duration::from_secs(2), hosts: vec![server], links })?;
        world.run_until(EPOCH + Duration::from_secs(2))?;
        let at = |world: &World| world.program::<Client>(client).map(|client| client.at);
        liveness(world, RETRY * (2 * u32::from(QUESTIONS)), |world| at(world) == Some(QUESTIONS))?;
        ledger.check()?;
        assert_eq!(ledger.count(), usize::from(QUESTIONS));
        world.sometimes("a question asked again", world.trace().count(tidemill_sim::trace::Kind::DroppedLoss) > 0);
        Ok::<(), Box<dyn std::error::Error>>(())
    });
}
