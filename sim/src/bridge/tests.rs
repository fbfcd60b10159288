//! The bridge without an emulator: the machine is a thread that runs what firmware runs.

use super::*;
use crate::fault::Fault;
use crate::host::Tuning;
use crate::link::Link;
use smoltcp::iface::SocketSet;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidemill_core::executor::Program;
use tidemill_core::net::lockstep::{self, Lockstep, Tells};
use tidemill_core::net::smoltcp::{Config, Smoltcp, SocketBuffer};
use tidemill_core::net::{Handle, Interest, Stack, Token};
use tidemill_core::time::{Duration as Span, EPOCH};

const PORT: u16 = 7;
const BUFFER: usize = 2048;
/// Bytes that are sent out and back.
const PAYLOAD: usize = 20_000;

/// Sends back what comes.
#[derive(Default)]
struct Echo {
    listener: Option<Handle>,
    socket: Option<Handle>,
    kept: Vec<u8>,
}

impl<S: Stack> Program<S> for Echo {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let any = (Ipv4Addr::UNSPECIFIED, PORT).into();
        let listener = *self.listener.get_or_insert_with(|| net.listen(any, 2).unwrap());
        while let Ok((socket, _)) = net.accept(listener) {
            if let Some(before) = self.socket.replace(socket) {
                net.abort(before);
            }
            self.kept.clear();
        }
        net.watch(listener, Interest::Read, Token(0)).unwrap();
        let socket = self.socket?;
        let mut buffer = [0; 512];
        loop {
            if self.kept.is_empty() {
                match net.recv(socket, &mut buffer) {
                    Ok(count) if count > 0 => self.kept.extend_from_slice(&buffer[..count]),
                    Err(nb::Error::WouldBlock) => break net.watch(socket, Interest::Read, Token(1)).unwrap(),
                    _ => {
                        net.close(socket);
                        self.socket = None;
                        break;
                    }
                }
            }
            match net.send(socket, &self.kept) {
                Ok(count) => drop(self.kept.drain(..count)),
                Err(_) => break net.watch(socket, Interest::Write, Token(1)).unwrap(),
            }
        }
        None
    }
}

/// Sends bytes, and tells when they have come back. Begins again when it cannot go on.
struct Caller {
    seed: u64,
    socket: Option<Handle>,
    sent: usize,
    back: usize,
    events: Vec<Event>,
    /// Also told here.
    heard: Option<Rc<RefCell<Vec<Event>>>>,
}

const BEGUN: u32 = 1;
const ENDED: u32 = 2;
const FAILED: u32 = 3;

impl Caller {
    fn new(seed: u64, heard: Option<Rc<RefCell<Vec<Event>>>>) -> Self {
        Self { seed, socket: None, sent: 0, back: 0, events: Vec::new(), heard }
    }

    fn tell(&mut self, event: Event) {
        self.events.push(event);
        if let Some(heard) = &self.heard {
            heard.borrow_mut().push(event);
        }
    }

    fn byte(&self, at: usize) -> u8 {
        (self.seed >> (at % 8 * 8)) as u8 ^ at as u8
    }

