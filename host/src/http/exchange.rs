//! HTTP itself: a request goes out over a connection, new or kept, and its response comes back.

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use tidemill_core::http::body::Framing;
use tidemill_core::http::client::{self, Asked};

use super::connection::Connection;
use super::headers::{bytes_of, latin};
use super::opener::Handler;
use super::pool::{Place, Pool};
use super::proxy::Proxy;
use super::request::Data;
use super::wire::{Wire, was_stale};
use super::{Headers, Request, Response, Timeouts, UrlError};
use crate::tls::Trust;

/// The body of a response. It gives its connection back at its end.
pub(super) struct Body {
    connection: Option<Box<Connection>>,
    place: Place,
    pool: Arc<Pool>,
    received: u64,
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        if out.is_empty() {
            return Ok(0);
        }
        let result = connection.receive_body(out);
        match result {
            Ok(0) => {
                if let Some(connection) = self.connection.take_if(|connection| connection.is_reusable()) {
                    self.pool.put(self.place.clone(), connection);
                }
                self.connection = None;
                Ok(0)
            }
            Ok(count) => {
                self.received += count as u64;
                Ok(count)
            }
            Err(UrlError::Protocol(client::Error::Incomplete { missing })) => {
                Err(UrlError::ContentTooShort { got: self.received, missing }.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens `http:` and `https:` URLs, and keeps connections for the next.
#[derive(Debug)]
#[doc(alias = "HTTPHandler")]
#[doc(alias = "HTTPSHandler")]
pub struct HttpHandler {
    timeouts: Timeouts,
    pool: Arc<Pool>,
    trust: OnceLock<Trust>,
    user_agent: String,
}

impl Default for HttpHandler {
    fn default() -> Self {
        Self::new(Timeouts::default())
    }
}

impl HttpHandler {
    /// With these timeouts; trusting whom the system trusts.
    pub fn new(timeouts: Timeouts) -> Self {
        let user_agent = concat!("tidemill/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { timeouts, pool: Arc::default(), trust: OnceLock::new(), user_agent }
    }

    /// Trusting these instead.
    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust: trust.into(), ..self }
    }

    fn timeouts(&self, request: &Request) -> Timeouts {
        let own = self.timeouts;
        request.timeout.map_or(own, |timeout| Timeouts { connect: timeout, idle: timeout, ..own })
    }

    fn trust(&self) -> Result<&Trust, UrlError> {
        if self.trust.get().is_none() {
            // Another thread may have been faster.
            let _ = self.trust.set(Trust::system().map_err(UrlError::Tls)?);
        }
        self.trust.get().ok_or_else(|| UrlError::Url("no trust".into()))
    }

    fn connect(&self, request: &Request) -> Result<Box<Connection>, UrlError> {
        let secure = request.scheme() == "https";
        let (host, port) = (request.host_name(), request.port());
        let (deadline, timeouts) = (request.deadline, self.timeouts(request));
        let wire = match &request.proxy {
            None => Wire::connect(host, port, &timeouts, deadline)?,
            Some(proxy) => {
                let connected = Wire::connect(&proxy.host, proxy.port, &timeouts, deadline);
                connected.map_err(|error| proxy.failed(error))?
            }
        };
        let mut connection = Connection::new(wire);
        if secure {
            if let Some(proxy) = &request.proxy {
                let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                connection.tunnel(proxy, &authority)?;
            }
            connection.wire.secure(self.trust()?, host)?;
        }
        Ok(connection)
    }

    /// Sends the request and reads the head of what comes back. With `expects`, the data wait for the server to want them.
    fn ask(&self, request: &Request, connection: &mut Connection, expects: bool) -> Result<(), UrlError> {
        connection.wire.set_deadline(request.deadline, self.timeouts(request).idle);
        let body = match request.get_data() {
            None => Framing::None,
            Some(Data::Bytes(bytes)) => Framing::Length(bytes.len() as u64),
            Some(Data::Sized(_, length)) => Framing::Length(*length),
            Some(Data::Chunked(_)) => Framing::Chunked,
        };
        let through_proxy = request.proxy.is_some() && request.scheme() == "http";
        let path = match request.selector() {
            "" => Cow::Borrowed("/"),
            query if query.starts_with('?') => format!("/{query}").into(),
            path => path.into(),
        };
        let target = if through_proxy { format!("http://{}{path}", request.host()).into() } else { path };
        let headers = self.fields(request, through_proxy, expects);
        let fields: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let head = client::Request {
            method: request.get_method(),
            target: &target,
            host: request.host(),
            headers: &fields,
            body,
        };
        connection.response.start(match request.get_method() {
            "HEAD" => Asked::Head,
            _ if request.has_header("Upgrade") => Asked::Upgrade,
            _ => Asked::Resource,
        });
        let sent = connection.send(&head, request.get_data(), expects);
        match sent {
            // A server that has heard enough may answer and close before it has read all.
            Err(UrlError::Net(_)) => match connection.receive_head() {
                Ok(()) => Ok(()),
                Err(_) => sent,
            },
            Err(error) => Err(error),
            Ok(()) => connection.receive_head(),
        }
    }

    /// The fields as they go out: the request's own, and those that it must have.
    fn fields<'r>(&'r self, request: &'r Request, through_proxy: bool, expects: bool) -> Vec<(&'r str, Cow<'r, [u8]>)> {
        let mut fields: Vec<(&str, Cow<'_, [u8]>)> = Vec::with_capacity(request.headers.len() + 4);
        let own = |name: &str| request.has_header(name);
        if !own("Accept-Encoding") {
            fields.push(("Accept-Encoding", b"identity"[..].into()));
        }
        if !own("User-Agent") {
            fields.push(("User-Agent", self.user_agent.as_bytes().into()));
        }
        if request.get_data().is_some() && !own("Content-Type") {
            fields.push(("Content-Type", b"application/x-www-form-urlencoded"[..].into()));
        }
        for (name, value) in request.headers.iter() {
            let ours = ["host", "content-length", "transfer-encoding"];
            // The credentials for a proxy are for it alone.
            let proxys = name.eq_ignore_ascii_case("proxy-authorization") && !through_proxy;
            let vain = name.eq_ignore_ascii_case("expect") && value.eq_ignore_ascii_case("100-continue") && !expects;
            if !proxys && !vain && !ours.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                fields.push((name, bytes_of(value).into()));
            }
        }
        if let Some(authorization) = request.proxy.as_ref().filter(|_| through_proxy).and_then(Proxy::authorization)
            && !own("Proxy-Authorization")
        {
            fields.push(("Proxy-Authorization", authorization.into_bytes().into()));
        }
        fields
    }
}

impl Handler for HttpHandler {
    fn open(&self, request: &Request) -> Option<Result<Response, UrlError>> {
        request.is_http().then(|| self.exchange(request))
    }
}

/// The fields that a GET of the same needs, if it can be repeated just so: not through a proxy, nor with an answer to a
/// challenge that is good for once.
fn again(request: &Request) -> Option<Vec<(String, String)>> {
    let once = request.get_header("Authorization").is_some_and(|value| value.starts_with("Digest "));
    let plain = request.get_method() == "GET" && request.get_data().is_none() && request.proxy.is_none() && !once;
    let ours = ["accept-encoding", "range", "if-range"];
    let kept = request.headers.iter().filter(|(name, _)| !ours.iter().any(|ours| ours.eq_ignore_ascii_case(name)));
    plain.then(|| kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

impl HttpHandler {
    fn exchange(&self, request: &Request) -> Result<Response, UrlError> {
        let place = Place { target: Arc::clone(request.target()), via: request.proxy.as_ref().map(Proxy::key) };
        let kept = self.pool.take(&place);
        let (reused, mut connection) = match kept {
            Some(connection) => (true, connection),
            None => (false, self.connect(request)?),
        };
        let expects = request.expects_continue();
        let mut asked = self.ask(request, &mut connection, expects);
        // Repeated only where that cannot do twice what was meant once (RFC 9110 9.2.2), and nothing had come.
        let harmless = matches!(request.get_method(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE");
        if let Err(error) = &asked
            && reused
            && was_stale(error)
            && harmless
            && request.get_data().is_none()
        {
            connection = self.connect(request)?;
            asked = self.ask(request, &mut connection, expects);
        }
        asked?;
        if expects && connection.response.head().status() == 417 {
            // It knows no such thing; the data have not been touched.
            connection = self.connect(request)?;
            self.ask(request, &mut connection, false)?;
        }
        let head = connection.response.head();
        let headers = Headers::of_head(&head.fields());
        let reason = latin(head.reason());
        let (status, length) = (
            head.status(),
            match head.framing() {
                Framing::Length(length) => Some(length),
                Framing::None => Some(0),
                _ => None,
            },
        );
        let mut body = Body { connection: Some(connection), place, pool: Arc::clone(&self.pool), received: 0 };
        if length == Some(0) {
            // Nobody reads what is empty, and the connection is free at once.
            let _ = body.read(&mut [0]);
        }
        let url = request.full_url().to_owned();
        let mut response = Response::new(url, status, reason, headers, length, Box::new(body));
        response.again = again(request);
        Ok(response)
    }
}
