//! What a download left behind: its state, and the journal it is kept in.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::fetch::{STATE_BYTES_MAX, State};
use tidemill_host::download::Journal;

fuzz_target!(|input: &[u8]| {
    if let Ok(state) = State::decode(input) {
        let mut out = [0; STATE_BYTES_MAX];
        let len = state.encode(&mut out).expect("it fits");
        assert_eq!(&out[..len], input);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("meta");
    std::fs::write(&path, input).expect("a file");
    let _ = Journal::open(&path, "http://h/f").expect("whatever is in it");
});
