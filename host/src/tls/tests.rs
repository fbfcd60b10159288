use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tidemill_core::net::{Error, Handle, Interest, Stack, TlsError, Token};

use super::*;
use crate::net::Net;
use crate::net::tests::until_ready;

/// An authority that nobody but these tests trusts.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        // Each has a name of its own, or one would seem to be the other with a wrong key.
        params.distinguished_name.push(rcgen::DnType::CommonName, folder.path().to_string_lossy());
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::from_pem_file(&self.pem_file()).unwrap()
    }

    /// A certificate for these names, changed by `change` before it is signed.
    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) =
            (self.folder.path().join("server.pem"), self.folder.path().join("server.key"));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Identity::from_pem_files(&certificate_file, &key_file).unwrap()
    }

    pub(crate) fn localhost(&self) -> Identity {
        self.issue(&["localhost", "127.0.0.1"], |_| ())
    }
}

fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// What comes of a connection to `name` at a server of this identity: both ends in one `Net`.
fn meet(net: &mut Net, identity: &Identity, name: &str) -> Result<(Handle, Handle), (Error, Error)> {
    let listener = net.listen_secure(any(), 4, identity).unwrap();
    let client = net.connect_secure(net.local_addr(listener).unwrap(), name).unwrap();
    let (server, _) = until_ready(net, |net| net.accept(listener)).unwrap();
    // The server's handshake is part of its calls.
    let (mut at_server, mut at_client) = (None, None);
    let note = |outcome: nb::Result<(), Error>, told: &mut Option<Result<(), Error>>| match outcome {
        Ok(()) => *told = Some(Ok(())),
        Err(nb::Error::Other(error)) => *told = Some(Err(error)),
        Err(nb::Error::WouldBlock) => {}
    };
    let told = until_ready(net, |net| {
        note(net.send(server, &[]).map(drop), &mut at_server);
        note(net.connected(client), &mut at_client);
        at_server.zip(at_client).ok_or(nb::Error::WouldBlock)
    });
    net.close(listener);
    match told {
        Ok((Ok(()), Ok(()))) => Ok((server, client)),
        Ok((Err(server_told), Err(client_told))) => {
            net.close(server);
            net.close(client);
            Err((server_told, client_told))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_go_both_ways_and_the_end_of_a_half_is_told() {
    let (authority, mut net) = (Authority::new(), Net::new(4).unwrap());
    net.set_trust(authority.trust());
    for name in ["localhost", "127.0.0.1", "LOCALHOST"] {
        let (server, client) = meet(&mut net, &authority.localhost(), name).unwrap();
        assert_eq!(net.send(client, b"high water"), Ok(10));
        let mut buf = [0; 64];
        assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut buf)), Ok(10));
        net.shutdown(client).unwrap();
        assert_eq!(net.send(client, b"x"), Err(nb::Error::Other(Error::Closed)));
        for _ in 0..3 {
            assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut buf)), Ok(0));
        }
        net.watch(server, Interest::Read, Token(1)).unwrap();
        assert_eq!(until_ready(&mut net, |net| net.next_ready().ok_or(nb::Error::WouldBlock)), Ok(Token(1)));
        assert_eq!(net.send(server, b"low water"), Ok(9));
        assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(9));
        assert_eq!(&buf[..9], b"low water");
        net.close(server);
        net.close(client);
    }
}

#[test]
fn each_reason_not_to_trust_a_server_is_told_apart() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut net = Net::new(4).unwrap();
    net.set_trust(authority.trust());
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let old =
        authority.issue(&["localhost"], |params| (params.not_before, params.not_after) = (year(2000), year(2001)));
    for (identity, name, expected) in [
        (stranger.localhost(), "localhost", TlsError::UnknownIssuer),
        (authority.localhost(), "elsewhere.example", TlsError::WrongName),
        (authority.localhost(), "127.0.0.2", TlsError::WrongName),
        (old, "localhost", TlsError::Expired),
    ] {
        let failed = meet(&mut net, &identity, name).unwrap_err();
        assert_eq!(failed, (Error::Tls(TlsError::Alert), Error::Tls(expected)), "{name}");
    }
    assert_eq!(net.connect_secure(any(), "no name").map(drop), Err(Error::Tls(TlsError::WrongName)));
}

