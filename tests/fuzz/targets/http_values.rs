//! Values of header fields: ranges, dates, entity tags.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::http::etag::ETag;
use tidemill_core::http::range::{ContentRange, Requested};
use tidemill_core::http::date;

fuzz_target!(|input: (u64, &[u8])| {
    let (length, value) = input;
    let _ = Requested::parse(value, length);
    if let Some(range) = ContentRange::parse(value) {
        assert_eq!(ContentRange::parse(range.to_string().as_bytes()), Some(range));
    }
    if let Some(seconds) = date::parse(value) {
        assert_eq!(date::parse(&date::format(seconds)), Some(seconds));
    }
    let _ = ETag::parse(value);
    assert!(ETag::list(value).count() <= value.len());
});
