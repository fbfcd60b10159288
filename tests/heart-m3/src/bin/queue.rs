//! The queue, and nothing else.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        heart_m3::queue();
    }
}
