//! Gateways that share a PostgreSQL database, each a process, and the verbs that look after it. Ignored unless asked for: `ci/postgres`
//! installs PostgreSQL and runs them.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

#[path = "../../postgres/tests/postgres/server.rs"]
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use hardtack_testkit::command::{Serving, Shell, get, text, tool_call, until};
use server::Server;

/// What is waited for comes within this, or never. What was known is believed for half of it.
const LONG: Duration = Duration::from_secs(60);

/// What a call comes to that is allowed: nobody is behind these gateways.
const ALLOWED: u16 = 502;
const REFUSED: u16 = 401;
const UNDECIDED: u16 = 503;

const AUDIENCE: &str = "notion.mcp";

/// A migrated database, and alice and bob who have grants.
struct Scene {
    server: Server,
    shell: Shell,
    database: String,
}

fn scene() -> Scene {
    let server = Server::start(&[]);
    let shell = Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), "tools:call:* hardtack:*");
    for store in ["plane", "gateway"] {
        shell.ok(&format!("store create {store}.store"), "");
    }
    let database = server.database();
    let scene = Scene { server, shell, database };
    scene.grant("bob");
    let said = scene.shell.ok(&["database", "migrate", "--database", &scene.address("plane")], "");
    assert!(said.contains("made"), "{said}");
    scene
}

impl Scene {
    fn address(&self, user: &str) -> String {
        self.server.address(user, &self.database)
    }

    fn grant(&self, name: &str) {
        let mint = format!(
            "mint --key root.key --subject user:{name} --scope tools:call:* --new-holder {name}.key"
        );
        self.shell.write(&format!("{name}.token"), &self.shell.ok(&mint, ""));
    }

