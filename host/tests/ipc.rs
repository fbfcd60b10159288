//! What goes between processes, by every start method, held to what Python's `multiprocessing` does, and to more.

#[macro_use]
mod methods;

use std::env;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tidemill_host::ipc::{
    Array, Barrier, Condition, Connection, Descriptor, Error, Event, Lock, LockError, Queue, Ready, Semaphore, Value,
    pipe, wait,
};
use tidemill_host::process::{Exit, Process, Running, StartMethod};
use tidemill_host::register;
use tidemill_host::socket::{Flags, Kind, Socket};

const LONG: Option<Duration> = Some(Duration::from_mins(1));
const SOON: Option<Duration> = Some(Duration::from_millis(30));
const NOW: Option<Duration> = Some(Duration::ZERO);

fn echo(mut end: Connection) -> Result<u64, Error> {
    let mut count = 0;
    loop {
        match end.recv_bytes(None).map(<[u8]>::to_vec) {
            Ok(message) => end.send_bytes(&message, 0, None)?,
            Err(Error::EndOfFile) => return Ok(count),
            Err(error) => return Err(error),
        }
        count += 1;
    }
}

fn sends_three_and_returns(mut end: Connection) -> Result<(), Error> {
    end.send(&(1, "one"))?;
    end.send(&(2, "two"))?;
    end.send(&(3, "three"))
}

/// Sends a message, says so, and waits to be killed.
fn sends_and_sleeps((mut end, event): (Connection, Event)) {
    end.send(&"last words").unwrap();
    event.set();
    thread::sleep(Duration::from_mins(1));
}

/// Sends a message that does not fit in the pipe.
fn sends_too_much((mut end, event): (Connection, Event)) -> Result<(), Error> {
    event.set();
    end.send_bytes(&vec![7; 64 << 20], 0, None)
}

fn sends_a_descriptor(mut end: Connection) -> Result<(), Error> {
    let (from, mut to) = std::io::pipe().unwrap();
    to.write_all(b"through a pipe").unwrap();
    let (mut one, other) = pipe(true)?;
    end.send(&(Descriptor(from.into()), other))?;
    one.send(&"and a pipe")
}

fn doubles((work, results): (Queue<u64>, Queue<u64>)) -> Result<u64, Error> {
    let mut count = 0;
    loop {
        match work.get() {
            Ok(number) => {
                results.put(&(2 * number))?;
                work.task_done()?;
                count += 1;
            }
            Err(Error::ShutDown) => return Ok(count),
            Err(error) => return Err(error),
        }
    }
}

fn puts_and_dies((queue, count): (Queue<u64>, u64)) {
    for number in 0..count {
        queue.put(&number).unwrap();
    }
    std::process::abort();
}

fn waits_in_get((queue, event): (Queue<u64>, Event)) {
    event.set();
    let _ = queue.get();
}

fn produces((queue, name, count): (Queue<(u32, u32)>, u32, u32)) -> Result<(), Error> {
    (0..count).try_for_each(|number| queue.put(&(name, number)))
}

fn counts((value, times): (Value<u64>, u64)) -> Result<(), Error> {
    for _ in 0..times {
        value.update(|count| count + 1)?;
    }
    Ok(())
}

/// Counts under a lock that is not the value's own.
fn counts_within((lock, value, times): (Lock, Value<u64>, u64)) -> Result<(), Error> {
    for _ in 0..times {
        let _guard = lock.acquire(None)?;
        value.set(value.get() + 1);
    }
    Ok(())
}

fn dies_holding((lock, event): (Lock, Event)) {
    let _guard = lock.acquire(None);
    event.set();
    thread::sleep(Duration::from_mins(1));
}

fn meets((barrier, together, count): (Barrier, Array<u32>, usize)) -> Result<u32, Error> {
    let mut last = 0;
    for round in 0..count {
        let place = barrier.wait_then(LONG, || {
            let sum = together.get(0).unwrap_or(0);
            together.set(0, sum + 1);
        })?;
        // Nobody is ahead of the action, and nobody behind it by more than a round.
        let seen = together.get(0).unwrap_or(0);
        assert!(seen as usize == round + 1 || seen as usize == round + 2, "{seen} in {round}");
        last += u32::from(place + 1 == barrier.parties());
    }
    Ok(last)
}

