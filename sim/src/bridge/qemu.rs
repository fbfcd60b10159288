//! A machine that QEMU emulates: the process, its network and its control.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Machine, PATIENCE};

/// What QEMU is to emulate.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: OsString,
    board: &'static str,
    controller: &'static str,
    image: PathBuf,
}

impl Qemu {
    /// An MPS2 board with the AN385 image, a Cortex-M3, that runs this firmware.
    pub fn mps2_an385(image: &Path) -> Self {
        Self { program: "qemu-system-arm".into(), board: "mps2-an385", controller: "lan9118", image: image.to_owned() }
    }

    /// QEMU's arguments, where its two streams are sockets in this folder.
    fn arguments(&self, folder: &Path) -> Vec<OsString> {
        let socket = |name: &str| folder.join(name).into_os_string();
        let mut network = OsString::from("stream,id=net,server=off,addr.type=unix,addr.path=");
        network.push(socket("net"));
        let mut control = OsString::from("unix:");
        control.push(socket("qmp"));
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // It stands still until its network is connected: what it sends before is lost.
        let mut arguments = words(&["-S", "-M", self.board, "-display", "none", "-monitor", "none", "-serial", "none"]);
        arguments.extend(words(&["-netdev"]));
        arguments.push(network);
        arguments.extend(words(&["-net", &format!("nic,model={},netdev=net", self.controller), "-qmp"]));
        arguments.push(control);
        arguments.push("-kernel".into());
        arguments.push(self.image.clone().into_os_string());
        arguments
    }
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    /// Beside those of other processes, and of this one.
    fn new() -> io::Result<Self> {
        (0_u32..1000)
            .map(|n| std::env::temp_dir().join(format!("tidemill-{}-{n}", std::process::id())))
            .find(|folder| std::fs::create_dir(folder).is_ok())
            .map(Self)
            .ok_or_else(|| io::Error::other("no folder for QEMU's sockets"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How often a machine is switched on before it counts as one that does not come up.
const HELLOS: u32 = 10;

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running QEMU.
struct Running {
    _process: Process,
    _folder: Folder,
    control: BufReader<UnixStream>,
}

impl Running {
    /// Has it do something, and waits until that is done.
    fn command(&mut self, name: &str) -> io::Result<()> {
        self.control.get_mut().write_all(format!("{{\"execute\":\"{name}\"}}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            if self.control.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "QEMU has ended"));
            }
            if line.contains("\"return\"") {
                return Ok(());
            }
            if line.contains("\"error\"") {
                return Err(io::Error::other(line));
            }
        }
    }
}

/// The first to connect, unless QEMU has ended meanwhile.
fn accept(listener: &UnixListener, child: &mut Child) -> io::Result<UnixStream> {
    listener.set_nonblocking(true)?;
    for _ in 0..PATIENCE.as_millis() {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("QEMU has ended: {status}")));
        }
        // No world is running yet.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "QEMU does not connect"))
}

impl Machine {
    /// Starts QEMU. The machine serves one world after another: starting it takes longer than a world does. It ends with the
    /// last clone of this, and of the worlds it is in.
    ///
    /// # Errors
    /// There is no QEMU, or no such firmware, or it does not come up.
    pub fn qemu(qemu: &Qemu) -> io::Result<Self> {
        let folder = Folder::new()?;
        let network = UnixListener::bind(folder.0.join("net"))?;
        let control = UnixListener::bind(folder.0.join("qmp"))?;
        let mut command = Command::new(&qemu.program);
        command.args(qemu.arguments(&folder.0)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process(command.spawn()?);
        let network = accept(&network, &mut process.0)?;
        let control = accept(&control, &mut process.0)?;
        control.set_read_timeout(Some(PATIENCE))?;
        let mut running = Running { _process: process, _folder: folder, control: BufReader::new(control) };
        running.command("qmp_capabilities")?;
        running.command("cont")?;
        let machine = Self::over(network, move || running.command("system_reset"))?;
        // It is on: what it says of that must not be taken for what it says after a reset.
        let mut inner = machine.0.borrow_mut();
        // QEMU drops what the machine sends before the stream is up, which may be after the machine is: then it says it again.
        inner.stream.set_read_timeout(Some(PATIENCE / HELLOS))?;
        let mut hello = inner.receive();
        for _ in 1..HELLOS {
            if hello.is_ok() {
                break;
            }
            (inner.reset)()?;
            hello = inner.receive();
        }
        inner.stream.set_read_timeout(Some(PATIENCE))?;
        hello.map_err(|error| io::Error::new(error.kind(), format!("the firmware says nothing: {error}")))?;
        drop(inner);
        Ok(machine)
    }
}
