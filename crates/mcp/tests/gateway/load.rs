//! Whoever holds a token and means ill, and whoever holds none: what they can keep from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::lists::{in_front_of, names};
use crate::revoking::{ask, id_of_last_hop};
use crate::stage::{Agent, Answer, Stage, call, client, request};

/// How long a revocation and what says that the gateway runs may take under load: some hundred times what they do,
/// in a build that is not optimised and on a machine that does other things. Before there were bounds, it was 40 s
/// in one that is.
const BOUND: Duration = Duration::from_secs(8);

fn list_of(count: usize) -> Vec<u8> {
    let tool =
        |number| json!({"name": format!("tool_{number}"), "inputSchema": {"type": "object"}});
    let tools: Vec<Value> = (0..count).map(tool).collect();
    json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools}}).to_string().into_bytes()
}

/// A check about the operation that holds and takes `work` comparisons, of which a check has at most 64.
fn dear(work: usize) -> String {
    let words: Vec<String> = (0..work).map(|number| format!("\"w{number}\"")).collect();
    format!("check if operation($o), ![{}].any($w -> $o.starts_with($w))", words.join(", "))
}

/// An agent whose token has so many dear checks.
fn agent_with(stage: &Stage, checks: usize) -> Agent {
    stage.alice.delegates_with("agent.hostile", &["tools:call:*"], |part| {
        (0..checks).fold(part, |part, _| part.check(dear(63)))
    })
}

fn listing() -> Value {
    request("tools/list", json!({}))
}

