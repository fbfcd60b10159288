//! madsim.

use std::net::IpAddr;
use std::time::Duration;

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ANSWER_MAX, Asking, QUESTION};

fn runtime(seed: u64, latency: (Duration, Duration)) -> Runtime {
    let mut config = madsim::Config::default();
    config.net.send_latency = latency.0..latency.1.max(latency.0 + Duration::from_nanos(1));
    Runtime::with_seed_and_config(seed, config)
}

fn ip(number: usize) -> IpAddr {
    [10, 0, (number >> 8) as u8, number as u8].into()
}

const SERVER: &str = "10.0.0.1:80";

pub fn ask(seed: u64, asking: Asking) {
    let runtime = runtime(seed, asking.latency);
    let server = runtime.create_node().ip(ip(1)).build();
    let clients: Vec<_> = (0..asking.clients).map(|number| runtime.create_node().ip(ip(number + 2)).build()).collect();
    runtime.block_on(async move {
        server.spawn(async move {
            let listener = TcpListener::bind(SERVER).await.unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                madsim::task::spawn(async move {
                    let mut buffer = [0; ANSWER_MAX];
                    while stream.read_exact(&mut buffer[..QUESTION]).await.is_ok() {
                        stream.write_all(&buffer[..asking.answer]).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                });
            }
        });
        madsim::time::sleep(Duration::from_millis(1)).await;
        let tasks: Vec<_> = clients
            .iter()
            .map(|client| {
                client.spawn(async move {
                    let mut stream = TcpStream::connect(SERVER).await.unwrap();
                    let mut buffer = [0; ANSWER_MAX];
                    for _ in 0..asking.times {
                        stream.write_all(&[1; QUESTION]).await.unwrap();
                        stream.flush().await.unwrap();
                        stream.read_exact(&mut buffer[..asking.answer]).await.unwrap();
                        if !asking.pause.is_zero() {
                            madsim::time::sleep(asking.pause).await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

pub fn bulk(bytes: usize) {
    let ms = Duration::from_millis(1);
    let runtime = runtime(1, (ms, ms));
    let server = runtime.create_node().ip(ip(1)).build();
    let client = runtime.create_node().ip(ip(2)).build();
    runtime.block_on(async move {
        let receives = server.spawn(async move {
            let listener = TcpListener::bind(SERVER).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            let mut left = bytes;
            while left > 0 {
                left -= stream.read(&mut buffer).await.unwrap();
            }
        });
        madsim::time::sleep(ms).await;
        client.spawn(async move {
            let mut stream = TcpStream::connect(SERVER).await.unwrap();
            let buffer = vec![7; 64 << 10];
            for _ in 0..bytes / buffer.len() {
                stream.write_all(&buffer).await.unwrap();
                stream.flush().await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        receives.await.unwrap();
    });
}

pub fn idle(hosts: usize) {
    let ms = Duration::from_millis(1);
    let runtime = runtime(1, (ms, ms));
    let nodes: Vec<_> = (0..hosts).map(|number| runtime.create_node().ip(ip(number + 1)).build()).collect();
    runtime.block_on(async move {
        for node in &nodes {
            node.spawn(madsim::time::sleep(Duration::from_secs(3600)));
        }
        madsim::time::sleep(Duration::from_secs(1)).await;
    });
}
