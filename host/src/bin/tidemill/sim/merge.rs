//! `tidemill sim merge`: the reports of a sweep's parts, as one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Seeds;
use crate::Failure;
use crate::json::Object;

/// How a sweep, or a part of one, ended: the line with which its JSON ends.
#[derive(Deserialize, Clone, PartialEq, Debug)]
pub(super) struct Ended {
    pub(super) scenario: String,
    /// All seeds of the sweep.
    pub(super) sweep: String,
    /// Those of this part.
    pub(super) seeds: String,
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The first of them.
    pub(super) failures: Vec<Failed>,
    /// In how many worlds each thing was seen that must be seen in one.
    pub(super) marks: Vec<Mark>,
    /// Of the wall clock; of all parts together.
    pub(super) seconds: f64,
}

#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Failed {
    pub(super) seed: u64,
    pub(super) why: String,
}

#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) what: String,
    pub(super) worlds: u64,
}

/// How many failures a report names.
pub(super) const FAILURES_MAX: usize = 100;

impl Ended {
    /// As a line of JSON. What was seen nowhere is judged where the sweep is whole.
    pub(super) fn line(&self, whole: bool) -> String {
        Object::event("finished")
            .text("scenario", &self.scenario)
            .text("sweep", &self.sweep)
            .text("seeds", &self.seeds)
            .number("passed", self.passed)
            .number("failed", self.failed)
            .list(
                "failures",
                self.failures.iter().map(|each| Object::new().number("seed", each.seed).text("why", &each.why)),
            )
            .list(
                "marks",
                self.marks.iter().map(|mark| Object::new().text("what", &mark.what).number("worlds", mark.worlds)),
            )
            .number("seconds", self.seconds)
            .text("verdict", if self.verdict(whole).is_ok() { "passed" } else { "failed" })
            .finish()
    }

    /// What no world saw.
    pub(super) fn unseen(&self) -> Vec<&str> {
        self.marks.iter().filter(|mark| mark.worlds == 0).map(|mark| mark.what.as_str()).collect()
    }

    /// Why the sweep failed, if it did.
    pub(super) fn verdict(&self, whole: bool) -> Result<(), Failure> {
        let all = self.passed + self.failed;
        if self.failed > 0 {
            return Err(Failure::Failed(format!("{}: {} of {all} seeds failed", self.scenario, self.failed)));
        }
        let unseen = self.unseen();
        if whole && all > 0 && !unseen.is_empty() {
            let unseen = unseen.join(", nor of ");
            return Err(Failure::Failed(format!(
                "{}: {all} seeds passed, but that proves little: none of them had a case of {unseen}",
                self.scenario
            )));
        }
        Ok(())
    }
}

/// Reads the files, and joins what they say.
pub(super) fn merge(files: &[PathBuf]) -> Result<Ended, Failure> {
    let mut parts = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(path).map_err(|why| Failure::Failed(format!("{}: {why}", path.display())))?;
        parts
            .push((path.as_path(), ended(&text).map_err(|why| Failure::Failed(format!("{}: {why}", path.display())))?));
    }
    join(parts).map_err(Failure::Failed)
}

/// The end of a sweep's JSON lines.
fn ended(text: &str) -> Result<Ended, String> {
    #[derive(Deserialize)]
    struct Line {
        event: String,
    }
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).ok_or("there is nothing in it")?;
    let line: Line = serde_json::from_str(last).map_err(|_| "its last line is not of 'tidemill sim --json'")?;
    if line.event != "finished" {
        return Err(format!("its last line is {:?}, not \"finished\": the sweep did not end", line.event));
    }
    serde_json::from_str(last).map_err(|why| format!("its last line: {why}"))
}

