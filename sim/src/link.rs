//! A link: how long a frame takes from one host to another, and whether it arrives at all.
//!
//! Each direction is a pipeline of fixed order: **down** -> **length** -> **queue and rate** -> **loss**, of single frames
//! and in bursts -> **damage** -> **delay** -> **reordering** -> **duplication**. A frame that is lost has used its share
//! of the rate, as on a real wire. Frames keep their order, whatever the jitter: one that would overtake waits for the
//! one before; only one that is reordered is overtaken. Every decision is made with whole numbers, and every draw is
//! keyed by (seed, link, number of the frame), so taking one frame away does not change the fate of the others.
//!
//! ```
//! use tidemill_core::time::Duration;
//! use tidemill_sim::link::Link;
//! let dsl = Link::new().latency(Duration::from_millis(20)).rate_bps(50_000_000).queue_bytes(128 * 1024).loss_ppm(10_000);
//! # let _ = dsl;
//! ```

use std::collections::BTreeMap;

use tidemill_core::random::{below, draw};
use tidemill_core::time::{Duration, Instant};

use crate::fault::{FrameFault, OfFrame};

/// Parts in a whole: rates are given in parts per million.
const MILLION: u64 = 1_000_000;

/// Frames one direction holds at most; more are dropped as if its queue were full. Bounds the memory of a link that
/// has no rate, and so no queue.
const IN_FLIGHT_MAX: u32 = 1 << 16;

/// What the draws of a link are for, as the first word of their key.
const DRAW_LOSS: u64 = 0x6C6F_7373;
const DRAW_JITTER: u64 = 0x6A69_7474;
const DRAW_BURST: u64 = 0x6275_7273;
const DRAW_DAMAGE: u64 = 0x6461_6D61;
const DRAW_REORDER: u64 = 0x7265_6F72;
const DRAW_DUPLICATE: u64 = 0x6475_706C;

/// A frame that is reordered comes up to this much later, and a duplicate up to this much after its original.
const ASTRAY_MAX: Duration = Duration::from_millis(20);

/// What one direction of a link is like. Build it from [`Link::new`]; the default is 1 ms, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    latency: Duration,
    jitter: Duration,
    rate_bps: Option<u64>,
    queue_bytes: u64,
    loss_ppm: u32,
    burst_ppm: u32,
    burst_max: Duration,
    damage_ppm: u32,
    reorder_ppm: u32,
    duplicate_ppm: u32,
    mtu: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// 1 ms of latency, no jitter, no limit of rate or length, nothing lost, damaged, reordered or duplicated; a queue of
    /// 256 KiB once a rate is set.
    pub const fn new() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::from_micros(0),
            rate_bps: None,
            queue_bytes: 256 << 10,
            loss_ppm: 0,
            burst_ppm: 0,
            burst_max: Duration::from_micros(0),
            damage_ppm: 0,
            reorder_ppm: 0,
            duplicate_ppm: 0,
            mtu: usize::MAX,
        }
    }

    /// One way, from the end of a frame's transmission to its arrival. At least 1 µs: two hosts must not talk for ever
    /// within one instant.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Up to this much is added to the latency, evenly distributed.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Bits per second, counted over whole frames. `0`: no limit.
    pub const fn rate_bps(mut self, rate: u64) -> Self {
        self.rate_bps = if rate == 0 { None } else { Some(rate) };
        self
    }

    /// How many bytes may wait for the rate, the frame being sent included; what does not fit is dropped. A queue that
    /// is empty takes any frame.
    pub const fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// How many of a million frames are lost, each on its own. A million or more: all.
    pub const fn loss_ppm(mut self, ppm: u32) -> Self {
        self.loss_ppm = ppm;
        self
    }

    /// With how many of a million frames a burst begins in which all are lost, and how long it lasts at most. It is
    /// measured in time, for one in frames would not end on a connection that has fallen silent.
    pub const fn bursts(mut self, ppm: u32, longest: Duration) -> Self {
        self.burst_ppm = ppm;
        self.burst_max = longest;
        self
    }

    /// How many of a million frames are damaged: one bit is flipped, or, in one of four, the end is missing.
    pub const fn damage_ppm(mut self, ppm: u32) -> Self {
        self.damage_ppm = ppm;
        self
    }

    /// How many of a million frames come up to 20 ms later than they should, so that others overtake them.
    pub const fn reorder_ppm(mut self, ppm: u32) -> Self {
        self.reorder_ppm = ppm;
        self
    }

    /// How many of a million frames arrive twice, the second time up to 20 ms after the first.
    pub const fn duplicate_ppm(mut self, ppm: u32) -> Self {
        self.duplicate_ppm = ppm;
        self
    }

    /// Longest frame that passes, in bytes; longer ones vanish, and nobody is told.
    pub const fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes;
        self
    }
}

