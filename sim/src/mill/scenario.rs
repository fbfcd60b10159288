//! Scenarios as URLs: `sim://HOST/SIZE?rtt=40ms&loss=1%&rate=50mbps&seed=7`.

use core::fmt;
use core::str::FromStr;

use tidemill_core::time::Duration;
use tidemill_core::url::{self, Uri};

use crate::link::Link;

/// A simulated download: how large the file is, and what the network is like.
///
/// | part | example | default |
/// |---|---|---|
/// | host | `mill` | none: it must be there |
/// | path: the file's size | `1234`, `16MiB`, `1.5GB` | none: it must be there |
/// | `rtt`: there and back | `40ms`, `250us`, `1.5s` | `10ms` |
/// | `jitter`: added to one way, up to | `5ms` | none |
/// | `loss` of frames, each way | `1%`, `0.02%`, `500ppm` | none |
/// | `rate`, each way | `50mbps`, `1.5gbps`, `9600bps` | no limit |
/// | `queue` before the rate | `64KiB` | `256KiB` |
/// | `seed` of all randomness | `7` | `0` |
///
/// ```
/// use tidemill_sim::mill::{Scenario, ScenarioError};
/// let scenario: Scenario = "sim://mill/16MiB?rtt=40ms&loss=1%&rate=50mbps&seed=7".parse()?;
/// assert_eq!((scenario.size, scenario.seed), (16 << 20, 7));
/// assert_eq!(scenario.http_url(), "http://mill/16MiB");
/// let error = "sim://mill/16MiB?los=1%".parse::<Scenario>().unwrap_err();
/// assert_eq!(error.to_string(), "unknown parameter los: there are rtt, jitter, loss, rate, queue and seed");
/// # Ok::<(), ScenarioError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// The server's name.
    pub host: String,
    /// The path of its file, with the first slash.
    pub path: String,
    /// The file's size in bytes.
    pub size: u64,
    /// From one host to the other and back.
    pub rtt: Duration,
    /// Each way; queue, rate and loss.
    pub link: Link,
    /// Of the file's bytes and of all that happens.
    pub seed: u64,
}

/// Why a text is no [`Scenario`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It is no URL.
    Url(url::Error),
    /// Its scheme is not `sim`.
    Scheme,
    /// Before the path stands something else than a host's name.
    Host,
    /// After the host stands something else than one size.
    Size(String),
    /// It has a fragment.
    Fragment,
    /// There is no such parameter.
    Unknown(String),
    /// A parameter is there twice.
    Repeated(&'static str),
    /// A parameter's value cannot be read, or is out of range.
    Value {
        /// Which parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should look like.
        like: &'static str,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Scheme => f.write_str("not a sim: URL"),
            Self::Host => f.write_str("a sim: URL begins with a host's name, as in sim://mill/16MiB"),
            Self::Size(path) => write!(f, "{path:?} is not a size: use 1234, 16MiB or 1GB"),
            Self::Fragment => f.write_str("a sim: URL has no fragment"),
            Self::Unknown(name) => {
                write!(f, "unknown parameter {name}: there are rtt, jitter, loss, rate, queue and seed")
            }
            Self::Repeated(name) => write!(f, "parameter {name} is there twice"),
            Self::Value { name, value, like } => write!(f, "{name}={value} is out of range or not like {like}"),
        }
    }
}

impl core::error::Error for ScenarioError {}

/// Units by their names, as multiples of the smallest.
pub(crate) type Units = &'static [(&'static str, u64)];

/// Bytes; units as multiples of one byte.
pub(crate) const SIZES: Units = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
/// Times, as multiples of 1 µs.
pub(crate) const TIMES: Units = &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("min", 60_000_000)];
/// Shares, in parts per million.
pub(crate) const SHARES: Units = &[("ppm", 1), ("%", 10_000)];
/// Rates, in bits per second.
pub(crate) const RATES: Units = &[("bps", 1), ("kbps", 1_000), ("mbps", 1_000_000), ("gbps", 1_000_000_000)];
/// A plain number.
const NUMBER: Units = &[("", 1)];

/// Longest time a parameter may give, in µs: an hour.
const TIME_MAX: u64 = 3_600_000_000;

/// A parameter: its name, its units, the least and most it may be, and what it looks like.
type Parameter = (&'static str, Units, u64, u64, &'static str);

