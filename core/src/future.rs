//! The life of a future, for every pool there is: of cooperative tasks, of threads, of processes.
//!
//! ```text
//!           1 start              2 finish
//! Pending ───────────> Running ───────────> Done | Failed
//!    │                    │
//!    │ 3 cancel           │ 4 abort (cooperative tasks only, between two polls)
//!    └───────> Cancelled <┘
//! ```
//!
//! [`State`] has the transitions as plain functions, for a pool that has a single owner. [`Cell`] is the same in one
//! atomic word, for a future that several threads or cores see. Whoever makes a transition learns whether it was the one
//! who made it: of a `start` and a `cancel` that race, exactly one is true.
//!
//! ```
//! use tidemill_core::future::{Cell, State};
//! let cell = Cell::new();
//! assert!(cell.start());
//! assert!(!cell.cancel(), "what runs is not cancelled");
//! assert!(cell.watch(), "it has not ended: who watches will be told");
//! assert_eq!(cell.finish(true), Ok(true), "somebody watches");
//! assert_eq!(cell.state(), State::Done);
//! ```

use crate::sync::{AtomicU8, Ordering};

/// Where in its life a future is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Not begun. It can be cancelled.
    Pending,
    /// Begun.
    Running,
    /// Ended with a result.
    Done,
    /// Ended with an error.
    Failed,
    /// Ended without either.
    Cancelled,
}

impl State {
    /// Whether it has ended, however.
    #[doc(alias = "done")]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// 1. `None`: not pending.
    pub fn start(self) -> Option<Self> {
        (self == Self::Pending).then_some(Self::Running)
    }

    /// 2. `None`: not running, so that no result is ever set twice.
    pub fn finish(self, ok: bool) -> Option<Self> {
        (self == Self::Running).then_some(if ok { Self::Done } else { Self::Failed })
    }

    /// 3. `None`: running or finished. A cancelled future stays so.
    pub fn cancel(self) -> Option<Self> {
        matches!(self, Self::Pending | Self::Cancelled).then_some(Self::Cancelled)
    }

    /// 3 or 4. `None`: it has ended.
    pub fn abort(self) -> Option<Self> {
        (!self.is_ended()).then_some(Self::Cancelled)
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & STATE {
            0 => Self::Pending,
            1 => Self::Running,
            2 => Self::Done,
            3 => Self::Failed,
            _ => Self::Cancelled,
        }
    }
}

const STATE: u8 = 0b0111;
const WATCHED: u8 = 1 << 3;
const ABANDONED: u8 = 1 << 4;
const RELEASED: u8 = 1 << 5;

/// Who has to do with a future, beside whoever asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Parties {
    /// Somebody watches, and is to be told of the end.
    pub watched: bool,
    /// Nobody will ask for the result: its owner has gone.
    pub abandoned: bool,
    /// Whoever was to run it has let go of it.
    pub released: bool,
}

impl Parties {
    const fn from_bits(bits: u8) -> Self {
        Self { watched: bits & WATCHED != 0, abandoned: bits & ABANDONED != 0, released: bits & RELEASED != 0 }
    }
}

/// A [`State`] that threads, cores and interrupts may share, and who has to do with it: whether anybody wants to be told
/// of its end, and which of the two that it stands between, who runs it and who owns its result, has let go of it.
///
/// The result belongs to whoever made the last transition, and lies elsewhere: write it before [`finish`](Self::finish),
/// which releases it; read it after [`state`](Self::state) or [`watch`](Self::watch), which acquire it.
///
/// From an interrupt: yes, everything; each call is one atomic operation, retried only when another one came between.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cell(#[cfg_attr(feature = "defmt", defmt(Debug2Format))] AtomicU8);

impl Default for Cell {
    fn default() -> Self {
        Self::new()
    }
}

/// The future is not running, so that no result can be set: it has one already, was cancelled, or has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InvalidState(pub State);

impl core::error::Error for InvalidState {}

impl core::fmt::Display for InvalidState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.0 {
            State::Pending => "the future has not been started",
            State::Running => "the future is running",
            State::Done | State::Failed => "the future has its result already",
            State::Cancelled => "the future was cancelled",
        })
    }
}

impl Cell {
    crate::sync::const_new! {
        /// Pending, and watched by nobody.
        pub fn new() -> Self {
            Self(AtomicU8::new(State::Pending as u8))
        }
    }

