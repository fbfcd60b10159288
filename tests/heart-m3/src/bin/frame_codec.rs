//! Frames on a line that nobody confirms, and nothing else: the least that a UART needs.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        heart_m3::frame_codec();
    }
}
