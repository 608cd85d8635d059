//! Mistakes at the command line: each is named, and what to do about it.

use std::fs;
use std::ops::Deref;

use hardtack_testkit::command::{Shell, text};

/// Keys and tokens in a folder of the test's own.
struct Scene(Shell);

impl Deref for Scene {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.0
    }
}

impl Scene {
    fn set() -> Scene {
        let scene = Scene(Shell::new(env!("CARGO_BIN_EXE_hardtack")));
        let root = scene.ok("keygen --out root.key", "");
        scene.write("root.pub", &root);
        let grant = scene.ok(
            "mint --key root.key --subject user:alice --scope tools:call:* --new-holder alice.key",
            "",
        );
        scene.write("grant.token", &grant);
        let delegate = "delegate --key alice.key --to agent.a --scope tools:call:search --reason errands --new-holder agent.key";
        scene.write("agent.token", &scene.ok(delegate, &grant));
        scene.ok("store create store", "");
        scene
    }

    fn ok(&self, line: &str, input: &str) -> String {
        self.0.ok(line, input).trim().to_owned()
    }

    /// What is said of something that is refused.
    fn refused(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{line}");
        text(&output.stdout) + &text(&output.stderr)
    }
}

#[test]
fn whatever_is_given_for_a_token_is_named_by_every_verb() {
    let scene = Scene::set();
    let (token, root) = (scene.read("agent.token"), scene.read("root.pub"));
    let standard = token.replace('-', "+").replace('_', "/");
    let lines = |end: &str| {
        let lines = token.as_bytes().chunks(72).map(|line| std::str::from_utf8(line).unwrap());
        lines.collect::<Vec<_>>().join(end)
    };
    let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
    let changed = format!("{}!{}", &token[..300], &token[301..]);
    let jwt =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsInNjb3BlIjoiYWxsIn0.c2lnbmF0dXJlc2lnbmF0dXJl";
    fs::write(scene.path().join("operations"), "tools:call:search").unwrap();
    for (given, said) in [
        (format!("\"{token}\""), "it stands in quotation marks"),
        (format!("'{token}'"), "it stands in quotation marks"),
        (format!("Bearer {token}"), "stands before it; leave out"),
        (format!("Authorization: Bearer {token}"), "stands before it; leave out"),
        (lines("\n"), "it has line breaks or blanks"),
        (lines(" "), "it has line breaks or blanks"),
        (jwt.to_owned(), "it is a JWT"),
        (standard.replace('+', "%2B").replace('/', "%2F") + "%3D", "it is written for a URL"),
        (standard, "it is in standard base64"),
        (hex, "it is made of hexadecimal digits"),
        (token[..200].to_owned(), "its end is missing"),
        (token[..token.len() - 5].to_owned(), "its end is missing"),
        (changed, "some of it was changed on the way"),
        (root.clone(), "it is a public key"),
        (scene.read("root.key"), "private key"),
        ("<html><body>log in</body></html>".to_owned(), "it is a page in HTML"),
        (format!("{{\"access_token\": \"{token}\"}}"), "it is JSON"),
        ("nothing of the kind".to_owned(), "this is no token"),
    ] {
        scene.write("given", &given);
        let deciding = format!("--root {} --audience notion.mcp", root.trim());
        let presented = "--audience a --key agent.key --agent a --reason a --at http://127.0.0.1:9";
        for line in [
            "inspect".to_owned(),
            "inspect given".to_owned(),
            "delegate --key agent.key --to a --scope tools:call:search --reason a --new-holder n".to_owned(),
            "present --key agent.key --audience notion.mcp".to_owned(),
            format!("check {deciding} --operation tools:call:search"),
            format!("can {deciding} --operations operations"),
            format!("revoke {presented} --capability given"),
            format!("revoke {presented} --capability agent.token --proof given"),
            "agent --key agent.key --capability given --audience a --to http://127.0.0.1:9/mcp --listen 127.0.0.1:0".to_owned(),
        ] {
            let heard = scene.refused(&line, &given);
            assert!(heard.contains(said), "{line}, {said}: {heard}");
            let parts = given.as_bytes().chunks_exact(24).map(|part| std::str::from_utf8(part).unwrap());
            for part in parts.filter(|part| !part.contains([' ', '<', '-'])) {
                assert!(!heard.contains(part), "{line}: {heard}");
            }
        }
    }
}

