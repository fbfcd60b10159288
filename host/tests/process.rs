//! Processes by every start method, held to what Python's `multiprocessing.Process` does, and to more.

#[macro_use]
mod methods;

use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidemill_host::process::{
    Error, Exit, Failure, Process, StartMethod, active_children, cpu_count, current_process, fork, get_start_method,
    inherited, parent_process, set_start_method,
};
use tidemill_host::register;

const LONG: Duration = Duration::from_mins(1);

fn double(x: u64) -> u64 {
    2 * x
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|error: std::num::ParseIntError| error.to_string())
}

fn words(length: usize) -> String {
    "tide".repeat(length / 4)
}

fn length(text: String) -> usize {
    text.len()
}

fn panics(words: String) {
    panic!("{words}")
}

fn exits(code: i32) {
    std::process::exit(code)
}

fn sleeps((): ()) {
    thread::sleep(LONG);
}

/// Name, parent's name, parent's pid, whether the parent lives, whether it is daemonic.
fn who((): ()) -> (String, String, i32, bool, bool) {
    let (me, parent) = (current_process(), parent_process().unwrap());
    (me.name, parent.name.clone(), parent.pid, parent.is_alive(), me.daemon)
}

fn where_and_with((): ()) -> (String, Option<String>) {
    (std::env::current_dir().unwrap().display().to_string(), std::env::var("TIDE").ok())
}

/// What the descriptors of this process are, but for the first three.
fn descriptors((): ()) -> Vec<String> {
    let mut all: Vec<(u32, String)> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.display().to_string()))
        })
        .filter(|(number, _)| *number > 2)
        .collect();
    all.sort();
    all.into_iter().map(|(_, what)| what).collect()
}

fn echoes_the_pipe((): ()) -> usize {
    let mut fds = inherited().into_iter().map(fs::File::from);
    let (mut from, mut into) = (fds.next().unwrap(), fds.next().unwrap());
    let mut all = [0; 10];
    from.read_exact(&mut all).unwrap();
    into.write_all(&all).unwrap();
    assert!(inherited().is_empty(), "they are taken once");
    all.len()
}

fn has_a_child(x: u64) -> (String, u64) {
    let child = Process::new(double, x).start().unwrap();
    (child.name().to_owned(), child.result().unwrap())
}

fn may_not_have_a_child((): ()) -> String {
    Process::new(double, 1).start().unwrap_err().to_string()
}

/// Starts a child that sleeps, says its pid, and is killed before it could end it.
fn leaves_a_child((method, daemon): (u8, bool)) -> i32 {
    let method = StartMethod::ALL[usize::from(method)];
    let child = Process::new(sleeps, ()).method(method).daemon(daemon).start().unwrap();
    let pid = child.pid();
    std::mem::forget(child);
    pid
}

fn does_not_heed_sigterm((): ()) {
    // SAFETY: to ignore a signal runs no code.
    #[expect(unsafe_code, reason = "ignores a signal")]
    unsafe { nix::sys::signal::signal(Signal::SIGTERM, nix::sys::signal::SigHandler::SigIgn) }.unwrap();
    fs::write(std::env::var("TIDE").unwrap(), "deaf").unwrap();
    thread::sleep(LONG);
}

register!(
    double,
    parse,
    words,
    length,
    panics,
    exits,
    sleeps,
    who,
    where_and_with,
    descriptors,
    echoes_the_pipe,
    has_a_child,
    may_not_have_a_child,
    leaves_a_child,
    does_not_heed_sigterm,
    runs_a_body_by_fork,
);

by_every_method![
    a_function_runs_elsewhere_and_its_result_comes_back,
    an_error_and_a_panic_come_back_with_words_and_place,
    exit_codes_are_none_while_it_runs_then_a_code_or_a_signal,
    join_with_a_time_limit_returns_whether_or_not_it_ended,
    terminate_and_kill_are_harmless_after_the_end,
    a_sentinel_becomes_ready_at_the_end,
    names_parents_and_daemons_are_known_in_the_child,
    its_directory_and_environment_are_chosen,
    descriptors_are_passed_and_no_others_inherited,
    a_child_of_a_child_works,
    large_arguments_and_results_travel_while_nobody_waits,
    a_hundred_at_once,
    active_children_are_those_that_run,
    a_daemon_ends_when_it_is_dropped,
    who_is_deaf_to_terminate_is_killed,
    more_descriptors_than_can_be_passed_are_an_error,
    nothing_is_left,
];