    /// Where it is now. What was written before it ended can be read after this says so.
    pub fn state(&self) -> State {
        State::from_bits(self.0.load(Ordering::Acquire))
    }

    /// 1. True if this call started it.
    pub fn start(&self) -> bool {
        self.step(State::start).is_ok()
    }

    /// 2. Ends it, after the result was written. True: somebody watches, and is to be told.
    ///
    /// # Errors
    /// It was not running.
    pub fn finish(&self, ok: bool) -> Result<bool, InvalidState> {
        self.step(|state| state.finish(ok)).map_err(InvalidState)
    }

    /// 3. True if it is cancelled now, by this call or before. Use [`cancelled_by`](Self::cancelled_by) to know.
    pub fn cancel(&self) -> bool {
        self.step(State::cancel).is_ok()
    }

    /// 3. As [`cancel`](Self::cancel); `Some` only for the one call that did it, with whether somebody watches.
    pub fn cancelled_by(&self) -> Option<bool> {
        self.step(|state| (state == State::Pending).then_some(State::Cancelled)).ok()
    }

    /// Asks to be told of the end. True: it has not ended, and whoever ends it will learn that somebody watches. False:
    /// it has ended, nobody will tell.
    pub fn watch(&self) -> bool {
        self.mark_living(WATCHED)
    }

