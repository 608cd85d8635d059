//! A trial finds what is wrong with a set or with its cases, and says where.

use std::fs;
use std::time::Duration;

use hardtack::policy::PolicyError;
use hardtack::ruling::Ruling;
use hardtack::trial::{self, Fault, Report, StatementKind, TrialError};
use hardtack::{Cause, PrivateKey, Timestamp};

/// A set of one or several files, in a folder of its own.
struct Set(tempfile::TempDir);

impl Set {
    fn new(files: &[(&str, &str)]) -> Set {
        let set = Set(tempfile::tempdir().unwrap());
        fs::create_dir(set.0.path().join("cases")).unwrap();
        files.iter().for_each(|(name, text)| set.write(name, text));
        set
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn run(&self) -> Result<Report, TrialError> {
        trial::run(self.0.path(), || Duration::ZERO)
    }

    fn error(&self) -> String {
        let found = self.run().map(|report| report.cases.len());
        let error = found.expect_err("the set was tried").to_string();
        assert_eq!(trial::load(self.0.path()).unwrap_err().to_string(), error);
        error
    }
}

const POLICY: &str = r#"allow if tool("search"), granted($op);
deny if arg("query", "secret");
check if time($now), $now < 2027-01-01T00:00:00Z;
"#;

/// A case of the tool `search`, with more lines.
fn case(name: &str, more: &str) -> String {
    format!(
        "[[case]]\nname = \"{name}\"\nscopes = [\"tools:call:*\"]\nhops = [\"agent.a\"]\noperation = \"tools:call:search\"\n{more}\n"
    )
}

/// One case for each statement of [`POLICY`].
fn all_cases() -> String {
    [
        case("allowed", "expect = \"allow\"\nexpect_at = \"p.datalog:1\""),
        case("denied", "arguments = { query = \"secret\" }\nexpect = \"policy_denied\""),
        case("late", "at = 2027-01-01T00:00:00Z\nexpect = \"policy_check_failed\""),
    ]
    .concat()
}

fn tried(cases: &str) -> Set {
    Set::new(&[("p.datalog", POLICY), ("cases/c.toml", cases)])
}

fn said(ruling: &Ruling) -> String {
    ruling.cause.map_or("allow", Cause::as_str).to_owned()
}

/// The verdict of one case, by a policy that allows what is granted and what the text adds.
fn verdict(policy: &str, more: &str) -> String {
    let text = format!("allow if granted($op);\n{policy}");
    let cases = case("one", &format!("{more}\nexpect = \"allow\""));
    let report = Set::new(&[("p.datalog", &text), ("cases/c.toml", &cases)]).run().unwrap();
    said(&report.cases[0].found)
}

#[test]
fn a_set_whose_cases_show_everything_passes() {
    let set = tried(&all_cases());
    let report = set.run().unwrap();
    assert!(report.passes(), "{report:?}");
    assert_eq!(report.cases.len(), 3);
    assert_eq!(report.cases[1].at.to_string(), "cases/c.toml:8");
    assert_eq!(report.cases[1].found.place.as_deref(), Some("p.datalog:2"));
    trial::load(set.0.path()).unwrap();
}

#[test]
fn a_case_with_another_verdict_fails_the_set_and_keeps_it_from_being_loaded() {
    let set = tried(&(all_cases() + &case("wrong", "expect = \"policy_denied\"")));
    let report = set.run().unwrap();
    assert!(!report.passes() && report.faults.is_empty());
    let said: Vec<String> = report.unexpected().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "cases/c.toml:22: case \"wrong\": expected policy_denied, found allow at p.datalog:1: allowed by p.datalog:1"
        ]
    );
    let error = trial::load(set.0.path()).unwrap_err();
    assert!(matches!(&error, TrialError::Verdict(_)));
    assert_eq!(error.to_string(), said[0]);
}

#[test]
fn the_right_verdict_from_the_wrong_place_is_wrong() {
    let place = |place: &str| {
        let more = format!("expect = \"allow\"\nexpect_at = \"{place}\"");
        tried(&case("one", &more)).run().unwrap().unexpected().count()
    };
    let found = ["p.datalog:1", "p.datalog", "p.datalog:11", "p.data", "q.datalog", ""].map(place);
    assert_eq!(found, [0, 0, 1, 1, 1, 1]);
}

