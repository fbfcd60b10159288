//! URLs opened by the library and by `tidemill get`, from real servers and through a real proxy: nginx with TLS under an
//! authority of our own, gzip, passwords, redirects, cookies; Apache's digests; Python's `http.server`; tinyproxy; OpenSSL.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tidemill_core::net::{Error as NetError, TlsError};
use tidemill_host::http::{
    CookieJar, CookieProcessor, Opener, PasswordManager, Proxies, Proxy, Request, Response, UrlError,
};
use tidemill_host::tls::Trust;
use tidemill_tests::e2e::{Apache, Content, Nginx, Python, Tidemill, Tinyproxy, not_tested};

const MIB: u64 = 1 << 20;

/// An authority, and a server's certificate of it for `localhost`.
struct Authority {
    folder: TempDir,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, folder.path().to_string_lossy());
        let own_key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&own_key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, own_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap().pem();
        Self { folder, certificate, key: key.serialize_pem() }
    }

    fn pem_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn nginx(&self) -> Nginx {
        Nginx::secure(&self.certificate, &self.key)
    }

    fn opener(&self) -> Opener {
        Opener::builder().proxies(Proxies::none()).trust(Trust::from_pem_file(&self.pem_file()).unwrap()).build()
    }
}

fn body(mut response: Response) -> Vec<u8> {
    response.read_all(64 << 20).unwrap()
}

fn status(result: Result<Response, UrlError>) -> u16 {
    match result {
        Err(UrlError::Http(error)) => error.status(),
        Ok(response) => response.status,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn nginx_is_opened_in_the_clear_and_under_tls_over_connections_that_are_kept() {
    let authority = Authority::new();
    let (nginx, opener) = (authority.nginx(), authority.opener());
    let content = Content::new(1, 3 * MIB + 17);
    content.write(&nginx.path("f"));
    for url in [nginx.url("f"), nginx.secure_url("f")] {
        for _ in 0..3 {
            let response = opener.open(&url).unwrap();
            assert_eq!((response.status, response.length()), (200, Some(3 * MIB + 17)));
            assert!(body(response) == content.bytes(0..3 * MIB + 17), "{url}");
        }
        let moved = opener.open(&url.replace("/f", "/moved/f")).unwrap();
        assert_eq!(moved.header("content-length"), Some("3145745"));
        let head = opener.open(Request::new(&url).unwrap().method("HEAD")).unwrap();
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
        assert!(body(head).is_empty());
        let part = opener.open(Request::new(&url).unwrap().header("Range", "bytes=5-9")).unwrap();
        assert_eq!((part.status, body(part)), (206, content.bytes(5..10)));
        assert_eq!(status(opener.open(&url.replace("/f", "/none"))), 404);
        assert_eq!(status(opener.open(&url.replace("/f", "/503"))), 503);
    }
}

#[test]
fn a_stranger_to_the_authority_does_not_connect() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nginx = authority.nginx();
    let told = |opener: &Opener, url: &str| match opener.open(url) {
        Err(UrlError::Net(NetError::Tls(why))) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&other.opener(), &nginx.secure_url("f")), TlsError::UnknownIssuer);
    let by_address = nginx.secure_url("f").replace("localhost", "127.0.0.1");
    assert_eq!(told(&authority.opener(), &by_address), TlsError::WrongName);
    let plain = nginx.url("f").replace("http://127.0.0.1", "https://localhost");
    assert!(matches!(told(&authority.opener(), &plain), TlsError::NotTls | TlsError::Truncated));
}