    /// A gateway that asks the database as this user, and has a store that is called so.
    fn line<'a>(&self, user: &'a str, address: &'a str, more: &[&'a str]) -> Vec<String> {
        let line = format!(
            "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience {AUDIENCE} --root @root.pub --store {user}.store"
        );
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words.extend(["--database", address].map(str::to_owned));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    fn gateway(&self, user: &str) -> Serving {
        Serving::start(self.shell.command(self.line(user, &self.address(user), &[])))
    }

    fn revoke_line(gateway: &Serving, subject: &str) -> String {
        let at = gateway.base();
        format!(
            "revoke --at {at} --audience {AUDIENCE}/hardtack --key alice.key --capability alice.token --subject user:{subject} --reason left"
        )
    }

    /// A presentation of this person's, good for one call if it is bound to it.
    fn bearer(&self, name: &str, is_call_bound: bool) -> String {
        let call = r#"{"operation": "tools:call:search", "arguments": {}}"#;
        let bound = if is_call_bound { format!("--call '{call}'") } else { String::new() };
        let present = format!("present --key {name}.key --audience {AUDIENCE} {bound}");
        self.shell.ok(&present, &self.shell.read(&format!("{name}.token")))
    }

    fn call(&self, gateway: &Serving, name: &str) -> u16 {
        tool_call(gateway.base(), &self.bearer(name, false)).0
    }

    fn calls_until(&self, gateway: &Serving, name: &str, status: u16) -> Duration {
        let began = Instant::now();
        loop {
            let answer = self.call(gateway, name);
            if answer == status {
                return began.elapsed();
            }
            assert!(began.elapsed() < LONG, "{name}: {answer}, not {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn what_is_revoked_at_one_gateway_is_refused_at_the_other_and_a_presentation_passes_once() {
    let scene = scene();
    let (plane, gateway) = (scene.gateway("plane"), scene.gateway("gateway"));
    until("it says with which role", || {
        plane.said().contains("as hardtack_plane") && gateway.said().contains("as hardtack_gateway")
    });
    assert_eq!(scene.call(&gateway, "bob"), ALLOWED);
    scene.shell.ok(&Scene::revoke_line(&plane, "bob"), "");
    // At the gateway where it was revoked at once, and at the other before anybody looks.
    assert_eq!(scene.call(&plane, "bob"), REFUSED);
    assert!(scene.calls_until(&gateway, "bob", REFUSED) < Duration::from_secs(5));
    assert_eq!(scene.call(&gateway, "alice"), ALLOWED);
    // A call-bound presentation, at both, in either order.
    for (first, second) in [(&plane, &gateway), (&gateway, &plane)] {
        let bearer = scene.bearer("alice", true);
        assert_eq!(tool_call(first.base(), &bearer).0, ALLOWED);
        for gateway in [second, first] {
            let (status, answer) = tool_call(gateway.base(), &bearer);
            assert_eq!(status, REFUSED, "{answer}");
            assert!(answer.contains("\"cause\":\"replayed\""), "{answer}");
        }
    }
    // A gateway that may not revoke everywhere does not say that it did.
    let refused = scene.shell.run(&Scene::revoke_line(&gateway, "alice"), "");
    assert_eq!(refused.status.code(), Some(1));
    let problem = text(&refused.stderr);
    assert!(problem.contains("the gateway refused (403)"), "{problem}");
    assert!(problem.contains("this gateway makes no revocations"), "{problem}");
    until("its log says why", || gateway.log().contains("may not revoke"));
    assert_eq!(scene.call(&gateway, "alice"), ALLOWED);
    // Both saw one tree, and people revoke without a gateway.
    let address = scene.address("plane");
    for verb in [&["revocations", "--tree"][..], &["tree"], &["tree", "--format", "svg"]] {
        let tree = scene.shell.ok(&[verb, &["--database", &address]].concat(), "");
        assert!(tree.contains("user:alice") && tree.contains("user:bob"), "{verb:?}: {tree}");
    }
    let revoke = ["revoke", "--subject", "user:alice", "--reason", "left", "--database", &address];
    let dry = scene.shell.ok(&[&revoke[..], &["--dry-run"]].concat(), "");
    assert!(dry.contains("1 live") && dry.contains("nothing was revoked"), "{dry}");
    let said = scene.shell.ok(&revoke[..], "");
    assert!(said.contains("revoked: subject user:alice") && said.contains("1 live"), "{said}");
    for gateway in [&plane, &gateway] {
        scene.calls_until(gateway, "alice", REFUSED);
    }
    let list = scene.shell.ok(&["revocations", "--database", &scene.address("gateway")], "");
    assert!(list.contains("user:alice") && list.contains("user:bob"), "{list}");
    // What is in a gateway's own store counts there, too.
    assert!(gateway.ends());
    scene.grant("carol");
    scene.shell.ok("revoke --store gateway.store --subject user:carol --reason left", "");
    let gateway = scene.gateway("gateway");
    assert_eq!((scene.call(&gateway, "carol"), scene.call(&plane, "carol")), (REFUSED, ALLOWED));
    assert_eq!(scene.call(&gateway, "bob"), REFUSED);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_that_does_not_answer_decides_nothing_and_one_that_does_again_does() {
    let mut scene = scene();
    let gateway = scene.gateway("plane");
    let ready = || get(gateway.base(), "/readyz");
    let (status, answer) = ready();
    assert!(status == 200 && answer.contains("no synchronous standby"), "{answer}");
    let (_, counted) = get(gateway.base(), "/metrics");
    for line in [
        "hardtack_database_up 1",
        "hardtack_database_position 0",
        "hardtack_database_claims_failed_total 0",
        "hardtack_database_warning{warning=\"no_synchronous_standby\"} 1",
        "hardtack_database_warning{warning=\"not_collected\"} 0",
    ] {
        assert!(counted.lines().any(|counted| counted == line), "{line}: {counted}");
    }
    scene.server.stop();
    let bearer = scene.bearer("alice", true);
    // Not once at each: the client is to try again.
    let (_, answer) = tool_call(gateway.base(), &bearer);
    let cause = "\"cause\":\"ledger_unavailable\"";
    assert!(answer.contains(cause) && answer.contains("\"retry\":true"), "{answer}");
    until("it says that it is not ready", || ready().0 == 503);
    assert!(ready().1.contains("the database does not answer"), "{}", ready().1);
    let (_, counted) = get(gateway.base(), "/metrics");
    assert!(counted.contains("\nhardtack_database_up 0\n"), "{counted}");
    assert!(counted.contains("\nhardtack_database_claims_failed_total 1\n"), "{counted}");
    // What was known is believed for a while, and not for long.
    assert_eq!(scene.call(&gateway, "bob"), ALLOWED);
    assert!(scene.calls_until(&gateway, "bob", UNDECIDED) > Duration::from_secs(15));
    scene.server.run_again();
    scene.calls_until(&gateway, "bob", ALLOWED);
    until("it is ready again", || ready().0 == 200);
    // What was not claimed was not used up.
    assert_eq!(tool_call(gateway.base(), &bearer).0, ALLOWED);
    scene.shell.ok(&Scene::revoke_line(&gateway, "bob"), "");
    assert_eq!(scene.call(&gateway, "bob"), REFUSED);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_that_was_replaced_is_refused_until_a_person_begins_an_epoch() {
    let scene = scene();
    let gateway = scene.gateway("gateway");
    // As a restoration of a dump leaves it.
    scene.server.sql(&scene.database, "UPDATE hardtack.head SET relation = relation::bigint + 1");
    let begins =
        scene.shell.fails(&["database", "status", "--database", &scene.address("plane")], "");
    assert!(begins.replace('\n', " ").contains("hardtack database epoch"), "{begins}");
    let address = scene.address("plane");
    let epoch = ["database", "epoch", "--loss-possible", "--database", &address];
    let told = scene.shell.run(&epoch, "");
    assert_eq!(told.status.code(), Some(2));
    assert!(text(&told.stdout).contains("every grant") && text(&told.stderr).contains("--yes"));
    assert_eq!(scene.call(&gateway, "bob"), ALLOWED);
    let done = scene.shell.ok(&[&epoch[..], &["--yes"]].concat(), "");
    assert!(done.contains("epoch"), "{done}");
    // Every grant of before may have been revoked.
    scene.calls_until(&gateway, "bob", REFUSED);
    until("it is ready", || get(gateway.base(), "/readyz").0 == 200);
    let said = scene.shell.ok(&["database", "status", "--database", &address], "");
    assert!(said.contains("as hardtack_plane") && said.contains("revocations  0"), "{said}");
    let forgot = scene.shell.ok(&["database", "collect", "--database", &address], "");
    assert!(forgot.contains("forgot 0 revocations"), "{forgot}");
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn what_is_missing_or_wrong_of_a_database_is_said_before_anything_starts() {
    let scene = scene();
    let (plane, empty) = (scene.address("plane"), scene.server.database());
    let gone = plane.replace("port=5432", "port=5433");
    scene.server.sql("postgres", "CREATE ROLE stranger LOGIN PASSWORD 'hunter2'");
    let inside = scene.server.database();
    scene.server.sql(&inside, &format!("GRANT CONNECT ON DATABASE {inside} TO stranger"));
    scene
        .shell
        .ok(&["database", "migrate", "--database", &scene.server.address("plane", &inside)], "");
    let of = |user, database: &str| scene.server.address(user, database);
    scene.shell.write("open.password", "hunter2\n");
    scene.shell.write("two.password", "hunter2\nhunter2\n");
    let private = scene.shell.path().join("two.password");
    fs::set_permissions(private, fs::Permissions::from_mode(0o600)).unwrap();
    for (address, more, said) in [
        ("postgres://a:hunter2@db.example/hardtack", "", "there is a password in the address"),
        ("host=/run/db user=a dbname=b password=hunter2", "", "there is a password in the address"),
        ("postgres://a@db.example/hardtack?sslmode=disable", "", "use sslmode=require"),
        ("hunter2", "", "an address is written as host=HOST"),
        (&plane, "--database-password-file open.password", "can be read by others"),
        (&plane, "--database-password-file two.password", "the password alone"),
        (&plane, "--database-ca root.pub", "no certificate in PEM"),
        (&gone, "", "the database does not answer"),
        (&of("nobody", &scene.database), "", "role \"nobody\" does not exist"),
        (&of("plane", "nowhere"), "", "nowhere"),
        (&of("plane", &empty), "", "hardtack database migrate"),
        (&of("publisher", &scene.database), "", "hardtack_publisher"),
        (&of("stranger", &inside), "", "not the role that this needs"),
    ] {
        let more: Vec<&str> = more.split_whitespace().collect();
        let output = scene.shell.run(scene.line("plane", address, &more), "");
        let problem = text(&output.stderr).replace('\n', " ");
        assert_eq!(output.status.code(), Some(2), "{address}: {problem}");
        assert!(problem.contains(said), "{address}: {problem}");
        assert!(problem.contains("database"), "{address}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let alone = scene.shell.run("gateway --upstream http://127.0.0.1:9/mcp --audience a --root @root.pub --store plane.store --database-ca root.pub", "");
    assert!(text(&alone.stderr).contains("no database is named"), "{}", text(&alone.stderr));
    // A server that loses what it acknowledges.
    let careless = Server::start(&["fsync=off"]);
    let database = careless.database();
    let address = careless.address("plane", &database);
    let problem = scene.shell.fails(&["database", "migrate", "--database", &address], "");
    assert!(problem.replace('\n', " ").contains("set fsync = on"), "{problem}");
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_stands_in_the_file_of_settings_with_its_password_in_another() {
    let scene = scene();
    let access = "local all postgres trust\nlocal all all scram-sha-256\n";
    fs::write(scene.server.data().join("pg_hba.conf"), access).unwrap();
    server::private(&scene.server.data().join("pg_hba.conf"));
    scene.server.sql("postgres", "ALTER ROLE gateway PASSWORD 'hunter2'");
    scene.server.sql("postgres", "SELECT pg_reload_conf()");
    scene.shell.write("db.password", "hunter2\n");
    let file = scene.shell.path().join("db.password");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nupstream = \"http://127.0.0.1:9/mcp\"\naudience = \"{AUDIENCE}\"\nroot = [\"@root.pub\"]\nstore = \"gateway.store\"\nfeed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"feed.key\"\ndatabase = \"{}\"\n",
        scene.address("gateway")
    );
    scene.shell.ok("keygen --out feed.key", "");
    scene.shell.write("open.toml", &settings);
    let refused = || scene.shell.run("gateway --config open.toml", "");
    until("the server asks for a password", || text(&refused().stderr).contains("password"));
    let whole = format!(
        "{settings}database-password-file = \"db.password\"\ndatabase-remote-apply = true\n"
    );
    scene.shell.write("hardtack.toml", &whole);
    let gateway = Serving::start(scene.shell.command("gateway --config hardtack.toml"));
    until("it says where its feed is", || gateway.said().contains("feed key"));
    assert_eq!(scene.call(&gateway, "bob"), ALLOWED);
    assert!(!gateway.log().contains("hunter2") && !gateway.said().contains("hunter2"));
    let looked = scene.shell.run("doctor --config hardtack.toml", "");
    let looked = text(&looked.stdout).replace('\n', " ");
    assert!(looked.contains("its user has the role hardtack_gateway"), "{looked}");
    assert!(looked.contains("no synchronous standby"), "{looked}");
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn several_servers_stand_on_one_database_and_a_feed_tells_others_what_is_revoked_in_it() {
    let scene = scene();
    scene.shell.ok("keygen --out feed.key", "");
    let server = |name: &str, path: &str| {
        format!(
            "[[server]]\nname = \"{name}\"\npath = \"{path}\"\naudience = \"{name}.mcp\"\nupstream = \"http://127.0.0.1:9/mcp\"\n"
        )
    };
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nroot = \"@root.pub\"\nstore = \"plane.store\"\nrevocation-audience = \"{AUDIENCE}/hardtack\"\nfeed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"feed.key\"\ndatabase = \"{}\"\n{}{}",
        scene.address("plane"),
        server("notion", "/mcp"),
        server("two", "/two/mcp")
    );
    scene.shell.write("several.toml", &settings);
    let several = Serving::start(scene.shell.command("gateway --config several.toml"));
    until("it says where its feed is", || several.said().contains("feed key"));
    let said = several.said();
    let after = |word: &str| said.lines().find_map(|line| line.trim().strip_prefix(word));
    let (url, key) = (after("feed  ").unwrap().trim(), after("feed key").unwrap().trim());
    let store = scene.shell.path().join("three.store");
    scene.shell.ok(&["store", "create", store.to_str().unwrap()], "");
    let line = format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience {AUDIENCE} --root @root.pub --store three.store --feed {url} --feed-key {key}"
    );
    let follower = Serving::start(scene.shell.command(&line));
    let gateway = scene.gateway("gateway");
    for one in [&several, &follower, &gateway] {
        scene.calls_until(one, "bob", ALLOWED);
    }
    let (status, answer) = get(several.base(), "/readyz");
    assert!(status == 200 && answer.contains("no synchronous standby"), "{answer}");
    let (_, counted) = get(several.base(), "/metrics");
    assert!(counted.contains("\nhardtack_database_up 1\n"), "{counted}");
    // One presentation, at one of several servers and at a gateway of its own.
    let bearer = scene.bearer("alice", true);
    assert_eq!(tool_call(several.base(), &bearer).0, ALLOWED);
    assert!(tool_call(gateway.base(), &bearer).1.contains("\"cause\":\"replayed\""));
    // Revoked by hand, of which the gateways hear by the database, and the follower by the feed.
    let address = scene.address("plane");
    let revoke = ["revoke", "--subject", "user:bob", "--reason", "left", "--database", &address];
    scene.shell.ok(&revoke[..], "");
    for one in [&several, &follower, &gateway] {
        scene.calls_until(one, "bob", REFUSED);
        assert_eq!(scene.call(one, "alice"), ALLOWED);
    }
    // Whoever may not revoke is told which role may.
    let address = scene.address("gateway");
    for line in [
        vec!["revoke", "--subject", "user:alice", "--reason", "left", "--database", &address],
        vec!["database", "collect", "--database", &address],
        vec!["database", "epoch", "--nothing-lost", "--yes", "--database", &address],
    ] {
        let problem = scene.shell.fails(&line[..], "").replace('\n', " ");
        assert!(problem.contains("hardtack_plane"), "{line:?}: {problem}");
    }
    assert_eq!(scene.call(&gateway, "alice"), ALLOWED);
}
