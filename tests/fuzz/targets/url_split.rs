//! URLs taken apart and put together as Python does.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{Error, Uri, urldefrag_in, urlparse_in, urlsplit, urlsplit_in, unwrap};

fuzz_target!(|input: (&str, &str, bool)| {
    let (url, scheme, fragments) = input;
    let mut room = vec![0; url.len() + scheme.len()];
    let split = urlsplit_in(url, scheme, fragments, &mut room);
    assert_ne!(split, Err(Error::Full));
    match urlsplit(url, scheme, fragments) {
        Err(Error::NeedsCleaning { .. }) => assert!(url.contains(['\t', '\n', '\r']) || scheme.contains(['\t', '\n', '\r'])),
        // The places in errors are those in the text and in the cleaned text.
        clean => assert_eq!(clean.ok(), split.ok()),
    }
    if let Ok(split) = split {
        let _ = (split.username(), split.password(), split.port());
        let host = split.hostname().map(|host| host.to_string());
        assert!(host.is_none_or(|host| split.hostname().is_some_and(|again| again == *host)));
        let once = split.geturl().to_string();
        // A default scheme may be anything, and then it is none when it is read again.
        if scheme.is_empty() {
            assert_eq!(urlsplit(&once, "", fragments).expect("a URL").geturl().to_string(), once);
        }
    }
    let mut room = vec![0; url.len() + scheme.len()];
    let _ = urlparse_in(url, scheme, fragments, &mut room).map(|parsed| parsed.geturl().to_string());
    let mut room = vec![0; url.len()];
    if let Ok(parts) = urldefrag_in(url, &mut room) {
        assert!(!parts.url.to_string().contains('#'));
    }
    let _ = unwrap(url);
    if let Ok(strict) = Uri::parse_strict(url) {
        assert_eq!(Uri::parse(url), Ok(strict));
        assert!(url.is_ascii());
    }
});
