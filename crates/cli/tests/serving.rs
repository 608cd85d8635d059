//! The verbs that stay up, driven as processes: configuration, errors, revocation, the end.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hardtack_testkit::command::{PATIENCE, Serving, Shell, text, upstream};

/// A scratch folder with the seed chain in it.
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
        fs::write(scene.path().join("root.pub"), root.trim()).unwrap();
        let grant = scene.ok(
            &[
                "mint",
                "--key",
                "root.key",
                "--subject",
                "user:alice",
                "--scope",
                "tools:call:*",
                "hardtack:*",
                "--new-holder",
                "alice.key",
            ],
            "",
        );
        scene.write("grant.token", &grant);
        let researcher = scene.ok(
            &[
                "delegate",
                "--key",
                "alice.key",
                "--to",
                "agent.researcher",
                "--scope",
                "tools:call:search",
                "--reason",
                "find the roadmap page",
                "--new-holder",
                "researcher.key",
            ],
            &grant,
        );
        scene.write("researcher.token", &researcher);
        scene.ok(&["store", "create", "hardtack.store"], "");
        scene
    }

    /// What it says when it fails at once, with code 2.
    fn fails(&self, arguments: &[&str]) -> String {
        self.0.fails(arguments, "")
    }

    fn bearer(&self) -> String {
        let token = self.read("researcher.token");
        self.ok(&["present", "--key", "researcher.key", "--audience", "notion.mcp"], &token)
    }

    fn gateway<'a>(&self, more: &[&'a str], root: &'a str, upstream: &'a str) -> Serving {
        let all = [
            &[
                "gateway",
                "--listen",
                "127.0.0.1:0",
                "--upstream",
                upstream,
                "--audience",
                "notion.mcp",
                "--root",
                root,
                "--store",
                "hardtack.store",
            ],
            more,
        ];
        Serving::start(self.command(&all.concat()))
    }
}

/// Status and body of a tool call.
fn call(url: &str, bearer: Option<&str>, tool: &str) -> (u16, String) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let request = client.post(url).header("content-type", "application/json").body(body);
        let request =
            bearer.into_iter().fold(request, |request, bearer| request.bearer_auth(bearer.trim()));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    })
}

#[test]
fn a_gateway_runs_by_flags_by_environment_and_by_file() {
    let (scene, upstream) = (Scene::set(), upstream());
    let (root, bearer) = (scene.read("root.pub"), scene.bearer());
    let flags = scene.gateway(&[], &root, &upstream);
    assert_eq!(call(&flags.url, Some(&bearer), "search").0, 200);
    assert!(call(&flags.url, Some(&bearer), "delete_page").1.contains("tools:call:delete_page"));
    assert_eq!(call(&flags.url, None, "search").0, 401);
    assert!(flags.ends());

    let mut environment = scene.command(&["gateway"]);
    environment.envs([
        ("HARDTACK_LISTEN", "127.0.0.1:0"),
        ("HARDTACK_UPSTREAM", &upstream),
        ("HARDTACK_AUDIENCE", "notion.mcp"),
        ("HARDTACK_ROOT", &root),
        ("HARDTACK_STORE", "hardtack.store"),
    ]);
    let environment = Serving::start(environment);
    assert_eq!(call(&environment.url, Some(&bearer), "search").0, 200);
    assert!(environment.ends());

    // What is typed comes before what the file says.
    scene.write(
        "gateway.toml",
        &format!("listen = \"127.0.0.1:1\"\nupstream = {upstream:?}\naudience = \"notion.mcp\"\nroot = [{root:?}]\nstore = \"hardtack.store\"\nrefusals = \"challenge\"\n"),
    );
    let file = scene.command(&["gateway", "--config", "gateway.toml", "--listen", "127.0.0.1:0"]);
    let file = Serving::start(file);
    assert_eq!(call(&file.url, Some(&bearer), "search").0, 200);
    assert_eq!(call(&file.url, Some(&bearer), "delete_page").0, 403);
    assert!(file.ends());
}

