//! An HTTP server with members, and a visitor who becomes one: cookies, redirects and passwords by the machines of core,
//! as `urlopen` uses them on a host.
//!
//! A visit goes to `http://club/in?N`, with a password. The club sets the cookie `id=N` and sends the visitor on: to another
//! origin, which must see neither of the two, from there back to `http://club/page/N`, which only the right cookie opens.
//! The page's bytes are checked. Where a connection breaks, what was asked last is asked again.

use tidemill_core::cookie::{self, AnyDomain, Jar};
use tidemill_core::http::body::Framing;
use tidemill_core::http::client::{self, Asked};
use tidemill_core::http::redirect::{Trail, goes_along};
use tidemill_core::http::send::Sender;
use tidemill_core::http::server;
use tidemill_core::net::{Error, Stack};
use tidemill_core::random::draw;
use tidemill_core::serve::{Talk, Wire};
use tidemill_core::url::Uri;

use super::client::{Again, Trouble};
use crate::mill::Content;

/// Bytes taken at a time.
const CHUNK: usize = 1500;

/// The longest head, either way.
const HEAD: usize = 1024;

/// What the visitor says who it is; to the club alone.
const PASSWORD: &str = "Basic dGlkZTpoaWdo";

/// How long a page is.
fn page_len(number: u64) -> usize {
    (draw(number, &[1]) % 6000) as usize
}

/// The page: an odd one comes in chunks.
fn page(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; page_len(number)];
    Content::new(number).read(0, &mut bytes);
    bytes
}

/// Answers requests, for members and others.
#[derive(Default)]
pub(in crate::scenario) struct Club {
    request: server::Request<HEAD>,
    held: Vec<u8>,
    answer: Vec<u8>,
    last: bool,
}

impl Club {
    fn answer(&mut self) {
        let head = self.request.head();
        let secrets = (head.header("cookie"), head.header("authorization"));
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let page_asked = number(head.path().strip_prefix("/page/"));
        let answer = match (head.host(), head.path()) {
            (Some(b"club"), "/in") if secrets.1 == Some(PASSWORD.as_bytes()) => {
                let number = number(head.query()).unwrap_or(0);
                redirect(303, &format!("http://elsewhere/?{number}"), &format!("Set-Cookie: id={number}; Path=/\r\n"))
            }
            // Of another origin: what it sees that it should not is told by a status that the visitor takes for wrong.
            (Some(b"elsewhere"), _) if secrets != (None, None) => plain("400 Bad Request"),
            (Some(b"elsewhere"), _) => redirect(302, &format!("//club/x/../page/{}", head.query().unwrap_or("")), ""),
            (Some(b"club"), _) => match page_asked {
                Some(number) if secrets.0 == Some(format!("id={number}").as_bytes()) => whole(number),
                _ => plain("403 Forbidden"),
            },
            _ => plain("404 Not Found"),
        };
        self.last = !self.request.keep_alive();
        self.answer.extend(answer);
        self.request.start();
    }
}

fn plain(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn redirect(status: u16, to: &str, fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Go on\r\n{fields}Location: {to}\r\nContent-Length: 5\r\n\r\nthere").into_bytes()
}

fn whole(number: u64) -> Vec<u8> {
    let bytes = page(number);
    if number.is_multiple_of(2) {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).into_bytes();
        answer.extend(bytes);
        return answer;
    }
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let (mut sender, mut out) = (Sender::new(Framing::Chunked), [0; 700]);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        // There is room for a chunk, and no length to exceed.
        let (taken, len) = sender.write(rest, &mut out).unwrap_or((rest.len(), 0));
        answer.extend(&out[..len]);
        rest = &rest[taken..];
    }
    let len = sender.end(&[], &mut out).unwrap_or(0);
    answer.extend(&out[..len]);
    answer
}

/// Sends what is left of `text`.
fn send<S: Stack>(text: &mut Vec<u8>, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
    while !text.is_empty() {
        let sent = wire.send(text)?;
        text.drain(..sent);
    }
    Ok(())
}

/// Adds what comes next to `held`; false: the stream has ended.
fn receive<S: Stack>(held: &mut Vec<u8>, wire: &mut Wire<'_, S>) -> nb::Result<bool, Error> {
    let mut piece = [0; CHUNK];
    let count = wire.recv(&mut piece)?;
    held.extend(&piece[..count]);
    Ok(count > 0)
}

impl Talk for Club {
    type Error = Error;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
        loop {
            send(&mut self.answer, wire)?;
            if self.last {
                return Ok(());
            }
            let (taken, event) = self.request.receive(&self.held).map_err(|_| Error::Closed)?;
            let (over, more) = (event == server::Event::End, event == server::Event::NeedMore);
            self.held.drain(..taken);
            if over {
                self.answer();
            } else if more && !receive(&mut self.held, wire)? {
                return Ok(());
            }
        }
    }
}

