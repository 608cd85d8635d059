//! Every cause stands in one page, and what the pages say of it is what the code does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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
    let rows = rows("docs/verification.md", "| cause | answer | when |");
    rows.iter()
        .flat_map(|row| names(&row[0]).into_iter().map(|cause| (cause, row[1].clone())))
        .collect()
}

/// All others, each with its class, its status and its meaning.
fn of_errors() -> BTreeMap<Cause, Vec<String>> {
    let rows = rows("docs/errors.md", "| cause | class | status | what it means |");
    rows.into_iter().map(|row| (names(&row[0])[0], row)).collect()
}

#[test]
fn each_cause_stands_in_one_page_and_each_page_lists_no_other() {
    let (decisions, errors) = (of_decisions(), of_errors());
    let listed = decisions.keys().chain(errors.keys());
    assert_eq!(decisions.len() + errors.len(), Cause::ALL.len());
    assert_eq!(listed.collect::<BTreeSet<_>>(), Cause::ALL.iter().collect());
    for (cause, answer) in decisions {
        let status = cause.status().unwrap().to_string();
        assert!(answer.starts_with(&status), "{cause}: {answer}");
    }
    for (cause, row) in errors {
        let status = cause.status().map(|status| status.to_string()).unwrap_or_default();
        let expected = [format!("`{cause}`"), cause.class().to_string(), status];
        assert_eq!(row[..3], expected);
        assert_eq!(row[3], cause.meaning());
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
            Class::Malformed => &[
                (400, "invalid_request"),
                (404, "invalid_request"),
                (405, "invalid_request"),
                (408, "invalid_request"),
                (431, "invalid_request"),
            ],
            // Of a request to revoke.
            Class::Conflict => &[(409, "invalid_request")],
            _ => &[],
        };
        // Without a token, a challenge has no error (RFC 6750, section 3.1).
        let ok = status.zip(error).is_some_and(|answer| expected.contains(&answer))
            || (status.is_none() && error.is_none())
            || (*cause == Cause::NoToken && status == Some(401) && error.is_none());
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

#[test]
fn what_fails_has_the_class_of_what_helps() {
    let now = Timestamp::from_unix_seconds(1_795_428_000);
    let (issuer, stranger) = (Issuer::new(PrivateKey::generate()), PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:search").new_holder();
    let capability = issuer.mint(grant, now).unwrap();
    let to = |scope| {
        let hop = Delegation::to("agent.a").scope(scope).reason("find the page");
        hop.holder(stranger.public())
    };
    let search = "tools:call:search";
    let later = now + std::time::Duration::from_secs(7 * 24 * 3600);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("no_store"), "no store").unwrap();
    let wrong = "tools:call:*:search".parse::<Scope>();
    for (cause, class, expected) in [
        caused("ed25519/00".parse::<PublicKey>().unwrap_err().cause(), Class::Malformed),
        caused(wrong.unwrap_err().cause(), Class::Malformed),
        caused(Timestamp::parse("tomorrow").unwrap_err().cause(), Class::Malformed),
        caused(Policy::parse("a", "deny if ;").unwrap_err().cause(), Class::Malformed),
        caused(Call::new("no operation").unwrap_err().cause(), Class::Malformed),
        caused(issuer.mint(Grant::to("user:alice"), now).unwrap_err().cause(), Class::Malformed),
        caused(
            issuer.mint(Grant::to("alice").scope(search), now).unwrap_err().cause(),
            Class::Malformed,
        ),
        caused(
            capability.delegate(to("tools:call:pay"), &alice, now).unwrap_err().cause(),
            Class::Forbidden,
        ),
        caused(
            capability.delegate(to(search), &stranger, now).unwrap_err().cause(),
            Class::Conflict,
        ),
        caused(
            capability.delegate(to(search), &alice, later).unwrap_err().cause(),
            Class::Unauthenticated,
        ),
        caused(Capability::parse("no token").unwrap_err().cause(), Class::Unauthenticated),
        caused(Policy::load(file("none")).unwrap_err().cause(), Class::Unavailable),
        caused(Store::open(file("none")).unwrap_err().cause(), Class::Unavailable),
        caused(Store::open(file("no_store")).unwrap_err().cause(), Class::Conflict),
    ] {
        assert_eq!(class, expected, "{cause}");
        assert_eq!(cause.status().is_some(), of_decisions().contains_key(&cause), "{cause}");
    }
}

fn caused(cause: Cause, expected: Class) -> (Cause, Class, Class) {
    (cause, cause.class(), expected)
}

/// `unbound` and `too_costly` are a token's and a call's, and are answered otherwise.
#[test]
fn what_is_refused_of_a_call_is_not_said_to_be_the_tokens() {
    let unbound = || AuthorizeError::Unbound { block: 1, operation: "hardtack:revoke".to_owned() };
    for error in [unbound(), AuthorizeError::TooCostly { cost: 1 }] {
        assert_eq!(error.cause().class(), Class::Unauthenticated);
        assert_eq!(error.class(), Class::Forbidden);
        assert_eq!(Denial::from(error).class(), Class::Forbidden);
    }
    assert_eq!(Denial::from(VerifyError::Unbound { block: 1 }).class(), Class::Unauthenticated);
    let inexact = Call::new("no operation").unwrap_err();
    assert_eq!(Denial::from(inexact).class(), Class::Malformed);
}

/// The source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
            false => {}
        }
    }
}

/// What the `cause` function of an error does, if it has one.
fn cause_of(text: &str, name: &str) -> Option<String> {
    let start = format!("\nimpl {name} {{");
    let own = text.split(start.as_str()).skip(1).filter_map(|own| own.split("\n}\n").next());
    let mut bodies = own.filter_map(|own| own.split_once("pub fn cause(&self) -> Cause {"));
    let (_, body) = bodies.next()?;
    Some(body.split("\n    }\n").next()?.to_owned())
}

/// The public errors that a source file declares.
fn errors_in(text: &str) -> Vec<&str> {
    let declared = text.split("thiserror::Error)]").skip(1).filter_map(|rest| {
        let line = rest.lines().find(|line| line.contains("enum ") || line.contains("struct "))?;
        line.strip_prefix("pub ")?.split([' ', '(', ';', '{']).nth(1)
    });
    declared.filter(|name| !PARTS.contains(name)).collect()
}

/// Parts of errors, which say more of one of their causes.
const PARTS: [&str; 4] = ["TokenMistake", "Problem", "Unfollowed", "Unread"];

/// Which types are errors cannot be asked at run time, so the sources are read. That a match names each variant is the
/// compiler's business, as long as it has no arm for all others.
#[test]
fn every_error_of_the_library_has_a_cause_and_every_cause_is_had() {
    let mut paths = Vec::new();
    for folder in ["src", "crates"].map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
        sources(folder, &mut paths);
    }
    paths.retain(|path| !path.components().any(|part| part.as_os_str() == "bin"));
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let (mut errors, mut missing) = (0, Vec::new());
    for text in &texts {
        for name in errors_in(text) {
            errors += 1;
            match cause_of(text, name) {
                None => missing.push(name),
                Some(body) => assert!(!body.contains("_ =>"), "{name} has an arm for all others"),
            }
        }
    }
    assert_eq!(missing, Vec::<&str>::new());
    assert!(errors > 40, "{errors}");
    let all = texts.concat();
    for cause in Cause::ALL {
        let name = format!("Cause::{cause:?}");
        let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        assert!(all.split(name.as_str()).skip(1).any(is_whole), "nothing has the cause {cause}");
    }
}