const RTT: Parameter = ("rtt", TIMES, 0, TIME_MAX, "40ms");
const JITTER: Parameter = ("jitter", TIMES, 0, TIME_MAX, "5ms");
const LOSS: Parameter = ("loss", SHARES, 0, 1_000_000, "1%");
const RATE: Parameter = ("rate", RATES, 1, u64::MAX, "50mbps");
const QUEUE: Parameter = ("queue", SIZES, 0, u64::MAX, "64KiB");
const SEED: Parameter = ("seed", NUMBER, 0, u64::MAX, "7");

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let uri = Uri::parse(text).map_err(ScenarioError::Url)?;
        if !uri.scheme().is_some_and(|scheme| scheme.eq_ignore_ascii_case("sim")) {
            return Err(ScenarioError::Scheme);
        }
        // The name alone: no user, no port.
        let host = uri.host().filter(|host| !host.is_empty() && uri.authority() == Some(host));
        let host = host.ok_or(ScenarioError::Host)?;
        let path = uri.path();
        let size = path.strip_prefix('/').and_then(|size| quantity(size, SIZES));
        let size = size.ok_or_else(|| ScenarioError::Size(path.into()))?;
        if uri.fragment().is_some() {
            return Err(ScenarioError::Fragment);
        }
        let parameters = Parameters::new(uri.query().unwrap_or(""))?;
        let mut link = Link::new();
        if let Some(micros) = parameters.get(JITTER)? {
            link = link.jitter(Duration::from_ticks(micros));
        }
        if let Some(ppm) = parameters.get(LOSS)? {
            link = link.loss_ppm(ppm as u32);
        }
        if let Some(rate) = parameters.get(RATE)? {
            link = link.rate_bps(rate);
        }
        if let Some(bytes) = parameters.get(QUEUE)? {
            link = link.queue_bytes(bytes);
        }
        let rtt = parameters.get(RTT)?.map_or(Duration::from_millis(10), Duration::from_ticks);
        let seed = parameters.get(SEED)?.unwrap_or(0);
        Ok(Self { host: host.into(), path: path.into(), size, rtt, link, seed })
    }
}

impl Scenario {
    /// For a server alone: its file. What leads there is somebody else's to say.
    pub(crate) fn of_file(path: &str, size: u64, seed: u64) -> Self {
        Self { host: "mill".into(), path: path.into(), size, rtt: Duration::from_ticks(0), link: Link::new(), seed }
    }

    /// The file's URL within the simulated world.
    pub fn http_url(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }
}

/// The `name=value` pairs of a query; each name is known and there once.
struct Parameters<'q>(Vec<(&'static str, &'q str)>);

