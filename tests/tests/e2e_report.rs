//! The report of a run, read by those it is for: Wireshark's tshark reads the capture, and Chromium runs the page.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tidemill_core::fetch::Options;
use tidemill_core::time::{Duration, EPOCH};
use tidemill_sim::fault::Fault;
use tidemill_sim::link::Link;
use tidemill_sim::mill::{Mill, Scenario};
use tidemill_sim::plan::Plan;
use tidemill_sim::report;
use tidemill_sim::trace::Kind;
use tidemill_sim::world::World;
use tidemill_tests::e2e::not_tested;

/// What the run failed with: nothing that a page or a capture may take for its own.
const WHY: &str = "the file is \"wrong\" </script><script>document.body.dataset.error = \"escaped\"</script>";

/// Kinds of frames that were dropped, wherever it was.
const DROPS: [Kind; 8] = [
    Kind::DroppedDown,
    Kind::DroppedQueue,
    Kind::DroppedLoss,
    Kind::DroppedLong,
    Kind::DroppedCard,
    Kind::NoRoute,
    Kind::NobodyHome,
    Kind::Reset,
];

/// The report of a download of so many bytes to which everything happens.
fn hostile(size: u64) -> (World, TempDir) {
    let link = Link::new()
        .loss_ppm(10_000)
        .damage_ppm(10_000)
        .reorder_ppm(10_000)
        .duplicate_ppm(10_000)
        .rate_bps(20_000_000)
        .queue_bytes(100_000);
    let (rtt, seed) = (Duration::from_millis(20), 7);
    let scenario = Scenario { host: "mill".into(), path: "/file".into(), size, rtt, link, seed };
    let mut mill = Mill::<32>::new(&scenario);
    mill.world_mut().trace_mut().capture(0..u64::MAX);
    let (server, client) = (mill.server(), mill.client());
    let at = |millis| EPOCH + Duration::from_millis(millis);
    let lasts = Duration::from_millis(300);
    let faults = vec![
        Fault::Crash { host: server, at: at(95), off_for: Some(lasts) },
        Fault::Reset { link: (server, client), at: at(1_000) },
        Fault::Outage { link: (client, server), at: at(1_200), lasts: Duration::from_secs(2) },
        Fault::Pause { host: client, at: at(2_100), lasts },
    ];
    for &fault in &faults {
        mill.world_mut().schedule(fault).unwrap();
    }
    let end = mill.download(&scenario, 4, Options::default()).unwrap();
    assert_eq!(end.outcome, Some(Ok(size)));
    let folder = TempDir::new().unwrap();
    let world = mill.into_world();
    report::write(&world, &Plan { seed, faults }, WHY, folder.path()).unwrap();
    (world, folder)
}

fn dropped(world: &World) -> u64 {
    DROPS.iter().map(|&kind| world.trace().count(kind)).sum()
}

/// What a program prints; `None`, and it is told, when it is not here.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_tested(&format!("the report in {program}: {error}")))
        .ok()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    Some(out.into_owned())
}

#[test]
fn tshark_reads_every_packet_with_its_interface_and_its_fate() {
    let (world, folder) = hostile(500_000);
    let fields =
        ["frame.interface_name", "frame.packet_flags_direction", "frame.comment", "frame.cap_len", "_ws.malformed"];
    // A frame is there at either end of its link: streams cannot be put together from both.
    let alone = ["-o", "tcp.desegment_tcp_streams:FALSE"];
    let mut arguments = vec!["-n", "-r", "world.pcapng", "-T", "fields", "-E", "separator=|", alone[0], alone[1]];
    arguments.extend(fields.iter().flat_map(|&field| ["-e", field]));
    let Some(text) = run("tshark", &arguments, folder.path()) else { return };
    let packets: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').collect()).collect();
    let trace = world.trace();
    let (sent, arrived) = (trace.count(Kind::Sent), trace.count(Kind::Arrived));
    assert_eq!(packets.len() as u64, sent + arrived + dropped(&world));
    let on = |end: &'static str| packets.iter().filter(move |packet| packet[0] == end).count() as u64;
    assert_eq!(on("client~server") + on("server~client"), sent + arrived);
    assert_eq!(on("client~server dropped") + on("server~client dropped"), dropped(&world));
    for packet in &packets {
        let [interface, way, comment, len, _] = packet[..] else { panic!("{packet:?}: a field too few or too many") };
        assert!(comment.starts_with('#'), "{packet:?}");
        assert_eq!(interface.ends_with(" dropped"), comment.contains(": dropped: "), "{packet:?}");
        let inbound = comment.contains(", sent ");
        assert_eq!(way == "0x00000001", inbound, "{packet:?}");
        assert_eq!(
            len.is_empty(),
            comment.contains("cut from") && comment.contains(" to 0 B") && inbound,
            "{packet:?}"
        );
    }
    for fate in ["lost", "queue full", "host is off", "link down", "its connection was cut"] {
        assert!(packets.iter().any(|packet| packet[2].contains(&format!(": dropped: {fate}"))), "{fate}");
    }
    let damaged = packets.iter().filter(|packet| packet[2].contains("damaged: ") && packet[1] == "0x00000002").count();
    assert_eq!(damaged as u64, trace.count(Kind::Damaged));
    // What tshark cannot make sense of was damaged.
    for packet in packets.iter().filter(|packet| !packet[4].is_empty()) {
        assert!(packet[2].contains("damaged: "), "{packet:?}");
    }
}

