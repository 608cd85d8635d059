//! `hardtack tree`, of a store and of a running gateway, and the pictures that it and `inspect` write.

use std::io::Write;
use std::process::Output;

use hardtack_testkit::command::{Serving, Shell, text, tool_call, upstream};
use hardtack_testkit::upstream::{answer, answering};
use serde_json::{Value, json};

/// What a holder may write for a reason, and what is markup or an end of a text elsewhere.
const HOSTILE: &str = r##""]; click <script>alert(1)</script> & 'x' `y` #quot; --> {"##;

/// A gateway that has seen one chain, and an operator who may look.
struct Scene {
    shell: Shell,
    gateway: Serving,
}

impl Scene {
    fn set(reason: &str) -> Scene {
        let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
        let root = shell.ok("keygen --out root.key", "");
        let other_root = shell.ok("keygen --out other-root.key", "");
        let mint_by = |key: &str, who: &str, scopes: &str| {
            let line = format!(
                "mint --key {key} --subject user:{who} --scope {scopes} --new-holder {who}.key"
            );
            shell.write(&format!("{who}.token"), &shell.ok(&line, ""));
        };
        let mint = |who: &str, scopes: &str| mint_by("root.key", who, scopes);
        mint("alice", "tools:call:*");
        mint("operator", "hardtack:chains");
        mint("reader", "hardtack:read");
        mint_by("other-root.key", "stranger", "hardtack:chains");
        mint("revoker", "hardtack:revoke");
        mint("all", "*");
        mint("elsewhere", "hardtack:chains --audience other.mcp");
        let hop = [
            &["delegate", "--key", "alice.key", "--to", "agent.researcher"],
            &["--scope", "tools:call:search", "--reason", reason][..],
            &["--new-holder", "researcher.key"],
        ];
        shell.write("researcher.token", &shell.ok(&hop.concat(), &shell.read("alice.token")));
        shell.ok("store create hardtack.store", "");
        let line = format!(
            "gateway --listen 127.0.0.1:0 --upstream {} --audience notion.mcp --root {} --root {} --store hardtack.store",
            upstream(),
            root.trim(),
            other_root.trim()
        );
        let gateway = Serving::start(shell.command(&line));
        let scene = Scene { shell, gateway };
        assert_eq!(scene.call(), 200);
        scene
    }

    /// The researcher calls a tool; returns the status.
    fn call(&self) -> u16 {
        let token = self.shell.read("researcher.token");
        let present = "present --key researcher.key --audience notion.mcp";
        tool_call(self.gateway.base(), &self.shell.ok(present, &token)).0
    }

    /// Asks the gateway as this one.
    fn looks(&self, who: &str, more: &str) -> Output {
        looks(&self.shell, self.gateway.base(), who, more)
    }

    fn sees(&self, more: &str) -> String {
        let output = self.looks("operator", more);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }
}

fn looks(shell: &Shell, at: &str, who: &str, more: &str) -> Output {
    let line = format!(
        "tree --at {at} --audience notion.mcp/hardtack --key {who}.key --capability {who}.token {more}"
    );
    shell.run(&line, "")
}

/// A drawing without how long it still is until something expires.
fn timeless(drawing: &str) -> Vec<&str> {
    drawing.lines().map(|line| line.split("live ").next().unwrap()).collect()
}

#[test]
fn what_a_gateway_has_seen_is_drawn_from_afar_as_on_its_machine() {
    let scene = Scene::set("find the roadmap page");
    scene.sees("");
    let afar = scene.sees("");
    for said in ["user:alice", "└─ agent.researcher “find the roadmap page”", "user:operator"]
    {
        assert!(afar.contains(said), "{said}: {afar}");
    }
    let here = scene.shell.ok("tree --store hardtack.store", "");
    assert_eq!(timeless(&afar), timeless(&here));
    let listed = scene.shell.ok("revocations --store hardtack.store --tree", "");
    assert_eq!(timeless(&afar), timeless(&listed));

    let blocks: Vec<Value> = serde_json::from_str(&scene.sees("--format json")).unwrap();
    let hop = blocks.iter().find(|block| block["name"] == "agent.researcher").unwrap();
    assert_eq!(hop["standing"], "live");
    let revoke = format!(
        "revoke --at {} --audience notion.mcp/hardtack --key revoker.key --capability revoker.token --subject user:alice --reason left",
        scene.gateway.base()
    );
    scene.shell.ok(&revoke, "");
    assert_eq!(scene.call(), 401);
    let afar = scene.sees("");
    assert!(afar.contains("revoked by user:revoker: left (record "), "{afar}");
    assert!(afar.contains("stopped with record "), "{afar}");
    assert_eq!(timeless(&afar), timeless(&scene.shell.ok("tree --store hardtack.store", "")));
    let blocks: Vec<Value> = serde_json::from_str(&scene.sees("--json")).unwrap();
    let hop = blocks.iter().find(|block| block["name"] == "agent.researcher").unwrap();
    assert_eq!(hop["standing"], "fallen");
}

