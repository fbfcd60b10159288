//! How many threads are enough: what the system grants, and what a pool's tasks are like.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tidemill_host::threads::{ThreadPool, cores, optimal_threads};

/// How long this thread had a core.
fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

fn compute(how_long: Duration) {
    let end = cpu() + how_long;
    while cpu() < end {}
}

#[test]
fn a_pool_that_has_run_nothing_recommends_a_worker_for_each_core() {
    assert_eq!(ThreadPool::new(3).unwrap().recommended_workers(), cores());
}

#[test]
fn a_pool_recommends_as_many_workers_as_its_tasks_wait_and_compute() {
    for (waits_ms, computes_ms) in [(0, 30), (27, 3), (9, 9)] {
        let pool = ThreadPool::new(1).unwrap();
        let (mut wall, mut had) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..10 {
            let task = move || {
                let (began, before) = (Instant::now(), cpu());
                sleep(Duration::from_millis(waits_ms));
                compute(Duration::from_millis(computes_ms));
                (began.elapsed(), cpu().saturating_sub(before))
            };
            let (lasted, computed) = pool.submit(task).unwrap().result(None).unwrap();
            wall += lasted;
            had += computed;
        }
        // On a machine that does other work a task waits for its core, too: the tasks say what they saw themselves.
        let right = optimal_threads(wall.saturating_sub(had), had);
        let recommended = pool.recommended_workers();
        assert!(
            (right / 2..=right * 2).contains(&recommended),
            "{recommended} workers for tasks that wait {waits_ms} ms and compute {computes_ms}: not {right}"
        );
        assert!(right >= ((waits_ms + computes_ms) / computes_ms) as usize * cores());
    }
}

/// Not a test of its own: what the next one runs where the system says something else.
#[test]
#[ignore = "run by the test of quotas"]
fn tells_how_many_cores_there_are() {
    println!("cores={}", cores());
}

/// What `cores` says to a process whose control groups are those of a folder; `None` if the system does not let us.
fn cores_with(groups: &Path, membership: &Path) -> Option<usize> {
    const SCRIPT: &str =
        "mount --rbind \"$1\" /sys/fs/cgroup && mount --bind \"$2\" /proc/$$/cgroup && shift 2 && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"])
        .args([groups, membership])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "tells_how_many_cores_there_are"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text.lines().find_map(|line| line.split_once("cores="))?.1;
    told.parse().ok()
}

#[test]
fn the_quota_of_a_control_group_of_either_version_counts_as_so_many_cores() {
    let all = cores();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    };
    write("version2", "0::/mill/race\n");
    write("version1", "4:memory:/mill\n2:cpu,cpuacct:/mill\n");
    write("two/mill/race/cgroup.controllers", "cpu\n");
    let cores_of = |version: &str, tree: &str| cores_with(&path(tree), &path(version));

    // What a group's parent has is a bound of the group's.
    write("two/mill/cpu.max", "max 100000\n");
    write("two/mill/race/cpu.max", "max 100000\n");
    write("one/cpu/mill/cpu.cfs_quota_us", "-1\n");
    write("one/cpu/mill/cpu.cfs_period_us", "100000\n");
    let (Some(two), Some(one)) = (cores_of("version2", "two"), cores_of("version1", "one")) else {
        println!("NOT TESTED: quotas of control groups: this system lets us make no namespace of mounts");
        return;
    };
    assert_eq!((two, one), (all, all), "without a quota");
    write("two/mill/cpu.max", "100000 100000\n");
    assert_eq!(cores_of("version2", "two"), Some(1), "one core for the group above");
    write("two/mill/cpu.max", "max 100000\n");
    write("two/mill/race/cpu.max", "50000 100000\n");
    assert_eq!(cores_of("version2", "two"), Some(1), "half a core is one");
    write("two/mill/race/cpu.max", &format!("{}00000 100000\n", all + 1));
    assert_eq!(cores_of("version2", "two"), Some(all), "more than there are");
    write("one/cpu/mill/cpu.cfs_quota_us", "100000\n");
    assert_eq!(cores_of("version1", "one"), Some(1), "version 1");
}
