use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

const NOW: u64 = 1_350_000_000;
const DAY: u64 = 86_400;

/// The request that the tests of http-state set cookies with, and the one they read them with.
fn at_home(path: &str) -> Request<'_> {
    Request::to("http", "home.example.org", path)
}

fn securely<'a>(host: &'a str, path: &'a str) -> Request<'a> {
    Request::to("https", host, path)
}

/// The `Cookie` field of a request.
fn sent(jar: &mut JarView, request: &Request<'_>, now: u64) -> String {
    let mut text = String::new();
    jar.matching(request, now, &AnyDomain).write_text(&mut text).unwrap();
    text
}

/// What a jar sends to `/cookie-parser-result` after these fields came from `/cookie-parser`.
fn after(rules: Rules, fields: &[&str]) -> String {
    let mut jar = Jar::<16, 8192>::with_rules(rules);
    for field in fields {
        let _ = jar.set(field.as_bytes(), &at_home("/cookie-parser"), NOW, &AnyDomain);
    }
    sent(&mut jar, &at_home("/cookie-parser-result"), NOW)
}

fn bis(fields: &[&str]) -> String {
    after(Rules::Rfc6265bis, fields)
}

/// What becomes of a field that comes with this request.
fn set(field: &str, request: &Request<'_>) -> Result<Stored, Ignored> {
    Jar::<4, 8192>::new().set(field.as_bytes(), request, NOW, &AnyDomain)
}

#[test]
fn behaviour_30_a_nameless_cookie_is_sent_today_and_was_not_in_2011() {
    for (field, today) in [("foo", "foo"), ("=foo", "foo"), ("=x", "x"), ("; bar", ""), ("=", "")] {
        assert_eq!(bis(&[field]), today, "{field}");
        assert_eq!(after(Rules::Rfc6265, &[field]), "", "{field}");
    }
}

#[test]
fn behaviour_31_a_domain_is_the_hosts_own_or_above_it_and_no_suffix() {
    let mut jar = Jar::<4, 256>::new();
    jar.set(b"foo=bar; domain=.example.org", &at_home("/"), NOW, &AnyDomain).unwrap();
    assert_eq!(sent(&mut jar, &Request::to("http", "sibling.example.org", "/"), NOW), "foo=bar");
    assert_eq!(set("foo=bar; domain=org", &at_home("/")), Err(Ignored::PublicSuffix));
    assert_eq!(set("foo=bar; domain=sub.home.example.org", &at_home("/")), Err(Ignored::Domain));
    assert_eq!(set("foo=bar; domain=0.0.1", &Request::to("http", "127.0.0.1", "/")), Err(Ignored::Domain));
    assert_eq!(set("foo=bar; domain=127.0.0.1", &Request::to("http", "127.0.0.1", "/")), Ok(Stored::New));
    assert_eq!(set("foo=bar; domain=é.org", &Request::to("http", "é.org", "/")), Err(Ignored::Domain));

    let mut jar = Jar::<4, 256>::new();
    jar.set(b"foo=bar; domain=HOME.example.org", &at_home("/"), NOW, &AnyDomain).unwrap();
    assert_eq!(sent(&mut jar, &Request::to("http", "sub.home.example.org", "/"), NOW), "foo=bar");
    assert_eq!(sent(&mut jar, &Request::to("http", "example.org", "/"), NOW), "");
}

#[test]
fn behaviour_31_a_suffix_may_have_a_cookie_of_its_own() {
    let mut jar = Jar::<4, 256>::new();
    jar.set(b"a=1; domain=localhost", &Request::to("http", "LocalHost", "/"), NOW, &AnyDomain).unwrap();
    assert_eq!(sent(&mut jar, &Request::to("http", "localhost", "/"), NOW), "a=1");
    assert_eq!(sent(&mut jar, &Request::to("http", "x.localhost", "/"), NOW), "");
}