#[test]
fn what_is_wrong_in_a_configuration_is_said_with_its_key() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    let with = |more: &[&'static str]| {
        let all = [
            "gateway",
            "--upstream",
            "http://127.0.0.1:9",
            "--audience",
            "a",
            "--root",
            &root,
            "--store",
            "s",
        ];
        scene.fails(&[all.as_slice(), more].concat())
    };
    scene.ok(&["store", "create", "s"], "");
    let missing = scene.fails(&["gateway"]);
    assert!(
        missing.contains("upstream, audience, root, store are missing")
            && missing.contains("HARDTACK_UPSTREAM"),
        "{missing}"
    );
    let good = format!(
        "audience = \"a\"
store = \"s\"
root = {root:?}
"
    );
    let at = "upstream = \"http://127.0.0.1:9\"
";
    for (toml, key) in [
        ("upstraem = \"http://127.0.0.1:9\"".to_owned(), "upstraem"),
        ("upstream = 3".to_owned(), "upstream"),
        ("upstream = ".to_owned(), "line 1"),
        ("refusals = \"loud\"".to_owned(), "refusals"),
        (format!("{good}upstream = \"ftp://x\""), "upstream"),
        (format!("{good}upstream = \"http://user:pw@127.0.0.1:9\""), "upstream"),
        (format!("{good}{at}listen = \"8080\""), "listen"),
        (format!("{good}{at}drain = \"soon\""), "drain"),
        (format!("{good}{at}upstream-timeout = \"0s\""), "upstream-timeout"),
        (format!("{good}{at}longest-answer = \"0s\""), "longest-answer"),
        (format!("{good}{at}revocation-audience = \"a\""), "revocation-audience"),
        (format!("{good}{at}resource-scheme = \"memo://\""), "resource-scheme"),
        (format!("{good}{at}allow-origin = \"app.example\""), "allow-origin"),
        (format!("{good}{at}allow-host = [\"https://app.example\"]"), "allow-host"),
        (
            format!(
                "audience = \"a b\"
store = \"s\"
root = {root:?}
{at}"
            ),
            "audience",
        ),
        (
            format!(
                "audience = \"a\"
store = \"s\"
root = \"x\"
{at}"
            ),
            "root",
        ),
    ] {
        scene.write("gateway.toml", &toml);
        let error = scene.fails(&["gateway", "--config", "gateway.toml"]);
        assert!(error.contains(key), "{toml}: {error}");
    }
    for (more, key) in [
        (["--policies", "nowhere"], "policies"),
        (["--upstream-authorization-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
        (["--authorization-server", "https://login.example"], "resource"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ] {
        let error = with(&more);
        assert!(error.contains(key), "{more:?}: {error}");
    }
    std::fs::create_dir_all(scene.path().join("set/cases")).unwrap();
    scene.write("set/p.datalog", "allow if granted($op);");
    let case = "[[case]]\nname = \"one\"\nscopes = [\"x\"]\noperation = \"x\"\nexpect = \"nothing_allows\"";
    scene.write("set/cases/c.toml", case);
    let error = with(&["--policies", "set"]);
    assert!(error.contains("case \"one\": expected nothing_allows, found allow"), "{error}");
}

#[test]
fn while_a_gateway_has_the_store_it_is_asked_to_revoke() {
    let (scene, upstream) = (Scene::set(), upstream());
    let (root, bearer) = (scene.read("root.pub"), scene.bearer());
    let gateway = scene.gateway(&[], &root, &upstream);
    assert_eq!(call(&gateway.url, Some(&bearer), "search").0, 200);
    let own =
        ["revoke", "--store", "hardtack.store", "--agent", "agent.researcher", "--reason", "lost"];
    let in_use = scene.fails(&own);
    assert!(in_use.contains("in use") && in_use.contains("--at URL"), "{in_use}");
    let second = scene.fails(&[
        "gateway",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--audience",
        "a",
        "--root",
        &root,
        "--store",
        "hardtack.store",
    ]);
    assert!(second.contains("in use"), "{second}");

    let inspected = scene.ok(&["inspect", "--json"], &scene.read("researcher.token"));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let id = inspected["hops"][0]["revocation_id"].as_str().unwrap();
    let at = |audience, capability, key, proof: &'static [&str]| {
        let base = gateway.base();
        let asked = [
            "revoke",
            "--at",
            base,
            "--audience",
            audience,
            "--key",
            key,
            "--capability",
            capability,
            "--id",
            id,
            "--reason",
            "laptop stolen",
        ];
        scene.run(&[asked.as_slice(), proof].concat(), "")
    };
    // The agent itself cannot, and neither can anybody in another audience.
    let refused = at(
        "notion.mcp/hardtack",
        "researcher.token",
        "researcher.key",
        &["--proof", "researcher.token"],
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("403"), "{}", text(&refused.stderr));
    let refused = at("notion.mcp", "grant.token", "alice.key", &[]);
    assert!(text(&refused.stderr).contains("401"), "{}", text(&refused.stderr));
    assert_eq!(call(&gateway.url, Some(&bearer), "search").0, 200);
    let done =
        at("notion.mcp/hardtack", "grant.token", "alice.key", &["--proof", "researcher.token"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(call(&gateway.url, Some(&bearer), "search").0, 401);
    assert!(gateway.ends());
    let listed = scene.ok(&["revocations", "--store", "hardtack.store"], "");
    assert!(listed.contains("laptop stolen"), "{listed}");
    scene.ok(&["audit", "verify", "--store", "hardtack.store"], "");
}

#[test]
fn an_agents_end_signs_for_a_runtime_and_stays_on_loopback() {
    let (scene, upstream) = (Scene::set(), upstream());
    let root = scene.read("root.pub");
    let gateway = scene.gateway(&[], &root, &upstream);
    let arguments = [
        "agent",
        "--key",
        "researcher.key",
        "--capability",
        "researcher.token",
        "--audience",
        "notion.mcp",
        "--to",
        &gateway.url,
        "--listen",
    ];
    let beyond = scene.fails(&[arguments.as_slice(), &["0.0.0.0:0"]].concat());
    assert!(beyond.contains("--listen-beyond-loopback"), "{beyond}");
    for more in [&["127.0.0.1:0"][..], &["127.0.0.1:0", "--call-bound"]] {
        let agent = Serving::start(scene.command(&[arguments.as_slice(), more].concat()));
        assert_eq!(call(&agent.url, None, "search").0, 200);
        assert!(call(&agent.url, None, "delete_page").1.contains("tools:call:delete_page"));
        assert!(agent.ends());
    }
    let wrong_key = [
        "agent",
        "--key",
        "alice.key",
        "--capability",
        "researcher.token",
        "--audience",
        "notion.mcp",
        "--to",
        &gateway.url,
    ];
    assert!(scene.fails(&wrong_key).contains("holder"));
}

#[test]
fn the_demo_over_mcp_ends_well() {
    let scene = Scene(Shell::new(env!("CARGO_BIN_EXE_hardtack")));
    let shown = scene.ok(&["demo", "--mcp"], "");
    for expected in ["listed", "denied", "to delete 0 times", "revoked"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
}

/// How long what is urgent may take while strangers have all connections: some hundred times what it does.
const BOUND: Duration = Duration::from_secs(5);

/// How many connections it leaves with 168 files: 128 are for others, a third of the rest for processes of servers, a quarter of what
/// is left then is the reserve, and each of the usual ones may need a second file.
const USUAL: usize = 10;

fn with_few_files(scene: &Scene, upstream: &str) -> Serving {
    let root = scene.read("root.pub");
    let script = format!(
        "ulimit -n 168; exec {:?} gateway --listen 127.0.0.1:0 --upstream {upstream} --audience notion.mcp --root {} --store hardtack.store",
        env!("CARGO_BIN_EXE_hardtack"),
        root.trim()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(scene.path()).stdin(Stdio::piped());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    Serving::start(shell)
}

/// A connection that has asked for something, and the status of its answer.
fn asked(serving: &Serving, path: &str) -> (TcpStream, u16) {
    let address = serving.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let status = ask(&mut stream, path).unwrap();
    (stream, status)
}

/// The status; the rest of the answer is left.
fn ask(stream: &mut TcpStream, path: &str) -> std::io::Result<u16> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(text(&head[9..]).parse().unwrap())
}

#[cfg(unix)]
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn with_every_usual_connection_taken_what_is_urgent_is_answered_and_nothing_else() {
    let (scene, upstream) = (Scene::set(), upstream());
    let serving = with_few_files(&scene, &upstream);
    let bearer = scene.bearer();
    let mut held: Vec<_> = (0..USUAL).map(|_| asked(&serving, "/healthz")).collect();
    assert!(held.iter().all(|(_, status)| *status == 200));

    let began = Instant::now();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(asked(&serving, path).1, 200, "{path}");
    }
    // It has no bearer; but it is looked at.
    assert_eq!(asked(&serving, "/hardtack/revocations").1, 401);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    let (status, said) = call(&serving.url, Some(&bearer), "search");
    assert_eq!(status, 503);
    assert!(said.contains("no free connection"), "{said}");
    let (mut other, status) = asked(&serving, "/mcp");
    assert_eq!(status, 503);
    let mut rest = String::new();
    // It comes to an end: the connection is closed.
    other.read_to_string(&mut rest).unwrap();
    assert!(rest.to_lowercase().contains("connection: close"), "{rest}");
    // Who is idle in the reserve is closed long before who is idle elsewhere.
    let (mut idle, _) = asked(&serving, "/healthz");
    let began = Instant::now();
    idle.read_to_end(&mut Vec::new()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    held.pop();
    let began = Instant::now();
    while call(&serving.url, Some(&bearer), "search").0 != 200 {
        assert!(began.elapsed() < PATIENCE, "its place is never free");
    }
    assert!(serving.ends());
}

/// Opens connections from another address and leaves them idle, as fast as it can until it is told to stop; returns how many.
#[cfg(target_os = "linux")]
fn floods(address: std::net::SocketAddr, stop: &std::sync::atomic::AtomicBool) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut open, mut count) = (std::collections::VecDeque::new(), 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let Ok(stream) = socket.connect(address).await else { continue };
            count += 1;
            open.push_back(stream);
            if open.len() > 200 {
                open.pop_front();
            }
        }
        count
    })
}

#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn a_flood_of_idle_connections_keeps_no_revocation_out() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (scene, upstream) = (Scene::set(), upstream());
    let serving = with_few_files(&scene, &upstream);
    let held: Vec<_> = (0..USUAL).map(|_| asked(&serving, "/healthz")).collect();
    let inspected = scene.ok(&["inspect", "--json"], &scene.read("researcher.token"));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let id = inspected["hops"][0]["revocation_id"].as_str().unwrap();
    let address = serving.base().trim_start_matches("http://").parse().unwrap();
    let stop = AtomicBool::new(false);
    let (done, took, flood) = std::thread::scope(|threads| {
        let flood = threads.spawn(|| floods(address, &stop));
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let done = scene.run(
            &[
                "revoke",
                "--at",
                serving.base(),
                "--audience",
                "notion.mcp/hardtack",
                "--key",
                "alice.key",
                "--capability",
                "grant.token",
                "--id",
                id,
                "--reason",
                "lost",
                "--proof",
                "researcher.token",
            ],
            "",
        );
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        (done, took, flood.join().unwrap())
    });
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(took < BOUND, "{took:?}");
    assert!(flood > 100, "there was no flood: {flood}");
    drop(held);
    assert!(serving.ends());
}
