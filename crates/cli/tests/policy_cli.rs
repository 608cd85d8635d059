//! `hardtack policy`, and the gateway whose policies are exchanged while it runs, driven as processes.

use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use hardtack_testkit::command::{PATIENCE, Serving, Shell, text, until, upstream};
use serde_json::Value;

const ALLOW: &str = "allow if granted($op);\n";
const NO_PAYMENTS: &str = "allow if granted($op);\ndeny if tool(\"pay\");\n";

/// A scratch folder with a grant in it.
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
        let root = scene.ok(&["keygen", "--out", "root.key"], "");
        scene.write("root.pub", root.trim());
        let grant = [
            "mint",
            "--key",
            "root.key",
            "--subject",
            "user:alice",
            "--scope",
            "tools:call:*",
            "--fact",
            "role(\"editor\")",
            "--new-holder",
            "alice.key",
        ];
        let grant = scene.ok(&grant, "");
        scene.write("grant.token", &grant);
        scene.ok(&["store", "create", "hardtack.store"], "");
        fs::create_dir(scene.path().join("live")).unwrap();
        scene.write("live/p.datalog", ALLOW);
        fs::create_dir(scene.path().join("new")).unwrap();
        scene.write("new/p.datalog", NO_PAYMENTS);
        scene
    }

    fn bearer(&self) -> String {
        let token = self.read("grant.token");
        self.ok(&["present", "--key", "alice.key", "--audience", "notion.mcp"], &token)
    }

    fn gateway(&self, upstream: &str, more: &[&str]) -> Serving {
        let root = self.read("root.pub");
        self.gateway_trusting(
            upstream,
            &[&root],
            &[["--policies", "live"].as_slice(), more].concat(),
        )
    }

    fn gateway_trusting(&self, upstream: &str, roots: &[&str], more: &[&str]) -> Serving {
        let mut all = vec![
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            upstream,
            "--audience",
            "notion.mcp",
            "--store",
            "hardtack.store",
        ];
        all.extend(roots.iter().flat_map(|root| ["--root", root]));
        Serving::start(self.command(&[all.as_slice(), more].concat()))
    }

    /// A bearer for this audience, of a root that is made for it.
    fn bearer_of_new_root(&self, name: &str, audience: &str) -> String {
        let [root, holder] = ["root", "holder"].map(|part| format!("{name}.{part}.key"));
        let public = self.ok(&["keygen", "--out", &root], "");
        self.write(&format!("{name}.pub"), &public);
        let grant = ["mint", "--key", &root, "--subject", "user:alice", "--scope", "tools:call:*"];
        let grant = self.ok(&[grant.as_slice(), &["--new-holder", &holder]].concat(), "");
        self.ok(&["present", "--key", &holder, "--audience", audience], &grant)
    }

    /// Exit code and output of a replay of these records.
    fn replay(
        &self,
        policies: &str,
        records: &str,
        json: &[&str],
    ) -> (Option<i32>, String, String) {
        let asked = ["policy", "replay", "--policies", policies, "--records", "-"];
        let output = self.run(&[&asked, json].concat(), records);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn records(&self) -> String {
        self.ok(&["audit", "--store", "hardtack.store", "--json"], "")
    }
}

/// What this gateway says of itself.
fn figures(gateway: &Serving) -> String {
    fetch(&gateway.url.replace("/mcp", "/metrics"), None, None)
}

/// Whether a call of this tool is let through.
fn allows(gateway: &Serving, bearer: &str, tool: &str, arguments: &str) -> bool {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    );
    fetch(&gateway.url, Some(bearer), Some(body)).contains("found")
}

fn fetch(url: &str, bearer: Option<&str>, body: Option<String>) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(PATIENCE);
        let client = client.build().unwrap();
        let request = match body {
            Some(body) => client.post(url).header("content-type", "application/json").body(body),
            None => client.get(url),
        };
        let request = match bearer {
            Some(bearer) => request.bearer_auth(bearer.trim()),
            None => request,
        };
        request.send().await.unwrap().text().await.unwrap()
    })
}

