//! What needs no other process; the rest is in `host/tests/ipc.rs`.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::stream_pipe;
use super::*;
use crate::socket::Address;

const NOW: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_millis(20));
const LONG: Option<Duration> = Some(Duration::from_mins(1));

/// Both kinds of pipe.
fn both(test: fn((Connection, Connection))) {
    test(pipe(true).unwrap());
    test(stream_pipe(true).unwrap());
}

#[test]
fn two_sends_are_two_receives_and_an_empty_message_is_one_too() {
    both(|(mut a, mut b)| {
        for _ in 0..3 {
            a.send_bytes(b"one", 0, None).unwrap();
            a.send_bytes(b"", 0, None).unwrap();
            a.send(&("two", 2_u8)).unwrap();
            assert_eq!(b.recv_bytes(None), Ok(&b"one"[..]));
            assert_eq!(b.recv_bytes(None), Ok(&b""[..]));
            assert_eq!(b.recv(), Ok(("two".to_owned(), 2_u8)));
        }
    });
}

#[test]
fn the_wrong_way_is_an_error() {
    for (mut receiver, mut sender) in [pipe(false).unwrap(), stream_pipe(false).unwrap()] {
        assert!(receiver.can_receive() && !receiver.can_send());
        assert!(!sender.can_receive() && sender.can_send());
        assert_eq!(receiver.send(&1), Err(Error::WrongWay));
        assert_eq!(receiver.send_bytes(b"1", 0, None), Err(Error::WrongWay));
        assert_eq!(sender.recv::<u8>(), Err(Error::WrongWay));
        assert_eq!(sender.recv_bytes(None), Err(Error::WrongWay));
        assert_eq!(sender.poll(NOW), Err(Error::WrongWay));
        sender.send(&1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    }
}

#[test]
fn offset_and_size_are_checked() {
    both(|(mut a, mut b)| {
        for (offset, size) in [(7, None), (6, Some(1)), (0, Some(7)), (usize::MAX, None), (1, Some(usize::MAX))] {
            assert_eq!(a.send_bytes(b"abcdef", offset, size), Err(Error::OutOfRange), "{offset} {size:?}");
        }
        for (offset, size, part) in
            [(0, None, &b"abcdef"[..]), (2, None, b"cdef"), (2, Some(3), b"cde"), (6, None, b"")]
        {
            a.send_bytes(b"abcdef", offset, size).unwrap();
            assert_eq!(b.recv_bytes(None), Ok(part));
        }
    });
}

#[test]
fn too_long_for_its_receiver_is_the_end_of_the_connection() {
    both(|(mut a, mut b)| {
        a.send_bytes(&[1; 10], 0, None).unwrap();
        a.send_bytes(&[1; 11], 0, None).unwrap();
        assert_eq!(b.recv_bytes(Some(10)), Ok(&[1; 10][..]));
        assert_eq!(b.recv_bytes(Some(10)), Err(Error::TooLong(11)));
        assert_eq!(b.recv_bytes(None), Err(Error::Closed));
        assert_eq!(b.send(&1), Err(Error::Closed));
        assert_eq!(b.poll(NOW), Err(Error::Closed));
    });
}

#[test]
fn a_buffer_too_short_leaves_the_message() {
    both(|(mut a, mut b)| {
        a.send_bytes(&[1, 2, 3, 4], 0, None).unwrap();
        let mut buffer = [0; 6];
        assert_eq!(b.recv_bytes_into(&mut buffer, 7), Err(Error::OutOfRange));
        assert_eq!(b.recv_bytes_into(&mut buffer, 3), Err(Error::BufferTooShort(4)));
        assert_eq!(b.recv_bytes_into(&mut buffer, 2), Ok(4));
        assert_eq!(buffer, [0, 0, 1, 2, 3, 4]);
        a.send_bytes(&[], 0, None).unwrap();
        assert_eq!(b.recv_bytes_into(&mut buffer, 6), Ok(0));
        a.send_bytes(&[5], 0, None).unwrap();
        assert_eq!(b.recv_bytes(None), Ok(&[5][..]));
    });
}

#[test]
fn the_end_is_polled_and_received_and_sending_to_the_closed_is_a_broken_pipe() {
    both(|(mut a, mut b)| {
        assert_eq!(b.poll(NOW), Ok(false));
        a.send(&1).unwrap();
        assert_eq!(b.poll(LONG), Ok(true));
        a.close();
        assert_eq!(b.recv(), Ok(1));
        assert_eq!(b.poll(None), Ok(true));
        assert_eq!(b.recv::<u8>(), Err(Error::EndOfFile));
        assert_eq!(b.recv::<u8>(), Err(Error::EndOfFile));
        assert_eq!(b.poll(NOW), Ok(true));
        let sent = (0..100).find_map(|_| {
            thread::sleep(Duration::from_millis(1));
            b.send(&1).err()
        });
        assert!(matches!(sent, Some(Error::BrokenPipe | Error::EndOfFile)), "{sent:?}");
    });
}

#[test]
fn a_value_of_another_kind_is_an_error_and_the_next_comes_through() {
    both(|(mut a, mut b)| {
        a.send(&300_u16).unwrap();
        a.send(&7_u8).unwrap();
        assert!(matches!(b.recv::<(u64, String)>(), Err(Error::Value(_))));
        assert_eq!(b.recv(), Ok(7_u8));
    });
}

#[test]
fn messages_beyond_32_mib_pass() {
    both(|(mut a, mut b)| {
        let message = vec![7; 33 << 20];
        thread::scope(|scope| {
            scope.spawn(|| a.send_bytes(&message, 0, None).unwrap());
            assert!(b.recv_bytes(None).unwrap() == message);
        });
    });
}

#[test]
fn a_million_messages_of_all_lengths_pass_between_threads() {
    let (mut a, mut b) = pipe(true).unwrap();
    let text: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let len = |number: usize| if number.is_multiple_of(10_000) { 66_000 } else { number % 61 };
    thread::scope(|scope| {
        scope.spawn(|| (0..1_000_000).for_each(|number| a.send_bytes(&text, number % 256, Some(len(number))).unwrap()));
        for number in 0..1_000_000 {
            let from = number % 256;
            assert!(b.recv_bytes(None).unwrap() == &text[from..from + len(number)], "{number}");
        }
    });
}

#[test]
fn who_sleeps_is_woken_each_time() {
    both(|(mut a, mut b)| {
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..300_u32 {
                    assert_eq!(a.recv(), Ok(number));
                    a.send(&number).unwrap();
                }
            });
            for number in 0..300_u32 {
                // Long enough to fall asleep, or nearly.
                thread::sleep(Duration::from_micros(u64::from(number)));
                b.send(&number).unwrap();
                assert!(b.poll(LONG).unwrap());
                assert_eq!(b.recv(), Ok(number));
            }
        });
    });
}

