//! A client session: one GET after the other, where redirects lead, with the cookies that the servers have set.
//!
//! Asked for over a line by the name `visit` and a URL; the cookies stay from one to the next. The answer is the last status (2
//! bytes), how many redirects were followed (1 byte), how many cookies there are now (1 byte), and the last body's length
//! and CRC-32C (4 bytes each); numbers are little-endian.

use crate::get::{self, Get, PATIENCE, Receive, Target, URL_MAX};
use crate::remote::{Asked, Remote};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use heapless::{String, Vec};
use tidemill_core::cookie::{AnyDomain, Jar, Request};
use tidemill_core::executor::{Executor, Program};
use tidemill_core::frame::crc;
use tidemill_core::frame::link::RequestId;
use tidemill_core::http::client::Head;
use tidemill_core::http::redirect::{MAX_HOPS, is_followed, next_method};
use tidemill_core::net::Stack;
use tidemill_core::pool::{Failure, Slot, TaskId};
use tidemill_core::time::Instant;
use tidemill_core::url::{Uri, resolve};

/// The longest `Set-Cookie` that is taken, and the most of one answer.
const SET_MAX: usize = 128;
const SETS_MAX: usize = 4;
/// The longest `Cookie`.
const COOKIE_MAX: usize = 256;

/// What is kept of an answer.
#[derive(Default)]
pub struct Answer {
    location: String<URL_MAX>,
    set: Vec<Vec<u8, SET_MAX>, SETS_MAX>,
    len: u32,
    crc: u32,
}

impl Receive for Answer {
    fn head(&mut self, head: &Head<'_>) {
        for (name, value) in head.headers() {
            if name.eq_ignore_ascii_case("set-cookie")
                && let Ok(value) = Vec::from_slice(value)
            {
                // More than that are not wanted.
                let _ = self.set.push(value);
            }
        }
        let location = head.header("location").and_then(|value| core::str::from_utf8(value).ok());
        self.location = location.and_then(|location| location.try_into().ok()).unwrap_or_default();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.len = self.len.wrapping_add(bytes.len() as u32);
        self.crc = crc::software(self.crc, bytes);
    }
}

/// A GET, whose output has what was kept.
struct Step(Get<Answer>);

impl<S: Stack> tidemill_core::task::Task<S> for Step {
    type Output = (u16, Answer);
    type Error = get::Error;

    fn poll(&mut self, cx: &mut tidemill_core::task::Context<'_, S>) -> nb::Result<(u16, Answer), get::Error> {
        let status = self.0.poll(cx)?;
        Ok((status, core::mem::take(&mut self.0.sink)))
    }
}

type Steps = Executor<Step, [Slot<Step, (u16, Answer), get::Error>; 1], (u16, Answer), get::Error>;

/// A visit under way.
struct Visit {
    request: RequestId,
    url: String<URL_MAX>,
    hops: u8,
    step: TaskId,
}

/// The application.
pub struct Session<Io> {
    remote: Remote<Io>,
    executor: Steps,
    jar: Jar<16, 1024>,
    visit: Option<Visit>,
    /// The answer that the line has had no room for.
    answer: Option<(RequestId, Result<[u8; 12], &'static str>)>,
    life: u32,
}

impl<Io: Read + Write + ReadReady + WriteReady> Session<Io> {
    /// Visits asked for by this line.
    pub fn new(remote: Remote<Io>) -> Self {
        let executor = Executor::new([const { Slot::EMPTY }; 1]);
        Self { remote, executor, jar: Jar::new(), visit: None, answer: None, life: 0 }
    }

    /// Starts a GET of a URL, with the cookies that belong there.
    fn start(&mut self, url: &str, now: Instant) -> Result<TaskId, &'static str> {
        let target = Target::of(url).map_err(why)?;
        let path = target.path.split('?').next().unwrap_or_default();
        let mut cookie = [0; COOKIE_MAX];
        let request = Request::to("http", target.host, path);
        let cookie = self.jar.matching(&request, seconds(now), &AnyDomain).write_to(&mut cookie);
        let cookie = cookie.map_err(|_| "too many cookies")?;
        let get = Get::new(url, cookie, now + PATIENCE, Answer::default()).map_err(why)?;
        self.executor.pool.submit(Step(get)).map_err(|_| "busy")
    }