#[test]
fn what_no_case_shows_is_named_with_file_and_line() {
    let policy = "role_of(\"a\");\nrole_of(\"b\");\nallow if granted($op), role_of($r), agent(\"agent.a\");\n\
                  allow if tool(\"pay\"), granted($op);\ndeny if depth(7);\ncheck if depth($d),\n  $d < 9;\n\
                  busy(true) <- depth(8);\ndeny if busy(true);\n";
    let set = Set::new(&[
        ("p.datalog", policy),
        ("q.datalog", "near(true) <- depth(1); used(\"x\"); allow if near(true), used($x);"),
        ("cases/c.toml", &case("one", "expect = \"allow\"")),
    ]);
    let report = set.run().unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let refusing = "has no refusing case; add one in which it is in force and the call is refused";
    let mend = ": without it, every case has the same cause; add a case that only it decides, or delete it";
    assert_eq!(
        faults,
        [
            format!("p.datalog {refusing}"),
            format!("q.datalog {refusing}"),
            format!("p.datalog:3 alone never allowed a call{mend}"),
            format!("p.datalog:4 alone never allowed a call{mend}"),
            format!("p.datalog:5 alone never denied a call{mend}"),
            format!("p.datalog:6 alone never refused a call{mend}"),
            format!("p.datalog:9 alone never denied a call{mend}"),
            format!("q.datalog:1 alone never allowed a call{mend}"),
        ]
    );
    let silent = report.statements.iter().filter(|statement| !statement.decided);
    let silent: Vec<_> = silent.map(|one| (one.kind, one.at.line, one.text.as_str())).collect();
    assert_eq!(silent.len(), 7);
    assert!(silent.contains(&(StatementKind::Rule, 8, "busy(true) <- depth(8);")), "{silent:?}");
    assert!(silent.contains(&(StatementKind::Check, 6, "check if depth($d),")), "{silent:?}");
}

fn shown(policy: &str, cases: &str) -> Vec<(StatementKind, usize)> {
    let report = Set::new(&[("p.datalog", policy), ("cases/c.toml", cases)]).run().unwrap();
    assert_eq!(report.unexpected().count(), 0, "{report:?}");
    let shown = report.statements.iter().filter(|statement| statement.decided);
    shown.map(|one| (one.kind, one.at.line)).collect()
}

/// What merely matches decides nothing.
#[test]
fn a_statement_is_shown_only_where_the_cause_were_another_without_it() {
    let refused = case("one", "expect = \"policy_check_failed\"\nexpect_at = \"p.datalog:2\"");
    let two = "allow if granted($op);\ncheck if depth(0);\ncheck if depth(2);\ndeny if depth(1);";
    assert_eq!(shown(two, &refused), []);
    // The deny would refuse, too, and for another cause.
    let one = "allow if granted($op);\ncheck if depth(0);\ndeny if depth(1);";
    assert_eq!(shown(one, &refused), [(StatementKind::Check, 2)]);
    // Without the first check, the second has no answer.
    let erring = "allow if granted($op);\ncheck if depth(0);\ncheck if arg(\"n\", $n), $n > 1;";
    let odd = refused.replace("expect =", "arguments = { n = \"x\" }\nexpect =");
    assert_eq!(shown(erring, &odd), [(StatementKind::Check, 2)]);
    let denied = case("one", "expect = \"policy_denied\"");
    assert_eq!(
        shown("allow if granted($op);\ndeny if depth(1);\ndeny if depth($d), $d > 0;", &denied),
        []
    );
    assert_eq!(
        shown("allow if granted($op);\ndeny if depth(1);\ndeny if depth(2);", &denied),
        [(StatementKind::Deny, 2)]
    );
    let allowed = case("one", "expect = \"allow\"");
    assert_eq!(shown("allow if granted($op);\nallow if tool(\"search\");", &allowed), []);
    assert_eq!(
        shown("allow if granted($op), depth(1);\nallow if tool(\"pay\");", &allowed),
        [(StatementKind::Allow, 1)]
    );
    // An argument's value is looked up in an index of what allows.
    let by_value = "allow if arg(\"q\", \"a\");\nallow if arg(\"q\", \"b\");\nallow if tool(\"search\"), arg(\"q\", \"b\");";
    let with = |value: &str| {
        allowed.replace("expect", &format!("arguments = {{ q = \"{value}\" }}\nexpect"))
    };
    assert_eq!(shown(by_value, &with("a")), [(StatementKind::Allow, 1)]);
    assert_eq!(shown(by_value, &with("b")), []);
}

