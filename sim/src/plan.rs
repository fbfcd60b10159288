//! A plan: the seed and the faults of one run, as data that can be written down, edited, replayed and shrunk.
//!
//! [`World::replay`](crate::world::World::replay) lets happen what a plan lists, and nothing else: where the seed drew
//! the loss of a frame, the plan names that frame. So a plan can be edited until only what matters is left. Delays
//! within a link's jitter are no faults, and stay the seed's.
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

use crate::fault::Fault;
use serde::{Deserialize, Serialize};

/// What decides a run. As text it is TOML: `seed`, and a `[[fault]]` for each fault with its `kind`, the numbers of the
/// hosts (in the order in which they were made), and times in microseconds. See [`Fault`].
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
    faults: Vec<Fault>,
}

/// TOML's integers end at 2^63: beyond, a seed is written as text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Seed {
    Number(i64),
    Text(String),
}

/// Times as numbers of µs.
macro_rules! as_ticks {
    ($name:ident, $type:ty) => {
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub(crate) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u64(value.as_ticks())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                u64::deserialize(from).map(<$type>::from_ticks)
            }
        }
    };
}

as_ticks!(instant, tidemill_core::time::Instant);
as_ticks!(duration, tidemill_core::time::Duration);

/// A time in µs that need not be there.
pub(crate) mod duration_or_none {
    use serde::{Deserializer, Serializer};
    use tidemill_core::time::Duration;

    #[expect(clippy::ref_option, reason = "serde hands over fields as they are")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(span) => super::duration::serialize(span, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        super::duration::deserialize(from).map(Some)
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
        Ok(Self { seed, faults: file.faults })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = i64::try_from(self.seed).map_or_else(|_| Seed::Text(self.seed.to_string()), Seed::Number);
        let file = File { seed, faults: self.faults.clone() };
        // A time beyond 2^63 µs has no place in TOML.
        f.write_str(&toml::to_string(&file).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Menu, draw};
    use crate::world::HostId;
    use tidemill_core::time::{Duration, Instant};

    #[test]
    fn every_plan_that_is_drawn_survives_being_written_down() {
        let (a, b) = (HostId::new(0), HostId::new(1));
        let menu = Menu { horizon: Duration::from_secs(5), hosts: vec![a, b], links: vec![(a, b), (b, a)] };
        for seed in (0..200).chain([u64::MAX, 1 << 63, (1 << 63) - 1]) {
            let plan = Plan { seed, faults: draw(seed, &menu) };
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        let link = (a, b);
        let span = Duration::from_ticks(9);
        let faults = vec![
            Fault::Drop { link, frame: 1 },
            Fault::Flip { link, frame: 2, bit: 77 },
            Fault::Cut { link, frame: 3, len: 5 },
            Fault::Delay { link, frame: 4, by: span },
            Fault::Duplicate { link, frame: 5, after: span },
        ];
        let plan = Plan { seed: 1, faults };
        assert_eq!(plan.to_string().parse(), Ok(plan));
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
