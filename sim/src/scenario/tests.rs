use super::*;
use crate::check::{explore, repeat};

const SMALL: &str = r#"about = "x"

[[host]]
name = "server"
echo = {}

[[host]]
name = "client"
shout = { to = "server", size = 1000 }

[[link]]
between = ["client", "server"]

[must]
finish_within = "1s"
"#;

fn builtin(name: &str) -> Scenario {
    Scenario::builtin(name).expect("it is built in")
}

/// The scenario with one text in place of another.
fn with(old: &str, new: &str) -> Result<Scenario, ScenarioError> {
    assert!(SMALL.contains(old), "{old}");
    SMALL.replacen(old, new, 1).parse()
}

fn why(old: &str, new: &str) -> String {
    with(old, new).expect_err("it is wrong").to_string()
}

#[test]
fn every_built_in_scenario_can_be_read_and_says_what_it_is_about() {
    for name in Scenario::builtin_names() {
        let text = Scenario::builtin_text(name).unwrap();
        let scenario: Scenario = text.parse().unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!((20..90).contains(&scenario.about().len()), "{name}: {}", scenario.about());
        assert!(text.lines().count() <= 35, "{name} fits on a slide");
    }
}

#[test]
fn every_built_in_scenario_holds_and_sees_what_it_asks_for() {
    for name in Scenario::builtin_names() {
        let scenario = builtin(name);
        let (report, marks) = explore(0..100, 2, |world| scenario.run(world));
        assert_eq!(report.failed, 0, "{name}: {report}");
        assert!(marks.values().all(|&worlds| worlds > 0), "{name}: {marks:?}");
    }
}

