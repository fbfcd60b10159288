//! The firmware of `core/examples/mps2-an385` in QEMU, from outside: `tests/run firmware`.
//!
//! How much is done is what a minute has room for; `TIDEMILL_FIRMWARE_FULL` does ten times as much.

use std::time::{Duration, Instant};

use tidemill_host::remote::{Client, Error, Future, Options};
use tidemill_tests::board::{Board, Noisy, images};

/// As many as the name says, or all that were asked for.
fn count(few: usize, full: usize) -> usize {
    if std::env::var_os("TIDEMILL_FIRMWARE_FULL").is_some() { full } else { few }
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn remote_tasks_over_a_line_with_bit_errors_are_all_answered_once() {
    let Some(images) = images() else { return };
    let mut board = Board::boot(&images, "remote", "");
    let wire = Noisy::new(board.uart.take().unwrap(), 10_000, 1);
    let client = Client::open(wire, &Options::default()).unwrap();
    let (began, tasks) = (Instant::now(), count(10_000, 10_000) as u32);
    let check = |(number, mut future): (u32, Future)| {
        let sum = future.result(SOON).unwrap_or_else(|error| panic!("task {number}: {error}"));
        assert_eq!(sum, (u64::from(number) + 3).to_le_bytes(), "task {number}");
    };
    let mut under_way = std::collections::VecDeque::new();
    for number in 0..tasks {
        let args = [number.to_le_bytes(), 1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
        loop {
            match client.submit("sum", &args, None) {
                Ok(future) => break under_way.push_back((number, future)),
                Err(Error::Full) => check(under_way.pop_front().unwrap()),
                Err(error) => panic!("{error}"),
            }
        }
    }
    under_way.into_iter().for_each(check);
    let stats = client.stats();
    println!("{tasks} tasks in {:?}, {stats:?}", began.elapsed());
    assert!(stats.damaged > 0 && stats.repeated > 0, "the line was good: {stats:?}");
    client.close().unwrap();
}
