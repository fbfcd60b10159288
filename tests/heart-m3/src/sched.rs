//! Scheduled events: `N` wait, at random times; one is entered, and the first is run.

use crate::arena::Arena;
use crate::draw::Draw;
use crate::meter::Meter;
use heapless::binary_heap::{BinaryHeap, Min};
use tidemill_core::sched::{EventId, Scheduler, Slot};
use tidemill_core::time::Instant;

pub fn measure(meter: &mut Meter) {
    for entries in [10, 1_000, 100_000] {
        ours(meter, entries);
    }
    heapless::<10>(meter);
    heapless::<1_000>(meter);
    heapless::<100_000>(meter);
}

#[inline(never)]
fn ours(meter: &mut Meter, entries: usize) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let slots = arena.slice(entries, |_| Slot::<u32>::EMPTY).expect("fits");
    let mut scheduler = Scheduler::new(slots);
    while scheduler.len() < entries - 1 {
        fill(&mut scheduler, draw.delay());
    }
    let (mut enter, mut run, mut cancel) = (meter.count(), meter.count(), meter.count());
    let mut now = 0;
    for _ in 0..2_000 {
        let id = fill(&mut scheduler, now + draw.delay());
        cancel.of(id, |id| scheduler.cancel(id));
        let at = Instant::from_ticks(now + draw.delay());
        let _ = enter.of(at, |at| scheduler.enter_abs(at, 0, 0));
        let next = scheduler.next_deadline().expect("not empty");
        now = run.of(next, |now| scheduler.next_due(now)).expect("due").time.as_ticks();
    }
    meter.add("sched.enter", "tidemill", entries, enter);
    meter.add("sched.run", "tidemill", entries, run);
    meter.add("sched.enter+run", "tidemill", entries, enter.then(&run));
    meter.add("sched.cancel", "tidemill", entries, cancel);
}

#[inline(never)]
fn fill(scheduler: &mut Scheduler<u32, &'static mut [Slot<u32>]>, at: u64) -> EventId {
    scheduler.enter_abs(Instant::from_ticks(at), 0, 0).expect("room")
}

/// A heap of (time, priority, order of entry, action). It cannot cancel.
fn heapless<const N: usize>(meter: &mut Meter) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let heap = arena.one(BinaryHeap::<(u64, i32, u32, u32), Min, N>::new());
    let mut order = 0;
    while heap.len() < N - 1 {
        order += 1;
        let _ = heap.push((draw.delay(), 0, order, 0));
    }
    let (mut enter, mut run) = (meter.count(), meter.count());
    let mut now = 0;
    for _ in 0..2_000 {
        let at = now + draw.delay();
        let _ = enter.of(at, |at| {
            order += 1;
            heap.push((at, 0, order, 0))
        });
        now = run.of((), |()| heap.pop()).expect("not empty").0;
    }
    meter.add("sched.enter", "heapless-heap", N, enter);
    meter.add("sched.run", "heapless-heap", N, run);
    meter.add("sched.enter+run", "heapless-heap", N, enter.then(&run));
}
