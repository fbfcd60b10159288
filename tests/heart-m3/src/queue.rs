//! Queues: half full of `N`; one item is put, one is got.

use crate::arena::Arena;
use crate::draw::Draw;
use crate::meter::Meter;
use heapless::Deque;
use heapless::binary_heap::{BinaryHeap, Min};
use heapless::spsc;

pub fn measure(meter: &mut Meter) {
    heapless::<10>(meter);
    heapless::<1_000>(meter);
    heapless::<100_000>(meter);
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
        let _ = put.of(|| deque.push_back(item));
        get.of(|| deque.pop_front());
        let _ = enqueue.of(|| producer.enqueue(item));
        dequeue.of(|| consumer.dequeue());
        let _ = push.of(|| heap.push(item));
        pop.of(|| heap.pop());
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
