//! A task that takes for granted that another was polled before it; on a host with a network, and on one without.

use tidemill_core::executor::{Executor, Program};
use tidemill_core::net::Stack;
use tidemill_core::pool::Slot;
use tidemill_core::task::{Context, Task};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::fault::Menu;
use tidemill_sim::serial::{self, Port};
use tidemill_sim::world::World;

use crate::{Outcome, hunt};

const PERIOD: Duration = Duration::from_millis(10);

/// What a pump and its meter share.
#[derive(Default)]
struct Shared {
    pumped: u32,
    read: u32,
    behind: bool,
}

/// Both wake in the same instant, over and over.
struct Part {
    meter: bool,
    careful: bool,
    next: Instant,
}

impl<S: Stack> Task<S, Shared> for Part {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Shared>) -> nb::Result<(), ()> {
        if cx.now < self.next {
            cx.wait_until(self.next);
            return Err(nb::Error::WouldBlock);
        }
        if !self.meter {
            cx.shared.pumped += 1;
        } else if cx.shared.read < cx.shared.pumped || !self.careful {
            cx.shared.read += 1;
            cx.shared.behind |= cx.shared.read > cx.shared.pumped;
        }
        self.next = cx.now + PERIOD;
        cx.wait_until(self.next);
        Err(nb::Error::WouldBlock)
    }
}

struct Plant {
    parts: Executor<Part, [Slot<Part, (), ()>; 2], (), ()>,
    shared: Shared,
}

impl Plant {
    fn new(careful: bool, now: Instant) -> Self {
        let mut parts = Executor::new([const { Slot::EMPTY }; 2]);
        for meter in [false, true] {
            parts.pool.spawn(Part { meter, careful, next: now }).expect("there is room for two");
        }
        Self { parts, shared: Shared::default() }
    }
}

impl<S: Stack> Program<S> for Plant {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.parts.turn(now, net, &mut self.shared)
    }
}

impl serial::Program for Plant {
    fn turn(&mut self, now: Instant, port: &mut Port<'_>) -> Option<Instant> {
        self.parts.turn(now, &mut port.no_sockets(), &mut self.shared)
    }
}

fn plant(world: &mut World, careful: bool, networked: bool) -> Outcome {
    let told = |error: tidemill_sim::world::Error| error.to_string();
    let host = if networked {
        world.host("plant", [10, 0, 0, 1], move |boot| Plant::new(careful, boot.now))
    } else {
        world.serial_host("plant", move |boot| Plant::new(careful, boot.now))
    };
    let host = host.map_err(told)?;
    world.draw_faults(&Menu { horizon: Duration::from_secs(1), hosts: vec![host], links: vec![] }).map_err(told)?;
    world.run_until(EPOCH + Duration::from_secs(2)).map_err(told)?;
    let plant = if networked { world.program::<Plant>(host) } else { world.serial_program::<Plant>(host) };
    match plant {
        Some(plant) if plant.shared.behind => Err("[order] it was read before it was pumped".into()),
        _ => Ok(()),
    }
}

#[test]
fn a_task_that_relies_on_another_to_be_polled_first() {
    hunt("[order]", |world| plant(world, true, true), |world| plant(world, false, true));
}

#[test]
fn one_on_a_host_that_has_no_network() {
    hunt("[order]", |world| plant(world, true, false), |world| plant(world, false, false));
}