/// What became of a frame that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It arrives.
    Arrives(Passage),
    /// The link was down.
    Down,
    /// It was longer than the link takes.
    TooLong,
    /// The queue was full.
    QueueFull,
    /// It was lost on the way.
    Lost,
}

/// How a frame arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passage {
    /// When.
    pub at: Instant,
    /// How much later than it should, so that others may have overtaken it.
    pub late: Option<Duration>,
    /// When it arrives once more.
    pub again: Option<Instant>,
    /// What happened to it on the way.
    pub damage: Option<Damage>,
}

/// What happened to a frame on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// This bit was flipped, counted from the first byte's lowest.
    Bit(usize),
    /// It ends after so many bytes.
    Cut(usize),
}

impl Damage {
    pub(crate) fn inflict(self, frame: &mut Vec<u8>) {
        match self {
            Self::Bit(bit) => {
                if let Some(byte) = frame.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Cut(len) => frame.truncate(len),
        }
    }
}

impl Verdict {
    /// What happened to the frame by chance; a full queue, or a link that is down, is not.
    pub(crate) fn faults(self) -> impl Iterator<Item = FrameFault> {
        let passage = if let Self::Arrives(passage) = self { Some(passage) } else { None };
        let lost = (self == Self::Lost).then_some(FrameFault::Drop);
        let damage = passage.and_then(|passage| passage.damage).map(FrameFault::Damage);
        let late = passage.and_then(|passage| passage.late).map(FrameFault::Delay);
        let again = passage.and_then(|Passage { at, again, .. }| Some(FrameFault::Duplicate(again? - at)));
        [lost, damage, late, again].into_iter().flatten()
    }
}

/// Who decides what happens to a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chance {
    /// The seed; and faults that were scheduled.
    Seed(u64),
    /// Faults that were scheduled alone; the seed gives the jitter.
    Listed(u64),
    /// Nothing happens to any frame; the seed gives the jitter.
    Healed(u64),
}

/// One direction of a link: its parameters, and the state of its pipeline.
#[derive(Debug)]
pub(crate) struct Pipe {
    params: Link,
    /// What is to happen to frames, by their number.
    listed: BTreeMap<u64, Vec<FrameFault>>,
    /// Rates it is squeezed to; the lowest counts.
    squeezes: Vec<u64>,
    /// Key of this direction's draws; the same whatever other links exist.
    key: u64,
    /// Frames offered so far: the number of the next one.
    offered: u64,
    in_flight: u32,
    /// Outages under way; they may overlap.
    outages: u32,
    /// Until then all frames are lost.
    burst_until: Instant,
    /// When the transmitter has sent all it has, in whole µs and the rest of one in units of 1/rate: rounding must
    /// not add up.
    idle_at: u64,
    idle_rest: u64,
    last_arrival: Instant,
}

impl Pipe {
    pub(crate) fn new(params: Link, key: u64) -> Self {
        Self {
            params,
            listed: BTreeMap::new(),
            squeezes: Vec::new(),
            key,
            offered: 0,
            in_flight: 0,
            outages: 0,
            burst_until: Instant::from_ticks(0),
            idle_at: 0,
            idle_rest: 0,
            last_arrival: Instant::from_ticks(0),
        }
    }

    /// Changes what the link is like; frames under way, and the rate's backlog, stay as they are.
    pub(crate) fn set_params(&mut self, params: Link) {
        self.params = params;
        self.idle_rest = 0;
    }

    /// Begins or ends an outage; the link is up when as many have ended as have begun.
    pub(crate) fn set_down(&mut self, down: bool) {
        self.outages = if down { self.outages + 1 } else { self.outages.saturating_sub(1) };
    }

    /// A frame has come out at the far end, or its duplicate.
    pub(crate) fn arrived(&mut self) {
        self.in_flight -= 1;
    }

