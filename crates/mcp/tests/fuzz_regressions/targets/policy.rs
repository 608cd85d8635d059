//! Policy: texts of one set, with a zero byte between files, put to the loader and the linter, and to a call if
//! they load.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hardtack::{Guard, Policy, PolicyError, Verifier};
use hardtack_lint::{Options, Severity, lint_texts};

use super::{Target, judge, token};
use hardtack_testkit::{AUDIENCE, Cast, NOW, repository};

pub const TARGET: Target = Target {
    name: "policy",
    run,
    seeds,
    // Twice the longest statement, so that its bound is tried too.
    max_len: 8 * 1024,
};

/// The longest message about a text: one of its statements, escaped, and what is wrong with it.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    // The library takes sets from folders only, so a set of one text is loaded here; the linter has them all.
    let first = text.split('\0').next().unwrap_or_default();
    let loaded = Policy::parse("0.datalog", first);
    let findings = lint(&[first]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    match loaded {
        Ok(policy) => {
            decides(policy);
            lint(&text.split('\0').collect::<Vec<_>>());
            true
        }
        Err(PolicyError::Source(error)) => {
            assert!((1..=lines(first)).contains(&error.at.line), "line {}: {error}", error.at.line);
            said(&error.to_string());
            assert!(errors > 0, "the linter is content with what does not load: {error}");
            false
        }
        Err(error) => {
            said(&error.to_string());
            assert!(errors > 0, "the linter is content with what does not load: {error}");
            false
        }
    }
}

fn lint(texts: &[&str]) -> Vec<hardtack_lint::Finding> {
    let files = texts.iter().enumerate();
    let files = files.map(|(number, text)| (format!("{number}.datalog"), (*text).to_owned()));
    let options = Options { now: Some(NOW), ..Options::default() };
    let report = lint_texts(files.collect(), &options);
    for finding in &report.findings {
        let number: usize = finding.file.trim_end_matches(".datalog").parse().unwrap();
        let text = texts[number];
        let at = format!("{}:{}:{}", finding.file, finding.line, finding.column);
        assert!((1..=lines(text)).contains(&finding.line), "{at} is not in the text");
        let line = text.split('\n').nth(finding.line - 1).unwrap_or_default();
        // One behind the end is where something is missing.
        assert!(
            (1..=line.chars().count() + 1).contains(&finding.column),
            "{at} is not in {line:?}"
        );
        assert!(finding.span.end <= text.len() && finding.span.start <= finding.span.end, "{at}");
        assert!(text.get(finding.span.clone()).is_some(), "{at} is within a character");
        said(&finding.message);
        said(&finding.mend);
    }
    report.findings
}

fn lines(text: &str) -> usize {
    text.split('\n').count()
}

fn said(text: &str) {
    assert!(!text.is_empty() && text.len() <= MAX_MESSAGE_BYTES, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// Whatever loads decides calls, and never beyond the grant.
fn decides(policy: Policy) {
    static GUARD: OnceLock<(Guard, String)> = OnceLock::new();
    let (guard, bearer) = GUARD.get_or_init(|| {
        let unchecked = hardtack::revocation::RevocationUnchecked;
        let verifier = Verifier::new(Cast::new().roots(), AUDIENCE, unchecked).unwrap();
        let bearer = URL_SAFE.encode(&(token::TARGET.seeds)()[0]);
        (Guard::unrecorded(verifier, Policy::builtin()), bearer)
    });
    guard.replace_policy(policy);
    for call in judge::calls() {
        let decision = guard.check(bearer, call, NOW);
        let granted = call.operation().tool() == Some("search");
        assert!(granted || decision.is_err(), "a policy allowed what was not granted");
        if let Err(denial) = decision {
            judge::is_said_safely(&denial.to_string());
        }
    }
    let _ = guard.explain(bearer, &judge::calls()[0], NOW);
}

fn seeds() -> Vec<Vec<u8>> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(repository("policies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.extend(["seeded", "sound"].map(|set| repository("crates/lint/tests/seeds").join(set)));
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "datalog")));
    }
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let others = [
        "allow if true;\0deny if tool(\"x\");",
        "allow if granted($op), $op.matches(\"^tools:[a-z]+$\");",
        "allow if tool($t), {\"a\", \"b\"}.contains($t) or [1, 2].all($x -> $x > 0);",
        "allow if ((((true))));",
        "allow if arg(\"p\", $p), $p.extern::hardtack_glob(\"/a/**\");",
        "// nothing\n",
    ];
    seeds.extend(others.iter().map(|text| text.as_bytes().to_vec()));
    seeds
}
