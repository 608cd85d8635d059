//! Mistakes: is each recipe clean, and each mistake found, and does it do what the page says?

use std::fs;
use std::time::Duration;

use hardtack::*;
use hardtack_lint::{Options, ServerTools, lint_folder};
use hardtack_testkit::*;

use super::{Block, blocks, verified};

/// A set of this policy and these cases, in a folder of its own.
fn set(policy: &str, cases: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.datalog"), policy).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/page.toml"), cases).unwrap();
    folder
}

/// What the linter finds in a policy.
fn codes(policy: &str) -> Vec<&'static str> {
    codes_with(policy, Vec::new())
}

/// What the linter finds in a policy for these servers.
fn codes_with(policy: &str, tools: Vec<ServerTools>) -> Vec<&'static str> {
    let folder = set(policy, "");
    let options = Options { now: Some(NOW), tools, ..Options::default() };
    let report = lint_folder(folder.path(), &options).unwrap();
    report.findings.iter().map(|finding| finding.code.name()).collect()
}

#[test]
fn each_recipe_is_clean_and_its_cases_get_their_verdicts() {
    let blocks = blocks();
    let recipes = blocks.iter().enumerate().filter(|(_, block)| block.mark == "recipe");
    let mut count = 0;
    for (at, recipe) in recipes {
        assert_eq!(codes(&recipe.text), [""; 0], "{}", recipe.heading);
        let cases = &blocks[at + 1];
        assert_eq!((&cases.heading, cases.language.as_str()), (&recipe.heading, "toml"));
        let folder = set(&recipe.text, &cases.text);
        let report = trial::run(folder.path(), || Duration::ZERO).unwrap();
        let unexpected: Vec<String> = report.unexpected().map(ToString::to_string).collect();
        assert_eq!(unexpected, [""; 0], "{}", recipe.heading);
        assert!(report.passes(), "{}: {:?}", recipe.heading, report.faults);
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn every_policy_of_the_page_is_a_recipe_a_mistake_or_a_mended_one() {
    for block in blocks() {
        let marked = block.mark == "recipe" || is_mistake(&block) || block.mark == "mended";
        assert_eq!(marked, block.language == "datalog", "{}: {}", block.heading, block.text);
    }
}

#[test]
fn each_mistake_is_found_by_the_code_that_the_page_names() {
    let blocks = blocks();
    let listed = blocks.iter().find(|block| block.mark == "tools").unwrap();
    for (mistake, mended) in mistakes() {
        let code = mistake.mark.strip_prefix("mistake: ").unwrap();
        let (code, tools) = match code.strip_suffix(WITH_TOOLS) {
            Some(code) => (code, vec![ServerTools::read(None, &listed.text).unwrap()]),
            None => (code, Vec::new()),
        };
        let expected = if code == BY_TRIAL { vec![] } else { vec![code] };
        let without = codes(&mistake.text);
        assert!(tools.is_empty() || without != expected, "{}", mistake.heading);
        assert_eq!(codes_with(&mistake.text, tools.clone()), expected, "{}", mistake.heading);
        assert_eq!(codes_with(&mended.text, tools), [""; 0], "{}", mended.heading);
    }
}

/// What the mark of a mistake ends with that is found with the page's list of tools, and not without.
const WITH_TOOLS: &str = ", with the tools";

/// The mistake that needs cases to be found.
const BY_TRIAL: &str = "policy test";

#[test]
fn a_policy_that_comes_to_nothing_is_found_by_its_trial() {
    let mistakes = mistakes();
    let found = mistakes.iter().find(|(one, _)| one.mark.ends_with(BY_TRIAL)).unwrap();
    let case = |tool: &str, role: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"{tool} {role}\"\nfacts = ['role(\"{role}\")']\nscopes = [\"tools:call:*\"]\noperation = \"{tool}\"\nexpect = \"{expect}\"\n"
        )
    };
    let cases = [
        case("tools:call:search", "reader", "allow"),
        case("tools:call:delete_page", "reader", "allow"),
        case("tools:call:delete_page", "editor", "allow"),
        case("docs:read", "editor", "not_granted"),
    ];
    let report = trial::run(set(&found.0.text, &cases.concat()).path(), || Duration::ZERO).unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert!(report.unexpected().next().is_none() && faults.len() == 1, "{faults:?}");
    assert!(faults[0].starts_with("page.datalog:2 alone never allowed a call"), "{faults:?}");
}

