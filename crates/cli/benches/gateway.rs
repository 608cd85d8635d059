//! What the guard costs: a gateway beside the same relay without one, in one run.
//!
//! `cargo bench --bench gateway`, three minutes. Server, gateway, relay and load are processes and threads of one
//! machine, which they share with whatever else runs on it: only the ratios mean something. The relay without a
//! guard is the holder's end, which reads each message and forwards it as the gateway does, and asks nobody.
//! `-- --test` only looks that it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::response::Response;
use hardtack::{
    Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Store,
    Timestamp, Verifier,
};
use hardtack_mcp::{CapabilitySource, Gateway, Holder, Upstream, serve};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::schemars;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sha2_11::Digest;
use tokio::net::TcpListener;

/// As the `hardtack` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AUDIENCE: &str = "notion.mcp";

/// Connections that ask as fast as they are answered.
const CONNECTIONS: usize = 32;

/// How often each is measured, in turns.
const ROUNDS: usize = 3;

/// Bad tokens a second.
const FLOOD: u64 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("bare") => run(bare()),
        Some("rmcp") => run(official()),
        Some("busy") => run(busy()),
        Some("gateway") => {
            run(gateway(&arguments[2], &arguments[3], arguments[4].parse().unwrap()))
        }
        Some("relay") => run(relay(&arguments[2])),
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
    let gone = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    let stop = async {
        let _ = gone.await;
    };
    serve(listener, router, stop, Duration::ZERO, Default::default()).await.unwrap();
}

/// The official server, with one tool.
#[derive(Clone)]
struct Pages;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Query {
    query: String,
}

#[rmcp::tool_router(server_handler = false)]
impl Pages {
    #[rmcp::tool(description = "Search the pages")]
    fn search(&self, Parameters(Query { query }): Parameters<Query>) -> String {
        format!("1 page about {query}: Roadmap 2027")
    }
}

#[rmcp::tool_handler]
impl rmcp::ServerHandler for Pages {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

async fn official() {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Pages), sessions, config);
    stand(Router::new().nest_service("/mcp", service)).await;
}

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"1 page about roadmap: Roadmap 2027"}]}}"#;
/// A server whose tool computes, as most do more than.
async fn busy() {
    stand(Router::new().fallback(|body: axum::body::Bytes| async move {
        let began = clock();
        let mut digest = [0; 32];
        while began.elapsed() < Duration::from_micros(500) {
            digest = sha2_11::Sha256::digest(digest).into();
        }
        std::hint::black_box(digest);
        assert!(!body.is_empty());
        Response::builder()
            .header("content-type", "application/json")
            .body(axum::body::Body::from(ANSWER))
            .unwrap()
    }))
    .await;
}

/// A server that does nothing but answer.
async fn bare() {
    stand(Router::new().fallback(|body: axum::body::Bytes| async move {
        assert!(!body.is_empty());
        Response::builder()
            .header("content-type", "application/json")
            .body(axum::body::Body::from(ANSWER))
            .unwrap()
    }))
    .await;
}

async fn gateway(upstream: &str, root: &str, losing_at_most: usize) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("hardtack.store")).unwrap();
    let roots = RootKeys::of(root.parse().unwrap());
    let verifier = Verifier::new(roots, AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), store.losing_at_most(losing_at_most));
    stand(Gateway::new(guard, Upstream::at(upstream).unwrap()).router()).await;
}

async fn relay(upstream: &str) {
    let (agent, _) = agent();
    let source = CapabilitySource::Fixed(Box::new(agent.0));
    stand(
        Holder::new(source, agent.1, AUDIENCE, Upstream::at(upstream).unwrap()).unwrap().router(),
    )
    .await;
}

