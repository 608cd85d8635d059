//! What hostile holders and strangers can keep from others: how long a revocation, a known bearer's call and the
//! word that the gateway runs take, alone and under a flood.
//!
//! `cargo bench --bench gateway_load`, half a minute. Server, gateway and flood are processes and threads of one
//! machine: only the ratio of both, and of two versions on the same machine, mean something. `-- --test` only looks
//! that it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::response::Response;
use hardtack::{
    Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, Revocation,
    RevocationRequest, RootKeys, Store, Timestamp, Verifier,
};
use hardtack_mcp::{Gateway, Upstream, revoke_at, serve};
use tokio::net::TcpListener;

/// As the `hardtack` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AUDIENCE: &str = "notion.mcp";
const REVOCATIONS: &str = "notion.mcp/hardtack";

/// Connections that ask for lists by hostile tokens, and under how many keys.
const LISTS: usize = 620;
const KEYS: usize = 40;

/// Connections that send bad bearers: another one each time to the tools, the same to revocations, and one that is
/// the same each time.
const STRANGERS: usize = 50;

/// Names in the list of the server behind.
const NAMES: usize = 2000;

/// Longer than a client waits.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("server") => run(server()),
        Some("gateway") => run(gateway(&arguments[2], &arguments[3])),
        _ => measure(arguments.iter().any(|argument| argument == "--test")),
    }
}

fn run(role: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(role);
}

#[allow(clippy::disallowed_methods, reason = "the gateway reads the clock, and so must its tokens")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// Serves until whoever started it is gone.
async fn stand(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let stop = async {
        let gone = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = gone.await;
    };
    serve(listener, router, stop, Duration::ZERO, Default::default()).await.unwrap();
}

/// Answers everything with a list.
async fn server() {
    let tools = (0..NAMES).map(|number| format!(r#"{{"name":"tool_{number}"}}"#));
    let tools = tools.collect::<Vec<_>>().join(",");
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]}}}}"#);
    stand(Router::new().fallback(move |_: axum::body::Bytes| async move {
        let response = Response::builder().header("content-type", "application/json");
        response.body(axum::body::Body::from(list)).unwrap()
    }))
    .await;
}

async fn gateway(upstream: &str, root: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("hardtack.store")).unwrap();
    let guard = |audience| {
        let roots = RootKeys::of(root.parse().unwrap());
        let verifier = Verifier::new(roots, audience, store.revocations()).unwrap();
        Guard::new(verifier, Policy::builtin(), store.clone())
    };
    let gateway = Gateway::new(guard(AUDIENCE), Upstream::at(upstream).unwrap());
    let (log, seen) = (Arc::new(store.clone()), Arc::new(store.clone()));
    stand(gateway.revocations(guard(REVOCATIONS), log, seen).router()).await;
}

/// Whoever holds a capability.
struct Agent(Capability, PrivateKey);

impl Agent {
    fn delegates(&self, name: &str, checks: &[String]) -> Agent {
        let part = Delegation::to(name).scope("tools:call:*").reason("find the roadmap page");
        let (part, key) = part.new_holder();
        let part = checks.iter().fold(part, |part, check| part.check(check.as_str()));
        Agent(self.0.delegate(part, &self.1, now()).unwrap(), key)
    }

    fn presents(&self) -> String {
        let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(600));
        self.0.present(presenting, &self.1, now()).unwrap().bearer().to_owned()
    }
}

/// A check about the operation that holds and takes some 1,400 units.
fn dear() -> String {
    let words: Vec<String> = (0..63).map(|number| format!("\"w{number}\"")).collect();
    format!("check if operation($o), ![{}].any($w -> $o.starts_with($w))", words.join(", "))
}

/// A process of this program in another role, ended with this one.
struct Role(Child, SocketAddr);

