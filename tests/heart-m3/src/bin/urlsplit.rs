//! A URL taken apart as Python does, and nothing else.
#![no_std]
#![no_main]

use core::hint::black_box;

use heart_m3 as _;
use tidemill_core::url::urlsplit;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        let _ = black_box(urlsplit(black_box("http://user@h:80/p?q#f"), black_box(""), black_box(true)));
    }
}
