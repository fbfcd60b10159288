//! The Python of `frame/peer.py`, which knows the frame protocol from its description alone, at our `Listener`.

use std::process::{Child, Command, Stdio};

use tidemill_host::ipc::{Error, Listener, Options};
use tidemill_host::socket::Address;

const CONNECT: &str = "
import os, socket, sys
import peer
where, key = sys.argv[1], sys.argv[2]
if where.startswith('/'):
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(where)
else:
    wire = socket.create_connection(where.rsplit(':', 1))
key = None if key == '-' else key.encode()
peer.Echo('stream', False, key, lambda: wire.recv(65536), wire.sendall).run()
";

fn python(address: &Address, key: &str) -> Child {
    let folder = format!("{}/frame", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
    let where_to = match address {
        Address::Path(path) => path.display().to_string(),
        address => address.ip().expect("an IP address").to_string(),
    };
    command.args(["-c", CONNECT, &where_to, key]).stderr(Stdio::piped()).spawn().expect("python3")
}

#[test]
fn python_talks_to_our_listener_with_an_authkey() {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses =
        [Address::Path(folder.path().join("pond")), "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()];
    for address in addresses {
        let listener = Listener::bind(address, Options::with_authkey("spring tide")).expect("a listener");
        let child = python(&listener.address().expect("its address"), "spring tide");
        let mut python = listener.accept().expect("it has the key");
        for len in [0, 1, 300, 65_000 - 40, 7] {
            let message: Vec<u8> = (0..len).map(|at| at as u8).collect();
            python.send_bytes(&message, 0, None).expect("sent");
            assert_eq!(python.recv_bytes(None), Ok(&message[..]));
        }
        // Whatever it is, it can be sent without waiting, and comes back in order.
        for number in 0..200_u32 {
            python.send(&(number, "tide")).expect("sent");
        }
        for number in 0..200_u32 {
            assert_eq!(python.recv(), Ok((number, "tide".to_owned())));
        }
        python.close();
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn python_with_another_key_or_none_is_denied() {
    for key in ["neap tide", "-"] {
        let address: Address = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into();
        let listener = Listener::bind(address, Options::with_authkey("spring tide")).expect("a listener");
        let child = python(&listener.address().expect("its address"), key);
        assert!(matches!(listener.accept(), Err(Error::Denied | Error::BrokenPipe)));
        let output = child.wait_with_output().expect("its end");
        assert!(!output.status.success(), "it was told");
    }
}
