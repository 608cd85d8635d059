//! The policies that come with Hardtack: every case, and the page that lists their words.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::*;
use hardtack::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    policies: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    scopes: Vec<String>,
    #[serde(default)]
    facts: Vec<String>,
    hops: Vec<String>,
    operation: String,
    #[serde(default)]
    arguments: Option<String>,
    expect: String,
    #[serde(default)]
    expect_also: Option<String>,
}

fn key(index: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[20 + u8::try_from(index).unwrap(); 32])
}

/// A folder with these policies alone.
fn policy_of(files: &[String]) -> Policy {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        fs::copy(Path::new("policies").join(file), folder.path().join(file)).unwrap();
    }
    Policy::load(folder.path()).unwrap()
}

fn verdict(policy: &Policy, case: &Case) -> String {
    let cast = Cast::new();
    let grant = Grant::to("user:alice").holder(key(0).public());
    let grant = case.scopes.iter().fold(grant, |grant, scope| grant.scope(scope));
    let grant = case.facts.iter().fold(grant, |grant, fact| grant.fact(fact));
    let mut capability = cast.issuer().mint(grant, NOW).unwrap();
    for (index, agent) in case.hops.iter().enumerate() {
        let hop = Delegation::to(agent).reason("a case").holder(key(index + 1).public());
        let hop = case.scopes.iter().fold(hop, |hop, scope| hop.scope(scope));
        capability = capability.delegate(hop, &key(index), NOW).unwrap();
    }
    let bearer = capability.present(Presenting::to(AUDIENCE), &key(case.hops.len()), NOW).unwrap();
    let mut call = Call::new(&case.operation).unwrap();
    if let Some(arguments) = &case.arguments {
        call = call.arguments(arguments).unwrap();
    }
    let verified = cast.verifier().verify(bearer.bearer(), NOW).unwrap();
    match authorize(&verified, policy, &call) {
        Ok(_) => "allow".to_owned(),
        Err(error) => error.cause().to_owned(),
    }
}

#[test]
fn every_case_gets_its_verdict() {
    let mut allowed = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for entry in fs::read_dir("policies/cases").unwrap() {
        let path = entry.unwrap().path();
        let cases: Cases = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let alone = policy_of(&cases.policies);
        let together = policy_of(&[cases.policies.clone(), cases.also].concat());
        for case in &cases.case {
            let place = format!("{}: {}", path.display(), case.name);
            let found = verdict(&alone, case);
            assert_eq!(found, case.expect, "{place}");
            let seen = if found == "allow" { &mut allowed } else { &mut refused };
            seen.insert(path.clone());
            let also = case.expect_also.as_ref().unwrap_or(&case.expect);
            assert_eq!(verdict(&together, case), *also, "{place}, beside others");
        }
    }
    assert_eq!(allowed, refused, "every file of cases has both verdicts");
    assert_eq!(allowed.len(), 2);
}

#[test]
fn the_folder_as_it_stands_is_one_set() {
    Policy::load("policies").unwrap();
    Policy::parse("builtin", include_str!("../policies/default.datalog")).unwrap();
    assert!(!Policy::builtin().digest().is_empty());
}

#[test]
fn the_order_of_files_decides_nothing() {
    let decide = |first: &str, second: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.datalog"), first).unwrap();
        fs::write(folder.path().join("b.datalog"), second).unwrap();
        let verified =
            Cast::new().verifier().verify(Cast::new().presented().bearer(), NOW).unwrap();
        authorize(&verified, &Policy::load(folder.path()).unwrap(), &search()).unwrap_err().cause()
    };
    let (allow, deny) = ("allow if granted($op);", "deny if depth(1);");
    assert_eq!((decide(allow, deny), decide(deny, allow)), ("policy_denied", "policy_denied"));
}

#[test]
fn a_folder_without_policies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Policy::load(folder.path()), Err(PolicyError::NoFiles { .. })));
    fs::write(folder.path().join("a.datalog"), "granted(\"x\");").unwrap();
    let error = Policy::load(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("a.datalog:1: `granted` is reserved"), "{error}");
}

/// The page lists the words that the verifier asserts, with the arity that it gives them.
#[test]
fn the_page_of_words_is_true() {
    let page = fs::read_to_string("policies/README.md").unwrap();
    let row = |line: &str| -> Option<(String, usize)> {
        let (word, rest) = line.strip_prefix("| `")?.split_once('(')?;
        let (terms, _) = rest.split_once(")` |")?;
        Some((word.to_owned(), terms.split(',').count()))
    };
    let listed: BTreeSet<(String, usize)> = page.lines().filter_map(row).collect();
    // Each listed word, read with its arity by a policy, is there in some request.
    let cast = Cast::new();
    let call = search()
        .resource("https://notion.so/page")
        .unwrap()
        .arguments(r#"{"query": "roadmap"}"#)
        .unwrap();
    let unbound = cast.issuer().mint(Grant::to("user:alice").scope("*").unbound(), NOW).unwrap();
    let unbound = unbound.present_unbound(Presenting::to(AUDIENCE), NOW).unwrap();
    let tolerant = cast.verifier().accept_unbound_hops();
    let requests =
        [cast.presented(), unbound].map(|bearer| tolerant.verify(bearer.bearer(), NOW).unwrap());
    for (word, arity) in &listed {
        let terms = (0..*arity).map(|n| format!("$t{n}")).collect::<Vec<_>>().join(", ");
        let policy = Policy::parse("word", &format!("allow if {word}({terms});")).unwrap();
        let there = requests.iter().any(|verified| authorize(verified, &policy, &call).is_ok());
        assert!(there, "{word}/{arity} is listed and never asserted");
    }
    let words: BTreeSet<&str> = listed.iter().map(|(word, _)| word.as_str()).collect();
    let asserted = [
        "time",
        "operation",
        "resource",
        "tool",
        "arg",
        "verifier",
        "depth",
        "call",
        "agent",
        "agent_key",
        "delegated",
        "delegated_key",
        "granted",
        "unbound",
        "presented",
        "issuer",
        "subject",
        "issued",
    ];
    assert_eq!(words, BTreeSet::from(asserted));
    // Every word that the page calls reserved is.
    let reserved = page.split_once("Reserved for token blocks:").unwrap().1;
    let reserved = reserved.split_once("Of these").unwrap().0.split('`').skip(1).step_by(2);
    assert_eq!(reserved.clone().count(), 15);
    for word in reserved.chain(asserted) {
        let text = format!("{word}(1); allow if true;");
        let error = Policy::parse("word", &text).unwrap_err().to_string();
        assert!(error.contains("is reserved"), "{error}");
    }
}