fn a_function_runs_elsewhere_and_its_result_comes_back(method: StartMethod) {
    let process = Process::new(double, 21).method(method).start().unwrap();
    assert_eq!(process.result(), Ok(42));
    assert_eq!(process.result(), Ok(42), "again and again");
    assert_eq!(process.join(), Exit::Code(0));
    assert!(process.exit().unwrap().success() && !process.is_alive());
    let parsed = Process::new(parse, "7".to_owned()).method(method).start().unwrap();
    assert_eq!(parsed.result(), Ok(Ok(7)));
}

fn an_error_and_a_panic_come_back_with_words_and_place(method: StartMethod) {
    let failed = Process::new(parse, "seven".to_owned()).method(method).start().unwrap();
    assert_eq!(failed.result(), Err(Failure::Failed("invalid digit found in string".into())));
    assert_eq!(failed.join(), Exit::Code(1));
    let panicked = Process::new(panics, "low water".to_owned()).method(method).start().unwrap();
    match panicked.result() {
        Err(Failure::Panicked { message, location }) => {
            assert_eq!(message, "low water");
            assert!(location.contains("process.rs:"), "{location}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(panicked.join(), Exit::Code(1));
}

fn exit_codes_are_none_while_it_runs_then_a_code_or_a_signal(method: StartMethod) {
    for code in [0, 1, 77, 255] {
        let process = Process::new(exits, code).method(method).start().unwrap();
        assert_eq!(process.join(), Exit::Code(code));
        assert_eq!(process.result(), Err(Failure::Died { exitcode: code }));
    }
    let process = Process::new(sleeps, ()).method(method).start().unwrap();
    assert_eq!(process.exit(), None);
    assert!(process.is_alive());
    process.kill().unwrap();
    assert_eq!(process.join(), Exit::Signal(Signal::SIGKILL));
    assert_eq!(process.join().exitcode(), -9);
    assert_eq!(process.result(), Err(Failure::Died { exitcode: -9 }));
    let process = Process::new(sleeps, ()).method(method).start().unwrap();
    process.terminate().unwrap();
    assert_eq!(process.join().exitcode(), -15);
}

fn join_with_a_time_limit_returns_whether_or_not_it_ended(method: StartMethod) {
    let process = Process::new(sleeps, ()).method(method).start().unwrap();
    let began = Instant::now();
    assert_eq!(process.join_timeout(Duration::from_millis(50)), None);
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!(process.join_timeout(Duration::ZERO), None);
    process.kill().unwrap();
    assert_eq!(process.join_timeout(LONG), Some(Exit::Signal(Signal::SIGKILL)));
}

fn terminate_and_kill_are_harmless_after_the_end(method: StartMethod) {
    let process = Process::new(double, 1).method(method).start().unwrap();
    process.join();
    process.terminate().unwrap();
    process.kill().unwrap();
    assert_eq!(process.join(), Exit::Code(0));
}

fn a_sentinel_becomes_ready_at_the_end(method: StartMethod) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let process = Process::new(sleeps, ()).method(method).start().unwrap();
    let ready = |wait: PollTimeout| poll(&mut [PollFd::new(process.sentinel(), PollFlags::POLLIN)], wait).unwrap();
    assert_eq!(ready(PollTimeout::ZERO), 0);
    process.kill().unwrap();
    assert_eq!(ready(PollTimeout::from(60_000_u16)), 1);
}

fn names_parents_and_daemons_are_known_in_the_child(method: StartMethod) {
    let me = current_process();
    for (name, daemon) in [("wheel", false), ("pond", true)] {
        let process = Process::new(who, ()).name(name).daemon(daemon).method(method).start().unwrap();
        assert_eq!((process.name(), process.daemon()), (name, daemon));
        assert_eq!(process.result().unwrap(), (name.to_owned(), me.name.clone(), me.pid, true, daemon));
    }
    let unnamed = Process::new(who, ()).method(method).start().unwrap();
    let name = unnamed.result().unwrap().0;
    let parts: Vec<&str> = name.split([':', '-']).collect();
    let nested = method == StartMethod::Fork;
    assert!(parts[0] == "Process" && parts.len() == if nested { 3 } else { 2 }, "{name}");
}

fn its_directory_and_environment_are_chosen(method: StartMethod) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let process = Process::new(where_and_with, ()).method(method).env("TIDE", "high").current_dir(&path);
    assert_eq!(process.start().unwrap().result().unwrap(), (path.display().to_string(), Some("high".into())));
    let nowhere = Process::new(where_and_with, ()).method(method).current_dir("/no/such/folder").start().unwrap();
    match nowhere.result() {
        Err(Failure::Failed(why)) => assert!(why.starts_with("its directory: "), "{why}"),
        other => panic!("{other:?}"),
    }
}

fn descriptors_are_passed_and_no_others_inherited(method: StartMethod) {
    let (from, its_into) = std::io::pipe().unwrap();
    let (its_from, into) = std::io::pipe().unwrap();
    let process = Process::new(echoes_the_pipe, ()).method(method).pass(its_from).pass(its_into).start().unwrap();
    let (mut into, mut from) = (into, from);
    into.write_all(b"high water").unwrap();
    let mut text = [0; 10];
    from.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"high water");
    assert_eq!(process.result(), Ok(10));
    if method == StartMethod::Fork {
        return;
    }
    // Of a child that was passed nothing, only the line to its parent is open, and the folder it looks into.
    let open = Process::new(descriptors, ()).method(method).start().unwrap().result().unwrap();
    let (line, folder): (Vec<_>, Vec<_>) = open.iter().partition(|what| what.starts_with("socket:"));
    assert!(line.len() == 1 && folder.len() == 1 && folder[0].ends_with("/fd"), "{open:?}");
}

