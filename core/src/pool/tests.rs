use super::*;
use crate::executor::Executor;
use crate::net::NoNetwork;
use crate::task::{Context, Task};
use crate::time::{Duration, EPOCH};
use heapless::Deque;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;
use std::vec::Vec;

/// Ends at its time, as told; notes its first poll in what all share.
#[derive(Clone, PartialEq, Debug)]
struct Job {
    name: u32,
    until: u64,
    ok: bool,
    begun: bool,
}

#[derive(Default, Debug)]
struct Log {
    begun: Vec<u32>,
    called: Vec<(u32, Result<u32, Failure<u32>>)>,
}

impl Task<NoNetwork, Log> for Job {
    type Output = u32;
    type Error = u32;

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Log>) -> nb::Result<u32, u32> {
        if !core::mem::replace(&mut self.begun, true) {
            cx.shared.begun.push(self.name);
        }
        let until = Instant::from_ticks(self.until);
        if cx.now < until {
            cx.wait_until(until);
            return Err(nb::Error::WouldBlock);
        }
        if self.ok { Ok(self.name) } else { Err(nb::Error::Other(self.name)) }
    }
}

type Note = fn(TaskId, Result<&u32, Failure<&u32>>, &mut Log);
type Pool<const N: usize, C = ()> = Executor<Job, [Slot<Job, u32, u32, C>; N], u32, u32, C>;

fn job(name: u32, until: u64) -> Job {
    Job { name, until, ok: true, begun: false }
}

fn failing(name: u32, until: u64) -> Job {
    Job { ok: false, ..job(name, until) }
}

fn executor<const N: usize>(workers: u32) -> Pool<N> {
    let workers = NonZeroU32::new(workers).unwrap();
    Executor::over(TaskPool::with_workers([const { Slot::EMPTY }; N], workers))
}

fn noting<const N: usize>() -> Pool<N, Deque<Note, 3>> {
    Executor::new([const { Slot::with_callbacks() }; N])
}

/// A callback that notes `mark` and the result.
fn note<const MARK: u32>(_: TaskId, result: Result<&u32, Failure<&u32>>, log: &mut Log) {
    let result = match result {
        Ok(&output) => Ok(output),
        Err(Failure::Failed(&error)) => Err(Failure::Failed(error)),
        Err(_) => Err(Failure::Cancelled),
    };
    log.called.push((MARK, result));
}

fn turn<C, const N: usize>(executor: &mut Pool<N, C>, now: u64, log: &mut Log) -> Option<u64>
where
    C: Callbacks,
    C::Callback: Callback<u32, u32, Log>,
{
    executor.turn(Instant::from_ticks(now), &mut NoNetwork, log).map(|next| next.as_ticks())
}

#[test]
fn a_new_future_is_pending() {
    let mut executor = executor::<1>(1);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    assert_eq!(executor.pool.state(id), Ok(State::Pending));
    assert_eq!(executor.pool.done(id), Ok(false));
    assert_eq!(executor.pool.running(id), Ok(false));
    assert_eq!(executor.pool.cancelled(id), Ok(false));
}

#[test]
fn cancel_on_pending_is_true_and_again_true() {
    let mut executor = executor::<1>(1);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    assert!(executor.pool.cancel(id));
    assert!(executor.pool.cancel(id));
    assert_eq!(executor.pool.cancelled(id), Ok(true));
    assert_eq!(executor.pool.done(id), Ok(true));
    assert_eq!(turn(&mut executor, 9, &mut Log::default()), None);
    assert_eq!(executor.counts().polls, 0);
}

#[test]
fn cancel_on_running_or_finished_is_false() {
    let mut executor = executor::<1>(1);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    turn(&mut executor, 0, &mut Log::default());
    assert_eq!(executor.pool.running(id), Ok(true));
    assert!(!executor.pool.cancel(id));
    turn(&mut executor, 5, &mut Log::default());
    assert_eq!(executor.pool.running(id), Ok(false));
    assert!(!executor.pool.cancel(id));
    assert_eq!(executor.pool.cancelled(id), Ok(false));
    assert_eq!(executor.pool.result(id), Ok(1));
}

#[test]
fn a_running_task_is_aborted_between_polls() {
    let mut executor = executor::<2>(1);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    executor.pool.submit(job(2, 0)).unwrap();
    let mut log = Log::default();
    turn(&mut executor, 0, &mut log);
    assert!(executor.pool.abort(id));
    assert!(!executor.pool.abort(id));
    assert_eq!(executor.pool.result(id), Err(Failure::Cancelled.into()));
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.begun, [1, 2], "its worker goes to the next");
}

