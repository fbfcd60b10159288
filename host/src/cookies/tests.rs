use super::*;
use std::process::Command;
use tidemill_core::cookie::{AnyDomain, Jar, Request};

const NOW: u64 = 1_800_000_000;

type Big = Jar<64, 65536>;

/// A jar with all that cookies can be.
fn jar() -> Box<Big> {
    let mut jar = Box::new(Big::new());
    let request = Request::to("https", "www.example.org", "/a/b");
    for field in [
        &b"plain=1; Max-Age=100"[..],
        b"quoted=\"a\\b, c\"; Max-Age=100; Domain=example.org; Path=/",
        b"all=x=y; Max-Age=200; Secure; HttpOnly; SameSite=Strict; Path=/a",
        b"utf8=\xc3\xa9; Max-Age=100",
        b"empty=; Max-Age=100",
        b"session=1",
        b"lax=1; SameSite=Lax; HttpOnly",
    ] {
        jar.set(field, &request, NOW, &AnyDomain).unwrap();
    }
    jar
}

/// What is in a jar, as text.
fn listed(jar: &JarView) -> Vec<String> {
    jar.iter().map(|cookie| format!("{cookie:?}")).collect()
}

fn written(jar: &JarView, format: Format, keep: Keep) -> Vec<u8> {
    let mut text = Vec::new();
    write_to(jar, &mut text, format, keep, NOW);
    text
}

fn read(text: &[u8]) -> Result<Box<Big>, Error> {
    let mut jar = Box::new(Big::new());
    read_from(&mut jar, text, Keep::All, NOW).map(|_| jar)
}

#[test]
fn what_is_saved_is_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cookies");
    for format in [Format::Netscape, Format::Lwp] {
        let jar = jar();
        let count = save(&jar, &file, format, Keep::All, NOW).unwrap();
        assert_eq!(count, Count { taken: 7, left_out: 0 });
        let mut again = Box::new(Big::new());
        assert_eq!(load(&mut again, &file, Keep::All, NOW).unwrap(), count);
        let forget = |text: String| {
            if format == Format::Netscape { text.split("same_site").next().unwrap().into() } else { text }
        };
        let [one, other] = [&jar, &again].map(|jar| listed(jar).into_iter().map(forget).collect::<Vec<_>>());
        assert_eq!(one, other);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
}

#[test]
fn a_file_is_its_owners_alone_even_where_it_was_not_before() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cookies");
    std::fs::write(&file, "old").unwrap();
    save(&jar(), &file, Format::Netscape, Keep::All, NOW).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let nowhere = save(&jar(), &folder.path().join("x/y"), Format::Lwp, Keep::All, NOW);
    assert!(matches!(nowhere, Err(Error::File(..))));
}

#[test]
fn cookies_of_the_session_and_those_that_are_over_stay_out() {
    let text = written(&jar(), Format::Netscape, Keep::Persistent);
    let mut again = Box::new(Big::new());
    assert_eq!(read_from(&mut again, &text, Keep::All, NOW).unwrap(), Count { taken: 5, left_out: 0 });
    again.clear();
    assert_eq!(read_from(&mut again, &text, Keep::All, NOW + 100).unwrap(), Count { taken: 1, left_out: 4 });
    again.clear();
    let all = written(&jar(), Format::Lwp, Keep::All);
    assert_eq!(read_from(&mut again, &all, Keep::Persistent, NOW).unwrap(), Count { taken: 5, left_out: 2 });
}

#[test]
fn files_of_curl_and_of_browsers_are_read() {
    let text = b"# Netscape HTTP Cookie File\r\n# https://curl.se/docs/http-cookies.html\n\n\
        #HttpOnly_.Example.org\tTRUE\t/\tTRUE\t1900000000.5\ta\t1\n\
        example.org\tFALSE\t/\tFALSE\t0\tb\t2\n\
        example.org\tTRUE\t/x\tFALSE\t\t\tnameless\r\n\
        example.org\tFALSE\t/\tFALSE\t99999999999999999999999\tc\n";
    let jar = read(text).unwrap();
    let mut cookies = jar.iter();
    let first = cookies.next().unwrap();
    assert_eq!((first.value, first.name, first.host_only, first.expires), (&b"nameless"[..], &b""[..], false, None));
    let second = cookies.next().unwrap();
    assert_eq!((second.domain, second.http_only, second.secure, second.host_only), ("example.org", true, true, false));
    assert_eq!(second.expires, Some(1_900_000_000));
    let third = cookies.next().unwrap();
    assert_eq!((third.name, third.expires, third.host_only), (&b"b"[..], None, true));
    let last = cookies.next().unwrap();
    assert_eq!((last.value, last.expires), (&b""[..], Some(u64::MAX)));
}

