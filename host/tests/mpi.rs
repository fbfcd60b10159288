//! Functions run by the ranks of an MPI job. The test starts itself under `mpirun`, where that can be had.

use std::process::{Command, ExitCode, Output};
use std::time::Duration;

use tidemill_core::pool::Failure as Ended;
use tidemill_host::process::{Failure, mpi};
use tidemill_host::register;
use tidemill_host::threads::{ReturnWhen, as_completed, wait};

/// What the ranks are to do.
const PART: &str = "TIDEMILL_MPI";

const LONG: Duration = Duration::from_mins(1);

fn double(x: u64) -> u64 {
    2 * x
}

fn pid((): ()) -> u32 {
    std::thread::sleep(Duration::from_millis(2));
    std::process::id()
}

fn panics(words: String) {
    panic!("{words}")
}

fn dies(code: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::try_from(code).unwrap());
    std::thread::sleep(LONG);
}

fn echo(text: String) -> String {
    text
}

register!(double, pid, panics, dies, echo);

fn works(pool: &mpi::MpiPool) {
    assert_eq!(pool.workers(), 3);
    assert_eq!(pool.map(double, 0..1000, 7).unwrap(), (0..1000).map(|x| 2 * x).collect::<Vec<_>>());
    let pids: std::collections::HashSet<u32> = pool.map(pid, vec![(); 60], 1).unwrap().into_iter().collect();
    assert!(pids.len() == 3 && !pids.contains(&std::process::id()), "all serve, and the leader does not");
    let futures: Vec<_> = (0..100).map(|x| pool.submit(double, x).unwrap()).collect();
    assert_eq!(wait(&futures, LONG, ReturnWhen::AllCompleted).done.len(), 100);
    let sum: u64 = as_completed(futures, LONG).map(|future| future.unwrap().result(None).unwrap()).sum();
    assert_eq!(sum, 9900);
    let Err(Ended::Failed(exception)) = pool.submit(panics, "low water".into()).unwrap().result(LONG) else {
        panic!("it panicked")
    };
    assert_eq!(exception.message(), "low water");
    assert!(matches!(Failure::of(&exception), Some(Failure::Panicked { .. })));
    let unknown = pool.submit(|x: u8| x, 1).unwrap().result(LONG);
    assert!(matches!(unknown, Err(Ended::Failed(why)) if matches!(Failure::of(&why), Some(Failure::NotRegistered(_)))));
    let large = "tide".repeat(1 << 20);
    assert!(pool.submit(echo, large.clone()).unwrap().result(LONG).unwrap() == large, "4 MiB there and back");
    println!("all well");
}

fn loses_a_rank(pool: &mpi::MpiPool) {
    pool.map(double, 0..10, 1).unwrap();
    let mut dead = pool.submit(dies, 9).unwrap();
    let Err(Ended::Failed(exception)) = dead.result(LONG) else { panic!("it died") };
    assert!(matches!(Failure::of(&exception), Some(Failure::WorkerDied { task: 10, .. })), "{exception}");
    println!("told: {exception}");
}

fn mpirun(part: &str) -> Option<Output> {
    Command::new("mpirun")
        .args([
            "--timeout",
            "120",
            "--allow-run-as-root",
            "--oversubscribe",
            "--mca",
            "btl",
            "self,vader,tcp",
            "-n",
            "4",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(PART, part)
        .output()
        .ok()
}

fn main() -> ExitCode {
    if let Ok(part) = std::env::var(PART) {
        let done = mpi::run(|pool| match part.as_str() {
            "works" => works(pool),
            _ => loses_a_rank(pool),
        });
        return done.map_or_else(
            |error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            },
            |_| ExitCode::SUCCESS,
        );
    }
    let Some(works) = mpirun("works") else {
        println!("NOT TESTED: no mpirun here");
        return ExitCode::SUCCESS;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(works.status.success() && text(&works.stdout) == "all well\n", "{works:?}");
    println!("four ranks work together");

    let loses = mpirun("loses").unwrap();
    let (out, err) = (text(&loses.stdout), text(&loses.stderr));
    assert!(!loses.status.success(), "{loses:?}");
    assert!(err.contains("died in task 10, mpi::dies"), "{err}");
    println!("a rank that died was told of{}", if out.contains("told: ") { ", also by its task's future" } else { "" });

    let alone = Command::new(std::env::current_exe().unwrap()).env(PART, "works").output().unwrap();
    assert!(!alone.status.success() && text(&alone.stderr).contains("no other rank"), "{alone:?}");
    ExitCode::SUCCESS
}
