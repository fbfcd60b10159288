//! How many threads are enough.

use std::io;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::WORKERS_MAX;

/// How many cores this process may use: what the machine has, less what its affinity (`sched_getaffinity`) and the quota
/// of its control groups (versions 1 and 2) leave of them. At least one. Asked once.
#[doc(alias = "process_cpu_count")]
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| available_parallelism().map_or(1, NonZeroUsize::get))
}

/// How many threads keep all [`cores`] at work, if a task computes for `cpu` and waits for `wait`, for files, sockets and
/// the like: (wait + cpu) / cpu × cores (B. Goetz, *Java Concurrency in Practice*, 8.2), rounded up. At least one, at most
/// [`WORKERS_MAX`]. Tasks that never compute want as many as there may be.
///
/// ```
/// use std::time::Duration;
/// use tidemill_host::threads::{cores, optimal_threads};
///
/// let [zero, one, nine] = [0, 1, 9].map(Duration::from_millis);
/// assert_eq!(optimal_threads(zero, one), cores());
/// assert_eq!(optimal_threads(nine, one), 10 * cores());
/// ```
pub fn optimal_threads(wait: Duration, cpu: Duration) -> usize {
    if cpu.is_zero() {
        return if wait.is_zero() { cores() } else { WORKERS_MAX };
    }
    let threads = ((wait + cpu).as_nanos() * cores() as u128).div_ceil(cpu.as_nanos());
    usize::try_from(threads).unwrap_or(WORKERS_MAX).clamp(1, WORKERS_MAX)
}

/// Whether this process may use this core.
pub(super) fn may_use(core: usize) -> bool {
    sched_getaffinity(Pid::from_raw(0)).is_ok_and(|cores| cores.is_set(core).unwrap_or(false))
}

/// Has this thread run on this core and no other.
pub(super) fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