fn a_child_of_a_child_works(method: StartMethod) {
    let process = Process::new(has_a_child, 4).name("mill").method(method).start().unwrap();
    let (name, result) = process.result().unwrap();
    assert!(name.starts_with("mill:"), "{name}");
    assert_eq!(result, 8);
    let daemon = Process::new(may_not_have_a_child, ()).daemon(true).method(method).start().unwrap();
    assert_eq!(daemon.result().unwrap(), "daemonic processes may have no children");
}

fn large_arguments_and_results_travel_while_nobody_waits(method: StartMethod) {
    let size = 20_000_000;
    let process = Process::new(words, size).method(method).start().unwrap();
    assert_eq!(process.result().unwrap().len(), size);
    let process = Process::new(length, words(size)).method(method).start().unwrap();
    assert_eq!(process.result(), Ok(size));
}

fn a_hundred_at_once(method: StartMethod) {
    let processes: Vec<_> = (0..100).map(|x| Process::new(double, x).method(method).start().unwrap()).collect();
    let results: Vec<u64> = processes.iter().map(|process| process.result().unwrap()).collect();
    assert_eq!(results, (0..100).map(double).collect::<Vec<_>>());
}

fn active_children_are_those_that_run(method: StartMethod) {
    let process = Process::new(sleeps, ()).method(method).start().unwrap();
    let is_there = || active_children().iter().any(|child| child.pid() == process.pid());
    assert!(is_there());
    process.kill().unwrap();
    process.join();
    assert!(!is_there());
}

fn a_daemon_ends_when_it_is_dropped(method: StartMethod) {
    let process = Process::new(sleeps, ()).daemon(true).method(method).start().unwrap();
    let child = (*process).clone();
    drop(process);
    assert_eq!(child.exit(), Some(Exit::Signal(Signal::SIGTERM)));
}

fn who_is_deaf_to_terminate_is_killed(method: StartMethod) {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let process = Process::new(does_not_heed_sigterm, ()).method(method).env("TIDE", &mark).start().unwrap();
    eventually(|| mark.exists());
    process.terminate().unwrap();
    assert_eq!(process.join_timeout(Duration::from_millis(50)), None);
    process.kill().unwrap();
    assert_eq!(process.join(), Exit::Signal(Signal::SIGKILL));
}

