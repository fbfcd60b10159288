//! A plan: the seed and the faults of one run, as data that can be written down, edited, replayed and shrunk.
//!
//! A world does the same again from the same plan, because nothing else decides anything in it. Replayed faults may be
//! fewer than the seed once drew: each draw is keyed, so striking one leaves the fate of every frame as it was.
//!
//! ```
//! use tidemill_core::time::{Duration, EPOCH};
//! use tidemill_sim::fault::Fault;
//! use tidemill_sim::plan::Plan;
//!
//! let text = r#"
//! seed = 7
//!
//! [[fault]]
//! kind = "crash"
//! host = 0
//! at_us = 300000
//! off_for_us = 500000
//! "#;
//! let plan: Plan = text.parse()?;
//! assert_eq!(plan.seed, 7);
//! let Fault::Crash { at, off_for, .. } = plan.faults[0] else { panic!("a crash was planned") };
//! assert_eq!(at, EPOCH + Duration::from_millis(300));
//! assert_eq!(off_for, Some(Duration::from_millis(500)));
//! assert_eq!(plan.to_string().parse::<Plan>()?, plan);
//! # Ok::<(), tidemill_sim::plan::PlanError>(())
//! ```

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use tidemill_core::time::{Duration, Instant};

use crate::fault::Fault;
use crate::world::HostId;

/// What decides a run. As text it is TOML: `seed`, and a `[[fault]]` for each fault with its `kind`, the numbers of the
/// hosts (in the order in which they were made), and times in microseconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Of all that is drawn.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// A text that is no plan: where, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanError(String);

impl core::error::Error for PlanError {}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: Seed,
    #[serde(default, rename = "fault")]
    faults: Vec<Line>,
}

/// TOML's integers end at 2^63: beyond, a seed is written as text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Seed {
    Number(i64),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Crash {
        host: u32,
        at_us: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        off_for_us: Option<u64>,
    },
    Outage {
        link: [u32; 2],
        at_us: u64,
        lasts_us: u64,
    },
    Silence {
        link: [u32; 2],
        at_us: u64,
        lasts_us: u64,
    },
    Pause {
        host: u32,
        at_us: u64,
        lasts_us: u64,
    },
    Reset {
        link: [u32; 2],
        at_us: u64,
    },
}

impl From<Fault> for Line {
    fn from(fault: Fault) -> Self {
        let ends = |(from, to): (HostId, HostId)| [from.index(), to.index()];
        match fault {
            Fault::Crash { host, at, off_for } => Self::Crash {
                host: host.index(),
                at_us: at.as_ticks(),
                off_for_us: off_for.map(|span| span.as_ticks()),
            },
            Fault::Outage { link, at, lasts } => {
                Self::Outage { link: ends(link), at_us: at.as_ticks(), lasts_us: lasts.as_ticks() }
            }
            Fault::Silence { link, at, lasts } => {
                Self::Silence { link: ends(link), at_us: at.as_ticks(), lasts_us: lasts.as_ticks() }
            }
            Fault::Pause { host, at, lasts } => {
                Self::Pause { host: host.index(), at_us: at.as_ticks(), lasts_us: lasts.as_ticks() }
            }
            Fault::Reset { link, at } => Self::Reset { link: ends(link), at_us: at.as_ticks() },
        }
    }
}

impl From<Line> for Fault {
    fn from(line: Line) -> Self {
        let ends = |[from, to]: [u32; 2]| (HostId::new(from), HostId::new(to));
        match line {
            Line::Crash { host, at_us, off_for_us } => Self::Crash {
                host: HostId::new(host),
                at: Instant::from_ticks(at_us),
                off_for: off_for_us.map(Duration::from_ticks),
            },
            Line::Outage { link, at_us, lasts_us } => {
                Self::Outage { link: ends(link), at: Instant::from_ticks(at_us), lasts: Duration::from_ticks(lasts_us) }
            }
            Line::Silence { link, at_us, lasts_us } => Self::Silence {
                link: ends(link),
                at: Instant::from_ticks(at_us),
                lasts: Duration::from_ticks(lasts_us),
            },
            Line::Pause { host, at_us, lasts_us } => Self::Pause {
                host: HostId::new(host),
                at: Instant::from_ticks(at_us),
                lasts: Duration::from_ticks(lasts_us),
            },
            Line::Reset { link, at_us } => Self::Reset { link: ends(link), at: Instant::from_ticks(at_us) },
        }
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let file: File = toml::from_str(text).map_err(|error| PlanError(error.to_string().trim_end().into()))?;
        let seed = match file.seed {
            Seed::Number(number) => {
                u64::try_from(number).map_err(|_| PlanError(format!("seed {number} is negative")))?
            }
            Seed::Text(text) => {
                text.parse().map_err(|_| PlanError(format!("seed {text:?} is no number below 2^64")))?
            }
        };
        Ok(Self { seed, faults: file.faults.into_iter().map(Fault::from).collect() })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = i64::try_from(self.seed).map_or_else(|_| Seed::Text(self.seed.to_string()), Seed::Number);
        let file = File { seed, faults: self.faults.iter().copied().map(Line::from).collect() };
        // A time beyond 2^63 µs has no place in TOML.
        f.write_str(&toml::to_string(&file).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Menu, draw};

    #[test]
    fn every_plan_that_is_drawn_survives_being_written_down() {
        let (a, b) = (HostId::new(0), HostId::new(1));
        let menu = Menu { horizon: Duration::from_secs(5), hosts: vec![a, b], links: vec![(a, b), (b, a)] };
        for seed in (0..200).chain([u64::MAX, 1 << 63, (1 << 63) - 1]) {
            let plan = Plan { seed, faults: draw(seed, &menu) };
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        let forever = Fault::Crash { host: b, at: Instant::from_ticks(1), off_for: None };
        let plan = Plan { seed: 1, faults: vec![forever] };
        assert_eq!(plan.to_string().parse(), Ok(plan));
    }

    #[test]
    fn what_is_wrong_in_a_plan_is_told_with_its_place() {
        for (text, what) in [
            ("", "missing field `seed`"),
            ("seed = -1", "seed -1 is negative"),
            ("seed = \"many\"", "seed \"many\" is no number below 2^64"),
            ("seed = 1\nsede = 2", "unknown field `sede`"),
            ("seed = 1\n[[fault]]\nkind = \"flood\"\nat_us = 1", "unknown variant `flood`"),
            ("seed = 1\n[[fault]]\nkind = \"reset\"\nlink = [0, 1]", "missing field `at_us`"),
            ("seed = 1\n[[fault]]\nkind = \"reset\"\nlink = [0]\nat_us = 1", "invalid length 1"),
        ] {
            let error = text.parse::<Plan>().unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
        assert!("seed = 1\nsede = 2".parse::<Plan>().unwrap_err().to_string().contains("line 2"));
    }
}