#[test]
fn a_server_that_speaks_no_tls_and_one_that_hangs_up_are_told_apart() {
    let mut net = Net::new(2).unwrap();
    net.set_trust(Authority::new().trust());
    for (answer, expected) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsError::NotTls), (b"", TlsError::Truncated)]
    {
        let listener = TcpListener::bind(any()).unwrap();
        let client = net.connect_secure(listener.local_addr().unwrap(), "localhost").unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Read first: what is closed with bytes unread ends in a reset.
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(answer).unwrap();
        });
        assert_eq!(until_ready(&mut net, |net| net.connected(client)), Err(Error::Tls(expected)));
        thread.join().unwrap();
        net.close(client);
    }
}

#[test]
fn a_connection_cut_off_beneath_tls_is_no_end_of_stream() {
    let (authority, mut net) = (Authority::new(), Net::new(4).unwrap());
    net.set_trust(authority.trust());
    let listener = net.listen_secure(any(), 1, &authority.localhost()).unwrap();
    // A man in the middle, who carries all and then cuts.
    let middle = TcpListener::bind(any()).unwrap();
    let client = net.connect_secure(middle.local_addr().unwrap(), "localhost").unwrap();
    let to = net.local_addr(listener).unwrap();
    let (from_client, _) = middle.accept().unwrap();
    let to_server = TcpStream::connect(to).unwrap();
    let carry = |mut from: TcpStream, mut to: TcpStream| std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let threads = [
        carry(from_client.try_clone().unwrap(), to_server.try_clone().unwrap()),
        carry(to_server.try_clone().unwrap(), from_client.try_clone().unwrap()),
    ];
    let (server, _) = until_ready(&mut net, |net| net.accept(listener)).unwrap();
    until_ready(&mut net, |net| {
        let _ = net.recv(server, &mut [0; 1]);
        net.connected(client)
    })
    .unwrap();
    until_ready(&mut net, |net| net.send(server, b"tide")).unwrap();
    let mut buf = [0; 16];
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(4));
    from_client.shutdown(std::net::Shutdown::Both).unwrap();
    for _ in 0..3 {
        let cut = until_ready(&mut net, |net| net.recv(client, &mut buf));
        assert_eq!(cut, Err(Error::Tls(TlsError::Truncated)));
    }
    to_server.shutdown(std::net::Shutdown::Both).unwrap();
    for thread in threads {
        let _ = thread.join().unwrap();
    }
}

#[test]
fn much_goes_through_a_slow_reader_and_what_was_sent_survives_close() {
    let (authority, mut net) = (Authority::new(), Net::new(4).unwrap());
    net.set_trust(authority.trust());
    let (server, client) = meet(&mut net, &authority.localhost(), "localhost").unwrap();
    let block: Vec<u8> = (0..100_003_u32).map(|at| (at % 251) as u8).collect();
    let mut sent = 0;
    // Until neither the kernel nor TLS takes more.
    while let Ok(count) = net.send(server, &block[sent % block.len()..]) {
        sent += count;
    }
    net.watch(server, Interest::Write, Token(2)).unwrap();
    assert_eq!(net.next_ready(), None);
    net.close(server);
    let (mut received, mut buf) = (0, vec![0; 64 << 10]);
    loop {
        let count = until_ready(&mut net, |net| net.recv(client, &mut buf)).unwrap();
        if count == 0 {
            break;
        }
        for &byte in &buf[..count] {
            assert_eq!(byte, block[received % block.len()]);
            received += 1;
        }
    }
    assert_eq!(received, sent);
}

#[test]
fn a_file_goes_out_under_tls() {
    let (authority, mut net) = (Authority::new(), Net::new(4).unwrap());
    net.set_trust(authority.trust());
    let (server, client) = meet(&mut net, &authority.localhost(), "localhost").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    assert_eq!(net.sendfile(server, file.as_fd(), 4, 100), Ok(6));
    assert_eq!(net.sendfile(server, file.as_fd(), 10, 1), Ok(0));
    let mut buf = [0; 16];
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(6));
    assert_eq!(&buf[..6], b"456789");
}

#[test]
fn files_without_what_they_should_hold_are_told() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "no PEM here").unwrap();
    let missing = folder.path().join("missing");
    assert!(matches!(Trust::from_pem_file(&missing), Err(crate::tls::Error::File(..))));
    assert!(matches!(Trust::from_pem_file(&empty), Err(crate::tls::Error::NoCertificate(_))));
    let without_key = Identity::from_pem_files(&authority.pem_file(), &empty);
    assert!(matches!(without_key, Err(crate::tls::Error::File(..))));
    let others_key = folder.path().join("key");
    std::fs::write(&others_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let wrong = Identity::from_pem_files(&authority.pem_file(), &others_key);
    assert!(matches!(wrong, Err(crate::tls::Error::Unusable(_))));
}
