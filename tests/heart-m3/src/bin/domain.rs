//! A domain beyond ASCII brought into its ASCII form, and nothing else.
#![no_std]
#![no_main]

use core::hint::black_box;

use heart_m3 as _;
use tidemill_core::url::{DomainToAscii, Uts46};

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut out = [0; 64];
    loop {
        let _ = black_box(Uts46.to_ascii(black_box("münchen.example"), black_box(&mut out)));
    }
}
