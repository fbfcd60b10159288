//! What a sweep should have seen, so that it proves something.

use super::Wire;
use crate::trace::Kind;
use crate::world::World;

/// Both [`expect_faults`] and [`expect_tcp`].
pub fn expect_all(world: &mut World) {
    expect_faults(world);
    expect_tcp(world);
}

/// Asks that each kind of fault, of hosts, links and frames, happens in some world of the sweep. To be called at the end
/// of a run; see [`World::sometimes`].
pub fn expect_faults(world: &mut World) {
    for (what, kind) in [
        ("a crash", Kind::Crash),
        ("a frame to a host that is off", Kind::NobodyHome),
        ("a link that is down", Kind::DroppedDown),
        ("a full queue", Kind::DroppedQueue),
        ("a lost frame", Kind::DroppedLoss),
        ("a damaged frame", Kind::Damaged),
        ("a frame that comes twice", Kind::Duplicated),
        ("a pause", Kind::Paused),
        ("a reset", Kind::Reset),
        ("a clock that is changed", Kind::ClockSet),
        ("a slow host", Kind::Slowed),
        ("a stalled card", Kind::Stalled),
        ("a squeezed link", Kind::Squeezed),
        ("a task that is preferred", Kind::Picked),
    ] {
        let so = world.trace().count(kind) > 0;
        world.sometimes(what, so);
    }
}

/// Asks that TCP does each of the things it does about faults in some world of the sweep. To be called at the end of a
/// run in which [`Wire`] watches, as it does under [`check`](crate::check::check).
pub fn expect_tcp(world: &mut World) {
    let counts = world.oracle::<Wire>().map(Wire::counts).unwrap_or_default();
    for (what, count) in [
        ("a retransmission after a timeout", counts.timeouts),
        ("a fast retransmission", counts.fast_retransmits),
        ("a probe of a window of zero", counts.window_probes),
        ("a reset by a host", counts.resets),
        ("a restart amid a transfer", counts.restarts),
    ] {
        world.sometimes(what, count > 0);
    }
}
