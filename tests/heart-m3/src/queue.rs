//! Queues: half full of `N`; one item is put, one is got.

use crate::arena::Arena;
use crate::draw::Draw;
use crate::meter::Meter;
use heapless::Deque;
use heapless::binary_heap::{BinaryHeap, Min};
use heapless::spsc;
use tidemill_core::net::Token;
use tidemill_core::queue::{Fifo, FromInterrupt, Priority, Queue};
use tidemill_core::task::Wake;
use tidemill_core::wake::WakeFlags;

pub fn measure(meter: &mut Meter) {
    ours::<10>(meter);
    ours::<1_000>(meter);
    ours::<100_000>(meter);
    heapless::<10>(meter);
    heapless::<1_000>(meter);
    heapless::<100_000>(meter);
}

/// Whom nobody waits for.
struct Nobody;

impl Wake for Nobody {
    fn wake(&mut self, _: Token) {}
}

#[inline(never)]
fn ours<const N: usize>(meter: &mut Meter) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let fifo = arena.one(Queue::<Fifo<u32, N>>::new(Fifo::new()));
    let prio = arena.one(Queue::<Priority<u32, N>>::new(Priority::new()));
    let flags = WakeFlags::<1>::new();
    let ring = arena.one(FromInterrupt::<u32, N>::new());
    let (mut producer, mut consumer) = ring.split(flags.flag(Token(0)).expect("the first"));
    for _ in 0..N / 2 {
        let item = draw.next();
        let _ = (fifo.put_nowait(0, &mut Nobody), producer.put_nowait(0), prio.put_nowait(item, &mut Nobody));
    }
    let mut counts = [meter.count(); 6];
    let [put, get, enqueue, dequeue, push, pop] = &mut counts;
    for _ in 0..2_000 {
        let item = draw.next();
        let _ = put.of(item, |item| fifo.put_nowait(item, &mut Nobody));
        let _ = get.of((), |()| fifo.get_nowait(&mut Nobody));
        let _ = enqueue.of(item, |item| producer.put_nowait(item));
        let _ = dequeue.of((), |()| consumer.get_nowait());
        let _ = push.of(item, |item| prio.put_nowait(item, &mut Nobody));
        let _ = pop.of((), |()| prio.get_nowait(&mut Nobody));
    }
    let names = ["queue.put", "queue.get", "spsc.put", "spsc.get", "prio.put", "prio.get"];
    for (what, count) in names.into_iter().zip(counts) {
        meter.add(what, "tidemill", N, count);
    }
}

fn heapless<const N: usize>(meter: &mut Meter) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let deque = arena.one(Deque::<u32, N>::new());
    let ring = arena.one(spsc::Queue::<u32, N>::new());
    let heap = arena.one(BinaryHeap::<u32, Min, N>::new());
    let (mut producer, mut consumer) = ring.split();
    for _ in 0..N / 2 {
        let _ = (deque.push_back(0), producer.enqueue(0), heap.push(draw.next()));
    }
    let mut counts = [meter.count(); 6];
    let [put, get, enqueue, dequeue, push, pop] = &mut counts;
    for _ in 0..2_000 {
        let item = draw.next();
        let _ = put.of(item, |item| deque.push_back(item));
        get.of((), |()| deque.pop_front());
        let _ = enqueue.of(item, |item| producer.enqueue(item));
        dequeue.of((), |()| consumer.dequeue());
        let _ = push.of(item, |item| heap.push(item));
        pop.of((), |()| heap.pop());
    }
    let names = [
        ("queue.put", "heapless-deque"),
        ("queue.get", "heapless-deque"),
        ("spsc.put", "heapless-spsc"),
        ("spsc.get", "heapless-spsc"),
        ("prio.put", "heapless-heap"),
        ("prio.get", "heapless-heap"),
    ];
    for ((what, whose), count) in names.into_iter().zip(counts) {
        meter.add(what, whose, N, count);
    }
}
