use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

const NOW: u64 = 1_700_000_000;

fn read<const BYTES: usize>(agent: &str, file: &[u8]) -> Robots<BYTES> {
    let mut robots = Robots::new(agent);
    assert_eq!(robots.answer(200, NOW), Answer::Read);
    robots.receive(file);
    robots.end(NOW);
    robots
}

/// Whether agent `a` may fetch a path.
fn may(file: &str, path: &str) -> bool {
    read::<512>("a", file.as_bytes()).can_fetch(path)
}

#[test]
fn behaviour_41_groups_say_what_for_whom() {
    assert!(may("User-agent: a\nDisallow:\n", "/x"));
    assert!(may("User-agent: b\nDisallow: /\n", "/x"));
    assert!(may("Disallow: /\nUser-agent: a\nDisallow: /y\n", "/x"));
    assert!(!may("User-agent: a\nUser-agent: b\nDisallow: /\n", "/x"));
    assert!(!may("User-agent: b\nUser-agent: a\nDisallow: /\n", "/x"));
    let twice = "User-agent: a\nDisallow: /x\n\nUser-agent: b\nDisallow: /\n\nUser-agent: A\nDisallow: /y\n";
    assert!(!may(twice, "/x") && !may(twice, "/y") && may(twice, "/z"));
    assert!(may("User-agent: b\nDisallow: /\nUser-agent: a\nAllow: /\n", "/x"));
}

#[test]
fn behaviour_42_a_group_that_names_the_agent_is_all_that_counts() {
    for file in [
        "User-agent: *\nDisallow: /\nUser-agent: a\nDisallow: /y\n",
        "User-agent: a\nDisallow: /y\nUser-agent: *\nDisallow: /\n",
    ] {
        assert!(may(file, "/x") && !may(file, "/y"));
        assert!(!read::<512>("c", file.as_bytes()).can_fetch("/x"));
    }
    assert!(may("User-agent: *\nDisallow: /\nUser-agent: a\n", "/x"), "even if it has no rules");
    assert!(!may("User-agent: A/2.0 (x)\nDisallow: /\n", "/x"));
    assert!(may("User-agent: a-images\nDisallow: /\n", "/x"));
    assert!(!read::<64>("Googlebot/2.1", b"User-agent: GOOGLEBOT\nDisallow: /").can_fetch("/"));
    assert!(!may("User-agent: * \nDisallow: /\n", "/x"));
}

#[test]
fn behaviour_43_the_longest_rule_wins_and_of_equals_the_one_that_allows() {
    let file = "User-agent: a\nAllow: /p\nDisallow: /\n";
    assert!(may(file, "/page") && !may(file, "/x"));
    assert!(may("User-agent: a\nDisallow: /page\nAllow: /page\n", "/page"));
    assert!(!may("User-agent: a\nAllow: /page\nDisallow: /*.htm\n", "/page.htm"));
}

#[test]
fn behaviour_44_lines_end_in_any_way_and_comments_do_not_count() {
    for end in ["\n", "\r", "\r\n"] {
        let file = ["\u{feff}User-agent : a#comment", "  disAllow:\t/x # more", "#Disallow: /y", ""].join(end);
        assert!(!may(&file, "/x") && may(&file, "/y"), "{end:?}");
    }
    assert!(!may("User-agent: a\nDisallow: /x", "/x"), "the last line needs no end");
    assert!(may("User-agent: a\nDisallow /x\n/x\n:/x\n", "/x"));
}

#[test]
fn behaviour_45_what_is_no_rule_does_not_part_a_group() {
    let file = "User-agent: b\nSitemap: http://h/s.xml\nFoo: bar\nCrawl-delay: 1\nUser-agent: a\nDisallow: /x\nSitemap: http://h/t\n";
    let robots = read::<512>("a", file.as_bytes());
    assert!(!robots.can_fetch("/x") && robots.can_fetch("/robots.txt") && robots.can_fetch("/y"));
    assert!(robots.site_maps().eq(["http://h/s.xml", "http://h/t"]));
    assert_eq!(robots.crawl_delay(), None, "that was for the other, before this one was named");
    assert!(!read::<512>("b", file.as_bytes()).can_fetch("/x"));
}