    fn advance<S: Stack>(&mut self, socket: Handle, net: &mut S) -> nb::Result<(), ()> {
        let failed = |error: nb::Error<_>| error.map(|_| ());
        net.connected(socket).map_err(failed)?;
        loop {
            let part: Vec<u8> = (self.sent..PAYLOAD.min(self.sent + 700)).map(|at| self.byte(at)).collect();
            match if part.is_empty() { Err(nb::Error::WouldBlock) } else { net.send(socket, &part) } {
                Ok(count) => self.sent += count,
                Err(nb::Error::WouldBlock) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        let mut buffer = [0; 700];
        while self.back < PAYLOAD {
            let count = net.recv(socket, &mut buffer).map_err(failed)?;
            let right = (0..count).all(|n| buffer[n] == self.byte(self.back + n));
            if count == 0 || !right {
                return Err(nb::Error::Other(()));
            }
            self.back += count;
        }
        Ok(())
    }
}

impl<S: Stack> Program<S> for Caller {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        while self.back < PAYLOAD {
            let socket = if let Some(socket) = self.socket {
                socket
            } else {
                (self.sent, self.back) = (0, 0);
                self.tell([BEGUN, self.seed as u32, 0, 0]);
                *self.socket.insert(net.connect((Ipv4Addr::new(10, 0, 0, 1), PORT).into()).unwrap())
            };
            match self.advance(socket, net) {
                Ok(()) => self.tell([ENDED, self.back as u32, 0, 0]),
                Err(nb::Error::WouldBlock) => {
                    let interest = if self.sent < PAYLOAD { Interest::Both } else { Interest::Read };
                    net.watch(socket, interest, Token(0)).unwrap();
                    break;
                }
                Err(nb::Error::Other(())) => {
                    self.tell([FAILED, 0, 0, 0]);
                    net.abort(socket);
                    self.socket = None;
                }
            }
        }
        None
    }
}

impl Tells for Caller {
    fn next_event(&mut self) -> Option<Event> {
        if self.events.is_empty() { None } else { Some(self.events.remove(0)) }
    }
}

/// A network card at the far end of the stream.
struct Cable {
    stream: UnixStream,
    arrived: Vec<u8>,
}

impl Cable {
    /// Waits a little for more; false: there will be none.
    fn wait(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.arrived.extend_from_slice(&buffer[..count]);
                true
            }
            Err(_) => true,
        }
    }
}

struct Whole(Vec<u8>);

impl RxToken for Whole {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Out<'a>(&'a mut UnixStream);

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; 4 + len];
        frame[..4].copy_from_slice(&(len as u32).to_be_bytes());
        let result = f(&mut frame[4..]);
        let _ = self.0.write_all(&frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Whole;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Whole, Out<'_>)> {
        let len = u32::from_be_bytes(*self.arrived.first_chunk()?) as usize;
        if self.arrived.len() < 4 + len {
            return None;
        }
        let frame = self.arrived.drain(..4 + len).skip(4).collect();
        Some((Whole(frame), Out(&mut self.stream)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Out<'_>> {
        Some(Out(&mut self.stream))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

/// One life of what stands for firmware; false: nobody is at the other end.
fn live(stream: &UnixStream, reset: &AtomicBool) -> bool {
    let mut gone = false;
    let mut idle = |cable: &mut Cable| {
        gone = !cable.wait();
        !gone && !reset.load(Ordering::Relaxed)
    };
    let mut cable = Cable { stream: stream.try_clone().unwrap(), arrived: Vec::new() };
    if let Some(boot) = lockstep::hello(&mut cable, &mut idle) {
        let addrs = [(boot.address.into(), 0)];
        let config = Config { mac: boot.mac, addrs: &addrs, seed: boot.seed, ..Config::default() };
        let mut frames = lockstep::Frames::EMPTY;
        let buffers = [(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]))];
        let mut net =
            Smoltcp::new(Lockstep::new(cable, &mut frames), &config, [SocketSet::new(Vec::new())], buffers).unwrap();
        lockstep::run(&mut net, &mut Caller::new(boot.seed, None), &mut idle);
    }
    !gone
}

/// A machine that is a thread; it ends when its stream does.
#[allow(clippy::disallowed_methods)]
fn machine() -> Machine {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let wanted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&wanted);
    std::thread::spawn(move || {
        loop {
            // Off, until it is switched on.
            while !seen.swap(false, Ordering::Relaxed) {
                if Arc::strong_count(&seen) == 1 {
                    return;
                }
                std::thread::sleep(Duration::from_micros(100));
            }
            if !live(&theirs, &seen) {
                return;
            }
        }
    });
    Machine::over(ours, move || {
        wanted.store(true, Ordering::Relaxed);
        Ok(())
    })
    .unwrap()
}

