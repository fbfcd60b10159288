//! Domains beyond ASCII: core's tables and the `idna` crate agree, a smaller buffer gives the same or says that it is too
//! small, and the ASCII form is its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{DomainToAscii, IdnaError, Uts46};
use tidemill_host::url::Idna;

fuzz_target!(|input: (&str, u8)| {
    let (domain, small) = input;
    let (mut out, mut theirs) = ([0; 4096], [0; 4096]);
    let answer = Uts46.to_ascii(domain, &mut out);
    match answer {
        // The other crate's limits are others.
        Err(IdnaError::Unsupported | IdnaError::Full) => return,
        _ => assert_eq!(answer, Idna.to_ascii(domain, &mut theirs)),
    }
    let mut less = [0; 255];
    let less = &mut less[..usize::from(small)];
    let again = Uts46.to_ascii(domain, less);
    let Ok(length) = answer else {
        assert!(matches!(again, Err(IdnaError::Invalid | IdnaError::Full)));
        return;
    };
    assert_eq!(out[..length], theirs[..length]);
    assert_eq!(again, if length <= less.len() { Ok(length) } else { Err(IdnaError::Full) });
    let ascii = core::str::from_utf8(&out[..length]).expect("ASCII");
    assert!(ascii.is_ascii());
    // The ASCII form of a label may be longer than what there is room for.
    if ascii.split('.').any(|label| label.len() > 255) {
        assert_eq!(Uts46.to_ascii(ascii, &mut theirs), Err(IdnaError::Unsupported));
        return;
    }
    assert_eq!(Uts46.to_ascii(ascii, &mut theirs), Ok(length));
    assert_eq!(ascii.as_bytes(), &theirs[..length]);
});
