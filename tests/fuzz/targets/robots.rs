//! A `robots.txt`, cut anywhere: the same answers as whole, and no panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::robots::Robots;

fn read(file: &[u8], piece: usize) -> Box<Robots<256>> {
    let mut robots = Box::new(Robots::new("a"));
    robots.answer(200, 0);
    for piece in file.chunks(piece) {
        robots.receive(piece);
    }
    robots.end(0);
    robots
}

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (piece, url, file) = input;
    let (whole, pieces) = (read(file, file.len().max(1)), read(file, usize::from(piece).max(1)));
    assert_eq!(whole.can_fetch(url), pieces.can_fetch(url));
    assert!(whole.can_fetch("http://h/robots.txt"));
    assert!(whole.site_maps().eq(pieces.site_maps()));
    assert_eq!((whole.crawl_delay(), whole.request_rate()), (pieces.crawl_delay(), pieces.request_rate()));
});