impl Role {
    fn start(arguments: &[&str]) -> Role {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Role(child, line.trim().parse().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn post(path: &str, bearer: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tool_1","arguments":{}}}"#;

/// Asks over a connection of its own; returns the status, or 0 if there is none.
fn ask(address: SocketAddr, request: &[u8]) -> u16 {
    let asked = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let answer = asked().unwrap_or_default();
    answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()).unwrap_or(0)
}

/// A good token with other letters at its end: the last signature is another.
fn forged(good: &str, number: u64) -> String {
    let mut bytes = good.as_bytes().to_vec();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    let end = bytes.len() - 16;
    for (place, byte) in bytes[end - 12..end].iter_mut().enumerate() {
        *byte = alphabet[(number >> (5 * place)) as usize % alphabet.len()];
    }
    String::from_utf8(bytes).unwrap()
}

struct Looked {
    health: Duration,
    call: Duration,
    revocation: Duration,
    repeats: usize,
}

/// The longest of some turns.
fn look(gateway: SocketAddr, known: &str, alice: &Agent, turns: usize) -> Looked {
    let health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let call = post("/mcp", known, CALL);
    let longest = |request: &[u8]| {
        let turns = (0..turns).map(|_| {
            let began = clock();
            assert_eq!(ask(gateway, request), 200);
            let took = began.elapsed();
            std::thread::sleep(Duration::from_millis(100));
            took
        });
        turns.max().unwrap()
    };
    let (health, call) = (longest(health), longest(&call));
    let victim = alice.delegates("agent.victim", &[]);
    let id = victim.0.chain().hops.last().unwrap().revocation_id;
    let revocation = Revocation::Id { id };
    let asked = RevocationRequest::new(revocation, "laptop stolen", Some(&victim.0)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (began, mut repeats) = (clock(), 0);
    loop {
        let bearer = alice.0.present_to_revoke(REVOCATIONS, &asked, &alice.1, now()).unwrap();
        let url = format!("http://{gateway}");
        match runtime.block_on(revoke_at(&url, bearer.bearer(), &asked)) {
            Ok(_) => return Looked { health, call, revocation: began.elapsed(), repeats },
            // It was told to come back.
            Err(_) if began.elapsed() < PATIENCE => repeats += 1,
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn say(when: &str, looked: &Looked) {
    let in_ms = |took: Duration| took.as_secs_f64() * 1000.0;
    println!(
        "  {when:<12} health {:>8.1} ms, a known bearer's call {:>8.1} ms, a revocation {:>8.1} ms ({} times told to come back)",
        in_ms(looked.health),
        in_ms(looked.call),
        in_ms(looked.revocation),
        looked.repeats
    );
}

fn measure(only_look: bool) {
    let turns = if only_look { 1 } else { 20 };
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, key) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let alice = Agent(issuer.mint(grant, now()).unwrap(), key);
    let known = alice.delegates("agent.known", &[]).presents();
    let server = Role::start(&["server"]);
    let root = issuer.public().to_string();
    for (checks, what) in [(15, "checks as dear as a token's may be"), (0, "no checks")] {
        let gateway = Role::start(&["gateway", &format!("http://{}/mcp", server.1), &root]);
        let hostile = alice.delegates("agent.hostile", &vec![dear(); checks]);
        let keys: Vec<String> =
            (0..KEYS).map(|_| hostile.delegates("agent.key", &[]).presents()).collect();
        let call = post("/mcp", &known, CALL);
        assert_eq!(ask(gateway.1, &call), 200);
        println!(
            "{LISTS} connections ask for a list of {NAMES} names, tokens with {what}, {} send bad bearers",
            3 * STRANGERS
        );
        say("alone", &look(gateway.1, &known, &alice, turns));
        let (stop, lists, bad) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let address = gateway.1;
        let flood = |request: &dyn Fn(u64) -> Vec<u8>, count: &AtomicU64| {
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                ask(address, &request(turn));
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let (flood, lists, bad) = (&flood, &lists, &bad);
        std::thread::scope(|scope| {
            for number in 0..LISTS {
                let request = post("/mcp", &keys[number % KEYS], LIST);
                scope.spawn(move || flood(&|_| request.clone(), lists));
            }
            for number in 0..STRANGERS as u64 {
                let good = &keys[0];
                let bad_of = move |turn| forged(good, (number << 32) + turn);
                scope.spawn(move || flood(&|turn| post("/mcp", &bad_of(turn), LIST), bad));
                let path = hardtack_mcp::REVOCATIONS;
                scope.spawn(move || flood(&|turn| post(path, &bad_of(turn), LIST), bad));
                scope.spawn(move || flood(&|_| post("/mcp", &bad_of(0), LIST), bad));
            }
            std::thread::sleep(Duration::from_secs(if only_look { 1 } else { 5 }));
            let looked = look(gateway.1, &known, &alice, turns);
            stop.store(true, Ordering::Relaxed);
            say("then", &looked);
            println!(
                "  {} lists and {} bad bearers were answered meanwhile",
                lists.load(Ordering::Relaxed),
                bad.load(Ordering::Relaxed)
            );
            // Whoever still waits for an answer is let go.
            drop(gateway);
        });
    }
}
