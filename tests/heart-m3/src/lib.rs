//! What the small images are made of: one function for each module, that uses all of it that a firmware would.
//!
//! Everything goes through `black_box`, so that nothing is computed at compile time or left out.
//! There are few slots, because what is in them at the start takes flash too, and is the firmware's.
#![no_std]

use core::hint::black_box;
use tidemill_core::executor::Executor;
use tidemill_core::frame::link::{Config, Endpoint, Post};
use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, crc, encode};
use tidemill_core::net::{NoNetwork, Token};
use tidemill_core::pool;
use tidemill_core::queue::{Fifo, Queue};
use tidemill_core::sched::{self, Scheduler};
use tidemill_core::task::{Context, Task, Wake};
use tidemill_core::time::{Duration, Instant};
use tidemill_core::timer::{self, Missed, TimerWheel};

/// None of the images may be able to.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The time, wherever a firmware has it from.
fn now() -> Instant {
    Instant::from_ticks(black_box(7))
}

/// Waits for a time, over and over.
pub struct Blink(u32);

impl Task<NoNetwork> for Blink {
    type Output = u32;
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ()> {
        self.0 = self.0.checked_sub(1).ok_or(nb::Error::Other(()))?;
        if self.0 == 0 {
            return Ok(1);
        }
        cx.wait_until(cx.now + Duration::from_ticks(500));
        Err(nb::Error::WouldBlock)
    }
}

/// Submit, turn, take the result, cancel.
#[inline(never)]
pub fn pool() {
    let mut slots = [const { pool::Slot::EMPTY }; 2];
    let slots: &mut [pool::Slot<Blink, u32>] = black_box(&mut slots);
    let mut executor = Executor::new(slots);
    while black_box(true) {
        if let Ok(id) = executor.pool.submit(Blink(black_box(3))) {
            black_box(executor.turn(now(), &mut NoNetwork, &mut ()));
            if black_box(true) {
                black_box(executor.pool.cancel(id));
                black_box(executor.pool.abort(id));
            }
            let _ = black_box(executor.pool.result(id));
        }
    }
}

/// Start once and periodically, expire, cancel.
#[inline(never)]
pub fn timer() {
    let mut slots = [const { timer::Slot::EMPTY }; 2];
    let slots: &mut [timer::Slot<u32>] = black_box(&mut slots);
    let mut wheel = TimerWheel::new(slots);
    while black_box(true) {
        let _ = black_box(wheel.start_periodic(now(), Duration::from_ticks(black_box(7)), Missed::Skip, 1));
        if let Ok(id) = wheel.start(now(), black_box(2)) {
            while let Some(expired) = wheel.expire(now()) {
                black_box(expired);
            }
            black_box(wheel.next_deadline());
            black_box(wheel.cancel(id));
        }
    }
}

/// Enter, run, cancel.
#[inline(never)]
pub fn sched() {
    let mut slots = [const { sched::Slot::EMPTY }; 2];
    let slots: &mut [sched::Slot<u32>] = black_box(&mut slots);
    let mut scheduler = Scheduler::new(slots);
    while black_box(true) {
        if let Ok(id) = scheduler.enter_abs(now(), black_box(1), black_box(2)) {
            let _ = black_box(scheduler.advance(now(), |_, event| {
                black_box(event);
                Ok::<(), ()>(())
            }));
            black_box(scheduler.next_deadline());
            black_box(scheduler.cancel(id));
        }
    }
}

/// Whoever waits.
struct Tasks;

impl Wake for Tasks {
    fn wake(&mut self, token: Token) {
        black_box(token);
    }
}

/// Put, get, done, shut down.
#[inline(never)]
pub fn queue() {
    let mut queue: Queue<Fifo<u32, 8>> = Queue::new(Fifo::new());
    let queue = black_box(&mut queue);
    while black_box(true) {
        let _ = black_box(queue.put_nowait(black_box(7), &mut Tasks));
        let _ = black_box(queue.get_nowait(&mut Tasks));
        let _ = black_box(queue.task_done(&mut Tasks));
        queue.shutdown(black_box(true), &mut Tasks);
    }
}

/// A link on a serial line, with requests, and repetition where it is wanted: in, out, events, send, receive, close.
#[inline(never)]
pub fn frame() {
    let config = black_box(Config::new(Carrier::Line));
    let mut memory = [0; 64];
    let memory: &mut [u8] = black_box(&mut memory);
    let Ok(mut endpoint) = Endpoint::<_, 2, 1, _>::reliable(config, memory) else { return };
    let mut link = endpoint.link();
    while black_box(true) {
        link.handle_input(now(), black_box(&[1, 2, 3]));
        let out = black_box(link.poll_output(now())).len();
        link.wrote(black_box(out));
        black_box(link.poll_event());
        black_box(link.poll_timeout());
        let _ = black_box(link.send(black_box(1), Post::Data, black_box(&[1, 2, 3]), 0));
        if let Ok(call) = link.call(1, black_box(None)) {
            let _ = black_box(link.send(1, Post::Request(call), black_box(&[1]), 0));
            black_box(link.cancel(call));
        }
        if let Some(message) = link.peek(black_box(1)) {
            black_box(message);
            link.pop(1);
        }
        if black_box(false) {
            link.close();
            link.handle_end();
        }
        black_box((link.is_open(), link.ended(), link.stats()));
    }
}

/// A link on a serial line that makes no calls and repeats nothing, with the checksum of little flash: in, out, events, send,
/// receive, close.
#[inline(never)]
pub fn frame_plain() {
    let config = black_box(Config { checksum: crc::small, ..Config::new(Carrier::Line) });
    let mut memory = [0; 64];
    let memory: &mut [u8] = black_box(&mut memory);
    let Ok(mut endpoint) = Endpoint::<_, 1, 0>::new(config, memory) else { return };
    let mut link = endpoint.link();
    while black_box(true) {
        link.handle_input(now(), black_box(&[1, 2, 3]));
        let out = black_box(link.poll_output(now())).len();
        link.wrote(black_box(out));
        black_box(link.poll_event());
        black_box(link.poll_timeout());
        let _ = black_box(link.send(0, Post::Data, black_box(&[1, 2, 3]), black_box(0)));
        if let Some(message) = link.peek(0) {
            black_box(message);
            link.pop(0);
        }
        if black_box(false) {
            link.close();
        }
        black_box((link.is_open(), link.ended()));
    }
}

/// Frames on a serial line, without a link: written, and found again.
#[inline(never)]
pub fn frame_codec() {
    let mut wire = [0; 80];
    let mut decoder = Decoder::new(black_box(Carrier::Line), crc::software, [0; 80]);
    while black_box(true) {
        let header = black_box(Header { kind: Kind::Data, flags: Flags::START, channel: 0, sequence: 7 });
        let len = encode(black_box(Carrier::Line), crc::software, header, [black_box(&[1, 2, 3]), &[]], &mut wire);
        let mut input = black_box(wire.get(..len.unwrap_or(0)).unwrap_or_default());
        while let Some(outcome) = decoder.next(&mut input) {
            let _ = black_box(outcome);
        }
    }
}
