//! Secrets in the wrong place: none is repeated, by any option of any verb, by any setting, from any file.

use std::collections::BTreeSet;
use std::fs;

use crate::scene::{Scene, feed, finding, text, within};

/// All verbs that take options, with what must follow them.
const VERBS: [&[&str]; 26] = [
    &["init"],
    &["doctor"],
    &["man"],
    &["keygen"],
    &["pubkey"],
    &["mint"],
    &["delegate"],
    &["present"],
    &["inspect"],
    &["check"],
    &["can"],
    &["revoke"],
    &["revocations"],
    &["tree"],
    &["audit"],
    &["audit", "verify"],
    &["audit", "prove"],
    &["audit", "check-proof"],
    &["audit", "key"],
    &["policy", "test"],
    &["policy", "lint"],
    &["policy", "replay"],
    &["store", "restore"],
    &["store", "backup"],
    &["gateway"],
    &["agent"],
];

/// What may be given by mistake.
struct Given {
    what: &'static str,
    text: String,
    /// Whether it is refused wherever it stands, and named. Digits alone may be a digest, and somebody's name for something.
    is_certain: bool,
}

impl Given {
    /// Whether a part of it is seen: twenty characters of any of its lines.
    fn is_in(&self, said: &str) -> bool {
        const SEEN: usize = 20;
        let text = self.text.trim_start_matches("ed25519-private/").trim_start_matches("Bearer ");
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let parts = lines.flat_map(|line| line.as_bytes().chunks_exact(SEEN));
        parts.map(|part| std::str::from_utf8(part).unwrap()).any(|part| said.contains(part))
    }
}

fn lines(text: &str, width: usize) -> String {
    let lines = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn secrets(scene: &Scene) -> Vec<Given> {
    let key = scene.read("root.key");
    let seed = key.trim_start_matches("ed25519-private/").to_owned();
    let other = scene.read("alice.key").trim_start_matches("ed25519-private/").to_owned();
    scene.ok(&["keygen", "--pem", "--out", "pem.key"], "");
    let pem = scene.read("pem.key");
    let body = pem.lines().nth(1).unwrap().to_owned();
    let token = scene.read("bearer.token");
    let standard = token.replace('-', "+").replace('_', "/");
    let percent = standard.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let given = |what, text: &str, is_certain| Given { what, text: text.to_owned(), is_certain };
    vec![
        given("a private key", &key, true),
        given("a private key in PEM", &pem, true),
        given("a line of PEM", &body, true),
        given("a token", &token, true),
        given("a bearer", &format!("Bearer {token}"), true),
        given("a token in quotes", &format!("\"{token}\""), true),
        given("a token that a mail program broke", &lines(&token, 76), true),
        given("a token in standard base64", &standard, true),
        given("a token for a URL", &percent, true),
        given("a JWT", jwt, true),
        given("a token with a letter before it", &format!("@{token}"), false),
        given("digits of a key", &seed, false),
        given("digits of a key and a letter", &format!("x{seed}"), false),
        given("digits of a key and 0x", &format!("0x{seed}"), false),
        given("digits of a key in capitals", &seed.to_uppercase(), false),
        given("digits of two keys", &format!("{seed}{other}"), false),
        given("digits of a key on two lines", &lines(&seed, 40), false),
    ]
}

/// The options that the help of a verb names with a value.
fn options(scene: &Scene, verb: &[&str]) -> BTreeSet<String> {
    let help = scene.ok(&[verb, &["--help"]].concat(), "");
    let named = help.split("--").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once(' ')?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        (is_name && rest.starts_with('<')).then(|| format!("--{name}"))
    });
    named.collect()
}