#[test]
fn behaviour_32_a_path_that_is_none_is_the_requests_folder() {
    for field in ["foo=bar", "foo=bar; path=x", "foo=bar; path=", "foo=bar; path=/z; path"] {
        let mut jar = Jar::<4, 256>::new();
        jar.set(field.as_bytes(), &at_home("/a/b"), NOW, &AnyDomain).unwrap();
        assert_eq!(jar.iter().next().unwrap().path, b"/a", "{field}");
        assert_eq!(sent(&mut jar, &at_home("/a/c"), NOW), "foo=bar");
        assert_eq!(sent(&mut jar, &at_home("/ab"), NOW), "");
    }
}

#[test]
fn behaviour_32_a_semicolon_in_the_requests_path_is_as_good_as_any_other_byte() {
    let mut jar = Jar::<4, 256>::new();
    jar.set(b"a=1", &at_home("/a;b/c"), NOW, &AnyDomain).unwrap();
    assert_eq!(sent(&mut jar, &at_home("/a;b/d"), NOW), "a=1");
    let copy = jar.iter().next().map(|cookie| Jar::<4, 256>::new().insert(&cookie, NOW));
    assert_eq!(copy, Some(Ok(Stored::New)));
}

#[test]
fn behaviour_33_longer_paths_come_first_then_older_cookies_and_to_replace_keeps_the_place() {
    assert_eq!(bis(&["a=1; path=/", "b=2; path=/cookie-parser-result"]), "b=2; a=1");
    assert_eq!(bis(&["a=1", "b=2", "c=3", "a=4"]), "a=4; b=2; c=3");
    assert_eq!(bis(&["a=1", "b=2", "c=3", "b=longer than it was"]), "a=1; b=longer than it was; c=3");
}

#[test]
fn behaviour_34_max_age_beats_expires_and_nothing_lives_beyond_400_days() {
    assert_eq!(bis(&["a=1; max-age=60", "b=1", "a=2; max-age=0"]), "b=1");
    assert_eq!(bis(&["a=1", "a=2; max-age=-5"]), "");
    assert_eq!(bis(&["a=1; max-age=2.63", "b=1; max-age=", "c=1; max-age=-"]), "a=1; b=1; c=1");
    assert_eq!(bis(&["a=1; max-age=60; expires=Thu, 01 Jan 1970 00:00:00 GMT"]), "a=1");
    assert_eq!(bis(&["a=1; EXPIRES=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"]), "a=1");
    assert_eq!(bis(&["a=1; expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=0"]), "");
    for (field, expires) in [
        ("a=1", None),
        ("a=1; max-age=60", Some(NOW + 60)),
        ("a=1; max-age=99999999999999999999999", Some(NOW + 400 * DAY)),
        ("a=1; expires=31 Dec 9999 00:00:00", Some(NOW + 400 * DAY)),
        ("a=1; expires=31 Dec 2012 00:00:00; expires=never", Some(1_356_912_000)),
        ("a=1; max-age=1; max-age=2", Some(NOW + 2)),
    ] {
        let mut jar = Jar::<4, 256>::new();
        jar.set(field.as_bytes(), &at_home("/"), NOW, &AnyDomain).unwrap();
        assert_eq!(jar.iter().next().unwrap().expires, expires, "{field}");
    }
}

#[test]
fn a_cookie_is_over_at_its_second() {
    let mut jar = Jar::<4, 256>::new();
    jar.set(b"a=1; max-age=60", &at_home("/"), NOW, &AnyDomain).unwrap();
    assert_eq!(sent(&mut jar, &at_home("/"), NOW + 59), "a=1");
    assert_eq!(sent(&mut jar, &at_home("/"), NOW + 60), "");
}

