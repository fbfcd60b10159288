//! What descends from a process.

use std::fs;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use super::super::pidfd;

/// Kills all that descends from this process, for who has to end before [`run`](super::run) can return: it may be held up
/// by whoever is told. One whose parent has ended descends from it no longer.
pub fn kill_all() {
    let all = below(std::process::id() as i32);
    // Stopped, none starts another; and the commands come last, for with the last of them `run` returns, and this process
    // may end.
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for (_, process) in all.iter().rev() {
            let _ = pidfd::send(process, signal);
        }
    }
}

/// Those in the tree below the leader of a group that are in other groups (by `setsid`, say).
pub(super) fn strays(group: i32) -> Vec<OwnedFd> {
    below(group).into_iter().filter(|(its_group, _)| *its_group != group).map(|(_, process)| process).collect()
}

/// All in the tree below a process, its children first, each with its group. One whose parent has ended, as a daemon's has,
/// is in no tree.
fn below(process: i32) -> Vec<(i32, OwnedFd)> {
    let (mut found, mut parents) = (Vec::new(), vec![process]);
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            // Its number may be another's by now: held fast first, and then asked whose child it is.
            let Ok(pidfd) = pidfd::open(child) else { continue };
            if let Some((its_parent, group)) = parent_and_group(child)
                && its_parent == parent
            {
                parents.push(child);
                found.push((group, pidfd));
            }
        }
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn parent_and_group(pid: i32) -> Option<(i32, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain anything, and the state.
    let mut numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(1).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