#[test]
fn no_option_of_any_verb_repeats_a_secret() {
    let scene = Scene::set();
    let secrets = secrets(&scene);
    let mut tried = 0;
    for verb in VERBS {
        let options = options(&scene, verb);
        for given in &secrets {
            let (what, secret) = (given.what, &given.text);
            let in_place = |rest: &[&str]| {
                let output = scene.run(&[verb, rest].concat(), "");
                let said = text(&output.stderr) + &text(&output.stdout);
                if output.status.success() && !given.is_certain {
                    let _ = fs::remove_file(scene.path().join(secret));
                    return said;
                }
                let shown = rest[0].split('=').next().unwrap_or_default();
                assert!(!given.is_in(&said), "{verb:?} {shown}, {what}: {said}");
                assert_ne!(output.status.code(), Some(0), "{verb:?} {shown}, {what}");
                assert_ne!(output.status.code(), Some(101), "{verb:?} {shown}, {what}: {said}");
                said
            };
            in_place(&[secret]);
            for option in &options {
                let said = in_place(&[option, secret]);
                if what == "a private key" {
                    in_place(&[&format!("{option}={secret}")]);
                }
                tried += 1;
                if given.is_certain {
                    assert!(
                        said.contains("this looks like a "),
                        "{verb:?} {option} {what}: {said}"
                    );
                    assert!(said.contains(&format!("{option}: ")), "{verb:?} {option}: {said}");
                }
            }
        }
    }
    assert!(tried > 80 * secrets.len(), "{tried}");
}

#[test]
fn no_setting_of_the_gateway_repeats_a_secret() {
    let scene = Scene::set();
    let (root, upstream) = (scene.read("root.pub"), finding());
    let keys: Vec<String> = options(&scene, &["gateway"])
        .into_iter()
        .map(|option| option.trim_start_matches("--").to_owned())
        .filter(|key| key != "config")
        .collect();
    assert!(keys.len() > 15, "{keys:?}");
    let usual = [
        ("listen", "127.0.0.1:0"),
        ("upstream", upstream.as_str()),
        ("audience", "notion.mcp"),
        ("root", &root),
        ("store", "hardtack.store"),
    ];
    // A gateway that takes digits for a name serves for a while.
    let digits = ["digits of a key", "digits of two keys"];
    for given in
        secrets(&scene).iter().filter(|given| given.is_certain || digits.contains(&given.what))
    {
        let (what, secret) = (given.what, &given.text);
        for key in &keys {
            let rest = usual.iter().filter(|(known, _)| known != key);
            let mut environment = scene.command(&["gateway"]);
            for (key, value) in rest.clone() {
                let name = format!("HARDTACK_{}", key.replace('-', "_").to_uppercase());
                environment.env(name, value);
            }
            let name = format!("HARDTACK_{}", key.replace('-', "_").to_uppercase());
            environment.env(name, secret);
            let lines = rest.map(|(key, value)| format!("{key} = {value:?}\n"));
            let lines: String = lines.chain([format!("{key} = {secret:?}\n")]).collect();
            scene.write("gateway.toml", &lines);
            let file = scene.command(&["gateway", "--config", "gateway.toml"]);
            // A name that is taken for one (a folder, an audience) must not keep it up either.
            for (command, place) in [(environment, "environment"), (file, "file")] {
                let output = within(command);
                let said = text(&output.stderr) + &text(&output.stdout);
                let serves = said.contains("listens on") && !given.is_certain;
                assert!(serves || !given.is_in(&said), "{key} in the {place}, {what}: {said}");
                if given.is_certain {
                    assert_eq!(
                        output.status.code(),
                        Some(2),
                        "{key} in the {place}, {what}: {said}"
                    );
                }
            }
        }
        // What is no setting at all.
        scene.write("gateway.toml", secret);
        let output = scene.run(&["gateway", "--config", "gateway.toml"], "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && !given.is_in(&said), "{what}: {said}");
    }
}

#[test]
fn no_file_and_no_input_that_is_another_one_is_repeated() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    fs::create_dir_all(scene.path().join("set/cases")).unwrap();
    for given in secrets(&scene) {
        let (what, secret) = (given.what, &given.text);
        scene.write("wrong", secret);
        scene.write("set/p.datalog", secret);
        scene.write("set/cases/a.toml", secret);
        let check = ["check", "--root", &root, "--audience", "notion.mcp", "--operation", "a:b"];
        let asked: [&[&str]; 24] = [
            &["inspect"],
            &["present", "--key", "agent.key", "--audience", "a"],
            &["delegate", "--key", "wrong", "--to", "a", "--scope", "a:b", "--reason", "a"],
            &["mint", "--key", "wrong", "--subject", "a:b", "--scope", "a:b"],
            &[
                "mint",
                "--key",
                "wrong",
                "--subject",
                "user:a",
                "--scope",
                "a:b",
                "--holder",
                "@wrong",
            ],
            &["check", "--root", "@wrong", "--audience", "a", "--operation", "a:b"],
            &[&check[..], &["--policies", "set"]].concat(),
            &["can", "--root", &root, "--audience", "a", "--operations", "wrong"],
            &["revoke", "--store", "s", "--ids", "wrong", "--reason", "a"],
            &["revoke", "--store", "wrong", "--agent", "a", "--reason", "a"],
            &[
                "revoke",
                "--at",
                "http://127.0.0.1:9",
                "--audience",
                "a",
                "--key",
                "agent.key",
                "--capability",
                "wrong",
                "--agent",
                "a",
                "--reason",
                "a",
            ],
            &["audit", "--store", "wrong"],
            &["audit", "verify", "--store", "wrong", "--checkpoint", "wrong"],
            &["audit", "check-proof", "--key", "a+01234567+AAAA"],
            &["policy", "lint", "set"],
            &["policy", "lint", "set", "--json"],
            &["policy", "test", "set"],
            &["policy", "replay", "--policies", "set", "--records", "wrong"],
            &["store", "check", "wrong"],
            &["gateway", "--config", "wrong"],
            &["doctor", "--config", "wrong"],
            &["doctor", "--token", "wrong"],
            &["doctor", "--token", "-", "--key", "wrong", "--json"],
            &["doctor", "--policies", "set", "--root", "@wrong", "--store", "wrong"],
        ];
        for arguments in asked {
            let output = feed(scene.command(arguments), secret);
            let said = text(&output.stderr) + &text(&output.stdout);
            assert!(!given.is_in(&said), "{arguments:?}, {what}: {said}");
        }
    }
    let said = scene.fails(&["inspect"], &scene.read("root.key"));
    assert!(said.contains("a private key came in on standard input"), "{said}");
}

