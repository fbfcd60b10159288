//! `tidemill get`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::url::Uri;
use tidemill_host::download::{Observer, Options, Target, download};

use crate::Failure;
use crate::args::Get;
use crate::interrupt;
use crate::json::Object;
use crate::progress::{Json, Quiet, for_person};

/// Runs the command.
pub(crate) fn run(args: &Get) -> Result<(), Failure> {
    let options = options(args)?;
    let mut observer: Box<dyn Observer> = match args {
        Get { json: true, .. } => Box::new(Json),
        Get { quiet: true, .. } => Box::new(Quiet),
        // The bytes themselves go to stdout; the counters may still go to stderr.
        _ => for_person(),
    };
    let result = download(&options, &mut *observer);
    // Bars go before an error is printed.
    drop(observer);
    if let (true, Err(error)) = (args.json, &result) {
        crate::print(&Object::event("failed").text("reason", &error.to_string()).finish());
    }
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_usage() => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// The library's options for these arguments.
fn options(args: &Get) -> Result<Options, Failure> {
    let first = args.urls.first().map_or("", String::as_str);
    args.urls.iter().try_for_each(|url| check_scheme(url))?;
    let target = match args.output.as_deref() {
        Some(path) if path == Path::new("-") => Target::Stdout,
        Some(path) => Target::File(path.into()),
        None => Target::named_by(first)
            .ok_or_else(|| Failure::Usage(format!("{first}: the URL names no file: choose one with -o FILE")))?,
    };
    if target == Target::Stdout && args.json {
        return Err(Failure::Usage("--json and -o -: stdout can carry only one of them".into()));
    }
    Ok(Options {
        urls: args.urls.clone(),
        target,
        connections: args.connections,
        checksum: args.checksum,
        headers: args.headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?,
        retries: args.retry.into(),
        timeout: args.timeout,
        rate: args.limit_rate,
        resume: !args.no_resume,
        // Only to keep clients that fail together from coming back together.
        seed: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64),
        stop: interrupt::flag(),
    })
}

fn check_scheme(url: &str) -> Result<(), Failure> {
    let uri = Uri::parse(url).map_err(|error| Failure::Usage(format!("{url}: malformed URL: {error}")))?;
    match uri.scheme().map(str::to_ascii_lowercase).as_deref() {
        Some("http") => Ok(()),
        Some("https") => Err(Failure::Usage(format!("{url}: https is not supported yet"))),
        Some(scheme) => Err(Failure::Usage(format!("{url}: unknown scheme '{scheme}'"))),
        None => Err(Failure::Usage(format!("{url}: no scheme: write http://{url}"))),
    }
}

/// A `Name: value` pair.
fn header(text: &str) -> Result<(String, String), Failure> {
    let parts = text.split_once(':').filter(|(name, _)| !name.is_empty() && !text.contains(char::is_control));
    let (name, value) = parts.ok_or_else(|| Failure::Usage(format!("-H '{text}': expected 'Name: value'")))?;
    Ok((name.into(), value.trim().into()))
}