#[test]
fn nginx_compresses_and_that_is_undone() {
    let (nginx, opener) = (Nginx::new(), Opener::builder().proxies(Proxies::none()).build());
    let text = "high water, low water; ".repeat(20_000);
    fs::write(nginx.path("t"), &text).unwrap();
    let plain = opener.open(&nginx.url("gzip/t")).unwrap();
    assert_eq!((plain.header("content-encoding"), plain.length()), (None, Some(text.len() as u64)));
    drop(plain);
    let response = opener.open(Request::new(&nginx.url("gzip/t")).unwrap().compressed()).unwrap();
    assert_eq!((response.header("content-encoding"), response.length()), (None, None), "{response:?}");
    assert_eq!(body(response), text.as_bytes());
    // The log is written a moment after the last byte.
    let small = || nginx.log().iter().any(|logged| (1..10_000).contains(&logged.sent));
    let patience = std::time::Instant::now() + Duration::from_secs(5);
    while !small() {
        assert!(std::time::Instant::now() < patience, "it came as it is: {:?}", nginx.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nginx_asks_who_is_there() {
    let nginx = Nginx::new();
    fs::write(nginx.path("f"), "private").unwrap();
    let opener = Opener::builder().proxies(Proxies::none()).build();
    assert_eq!(status(opener.open(&nginx.url("private/f"))), 401);
    let url = nginx.url("private/f").replace("//", "//tide:high%20water@");
    assert_eq!(body(opener.open(&url).unwrap()), b"private");
    assert_eq!(status(opener.open(&nginx.url("private/f").replace("//", "//tide:low@"))), 401);
    let mut passwords = PasswordManager::new();
    passwords.add_password(Some("tides"), &nginx.url(""), "tide", "high water");
    let known = Opener::builder().proxies(Proxies::none()).passwords(passwords).build();
    assert_eq!(body(known.open(&nginx.url("private/f")).unwrap()), b"private");
}

#[test]
fn apache_is_given_a_digest_and_never_the_password() {
    let Some(apache) = Apache::new("for the tide alone") else {
        return not_tested("digests: there is no apache2");
    };
    let opener = Opener::builder().proxies(Proxies::none()).build();
    assert_eq!(status(opener.open(&apache.url("f"))), 401);
    let known = apache.url("f").replace("//", "//tide:high%20water@");
    for _ in 0..3 {
        assert_eq!(body(opener.open(&known).unwrap()), b"for the tide alone", "{}", apache.log());
    }
    assert_eq!(status(opener.open(&known.replace("high", "low"))), 401);
    let mut passwords = PasswordManager::new();
    passwords.add_password(Some("tides"), &apache.url(""), "tide", "high water");
    let told = Opener::builder().proxies(Proxies::none()).passwords(passwords).build();
    assert_eq!(status(told.open(&apache.url("nothing"))), 404, "who may look sees that there is nothing");
    let tidemill = Tidemill::new();
    tidemill.run(&["get", &apache.url("f"), "-q", "-u", "tide:high water"]).succeeded();
    assert_eq!(fs::read(tidemill.path("f")).unwrap(), b"for the tide alone");
}

#[test]
fn cookies_open_what_is_closed() {
    let nginx = Nginx::new();
    fs::write(nginx.path("f"), "for members").unwrap();
    let bare = Opener::builder().proxies(Proxies::none()).build();
    assert_eq!(status(bare.open(&nginx.url("login"))), 403);
    let jar = CookieJar::new();
    let opener = Opener::builder().proxies(Proxies::none()).cookies(CookieProcessor::new(jar)).build();
    assert_eq!(body(opener.open(&nginx.url("login")).unwrap()), b"for members");
    assert_eq!(body(opener.open(&nginx.url("member/f")).unwrap()), b"for members");
}

#[test]
fn a_slow_server_is_waited_for_and_its_deadline_is_kept() {
    let nginx = Nginx::new();
    Content::new(2, 32 * MIB).write(&nginx.path("f"));
    let timeouts = tidemill_host::http::Timeouts { total: Some(Duration::from_millis(700)), ..Default::default() };
    let opener = Opener::builder().proxies(Proxies::none()).timeouts(timeouts).build();
    let error = opener.open(&nginx.url("8m/f")).unwrap().read_all(64 << 20).unwrap_err();
    assert!(matches!(error, UrlError::Timeout(_)), "{error:?}");
}

#[test]
fn pythons_server_is_opened_and_so_is_its_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), "from Python").unwrap();
    let python = Python::new(folder.path());
    let opener = Opener::builder().proxies(Proxies::none()).build();
    for _ in 0..3 {
        assert_eq!(body(opener.open(&python.url("f")).unwrap()), b"from Python");
    }
    assert_eq!(status(opener.open(&python.url("none"))), 404);
    assert_eq!(status(opener.open(Request::new(&python.url("f")).unwrap().data("x=1"))), 501);
}