#[test]
fn past_decisions_are_decided_again_and_what_flips_is_shown() {
    let (scene, upstream) = (Scene::set(), upstream());
    let bearer = scene.bearer();
    let gateway = scene.gateway(&upstream, &["--keep-requests", "arguments"]);
    for amount in [1, 50, 700, 800] {
        assert!(allows(&gateway, &bearer, "pay", &format!(r#"{{"amount":{amount}}}"#)));
    }
    assert!(allows(&gateway, &bearer, "search", "{}"));
    fetch(&gateway.url, Some("nonsense"), Some("{}".to_owned()));
    assert!(gateway.ends());
    let records = scene.records();

    let (code, shown, _) = scene.replay("live", &records, &[]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("0 of 5 decisions by policies flip, 5 stay"), "{shown}");

    scene
        .write("new/p.datalog", "allow if granted($op);\ndeny if arg(\"amount\", $a), $a > 100;\n");
    let (code, shown, _) = scene.replay("new", &records, &[]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("tools:call:pay allow → deny (policy_denied) by p.datalog:2: 2")
            && shown.contains("user:alice: the policy at p.datalog:2 denies this call")
            && shown.contains("2 of 5 decisions by policies flip, 3 stay"),
        "{shown}"
    );
    scene.write("records.jsonl", &records);
    let asked = ["policy", "replay", "--policies", "new", "--records", "records.jsonl", "--json"];
    let output = scene.run(&asked, "");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["flip"], &report["stay"]), (&2.into(), &3.into()));
    assert_eq!((&report["records"], &report["without_policies"]), (&6.into(), &1.into()));
    assert_eq!(report["flips"][0]["examples"][1]["sequence"], 4);
    assert_eq!(report["policy"].as_str().unwrap().len(), 64);
}

#[test]
fn what_was_kept_as_digests_or_not_at_all_is_said() {
    let (scene, upstream) = (Scene::set(), upstream());
    let bearer = scene.bearer();
    let gateway = scene.gateway(&upstream, &[]);
    assert!(allows(&gateway, &bearer, "pay", r#"{"amount":1}"#));
    assert!(gateway.ends());
    scene.write("gateway.toml", "keep-requests = \"digests\"\nshadow = \"new\"\n");
    let gateway = scene.gateway(&upstream, &["--config", "gateway.toml"]);
    assert!(allows(&gateway, &bearer, "pay", r#"{"amount":4711}"#));
    assert!(allows(&gateway, &bearer, "search", "{}"));
    assert!(gateway.ends());
    let records = scene.records();
    assert!(!records.contains("4711"), "{records}");
    // The second was seen by the candidate, too.
    let told: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told[1]["candidate"]["cause"], "policy_denied");
    assert!(told[0].get("candidate").is_none() && told[2].get("candidate").is_none());
    let listed = scene.ok(&["audit", "--store", "hardtack.store"], "");
    assert!(listed.contains("the candidate: deny policy_denied"), "{listed}");

    let (code, shown, _) = scene.replay("new", &records, &[]);
    assert_eq!(code, Some(1));
    assert!(shown.contains("1 of 3 decisions by policies flip, 1 stay"), "{shown}");
    scene.write(
        "new/p.datalog",
        "allow if granted($op);\ndeny if tool(\"pay\"), arg(\"amount\", $a), $a > 9;\n",
    );
    let (code, shown, note) = scene.replay("new", &records, &[]);
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("1 rest on arguments") && shown.contains("1 cannot be decided again"),
        "{shown}"
    );
    assert!(note.contains("--keep-requests"), "{note}");
    for (policies, records) in [("nowhere", ""), ("new", "{}\n"), ("new", "no record")] {
        let (code, shown, problem) = scene.replay(policies, records, &[]);
        assert_eq!((code, shown.as_str()), (Some(2), ""), "{problem}");
    }
    let missing = scene.run(&["policy", "replay", "--policies", "new", "--records", "none"], "");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn new_policies_are_taken_and_broken_ones_are_not() {
    let (scene, upstream) = (Scene::set(), upstream());
    let bearer = scene.bearer();
    let gateway = scene.gateway(&upstream, &["--shadow", "new"]);
    let (pays, searches) =
        (|| allows(&gateway, &bearer, "pay", "{}"), || allows(&gateway, &bearer, "search", "{}"));
    assert!(pays());
    let metrics = figures(&gateway);
    for line in [
        r#"hardtack_shadow_differences_total{live="allow",candidate="deny"} 1"#,
        "hardtack_shadow_decisions_total 1",
        r#"hardtack_policy_info{set="live",digest=""#,
        r#"hardtack_policy_info{set="candidate",digest=""#,
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1);

    // Half of a statement, then nothing that allows: the old ones go on, and it is said once for each.
    for (broken, why) in
        [("allow if gran", "p.datalog:1"), ("deny if depth(9);\n", "no `allow if`")]
    {
        scene.write("live/p.datalog", broken);
        until("it is refused", || gateway.log().contains(why));
        assert!(pays());
    }
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(gateway.log().matches("policies are not taken").count(), 2, "{}", gateway.log());

    // Written in two halves, each whole for a moment that is too short: never seen.
    let mut file = fs::File::create(scene.path().join("live/q.datalog")).unwrap();
    scene.write("live/p.datalog", NO_PAYMENTS);
    file.write_all(b"deny if to").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    file.write_all(b"ol(\"nothing\");").unwrap();
    drop(file);
    until("new policies decide", || !pays());
    assert!(searches());
    assert_eq!(gateway.log().matches("policies are not taken").count(), 2, "{}", gateway.log());
    assert!(gateway.log().contains("policies are exchanged"), "{}", gateway.log());

    // The candidate's, too; and back again by a hangup, which waits for nobody.
    scene.write("new/p.datalog", ALLOW);
    fs::remove_file(scene.path().join("live/q.datalog")).unwrap();
    scene.write("live/p.datalog", ALLOW);
    gateway.signal("-HUP");
    until("the old ones decide again", pays);
    until("both are exchanged", || gateway.log().matches("policies are exchanged").count() == 3);
    let metrics = figures(&gateway);
    assert!(metrics.contains(r#"hardtack_policy_reloads_total{result="loaded"} 3"#), "{metrics}");
    assert!(metrics.contains(r#"hardtack_policy_reloads_total{result="refused"} 2"#), "{metrics}");
    gateway.signal("-HUP");
    until("a hangup is answered", || {
        figures(&gateway).contains(r#"hardtack_policy_reloads_total{result="unchanged"} 2"#)
    });
    assert!(gateway.ends());

    // At the start there are no old ones.
    scene.write("new/p.datalog", "allow if gran");
    let started = scene.run(
        &[
            "gateway",
            "--upstream",
            &upstream,
            "--audience",
            "notion.mcp",
            "--root",
            &scene.read("root.pub"),
            "--store",
            "hardtack.store",
            "--shadow",
            "new",
        ],
        "",
    );
    assert_eq!(started.status.code(), Some(2));
    assert!(text(&started.stderr).contains("shadow: p.datalog:1"), "{}", text(&started.stderr));
}

#[test]
fn roots_in_files_are_taken_anew_and_broken_ones_are_not() {
    let (scene, upstream) = (Scene::set(), upstream());
    let [first, second, third] =
        ["first", "second", "third"].map(|name| scene.bearer_of_new_root(name, "notion.mcp"));
    let stops = scene.bearer_of_new_root("fourth", "notion.mcp/hardtack");
    fs::create_dir(scene.path().join("roots")).unwrap();
    scene.write("roots/a.pub", &scene.read("first.pub"));
    scene.write("roots/b.pub", &scene.read("fourth.pub"));
    let inline = scene.read("third.pub");
    // Files and keys side by side; no folder of policies, and a hangup ends nothing all the same.
    let asked = ["@roots/a.pub", inline.trim(), "@roots/b.pub"];
    let gateway = scene.gateway_trusting(&upstream, &asked, &[]);
    let trusts = |bearer: &str| allows(&gateway, bearer, "search", "{}");
    let may_stop = || {
        let url = gateway.url.replace("/mcp", "/hardtack/revocations");
        let told = fetch(&url, Some(&stops), None);
        assert!(told.contains("insufficient_scope") || told.contains("invalid_token"), "{told}");
        told.contains("insufficient_scope")
    };
    assert!(trusts(&first) && !trusts(&second) && trusts(&third) && may_stop());

    // Empty, half a key, another kind of key, a private one, gone, a pipe: the old ones go on, and it is said once for each.
    let secret = scene.read("second.root.key");
    let path = scene.path().join("roots/a.pub");
    let count = |what: &str| gateway.log().matches(what).count();
    let mut refused = 0;
    for broken in [Some(""), Some("ed25519/12"), Some("secp256r1/12"), Some(&secret), None] {
        match broken {
            Some(text) => scene.write("roots/a.pub", text),
            None => fs::remove_file(&path).unwrap(),
        }
        refused += 1;
        // What is wrong with the first two is the same.
        if broken == Some("ed25519/12") {
            refused -= 1;
            std::thread::sleep(Duration::from_millis(2500));
        }
        until("it is refused", || count("roots are not taken") == refused);
        assert!(trusts(&first) && !trusts(&second) && trusts(&third));
    }
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    until("a pipe is refused", || count("roots are not taken") == refused + 1);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(count("roots are not taken"), refused + 1, "{}", gateway.log());
    assert!(!gateway.log().contains(secret.trim()), "{}", gateway.log());
    fs::remove_file(&path).unwrap();

    // Written in two halves: never seen.
    let new = scene.read("second.pub");
    let (half, rest) = new.split_at(20);
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    until("the new root is trusted", || trusts(&second));
    assert!(!trusts(&first) && trusts(&third) && may_stop());
    let metrics = figures(&gateway);
    assert!(metrics.contains(r#"hardtack_root_reloads_total{result="loaded"} 1"#), "{metrics}");
    let told = format!(r#"hardtack_root_reloads_total{{result="refused"}} {}"#, refused + 1);
    assert!(metrics.contains(&told), "{told} in {metrics}");
    assert_eq!(metrics.matches("hardtack_root_info{").count(), 3, "{metrics}");
    assert!(gateway.log().contains("withdrawn=\"root-"), "{}", gateway.log());

    // Who may stop agents goes by the same roots; and back again, in PEM, by a hangup.
    let pem = scene.ok(&["pubkey", "--pem", "first.root.key"], "");
    scene.write("roots/a.pub", &pem);
    scene.write("roots/b.pub", &inline);
    gateway.signal("-HUP");
    until("the old one is trusted again", || trusts(&first));
    assert!(!trusts(&second) && trusts(&third) && !may_stop());
    gateway.signal("-HUP");
    until("a hangup is answered", || {
        figures(&gateway).contains(r#"hardtack_root_reloads_total{result="unchanged"} 1"#)
    });
    assert!(gateway.ends());

    // At the start there are no old ones.
    scene.write("roots/a.pub", "");
    let start = ["gateway", "--upstream", &upstream, "--audience", "notion.mcp", "--root"];
    let start = [start.as_slice(), &["@roots/a.pub", "--store", "hardtack.store"]].concat();
    let started = scene.run(&start, "");
    assert_eq!(started.status.code(), Some(2));
    assert!(text(&started.stderr).contains("roots/a.pub"), "{}", text(&started.stderr));
}
