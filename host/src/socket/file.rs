//! A socket as a file: buffered both ways, with lines of text.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use super::{Error, Flags, Socket};

/// A socket as a buffered file: Python's `makefile`. It keeps the socket alive, and is flushed when it is dropped.
///
/// Lines come from [`BufRead`]: `lines()` for text (UTF-8), `read_until` for bytes. A line has no bound there; with a peer
/// that means ill, take it from `file.by_ref().take(n)`.
///
/// After a time limit has passed while reading, every further read fails: nobody knows in the middle of what it stopped.
///
/// ```
/// use std::io::{BufRead, Write};
/// use tidemill_host::socket::{Kind, Socket};
/// let (a, b) = Socket::socketpair(Kind::Stream)?;
/// let mut file = a.makefile(4096);
/// writeln!(file, "first")?;
/// writeln!(file, "second")?;
/// drop((file, a));
/// let lines: Vec<_> = b.makefile(4096).lines().collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["first", "second"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct File {
    reader: BufReader<Bare>,
    writer: BufWriter<Bare>,
}

impl Socket {
    /// A file over this socket, with a buffer of so many bytes for each direction.
    pub fn makefile(&self, buffer: usize) -> File {
        let bare = || Bare { socket: Self(self.0.clone()), timed_out: false };
        File { reader: BufReader::with_capacity(buffer, bare()), writer: BufWriter::with_capacity(buffer, bare()) }
    }
}

#[derive(Debug)]
struct Bare {
    socket: Socket,
    timed_out: bool,
}

impl Read for Bare {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.timed_out {
            return Err(io::Error::other("a time limit has passed before: cannot read on"));
        }
        let result = self.socket.recv_into(buffer, Flags::empty());
        self.timed_out = result == Err(Error::TimedOut);
        Ok(result?)
    }
}

impl Write for Bare {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.socket.send(bytes, Flags::empty())?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for File {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Without a buffer: `sendall` is `write_all`.
impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_into(buffer, Flags::empty())?)
    }
}

/// Without a buffer: `sendall` is `write_all`.
impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(bytes, Flags::empty())?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
