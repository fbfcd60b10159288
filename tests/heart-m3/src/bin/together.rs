//! All of the heart.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        heart_m3::pool();
        heart_m3::timer();
        heart_m3::sched();
        heart_m3::queue();
    }
}
