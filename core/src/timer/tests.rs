use super::*;
use crate::time::EPOCH;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec::Vec;

fn at(ticks: u64) -> Instant {
    Instant::from_ticks(ticks)
}

fn wheel<const N: usize>() -> TimerWheel<u32, [Slot<u32>; N]> {
    TimerWheel::new([const { Slot::EMPTY }; N])
}

/// Everything due at `now`: (deadline, missed, value).
fn due<B: AsRef<[Slot<u32>]> + AsMut<[Slot<u32>]>>(wheel: &mut TimerWheel<u32, B>, now: u64) -> Vec<(u64, u64, u32)> {
    core::iter::from_fn(|| wheel.expire(at(now))).map(|t| (t.deadline.as_ticks(), t.missed, t.value)).collect()
}

#[test]
fn a_timer_runs_once_after_the_interval() {
    let mut wheel = wheel::<2>();
    let id = wheel.start(at(1_000), 7).unwrap();
    assert_eq!(due(&mut wheel, 999), []);
    assert_eq!(wheel.remaining(id, at(999)), Some(Duration::from_ticks(1)));
    assert_eq!(due(&mut wheel, 1_000), [(1_000, 0, 7)]);
    assert_eq!(due(&mut wheel, 1 << 50), []);
    assert_eq!(wheel.remaining(id, at(0)), None);
    assert!(wheel.is_empty());
}

#[test]
fn cancel_before_it_fires_prevents_it_and_after_is_harmless() {
    let mut wheel = wheel::<1>();
    let first = wheel.start(at(10), 1).unwrap();
    assert_eq!(wheel.cancel(first), Some(1));
    assert_eq!(wheel.cancel(first), None);
    let second = wheel.start(at(20), 2).unwrap();
    assert_eq!(wheel.cancel(first), None, "an old id must not reach the new timer");
    assert_eq!(due(&mut wheel, 20), [(20, 0, 2)]);
    assert_eq!(wheel.cancel(second), None);
}

#[test]
fn a_full_wheel_hands_the_value_back() {
    let mut wheel = wheel::<1>();
    wheel.start(at(10), 1).unwrap();
    assert_eq!(wheel.start(at(5), 2), Err(StartError::Full(2)));
    assert_eq!(wheel.next_deadline(), Some(at(10)));
    assert_eq!(TimerWheel::<u32, [Slot<u32>; 0]>::new([]).start(at(0), 3), Err(StartError::Full(3)));
}

#[test]
fn a_period_that_cannot_be_kept_is_refused() {
    let mut wheel = wheel::<1>();
    for ticks in [0, (1 << 29) + 1, u64::MAX] {
        let started = wheel.start_periodic(EPOCH, Duration::from_ticks(ticks), Missed::Skip, 4);
        assert_eq!(started, Err(StartError::Period(4)), "{ticks}");
    }
}