#[test]
fn a_result_that_is_late_is_a_time_out_and_may_still_come() {
    let mut executor = executor::<1>(1);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    let deadline = Instant::from_ticks(3);
    turn(&mut executor, 2, &mut Log::default());
    assert_eq!(executor.pool.result_by(id, deadline, Instant::from_ticks(2)), Err(nb::Error::WouldBlock));
    assert_eq!(executor.pool.result_by(id, deadline, Instant::from_ticks(3)), Err(Failure::TimedOut.into()));
    turn(&mut executor, 5, &mut Log::default());
    assert_eq!(executor.pool.result_by(id, deadline, Instant::from_ticks(5)), Ok(1));
}

#[test]
fn the_error_of_a_failed_task_is_the_same_again_and_again() {
    let mut executor = executor::<1>(1);
    let id = executor.pool.submit(failing(7, 0)).unwrap();
    assert_eq!(executor.pool.exception(id), Err(nb::Error::WouldBlock));
    turn(&mut executor, 0, &mut Log::default());
    for _ in 0..3 {
        assert_eq!(executor.pool.peek(id), Err(Failure::Failed(&7).into()));
        assert_eq!(executor.pool.exception(id), Ok(Some(&7)));
    }
    assert_eq!(executor.pool.result(id), Err(Failure::Failed(7).into()));
    assert_eq!(executor.pool.result(id), Err(Failure::Stale.into()));
}

#[test]
fn the_exception_of_a_success_is_none_and_of_a_cancelled_task_that_it_was_cancelled() {
    let mut executor = executor::<2>(1);
    let good = executor.pool.submit(job(1, 0)).unwrap();
    let cancelled = executor.pool.submit(job(2, 0)).unwrap();
    executor.pool.cancel(cancelled);
    turn(&mut executor, 0, &mut Log::default());
    assert_eq!(executor.pool.exception(good), Ok(None));
    assert_eq!(executor.pool.exception(cancelled), Err(Failure::Cancelled.into()));
}

#[test]
fn callbacks_run_once_in_order_of_registration() {
    let mut executor = noting::<2>();
    let mut log = Log::default();
    let good = executor.pool.submit(job(1, 5)).unwrap();
    let bad = executor.pool.submit(failing(2, 3)).unwrap();
    executor.pool.add_done_callback(good, note::<10> as Note, &mut log).unwrap();
    executor.pool.add_done_callback(good, note::<11> as Note, &mut log).unwrap();
    executor.pool.add_done_callback(bad, note::<20> as Note, &mut log).unwrap();
    for now in [0, 3, 5, 9] {
        turn(&mut executor, now, &mut log);
    }
    assert_eq!(log.called, [(20, Err(Failure::Failed(2))), (10, Ok(1)), (11, Ok(1))]);
    assert_eq!(executor.pool.result(good), Ok(1), "callbacks only look at the result");
}

#[test]
fn a_callback_is_called_at_once_if_the_task_has_ended() {
    let mut executor = noting::<1>();
    let mut log = Log::default();
    let id = executor.pool.submit(job(1, 0)).unwrap();
    turn(&mut executor, 0, &mut log);
    executor.pool.add_done_callback(id, note::<10> as Note, &mut log).unwrap();
    assert_eq!(log.called, [(10, Ok(1))]);
}

#[test]
fn callbacks_of_a_cancelled_task_run_too_and_before_its_result_is_gone() {
    let mut executor = noting::<1>();
    let mut log = Log::default();
    let id = executor.pool.submit(job(1, 0)).unwrap();
    executor.pool.add_done_callback(id, note::<10> as Note, &mut log).unwrap();
    executor.pool.cancel(id);
    executor.pool.add_done_callback(id, note::<11> as Note, &mut log).unwrap();
    assert_eq!(executor.pool.result(id), Err(nb::Error::WouldBlock));
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.called, [(10, Err(Failure::Cancelled)), (11, Err(Failure::Cancelled))]);
    assert_eq!(executor.pool.result(id), Err(Failure::Cancelled.into()));
}