impl<'q> Parameters<'q> {
    fn new(query: &'q str) -> Result<Self, ScenarioError> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = [RTT, JITTER, LOSS, RATE, QUEUE, SEED].into_iter().find(|known| known.0 == name);
            let (name, ..) = known.ok_or_else(|| ScenarioError::Unknown(name.into()))?;
            if pairs.iter().any(|&(other, _)| other == name) {
                return Err(ScenarioError::Repeated(name));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The parameter's value in its smallest unit; `None` when it is not there.
    fn get(&self, (name, units, min, max, like): Parameter) -> Result<Option<u64>, ScenarioError> {
        let Some(&(_, value)) = self.0.iter().find(|&&(other, _)| other == name) else { return Ok(None) };
        // A percent sign that was encoded, as it should be in a URL, is welcome too.
        let plain = value.replace("%25", "%");
        match quantity(&plain, units) {
            Some(quantity) if (min..=max).contains(&quantity) => Ok(Some(quantity)),
            _ => Err(ScenarioError::Value { name, value: value.into(), like }),
        }
    }
}

/// A decimal number and its unit, as a whole number of the smallest unit; `None` if it is not one, or too large.
pub(crate) fn quantity(text: &str, units: Units) -> Option<u64> {
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let &(_, scale) = units.iter().find(|&&(name, _)| name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // `+5` is a number to `parse`; `5.` and `.5` are none here.
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let places = u32::try_from(fraction.len()).ok().filter(|&places| places <= 18)?;
    let (whole, fraction): (u64, u64) = (whole.parse().ok()?, fraction.parse().ok()?);
    // What is finer than the smallest unit would be a mistake nobody sees.
    let fraction = u128::from(fraction) * u128::from(scale);
    let one = 10_u128.pow(places);
    if fraction % one != 0 {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(u64::try_from(fraction / one).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        text.parse()
    }

    fn with(query: &str) -> Result<Scenario, ScenarioError> {
        parse(&format!("sim://mill/1?{query}"))
    }

    #[test]
    fn everything_can_be_said() {
        let scenario =
            parse("SIM://mill/1.5KiB?rtt=1.5s&jitter=5ms&loss=0.02%&rate=1.5gbps&queue=64KiB&seed=9").unwrap();
        let link =
            Link::new().jitter(Duration::from_millis(5)).loss_ppm(200).rate_bps(1_500_000_000).queue_bytes(64 << 10);
        assert_eq!((scenario.host.as_str(), scenario.size, scenario.seed), ("mill", 1536, 9));
        assert_eq!((scenario.rtt, scenario.link), (Duration::from_millis(1500), link));
    }

    #[test]
    fn nothing_but_host_and_size_must_be_said() {
        for text in ["sim://mill/0", "sim://mill/0?", "sim://mill/0?&"] {
            let scenario = parse(text).unwrap();
            assert_eq!((scenario.size, scenario.seed, scenario.link), (0, 0, Link::new()));
        }
    }

    #[test]
    fn sizes_have_units_of_two_families() {
        for (text, bytes) in [
            ("1234", 1234),
            ("7B", 7),
            ("2kB", 2_000),
            ("2KiB", 2_048),
            ("16MiB", 16 << 20),
            ("1GiB", 1 << 30),
            ("3TB", 3_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(&format!("sim://mill/{text}")).map(|scenario| scenario.size), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "+1",
            "1XB",
            "1.B",
            ".5MiB",
            "1..5MiB",
            "1.5",
            "18446744073709551616",
            "16777216TiB",
            "1/2",
        ] {
            let error = parse(&format!("sim://mill/{text}")).unwrap_err();
            assert_eq!(error, ScenarioError::Size(format!("/{text}")), "{text}");
        }
        assert_eq!(parse("sim://mill"), Err(ScenarioError::Size(String::new())));
    }

    #[test]
    fn loss_is_a_share_and_its_percent_sign_may_be_encoded() {
        for (text, share) in [("1%", 10_000), ("1%25", 10_000), ("0.5%", 5_000), ("100%", 1_000_000), ("7ppm", 7)] {
            assert_eq!(with(&format!("loss={text}")).map(|scenario| scenario.link), Ok(Link::new().loss_ppm(share)));
        }
    }

    #[test]
    fn each_mistake_is_told_apart() {
        let value = |name, value: &str, like| Err(ScenarioError::Value { name, value: value.into(), like });
        assert_eq!(with("loss=1"), value("loss", "1", "1%"));
        assert_eq!(with("loss=101%"), value("loss", "101%", "1%"));
        assert_eq!(with("loss=0.00001%"), value("loss", "0.00001%", "1%"));
        assert_eq!(with("rtt=40"), value("rtt", "40", "40ms"));
        assert_eq!(with("rtt"), value("rtt", "", "40ms"));
        assert_eq!(with("rtt=2000000000s"), value("rtt", "2000000000s", "40ms"));
        assert_eq!(with("rate=0bps"), value("rate", "0bps", "50mbps"));
        assert_eq!(with("rate=50Mbps"), value("rate", "50Mbps", "50mbps"));
        assert_eq!(with("seed=-1"), value("seed", "-1", "7"));
        assert_eq!(with("seed=1&seed=1"), Err(ScenarioError::Repeated("seed")));
        assert_eq!(with("speed=1"), Err(ScenarioError::Unknown("speed".into())));
        assert_eq!(parse("http://mill/1"), Err(ScenarioError::Scheme));
        assert_eq!(parse("mill/1"), Err(ScenarioError::Scheme));
        assert_eq!(parse("sim://mill/1#a"), Err(ScenarioError::Fragment));
        for text in ["sim:///1", "sim:1", "sim://mill:80/1", "sim://me@mill/1"] {
            assert_eq!(parse(text), Err(ScenarioError::Host), "{text}");
        }
        assert!(matches!(parse("sim://mi ll/1"), Err(ScenarioError::Url(_))));
        for error in [with("loss=1").unwrap_err(), with("a=1").unwrap_err(), parse("sim://mill/x").unwrap_err()] {
            assert!(!error.to_string().contains('\n'));
        }
    }
}
