//! `tidemill get`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::url::Uri;
use tidemill_host::download::{Observer, Options, Summary, Target, download, download_by};
use tidemill_host::tls::Trust;
use tidemill_sim::mill::Scenario;

use crate::access::Access;
use crate::args::Get;
use crate::json::Object;
use crate::mill::{self, Simulated};
use crate::progress::{Json, Quiet, for_person};
use crate::{Failure, interrupt, print, tell};

/// Runs the command.
pub(crate) fn run(args: &Get) -> Result<(), Failure> {
    let scenario = scenario(&args.urls)?;
    let trust = trust(args)?;
    let headers: Vec<_> = args.headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    let first = args.urls.first().map_or("", String::as_str);
    let access = if scenario.is_none() {
        args.urls.iter().try_for_each(|url| check_scheme(url))?;
        Some(Access::new(args, first, trust.clone(), &headers)?)
    } else {
        None
    };
    match &access {
        Some(access) if args.info => {
            print(&access.info()?);
            return access.save_cookies();
        }
        None if args.info => return Err(Failure::Usage(format!("{first}: --info is about http: and https: URLs"))),
        _ => {}
    }
    let access = access.filter(|access| access.is_needed);
    if access.is_some() && args.urls.len() > 1 {
        let why = "mirrors do not go together with a method, data, cookies, a password or a proxy";
        return Err(Failure::Usage(format!("{first}: {why}")));
    }
    let options = Options { trust, headers, ..options(args, scenario.as_ref())? };
    let mut observer: Box<dyn Observer> = match args {
        Get { json: true, .. } => Box::new(Json),
        Get { quiet: true, .. } => Box::new(Quiet),
        _ => for_person(),
    };
    let result = match (&scenario, &access) {
        (Some(scenario), _) => mill::download(scenario, &options, &mut *observer).map(Some),
        (None, Some(access)) => download_by(&options, access.opener(), access.request(), &mut *observer)
            .map_err(Failure::from)
            .and_then(|_| access.save_cookies())
            .map(|()| None),
        (None, None) => download(&options, &mut *observer).map(|_| None).map_err(Failure::from),
    };
    // Bars go before anything else is printed.
    drop(observer);
    match result {
        Ok(None) => Ok(()),
        Ok(Some((summary, simulated))) => {
            tell_simulated(args, &summary, &simulated);
            Ok(())
        }
        Err(error) => {
            if args.json {
                print(&Object::event("failed").text("reason", error.message()).finish());
            }
            Err(error)
        }
    }
}

/// The scenario, if the URL is a `sim:` one: its world has one server, so it stands alone.
fn scenario(urls: &[String]) -> Result<Option<Scenario>, Failure> {
    let is_sim = |url: &&String| url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sim:"));
    let Some(url) = urls.iter().find(is_sim) else { return Ok(None) };
    if urls.len() > 1 {
        return Err(Failure::Usage(format!("{url}: a sim: URL has no mirrors")));
    }
    url.parse().map(Some).map_err(|error| Failure::Usage(format!("{url}: {error}")))
}

fn tell_simulated(args: &Get, summary: &Summary, simulated: &Simulated) {
    let (took, real, trace) = (summary.took.as_secs_f64(), simulated.real.as_secs_f64(), simulated.trace);
    if args.json {
        let object = Object::event("simulated").number("virtual_seconds", took).number("real_seconds", real);
        print(&object.text("trace", &format!("{trace:016x}")).finish());
    } else if !args.quiet {
        tell(&format!("simulated: {took:.2} s of virtual time in {real:.2} s of real time, trace {trace:016x}"));
    }
}

/// The library's options for these arguments.
fn options(args: &Get, scenario: Option<&Scenario>) -> Result<Options, Failure> {
    let first = args.urls.first().map_or("", String::as_str);
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
        retries: args.retry.into(),
        timeout: args.timeout,
        rate: args.limit_rate,
        resume: !args.no_resume,
        seed: scenario.map_or_else(jitter, |scenario| scenario.seed),
        // The job looks at it ten times a second.
        stop: interrupt::flag(|| ()),
        ..Options::new(first, Target::Stdout)
    })
}

/// Whom to trust, if not whom the system trusts.
fn trust(args: &Get) -> Result<Option<Trust>, Failure> {
    let read =
        |file: &std::path::PathBuf| Trust::from_pem_file(file).map_err(|error| Failure::Failed(error.to_string()));
    args.cacert.as_ref().map(read).transpose()
}

/// Differs from run to run, so that clients that fail together do not come back together.
fn jitter() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

fn check_scheme(url: &str) -> Result<(), Failure> {
    let uri = Uri::parse(url).map_err(|error| Failure::Usage(format!("{url}: malformed URL: {error}")))?;
    match uri.scheme().map(str::to_ascii_lowercase).as_deref() {
        Some("http" | "https") => Ok(()),
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
