use super::*;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

fn scheduler<const N: usize>() -> Scheduler<u32, [Slot<u32>; N]> {
    Scheduler::new([const { Slot::EMPTY }; N])
}

fn at(ticks: u64) -> Instant {
    Instant::from_ticks(ticks)
}

/// Runs all that is due and returns the actions in order.
fn due<const N: usize>(scheduler: &mut Scheduler<u32, [Slot<u32>; N]>, now: u64) -> Vec<u32> {
    core::iter::from_fn(|| scheduler.next_due(at(now))).map(|event| event.action).collect()
}

fn queued<const N: usize>(scheduler: &Scheduler<u32, [Slot<u32>; N]>) -> Vec<u32> {
    scheduler.queue().map(|event| *event.action).collect()
}

#[test]
fn events_run_by_time_then_priority_lower_first_then_order_of_entry() {
    let mut scheduler = scheduler::<8>();
    for (action, (time, priority)) in [(2, 1), (1, 5), (1, -3), (2, 0), (1, 5), (1, i32::MIN)].into_iter().enumerate() {
        scheduler.enter_abs(at(time), priority, action as u32).unwrap();
    }
    assert_eq!(queued(&scheduler), [5, 2, 1, 4, 3, 0]);
    assert_eq!(due(&mut scheduler, 2), [5, 2, 1, 4, 3, 0]);
}

#[test]
fn an_event_in_the_past_runs_at_once() {
    let mut scheduler = scheduler::<2>();
    assert_eq!(due(&mut scheduler, 100), []);
    scheduler.enter_abs(at(100), 0, 1).unwrap();
    scheduler.enter_abs(at(1), 0, 2).unwrap();
    assert_eq!(due(&mut scheduler, 100), [2, 1]);
}

#[test]
fn an_event_entered_while_run_sleeps_is_honoured_in_time() {
    let now = Cell::new(0);
    let entered = RefCell::new(false);
    let mut scheduler = scheduler::<4>();
    scheduler.enter_abs(at(100), 0, 1).unwrap();
    let mut ran = Vec::new();
    // The delay ends early, as when another thread has entered something; `act` stands for what was entered.
    scheduler.enter_abs(at(10), 0, 2).unwrap();
    scheduler
        .run(
            || at(now.get()),
            |delay| now.set(now.get() + delay.as_ticks().min(7)),
            |scheduler, event| {
                ran.push((now.get(), event.action));
                if !entered.replace(true) {
                    scheduler.enter_abs(at(50), 0, 3).unwrap();
                }
                Ok::<(), ()>(())
            },
        )
        .unwrap();
    assert_eq!(ran, [(10, 2), (50, 3), (100, 1)]);
}

#[test]
fn cancel_removes_exactly_that_event_though_others_compare_equal() {
    let mut scheduler = scheduler::<3>();
    let ids = [1, 2, 3].map(|action| scheduler.enter_abs(at(5), 0, action).unwrap());
    assert_eq!(scheduler.cancel(ids[1]), Some(2));
    assert_eq!(due(&mut scheduler, 5), [1, 3]);
}

#[test]
fn to_cancel_an_event_that_is_not_queued_is_an_error_and_touches_no_other() {
    let mut scheduler = scheduler::<1>();
    let run = scheduler.enter_abs(at(5), 0, 1).unwrap();
    assert_eq!(due(&mut scheduler, 5), [1]);
    assert_eq!(scheduler.cancel(run), None);
    let cancelled = scheduler.enter_abs(at(6), 0, 2).unwrap();
    assert_eq!(scheduler.cancel(cancelled), Some(2));
    assert_eq!(scheduler.cancel(cancelled), None);
    scheduler.enter_abs(at(7), 0, 3).unwrap();
    assert_eq!([run, cancelled].map(|id| scheduler.cancel(id)), [None, None]);
    assert_eq!(due(&mut scheduler, 7), [3]);
}

#[test]
fn empty_says_whether_anything_is_left() {
    let mut scheduler = scheduler::<1>();
    assert!(scheduler.is_empty());
    scheduler.enter(Duration::from_ticks(3), 0, 1).unwrap();
    assert!(!scheduler.is_empty());
    due(&mut scheduler, 3);
    assert!(scheduler.is_empty());
}

