//! The functions that `tidemill url` calls: those of Python by their names, and the URL Standard's.

use std::borrow::Cow;
use std::collections::HashMap;

use tidemill_core::url::{
    Charset, EncodeOptions, Fields, FormValue, QueryOptions, QuoteVia, SplitResult, Undecodable, Unencodable,
    parse_qsl, quote, quote_from_bytes, quote_plus, unquote, unquote_plus, unquote_to_bytes, unwrap, urldefrag_in,
    urlencode, urljoin, urlparse_in, urlsplit_in, urlunparse, urlunsplit,
};

use super::answer::{self, Answer};
use super::call::{Arg, Call};
use super::python::Str;
use super::whatwg;

/// The functions and what they take, for people.
pub(super) const OPS: [(&str, &str); 18] = [
    ("urlsplit", "URL [SCHEME [FRAGMENTS]]"),
    ("urlparse", "URL [SCHEME [FRAGMENTS]]"),
    ("urlunsplit", "SCHEME NETLOC PATH QUERY FRAGMENT"),
    ("urlunparse", "SCHEME NETLOC PATH PARAMS QUERY FRAGMENT"),
    ("urljoin", "BASE URL"),
    ("urldefrag", "URL"),
    ("parse_qs", "QUERY"),
    ("parse_qsl", "QUERY"),
    ("urlencode", "NAME=VALUE..."),
    ("quote", "TEXT [SAFE]"),
    ("quote_plus", "TEXT [SAFE]"),
    ("quote_from_bytes", "TEXT [SAFE]"),
    ("unquote", "TEXT"),
    ("unquote_plus", "TEXT"),
    ("unquote_to_bytes", "TEXT"),
    ("unwrap", "TEXT"),
    ("whatwg", "URL [BASE]"),
    ("whatwg_set", "URL SETTER VALUE"),
];

/// Room for what the functions write; it grows to what the longest call needs.
#[derive(Default)]
pub(super) struct Scratch {
    room: Vec<u8>,
    urls: Option<whatwg::Urls>,
}

impl Scratch {
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.room.len() < len {
            self.room.resize(len, 0);
        }
        &mut self.room
    }

    fn urls(&mut self) -> Result<&mut whatwg::Urls, String> {
        if self.urls.is_none() {
            self.urls = Some(whatwg::Urls::new()?);
        }
        self.urls.as_mut().ok_or_else(String::new)
    }
}

/// Calls a function and writes what it answers. After an error the answer may have a part of it.
pub(super) fn run(call: &Call<'_>, scratch: &mut Scratch, answer: &mut Answer) -> Result<(), String> {
    match &*call.op {
        "urlsplit" | "urlparse" => split(call, scratch, answer),
        "urlunsplit" | "urlunparse" => unsplit(call, answer),
        "urljoin" => join(call, scratch, answer),
        "urldefrag" => {
            let [url] = call.bind(["url"])?;
            let url = wanted("url", url)?.text()?;
            let parts = urldefrag_in(url, scratch.room(url.len())).map_err(text)?;
            answer.object(|fields| {
                fields.shown("url", Some(parts.url));
                fields.text("fragment", Some(parts.fragment));
                fields.shown("geturl", Some(parts.geturl()));
            });
            Ok(())
        }
        "parse_qs" | "parse_qsl" => query(call, answer),
        "urlencode" => form(call, answer),
        "quote" | "quote_plus" | "quote_from_bytes" => quoted(call, answer),
        "unquote" | "unquote_plus" => unquoted(call, answer),
        "unquote_to_bytes" => {
            let [string] = call.bind(["string"])?;
            let string = wanted("string", string)?;
            match string.bytes() {
                Some(bytes) => answer.bytes(unquote_to_bytes(&bytes)),
                None => answer.bytes(unquote_to_bytes(string.text()?.as_bytes())),
            }
            Ok(())
        }
        "unwrap" => {
            let [url] = call.bind(["url"])?;
            answer.text(unwrap(wanted("url", url)?.text()?));
            Ok(())
        }
        "whatwg" => {
            let [input, base] = call.bind(["input", "base"])?;
            let base = base.filter(|base| **base != Arg::Null).map(Arg::text).transpose()?;
            whatwg::answer(scratch.urls()?.parse(wanted("input", input)?.text()?, base)?, answer);
            Ok(())
        }
        "whatwg_set" => {
            let [href, setter, value] = call.bind(["href", "setter", "value"])?;
            let (href, setter) = (wanted("href", href)?.text()?, wanted("setter", setter)?.text()?);
            whatwg::answer(scratch.urls()?.set(href, setter, wanted("value", value)?.text()?)?, answer);
            Ok(())
        }
        op => Err(format!("unknown operation: {op}")),
    }
}

