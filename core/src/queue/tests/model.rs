//! Random tasks at a queue, against a list: what comes out, and who is woken.

use super::{Woken, me, wakes};
use crate::net::Token;
use crate::queue::*;
use proptest::prelude::*;
use std::vec::Vec;

type Item = Prioritized<u8, u32>;

const CAPACITY: usize = 3;
const TASKS: usize = 6;
/// Fewer than tasks, so that some find no room to wait.
const WAITERS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Nothing,
    Put(u8),
    Get,
    Join,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sleep {
    /// Polled in some later step.
    Awake,
    /// Until it is woken.
    Fast,
}

#[derive(Clone, Debug)]
enum Op {
    Wish(usize, Wish),
    /// Polls the nth of those that are awake, if there is any.
    Poll(usize),
    /// Polls one that may be asleep, as if it were woken for something else.
    Disturb(usize),
    GiveUp(usize),
    PutNowait(u8),
    GetNowait,
    TaskDone,
    Shutdown(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let wish = prop_oneof![
        3 => (0..4u8).prop_map(Wish::Put),
        3 => Just(Wish::Get),
        1 => Just(Wish::Join),
    ];
    prop_oneof![
        40 => (0..TASKS, wish).prop_map(|(task, wish)| Op::Wish(task, wish)),
        40 => (0..TASKS).prop_map(Op::Poll),
        8 => (0..TASKS).prop_map(Op::Disturb),
        6 => (0..TASKS).prop_map(Op::GiveUp),
        10 => (0..4u8).prop_map(Op::PutNowait),
        10 => Just(Op::GetNowait),
        20 => Just(Op::TaskDone),
        1 => any::<bool>().prop_map(Op::Shutdown),
    ]
}

/// The queue, what it should hold, and the tasks at it.
struct World<O> {
    queue: Queue<O, WAITERS>,
    next: fn(&[Item]) -> usize,
    items: Vec<Item>,
    unfinished: u64,
    shut_down: bool,
    entries: u32,
    tasks: [(Wish, Sleep); TASKS],
}

impl<O: Order<Item = Item>> World<O> {
    fn new(items: O, next: fn(&[Item]) -> usize) -> Self {
        Self {
            queue: Queue::new(items),
            next,
            items: Vec::new(),
            unfinished: 0,
            shut_down: false,
            entries: 0,
            tasks: [(Wish::Nothing, Sleep::Awake); TASKS],
        }
    }

    fn item(&mut self, priority: u8) -> Item {
        self.entries += 1;
        Prioritized(priority, self.entries)
    }

    fn put(&mut self, item: Item) {
        assert!(self.items.len() < CAPACITY && !self.shut_down, "took more than it holds");
        self.items.push(item);
        self.unfinished += 1;
    }

    fn got(&mut self, item: Item) {
        assert!(!self.items.is_empty(), "made an item up");
        let expected = self.items.remove((self.next)(&self.items));
        assert_eq!((item.0, item.1), (expected.0, expected.1));
    }

    fn wake(&mut self, woken: Vec<u32>, at_most: usize) {
        assert!(woken.len() <= at_most, "a herd");
        for token in woken {
            self.tasks[token as usize].1 = Sleep::Awake;
        }
    }

    fn can_go_on(&self, wish: Wish) -> bool {
        match wish {
            Wish::Nothing => false,
            Wish::Put(_) => self.items.len() < CAPACITY || self.shut_down,
            Wish::Get => !self.items.is_empty() || self.shut_down,
            Wish::Join => self.unfinished == 0,
        }
    }

    fn poll(&mut self, task: usize) {
        let wish = self.tasks[task].0;
        let can = self.can_go_on(wish);
        let mut me = me(task as u32);
        let waits = match wish {
            Wish::Nothing => return,
            Wish::Put(priority) => {
                let item = self.item(priority);
                let mut offered = Some(item);
                let result = self.queue.put(&mut offered, &mut me);
                assert_eq!(offered.is_none(), result.is_ok());
                if result.is_ok() {
                    self.put(item);
                }
                assert!(result != Err(nb::Error::Other(ShutDown)) || self.shut_down);
                result == Err(nb::Error::WouldBlock)
            }
            Wish::Get => match self.queue.get(&mut me) {
                Ok(item) => {
                    self.got(item);
                    false
                }
                Err(nb::Error::Other(ShutDown)) => {
                    assert!(self.shut_down && self.items.is_empty());
                    false
                }
                Err(nb::Error::WouldBlock) => true,
            },
            Wish::Join => self.queue.join(&mut me).is_err(),
        };
        assert_eq!(waits, !can);
        self.tasks[task] = match (waits, me.waits().named) {
            (false, _) => (Wish::Nothing, Sleep::Awake),
            (true, true) => (wish, Sleep::Fast),
            (true, false) => (wish, Sleep::Awake),
        };
        self.wake(wakes(&me), 1);
    }