#[test]
fn a_scenario_is_determined_by_its_seed() {
    for name in Scenario::builtin_names() {
        let scenario = builtin(name);
        let hashes = [3, 4].map(|seed| {
            repeat(|record| {
                let mut world = World::new(seed);
                world.trace_mut().record(record);
                scenario.run(&mut world).unwrap_or_else(|why| panic!("{name}: {why}"));
                world
            })
            .unwrap_or_else(|parted| panic!("{name}: {parted}"))
        });
        assert_ne!(hashes[0], hashes[1], "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_with_what_is_allowed() {
    let mut wrong = Vec::new();
    for (old, new, expected) in [
        ("echo = {}", "ecko = {}", "line 5: unknown field `ecko`, expected one of `name`, `address`, `count`"),
        ("between", "betwen", "line 12: unknown field `betwen`, expected one of `between`, `one_way`, `latency`"),
        ("to = \"server\"", "to = \"sevrer\"", "line 9: there is no host \"sevrer\": there is \"client\", \"server\""),
        ("to = \"server\"", "to = \"client\"", "line 9: \"client\" is not one host with echo = { … }"),
        ("\"1s\"", "1000", "line 15: \"1000\" is not a time: write it like \"250us\", \"40ms\", \"1.5s\" or \"2min\""),
        ("\"1s\"", "[]", "line 15: this should be a time, such as \"250us\""),
        ("size = 1000", "size = \"1 KB\"", "line 9: \"1 KB\" is not a size: write it like 1500, \"64KiB\" or \"1MB\""),
        ("size = 1000", "size = -1", "line 9: this should be a size"),
        ("[must]", "[[link]]\nbetween = [\"client\", \"client\"]\n[must]", "line 15: a link leads to another host"),
        ("[must]", "loss = \"101%\"\n[must]", "line 14: a share is at most \"100%\""),
        ("[must]", "rate = \"0bps\"\n[must]", "line 14: a rate of 0 lets nothing pass"),
        ("echo = {}", "echo = {}\ncount = 0", "line 6: 0 is not in 1..=1000"),
        ("echo = {}", "echo = {}\ngreet = {}", "line 4: host \"server\" runs several programs: give it one"),
        ("echo = {}", "", "line 4: host \"server\" runs nothing: give it one of serve, download, echo"),
        ("\"server\"\n", "\"client\"\n", "line 8: there is another host \"client\""),
        ("\"server\"\n", "\"a b\"\n", "line 4: a host's name has 1 to 64 letters"),
        ("echo = {}", "echo = {}\naddress = \"10.0.0.2\"", "line 9: \"server\" has the address 10.0.0.2, too"),
        ("echo = {}", "echo = {}\naddress = \"224.0.0.1\"", "line 6: no host can have the address 224.0.0.1"),
        ("echo = {}", "echo = {}\naddress = \"ten\"", "line 6: "),
        (
            "\"1s\"",
            "\"1s\"\nsometimes = [\"flood\"]",
            "line 16: \"flood\" is nothing one can see: there is crash, pause",
        ),
        ("[must]", "[menu]\nwithin = \"1s\"\nhosts = [\"x\"]\n[must]", "line 16: there is no host \"x\""),
        (
            "[must]",
            "[menu]\nwithin = \"1s\"\nwithout = [\"flood\"]\n[must]",
            "line 16: \"flood\" is nothing that is drawn: there is crash, outage",
        ),
        (
            "[must]",
            "one_way = true\n[menu]\nwithin = \"1s\"\nlinks = [[\"client\", \"server\"]]\n[must]",
            "line 17: no [[link]] joins \"client\" and \"server\", both ways",
        ),
        ("[must]", "[[fault]]\nkind = \"flood\"\n[must]", "line 15: unknown variant `flood`, expected one of `crash`"),
        (
            "[must]",
            "[[fault]]\nkind = \"crash\"\nhost = 2\nat_us = 1\n[must]",
            "line 14: there is no such host or link: hosts are numbered 0 to 1",
        ),
        ("shout = { to = \"server\", size = 1000 }", "echo = {}", "nothing here comes to an end"),
        ("[must]\nfinish_within = \"1s\"", "", "missing field `must`"),
        (
            "[must]",
            "[[line]]\nbetween = [\"client\", \"server\"]\nbaud = 9600\n[must]",
            "line 15: a line joins two hosts that transmit or receive",
        ),
        ("echo = {}", "receive = { size = 1 }", "line 9: \"server\" is not one host with echo"),
        ("about = \"x\"", "", "missing field `about`"),
        ("[must]", "[must", "line 14: "),
    ] {
        let why = why(old, new);
        if !why.starts_with(expected) || why.contains('\n') {
            wrong.push(format!("{new:?}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_parameter_of_a_link_reaches_it() {
    let all = "latency = \"7ms\"\njitter = \"1ms\"\nrate = \"1mbps\"\nqueue = \"9kB\"\nloss = \"1%\"\n\
        bursts = { begin = \"20ppm\", longest = \"1s\" }\ndamage = \"2%\"\nreorder = \"3%\"\nduplicate = \"4%\"\nmtu = 600\n";
    let scenario = with("[must]", &format!("{all}[must]")).unwrap();
    let ms = Duration::from_millis;
    let link = Link::new().latency(ms(7)).jitter(ms(1)).rate_bps(1_000_000).queue_bytes(9_000).loss_ppm(10_000);
    let link = link.bursts(20, ms(1_000)).damage_ppm(20_000).reorder_ppm(30_000).duplicate_ppm(40_000).mtu(600);
    assert_eq!(scenario.links, [(1, 0, link, false), (0, 1, link, false)]);
    let scenario = with("[must]", "one_way = true\nspoiled = true\n[must]").unwrap();
    assert_eq!(scenario.links, [(1, 0, Link::new(), true)]);
}

#[test]
fn a_host_with_a_count_is_several_and_each_is_linked() {
    let scenario = with("name = \"client\"", "name = \"client\"\ncount = 3").unwrap();
    let names: Vec<&str> = scenario.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["server", "client1", "client2", "client3"]);
    let ends: Vec<(usize, usize)> = scenario.links.iter().map(|link| (link.0, link.1)).collect();
    assert_eq!(ends, [(1, 0), (0, 1), (2, 0), (0, 2), (3, 0), (0, 3)]);
    scenario.run(&mut World::new(1)).unwrap();
}

#[test]
fn it_runs_over_ethernet_and_over_ipv6() {
    for change in ["address = \"fd00::1\"\necho = {}", "echo = {}"] {
        let text = SMALL.replace("echo = {}", change).replace("about", "medium = \"ethernet\"\nabout");
        let text = if change.contains("fd00") { text.replace("shout", "address = \"fd00::2\"\nshout") } else { text };
        let scenario: Scenario = text.parse().unwrap();
        let mut world = World::new(1);
        scenario.run(&mut world).unwrap_or_else(|why| panic!("{change}: {why}"));
        assert_eq!(world.medium(), smoltcp::phy::Medium::Ethernet);
    }
}

#[test]
fn hosts_are_joined_by_switches() {
    let text = r#"
        about = "two rooms, each with a switch"
        medium = "ethernet"
        [[host]]
        name = "server"
        echo = {}
        [[host]]
        name = "client"
        count = 3
        shout = { to = "server", size = "8KiB" }
        [[host]]
        name = "here"
        switch = {}
        [[host]]
        name = "there"
        switch = {}
        [[link]]
        between = ["client", "here"]
        [[link]]
        between = ["here", "there"]
        loss = "2%"
        [[link]]
        between = ["there", "server"]
        [menu]
        within = "1s"
        hosts = ["there"]
        links = [["here", "there"]]
        [must]
        finish_within = "5min"
        sometimes = ["lost", "crash"]
    "#;
    let scenario: Scenario = text.parse().unwrap();
    for seed in 0..20 {
        scenario.run(&mut World::new(seed)).unwrap_or_else(|why| panic!("{seed}: {why}"));
    }
    for (old, new, expected) in [
        ("medium = \"ethernet\"", "", "line 12: a switch is one of Ethernet: begin with medium = \"ethernet\""),
        (
            "switch = {}",
            "switch = {}\naddress = \"10.0.0.9\"",
            "a host with a serial port has no address, nor has a switch",
        ),
        (
            "[menu]",
            "[[host]]\nname = \"third\"\nswitch = {}\n[[link]]\nbetween = [\"here\", \"third\"]\n\
                [[link]]\nbetween = [\"third\", \"there\"]\n[menu]",
            "reach each other already",
        ),
    ] {
        let why = text.replacen(old, new, 1).parse::<Scenario>().unwrap_err().to_string();
        assert!(why.contains(expected), "{new}: {why}");
    }
}

#[test]
fn what_does_not_finish_or_finishes_badly_is_a_failure() {
    let cut = "[[fault]]\nkind = \"outage\"\nlink = [0, 1]\nat_us = 0\nlasts_us = 9000000000\n[must]";
    let scenario = with("[must]", cut).unwrap();
    assert_eq!(scenario.run(&mut World::new(1)), Err("client did not finish within 1s".into()));
    let greedy = builtin("crash-resume");
    let greedy = Scenario {
        hosts: greedy
            .hosts
            .iter()
            .map(|host| match host.runs {
                Program::Download { from, connections, .. } => {
                    Host { runs: Program::Download { from, connections, receives_at_most: 1000 }, ..host.clone() }
                }
                _ => host.clone(),
            })
            .collect(),
        ..greedy
    };
    assert_eq!(
        greedy.run(&mut World::new(0)).map_err(|why| why.replace(|c: char| c.is_ascii_digit(), "")),
        Err("client:  bytes were received, for a file of ".into())
    );
}

#[test]
fn from_the_time_on_at_which_all_heals_nothing_goes_wrong() {
    let forever = "[menu]\nwithin = \"1s\"\nheals_after = \"20s\"\n\
        [[fault]]\nkind = \"crash\"\nhost = 0\nat_us = 100\n[must]";
    let text =
        SMALL.replace("[must]", forever).replace("\"1s\"\n\"", "").replace("within = \"1s\"\n", "within = \"60s\"\n");
    let scenario: Scenario = text.parse().unwrap();
    let mut world = World::new(1);
    scenario.run(&mut world).unwrap();
    assert_eq!((world.trace().count(Kind::Healed), world.trace().count(Kind::Crash)), (1, 1));
}

#[test]
fn what_the_menu_is_without_happens_in_no_seed() {
    let counted = |without: &str| {
        let menu = format!("[menu]\nwithin = \"1s\"\nhosts = [\"server\"]\nwithout = [{without}]\n[must]");
        let text = SMALL.replace("[must]", &menu).replace("finish_within = \"1s\"", "finish_within = \"5min\"");
        let scenario: Scenario = text.parse().unwrap();
        let mut counts = [0; 2];
        for seed in 0..50 {
            let mut world = World::new(seed);
            scenario.run(&mut world).unwrap_or_else(|why| panic!("{seed}: {why}"));
            let plan = world.plan();
            counts[0] += plan.faults.iter().filter(|fault| fault.kind() == "crash").count();
            counts[1] += plan.faults.iter().filter(|fault| fault.kind() == "pause").count();
        }
        counts
    };
    let [crashes, pauses] = counted("");
    assert!(crashes > 10 && pauses > 10, "{crashes} {pauses}");
    // Each kind has draws of its own: striking one leaves the others as they were.
    assert_eq!(counted("\"crash\""), [0, pauses]);
    assert_eq!(counted("\"crash\", \"pause\""), [0, 0]);
}