fn text(error: tidemill_core::url::Error) -> String {
    error.to_string()
}

fn wanted<'v, 'a>(name: &str, arg: Option<&'v Arg<'a>>) -> Result<&'v Arg<'a>, String> {
    arg.ok_or_else(|| format!("argument '{name}' is missing"))
}

/// A text, for which Python's `None` and leaving it out stand for `default`.
fn text_or<'v>(arg: Option<&'v Arg<'_>>, default: &'v str) -> Result<&'v str, String> {
    match arg {
        None | Some(Arg::Null) => Ok(default),
        Some(arg) => arg.text(),
    }
}

fn flag(arg: Option<&Arg<'_>>, default: bool) -> bool {
    arg.map_or(default, Arg::is_true)
}

fn split(call: &Call<'_>, scratch: &mut Scratch, answer: &mut Answer) -> Result<(), String> {
    let [url, scheme, fragments] = call.bind(["url", "scheme", "allow_fragments"])?;
    let (url, scheme) = (wanted("url", url)?.text()?, text_or(scheme, "")?);
    let room = scratch.room(url.len() + scheme.len());
    if call.op == "urlsplit" {
        let split = urlsplit_in(url, scheme, flag(fragments, true), room).map_err(text)?;
        answer.object(|fields| {
            parts(fields, &split, None);
            fields.shown("geturl", Some(split.geturl()));
        });
    } else {
        let parsed = urlparse_in(url, scheme, flag(fragments, true), room).map_err(text)?;
        answer.object(|fields| {
            parts(fields, &parsed, Some(parsed.params));
            fields.shown("geturl", Some(parsed.geturl()));
        });
    }
    Ok(())
}

fn parts(fields: &mut answer::Fields<'_>, split: &SplitResult<'_>, params: Option<&str>) {
    match split.scheme.as_str() {
        scheme @ Some(_) => fields.text("scheme", scheme),
        None => fields.shown("scheme", Some(split.scheme)),
    }
    fields.text("netloc", Some(split.netloc));
    fields.text("path", Some(split.path));
    if params.is_some() {
        fields.text("params", params);
    }
    fields.text("query", Some(split.query));
    fields.text("fragment", Some(split.fragment));
    fields.text("username", split.username());
    fields.text("password", split.password());
    fields.shown("hostname", split.hostname());
    fields.number("port", split.port());
}

fn unsplit(call: &Call<'_>, answer: &mut Answer) -> Result<(), String> {
    let [parts] = call.bind(["components"])?;
    let Arg::List(parts) = wanted("components", parts)? else { return Err("a list of parts is wanted".into()) };
    let parts = parts.iter().map(|part| text_or(Some(part), "")).collect::<Result<Vec<_>, _>>()?;
    match (&*call.op, &parts[..]) {
        ("urlunsplit", &[scheme, netloc, path, query, fragment]) => {
            answer.shown(&urlunsplit([scheme, netloc, path, query, fragment]));
        }
        ("urlunparse", &[scheme, netloc, path, params, query, fragment]) => {
            answer.shown(&urlunparse([scheme, netloc, path, params, query, fragment]));
        }
        (op, parts) => {
            let count = if op == "urlunsplit" { 5 } else { 6 };
            return Err(format!("{op} takes {count} parts, and {} were given", parts.len()));
        }
    }
    Ok(())
}

