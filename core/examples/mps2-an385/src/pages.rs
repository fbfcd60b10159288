//! Pages of a small HTTP server: how the board is, for people and for Prometheus.

use core::fmt::{self, Write};
use tidemill_core::http::serve::{Content, Opened, Refusal, Served};
use tidemill_core::http::server::Head;
use tidemill_core::net::{self, Handle, Stack};
use tidemill_core::sched::{self, Scheduler};
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_core::timer::{self, Missed, TimerWheel};

/// The longest page.
pub const PAGE_MAX: usize = 1152;

/// A page, as it was when it was asked for.
pub type Page = heapless::String<PAGE_MAX>;

/// How often rates are measured.
const SAMPLE: Duration = Duration::from_secs(1);

/// What is told, of which the server knows nothing itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct Facts {
    /// Since the start, in microseconds.
    pub uptime_us: u64,
    /// Starts since there is power.
    pub boots: u32,
    /// Whether the cable is connected.
    pub link_up: bool,
    /// Frames in, out, damaged, dropped.
    pub frames: [u32; 4],
    /// The most stack that was used, in bytes.
    pub stack_max: usize,
    /// Connections now, and the most there have been.
    pub connections: [usize; 2],
}

/// The pages, and what is counted for them.
pub struct Pages {
    /// Told by the board before each turn.
    pub facts: Facts,
    /// Requests answered, with 200 and otherwise.
    answered: [u32; 2],
    sent: u64,
    /// Requests in the last second.
    rate: u32,
    before: u32,
    /// Samples the rate.
    wheel: TimerWheel<(), [timer::Slot<()>; 2]>,
    wheel_max: usize,
    /// What else is to be done, and when.
    agenda: Scheduler<Duty, [sched::Slot<Duty>; 4]>,
    agenda_max: usize,
    /// A line is due in the log.
    pub log_due: bool,
}

/// What has its time.
#[derive(Clone, Copy)]
enum Duty {
    /// A line in the log.
    Log,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

impl Pages {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let mut pages = Self {
            facts: Facts::default(),
            answered: [0; 2],
            sent: 0,
            rate: 0,
            before: 0,
            wheel: TimerWheel::new([const { timer::Slot::EMPTY }; 2]),
            wheel_max: 0,
            agenda: Scheduler::new([const { sched::Slot::EMPTY }; 4]),
            agenda_max: 0,
            log_due: false,
        };
        // Each has room for it.
        let _ = pages.wheel.start_periodic(EPOCH, SAMPLE, Missed::Skip, ());
        let _ = pages.agenda.enter_abs(EPOCH + SAMPLE, 0, Duty::Log);
        pages
    }

    /// Requests answered, well or not.
    pub fn answered(&self) -> u32 {
        self.answered[0].wrapping_add(self.answered[1])
    }

    /// Does what is due. Returns when the next thing is.
    pub fn turn(&mut self, now: Instant) -> Option<Instant> {
        self.wheel_max = self.wheel_max.max(self.wheel.len());
        self.agenda_max = self.agenda_max.max(self.agenda.len());
        while self.wheel.expire(now).is_some() {
            self.rate = self.answered().wrapping_sub(self.before);
            self.before = self.answered();
        }
        while let Some(event) = self.agenda.next_due(now) {
            match event.action {
                Duty::Log => {
                    self.log_due = true;
                    // The place of the one that was due is free.
                    let _ = self.agenda.enter_abs(event.time + SAMPLE * 10, 0, Duty::Log);
                }
            }
        }
        self.wheel.next_deadline().into_iter().chain(self.agenda.next_deadline()).min()
    }

    fn status(&self, page: &mut Page) -> fmt::Result {
        let Facts { uptime_us, boots, link_up, frames, stack_max, connections } = self.facts;
        let cable = if link_up { "connected" } else { "not connected" };
        page.write_str(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>tidemill</title><h1>tidemill</h1><ul>",
        )?;
        write!(page, "<li>up for {} s, boot {boots}", uptime_us / 1_000_000)?;
        write!(page, "<li>{} requests, {} in the last second", self.answered(), self.rate)?;
        write!(page, "<li>{} connections, at most {}", connections[0], connections[1])?;
        write!(page, "<li>cable {cable}, {} frames in, {} out", frames[0], frames[1])?;
        write!(page, "<li>stack {stack_max} bytes</ul>")
    }

    fn metrics(&self, page: &mut Page) -> fmt::Result {
        let Facts { uptime_us, boots, link_up, frames, stack_max, connections } = self.facts;
        let rows: [(&str, u64); 17] = [
            ("uptime_seconds", uptime_us / 1_000_000),
            ("boots", boots.into()),
            ("requests_total{status=\"200\"}", self.answered[0].into()),
            ("requests_total{status=\"other\"}", self.answered[1].into()),
            ("response_bytes_total", self.sent),
            ("pool_connections", connections[0] as u64),
            ("pool_connections_max", connections[1] as u64),
            ("wheel_timers", self.wheel.len() as u64),
            ("wheel_timers_max", self.wheel_max as u64),
            ("scheduler_events", self.agenda.len() as u64),
            ("scheduler_events_max", self.agenda_max as u64),
            ("link_up", link_up.into()),
            ("frames_received_total", frames[0].into()),
            ("frames_sent_total", frames[1].into()),
            ("frames_damaged_total", frames[2].into()),
            ("frames_dropped_total", frames[3].into()),
            ("stack_bytes_max", stack_max as u64),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(page, "tidemill_{name} {value}"))
    }
}

impl<S: Stack> Content<S> for Pages {
    type File = Page;

    fn open(&mut self, head: &Head<'_>) -> Result<Opened<Page>, Refusal> {
        let mut file = Page::new();
        let path = head.target().split('?').next().unwrap_or_default();
        let (written, content_type) = match path {
            "/" => (self.status(&mut file), "text/html; charset=utf-8"),
            "/metrics" => (self.metrics(&mut file), "text/plain; version=0.0.4"),
            _ => return Err(Refusal::Status(404)),
        };
        // A page that does not fit is our mistake.
        written.map_err(|_| Refusal::Status(500))?;
        Ok(Opened {
            len: file.len() as u64,
            file,
            etag: heapless::String::new(),
            modified: None,
            content_type,
            encoding: None,
        })
    }

    fn read(&mut self, page: &mut Page, offset: u64, buf: &mut [u8]) -> Result<usize, net::Error> {
        let rest = page.as_bytes().get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn transmit(
        &mut self,
        page: &mut Page,
        net: &mut S,
        socket: Handle,
        offset: u64,
        len: u64,
    ) -> nb::Result<u64, net::Error> {
        let rest = page.as_bytes().get(offset as usize..).unwrap_or_default();
        let part = rest.get(..len as usize).unwrap_or(rest);
        Ok(net.send(socket, part)? as u64)
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        None
    }

    fn served(&mut self, served: &Served<'_>) {
        let other = usize::from(served.status != 200);
        self.answered[other] = self.answered[other].wrapping_add(1);
        self.sent += served.sent;
    }
}
