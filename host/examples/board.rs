//! Asks a board for a task: `cargo run -p tidemill-host --example board -- /tmp/uart sum 1 2 39`.
//!
//! First the board's serial line, a device or a Unix socket; then the task's name; then its arguments: a number is sent in
//! 4 bytes, lowest first, anything else as it is written. Reports are printed as they come, then the answer: text as text,
//! else bytes in groups of 4. The firmware is `core/examples/mps2-an385`, whose `jobs` and `download` have the names.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tidemill_host::remote::{self, Client, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(line), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: board LINE NAME [ARGUMENT...]".into());
    };
    let given: Vec<u8> = args
        .flat_map(|arg| match arg.parse::<u32>() {
            Ok(number) => number.to_le_bytes().to_vec(),
            Err(_) => arg.into_bytes(),
        })
        .collect();
    let client = if fs::metadata(&line)?.file_type().is_socket() {
        Client::open(UnixStream::connect(line)?, &Options::default())?
    } else {
        Client::open(File::options().read(true).write(true).open(line)?, &Options::default())?
    };
    let mut future = client.submit(&name, &given, None)?;
    while !future.done() {
        match client.report(Duration::from_millis(20)) {
            Ok(report) => println!("{}", shown(&report)),
            Err(remote::Error::Expired) => {}
            Err(error) => return Err(error.into()),
        }
    }
    println!("{}", shown(&future.result(None)?));
    Ok(client.close()?)
}

fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => {
            let group =
                |group: &[u8]| group.iter().rev().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            bytes.chunks(4).map(group).collect::<Vec<_>>().join(" ")
        }
    }
}