#[test]
fn no_user_and_password_of_a_url_is_repeated() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    for given in [
        "http://user:hunter2@127.0.0.1:9/mcp",
        "http://user:hunter2/hunter2@127.0.0.1:9/mcp",
        "http://user:hunter2@hunter2@127.0.0.1:9/mcp",
        "http://user:%68unter2%2fhunter2@127.0.0.1:9/mcp",
        "http://user:hunter2'hunter2@127.0.0.1:9/mcp",
        "http://user:hunter2#hunter2@127.0.0.1:9/mcp",
        "http://user:hunter2 hunter2@127.0.0.1:9/mcp",
        "http%3A%2F%2Fuser%3Ahunter2%40127.0.0.1%3A9%2Fmcp",
        "user:hunter2@127.0.0.1:9/mcp",
    ] {
        let other = given.replacen("http", "ftp", 1);
        let gateway = |more: &[&str]| {
            let mut command = scene.gateway("http://127.0.0.1:9/mcp", more);
            command.env("RUST_LOG", "off");
            within(command)
        };
        let presents =
            ["--audience", "notion.mcp", "--key", "agent.key", "--capability", "agent.token"];
        let revoke =
            [&["revoke", "--at", given, "--agent", "a", "--reason", "a"][..], &presents].concat();
        let agent = [&["agent", "--to", given][..], &presents].concat();
        let can = ["can", "--root", &root, "--audience", "notion.mcp", "--tools", given];
        let servers = ["--authorization-server", "http://a"];
        let outputs = [
            within(scene.gateway(given, &[])),
            gateway(&["--resource", given]),
            gateway(&["--allow-origin", given]),
            gateway(&["--allow-host", given]),
            gateway(&["--listen", given]),
            gateway(&["--admin-listen", given]),
            gateway(&[&["--resource", other.as_str()][..], &servers].concat()),
            gateway(&["--resource", "http://a/", "--authorization-server", &other]),
            scene.run(&revoke, ""),
            within(scene.command(&agent)),
            scene.run(&can, &scene.read("bearer.token")),
        ];
        for (number, output) in outputs.iter().enumerate() {
            let said = text(&output.stderr) + &text(&output.stdout);
            assert_eq!(output.status.code(), Some(2), "{given} {number}: {said}");
            assert!(!said.contains("unter2"), "{given} {number}: {said}");
        }
    }
}