/// Each case has a token of its own, whatever was made for the one before.
#[test]
fn cases_share_a_token_only_if_they_say_the_same_of_it() {
    let policy = "allow if tool(\"search\"), role(\"a\"), presented(\"session\"), depth(1), time(2026-11-23T10:00:00Z), verifier(\"server.example\"), issuer(\"root\");";
    let same = |more: &str, expect: &str| case("one", &format!("{more}\nexpect = \"{expect}\""));
    let good = "facts = ['role(\"a\")']\nissuer = \"root\"";
    let other = |from: &str, to: &str| same(&good.replace(from, to), "nothing_allows");
    let cases = [
        same(good, "allow"),
        other("(\"a\")", "(\"b\")"),
        other("\"root\"", "\"other\""),
        same(&format!("{good}\npresented = \"call\""), "nothing_allows"),
        same(&format!("{good}\nat = 2026-11-23T10:00:01Z"), "nothing_allows"),
        same(&format!("{good}\nserver = \"b.example\""), "nothing_allows"),
        same(good, "nothing_allows").replace("[\"agent.a\"]", "[\"agent.a\", \"agent.b\"]"),
        same(good, "not_granted").replace("[\"tools:call:*\"]", "[\"tools:call:pay\"]"),
        same(&format!("{good}\nallow = ['n <= 1']\narguments = {{ n = 2 }}"), "check_failed"),
        same(&format!("{good}\nunbound = true"), "unbound"),
        same(good, "allow"),
    ];
    let report =
        Set::new(&[("p.datalog", policy), ("cases/c.toml", &cases.concat())]).run().unwrap();
    let wrong: Vec<String> = report.unexpected().map(ToString::to_string).collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_failing_case_is_explained_without_a_token_and_with_the_keys_that_policies_name() {
    let real = hex::encode(PrivateKey::from_bytes(&[7; 32]).public().to_bytes());
    let policy = format!("allow if granted($op), agent_key(\"{real}\");");
    let cases = format!("keys = {{ \"agent.payer\" = \"{real}\" }}\n")
        + &case("good", "expect = \"allow\"").replace("agent.a", "agent.payer")
        + &case("bad", "expect = \"allow\"");
    let set = Set::new(&[("p.datalog", &policy), ("cases/c.toml", &cases)]);
    let report = trial::run_explained(set.0.path(), || Duration::ZERO).unwrap();
    assert!(report.cases[0].explanation.is_none(), "it is as expected");
    let case = &report.cases[1];
    let explanation = case.explanation.as_ref().unwrap();
    assert_eq!(explanation.ruling.cause, Some(Cause::NothingAllows));
    assert!(!explanation.remedies.is_empty());
    let [(own, of)] = case.stand_ins.as_slice() else { panic!("{:?}", case.stand_ins) };
    assert_eq!(*of, real);
    assert!(format!("{explanation:?}").contains(own), "{explanation:?}");
    assert!(set.run().unwrap().cases.iter().all(|case| case.explanation.is_none()));
}

#[test]
fn a_call_that_is_written_down_is_decided_beside_the_cases() {
    let set = tried(&all_cases());
    let one = case("typed", "arguments = { query = \"secret\" }\nexpect = \"allow\"");
    let decided = trial::evaluate(set.0.path(), "typed", &one).unwrap();
    let [decided] = decided.as_slice() else { panic!("{decided:?}") };
    let explanation = decided.explanation.as_ref().unwrap();
    assert_eq!(explanation.ruling.place.as_deref(), Some("p.datalog:2"));
    assert_eq!(decided.at.to_string(), "typed:1");
    let error = trial::evaluate(set.0.path(), "typed", "[[case]]\nname = \"x\"").unwrap_err();
    assert!(error.to_string().starts_with("typed:1: case \"x\": "), "{error}");
}

#[test]
fn a_call_that_never_came_before_the_policies_shows_nothing_of_them() {
    let cases = case("one", "expect = \"check_failed\"")
        .replace("[\"agent.a\"]", "[{ to = \"agent.a\", checks = ['check if depth(2)'] }]");
    let report = tried(&cases).run().unwrap();
    assert_eq!(report.unexpected().count(), 0);
    assert!(report.statements.iter().all(|statement| !statement.decided));
}

#[test]
fn a_set_without_cases_fails_its_trial_and_can_be_loaded() {
    for set in [Set::new(&[("p.datalog", POLICY)]), tried("")] {
        let report = set.run().unwrap();
        assert!(matches!(report.faults[..], [Fault::NoCase { .. }]), "{:?}", report.faults);
        trial::load(set.0.path()).unwrap();
    }
    let set = Set::new(&[("p.datalog", POLICY)]);
    fs::remove_dir(set.0.path().join("cases")).unwrap();
    trial::load(set.0.path()).unwrap();
}

#[test]
fn a_case_that_cannot_be_built_fails_alone() {
    for (more, problem) in [
        (
            "subject = \"alice\"\nexpect = \"allow\"",
            "the grant: \"alice\" has no `:`; a subject is",
        ),
        ("facts = ['time(1)']\nexpect = \"allow\"", "the grant: `time` is reserved"),
        ("max_depth = 0\nexpect = \"allow\"", "hop 1: the grant allows 0 hops"),
        ("audience = [\"a.example\"]\nexpect = \"allow\"", "the presentation: the audience"),
        ("server = \"a b\"\nexpect = \"allow\"", "an audience is"),
    ] {
        let set = tried(&(case("odd", more) + &all_cases()));
        let report = set.run().unwrap();
        let failed: Vec<String> = report.unexpected().map(ToString::to_string).collect();
        let [failed] = failed.as_slice() else { panic!("{failed:?}") };
        assert!(failed.starts_with("cases/c.toml:1: case \"odd\": expected allow, found malformed_case: the case cannot be built: "), "{failed}");
        assert!(failed.contains(problem), "{failed}");
        assert_eq!((report.cases.len(), report.faults.len()), (4, 0));
        assert!(matches!(trial::load(set.0.path()), Err(TrialError::Verdict(_))));
    }
    let wider = case("wide", "expect = \"allow\"")
        .replace("\"agent.a\"", "{ to = \"agent.a\", scopes = [\"*\"] }");
    assert_eq!(
        tried(&wider).run().unwrap().cases[0].found.message,
        "the case cannot be built: hop 1: the scope * is not covered by any scope of its parent: tools:call:*"
    );
    let error = tried(&case("one", "expect_also = \"allow\"\nexpect = \"allow\"")).error();
    assert!(error.starts_with("cases/c.toml:1: case \"one\": `expect_also` is about"), "{error}");
}

#[test]
fn a_word_that_is_no_verdict_is_named_with_the_one_that_is_meant_and_all_that_there_are() {
    let said = |word: &str| tried(&case("one", &format!("expect = \"{word}\""))).error();
    for (word, meant) in [
        ("alow", "allow"),
        ("Allow", "allow"),
        ("allowed", "allow"),
        ("deny", "policy_denied"),
        ("policy-denied", "policy_denied"),
        ("policy_check_faild", "policy_check_failed"),
        ("nothing_allowed", "nothing_allows"),
    ] {
        let said = said(word);
        let start = format!(
            "cases/c.toml:1: case \"one\": expect = \"{word}\" is no verdict of a case. Did you mean \"{meant}\"? Write"
        );
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains("not_evaluable, ") && said.contains("expired, "), "{said}");
    }
    assert!(!said("weather_report").contains("mean"));
    assert!(!said(&"x".repeat(10_000)).contains("mean"));
    // Nothing decides so: a case that expects it would pass where it cannot be built.
    assert!(said("malformed_case").contains("is no verdict"));
}

