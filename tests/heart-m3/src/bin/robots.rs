//! A `robots.txt` read and asked, and nothing else.
#![no_std]
#![no_main]

use core::hint::black_box;

use heart_m3 as _;
use tidemill_core::robots::Robots;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut robots = Robots::<512>::new(black_box("bot"));
    loop {
        let now = black_box(0);
        let _ = black_box(robots.answer(black_box(200), now));
        robots.receive(black_box(b"User-agent: *\nDisallow: /"));
        robots.end(now);
        let _ = black_box((robots.can_fetch(black_box("/x")), robots.crawl_delay(), robots.request_rate()));
    }
}
