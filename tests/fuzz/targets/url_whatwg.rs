//! URLs of the URL Standard: what is written is read again, in whatever room, and by the fast path as by the machine.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{Url, UrlError, can_parse};

fuzz_target!(|input: (&str, Option<&str>)| {
    let (input, base_text) = input;
    let base = match base_text.map(|base| Url::<4096>::parse(base, None)).transpose() {
        Ok(base) => base,
        Err(UrlError::Invalid { .. }) => {
            assert!(!can_parse(input, base_text));
            None
        }
        Err(_) => return,
    };
    let base_text = base.is_some().then_some(base_text).flatten();
    let base = base.as_deref();
    let large = Url::<4096>::parse(input, base);
    assert_eq!(can_parse(input, base_text), !matches!(large, Err(UrlError::Invalid { .. })));

    // A space in front means nothing, and the fast path does not take it.
    let slow = Url::<4096>::parse(&format!(" {input}"), base);
    match (&large, &slow) {
        (Err(UrlError::Invalid { why, .. }), Err(UrlError::Invalid { why: other, .. })) => assert_eq!(why, other),
        (large, slow) => assert_eq!(large, slow),
    }

    let small = Url::<64>::parse(input, base);
    match &large {
        Ok(url) => {
            assert_eq!(Url::<4096>::parse(url.href(), base).as_ref(), Ok(url));
            let needed = url.href().len();
            assert_eq!(small.ok().as_deref(), (needed <= 64).then_some(&**url));
            let parts = [url.protocol(), url.host(), url.pathname(), url.search(), url.hash()];
            assert!(parts.into_iter().all(|part| url.href().contains(part)));
            let mut again = Url::<4096>::parse("about:blank", None).expect("a URL");
            again.set_href(url.href()).expect("a URL");
            assert_eq!(&again, url);
            let _ = url.origin().to_string();
        }
        Err(UrlError::Invalid { .. }) => assert_eq!(small.err(), large.err()),
        Err(_) => {}
    }
});