#[test]
fn wait_without_anything_takes_its_time() {
    let ((mut a, _b), (mut c, mut d)) = (pipe(true).unwrap(), stream_pipe(true).unwrap());
    let began = Instant::now();
    assert_eq!(wait(&mut [Ready::Connection(&mut a), Ready::Connection(&mut c)], SOON), Ok(vec![]));
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(wait(&mut [], NOW), Ok(vec![]));
    thread::scope(|scope| {
        scope.spawn(|| d.send(&1).unwrap());
        assert_eq!(wait(&mut [Ready::Connection(&mut a), Ready::Connection(&mut c)], LONG), Ok(vec![1]));
    });
    assert_eq!(c.recv(), Ok(1));
}

#[test]
fn a_descriptor_becomes_readable_when_something_comes() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let (mut a, mut b) = pipe(true).unwrap();
    for round in 0..50 {
        assert_eq!(b.poll(NOW), Ok(false));
        assert!(wait(&mut [Ready::Connection(&mut b)], NOW).unwrap().is_empty());
        a.send(&round).unwrap();
        let mut fds = [PollFd::new(b.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(60_000_u16)), Ok(1));
        assert_eq!(b.recv(), Ok(round));
    }
}

#[test]
fn what_is_made_of_descriptors_does_not_travel_everywhere() {
    let (listener, options) = listener(None);
    let lock = Lock::new().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| connect(listener.address().unwrap(), &options).unwrap());
        let mut server = listener.accept().unwrap();
        assert_eq!(server.send(&lock), Err(Error::CannotTravel));
        let (mut a, _b) = pipe(true).unwrap();
        assert!(matches!(a.send(&server), Err(Error::Value(_))));
        drop(client.join().unwrap());
    });
    let queue = Queue::new(3).unwrap();
    assert_eq!(queue.put(&lock), Err(Error::CannotTravel));
    assert!(queue.is_empty());
    both(|(a, b)| only_what_came_is_found(a, b));
}