fn more_descriptors_than_can_be_passed_are_an_error(method: StartMethod) {
    if method == StartMethod::Fork {
        // A forked child has them all anyway.
        return;
    }
    match crowded(method).start() {
        Err(Error::Os(error)) => assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput),
        other => panic!("{other:?}"),
    }
}

fn crowded(method: StartMethod) -> Process<u64> {
    let nowhere = || fs::File::open("/dev/null").unwrap();
    (0..254).fold(Process::new(double, 1).method(method), |process, _| process.pass(nowhere()))
}

fn nothing_is_left(method: StartMethod) {
    // In a process of its own, where no other test opens anything.
    let index = StartMethod::ALL.iter().position(|&other| other == method).unwrap() as u8;
    let leak = Process::new(leaks, index).method(StartMethod::Spawn).start().unwrap();
    assert_eq!(leak.result(), Ok((0, 0)));
}

/// Descriptors and zombies that forty children leave behind.
fn leaks(method: u8) -> (i64, usize) {
    let method = StartMethod::ALL[usize::from(method)];
    let run = || {
        // One that is started, but cannot be told what to do.
        assert!(method == StartMethod::Fork || crowded(method).start().is_err());
        let processes: Vec<_> = (0..20).map(|x| Process::new(double, x).method(method).start().unwrap()).collect();
        processes[3].kill().unwrap();
        for process in &processes[10..] {
            process.join();
        }
        drop(processes);
        eventually(|| active_children().is_empty());
    };
    let open = || fs::read_dir("/proc/self/fd").unwrap().count() as i64;
    run();
    let before = open();
    run();
    let me = std::process::id();
    let zombies = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.contains(") Z ") && stat.split(") Z ").nth(1).unwrap().starts_with(&format!("{me} ")))
        .count();
    (open() - before, zombies)
}
register!(leaks);

fn eventually(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "it never became so");
        thread::sleep(Duration::from_millis(2));
    }
}

fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_daemon_does_not_outlive_a_parent_that_was_killed_and_others_do() {
    for (index, method) in StartMethod::ALL.into_iter().enumerate() {
        for daemon in [true, false] {
            let parent =
                Process::new(leaves_a_child, (index as u8, daemon)).method(StartMethod::Spawn).start().unwrap();
            let pid = parent.result().unwrap();
            if daemon {
                eventually(|| !runs(pid));
            } else {
                thread::sleep(Duration::from_millis(50));
                assert!(runs(pid), "{method}");
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        }
    }
}

#[test]
fn a_fork_server_that_was_killed_is_started_again_and_its_children_live_on() {
    // In a process of its own: other tests use the server of this one.
    let process = Process::new(survives_its_fork_server, ()).method(StartMethod::Spawn).start().unwrap();
    process.result().unwrap();
}

fn survives_its_fork_server((): ()) {
    let before = Process::new(sleeps, ()).start().unwrap();
    let server = parent_of(before.pid());
    kill(Pid::from_raw(server), Signal::SIGINT).unwrap();
    assert_eq!(Process::new(double, 1).start().unwrap().result(), Ok(2), "an interrupt does not end it");
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    for x in 0..3 {
        assert_eq!(Process::new(double, x).start().unwrap().result(), Ok(2 * x));
    }
    assert!(before.is_alive());
    before.kill().unwrap();
    assert_eq!(before.join(), Exit::Unknown, "nobody is left who could tell");
}
register!(survives_its_fork_server);

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_not_registered_is_refused_before_anything_is_started() {
    fn nobody_knows_me(x: u8) -> u8 {
        x
    }
    match Process::new(nobody_knows_me, 1).start() {
        Err(Error::NotRegistered(name)) => assert!(name.ends_with("nobody_knows_me"), "{name}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_with_threads_does_not_fork() {
    thread::scope(|scope| {
        scope.spawn(|| thread::sleep(Duration::from_millis(200)));
        match Process::new(double, 1).method(StartMethod::Fork).start() {
            Err(Error::Threads { threads }) => assert!(threads > 1),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_closure_is_forked_with_all_it_knows() {
    Process::new(forks_a_closure, ()).method(StartMethod::Spawn).start().unwrap().result().unwrap();
}

fn forks_a_closure((): ()) {
    let known = [String::from("spring"), String::from("neap")];
    let sibling = Process::new(sleeps, ()).start().unwrap();
    let process = Process::closure(move || {
        // It has its parent's handles in memory, but they are not its own.
        assert_eq!(sibling.join(), Exit::Unknown);
        assert!(matches!(sibling.kill(), Err(Error::NotMine)));
        assert!(active_children().is_empty());
        known.concat()
    });
    assert_eq!(process.start().unwrap().result().unwrap(), "springneap");
    for child in active_children() {
        child.kill().unwrap();
        child.join();
    }
}
register!(forks_a_closure);

#[test]
fn fork_returns_twice() {
    Process::new(forks_bare, ()).method(StartMethod::Spawn).start().unwrap().result().unwrap();
}

fn forks_bare((): ()) {
    use nix::sys::wait::{WaitStatus, waitpid};
    #[expect(unsafe_code, reason = "forks")]
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        None => std::process::exit(7),
        Some(pid) => {
            assert_eq!(waitpid(Pid::from_raw(pid), None).unwrap(), WaitStatus::Exited(Pid::from_raw(pid), 7));
        }
    }
}
register!(forks_bare);

#[test]
fn the_start_method_is_set_once_unless_forced() {
    Process::new(sets_the_method, ()).method(StartMethod::Spawn).start().unwrap().result().unwrap();
    assert_eq!("forkserver".parse(), Ok(StartMethod::ForkServer));
    assert!("teleport".parse::<StartMethod>().is_err());
    assert!(cpu_count() > 0);
}

fn sets_the_method((): ()) {
    set_start_method(StartMethod::Spawn, false).unwrap();
    assert!(matches!(set_start_method(StartMethod::ForkServer, false), Err(Error::AlreadySet)));
    assert_eq!(get_start_method(), StartMethod::Spawn);
    set_start_method(StartMethod::Fork, true).unwrap();
    assert_eq!(get_start_method(), StartMethod::Fork);
    assert_eq!(Process::new(double, 3).start().unwrap().result(), Ok(6));
}
register!(sets_the_method);

#[test]
fn a_program_that_inherits_the_marker_is_no_child() {
    // No fork bomb: what a child starts by itself finds the marker of its parent, which is not meant for it.
    let process = Process::new(starts_this_program, ()).method(StartMethod::Spawn).start().unwrap();
    let text = process.result().unwrap();
    assert!(text.contains("fork_returns_twice"), "it lists its tests, as the program it is: {text}");
}

fn starts_this_program((): ()) -> String {
    let output = Command::new("/proc/self/exe").arg("--list").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
register!(starts_this_program);

#[test]
fn many_wait_for_one() {
    let process = Process::new(sleeps, ()).start().unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..5).map(|_| scope.spawn(|| process.join())).collect();
        thread::sleep(Duration::from_millis(50));
        process.kill().unwrap();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Exit::Signal(Signal::SIGKILL));
        }
    });
}

#[test]
fn killed_at_any_moment_a_child_is_told_dead_or_done_and_never_waited_for() {
    for round in 0..150_u64 {
        let method = [StartMethod::Spawn, StartMethod::ForkServer][round as usize % 2];
        let process = Process::new(words, 100_000).method(method).start().unwrap();
        thread::sleep(Duration::from_micros(round * 37 % 3000));
        process.kill().unwrap();
        match (process.join_timeout(LONG), process.result()) {
            (Some(_), Ok(text)) => assert_eq!(text.len(), 100_000),
            (Some(Exit::Signal(Signal::SIGKILL)), Err(Failure::Died { exitcode: -9 })) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[test]
fn standard_input_of_a_child_is_empty() {
    let process = Process::new(reads_input, ()).start().unwrap();
    assert_eq!(process.result().unwrap(), "");
}

fn reads_input((): ()) -> String {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    text
}
register!(reads_input);