/// Every door refuses such a call, and the other cases are decided all the same.
#[test]
fn a_call_that_is_none_is_the_failure_of_its_case() {
    for (more, verdict, message) in [
        ("resource = \"page\"", "inexact_call", "the call: the resource is not a URI"),
        ("resource = \"https://A.example\"", "inexact_call", "write https://a.example/"),
        ("arguments = '{\"a\": 1, \"a\": 2}'", "inexact_call", "the call: the arguments"),
    ] {
        let odd = case("odd", &format!("{more}\nexpect = \"allow\""));
        let report = tried(&(all_cases() + &odd)).run().unwrap();
        let unexpected: Vec<_> = report.unexpected().collect();
        assert_eq!((report.cases.len(), unexpected.len()), (4, 1), "{more}");
        assert_eq!(
            (unexpected[0].name.as_str(), said(&unexpected[0].found)),
            ("odd", verdict.to_owned())
        );
        assert!(unexpected[0].found.message.contains(message), "{}", unexpected[0].found.message);
        let expected = case("odd", &format!("{more}\nexpect = \"{verdict}\""));
        assert!(tried(&(all_cases() + &expected)).run().unwrap().passes(), "{more}");
    }
}

#[test]
fn what_is_not_understood_is_an_error_that_names_file_case_and_key() {
    let one = case("one", "expect = \"allow\"");
    for (cases, place, problem) in [
        (one.clone() + "expects = \"x\"", "cases/c.toml:1: case \"one\": ", "`expects`"),
        (one.replace("name = \"one\"", ""), "cases/c.toml:1: case \"number 1\": ", "`name`"),
        (one.replace("\"agent.a\"", "{ to = \"a\", scope = [] }"), "cases/c.toml:1: case", "hop 1"),
        (one.replace("\"agent.a\"", "7"), "cases/c.toml:1: case", "hop 1: a hop is"),
        (one.clone() + "at = \"monday\"", "cases/c.toml:1: case", "RFC 3339"),
        (one.clone() + "at = 2026-11-23", "cases/c.toml:1: case", "RFC 3339"),
        (one.clone() + "arguments = { a = 2026-11-23 }", "cases/c.toml:1: case", "no dates"),
        (one.clone() + "arguments = { a = nan }", "cases/c.toml:1: case", "finite"),
        (one.replace("\"allow\"", "\"nonsense\""), "cases/c.toml:1: case", "is no verdict"),
        (one.replace("\"allow\"", "7"), "cases/c.toml:1: case", "invalid type: integer `7`"),
        (one.clone() + "presented = \"once\"", "cases/c.toml:1: case", "`once`"),
        ("police = []\n".to_owned() + &one, "cases/c.toml:1: ", "`police`"),
        ("\n[[cases]]\n".to_owned(), "cases/c.toml:2: ", "`cases`"),
        ("\n\npolicies = [".to_owned(), "cases/c.toml:3: ", "array"),
        (
            "policies = [\"q.datalog\"]\n".to_owned() + &one,
            "cases/c.toml:1: ",
            "`policies` names q.datalog, which the set does not have; it has p.datalog",
        ),
        (
            "also = [\"../p.datalog\"]\n".to_owned() + &one,
            "cases/c.toml:1: ",
            "`also` names ../p.datalog",
        ),
        ("policies = []\n".to_owned() + &one, "cases/c.toml:1: ", "no `allow if`"),
        ("keys = { \"agent.a\" = \"AB\" }\n".to_owned() + &one, "cases/c.toml:1: ", "agent.a"),
    ] {
        let error = tried(&cases).error();
        assert!(error.starts_with(place) && error.contains(problem), "{cases}\n{error}");
    }
    let set = tried(&one);
    fs::remove_file(set.0.path().join("p.datalog")).unwrap();
    let error = set.run().unwrap_err();
    assert!(matches!(error, TrialError::Policy(PolicyError::NoFiles { .. })), "{error}");
}