fn only_what_came_is_found(mut a: Connection, mut b: Connection) {
    let lock = Lock::new().unwrap();
    a.send(&7_u32).unwrap();
    assert!(matches!(b.recv::<Lock>(), Err(Error::Value(_))));
    // Nor one of another kind.
    a.send(&lock).unwrap();
    assert!(matches!(b.recv::<Queue<u8>>(), Err(Error::Value(_))));
    a.send(&Descriptor(std::fs::File::open("/dev/null").unwrap().into())).unwrap();
    assert!(matches!(b.recv::<Lock>(), Err(Error::Value(_))));
    a.send(&lock).unwrap();
    let again: Lock = b.recv().unwrap();
    let _guard = lock.acquire(NOW).unwrap();
    assert!(matches!(again.acquire(NOW), Err(LockError::Failed(Error::Owner))));
}

#[test]
fn a_queue_is_full_and_empty_in_time() {
    let queue = Queue::new(2).unwrap();
    assert!(queue.is_empty() && !queue.is_full() && queue.maxsize() == 2);
    assert_eq!(queue.get_nowait(), Err(Error::Empty));
    let began = Instant::now();
    assert_eq!(queue.get_timeout(Duration::from_millis(30)), Err(Error::Empty));
    assert!(began.elapsed() >= Duration::from_millis(30));
    queue.put(&1).unwrap();
    queue.put_nowait(&2).unwrap();
    assert!(queue.is_full() && queue.qsize() == 2);
    assert_eq!(queue.put_nowait(&3), Err(Error::Full));
    let began = Instant::now();
    assert_eq!(queue.put_timeout(&3, Duration::from_millis(30)), Err(Error::Full));
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert_eq!((queue.get(), queue.get_nowait()), (Ok(1), Ok(2)));
    assert!(matches!(Queue::<u8>::new(0), Err(Error::Config)));
}

#[test]
fn who_waits_at_a_queue_is_woken() {
    let queue = Queue::new(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100 {
                thread::sleep(Duration::from_millis(1));
                queue.put(&number).unwrap();
            }
        });
        assert!((0..100).all(|number| queue.get() == Ok(number)));
        scope.spawn(|| {
            for number in 0..100 {
                thread::sleep(Duration::from_millis(1));
                assert_eq!(queue.get(), Ok(number));
            }
        });
        assert!((0..100).all(|number| queue.put(&number).is_ok()));
    });
}

#[test]
fn items_of_all_lengths_wrap_round() {
    let queue: Queue<Vec<u8>> = Queue::with_capacity(1000, 4096).unwrap();
    assert_eq!(queue.put(&vec![1; 4096]), Err(Error::TooLong(4098)));
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..20_000_usize {
        let item = vec![number as u8; number * number % 700];
        while queue.put_nowait(&item) == Err(Error::Full) {
            assert_eq!(queue.get_nowait().ok(), waiting.pop_front());
        }
        waiting.push_back(item);
        assert_eq!(queue.qsize(), waiting.len());
    }
}

#[test]
fn shutdown_releases_everybody() {
    let (queue, empty) = (Queue::new(1).unwrap(), Queue::<u8>::new(1).unwrap());
    queue.put(&0_u8).unwrap();
    thread::scope(|scope| {
        let putter = scope.spawn(|| queue.put(&1));
        let getter = scope.spawn(|| empty.get());
        let joiner = scope.spawn(|| queue.join());
        thread::sleep(Duration::from_millis(20));
        queue.shutdown(false).unwrap();
        empty.shutdown(false).unwrap();
        assert_eq!(putter.join().unwrap(), Err(Error::ShutDown));
        assert_eq!(getter.join().unwrap(), Err(Error::ShutDown));
        assert!(!joiner.is_finished(), "what is there can still be worked on");
        assert_eq!(queue.qsize(), 1);
        queue.shutdown(true).unwrap();
        assert_eq!(joiner.join().unwrap(), Err(Error::ShutDown));
    });
    assert_eq!((queue.qsize(), queue.get()), (0, Err(Error::ShutDown)));
}