#[test]
fn behaviour_36_prefixes_hold_what_they_promise() {
    let https = securely("h.example", "/");
    for good in ["__Host-a=1; Secure; Path=/", "__SECURE-a=1; Secure; Domain=h.example", "__Secur=1"] {
        assert_eq!(set(good, &https), Ok(Stored::New), "{good}");
    }
    for bad in [
        "__Host-a=1; Secure",
        "__Host-a=1; Path=/",
        "__hOsT-a=1; Secure; Path=/; Domain=h.example",
        "__Host-a=1; Secure; Path=/x",
        "__secure-a=1",
        "=__Host-x",
        "=__secure-x=1",
        "__Host-x; Secure",
    ] {
        assert_eq!(set(bad, &https), Err(Ignored::Prefix), "{bad}");
    }
    assert_eq!(set("__Host-a=1; Secure; Path=/", &Request::to("http", "h.example", "/")), Err(Ignored::Insecure));
    let mut old = Jar::<4, 256>::with_rules(Rules::Rfc6265);
    assert_eq!(old.set(b"__Host-a=1", &https, NOW, &AnyDomain), Ok(Stored::New));
}

#[test]
fn behaviour_37_an_insecure_connection_neither_sets_nor_overlays_secure_cookies() {
    let (https, http) = (securely("a.example.org", "/login/x"), Request::to("http", "a.example.org", "/login/x"));
    assert_eq!(set("a=1; Secure", &http), Err(Ignored::Insecure));
    let mut jar = Jar::<8, 512>::new();
    jar.set(b"a=1; Secure; Path=/login", &https, NOW, &AnyDomain).unwrap();
    let mut over = |field: &str, request: &Request<'_>| jar.set(field.as_bytes(), request, NOW, &AnyDomain);
    assert_eq!(over("a=2; Path=/login", &http), Err(Ignored::OverSecure));
    assert_eq!(over("a=2; Path=/login/en", &http), Err(Ignored::OverSecure));
    assert_eq!(over("a=2; Path=/login; Domain=example.org", &http), Err(Ignored::OverSecure));
    let beneath = Request::to("http", "b.a.example.org", "/login/x");
    assert_eq!(over("a=2; Path=/login", &beneath), Err(Ignored::OverSecure));
    assert_eq!(over("a=2; Path=/", &http), Ok(Stored::New));
    assert_eq!(over("b=2; Path=/login", &http), Ok(Stored::New));
    assert_eq!(over("a=3; Path=/login", &https), Ok(Stored::Replaced));
}

#[test]
fn behaviour_37_same_site_says_with_whose_requests_a_cookie_goes() {
    let https = securely("h.example", "/");
    assert_eq!(set("a=1; SameSite=None", &https), Err(Ignored::NoneInsecure));
    let from = |from| Request { from, ..https };
    let mut jar = Jar::<8, 512>::new();
    for field in ["n=1; SameSite=none; Secure", "l=1; SameSite=LAX", "s=1; samesite=Strict", "d=1; SameSite=?"] {
        jar.set(field.as_bytes(), &from(From::Form), NOW, &AnyDomain).unwrap();
    }
    assert_eq!(sent(&mut jar, &from(From::SameSite), NOW), "n=1; l=1; s=1; d=1");
    assert_eq!(sent(&mut jar, &from(From::Link), NOW), "n=1; l=1; d=1");
    assert_eq!(sent(&mut jar, &from(From::Form), NOW), "n=1");
    assert_eq!(sent(&mut jar, &from(From::CrossSite), NOW), "n=1");
    assert_eq!(set("a=1", &from(From::CrossSite)), Err(Ignored::CrossSite));
    assert_eq!(set("a=1; SameSite=None; Secure", &from(From::CrossSite)), Ok(Stored::New));
}