fn takes_turns((condition, turns, me, of): (Condition, Value<u32>, u32, u32)) -> Result<(), Error> {
    for _ in 0..50 {
        let guard = condition.acquire(None)?;
        let (guard, mine) = condition.wait_for(guard, LONG, || turns.get() % of == me)?;
        assert!(mine);
        turns.set(turns.get() + 1);
        condition.notify_all();
        drop(guard);
    }
    Ok(())
}

fn releases((semaphore, event): (Semaphore, Event)) -> Result<bool, Error> {
    semaphore.release()?;
    Ok(event.wait(LONG))
}

fn descriptors((): ()) -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn holds((_end, _queue, _lock): (Connection, Queue<u64>, Lock)) -> usize {
    descriptors(())
}

register!(
    echo,
    sends_three_and_returns,
    sends_and_sleeps,
    sends_too_much,
    sends_a_descriptor,
    doubles,
    puts_and_dies,
    waits_in_get,
    produces,
    counts,
    dies_holding,
    meets,
    takes_turns,
    releases,
    descriptors,
    holds,
    runs_a_body_by_fork,
    makes_memory,
    counts_within,
);

by_every_method![
    messages_keep_their_boundaries_empty_ones_too,
    what_a_child_sent_is_received_after_its_end_and_then_the_end_of_file,
    who_is_killed_is_a_broken_pipe_and_what_it_sent_whole_is_received,
    half_a_message_of_the_killed_is_a_broken_pipe,
    sending_to_one_who_was_killed_is_a_broken_pipe_soon,
    large_messages_pass_both_ways,
    poll_waits_as_long_as_it_is_told,
    descriptors_and_ends_travel_through_pipes,
    wait_tells_which_of_many_is_ready,
    an_end_goes_on_where_it_was_with_another,
    a_queue_is_worked_on_joined_and_shut_down,
    who_dies_after_put_has_put,
    who_is_killed_in_get_holds_up_nobody,
    each_item_is_got_once_in_its_producers_order,
    a_lock_excludes_and_a_value_counts,
    a_lock_whose_holder_was_killed_is_told_once,
    a_thousand_rounds_of_a_barrier,
    a_condition_hands_turns_round,
    a_semaphore_and_an_event_signal,
    a_child_has_what_it_was_given_and_nothing_is_left,
];

fn messages_keep_their_boundaries_empty_ones_too(method: StartMethod) {
    let (mut here, there) = pipe(true).unwrap();
    let child = Process::new(echo, there).method(method).start().unwrap();
    for message in [&b""[..], b"one", b"", b"", b"two", &[7; 1000], b"", &vec![9; 300_000]] {
        here.send_bytes(message, 0, None).unwrap();
        assert_eq!(here.recv_bytes(None), Ok(message));
    }
    for _ in 0..2 {
        here.send(&("tide", 1_u8)).unwrap();
        here.send(&("mill", 2_u8)).unwrap();
    }
    for expected in [("tide", 1_u8), ("mill", 2), ("tide", 1), ("mill", 2)] {
        assert_eq!(here.recv(), Ok((expected.0.to_owned(), expected.1)));
    }
    here.close();
    assert_eq!(child.result(), Ok(Ok(12)));
}

fn what_a_child_sent_is_received_after_its_end_and_then_the_end_of_file(method: StartMethod) {
    let (mut here, there) = pipe(false).unwrap();
    let child = Process::new(sends_three_and_returns, there).method(method).start().unwrap();
    assert_eq!(child.join(), Exit::Code(0));
    for expected in [(1, "one"), (2, "two"), (3, "three")] {
        assert_eq!(here.recv(), Ok((expected.0, expected.1.to_owned())));
    }
    // A process that is just being started beside this one has the end, too, until it is the program that it will be.
    assert_eq!(here.poll(LONG), Ok(true), "the end is something to receive");
    assert_eq!(here.recv::<u8>(), Err(Error::EndOfFile));
    assert_eq!(here.recv::<u8>(), Err(Error::EndOfFile), "for ever");
    assert_eq!(here.send(&1), Err(Error::WrongWay));
}

fn who_is_killed_is_a_broken_pipe_and_what_it_sent_whole_is_received(method: StartMethod) {
    let ((mut here, there), event) = (pipe(true).unwrap(), Event::new().unwrap());
    let child = Process::new(sends_and_sleeps, (there, event.clone())).method(method).start().unwrap();
    assert!(event.wait(LONG));
    let killer = thread_or_now(method, {
        let child = (*child).clone();
        move || child.kill().unwrap()
    });
    assert_eq!(here.recv(), Ok("last words".to_owned()));
    let began = Instant::now();
    assert_eq!(here.recv::<String>(), Err(Error::BrokenPipe));
    assert!(began.elapsed() < Duration::from_secs(5), "told, not waited for");
    killer();
    assert_eq!(here.send(&1), Err(Error::BrokenPipe));
    assert_eq!(child.join(), Exit::Signal(Signal::SIGKILL));
}