fn join(call: &Call<'_>, scratch: &mut Scratch, answer: &mut Answer) -> Result<(), String> {
    let [base, url, fragments] = call.bind(["base", "url", "allow_fragments"])?;
    let (base, url) = (wanted("base", base)?.text()?, wanted("url", url)?.text()?);
    let room = scratch.room(2 * (base.len() + url.len()) + 4);
    answer.text(urljoin(base, url, flag(fragments, true), room).map_err(text)?);
    Ok(())
}

fn charset(arg: Option<&Arg<'_>>) -> Result<Charset, String> {
    let name = text_or(arg, "utf-8")?;
    match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => Ok(Charset::Utf8),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Ok(Charset::Latin1),
        "ascii" | "us-ascii" => Ok(Charset::Ascii),
        _ => Err(format!("unknown encoding: {name}")),
    }
}

fn undecodable(arg: Option<&Arg<'_>>) -> Result<Undecodable, String> {
    match text_or(arg, "replace")? {
        "strict" => Ok(Undecodable::Strict),
        "replace" => Ok(Undecodable::Replace),
        "ignore" => Ok(Undecodable::Ignore),
        "backslashreplace" => Ok(Undecodable::Backslash),
        other => Err(format!("unknown error handler: {other}")),
    }
}

fn unencodable(arg: Option<&Arg<'_>>) -> Result<Unencodable, String> {
    match text_or(arg, "strict")? {
        "strict" => Ok(Unencodable::Strict),
        "replace" => Ok(Unencodable::Replace),
        "ignore" => Ok(Unencodable::Ignore),
        "xmlcharrefreplace" => Ok(Unencodable::XmlCharRef),
        "backslashreplace" => Ok(Unencodable::Backslash),
        other => Err(format!("unknown error handler: {other}")),
    }
}

fn query(call: &Call<'_>, answer: &mut Answer) -> Result<(), String> {
    let names = ["qs", "keep_blank_values", "strict_parsing", "encoding", "errors", "max_num_fields", "separator"];
    let [qs, keep, strict, encoding, errors, max, separator] = call.bind(names)?;
    let options = QueryOptions {
        keep_blank_values: flag(keep, false),
        strict_parsing: flag(strict, false),
        max_num_fields: match max {
            None | Some(Arg::Null) => None,
            // Fewer than none are none.
            Some(Arg::Int(max)) => Some(usize::try_from(*max).unwrap_or(0)),
            Some(_) => return Err("max_num_fields is no number".into()),
        },
        separator: text_or(separator, "&")?,
        charset: charset(encoding)?,
        errors: undecodable(errors)?,
    };
    let fields = parse_qsl(wanted("qs", qs)?.text()?, &options).map_err(text)?;
    // All of it first, because an error stands alone.
    fields.clone().try_for_each(|field| field.map(drop)).map_err(text)?;
    if call.op == "parse_qsl" {
        answer.list(fields.flatten(), |answer, (name, value)| {
            if answer.plain {
                answer.text(&format!("{name} = {value}"));
            } else {
                answer.list([name, value], |answer, part| answer.shown(&part));
            }
        });
    } else {
        grouped(fields, answer);
    }
    Ok(())
}

