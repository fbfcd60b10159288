//! All that this process started, at once.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills all that descends from this process, for who has to end before [`run`](super::run) can return: it may be held up
/// by whoever is told. One whose parent has ended descends from it no longer.
pub fn kill_all() {
    let mut all = vec![Pid::this()];
    let mut at = 0;
    while let Some(&parent) = all.get(at) {
        at += 1;
        // A number may have come to stand for another meanwhile.
        let new: Vec<Pid> = children(parent).filter(|child| !all.contains(child)).collect();
        all.extend(new);
    }
    // Stopped, none starts another; and the commands come last, for with the last of them `run` returns, and this process
    // may end.
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for &pid in all.iter().skip(1).rev() {
            let _ = kill(pid, signal);
        }
    }
}

fn children(parent: Pid) -> impl Iterator<Item = Pid> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>();
    lists.flat_map(numbers).map(Pid::from_raw)
}
