//! How `tidemill get` asks where a plain GET is not enough: other methods, data, who is asking, cookies, proxies.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::url::Uri;
use tidemill_host::cookies::{self, Format, Keep};
use tidemill_host::http::{
    Builder, CookieJar, CookieProcessor, Opener, PasswordManager, Proxies, Proxy, Request, Response, Timeouts,
    UrlError, netrc,
};
use tidemill_host::tls::Trust;

use crate::Failure;
use crate::args::Get;
use crate::json::Object;

/// What it takes to ask for the first URL.
pub(crate) struct Access<'a> {
    args: &'a Get,
    opener: Opener,
    request: Request,
    jar: CookieJar,
    /// Whether the engine of downloads, which only sends GET and the fields given, would not do.
    pub(crate) is_needed: bool,
}

impl<'a> Access<'a> {
    pub(crate) fn new(
        args: &'a Get,
        url: &str,
        trust: Option<Trust>,
        headers: &[(String, String)],
    ) -> Result<Self, Failure> {
        let usage = |error: UrlError| Failure::Usage(format!("{url}: {error}"));
        let mut request = Request::new(url).map_err(usage)?;
        for (name, value) in headers {
            request.add_header(name, value);
        }
        if let Some(method) = &args.method {
            request = request.method(method);
        }
        if let Some(data) = &args.data {
            request = request.data(match data.strip_prefix('@') {
                Some(file) => std::fs::read(file).map_err(|error| failed(Path::new(file), error))?,
                None => data.clone().into_bytes(),
            });
        }
        let uri = Uri::parse(url).map_err(|error| Failure::Usage(format!("{url}: {error}")))?;
        let (scheme, host) = (uri.scheme().unwrap_or("").to_ascii_lowercase(), uri.host().unwrap_or(""));
        let port = uri.port().ok().flatten().unwrap_or(if scheme == "https" { 443 } else { 80 });

        let known = credentials(args, host)?;
        let mut passwords = PasswordManager::new();
        if let Some((user, password)) = &known {
            passwords.add_password(None, &format!("{scheme}://{}/", request.host()), user, password);
        }
        let proxies = match &args.proxy {
            Some(proxy) => {
                let why = |error| match error {
                    UrlError::Proxy(why) => why,
                    error => error.to_string(),
                };
                Proxies::all(Proxy::new(proxy).map_err(|error| Failure::Usage(format!("--proxy: {}", why(error))))?)
            }
            None => Proxies::from_environment(),
        };
        proxies.check().map_err(|error| Failure::Failed(format!("{url}: {error}")))?;
        let is_needed = request.get_method() != "GET"
            || request.get_data().is_some()
            || known.is_some()
            || uri.userinfo().is_some()
            || args.cookies.is_some()
            || args.save_cookies.is_some()
            || proxies.proxy_for(&scheme, host, port).is_some();
        let jar = CookieJar::new();
        if let Some(file) = &args.cookies {
            let loaded = jar.with(|jar| cookies::load(jar, file, Keep::All, now()));
            loaded.map_err(|error| jar_failed(file, &error))?;
        }
        let timeouts = Timeouts { idle: args.timeout, ..Timeouts::default() };
        let builder = Opener::builder().only_http().timeouts(timeouts).proxies(proxies).passwords(passwords);
        let builder = builder.cookies(CookieProcessor::new(jar.clone()));
        let opener = trust.into_iter().fold(builder, Builder::trust).build();
        Ok(Self { args, opener, request, jar, is_needed })
    }

    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    pub(crate) fn request(&self) -> Request {
        self.request.clone()
    }

    /// Writes the cookies, where that was asked for.
    pub(crate) fn save_cookies(&self) -> Result<(), Failure> {
        let Some(file) = &self.args.save_cookies else { return Ok(()) };
        let saved = self.jar.with(|jar| cookies::save(jar, file, Format::Netscape, Keep::All, now()));
        saved.map(drop).map_err(|error| jar_failed(file, &error))
    }

    /// What the server tells about the resource.
    pub(crate) fn info(&self) -> Result<String, Failure> {
        let asked = self.args.method.is_some() || self.request.get_data().is_some();
        let head = if asked { self.request() } else { self.request().method("HEAD") };
        let told = match self.opener.open(head) {
            // Some servers do not know HEAD. What they send is not read.
            Err(UrlError::Http(error)) if !asked && matches!(error.status(), 405 | 501) => {
                self.opener.open(self.request())
            }
            told => told,
        };
        match told {
            Ok(response) => Ok(describe(&response)),
            Err(error) => Err(Failure::Failed(format!("{}: {error}", self.request.full_url()))),
        }
    }
}

fn describe(response: &Response) -> String {
    let text = |object: Object, key, name| match response.header(name) {
        Some(value) => object.text(key, value),
        None => object.maybe(key, None::<u64>),
    };
    let length: Option<u64> = response.header("Content-Length").and_then(|length| length.parse().ok());
    let ranges = response.header("Accept-Ranges").is_some_and(|value| value.eq_ignore_ascii_case("bytes"));
    let object = Object::new().text("url", &response.url).number("status", response.status);
    let object = object.text("reason", &response.reason).maybe("length", length).number("ranges", ranges);
    let object = text(object, "type", "Content-Type");
    let object = text(object, "etag", "ETag");
    let object = text(object, "last_modified", "Last-Modified");
    let fields = response.headers.iter().map(|(name, value)| Object::new().text("name", name).text("value", value));
    object.list("headers", fields).finish()
}

/// Name and password for the first URL's host.
fn credentials(args: &Get, host: &str) -> Result<Option<(String, String)>, Failure> {
    if let Some(user) = &args.user {
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        return Ok(Some((user.to_owned(), password.to_owned())));
    }
    if !args.netrc {
        return Ok(None);
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
    let file = std::env::var_os("NETRC").map(PathBuf::from).or_else(home).unwrap_or_default();
    netrc(&file, host).map_err(|error| failed(&file, error))
}

fn failed(file: &Path, error: std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {}", file.display(), UrlError::Io(error)))
}

fn jar_failed(file: &Path, error: &cookies::Error) -> Failure {
    Failure::Failed(match error {
        cookies::Error::File(..) => error.to_string(),
        _ => format!("{}: {error}", file.display()),
    })
}

/// The second since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
