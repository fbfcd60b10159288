//! `tidemill serve`.

use std::num::NonZeroU64;
use std::time::Duration;

use tidemill_host::serve::{AccessLog, Auth, Error, Limits, Options, Served, Server};
use tidemill_host::threads::cores;

use crate::args::Serve;
use crate::json::Object;
use crate::{Failure, interrupt, print, tell};

/// Runs the command until it is interrupted.
pub(crate) fn run(args: &Serve) -> Result<(), Failure> {
    let log: fn(&Served<'_>) = match args {
        Serve { json: true, .. } => |served| print(&object(served)),
        Serve { quiet: true, .. } => |_| (),
        _ => |served| tell(&line(served)),
    };
    let mut server = Server::bind(&options(args), log).map_err(|error| {
        let what = match &error {
            Error::Folder(_) => args.folder.display().to_string(),
            Error::Listen(_) => args.bind.to_string(),
            Error::Tls(_) => "--tls".to_owned(),
            Error::Credentials => "--auth".to_owned(),
            Error::Header(_) => "--header".to_owned(),
            _ => "system".to_owned(),
        };
        Failure::Failed(format!("{what}: {error}"))
    })?;
    server.on_reload(|result| match result {
        Ok(()) => tell("reloaded"),
        Err(error) => tell(&format!("tidemill: reload: {error}; all stays as it was")),
    });
    let (waker, reloader) = (server.waker(), server.reloader());
    let stop = interrupt::flag_and_hangup(move || waker.wake(), move || reloader.reload());

    let scheme = if args.tls.is_some() { "https" } else { "http" };
    let places = server.max_connections();
    if places < args.max_connections as usize {
        let more = "more take a higher 'ulimit -n', or more --workers";
        tell(&format!("tidemill: at most {places} connections at once; {more}"));
    }
    let (url, folder) = (format!("{scheme}://{}/", server.local_addr()), args.folder.display().to_string());
    if args.json {
        let object = Object::event("listening").text("url", &url).text("folder", &folder);
        print(&object.number("max_connections", places).finish());
    } else {
        print(&format!("serving {} at {url}", crate::printable(&folder)));
    }
    server.run(&stop).map_err(|error| Failure::Failed(format!("system: {error}")))
}

fn options(args: &Serve) -> Options {
    let tls = args.tls.as_deref().and_then(|files| Some((files.first()?.clone(), files.get(1)?.clone())));
    let auth = args.auth.as_ref().map(|auth| match auth.strip_prefix('@') {
        Some(file) => Auth::File(file.into()),
        None => Auth::User(auth.clone()),
    });
    let access_log = args.access_log.clone().map(|path| AccessLog { path, format: args.log_format.into() });
    Options {
        max_connections: args.max_connections as usize,
        workers: args.workers.map_or_else(cores, usize::from),
        limits: Limits { rate: args.limit_rate.and_then(NonZeroU64::new), ..Limits::default() },
        drain: Duration::from_secs(args.drain),
        tls,
        auth,
        headers: args.headers.clone(),
        access_log,
        metrics: args.metrics,
        ..Options::new(&args.folder, args.bind)
    }
}

/// Method and target, as they were asked for; a dash for what could not be read.
fn asked<'a>(served: &Served<'a>) -> (&'a str, &'a str) {
    let dash = |text: &'a str| if text.is_empty() { "-" } else { text };
    (dash(served.head.method()), dash(served.head.target()))
}

fn line(served: &Served<'_>) -> String {
    let (method, target) = asked(served);
    let cut = if served.complete { "" } else { " cut off" };
    format!("{} {method} {target} {} {} B{cut}", served.peer, served.status, served.sent)
}

fn object(served: &Served<'_>) -> String {
    let (method, target) = asked(served);
    let seconds = served.ended.checked_duration_since(served.began).map_or(0, |took| took.as_ticks()) as f64 / 1e6;
    let object = Object::event("served").text("peer", &served.peer.to_string());
    let object = object.text("method", method).text("target", target).number("status", served.status);
    object.number("sent", served.sent).number("complete", served.complete).number("seconds", seconds).finish()
}
