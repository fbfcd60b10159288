//! The firmware of `core/examples/mps2-an385` in QEMU, from outside: `tests/run firmware`.
//!
//! How much is done is what a minute has room for; with `TIDEMILL_FIRMWARE_FULL` it is ten times as much.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tidemill_core::frame::crc;
use tidemill_core::future::State;
use tidemill_core::pool::Failure;
use tidemill_host::remote::{Client, Error, Future, Options};
use tidemill_tests::board::{Board, Noisy, images};
use tidemill_tests::e2e::{Content, Nginx, Serving};

/// As many as there is time for, or all that were asked for.
fn count(few: u32, full: u32) -> u32 {
    if std::env::var_os("TIDEMILL_FIRMWARE_FULL").is_some() { full } else { few }
}

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(30);

fn client(board: &mut Board) -> Client {
    Client::open(board.uart.take().unwrap(), &Options::default()).unwrap()
}

/// One bit in 10,000 is wrong in either direction. Every task is answered, with its own result.
#[test]
fn remote_tasks_over_a_line_with_bit_errors_are_all_answered_once() {
    let Some(images) = images() else { return };
    let mut board = Board::boot(&images, "remote");
    let wire = Noisy::new(board.uart.take().unwrap(), 10_000, 1);
    let client = Client::open(wire, &Options::default()).unwrap();
    let (began, tasks) = (Instant::now(), count(2_000, 10_000));
    let check = |(number, mut future): (u32, Future)| {
        let sum = future.result(SOON).unwrap_or_else(|error| panic!("task {number}: {error}"));
        assert_eq!(sum, (u64::from(number) + 3).to_le_bytes(), "task {number}");
    };
    let mut under_way = VecDeque::new();
    for number in 0..tasks {
        let args = [number, 1, 2].map(u32::to_le_bytes).concat();
        loop {
            match client.submit("sum", &args, None) {
                Ok(future) => break under_way.push_back((number, future)),
                Err(Error::Full) => check(under_way.pop_front().unwrap()),
                Err(error) => panic!("{error}"),
            }
        }
    }
    under_way.into_iter().for_each(check);
    let stats = client.stats();
    println!("{tasks} tasks in {:?}: {stats:?}", began.elapsed());
    assert!(stats.damaged > 0 && stats.repeated > 0, "the line was good: {stats:?}");
    client.close().unwrap();
}

#[test]
fn remote_tasks_fail_expire_are_cancelled_and_are_heard_of_in_the_log() {
    let Some(images) = images() else { return };
    let mut board = Board::boot(&images, "remote");
    let client = client(&mut board);
    let ms = |ms: u32| ms.to_le_bytes();
    assert_eq!(client.submit("echo", b"tide", None).unwrap().result(SOON).unwrap(), b"tide");
    let mut failure = client.submit("fail", b"low water", None).unwrap();
    assert_eq!(failure.result(SOON), Err(Failure::Failed(Error::Task("low water".into()))));
    let mut unknown = client.submit("ebb", b"", None).unwrap();
    assert_eq!(unknown.result(SOON), Err(Failure::Failed(Error::Task("no such task".into()))));

    let mut slept = client.submit("sleep", &ms(50), None).unwrap();
    let us = u64::from_le_bytes(slept.result(SOON).unwrap().try_into().unwrap());
    assert!(us >= 50_000, "{us}");
    // Its time is over on the board or here, whichever says so first.
    let mut late = client.submit("sleep", &ms(60_000), Duration::from_millis(200)).unwrap();
    let why = late.result(SOON);
    let board_said = Err(Failure::Failed(Error::Task("out of time".into())));
    assert!(why == Err(Failure::Failed(Error::Expired)) || why == board_said, "{why:?}");

    // More than the board has slots: those that sleep are aborted, and the board has room again.
    let sleeping: Vec<_> = (0..20).map(|_| client.submit("sleep", &ms(60_000), None).unwrap()).collect();
    for mut future in sleeping {
        assert!(future.abort());
        assert_eq!(future.result(SOON), Err(Failure::Cancelled));
        assert!(!future.abort());
    }
    let mut spun = client.submit("spin", &ms(1_000), SOON).unwrap();
    assert_eq!(spun.result(SOON).unwrap().len(), 8);
    assert_eq!(spun.state(), State::Done);

    let beats = client.submit("beats", b"", None).unwrap().result(SOON).unwrap();
    let [heard, lost, worst_us] =
        core::array::from_fn(|at| u32::from_le_bytes(*beats[4 * at..].first_chunk().unwrap()));
    println!("{heard} interrupts heard of, {lost} lost, at most {worst_us} us from interrupt to task");
    assert!(heard > 0);
    client.close().unwrap();

    let log = board.log();
    assert!(log.iter().any(|line| line.contains("boot 1: 16 tasks at once")), "{log:?}");
}