#[test]
fn a_detached_task_calls_back_and_then_frees_its_slot() {
    let mut executor = noting::<1>();
    let mut log = Log::default();
    let id = executor.pool.spawn(job(1, 0)).unwrap();
    executor.pool.add_done_callback(id, note::<10> as Note, &mut log).unwrap();
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.called, [(10, Ok(1))]);
    assert!(executor.pool.has_room());
}

#[test]
fn a_callback_for_which_there_is_no_room_or_no_task_is_handed_back() {
    let mut executor = noting::<1>();
    let mut log = Log::default();
    let id = executor.pool.submit(job(1, 0)).unwrap();
    for _ in 0..3 {
        executor.pool.add_done_callback(id, note::<1> as Note, &mut log).unwrap();
    }
    let refused = executor.pool.add_done_callback(id, note::<1> as Note, &mut log);
    assert!(matches!(refused, Err(CallbackError::Full(_))));
    turn(&mut executor, 0, &mut log);
    executor.pool.result(id).unwrap();
    let refused = executor.pool.add_done_callback(id, note::<1> as Note, &mut log);
    assert!(matches!(refused, Err(CallbackError::Stale(_))));
}

#[test]
fn a_callback_that_panics_keeps_no_other_from_being_called() {
    let mut executor = noting::<2>();
    let mut log = Log::default();
    let first = executor.pool.submit(job(1, 0)).unwrap();
    let second = executor.pool.submit(job(2, 0)).unwrap();
    executor.pool.add_done_callback(first, (|_, _, _| panic!("bad callback")) as Note, &mut log).unwrap();
    executor.pool.add_done_callback(first, note::<10> as Note, &mut log).unwrap();
    executor.pool.add_done_callback(second, note::<20> as Note, &mut log).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turn(&mut executor, 0, &mut log)));
    assert!(panicked.is_err());
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.called, [(10, Ok(1)), (20, Ok(2))]);
    assert_eq!(executor.pool.result(first), Ok(1));
}

/// Its callback is gone, but the pool has still to take the task off its list of those to call.
#[test]
fn the_result_of_a_task_whose_last_callback_panicked_may_be_asked_for_at_once() {
    let mut executor = noting::<3>();
    let mut log = Log::default();
    let id = executor.pool.submit(job(1, 0)).unwrap();
    executor.pool.add_done_callback(id, (|_, _, _| panic!("bad callback")) as Note, &mut log).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turn(&mut executor, 0, &mut log)));
    assert!(panicked.is_err());
    let asked = executor.pool.result(id);
    let next = executor.pool.submit(job(2, 0)).unwrap();
    executor.pool.add_done_callback(next, note::<20> as Note, &mut log).unwrap();
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.called, [(20, Ok(2))], "a slot in two lists loses its callbacks");
    assert_eq!(asked, Err(nb::Error::WouldBlock));
    assert_eq!([id, next].map(|id| executor.pool.result(id)), [Ok(1), Ok(2)]);
    for round in 0..3 {
        let ids: Vec<_> = (0..3).map(|name| executor.pool.submit(job(name, 0)).unwrap()).collect();
        turn(&mut executor, 0, &mut log);
        for (name, id) in (0..).zip(ids) {
            assert_eq!(executor.pool.result(id), Ok(name), "{round}");
        }
    }
}

#[test]
fn a_stale_id_is_an_error_of_its_own_and_never_another_task() {
    let mut executor = executor::<1>(1);
    let old = executor.pool.submit(job(1, 0)).unwrap();
    turn(&mut executor, 0, &mut Log::default());
    executor.pool.result(old).unwrap();
    let new = executor.pool.submit(job(2, 0)).unwrap();
    assert_eq!(executor.pool.state(old), Err(Stale));
    assert_eq!(executor.pool.peek(old), Err(Failure::Stale.into()));
    assert!(!executor.pool.cancel(old));
    assert!(!executor.pool.abort(old));
    executor.pool.detach(old);
    assert_eq!(executor.pool.get_mut(old), None);
    assert_eq!(executor.pool.state(new), Ok(State::Pending));
}

#[test]
fn the_generation_wraps() {
    let mut executor = executor::<1>(1);
    executor.pool.slots[0].generation = u32::MAX;
    let old = executor.pool.spawn(job(1, 0)).unwrap();
    turn(&mut executor, 0, &mut Log::default());
    let new = executor.pool.submit(job(2, 0)).unwrap();
    assert_eq!(executor.pool.state(old), Err(Stale));
    assert_eq!(executor.pool.state(new), Ok(State::Pending));
}