/// OpenSSL's server, which answers a GET with a page about the connection.
struct OpenSsl(Child, u16);

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_says_what_was_agreed_on() {
    let authority = Authority::new();
    fs::write(authority.folder.path().join("server.pem"), format!("{}{}", authority.certificate, authority.key))
        .unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new("openssl");
        command.args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-www",
            "-cert",
            "server.pem",
            "-alpn",
            "http/1.1",
            version,
        ]);
        command.current_dir(authority.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            not_tested("TLS with OpenSSL: there is no openssl");
            return;
        };
        // "ACCEPT 127.0.0.1:40123"
        let out = BufReader::new(child.stdout.take().unwrap());
        let port = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("ACCEPT")?.1.rsplit_once(':')?.1.trim().parse().ok());
        let server = OpenSsl(child, port.expect("openssl says its port"));
        let page = body(authority.opener().open(&format!("https://localhost:{}/", server.1)).unwrap());
        let page = String::from_utf8_lossy(&page).into_owned();
        assert!(page.contains(&version[1..].replace("tls1_", "TLSv1.")), "{page}");
    }
}

#[test]
fn tinyproxy_carries_requests_and_tunnels() {
    let Some(proxy) = Tinyproxy::new() else {
        not_tested("proxies: there is no tinyproxy");
        return;
    };
    let authority = Authority::new();
    let (nginx, tidemill) = (authority.nginx(), Tidemill::new());
    let content = Content::new(4, 5 * MIB);
    content.write(&nginx.path("f"));
    let opener = Opener::builder()
        .proxies(Proxies::all(Proxy::new(&proxy.url()).unwrap()))
        .trust(Trust::from_pem_file(&authority.pem_file()).unwrap())
        .build();
    for url in [nginx.url("f"), nginx.secure_url("f")] {
        assert!(body(opener.open(&url).unwrap()) == content.bytes(0..5 * MIB));
        let ca = authority.pem_file();
        let run = tidemill.run(&["get", &url, "-q", "--proxy", &proxy.url(), "--cacert", ca.to_str().unwrap()]);
        run.succeeded();
        content.assert_in(&tidemill.path("f"));
    }
    let log = proxy.log();
    assert!(log.contains("GET http://127.0.0.1") && log.contains("CONNECT localhost:"), "{log}");
    let stranger = Opener::builder().proxies(Proxies::all(Proxy::new(&proxy.url_without_password()).unwrap())).build();
    assert_eq!(status(stranger.open(&nginx.url("f"))), 407);
    assert!(matches!(stranger.open(&nginx.secure_url("f")), Err(UrlError::Proxy(why)) if why.contains("407")));
}

#[test]
fn get_fetches_https_in_parts_and_says_whom_it_does_not_trust() {
    let authority = Authority::new();
    let (nginx, tidemill) = (authority.nginx(), Tidemill::new());
    let content = Content::new(5, 48 * MIB);
    content.write(&nginx.path("f"));
    let ca = authority.pem_file();
    let ca = ca.to_str().unwrap();
    let url = nginx.secure_url("f");
    let run = tidemill.run(&["get", &url, "-q", "-n", "6", "--cacert", ca, "--checksum", &content.checksum()]);
    run.succeeded();
    content.assert_in(&tidemill.path("f"));
    assert!(nginx.log().len() >= 6, "in parts");
    tidemill.run(&["get", &url, "-q", "-o", "g", "--retry", "1"]).failed(1, "certificate of an unknown issuer");
    let by_address = url.replace("localhost", "127.0.0.1");
    tidemill.run(&["get", &by_address, "-q", "-o", "g", "--cacert", ca]).failed(1, "certificate is for another name");
    let moved = nginx.secure_url("moved/f");
    tidemill.run(&["get", &moved, "-q", "-o", "-", "--cacert", ca]).succeeded();
}