#[test]
fn site_maps_stay_when_the_rules_for_everybody_go() {
    let file = "User-agent: *\nDisallow: /\nSitemap: http://h/1\nDisallow: /x\nUser-agent: a\nDisallow: /y\nSitemap: \nSitemap: http://h/2";
    let robots = read::<512>("a", file.as_bytes());
    assert!(robots.site_maps().eq(["http://h/1", "http://h/2"]));
    assert!(robots.can_fetch("/x") && !robots.can_fetch("/y"));
}

#[test]
fn behaviour_45_nothing_beyond_the_limit_is_read() {
    let mut file = b"User-agent: a\nDisallow: /x\n".to_vec();
    file.resize(LIMIT - 12, b'#');
    file.extend_from_slice(b"\nDisallow: /cut/here\nDisallow: /y\n");
    for step in [LIMIT * 2, 1000, 1] {
        let mut robots = Robots::<256>::new("a");
        robots.answer(200, NOW);
        let more: Vec<_> = file.chunks(step).map(|piece| robots.receive(piece)).collect();
        assert_eq!(more.last(), Some(&false));
        robots.end(NOW);
        assert!(robots.can_fetch("/y") && robots.can_fetch("/cut/here") && !robots.can_fetch("/x"), "{step}");
    }
}

#[test]
fn behaviour_46_each_status_decides_or_not() {
    let decided = |status| {
        let mut robots = Robots::<64>::new("a");
        assert_eq!(robots.answer(status, NOW), Answer::Decided, "{status}");
        robots.can_fetch("/x")
    };
    for status in [400, 401, 403, 404, 410, 429, 499] {
        assert!(decided(status), "{status}");
    }
    for status in [500, 503, 599, 300, 305, 100, 0, 999] {
        assert!(!decided(status), "{status}");
    }
    let mut robots = Robots::<64>::new("a");
    assert!(!robots.can_fetch("/x") && robots.can_fetch("/robots.txt"), "nothing is known yet");
    for _ in 0..5 {
        assert_eq!(robots.answer(301, NOW), Answer::Follow);
    }
    assert!(!robots.can_fetch("/x"));
    assert_eq!(robots.answer(301, NOW), Answer::Decided);
    assert!(robots.can_fetch("/x"));
    robots.unreachable(NOW);
    assert!(!robots.can_fetch("/x"));
}

#[test]
fn a_new_answer_replaces_the_old_and_304_keeps_it() {
    let mut robots = read::<128>("a", b"User-agent: a\nDisallow: /x\nCrawl-delay: 3");
    assert!(robots.is_stale(NOW + 86_400) && !robots.is_stale(NOW + 86_399));
    assert_eq!(robots.answer(304, NOW + 86_400), Answer::Decided);
    assert_eq!((robots.mtime(), robots.can_fetch("/x"), robots.can_fetch("/")), (Some(NOW + 86_400), false, true));
    robots.answer(200, NOW);
    assert!(!robots.can_fetch("/"), "until the file is whole");
    robots.receive(b"User-agent: *\nDisallow: /y");
    robots.end(NOW);
    assert!(robots.can_fetch("/x") && !robots.can_fetch("/y"));
    assert_eq!((robots.crawl_delay(), Robots::<8>::new("a").mtime()), (None, None));
}