    fn apply(&mut self, op: Op) {
        let mut woken = Woken::default();
        match op {
            Op::Wish(task, wish) if self.tasks[task].0 == Wish::Nothing => {
                self.tasks[task] = (wish, Sleep::Awake);
                self.poll(task);
            }
            Op::Wish(..) => {}
            Op::Poll(nth) => {
                let awake = (0..TASKS).filter(|&task| self.tasks[task].1 == Sleep::Awake);
                let awake: Vec<usize> = awake.filter(|&task| self.tasks[task].0 != Wish::Nothing).collect();
                if !awake.is_empty() {
                    self.poll(awake[nth % awake.len()]);
                }
            }
            Op::Disturb(task) => self.poll(task),
            Op::GiveUp(task) => {
                self.tasks[task] = (Wish::Nothing, Sleep::Awake);
                self.queue.leave(Token(task as u32), &mut woken);
                self.wake(woken.take(), 2);
            }
            Op::PutNowait(priority) => {
                let item = self.item(priority);
                match self.queue.put_nowait(item, &mut woken) {
                    Ok(()) => self.put(item),
                    Err(PutError::Full(back)) => assert!(back.1 == item.1 && self.items.len() == CAPACITY),
                    Err(error) => assert!(matches!(error, PutError::ShutDown(_)) && self.shut_down),
                }
                self.wake(woken.take(), 1);
            }
            Op::GetNowait => {
                match self.queue.get_nowait(&mut woken) {
                    Ok(item) => self.got(item),
                    Err(error) => {
                        assert!(self.items.is_empty());
                        assert_eq!(error == GetError::ShutDown, self.shut_down);
                    }
                }
                self.wake(woken.take(), 1);
            }
            Op::TaskDone => {
                assert_eq!(self.queue.task_done(&mut woken).is_ok(), self.unfinished > 0);
                self.unfinished = self.unfinished.saturating_sub(1);
                self.wake(woken.take(), TASKS);
            }
            Op::Shutdown(immediate) => {
                self.shut_down = true;
                if immediate {
                    self.unfinished = self.unfinished.saturating_sub(self.items.len() as u64);
                    self.items.clear();
                }
                self.queue.shutdown(immediate, &mut woken);
                self.wake(woken.take(), TASKS);
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.queue.qsize(), self.items.len());
        assert_eq!(self.queue.empty(), self.items.is_empty());
        assert_eq!(self.queue.full(), self.items.len() == CAPACITY);
        // Nobody sleeps who could go on, unless enough others are on their way to take it all.
        let asleep = |wish: fn(Wish) -> bool| {
            self.tasks.iter().filter(move |task| wish(task.0) && task.1 == Sleep::Fast).count()
        };
        let coming = |wish: fn(Wish) -> bool| {
            self.tasks.iter().filter(move |task| wish(task.0) && task.1 == Sleep::Awake).count()
        };
        let gets = |wish| wish == Wish::Get;
        let puts = |wish| matches!(wish, Wish::Put(_));
        let joins = |wish| wish == Wish::Join;
        let room = CAPACITY - self.items.len();
        assert!(asleep(gets) == 0 || !self.shut_down && coming(gets) >= self.items.len(), "a getter sleeps on");
        assert!(asleep(puts) == 0 || !self.shut_down && coming(puts) >= room, "a putter sleeps on");
        assert!(asleep(joins) == 0 || self.unfinished > 0, "a joiner sleeps on");
    }
}

fn least(items: &[Item]) -> usize {
    (0..items.len()).min_by_key(|&index| (items[index].0, items[index].1)).unwrap()
}

fn run<O: Order<Item = Item>>(items: O, next: fn(&[Item]) -> usize, ops: Vec<Op>) {
    let mut world = World::new(items, next);
    for op in ops {
        world.apply(op);
        world.check();
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_fifo_queue_agrees_with_a_list_and_wakes_whom_it_must(ops in ops()) {
        run(Fifo::<_, CAPACITY>::new(), |_| 0, ops);
    }

    #[test]
    fn a_lifo_queue_agrees_with_a_list_and_wakes_whom_it_must(ops in ops()) {
        run(Lifo::<_, CAPACITY>::new(), |items| items.len() - 1, ops);
    }

    #[test]
    fn a_priority_queue_agrees_with_a_list_and_wakes_whom_it_must_across_the_wrap_of_its_count(ops in ops()) {
        run(Priority::<_, CAPACITY>::numbered_from(u64::MAX - 20), least, ops);
    }
}
