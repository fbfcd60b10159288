//! The URL Standard's URL: parsed, or changed by one of JavaScript's setters.

use tidemill_core::url::{Url, UrlError, UrlView};
use tidemill_host::url::Idna;

use super::answer::Answer;

/// A URL of the largest capacity there is.
type Largest = Url<65_535>;

/// Two URLs, used again and again: clearing them costs more than most calls.
pub(super) struct Urls {
    base: Box<Largest>,
    url: Box<Largest>,
}

impl Urls {
    pub(super) fn new() -> Result<Self, String> {
        let url = Box::new(Largest::parse("about:blank", None).map_err(|error| error.to_string())?);
        Ok(Self { base: url.clone(), url })
    }

    /// What `input` is, relative to `base`.
    pub(super) fn parse(&mut self, input: &str, base: Option<&str>) -> Result<&UrlView, String> {
        let base = match base {
            None => None,
            Some(base) => {
                self.base.assign(&Idna, base, None).map_err(|error| format!("base: {error}"))?;
                Some(&**self.base)
            }
        };
        self.url.assign(&Idna, input, base).map_err(|error| error.to_string())?;
        Ok(&self.url)
    }

    /// What becomes of `href`. As in JavaScript, a value that is refused changes nothing, but where it is a whole URL.
    pub(super) fn set(&mut self, href: &str, setter: &str, value: &str) -> Result<&UrlView, String> {
        self.parse(href, None)?;
        let url = &mut **self.url;
        let outcome = match setter {
            "href" => url.assign(&Idna, value, None),
            "protocol" => url.set_protocol(value),
            "username" => url.set_username(value),
            "password" => url.set_password(value),
            "host" => url.set_host_with(&Idna, value),
            "hostname" => url.set_hostname_with(&Idna, value),
            "port" => url.set_port(value),
            "pathname" => url.set_pathname(value),
            "search" => url.set_search(value),
            "hash" => url.set_hash(value),
            other => return Err(format!("unknown setter: {other}")),
        };
        match outcome {
            Err(UrlError::Invalid { .. }) if setter != "href" => {}
            outcome => outcome.map_err(|error| error.to_string())?,
        }
        Ok(&self.url)
    }
}

/// Every attribute; people are not shown those that are empty.
pub(super) fn answer(url: &UrlView, answer: &mut Answer) {
    let is_shown = |text: &str| !answer.plain || !text.is_empty();
    let attributes = [
        ("protocol", url.protocol()),
        ("username", url.username()),
        ("password", url.password()),
        ("host", url.host()),
        ("hostname", url.hostname()),
        ("port", url.port()),
        ("pathname", url.pathname()),
        ("search", url.search()),
        ("hash", url.hash()),
    ]
    .map(|(name, text)| (name, Some(text).filter(|text| is_shown(text))));
    answer.object(|fields| {
        fields.text("href", Some(url.href()));
        fields.shown("origin", Some(url.origin()));
        for (name, text) in attributes {
            fields.text(name, text);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setter_that_refuses_its_value_changes_nothing_and_a_bad_url_is_an_error() {
        let mut urls = Urls::new().unwrap();
        assert_eq!(urls.set("http://h/", "port", "x").unwrap().href(), "http://h/");
        assert_eq!(urls.set("http://h/", "host", "é").unwrap().href(), "http://xn--9ca/");
        assert_eq!(urls.set("http://h/", "href", "x").unwrap_err(), "relative URL without a base at byte 0");
        assert_eq!(urls.set("http://h/", "colour", "x").unwrap_err(), "unknown setter: colour");
        assert_eq!(urls.parse("a", Some("b")).unwrap_err(), "base: relative URL without a base at byte 0");
        let long = format!("http://h/{}", "x".repeat(65_535));
        assert_eq!(urls.parse(&long, None).unwrap_err(), "URL of 65544 bytes does not fit its buffer");
    }

    #[test]
    fn people_see_what_is_there() {
        let mut urls = Urls::new().unwrap();
        let url = urls.parse("../c?", Some("HTTP://h:80/a/b/")).unwrap();
        let mut plain = Answer { text: String::new(), plain: true };
        answer(url, &mut plain);
        let lines =
            "href      http://h/a/c?\norigin    http://h\nprotocol  http:\nhost      h\nhostname  h\npathname  /a/c\n";
        assert_eq!(plain.text, lines);
        let mut json = Answer { text: String::new(), plain: false };
        answer(url, &mut json);
        assert!(
            json.text.starts_with(r#"{"href":"http://h/a/c?","origin":"http://h","protocol":"http:","username":"","#)
        );
    }
}