fn join(parts: Vec<(&Path, Ended)>) -> Result<Ended, String> {
    let mut ranges: Vec<(Range<u64>, &Path)> = Vec::new();
    let mut whole: Option<Ended> = None;
    let mut marks: BTreeMap<String, u64> = BTreeMap::new();
    let mut seconds = 0.0;
    for (path, part) in parts {
        let range = |text: &str| text.parse::<Seeds>().map_err(|why| format!("{}: {text}: {why}", path.display()));
        ranges.push((range(&part.seeds)?.0, path));
        range(&part.sweep)?;
        for mark in &part.marks {
            let sum = marks.entry(mark.what.clone()).or_default();
            *sum = sum.saturating_add(mark.worlds);
        }
        seconds += part.seconds;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) if (&whole.scenario, &whole.sweep) == (&part.scenario, &part.sweep) => {
                whole.passed = whole.passed.saturating_add(part.passed);
                whole.failed = whole.failed.saturating_add(part.failed);
                whole.failures.extend(part.failures);
            }
            Some(whole) => {
                return Err(format!(
                    "{} is of {} over {}, the others of {} over {}",
                    path.display(),
                    part.scenario,
                    part.sweep,
                    whole.scenario,
                    whole.sweep
                ));
            }
        }
    }
    let mut whole = whole.ok_or("no files")?;
    let Seeds(all) = whole.sweep.parse()?;
    ranges.sort_by_key(|(range, _)| (range.start, range.end));
    let mut next = all.start;
    for (range, path) in ranges.into_iter().filter(|(range, _)| !range.is_empty()) {
        if range.start < next {
            return Err(format!(
                "{}: its seeds {}..{} are in another file, too",
                path.display(),
                range.start,
                range.end
            ));
        }
        if range.start > next {
            return Err(format!("the seeds {next}..{} are in none of the files", range.start));
        }
        next = range.end;
    }
    if next < all.end {
        return Err(format!("the seeds {next}..{} are in none of the files", all.end));
    }
    whole.seeds.clone_from(&whole.sweep);
    whole.failures.sort_unstable();
    whole.failures.truncate(FAILURES_MAX);
    whole.marks = marks.into_iter().map(|(what, worlds)| Mark { what, worlds }).collect();
    whole.seconds = seconds;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(seeds: &str, failed: &[u64], crashes: u64) -> Ended {
        let Seeds(range) = seeds.parse().unwrap();
        let failures = failed.iter().map(|&seed| Failed { seed, why: "x".into() }).collect();
        Ended {
            scenario: "download".into(),
            sweep: "0..30".into(),
            seeds: seeds.into(),
            passed: range.end - range.start - failed.len() as u64,
            failed: failed.len() as u64,
            failures,
            marks: vec![Mark { what: "crash".into(), worlds: crashes }],
            seconds: 1.5,
        }
    }

    fn joined(parts: &[Ended]) -> Result<Ended, String> {
        join(parts.iter().map(|part| (Path::new("f"), part.clone())).collect())
    }

    #[test]
    fn parts_in_any_order_are_the_whole_and_what_one_saw_was_seen() {
        let whole = joined(&[part("20..30", &[25], 0), part("0..10", &[3], 0), part("10..20", &[], 2)]).unwrap();
        assert_eq!((whole.passed, whole.failed, whole.seeds.as_str()), (28, 2, "0..30"));
        assert_eq!(whole.failures.iter().map(|each| each.seed).collect::<Vec<_>>(), [3, 25]);
        assert!(whole.unseen().is_empty() && (4.4..4.6).contains(&whole.seconds));
        assert!(matches!(whole.verdict(true), Err(Failure::Failed(why)) if why == "download: 2 of 30 seeds failed"));
    }

    #[test]
    fn what_none_saw_is_told_of_the_whole_alone() {
        let whole = joined(&[part("0..10", &[], 0), part("10..30", &[], 0)]).unwrap();
        assert!(whole.verdict(false).is_ok());
        let Err(Failure::Failed(why)) = whole.verdict(true) else { panic!("vacuous") };
        assert_eq!(why, "download: 30 seeds passed, but that proves little: none of them had a case of crash");
    }

    #[test]
    fn a_part_that_is_missing_or_there_twice_or_of_something_else_is_told() {
        let why = |parts: &[Ended]| joined(parts).unwrap_err();
        assert_eq!(why(&[part("0..10", &[], 1), part("20..30", &[], 1)]), "the seeds 10..20 are in none of the files");
        assert_eq!(why(&[part("0..20", &[], 1)]), "the seeds 20..30 are in none of the files");
        assert_eq!(
            why(&[part("0..20", &[], 1), part("10..30", &[], 1)]),
            "f: its seeds 10..30 are in another file, too"
        );
        let other = Ended { scenario: "echo".into(), ..part("10..30", &[], 1) };
        assert_eq!(why(&[part("0..10", &[], 1), other]), "f is of echo over 0..30, the others of download over 0..30");
        assert_eq!(why(&[]), "no files");
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_nothing_else_is() {
        let part = part("0..10", &[7], 3);
        assert_eq!(ended(&format!("{{\"event\":\"started\"}}\n{}\n", part.line(false))), Ok(part));
        for (text, why) in [
            ("", "there is nothing in it"),
            ("hello", "its last line is not of 'tidemill sim --json'"),
            ("{\"event\":\"progress\"}", "its last line is \"progress\", not \"finished\": the sweep did not end"),
        ] {
            assert_eq!(ended(text), Err(why.to_owned()));
        }
        assert!(ended("{\"event\":\"finished\"}").unwrap_err().starts_with("its last line: missing field"));
    }
}