#[test]
fn what_was_changed_in_a_signature_is_said_before_a_server_refuses_it() {
    let scene = Scene::set();
    let token = scene.read("agent.token");
    let found = (token.len() / 2..token.len() - 8).find_map(|place| {
        let other = if &token[place..=place] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
        let output = scene.run("inspect", &changed);
        let said = text(&output.stderr);
        (output.status.success() && said.contains("does not hold")).then_some((changed, said))
    });
    let (changed, said) = found.expect("a signature is there");
    assert!(said.contains("the signature of block 1 does not hold"), "{said}");
    let said = scene.refused("present --key agent.key --audience a", &changed);
    assert!(said.contains("damaged or was tampered with"), "{said}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    let deciding = format!("--root {} --audience notion.mcp", root.trim());
    let bearer =
        scene.ok("present --key agent.key --audience notion.mcp", &scene.read("agent.token"));
    fs::write(scene.path().join("no.key"), "hello").unwrap();
    fs::write(scene.path().join("g.toml"), "lisen = \"a\"").unwrap();
    fs::create_dir_all(scene.path().join("set/cases")).unwrap();
    fs::write(scene.path().join("set/p.datalog"), "allow if granted($op);").unwrap();
    let case = "[[case]]\nname = \"a\"\nscopes = [\"*\"]\noperation = \"a:b\"\nexpect = \"deny\"\n";
    fs::write(scene.path().join("set/cases/a.toml"), case).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let serve = format!("{deciding} --upstream http://127.0.0.1:9/mcp --store store");
    for (line, said) in [
        (
            "mint --key root.key --subject user:a --scope 'tools:cal l:search' --new-holder n"
                .to_owned(),
            "\"tools:cal l:search\" has a blank at place 10; a scope",
        ),
        (
            "mint --key root.key --subject alice --scope a:b --new-holder n".to_owned(),
            "\"alice\" has no `:`; a subject",
        ),
        (
            "present --key agent.key --audience a --call tools:call:fetch".to_owned(),
            "'{\"operation\": \"tools:call:fetch\"}'",
        ),
        ("store restore nothing --to new".to_owned(), "look at the path"),
        ("store backup store --to store".to_owned(), "is there already, and nothing is replaced"),
        (
            format!("check {deciding} --operation a:b --policies nowhere"),
            "policy nowhere is not there",
        ),
        (
            format!("check {deciding} --operation search --explain"),
            "ask about the call of the tool search: tools:call:search",
        ),
        (
            format!("can {deciding} --tools http://127.0.0.1:9/mcp"),
            "it does not answer; is the URL right",
        ),
        (
            format!("can {deciding}"),
            "--operations FILE, which has one operation a line, or --tools URL",
        ),
        (format!("gateway --listen {taken} {serve}"), "another process listens there already"),
        ("gateway --config g.toml".to_owned(), "there is no setting lisen"),
        (
            "mint --key no.key --subject user:a --scope a:b --new-holder n".to_owned(),
            "no.key is no private key: a private key is written ed25519-private/<64",
        ),
        (
            "mint --key root.pub --subject user:a --scope a:b --new-holder n".to_owned(),
            "this is a public key where a private key belongs",
        ),
        ("inspect root.key".to_owned(), "it is a private key, and a token belongs here"),
        ("verfy".to_owned(), "'hardtack check' or 'hardtack audit verify'"),
        ("list".to_owned(), "'hardtack revocations'"),
        (
            "policy test set".to_owned(),
            "expect = \"deny\" is no verdict of a case. Did you mean \"policy_denied\"? Write",
        ),
    ] {
        let heard = scene.refused(&line, if line.starts_with("present") { "" } else { &bearer });
        assert!(heard.contains(said), "{line}: {heard}");
        assert!(!heard.contains("rmcp") && !heard.contains("usize"), "{heard}");
    }
    let explained = scene
        .ok(&format!("check {deciding} --operation tools:call:search --explain=full"), &bearer);
    assert!(explained.contains("revocation ? not looked at"), "{explained}");
    let recorded = scene.ok(
        &format!("check {deciding} --operation tools:call:search --explain=full --store store"),
        &bearer,
    );
    assert!(
        recorded.contains("revocation + nothing of the chain is known to be revoked"),
        "{recorded}"
    );
    let _open = hardtack::Store::open(scene.path().join("store")).unwrap();
    let heard = scene.refused(&format!("check {deciding} --operation a:b --store store"), &bearer);
    assert!(heard.contains("in use") && heard.contains("revoke --at URL"), "{heard}");
}
