//! Which part of a sweep is this machine's: `I/N`, or what the engine that spread the work says in its environment.

use std::ops::Range;
use std::str::FromStr;

/// Part `index` of `count`, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shard {
    pub(crate) index: u64,
    pub(crate) count: u64,
}

/// What `--shard` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// This one.
    Given(Shard),
    /// The one that the environment names; of so many, if it does not say of how many.
    Auto(Option<u64>),
}

/// An engine's variables: its name, the index, the first index, how many there are.
struct Engine {
    name: &'static str,
    index: &'static str,
    first: First,
    count: &'static str,
}

enum First {
    Is(u64),
    Variable(&'static str),
}

/// Engines that number the copies of a job. One whose `count` is empty never says how many there are.
const ENGINES: &[Engine] = &[
    Engine {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        first: First::Variable("SLURM_ARRAY_TASK_MIN"),
        count: "SLURM_ARRAY_TASK_COUNT",
    },
    Engine { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", first: First::Is(0), count: "" },
    Engine { name: "GitLab", index: "CI_NODE_INDEX", first: First::Is(1), count: "CI_NODE_TOTAL" },
    Engine { name: "CircleCI", index: "CIRCLE_NODE_INDEX", first: First::Is(0), count: "CIRCLE_NODE_TOTAL" },
    Engine {
        name: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        first: First::Is(0),
        count: "BUILDKITE_PARALLEL_JOB_COUNT",
    },
    Engine {
        name: "Azure Pipelines",
        index: "SYSTEM_JOBPOSITIONINPHASE",
        first: First::Is(1),
        count: "SYSTEM_TOTALJOBSINPHASE",
    },
    Engine {
        name: "Bitbucket",
        index: "BITBUCKET_PARALLEL_STEP",
        first: First::Is(0),
        count: "BITBUCKET_PARALLEL_STEP_COUNT",
    },
    Engine { name: "Semaphore", index: "SEMAPHORE_JOB_INDEX", first: First::Is(1), count: "SEMAPHORE_JOB_COUNT" },
    Engine { name: "Cloud Run", index: "CLOUD_RUN_TASK_INDEX", first: First::Is(0), count: "CLOUD_RUN_TASK_COUNT" },
    Engine { name: "Google Batch", index: "BATCH_TASK_INDEX", first: First::Is(0), count: "BATCH_TASK_COUNT" },
    Engine {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        first: First::Is(0),
        count: "AWS_BATCH_JOB_ARRAY_SIZE",
    },
    Engine { name: "PBS", index: "PBS_ARRAY_INDEX", first: First::Is(0), count: "" },
];

impl Shard {
    fn new(index: u64, count: u64) -> Result<Self, String> {
        if index < count {
            return Ok(Self { index, count });
        }
        Err(match count {
            0 => "there are no parts".into(),
            _ => format!("there is no part {index} of {count}: they are numbered 0 to {}", count - 1),
        })
    }

    /// This part of a range: as long as every other, give or take one.
    pub(crate) fn of(self, seeds: &Range<u64>) -> Range<u64> {
        let len = u128::from(seeds.end.saturating_sub(seeds.start));
        // It is at most `len`, and so fits.
        let place = |index: u64| seeds.start + (len * u128::from(index) / u128::from(self.count)) as u64;
        place(self.index)..place(self.index + 1)
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let like = "expected I/N such as 0/4 for the first of four, auto, or auto/N";
        let number = |text: &str| text.parse::<u64>().map_err(|_| like.to_owned());
        match text.split_once('/') {
            None if text == "auto" => Ok(Self::Auto(None)),
            None => Err(like.into()),
            Some(("auto", count)) => Ok(Self::Auto(Some(number(count)?))),
            Some((index, count)) => Shard::new(number(index)?, number(count)?).map(Self::Given),
        }
    }
}

impl Asked {
    /// The part, with the help of the environment.
    pub(crate) fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
        let asked = match self {
            Self::Given(shard) => return Ok(shard),
            Self::Auto(asked) => asked,
        };
        let Some((engine, index)) = ENGINES.iter().find_map(|engine| Some((engine, variable(engine.index)?))) else {
            let known = ENGINES.iter().map(|engine| engine.index).collect::<Vec<_>>().join(", ");
            return Err(format!("--shard auto: none of {known} is set: say --shard I/N"));
        };
        let number = |name: &str, value: String| {
            value.trim().parse::<u64>().map_err(|_| format!("--shard auto: {name}={value} is no number"))
        };
        let told = match variable(engine.count) {
            Some(count) => Some(number(engine.count, count)?),
            None => None,
        };
        let count = asked.or(told).ok_or_else(|| {
            format!(
                "--shard auto: {} says which part ({}={index}) but not of how many: say auto/N",
                engine.name, engine.index
            )
        })?;
        let first = match engine.first {
            First::Is(first) => first,
            First::Variable(name) => variable(name).map_or(Ok(0), |first| number(name, first))?,
        };
        let index = number(engine.index, index)?;
        let part =
            index.checked_sub(first).ok_or_else(|| format!("--shard auto: {} numbers from {first}", engine.name))?;
        Shard::new(part, count).map_err(|why| format!("--shard auto: {}: {why}", engine.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(text: &str, variables: &[(&str, &str)]) -> Result<Shard, String> {
        let find = |name: &str| Some(variables.iter().find(|(each, _)| *each == name)?.1.to_owned());
        text.parse::<Asked>().unwrap().resolve(find)
    }

    #[test]
    fn parts_cover_the_range_once() {
        for (seeds, count) in [(0..1000, 3), (7..8, 5), (0..0, 2), (0..u64::MAX, 7), (5..12, 7)] {
            let mut next = seeds.start;
            for index in 0..count {
                let part = Shard { index, count }.of(&seeds);
                assert_eq!(part.start, next);
                assert!((part.end - part.start).abs_diff((seeds.end - seeds.start) / count) <= 1);
                next = part.end;
            }
            assert_eq!(next, seeds.end);
        }
    }

    #[test]
    fn a_part_is_told_by_two_numbers_from_0() {
        assert_eq!("2/3".parse(), Ok(Asked::Given(Shard { index: 2, count: 3 })));
        for (text, why) in [("3/3", "there is no part 3 of 3: they are numbered 0 to 2"), ("0/0", "there are no parts")]
        {
            assert_eq!(text.parse::<Asked>(), Err(why.to_owned()));
        }
        for text in ["", "3", "a/b", "-1/2", "auto/", "1/2/3", "auto/x"] {
            assert!(text.parse::<Asked>().unwrap_err().starts_with("expected I/N"), "{text}");
        }
    }

    #[test]
    fn every_engine_s_variables_are_read() {
        let part = |index, count| Ok(Shard { index, count });
        let slurm = [("SLURM_ARRAY_TASK_ID", "13"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        assert_eq!(auto("auto", &slurm), part(3, 4));
        assert_eq!(auto("auto/8", &[("JOB_COMPLETION_INDEX", "5")]), part(5, 8));
        assert_eq!(auto("auto", &[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "2")]), part(0, 2));
        assert_eq!(auto("auto", &[("CIRCLE_NODE_INDEX", "1"), ("CIRCLE_NODE_TOTAL", "2")]), part(1, 2));
        for engine in ENGINES.iter().filter(|engine| !engine.count.is_empty()) {
            assert_eq!(auto("auto", &[(engine.index, "1"), (engine.count, "9")]).unwrap().count, 9, "{}", engine.name);
        }
    }

    #[test]
    fn what_the_environment_does_not_say_is_asked_for() {
        let why = |text: &str, variables: &[(&str, &str)]| auto(text, variables).unwrap_err();
        assert!(why("auto", &[]).ends_with("is set: say --shard I/N"));
        assert_eq!(
            why("auto", &[("JOB_COMPLETION_INDEX", "5")]),
            "--shard auto: Kubernetes says which part (JOB_COMPLETION_INDEX=5) but not of how many: say auto/N"
        );
        assert_eq!(
            why("auto/3", &[("JOB_COMPLETION_INDEX", "x")]),
            "--shard auto: JOB_COMPLETION_INDEX=x is no number"
        );
        assert_eq!(why("auto/3", &[("CI_NODE_INDEX", "0")]), "--shard auto: GitLab numbers from 1");
        assert!(why("auto/3", &[("CI_NODE_INDEX", "4")]).contains("GitLab: there is no part 3 of 3"));
    }
}
