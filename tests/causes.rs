//! `docs/profile.md` lists every cause, and says how each is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use hardtack::cause::{RecordedCause, UnknownCause};
use hardtack::*;

/// The rows of the table that begins so, cell by cell.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once(heading).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let rows = table.lines().skip(2).filter_map(|line| line.strip_prefix("| "));
    rows.map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<Cause> {
    cell.split('`').skip(1).step_by(2).map(|name| name.parse().unwrap()).collect()
}

/// The causes of decisions, each with how it is answered.
fn of_decisions() -> BTreeMap<Cause, String> {
    let rows = rows("docs/profile.md", "| cause | answer | when |");
    rows.iter()
        .flat_map(|row| names(&row[0]).into_iter().map(|cause| (cause, row[1].clone())))
        .collect()
}

#[test]
fn the_page_lists_every_cause_and_no_other_and_how_each_is_answered() {
    let decisions = of_decisions();
    assert_eq!(decisions.keys().collect::<BTreeSet<_>>(), Cause::ALL.iter().collect());
    for (cause, answer) in decisions {
        let status = cause.status().unwrap().to_string();
        assert!(answer.starts_with(&status), "{cause}: {answer}");
    }
}

#[test]
fn a_name_is_read_as_what_it_was_written_for_and_no_two_share_one() {
    let mut seen = BTreeSet::new();
    for cause in Cause::ALL {
        let name = cause.as_str();
        assert!(seen.insert(name), "{name} stands twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.parse(), Ok(*cause));
        assert_eq!(serde_json::to_string(cause).unwrap(), format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<Cause>(&format!("\"{name}\"")).unwrap(), *cause);
    }
    assert_eq!("no_such_cause".parse::<Cause>(), Err(UnknownCause));
    assert!(serde_json::from_str::<Cause>("\"no_such_cause\"").is_err());
}

#[test]
fn the_status_of_a_cause_is_that_of_its_class() {
    for cause in Cause::ALL {
        let (status, error) = (cause.status(), cause.error());
        let expected: &[(u16, &str)] = match cause.class() {
            Class::Unauthenticated => &[(401, "invalid_token")],
            Class::Forbidden => &[(403, "insufficient_scope"), (403, "access_denied")],
            Class::Undecided | Class::Unavailable => &[(503, "temporarily_unavailable")],
            Class::Malformed => &[(400, "invalid_request")],
            _ => &[],
        };
        let ok = status.zip(error).is_some_and(|answer| expected.contains(&answer));
        assert!(ok, "{cause}: {status:?} {error:?}");
    }
}

#[test]
fn a_record_of_a_later_version_is_read_and_written_as_it_was() {
    for (name, known) in [("expired", Some(Cause::Expired)), ("a_later_cause", None)] {
        let recorded: RecordedCause = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        assert_eq!((recorded.as_str(), recorded.known()), (name, known));
        assert_eq!(recorded == Cause::Expired, known.is_some());
        assert_eq!(serde_json::to_string(&recorded).unwrap(), format!("\"{name}\""));
    }
    let store = Store::in_memory().unwrap();
    let scene = (PrivateKey::generate(), Timestamp::from_unix_seconds(1_795_428_000));
    let roots = RootKeys::of(scene.0.public());
    let verifier = Verifier::new(roots, "notion.mcp", store.revocations()).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), store.clone());
    guard.check("no token", &Call::tool("search").unwrap(), scene.1).unwrap_err();
    let line = store.reader().records(1).next().unwrap().unwrap();
    let written = serde_json::to_string(&line.record().unwrap()).unwrap();
    let later = written.replace("\"not_a_token\"", "\"a_later_cause\"");
    assert_ne!(written, later);
    let read: AuditRecord = serde_json::from_str(&later).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), later);
    let cause = read.decision().unwrap().cause.clone().unwrap();
    assert_eq!((cause.as_str(), cause.known()), ("a_later_cause", None));
}