#[test]
fn get_goes_on_with_https_after_it_was_killed() {
    let authority = Authority::new();
    let (nginx, tidemill) = (authority.nginx(), Tidemill::new());
    let content = Content::new(6, 32 * MIB);
    content.write(&nginx.path("f"));
    let ca = authority.pem_file();
    let get = ["get", &nginx.secure_url("8m/f"), "--json", "-n", "2", "--cacert", ca.to_str().unwrap()];
    let running = tidemill.start(&get);
    tidemill.wait_for("f.part.meta");
    std::thread::sleep(Duration::from_millis(600));
    running.killed();
    let run = tidemill.run(&get);
    let resumed = run.succeeded().event("started").unwrap()["resumed"].as_u64().unwrap();
    assert!(resumed > 0, "{:?}", run.events());
    content.assert_in(&tidemill.path("f"));
}

#[test]
fn get_knows_passwords_cookies_methods_and_data() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    let content = Content::new(7, 6 * MIB);
    content.write(&nginx.path("f"));
    tidemill.run(&["get", &nginx.url("private/f"), "-q"]).failed(1, "401");
    let fetched = |args: &[&str]| {
        tidemill.run(args).succeeded();
        content.assert_in(&tidemill.path("f"));
        fs::remove_file(tidemill.path("f")).unwrap();
    };
    fetched(&["get", &nginx.url("private/f"), "-q", "-u", "tide:high water"]);
    let parts = nginx.log().iter().filter(|logged| logged.status == 206).count();
    assert!(parts >= 2, "a password is no reason to be slow");
    fs::write(tidemill.path("netrc"), "machine 127.0.0.1 login tide password \"high water\"\n").unwrap();
    let mut netrc = Command::new(Tidemill::binary());
    netrc.args(["get", &nginx.url("private/f"), "-q", "--netrc", "-o"]).arg(tidemill.path("f"));
    assert!(netrc.env("NETRC", tidemill.path("netrc")).status().unwrap().success());
    content.assert_in(&tidemill.path("f"));

    tidemill.run(&["get", &nginx.url("member/f"), "-q"]).failed(1, "403");
    fetched(&["get", &nginx.url("login"), "-q", "-o", "f", "--save-cookies", "jar"]);
    let jar = fs::read_to_string(tidemill.path("jar")).unwrap();
    assert!(jar.starts_with("# Netscape HTTP Cookie File") && jar.contains("\tid\t17"), "{jar}");
    fetched(&["get", &nginx.url("member/f"), "-q", "--cookies", "jar"]);

    tidemill.run(&["get", &nginx.url("f"), "-q", "-d", "x=1"]).failed(1, "405");
}

#[test]
fn get_tells_about_a_resource_without_fetching_it() {
    let (nginx, tidemill) = (Nginx::new(), Tidemill::new());
    Content::new(8, MIB).write(&nginx.path("f"));
    let run = tidemill.run(&["get", &nginx.url("moved/f"), "--info"]);
    let info: Value = serde_json::from_slice(&run.succeeded().stdout).unwrap();
    assert_eq!((info["url"].as_str().unwrap(), &info["status"]), (nginx.url("f").as_str(), &200.into()));
    assert_eq!((&info["length"], &info["ranges"]), (&MIB.into(), &true.into()));
    assert!(info["etag"].is_string() && info["last_modified"].is_string());
    assert!(info["headers"].as_array().unwrap().iter().any(|field| field["name"] == "Server"));
    assert!(tidemill.files().is_empty());
    assert!(nginx.log().iter().all(|logged| logged.sent < 1000));
    tidemill.run(&["get", &nginx.url("none"), "--info"]).failed(1, "404");
}