/// A world of a server and, behind a bad link, a caller that `add` adds; crashed once while it is calling. Returns the hash.
fn run(seed: u64, add: impl FnOnce(&mut World) -> HostId, done: impl Fn() -> bool) -> u64 {
    let mut world = World::ethernet(seed);
    let server = world.host("server", [10, 0, 0, 1], |_| Echo::default()).unwrap();
    let caller = add(&mut world);
    let ms = Span::from_millis;
    let link = Link::new().latency(ms(3)).jitter(ms(2)).loss_ppm(20_000).duplicate_ppm(5_000).damage_ppm(5_000);
    world.link(caller, server, link.reorder_ppm(5_000)).unwrap();
    let at = EPOCH + ms(10 + seed % 50);
    world.schedule(Fault::Crash { host: caller, at, off_for: Some(ms(30)) }).unwrap();
    assert!(world.run_until_done(EPOCH + Span::from_hours(1), |_| done()).unwrap(), "seed {seed} has no end");
    world.hash()
}

fn on_machine(seed: u64, machine: &Machine) -> (u64, Vec<Event>) {
    let hash = run(
        seed,
        |world| world.machine("caller", Ipv4Addr::new(10, 0, 0, 2), machine, "").unwrap(),
        || machine.has_told(ENDED),
    );
    let told = machine.take_events();
    assert_eq!(told.last().map(|told| told.epoch), Some(1), "it ended in its second life");
    (hash, told.iter().map(|told| told.event).collect())
}

fn on_host(seed: u64) -> (u64, Vec<Event>) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let tuning = Tuning { receive_bytes: BUFFER, send_bytes: BUFFER, datagram_sockets: 0, ..Tuning::default() };
    let make = |world: &mut World| {
        let heard = Rc::clone(&heard);
        world
            .tuned_host::<_, 1>("caller", [10, 0, 0, 2], tuning, move |boot| {
                Caller::new(boot.seed, Some(Rc::clone(&heard)))
            })
            .unwrap()
    };
    let hash = run(seed, make, || heard.borrow().iter().any(|event| event[0] == ENDED));
    (hash, heard.take())
}

#[test]
fn a_machine_and_a_host_that_run_the_same_program_make_the_same_trace() {
    let machine = machine();
    for seed in 0..12 {
        let first = on_machine(seed, &machine);
        assert_eq!(on_machine(seed, &machine), first, "seed {seed} once more");
        assert_eq!(on_host(seed), first, "seed {seed} on a simulated host");
    }
}

/// A world with nothing but a machine whose other end is `peer`'s business.
fn alone(peer: impl FnOnce(UnixStream)) -> Result<Option<Instant>, Error> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    peer(theirs);
    let machine = Machine::over(ours, || Ok(())).unwrap();
    let mut world = World::ethernet(1);
    world.machine("board", Ipv4Addr::new(10, 0, 0, 2), &machine, "").unwrap();
    world.step()
}

#[test]
fn a_machine_that_does_not_do_its_part_fails_the_run_with_its_name() {
    let scripts: [(&[Control], &str); 3] = [
        (&[], "failed to fill whole buffer"),
        (&[Control::Hello, Control::Hello], "from a machine that boots"),
        (
            &[
                Control::Hello,
                Control::Done { next: None, lost: 0, frames: 0, events: heapless::Vec::new() },
                Control::Done { next: None, lost: 1, frames: 0, events: heapless::Vec::new() },
            ],
            "after 0 frames",
        ),
    ];
    for (script, what) in scripts {
        let end = alone(|mut peer| {
            for control in script {
                let frame = control.frame([0xFF; 6]);
                peer.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
                peer.write_all(&frame).unwrap();
            }
            // What the world sends is not read, but has to have somewhere to go.
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            std::mem::forget(peer);
        });
        let Err(Error::Machine { host, why }) = end else { panic!("{end:?}") };
        assert!(host == "board" && why.contains(what), "{why}");
    }
}

#[test]
fn a_length_that_no_frame_has_is_not_believed() {
    let end = alone(|mut peer| {
        peer.write_all(&u32::MAX.to_be_bytes()).unwrap();
        std::mem::forget(peer);
    });
    assert!(matches!(end, Err(Error::Machine { why, .. }) if why.contains("4294967295 bytes")));
}

#[test]
fn machines_speak_ethernet() {
    let machine = Machine::over(UnixStream::pair().unwrap().0, || Ok(())).unwrap();
    let end = World::new(1).machine("board", Ipv4Addr::new(10, 0, 0, 2), &machine, "");
    assert_eq!(end, Err(Error::NotEthernet));
}