#[test]
fn a_recursive_lock_counts() {
    let lock = Lock::recursive().unwrap();
    let (one, two) = (lock.acquire(NOW).unwrap(), lock.acquire(NOW).unwrap());
    let other = || thread::scope(|scope| scope.spawn(|| lock.acquire(SOON).is_ok()).join().unwrap());
    assert!(!other());
    drop(one);
    assert!(!other());
    drop(two);
    assert!(other());
}

#[test]
fn a_thread_that_ends_with_the_lock_is_told_too() {
    let lock = Lock::new().unwrap();
    thread::scope(|scope| scope.spawn(|| std::mem::forget(lock.acquire(None).unwrap())).join().unwrap());
    assert!(matches!(lock.acquire(LONG), Err(LockError::HolderDied(_))));
    assert!(lock.acquire(LONG).is_ok());
}

#[test]
fn a_barrier_is_aborted_and_reset() {
    let barrier = Barrier::new(2).unwrap();
    for end in [Barrier::abort, Barrier::reset] {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait(LONG));
            while barrier.waiting() == 0 {
                thread::yield_now();
            }
            end(&barrier);
            assert_eq!(waiter.join().unwrap(), Err(Error::BrokenBarrier));
        });
        barrier.reset();
    }
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
    thread::scope(|scope| {
        let other = scope.spawn(|| barrier.wait(LONG).unwrap());
        assert_eq!(barrier.wait(LONG).unwrap() + other.join().unwrap(), 1);
    });
    assert!(matches!(Barrier::new(0), Err(Error::Config)));
}

#[test]
fn values_of_every_kind_are_what_they_were_set_to() {
    let floats = Array::from_slice(&[-1.5_f32, f32::INFINITY]).unwrap();
    assert_eq!(floats.slice(0..2), [-1.5, f32::INFINITY]);
    let numbers = Array::new(3).unwrap();
    numbers.set_slice(1, &[i8::MIN, -1, 7]);
    assert_eq!(numbers.slice(0..9), [0, i8::MIN, -1]);
    assert!(!numbers.set(3, 1) && numbers.get(usize::MAX).is_none());
    assert!(Value::new(true).unwrap().get());
    assert_eq!(Value::new(i64::MIN).unwrap().get(), i64::MIN);
    assert!(matches!(Array::<u8>::new(usize::MAX / 4), Err(Error::Config)));
    assert!(Array::<u8>::new(0).unwrap().is_empty());
}

fn listener(key: Option<&str>) -> (Listener, Options) {
    let options = Options { authkey: key.map(Into::into), greeting: Duration::from_secs(5), ..Options::default() };
    (Listener::bind(Address::Unnamed, options.clone()).unwrap(), options)
}

#[test]
fn the_wrong_key_fails_at_both_ends() {
    let (listener, _) = listener(Some("spring"));
    for key in [Some("neap"), Some(""), None] {
        thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept().map(drop));
            let options = Options { authkey: key.map(Into::into), ..Options::default() };
            let connected = connect(listener.address().unwrap(), &options).map(drop);
            assert!(matches!(connected, Err(Error::Denied | Error::BrokenPipe)), "{connected:?}");
            assert!(matches!(accepted.join().unwrap(), Err(Error::Denied | Error::BrokenPipe)));
        });
    }
}