#[test]
fn only_whoever_has_the_scope_for_this_audience_and_is_not_revoked_sees_chains() {
    let scene = Scene::set("find");
    let refused = |who: &str, status: &str, why: &str| {
        let output = scene.looks(who, "");
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{said}");
        assert!(said.contains(status) && said.contains(why), "{who}: {said}");
    };
    for who in ["alice", "all", "revoker", "reader"] {
        refused(who, "(403)", "hardtack:chains");
    }
    let said = text(&scene.looks("elsewhere", "").stderr);
    assert!(said.contains("other.mcp"), "it is not even sent: {said}");
    // A bearer for the tools' side does not do.
    let bearer = scene.shell.ok(
        "present --key operator.key --audience notion.mcp",
        &scene.shell.read("operator.token"),
    );
    let base = scene.gateway.base();
    assert_eq!(get_as(base, "/hardtack/chains", &bearer).0, 401);
    assert_eq!(hardtack_testkit::command::get(base, "/hardtack/chains").0, 401);
    assert!(scene.looks("operator", "").status.success());
    let revoke = format!(
        "revoke --at {base} --audience notion.mcp/hardtack --key revoker.key --capability revoker.token --subject user:operator --reason left"
    );
    scene.shell.ok(&revoke, "");
    refused("operator", "(401)", "revoked");
}

#[test]
fn a_reader_sees_the_chains_of_its_own_root_key_and_is_told_of_the_others() {
    let scene = Scene::set("find the roadmap page");
    scene.looks("stranger", "");
    let output = scene.looks("stranger", "");
    let (drawn, note) = (text(&output.stdout), text(&output.stderr));
    assert!(drawn.contains("user:stranger") && drawn.lines().count() == 1, "{drawn}");
    assert!(note.contains("2 grants and hops under other root keys are not shown"), "{note}");
    let own = scene.looks("operator", "--format json");
    let drawn = text(&own.stdout);
    assert!(drawn.contains("user:alice") && !drawn.contains("user:stranger"), "{drawn}");
    assert!(text(&own.stderr).contains("1 grants and hops under other"), "{own:?}");
}

