//! URLs and references, `sim:` URLs among them.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::fetch::Source;
use tidemill_core::url::{Uri, resolve};
use tidemill_sim::mill::Scenario;

fuzz_target!(|input: (&str, &str)| {
    let (base, reference) = input;
    let _ = base.parse::<Scenario>();
    if let Ok(source) = Source::new(base) {
        assert_eq!(Source::new(source.url()).map(|again| again.url().to_owned()), Ok(source.url().to_owned()));
    }
    let Ok(uri) = Uri::parse(base) else { return };
    assert_eq!(uri.as_str(), base);
    let _ = (uri.userinfo(), uri.host(), uri.port());
    let mut out = [0; 4096];
    if let Ok(joined) = resolve(&uri, reference, &mut out) {
        let joined = joined.to_owned();
        let uri = Uri::parse(&joined).expect("what is resolved is a URL");
        if uri.scheme().is_none() {
            return;
        }
        // An empty reference leaves the base's dots as they are; a whole URL loses its own.
        let (mut once, mut twice) = ([0; 4096], [0; 4096]);
        if let Ok(once) = resolve(&uri, &joined, &mut once) {
            assert_eq!(resolve(&uri, once, &mut twice), Ok(once));
        }
    }
});
