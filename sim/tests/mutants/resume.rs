//! A resume that trusts a changed file. The server has another version of its file after each restart; the client saves
//! what it has in its flash, and goes on from there when it restarts.

use core::cell::Cell;
use core::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tidemill_core::executor::Program;
use tidemill_core::fetch::{self, Failure, Fetch, Options, STATE_BYTES_MAX, Sink, Source, State, Validator};
use tidemill_core::http::serve::{self, Connection, Content, Desk, Limits, Opened, Refusal, Served, Server};
use tidemill_core::http::server::Head;
use tidemill_core::net::{Error, Handle, Stack};
use tidemill_core::pool::Slot;
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::fault::{Menu, draw_link};
use tidemill_sim::host::Tuning;
use tidemill_sim::link::Link;
use tidemill_sim::mill;
use tidemill_sim::world::{Flash, World};

use crate::{Outcome, hunt};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SOCKETS: usize = 16;
const HEAD: usize = 1024;
const SIZE: u64 = 150_000;

/// Where the file lies in the flash: behind its state, which has its length before it.
const FILE: usize = 2 + STATE_BYTES_MAX;

/// The bytes of a version.
fn version(number: u32) -> mill::Content {
    mill::Content::new(0x7665_7273 + u64::from(number))
}

fn etag(number: u32) -> String {
    format!("\"{number}\"")
}

/// One version of the file.
struct Files(u32);

impl<S: Stack> Content<S> for Files {
    type File = ();

    fn open(&mut self, _: &Head<'_>) -> Result<Opened<()>, Refusal> {
        let etag = etag(self.0).as_str().try_into().unwrap_or_default();
        Ok(Opened { file: (), len: SIZE, etag, modified: None, content_type: "text/plain", encoding: None })
    }

    fn read(&mut self, (): &mut (), offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let len = buf.len().min((SIZE - offset) as usize);
        version(self.0).read(offset, &mut buf[..len]);
        Ok(len)
    }

    fn transmit(&mut self, (): &mut (), net: &mut S, socket: Handle, offset: u64, len: u64) -> nb::Result<u64, Error> {
        let mut buf = vec![0; len.min(2048) as usize];
        version(self.0).read(offset, &mut buf);
        net.send(socket, &buf).map(|sent| sent as u64)
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        None
    }

    fn served(&mut self, _: &Served<'_>) {}
}

type Core = Server<Files, Vec<Slot<Connection<()>>>, Vec<u8>, Vec<Desk<HEAD>>, (), HEAD>;

struct Serving {
    server: Core,
    listens: bool,
}

impl<S: Stack> Program<S> for Serving {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        if !self.listens {
            self.listens = self.server.listen(net, (Ipv4Addr::UNSPECIFIED, 80).into(), 4).is_ok();
        }
        self.server.turn(now, net)
    }
}

/// The flash as the place where the file goes.
struct ToFlash(Flash);

impl Sink for ToFlash {
    type Error = ();

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), ()> {
        self.0.write(FILE + offset as usize, data).map_err(drop)
    }
    fn set_len(&mut self, _: u64) -> Result<(), ()> {
        Ok(())
    }
    fn restart(&mut self) -> Result<(), ()> {
        self.0.erase();
        Ok(())
    }
}

/// What was saved, if that was anything.
fn saved(flash: &Flash) -> Option<State> {
    let mut bytes = [0; FILE];
    flash.read(0, &mut bytes);
    let (len, state) = bytes.split_at(2);
    State::decode(state.get(..usize::from(u16::from_le_bytes([len[0], len[1]])))?).ok()
}

struct Client {
    fetch: Fetch<'static, ToFlash, Vec<fetch::Slot<HEAD>>, HEAD, 1>,
    flash: Flash,
    outcome: Option<Result<u64, Failure<()>>>,
}

impl<S: Stack> Program<S> for Client {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while let Some((source, ..)) = self.fetch.wanted() {
            self.fetch.resolved(source, &[SocketAddr::from((SERVER, 80))]);
        }
        let next = self.fetch.turn(now, net, &mut [0; 4096]);
        if let Some(state) = self.fetch.state() {
            let mut bytes = [0; FILE];
            let len = state.encode(&mut bytes[2..]).expect("it has the room it may need");
            bytes[..2].copy_from_slice(&(len as u16).to_le_bytes());
            self.flash.write(0, &bytes[..2 + len]).expect("the flash is larger");
        }
        self.outcome = self.fetch.outcome().map(|outcome| outcome.map_err(Failure::reason));
        next
    }
}

fn download(world: &mut World, trusting: bool) -> Outcome {
    let told = |error: tidemill_sim::world::Error| error.to_string();
    let seed = world.seed();
    let now = Rc::new(Cell::new(0));
    let served = now.clone();
    let tuning = Tuning { receive_bytes: 8 << 10, send_bytes: 8 << 10, ..Tuning::default() };
    let server = world
        .tuned_host::<_, SOCKETS>("server", SERVER, tuning, move |boot| {
            served.set(boot.epoch);
            let (slots, desks) = ((0..8).map(|_| Slot::EMPTY).collect(), (0..8).map(|_| Desk::EMPTY).collect());
            let files = serve::Files::new(Files(boot.epoch), vec![0; 1024], desks, Limits::default());
            let server = serve::server(files, slots);
            Serving { server, listens: false }
        })
        .map_err(told)?;
    let client = world
        .host("client", [10, 0, 0, 2], move |boot| {
            let mut state = saved(boot.flash);
            if trusting && let Some(state) = &mut state {
                // It takes what the server says now for what the bytes are of.
                state.validator = Validator::Etag(etag(now.get()).as_str().try_into().expect("it is short"));
            }
            let options = Options { split_min: 16 << 10, retries: 50, seed: boot.seed, ..Options::default() };
            let slots = (0..2).map(|_| fetch::Slot::EMPTY).collect();
            let source = Source::new("http://server/file").expect("a URL");
            let fetch = Fetch::new(options, [source], ToFlash(boot.flash.clone()), slots, state);
            Client { fetch, flash: boot.flash.clone(), outcome: None }
        })
        .map_err(told)?;
    let link = Link::new().latency(Duration::from_millis(5)).rate_bps(1_000_000);
    world.link(client, server, draw_link(seed, link)).map_err(told)?;
    let links = vec![(client, server), (server, client)];
    world.draw_faults(&Menu { horizon: Duration::from_secs(2), hosts: vec![server, client], links }).map_err(told)?;
    let outcome = |world: &World| world.program::<Client>(client).and_then(|client| client.outcome);
    world.run_until_done(EPOCH + Duration::from_hours(1), |world| outcome(world).is_some()).map_err(told)?;
    match outcome(world) {
        Some(Ok(SIZE)) => {}
        // One server that changes its file and restarts all the time may be given up.
        Some(Err(Failure::Changing)) => return Ok(()),
        outcome => return Err(format!("[outcome] {outcome:?}")),
    }
    let mut file = vec![0; SIZE as usize];
    world.flash(client).map_err(told)?.read(FILE, &mut file);
    if (0..10).any(|number| version(number).first_difference(0, &file).is_none()) {
        return Ok(());
    }
    Err("[stream] the file is of no version".into())
}

#[test]
fn a_resume_that_trusts_a_changed_file() {
    hunt("[stream]", |world| download(world, false), |world| download(world, true));
}