/// The page's `<body>` once its program has run: its attributes.
fn page(folder: &Path) -> Option<String> {
    let url = format!("file://{}/report.html", folder.display());
    let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1600,1000"];
    let arguments: Vec<&str> = flags.into_iter().chain(["--virtual-time-budget=5000", "--dump-dom", &url]).collect();
    run("chromium", &arguments, folder)
}

/// An attribute `data-name` of the page's `<body>`.
fn attribute(page: &str, name: &str) -> String {
    let body = page.split("<body").nth(1).and_then(|rest| rest.split('>').next()).expect("it has a body");
    let value = body.split(&format!(" data-{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    value.unwrap_or_else(|| panic!("no data-{name} in {body}")).to_owned()
}

#[test]
fn the_page_draws_every_frame_without_an_error() {
    let (world, folder) = hostile(500_000);
    let Some(page) = page(folder.path()) else { return };
    let (trace, number) = (world.trace(), |name| attribute(&page, name).parse::<u64>().expect("a number"));
    assert!(!page.split("<script").next().is_some_and(|head| head.contains("data-error")), "{page:.4000}");
    assert_eq!(attribute(&page, "drawn"), "yes");
    assert_eq!(number("events"), trace.events());
    let arrived: u64 = [Kind::Arrived, Kind::NobodyHome, Kind::DroppedCard].map(|kind| trace.count(kind)).iter().sum();
    let gone = dropped(&world) - trace.count(Kind::NobodyHome) - trace.count(Kind::DroppedCard);
    let waiting = trace.count(Kind::Sent) + trace.count(Kind::Duplicated) - arrived;
    // One arrow for each arrival and each drop; of what is under way at the end, one for each frame.
    let arrows = number("arrows");
    assert!((arrived + gone..=arrived + gone + waiting).contains(&arrows), "{arrows}");
    let faults = [Kind::Damaged, Kind::Crash, Kind::LinkDown, Kind::Paused].map(|kind| trace.count(kind));
    assert_eq!(number("troubles"), dropped(&world) + faults.iter().sum::<u64>());
    assert!(page.contains("<title>seed 7: the file is \"wrong\" &lt;/script&gt;"), "{page:.400}");
}

/// Does what someone does who looks at a page, and writes what is chosen and shown on `<body>`.
const WALK: &str = include_str!("e2e_report_walk.js");

#[test]
fn keys_clicks_and_filters_move_about_the_page() {
    let (world, folder) = hostile(500_000);
    let file = folder.path().join("report.html");
    let walked = fs::read_to_string(&file).unwrap().replace("</body>", &format!("<script>{WALK}</script></body>"));
    fs::write(&file, walked).unwrap();
    let Some(page) = page(folder.path()) else { return };
    assert!(!page.split("<script").next().is_some_and(|head| head.contains("data-error")), "{page:.4000}");
    assert_eq!(attribute(&page, "walked"), "yes");
    let number = |name| attribute(&page, name).parse::<usize>().expect("a number");
    let report = world.trace().recorded();
    // The first two events are boots; the third that is shown, for turns are not, is the first frame.
    assert_eq!(report[number("third")].kind, Kind::Sent);
    let trouble = report.iter().position(|event| DROPS.contains(&event.kind) || event.kind == Kind::Damaged);
    assert_eq!(Some(number("trouble")), trouble);
    assert_eq!(attribute(&page, "details"), format!("{} #{}", "frame damaged", number("trouble")));
    let turn = &report[number("turn")];
    assert_eq!((turn.kind, turn.host.index()), (Kind::Turn, 0));
    assert!((10..number("flow")).contains(&(number("crashes") + 10)), "{} and {}", number("flow"), number("crashes"));
    assert_eq!(number("crashes") as u64, world.trace().count(Kind::Crash));
}

#[test]
fn a_run_in_which_nothing_happened_has_a_page_too() {
    let folder = TempDir::new().unwrap();
    report::write(&World::new(1), &Plan::default(), "", folder.path()).unwrap();
    let Some(page) = page(folder.path()) else { return };
    assert!(!page.split("<script").next().is_some_and(|head| head.contains("data-error")), "{page:.4000}");
    assert_eq!((attribute(&page, "drawn"), attribute(&page, "events")), ("yes".into(), "0".into()));
}

#[test]
fn a_page_of_two_hundred_thousand_events_is_drawn() {
    let (world, folder) = hostile(40_000_000);
    assert!(world.trace().events() > 200_000, "{}", world.trace().events());
    let Some(page) = page(folder.path()) else { return };
    assert_eq!(attribute(&page, "drawn"), "yes");
    assert_eq!(attribute(&page, "events"), world.trace().events().min(1 << 18).to_string());
    let millis: u64 = attribute(&page, "ms").parse().expect("a number");
    println!("{} events are read and drawn in {millis} ms", world.trace().events());
    assert!(millis < 10_000, "{millis} ms");
}

#[test]
fn the_data_of_the_page_is_json_and_says_what_happened() {
    let (world, folder) = hostile(500_000);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("it has data");
    let data: Value = serde_json::from_str(data).expect("it is JSON");
    assert_eq!(data["why"], WHY);
    assert_eq!((&data["hosts"][0][0], &data["hosts"][1][1]), (&"server".into(), &"10.0.0.2".into()));
    assert_eq!(data["plan"].as_str().map(|plan| plan.matches("[[fault]]").count()), Some(4));
    let counted: u64 = data["kinds"].as_array().unwrap().iter().map(|kind| kind[3].as_u64().unwrap()).sum();
    assert_eq!(counted, world.trace().events());
}
