//! Nothing: what every image has.
#![no_std]
#![no_main]

use heart_m3 as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