#[test]
fn paces_are_those_of_the_agents_group_or_else_of_everybodys() {
    let file = b"User-agent: *\nCrawl-delay: 10\nRequest-rate: 1/60\nDisallow: /x\n\nUser-agent: b\nCrawl-delay: 0.25\nCrawl-delay: x\n";
    let robots = read::<128>("a", file);
    assert_eq!(robots.crawl_delay(), Some(Duration::from_secs(10)));
    assert_eq!(robots.request_rate(), Some(RequestRate { requests: 1, seconds: 60 }));
    let robots = read::<128>("b", file);
    assert_eq!((robots.crawl_delay(), robots.request_rate()), (Some(Duration::from_millis(250)), None));
    for bad in [
        "Crawl-delay: -1",
        "Crawl-delay: 1.x",
        "Crawl-delay: 1.",
        "Crawl-delay: 99999999999",
        "Request-rate: 1",
        "Request-rate: 1/0",
    ] {
        let robots = read::<128>("a", ["User-agent: a\n", bad].concat().as_bytes());
        assert_eq!((robots.crawl_delay(), robots.request_rate()), (None, None), "{bad}");
    }
    let robots = read::<128>("a", b"User-agent: a\nCrawl-delay: 1.1234567890123");
    assert_eq!(robots.crawl_delay(), Some(Duration::from_micros(1_123_456)));
}

#[test]
fn what_does_not_fit_forbids_everything() {
    let file = b"User-agent: ab\nDisallow: /0123456789\n";
    assert!(read::<23>("ab", file).can_fetch("/x"));
    let small = read::<22>("ab", file);
    assert!(small.overflowed() && !small.can_fetch("/x") && small.can_fetch("/robots.txt"));
    assert!(!read::<1>("ab", file).can_fetch("/x"));
    assert!(!read::<0>("", b"").overflowed());
    let long = [&b"User-agent: ab\nDisallow: /"[..], &b"x".repeat(70_000)].concat();
    assert!(read::<100_000>("ab", &long).overflowed());
    assert!(!read::<64>("ab", &[&b"#".repeat(70_000)[..], b"\n", &b" ".repeat(70_000)].concat()).overflowed());
}

#[test]
fn the_rules_for_everybody_make_room_for_the_agents_own() {
    let everybody = "User-agent: *\nDisallow: /0123456789\n".repeat(3);
    let own = "User-agent: a\nDisallow: /y123456789\nDisallow: /z123456789\n";
    let file = [&everybody, own, &everybody].concat();
    let robots = read::<70>("a", file.as_bytes());
    assert!(!robots.overflowed() && !robots.can_fetch("/z123456789") && robots.can_fetch("/0123456789"));
    assert!(!read::<70>("b", file.as_bytes()).can_fetch("/z123456789"));
}

proptest! {
    #[test]
    fn however_the_file_is_cut_it_says_the_same(
        lines in prop::collection::vec(prop_oneof![
            prop::sample::select(&[
                "User-agent: *", "User-agent: a", "user-agent:b", "Disallow: /", "Disallow: /x*y$", "Allow: /x", "Disallow:",
                "Sitemap: http://h/", "Crawl-delay: 1", "Request-rate: 1/2", "# no", "", "garbage", "\u{feff}Allow: /",
            ][..]).prop_map(String::from),
            "\\PC{0,30}",
        ], 0..12),
        sizes in prop::collection::vec(1_usize..9, 1..30),
        paths in prop::collection::vec("/[xy%*$]{0,5}", 3),
    ) {
        let file = lines.join("\r\n");
        let whole = read::<128>("a", file.as_bytes());
        let mut pieces = Robots::<128>::new("a");
        pieces.answer(200, NOW);
        let (mut rest, mut sizes) = (file.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            pieces.receive(piece);
            rest = after;
        }
        pieces.end(NOW);
        prop_assert_eq!(whole.overflowed(), pieces.overflowed());
        for path in &paths {
            prop_assert_eq!(whole.can_fetch(path), pieces.can_fetch(path));
        }
        prop_assert!(whole.site_maps().eq(pieces.site_maps()));
        prop_assert_eq!((whole.crawl_delay(), whole.request_rate()), (pieces.crawl_delay(), pieces.request_rate()));
    }

    #[test]
    fn no_bytes_make_it_panic(file in prop::collection::vec(any::<u8>(), 0..200), url in "\\PC{0,30}") {
        read::<64>("a", &file).can_fetch(&url);
    }
}
