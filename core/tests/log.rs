//! State changes can be followed through the `log` crate.

use std::sync::Mutex;
use tidemill_core::executor::Executor;
use tidemill_core::net::NoNetwork;
use tidemill_core::pool;
use tidemill_core::sched::{self, Scheduler};
use tidemill_core::task::{Context, from_fn};
use tidemill_core::time::{Duration, EPOCH};
use tidemill_core::timer::{self, TimerWheel};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn the_life_of_a_task_a_timer_and_an_event_is_traced() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let mut executor = Executor::new([const { pool::Slot::EMPTY }; 1]);
    executor.pool.submit(from_fn(|_: &mut Context<'_, NoNetwork>| Ok::<_, nb::Error<()>>(7))).unwrap();
    executor.turn(EPOCH, &mut NoNetwork, &mut ());

    let later = EPOCH + Duration::from_millis(5);
    let mut wheel = TimerWheel::new([const { timer::Slot::EMPTY }; 2]);
    wheel.start(later, 'a').unwrap();
    let cancelled = wheel.start(later, 'b').unwrap();
    wheel.cancel(cancelled);
    wheel.expire(later);

    let mut scheduler = Scheduler::new([const { sched::Slot::EMPTY }; 1]);
    scheduler.enter_abs(later, 0, 'c').unwrap();
    scheduler.next_due(later + Duration::from_millis(1));

    let expected = [
        "TRACE task 0.0: submitted",
        "TRACE task 0: begun",
        "TRACE task 0.0: done",
        "TRACE timer 0.0: started for 5000",
        "TRACE timer 1.0: started for 5000",
        "TRACE timer 1.0: cancelled",
        "TRACE timer 0.0: expired, due at 5000",
        "TRACE event 0.0: entered for 5000",
        "TRACE event due at 5000: run at 6000",
    ];
    assert_eq!(*LINES.lock().unwrap(), expected);
}
