//! Ten tasks in a pool: nine wait for ever, one for what is counted.

use crate::meter::{self, Row};
use crate::{Handler, PERIOD_US, TASKS, TIMES, handle, interrupt};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use tidemill_core::executor::Executor;
use tidemill_core::net::NoNetwork;
use tidemill_core::pool::Slot;
use tidemill_core::task::{Context, Task, Wake};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_core::wake::{Flag, WakeFlags};

static FLAGS: WakeFlags<1> = WakeFlags::new();
static FLAG: Flag<'static> = FLAGS.flag(tidemill_core::net::Token(0)).unwrap();
static POLLS: AtomicU32 = AtomicU32::new(0);

/// The interrupt's handler.
pub fn wakes() {
    FLAG.set();
}

enum Waits {
    ForWake,
    Until(Instant),
}

impl Task<NoNetwork> for Waits {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<(), ()> {
        meter::end();
        POLLS.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::ForWake => cx.wait_for_wake(),
            Self::Until(at) => {
                if *at <= cx.now {
                    *at += Duration::from_micros(PERIOD_US);
                }
                cx.wait_until(*at);
            }
        }
        Err(nb::Error::WouldBlock)
    }
}

pub fn measure() {
    for back in [false, true] {
        measure_to(back);
    }
}

/// Up to the task's poll, or until the loop would sleep again.
fn measure_to(back: bool) {
    let names = if back {
        ["wake.and.back", "interrupt.and.back", "expiry.and.back"]
    } else {
        ["wake.to.poll", "interrupt.to.poll", "expiry.to.poll"]
    };
    let [mut wake, mut irq, mut expiry] = names.map(|what| Row::new(what, "tidemill"));
    let turn = |executor: &mut Executor<Waits, [Slot<Waits, (), ()>; TASKS]>, now| {
        FLAGS.wake(executor);
        let next = executor.turn(now, &mut NoNetwork, &mut ());
        black_box(next);
        if back {
            meter::end();
        }
    };
    let mut executor = Executor::new([const { Slot::EMPTY }; TASKS]);
    let first = executor.pool.submit(Waits::ForWake).ok().expect("room");
    assert_eq!(first.token(), tidemill_core::net::Token(0));
    for _ in 1..TASKS {
        let _ = executor.pool.submit(Waits::ForWake).ok().expect("room");
    }
    turn(&mut executor, EPOCH);
    let polls = POLLS.load(Ordering::Relaxed);
    for _ in 0..TIMES {
        meter::begin();
        executor.wake(black_box(first.token()));
        turn(&mut executor, EPOCH);
        wake.add();
    }
    handle(Handler::OursWakes);
    for _ in 0..TIMES {
        meter::begin();
        interrupt();
        turn(&mut executor, EPOCH);
        irq.add();
    }

    let mut executor = Executor::new([const { Slot::EMPTY }; TASKS]);
    for n in 0..TASKS as u64 {
        let at = EPOCH + Duration::from_micros(PERIOD_US * if n == 0 { 1 } else { 1_000_000 * n });
        let _ = executor.pool.submit(Waits::Until(at)).ok().expect("room");
    }
    turn(&mut executor, EPOCH);
    handle(Handler::OursAlarm);
    for n in 1..=u64::from(TIMES) {
        meter::begin();
        interrupt();
        turn(&mut executor, black_box(EPOCH + Duration::from_micros(PERIOD_US * n)));
        expiry.add();
    }
    assert_eq!(POLLS.load(Ordering::Relaxed) - polls, 3 * TIMES + TASKS as u32, "each once");
    [wake, irq, expiry].iter().for_each(Row::print);
}