/// Does it in a thread, after a while; where threads forbid to fork, at once.
fn thread_or_now(method: StartMethod, work: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce()> {
    if method == StartMethod::Fork {
        work();
        return Box::new(|| ());
    }
    let thread = thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        work();
    });
    Box::new(|| thread.join().unwrap())
}

fn half_a_message_of_the_killed_is_a_broken_pipe(method: StartMethod) {
    let ((mut here, there), event) = (pipe(false).unwrap(), Event::new().unwrap());
    let child = Process::new(sends_too_much, (there, event.clone())).method(method).start().unwrap();
    assert!(event.wait(LONG) && here.poll(LONG).unwrap());
    child.kill().unwrap();
    assert_eq!(here.recv_bytes(None), Err(Error::BrokenPipe));
}

fn sending_to_one_who_was_killed_is_a_broken_pipe_soon(method: StartMethod) {
    let ((mut here, there), event) = (pipe(true).unwrap(), Event::new().unwrap());
    let child = Process::new(sends_and_sleeps, (there, event.clone())).method(method).start().unwrap();
    assert!(event.wait(LONG));
    here.send(&1).unwrap();
    child.kill().unwrap();
    child.join();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(here.send(&2), Err(Error::BrokenPipe), "though there is room");
    // And one that waits for room is woken.
    let ((mut here, there), event) = (pipe(true).unwrap(), Event::new().unwrap());
    let child = Process::new(sends_and_sleeps, (there, event.clone())).method(method).start().unwrap();
    assert!(event.wait(LONG));
    let killer = thread_or_now(method, {
        let child = (*child).clone();
        move || child.kill().unwrap()
    });
    assert_eq!(here.send_bytes(&vec![1; 1 << 20], 0, None), Err(Error::BrokenPipe));
    killer();
}

fn large_messages_pass_both_ways(method: StartMethod) {
    let (mut here, there) = pipe(true).unwrap();
    let child = Process::new(echo, there).method(method).start().unwrap();
    let tide: Vec<u8> = (0..1 << 16).map(|index: u32| (index.wrapping_mul(index) >> 7) as u8).collect();
    let message = tide[..65_521].repeat(641);
    assert!(message.len() > 40 << 20);
    here.send_bytes(&message, 0, None).unwrap();
    assert!(here.recv_bytes(None).unwrap() == message, "whole");
    let mut room = vec![0; 1_000_010];
    here.send_bytes(&message, 1, Some(1_000_000)).unwrap();
    assert_eq!(here.recv_bytes_into(&mut room, 10), Ok(1_000_000));
    assert!(room[10..] == message[1..=1_000_000]);
    here.set_message_max(1000);
    assert_eq!(here.send_bytes(&message, 0, Some(1001)), Err(Error::TooLong(1001)), "a bound of the user's");
    here.close();
    assert_eq!(child.result(), Ok(Ok(2)));
}

fn poll_waits_as_long_as_it_is_told(method: StartMethod) {
    let (mut here, there) = pipe(true).unwrap();
    assert_eq!(here.poll(NOW), Ok(false));
    let child = Process::new(echo, there).method(method).start().unwrap();
    let began = Instant::now();
    assert_eq!(here.poll(SOON), Ok(false));
    assert!(began.elapsed() >= Duration::from_millis(30));
    here.send(&1).unwrap();
    assert_eq!(here.poll(LONG), Ok(true));
    assert_eq!(here.poll(None), Ok(true), "and it stays");
    assert_eq!(here.recv(), Ok(1));
    assert_eq!(here.poll(NOW), Ok(false));
    child.kill().unwrap();
    assert_eq!(here.poll(None), Ok(true), "the end is something to receive");
    assert_eq!(here.recv::<u8>(), Err(Error::BrokenPipe));
}

fn descriptors_and_ends_travel_through_pipes(method: StartMethod) {
    let (mut here, there) = pipe(true).unwrap();
    let child = Process::new(sends_a_descriptor, there).method(method).start().unwrap();
    let (Descriptor(from), mut other): (Descriptor, Connection) = here.recv().unwrap();
    let mut words = String::new();
    std::fs::File::from(from).read_to_string(&mut words).unwrap();
    assert_eq!(words, "through a pipe");
    assert_eq!(other.recv(), Ok("and a pipe".to_owned()));
    assert_eq!(other.recv::<u8>(), Err(Error::EndOfFile));
    assert_eq!(child.result(), Ok(Ok(())));
}

