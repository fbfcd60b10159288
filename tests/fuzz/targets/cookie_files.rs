//! Files of cookies that somebody else wrote: loaded whole or not at all, and what was loaded can be saved and loaded.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::cookie::Jar;
use tidemill_host::cookies::{Format, Keep, read_from, write_to};

fuzz_target!(|input: (bool, &[u8])| {
    let (lwp, lines) = input;
    let (format, first) = if lwp { (Format::Lwp, "#LWP-Cookies-2.0\n") } else { (Format::Netscape, "# HTTP Cookie File\n") };
    let text = [first.as_bytes(), lines].concat();
    let mut jar = Jar::<8, 512>::new();
    if read_from(&mut jar, &text, Keep::All, 0).is_err() {
        assert!(jar.is_empty());
        return;
    }
    let mut saved = Vec::new();
    let count = write_to(&jar, &mut saved, format, Keep::All, 0);
    assert_eq!(count.taken + count.left_out, jar.len());
    let mut again = Jar::<8, 512>::new();
    assert_eq!(read_from(&mut again, &saved, Keep::All, 0).unwrap().taken, count.taken);
    let mut twice = Vec::new();
    write_to(&again, &mut twice, format, Keep::All, 0);
    assert_eq!(saved, twice);
});
