//! No code: one symbol for each thing whose size matters, as large as that thing. `nm` reads them.
//!
//! A slot's overhead is what it takes beside its task: 16 bytes here.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use heart_m3 as _;
use tidemill_core::{frame, pool, queue, sched, timer};

type Payload = [u32; 4];

macro_rules! sizes {
    ($($name:ident: $what:ty;)*) => { $(
        #[used]
        #[unsafe(no_mangle)]
        static mut $name: MaybeUninit<$what> = MaybeUninit::uninit();
    )* };
}

sizes! {
    RAM_TASK_SLOT: pool::Slot<Payload, u32, u32>;
    RAM_TASK_POOL: pool::TaskPool<Payload, &'static mut [pool::Slot<Payload, u32, u32>], u32, u32>;
    RAM_TIMER_SLOT: timer::Slot<Payload>;
    RAM_TIMER_WHEEL: timer::TimerWheel<Payload, &'static mut [timer::Slot<Payload>]>;
    RAM_EVENT_SLOT: sched::Slot<Payload>;
    RAM_SCHEDULER: sched::Scheduler<Payload, &'static mut [sched::Slot<Payload>]>;
    RAM_QUEUE: queue::Queue<queue::Fifo<Payload, 1>>;
    RAM_FRAME_CHANNEL: frame::link::Channel;
    RAM_FRAME_CALL: frame::link::Call;
    RAM_FRAME_LINK: frame::link::Endpoint<'static, &'static mut [u8], 0, 0>;
    RAM_FRAME_RELIABLE: frame::link::Endpoint<'static, &'static mut [u8], 0, 0, frame::link::Reliable>;
    RAM_FRAME_CONFIG: frame::link::Config<'static>;
    RAM_FRAME_DECODER: frame::Decoder<[u8; 0]>;
    RAM_PAYLOAD: Payload;
}

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
