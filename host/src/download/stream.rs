//! What comes as one stream, into the same output as what the engine fetches.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Instant;

use tidemill_core::fetch::Sink;

use super::job::TICK;
use super::output::Output;
use super::{Error, Event, Observer, Options, Progress, Summary, Target, download};
use crate::http::{Opener, Request, UrlError};

/// As [`download`], of what `opener` makes of `request`: with another method, with data, cookies or a password, or through
/// a proxy. It is opened once; then, if it is large, the server has ranges, and the request can be repeated as it was sent,
/// the engine fetches it in parts and can go on with it after a failure; else it comes as one stream. Mirrors are left out:
/// what identifies the user is not for them.
///
/// # Errors
/// As [`download`].
pub fn download_by(
    options: &Options,
    opener: &Opener,
    request: Request,
    observer: &mut dyn Observer,
) -> Result<Summary, Error> {
    let url = options.urls.first().cloned().unwrap_or_default();
    let failed = |why| Error::Open { url: url.clone(), why: Box::new(why) };
    let mut response = opener.open(request.timeout(options.timeout)).map_err(failed)?;
    let ranges = response.header("Accept-Ranges").is_some_and(|value| value.eq_ignore_ascii_case("bytes"));
    let large = response.length().is_some_and(|length| length >= ENGINE_MIN);
    let to_file = options.target != Target::Stdout;
    if response.status == 200
        && ranges
        && large
        && to_file
        && let Some(headers) = response.again.take()
    {
        let urls = vec![std::mem::take(&mut response.url)];
        drop(response);
        return download(&Options { urls, headers, ..options.clone() }, observer);
    }
    save(options, response.length(), &mut response, observer)
}

/// What is shorter comes as fast in one piece.
const ENGINE_MIN: u64 = 2 << 20;

/// How much is read and written at once, in bytes.
pub const PIECE: usize = 256 << 10;

/// Writes what `reader` has to the target of `options`: whole, verified, or not at all. It is `length` bytes long, if that
/// is known. What comes so cannot be resumed. Of `options` count the first URL, the target, the checksum, the rate and the
/// order to stop.
///
/// # Errors
/// Any [`Error`]; nothing has the target's name then.
pub fn save(
    options: &Options,
    length: Option<u64>,
    reader: &mut dyn Read,
    observer: &mut dyn Observer,
) -> Result<Summary, Error> {
    let url = options.urls.first().map_or("", String::as_str);
    let (mut output, _) = Output::open(&options.target, url, false, options.checksum.is_some())?;
    observer.observe(&Event::Started { url, target: &options.target, resumed: 0, total: length });
    match copy(options, length, reader, observer, &mut output) {
        Ok((bytes, took)) => {
            output.finish(bytes, options.checksum)?;
            let (checksum, target) = (options.checksum, options.target.clone());
            let summary = Summary { bytes, resumed: 0, took, checksum, target };
            observer.observe(&Event::Finished(&summary));
            Ok(summary)
        }
        Err(error) => {
            // Why it ended says more than why the rest could not be removed.
            let _ = output.discard();
            Err(error)
        }
    }
}

fn copy(
    options: &Options,
    length: Option<u64>,
    reader: &mut dyn Read,
    observer: &mut dyn Observer,
    output: &mut Output,
) -> Result<(u64, std::time::Duration), Error> {
    let started = Instant::now();
    let tick = std::time::Duration::from_micros(TICK.as_ticks());
    let open =
        |why: UrlError| Error::Open { url: options.urls.first().cloned().unwrap_or_default(), why: Box::new(why) };
    let why = |output: &mut Output| output.take_trouble().unwrap_or_else(|| Error::System(io::Error::other("output")));
    if let Some(length) = length {
        output.set_len(length).map_err(|_| why(output))?;
    }
    let (mut done, mut told) = (0, started);
    let mut piece = vec![0; PIECE];
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(open(error.into())),
        };
        output.write_at(done, &piece[..count]).map_err(|_| why(output))?;
        done += count as u64;
        if options.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted { target: options.target.clone(), resumable: false });
        }
        let took = started.elapsed();
        if let Some(rate) = options.rate.filter(|rate| *rate > 0) {
            let due = std::time::Duration::from_secs_f64(done as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(took).min(options.timeout));
        }
        if told.elapsed() >= tick {
            told = Instant::now();
            let rate = (done as f64 / took.as_secs_f64().max(1e-3)) as u64;
            observer.observe(&Event::Progress(Progress { done, total: length, rate, connections: &[] }));
        }
    }
    if let Some(length) = length.filter(|length| *length != done) {
        return Err(open(UrlError::ContentTooShort { got: done, missing: length.checked_sub(done) }));
    }
    if length.is_none() {
        output.set_len(done).map_err(|_| why(output))?;
    }
    Ok((done, started.elapsed()))
}