    /// 2. As [`finish`](Self::finish), and lets go of it in the same step, unless it is watched. Returns who else there
    ///    was. If somebody watches: tell, then [`release`](Self::release). Else, if it is abandoned, nobody knows it now.
    ///
    /// # Errors
    /// It was not running.
    pub fn finish_and_release(&self, ok: bool) -> Result<Parties, InvalidState> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
                let released = if bits & WATCHED == 0 { RELEASED } else { 0 };
                Some(State::from_bits(bits).finish(ok)? as u8 | bits & !STATE | released)
            })
            .map(Parties::from_bits)
            .map_err(|bits| InvalidState(State::from_bits(bits)))
    }

    /// Its owner goes, and nobody will ask for the result. True: whoever ends it will learn of it, and drops the result.
    /// False: it has ended; drop the result, then [`leave`](Self::leave).
    pub fn abandon(&self) -> bool {
        self.mark_living(ABANDONED)
    }

    /// The owner of a future that has ended goes. If it is released, nobody knows it any more.
    pub fn leave(&self) -> Parties {
        Parties::from_bits(self.0.fetch_or(ABANDONED, Ordering::AcqRel))
    }

    /// Whoever was to run it goes. If it is abandoned, nobody knows it any more.
    pub fn release(&self) -> Parties {
        Parties::from_bits(self.0.fetch_or(RELEASED, Ordering::AcqRel))
    }

    /// Who has to do with it now.
    pub fn parties(&self) -> Parties {
        Parties::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Marks it, unless it has ended.
    fn mark_living(&self, mark: u8) -> bool {
        let marked = |bits| if State::from_bits(bits).is_ended() { None } else { Some(bits | mark) };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, marked).is_ok()
    }

    /// Makes a transition, unless it is not allowed. Returns whether it was watched.
    fn step(&self, next: impl Fn(State) -> Option<State>) -> Result<bool, State> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
                Some(next(State::from_bits(bits))? as u8 | bits & !STATE)
            })
            .map(|bits| bits & WATCHED != 0)
            .map_err(State::from_bits)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_future_is_pending() {
        let cell = Cell::new();
        assert_eq!(cell.state(), State::Pending);
        assert!(!cell.state().is_ended());
    }

    #[test]
    fn cancel_on_pending_is_true_and_again_true() {
        let cell = Cell::new();
        assert!(cell.cancel());
        assert!(cell.cancel());
        assert_eq!(cell.state(), State::Cancelled);
        assert_eq!(cell.cancelled_by(), None);
        assert!(!cell.start());
    }

    #[test]
    fn cancel_on_running_or_finished_is_false() {
        let cell = Cell::new();
        assert!(cell.start());
        assert!(!cell.cancel());
        assert_eq!(cell.finish(false), Ok(false));
        assert!(!cell.cancel());
        assert_eq!(cell.state(), State::Failed);
    }

    #[test]
    fn setting_a_result_twice_is_an_invalid_state() {
        let cell = Cell::new();
        assert_eq!(cell.finish(true), Err(InvalidState(State::Pending)));
        cell.start();
        assert_eq!(cell.finish(true), Ok(false));
        assert_eq!(cell.finish(false), Err(InvalidState(State::Done)));
        assert_eq!(cell.state(), State::Done);
    }

    #[test]
    fn each_state_allows_the_transitions_of_the_diagram_and_no_others() {
        use State::{Cancelled, Done, Failed, Pending, Running};
        let table = [
            // From, then to: by start, finish(true), finish(false), cancel, abort.
            (Pending, [Some(Running), None, None, Some(Cancelled), Some(Cancelled)]),
            (Running, [None, Some(Done), Some(Failed), None, Some(Cancelled)]),
            (Done, [None; 5]),
            (Failed, [None; 5]),
            (Cancelled, [None, None, None, Some(Cancelled), None]),
        ];
        for (from, to) in table {
            assert_eq!(
                [from.start(), from.finish(true), from.finish(false), from.cancel(), from.abort()],
                to,
                "{from:?}"
            );
            assert_eq!(from.is_ended(), !matches!(from, Pending | Running));
            for marks in [WATCHED, ABANDONED, RELEASED] {
                assert_eq!(State::from_bits(from as u8 | marks), from, "a state and its bits are the same thing");
            }
        }
    }

    #[test]
    fn cancelled_is_true_only_after_a_successful_cancel() {
        let [started, waiting] = [Cell::new(), Cell::new()];
        started.start();
        assert!(!started.cancel());
        assert_ne!(started.state(), State::Cancelled);
        assert_ne!(waiting.state(), State::Cancelled);
        assert!(waiting.cancel());
        assert_eq!(waiting.state(), State::Cancelled);
    }

    #[test]
    fn running_is_false_before_the_start_and_after_the_end() {
        let cell = Cell::new();
        assert_ne!(cell.state(), State::Running);
        cell.start();
        assert_eq!(cell.state(), State::Running);
        assert!(!cell.start(), "once");
        cell.finish(true).unwrap();
        assert_ne!(cell.state(), State::Running);
    }

    #[test]
    fn a_waiter_is_told_of_a_cancel() {
        let cell = Cell::new();
        assert!(cell.watch());
        assert_eq!(cell.cancelled_by(), Some(true));
        assert!(!cell.watch(), "it has ended");
        assert_eq!(Cell::new().cancelled_by(), Some(false), "nobody waits");
    }

    #[test]
    fn who_watches_too_late_is_told_so() {
        let cell = Cell::new();
        cell.start();
        assert!(cell.watch());
        assert!(cell.watch(), "many may watch");
        assert_eq!(cell.finish(true), Ok(true));
        assert!(!cell.watch());
    }

    #[test]
    fn a_result_is_dropped_by_its_owner_or_by_who_ends_it_when_there_is_none() {
        let nobody = Parties { watched: false, abandoned: false, released: false };
        let cell = Cell::new();
        assert!(cell.start());
        assert_eq!(cell.finish_and_release(true), Ok(nobody));
        assert!(!cell.abandon(), "the owner drops it, then goes");
        assert_eq!(cell.leave(), Parties { released: true, ..nobody });

        let cell = Cell::new();
        assert!(cell.abandon());
        assert!(cell.start(), "that nobody asks does not stop it");
        assert_eq!(cell.finish_and_release(false), Ok(Parties { abandoned: true, ..nobody }));
        assert_eq!(cell.finish_and_release(false), Err(InvalidState(State::Failed)));
    }

    #[test]
    fn who_ends_what_is_watched_lets_go_of_it_when_all_were_told() {
        let cell = Cell::new();
        assert!(cell.watch());
        assert!(cell.start());
        assert!(cell.finish_and_release(true).unwrap().watched);
        assert!(!cell.parties().released);
        assert!(!cell.leave().released);
        assert!(cell.release().abandoned);
    }

    proptest! {
        #[test]
        fn the_cell_agrees_with_the_plain_state(steps in proptest::collection::vec(0..6u8, 0..20)) {
            let cell = Cell::new();
            let (mut state, mut watched) = (State::Pending, false);
            for step in steps {
                let next = match step {
                    0 => { prop_assert_eq!(cell.start(), state.start().is_some()); state.start() }
                    1 | 2 => {
                        let expected = state.finish(step == 1).map(|_| watched).ok_or(InvalidState(state));
                        prop_assert_eq!(cell.finish(step == 1), expected);
                        state.finish(step == 1)
                    }
                    3 => { prop_assert_eq!(cell.cancel(), state.cancel().is_some()); state.cancel() }
                    4 => {
                        let next = state.start().and(state.cancel());
                        prop_assert_eq!(cell.cancelled_by(), next.map(|_| watched));
                        next
                    }
                    _ => { prop_assert_eq!(cell.watch(), !state.is_ended()); watched = true; None }
                };
                state = next.unwrap_or(state);
                prop_assert_eq!(cell.state(), state);
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32;
    use loom::thread;

    #[test]
    fn loom_of_a_start_and_a_cancel_exactly_one_wins() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let other = cell.clone();
            let canceller = thread::spawn(move || other.cancelled_by().is_some());
            let started = cell.start();
            assert_ne!(started, canceller.join().unwrap());
        });
    }

    #[test]
    fn loom_nobody_who_watches_in_time_is_forgotten_and_the_result_is_seen() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let result = Arc::new(AtomicU32::new(0));
            cell.start();
            let watchers: [_; 2] = core::array::from_fn(|_| {
                let (cell, result) = (cell.clone(), result.clone());
                thread::spawn(move || {
                    let in_time = cell.watch();
                    if !in_time {
                        assert_eq!(result.load(Ordering::Relaxed), 7, "ended, but its result is not there");
                    }
                    in_time
                })
            });
            result.store(7, Ordering::Relaxed);
            let told = cell.finish(true).unwrap();
            let in_time = watchers.map(|watcher| watcher.join().unwrap());
            assert_eq!(told, in_time.contains(&true));
        });
    }

    #[test]
    fn loom_of_two_who_cancel_exactly_one_did_it_and_both_know_that_it_is_cancelled() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let other = cell.clone();
            let canceller = thread::spawn(move || {
                let did = other.cancelled_by().is_some();
                assert!(other.cancel());
                did
            });
            let did = cell.cancelled_by().is_some();
            assert!(cell.cancel());
            assert_ne!(did, canceller.join().unwrap());
            assert!(!cell.start());
        });
    }

    /// The callback is written before `watch`; who ends the future calls it if told to, who came too late calls it
    /// itself.
    #[test]
    fn loom_a_callback_added_while_the_future_ends_is_called_exactly_once() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let callback = Arc::new(AtomicU32::new(0));
            let result = Arc::new(AtomicU32::new(0));
            cell.start();
            let worker = {
                let (cell, callback, result) = (cell.clone(), callback.clone(), result.clone());
                thread::spawn(move || {
                    result.store(7, Ordering::Relaxed);
                    let told = cell.finish(true).unwrap();
                    if told {
                        assert_eq!(callback.load(Ordering::Relaxed), 9, "told to call what is not there");
                    }
                    told
                })
            };
            callback.store(9, Ordering::Relaxed);
            let too_late = !cell.watch();
            if too_late {
                assert_eq!(result.load(Ordering::Relaxed), 7, "called before there was a result");
            }
            assert_ne!(worker.join().unwrap(), too_late);
        });
    }

    /// Who runs it and who owns its result each let go of it; memory and result are each freed once.
    #[test]
    fn loom_of_an_owner_who_goes_while_the_future_ends_one_drops_the_result_and_one_frees_it() {
        for watched in [false, true] {
            loom::model(move || {
                let cell = Arc::new(Cell::new());
                let result = Arc::new(AtomicU32::new(0));
                if watched {
                    assert!(cell.watch());
                }
                let worker = {
                    let (cell, result) = (cell.clone(), result.clone());
                    thread::spawn(move || {
                        assert!(cell.start());
                        result.store(7, Ordering::Relaxed);
                        let parties = cell.finish_and_release(true).unwrap();
                        let frees = if parties.watched { cell.release().abandoned } else { parties.abandoned };
                        (parties.abandoned, frees)
                    })
                };
                let drops = !cell.abandon();
                if drops {
                    assert_eq!(result.load(Ordering::Relaxed), 7, "ended, but its result is not there");
                }
                let frees = drops && cell.leave().released;
                assert_eq!((drops, frees), {
                    let (dropped, freed) = worker.join().unwrap();
                    (!dropped, !freed)
                });
            });
        }
    }

    #[test]
    fn loom_a_cancel_seen_by_a_worker_stops_it_and_is_told_to_who_watches() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let other = cell.clone();
            let worker = thread::spawn(move || other.start() && other.finish(true).unwrap());
            let watching = cell.watch();
            let told_by_cancel = cell.cancelled_by() == Some(true);
            let told_by_finish = worker.join().unwrap();
            assert_eq!(watching, told_by_cancel || told_by_finish);
        });
    }
}