fn cause(answer: &Answer) -> String {
    let data = &answer.json()["error"]["data"]["dev.hardtack/refusal"];
    data["cause"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_whose_filtering_takes_too_much_work_is_refused_as_undecided_and_recorded() {
    let stage = in_front_of("application/json", list_of(2000)).await;
    let dearest = agent_with(&stage, 20).presents();
    let refused = stage.post(&dearest, &listing()).await;
    assert_eq!((refused.status, cause(&refused).as_str()), (200, "list_too_costly"));
    assert_eq!(refused.json()["id"], 7);
    assert_eq!(refused.json()["error"]["code"], 503);
    assert!(refused.json().get("result").is_none());
    assert_eq!(stage.causes(), ["list_too_costly"]);
    // Its calls are decided all the same, and so is a list that others ask for.
    assert_ne!(stage.post(&dearest, &call("tool_1")).await.json(), Value::Null);
    let plain = stage.agent(&["tools:call:*"]).presents();
    assert_eq!(names(&stage.post(&plain, &listing()).await, "tools").len(), 2000);
    let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await.unwrap();
    let counted = r#"hardtack_decisions_total{verdict="undecided",cause="list_too_costly"} 1"#;
    assert!(metrics.text().await.unwrap().contains(counted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_too_many_entries_is_refused_and_not_shortened() {
    for (count, is_shown) in [(10_000, true), (10_001, false)] {
        let stage = in_front_of("application/json", list_of(count)).await;
        let (_, bearer) = stage.researcher();
        let listed = stage.post(&bearer, &listing()).await;
        match is_shown {
            true => assert_eq!(names(&listed, "tools"), Vec::<String>::new()),
            false => assert_eq!(cause(&listed), "list_too_long"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_list_in_a_batch_or_an_event_is_an_error_in_its_place() {
    let list: Value = serde_json::from_slice(&list_of(2000)).unwrap();
    let other = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
    let batch = json!([other, list]);
    for (media, answer) in [
        ("application/json", batch.to_string()),
        ("text/event-stream", format!("id: 4\ndata: {batch}\n\n")),
    ] {
        let stage = in_front_of(media, answer.into_bytes()).await;
        let dearest = agent_with(&stage, 20).presents();
        let answered = stage.post(&dearest, &listing()).await.json();
        assert_eq!(answered[0], other);
        assert_eq!((&answered[1]["id"], &answered[1]["error"]["code"]), (&json!(7), &json!(503)));
        // What streams repeat is bounded as well.
        if media == "text/event-stream" {
            let opened = client().get(stage.url()).bearer_auth(&dearest).send().await.unwrap();
            let repeated = Answer::of(opened).await;
            assert_eq!(repeated.json()[1]["error"]["code"], 503);
            assert_eq!(stage.causes(), ["list_too_costly", "list_too_costly"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_stands_a_thousand_times_is_asked_about_once() {
    let templates: Vec<Value> = (0..5000)
        .map(|n| json!({"uriTemplate": format!("https://a.example/{n}/{{id}}")}))
        .collect();
    let list = json!({"jsonrpc": "2.0", "id": 7, "result": {"resourceTemplates": templates}});
    let stage = in_front_of("application/json", list.to_string().into_bytes()).await;
    let agent = stage.alice.delegates_with("agent.reader", &["resources:read"], |part| {
        (0..20).fold(part, |part, _| part.check(dear(63)))
    });
    let (bearer, asked) = (agent.presents(), request("resources/templates/list", json!({})));
    let listed = stage.post(&bearer, &asked).await.json();
    assert_eq!(listed["result"]["resourceTemplates"].as_array().unwrap().len(), 5000);
}

/// What keeps asking until it is told to stop, and how many it asked of each status or cause.
struct Flood {
    stop: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Flood {
    fn new() -> Flood {
        let tasks = JoinSet::new();
        Flood { stop: Arc::default(), busy: Arc::default(), refused: Arc::default(), tasks }
    }

    fn keeps_asking(&mut self, url: String, bearer: impl Fn(usize) -> String + Send + 'static) {
        let (stop, busy, refused) =
            (Arc::clone(&self.stop), Arc::clone(&self.busy), Arc::clone(&self.refused));
        self.tasks.spawn(async move {
            let client = client();
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let asking = client.post(&url).bearer_auth(bearer(turn));
                let asking = asking.header("content-type", "application/json");
                let asking = asking.header("accept", "application/json, text/event-stream");
                // What is not answered in time is asked again, as whoever means ill does.
                let Ok(answer) = asking.body(listing().to_string()).send().await else { continue };
                let status = answer.status();
                let body = answer.text().await.unwrap_or_default();
                let put_off = body.contains("list_busy") || body.contains("too much is held");
                busy.fetch_add(usize::from(put_off), Ordering::Relaxed);
                refused.fetch_add(usize::from(status != 200), Ordering::Relaxed);
            }
        });
    }
}

/// A bearer whose last signature is another each time.
fn forged(good: &str, number: usize) -> String {
    let mut bytes = good.as_bytes().to_vec();
    let end = bytes.len() - 16;
    for (place, byte) in bytes[end - 12..end].iter_mut().enumerate() {
        *byte = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[(number >> (5 * place)) % 32];
    }
    String::from_utf8(bytes).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a generous bound is held against the clock")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_lists_and_strangers_keep_out_neither_a_revocation_nor_known_bearers() {
    let stage = in_front_of("application/json", list_of(2000)).await;
    // Of another subject: what one holds is shared by its agents.
    let known = stage.bob.presents();
    stage.post(&known, &call("tool_1")).await;
    // Below the bound of one list, under many keys of one subject.
    let hostile = agent_with(&stage, 1);
    let keys: Vec<String> =
        (0..40).map(|_| hostile.delegates("agent.key", &["tools:call:*"]).presents()).collect();
    let mut flood = Flood::new();
    let revocations = format!("http://{}/hardtack/revocations", stage.address);
    for number in 0..320 {
        let bearer = keys[number % keys.len()].clone();
        flood.keeps_asking(stage.url(), move |_| bearer.clone());
    }
    for number in 0..50 {
        let good = keys[0].clone();
        let bad = move |turn| forged(&good, number * 1_000_003 + turn);
        let (other, again) = (bad.clone(), keys[0].replace('A', "B"));
        flood.keeps_asking(stage.url(), bad);
        flood.keeps_asking(revocations.clone(), other);
        flood.keeps_asking(stage.url(), move |_| again.clone());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut took = Vec::new();
    for path in ["healthz", "readyz", "metrics"] {
        let began = Instant::now();
        let answer = client().get(format!("http://{}/{path}", stage.address)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        took.push((path, began.elapsed()));
    }
    let began = Instant::now();
    assert_eq!(stage.post(&known, &call("tool_1")).await.status, 200);
    took.push(("a call of a known bearer", began.elapsed()));
    let began = Instant::now();
    let asked = crate::revoking::request(id_of_last_hop(&hostile), Some(&hostile));
    assert_eq!(ask(&stage, &stage.alice, &asked).await, 200);
    took.push(("a revocation", began.elapsed()));
    let began = Instant::now();
    // What the revoked hop asks for is refused from now on, and what it waits for given up.
    assert_eq!(stage.post(&keys[0], &listing()).await.status, 401);
    took.push(("its refusal", began.elapsed()));

    flood.stop.store(true, Ordering::Relaxed);
    let (busy, refused) =
        (flood.busy.load(Ordering::Relaxed), flood.refused.load(Ordering::Relaxed));
    println!("{took:?}, {busy} lists put off, {refused} refused");
    assert!(busy > 100 && refused > 100, "there was no load: {busy}, {refused}");
    for (what, took) in took {
        assert!(took < BOUND, "{what} took {took:?}");
    }
    flood.tasks.shutdown().await;
}
