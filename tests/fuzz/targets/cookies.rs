//! `Set-Cookie` fields of a hostile server, over requests to its hosts: a jar that never grows and never breaks a header.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::cookie::{AnyDomain, Jar, Request, Rules, SetCookie, parse_date};

fuzz_target!(|input: (bool, Vec<(u8, u8, &[u8])>)| {
    let (old, fields) = input;
    let rules = if old { Rules::Rfc6265 } else { Rules::Rfc6265bis };
    let mut jar = Jar::<6, 160>::with_rules(rules);
    jar.set_per_domain(2);
    let (mut now, mut out) = (0, [0; 512]);
    for (at, later, field) in fields {
        now += u64::from(later);
        let host = ["a.org", "b.a.org", "org", "127.0.0.1", "::1", "A.Org"][usize::from(at) % 6];
        let request = Request::to(["http", "https"][usize::from(at) / 6 % 2], host, ["/", "/x/y", ""][usize::from(at) / 12 % 3]);
        if let Some(second) = parse_date(field) {
            assert!(second < 253_402_300_800);
        }
        if let Ok(cookie) = SetCookie::parse(field, rules) {
            assert!(cookie.name.len() + cookie.value.len() <= field.len());
        }
        let _ = jar.set(field, &request, now, &AnyDomain);
        assert!(jar.len() <= 6 && jar.bytes() <= 160);
        let bytes: usize = jar.iter().map(|c| c.name.len() + c.value.len() + c.domain.len() + c.path.len()).sum();
        assert_eq!(bytes, jar.bytes());
        let count = jar.matching(&request, now, &AnyDomain).count();
        let sent = jar.matching(&request, now, &AnyDomain).write_to(&mut out).unwrap();
        assert!(!sent.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
        assert_eq!(sent.split(|byte| *byte == b';').count().max(1) - usize::from(sent.is_empty()), count);
    }
    jar.clear_expired(now);
    assert!(jar.iter().all(|cookie| !cookie.is_expired(now)));
});
