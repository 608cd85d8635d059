//! Files: which settings can be used, and what is said of others.

use hardtack_testkit::command::Shell;

use crate::scene::{CASES, POLICIES, Scene, settings};

#[test]
fn a_file_that_cannot_be_used_says_so_before_anything_is_opened() {
    let scene = Scene::new();
    let shell = &scene.shell;
    let good = settings("http://127.0.0.1:9/keys");
    for (from, to, expected) in [
        ("https://issuer.example", "http://issuer.example", "plain HTTP"),
        ("https://issuer.example", "https://issuer.example/", "without `/` at its end"),
        ("accept-plain-http = true", "accept-plain-http = false", "plain HTTP"),
        ("http://127.0.0.1:9/keys", "http://127.0.0.1.evil.example/keys", "plain HTTP"),
        ("\"EdDSA\"", "\"HS256\"", "no algorithm HS256"),
        ("\"EdDSA\"", "", "algorithms names none"),
        ("name = \"acme\"", "name = \"a/b\"", "letters, digits"),
        ("access-token-audience = \"https://issuer.example\"\n", "", "no token of it is taken"),
        ("policies = \"policies\"", "policies = \"none\"", "policies"),
        ("key = \"issuer.key\"", "key = \"none.key\"", "key"),
        ("listen = \"127.0.0.1:0\"", "listen = \"localhost\"", "numeric address"),
        ("clients", "cleints", "cleints"),
        ("listen = ", "longest-life = 99999999999\nlisten = ", "longest-life is 1 to"),
        ("listen = ", "longest-life = 0\nlisten = ", "longest-life is 1 to"),
        ("store = \"issuer.store\"", "store = \"none.store\"", "hardtack store create"),
        ("https://issuer.example", "https://issuer.example/:a", "its path has letters"),
        ("https://issuer.example", "https://issuer.example/%7Ba%7D", "its path has letters"),
        ("https://issuer.example", "https://issuer.example//a", "its path has letters"),
        (
            "listen = ",
            "feed-listen = \"127.0.0.1:0\"\nlisten = ",
            "feed-signing-key: it is missing; a feed has",
        ),
        ("listen = ", "feed-new-epoch = 2\nlisten = ", "feed-listen: it is missing; a feed has"),
        (
            "listen = ",
            "feed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"issuer.key\"\nlisten = ",
            "make a key for the feed alone",
        ),
        (
            "listen = ",
            "feed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"none.key\"\nlisten = ",
            "none.key",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        shell.write("wrong.toml", &good.replace(from, to));
        let said = shell.fails("serve --config wrong.toml --check", "");
        assert!(said.contains(expected), "{to}: {said}");
    }
    // A case that gets something else keeps the issuer from starting.
    shell.write("policies/cases/acme.toml", &CASES.replace("seconds = 1800", "seconds = 1801"));
    shell.write("right.toml", &good);
    let said = shell.fails("serve --config right.toml --check", "");
    assert!(said.contains("expected seconds 1801, found 1800"), "{said}");
}

#[test]
fn the_example_is_a_file_that_can_be_used() {
    let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
    let example = shell.ok("serve --example-config", "");
    shell.write("issuer.toml", &example);
    shell.ok("keygen --out issuer.key", "");
    shell.ok("store create issuer.store", "");
    std::fs::create_dir_all(shell.path().join("policies/cases")).unwrap();
    shell.write("policies/acme.issuance.datalog", POLICIES);
    shell.write("policies/cases/acme.toml", CASES);
    shell.ok("serve --config issuer.toml --check", "");
}