fn wait_tells_which_of_many_is_ready(method: StartMethod) {
    let ((mut a, there_a), (mut b, there_b)) = (pipe(true).unwrap(), pipe(true).unwrap());
    let child_a = Process::new(echo, there_a).method(method).start().unwrap();
    let child_b = Process::new(echo, there_b).method(method).start().unwrap();
    let (socket, its) = Socket::socketpair(Kind::Stream).unwrap();
    let ready = |a: &mut Connection, b: &mut Connection, timeout| {
        let sentinel = child_b.sentinel();
        wait(
            &mut [
                Ready::Connection(a),
                Ready::Connection(b),
                Ready::Descriptor(socket.as_fd()),
                Ready::Descriptor(sentinel),
            ],
            timeout,
        )
    };
    assert_eq!(ready(&mut a, &mut b, NOW), Ok(vec![]));
    assert_eq!(ready(&mut a, &mut b, SOON), Ok(vec![]));
    b.send(&1).unwrap();
    assert_eq!(ready(&mut a, &mut b, LONG), Ok(vec![1]));
    its.send(b"x", Flags::empty()).unwrap();
    assert_eq!(ready(&mut a, &mut b, None), Ok(vec![1, 2]));
    assert_eq!(b.recv(), Ok(1));
    assert_eq!(ready(&mut a, &mut b, None), Ok(vec![2]));
    socket.recv(1, Flags::empty()).unwrap();
    for round in 0..100 {
        a.send(&round).unwrap();
        assert_eq!(ready(&mut a, &mut b, LONG), Ok(vec![0]));
        assert_eq!(a.recv(), Ok(round));
    }
    child_b.kill().unwrap();
    child_b.join();
    assert_eq!(ready(&mut a, &mut b, LONG), Ok(vec![1, 3]));
    a.close();
    assert_eq!(child_a.result(), Ok(Ok(101 - 1)));
}

fn an_end_goes_on_where_it_was_with_another(method: StartMethod) {
    let (mut here, mut there) = pipe(true).unwrap();
    here.send(&0).unwrap();
    here.send_bytes(b"one", 0, None).unwrap();
    there.send(&0).unwrap();
    assert_eq!((there.recv(), here.recv()), (Ok(0), Ok(0)));
    let child = Process::new(echo, there).method(method).start().unwrap();
    here.send_bytes(b"two", 0, None).unwrap();
    assert_eq!(here.recv_bytes(None), Ok(&b"one"[..]));
    assert_eq!(here.recv_bytes(None), Ok(&b"two"[..]));
    here.close();
    assert_eq!(child.result(), Ok(Ok(2)));
}

fn a_queue_is_worked_on_joined_and_shut_down(method: StartMethod) {
    let (work, results) = (Queue::new(100).unwrap(), Queue::new(1000).unwrap());
    let start = || Process::new(doubles, (work.clone(), results.clone())).method(method).start().unwrap();
    let children = [start(), start(), start()];
    for number in 0..500 {
        work.put(&number).unwrap();
    }
    work.join_timeout(LONG).unwrap();
    assert_eq!(work.task_done(), Err(Error::TooManyDone));
    assert_eq!(results.qsize(), 500, "at once");
    let mut all: Vec<u64> = (0..500).map(|_| results.get_nowait().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..500).map(|number| 2 * number)));
    assert_eq!(results.get_nowait(), Err(Error::Empty));
    work.shutdown(false).unwrap();
    assert_eq!(work.put(&1), Err(Error::ShutDown));
    assert_eq!(children.iter().map(|child| child.result().unwrap().unwrap()).sum::<u64>(), 500);
}

fn who_dies_after_put_has_put(method: StartMethod) {
    let queue = Queue::new(1000).unwrap();
    let child = Process::new(puts_and_dies, (queue.clone(), 777)).method(method).start().unwrap();
    assert_eq!(child.join(), Exit::Signal(Signal::SIGABRT));
    assert_eq!(queue.qsize(), 777);
    for number in 0..777 {
        assert_eq!(queue.get_nowait(), Ok(number));
    }
    assert!(queue.is_empty());
}

