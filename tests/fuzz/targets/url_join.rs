//! References joined as Python does: the room that is promised is enough, and less is told.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{Error, urljoin};

fuzz_target!(|input: (&str, &str, bool)| {
    let (base, url, fragments) = input;
    let mut room = vec![0; 2 * (base.len() + url.len()) + 4];
    let joined = urljoin(base, url, fragments, &mut room).map(str::to_owned);
    assert_ne!(joined, Err(Error::Full));
    for len in 0..room.len().min(64) {
        let small = urljoin(base, url, fragments, &mut room[..len]).map(str::to_owned);
        assert!(small == joined || small == Err(Error::Full), "{small:?} in {len}, {joined:?}");
    }
});