#[test]
fn queue_lists_what_is_left_in_run_order_and_leaves_it() {
    let mut scheduler = scheduler::<5>();
    for (time, action) in [(5, 1), (1, 2), (9, 3), (5, 4), (0, 5)] {
        scheduler.enter_abs(at(time), 0, action).unwrap();
    }
    assert_eq!(due(&mut scheduler, 1), [5, 2]);
    let left: Vec<_> = scheduler.queue().map(|event| (event.time.as_ticks(), *event.action)).collect();
    assert_eq!(left, [(5, 1), (5, 4), (9, 3)]);
    assert_eq!(due(&mut scheduler, 9), [1, 4, 3]);
}

#[test]
fn a_run_that_does_not_block_runs_what_is_due_and_returns_the_next_deadline_or_none() {
    let mut scheduler = scheduler::<4>();
    for (time, action) in [(10, 1), (20, 2), (20, 3), (30, 4)] {
        scheduler.enter_abs(at(time), 0, action).unwrap();
    }
    let mut ran = Vec::new();
    let mut act = |_: &mut Scheduler<u32, [Slot<u32>; 4]>, event: Event<u32>| {
        ran.push(event.action);
        Ok::<(), ()>(())
    };
    assert_eq!(scheduler.advance(at(5), &mut act), Ok(Some(at(10))));
    assert_eq!(scheduler.advance(at(20), &mut act), Ok(Some(at(30))));
    assert_eq!(scheduler.advance(at(40), &mut act), Ok(None));
    assert_eq!(ran, [1, 2, 3, 4]);
}

#[test]
fn a_failing_action_leaves_the_rest_queued_and_run_may_be_called_again() {
    let mut scheduler = scheduler::<3>();
    for action in [1, 2, 3] {
        scheduler.enter_abs(at(u64::from(action)), 0, action).unwrap();
    }
    let mut ran = Vec::new();
    for _ in 0..2 {
        let outcome = scheduler.run(
            || at(10),
            |_| {},
            |_, event| {
                ran.push(event.action);
                if event.action == 2 { Err("broken") } else { Ok(()) }
            },
        );
        assert_eq!(outcome, if ran.len() == 2 { Err("broken") } else { Ok(()) });
    }
    assert_eq!(ran, [1, 2, 3]);
}

#[test]
fn an_action_may_enter_and_cancel_others() {
    let mut scheduler = scheduler::<4>();
    scheduler.enter_abs(at(1), 0, 1).unwrap();
    let victim = scheduler.enter_abs(at(2), 0, 2).unwrap();
    let mut ran = Vec::new();
    scheduler
        .advance(at(10), |scheduler, event| {
            ran.push(event.action);
            if event.action == 1 {
                assert_eq!(scheduler.cancel(victim), Some(2));
                assert_eq!(scheduler.now(), at(10));
                scheduler.enter(Duration::from_ticks(0), 0, 3).unwrap();
                scheduler.enter(Duration::from_ticks(1), 0, 4).unwrap();
            }
            Ok::<(), ()>(())
        })
        .unwrap();
    assert_eq!(ran, [1, 3]);
    assert_eq!(queued(&scheduler), [4]);
}

#[test]
fn the_delay_function_is_also_called_with_zero_after_each_action() {
    let now = Cell::new(0);
    let mut delays = Vec::new();
    let mut scheduler = scheduler::<2>();
    scheduler.enter_abs(at(5), 0, 1).unwrap();
    scheduler.enter_abs(at(9), 0, 2).unwrap();
    let delay = |by: Duration| {
        delays.push(by.as_ticks());
        now.set(now.get() + by.as_ticks());
    };
    scheduler.run(|| at(now.get()), delay, |_, _| Ok::<(), ()>(())).unwrap();
    assert_eq!(delays, [5, 0, 4, 0]);
}

#[test]
fn a_tick_is_a_millisecond() {
    let mut scheduler = scheduler::<1>();
    scheduler.enter(Duration::from_millis(2), 0, 1).unwrap();
    let mut ran = 0;
    for ticks in 1..=3 {
        let left = scheduler.tick(|_, _| {
            ran = ticks;
            Ok::<(), ()>(())
        });
        assert_eq!(left, Ok((ticks < 2).then_some(at(2_000))));
    }
    assert_eq!(ran, 2);
}

#[test]
fn a_full_scheduler_hands_the_action_back() {
    let mut scheduler = scheduler::<1>();
    scheduler.enter_abs(at(1), 0, 1).unwrap();
    assert_eq!(scheduler.enter_abs(at(0), 0, 2), Err(Full(2)));
    assert_eq!(Scheduler::<u32, [Slot<u32>; 0]>::new([]).enter_abs(at(0), 0, 2), Err(Full(2)));
}

#[test]
fn a_slot_takes_32_bytes_beside_its_action() {
    assert_eq!(size_of::<Slot<core::num::NonZeroU32>>(), 32 + 4);
}

