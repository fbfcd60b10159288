//! The client against an end that answers as a board would.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemill_core::frame::Carrier;
use tidemill_core::frame::link::{Config, Endpoint, Post, RequestId, Subject};
use tidemill_core::pool::Failure;
use tidemill_core::time::{Duration as Span, EPOCH};

use super::{Client, Error, Options, QUEUE_MAX};

const SOON: Duration = Duration::from_secs(20);

/// Does what it is told: `echo`, `fail`, `late` (never), `vanish`, and `last`, which answers what was cancelled or asked `late` so far.
fn board(stream: UnixStream, reports: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let reorder = 2048;
        let config = Config { reliable: true, reorder, window: 2048, nonce: [9; 16], ..Config::new(Carrier::Line) };
        let mut end = Endpoint::<_, 2, 0, _>::reliable(config, vec![0; config.memory(2)]).unwrap();
        let began = Instant::now();
        let (mut late, mut cancelled) = (0_u8, 0_u8);
        let mut reports = 0..reports;
        let mut input = [0; 512];
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut answers = Vec::new();
        loop {
            let now = EPOCH + Span::from_micros(began.elapsed().as_micros() as u64);
            let mut link = end.link();
            match (&stream).read(&mut input) {
                Ok(0) => return,
                Ok(count) => link.handle_input(now, &input[..count]),
                Err(_) => {}
            }
            while let Some(message) = link.peek(0) {
                match message.subject {
                    Subject::Request { id, .. } => {
                        let zero = message.payload.iter().position(|&byte| byte == 0).unwrap();
                        let args = message.payload[zero + 1..].to_vec();
                        match &message.payload[..zero] {
                            b"echo" => answers.push((id, Ok(args))),
                            b"fail" => answers.push((id, Err(args))),
                            b"late" => late += 1,
                            b"vanish" => return,
                            _ => answers.push((id, Ok(vec![late, cancelled]))),
                        }
                    }
                    Subject::Cancelled(_) => cancelled += 1,
                    _ => {}
                }
                link.pop(0);
            }
            answers.retain(|(id, answer): &(RequestId, Result<Vec<u8>, Vec<u8>>)| {
                let (post, bytes) = match answer {
                    Ok(bytes) => (Post::Response(*id), bytes),
                    Err(why) => (Post::Failure(*id), why),
                };
                link.send(0, post, bytes, 0).is_err()
            });
            if let Some(number) = reports.clone().next()
                && link.send(1, Post::Data, &[number as u8], 0).is_ok()
            {
                reports.next();
            }
            if link.peer_closed() {
                link.close();
            }
            loop {
                let output = link.poll_output(now).to_vec();
                if output.is_empty() {
                    break;
                }
                if (&stream).write_all(&output).is_err() {
                    return;
                }
                link.wrote(output.len());
            }
        }
    })
}

fn connect(reports: usize) -> (Client, JoinHandle<()>) {
    let (near, far) = UnixStream::pair().unwrap();
    let board = board(far, reports);
    (Client::open(near, &Options::default()).unwrap(), board)
}

fn part(client: Client, board: JoinHandle<()>) {
    client.close().unwrap();
    board.join().unwrap();
}

#[test]
fn tasks_are_answered_fail_and_are_awaited() {
    let (client, board) = connect(0);
    let mut echo = client.submit("echo", b"tide", None).unwrap();
    assert_eq!(echo.result(SOON).unwrap(), b"tide");
    assert!(echo.done() && !echo.cancel() && !echo.abort());
    assert_eq!(echo.result(SOON), Err(Failure::Stale), "it was taken");
    let mut fail = client.submit("fail", b"low water", None).unwrap();
    let why = Err(Failure::Failed(Error::Task("low water".into())));
    assert_eq!((fail.result(SOON), fail.result(SOON)), (why.clone(), why), "a failure stays");
    let echo = client.submit("echo", b"awaited", None).unwrap();
    let pool = crate::threads::ThreadPool::new(1).unwrap();
    let mut awaited = pool.submit(move || block_on(echo)).unwrap();
    assert_eq!(awaited.result(SOON).unwrap().unwrap(), b"awaited");
    part(client, board);
}

/// The least executor.
fn block_on<F: std::future::Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(SOON),
        }
    }
}

#[test]
fn a_task_expires_or_is_aborted_and_the_board_is_told_both() {
    let (client, board) = connect(0);
    let mut late = client.submit("late", b"", Duration::from_millis(50)).unwrap();
    assert_eq!(late.result(SOON), Err(Failure::Failed(Error::Expired)));
    let mut late = client.submit("late", b"", None).unwrap();
    assert_eq!(late.result(Duration::from_millis(50)), Err(Failure::TimedOut));
    assert_eq!(late.try_result(), Err(nb::Error::WouldBlock));
    assert!(late.running() && !late.cancel(), "what runs is not cancelled");
    assert!(late.abort());
    assert_eq!(late.result(SOON), Err(Failure::Cancelled));
    // A cancellation may be overtaken by the next request.
    let began = Instant::now();
    while client.submit("last", b"", None).unwrap().result(SOON).unwrap() != [2, 2] {
        assert!(began.elapsed() < SOON, "the board was not told");
    }
    part(client, board);
}

#[test]
fn what_is_too_much_is_refused_and_what_waits_can_be_cancelled() {
    let (client, board) = connect(0);
    let mut futures = Vec::new();
    let full = loop {
        match client.submit("late", b"", None) {
            Ok(future) => futures.push(future),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Error::Full);
    assert!(futures.len() >= QUEUE_MAX);
    let last = futures.last_mut().unwrap();
    assert!(last.cancel() && last.cancelled());
    assert_eq!(last.result(SOON), Err(Failure::Cancelled));
    assert_eq!(client.submit("a\0b", b"", None).err(), Some(Error::Name));
    for future in &futures {
        future.abort();
    }
    for future in &mut futures {
        assert_eq!(future.result(SOON), Err(Failure::Cancelled));
    }
    let mut long = client.submit("echo", &[7; 5000], None).unwrap();
    assert_eq!(long.result(SOON), Err(Failure::Failed(Error::TooLong)));
    part(client, board);
}

#[test]
fn reports_come_in_order_and_wait_for_who_reads_them() {
    let (client, board) = connect(200);
    for number in 0..200 {
        assert_eq!(client.report(SOON).unwrap(), [number]);
    }
    assert_eq!(client.report(Duration::from_millis(1)), Err(Error::Expired));
    part(client, board);
}

#[test]
fn a_board_that_vanishes_fails_what_is_under_way_and_nothing_more_is_taken() {
    let (client, board) = connect(0);
    let mut late = client.submit("late", b"", None).unwrap();
    let mut vanish = client.submit("vanish", b"", None).unwrap();
    for future in [&mut late, &mut vanish] {
        let why = future.result(SOON);
        assert!(matches!(why, Err(Failure::Failed(Error::Link(_) | Error::Io(_)))), "{why:?}");
    }
    board.join().unwrap();
    assert!(matches!(client.submit("echo", b"", None).err(), Some(Error::Link(_) | Error::Io(_))));
    assert!(client.report(SOON).is_err() && client.close().is_err());
}

#[test]
fn nobody_at_the_other_end_is_no_answer() {
    let (near, _far) = UnixStream::pair().unwrap();
    let options = Options { open_timeout: Duration::from_millis(100), ..Options::default() };
    assert_eq!(Client::open(near, &options).err(), Some(Error::NoAnswer));
}
