//! How a sweep is shown: a bar on a terminal, lines elsewhere, JSON for programs.

use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, HumanCount, ProgressBar, ProgressStyle};
use tidemill_sim::check::Explained;

use super::merge::{Ended, Failed};
use super::shard::Shard;
use crate::json::Object;
use crate::{print, printable, tell};

/// Lines come at least this far apart.
const PACE: Duration = Duration::from_secs(2);

const BAR: &str = "{prefix} [{bar:30}] {percent:>3} %  {msg}";

/// Tells what becomes of a sweep.
pub(super) struct Show {
    json: bool,
    quiet: bool,
    all: u64,
    bar: Option<ProgressBar>,
    told_at: Mutex<Instant>,
    /// Held while something of several lines is told: worlds fail side by side.
    aside: Mutex<()>,
}

impl Show {
    pub(super) fn new(json: bool, quiet: bool, all: u64) -> Self {
        let bar = (!json && !quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(all);
            // The template is the constant above, and a test reads it.
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        Self { json, quiet, all, bar, told_at: Mutex::new(Instant::now()), aside: Mutex::new(()) }
    }

    pub(super) fn started(&self, scenario: &str, seeds: &Range<u64>, shard: Option<Shard>, jobs: usize) {
        if self.json {
            let object = Object::event("started")
                .text("scenario", scenario)
                .text("seeds", &format!("{}..{}", seeds.start, seeds.end))
                .number("jobs", jobs);
            let object = match shard {
                Some(Shard { index, count }) => object.text("shard", &format!("{index}/{count}")),
                None => object,
            };
            print(&object.finish());
        }
        if let Some(bar) = &self.bar {
            bar.set_prefix(printable(scenario));
        }
    }

    /// Shows how far it is, if it is time to.
    pub(super) fn progress(&self, done: u64, failed: u64, elapsed: Duration) {
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-6);
        let left = (rate > 0.0).then(|| Duration::try_from_secs_f64((self.all - done) as f64 / rate).ok()).flatten();
        let words = || {
            let left = left.map_or_else(String::new, |left| format!(", {} left", FormattedDuration(left)));
            let failed = if failed > 0 { format!(", {} failed", HumanCount(failed)) } else { String::new() };
            format!("{} seeds, {} seeds/s{left}{failed}", HumanCount(done), HumanCount(rate as u64))
        };
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(words());
            return;
        }
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.elapsed() < PACE {
            return;
        }
        *told_at = Instant::now();
        if self.json {
            let object = Object::event("progress").number("done", done).number("all", self.all);
            print(&object.number("failed", failed).number("rate", rate as u64).finish());
        } else if !self.quiet {
            tell(&words());
        }
    }

    /// Prints above the bar, if there is one, and nothing else at the same time.
    fn aside(&self, print: impl FnOnce()) {
        let _one_at_a_time = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn failed(&self, failure: &Failed) {
        // In JSON the last line has them.
        if !self.json {
            self.aside(|| failed(failure));
        }
    }

    pub(super) fn explained(&self, explained: &Explained) {
        self.aside(|| self::explained(self.json, explained));
    }

    pub(super) fn ended(&self, end: &Ended, judged: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.json {
            print(&end.line(judged));
        } else if !self.quiet {
            ended(end);
        }
    }
}

/// A failure that is not explained.
pub(super) fn failed(failure: &Failed) {
    print(&format!("seed {}: {}", failure.seed, printable(&failure.why)));
}

/// A failure, shrunk, and where more about it lies.
pub(super) fn explained(json: bool, explained: &Explained) {
    let (shrunk, plan) = (&explained.shrunk, explained.shrunk.plan.to_string());
    if json {
        let object = Object::event("failure")
            .number("seed", shrunk.plan.seed)
            .text("why", &shrunk.why)
            .number("faults", explained.faults)
            .number("left", shrunk.plan.faults.len())
            .number("runs", shrunk.runs)
            .number("replays", explained.replays)
            .text("plan", &plan);
        let object = match &explained.folder {
            Ok(folder) => object.text("folder", &folder.display().to_string()),
            Err(why) => object.text("unwritten", &why.to_string()),
        };
        return print(&object.finish());
    }
    let (seed, left) = (shrunk.plan.seed, shrunk.plan.faults.len());
    print(&format!("seed {seed}: {}", printable(&shrunk.why)));
    if left == 0 {
        print(&format!("  {} faults, none of which matters (found in {} runs)", explained.faults, shrunk.runs));
    } else {
        print(&format!("  {} faults, of which {left} matter (found in {} runs):", explained.faults, shrunk.runs));
        if let Some(legend) = explained.legend() {
            print(&format!("    {legend}"));
        }
        plan.lines().filter(|line| !line.is_empty()).for_each(|line| print(&format!("    {line}")));
    }
    if !explained.replays {
        print("  the plan alone does not fail, only the seed does");
    }
    match &explained.folder {
        Ok(folder) => {
            print(&format!("  look at  {}/report.html", folder.display()));
            print(&format!("  replay   {}/repro.sh\n", folder.display()));
        }
        Err(why) => print(&format!("  nothing could be written: {why}\n")),
    }
}

/// The end of a sweep.
pub(super) fn ended(end: &Ended) {
    let all = end.passed + end.failed;
    let rate = all as f64 / end.seconds.max(1e-6);
    print(&format!(
        "{}: {} seeds passed, {} failed, in {:.2} s: {} seeds/s",
        end.scenario,
        HumanCount(end.passed),
        HumanCount(end.failed),
        end.seconds,
        HumanCount(rate as u64)
    ));
    if !end.marks.is_empty() {
        let marks: Vec<String> =
            end.marks.iter().map(|mark| format!("{} in {}", mark.what, HumanCount(mark.worlds))).collect();
        print(&format!("seen: {}", marks.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        ProgressStyle::with_template(BAR).unwrap();
    }
}