#[test]
fn submit_after_shutdown_is_an_error() {
    let mut executor = executor::<2>(1);
    executor.pool.shutdown(false);
    executor.pool.shutdown(false);
    assert_eq!(executor.pool.submit(job(1, 0)), Err(SubmitError::ShutDown(job(1, 0))));
}

#[test]
fn shutdown_lets_all_work_complete() {
    let mut executor = executor::<3>(1);
    let ids = [1, 2, 3].map(|name| executor.pool.submit(job(name, 0)).unwrap());
    executor.pool.shutdown(false);
    assert_eq!(executor.pool.join(), Err(nb::Error::WouldBlock));
    turn(&mut executor, 0, &mut Log::default());
    assert_eq!(executor.pool.join(), Ok(()));
    assert_eq!(ids.map(|id| executor.pool.result(id)), [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn cancel_futures_cancels_every_pending_one_and_running_ones_finish() {
    let mut executor = executor::<4>(2);
    let ids = [1, 2, 3, 4].map(|name| executor.pool.submit(job(name, 5)).unwrap());
    turn(&mut executor, 0, &mut Log::default());
    executor.pool.shutdown(true);
    turn(&mut executor, 5, &mut Log::default());
    let cancelled = || Err(Failure::Cancelled.into());
    assert_eq!(ids.map(|id| executor.pool.result(id)), [Ok(1), Ok(2), cancelled(), cancelled()]);
    assert_eq!(executor.pool.join(), Ok(()));
}

#[test]
fn never_more_run_than_there_are_workers_and_in_order_of_priority_then_of_entry() {
    let mut executor = executor::<6>(2);
    let mut log = Log::default();
    for (name, priority) in [(1, 4), (2, 4), (3, 4), (4, 7), (5, 0), (6, 4)] {
        executor.pool.submit_at(Priority::new(priority).unwrap(), job(name, u64::from(name) * 10)).unwrap();
    }
    assert_eq!(turn(&mut executor, 0, &mut log), Some(10));
    assert_eq!(log.begun, [1, 2], "they had a worker before the urgent one came");
    turn(&mut executor, 10, &mut log);
    assert_eq!(log.begun, [1, 2, 5]);
    turn(&mut executor, 60, &mut log);
    assert_eq!(log.begun, [1, 2, 5, 3, 6, 4]);
    assert_eq!(Priority::new(8), None);
}

#[test]
fn a_result_is_dropped_as_soon_as_it_is_taken_and_a_task_as_soon_as_it_ends() {
    struct Holds(Arc<()>);
    impl Task<NoNetwork> for Holds {
        type Output = Arc<()>;
        type Error = ();
        fn poll(&mut self, _: &mut Context<'_, NoNetwork>) -> nb::Result<Arc<()>, ()> {
            Ok(self.0.clone())
        }
    }
    let value = Arc::new(());
    let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
    let id = executor.pool.submit(Holds(value.clone())).unwrap();
    executor.turn(EPOCH, &mut NoNetwork, &mut ());
    assert_eq!(Arc::strong_count(&value), 2, "the result, but no task");
    drop(executor.pool.result(id));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_maps_time_out_counts_from_the_call_to_map_and_leaves_it_usable() {
    let mut executor = executor::<2>(2);
    let mut log = Log::default();
    let mut map = Map::<_, _, 2>::new([job(1, 2), job(2, 9)], &mut executor.pool);
    let [deadline, at] = [Instant::from_ticks(5), Instant::from_ticks(4)];
    turn(&mut executor, 4, &mut log);
    assert_eq!(map.next_by(&mut executor.pool, deadline, at), Ok(Some(1)));
    assert_eq!(map.next_by(&mut executor.pool, deadline, at), Err(nb::Error::WouldBlock));
    assert_eq!(map.next_by(&mut executor.pool, deadline, deadline), Err(Failure::TimedOut.into()));
    turn(&mut executor, 9, &mut log);
    assert_eq!(map.next_by(&mut executor.pool, deadline, Instant::from_ticks(9)), Ok(Some(2)), "it is there");
    assert_eq!(map.next_by(&mut executor.pool, deadline, Instant::from_ticks(9)), Ok(None));
}

#[test]
fn shutdown_twice_is_fine_and_the_second_may_cancel_what_the_first_let_be() {
    let mut executor = executor::<2>(1);
    let ids = [1, 2].map(|name| executor.pool.submit(job(name, 0)).unwrap());
    executor.pool.shutdown(false);
    assert!(!executor.pool.cancelled(ids[0]).unwrap());
    executor.pool.shutdown(true);
    executor.pool.shutdown(true);
    assert_eq!(ids.map(|id| executor.pool.cancelled(id)), [Ok(true); 2]);
    assert_eq!(executor.pool.join(), Ok(()));
}

#[test]
fn many_may_wait_for_one_task() {
    let mut executor = executor::<2>(2);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    let [mut one, mut other] = [[id]; 2];
    assert!(executor.pool.wait(&mut one, ReturnWhen::AllCompleted, EPOCH, None).is_err());
    turn(&mut executor, 5, &mut Log::default());
    for ids in [&mut one, &mut other] {
        assert_eq!(executor.pool.wait(ids, ReturnWhen::AllCompleted, EPOCH, None).unwrap().done, [id]);
    }
    assert_eq!(AsCompleted::new(&mut one).next(&executor.pool, EPOCH, None), Ok(Some(id)));
    assert_eq!(AsCompleted::new(&mut other).next(&executor.pool, EPOCH, None), Ok(Some(id)));
    assert_eq!(executor.pool.peek(id), Ok(&1));
}

#[test]
fn how_many_live_is_counted_with_those_that_wait_for_a_worker() {
    let mut executor = executor::<4>(2);
    let ids = [1, 2, 3, 4].map(|name| executor.pool.submit(job(name, 9)).unwrap());
    assert_eq!((executor.pool.live(), executor.pool.live_max()), (4, 4));
    assert!(executor.pool.cancel(ids[3]), "has no worker");
    assert!(executor.pool.cancel(ids[0]), "has one, which the third gets");
    assert_eq!((executor.pool.live(), executor.pool.live_max()), (2, 4));
    let mut log = Log::default();
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.begun, [2, 3]);
    turn(&mut executor, 9, &mut log);
    assert_eq!((executor.pool.live(), executor.pool.live_max()), (0, 4));
}

#[test]
fn map_yields_in_order_of_input_and_errors_where_they_are_reached() {
    let mut executor = executor::<3>(3);
    let mut log = Log::default();
    let jobs = [job(1, 30), job(2, 10), failing(3, 20), job(4, 0), job(5, 0)];
    let mut map = Map::<_, _, 3>::new(jobs, &mut executor.pool);
    turn(&mut executor, 0, &mut log);
    assert_eq!(log.begun, [1, 2, 3], "submitted before a result was asked for, but no more than 3");
    let mut results = Vec::new();
    for now in [0, 10, 20, 30, 30, 30, 30] {
        turn(&mut executor, now, &mut log);
        while let Some(result) = match map.next(&mut executor.pool) {
            Err(nb::Error::WouldBlock) | Ok(None) => None,
            result => Some(result.map(Option::unwrap)),
        } {
            results.push((now, result));
        }
    }
    assert_eq!(results.iter().map(|(now, _)| *now).collect::<Vec<_>>(), [30, 30, 30, 30, 30]);
    let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    assert_eq!(results, [Ok(1), Ok(2), Err(Failure::Failed(3).into()), Ok(4), Ok(5)]);
    assert_eq!(map.next(&mut executor.pool), Ok(None));
}

#[test]
fn map_yields_as_completed_when_asked() {
    let mut executor = executor::<3>(3);
    let mut log = Log::default();
    let mut map = Map::<_, _, 3>::new([job(1, 30), job(2, 10), job(3, 20)], &mut executor.pool);
    for now in [0, 10, 20] {
        turn(&mut executor, now, &mut log);
    }
    assert_eq!(map.next_completed(&mut executor.pool), Ok(Some(2)));
    assert_eq!(map.next_completed(&mut executor.pool), Ok(Some(3)));
    assert_eq!(map.next_completed(&mut executor.pool), Err(nb::Error::WouldBlock));
    turn(&mut executor, 30, &mut log);
    assert_eq!(map.next_completed(&mut executor.pool), Ok(Some(1)));
    assert_eq!(map.next_completed(&mut executor.pool), Ok(None));
}

#[test]
fn a_cancelled_map_cancels_what_has_not_begun_and_leaves_no_slot_taken() {
    let mut executor = executor::<4>(1);
    let mut log = Log::default();
    let map = Map::<_, _, 3>::new((1..).map(|name| job(name, 5)), &mut executor.pool);
    turn(&mut executor, 0, &mut log);
    map.cancel(&mut executor.pool);
    assert_eq!(executor.pool.live(), 1);
    turn(&mut executor, 5, &mut log);
    assert_eq!(executor.pool.live(), 0);
    for name in 0..4 {
        executor.pool.submit(job(name, 0)).unwrap();
    }
}

#[test]
fn map_waits_for_room_and_says_when_the_pool_is_shut_down() {
    let mut executor = executor::<1>(1);
    let mut log = Log::default();
    let other = executor.pool.submit(job(9, 0)).unwrap();
    let mut map = Map::<_, _, 2>::new([job(1, 0), job(2, 0)], &mut executor.pool);
    assert_eq!(map.next(&mut executor.pool), Err(nb::Error::WouldBlock));
    turn(&mut executor, 0, &mut log);
    executor.pool.result(other).unwrap();
    assert_eq!(map.next(&mut executor.pool), Err(nb::Error::WouldBlock));
    turn(&mut executor, 0, &mut log);
    executor.pool.shutdown(false);
    assert_eq!(map.next(&mut executor.pool), Ok(Some(1)));
    assert_eq!(map.next(&mut executor.pool), Err(Failure::Cancelled.into()));
    assert_eq!(map.next(&mut executor.pool), Ok(None));
}

#[test]
fn wait_returns_both_sets_for_each_condition_and_counts_duplicates_once() {
    let mut executor = executor::<4>(4);
    let mut log = Log::default();
    let a = executor.pool.submit(job(1, 10)).unwrap();
    let b = executor.pool.submit(failing(2, 20)).unwrap();
    let c = executor.pool.submit(job(3, 30)).unwrap();
    let d = executor.pool.submit(job(4, 0)).unwrap();
    executor.pool.cancel(d);
    let all = [c, a, b, a, c, a];
    // At each time: how many are done and not, for each condition; `None`: not yet.
    let first = [None, Some((1, 2)), Some((2, 1)), Some((3, 0))];
    let exception = [None, None, Some((2, 1)), Some((3, 0))];
    let completed = [None, None, None, Some((3, 0))];
    for (index, now) in [0, 10, 20, 30].into_iter().enumerate() {
        turn(&mut executor, now, &mut log);
        for (when, expected) in [
            (ReturnWhen::FirstCompleted, first),
            (ReturnWhen::FirstException, exception),
            (ReturnWhen::AllCompleted, completed),
        ] {
            let at = Instant::from_ticks(now);
            let mut ids = all;
            let waited = executor.pool.wait(&mut ids, when, at, None).ok();
            assert_eq!(waited.map(|waited| (waited.done.len(), waited.not_done.len())), expected[index], "{when:?}");
            let mut ids = all;
            let timed_out = executor.pool.wait(&mut ids, when, at, Some(at)).unwrap();
            assert_eq!(timed_out.done.len(), index, "a time-out returns what there is");
        }
    }
    let mut ids = [a, d];
    executor.pool.result(a).unwrap();
    assert_eq!(executor.pool.wait(&mut ids, ReturnWhen::AllCompleted, EPOCH, None), Err(Stale.into()));
    let waited = executor.pool.wait(&mut ids[1..], ReturnWhen::FirstException, EPOCH, None).unwrap();
    assert_eq!(waited.done, [d], "a cancelled task is no exception, but all have ended");
    assert!(executor.pool.wait(&mut [], ReturnWhen::FirstCompleted, EPOCH, None).is_ok());
}

#[test]
fn as_completed_yields_each_once_in_order_of_their_end_and_says_how_many_are_left() {
    let mut executor = executor::<4>(4);
    let mut log = Log::default();
    let [a, b, c] = [(1, 20), (2, 0), (3, 10)].map(|(name, until)| executor.pool.submit(job(name, until)).unwrap());
    let mut ids = [a, a, b, c, b];
    for now in [0, 10] {
        turn(&mut executor, now, &mut log);
    }
    let mut completed = AsCompleted::new(&mut ids);
    let at = Instant::from_ticks;
    assert_eq!(completed.next(&executor.pool, at(10), None), Ok(Some(b)));
    executor.pool.result(b).unwrap();
    assert_eq!(completed.next(&executor.pool, at(10), None), Ok(Some(c)), "results may be freed once yielded");
    assert_eq!(completed.next(&executor.pool, at(10), Some(at(15))), Err(nb::Error::WouldBlock));
    let unfinished = Unfinished { left: 1, of: 3 };
    assert_eq!(completed.next(&executor.pool, at(15), Some(at(15))), Err(nb::Error::Other(unfinished)));
    assert_eq!(std::format!("{unfinished}"), "1 (of 3) futures unfinished");
    turn(&mut executor, 20, &mut log);
    assert_eq!(completed.next(&executor.pool, at(20), Some(at(15))), Ok(Some(a)));
    assert_eq!(completed.next(&executor.pool, at(20), Some(at(15))), Ok(None));
}

#[test]
fn a_future_can_be_awaited() {
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = count.clone().into();
    let mut cx = core::task::Context::from_waker(&waker);
    let mut executor: Pool<2, Option<WakeOnDone>> = Executor::new([const { Slot::with_callbacks() }; 2]);
    let id = executor.pool.submit(job(1, 5)).unwrap();
    let cancelled = executor.pool.submit(job(2, 5)).unwrap();
    let mut log = Log::default();
    for now in [0, 1, 2] {
        assert_eq!(executor.pool.poll_result(id, &mut cx), Poll::Pending);
        turn(&mut executor, now, &mut log);
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    turn(&mut executor, 5, &mut log);
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "woken once, however often it was polled");
    assert_eq!(executor.pool.poll_result(id, &mut cx), Poll::Ready(Ok(1)));
    assert_eq!(executor.pool.poll_result(id, &mut cx), Poll::Ready(Err(Failure::Stale)));
    executor.pool.cancel(cancelled);
    turn(&mut executor, 5, &mut log);
    assert_eq!(executor.pool.poll_result(cancelled, &mut cx), Poll::Ready(Ok(2)));
}

#[test]
fn a_slot_takes_24_bytes_beside_its_task() {
    assert_eq!(size_of::<Slot<u32>>(), 24 + 4);
    assert_eq!(size_of::<Slot<[u32; 4], u32, u32>>(), 24 + 16);
}

/// The model: a plain list of what was submitted, in order.
struct Model {
    jobs: Vec<Entry>,
    workers: usize,
}

struct Entry {
    id: TaskId,
    job: Job,
    priority: u8,
    state: State,
    /// Its worker was free before its first poll.
    has_worker: bool,
    entered: u64,
}

impl Model {
    fn busy(&self) -> usize {
        self.jobs.iter().filter(|entry| entry.has_worker && !entry.state.is_ended()).count()
    }

    /// Hands free workers to the pending: by priority, then by entry.
    fn assign(&mut self) {
        while self.busy() < self.workers {
            let waiting = self.jobs.iter_mut().filter(|entry| !entry.has_worker && entry.state == State::Pending);
            let Some(next) = waiting.min_by_key(|entry| (entry.priority, entry.entered)) else { return };
            next.has_worker = true;
        }
    }

    fn turn(&mut self, now: u64) {
        loop {
            self.assign();
            let mut again = false;
            for entry in self.jobs.iter_mut().filter(|entry| entry.has_worker && !entry.state.is_ended()) {
                entry.state = State::Running;
                if entry.job.until <= now {
                    entry.state = if entry.job.ok { State::Done } else { State::Failed };
                    again = true;
                }
            }
            if !again {
                return;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Submit { priority: u8, after: u64, ok: bool },
    Cancel(usize),
    Abort(usize),
    Take(usize),
    Turn(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..8u8, 0..50u64, any::<bool>()).prop_map(|(priority, after, ok)| Op::Submit { priority, after, ok }),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => any::<usize>().prop_map(Op::Abort),
        2 => any::<usize>().prop_map(Op::Take),
        2 => (0..30u64).prop_map(Op::Turn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_agrees_with_a_list(ops in proptest::collection::vec(op(), 1..100), workers in 1..7u32) {
        const N: usize = 6;
        let mut executor = executor::<N>(workers);
        let mut model = Model { jobs: Vec::new(), workers: workers as usize };
        let mut log = Log::default();
        let mut taken: Vec<TaskId> = Vec::new();
        let mut now = 0;
        for (count, op) in ops.into_iter().enumerate() {
            match op {
                Op::Submit { priority, after, ok } => {
                    let job = Job { name: count as u32, until: now + after, ok, begun: false };
                    let submitted = executor.pool.submit_at(Priority::new(priority).unwrap(), job.clone());
                    prop_assert_eq!(submitted.is_ok(), model.jobs.len() < N);
                    if let Ok(id) = submitted {
                        let entered = count as u64;
                        model.jobs.push(Entry { id, job, priority, state: State::Pending, has_worker: false, entered });
                        model.assign();
                    }
                }
                Op::Cancel(which) if !model.jobs.is_empty() => {
                    let which = which % model.jobs.len();
                    let entry = &mut model.jobs[which];
                    let expected = entry.state.cancel();
                    prop_assert_eq!(executor.pool.cancel(entry.id), expected.is_some());
                    entry.state = expected.unwrap_or(entry.state);
                    model.assign();
                }
                Op::Abort(which) if !model.jobs.is_empty() => {
                    let which = which % model.jobs.len();
                    let entry = &mut model.jobs[which];
                    let expected = entry.state.abort();
                    prop_assert_eq!(executor.pool.abort(entry.id), expected.is_some());
                    entry.state = expected.unwrap_or(entry.state);
                    model.assign();
                }
                Op::Take(which) if !model.jobs.is_empty() => {
                    let which = which % model.jobs.len();
                    let entry = &model.jobs[which];
                    let expected = match entry.state {
                        State::Pending | State::Running => Err(nb::Error::WouldBlock),
                        State::Done => Ok(entry.job.name),
                        State::Failed => Err(Failure::Failed(entry.job.name).into()),
                        State::Cancelled => Err(Failure::Cancelled.into()),
                    };
                    prop_assert_eq!(executor.pool.result(entry.id), expected);
                    if entry.state.is_ended() {
                        taken.push(model.jobs.remove(which).id);
                    }
                }
                Op::Turn(by) => {
                    now += by;
                    let at = Instant::from_ticks(now);
                    while executor.turn(at, &mut NoNetwork, &mut log).is_some_and(|next| next <= at) {}
                    model.turn(now);
                    let running = model.jobs.iter().filter(|entry| entry.state == State::Running);
                    let next = running.map(|entry| entry.job.until).min().map(Instant::from_ticks);
                    prop_assert_eq!(executor.turn(at, &mut NoNetwork, &mut log), next);
                }
                _ => {}
            }
            for entry in &model.jobs {
                prop_assert_eq!(executor.pool.state(entry.id), Ok(entry.state));
            }
            for &id in &taken {
                prop_assert_eq!(executor.pool.state(id), Err(Stale));
            }
            let live = model.jobs.iter().filter(|entry| !entry.state.is_ended()).count();
            prop_assert_eq!(executor.pool.live(), live);
            prop_assert_eq!(executor.pool.has_room(), model.jobs.len() < N);
        }
    }
}

#[test]
fn a_hundred_thousand_tasks_are_the_same_code() {
    const N: u32 = 100_000;
    let slots: Vec<_> = core::iter::repeat_with(|| Slot::EMPTY).take(N as usize).collect();
    let mut executor = Executor::over(TaskPool::with_workers(slots, NonZeroU32::new(64).unwrap()));
    let ids: Vec<_> = (0..N).map(|name| executor.pool.submit(job(name, u64::from(name % 97))).unwrap()).collect();
    let mut log = Log::default();
    let mut now = EPOCH;
    while let Some(next) = executor.turn(now, &mut NoNetwork, &mut log) {
        now = next.max(now + Duration::from_ticks(1));
    }
    for (name, id) in ids.into_iter().enumerate() {
        assert_eq!(executor.pool.result(id), Ok(name as u32));
    }
    assert_eq!(executor.pool.live_max(), N as usize);
}

#[test]
fn a_ready_task_can_be_preferred_and_none_is_lost() {
    let mut pool = TaskPool::<Job, _, u32, u32>::new([const { Slot::EMPTY }; 4]);
    for name in 0..4 {
        pool.spawn(job(name, 0)).unwrap();
    }
    assert_eq!((pool.ready_up_to(9), pool.ready_up_to(3)), (4, 3));
    let mut order = Vec::new();
    // Beyond the last one is the last one.
    for places in [2, 0, 9, 1] {
        pool.prefer_ready(places);
        order.extend(pool.pop_ready().map(|(_, job)| job.name));
    }
    assert_eq!(order, [2, 0, 3, 1]);
    assert_eq!(pool.ready_up_to(9), 0);
}
