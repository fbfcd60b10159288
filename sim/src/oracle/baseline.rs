//! At the end of a run: nothing is left over, and nothing hangs.

use tidemill_core::time::{Duration, Instant};

use crate::world::{Error, HostId, World};

/// What each host used when all was quiet: what it must come back to.
///
/// A socket that was closed is given back when its peer knows, or after `TIME-WAIT`: ten seconds. So quiet is when nothing
/// has happened for a while, not when the last byte has come.
///
/// ```
/// use tidemill_core::time::{Duration, EPOCH};
/// use tidemill_sim::{host::Tuning, oracle::Baseline, world::World};
/// let mut world = World::new(7);
/// let host = world.open_host::<4>("host", [10, 0, 0, 1], Tuning::default())?;
/// world.count_use();
/// world.run_until(EPOCH + Duration::from_secs(1))?;
/// let quiet = Baseline::of(&world);
/// // ... here things happen ...
/// assert_eq!(quiet.check(&world), Ok(()));
/// assert_eq!((world.in_use(host), world.in_use_max(host)), (Some(0), Some(0)));
/// # Ok::<(), tidemill_sim::world::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Baseline(Vec<(HostId, Option<usize>)>);

impl Baseline {
    /// What is used now.
    pub fn of(world: &World) -> Self {
        Self(world.hosts().map(|host| (host, world.in_use(host))).collect())
    }

    /// Compares with what is used now; hosts that were added since do not count.
    ///
    /// # Errors
    /// The first host that uses more.
    pub fn check(&self, world: &World) -> Result<(), String> {
        for &(host, before) in &self.0 {
            let (before, now) = (before.unwrap_or(0), world.in_use(host).unwrap_or(0));
            if now > before {
                let name = world.name(host).unwrap_or_default();
                return Err(format!("[baseline] {name} uses {now} of what it used {before} of"));
            }
        }
        Ok(())
    }
}

/// Lets nothing go wrong any more, and has everything come to its end within `bound`, or says that it does not.
///
/// How long that may take is to be computed, not guessed, and costs nothing in virtual time. For TCP on a host of a
/// [`World`] the longest wait before something is tried again is smoltcp's retransmission timer, 60 s at most since it was
/// doubled in the silence; a peer that has forgotten the connection is noticed then, and a new one needs a try more:
/// 20 s for [`Timeouts::connect`](tidemill_core::net::smoltcp::Timeouts). What waits longer of its own must be added.
///
/// # Errors
/// `[liveness]`, when it does not come to its end; and those of [`World::step`].
///
/// ```
/// use tidemill_core::time::{Duration, EPOCH};
/// use tidemill_sim::{oracle::liveness, world::World};
/// let mut world = World::new(7);
/// let soon = EPOCH + Duration::from_secs(1);
/// assert_eq!(liveness(&mut world, Duration::from_secs(2), |world| world.now() > soon),
///     Err("[liveness] not done 2000 ms after all was well".into()));
/// ```
pub fn liveness(
    world: &mut World,
    bound: Duration,
    mut done: impl FnMut(&mut World) -> bool,
) -> Result<Instant, String> {
    world.heal();
    let end = world.now() + bound;
    loop {
        if done(world) {
            return Ok(world.now());
        }
        match world.step_until(end) {
            Ok(true) => {}
            Ok(false) => return Err(format!("[liveness] not done {} ms after all was well", bound.as_millis())),
            Err(error @ Error::Livelock { .. }) => return Err(format!("[livelock] {error}")),
            Err(error) => return Err(error.to_string()),
        }
    }
}
