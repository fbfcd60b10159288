//! Proxies: which one is on the way to which host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidemill_core::url::Uri;

use super::opener::Handler;
use super::{Phase, Request, UrlError};

/// A proxy for HTTP: where it is, and who may use it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    credentials: Option<(String, String)>,
}

impl Proxy {
    /// From `http://user:password@host:port`, or just `host:port`.
    ///
    /// # Errors
    /// [`UrlError::Proxy`]: it is no such URL; TLS to the proxy itself is not spoken.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let bad = |why: &str| UrlError::Proxy(format!("{why}: expected http://HOST:PORT"));
        let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri = Uri::parse(&whole).map_err(|_| bad("malformed URL"))?;
        if !uri.scheme().is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) {
            return Err(bad("unsupported scheme"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("no host"))?;
        let port = uri.port().map_err(|_| bad("malformed port"))?.unwrap_or(80);
        let credentials = super::Request::new(&whole)?.userinfo;
        Ok(Self { host: host.into(), port, credentials })
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        self.credentials.as_ref().map(|(user, password)| basic(user, password))
    }

    /// What went wrong on the way to it, which is no fault of the server's.
    pub(super) fn failed(&self, error: UrlError) -> UrlError {
        match error {
            UrlError::Timeout(Phase::Total) => error,
            UrlError::Resolve { .. } => UrlError::Proxy(error.to_string()),
            _ => UrlError::Proxy(format!("{}:{}: {error}", self.host, self.port)),
        }
    }

    /// Tells those apart that may not share connections.
    pub(super) fn key(&self) -> String {
        format!("{}:{} {}", self.host, self.port, self.authorization().unwrap_or_default())
    }
}

/// Credentials as the scheme `Basic` has them (RFC 7617), in UTF-8.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Which proxy is for which scheme, and which hosts are reached without.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    bypass: Vec<String>,
    /// What was wrong with the environment.
    wrong: Option<String>,
}

impl Proxies {
    /// None: all hosts are reached without.
    pub fn none() -> Self {
        Self::default()
    }

    /// This one for all hosts.
    pub fn all(proxy: Proxy) -> Self {
        Self { http: Some(proxy.clone()), https: Some(proxy), ..Self::default() }
    }

    /// Reaches these hosts without: names, with all beneath them; addresses; `*` for all; any of them with a port.
    pub fn bypass(mut self, hosts: &str) -> Self {
        self.bypass
            .extend(hosts.split(',').map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty()));
        self
    }

    /// What the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, the lower-case name first. A program
    /// run by a web server (`REQUEST_METHOD` is set) does not look at `HTTP_PROXY`, which is a field of the request there.
    #[doc(alias = "getproxies")]
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let cgi = get("REQUEST_METHOD").is_some();
        let both = |name: &str| {
            let upper = name.to_ascii_uppercase();
            get(name).or_else(|| get(&upper).filter(|_| !(cgi && upper == "HTTP_PROXY")))
        };
        let all = both("all_proxy");
        let mut wrong = None;
        let mut proxy = |name: &str| {
            let value = both(name).or_else(|| all.clone())?;
            Proxy::new(&value).map_err(|error| wrong = Some(format!("{name}: {error}"))).ok()
        };
        let (http, https) = (proxy("http_proxy"), proxy("https_proxy"));
        Self { http, https, bypass: Vec::new(), wrong }.bypass(&both("no_proxy").unwrap_or_default())
    }

    /// Whether what the environment says can be used at all: who asked for a proxy must not go without.
    ///
    /// # Errors
    /// [`UrlError::Proxy`].
    pub fn check(&self) -> Result<(), UrlError> {
        self.wrong.as_ref().map_or(Ok(()), |wrong| Err(UrlError::Proxy(wrong.clone())))
    }

    /// The proxy on the way to a host.
    pub fn proxy_for(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = match scheme {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        proxy.filter(|_| !self.bypass.iter().any(|entry| is_beneath(host, port, entry)))
    }
}

/// Whether an entry of `no_proxy` stands for a host.
fn is_beneath(host: &str, port: u16, entry: &str) -> bool {
    if entry == "*" {
        return true;
    }
    // An IPv6 address has colons of its own.
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse::<u16>() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').trim_start_matches('.');
    let host = host.to_ascii_lowercase();
    let matches = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && matches && wanted.is_none_or(|wanted| wanted == port)
}

/// Sends requests through proxies.
#[derive(Clone, Debug)]
pub struct ProxyHandler(Proxies);

impl ProxyHandler {
    /// Through these.
    pub fn new(proxies: Proxies) -> Self {
        Self(proxies)
    }
}

impl Handler for ProxyHandler {
    fn order(&self) -> u16 {
        100
    }

    fn request(&self, request: &mut Request) -> Result<(), UrlError> {
        if request.is_http() {
            self.0.check()?;
            request.proxy = self.0.proxy_for(request.scheme(), request.host_name(), request.port()).cloned();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Proxies {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::from_variables(get)
    }

    #[test]
    fn the_environment_says_which_and_the_lower_case_name_counts() {
        let proxies = from(&[("http_proxy", "http://p:3128"), ("HTTP_PROXY", "http://q:1"), ("ALL_PROXY", "r:9")]);
        let host = |scheme| proxies.proxy_for(scheme, "h", 80).map(|proxy| (proxy.host.as_str(), proxy.port));
        assert_eq!((host("http"), host("https"), host("file")), (Some(("p", 3128)), Some(("r", 9)), None));
        let cgi = from(&[("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(cgi.proxy_for("http", "h", 80), None, "a header of a request must not choose the proxy");
        assert!(from(&[("http_proxy", "socks5://p")]).check().is_err() && cgi.check().is_ok());
    }

    #[test]
    fn no_proxy_names_hosts_with_all_beneath_them() {
        let proxies =
            Proxies::all(Proxy::new("http://p").unwrap()).bypass("Example.org, .net:81,10.0.0.1,[::1]:8,*.bad");
        for (host, port, direct) in [
            ("example.org", 80, true),
            ("www.EXAMPLE.org", 80, true),
            ("notexample.org", 80, false),
            ("a.net", 81, true),
            ("a.net", 80, false),
            ("10.0.0.1", 80, true),
            ("110.0.0.1", 80, false),
            ("::1", 8, true),
            ("::1", 80, false),
        ] {
            assert_eq!(proxies.proxy_for("http", host, port).is_none(), direct, "{host}:{port}");
        }
        assert!(proxies.clone().bypass("*").proxy_for("https", "h", 1).is_none());
    }

    #[test]
    fn credentials_of_a_proxy_stand_in_its_url() {
        let proxy = Proxy::new("http://Aladdin:open%20sesame@p:1").unwrap();
        assert_eq!(proxy.authorization().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        for bad in ["", "http://", "https://p", "http://p:x"] {
            assert!(Proxy::new(bad).is_err(), "{bad}");
        }
    }
}