/// The researcher of the seed chain, and the root that it comes from.
fn agent() -> ((Capability, PrivateKey), hardtack::PublicKey) {
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let grant = issuer.mint(grant, now()).unwrap();
    let hop = |name: &str, scope: &str| {
        Delegation::to(name).scope(scope).reason("find the roadmap page").new_holder()
    };
    let (part, orchestrator) = hop("agent.orchestrator", "tools:call:*");
    let orchestrators = grant.delegate(part, &alice, now()).unwrap();
    let (part, researcher) = hop("agent.researcher", "tools:call:search");
    let researchers = orchestrators.delegate(part, &orchestrator, now()).unwrap();
    ((researchers, researcher), issuer.public())
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

    /// The time that all its threads have computed so far, in seconds; none where the system does not say.
    fn computed(&self) -> Option<f64> {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // Behind the name, which may hold anything: the 14th and 15th of all fields, in ticks.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11..13)?.iter().map(|ticks| ticks.parse::<f64>().ok());
        Some(ticks.sum::<Option<f64>>()? / TICKS_PER_SECOND)
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.1)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection that is kept, and the request that it sends.
struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Line {
    fn to(address: SocketAddr, bearer: &str) -> Line {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"roadmap"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: search\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Line { stream, request: request.into_bytes(), answer: Vec::new() }
    }

    /// Asks and waits for the whole answer; returns its status.
    fn ask(&mut self) -> u16 {
        self.stream.write_all(&self.request).unwrap();
        self.answer.clear();
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the connection was closed");
            self.answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&self.answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            });
            let whole = match (chunked, length) {
                (true, _) => body.ends_with("0\r\n\r\n"),
                (false, Some(length)) => body.len() >= length,
                (false, None) => true,
            };
            if whole {
                return head[9..12].parse().unwrap();
            }
        }
    }
}

/// Answers a second, of connections that ask as fast as they are answered, and how long the process computes for each.
fn throughput(role: &Role, bearer: &str, lasting: Duration) -> (f64, f64) {
    let (address, before) = (role.1, role.computed());
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut took = Duration::ZERO;
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut line = Line::to(address, bearer);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(line.ask(), 200);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let began = clock();
        std::thread::sleep(lasting);
        stop.store(true, Ordering::Relaxed);
        took = began.elapsed();
    });
    let answers = count.load(Ordering::Relaxed) as f64;
    let computed = role.computed().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    (answers / took.as_secs_f64(), computed / answers)
}

/// Latencies at a fixed rate, sorted. Each request has its moment; one that comes late because another took
/// long counts from its moment.
fn latencies(address: SocketAddr, bearer: &str, rate: f64, lasting: Duration) -> Vec<Duration> {
    let lines = 8;
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lines)
            .map(|index| {
                scope.spawn(move || {
                    let mut line = Line::to(address, bearer);
                    assert_eq!(line.ask(), 200);
                    let every = Duration::from_secs_f64(f64::from(lines) / rate);
                    let began = clock() + every * index / lines;
                    let mut latencies = Vec::new();
                    for turn in 0.. {
                        let due = began + every * turn;
                        if due.saturating_duration_since(began) > lasting {
                            return latencies;
                        }
                        std::thread::sleep(due.saturating_duration_since(clock()));
                        assert_eq!(line.ask(), 200);
                        latencies.push(clock().saturating_duration_since(due));
                    }
                    latencies
                })
            })
            .collect();
        all = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    });
    all.sort();
    all
}