#[test]
fn a_malformed_line_is_named_and_nothing_is_loaded() {
    let good = "h.example\tFALSE\t/\tFALSE\t1900000000\ta\t1\n";
    for bad in [
        "h.example\tFALSE\t/\tFALSE\t1900000000\n",
        "h.example\tFALSE\t/\tFALSE\t1900000000\ta\t1\t2\n",
        "h.example\tfalse\t/\tFALSE\t1900000000\ta\t1\n",
        "h.example\tFALSE\t/\tFALSE\tnever\ta\t1\n",
        "h.example\tFALSE\t/\tFALSE\t-\ta\t1\n",
        "x\n",
    ] {
        let mut jar = Box::new(Big::new());
        let text = ["# HTTP Cookie File\n", good, bad].concat();
        assert!(
            matches!(read_from(&mut jar, text.as_bytes(), Keep::All, NOW), Err(Error::Line { number: 3 })),
            "{bad}"
        );
        assert!(jar.is_empty());
    }
    let long = [b"# HTTP Cookie File\n\n#", &b"x".repeat(LINE_MAX)[..]].concat();
    assert!(matches!(read(&long), Err(Error::Line { number: 3 })));
    assert!(matches!(read(b"#LWP-Cookies-2.0\nSet-Cookie3: a=1; path=/\n"), Err(Error::Line { number: 2 })));
    assert!(matches!(read(b""), Err(Error::NotCookies)));
    assert!(matches!(read(b"<html>"), Err(Error::NotCookies)));
    assert!(matches!(read(&vec![b'#'; FILE_MAX + 1]), Err(Error::TooLarge)));
}

#[test]
fn a_cookie_that_would_break_a_header_is_left_out() {
    let mut jar = Box::new(Big::new());
    let text = b"# HTTP Cookie File\nh.example\tFALSE\t/\tFALSE\t1900000000\ta\t1;b=2\nh.example\tFALSE\t/\tFALSE\t1900000000\ta\t1\r\r\n";
    assert_eq!(read_from(&mut jar, text, Keep::All, NOW).unwrap(), Count { taken: 0, left_out: 2 });
}

#[test]
fn what_a_format_cannot_hold_is_left_out() {
    let mut jar = Box::new(Big::new());
    let request = Request::to("https", "h.example", "/");
    for field in [&b"a=1\t2"[..], b"a b=1", b"=c"] {
        jar.set(field, &request, NOW, &AnyDomain).unwrap();
    }
    let count = |format| write_to(&jar, &mut Vec::new(), format, Keep::All, NOW);
    assert_eq!(count(Format::Netscape), Count { taken: 2, left_out: 1 });
    assert_eq!(count(Format::Lwp), Count { taken: 1, left_out: 2 });
}

#[test]
fn lwp_lines_as_perl_and_python_write_them() {
    let text = b"#LWP-Cookies-1.0\nSet-Cookie3: a=\"x \\\"y\\\"\"; path=\"/\"; domain=.example.org; path_spec; domain_dot; \
        expires=\"2027-08-07 08:04:19Z\"; version=0, b=2 path=/ domain=h.example secure;expires=20270807T100419+02\nnonsense\n";
    let jar = read(text).unwrap();
    let cookies: Vec<_> = jar.iter().collect();
    assert_eq!((cookies[0].value, cookies[0].domain, cookies[0].host_only), (&b"x \"y\""[..], "example.org", false));
    assert_eq!((cookies[1].value, cookies[1].domain, cookies[1].secure), (&b"2"[..], "h.example", true));
    assert_eq!([cookies[0].expires, cookies[1].expires], [Some(1_817_625_859); 2]);
}

/// Prints what Python's jar holds, in the order of names.
const PYTHON: &str = "
import http.cookiejar as hc, sys
kind, source, target = sys.argv[1:]
jar = getattr(hc, kind)()
jar.load(source, ignore_discard=True)
jar.save(target, ignore_discard=True)
for c in sorted(jar, key=lambda c: c.name):
    print(c.name, c.value, c.domain, c.path, c.secure, c.expires, c.discard, c.has_nonstandard_attr('HTTPOnly'), sep='|')
";

#[test]
fn python_reads_what_we_write_and_we_read_what_python_writes() {
    if Command::new("python3").arg("--version").output().is_err() {
        std::io::stderr().write_all(b"\nNOT TESTED: cookie files against Python: no python3 here\n").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    for (format, kind) in [(Format::Netscape, "MozillaCookieJar"), (Format::Lwp, "LWPCookieJar")] {
        // The clock of Python's jar is the machine's.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut jar = Box::new(Big::new());
        for cookie in super::tests::jar().iter() {
            jar.insert(&Cookie { expires: cookie.expires.map(|second| now + (second - NOW)), ..cookie }, now).unwrap();
        }
        save(&jar, &ours, format, Keep::All, now).unwrap();
        let python =
            Command::new("python3").args(["-X", "utf8", "-c", PYTHON, kind]).args([&ours, &theirs]).output().unwrap();
        assert!(python.status.success(), "{kind}: {}", String::from_utf8_lossy(&python.stderr));
        let mut expected: Vec<_> = jar
            .iter()
            .map(|cookie| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                let word = |is| if is { "True" } else { "False" };
                [
                    text(cookie.name),
                    text(cookie.value),
                    dotted(&cookie),
                    text(cookie.path),
                    word(cookie.secure).into(),
                    cookie.expires.map_or("None".into(), |second| second.to_string()),
                    word(cookie.expires.is_none()).into(),
                    word(cookie.http_only).into(),
                ]
                .join("|")
            })
            .collect();
        expected.sort();
        assert_eq!(String::from_utf8(python.stdout).unwrap().lines().collect::<Vec<_>>(), expected, "{kind}");
        let mut again = Box::new(Big::new());
        assert_eq!(load(&mut again, &theirs, Keep::All, now).unwrap(), Count { taken: 7, left_out: 0 });
        let mut lists = [listed(&jar), listed(&again)];
        for list in &mut lists {
            for text in list.iter_mut().filter(|_| format == Format::Netscape) {
                text.truncate(text.find("same_site").unwrap());
            }
            list.sort();
        }
        assert_eq!(lists[0], lists[1], "{kind}");
    }
}