fn who_is_killed_in_get_holds_up_nobody(method: StartMethod) {
    let (queue, event) = (Queue::new(10).unwrap(), Event::new().unwrap());
    for round in 0..5 {
        event.clear();
        let child = Process::new(waits_in_get, (queue.clone(), event.clone())).method(method).start().unwrap();
        assert!(event.wait(LONG));
        thread::sleep(Duration::from_millis(5 * round));
        child.kill().unwrap();
        assert_eq!(child.join(), Exit::Signal(Signal::SIGKILL));
        queue.put(&round).unwrap();
        assert_eq!(queue.get_timeout(Duration::from_mins(1)), Ok(round));
    }
}

fn done(children: &[Running<Result<(), Error>>]) {
    for child in children {
        child.result().unwrap().unwrap();
    }
}

fn each_item_is_got_once_in_its_producers_order(method: StartMethod) {
    let queue = Queue::new(16).unwrap();
    let start = |name: u32| Process::new(produces, (queue.clone(), name, 500_u32)).method(method).start().unwrap();
    let children: Vec<_> = (0..4).map(start).collect();
    let mut next = [0; 4];
    for _ in 0..2000 {
        let (name, number) = queue.get_timeout(Duration::from_mins(1)).unwrap();
        assert_eq!(number, next[name as usize]);
        next[name as usize] += 1;
    }
    assert_eq!(next, [500; 4]);
    done(&children);
    assert!(queue.is_empty());
}

fn a_lock_excludes_and_a_value_counts(method: StartMethod) {
    let value = Value::new(0_u64).unwrap();
    let start = |_| Process::new(counts, (value.clone(), 2000_u64)).method(method).start().unwrap();
    let children: Vec<_> = (0..3).map(start).collect();
    done(&children);
    assert_eq!(value.get(), 6000);
}

fn a_lock_whose_holder_was_killed_is_told_once(method: StartMethod) {
    let (lock, event) = (Lock::new().unwrap(), Event::new().unwrap());
    let child = Process::new(dies_holding, (lock.clone(), event.clone())).method(method).start().unwrap();
    assert!(event.wait(LONG));
    assert!(matches!(lock.acquire(NOW), Err(LockError::Failed(Error::TimedOut))));
    assert!(matches!(lock.acquire(SOON), Err(LockError::Failed(Error::TimedOut))));
    let killer = thread_or_now(method, {
        let child = (*child).clone();
        move || child.kill().unwrap()
    });
    let guard = match lock.acquire(None) {
        Err(LockError::HolderDied(guard)) => guard,
        other => panic!("{other:?}"),
    };
    killer();
    assert!(matches!(lock.acquire(None), Err(LockError::Failed(Error::Owner))));
    drop(guard);
    drop(lock.acquire(LONG).unwrap());
}

fn a_thousand_rounds_of_a_barrier(method: StartMethod) {
    let (barrier, together) = (Barrier::new(3).unwrap(), Array::new(1).unwrap());
    let start = |_| Process::new(meets, (barrier.clone(), together.clone(), 1000)).method(method).start().unwrap();
    let children: Vec<_> = (0..3).map(start).collect();
    let last: u32 = children.iter().map(|child| child.result().unwrap().unwrap()).sum();
    assert_eq!((last, together.get(0)), (1000, Some(1000)), "in each round one was the last, who acted");
    assert_eq!(barrier.wait(SOON), Err(Error::BrokenBarrier), "nobody else comes");
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait(LONG), Err(Error::BrokenBarrier), "at once");
    barrier.reset();
    assert!(!barrier.is_broken());
}

fn a_condition_hands_turns_round(method: StartMethod) {
    let (condition, turns) = (Condition::new(None).unwrap(), Value::new(0).unwrap());
    let start =
        |me| Process::new(takes_turns, (condition.clone(), turns.clone(), me, 3)).method(method).start().unwrap();
    let children: Vec<_> = (0..3).map(start).collect();
    done(&children);
    assert_eq!(turns.get(), 150);
    let guard = condition.acquire(None).unwrap();
    let (_guard, notified) = condition.wait(guard, SOON).unwrap();
    assert!(!notified);
}

fn a_semaphore_and_an_event_signal(method: StartMethod) {
    let (semaphore, event) = (Semaphore::bounded(2).unwrap(), Event::new().unwrap());
    assert_eq!(semaphore.release(), Err(Error::Released));
    semaphore.acquire(None).unwrap();
    semaphore.acquire(None).unwrap();
    assert_eq!(semaphore.acquire(SOON), Err(Error::TimedOut));
    assert!(!event.wait(SOON));
    let child = Process::new(releases, (semaphore.clone(), event.clone())).method(method).start().unwrap();
    assert_eq!(semaphore.acquire(LONG), Ok(()));
    assert_eq!(semaphore.value(), 0);
    event.set();
    assert_eq!(child.result(), Ok(Ok(true)));
    event.clear();
    assert!(!event.is_set());
}

