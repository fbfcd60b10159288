//! A task of ours awaited in tokio, and a future that tokio's tasks wake run by our pool.

use core::future::poll_fn;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use tidemill_core::executor::Executor;
use tidemill_core::net::{NoNetwork, Token};
use tidemill_core::pool::{Failure, Slot, WakeOnDone};
use tidemill_core::task::{Async, Context, from_fn};
use tidemill_core::time::{Duration, EPOCH};
use tidemill_core::wake::WakeFlags;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, yield_now};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[test]
fn a_pools_result_is_awaited_on_tokio() {
    let sleep = |ticks: u64, ok: bool| {
        from_fn(move |cx: &mut Context<'_, NoNetwork>| {
            if cx.now.as_ticks() < ticks {
                cx.wait_until(EPOCH + Duration::from_micros(ticks));
                return Err(nb::Error::WouldBlock);
            }
            if ok { Ok(ticks) } else { Err(nb::Error::Other("failed")) }
        })
    };
    let slots = [const { Slot::<_, _, _, Option<WakeOnDone>>::with_callbacks() }; 3];
    let executor = Rc::new(RefCell::new(Executor::new(slots)));
    let ids = [sleep(30, true), sleep(10, false), sleep(20, true)]
        .map(|task| executor.borrow_mut().pool.submit(task).expect("there is room"));
    let turner = executor.clone();
    let results = LocalSet::new().block_on(&runtime(), async move {
        tokio::task::spawn_local(async move {
            let mut now = EPOCH;
            loop {
                let next = turner.borrow_mut().turn(now, &mut NoNetwork, &mut ());
                let Some(next) = next else { return };
                now = next;
                yield_now().await;
            }
        });
        let mut results = Vec::new();
        for id in ids {
            results.push(poll_fn(|cx| executor.borrow_mut().pool.poll_result(id, cx)).await);
        }
        results
    });
    assert_eq!(results, [Ok(30), Err(Failure::Failed("failed")), Ok(20)]);
}

#[test]
fn what_tokio_sends_wakes_a_future_in_our_pool() {
    static FLAGS: WakeFlags<1> = WakeFlags::new();
    let (sender, receiver) = oneshot::channel();
    let future = pin!(async { receiver.await.map(|number: u32| number + 1) });
    let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
    let id = executor.pool.submit(Async::new(future, &FLAGS)).expect("there is room");
    assert_eq!(id.token(), Token(0));
    executor.turn(EPOCH, &mut NoNetwork, &mut ());
    assert!(!FLAGS.any());
    runtime().block_on(async move {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        sender.send(41).expect("it listens");
    });
    FLAGS.wake(&mut executor);
    executor.turn(EPOCH, &mut NoNetwork, &mut ());
    assert_eq!(executor.pool.result(id), Ok(Ok(42)));
    assert_eq!(executor.counts().polls, 2);
}
