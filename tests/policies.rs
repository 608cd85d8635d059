//! The policies that come with Hardtack: every case, and the page that lists their words.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use hardtack::*;
use hardtack_testkit::*;

#[test]
fn every_set_passes_its_trial() {
    let sets = policy::sets("policies").unwrap();
    for set in &sets {
        let report = trial::run(set, || Duration::ZERO).unwrap();
        let unexpected: Vec<String> = report.unexpected().map(ToString::to_string).collect();
        assert_eq!(unexpected, [""; 0], "{}", set.display());
        assert_eq!(report.faults, [], "{}", set.display());
        let silent = report.statements.iter().filter(|statement| !statement.decided);
        assert_eq!(silent.count(), 0, "{}: no case uses a fact or rule", set.display());
        trial::load(set).unwrap();
    }
    let names: Vec<_> = sets.iter().filter_map(|set| set.file_name()?.to_str()).collect();
    assert_eq!(names, ["default", "files", "http-apis", "mcp-tools", "payments"]);
}

/// The page has a row for each set.
#[test]
fn the_page_lists_the_sets() {
    let page = fs::read_to_string("policies/README.md").unwrap();
    for set in policy::sets("policies").unwrap() {
        let name = set.file_name().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&format!("| [{name}/]({name}/) |")), "{name}");
    }
}

#[test]
fn the_built_in_policy_is_the_default_set() {
    Policy::parse("builtin", include_str!("../policies/default/default.datalog")).unwrap();
    assert_eq!(Policy::builtin().digest(), Policy::load("policies/default").unwrap().digest());
}

#[test]
fn a_folder_of_sets_names_them_to_choose_from() {
    let error = Policy::load("policies").unwrap_err().to_string();
    let choice = "choose one of the sets in it: default, files, http-apis, mcp-tools, payments";
    assert!(error.ends_with(choice), "{error}");
}

#[test]
fn the_order_of_files_decides_nothing() {
    let decide = |first: &str, second: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.datalog"), first).unwrap();
        fs::write(folder.path().join("b.datalog"), second).unwrap();
        let verified =
            Cast::new().verifier().verify(Cast::new().presented().bearer(), NOW).unwrap();
        authorize(&verified, &Policy::load(folder.path()).unwrap(), &search())
            .unwrap_err()
            .cause()
            .as_str()
    };
    let (allow, deny) = ("allow if granted($op);", "deny if depth(1);");
    assert_eq!((decide(allow, deny), decide(deny, allow)), ("policy_denied", "policy_denied"));
}

/// Texts are a set as a folder with these files is, with the same digest or the same error.
#[test]
fn several_texts_are_what_a_folder_of_them_is() {
    let broken = "allow if granted($op);\nallow if gran";
    let cases: [&[(&str, &str)]; 7] = [
        &[("b.datalog", "deny if depth(1);"), ("a.datalog", "allow if granted($op);")],
        &[("a.datalog", "\u{feff}allow if granted($op);")],
        &[("b.datalog", broken), ("a.datalog", "allow if granted($op);")],
        &[("b.datalog", "granted(\"x\");"), ("a.datalog", "subject(\"x\");")],
        &[("a.datalog", "deny if depth(1);")],
        &[("a.datalog", "")],
        &[("a.datalog", "allow if granted($op);"), ("b.datalog", &"// much\n".repeat(1 << 18))],
    ];
    for files in cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let told = |set: Result<Policy, PolicyError>| match set {
            Ok(policy) => policy.digest().to_owned(),
            Err(error) => error.to_string().replace(&format!("{}/", folder.path().display()), ""),
        };
        let texts = told(Policy::parse_set(files.iter().copied()));
        assert_eq!(texts, told(Policy::load(folder.path())), "{:?}", files[0]);
    }
    let none = Policy::parse_set::<&str, &str>([]).unwrap_err();
    assert_eq!(none.to_string(), "the set has no *.datalog file");
    let twice = [("a.datalog", "allow if granted($op);"), ("a.datalog", "deny if depth(1);")];
    let twice = Policy::parse_set(twice).unwrap_err();
    assert_eq!(twice.to_string(), "two files of the set are called a.datalog");
    let many = (0..=1000).map(|number| (format!("{number}.datalog"), "allow if granted($op);"));
    assert!(matches!(Policy::parse_set(many), Err(PolicyError::Read { .. })));
}

#[test]
fn a_folder_without_policies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Policy::load(folder.path()), Err(PolicyError::NoFiles { .. })));
    fs::write(folder.path().join("a.datalog"), "granted(\"x\");").unwrap();
    let error = Policy::load(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("a.datalog:1:1: `granted` is reserved"), "{error}");
}

/// Each word that the page lists is asserted, with the arity that it gives it. That it lists all is a test of the library's table.
#[test]
fn the_page_of_words_is_true() {
    let page = fs::read_to_string("policies/README.md").unwrap();
    let row = |line: &str| -> Option<(String, String)> {
        let (word, rest) = line.strip_prefix("| `")?.split_once('(')?;
        let (terms, _) = rest.split_once(")` |")?;
        // The tables of other things have rows, too.
        let is_word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let (word, terms) = is_word(word).then_some((word, terms))?;
        Some((word.to_owned(), terms.to_owned()))
    };
    let listed: BTreeSet<(String, String)> = page.lines().filter_map(row).collect();
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
    for (word, terms) in &listed {
        // A time zone is written out; the other words are there whatever their terms.
        let terms = terms.split(", ").enumerate().map(|(n, term)| match term.starts_with('"') {
            true if ["weekday", "minute_of_day"].contains(&word.as_str()) => term.to_owned(),
            _ => format!("$t{n}"),
        });
        let terms = terms.collect::<Vec<_>>().join(", ");
        let policy = Policy::parse("word", &format!("allow if {word}({terms});")).unwrap();
        let there = requests.iter().any(|verified| authorize(verified, &policy, &call).is_ok());
        assert!(there, "{word}({terms}) is listed and never asserted");
    }
    let words: BTreeSet<&str> = listed.iter().map(|(word, _)| word.as_str()).collect();
    // Every word that the page calls reserved is.
    let reserved = page.split_once("Reserved for token blocks:").unwrap().1;
    let reserved = reserved.split_once("Of these").unwrap().0.split('`').skip(1).step_by(2);
    assert_eq!(reserved.clone().count(), 15);
    for word in reserved.chain(words) {
        let text = format!("{word}(1); allow if true;");
        let error = Policy::parse("word", &text).unwrap_err().to_string();
        assert!(error.contains("is reserved"), "{error}");
    }
}
