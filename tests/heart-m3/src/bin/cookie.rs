//! A cookie taken and a `Cookie` field written, and nothing else.
#![no_std]
#![no_main]

use core::hint::black_box;

use heart_m3 as _;
use tidemill_core::cookie::{AnyDomain, Jar, Request};

#[cortex_m_rt::entry]
fn main() -> ! {
    let (mut jar, mut out) = (Jar::<8, 512>::new(), [0; 256]);
    loop {
        let request = Request::to("https", black_box("h.example"), black_box("/"));
        let now = black_box(0);
        let _ = black_box(jar.set(black_box(b"a=1; Path=/"), &request, now, &AnyDomain));
        let _ = black_box(jar.matching(&request, now, &AnyDomain).write_to(&mut out));
    }
}