#[test]
fn behaviour_38_controls_and_lengths() {
    let http = at_home("/");
    assert_eq!(set("a=b\0c", &http), Err(Ignored::Control { at: 3 }));
    assert_eq!(set("a=b; path=/\r\n", &http), Err(Ignored::Control { at: 11 }));
    assert_eq!(set("a=b\x7f", &http), Err(Ignored::Control { at: 3 }));
    assert_eq!(bis(&["\ta\t=\tb\tc\t"]), "a=b\tc");
    assert_eq!(set(&["a=", &"v".repeat(4095)].concat(), &http), Ok(Stored::New));
    assert_eq!(set(&["a=", &"v".repeat(4096)].concat(), &http), Err(Ignored::TooLong));
    let path = |len: usize| ["a=b; path=/", &"p".repeat(len - 1)].concat();
    let stored = |field: &str| {
        let mut jar = Jar::<1, 8192>::new();
        jar.set(field.as_bytes(), &http, NOW, &AnyDomain).unwrap();
        jar.iter().next().unwrap().path.len()
    };
    assert_eq!((stored(&path(1024)), stored(&path(1025))), (1024, 1));
}

#[test]
fn behaviour_39_quotes_and_further_signs_are_part_of_the_value() {
    assert_eq!(bis(&["foo=\"a;b\""]), "foo=\"a");
    assert_eq!(bis(&["a=b; c=d"]), "a=b");
    assert_eq!(bis(&["a=b=c"]), "a=b=c");
    assert_eq!(bis(&["a=\"b\""]), "a=\"b\"");
}

#[test]
fn behaviour_40_in_a_full_jar_what_is_over_leaves_first_then_excess_then_the_least_used() {
    let mut jar = Jar::<6, 1024>::new();
    jar.set_per_domain(2);
    let set = |jar: &mut JarView, host: &str, field: &str, now| {
        jar.set(field.as_bytes(), &securely(host, "/"), now, &AnyDomain)
    };
    for (host, field) in [
        ("many.example", "a=1; Secure"),
        ("many.example", "b=1"),
        ("many.example", "c=1"),
        ("two.example", "d=1; max-age=5"),
        ("two.example", "e=1"),
        ("one.example", "f=1"),
    ] {
        set(&mut jar, host, field, NOW).unwrap();
    }
    let names = |jar: &JarView| jar.iter().map(|cookie| char::from(cookie.name[0])).collect::<String>();
    // `d` is over; then `b` is of a domain with three and not secure; then that domain has no excess any more, and `e` is the
    // one that was used least lately, since a request took `a` and `c` along.
    set(&mut jar, "new.example", "g=1", NOW + 5).unwrap();
    assert_eq!(names(&jar), "abcefg");
    set(&mut jar, "new.example", "h=1", NOW + 5).unwrap();
    assert_eq!(names(&jar), "acefgh");
    sent(&mut jar, &securely("many.example", "/"), NOW + 5);
    set(&mut jar, "last.example", "i=1", NOW + 5).unwrap();
    assert_eq!(names(&jar), "acfghi");
    // A third for a domain that has two comes at the cost of that domain.
    set(&mut jar, "new.example", "j=1", NOW + 5).unwrap();
    assert_eq!(names(&jar), "acfhij");
}

#[test]
fn behaviour_40_a_flood_of_insecure_cookies_does_not_drive_out_secure_ones() {
    let mut jar = Jar::<4, 1024>::new();
    jar.set_per_domain(1);
    for field in ["a=1; Secure", "b=1; Secure", "c=1; Secure", "d=1; Secure"] {
        jar.set(field.as_bytes(), &securely("h.example", "/"), NOW, &AnyDomain).unwrap();
    }
    assert_eq!(jar.set(b"e=1", &Request::to("http", "h.example", "/"), NOW, &AnyDomain), Err(Ignored::Full));
    assert_eq!(sent(&mut jar, &securely("h.example", "/"), NOW), "a=1; b=1; c=1; d=1");
}

