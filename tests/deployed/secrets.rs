//! Secrets in the wrong place: none is repeated, by any option of any verb, by any setting, from any file.

use std::collections::BTreeSet;
use std::fs;

use crate::scene::{Scene, feed, finding, text, within};

/// All verbs that take options, with what must follow them.
const VERBS: [&[&str]; 22] = [
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

/// What may be given by mistake, and the part of each that must not be seen again.
fn secrets(scene: &Scene) -> Vec<(&'static str, String, String)> {
    let key = scene.read("root.key");
    let seed = key.trim_start_matches("ed25519-private/").to_owned();
    scene.ok(&["keygen", "--pem", "--out", "pem.key"], "");
    let pem = scene.read("pem.key");
    let body = pem.lines().nth(1).unwrap().to_owned();
    let token = scene.read("bearer.token");
    let part = token[..60].to_owned();
    vec![
        ("a private key", key, seed.clone()),
        ("a private key without its beginning", seed.clone(), seed),
        ("a private key in PEM", pem, body.clone()),
        ("a line of PEM", body.clone(), body),
        ("a token", token.clone(), part.clone()),
        ("a bearer", format!("Bearer {token}"), part),
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
        for (what, secret, part) in &secrets {
            let in_place = |rest: &[&str]| {
                let output = scene.run(&[verb, rest].concat(), "");
                let said = text(&output.stderr) + &text(&output.stdout);
                // Digits alone may be a digest, and somebody's name for something.
                if output.status.success() && what.ends_with("without its beginning") {
                    let _ = fs::remove_file(scene.path().join(secret));
                    return said;
                }
                let shown = rest[0].split('=').next().unwrap_or_default();
                assert!(!said.contains(part), "{verb:?} {shown}, {what}: {said}");
                assert_ne!(output.status.code(), Some(0), "{verb:?} {shown}, {what}");
                assert_ne!(output.status.code(), Some(101), "{verb:?} {shown}, {what}: {said}");
                said
            };
            in_place(&[secret]);
            for option in &options {
                let said = in_place(&[option, secret]);
                if *what == "a private key" {
                    in_place(&[&format!("{option}={secret}")]);
                }
                tried += 1;
                if what.starts_with("a private key in")
                    || *what == "a private key"
                    || *what == "a token"
                {
                    let (what, named) = (what.trim_end_matches(" in PEM"), format!("{option}: "));
                    assert!(
                        said.contains(&format!("looks like {what}")),
                        "{verb:?} {option}: {said}"
                    );
                    assert!(said.contains(&named), "{verb:?} {option}: {said}");
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
    for (what, secret, part) in secrets(&scene) {
        for key in &keys {
            let rest = usual.iter().filter(|(known, _)| known != key);
            let mut environment = scene.command(&["gateway"]);
            for (key, value) in rest.clone() {
                let name = format!("HARDTACK_{}", key.replace('-', "_").to_uppercase());
                environment.env(name, value);
            }
            let name = format!("HARDTACK_{}", key.replace('-', "_").to_uppercase());
            environment.env(name, &secret);
            let lines = rest.map(|(key, value)| format!("{key} = {value:?}\n"));
            let lines: String = lines.chain([format!("{key} = {secret:?}\n")]).collect();
            scene.write("gateway.toml", &lines);
            let file = scene.command(&["gateway", "--config", "gateway.toml"]);
            // A name that is taken for one (a folder, an audience) must not keep it up either.
            for (command, place) in [(environment, "environment"), (file, "file")] {
                let output = within(command);
                let said = text(&output.stderr) + &text(&output.stdout);
                let serves = said.contains("listens on") && what.ends_with("without its beginning");
                assert!(serves || !said.contains(&part), "{key} in the {place}, {what}: {said}");
                if what.starts_with("a private key in")
                    || what == "a private key"
                    || what == "a token"
                {
                    assert_eq!(
                        output.status.code(),
                        Some(2),
                        "{key} in the {place}, {what}: {said}"
                    );
                }
            }
        }
        // What is no setting at all.
        scene.write("gateway.toml", &secret);
        let output = scene.run(&["gateway", "--config", "gateway.toml"], "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && !said.contains(&part), "{what}: {said}");
    }
}

#[test]
fn no_file_and_no_input_that_is_another_one_is_repeated() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    fs::create_dir_all(scene.path().join("set/cases")).unwrap();
    for (what, secret, part) in secrets(&scene) {
        scene.write("wrong", &secret);
        scene.write("set/p.datalog", &secret);
        scene.write("set/cases/a.toml", &secret);
        let check = ["check", "--root", &root, "--audience", "notion.mcp", "--operation", "a:b"];
        let asked: [&[&str]; 20] = [
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
        ];
        for arguments in asked {
            let output = feed(scene.command(arguments), &secret);
            let said = text(&output.stderr) + &text(&output.stdout);
            assert!(!said.contains(&part), "{arguments:?}, {what}: {said}");
        }
    }
    let said = scene.fails(&["inspect"], &scene.read("root.key"));
    assert!(said.contains("a private key came in on standard input"), "{said}");
}

#[test]
fn no_user_and_password_of_a_url_is_repeated() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    let url = "http://user:hunter2@127.0.0.1:9/mcp";
    let gateway = |more: &[&str]| {
        let mut command = scene.gateway("http://127.0.0.1:9/mcp", more);
        command.env("RUST_LOG", "off");
        within(command)
    };
    let revoke = [
        "revoke",
        "--at",
        url,
        "--audience",
        "a",
        "--key",
        "agent.key",
        "--capability",
        "agent.token",
        "--agent",
        "a",
        "--reason",
        "a",
    ];
    let agent = [
        "agent",
        "--key",
        "agent.key",
        "--capability",
        "agent.token",
        "--audience",
        "notion.mcp",
        "--to",
        url,
    ];
    let can = ["can", "--root", &root, "--audience", "notion.mcp", "--tools", url];
    let outputs = [
        within(scene.gateway(url, &[])),
        gateway(&["--resource", url]),
        gateway(&["--allow-origin", url]),
        gateway(&["--allow-host", url]),
        gateway(&["--resource", "ftp://user:hunter2@a/", "--authorization-server", "http://a"]),
        gateway(&["--resource", "http://a/", "--authorization-server", "ftp://user:hunter2@a/"]),
        scene.run(&revoke, ""),
        within(scene.command(&agent)),
        scene.run(&can, &scene.read("bearer.token")),
    ];
    for (number, output) in outputs.iter().enumerate() {
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{number}: {said}");
        assert!(!said.contains("hunter2"), "{number}: {said}");
    }
}
