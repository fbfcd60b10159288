//! `tidemill map`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tidemill_host::process::Exit;
use tidemill_host::process::commands::{self, Event, Halt, Options, Outcome, Stream, Summary};

use crate::args::{Map, When};
use crate::json::Object;
use crate::{Failure, interrupt, printable, tell};

const COUNTED: &str = "[{bar:30}] {pos} of {len}  {msg}";
const UNCOUNTED: &str = "{spinner} {pos} of {len} so far  {msg}";

/// How long it may take to end all that runs.
const PATIENCE: Duration = Duration::from_secs(3);

/// How much of a line is shown to a person.
const SHOWN: usize = 80;

/// Runs the command.
pub(crate) fn run(args: &Map) -> Result<(), Failure> {
    let mut options = Options::new(args.command.iter().cloned());
    if let Some(jobs) = args.jobs {
        options.jobs = jobs.into();
    }
    options.ordered = !args.unordered;
    options.retries = args.retries.into();
    options.timeout = args.timeout;
    options.halt = match args.halt {
        When::Never => Halt::Never,
        When::Soon => Halt::Soon,
        When::Now => Halt::Now,
    };
    // It is looked at ten times a second.
    options.stop = interrupt::flag_for_all(PATIENCE, commands::kill_all);
    let lines = io::stdin().lock();
    let done = if args.json {
        let mut cut = <[Vec<u8>; 2]>::default();
        commands::run(&options, lines, &mut |event: Event<'_>| json(&event, &mut cut))
    } else {
        let mut person = Person::new();
        commands::run(&options, lines, &mut |event: Event<'_>| person.tell(&event))
    };
    let summary = done.map_err(|error| Failure::Failed(format!("map: {error}")))?;
    if args.json {
        done_json(&summary).map_err(|error| Failure::Failed(format!("map: {error}")))?;
    }
    match summary {
        Summary { stopped: true, failed, ended, .. } => {
            Err(Failure::Failed(format!("map: stopped after {ended} lines, of which {failed} failed")))
        }
        Summary { failed: 0, .. } => Ok(()),
        Summary { failed, ended, .. } => Err(Failure::Failed(format!("map: {failed} of {ended} failed"))),
    }
}

/// Shows a person how far it is, where stderr is a terminal, and passes on what the commands say.
struct Person {
    bar: Option<ProgressBar>,
}

impl Person {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(style(UNCOUNTED));
            bar
        });
        Self { bar }
    }

    /// Prints, with no bar in the way.
    fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Said { stream, bytes, .. } => self.print(|| match stream {
                Stream::Out => pass_on(io::stdout().lock(), bytes),
                // When it is closed, the exit status still tells.
                Stream::Err => pass_on(io::stderr().lock(), bytes).or(Ok(())),
            })?,
            Event::Retry { line, outcome } => {
                self.print(|| tell(&format!("tidemill: map: line {line}: {outcome}; again")));
            }
            Event::Ended { line, text, outcome, .. } if !outcome.success() => {
                let text: String = String::from_utf8_lossy(text).chars().take(SHOWN).collect();
                self.print(|| tell(&format!("tidemill: map: line {line} ({text}): {outcome}")));
            }
            Event::Progress(summary) => {
                if let Some(bar) = &self.bar {
                    if summary.complete && bar.length() != Some(summary.lines) {
                        bar.set_style(style(COUNTED));
                    }
                    bar.set_length(summary.lines);
                    bar.set_position(summary.ended);
                    if summary.failed > 0 {
                        bar.set_message(printable(&format!("{} failed", summary.failed)));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are the constants above, and a test reads each.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn pass_on(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// `cut`: the bytes of a character whose rest is still to come, by stream. A line's words come together.
fn json(event: &Event<'_>, cut: &mut [Vec<u8>; 2]) -> io::Result<()> {
    let object = match event {
        Event::Started { line, pid } => Object::event("started").number("line", line).number("pid", pid),
        Event::Said { line, stream, bytes } => {
            let cut = &mut cut[usize::from(*stream == Stream::Err)];
            cut.extend_from_slice(bytes);
            let rest = cut.split_off(whole(cut));
            let bytes = std::mem::replace(cut, rest);
            return said(*line, *stream, &bytes);
        }
        Event::Retry { line, outcome } => {
            Object::event("retry").number("line", line).text("reason", &outcome.to_string())
        }
        Event::Ended { line, text, outcome, tries, took } => {
            for (bytes, stream) in cut.iter_mut().zip([Stream::Out, Stream::Err]) {
                said(*line, stream, &std::mem::take(bytes))?;
            }
            let code = match outcome {
                Outcome::Ended(exit @ (Exit::Code(_) | Exit::Signal(_))) => Some(exit.exitcode()),
                _ => None,
            };
            Object::event("ended")
                .number("line", line)
                .text("input", &String::from_utf8_lossy(text))
                .maybe("exitcode", code)
                .text("outcome", &outcome.to_string())
                .number("tries", tries)
                .number("seconds", took.as_secs_f64())
        }
        _ => return Ok(()),
    };
    pass_on(io::stdout().lock(), format!("{}\n", object.finish()).as_bytes())
}

fn said(line: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let object = Object::event("said")
        .number("line", line)
        .text("stream", if stream == Stream::Out { "stdout" } else { "stderr" })
        .text("text", &String::from_utf8_lossy(bytes));
    pass_on(io::stdout().lock(), format!("{}\n", object.finish()).as_bytes())
}

/// How many of the bytes come before a character whose end is not there.
fn whole(bytes: &[u8]) -> usize {
    let mut starts = (1..=bytes.len().min(3)).map(|back| bytes.len() - back);
    let is_cut = |from: &usize| {
        std::str::from_utf8(&bytes[*from..]).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    starts.find(is_cut).unwrap_or(bytes.len())
}

fn done_json(summary: &Summary) -> io::Result<()> {
    let object = Object::event("finished")
        .number("lines", summary.lines)
        .number("ended", summary.ended)
        .number("failed", summary.failed)
        .number("stopped", summary.stopped);
    pass_on(io::stdout().lock(), format!("{}\n", object.finish()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_whole_or_waits() {
        for (bytes, len) in [(&b""[..], 0), (b"ab", 2), (b"a\xe2", 1), (b"a\xe2\x82", 1), (b"a\xe2\x82\xac", 4)] {
            assert_eq!(whole(bytes), len, "{bytes:?}");
        }
        assert_eq!(
            (whole(b"a\xff"), whole(b"a\x82\x82"), whole(b"\xf0\x9f\x8c")),
            (2, 3, 0),
            "what is none never waits"
        );
    }

    #[test]
    fn every_template_is_one() {
        for template in [COUNTED, UNCOUNTED] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
