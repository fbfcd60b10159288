//! How a download is shown: bars on a terminal, lines elsewhere, JSON for programs, or not at all.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, FormattedDuration, MultiProgress, ProgressBar, ProgressStyle};
use tidemill_core::fetch::Activity;
use tidemill_host::download::{Event, Observer, Progress, Summary};

use crate::json::Object;
use crate::{print, printable, tell};

/// The most connections that get a line of their own on a terminal.
const LINES: usize = 16;

/// Lines come at least this far apart, unless a tenth of the file has come.
const PACE: Duration = Duration::from_secs(2);

/// The bar when the length is known, when it is not, and a connection's line.
const MEASURED: &str = "{prefix} [{bar:30}] {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {msg}";
const UNMEASURED: &str = "{spinner} {prefix}  {binary_bytes}  {msg}";
const CONNECTION: &str = "{prefix:>4} {msg}";

/// Nothing is shown.
pub(crate) struct Quiet;

impl Observer for Quiet {
    fn observe(&mut self, _: &Event<'_>) {}
}

/// The observer for a person: bars where stderr is a terminal, else plain lines.
pub(crate) fn for_person() -> Box<dyn Observer> {
    if std::io::stderr().is_terminal() { Box::new(Bars::new()) } else { Box::new(Lines::new()) }
}

/// What happened, as a line for a person. Counters and the end are for each observer to tell in its own way.
fn line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Started { resumed, target, .. } if *resumed > 0 => {
            format!("{target}: resumed, {} are there already", BinaryBytes(*resumed))
        }
        Event::StartedOver(reason) => format!("started over: {reason}"),
        Event::Retry { connection, reason, wait } => {
            format!("connection {}: {reason}; again in {:.1} s", connection + 1, wait.as_secs_f64())
        }
        Event::SourceFailed { url, reason } => format!("{url}: {reason}; going on without it"),
        Event::Redirected(url) => format!("redirected to {url}"),
        Event::NoRanges => "the server has no ranges: one connection does it all".into(),
        Event::Changed => "the file changed on the server: started over".into(),
        _ => return None,
    })
}

fn rate_and_rest(progress: &Progress<'_>) -> String {
    let rate = format!("{}/s", BinaryBytes(progress.rate));
    match progress.left() {
        Some(left) if progress.total > Some(progress.done) => format!("{rate}, {} left", FormattedDuration(left)),
        _ => rate,
    }
}

/// The last line of a download.
pub(crate) fn told(summary: &Summary) -> String {
    let seconds = summary.took.as_secs_f64();
    let fetched = summary.bytes.saturating_sub(summary.resumed);
    let rate = BinaryBytes((fetched as f64 / seconds.max(1e-6)) as u64);
    let verified = if summary.checksum.is_some() { ", checksum right" } else { "" };
    format!("{}: {} in {seconds:.2} s, {rate}/s{verified}", summary.target, BinaryBytes(summary.bytes))
}

/// A bar for the whole and a line for each connection.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    connections: Vec<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::no_length());
        total.set_style(style(UNMEASURED));
        Self { all, total, connections: Vec::new() }
    }

    fn show(&mut self, progress: &Progress<'_>) {
        if let Some(total) = progress.total.filter(|_| self.total.length() != progress.total) {
            self.total.set_length(total);
            self.total.set_style(style(MEASURED));
        }
        self.total.set_position(progress.done);
        self.total.set_message(rate_and_rest(progress));
        if progress.connections.len() < 2 {
            return;
        }
        while self.connections.len() < progress.connections.len().min(LINES) {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(style(CONNECTION));
            bar.set_prefix((self.connections.len() + 1).to_string());
            self.connections.push(bar);
        }
        for (bar, connection) in self.connections.iter().zip(progress.connections) {
            bar.set_message(match connection.activity {
                Activity::Receiving => format!("{}/s", BinaryBytes(connection.rate)),
                Activity::Idle => "idle".into(),
                Activity::Connecting => "connecting".into(),
                Activity::Waiting => "waiting for the server".into(),
                Activity::Pausing => "pausing before another try".into(),
                _ => "given up".into(),
            });
        }
    }
}