#[test]
fn pages_are_bounded_and_each_says_where_the_next_begins() {
    let scene = Scene::set("find");
    scene.sees("");
    let token = scene.shell.read("operator.token");
    let present = "present --key operator.key --audience notion.mcp/hardtack";
    let bearer = scene.shell.ok(present, &token);
    let page =
        |query: &str| get_as(scene.gateway.base(), &format!("/hardtack/chains{query}"), &bearer);
    let (mut names, mut after) = (Vec::new(), String::new());
    for number in 0.. {
        assert!(number < 10, "it ends");
        let (status, answer) = page(&format!("?at_most=1{after}"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, 200, "{answer}");
        let Some(next) = answer["next"].as_str() else { break };
        assert_eq!(answer["blocks"][0]["revoked"], Value::Null);
        names.push(answer["blocks"][0]["name"].as_str().unwrap().to_owned());
        after = format!("&after={next}");
    }
    names.sort();
    assert_eq!(names, ["agent.researcher", "user:alice", "user:operator"]);
    for wrong in ["?at_most=0", "?at_most=501", "?after=7", "?after=%00"] {
        assert_eq!(page(wrong).0, 400, "{wrong}");
    }
}

#[test]
fn who_shows_no_chains_or_forged_ones_is_told_apart() {
    let scene = Scene::set("find");
    let fails = |at: &str| {
        let output = looks(&scene.shell, at, "operator", "");
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let serving = |status: &'static str, body: String| {
        answering(move |mut stream, _| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
            let length = body.len();
            stream
                .write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
                .ok()
        })
    };
    let older = fails(&serving("404 Not Found", "{}".to_owned()));
    assert!(
        older.contains("too old to show its chains") && older.contains("--store FILE"),
        "{older}"
    );
    assert!(
        fails(&answering(|stream, _| answer(stream, "", "found"))).contains("no Hardtack gateway")
    );
    assert!(fails("http://127.0.0.1:9").contains("does not answer"));
    assert!(fails("http://gateway.example").contains("plain HTTP"));
    assert!(fails("gateway.example").contains("is no http:// or https:// URL"));

    // One that was taken over.
    let id = |digit: &str| digit.repeat(128);
    let block = json!({
        "id": id("1"), "parent": null, "name": "user:\u{1b}[2Jalice\nuser:bob  live", "reason": null,
        "holder": null, "root": scene.shell.ok("pubkey root.key", "").trim(),
        "issued": "2020-01-01T00:00:00Z", "expires": "2120-01-01T00:00:00Z", "seen": 0, "revoked": {
            "sequence": 1, "kind": "id", "id": id("1"), "by": "\u{202e}who", "reason": "a\r\n\u{9b}b",
            "revoked": "2020-01-01T00:00:00Z", "expires": null,
        },
    });
    let page = |next: Value, blocks: Value| {
        json!({"as_of": "2020-01-01T00:00:00Z", "blocks": blocks, "lost": 0, "next": next})
            .to_string()
    };
    // It never ends.
    let endless = fails(&serving("200 OK", page(json!(id("1")), json!([block]))));
    assert!(endless.contains("no Hardtack gateway"), "{endless}");
    let mut other = block.clone();
    other["id"] = json!(id("2"));
    // What is told twice, out of order, or beyond where it ends.
    for (next, blocks) in
        [("2", [&block, &block]), ("2", [&other, &block]), ("1", [&block, &other])]
    {
        let wrong = fails(&serving("200 OK", page(json!(id(next)), json!(blocks))));
        assert!(wrong.contains("no Hardtack gateway"), "{wrong}");
    }
    other["name"] = json!("a".repeat(2000));
    let (first, last) = (page(json!(id("2")), json!([block, other])), page(Value::Null, json!([])));
    let forging = answering(move |mut stream, head| {
        let body = if head.contains("after=") { &last } else { &first };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let length = body.len();
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).ok()
    });
    let drawn = text(&looks(&scene.shell, &forging, "operator", "").stdout);
    assert!(drawn.contains("1 more blocks") && !drawn.contains("aaaa"), "{drawn}");
    for format in ["text", "json", "svg", "mermaid"] {
        let output = looks(&scene.shell, &forging, "operator", &format!("--format {format}"));
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains("alice"), "{}", text(&output.stderr));
        assert!(!said.contains(['\u{1b}', '\r', '\u{202e}', '\u{9b}']), "{format}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with("user:bob")), "{format}: {said}");
    }
}

#[test]
fn no_reason_that_a_holder_writes_is_markup_in_a_picture() {
    let scene = Scene::set(HOSTILE);
    let token = scene.shell.read("researcher.token");
    for svg in [
        scene.shell.ok("tree --store hardtack.store --format svg", ""),
        scene.sees("--format svg"),
        scene.shell.ok("inspect --format svg", &token),
    ] {
        assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;x&#39;"), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("<desc id=\"desc\">"));
        for word in ["<script", "href", "url(", "@import", "<image", "foreignObject"] {
            assert!(!svg.contains(word), "{word}: {svg}");
        }
    }
    for chart in [
        scene.shell.ok("tree --store hardtack.store --format mermaid", ""),
        scene.shell.ok("inspect --format mermaid", &token),
    ] {
        assert!(chart.starts_with("flowchart TD\n"), "{chart}");
        assert!(chart.contains("#34;#93;#59; click #60;script#62;alert#40;1#41;"), "{chart}");
        assert!(chart.contains("n0 --> n1"), "{chart}");
    }
    let inspected: Value =
        serde_json::from_str(&scene.shell.ok("inspect --format json", &token)).unwrap();
    assert_eq!(inspected["hops"][0]["reason"], HOSTILE);
    let alias: Value = serde_json::from_str(&scene.shell.ok("inspect --json", &token)).unwrap();
    assert_eq!(inspected, alias);
}

/// Asks for a path with a bearer; returns the status and the body.
fn get_as(base: &str, path: &str, bearer: &str) -> (u16, String) {
    let header = format!("{path} HTTP/1.1\r\nAuthorization: Bearer {}\r\nX:", bearer.trim());
    let (status, answer) = hardtack_testkit::command::get(base, &header);
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}