#[test]
fn a_case_decides_by_its_files_and_again_beside_others() {
    let cases = format!(
        "policies = [\"p.datalog\"]\nalso = [\"q.datalog\"]\n{}{}",
        case("other", "expect = \"nothing_allows\"\nexpect_also = \"allow\"")
            .replace(":search", ":pay"),
        case("same", "arguments = { query = \"secret\" }\nexpect = \"policy_denied\""),
    );
    let set = Set::new(&[
        ("p.datalog", POLICY),
        ("q.datalog", "allow if granted($op);"),
        ("r.datalog", "deny if depth(1);"),
        ("cases/c.toml", &cases),
    ]);
    let report = set.run().unwrap();
    assert_eq!(report.unexpected().count(), 0, "{report:?}");
    let by: Vec<_> = report.cases.iter().map(|case| case.policies.join(" ")).collect();
    assert_eq!(by, ["p.datalog", "p.datalog q.datalog", "p.datalog", "p.datalog q.datalog"]);
    let unseen = Fault::NeverRefused { file: "r.datalog".to_owned() };
    assert!(report.faults.contains(&unseen), "{:?}", report.faults);
}

#[test]
fn a_case_says_all_that_policies_see() {
    let seen = |word: &str, more: &str| verdict(&format!("check if {word};"), more);
    for (word, more) in [
        ("subject(\"user:alice\")", ""),
        ("subject(\"user:bob\")", "subject = \"user:bob\""),
        ("verifier(\"server.example\")", ""),
        ("verifier(\"notes.example\")", "server = \"notes.example\""),
        ("issuer(\"acme\")", "issuer = \"acme\""),
        ("presented(\"session\")", ""),
        ("presented(\"call\")", "presented = \"call\""),
        ("resource(\"https://notes.example/1\")", "resource = \"https://notes.example/1\""),
        ("role(\"editor\")", "facts = ['role(\"editor\")']"),
        ("time(2026-11-23T10:00:00Z)", ""),
        ("time(2026-11-24T00:00:00Z)", "at = \"2026-11-24T01:00:00+01:00\""),
        (
            "arg(\"n\", 1), arg(\"t\", \"1.5\"), arg(\"l\", [true])",
            "arguments = { n = 1, t = 1.5, l = [true] }",
        ),
        ("arg(\"n\", null)", "arguments = '{\"n\": null}'"),
        ("agent(\"agent.a\"), depth(1)", ""),
        (
            "verifier(\"a.example\")",
            "audience = [\"a.example\", \"b.example\"]\nserver = \"a.example\"",
        ),
    ] {
        assert_eq!(seen(word, more), "allow", "{word}");
    }
    assert_eq!(verdict("", "resource = \"notes://1\""), "resource_scheme");
    let judged = "resource = \"notes://1\"\nresource_schemes = [\"notes\"]";
    assert_eq!(verdict("", judged), "allow");
    assert_eq!(verdict("", "unbound = true"), "unbound");
    assert_eq!(verdict("", "unbound = true\naccept_unbound_hops = true"), "allow");
}

