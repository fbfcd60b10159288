//! A URL of the URL Standard: parsed against a base, each part read and set, its query edited and sorted.
#![no_std]
#![no_main]

use core::hint::black_box;

use heart_m3 as _;
use tidemill_core::url::{Url, UrlView, can_parse};

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        let base = Url::<128>::parse(black_box("http://user@h:80/p?q#f"), None);
        if let Ok(base) = &base
            && let Ok(mut url) = Url::<128>::parse(black_box("../a"), Some(base))
        {
            black_box(can_parse(black_box("http://h"), None));
            use_all(&mut url);
        }
    }
}

fn use_all(url: &mut UrlView) {
    let value = black_box("value");
    black_box((url.href(), url.protocol(), url.username(), url.password(), url.host(), url.hostname()));
    black_box((url.port(), url.port_or_default(), url.pathname(), url.search(), url.hash(), url.origin()));
    let _ = black_box((url.set_href(value), url.set_protocol(value), url.set_username(value), url.set_password(value)));
    let _ = black_box((url.set_host(value), url.set_hostname(value), url.set_port(value), url.set_pathname(value)));
    let _ = black_box((url.set_search(value), url.set_hash(value)));
    black_box((url.search_params().size(), url.search_params().has(value, None), url.search_params().get(value)));
    let mut fields = url.search_params_mut();
    let _ = black_box((fields.append(value, value), fields.delete(value, None), fields.set(value, value), fields.sort()));
}
