//! A machine in lock step with a simulated world: firmware, in an emulator, whose time is the world's.
//!
//! An emulator's own clock runs as fast as it likes, so a run in it is never the same twice. Here the machine has no clock: it
//! takes the time from *grants*, which come over its Ethernet. The other end is `tidemill_sim::bridge`.
//!
//! | frame | from | what it says |
//! |---|---|---|
//! | `Hello` | machine | it is on |
//! | `Boot` | world | who it is: addresses, seed, argument |
//! | `Done` | machine | it is ready; it wants to be turned at this time |
//! | frames, then `Grant` | world | these have arrived, and it is so late |
//! | frames, then `Done` | machine | these it sends, this its program has done, and then it wants to be turned |
//! | and so on | | until it is switched off: the next `Hello` begins anew |
//!
//! Between a `Done` and the next `Grant` the machine does nothing. It looks at what has arrived only when told, never when it
//! came, so how long the emulator takes for anything makes no difference. These frames do not enter the world's links.
//!
//! A firmware's `main` says [`hello`], sets up its controller for the address it is given, puts a [`Lockstep`] between that and
//! its stack, and [`run`]s its program.
//!
//! ```
//! use tidemill_core::net::lockstep::Control;
//! use tidemill_core::time::Instant;
//! let grant = Control::Grant { now: Instant::from_ticks(5_000), frames: 0 };
//! assert_eq!(Control::read(&grant.frame([2, 0, 0, 0, 0, 1])), Some(grant));
//! ```

mod control;
mod device;

pub use control::{ARGUMENT_MAX, Boot, Control, EVENTS_MAX, Event, Frame};
pub use device::{Counted, FRAMES_MAX, Frames, Held, Lockstep};

use super::smoltcp::Smoltcp;
use crate::executor::Program;
use crate::time::{EPOCH, Instant};
use heapless::Vec;
use smoltcp::phy::{Device, RxToken};

/// A program that tells what it has done.
pub trait Tells {
    /// The next thing it has done and not told.
    fn next_event(&mut self) -> Option<Event>;
}

/// Says that the machine is on, and waits until it is told who it is. `idle` waits for something to arrive, and returns false
/// when nothing ever will: then there is no answer.
pub fn hello<D: Device>(device: &mut D, mut idle: impl FnMut(&mut D) -> bool) -> Option<Boot> {
    while !device::tell(device, &Control::Hello) {
        if !idle(device) {
            return None;
        }
    }
    loop {
        let frame = device.receive(smoltcp::time::Instant::ZERO).map(|(frame, _)| frame.consume(Control::read));
        match frame {
            Some(Some(Control::Boot(boot))) => return Some(boot),
            None if !idle(device) => return None,
            _ => {}
        }
    }
}

/// Turns the program whenever it is granted, and tells what came of it, until `idle` returns false.
pub fn run<'a, D, P, const N: usize>(
    net: &mut Smoltcp<'a, Lockstep<'a, D>, N>,
    program: &mut P,
    mut idle: impl FnMut(&mut D) -> bool,
) where
    D: Device,
    P: Program<Smoltcp<'a, Lockstep<'a, D>, N>> + Tells,
{
    let mut due = Some(EPOCH);
    let mut answer = Some(Control::Done { next: due, lost: 0, frames: 0, events: Vec::new() });
    loop {
        if answer.as_ref().is_some_and(|done| net.device_mut().tell(done)) {
            answer = None;
        }
        match if answer.is_none() { net.device_mut().told() } else { None } {
            Some(Control::Grant { now, frames }) => answer = Some(turn(net, program, &mut due, now, frames)),
            None if !idle(net.device_mut().device_mut()) => return,
            // Nothing but grants is for a machine that is on.
            _ => {}
        }
    }
}

/// One grant.
fn turn<'a, D, P, const N: usize>(
    net: &mut Smoltcp<'a, Lockstep<'a, D>, N>,
    program: &mut P,
    due: &mut Option<Instant>,
    now: Instant,
    frames: u16,
) -> Control
where
    D: Device,
    P: Program<Smoltcp<'a, Lockstep<'a, D>, N>> + Tells,
{
    let lost = frames.saturating_sub(net.device_mut().held() as u16);
    // As a host of a simulated world is turned, step by step, so that it does the same.
    net.poll(now);
    if net.has_ready() || due.is_some_and(|due| due <= now) {
        *due = program.turn(now, net);
        net.poll(now);
    }
    let own = if net.has_ready() { Some(now) } else { *due };
    let mut next = net.next_deadline(now).into_iter().chain(own).min();
    let mut events = Vec::new();
    while !events.is_full() {
        let Some(event) = program.next_event() else { break };
        // There is room.
        let _ = events.push(event);
    }
    if events.is_full() {
        // There may be more to tell.
        next = Some(now);
    }
    Control::Done { next, lost, frames: net.device_mut().take_sent(), events }
}
