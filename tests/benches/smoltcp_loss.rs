//! How fast two versions of smoltcp get 8 MiB through a lossy link: the figure that chose the version we use.
//!
//! `cargo bench -p tidemill-tests --bench smoltcp_loss` prints virtual seconds (median of 10 seeds) for a link of 5 ms
//! each way that drops 1 % or 5 % of all frames at random, with 64 KiB buffers. Virtual time depends on nothing but the
//! seeds, so the table is the same on every machine. Arguments are seeds to use: `-- 10` is the default.

use std::collections::VecDeque;
use tidemill_core::random::{below, draw};

const LATENCY_US: i64 = 5_000;
const TOTAL: usize = 8 << 20;
const BUFFER: usize = 64 << 10;
/// A transfer that takes longer counts as this much.
const GIVE_UP_S: i64 = 3_600;

/// One direction of a link: frames under way, and the draws that lose them.
struct Link {
    seed: u64,
    direction: u64,
    loss_ppm: u64,
    sent: u64,
    flying: VecDeque<(i64, Vec<u8>)>,
}

impl Link {
    fn new(seed: u64, direction: u64, loss_ppm: u64) -> Self {
        Self { seed, direction, loss_ppm, sent: 0, flying: VecDeque::new() }
    }

    fn send(&mut self, now_us: i64, frame: Vec<u8>) {
        self.sent += 1;
        if below(draw(self.seed, &[self.direction, self.sent]), 1_000_000) >= self.loss_ppm {
            self.flying.push_back((now_us + LATENCY_US, frame));
        }
    }

    fn arrives_at(&self) -> Option<i64> {
        self.flying.front().map(|&(at, _)| at)
    }
}