#[test]
fn a_periodic_timer_does_not_drift_and_counts_what_it_missed() {
    let mut wheel = wheel::<1>();
    let id = wheel.start_periodic(at(100), Duration::from_ticks(10), Missed::Skip, 1).unwrap();
    assert_eq!(due(&mut wheel, 107), [(100, 0, 1)]);
    assert_eq!(wheel.next_deadline(), Some(at(110)));
    assert_eq!(due(&mut wheel, 139), [(110, 2, 1)]);
    assert_eq!(wheel.next_deadline(), Some(at(140)));
    assert_eq!(due(&mut wheel, 150), [(140, 1, 1)]);
    assert_eq!(wheel.deadline(id), Some(at(160)));
    assert_eq!(wheel.cancel(id), Some(1));
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn missed_periods_are_replayed_when_asked() {
    let mut wheel = wheel::<1>();
    wheel.start_periodic(at(100), Duration::from_ticks(10), Missed::Replay, 1).unwrap();
    assert_eq!(due(&mut wheel, 125), [(100, 0, 1), (110, 0, 1), (120, 0, 1)]);
}

#[test]
fn a_periodic_timer_ends_where_time_does() {
    for missed in [Missed::Skip, Missed::Replay] {
        let mut wheel = wheel::<1>();
        wheel.start_periodic(at(u64::MAX - 15), Duration::from_ticks(10), missed, 1).unwrap();
        assert_eq!(due(&mut wheel, u64::MAX - 15), [(u64::MAX - 15, 0, 1)]);
        assert_eq!(due(&mut wheel, u64::MAX), [(u64::MAX - 5, 0, 1)]);
        assert!(wheel.is_empty());
    }
}

#[test]
fn what_a_handler_starts_or_cancels_counts_at_once() {
    let mut wheel = wheel::<4>();
    wheel.start(at(10), 1).unwrap();
    let victim = wheel.start(at(10), 2).unwrap();
    wheel.start(at(30), 3).unwrap();
    assert_eq!(wheel.expire(at(40)).unwrap().value, 1);
    assert_eq!(wheel.cancel(victim), Some(2));
    wheel.start(at(20), 4).unwrap();
    assert_eq!(due(&mut wheel, 40), [(20, 0, 4), (30, 0, 3)]);
}

#[test]
fn a_deadline_before_the_last_expiry_is_due_at_once_after_what_is_due_already() {
    let mut wheel = wheel::<4>();
    wheel.start(at(1_000), 0).unwrap();
    assert_eq!(due(&mut wheel, 1_000), [(1_000, 0, 0)]);
    wheel.start(at(1_000), 1).unwrap();
    wheel.start(at(5), 2).unwrap();
    assert_eq!(wheel.next_deadline(), Some(at(1_000)));
    assert_eq!(due(&mut wheel, 1_000), [(1_000, 0, 1), (5, 0, 2)]);
}

#[test]
fn a_timer_two_thousand_centuries_ahead_costs_no_more_than_one_ahead() {
    let mut wheel = wheel::<2>();
    let end = 200_000 * 365 * 86_400 * 1_000_000;
    wheel.start(at(end), 1).unwrap();
    wheel.start(at(end + 1), 2).unwrap();
    assert_eq!(wheel.next_deadline(), Some(at(end)));
    assert_eq!(due(&mut wheel, end - 1), []);
    assert_eq!(due(&mut wheel, end + 1), [(end, 0, 1), (end + 1, 0, 2)]);
}

#[test]
fn the_generation_wraps_without_losing_a_timer() {
    let mut wheel = wheel::<1>();
    wheel.slots[0].generation = u32::MAX;
    let old = wheel.start(at(1), 1).unwrap();
    assert_eq!(wheel.cancel(old), Some(1));
    let new = wheel.start(at(1), 2).unwrap();
    assert_eq!(wheel.cancel(old), None);
    assert_eq!(wheel.cancel(new), Some(2));
}

#[test]
fn a_slot_takes_24_bytes_beside_its_value() {
    assert_eq!(size_of::<Slot<u32>>(), 24 + 4);
    assert_eq!(size_of::<Slot<()>>(), 24);
}

/// A sorted list: the model of the wheel.
#[derive(Default)]
struct Model {
    timers: Vec<Timer>,
    started: u64,
}

#[derive(Clone)]
struct Timer {
    id: TimerId,
    deadline: u64,
    /// Where it sorts: what is late at its start comes after what is due already.
    order: (u64, u64),
    period: Option<(u64, Missed)>,
    value: u32,
}

impl Model {
    /// `elapsed` is what the wheel's time has come to: the time of the last expiry, or a little later.
    fn order(&mut self, deadline: u64, elapsed: Instant) -> (u64, u64) {
        self.started += 1;
        (deadline.max(elapsed.as_ticks()), self.started)
    }

    fn next(&self) -> Option<usize> {
        (0..self.timers.len()).min_by_key(|&index| self.timers[index].order)
    }

    fn expire(&mut self, now: u64, elapsed: Instant) -> Option<(TimerId, u64, u64, u32)> {
        let index = self.next().filter(|&index| self.timers[index].order.0 <= now);
        let mut timer = self.timers.remove(index?);
        let Timer { id, deadline, value, .. } = timer;
        let mut missed = 0;
        if let Some((period, behaviour)) = timer.period {
            let mut next = deadline.checked_add(period);
            while behaviour == Missed::Skip && next.is_some_and(|next| next <= now) {
                next = next.and_then(|next| next.checked_add(period));
                missed += 1;
            }
            if let Some(next) = next {
                timer.deadline = next;
                timer.order = self.order(next, elapsed);
                self.timers.push(timer);
            }
        }
        Some((id, deadline, missed, value))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Start(u64),
    Every(u64, u64, bool),
    Cancel(usize),
    Reset(usize, u64),
    Advance(u64),
}

/// Spans of every size: near ones often equal, far ones across every digit.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![0..20u64, 0..300u64, (0..44u32, any::<u64>()).prop_map(|(bits, noise)| noise & ((1 << bits) - 1))]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => span().prop_map(Op::Start),
        1 => (span(), 1..2_000u64, any::<bool>()).prop_map(|(first, period, replay)| Op::Every(first, period, replay)),
        2 => any::<usize>().prop_map(Op::Cancel),
        1 => (any::<usize>(), span()).prop_map(|(which, by)| Op::Reset(which, by)),
        3 => span().prop_map(Op::Advance),
    ]
}

