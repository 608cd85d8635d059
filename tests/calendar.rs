//! What policies read of weekdays, times of day and the age of a grant, in the zones that they name.

use hardtack::*;
use hardtack_testkit::forge::Forge;
use hardtack_testkit::{AUDIENCE, Cast, NOW, minutes, search};

struct Server {
    guard: Guard,
    cast: Cast,
}

fn server(text: &str) -> Server {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier, Policy::parse("p.datalog", text).unwrap(), store);
    Server { guard, cast }
}

impl Server {
    /// Whether a search is allowed at a moment, with a grant and presentation of so many minutes before.
    fn allows(&self, at: Timestamp, minutes_before: u64) -> bool {
        let issued = at - minutes(minutes_before);
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let token = self.cast.issuer().mint(grant, issued).unwrap();
        let bearer = token.present(Presenting::to(AUDIENCE), &alice, at).unwrap();
        self.guard.check(bearer.bearer(), &search(), at).is_ok()
    }
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn office_hours_are_those_of_the_clock_on_the_wall_on_both_sides_of_a_change() {
    let server = server(
        r#"allow if granted($op), weekday("Europe/Berlin", $day), $day <= 5,
               minute_of_day("Europe/Berlin", $minute), $minute >= 540, $minute < 1020;"#,
    );
    for (at, allowed) in [
        // Winter: 09:00 is 08:00Z. The clock goes forward on Sunday, 29 March, and back on Sunday, 25 October.
        ("2026-03-27T07:59:59Z", false),
        ("2026-03-27T08:00:00Z", true),
        ("2026-03-27T15:59:59Z", true),
        ("2026-03-27T16:00:00Z", false),
        ("2026-03-29T10:00:00Z", false),
        ("2026-03-30T06:59:59Z", false),
        ("2026-03-30T07:00:00Z", true),
        ("2026-03-30T14:59:59Z", true),
        ("2026-03-30T15:00:00Z", false),
        ("2026-10-23T07:00:00Z", true),
        ("2026-10-26T07:00:00Z", false),
        ("2026-10-26T08:00:00Z", true),
    ] {
        assert_eq!(server.allows(moment(at), 0), allowed, "{at}");
    }
}

#[test]
fn a_set_sees_the_zones_that_it_names_each_by_itself() {
    let both =
        r#"allow if granted($op), weekday("America/New_York", 7), weekday("Asia/Tokyo", 1);"#;
    let server = server(both);
    assert!(server.allows(moment("2026-11-22T16:00:00Z"), 0));
    assert!(!server.allows(moment("2026-11-22T14:00:00Z"), 0));
    assert!(!server.allows(moment("2026-11-23T06:00:00Z"), 0));
}

#[test]
fn the_age_of_a_grant_is_counted_in_seconds_from_its_issue_and_not_from_the_presentation() {
    let server = server("allow if granted($op), grant_age($age), $age < 600, $age >= 0;");
    assert!(server.allows(NOW, 0));
    assert!(server.allows(NOW, 9));
    assert!(!server.allows(NOW, 10));
    assert!(!server.allows(NOW, 59));
}

#[test]
fn one_bearer_is_judged_anew_at_each_moment_also_by_what_rules_derive() {
    let server = server(
        r#"late("yes") <- minute_of_day("UTC", $minute), $minute >= 605;
           allow if granted($op); deny if late("yes"); check if weekday("UTC", 1);"#,
    );
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let token = server.cast.issuer().mint(grant, NOW).unwrap();
    let bearer = token.present(Presenting::to(AUDIENCE).ttl(minutes(10)), &alice, NOW).unwrap();
    for (after, allowed) in [(0, true), (4, true), (5, false), (6, false), (1, true)] {
        let now = NOW + minutes(after);
        let decided = server.guard.check(bearer.bearer(), &search(), now);
        assert_eq!(decided.is_ok(), allowed, "{after}");
        let verified = server.guard.verifier().verify(bearer.bearer(), now).unwrap();
        let preview = server.guard.preview(&verified, &search());
        assert_eq!(preview == Preview::Denied, !allowed, "{preview:?} after {after}");
    }
}

#[test]
fn no_check_of_a_token_sees_it_and_none_is_written_that_asks_for_it() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let policy =
        r#"allow if granted($op), weekday("UTC", $d), grant_age($age), $d > 0, $age >= 0;"#;
    let policy = Policy::parse("p.datalog", policy).unwrap();
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier, policy, store);
    let written = cast.to_researcher().check("check if grant_age($age)");
    let refused = cast.grant().delegate(written, &cast.orchestrator, NOW).unwrap_err();
    assert!(refused.to_string().contains("no check in a token sees `grant_age`"), "{refused}");
    // Another writer can make such a check. It never passes, whatever the policies name.
    let refuses = |check: &str| {
        let holder = hex::encode(cast.researcher.public().to_bytes());
        let hop = format!(
            r#"hop(1); delegate("agent.researcher"); reason("find"); scope("tools:call:search");
               expires(2026-11-23T10:05:00Z); holder(hex:{holder}); {check}"#
        );
        let last = r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#;
        let forged = Forge::of(&cast.grant().to_bytes(), &cast.root, &[]);
        let forged = forged.append(&hop, Some(&cast.orchestrator));
        let forged = forged.append(last, Some(&cast.researcher));
        let denial = guard.check(&forged.bearer(), &search(), NOW).err()?;
        Some(denial.refusal().cause.as_str())
    };
    assert_eq!(refuses("check if true;"), None);
    assert_eq!(refuses("check if grant_age($age);"), Some("check_failed"));
    assert_eq!(refuses(r#"check if weekday("UTC", $day);"#), Some("check_failed"));
    let bearer = cast.presented();
    assert!(guard.check(bearer.bearer(), &search(), NOW).is_ok());
}

#[test]
fn a_zone_that_is_none_or_not_written_out_keeps_a_set_from_loading() {
    for (text, said) in [
        (
            r#"allow if weekday("Europe/Berln", 1);"#,
            "p.datalog:1:18: \"Europe/Berln\" is no time zone; did you mean \"Europe/Berlin\"?",
        ),
        (r#"allow if weekday("CET", 1);"#, "\"CET\" is no time zone; write a place"),
        (
            r#"allow if true; deny if minute_of_day($zone, $m), $m > 5;"#,
            "begins with a time zone that is written out",
        ),
        (
            r#"home("Europe/Berlin"); allow if home($z), weekday($z, 1);"#,
            "begins with a time zone that is written out",
        ),
        (r#"allow if true; x($d) <- weekday("Mars/Base", $d);"#, "is no time zone"),
        (r#"weekday("UTC", 1); allow if true;"#, "`weekday` is reserved"),
        (r#"grant_age(1) <- depth(0); allow if true;"#, "`grant_age` is reserved"),
    ] {
        let error = Policy::parse("p.datalog", text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let zones = [
        "Africa/Cairo",
        "Africa/Lagos",
        "America/Lima",
        "America/Bogota",
        "Asia/Tokyo",
        "Asia/Seoul",
        "Asia/Dubai",
        "Asia/Dhaka",
        "Europe/Paris",
        "Europe/Rome",
        "Europe/Oslo",
        "Europe/Berlin",
        "Pacific/Fiji",
        "Australia/Perth",
        "UTC",
        "Europe/Kyiv",
        "Asia/Manila",
    ];
    let of = |zones: &[&str]| {
        let text: String = zones
            .iter()
            .map(|zone| format!("allow if weekday(\"{zone}\", 1), minute_of_day(\"{zone}\", 1);\n"))
            .collect();
        Policy::parse("p.datalog", &text)
    };
    of(&zones[..16]).unwrap();
    let error = of(&zones).unwrap_err().to_string();
    assert_eq!(error, "p.datalog:17:1: the set names more than 16 time zones");
}
