//! A timer that fires early after the clock was set.

use tidemill_core::executor::Program;
use tidemill_core::time::{Duration, Instant};
use tidemill_core::timer::{Missed, Slot, TimerWheel};
use tidemill_sim::fault::{Fault, Menu};
use tidemill_sim::world::World;

use crate::{Outcome, hunt};

const ALARM: Duration = Duration::from_secs(2);
const SAMPLE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
enum Timer {
    Alarm,
    Sample,
}

/// Sounds an alarm two seconds after the one before, and samples something in between.
struct Alarms {
    wheel: TimerWheel<Timer, [Slot<Timer>; 2]>,
    started: bool,
    sounded: u32,
}

impl Alarms {
    fn turn(&mut self, now: Instant) -> Option<Instant> {
        if !std::mem::replace(&mut self.started, true) {
            self.wheel.start(now + ALARM, Timer::Alarm).ok();
            self.wheel.start_periodic(now, SAMPLE, Missed::Skip, Timer::Sample).ok();
        }
        while let Some(timer) = self.wheel.expire(now) {
            if let Timer::Alarm = timer.value {
                self.sounded += 1;
                self.wheel.start(now + ALARM, Timer::Alarm).ok();
            }
        }
        self.wheel.next_deadline()
    }
}

/// What the alarms take for the time.
trait Clock: Default + 'static {
    /// By how much it is wrong at `now`; it was to be looked at again at `asked`.
    fn ahead(&mut self, now: Instant, asked: Option<Instant>) -> Duration;
}

#[derive(Default)]
struct Right;

impl Clock for Right {
    fn ahead(&mut self, _: Instant, _: Option<Instant>) -> Duration {
        Duration::from_ticks(0)
    }
}

/// Corrects for a jump of the clock that it has seen, though nothing was wrong: the jump is counted twice.
#[derive(Default)]
struct CountsTwice(u64);

impl Clock for CountsTwice {
    fn ahead(&mut self, now: Instant, asked: Option<Instant>) -> Duration {
        let late = asked.map_or(0, |asked| now.as_ticks().saturating_sub(asked.as_ticks()));
        self.0 += if late > 500_000 { late } else { 0 };
        Duration::from_ticks(self.0)
    }
}

/// The alarms on a host, and the judge of them, who looks at the host's own clock.
struct Judged<C> {
    alarms: Alarms,
    clock: C,
    asked: Option<Instant>,
    last: Option<Instant>,
    early: Option<Duration>,
}

impl<S, C: Clock> Program<S> for Judged<C> {
    fn turn(&mut self, now: Instant, _: &mut S) -> Option<Instant> {
        let ahead = self.clock.ahead(now, self.asked);
        let sounded = self.alarms.sounded;
        let due = self.alarms.turn(now + ahead);
        let last = *self.last.get_or_insert(now);
        if self.alarms.sounded > sounded {
            let after = now - last;
            if after < ALARM {
                self.early = Some(ALARM - after);
            }
            self.last = Some(now);
        }
        self.asked = due.map(|due| due - ahead);
        self.asked
    }
}

fn alarms<C: Clock>(world: &mut World) -> Outcome {
    let told = |error: tidemill_sim::world::Error| error.to_string();
    let host = world
        .host("alarm", [10, 0, 0, 1], |_| Judged {
            alarms: Alarms { wheel: TimerWheel::new([const { Slot::EMPTY }; 2]), started: false, sounded: 0 },
            clock: C::default(),
            asked: None,
            last: None,
            early: None,
        })
        .map_err(told)?;
    let menu = Menu { horizon: Duration::from_secs(10), hosts: vec![host], links: vec![] };
    // To a program, to have stood still is the same as a clock that was set.
    world.draw_faults_where(&menu, |fault| !matches!(fault, Fault::Pause { .. } | Fault::Slow { .. })).map_err(told)?;
    let end = world.now() + Duration::from_secs(30);
    while world.step_until(end).map_err(told)? {
        if let Some(early) = world.program::<Judged<C>>(host).and_then(|judged| judged.early) {
            return Err(format!("[timer] an alarm was {} us early", early.as_ticks()));
        }
    }
    Ok(())
}

#[test]
fn a_timer_that_fires_early_after_a_clock_step() {
    hunt("[timer]", alarms::<Right>, alarms::<CountsTwice>);
}