/// As core's `parse_qs`, whose groups it finds by comparing; here is a heap to remember names in.
fn grouped(fields: Fields<'_>, answer: &mut Answer) {
    let mut places = HashMap::new();
    let mut groups: Vec<(String, Vec<_>)> = Vec::new();
    for (name, value) in fields.flatten() {
        let name = name.to_string();
        let place = *places.entry(name).or_insert_with_key(|name| {
            groups.push((name.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(value);
    }
    answer.object(|object| {
        for (name, values) in groups {
            let answer = object.any_key(&name);
            if answer.plain {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                answer.text(&values.join(", "));
            } else {
                answer.list(values, |answer, value| answer.shown(&value));
            }
        }
    });
}

fn quoted(call: &Call<'_>, answer: &mut Answer) -> Result<(), String> {
    let [string, safe, encoding, errors] = call.bind(["string", "safe", "encoding", "errors"])?;
    let safe = text_or(safe, if call.op == "quote_plus" { "" } else { "/" })?;
    let string = wanted("string", string)?;
    let bytes = string.bytes();
    let quoted = match (&bytes, &*call.op) {
        (Some(bytes), "quote_plus") => quote_from_bytes(bytes, safe).plus(),
        (Some(bytes), _) => quote_from_bytes(bytes, safe),
        (None, "quote_from_bytes") => return Err("bytes are wanted".into()),
        (None, "quote_plus") => quote_plus(string.text()?, safe),
        (None, _) => quote(string.text()?, safe),
    };
    answer.shown(&quoted.encoded(charset(encoding)?, unencodable(errors)?).map_err(text)?);
    Ok(())
}

fn unquoted(call: &Call<'_>, answer: &mut Answer) -> Result<(), String> {
    let [string, encoding, errors] = call.bind(["string", "encoding", "errors"])?;
    let string = wanted("string", string)?.text()?;
    let unquoted = if call.op == "unquote_plus" { unquote_plus(string) } else { unquote(string) };
    answer.shown(&unquoted.decoded(charset(encoding)?, undecodable(errors)?).map_err(text)?);
    Ok(())
}

/// A name or value of a form, or what it is made of; what is neither text nor bytes is printed as Python prints it.
enum Part<'v> {
    Text(&'v str),
    Bytes(Cow<'v, [u8]>),
    Printed(String),
}

impl<'v> Part<'v> {
    fn new(value: &'v Arg<'_>) -> Self {
        match (value, value.bytes()) {
            (Arg::Text(text), _) => Self::Text(text),
            (_, Some(bytes)) => Self::Bytes(bytes),
            (value, None) => Self::Printed(Str(value).to_string()),
        }
    }

    fn value(&self) -> FormValue<'_> {
        match self {
            Self::Text(text) => FormValue::Text(text),
            Self::Bytes(bytes) => FormValue::Bytes(bytes),
            Self::Printed(text) => FormValue::Text(text),
        }
    }
}

fn form(call: &Call<'_>, answer: &mut Answer) -> Result<(), String> {
    let names = ["query", "doseq", "safe", "encoding", "errors", "quote_via"];
    let [fields, doseq, safe, encoding, errors, via] = call.bind(names)?;
    let doseq = flag(doseq, false);
    let mut pairs = Vec::new();
    match wanted("query", fields)? {
        Arg::Map(map) => pairs.extend(map.iter().map(|(name, value)| field(Part::Text(name), value, doseq))),
        Arg::List(list) => {
            for pair in list {
                let Arg::List(pair) = pair else { return Err("a list of pairs or an object is wanted".into()) };
                let [name, value] = &pair[..] else { return Err("a field is a pair of name and value".into()) };
                pairs.push(field(Part::new(name), value, doseq));
            }
        }
        _ => return Err("a list of pairs or an object is wanted".into()),
    }
    let values: Vec<Vec<_>> = pairs.iter().map(|(_, values)| values.iter().map(Part::value).collect()).collect();
    let pairs = pairs.iter().zip(&values).map(|((name, _), values)| (name.value(), FormValue::Many(values)));
    let quote_via = match via {
        Some(Arg::Map(map)) => map.first().map_or(Ok("quote_plus"), |(_, name)| name.text())?,
        via => text_or(via, "quote_plus")?,
    };
    let options = EncodeOptions {
        safe: text_or(safe, "")?,
        charset: charset(encoding)?,
        errors: unencodable(errors)?,
        quote_via: match quote_via {
            "quote_plus" => QuoteVia::QuotePlus,
            "quote" => QuoteVia::Quote,
            other => return Err(format!("unknown quote_via: {other}")),
        },
    };
    answer.shown(&urlencode(pairs, &options).map_err(text)?);
    Ok(())
}

/// A field's name and its values: one, or with `doseq` those of a sequence.
fn field<'v>(name: Part<'v>, value: &'v Arg<'_>, doseq: bool) -> (Part<'v>, Vec<Part<'v>>) {
    let values = match value {
        Arg::List(list) if doseq => list.iter().map(Part::new).collect(),
        Arg::Map(map) if doseq && value.bytes().is_none() => map.iter().map(|(key, _)| Part::Text(key)).collect(),
        value => vec![Part::new(value)],
    };
    (name, values)
}