    /// Lets something happen to the frame with this number, if it is still to come.
    pub(crate) fn list(&mut self, (frame, fault): OfFrame) {
        self.listed.entry(frame).or_default().push(fault);
    }

    /// Begins, or ends, a time in which its rate is at most this one.
    pub(crate) fn squeeze(&mut self, rate_bps: u64, begins: bool) {
        if begins {
            self.squeezes.push(rate_bps.max(1));
        } else if let Some(index) = self.squeezes.iter().position(|&rate| rate == rate_bps.max(1)) {
            self.squeezes.swap_remove(index);
        }
        self.idle_rest = 0;
    }

    /// The number of the next frame.
    pub(crate) fn next_number(&self) -> u64 {
        self.offered
    }

    /// Sends a frame of `len` bytes into the link at `now`.
    pub(crate) fn offer(&mut self, chance: Chance, now: Instant, len: usize) -> Verdict {
        let number = self.offered;
        self.offered += 1;
        let listed = self.listed.remove(&number).unwrap_or_default();
        if self.outages > 0 {
            return Verdict::Down;
        }
        if len > self.params.mtu {
            return Verdict::TooLong;
        }
        if self.in_flight >= IN_FLIGHT_MAX {
            return Verdict::QueueFull;
        }
        let Some(sent) = self.transmit(now.as_ticks(), len as u64) else { return Verdict::QueueFull };
        let (Chance::Seed(seed) | Chance::Listed(seed) | Chance::Healed(seed)) = chance;
        let fate = match chance {
            Chance::Seed(seed) => self.drawn(seed, now, number, len).with(&listed),
            Chance::Listed(_) => Fate::default().with(&listed),
            Chance::Healed(_) => Fate::default(),
        };
        if fate.lost {
            return Verdict::Lost;
        }
        let jitter = up_to(draw(seed, &[DRAW_JITTER, self.key, number, 1]), self.params.jitter);
        let delay = self.params.latency.as_ticks().saturating_add(jitter).max(1);
        let mut at = Instant::from_ticks(sent.saturating_add(delay)).max(self.last_arrival);
        match fate.late {
            Some(late) => at = later(at, late.as_ticks()),
            None => self.last_arrival = at,
        }
        let again = fate.again.map(|after| later(at, after.as_ticks()));
        self.in_flight += 1 + u32::from(again.is_some());
        Verdict::Arrives(Passage { at, late: fate.late, again, damage: fate.damage })
    }

    /// What the seed does to the frame with this number.
    fn drawn(&mut self, seed: u64, now: Instant, number: u64, len: usize) -> Fate {
        let (params, key) = (self.params, self.key);
        let bits = |what, n| draw(seed, &[what, key, number, n]);
        let happens = |what, ppm| ppm > 0 && below(bits(what, 0), MILLION) < u64::from(ppm);
        if happens(DRAW_BURST, params.burst_ppm) {
            self.burst_until = self.burst_until.max(later(now, 1 + up_to(bits(DRAW_BURST, 1), params.burst_max)));
        }
        if now < self.burst_until || happens(DRAW_LOSS, params.loss_ppm) {
            return Fate { lost: true, ..Fate::default() };
        }
        let damage =
            (len > 0 && happens(DRAW_DAMAGE, params.damage_ppm)).then(|| match below(bits(DRAW_DAMAGE, 1), 4) {
                0 => Damage::Cut(below(bits(DRAW_DAMAGE, 2), len as u64) as usize),
                _ => Damage::Bit(below(bits(DRAW_DAMAGE, 2), 8 * len as u64) as usize),
            });
        let astray = |what, ppm, least| {
            happens(what, ppm).then(|| Duration::from_ticks(least + up_to(bits(what, 1), ASTRAY_MAX)))
        };
        let late = astray(DRAW_REORDER, params.reorder_ppm, 1);
        let again = astray(DRAW_DUPLICATE, params.duplicate_ppm, 0);
        Fate { lost: false, damage, late, again }
    }