/// Becomes a member so many times, and reads each page.
pub(in crate::scenario) struct Member {
    times: u64,
    visit: u64,
    seed: u64,
    jar: Box<Jar<4, 256>>,
    trail: Trail,
    url: String,
    /// Whether the password still goes along.
    trusted: bool,
    asked: bool,
    out: Vec<u8>,
    response: Box<client::Response<HEAD>>,
    held: Vec<u8>,
    page: Vec<u8>,
}

impl Member {
    pub(in crate::scenario) fn new(times: u64, seed: u64) -> Self {
        let mut member = Self {
            times,
            visit: 0,
            seed,
            jar: Box::default(),
            trail: Trail::new(),
            url: String::new(),
            trusted: true,
            asked: false,
            out: Vec::new(),
            response: Box::default(),
            held: Vec::new(),
            page: Vec::new(),
        };
        member.set_out();
        member
    }

    /// What it is known by at this visit.
    fn number(&self) -> u64 {
        draw(self.seed, &[self.visit]) % 1000
    }

    fn set_out(&mut self) {
        self.url = format!("http://club/in?{}", self.number());
        (self.trail, self.trusted) = (Trail::new(), true);
    }

    /// Writes the request for where it is.
    fn ask(&mut self) -> Result<(), String> {
        let uri = Uri::parse(&self.url).map_err(|error| error.to_string())?;
        let (host, path) = (uri.host().unwrap_or(""), uri.path());
        let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let mut cookies = [0; 256];
        let asked = cookie::Request::to("http", host, path);
        let cookies =
            self.jar.matching(&asked, 0, &AnyDomain).write_to(&mut cookies).map_err(|error| error.to_string())?;
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        if !cookies.is_empty() {
            headers.push(("Cookie", cookies));
        }
        if self.trusted {
            headers.push(("Authorization", PASSWORD.as_bytes()));
        }
        let request = client::Request { method: "GET", target: &target, host, headers: &headers, body: Framing::None };
        self.out = vec![0; HEAD];
        let len = request.write_to(&mut self.out).map_err(|error| error.to_string())?;
        self.out.truncate(len);
        self.response.start(Asked::Resource);
        self.page.clear();
        Ok(())
    }

    /// The response is whole: takes its cookies, and goes where it leads.
    fn go_on(&mut self) -> Result<(), String> {
        let head = self.response.head();
        let uri = Uri::parse(&self.url).map_err(|error| error.to_string())?;
        let asked = cookie::Request::to("http", uri.host().unwrap_or(""), uri.path());
        for value in head.fields().all("set-cookie") {
            self.jar.set(value, &asked, 0, &AnyDomain).map_err(|why| format!("a cookie is ignored: {why:?}"))?;
        }
        let mut room = [0; 512];
        let next = self.trail.follow(head.status(), "GET", &self.url, head.header("location"), &mut room);
        if let Some(next) = next.map_err(|why| why.to_string())? {
            self.trusted &= goes_along("Authorization", next.same_origin, next.same_method);
            self.url = next.url.to_owned();
            return Ok(());
        }
        if head.status() != 200 {
            return Err(format!("{} said {}", self.url, head.status()));
        }
        if self.trail.hops() != 2 || self.page != page(self.number()) {
            return Err(format!("{} is not the page it should be", self.url));
        }
        self.visit += 1;
        self.set_out();
        Ok(())
    }
}

impl Again for Member {
    fn begin(&mut self) {
        self.asked = false;
        self.held.clear();
    }
}

impl Talk for Member {
    type Error = Trouble;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Trouble> {
        let wrong = |what: String| nb::Error::Other(Trouble::Wrong(what));
        while self.visit < self.times {
            if !self.asked {
                self.ask().map_err(wrong)?;
                self.asked = true;
            }
            send(&mut self.out, wire).map_err(|error| error.map(Trouble::from))?;
            let (taken, event) = self.response.receive(&self.held).map_err(|error| wrong(error.to_string()))?;
            if let client::Event::Body(data) = event {
                self.page.extend(data);
            }
            let (over, more) = (event == client::Event::End, event == client::Event::NeedMore);
            self.held.drain(..taken);
            if over {
                if !self.response.reusable() || !self.held.is_empty() {
                    return Err(wrong("the connection cannot be used again".into()));
                }
                self.go_on().map_err(wrong)?;
                self.asked = false;
            } else if more && !receive(&mut self.held, wire).map_err(|error| error.map(Trouble::from))? {
                return Err(nb::Error::Other(Trouble::Broken));
            }
        }
        Ok(())
    }
}