#[test]
fn a_trial_signs_for_agents_whose_keys_the_policies_name() {
    let real = hex::encode(PrivateKey::from_bytes(&[7; 32]).public().to_bytes());
    let policy =
        format!("payer(\"{real}\");\nallow if granted($op), agent_key($key), payer($key);");
    let cases = case("payer", "expect = \"allow\"")
        + &case("other", "expect = \"nothing_allows\"").replace("agent.a", "agent.b");
    let keys = format!("keys = {{ \"agent.a\" = \"{real}\" }}\n");
    let set = Set::new(&[("p.datalog", &policy), ("cases/c.toml", &(keys.clone() + &cases))]);
    assert!(set.run().unwrap().passes());
    // What is loaded names the real key.
    let loaded = trial::load(set.0.path()).unwrap();
    assert_eq!(loaded.digest(), hardtack::Policy::load(set.0.path()).unwrap().digest());

    let set = Set::new(&[("p.datalog", POLICY), ("cases/c.toml", &(keys + &cases))]);
    assert!(set.error().ends_with("which no policy of the set names"), "{}", set.error());
}

#[test]
fn a_key_with_which_anybody_can_sign_has_no_place_in_a_policy() {
    // Found as anybody can find it: the documented seed.
    use sha2_11::{Digest, Sha256};
    let seed: [u8; 32] = Sha256::digest("hardtack trial key: agent.a").into();
    let key = hex::encode(PrivateKey::from_bytes(&seed).public().to_bytes());
    let policy = format!("allow if granted($op), agent_key(\"{key}\");");
    let cases = case("one", "expect = \"allow\"");
    let error = Set::new(&[("p.datalog", &policy), ("cases/c.toml", &cases)]).error();
    assert!(error.contains("trials sign for agent.a, and so can anybody"), "{error}");
}

#[test]
fn the_day_of_a_trial_decides_nothing() {
    let monday = Timestamp::parse("2026-11-23T10:00:00Z").unwrap();
    assert_eq!(verdict(&format!("check if time({monday});"), ""), "allow");
    // A token of a case is made for its moment, long past or far ahead.
    for at in ["1971-01-01T00:00:00Z", "2400-01-01T00:00:00Z"] {
        assert_eq!(verdict("", &format!("at = {at}")), "allow", "{at}");
    }
}

#[test]
fn text_from_cases_cannot_fool_a_terminal() {
    let cases = case("a\\u001b[2Jb", "expect = \"not_granted\"\nexpect_at = \"\\u001b[2J\"");
    let report = tried(&cases).run().unwrap();
    let said = report.unexpected().map(ToString::to_string).collect::<String>();
    assert!(!said.contains('\u{1b}') && said.contains("\\u{1b}"), "{said}");
    let error = tried(&case("x", "expect = \"\\u001b[2J\"")).error();
    assert!(!error.contains('\u{1b}') && error.contains("is no verdict of a case"), "{error}");
    let error = tried(&case("x", "\"\\u001b\" = 1\nexpect = \"allow\"")).error();
    assert!(!error.contains('\u{1b}'), "{error}");
}