    /// When the last bit of the frame has been sent; `None` when the queue has no room for it.
    fn transmit(&mut self, now: u64, len: u64) -> Option<u64> {
        let squeezed = self.squeezes.iter().copied().min();
        let Some(rate) = self.params.rate_bps.into_iter().chain(squeezed).min() else { return Some(now) };
        if self.idle_at < now {
            (self.idle_at, self.idle_rest) = (now, 0);
        }
        // Wide: a rate may be near 2^64, and a backlog years long.
        let waiting = u128::from(self.idle_at - now) * u128::from(rate) / u128::from(8 * MILLION);
        if waiting > 0 && waiting + u128::from(len) > u128::from(self.params.queue_bytes) {
            return None;
        }
        let parts = u128::from(len) * u128::from(8 * MILLION) + u128::from(self.idle_rest);
        let micros = u64::try_from(parts / u128::from(rate)).unwrap_or(u64::MAX);
        self.idle_at = self.idle_at.saturating_add(micros);
        self.idle_rest = (parts % u128::from(rate)) as u64;
        Some(self.idle_at.saturating_add(u64::from(self.idle_rest > 0)))
    }
}

/// What happens to one frame.
#[derive(Clone, Copy, Default)]
struct Fate {
    lost: bool,
    damage: Option<Damage>,
    late: Option<Duration>,
    again: Option<Duration>,
}

impl Fate {
    fn with(mut self, faults: &[FrameFault]) -> Self {
        for &fault in faults {
            match fault {
                FrameFault::Drop => self.lost = true,
                FrameFault::Damage(damage) => self.damage = Some(damage),
                FrameFault::Delay(by) => self.late = Some(by),
                FrameFault::Duplicate(after) => self.again = Some(after),
            }
        }
        self
    }
}

/// Up to this much, in ticks, evenly distributed.
fn up_to(bits: u64, most: Duration) -> u64 {
    match most.as_ticks() {
        0 => 0,
        most => below(bits, most.saturating_add(1)),
    }
}

