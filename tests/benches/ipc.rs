//! Messages and items between processes, beside CPython's `multiprocessing`, ipc-channel, and a socket pair and a pipe as
//! they are.
//!
//! `cargo bench -p tidemill-tests --bench ipc` prints medians over rounds in which all take turns. Each end is pinned to a core of its
//! own; round trips are measured also with both on one. CPython is measured where there is a Python 3.13. A machine that does
//! other work meanwhile makes every figure worse: compare within one run. With `--features iceoryx`, which takes libclang to
//! build, iceoryx2 takes part.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use ipc_channel::ipc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tidemill_host::ipc::{Connection, Descriptor, Event, Queue, pipe};
use tidemill_host::process::{Process, StartMethod};
use tidemill_host::register;

fn rounds() -> usize {
    std::env::var("TIDEMILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

/// The messages of one run: so many of so many bytes. The receiver counts the bytes, then answers with a byte.
type Run = (usize, usize);

const SMALL: Run = (1_000_000, 64);
const LARGE: Run = (2_000, 1 << 20);
const TRIPS: usize = 20_000;

/// Receives what a run sends, then sends a byte back; for ever.
fn sinks_ring((mut end, core, runs): (Connection, usize, Vec<Run>)) {
    pin(core);
    let mut room = vec![0; 1 << 20];
    for (count, len) in runs {
        let bytes: usize = (0..count).map(|_| end.recv_bytes_into(&mut room, 0).unwrap()).sum();
        assert_eq!(bytes, count * len);
        end.send_bytes(b"!", 0, None).unwrap();
    }
}

fn echoes_ring((mut end, core): (Connection, usize)) {
    pin(core);
    let mut room = [0; 64];
    while let Ok(len) = end.recv_bytes_into(&mut room, 0) {
        end.send_bytes(&room, 0, Some(len)).unwrap();
    }
}

/// The same through descriptors, one to read and one to write.
fn sinks_raw((from, to, core, runs): (Descriptor, Descriptor, usize, Vec<Run>)) {
    pin(core);
    let (mut from, mut to) = (file(from.0), file(to.0));
    let mut room = vec![0; 1 << 20];
    for (count, len) in runs {
        for _ in 0..count {
            from.read_exact(&mut room[..len]).unwrap();
        }
        to.write_all(b"!").unwrap();
    }
}

fn echoes_raw((from, to, core): (Descriptor, Descriptor, usize)) {
    pin(core);
    let (mut from, mut to) = (file(from.0), file(to.0));
    let mut room = [0; 64];
    while from.read_exact(&mut room).is_ok() {
        to.write_all(&room).unwrap();
    }
}

/// The same through ipc-channel, which is told the name of a server for its ends.
fn sinks_channel((name, core, runs): (String, usize, Vec<Run>)) {
    pin(core);
    let (messages, from) = ipc::bytes_channel().unwrap();
    let (to, answers) = ipc::channel().unwrap();
    ipc::IpcSender::connect(name).unwrap().send((messages, answers)).unwrap();
    for (count, len) in runs {
        let bytes: usize = (0..count).map(|_| from.recv().unwrap().len()).sum();
        assert_eq!(bytes, count * len);
        to.send(0_u8).unwrap();
    }
}

/// iceoryx2: blocks of shared memory that one end fills and the other looks at, again and again, for it has no way to sleep.
#[cfg(feature = "iceoryx")]
mod iceoryx {
    use super::*;
    use iceoryx2::port::publisher::Publisher;
    use iceoryx2::port::subscriber::Subscriber;
    use iceoryx2::prelude::{BackpressureStrategy, LogLevel, NodeBuilder, ServiceName, ipc::Service, set_log_level};

    type Ends = (Publisher<Service, [u8], ()>, Subscriber<Service, [u8], ()>);

    /// Where `from` publishes and `to` subscribes.
    fn ends(from: &str, to: &str, len: usize) -> Ends {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<Service>().unwrap();
        let service = |name: &str| {
            let builder = node.service_builder(&ServiceName::new(name).unwrap()).publish_subscribe::<[u8]>();
            builder.enable_safe_overflow(false).subscriber_max_buffer_size(16).open_or_create().unwrap()
        };
        let (from, to) = (service(from), service(to));
        let publisher = from.publisher_builder().initial_max_slice_len(len);
        let publisher = publisher.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create().unwrap();
        (publisher, to.subscriber_builder().create().unwrap())
    }

    fn send((publisher, _): &Ends, message: &[u8]) {
        // Until somebody is there.
        while publisher.loan_slice_uninit(message.len()).unwrap().write_from_slice(message).send().unwrap() == 0 {}
    }

    fn receive((_, subscriber): &Ends, room: &mut [u8]) -> usize {
        loop {
            if let Some(sample) = subscriber.receive().unwrap() {
                room[..sample.payload().len()].copy_from_slice(sample.payload());
                return sample.payload().len();
            }
            std::hint::spin_loop();
        }
    }

    pub(super) fn sinks((name, core, runs): (String, usize, Vec<Run>)) {
        pin(core);
        let mut room = vec![0; 1 << 20];
        let ends = ends(&format!("{name}-back"), &name, 1);
        for (count, len) in runs {
            let bytes: usize = (0..count).map(|_| receive(&ends, &mut room)).sum();
            assert_eq!(bytes, count * len);
            send(&ends, b"!");
        }
    }

    pub(super) fn one_way(run: Run) -> f64 {
        let name = format!("tidemill-{}-{:?}", std::process::id(), Instant::now());
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let runs = vec![(run.0 / 20, run.1), run];
        let ends = ends(&name, &format!("{name}-back"), run.1);
        let child = Process::new(sinks, (name, 1, runs.clone())).method(StartMethod::Spawn).start().unwrap();
        let message = vec![7; run.1];
        let mut last = 0.0;
        for (count, _) in runs {
            last = seconds(|| {
                (0..count).for_each(|_| send(&ends, &message));
                receive(&ends, &mut [0]);
            });
        }
        child.join();
        last
    }
    register!(sinks);
}

#[cfg(not(feature = "iceoryx"))]
mod iceoryx {
    /// It takes no part.
    pub(super) fn one_way(_: super::Run) -> f64 {
        f64::NAN
    }
}

type ChannelEnds = (ipc::IpcBytesSender, ipc::IpcReceiver<u8>);

fn file(descriptor: OwnedFd) -> std::fs::File {
    descriptor.into()
}

type Item = (u64, [u64; 7]);

fn puts((queue, core, count, go): (Queue<Item>, usize, usize, Event)) {
    pin(core);
    go.wait(None);
    for number in 0..count {
        queue.put(&(number as u64, [u64::MAX; 7])).unwrap();
    }
}

fn gets((queue, core, count): (Queue<Item>, usize, usize)) -> u64 {
    pin(core);
    (0..count).map(|_| queue.get().unwrap().0).sum()
}

register!(sinks_ring, echoes_ring, sinks_raw, echoes_raw, sinks_channel, puts, gets);

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What each of several measures, in turns: medians.
fn table(title: &str, rows: &mut [(&str, &mut dyn FnMut() -> f64)]) {
    let mut results: Vec<Vec<f64>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds() {
        for ((_, measure), results) in rows.iter_mut().zip(&mut results) {
            results.push(measure());
        }
    }
    println!("\n{title}");
    for ((name, _), results) in rows.iter().zip(results) {
        let best = results.iter().copied().fold(f64::NAN, f64::max);
        println!("  {name:<34}{:>10.2}   most {best:.2}", median(results));
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Seconds that a run takes over a pipe of ours.
fn ring(run: Run) -> f64 {
    let (mut here, there) = pipe(true).unwrap();
    // The first is for the pages of the ring, and the child's start.
    let runs = vec![(run.0 / 20, run.1), run];
    let child = Process::new(sinks_ring, (there, 1, runs.clone())).method(StartMethod::Spawn).start().unwrap();
    let message = vec![7; run.1];
    let mut last = 0.0;
    for (count, _) in runs {
        last = seconds(|| {
            (0..count).for_each(|_| here.send_bytes(&message, 0, None).unwrap());
            here.recv_bytes(None).unwrap();
        });
    }
    child.join();
    last
}

fn raw(run: Run, ends: impl Fn() -> [(OwnedFd, OwnedFd); 2]) -> f64 {
    let [(from, to), (its_from, its_to)] = ends();
    let runs = vec![(run.0 / 20, run.1), run];
    let its = (Descriptor(its_from), Descriptor(its_to), 1, runs.clone());
    let child = Process::new(sinks_raw, its).method(StartMethod::Spawn).start().unwrap();
    let (mut from, mut to) = (file(from), file(to));
    let message = vec![7; run.1];
    let mut last = 0.0;
    for (count, _) in runs {
        last = seconds(|| {
            (0..count).for_each(|_| to.write_all(&message).unwrap());
            from.read_exact(&mut [0]).unwrap();
        });
    }
    child.join();
    last
}

/// The floor: two threads that copy in and out of sixteen blocks in turn, as many bytes as our pipe's ring has, and do nothing
/// else.
fn copies((count, len): Run) -> f64 {
    const BLOCK: usize = 16 << 10;
    let blocks: [Mutex<Vec<u8>>; 16] = std::array::from_fn(|_| Mutex::new(vec![0; BLOCK]));
    let (written, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let parts = count * len / BLOCK;
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            let mut room = vec![0; len];
            for at in 0..parts {
                until(&|| written.load(Acquire) > at);
                let start = at * BLOCK % len;
                room[start..start + BLOCK].copy_from_slice(&blocks[at % blocks.len()].lock().unwrap());
                read.store(at + 1, Release);
            }
            black_box(room);
        });
        let message = vec![7; len];
        seconds(|| {
            for at in 0..parts {
                until(&|| at - read.load(Acquire) < blocks.len());
                let start = at * BLOCK % len;
                blocks[at % blocks.len()].lock().unwrap().copy_from_slice(&message[start..start + BLOCK]);
                written.store(at + 1, Release);
            }
            until(&|| read.load(Acquire) == parts);
        })
    })
}

fn channel(run: Run) -> f64 {
    let (server, name) = ipc::IpcOneShotServer::<ChannelEnds>::new().unwrap();
    let runs = vec![(run.0 / 20, run.1), run];
    let child = Process::new(sinks_channel, (name, 1, runs.clone())).method(StartMethod::Spawn).start().unwrap();
    let (_, (to, answers)) = server.accept().unwrap();
    let message = vec![7; run.1];
    let mut last = 0.0;
    for (count, _) in runs {
        last = seconds(|| {
            (0..count).for_each(|_| to.send(&message).unwrap());
            answers.recv().unwrap();
        });
    }
    child.join();
    last
}

fn pipes() -> [(OwnedFd, OwnedFd); 2] {
    let ((a, b), (c, d)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    [(a.into(), d.into()), (c.into(), b.into())]
}

fn sockets() -> [(OwnedFd, OwnedFd); 2] {
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    [(a.try_clone().unwrap().into(), a.into()), (b.try_clone().unwrap().into(), b.into())]
}

/// Microseconds for 64 bytes there and back.
fn trip_ring(core: usize) -> f64 {
    let (mut here, there) = pipe(true).unwrap();
    let child = Process::new(echoes_ring, (there, core)).method(StartMethod::Spawn).start().unwrap();
    let mut room = [0; 64];
    let mut trip = |count| {
        for _ in 0..count {
            here.send_bytes(&room, 0, None).unwrap();
            here.recv_bytes_into(&mut room, 0).unwrap();
        }
    };
    trip(100);
    let time = seconds(|| trip(TRIPS));
    drop(here);
    child.join();
    time * 1e6 / TRIPS as f64
}

fn trip_raw(core: usize, ends: impl Fn() -> [(OwnedFd, OwnedFd); 2]) -> f64 {
    let [(from, to), (its_from, its_to)] = ends();
    let its = (Descriptor(its_from), Descriptor(its_to), core);
    let child = Process::new(echoes_raw, its).method(StartMethod::Spawn).start().unwrap();
    let (mut from, mut to) = (file(from), file(to));
    let mut room = [0; 64];
    let mut trip = |count| {
        for _ in 0..count {
            to.write_all(&room).unwrap();
            from.read_exact(&mut room).unwrap();
        }
    };
    trip(100);
    let time = seconds(|| trip(TRIPS));
    drop((from, to));
    child.kill().unwrap();
    child.join();
    time * 1e6 / TRIPS as f64
}

/// Millions of items a second: so many producers, so many consumers.
fn queue(each: usize) -> f64 {
    const ITEMS: usize = 2_000_000;
    let (queue, go) = (Queue::new(4096).unwrap(), Event::new().unwrap());
    let count = ITEMS / each;
    let getters: Vec<_> = (0..each)
        .map(|_| Process::new(gets, (queue.clone(), 1, count)).method(StartMethod::Spawn).start().unwrap())
        .collect();
    let putters: Vec<_> = (0..each)
        .map(|_| Process::new(puts, (queue.clone(), 0, count, go.clone())).method(StartMethod::Spawn).start().unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let time = seconds(|| {
        go.set();
        for getter in &getters {
            getter.result().unwrap();
        }
    });
    for putter in &putters {
        putter.join();
    }
    (count * each) as f64 / 1e6 / time
}

const PYTHON: &str = "
import multiprocessing as m, time, os
def sink(end, runs):
    os.sched_setaffinity(0, {1})
    for count, size in runs:
        for _ in range(count): end.recv_bytes()
        end.send_bytes(b'!')
def echo(end):
    os.sched_setaffinity(0, {1})
    while True:
        try: end.send_bytes(end.recv_bytes())
        except EOFError: return
def puts(q, n):
    os.sched_setaffinity(0, {0})
    for i in range(n): q.put(i)
def gets(q, n):
    os.sched_setaffinity(0, {1})
    for i in range(n): q.get()
if __name__ == '__main__':
    m.set_start_method('fork')
    os.sched_setaffinity(0, {0})
    for count, size in ((100000, 64), (500, 1 << 20)):
        here, there = m.Pipe()
        p = m.Process(target=sink, args=(there, [(count // 20, size), (count, size)])); p.start()
        message = bytes(size)
        for c in (count // 20, count):
            start = time.perf_counter()
            for _ in range(c): here.send_bytes(message)
            here.recv_bytes()
            took = time.perf_counter() - start
        p.join()
        print(f'Pipe, {size} bytes: {count / took / 1e6:.3f} M/s, {count * size / took / 1e9:.2f} GB/s')
    here, there = m.Pipe()
    p = m.Process(target=echo, args=(there,)); p.start(); there.close()
    message = bytes(64)
    start = time.perf_counter()
    for _ in range(5000): here.send_bytes(message); here.recv_bytes()
    print(f'Pipe, round trip, other core: {(time.perf_counter() - start) / 5000 * 1e6:.2f} us')
    here.close(); p.join()
    for each in (1, 4):
        q, n = m.Queue(4096), 100000 // each
        start = time.perf_counter()
        all = [m.Process(target=f, args=(q, n)) for f in [gets] * each + [puts] * each]
        for p in all: p.start()
        for p in all: p.join()
        print(f'Queue {each}x{each}: {n * each / (time.perf_counter() - start) / 1e6:.3f} M/s')
";

fn python() {
    let own = std::env::var("TIDEMILL_PYTHON").ok();
    let mut names = own.into_iter().chain(["python3.13".to_owned(), "python3".to_owned()]);
    let found = names.find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.stdout.starts_with(b"Python 3.13."))
    });
    let Some(name) = found else { return println!("\nNOT MEASURED: CPython: no Python 3.13 here") };
    let script = std::env::temp_dir().join(format!("tidemill-ipc-{}.py", std::process::id()));
    std::fs::write(&script, PYTHON).unwrap();
    let output = Command::new(name).arg(&script).output();
    let _ = std::fs::remove_file(&script);
    match output {
        Ok(output) if output.status.success() => print!("\nCPython\n{}", String::from_utf8_lossy(&output.stdout)),
        Ok(output) => println!("\nNOT MEASURED: CPython: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("\nNOT MEASURED: CPython: {error}"),
    }
}

fn main() {
    pin(0);
    let rate = |run: Run, time: f64| run.0 as f64 / time / 1e6;
    table(
        "64 bytes one way, other core, M/s",
        &mut [
            ("tidemill Pipe", &mut || rate(SMALL, ring(SMALL))),
            ("pipe", &mut || rate(SMALL, raw(SMALL, pipes))),
            ("socketpair", &mut || rate(SMALL, raw(SMALL, sockets))),
            ("ipc-channel", &mut || rate((200_000, 64), channel((200_000, 64)))),
            ("iceoryx2", &mut || rate(SMALL, iceoryx::one_way(SMALL))),
        ],
    );
    let rate = |time: f64| (LARGE.0 * LARGE.1) as f64 / time / 1e9;
    table(
        "1 MiB one way, other core, GB/s",
        &mut [
            ("two threads that copy by hand", &mut || rate(copies(LARGE))),
            ("tidemill Pipe", &mut || rate(ring(LARGE))),
            ("pipe", &mut || rate(raw(LARGE, pipes))),
            ("socketpair", &mut || rate(raw(LARGE, sockets))),
            ("ipc-channel", &mut || rate(channel(LARGE))),
            ("iceoryx2", &mut || rate(iceoryx::one_way(LARGE))),
        ],
    );
    for (title, core) in [("64 bytes there and back, other core, µs", 1), ("64 bytes there and back, same core, µs", 0)]
    {
        table(
            title,
            &mut [
                ("tidemill Pipe", &mut || trip_ring(core)),
                ("pipe", &mut || trip_raw(core, pipes)),
                ("socketpair", &mut || trip_raw(core, sockets)),
            ],
        );
    }
    table(
        "items of 64 bytes through a queue, M/s",
        &mut [("tidemill Queue 1x1", &mut || queue(1)), ("tidemill Queue 4x4", &mut || queue(4))],
    );
    python();
}