/// What the board says of a download: length, CRC-32C, SHA-256, microseconds.
fn download(client: &Client, url: &str) -> (u32, u32, String, u32) {
    let answer =
        client.submit("get", url.as_bytes(), None).unwrap().result(SOON).unwrap_or_else(|e| panic!("{url}: {e}"));
    let number = |at: usize| u32::from_le_bytes(*answer[at..].first_chunk().unwrap());
    let sha = answer[8..40].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    (number(0), number(4), sha, number(40))
}

#[test]
fn the_least_image_gets_what_it_is_told_to() {
    let Some(images) = images() else { return };
    let serving = Serving::new(&[]);
    let content = Content::new(12, 1 << 20);
    content.write(&serving.path("f"));
    let crc = crc::software(0, &content.bytes(0..content.len));
    let mut board = Board::boot_to(&images, "plain_get", &Board::url(&serving.url("f")));
    assert_eq!(board.wait(), Some(0), "{}", board.stdout());
    let said = board.stdout();
    println!("{}", said.trim());
    assert!(said.starts_with(&format!("200 1048576 {crc:08x} ")), "{said}");
    board.assert_no_frame_lost();
    let mut missing = Board::boot_to(&images, "plain_get", &Board::url(&serving.url("g")));
    assert_eq!(missing.wait(), Some(1));
    assert!(missing.stdout().starts_with("404 "), "{}", missing.stdout());
}

#[test]
fn downloads_have_the_right_hash_and_no_frame_is_lost() {
    let Some(images) = images() else { return };
    let mut board = Board::boot(&images, "download");
    let client = client(&mut board);
    let (serving, nginx) = (Serving::new(&[]), Nginx::new());
    let content = Content::new(11, 1 << 20);
    content.write(&serving.path("f"));
    content.write(&nginx.path("f"));
    let crc = crc::software(0, &content.bytes(0..content.len));
    for (server, url) in [("tidemill serve", serving.url("f")), ("nginx", nginx.url("f"))] {
        let mut times = Vec::new();
        for _ in 0..10 {
            let (len, sum, sha, us) = download(&client, &Board::url(&url));
            assert_eq!((len, sum), (1 << 20, crc), "from {server}");
            assert_eq!(format!("sha-256={sha}"), content.checksum(), "from {server}");
            times.push(us);
        }
        times.sort_unstable();
        let mib_s = |us: u32| 1e6 / f64::from(us);
        println!("1 MiB from {server}: median {:.1} MiB/s, worst {:.1}", mib_s(times[5]), mib_s(times[9]));
    }
    // How far it was, told meanwhile.
    let report = client.report(Duration::ZERO).unwrap();
    assert_eq!(report.len(), 12);
    let mut missing = client.submit("get", Board::url(&serving.url("g")).as_bytes(), None).unwrap();
    assert_eq!(missing.result(SOON), Err(Failure::Failed(Error::Task("the server answered 404".into()))));
    client.close().unwrap();
    board.assert_no_frame_lost();
    println!("{}", board.log().last().unwrap());
}

#[test]
fn curl_is_served_pages_and_metrics() {
    let Some(images) = images() else { return };
    let (board, address) = Board::boot_server(&images, "serve");
    // A frame that comes before the controller is on is lost, and QEMU says so.
    board.wait_for_log("listens: true");
    let curl = |args: &[&str], path: &str| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--max-time", "50"]).args(args);
        let output = command.arg(format!("http://{address}{path}")).output().expect("curl is needed");
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(curl(&[], "/").contains("<h1>tidemill</h1>"));
    let (began, requests) = (Instant::now(), count(1_000, 1_000));
    // On one connection, and on one each.
    let kept = curl(&[], &format!("/metrics?[1-{}]", requests / 2));
    let each = curl(&["-H", "Connection: close"], &format!("/metrics?[1-{}]", requests / 2));
    for answers in [kept, each] {
        assert_eq!(answers.matches("tidemill_uptime_seconds ").count() as u32, requests / 2);
    }
    println!("{requests} requests in {:?}", began.elapsed());
    let metrics = curl(&[], "/metrics");
    assert!(metrics.contains(&format!("tidemill_requests_total{{status=\"200\"}} {}", requests + 1)), "{metrics}");
    for name in ["pool_connections_max", "wheel_timers_max", "scheduler_events_max", "link_up"] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("tidemill_{name} ")));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{name} in {metrics}");
    }
    let mut missing = Command::new("curl");
    missing.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).arg(format!("http://{address}/none"));
    assert_eq!(missing.output().unwrap().stdout, b"404");
    board.assert_no_frame_lost();
}