#[test]
fn the_right_key_connects_also_an_empty_one_by_every_family() {
    let folder = tempfile::tempdir().unwrap();
    let addresses: [Address; 4] = [
        Address::Unnamed,
        Address::Abstract(format!("tidemill-{}", std::process::id()).into_bytes()),
        Address::Path(folder.path().join("pond")),
        (std::net::Ipv4Addr::LOCALHOST, 0).into_address(),
    ];
    for address in addresses {
        for key in ["spring", ""] {
            let listener = Listener::bind(address.clone(), Options::with_authkey(key)).unwrap();
            let bound = listener.address().unwrap();
            assert!(matches!(Listener::bind(bound.clone(), Options::default()), Err(Error::Os(_))), "bound twice");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut client = connect(bound, &Options::with_authkey(key)).unwrap();
                    // Before it is accepted, perhaps.
                    client.send(&"how high?").unwrap();
                    assert_eq!(client.recv(), Ok(7));
                    assert_eq!(client.recv::<u8>(), Err(Error::EndOfFile));
                });
                let mut server = listener.accept().unwrap();
                assert_eq!(server.poll(LONG), Ok(true));
                assert_eq!(server.recv(), Ok("how high?".to_owned()));
                server.send(&7).unwrap();
            });
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the path is removed");
}

trait IntoAddress {
    fn into_address(self) -> Address;
}

impl IntoAddress for (std::net::Ipv4Addr, u16) {
    fn into_address(self) -> Address {
        std::net::SocketAddr::from(self).into()
    }
}

#[test]
fn who_does_not_greet_holds_up_nobody_for_long() {
    let options = Options { greeting: Duration::from_millis(50), ..Options::default() };
    let listener = Listener::bind(Address::Unnamed, options).unwrap();
    let silent = Socket::new(Family::Unix, Kind::Stream).unwrap();
    silent.connect(listener.address().unwrap()).unwrap();
    assert_eq!(listener.accept().map(drop), Err(Error::TimedOut));
    let noisy = Socket::new(Family::Unix, Kind::Stream).unwrap();
    noisy.connect(listener.address().unwrap()).unwrap();
    noisy.sendall(&[0x55; 5000], crate::socket::Flags::empty()).unwrap();
    assert_eq!(listener.accept().map(drop), Err(Error::Damaged));
}

#[test]
fn a_peer_without_a_goodbye_is_a_broken_pipe() {
    let (listener, options) = listener(None);
    let address = listener.address().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| connect(address, &options).unwrap());
        let mut server = listener.accept().unwrap();
        let client = client.join().unwrap();
        Socket::from_descriptor(client.as_fd().try_clone_to_owned().unwrap()).unwrap().shutdown(How::Both).unwrap();
        assert_eq!(server.recv::<u8>(), Err(Error::BrokenPipe));
    });
}

use crate::socket::{Family, How, Kind, Socket};

/// Whatever the other side writes into the memory that both share, nothing panics, and it ends when the other side does.
#[test]
fn memory_that_the_other_side_spoils_is_an_error_at_most() {
    use std::os::unix::fs::FileExt;
    let mut seed = 1_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut spoil = |descriptor: std::os::fd::OwnedFd, from: u64, to: u64| {
        let memory = std::fs::File::from(descriptor);
        for _ in 0..random() % 8 {
            // Something near what is there, or anything at all.
            let word = if random() % 2 == 0 { random() % 512 * 8 } else { random() };
            memory.write_all_at(&word.to_le_bytes(), from + random() % (to - from) / 8 * 8).unwrap();
        }
    };
    for round in 0..300 {
        let (mut a, mut b) = pipe(true).unwrap();
        for number in 0..round % 40 {
            a.send(&[number; 10]).unwrap();
            b.send(&"how high is the water, and is it rising?").unwrap();
        }
        let (_, mut descriptors) = pack(|| postcard::to_allocvec(&b).unwrap());
        spoil(descriptors.pop().unwrap(), 128, 128 + 2200);
        drop((b, descriptors));
        while a.recv::<String>().is_ok() || matches!(a.recv::<String>(), Err(Error::Value(_))) {}
        while a.send_bytes(&[1; 999], 0, None).is_ok() {}

        let queue = Queue::<String>::with_capacity(50, 4096).unwrap();
        for _ in 0..round % 40 {
            queue.put(&"low".to_owned()).unwrap();
        }
        let (_, mut descriptors) = pack(|| postcard::to_allocvec(&queue).unwrap());
        // But for the locks, which are the system's.
        spoil(descriptors.pop().unwrap(), 128 + 256, 128 + 2000);
        for _ in 0..100 {
            let _ = (queue.get_nowait(), queue.put_nowait(&"high".to_owned()), queue.task_done(), queue.qsize());
        }
    }
}