#[test]
fn bytes_run_out_like_cookies_and_what_never_fits_disturbs_nobody() {
    let mut jar = Jar::<9, 64>::new();
    let mut set = |field: &str| jar.set(field.as_bytes(), &Request::to("http", "h.example", "/"), NOW, &AnyDomain);
    // Each takes 11 bytes for its domain and path, and its own.
    assert_eq!(set(&["a=", &"v".repeat(40)].concat()), Ok(Stored::New));
    assert_eq!(set(&["b=", &"v".repeat(55)].concat()), Err(Ignored::TooLarge));
    assert_eq!(set("b=1"), Ok(Stored::New), "64 bytes are too few for both");
    assert_eq!(set("c=1"), Ok(Stored::New));
    assert_eq!(sent(&mut jar, &Request::to("http", "h.example", "/"), NOW), "b=1; c=1");
    assert_eq!(Jar::<0, 64>::new().set(b"a=1", &at_home("/"), NOW, &AnyDomain), Err(Ignored::TooLarge));
}

#[test]
fn what_a_shorter_value_leaves_is_taken_back_before_a_cookie_has_to_leave() {
    let mut jar = Jar::<9, 64>::new();
    let http = Request::to("http", "h.example", "/");
    let value = |jar: &mut Jar<9, 64>, name: &str, len: usize| {
        let stored = jar.set(std::format!("{name}={}", "v".repeat(len)).as_bytes(), &http, NOW, &AnyDomain);
        assert!(jar.is_sound());
        stored
    };
    // Each takes 11 bytes for its name, domain and path.
    assert_eq!((value(&mut jar, "a", 30), value(&mut jar, "b", 10)), (Ok(Stored::New), Ok(Stored::New)));
    for (len, other) in [(1, 39), (20, 20), (39, 1), (10, 10)] {
        for (name, len) in [("a", 1), ("b", 1), ("a", len), ("b", other)] {
            assert_eq!(value(&mut jar, name, len), Ok(Stored::Replaced), "{name} {len}");
        }
        assert_eq!((jar.len(), jar.bytes()), (2, 22 + len + other));
    }
    assert_eq!((value(&mut jar, "c", 9), jar.len(), jar.bytes()), (Ok(Stored::New), 3, 62));
}

#[test]
fn who_was_used_last_stays_also_when_the_count_of_events_begins_anew() {
    let mut jar = Jar::<3, 1024>::new();
    let set = |jar: &mut Jar<3, 1024>, field: &str| jar.set(field.as_bytes(), &at_home("/"), NOW, &AnyDomain).unwrap();
    set(&mut jar, "a=1");
    jar.exhaust_events();
    set(&mut jar, "b=1; path=/x");
    set(&mut jar, "c=1; path=/y");
    set(&mut jar, "d=1; path=/z");
    assert!(jar.iter().map(|cookie| cookie.name[0]).eq(*b"bcd"));
    jar.exhaust_events();
    assert_eq!(sent(&mut jar, &at_home("/x"), NOW), "b=1");
    set(&mut jar, "e=1");
    assert!(jar.iter().map(|cookie| cookie.name[0]).eq(*b"bde"));
}

#[test]
fn a_cookie_takes_forty_bytes_besides_its_text() {
    assert_eq!(size_of::<Jar<11, 0>>() - size_of::<Jar<1, 0>>(), 400);
}

#[test]
fn cookies_are_removed_one_by_one_or_by_what_they_are() {
    let mut jar = Jar::<8, 1024>::new();
    for field in ["a=1", "b=1; max-age=5", "c=1; max-age=50; domain=example.org", "a=2; path=/x"] {
        jar.set(field.as_bytes(), &at_home("/"), NOW, &AnyDomain).unwrap();
    }
    assert!(jar.remove("home.example.org", true, b"/x", b"a"));
    assert!(!jar.remove("home.example.org", true, b"/x", b"a"));
    assert!(!jar.remove("example.org", true, b"/", b"c"), "it is the domain's, not the host's");
    jar.clear_expired(NOW + 5);
    assert_eq!(sent(&mut jar, &at_home("/"), NOW), "a=1; c=1");
    jar.clear_session();
    assert_eq!(sent(&mut jar, &at_home("/"), NOW), "c=1");
    jar.clear();
    assert_eq!((jar.len(), jar.bytes(), sent(&mut jar, &at_home("/"), NOW)), (0, 0, String::new()));
}