/// Sets a cookie and redirects; then knows whoever has it.
fn login_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            let has_cookie = lines.take_while(|line| !line.is_empty()).any(|line| line == "Cookie: id=17");
            let answer = match (asked.split(' ').nth(1), has_cookie) {
                (Some("/login"), _) => {
                    "302 Found\r\nSet-Cookie: id=17; Path=/\r\nSet-Cookie: old=1; Max-Age=0\r\nLocation: ../news?a=b#c\r\nContent-Length: 0"
                }
                (Some("/news?a=b"), true) => "200 OK\r\nContent-Length: 10\r\n\r\nhigh water",
                (Some("/loop"), _) => "302 Found\r\nLocation: /loop\r\nContent-Length: 0",
                _ => "403 Forbidden\r\nContent-Length: 0",
            };
            let end = if answer.contains("\r\n\r\n") { "" } else { "\r\n\r\n" };
            let _ = stream.write_all(format!("HTTP/1.1 {answer}{end}").as_bytes());
        }
    });
    address
}

#[test]
fn a_session_keeps_its_cookie_over_a_redirect() {
    let Some(images) = images() else { return };
    let mut board = Board::boot(&images, "session");
    let client = client(&mut board);
    let address = login_server();
    let visit = |path: &str| {
        client
            .submit("visit", Board::url(&format!("http://{address}/{path}")).as_bytes(), None)
            .unwrap()
            .result(SOON)
            .map(|answer| {
                let status = u16::from_le_bytes(*answer.first_chunk().unwrap());
                (status, answer[2], answer[3], answer[8..].to_vec())
            })
    };
    let body = crc::software(0, b"high water").to_le_bytes().to_vec();
    assert_eq!(visit("news?a=b"), Ok((403, 0, 0, vec![0; 4])));
    assert_eq!(visit("login"), Ok((200, 1, 1, body.clone())));
    assert_eq!(visit("news?a=b"), Ok((200, 0, 1, body)));
    assert_eq!(visit("loop"), Err(Failure::Failed(Error::Task("too many redirects".into()))));
    client.close().unwrap();
    board.assert_no_frame_lost();
}

/// Sends to a server that sends back what it gets, and hears all of it.
fn shout(at: SocketAddr, content: Content) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let sender = thread::spawn({
        let mut stream = stream.try_clone().unwrap();
        move || {
            stream.write_all(&content.bytes(0..content.len)).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    sender.join().unwrap();
    assert!(heard == content.bytes(0..content.len), "{at}: {} of {} bytes", heard.len(), content.len);
}

/// Datagrams are answered as they are. One may be lost, and then it is sent again.
fn ping(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for number in 0..20_u32 {
        let sent = Content::new(u64::from(number), u64::from(number) * 25).bytes(0..u64::from(number) * 25);
        let sent = [&number.to_le_bytes()[..], &sent].concat();
        let answered = (0..20).any(|_| {
            let mut heard = [0; 600];
            socket.send(&sent).unwrap();
            socket.recv(&mut heard).is_ok_and(|len| heard[..len] == sent)
        });
        assert!(answered, "datagram {number} to {at}");
    }
    // One that is longer than there is room for is not, and hurts nobody.
    socket.send(&[7; 600]).unwrap();
    assert!(socket.recv(&mut [0; 600]).is_err());
}

#[test]
fn services_run_side_by_side_as_they_do_elsewhere() {
    let Some(images) = images() else { return };
    let ports = [("tcp", 7), ("tcp", 4000), ("tcp", 4007), ("udp", 7), ("udp", 4007)];
    let (board, [echo, greetings, foreign, datagrams, foreign_datagrams]) =
        Board::boot_services(&images, "services", ports);
    board.wait_for_log("listens: true");
    let began = Instant::now();
    thread::scope(|scope| {
        // More at once than there are places for: the others wait for theirs.
        for number in 0..3 {
            scope.spawn(move || shout(echo, Content::new(number, 50_000)));
            scope.spawn(move || shout(foreign, Content::new(number, 20_000)));
        }
        scope.spawn(move || ping(datagrams));
        scope.spawn(move || ping(foreign_datagrams));
        for name in ["Ada", "Grace", "Edsger"] {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(greetings).unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                stream.write_all(format!("{name}\r\nonce more\n").as_bytes()).unwrap();
                let mut lines = BufReader::new(stream).lines();
                assert_eq!(lines.next().unwrap().unwrap(), format!("hello {name}"));
                assert_eq!(lines.next().unwrap().unwrap(), "hello once more");
            });
        }
    });
    println!("services: {:?}", began.elapsed());
    // A line that is too long cuts the connection.
    let mut stream = TcpStream::connect(greetings).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&[b'x'; 200]).unwrap();
    assert!(!matches!(stream.read(&mut [0; 8]), Ok(1..)), "it is not answered");
    shout(echo, Content::new(9, 10));
    println!("{}", board.log().last().unwrap());
}
