//! A server that answers each request as a test wants it: honestly, or in one of the ways in which servers fail.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Content;

/// Bytes written at a time.
const CHUNK: u64 = 16 << 10;

/// A running server. Its threads end with this value, those that stall included.
pub struct Odd {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
    asked: Mutex<Vec<Asked>>,
    sent: AtomicU64,
    over: AtomicBool,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many came before, on all connections.
    pub number: usize,
    /// The connection it came on, from 0.
    pub connection: usize,
    /// The target.
    pub path: String,
    /// First byte and, if it is named, last byte of `Range`.
    pub range: Option<(u64, Option<u64>)>,
    /// `If-Range`.
    pub if_range: Option<String>,
}

/// An answer, and how it is sent. Made by [`honest`](Self::honest), [`whole`](Self::whole) or
/// [`status`](Self::status), then made odd.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    content: Content,
    range: Range<u64>,
    framing: Framing,
    cut: Option<u64>,
    stall: Option<u64>,
    rate: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

impl Answer {
    /// As a good server answers: the range, if one is asked for and is of this version; else all of it. The version is
    /// told by an `ETag`.
    pub fn honest(asked: &Asked, content: Content) -> Self {
        let tag = format!("\"{:x}-{:x}\"", content.seed, content.len);
        Self::validated(asked, content, "ETag", &tag)
    }

    /// The same with a validator of one's own: the name of a field and its value.
    pub fn validated(asked: &Asked, content: Content, field: &str, value: &str) -> Self {
        let same = asked.if_range.as_ref().is_none_or(|version| version == value);
        let answer = match asked.range {
            Some((start, _)) if same && start >= content.len => {
                Self::status(416).field("Content-Range", &format!("bytes */{}", content.len))
            }
            Some((start, last)) if same => {
                Self::part(content, start..last.map_or(content.len, |last| content.len.min(last + 1)))
            }
            _ => Self::whole(content),
        };
        answer.field("Accept-Ranges", "bytes").field(field, value)
    }

    /// 206 with this part, whatever was asked for.
    pub fn part(content: Content, range: Range<u64>) -> Self {
        let field = format!("bytes {}-{}/{}", range.start, range.end - 1, content.len);
        let framing = Framing::Length(range.end - range.start);
        Self { content, range, framing, ..Self::status(206) }.field("Content-Range", &field)
    }

    /// 200 with all of it, whatever was asked for, and no validator.
    pub fn whole(content: Content) -> Self {
        Self { content, range: 0..content.len, framing: Framing::Length(content.len), ..Self::status(200) }
    }

    /// No body.
    pub fn status(status: u16) -> Self {
        let content = Content::new(0, 0);
        let (framing, fields) = (Framing::Length(0), Vec::new());
        Self { status, fields, content, range: 0..0, framing, cut: None, stall: None, rate: None }
    }

    /// One more field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// In chunks, without a length.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Until the connection closes, without a length.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// With this `Content-Length`, whatever the truth.
    pub fn declaring(mut self, len: u64) -> Self {
        self.framing = Framing::Length(len);
        self
    }

    /// The connection closes after so many bytes of the body.
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Nothing comes after so many bytes of the body, and the connection stays.
    pub fn stall_after(mut self, bytes: u64) -> Self {
        self.stall = Some(bytes);
        self
    }

    /// At so many bytes a second.
    pub fn rate(mut self, bytes: u64) -> Self {
        self.rate = Some(bytes);
        self
    }
}

impl Odd {
    /// A server that answers with what `answer` returns.
    pub fn new(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            asked: Mutex::default(),
            sent: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let ours = shared.clone();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                if ours.over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, ours.clone()) else { continue };
                // A client that goes away is no failure of the server.
                thread::spawn(move || shared.serve(&stream, connection).unwrap_or(()));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its file; each is the same to it.
    pub fn url(&self) -> String {
        format!("http://{}/f", self.address)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The bytes of bodies so far, those included that were on their way when a connection ended.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream, connection: usize) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(asked) = self.receive(&mut reader, connection)? {
            let answer = (self.answer)(&asked);
            if !self.send(stream, &answer)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next request; none if the client has closed.
    fn receive(&self, reader: &mut impl BufRead, connection: usize) -> io::Result<Option<Asked>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut if_range) = (None, None);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    let bounds = value.strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
                    range = bounds.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok())));
                }
                "if-range" => if_range = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut all = self.asked.lock().unwrap();
        let asked = Asked { number: all.len(), connection, path, range, if_range };
        all.push(asked.clone());
        Ok(Some(asked))
    }

    /// Sends an answer. False: the connection is done with.
    fn send(&self, mut stream: &TcpStream, answer: &Answer) -> io::Result<bool> {
        let mut head = format!("HTTP/1.1 {} Odd\r\n", answer.status);
        let framing = match answer.framing {
            Framing::Length(len) => ("Content-Length".into(), len.to_string()),
            Framing::Chunked => ("Transfer-Encoding".into(), "chunked".into()),
            Framing::Close => ("Connection".into(), "close".into()),
        };
        for (name, value) in answer.fields.iter().chain([&framing]) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;

        let (start, mut sent) = (Instant::now(), 0);
        let len = answer.range.end - answer.range.start;
        let stop = [answer.cut, answer.stall].into_iter().flatten().min().map_or(len, |stop| stop.min(len));
        while sent < stop {
            let step = CHUNK.min(stop - sent);
            let at = answer.range.start + sent;
            let bytes = answer.content.bytes(at..at + step);
            if matches!(answer.framing, Framing::Chunked) {
                stream.write_all(format!("{step:x}\r\n").as_bytes())?;
                stream.write_all(&bytes)?;
                stream.write_all(b"\r\n")?;
            } else {
                stream.write_all(&bytes)?;
            }
            sent += step;
            self.sent.fetch_add(step, Ordering::Relaxed);
            if let Some(rate) = answer.rate {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            if self.over.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        if answer.stall.is_some() {
            while !self.over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        if answer.cut.is_some() {
            return Ok(false);
        }
        match answer.framing {
            Framing::Chunked => stream.write_all(b"0\r\n\r\n").map(|()| true),
            // More was declared than there is: the client cannot but wait, unless the connection ends.
            Framing::Length(declared) => Ok(declared <= len),
            Framing::Close => Ok(false),
        }
    }
}
