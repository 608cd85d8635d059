//! The linter: every seeded mistake is found at its place and nothing else is, and sound sets are clean.
//!
//! A file under `tests/seeds/seeded` names what is to be found in its first lines, as `// lint: code@line:column`.
//! One that begins with `// with the tools of tools.json` is linted with these, and one that begins with `// beside the default`
//! is linted beside the built-in policy. Those under
//! `tests/seeds/sound` are each a set of which the linter must say nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hardtack::Timestamp;
use hardtack::policy::sets;
use hardtack_lint::{
    Code, Options, Report, ServerTools, Severity, ToolsError, lint_folder, lint_texts,
};

/// A Wednesday: 2026-11-25T12:00:00Z.
const NOON: u64 = 1_795_608_000;

fn options() -> Options {
    let now = Some(Timestamp::from_unix_seconds(NOON));
    Options { now, ..Options::default() }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new("tests/seeds").join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn lint(text: &str) -> Report {
    lint_with(text, &options())
}

fn lint_with(text: &str, options: &Options) -> Report {
    lint_texts(vec![("p.datalog".to_owned(), text.to_owned())], options)
}

fn server(listed: &str) -> ServerTools {
    ServerTools::read(None, listed).unwrap()
}

/// What a seed is linted with.
fn options_of(seed: &str) -> Options {
    if !seed.contains("// with the tools of tools.json\n") {
        return options();
    }
    let tools = fs::read_to_string("tests/seeds/tools.json").unwrap();
    Options { tools: vec![server(&tools)], ..options() }
}

fn shown(report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| {
        let (code, line, column) = (finding.code, finding.line, finding.column);
        format!("{code}@{line}:{column} {} | {}", finding.message, finding.mend)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_seeded_mistake_is_found_at_its_place_and_nothing_else_is() {
    let mut codes = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files("seeded") {
        let text = fs::read_to_string(&path).unwrap();
        let expected: BTreeSet<String> = text
            .lines()
            .filter_map(|line| Some(line.strip_prefix("// lint: ")?.trim().to_owned()))
            .collect();
        let report = lint_with(&text, &options_of(&text));
        let places = report.findings.iter();
        let found: BTreeSet<String> = places
            .map(|finding| format!("{}@{}:{}", finding.code, finding.line, finding.column))
            .collect();
        codes.extend(report.findings.iter().map(|finding| finding.code.name()));
        if found != expected {
            let missing: Vec<_> = expected.difference(&found).collect();
            let extra: Vec<_> = found.difference(&expected).collect();
            wrong.push(format!(
                "{}: missing {missing:?}, extra {extra:?}\n{}",
                path.display(),
                shown(&report)
            ));
        }
        assert!(
            report
                .findings
                .iter()
                .all(|finding| !finding.mend.is_empty() && !finding.message.is_empty())
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for code in CODES {
        assert!(codes.contains(code), "no seeded file shows {code}");
    }
}

/// Every code but that of a folder without files, and that of notes.
const CODES: [&str; 45] = [
    "allows-nothing",
    "always-holds",
    "any-for-all",
    "argument-type",
    "argument-value",
    "catch-all-allow",
    "check-for-one-tool",
    "check-if-over-many",
    "costly",
    "duplicate-fact",
    "empty-file",
    "excludes-value",
    "external-function",
    "function-operand",
    "hides-errors",
    "key-literal",
    "loose-match",
    "loose-or",
    "misspelt",
    "missing-join",
    "never-matches",
    "never-read",
    "no-lower-bound",
    "no-regex",
    "optional-argument",
    "parameter",
    "pattern-not-written",
    "name-spelling",
    "reads-grant",
    "reserved-predicate",
    "rests-on-name",
    "table-ends",
    "time-zone",
    "too-deep",
    "too-long",
    "trusts-scope",
    "unanchored-regex",
    "unbound-variable",
    "unknown-argument",
    "unknown-predicate",
    "unknown-tool",
    "unreadable",
    "variable-in-fact",
    "wrong-arity",
    "wrong-type",
];

#[test]
fn sound_sets_are_clean() {
    let mut wrong = Vec::new();
    for path in files("sound") {
        let text = fs::read_to_string(&path).unwrap();
        let report = lint_folder(&path, &options_of(&text)).unwrap();
        if !report.findings.is_empty() {
            wrong.push(format!("{}:\n{}", path.display(), shown(&report)));
        }
        hardtack::Policy::parse("sound", &text).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_starter_sets_are_clean() {
    let found = sets(Path::new("../../policies")).unwrap();
    assert!(!found.is_empty());
    for path in found {
        let report = lint_folder(&path, &options()).unwrap();
        assert!(report.findings.is_empty(), "{}:\n{}", path.display(), shown(&report));
    }
}

/// What the loader refuses, the linter finds; what it finds nothing wrong with, the loader takes.
#[test]
fn what_the_loader_refuses_is_found() {
    for path in files("seeded") {
        let text = fs::read_to_string(&path).unwrap();
        let loads = hardtack::Policy::parse("p.datalog", &text).is_ok();
        let report = lint_with(&text, &options_of(&text));
        assert!(loads || !report.findings.is_empty(), "{}", path.display());
    }
}

/// A letter that is missing, or one too many, anywhere.
#[test]
fn no_slip_of_the_pen_is_refused_without_a_finding() {
    let text = r#"// Tools.
reading("search");
limit("clerk", 100);
may($t) <- tool($t), reading($t), !$t.starts_with("admin_");
allow if may($t), tool($t), operation($op), granted($op), role($r), limit($r, $m), arg("n", $n), $n <= $m;
deny if time($now), $now > 2027-01-01T00:00:00Z or arg("tags", $a), $a.any($x -> $x == "é");
check if depth($d), [0, 1].contains($d) || $d.type() == "null" /* why */;
"#;
    let mut refused = 0;
    let places: Vec<(usize, char)> = text.char_indices().collect();
    for (at, c) in places {
        let after = &text[at + c.len_utf8()..];
        for slip in [
            String::new(),
            format!("{c}{c}"),
            "\"".to_owned(),
            ";".to_owned(),
            "(".to_owned(),
            "/".to_owned(),
        ] {
            let text = format!("{}{slip}{after}", &text[..at]);
            if hardtack::Policy::parse("p.datalog", &text).is_err() {
                refused += 1;
                assert!(!lint(&text).findings.is_empty(), "{text}");
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn facts_of_the_grant_are_declared_by_cases_and_comments() {
    let text =
        r#"allow if operation($op), granted($op), team("red"), clearance($level), $level > 2;"#;
    assert_eq!(lint(text).findings.len(), 2);
    let known = vec![r#"team("blue")"#.to_owned(), "clearance(1)".to_owned()];
    let known = Options { grant_facts: known, ..options() };
    let file = |text: &str| vec![("p.datalog".to_owned(), text.to_owned())];
    assert!(lint_texts(file(text), &known).findings.is_empty());
    let declared = format!("// fact: team(string)\n// fact: clearance(integer)\n{text}");
    assert!(lint(&declared).findings.is_empty());
    let otherwise = Options { grant_facts: vec!["team(5)".to_owned()], ..options() };
    assert_eq!(lint_texts(file(text), &otherwise).findings[0].code.name(), "wrong-type");
}

#[test]
fn a_directory_of_names_and_keys_lets_policies_rest_on_names() {
    let text = r#"allow if operation($op), granted($op), agent("agent.admin");"#;
    assert_eq!(lint(text).findings[0].code.name(), "rests-on-name");
    let directory = Options { directory: true, ..options() };
    let file = vec![("p.datalog".to_owned(), text.to_owned())];
    assert!(lint_texts(file, &directory).findings.is_empty());
}

#[test]
fn files_of_a_set_are_judged_together() {
    let files = [
        ("a.datalog", "allow if operation($op), granted($op);"),
        ("b.datalog", "check if tool(\"search\"), arg(\"query\", $q), $q.length() < 100;"),
    ];
    let report = lint_texts(
        files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
        &options(),
    );
    let [finding] = report.findings.as_slice() else { panic!("{}", shown(&report)) };
    assert_eq!((finding.file.as_str(), finding.line, finding.column), ("b.datalog", 1, 1));
    assert_eq!(finding.code.name(), "check-for-one-tool");
}

#[test]
fn a_folder_is_a_set_or_has_sets_and_one_without_files_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(sets(path).unwrap(), [path]);
    assert_eq!(lint_folder(path, &options()).unwrap().findings[0].code.name(), "no-policies");
    for set in ["b", "a"] {
        fs::create_dir(path.join(set)).unwrap();
        fs::write(path.join(set).join("p.datalog"), "allow if operation($op), granted($op);")
            .unwrap();
    }
    assert_eq!(sets(path).unwrap(), [path.join("a"), path.join("b")]);
    let report = lint_folder(&path.join("a"), &options()).unwrap();
    assert_eq!((report.files.len(), report.policies, report.findings.len()), (1, 1, 0));
    assert_eq!(sets(path.join("a/p.datalog")).unwrap(), [path.join("a/p.datalog")]);
    assert!(sets(path.join("none")).is_err());
}

/// Texts that are made to be slow or deep end in good time.
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
#[test]
fn hostile_files_end_in_good_time() {
    let start = std::time::Instant::now();
    let many = |line: &str, count: usize| line.repeat(count);
    for text in [
        many("allow if a(1);\n", 20_000),
        (0..3000).map(|n| format!("allow if a{n}($x), a{}($x);\na{n}(1);\n", n + 1)).collect(),
        (0..2000).map(|n| format!("p{n}($x) <- p{}($x);\n", n + 1)).collect(),
        many("p($x) <- p($x), p($x);\n", 300) + "allow if p($x), p($y), p($z);",
        many("deny if arg($a, $b), arg($c, $d), arg($e, $f), arg($g, $h);\n", 300),
        format!("allow if {};", many("a($x), ", 400) + "a(1)"),
        format!("allow if {}1;", many("!", 3000)),
        format!("allow if {}true{};", many("(", 60), many(")", 60)),
        many("\"\n", 200_000),
        many("/*", 200_000),
        many("\\\"", 200_000),
        many("x(\"", 100_000),
        format!("allow if {}true;", many("true || ", 500)),
        many(
            &format!("deny if tool($t), [{}].contains($t);\n", many("\"a\", ", 300) + "\"b\""),
            300,
        ),
        (0..4000).map(|n| format!("f({n}, \"{n}\");\n")).collect::<String>()
            + &many("deny if f($a, $b), f($b, $c), f($c, $d);\n", 100),
        "é".repeat(100_000),
        "allow if tool(\u{202e}\"x\");".to_owned(),
    ] {
        lint(&text);
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
#[test]
fn two_hundred_policies_take_well_under_a_second() {
    let text: String = (0..200)
        .map(|n| format!("allow if tool(\"t{n}\"), operation($op), granted($op), arg(\"n\", $n), $n >= 0, $n <= {n};\n"))
        .collect();
    let start = std::time::Instant::now();
    assert!(lint(&text).findings.is_empty());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn a_tool_is_known_if_one_of_the_servers_that_are_asked_of_lists_it() {
    let of = |audience: &str, tool: &str| {
        let listed = format!(r#"[{{"name": "{tool}"}}]"#);
        ServerTools::read(Some(audience.to_owned()), &listed).unwrap()
    };
    let servers = Options { tools: vec![of("a.mcp", "push"), of("b.mcp", "merge")], ..options() };
    let found = |policy: &str| lint_with(policy, &servers).findings;
    assert!(found(r#"allow if tool("push"), granted($op);"#).is_empty());
    assert!(found(r#"allow if tool("push"), granted($op), verifier("a.mcp");"#).is_empty());
    // Nobody said what this server has.
    assert!(found(r#"allow if tool("push"), granted($op), verifier("c.mcp");"#).is_empty());
    for policy in [
        r#"allow if tool("push"), granted($op), verifier("b.mcp");"#,
        r#"allow if tool("push"), granted($op), verifier($v), $v == "b.mcp";"#,
    ] {
        let found = found(policy);
        assert_eq!(found.len(), 1, "{policy}");
        assert_eq!(found[0].message, "the server b.mcp lists no tool `push`");
    }
    let found = found(r#"allow if tool("pull"), granted($op);"#);
    assert_eq!(found[0].message, "none of the 2 servers lists a tool `pull`");
}

#[test]
fn a_list_of_tools_is_read_in_each_of_its_forms_and_no_other() {
    let tools = r#"[{"name": "push", "inputSchema": {"type": "object"}}]"#;
    for listed in [
        tools.to_owned(),
        format!(r#"{{"tools": {tools}}}"#),
        format!(r#"{{"tools": {tools}, "nextCursor": ""}}"#),
        format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": {{"tools": {tools}, "_meta": {{}}}}}}"#),
        format!("\u{feff}  {tools}\n"),
    ] {
        let known = Options { tools: vec![server(&listed)], ..options() };
        assert!(lint_with(r#"allow if tool("push"), granted($op);"#, &known).findings.is_empty());
    }
    let page = format!(r#"{{"tools": {tools}, "nextCursor": "2"}}"#);
    let refused = r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}"#;
    let many = format!("[{}]", vec![r#"{"name": "a"}"#; 10_001].join(","));
    for (listed, error) in [
        ("", ToolsError::NoList),
        ("{}", ToolsError::NoList),
        (r#"{"tools": 5}"#, ToolsError::NoList),
        (r#"{"result": []}"#, ToolsError::NoList),
        (refused, ToolsError::Refusal),
        (&page, ToolsError::OnePage),
        (r#"[{"name": "a"}, {"title": "b"}]"#, ToolsError::NoTool { number: 2 }),
        (&many, ToolsError::TooMany),
    ] {
        assert_eq!(ServerTools::read(None, listed).unwrap_err(), error, "{listed:.60}");
    }
}

#[test]
fn open_arguments_are_notes_and_are_listed_only_where_that_is_asked() {
    let policy = "allow if tool(\"pay\"), granted($op), arg(\"amount\", $a), $a >= 0, $a <= 5, arg(\"when\", $when);\n\
        deny if arg(\"memo\", $memo), $memo == \"x\";\n\
        allow if tool(\"push\"), granted($op);\n\
        deny if tool(\"push\"), arg($name, $value), ![\"branch\"].contains($name);\n\
        allow if operation($op), granted($op), role(\"admin\");\n";
    let known = options_of("// with the tools of tools.json\n");
    assert!(lint_with(policy, &known).findings.is_empty());
    let report = lint_with(policy, &Options { open_arguments: true, ..known });
    let [note] = report.findings.as_slice() else { panic!("{}", shown(&report)) };
    assert_eq!((note.code.name(), note.severity, note.line), ("open-argument", Severity::Note, 1));
    assert!(note.message.ends_with("`pay` has `labels`, `to`, `when`"), "{}", note.message);
}

/// Of what a server says, the linter believes nothing that it cannot read, prints no control character, and comes to an end.
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
#[test]
fn hostile_lists_of_tools_end_in_good_time_and_are_never_found_fault_with() {
    let start = std::time::Instant::now();
    let tool = |schema: &str| format!(r#"[{{"name": "push", "inputSchema": {schema}}}]"#);
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}{{}}{}", open.repeat(count), close.repeat(count))
    };
    let twice: String = (0..40)
        .map(|n| format!(r##""d{n}": {{"anyOf": [{{"$ref": "#/$defs/d{0}"}}, {{"$ref": "#/$defs/d{0}"}}]}},"##, n + 1))
        .collect();
    let names: String = (0..9_000).map(|n| format!(r#""n{n}": {{}},"#)).collect();
    let branches = format!(r#"{{"properties": {{{names} "z": {{}}}}}},"#).repeat(40);
    let members: String =
        (0..4_900).map(|n| format!(r##""n{n}": {{"$ref": "#/$defs/d"}},"##)).collect();
    // What thousands of references lead to is large.
    let copied = |large: &str| {
        tool(&format!(
            r#"{{"$defs": {{"d": {{{large}}}}}, "properties": {{{members} "z": {{}}}}}}"#
        ))
    };
    let text = |bytes| "x".repeat(bytes);
    let values = (0..1000).map(|n| format!("\"{}{n}\",", text(500))).collect::<String>();
    let required = (0..100_000).map(|n| format!("\"{n}\",")).collect::<String>();
    let unread = [
        tool(&nested(r#"{"properties": {"branch": "#, "}}", 100)),
        tool(&nested(r#"{"items": "#, "}", 100_000)),
        tool(r##"{"properties": {"branch": {"$ref": "#"}, "force": {"$ref": "#"}}}"##),
        tool(&format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{twice} "d40": {{}}}}}}"##)),
        tool(&format!(r#"{{"anyOf": [{branches} {{}}]}}"#)),
        tool(&format!(r#"{{"anyOf": [{}{{}}]}}"#, "{},".repeat(5_000))),
        copied(&format!(r#""default": "{}""#, text(500_000))),
        copied(&format!(r#""properties": {{"{}": true}}"#, text(500_000))),
        copied(&format!(r#""enum": [{values} "z"]"#)),
        copied(&format!(r#""required": [{required} "z"]"#)),
        tool(&format!(r#"{{"description": "{}"}}"#, text(2_000_000))),
        tool("5"),
        tool(r#"{"properties": 5, "required": "x", "type": 7, "enum": {}, "items": []}"#),
        format!(
            "[{}]",
            [r#"{"name": "push", "inputSchema": {"properties": {"a": {}}}}"#; 2].join(",")
        ),
    ];
    let policy = "allow if tool(\"push\"), granted($op), arg(\"branch\", $b), $b >= 1, $b <= 3, arg(\"other\", 1);";
    for listed in &unread {
        let report = lint_with(policy, &Options { tools: vec![server(listed)], ..options() });
        assert!(report.findings.is_empty(), "{listed:.100}\n{}", shown(&report));
    }
    // The first is read as far as policies go, and the sixth has more alternatives than are put together.
    for listed in [&unread[1..5], &unread[6..12]].concat() {
        assert!(server(&listed).unread().eq(["push"]), "{listed:.100}");
    }
    // A large list of values that is read is no such thing.
    let schema =
        |values: &str| format!(r#"{{"properties": {{"branch": {{"enum": [{values}"z"]}}}}}}"#);
    let currencies = (0..900).map(|n| format!("\"currency {n}\",")).collect::<String>();
    assert_eq!(server(&tool(&schema(&currencies))).unread().count(), 0);
    // Of a tool without a schema, nobody knows the arguments.
    assert!(
        server(r#"[{"name": "push"}, {"name": "pull", "inputSchema": {}}]"#).unread().eq(["push"])
    );
    let bad = r#"[{"name": "pus\u001b[31m"}, {"name": "pusk\u202e{0:1}", "inputSchema": {}}]"#;
    let report = lint_with(policy, &Options { tools: vec![server(bad)], ..options() });
    let said = shown(&report);
    assert!(said.contains("unknown-tool") && !said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

fn of_issuer(text: &str) -> Vec<(Code, usize, String)> {
    let file = ("set.issuance.datalog".to_owned(), text.to_owned());
    let report = lint_texts(vec![file], &Options::default());
    report.findings.into_iter().map(|found| (found.code, found.line, found.message)).collect()
}

#[test]
fn a_set_of_an_issuer_is_read_by_its_own_words() {
    let sound = "allow if idp(\"acme\");\n\
        offer(\"a:b\", \"a.mcp\", 60, 1) <- claim(\"groups\", $group), team($group, $_unit);\n\
        team(\"x\", \"y\");\n\
        fact(\"role\", $role) <- claim_in(\"realm_access\", \"roles\", $role);\n";
    let sound = sound.replace("$_unit", "\"y\"");
    assert_eq!(of_issuer(&sound), []);
    for (text, code, line) in [
        ("deny if tool(\"pay\");", Code::UnknownPredicate, 5),
        ("deny if claims(\"a\", 1);", Code::UnknownPredicate, 5),
        ("deny if claim(\"a\");", Code::WrongArity, 5),
        ("deny if wanted_seconds($s), $s == \"60\";", Code::WrongType, 5),
        ("offer(\"a:b\", \"a.mcp\");", Code::WrongArity, 5),
        ("offer(\"a b\", \"a.mcp\", 60, 1);", Code::WrongType, 5),
        ("subject(\"user:acme/alice\");", Code::ReservedPredicate, 5),
        ("unread($x) <- claim(\"a\", $x);", Code::NeverRead, 5),
        ("deny if wanted_scope(\"tools:call:pay\");", Code::LooseMatch, 5),
        ("deny if wanted_scope($s), $s == \"tools:call:pay\";", Code::LooseMatch, 5),
    ] {
        let found = of_issuer(&format!("{sound}{text}"));
        let is_found = found.iter().any(|(found, at, _)| (*found, *at) == (code, line));
        assert!(is_found, "{text}: {found:?}");
    }
    // What begins so is covered by no pattern that does not.
    let begins = "deny if wanted_scope($s), $s.starts_with(\"hardtack:\");";
    assert_eq!(of_issuer(&format!("{sound}{begins}")), []);
    let nothing = of_issuer("allow if idp(\"acme\");");
    assert!(nothing.iter().any(|(code, ..)| *code == Code::AllowsNothing), "{nothing:?}");
}