    fn ask(&mut self, now: Instant) {
        if self.life != self.remote.life() {
            self.life = self.remote.life();
            self.answer = None;
            // The GET goes on to its end, which its deadline bounds, and is answered to nobody.
        }
        let mut asked = None;
        let busy = self.visit.is_some() || self.answer.is_some();
        self.remote.asked(|what| match what {
            Asked::Submit { .. } if busy || asked.is_some() => false,
            Asked::Submit { id, name: "visit", args, .. } => {
                let url = core::str::from_utf8(args).ok().and_then(|url| url.try_into().ok());
                asked = Some((id, url.ok_or("no http URL, or too long")));
                true
            }
            Asked::Submit { id, .. } => {
                asked = Some((id, Err("no such task")));
                true
            }
            // It goes on to its end, which its deadline bounds, and its answer is one that nobody waits for.
            Asked::Cancel(_) => true,
        });
        let Some((request, url)) = asked else { return };
        let url: Result<String<URL_MAX>, _> = url;
        match url.and_then(|url| Ok((self.start(&url, now)?, url))) {
            Ok((step, url)) => self.visit = Some(Visit { request, url, hops: 0, step }),
            Err(why) => self.answer = Some((request, Err(why))),
        }
    }

    /// Sees what came of the last GET: it leads to another, or is answered.
    fn follow(&mut self, now: Instant) {
        let Some(mut visit) = self.visit.take() else { return };
        let (status, answer) = match self.executor.pool.result(visit.step) {
            Ok(answer) => answer,
            Err(nb::Error::WouldBlock) => {
                self.visit = Some(visit);
                return;
            }
            Err(nb::Error::Other(Failure::Failed(error))) => {
                self.answer = Some((visit.request, Err(why(error))));
                return;
            }
            Err(nb::Error::Other(_)) => {
                self.answer = Some((visit.request, Err("stopped")));
                return;
            }
        };
        match self.next(&visit, status, &answer, now) {
            Ok(Some(url)) => match self.start(&url, now) {
                Ok(step) => {
                    visit = Visit { url, step, hops: visit.hops + 1, ..visit };
                    self.visit = Some(visit);
                }
                Err(why) => self.answer = Some((visit.request, Err(why))),
            },
            Ok(None) => {
                let mut bytes = [0; 12];
                let [s0, s1] = status.to_le_bytes();
                bytes[..4].copy_from_slice(&[s0, s1, visit.hops, self.jar.len() as u8]);
                bytes[4..8].copy_from_slice(&answer.len.to_le_bytes());
                bytes[8..].copy_from_slice(&answer.crc.to_le_bytes());
                self.answer = Some((visit.request, Ok(bytes)));
            }
            Err(why) => self.answer = Some((visit.request, Err(why))),
        }
    }

    /// Keeps the cookies of an answer; where it leads, if it does.
    fn next(
        &mut self,
        visit: &Visit,
        status: u16,
        answer: &Answer,
        now: Instant,
    ) -> Result<Option<String<URL_MAX>>, &'static str> {
        let target = Target::of(&visit.url).map_err(why)?;
        let path = target.path.split('?').next().unwrap_or_default();
        for cookie in &answer.set {
            // One that is refused is none.
            let _ = self.jar.set(cookie, &Request::to("http", target.host, path), seconds(now), &AnyDomain);
        }
        if next_method(status, "GET").is_none() || answer.location.is_empty() {
            return Ok(None);
        }
        if visit.hops >= MAX_HOPS {
            return Err("too many redirects");
        }
        let base = Uri::parse(&visit.url).map_err(|_| "no http URL")?;
        let mut buffer = [0; URL_MAX];
        let url = resolve(&base, &answer.location, &mut buffer).map_err(|_| "a redirect leads nowhere")?;
        if !Uri::parse(url).is_ok_and(|url| is_followed(&url)) {
            return Err("a redirect leads to another scheme");
        }
        url.try_into().map(Some).map_err(|_| "a redirect leads too far")
    }
}

impl<S: Stack, Io: Read + Write + ReadReady + WriteReady> Program<S> for Session<Io> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.remote.turn(now);
        self.ask(now);
        let next = self.executor.turn(now, net, &mut ());
        self.follow(now);
        if let Some((request, answer)) = self.answer.take()
            && !self.remote.answer(request, answer.as_ref().map(|bytes| &bytes[..]).map_err(|why| *why))
        {
            self.answer = Some((request, answer));
        }
        let line = self.remote.turn(now);
        // A GET that follows was submitted just now.
        let follows = self.visit.as_ref().is_some_and(|visit| self.executor.pool.running(visit.step) == Ok(false));
        if follows { Some(now) } else { line.into_iter().chain(next).min() }
    }
}

/// For cookies: there is no calendar here, and `Max-Age` needs none.
fn seconds(now: Instant) -> u64 {
    now.as_ticks() / 1_000_000
}

fn why(error: get::Error) -> &'static str {
    match error {
        get::Error::Url => "no http URL, or too long",
        get::Error::Name => "names are not resolved here",
        get::Error::Net(_) => "no connection",
        get::Error::Http(_) => "the server does not speak HTTP as it should",
        get::Error::TimedOut => "took too long",
    }
}
