//! Every setter, and every edit of a query: a URL stays a URL, and without room it stays what it was.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{Url, UrlError, UrlView};

fn edit(url: &mut UrlView, which: u8, name: &str, value: &str) -> Result<(), UrlError> {
    match which % 15 {
        0 => url.set_href(value),
        1 => url.set_protocol(value),
        2 => url.set_username(value),
        3 => url.set_password(value),
        4 => url.set_host(value),
        5 => url.set_hostname(value),
        6 => url.set_port(value),
        7 => url.set_pathname(value),
        8 => url.set_search(value),
        9 => url.set_hash(value),
        10 => url.search_params_mut().append(name, value),
        11 => url.search_params_mut().delete(name, None),
        12 => url.search_params_mut().delete(name, Some(value)),
        13 => url.search_params_mut().set(name, value),
        _ => url.search_params_mut().sort(),
    }
}

fuzz_target!(|input: (&str, Vec<(u8, &str, &str)>)| {
    let (start, edits) = input;
    let Ok(mut small) = Url::<80>::parse(start, None) else { return };
    for (which, name, value) in edits {
        let mut large = Url::<8192>::parse(small.href(), None).expect("a URL is read again");
        let before = small.clone();
        let (outcome, expected) = (edit(&mut small, which, name, value), edit(&mut large, which, name, value));
        assert_eq!(Url::<8192>::parse(large.href(), None).as_ref(), Ok(&large));
        match outcome {
            Ok(()) => assert_eq!((expected, &*small), (Ok(()), &*large)),
            Err(UrlError::DoesNotFit { needed }) => assert!(needed > 80 && small == before),
            Err(_) => assert!(outcome == expected && small == before && *large == *before),
        }
        let fields = small.search_params();
        assert_eq!(fields.iter().count(), fields.size());
    }
});