fn a_child_has_what_it_was_given_and_nothing_is_left(method: StartMethod) {
    // The fork server and its line stay.
    Process::new(descriptors, ()).method(method).start().unwrap().join();
    // The other tests of this program open and close descriptors meanwhile: those of a process of its own are counted.
    let count = Process::new(counts_descriptors, method.to_string()).method(StartMethod::Spawn).start().unwrap();
    let (before, after, more) = count.result().unwrap();
    assert_eq!(before, after);
    if method != StartMethod::Fork {
        // A pipe is two, a queue and a lock one each; the child has its own, and not the parent's.
        assert_eq!(more, 4);
    }
}

fn counts_descriptors(method: String) -> (usize, usize, usize) {
    let method: StartMethod = method.parse().unwrap();
    let bare = Process::new(descriptors, ()).method(method).start().unwrap().result().unwrap();
    tidemill_host::process::active_children();
    let before = descriptors(());
    let mut with = 0;
    for _ in 0..10 {
        let ((here, there), queue, lock) = (pipe(true).unwrap(), Queue::new(10).unwrap(), Lock::new().unwrap());
        let child = Process::new(holds, (there, queue.clone(), lock.clone())).method(method).start().unwrap();
        with = child.result().unwrap();
        child.join();
        drop((child, here));
    }
    tidemill_host::process::active_children();
    (before, descriptors(()), with - bare)
}

register!(counts_descriptors);

#[test]
fn behaviour_99_one_lock_serves_the_children_of_every_start_method() {
    let (lock, value) = (Lock::new().unwrap(), Value::new(0_u64).unwrap());
    let held = lock.acquire(None).unwrap();
    let methods = [StartMethod::Spawn, StartMethod::ForkServer];
    let start =
        |method| Process::new(counts_within, (lock.clone(), value.clone(), 500)).method(method).start().unwrap();
    let children: Vec<_> = methods.into_iter().chain(methods).map(start).collect();
    assert_eq!((value.get(), drop(held)), (0, ()));
    for child in children {
        child.result().unwrap().unwrap();
    }
    assert_eq!(value.get(), 2_000);
}

#[test]
fn behaviour_147_memory_is_gone_when_its_last_user_is_killed() {
    let (mut here, there) = pipe(false).unwrap();
    let child = Process::new(makes_memory, there).start().unwrap();
    let inodes: Vec<String> = here.recv().unwrap();
    assert!(!inodes.is_empty() && inodes.iter().all(|inode| maps(inode)), "as long as it lives");
    child.kill().unwrap();
    child.join();
    assert!(!inodes.iter().any(|inode| maps(inode)));
}

/// Makes shared memory, says which, and waits to be killed.
fn makes_memory(mut end: Connection) {
    let before = memory("self");
    let _array = Array::<u64>::new(1 << 12).unwrap();
    let new: Vec<String> = memory("self").into_iter().filter(|inode| !before.contains(inode)).collect();
    end.send(&new).unwrap();
    thread::sleep(Duration::from_mins(1));
}

/// The inodes of the shared memory that a process maps.
fn memory(process: &str) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let ours = maps.lines().filter(|line| line.contains("memfd:tidemill") || line.contains("(deleted)"));
    ours.filter_map(|line| line.split_whitespace().nth(4).map(str::to_owned)).collect()
}

/// Whether any process maps it.
fn maps(inode: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    processes
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .any(|process| memory(&process).iter().any(|other| other == inode))
}

/// All of this again, in a process that is refused memfds.
#[test]
fn all_works_where_the_system_has_no_memfd() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=memfd_create",
        "-e",
        "inject=memfd_create:error=ENOSYS",
        "-o",
    ]);
    strace
        .arg(trace.path())
        .arg(env::current_exe().unwrap())
        .args(["--skip", "all_works_where_the_system_has_no_memfd"]);
    let Ok(output) = strace.output() else { return println!("NOT TESTED: no strace here") };
    let refused = std::fs::read_to_string(trace.path()).unwrap().matches("ENOSYS").count();
    if refused == 0 {
        return println!("NOT TESTED: strace refuses nothing here: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && refused > 100, "{refused} refused: {said}");
}
