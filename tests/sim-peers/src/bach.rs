//! bach: over UDP, for it has no TCP. Its latency is fixed.

use std::time::Duration;

use bach::environment::default::Runtime;
use bach::environment::net::queue::Fixed;
use bach::ext::*;
use bach::net::UdpSocket;

use crate::{ANSWER_MAX, Asking, QUESTION};

pub fn ask(seed: u64, asking: Asking) {
    let latency = (asking.latency.0 + asking.latency.1) / 2;
    let queues = Fixed::default().with_net_latency(latency);
    Runtime::new().with_seed(seed).with_net_queues(Some(Box::new(queues))).run(|| {
        async move {
            let socket = UdpSocket::bind("server:80").await.unwrap();
            let mut buffer = [0; ANSWER_MAX];
            loop {
                let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
                socket.send_to(&buffer[..asking.answer], from).await.unwrap();
            }
        }
        .group("server")
        .spawn();
        for number in 0..asking.clients {
            async move {
                let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                let mut buffer = [0; ANSWER_MAX];
                for _ in 0..asking.times {
                    socket.send_to(&[1; QUESTION], "server:80").await.unwrap();
                    socket.recv_from(&mut buffer).await.unwrap();
                    if !asking.pause.is_zero() {
                        asking.pause.sleep().await;
                    }
                }
            }
            .group(format!("client-{number}"))
            .primary()
            .spawn();
        }
    });
}

pub fn idle(hosts: usize) {
    Runtime::new().with_seed(1).run(|| {
        for number in 1..hosts {
            async { Duration::from_secs(3600).sleep().await }.group(format!("host-{number}")).spawn();
        }
        async { Duration::from_secs(1).sleep().await }.group("last").primary().spawn();
    });
}
