//! `Expect: 100-continue` with a server in Python that answers by hand: with 100, with a final status at once, with 417, or
//! not at all. What it refuses must not have been sent, and must be whole for the next try.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tidemill_host::http::{CONTINUE_TIME, Data, Opener, Proxies, Request, Response, UrlError};
use tidemill_tests::e2e::{Python, Tidemill};

/// Longer than any buffer on the way, and what it adds up to.
const LENGTH: usize = 3 << 20;

struct Scene {
    server: Python,
    opener: Opener,
}

impl Scene {
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("http/expecting.py");
        Self { server: Python::script(&script), opener: Opener::builder().proxies(Proxies::none()).build() }
    }

    fn put(&self, path: &str, data: Data) -> Result<Response, UrlError> {
        let url = self.server.url(path);
        self.opener.open(Request::new(&url).unwrap().method("PUT").data(data).expect_continue())
    }

    /// How many bytes were sent to who had refused them.
    fn stray(&self) -> usize {
        text(self.opener.open(&self.server.url("stray")).unwrap()).parse().unwrap()
    }
}

fn content() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

/// A body each way that there is one.
fn bodies() -> [Data; 3] {
    let reader = || std::io::Cursor::new(content());
    [content().into(), Data::from_reader(reader(), Some(LENGTH as u64)), Data::from_reader(reader(), None)]
}

fn text(mut response: Response) -> String {
    String::from_utf8(response.read_all(1000).unwrap()).unwrap()
}

fn taken() -> String {
    format!("{LENGTH} {}", content().into_iter().map(u64::from).sum::<u64>())
}

#[test]
fn a_body_is_sent_once_the_server_wants_it() {
    let scene = Scene::new();
    for path in ["continue", "hints", "refuse"] {
        for body in bodies() {
            let began = Instant::now();
            assert_eq!(text(scene.put(path, body).unwrap()), taken(), "{path}");
            assert!(began.elapsed() < CONTINUE_TIME, "{path}: nobody had to wait");
        }
    }
    assert_eq!(scene.stray(), 0);
}

#[test]
fn a_body_that_is_not_wanted_is_not_sent() {
    let scene = Scene::new();
    for body in bodies() {
        match scene.put("final", body) {
            Err(UrlError::Http(error)) => assert_eq!((error.status(), text(error.into_response())), (413, "no".into())),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(scene.put("gone", content().into()), Err(UrlError::Protocol(_) | UrlError::Net(_))));
    assert_eq!(scene.stray(), 0);
}

#[test]
fn what_was_not_sent_goes_with_a_redirect_and_a_password_even_from_a_reader() {
    let scene = Scene::new();
    for body in bodies() {
        assert_eq!(text(scene.put("moved", body).unwrap()), taken());
    }
    for body in bodies() {
        let url = scene.server.url("private").replace("//", "//tide:high@");
        let request = Request::new(&url).unwrap().method("PUT").data(body).expect_continue();
        assert_eq!(text(scene.opener.open(request).unwrap()), taken());
    }
    assert_eq!(scene.stray(), 0);
}

#[test]
fn a_server_that_does_not_know_it_gets_the_body_after_a_while() {
    let scene = Scene::new();
    let began = Instant::now();
    assert_eq!(text(scene.put("silent", content().into()).unwrap()), taken());
    let took = began.elapsed();
    assert!(took >= CONTINUE_TIME && took < CONTINUE_TIME + Duration::from_secs(5), "{took:?}");
}

#[test]
fn get_expects_it_where_it_is_told_to() {
    let (scene, tidemill) = (Scene::new(), Tidemill::new());
    fs::write(tidemill.path("body"), content()).unwrap();
    for (path, asks) in [("continue", true), ("refuse", true), ("silent", false)] {
        let url = scene.server.url(path);
        let put = ["get", &url, "-q", "-X", "PUT", "-d", "@body", "-o", "-"];
        let expect: &[&str] = if asks { &["-H", "Expect: 100-continue"] } else { &[] };
        let run = tidemill.run(&[&put, expect].concat());
        assert_eq!(String::from_utf8_lossy(&run.succeeded().stdout), taken(), "{path}");
    }
    let url = scene.server.url("final");
    let put = ["get", &url, "-q", "-X", "PUT", "-d", "@body", "-H", "Expect: 100-continue", "-o", "-"];
    tidemill.run(&put).failed(1, "413");
    assert_eq!(scene.stray(), 0);
}