#[derive(Clone, Debug)]
enum Op {
    Enter(u64, i32),
    Cancel(usize),
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..40u64, -2..3i32).prop_map(|(delay, priority)| Op::Enter(delay, priority)),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => prop_oneof![0..20u64, any::<u64>().prop_map(|far| far >> 20)].prop_map(Op::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// The model: a list sorted by (time, priority), stably. Time jumps; the counters of entries and generations start
    /// just before their halves overflow.
    #[test]
    fn the_scheduler_agrees_with_a_sorted_list(ops in proptest::collection::vec(op(), 1..150), epoch in 0..=64u32) {
        const N: usize = 24;
        let mut scheduler = scheduler::<N>();
        scheduler.entered = u64::from(u32::MAX) - 20;
        for slot in &mut scheduler.slots {
            slot.generation = u32::MAX - 1;
        }
        let mut now = u64::MAX.checked_shr(epoch).unwrap_or(0);
        let mut model: Vec<(u64, i32, EventId, u32)> = Vec::new();
        let mut gone: Vec<EventId> = Vec::new();
        prop_assert_eq!(scheduler.next_due(at(now)), None);
        for (op, action) in ops.into_iter().zip(0..) {
            match op {
                Op::Enter(delay, priority) => {
                    let entered = scheduler.enter(Duration::from_ticks(delay), priority, action);
                    prop_assert_eq!(entered.is_ok(), model.len() < N);
                    if let Ok(id) = entered {
                        let time = now.saturating_add(delay);
                        let place = model.partition_point(|event| (event.0, event.1) <= (time, priority));
                        model.insert(place, (time, priority, id, action));
                    }
                }
                Op::Cancel(which) if !model.is_empty() => {
                    let (_, _, id, action) = model.remove(which % model.len());
                    prop_assert_eq!(scheduler.cancel(id), Some(action));
                    gone.push(id);
                }
                Op::Advance(by) => {
                    now = now.saturating_add(by);
                    while let Some(event) = scheduler.next_due(at(now)) {
                        let (time, priority, id, action) = model.remove(0);
                        prop_assert_eq!(event, Event { time: at(time), priority, action });
                        prop_assert!(time <= now);
                        gone.push(id);
                    }
                }
                Op::Cancel(_) => {}
            }
            prop_assert_eq!(scheduler.next_deadline(), model.first().map(|event| at(event.0)));
            prop_assert_eq!(queued(&scheduler), model.iter().map(|event| event.3).collect::<Vec<_>>());
            for &id in gone.iter().rev().take(30) {
                prop_assert_eq!(scheduler.cancel(id), None);
            }
        }
    }
}

/// A million operations on a thousand slots against a sorted map. Times are often equal, and jump now and then.
#[test]
fn a_million_operations_agree_with_a_sorted_map() {
    use crate::random::draw;
    const N: usize = 1_000;
    let mut scheduler = Scheduler::new(core::array::from_fn::<Slot<u32>, N, _>(|_| Slot::EMPTY));
    scheduler.entered = u64::from(u32::MAX) - 100_000;
    let mut model = std::collections::BTreeMap::new();
    let mut ids = Vec::new();
    let mut now = 0;
    for step in 0..1_000_000_u32 {
        let noise = draw(3, &[u64::from(step)]);
        match noise % 8 {
            0..4 => {
                let (time, priority) = (now + (noise >> 8) % 500, (noise >> 32) as i32 % 2);
                match scheduler.enter_abs(at(time), priority, step) {
                    Ok(id) => {
                        model.insert((time, priority, step), id);
                        ids.push((id, (time, priority, step)));
                    }
                    Err(Full(back)) => assert_eq!((back, model.len()), (step, N)),
                }
            }
            4..6 if !ids.is_empty() => {
                let (id, key) = ids.swap_remove((noise >> 8) as usize % ids.len());
                assert_eq!(scheduler.cancel(id), model.remove(&key).map(|_| key.2));
            }
            _ => {
                now += if (noise >> 8).is_multiple_of(4_096) { 1 << 33 } else { (noise >> 8) % 4 };
                while let Some(event) = scheduler.next_due(at(now)) {
                    let ((time, priority, action), _) = model.pop_first().expect("the model has it");
                    assert_eq!(event, Event { time: at(time), priority, action });
                }
            }
        }
        assert_eq!(scheduler.next_deadline(), model.first_key_value().map(|(key, _)| at(key.0)));
        assert_eq!(scheduler.len(), model.len());
    }
}