/// The same transfer for each version of the crate; their types differ, their names do not.
macro_rules! transfer {
    ($module:ident, $smoltcp:ident) => {
        mod $module {
            use super::{BUFFER, GIVE_UP_S, Link, TOTAL, VecDeque};
            use $smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
            use $smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
            use $smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
            use $smoltcp::time::Instant;
            use $smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

            #[derive(Default)]
            struct Port {
                inbox: VecDeque<Vec<u8>>,
                outbox: VecDeque<Vec<u8>>,
            }
            struct Received(Vec<u8>);
            impl RxToken for Received {
                fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
                    f(&self.0)
                }
            }
            struct Room<'a>(&'a mut VecDeque<Vec<u8>>);
            impl TxToken for Room<'_> {
                fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
                    let mut frame = vec![0; len];
                    let result = f(&mut frame);
                    self.0.push_back(frame);
                    result
                }
            }
            impl Device for Port {
                type RxToken<'a> = Received;
                type TxToken<'a> = Room<'a>;
                fn receive(&mut self, _: Instant) -> Option<(Received, Room<'_>)> {
                    let frame = self.inbox.pop_front()?;
                    Some((Received(frame), Room(&mut self.outbox)))
                }
                fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
                    Some(Room(&mut self.outbox))
                }
                fn capabilities(&self) -> DeviceCapabilities {
                    let mut caps = DeviceCapabilities::default();
                    caps.medium = Medium::Ip;
                    caps.max_transmission_unit = 1500;
                    caps
                }
            }

            struct End {
                port: Port,
                iface: Interface,
                sockets: SocketSet<'static>,
                tcp: SocketHandle,
            }
            impl End {
                fn new(host: u8, seed: u64, reno: bool) -> Self {
                    let mut port = Port::default();
                    let mut config = Config::new(HardwareAddress::Ip);
                    config.random_seed = seed * 2 + u64::from(host);
                    let mut iface = Interface::new(config, &mut port, Instant::ZERO);
                    iface.update_ip_addrs(|addrs| {
                        let _ = addrs.push(IpCidr::new(IpAddress::v4(10, 0, 0, host), 24));
                    });
                    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
                    let mut socket = Socket::new(buffer(), buffer());
                    socket.set_nagle_enabled(false);
                    socket.set_congestion_control(if reno { CongestionControl::Reno } else { CongestionControl::None });
                    let mut sockets = SocketSet::new(vec![]);
                    let tcp = sockets.add(socket);
                    Self { port, iface, sockets, tcp }
                }
                fn tcp(&mut self) -> &mut Socket<'static> {
                    self.sockets.get_mut(self.tcp)
                }
                fn poll(&mut self, now_us: i64, out: &mut Link) {
                    self.iface.poll(Instant::from_micros(now_us), &mut self.port, &mut self.sockets);
                    for frame in self.port.outbox.drain(..) {
                        out.send(now_us, frame);
                    }
                }
                fn due(&mut self, now_us: i64) -> Option<i64> {
                    let at = self.iface.poll_at(Instant::from_micros(now_us), &self.sockets)?;
                    Some(at.total_micros().max(now_us + 1))
                }
            }

            /// Virtual seconds until the receiver has all, in thousandths.
            pub(super) fn transfer_ms(loss_ppm: u64, reno: bool, seed: u64) -> i64 {
                let (mut from, mut to) = (End::new(1, seed, reno), End::new(2, seed, reno));
                let (mut there, mut back) = (Link::new(seed, 0, loss_ppm), Link::new(seed, 1, loss_ppm));
                to.tcp().listen(80).expect("a closed socket");
                let End { sockets, iface, tcp, .. } = &mut from;
                let remote = (IpAddress::v4(10, 0, 0, 2), 80);
                sockets.get_mut::<Socket<'_>>(*tcp).connect(iface.context(), remote, 50_000).expect("a closed socket");
                let (mut now, mut sent, mut got) = (0, 0, 0);
                while got < TOTAL && now < GIVE_UP_S * 1_000_000 {
                    from.poll(now, &mut there);
                    to.poll(now, &mut back);
                    while from.tcp().can_send() && sent < TOTAL {
                        sent += from.tcp().send_slice(&[0xA5; 4096][..(TOTAL - sent).min(4096)]).unwrap_or(0);
                    }
                    while to.tcp().can_recv() {
                        got += to.tcp().recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
                    }
                    from.poll(now, &mut there);
                    to.poll(now, &mut back);
                    let due = [there.arrives_at(), back.arrives_at(), from.due(now), to.due(now)];
                    now = due.into_iter().flatten().min().unwrap_or(i64::MAX);
                    for (link, end) in [(&mut there, &mut to), (&mut back, &mut from)] {
                        while link.arrives_at().is_some_and(|at| at <= now) {
                            end.port.inbox.extend(link.flying.pop_front().map(|(_, frame)| frame));
                        }
                    }
                }
                now.min(GIVE_UP_S * 1_000_000) / 1_000
            }
        }
    };
}

transfer!(v0_13_1, smoltcp);
transfer!(v0_14_0, smoltcp_014);

fn median_s(transfer_ms: fn(u64, bool, u64) -> i64, loss_ppm: u64, reno: bool, seeds: u64) -> f64 {
    let mut times: Vec<i64> = (1..=seeds).map(|seed| transfer_ms(loss_ppm, reno, seed)).collect();
    times.sort_unstable();
    let middle = times.len() / 2;
    (times[(times.len() - 1) / 2] + times[middle]) as f64 / 2_000.0
}

fn main() {
    let seeds = std::env::args().filter_map(|word| word.parse().ok()).find(|&seeds| seeds > 0).unwrap_or(10);
    println!("8 MiB, 5 ms each way, median of {seeds} seeds, virtual seconds");
    println!("loss  control     0.13.1     0.14.0");
    for (loss_ppm, name) in [(0, "0 %"), (10_000, "1 %"), (50_000, "5 %")] {
        for (reno, control) in [(false, "None"), (true, "Reno")] {
            let old = median_s(v0_13_1::transfer_ms, loss_ppm, reno, seeds);
            let new = median_s(v0_14_0::transfer_ms, loss_ppm, reno, seeds);
            println!("{name:<5} {control:<7} {old:>10.2} {new:>10.2}");
        }
    }
}
