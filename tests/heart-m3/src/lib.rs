//! What the small images are made of: one function for each module, that uses all of it that a firmware would.
//!
//! Everything goes through `black_box`, so that nothing is computed at compile time or left out.
//! There are few slots, because what is in them at the start takes flash too, and is the firmware's.
#![no_std]

use core::hint::black_box;
use tidemill_core::executor::Executor;
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