fn agrees_with_a_sorted_list(ops: Vec<Op>, epoch: u64) -> Result<(), TestCaseError> {
    const N: usize = 12;
    let mut wheel = wheel::<N>();
    let mut model = Model::default();
    let mut now = epoch;
    prop_assert_eq!(due(&mut wheel, now), []);
    let mut gone: Vec<TimerId> = Vec::new();
    for (count, op) in ops.into_iter().enumerate() {
        let value = count as u32;
        match op {
            Op::Start(by) => {
                // Every other one from a little in the past.
                let deadline = now.saturating_add(by).saturating_sub(if count % 2 == 0 { 0 } else { 16 });
                let started = wheel.start(at(deadline), value);
                prop_assert_eq!(started.is_ok(), model.timers.len() < N);
                if let Ok(id) = started {
                    let order = model.order(deadline, wheel.wheel.elapsed());
                    model.timers.push(Timer { id, deadline, order, period: None, value });
                }
            }
            Op::Every(by, period, replay) => {
                let behaviour = if replay { Missed::Replay } else { Missed::Skip };
                let deadline = now.saturating_add(by);
                if let Ok(id) = wheel.start_periodic(at(deadline), Duration::from_ticks(period), behaviour, value) {
                    let order = model.order(deadline, wheel.wheel.elapsed());
                    model.timers.push(Timer { id, deadline, order, period: Some((period, behaviour)), value });
                }
            }
            Op::Cancel(which) if !model.timers.is_empty() => {
                let timer = model.timers.remove(which % model.timers.len());
                prop_assert_eq!(wheel.cancel(timer.id), Some(timer.value));
                gone.push(timer.id);
            }
            Op::Reset(which, by) if !model.timers.is_empty() => {
                let which = which % model.timers.len();
                let deadline = now.saturating_add(by);
                let order = model.order(deadline, wheel.wheel.elapsed());
                model.timers[which].deadline = deadline;
                model.timers[which].order = order;
                prop_assert!(wheel.reset(model.timers[which].id, at(deadline)));
            }
            Op::Advance(by) => {
                // No more than a thousand periods, or replaying them would be all this test does.
                let fastest = model.timers.iter().filter_map(|timer| timer.period).map(|(period, _)| period).min();
                now = now.saturating_add(by.min(fastest.map_or(u64::MAX, |period| 1_000 * period)));
                loop {
                    let expired = wheel.expire(at(now));
                    let expected = model.expire(now, wheel.wheel.elapsed());
                    let seen = expired.map(|t| (t.id, t.deadline.as_ticks(), t.missed, t.value));
                    prop_assert_eq!(seen, expected);
                    match seen {
                        None => break,
                        Some((id, ..)) if !model.timers.iter().any(|timer| timer.id == id) => gone.push(id),
                        Some(_) => {}
                    }
                }
            }
            _ => {}
        }
        let next = model.timers.iter().map(|timer| timer.order.0).min();
        prop_assert!(wheel.wheel.elapsed() <= at(now));
        // Asked only now and then, so that a deadline that is known and one that is not are both followed.
        if count % 3 == 0 {
            prop_assert_eq!(wheel.next_deadline(), next.map(at));
        }
        prop_assert_eq!(wheel.len(), model.timers.len());
        for &id in &gone {
            prop_assert_eq!(wheel.deadline(id), None);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_wheel_agrees_with_a_sorted_list(ops in proptest::collection::vec(op(), 1..120)) {
        agrees_with_a_sorted_list(ops, 0)?;
    }

    /// Just before each carry: of a digit, of the low half, of everything.
    #[test]
    fn it_does_so_across_every_carry(ops in proptest::collection::vec(op(), 1..60), bits in 1..=64u32, back in 0..600u64) {
        agrees_with_a_sorted_list(ops, (u64::MAX >> (64 - bits)).saturating_sub(back))?;
    }
}

/// What is due at once comes in order of start, also when some of it is cancelled, moved, or started meanwhile; and it
/// takes no time that grows with its number.
#[test]
fn fifty_thousand_timers_due_at_once_come_in_order_of_start() {
    const N: u32 = 50_000;
    let slots: Vec<Slot<u32>> = core::iter::repeat_with(|| Slot::EMPTY).take(N as usize).collect();
    let mut wheel: TimerWheel<u32, Box<[Slot<u32>]>> = TimerWheel::new(slots.into_boxed_slice());
    let ids: Vec<TimerId> = (0..N).map(|value| wheel.start(at(7_777_777), value).unwrap()).collect();
    for value in 0..N / 2 {
        if value % 5 == 4 {
            // Was cancelled, when it was to be the next.
            continue;
        }
        assert_eq!(wheel.next_deadline(), Some(at(7_777_777)));
        assert_eq!(wheel.expire(at(8_000_000)).map(|timer| timer.value), Some(value));
        match value % 5 {
            3 => assert_eq!(wheel.cancel(ids[value as usize + 1]), Some(value + 1)),
            1 => assert!(wheel.reset(ids[(N - 1 - value) as usize], at(9_000_000))),
            _ => {}
        }
    }
    // Late, and so after all that is due already.
    wheel.start(at(1), N).unwrap();
    let rest: Vec<u32> = core::iter::from_fn(|| wheel.expire(at(8_000_000))).map(|timer| timer.value).collect();
    let expected: Vec<u32> = (N / 2..N).filter(|value| (N - 1 - value) % 5 != 1).chain([N]).collect();
    assert_eq!(rest, expected);
    assert_eq!(wheel.len(), (N / 10) as usize);
}

/// A million operations on a large wheel, deadlines as servers have them: most are cancelled.
#[test]
fn a_hundred_thousand_timers_expire_in_order() {
    const N: usize = 100_000;
    let slots: Vec<Slot<u32>> = core::iter::repeat_with(|| Slot::EMPTY).take(N).collect();
    let mut wheel: TimerWheel<u32, Box<[Slot<u32>]>> = TimerWheel::new(slots.into_boxed_slice());
    let mut now = 0;
    let mut ids = Vec::new();
    let mut expired = 0;
    for round in 0..1_000_000_u64 {
        let draw = crate::random::draw(7, &[round]);
        if let Ok(id) = wheel.start(at(now + 1 + draw % 30_000_000), round as u32) {
            ids.push(id);
        }
        if draw >> 62 != 0 && !ids.is_empty() {
            let id = ids.swap_remove(draw as usize % ids.len());
            wheel.cancel(id);
        }
        if round % 100 == 0 {
            now += 5_000;
            let mut last = 0;
            while let Some(timer) = wheel.expire(at(now)) {
                let deadline = timer.deadline.as_ticks();
                assert!(last <= deadline && deadline <= now && now - deadline < 5_000);
                last = deadline;
                expired += 1;
            }
            assert!(wheel.next_deadline().is_none_or(|next| next > at(now)));
        }
    }
    assert!(expired > 100_000, "{expired}");
}
