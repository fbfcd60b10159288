//! A scenario's file: its tables, as they are written, and what is wrong with them, with the line.

use core::fmt;
use core::net::IpAddr;
use core::ops::Range;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use tidemill_core::time::Duration;
use toml::Spanned;

use crate::fault::Fault;
use crate::mill::{RATES, SHARES, SIZES, TIMES, Units, quantity};

/// A text that is no scenario: where, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// The line, from 1; `None` when it is about the whole.
    pub line: Option<usize>,
    /// What is wrong there, and what is allowed.
    pub why: String,
}

impl ScenarioError {
    /// At this place of the text.
    pub(super) fn at(text: &str, place: &Range<usize>, why: impl Into<String>) -> Self {
        let before = text.get(..place.start).unwrap_or(text);
        Self { line: Some(before.matches('\n').count() + 1), why: why.into() }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl core::error::Error for ScenarioError {}

/// Reads the tables.
pub(super) fn read(text: &str) -> Result<File, ScenarioError> {
    toml::from_str(text).map_err(|error| match error.span() {
        // What is missing altogether is at no line.
        Some(span) if span.start > 0 || !error.message().starts_with("missing field") => {
            ScenarioError::at(text, &span, one_line(error.message()))
        }
        _ => ScenarioError { line: None, why: one_line(error.message()) },
    })
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) about: String,
    #[serde(default)]
    pub(super) medium: Medium,
    #[serde(rename = "host")]
    pub(super) hosts: Vec<Host>,
    #[serde(default, rename = "link")]
    pub(super) links: Vec<LinkTable>,
    #[serde(default, rename = "line")]
    pub(super) lines: Vec<LineTable>,
    pub(super) menu: Option<MenuTable>,
    /// What happens in every seed, as it stands in a plan.
    #[serde(default, rename = "fault")]
    pub(super) faults: Vec<Spanned<Fault>>,
    pub(super) must: Must,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Medium {
    #[default]
    Ip,
    Ethernet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) name: Spanned<String>,
    pub(super) address: Option<Spanned<IpAddr>>,
    /// So many of them: `name1`, `name2` and so on.
    #[serde(default, deserialize_with = "count")]
    pub(super) count: Option<u32>,
    /// Its sockets' buffers, each way.
    #[serde(default = "default_window", deserialize_with = "size")]
    pub(super) window: u64,
    pub(super) serve: Option<Serve>,
    pub(super) download: Option<Download>,
    pub(super) echo: Option<Nothing>,
    pub(super) shout: Option<Shout>,
    pub(super) greet: Option<Nothing>,
    pub(super) visit: Option<Visit>,
    pub(super) club: Option<Nothing>,
    pub(super) member: Option<Visit>,
    pub(super) transmit: Option<OfSize>,
    pub(super) receive: Option<OfSize>,
    pub(super) switch: Option<Nothing>,
}

/// A program without parameters: `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serve {
    #[serde(deserialize_with = "size")]
    pub(super) size: u64,
    #[serde(default = "default_places", deserialize_with = "connections")]
    pub(super) connections: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Download {
    pub(super) from: Spanned<String>,
    #[serde(default = "default_connections", deserialize_with = "connections")]
    pub(super) connections: usize,
    #[serde(default = "no_limit", deserialize_with = "size")]
    pub(super) receives_at_most: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shout {
    pub(super) to: Spanned<String>,
    #[serde(deserialize_with = "size")]
    pub(super) size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfSize {
    #[serde(deserialize_with = "size")]
    pub(super) size: u64,
}

/// A serial line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineTable {
    pub(super) between: [Spanned<String>; 2],
    #[serde(deserialize_with = "baud")]
    pub(super) baud: u32,
    #[serde(default, deserialize_with = "share")]
    pub(super) bit_errors: Option<u32>,
    #[serde(default, deserialize_with = "share")]
    pub(super) lost: Option<u32>,
    #[serde(default, deserialize_with = "share")]
    pub(super) inserted: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Visit {
    pub(super) to: Spanned<String>,
    pub(super) times: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    pub(super) between: [Spanned<String>; 2],
    #[serde(default)]
    pub(super) one_way: bool,
    #[serde(default, deserialize_with = "time")]
    pub(super) latency: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    pub(super) jitter: Option<Duration>,
    #[serde(default, deserialize_with = "rate")]
    pub(super) rate: Option<u64>,
    #[serde(default, deserialize_with = "optional_size")]
    pub(super) queue: Option<u64>,
    #[serde(default, deserialize_with = "share")]
    pub(super) loss: Option<u32>,
    pub(super) bursts: Option<Bursts>,
    #[serde(default, deserialize_with = "share")]
    pub(super) damage: Option<u32>,
    #[serde(default, deserialize_with = "share")]
    pub(super) reorder: Option<u32>,
    #[serde(default, deserialize_with = "share")]
    pub(super) duplicate: Option<u32>,
    #[serde(default, deserialize_with = "optional_size")]
    pub(super) mtu: Option<u64>,
    /// Whether each seed spoils it in its own way.
    #[serde(default)]
    pub(super) spoiled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bursts {
    #[serde(deserialize_with = "required_share")]
    pub(super) begin: u32,
    #[serde(deserialize_with = "required_time")]
    pub(super) longest: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MenuTable {
    #[serde(deserialize_with = "required_time")]
    pub(super) within: Duration,
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) links: Vec<[Spanned<String>; 2]>,
    /// Kinds that are not drawn.
    #[serde(default)]
    pub(super) without: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "time")]
    pub(super) heals_after: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Must {
    #[serde(deserialize_with = "required_time")]
    pub(super) finish_within: Duration,
    #[serde(default)]
    pub(super) sometimes: Vec<Spanned<String>>,
}

fn default_window() -> u64 {
    16 << 10
}

fn default_places() -> usize {
    24
}

fn default_connections() -> usize {
    4
}

fn no_limit() -> u64 {
    u64::MAX
}

/// What is read as text with a unit, and what it should look like.
fn with_unit<'de, D: Deserializer<'de>>(from: D, what: &str, units: Units, like: &str) -> Result<u64, D::Error> {
    // A number without quotes is what one writes first: it deserves more than "expected a string".
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        Number(u64),
        Other(IgnoredAny),
    }
    let text = match Given::deserialize(from)? {
        Given::Text(text) => text,
        Given::Number(number) => number.to_string(),
        Given::Other(_) => return Err(D::Error::custom(format!("this should be {what}, such as {like}"))),
    };
    quantity(&text, units).ok_or_else(|| D::Error::custom(format!("{text:?} is not {what}: write it like {like}")))
}

const TIME_LIKE: &str = "\"250us\", \"40ms\", \"1.5s\" or \"2min\"";

fn required_time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    with_unit(from, "a time", TIMES, TIME_LIKE).map(Duration::from_ticks)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    required_time(from).map(Some)
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    with_unit(from, "a size", SIZES, "1500, \"64KiB\" or \"1MB\"")
}

fn optional_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    size(from).map(Some)
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match with_unit(from, "a rate", RATES, "\"115200bps\", \"50mbps\" or \"1gbps\"")? {
        0 => Err(D::Error::custom("a rate of 0 lets nothing pass: leave it out for no limit")),
        rate => Ok(Some(rate)),
    }
}

fn required_share<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match with_unit(from, "a share", SHARES, "\"2%\" or \"150ppm\"")? {
        ppm @ 0..=1_000_000 => Ok(ppm as u32),
        _ => Err(D::Error::custom("a share is at most \"100%\"")),
    }
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    required_share(from).map(Some)
}

fn within<'de, D: Deserializer<'de>>(from: D, most: u32) -> Result<u32, D::Error> {
    let number = i64::deserialize(from)?;
    match u32::try_from(number) {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format!("{number} is not in 1..={most}"))),
    }
}

/// The most hosts that one table gives.
const COUNT_MAX: u32 = 1000;

/// The most connections of a download, or that a server has at once.
pub(super) const CONNECTIONS_MAX: u32 = 56;

fn baud<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    within(from, 100_000_000)
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    within(from, COUNT_MAX).map(Some)
}

fn connections<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    within(from, CONNECTIONS_MAX).map(|number| number as usize)
}
