//! turmoil.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::{ANSWER_MAX, Asking, QUESTION};

fn sim(seed: u64, latency: (Duration, Duration)) -> turmoil::Sim<'static> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(36_000))
        .min_message_latency(latency.0)
        .max_message_latency(latency.1)
        .tcp_capacity(1024)
        .build()
}

pub fn ask(seed: u64, asking: Asking) {
    let mut sim = sim(seed, asking.latency);
    sim.host("server", move || async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut buffer = [0; ANSWER_MAX];
                while stream.read_exact(&mut buffer[..QUESTION]).await.is_ok() {
                    if stream.write_all(&buffer[..asking.answer]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    for number in 0..asking.clients {
        sim.client(format!("client-{number}"), async move {
            let mut stream = TcpStream::connect("server:80").await?;
            let mut buffer = [0; ANSWER_MAX];
            for _ in 0..asking.times {
                stream.write_all(&[1; QUESTION]).await?;
                stream.read_exact(&mut buffer[..asking.answer]).await?;
                if !asking.pause.is_zero() {
                    tokio::time::sleep(asking.pause).await;
                }
            }
            Ok(())
        });
    }
    sim.run().expect("they end");
}

pub fn bulk(bytes: usize) {
    let ms = Duration::from_millis(1);
    let mut sim = sim(1, (ms, ms));
    sim.host("server", move || async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = vec![0; 64 << 10];
        let mut left = bytes;
        while left > 0 {
            left -= stream.read(&mut buffer).await?;
        }
        stream.write_all(b".").await?;
        std::future::pending().await
    });
    sim.client("client", async move {
        let mut stream = TcpStream::connect("server:80").await?;
        let buffer = vec![7; 64 << 10];
        for _ in 0..bytes / buffer.len() {
            stream.write_all(&buffer).await?;
        }
        stream.read_exact(&mut [0]).await?;
        Ok(())
    });
    sim.run().expect("it ends");
}

pub fn idle(hosts: usize) {
    let ms = Duration::from_millis(1);
    let mut sim = sim(1, (ms, ms));
    for number in 1..hosts {
        sim.host(format!("host-{number}"), || async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        });
    }
    sim.client("last", async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    sim.run().expect("it ends");
}