/// Bad tokens until it is stopped: each another one, of the shape of a good one, so that a signature is
/// looked at. Returns how many were refused, and how many put off.
fn flood(address: SocketAddr, good: &str, rate: u64, stop: &AtomicBool) -> (u64, u64) {
    let threads = 4;
    let (refused, put_off) = (AtomicU64::new(0), AtomicU64::new(0));
    let number = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let every = Duration::from_secs_f64(f64::from(threads) / rate as f64);
                let began = clock();
                let mut line = Line::to(address, &forged(good, 0));
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    let due = began + every * turn;
                    turn += 1;
                    std::thread::sleep(due.saturating_duration_since(clock()));
                    let bad = forged(good, number.fetch_add(1, Ordering::Relaxed));
                    let start =
                        line.request.windows(7).position(|part| part == b"Bearer ").unwrap() + 7;
                    line.request[start..start + bad.len()].copy_from_slice(bad.as_bytes());
                    match line.ask() {
                        401 => refused.fetch_add(1, Ordering::Relaxed),
                        503 => put_off.fetch_add(1, Ordering::Relaxed),
                        status => panic!("a bad token was answered with {status}"),
                    };
                }
            });
        }
    });
    (refused.into_inner(), put_off.into_inner())
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

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(guarded: &Role, open: &Role, bearer: &str, rounds: usize, lasting: Duration) {
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut computes, mut computes_without) = (Vec::new(), Vec::new());
    throughput(guarded, bearer, lasting / 3);
    throughput(open, bearer, lasting / 3);
    for _ in 0..rounds {
        let (one, computed) = throughput(guarded, bearer, lasting);
        let (other, computed_without) = throughput(open, bearer, lasting);
        with.push(one);
        without.push(other);
        ratios.push(one / other);
        computes.push(computed * 1e6);
        computes_without.push(computed_without * 1e6);
    }
    let (computed, computed_without) = (median(&mut computes), median(&mut computes_without));
    println!(
        "  CPU a request     {computed:>6.0} µs with the guard, {computed_without:.0} µs without: ratio {:.2}",
        computed_without / computed
    );
    println!(
        "  throughput        {:>6.0}/s with the guard, {:.0}/s without: ratio {:.2}",
        median(&mut with),
        median(&mut without),
        median(&mut ratios)
    );

    let rate = median(&mut with) / 2.0;
    let (mut added, mut middles) = (Vec::new(), Vec::new());
    let middle = |latencies: Vec<Duration>| latencies[latencies.len() / 2].as_secs_f64() * 1000.0;
    for _ in 0..rounds {
        let one = middle(latencies(guarded.1, bearer, rate, lasting));
        let other = middle(latencies(open.1, bearer, rate, lasting));
        middles.push(other);
        added.push(one - other);
    }
    println!(
        "  median latency    {:>6.3} ms without, {:.3} ms added, at {rate:.0}/s: half of what the gateway can",
        median(&mut middles),
        median(&mut added)
    );
}

fn measure(only_look: bool) {
    let (rounds, lasting) = match only_look {
        true => (1, Duration::from_millis(300)),
        false => (ROUNDS, Duration::from_secs(2)),
    };
    let ((capability, key), root) = agent();
    let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(600));
    let bearer = capability.present(presenting, &key, now()).unwrap().bearer().to_owned();
    let root = root.to_string();
    for (server, what) in [
        ("bare", "a server that only answers"),
        ("rmcp", "the official Rust server, whose tool does nothing"),
        ("busy", "a server whose tool computes for half a millisecond"),
    ] {
        let server = Role::start(&[server]);
        let open = Role::start(&["relay", &server.url()]);
        for (losing_at_most, when) in
            [("1000", "within a tenth of a second"), ("0", "before its answer")]
        {
            let guarded = Role::start(&["gateway", &server.url(), &root, losing_at_most]);
            println!("in front of {what}, every decision on disk {when}");
            compare(&guarded, &open, &bearer, rounds, lasting);
        }
    }
    let server = Role::start(&["bare"]);
    let guarded = Role::start(&["gateway", &server.url(), &root, "0"]);

    let calm_rate = 200.0;
    let stop = AtomicBool::new(false);
    let calm = latencies(guarded.1, &bearer, calm_rate, lasting);
    let (flooded, counted) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(guarded.1, &bearer, FLOOD, &stop));
        std::thread::sleep(lasting / 6);
        let flooded = latencies(guarded.1, &bearer, calm_rate, lasting);
        stop.store(true, Ordering::Relaxed);
        (flooded, flood.join().unwrap())
    });
    let at = |latencies: &[Duration], part: usize| {
        latencies[latencies.len() * part / 100].as_secs_f64() * 1000.0
    };
    let sent = (counted.0 + counted.1) as f64 / (lasting.as_secs_f64() * 7.0 / 6.0);
    println!(
        "good traffic ({calm_rate}/s) while {sent:.0} bad tokens a second come ({} refused, {} put off)",
        counted.0, counted.1
    );
    for part in [50, 90] {
        let (before, during) = (at(&calm, part), at(&flooded, part));
        println!(
            "  {part} of 100 within  {before:>6.3} ms alone, {during:>6.3} ms then: ratio {:.2}",
            during / before
        );
    }
    assert!(counted.0 > 0, "nothing was refused");
}
