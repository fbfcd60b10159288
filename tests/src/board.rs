//! The firmware of `core/examples/mps2-an385`, run by QEMU.
//!
//! [`Board::boot`] starts an image that was built before; where it is says `TIDEMILL_FIRMWARE`. Its UART 0 is a
//! [`UnixStream`], behind a [`Noisy`] one if bits are to be damaged; what it logs is kept, as it came.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidemill_core::random::draw;

/// The folder of the images, if there is one and something to run them.
///
/// Otherwise says so aloud, so that nobody takes a test that did not run for one that passed.
pub fn images() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TIDEMILL_FIRMWARE").map(PathBuf::from) else {
        say("NOT TESTED: the firmware: TIDEMILL_FIRMWARE does not name the folder of its images");
        return None;
    };
    if let Err(error) = Command::new("qemu-system-arm").arg("--version").stdout(Stdio::null()).status() {
        say(&format!("NOT TESTED: the firmware: qemu-system-arm: {error}"));
        return None;
    }
    Some(folder)
}

/// Past whoever captures what a test that passes prints.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "\n{line}");
}

/// A board that runs. It is switched off with this value.
#[derive(Debug)]
pub struct Board {
    child: Child,
    folder: TempDir,
    /// The other end of UART 0, until somebody takes it.
    pub uart: Option<UnixStream>,
    image: PathBuf,
}

impl Board {
    /// Boots the image of this name.
    ///
    /// # Panics
    /// There is no such image, or QEMU does not start.
    pub fn boot(images: &Path, name: &str) -> Self {
        Self::boot_to(images, name, "")
    }

    /// Boots an image that is told what to do.
    ///
    /// # Panics
    /// As [`boot`](Self::boot).
    pub fn boot_to(images: &Path, name: &str, line: &str) -> Self {
        Self::start(images, name, "", line).unwrap_or_else(|error| panic!("QEMU does not start: {error}"))
    }

    /// Boots an image that serves at its port 80; also says where that can be reached.
    ///
    /// # Panics
    /// As [`boot`](Self::boot).
    pub fn boot_server(images: &Path, name: &str) -> (Self, SocketAddr) {
        let (board, [address]) = Self::boot_services(images, name, [("tcp", 80)]);
        (board, address)
    }

    /// Boots an image that serves at these ports of `tcp` or `udp`; also says where each can be reached.
    ///
    /// # Panics
    /// As [`boot`](Self::boot).
    pub fn boot_services<const N: usize>(
        images: &Path,
        name: &str,
        ports: [(&str, u16); N],
    ) -> (Self, [SocketAddr; N]) {
        let mut error = String::new();
        // Another process may take a port in between.
        for _ in 0..5 {
            let places = ports.map(|(protocol, port)| (protocol, port, free_port()));
            let forward = |(protocol, port, at)| format!(",hostfwd={protocol}:{at}-:{port}");
            match Self::start(images, name, &places.map(forward).concat(), "") {
                Ok(board) => return (board, places.map(|(.., at)| at)),
                Err(why) => error = why,
            }
        }
        panic!("QEMU does not start: {error}");
    }

    /// What QEMU complains of if it ends at once.
    fn start(images: &Path, name: &str, network: &str, line: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("uart")).unwrap();
        let image = images.join(name);
        assert!(image.is_file(), "no image {}", image.display());
        let mut command = Command::new("qemu-system-arm");
        command.current_dir(folder.path()).args(["-M", "mps2-an385", "-display", "none", "-monitor", "none"]);
        command.args(["-semihosting-config", "enable=on,target=native"]);
        command.args(["-chardev", "socket,id=u0,path=uart", "-serial", "chardev:u0", "-serial", "file:log"]);
        command.args(["-nic", &format!("user,model=lan9118{network}"), "-kernel"]).arg(&image);
        if !line.is_empty() {
            command.args(["-append", line]);
        }
        let said = |name| fs::File::create(folder.path().join(name)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(said("stdout")).stderr(said("stderr")).spawn().unwrap();
        let mut board = Self { child, folder, uart: None, image };
        board.uart = Some(board.accept(&listener)?);
        Ok(board)
    }

