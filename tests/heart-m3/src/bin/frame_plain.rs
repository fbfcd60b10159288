//! A link that makes no calls and repeats nothing, and nothing else.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        heart_m3::frame_plain();
    }
}