#[test]
fn a_field_of_the_buffers_size_fits_and_one_more_does_not() {
    let mut jar = Jar::<8, 1024>::new();
    jar.set(b"a=1; path=/x", &at_home("/"), NOW, &AnyDomain).unwrap();
    jar.set(b"b=\xff\xfe", &at_home("/"), NOW, &AnyDomain).unwrap();
    let mut write = |out: &mut [u8]| {
        jar.matching(&at_home("/x"), NOW, &AnyDomain).write_to(out).map(|field| field == b"a=1; b=\xff\xfe")
    };
    assert_eq!(write(&mut [0; 9]), Ok(true));
    assert_eq!(write(&mut [0; 8]), Err(NoSpace));
    assert_eq!(write(&mut []), Err(NoSpace));
    assert_eq!(sent(&mut jar, &at_home("/x"), NOW), "a=1; b=\u{fffd}\u{fffd}");
}

#[test]
fn what_would_be_another_cookie_when_it_is_sent_is_not_put_in() {
    let good = Cookie {
        name: b"a",
        value: b"1",
        domain: "h.example",
        host_only: true,
        path: b"/",
        expires: None,
        secure: false,
        http_only: false,
        same_site: SameSite::Strict,
    };
    let mut jar = Jar::<4, 256>::new();
    let mut insert = |cookie| jar.insert(&cookie, NOW);
    assert_eq!(insert(good), Ok(Stored::New));
    assert_eq!(insert(Cookie { value: b"1; b=2", ..good }), Err(Ignored::Separator));
    assert_eq!(insert(Cookie { name: b"a=b", ..good }), Err(Ignored::Separator));
    assert_eq!(insert(Cookie { value: b"1\r\nX: y", ..good }), Err(Ignored::Control { at: 2 }));
    assert_eq!(insert(Cookie { name: b"", value: b"", ..good }), Err(Ignored::Empty));
    assert_eq!(insert(Cookie { domain: "", ..good }), Err(Ignored::Domain));
    assert_eq!(insert(Cookie { name: b"", value: b"a=1", ..good }), Ok(Stored::New));
    assert_eq!(jar.iter().next(), Some(good));
}

#[test]
fn a_policy_has_the_last_word() {
    struct Fussy;
    impl Policy for Fussy {
        fn is_public_suffix(&self, domain: &str) -> bool {
            assert!(!domain.contains(char::is_uppercase));
            domain == "example.org"
        }
        fn may_get(&self, cookie: &Cookie<'_>, request: &Request<'_>) -> bool {
            cookie.name != b"b" || request.secure
        }
    }
    let mut jar = Jar::<4, 256>::new();
    let field = b"a=1; domain=Example.Org";
    assert_eq!(jar.set(field, &at_home("/"), NOW, &Fussy), Err(Ignored::PublicSuffix));
    jar.set(field, &at_home("/"), NOW, &AnyDomain).unwrap();
    jar.set(b"b=1", &at_home("/"), NOW, &Fussy).unwrap();
    let mut text = |request: &Request<'_>| {
        let mut text = String::new();
        jar.matching(request, NOW, &Fussy).write_text(&mut text).unwrap();
        text
    };
    assert_eq!(text(&at_home("/")), "", "one was of a suffix that was none before, one goes only where nobody listens");
    assert_eq!(text(&securely("home.example.org", "/")), "b=1");
}

#[test]
fn a_jars_text_names_no_cookie() {
    let mut jar = Jar::<4, 256>::new();
    jar.set(b"secret=1", &at_home("/"), NOW, &AnyDomain).unwrap();
    assert_eq!(std::format!("{jar:?}"), "Jar(Jar { rules: Rfc6265bis, cookies: 1, .. })");
}