impl Observer for Bars {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Started { target, resumed, total, .. } = event {
            self.total.set_prefix(printable(&target.to_string()));
            self.show(&Progress { done: *resumed, total: *total, rate: 0, connections: &[] });
        }
        if let Event::Progress(progress) = event {
            self.show(progress);
        }
        if let Event::Finished(summary) = event {
            // A terminal that has gone is no reason to fail a download.
            let _ = self.all.clear();
            let _ = self.all.println(printable(&told(summary)));
        }
        if let Some(line) = line(event) {
            let _ = self.all.println(printable(&line));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // An error message follows: it must not run into half a bar.
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are the constants above, and a test reads each.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// One line for each tenth of the file or two seconds.
struct Lines {
    name: String,
    told_at: Instant,
    tenth: Option<u64>,
}

impl Lines {
    fn new() -> Self {
        Self { name: String::new(), told_at: Instant::now(), tenth: None }
    }

    /// The line for these counters, if it is time for one.
    fn progress(&mut self, progress: &Progress<'_>, now: Instant) -> Option<String> {
        let tenth = progress.total.filter(|total| *total > 0).map(|total| progress.done.saturating_mul(10) / total);
        if tenth <= self.tenth.or(Some(0)) && now.duration_since(self.told_at) < PACE {
            return None;
        }
        self.told_at = now;
        self.tenth = tenth;
        let done = match progress.total {
            Some(total) => {
                let percent = progress.done.saturating_mul(100) / total.max(1);
                format!("{percent} % of {}", BinaryBytes(total))
            }
            None => BinaryBytes(progress.done).to_string(),
        };
        Some(format!("{}: {done}, {}", self.name, rate_and_rest(progress)))
    }
}

impl Observer for Lines {
    fn observe(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Progress(progress) => self.progress(progress, Instant::now()),
            Event::Finished(summary) => Some(told(summary)),
            _ => line(event),
        };
        if let Event::Started { target, .. } = event {
            self.name = target.to_string();
        }
        if let Some(line) = line {
            tell(&line);
        }
    }
}

/// JSON lines on stdout.
pub(crate) struct Json;

impl Observer for Json {
    fn observe(&mut self, event: &Event<'_>) {
        let object = match event {
            Event::Started { url, target, resumed, total } => Object::event("started")
                .text("url", url)
                .text("output", &target.to_string())
                .number("resumed", resumed)
                .maybe("total", *total),
            Event::StartedOver(reason) => Object::event("started_over").text("reason", reason),
            Event::Progress(progress) => Object::event("progress")
                .number("done", progress.done)
                .maybe("total", progress.total)
                .number("rate", progress.rate)
                .list(
                    "connections",
                    progress.connections.iter().map(|connection| {
                        let activity = format!("{:?}", connection.activity).to_lowercase();
                        Object::new().text("activity", &activity).number("rate", connection.rate)
                    }),
                ),
            Event::Retry { connection, reason, wait } => Object::event("retry")
                .number("connection", connection)
                .text("reason", &reason.to_string())
                .number("wait_ms", wait.as_millis()),
            Event::SourceFailed { url, reason } => {
                Object::event("source_failed").text("url", url).text("reason", &reason.to_string())
            }
            Event::Redirected(url) => Object::event("redirected").text("url", url),
            Event::NoRanges => Object::event("no_ranges"),
            Event::Changed => Object::event("changed"),
            Event::Finished(summary) => {
                let object = Object::event("finished")
                    .text("output", &summary.target.to_string())
                    .number("bytes", summary.bytes)
                    .number("resumed", summary.resumed)
                    .number("seconds", summary.took.as_secs_f64());
                match summary.checksum {
                    Some(sum) => object.text("checksum", &sum.to_string()),
                    None => object,
                }
            }
            _ => return,
        };
        print(&object.finish());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_host::download::Target;

    fn progress(done: u64, total: Option<u64>) -> Progress<'static> {
        Progress { done, total, rate: 1 << 20, connections: &[] }
    }

    #[test]
    fn every_template_is_one() {
        for template in [MEASURED, UNMEASURED, CONNECTION] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn a_line_comes_for_each_tenth_or_two_seconds() {
        let mut lines = Lines { name: "f".into(), told_at: Instant::now(), tenth: None };
        let start = lines.told_at;
        let total = Some(100 << 20);
        assert_eq!(lines.progress(&progress(5 << 20, total), start), None);
        let line = lines.progress(&progress(10 << 20, total), start).unwrap();
        assert_eq!(line, "f: 10 % of 100.00 MiB, 1.00 MiB/s, 00:01:30 left");
        assert_eq!(lines.progress(&progress(19 << 20, total), start), None);
        assert!(lines.progress(&progress(19 << 20, total), start + PACE).is_some());
        assert_eq!(lines.progress(&progress(19 << 20, total), start + PACE), None);
    }

    #[test]
    fn an_unknown_length_is_told_by_time_alone() {
        let mut lines = Lines { name: "f".into(), told_at: Instant::now(), tenth: None };
        let start = lines.told_at;
        assert_eq!(lines.progress(&progress(1 << 30, None), start), None);
        assert_eq!(lines.progress(&progress(1 << 30, None), start + PACE).unwrap(), "f: 1.00 GiB, 1.00 MiB/s");
    }

    #[test]
    fn the_rate_at_the_end_is_of_what_was_fetched() {
        let summary = Summary {
            bytes: 3 << 20,
            resumed: 1 << 20,
            took: Duration::from_secs(2),
            checksum: None,
            target: Target::File("f".into()),
        };
        assert_eq!(told(&summary), "f: 3.00 MiB in 2.00 s, 1.00 MiB/s");
    }
}
