use super::*;
use crate::executor::Executor;
use crate::net::NoNetwork;
use crate::pool::{Failure, Slot, TaskId, TaskPool};
use crate::time::{Duration, EPOCH};
use proptest::prelude::*;
use std::vec::Vec;

/// Ends at `until`; `shy` if it does not say so. Must not be polled again after its end.
#[derive(Clone, Debug)]
struct Part {
    until: u64,
    ok: bool,
    shy: bool,
    ended: bool,
}

fn part(until: u64, ok: bool) -> Part {
    Part { until, ok, shy: false, ended: false }
}

impl<X> Task<NoNetwork, X> for Part {
    type Output = u64;
    type Error = u64;

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork, X>) -> nb::Result<u64, u64> {
        assert!(!self.ended, "polled after its end");
        let until = Instant::from_ticks(self.until);
        if cx.now < until {
            if !self.shy {
                cx.wait_until(until);
            }
            return Err(nb::Error::WouldBlock);
        }
        self.ended = true;
        if self.ok { Ok(self.until) } else { Err(nb::Error::Other(self.until)) }
    }
}

/// How a task ran.
#[derive(PartialEq, Debug)]
struct Run<O, E> {
    end: u64,
    result: Result<O, Failure<E>>,
    polls: u32,
}

fn run<T: Task<NoNetwork>>(task: T) -> Run<T::Output, T::Error> {
    let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
    let Ok(id) = executor.pool.submit(task) else { panic!("no room") };
    let mut now = EPOCH;
    while let Some(next) = executor.turn(now, &mut NoNetwork, &mut ()) {
        now = next;
    }
    let result = match executor.pool.result(id) {
        Ok(output) => Ok(output),
        Err(nb::Error::Other(failure)) => Err(failure),
        Err(nb::Error::WouldBlock) => panic!("it waits for nothing"),
    };
    Run { end: now.as_ticks(), result, polls: executor.counts().polls }
}

#[test]
fn a_part_that_names_nothing_is_polled_every_tick_whatever_the_other_waits_for() {
    let shy = Part { shy: true, ..part(2_500, true) };
    let ended = |end, result, polls| Run { end, result: Ok(result), polls };
    assert_eq!(run(join(shy.clone(), part(9_000, true))), ended(9_000, (2_500, 9_000), 5));
    assert_eq!(run(join(part(9_000, true), shy.clone())), ended(9_000, (9_000, 2_500), 5));
    let run = run(with_deadline(shy, Instant::from_ticks(9_000)));
    assert_eq!(run, Run { end: 3_000, result: Ok(2_500), polls: 4 });
}

#[test]
fn a_task_that_ends_at_its_deadline_is_in_time() {
    let deadline = Instant::from_ticks(10);
    assert_eq!(run(with_deadline(part(10, true), deadline)).result, Ok(10));
    let late = run(with_deadline(part(11, true), deadline));
    assert_eq!(late, Run { end: 10, result: Err(Failure::Failed(DeadlineError::Elapsed)), polls: 2 });
    assert_eq!(run(with_deadline(part(5, false), deadline)).result, Err(Failure::Failed(DeadlineError::Failed(5))));
}

proptest! {
    #[test]
    fn join_and_select_end_when_they_should(a in 0..50u64, b in 0..50u64, a_ok: bool, b_ok: bool) {
        let fails = [(a, a_ok), (b, b_ok)].into_iter().filter(|part| !part.1).map(|part| part.0).min();
        let Run { end, result, polls } = run(join(part(a, a_ok), part(b, b_ok)));
        prop_assert_eq!(end, fails.unwrap_or(a.max(b)));
        prop_assert_eq!(result, fails.map_or(Ok((a, b)), |at| Err(Failure::Failed(at))));
        prop_assert!(polls <= 3);

        let Run { end, result, polls } = run(select(part(a, a_ok), part(b, b_ok)));
        prop_assert_eq!(end, a.min(b));
        let (first, ok) = if a <= b { (Either::First(a), a_ok) } else { (Either::Second(b), b_ok) };
        prop_assert_eq!(result.is_ok(), ok);
        let (Ok(winner) | Err(Failure::Failed(winner))) = result else { panic!("{result:?}") };
        prop_assert_eq!(winner, first);
        prop_assert!(polls <= 2);
    }
}

/// A pool of four and a hundred jobs, each of which takes its time; what fails is counted, and one is called off.
#[test]
fn a_pool_of_four_runs_a_hundred_jobs_with_callbacks_and_a_cancellation() {
    #[derive(Default)]
    struct Tally {
        done: u64,
        failed: u64,
        cancelled: u64,
    }
    type Note = fn(TaskId, Result<&u64, Failure<&u64>>, &mut Tally);
    let note: Note = |_, result, tally| match result {
        Ok(_) => tally.done += 1,
        Err(Failure::Failed(_)) => tally.failed += 1,
        Err(_) => tally.cancelled += 1,
    };
    let slots: Vec<_> = core::iter::repeat_with(Slot::<_, _, _, Option<Note>>::with_callbacks).take(100).collect();
    let workers = core::num::NonZeroU32::new(4).unwrap();
    let mut executor = Executor::over(TaskPool::with_workers(slots, workers));
    let mut tally = Tally::default();
    let ids: Vec<_> = (0..100)
        .map(|number| {
            let id = executor.pool.submit(part(number * 1_000, number % 10 != 9)).unwrap();
            executor.pool.add_done_callback(id, note, &mut tally).unwrap();
            id
        })
        .collect();
    assert!(executor.pool.cancel(ids[50]));
    let mut now = EPOCH;
    while let Some(next) = executor.turn(now, &mut NoNetwork, &mut tally) {
        let running = ids.iter().filter(|&&id| executor.pool.running(id) == Ok(true)).count();
        assert!(running <= 4);
        now = next;
    }
    assert_eq!(now, EPOCH + Duration::from_millis(99));
    assert_eq!((tally.done, tally.failed, tally.cancelled), (89, 10, 1));
}