/// A cookie of the model, which owns its text.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    name: String,
    value: String,
    domain: String,
    path: String,
    host_only: bool,
    secure: bool,
    expires: Option<u64>,
}

impl Owned {
    fn cookie(&self) -> Cookie<'_> {
        Cookie {
            name: self.name.as_bytes(),
            value: self.value.as_bytes(),
            domain: &self.domain,
            host_only: self.host_only,
            path: self.path.as_bytes(),
            expires: self.expires,
            secure: self.secure,
            http_only: false,
            same_site: SameSite::Unspecified,
        }
    }

    fn len(&self) -> usize {
        [&self.name, &self.value, &self.domain, &self.path].map(String::len).iter().sum()
    }

    fn goes_to(&self, host: &str, path: &str, secure: bool) -> bool {
        let beneath = !self.host_only && host.ends_with(&[".", &self.domain].concat());
        let folder = if self.path.ends_with('/') { self.path.clone() } else { [&self.path, "/"].concat() };
        (host == self.domain || beneath)
            && (path == self.path || path.starts_with(&folder))
            && (secure || !self.secure)
            && (self.host_only || self.domain.contains('.'))
    }
}

/// The draft's storage model in a few lines: a list in order of creation, with the event of the last use.
struct Model {
    cookies: Vec<(Owned, u64)>,
    event: u64,
    per_domain: usize,
    most: usize,
    room: usize,
}

impl Model {
    fn insert(&mut self, new: &Owned, now: u64) -> Result<Stored, Ignored> {
        if new.len() > self.room {
            return Err(Ignored::TooLarge);
        }
        self.event += 1;
        let is_old = |old: &Owned| {
            (&old.name, &old.domain, &old.path, old.host_only) == (&new.name, &new.domain, &new.path, new.host_only)
        };
        let place = self.cookies.iter().position(|(old, _)| is_old(old));
        let over = new.expires.is_some_and(|expires| expires <= now);
        match (place, over) {
            (Some(place), true) => drop(self.cookies.remove(place)),
            (Some(place), false) => self.cookies[place] = (new.clone(), self.event),
            (None, true) => {}
            (None, false) => self.cookies.push((new.clone(), self.event)),
        }
        while self.cookies.len() > self.most
            || self.cookies.iter().map(|(cookie, _)| cookie.len()).sum::<usize>() > self.room
        {
            let worth = |(cookie, used): &(Owned, u64)| {
                let sharing = self.cookies.iter().filter(|(other, _)| other.domain == cookie.domain).count();
                let class = match (sharing > self.per_domain, cookie.secure) {
                    _ if cookie.expires.is_some_and(|expires| expires <= now) => 0,
                    (true, false) => 1,
                    (true, true) => 2,
                    (false, _) => 3,
                };
                (class, *used, usize::MAX - cookie.path.len())
            };
            let index = (0..self.cookies.len()).min_by_key(|index| worth(&self.cookies[*index])).unwrap();
            let (_, used) = self.cookies.remove(index);
            if used == self.event {
                return Err(Ignored::Full);
            }
        }
        Ok(match (place, over) {
            (_, true) => Stored::Expired,
            (Some(_), _) => Stored::Replaced,
            (None, _) => Stored::New,
        })
    }

    fn sent(&mut self, host: &str, path: &str, secure: bool, now: u64) -> String {
        self.event += 1;
        let mut list = Vec::new();
        for (cookie, used) in &mut self.cookies {
            if cookie.goes_to(host, path, secure) && cookie.expires.is_none_or(|expires| expires > now) {
                *used = self.event;
                list.push(cookie.clone());
            }
        }
        list.sort_by_key(|cookie| usize::MAX - cookie.path.len());
        let texts: Vec<_> = list.iter().map(|cookie| [&cookie.name, "=", &cookie.value].concat()).collect();
        texts.join("; ")
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Owned),
    Send(&'static str, &'static str, bool),
    Later(u64),
    ClearSession,
    ClearExpired,
}

