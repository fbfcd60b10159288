//! The same with embassy: tasks in its executor, deadlines by `embassy_time::Timer` over its queue.

use crate::meter::{self, Row};
use crate::{Handler, PERIOD_US, TASKS, TIMES, handle, interrupt};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use critical_section::Mutex;
use embassy_executor::raw::{Executor, TaskPool};
use embassy_time::{Instant, Timer};
use embassy_time_queue_utils::Queue;

static POLLS: AtomicU32 = AtomicU32::new(0);
static WAKER: Mutex<RefCell<Option<Waker>>> = Mutex::new(RefCell::new(None));

/// A clock that the loop sets, with an alarm that it lets ring.
struct Clock {
    now: Mutex<Cell<u64>>,
    alarm: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    now: Mutex::new(Cell::new(0)),
    alarm: Mutex::new(Cell::new(u64::MAX)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.now.borrow(cs).get())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let mut queue = self.queue.borrow_ref_mut(cs);
            if queue.schedule_wake(at, waker) {
                let next = queue.next_expiration(self.now.borrow(cs).get());
                self.alarm.borrow(cs).set(next);
            }
        });
    }
}

/// The alarm's interrupt, as the drivers of embassy's HALs handle it.
pub fn alarm() {
    critical_section::with(|cs| {
        let next = CLOCK.queue.borrow_ref_mut(cs).next_expiration(CLOCK.now.borrow(cs).get());
        CLOCK.alarm.borrow(cs).set(next);
    });
}

/// The other interrupt's handler.
pub fn wakes() {
    critical_section::with(|cs| {
        if let Some(waker) = &*WAKER.borrow_ref(cs) {
            waker.wake_by_ref();
        }
    });
}

#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {}

/// Waits to be woken, over and over. The first says by whom.
struct Wait {
    first: bool,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        meter::end();
        POLLS.fetch_add(1, Ordering::Relaxed);
        if self.first {
            critical_section::with(|cs| {
                WAKER.borrow_ref_mut(cs).get_or_insert_with(|| cx.waker().clone());
            });
        }
        Poll::Pending
    }
}

/// Waits for one deadline after another.
struct Sleep {
    at: u64,
    timer: Timer,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        meter::end();
        POLLS.fetch_add(1, Ordering::Relaxed);
        while Pin::new(&mut self.timer).poll(cx).is_ready() {
            self.at += PERIOD_US;
            self.timer = Timer::at(Instant::from_ticks(self.at));
        }
        Poll::Pending
    }
}

pub fn measure() {
    let [waiting, sleeping]: [&'static Executor; 2] = [(); 2].map(|()| leak(Executor::new(core::ptr::null_mut())));
    let pool: &'static TaskPool<_, TASKS> = leak(TaskPool::new());
    for n in 0..TASKS {
        let Ok(token) = pool.spawn(|| Wait { first: n == 0 }) else { panic!("room") };
        waiting.spawner().spawn(token);
    }
    let pool: &'static TaskPool<_, TASKS> = leak(TaskPool::new());
    for n in 0..TASKS as u64 {
        let at = PERIOD_US * if n == 0 { 1 } else { 1_000_000 * n };
        let Ok(token) = pool.spawn(|| Sleep { at, timer: Timer::at(Instant::from_ticks(at)) }) else { panic!("room") };
        sleeping.spawner().spawn(token);
    }
    for executor in [waiting, sleeping] {
        // SAFETY: not called from within itself.
        unsafe { executor.poll() };
    }
    let mut now = 0;
    for back in [false, true] {
        measure_to(back, waiting, sleeping, &mut now);
    }
}

fn measure_to(back: bool, waiting: &'static Executor, sleeping: &'static Executor, now: &mut u64) {
    let names = if back {
        ["wake.and.back", "interrupt.and.back", "expiry.and.back"]
    } else {
        ["wake.to.poll", "interrupt.to.poll", "expiry.to.poll"]
    };
    let [mut wake, mut irq, mut expiry] = names.map(|what| Row::new(what, "embassy"));
    let turn = |executor: &'static Executor| {
        // SAFETY: not called from within itself.
        unsafe { executor.poll() };
        if back {
            meter::end();
        }
    };
    let waker = critical_section::with(|cs| WAKER.borrow_ref(cs).clone()).expect("polled");
    let polls = POLLS.load(Ordering::Relaxed);
    for _ in 0..TIMES {
        meter::begin();
        black_box(&waker).wake_by_ref();
        turn(waiting);
        wake.add();
    }
    handle(Handler::TheirsWakes);
    for _ in 0..TIMES {
        meter::begin();
        interrupt();
        turn(waiting);
        irq.add();
    }
    handle(Handler::TheirsAlarm);
    for _ in 0..TIMES {
        *now += PERIOD_US;
        critical_section::with(|cs| CLOCK.now.borrow(cs).set(*now));
        meter::begin();
        interrupt();
        turn(sleeping);
        expiry.add();
    }
    assert_eq!(POLLS.load(Ordering::Relaxed) - polls, 3 * TIMES, "each once");
    [wake, irq, expiry].iter().for_each(Row::print);
}

/// A place that stays, for a type that has no name.
fn leak<T>(value: T) -> &'static T {
    const ROOM: usize = 4096;
    #[repr(align(8))]
    struct Place(MaybeUninit<[u8; ROOM]>);
    static mut PLACES: [Place; 4] = [const { Place(MaybeUninit::uninit()) }; 4];
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    assert!(size_of::<T>() <= ROOM && align_of::<T>() <= 8);
    let index = TAKEN.fetch_add(1, Ordering::Relaxed) as usize;
    assert!(index < 4);
    // SAFETY: each place is given out once, and has the room and the alignment.
    unsafe {
        let place = (&raw mut PLACES[index].0).cast::<T>();
        place.write(value);
        &*place
    }
}