    /// QEMU connects before the image runs.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, String> {
        listener.set_nonblocking(true).unwrap();
        let began = Instant::now();
        loop {
            if let Ok((stream, _)) = listener.accept() {
                return Ok(stream);
            }
            if self.child.try_wait().unwrap().is_some() || began.elapsed().as_secs() > 30 {
                return Err(self.stderr());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The URL by which the board reaches a server of this machine: QEMU's network has the loopback at an address of its own.
    pub fn url(local: &str) -> String {
        local.replacen("127.0.0.1", "10.0.2.2", 1)
    }

    /// Waits until it has ended by itself: its exit status.
    ///
    /// # Panics
    /// It does not end within a minute.
    pub fn wait(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed().as_secs() < 60, "it goes on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What QEMU complained of: the network that lost a frame says so here.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// What the image has said through semihosting.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(name)).unwrap_or_default()).into_owned()
    }

    /// The log so far, decoded: what a person would read.
    ///
    /// # Panics
    /// The image has no log format in it, or the log does not fit it.
    pub fn log(&self) -> Vec<String> {
        let table =
            defmt_decoder::Table::parse(&fs::read(&self.image).unwrap()).unwrap().expect("formats in the image");
        let mut decoder = table.new_stream_decoder();
        // QEMU opens it some time after it has started.
        decoder.received(&fs::read(self.folder.path().join("log")).unwrap_or_default());
        let mut lines = Vec::new();
        loop {
            match decoder.decode() {
                Ok(frame) => lines.push(frame.display(false).to_string()),
                Err(defmt_decoder::DecodeError::UnexpectedEof) => return lines,
                Err(error) => panic!("{error} after {lines:?}"),
            }
        }
    }

    /// Waits until it has logged something with these words in it.
    ///
    /// # Panics
    /// It does not within half a minute.
    pub fn wait_for_log(&self, words: &str) {
        let began = Instant::now();
        while !self.log().iter().any(|line| line.contains(words)) {
            assert!(began.elapsed().as_secs() < 30, "no '{words}' in {:?}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Fails if a frame found the controller's FIFO full.
    ///
    /// # Panics
    /// As it says.
    pub fn assert_no_frame_lost(&self) {
        let lost = self.stderr().matches("Failed to send packet").count();
        assert_eq!(lost, 0, "frames found the FIFO full");
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where nobody listens now.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A stream that damages bits, in both directions.
#[derive(Debug)]
pub struct Noisy<S> {
    stream: S,
    /// One bit in so many.
    one_in: u64,
    seed: u64,
    bits: [u64; 2],
    flipped: u64,
}

impl<S> Noisy<S> {
    /// Damages one bit in `one_in`, which ones is drawn from `seed`.
    pub fn new(stream: S, one_in: u64, seed: u64) -> Self {
        Self { stream, one_in, seed, bits: [0; 2], flipped: 0 }
    }

    fn damage(&mut self, direction: usize, bytes: &mut [u8]) {
        for byte in bytes {
            for bit in 0..8 {
                let number = self.bits[direction];
                self.bits[direction] += 1;
                if draw(self.seed, &[direction as u64, number]).is_multiple_of(self.one_in) {
                    *byte ^= 1 << bit;
                    self.flipped += 1;
                }
            }
        }
    }
}

impl<S: Read> Read for Noisy<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buf)?;
        self.damage(0, &mut buf[..count]);
        Ok(count)
    }
}

impl<S: Write> Write for Noisy<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let before = self.bits[1];
        let mut bytes = buf.to_vec();
        self.damage(1, &mut bytes);
        let written = self.stream.write(&bytes);
        // What was not written is drawn again.
        self.bits[1] = before + 8 * *written.as_ref().unwrap_or(&0) as u64;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: AsFd> AsFd for Noisy<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