/// What a mistake does in truth: a call, its verdict by the mistaken policy, and by the mended one.
#[test]
fn each_mistake_does_what_the_page_says() {
    let mut mistakes = mistakes();
    let witnesses = witnesses();
    assert_eq!(mistakes.pop().unwrap().0.heading, JOIN);
    assert_eq!(mistakes.len(), witnesses.len());
    for ((mistake, mended), (heading, case, by_mistake, by_mended)) in
        mistakes.iter().zip(&witnesses)
    {
        assert_eq!(&mistake.heading, heading);
        let found = (verdict(&mistake.text, case), verdict(&mended.text, case));
        assert_eq!(found, ((*by_mistake).to_owned(), (*by_mended).to_owned()), "{heading}");
    }
}

fn witnesses() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let tool = |name: &str, rest: &str| {
        let hop = if rest.contains("hops") { "" } else { "hops = [\"agent.a\"]" };
        format!("scopes = [\"tools:call:*\"]\n{hop}\noperation = \"tools:call:{name}\"\n{rest}")
    };
    let editor = "facts = ['role(\"editor\")']";
    vec![
        // Not what it does but that it says it is what differs.
        ("`allow if true`", tool("delete_page", ""), "allow", "allow"),
        ("Everything but what is bad", tool("Delete_page", ""), "allow", "nothing_allows"),
        ("A prefix without its colon", tool("search_and_replace", ""), "allow", "nothing_allows"),
        (
            "A regular expression without its ends",
            tool("research_and_destroy", ""),
            "allow",
            "nothing_allows",
        ),
        ("A star in an operation", tool("search", ""), "nothing_allows", "allow"),
        (
            "A path or URL that begins right",
            tool("read_file", r#"arguments = { path = "/srv/data/../../etc/passwd" }"#),
            "allow",
            "not_evaluable",
        ),
        (
            "A path or URL that begins right",
            tool("fetch", r#"arguments = { url = "https://api.example.com.evil.org/" }"#),
            "allow",
            "nothing_allows",
        ),
        (
            "`check if` where all are meant",
            tool("search", r#"hops = ["agent.banned", "agent.b"]"#),
            "allow",
            "policy_denied",
        ),
        ("Reading what the grant says", tool("search", ""), "not loaded", "allow"),
        ("Trusting a hop's facts", tool("search", editor), "not loaded", "allow"),
        (
            "Resting on an agent's name",
            tool("deploy", r#"hops = ["agent.admin"]"#),
            "allow",
            "nothing_allows",
        ),
        (
            "A key that is none",
            format!("{}\n[keys]\n\"agent.a\" = \"{KEY}\"", tool("search", "")),
            "allow",
            "policy_denied",
        ),
        (
            "The wrong type",
            tool("delete_page", &format!("hops = [\"agent.a\", \"agent.b\"]\n{editor}")),
            "allow",
            "policy_denied",
        ),
        (
            "Taking an error for an answer",
            tool("pay", r#"arguments = { amount = "1e9" }"#),
            "allow",
            "nothing_allows",
        ),
        (
            "A policy that comes to nothing",
            tool("delete_page", "facts = ['role(\"reader\")']"),
            "allow",
            "policy_check_failed",
        ),
        (
            "A `deny` on an argument that may be missing",
            tool("merge", ""),
            "allow",
            "nothing_allows",
        ),
        (
            "All texts but one",
            tool("merge", r#"arguments = { base = "refs/heads/main" }"#),
            "allow",
            "nothing_allows",
        ),
        (
            "A fact that is compared with nothing",
            tool("close_account", r#"arguments = { owner = "user:bob" }"#),
            "allow",
            "nothing_allows",
        ),
        (
            "A number without a lower bound",
            tool("pay", "arguments = { amount = -900000 }"),
            "allow",
            "nothing_allows",
        ),
        (
            "`.any` where all are meant",
            tool("mail", r#"arguments = { to = ["a@example.com", "b@evil.example"] }"#),
            "allow",
            "nothing_allows",
        ),
        ("A check of one tool", tool("search", ""), "policy_check_failed", "allow"),
        (
            "A table of moments that ends",
            tool("pay", "arguments = { amount = 1 }\nat = 2026-12-25T12:00:00Z"),
            "allow",
            "policy_check_failed",
        ),
        (
            "The end of a URL or of an address",
            tool("mail", r#"arguments = { email = "bob@evilexample.com" }"#),
            "allow",
            "nothing_allows",
        ),
        (
            "The end of a URL or of an address",
            "scopes = [\"resources:read\"]\noperation = \"resources:read\"\nresource = \"https://evil.example/?example.com\""
                .to_owned(),
            "allow",
            "nothing_allows",
        ),
        ("An `or` before a comma", tool("read_file", ""), "allow", "nothing_allows"),
        ("A tool that is not there", tool("push", ""), "allow", "policy_denied"),
        (
            "An argument that is not there",
            tool("push", r#"arguments = { branch = "dev", force = true }"#),
            "allow",
            "policy_denied",
        ),
        (
            "A type that an argument never has",
            tool("list_issues", "arguments = { limit = 50 }"),
            "nothing_allows",
            "allow",
        ),
        (
            "A value that an argument never has",
            tool("list_issues", r#"arguments = { state = "open" }"#),
            "nothing_allows",
            "allow",
        ),
        ("A `deny` of what is the default", tool("create_release", ""), "allow", "nothing_allows"),
    ]
}

#[test]
fn a_join_over_all_arguments_ends_without_an_answer() {
    let (mistake, mended) = mistakes().pop().unwrap();
    let many: Vec<String> = (0..1000).map(|n| format!("\"a{n}\": {n}")).collect();
    let call = Call::tool("copy").unwrap().arguments(&format!("{{{}}}", many.join(", "))).unwrap();
    let verified = verified(&[]);
    let verdict = |policy: &Block| {
        let policy = Policy::parse("page", &policy.text).unwrap();
        authorize(&verified, &policy, &call).map(|_| ()).map_err(|error| error.cause().as_str())
    };
    assert_eq!(mistake.heading, JOIN);
    assert_eq!((verdict(&mistake), verdict(&mended)), (Err("exhausted"), Ok(())));
}

/// The mistake whose witness is large.
const JOIN: &str = "A join that explodes";

/// The key that the page names.
const KEY: &str = "94ea46ff21c62812461fe59977cf26bd60cee62d2da812d715b1bdbec75f132a";

fn verdict(policy: &str, case: &str) -> String {
    // Keys stand before the cases.
    let (case, keys) = case.split_once("\n[keys]").unwrap_or((case, ""));
    let keys = if keys.is_empty() { String::new() } else { format!("[keys]{keys}\n") };
    let cases = format!("{keys}[[case]]\nname = \"witness\"\nexpect = \"allow\"\n{case}\n");
    match trial::run(set(policy, &cases).path(), || Duration::ZERO) {
        Ok(report) => report.cases[0].found.cause.map_or("allow", Cause::as_str).to_owned(),
        Err(trial::TrialError::Policy(_)) => "not loaded".to_owned(),
        Err(error) => panic!("{error}\n{cases}"),
    }
}

fn is_mistake(block: &Block) -> bool {
    block.mark.starts_with("mistake: ")
}

/// Each mistake and the policy behind it that says what was meant.
fn mistakes() -> Vec<(Block, Block)> {
    let blocks = blocks();
    let pairs = blocks.windows(2).filter(|pair| is_mistake(&pair[0]));
    let pairs: Vec<_> = pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    assert!(pairs.iter().all(|(_, mended)| mended.mark == "mended"));
    assert_eq!(pairs.len(), blocks.iter().filter(|block| block.mark == "mended").count());
    pairs
}