fn later(at: Instant, ticks: u64) -> Instant {
    Instant::from_ticks(at.as_ticks().saturating_add(ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(at: Instant) -> Verdict {
        Verdict::Arrives(Passage { at, late: None, again: None, damage: None })
    }

    fn at(ticks: u64) -> Instant {
        Instant::from_ticks(ticks)
    }

    fn arrivals(pipe: &mut Pipe, seed: u64, frames: impl Iterator<Item = (u64, usize)>) -> Vec<Verdict> {
        frames.map(|(now, len)| pipe.offer(Chance::Seed(seed), at(now), len)).collect()
    }

    #[test]
    fn latency_alone_is_added_to_the_time_of_sending() {
        let mut pipe = Pipe::new(Link::new().latency(Duration::from_millis(20)), 1);
        assert_eq!(pipe.offer(Chance::Seed(7), at(5), 1500), whole(at(20_005)));
        assert_eq!(pipe.offer(Chance::Seed(7), at(5), 1500), whole(at(20_005)));
    }

    #[test]
    fn at_a_rate_the_last_of_n_bytes_is_sent_after_n_times_8_over_the_rate() {
        // None of these rates gives a frame a whole number of µs: the rests must be kept.
        for rate in [7_000_000, 50_000_000, 999_999_937] {
            let link = Link::new().latency(Duration::from_micros(1)).rate_bps(rate).queue_bytes(u64::MAX);
            let mut pipe = Pipe::new(link, 1);
            let mut last = Verdict::Lost;
            for _ in 0..10_000 {
                last = pipe.offer(Chance::Seed(7), at(0), 1_499);
            }
            let exact = (10_000_u64 * 1_499 * 8 * MILLION).div_ceil(rate);
            assert_eq!(last, whole(at(exact + 1)), "at {rate} bit/s");
        }
    }

    #[test]
    fn a_sender_below_the_rate_never_waits() {
        let link = Link::new().latency(Duration::from_micros(10)).rate_bps(8_000_000);
        let mut pipe = Pipe::new(link, 1);
        for n in 0..100 {
            // 1000 bytes take 1000 µs.
            assert_eq!(pipe.offer(Chance::Seed(7), at(n * 1000), 1000), whole(at(n * 1000 + 1010)));
        }
    }

    #[test]
    fn what_does_not_fit_the_queue_is_dropped_and_room_returns_with_time() {
        let link = Link::new().rate_bps(8_000_000).queue_bytes(3_000);
        let mut pipe = Pipe::new(link, 1);
        let verdicts =
            arrivals(&mut pipe, 7, [(0, 1000), (0, 1000), (0, 1000), (0, 1000), (999, 1000), (1000, 1000)].into_iter());
        let dropped: Vec<bool> = verdicts.iter().map(|v| *v == Verdict::QueueFull).collect();
        assert_eq!(dropped, [false, false, false, true, true, false]);
    }

    #[test]
    fn a_frame_longer_than_the_whole_queue_passes_when_nothing_waits() {
        let mut pipe = Pipe::new(Link::new().rate_bps(8_000_000).queue_bytes(100), 1);
        assert!(matches!(pipe.offer(Chance::Seed(7), at(0), 1000), Verdict::Arrives(_)));
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::QueueFull);
    }

    #[test]
    fn jitter_spreads_over_its_range_and_never_reorders() {
        let link = Link::new().latency(Duration::from_millis(5)).jitter(Duration::from_millis(4));
        let mut pipe = Pipe::new(link, 3);
        let mut delays = Vec::new();
        let mut last = at(0);
        for n in 0..10_000_u64 {
            let Verdict::Arrives(Passage { at: arrival, .. }) = pipe.offer(Chance::Seed(7), at(n * 10_000), 100) else {
                panic!("nothing is lost here")
            };
            assert!(arrival >= last);
            last = arrival;
            delays.push(arrival.as_ticks() - n * 10_000);
        }
        assert!(delays.iter().all(|delay| (5_000..=9_000).contains(delay)));
        let mean = delays.iter().sum::<u64>() / 10_000;
        assert!((6_950..=7_050).contains(&mean), "mean {mean}");

        let mut pipe = Pipe::new(link, 3);
        let mut last = at(0);
        for n in 0..1_000 {
            let Verdict::Arrives(Passage { at: arrival, .. }) = pipe.offer(Chance::Seed(7), at(n), 100) else {
                panic!("nothing is lost here")
            };
            assert!(arrival >= last, "frame {n} overtook");
            last = arrival;
        }
    }

    #[test]
    fn as_many_frames_are_lost_as_asked() {
        for (ppm, low, high) in [(0, 0, 0), (10_000, 900, 1_100), (50_000, 4_800, 5_200), (1_000_000, 100_000, 100_000)]
        {
            let mut pipe = Pipe::new(Link::new().loss_ppm(ppm), 3);
            let mut lost = 0;
            for n in 0..100_000 {
                match pipe.offer(Chance::Seed(7), at(n), 100) {
                    Verdict::Lost => lost += 1,
                    _ => pipe.arrived(),
                }
            }
            assert!((low..=high).contains(&lost), "{lost} of 100000 at {ppm} ppm");
        }
    }

    #[test]
    fn the_fate_of_a_frame_depends_on_its_number_alone() {
        let fates = |lens: [usize; 2]| -> Vec<bool> {
            let mut pipe = Pipe::new(Link::new().loss_ppm(300_000), 3);
            (0..100).map(|n| pipe.offer(Chance::Seed(7), at(n as u64), lens[n % 2]) == Verdict::Lost).collect()
        };
        assert_eq!(fates([100, 200]), fates([1500, 40]));
        let other = |seed, key| -> Vec<bool> {
            let mut pipe = Pipe::new(Link::new().loss_ppm(300_000), key);
            (0..100).map(|n| pipe.offer(Chance::Seed(seed), at(n), 100) == Verdict::Lost).collect()
        };
        assert_ne!(other(7, 3), other(8, 3));
        assert_ne!(other(7, 3), other(7, 4));
    }

    #[test]
    fn a_link_is_up_again_when_every_outage_has_ended() {
        let mut pipe = Pipe::new(Link::new(), 1);
        pipe.set_down(true);
        pipe.set_down(true);
        pipe.set_down(false);
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::Down);
        pipe.set_down(false);
        assert!(matches!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::Arrives(_)));
    }

    #[test]
    fn a_link_without_a_rate_holds_a_bounded_number_of_frames() {
        let mut pipe = Pipe::new(Link::new(), 1);
        for _ in 0..IN_FLIGHT_MAX {
            assert!(matches!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::Arrives(_)));
        }
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::QueueFull);
        pipe.arrived();
        assert!(matches!(pipe.offer(Chance::Seed(7), at(0), 1), Verdict::Arrives(_)));
    }

    /// What becomes of so many frames of 1,000 bytes, one every 100 ms.
    fn fates(link: Link, frames: u64) -> Vec<Verdict> {
        let mut pipe = Pipe::new(link, 3);
        (0..frames)
            .map(|n| {
                let verdict = pipe.offer(Chance::Seed(7), at(n * 100_000), 1_000);
                if let Verdict::Arrives(Passage { again, .. }) = verdict {
                    (0..=u32::from(again.is_some())).for_each(|_| pipe.arrived());
                }
                assert_eq!(pipe.in_flight, 0);
                verdict
            })
            .collect()
    }

    #[test]
    fn as_many_frames_are_damaged_reordered_and_duplicated_as_asked() {
        let link = Link::new().damage_ppm(20_000).reorder_ppm(30_000).duplicate_ppm(10_000);
        let (mut damaged, mut cut, mut late, mut twice) = (0, 0, 0, 0);
        for (verdict, n) in fates(link, 100_000).into_iter().zip(0..) {
            let Verdict::Arrives(Passage { at: arrival, again, damage, .. }) = verdict else { panic!("{verdict:?}") };
            let due = at(n * 100_000 + 1_000);
            damaged += u32::from(damage.is_some());
            if let Some(Damage::Cut(len)) = damage {
                assert!(len < 1_000);
                cut += 1;
            }
            late += u32::from(arrival > due);
            twice += u32::from(again.is_some());
            assert!(arrival >= due && arrival <= due + ASTRAY_MAX + Duration::from_micros(1));
            assert!(again.is_none_or(|again| again >= arrival && again <= arrival + ASTRAY_MAX));
        }
        assert!((1_900..2_100).contains(&damaged), "{damaged}");
        assert!((420..580).contains(&cut), "{cut}");
        assert!((2_850..3_150).contains(&late), "{late}");
        assert!((930..1_070).contains(&twice), "{twice}");
    }

    #[test]
    fn a_frame_that_is_reordered_is_overtaken_and_holds_up_no_other() {
        let mut pipe = Pipe::new(Link::new().reorder_ppm(100_000), 3);
        let arrivals: Vec<Instant> = (0..1_000)
            .map(|n| match pipe.offer(Chance::Seed(7), at(n * 100), 100) {
                Verdict::Arrives(passage) => passage.at,
                verdict => panic!("{verdict:?}"),
            })
            .collect();
        let in_time = arrivals.iter().zip(0..).filter(|&(&arrival, n)| arrival == at(n * 100 + 1_000)).count();
        assert!((850..950).contains(&in_time), "{in_time}");
        assert!(arrivals.windows(2).any(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn bursts_are_as_many_and_as_long_as_asked_and_silence_ends_them() {
        // A frame every 100 ms.
        let fates = fates(Link::new().bursts(1_000, Duration::from_secs(4)), 400_000);
        let lost: Vec<bool> = fates.iter().map(|verdict| *verdict == Verdict::Lost).collect();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = lost.iter().filter(|&&lost| lost).count() / bursts;
        assert!((320..470).contains(&bursts), "{bursts}");
        assert!((18..=23).contains(&mean), "{mean}");

        let mut pipe = Pipe::new(Link::new().bursts(1_000_000, Duration::from_millis(5)), 3);
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 100), Verdict::Lost);
        pipe.set_params(Link::new());
        assert_eq!(pipe.offer(Chance::Seed(7), at(5_002), 100), whole(at(6_002)));
    }

    #[test]
    fn what_is_longer_than_the_link_takes_vanishes() {
        let mut pipe = Pipe::new(Link::new().mtu(576), 1);
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 577), Verdict::TooLong);
        assert_eq!(pipe.offer(Chance::Seed(7), at(0), 576), whole(at(1_000)));
    }

    #[test]
    fn damage_changes_one_bit_or_the_length() {
        let mut frame = vec![0; 4];
        Damage::Bit(17).inflict(&mut frame);
        assert_eq!(frame, [0, 0, 2, 0]);
        Damage::Cut(3).inflict(&mut frame);
        assert_eq!(frame, [0, 0, 2]);
        Damage::Bit(31).inflict(&mut frame);
        assert_eq!(frame, [0, 0, 2]);
    }
}