fn ops() -> impl Strategy<Value = Op> {
    let hosts = || prop::sample::select(&["org", "a.org", "b.a.org", "c.org"][..]);
    let paths = || prop::sample::select(&["/", "/x", "/x/", "/x/y", "/xy"][..]);
    let expires = prop_oneof![Just(None), (0_u64..20).prop_map(Some)];
    let cookie = ("[a-c]", "[a-z]{0,9}", hosts(), paths(), any::<bool>(), any::<bool>(), expires);
    let cookie = cookie.prop_map(|(name, value, domain, path, host_only, secure, expires)| Owned {
        name,
        value,
        domain: domain.to_string(),
        path: path.to_string(),
        host_only,
        secure,
        expires,
    });
    prop_oneof![
        8 => cookie.prop_map(Op::Insert),
        4 => (hosts(), paths(), any::<bool>()).prop_map(|(host, path, secure)| Op::Send(host, path, secure)),
        1 => (0_u64..4).prop_map(Op::Later),
        1 => Just(Op::ClearSession),
        1 => Just(Op::ClearExpired),
    ]
}

proptest! {
    #[test]
    fn the_jar_does_what_a_simple_list_does(ops in prop::collection::vec(ops(), 0..120)) {
        let mut jar = Jar::<8, 130>::new();
        jar.set_per_domain(3);
        let mut model = Model { cookies: Vec::new(), event: 0, per_domain: 3, most: 8, room: 130 };
        let mut now = 0;
        for op in ops {
            match op {
                Op::Insert(new) => prop_assert_eq!(jar.insert(&new.cookie(), now), model.insert(&new, now)),
                Op::Send(host, path, secure) => {
                    let request = Request { secure, host, path, from: From::SameSite };
                    prop_assert_eq!(sent(&mut jar, &request, now), model.sent(host, path, secure, now));
                }
                Op::Later(seconds) => now += seconds,
                Op::ClearSession => {
                    jar.clear_session();
                    model.cookies.retain(|(cookie, _)| cookie.expires.is_some());
                }
                Op::ClearExpired => {
                    jar.clear_expired(now);
                    model.cookies.retain(|(cookie, _)| cookie.expires.is_none_or(|expires| expires > now));
                }
            }
            prop_assert!(jar.is_sound());
            prop_assert!(jar.len() <= 8 && jar.bytes() <= 130);
            let mut list: Vec<_> = model.cookies.iter().map(|(cookie, _)| cookie).collect();
            list.sort_by_key(|cookie| usize::MAX - cookie.path.len());
            prop_assert!(jar.iter().eq(list.iter().map(|cookie| cookie.cookie())), "{:?}", list);
        }
    }

    #[test]
    fn no_fields_make_it_panic_or_grow(
        fields in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[ab]?=?[a-c]{0,40}(; ?(domain=(a.org|org|)|path=/[xy]?|max-age=-?[0-9]{0,3}|secure|samesite=none)){0,4}".prop_map(String::into_bytes),
        ], 0..60),
        rules in prop::sample::select(&[Rules::Rfc6265bis, Rules::Rfc6265][..]),
    ) {
        let mut jar = Jar::<5, 100>::with_rules(rules);
        for (index, field) in fields.iter().enumerate() {
            let request = Request::to(["http", "https"][index % 2], ["a.org", "b.a.org", "127.0.0.1"][index % 3], "/x/y");
            let _ = jar.set(field, &request, index as u64, &AnyDomain);
            prop_assert!(jar.is_sound() && jar.len() <= 5 && jar.bytes() <= 100);
            let mut out = [0; 256];
            let sent = jar.matching(&request, index as u64, &AnyDomain).write_to(&mut out).unwrap();
            prop_assert!(!sent.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
        }
    }
}
