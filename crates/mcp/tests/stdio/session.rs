//! Up to 2025-11-25: sessions, each with a process of its own.

use std::time::Duration;

use hardtack::Presenting;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Session, ask, call, command, is_alive, soon, stage, upstream};
use crate::stage::{AUDIENCE, Stage};
use crate::tests;

tests![
    two_sessions_share_nothing,
    what_was_judged_is_sent_byte_for_byte_on_one_line,
    two_requests_with_one_id_each_get_their_own_answer,
    progress_is_told_under_the_clients_own_token,
    a_cancellation_names_the_request_as_the_server_knows_it,
    what_a_server_asks_goes_to_the_client_and_its_answer_back,
    what_belongs_to_no_request_is_told_on_the_stream,
    a_session_ends_with_delete_and_so_does_its_process,
    a_process_that_is_idle_ends,
    the_environment_is_clean,
    what_does_not_apply_is_refused,
    lists_are_filtered_and_calls_are_judged,
    a_token_of_progress_is_a_text_or_an_integer_and_short,
    the_answer_to_a_call_outlives_the_presentation_and_no_call_begins_with_it,
];

async fn the_answer_to_a_call_outlives_the_presentation_and_no_call_begins_with_it() {
    for kind in ["book", "modern"] {
        let stage = stage(kind).await;
        let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(2));
        let bearer = stage.alice.presents_for(presenting);
        let slow = json!({"name": "echo", "arguments": {"after": 3500, "which": "slow"}});
        let again = json!({"name": "pid", "arguments": {}});
        let (answered, later) = match kind {
            "modern" => (
                ask(&stage, &bearer, "tools/call", slow).await,
                ask(&stage, &bearer, "tools/call", again).await,
            ),
            _ => {
                let session = Session::open(&stage, &bearer).await;
                let call = |params| crate::stage::request("tools/call", params);
                (session.post(&call(slow)).await, session.post(&call(again)).await)
            }
        };
        assert!(answered.status == 200 && answered.text().contains("slow"), "{answered:?}");
        assert_eq!(later.status, 401, "{kind}: {later:?}");
    }
}

async fn two_sessions_share_nothing() {
    let stage = stage("book").await;
    let (alice, bob) = (stage.alice.presents(), stage.bob.presents());
    let one = Session::open(&stage, &alice).await;
    let two = Session::open(&stage, &alice).await;
    let three = Session::open(&stage, &bob).await;
    let pids = [
        one.call("pid", json!({})).await,
        two.call("pid", json!({})).await,
        three.call("pid", json!({})).await,
    ];
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2], "{pids:?}");
    assert_eq!(one.call("pid", json!({})).await, pids[0]);
    // Nobody else's session is a session.
    let stolen = Session { stage: &stage, bearer: bob, id: one.id.clone() };
    assert_eq!(stolen.post(&call(json!(1), "pid", json!({}))).await.status, 404);
    let guessed = Session { stage: &stage, bearer: alice, id: "0".repeat(32) };
    assert_eq!(guessed.post(&call(json!(1), "pid", json!({}))).await.status, 404);
}

async fn what_was_judged_is_sent_byte_for_byte_on_one_line() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let body = "{\n  \"jsonrpc\": \"2.0\",\r\n  \"id\": \"a\\u0062\",\n  \"method\": \"tools/call\",\n  \"params\": {\"name\": \"echo\",
    \"arguments\": {\"one\": 1.0, \"two\": 1e3, \"three\": 0.10, \"text\": \"x\u{2028}{\\\"id\\\": 1}\u{85}\"}}}";
    let answer = session.post_text(body.to_owned()).await;
    assert_eq!(answer.json()["id"], json!("ab"), "{answer:?}");
    let sent = answer.text();
    assert!(!sent.contains(['\n', '\r', '\u{2028}', '\u{85}']), "{sent}");
    assert!(
        sent.contains(
            r#"{"one": 1.0, "two": 1e3, "three": 0.10, "text": "x\u2028{\"id\": 1}\u0085"}"#
        ),
        "{sent}"
    );
    let expected = body.replace("\r\n", "  ").replace('\n', " ");
    let expected = expected.replace('\u{2028}', "\\u2028").replace('\u{85}', "\\u0085");
    let id = serde_json::from_str::<Value>(&sent).unwrap()["id"].clone();
    assert_eq!(sent, expected.replace(r#""a\u0062""#, &id.to_string()));
}

async fn two_requests_with_one_id_each_get_their_own_answer() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let slow = call(json!(1), "echo", json!({"after": 600, "which": "slow"}));
    let quick = call(json!(1), "echo", json!({"after": 50, "which": "quick"}));
    let (slow, quick) = tokio::join!(session.post(&slow), session.post(&quick));
    for (answer, which) in [(slow, "slow"), (quick, "quick")] {
        assert_eq!(answer.json()["id"], 1);
        assert!(answer.text().contains(which), "{which}: {answer:?}");
    }
}

async fn progress_is_told_under_the_clients_own_token() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    for token in [json!("my token"), json!(7)] {
        let mut asked = call(json!(7), "progress", json!({}));
        asked["params"]["_meta"] = json!({"progressToken": token});
        let mut events = session.stream(&asked).await;
        for progress in 1..=3 {
            let told = events.next().await.unwrap();
            assert_eq!(told["params"]["progressToken"], token, "{told}");
            assert_eq!(told["params"]["progress"], progress);
        }
        let answer = events.next().await.unwrap();
        assert_eq!(answer["id"], 7);
        assert_eq!(events.next().await, None);
    }
    // Whoever asked for none is told none.
    let answer = session.post(&call(json!(8), "progress", json!({}))).await;
    assert_eq!(answer.headers["content-type"], "application/json");
}

async fn a_cancellation_names_the_request_as_the_server_knows_it() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let cancel = |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    let hanging = call(json!("x"), "hang", json!({}));
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(session.post(&cancel(json!("unknown"))).await.status, 202);
        assert_eq!(session.post(&cancel(json!("x"))).await.status, 202);
        // A call may overtake the notification before it.
        let mut known: Vec<u64> = Vec::new();
        while known.is_empty() {
            let told = session.call("cancelled", json!({})).await;
            known = serde_json::from_str(&told).unwrap();
        }
        assert_eq!(known.len(), 1, "{known:?}");
    };
    // A server answers no more then; the gateway does.
    let (answer, ()) = tokio::join!(session.post(&hanging), cancelling);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.json()["id"], "x");
}

async fn what_a_server_asks_goes_to_the_client_and_its_answer_back() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    for method in ["sampling/createMessage", "elicitation/create", "roots/list"] {
        let mut events = session.stream(&call(json!(3), "ask", json!({"method": method}))).await;
        let asked = events.next().await.unwrap();
        assert_eq!(asked["method"], method);
        // An answer to nothing that was asked goes nowhere.
        let strange = json!({"jsonrpc": "2.0", "id": "other", "result": {"of": "nobody"}});
        assert_eq!(session.post(&strange).await.status, 202);
        let other = Session::open(&stage, &session.bearer).await;
        let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"said": method}});
        assert_eq!(other.post(&answer).await.status, 202, "to another process");
        assert_eq!(session.post(&answer).await.status, 202);
        let result = events.next().await.unwrap();
        let text = result["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"said": method}));
    }
}

async fn what_belongs_to_no_request_is_told_on_the_stream() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    // Told beside the answer of whoever takes events, and otherwise on the stream.
    let mut events = session.stream(&call(json!(3), "log", json!({}))).await;
    assert_eq!(events.next().await.unwrap()["method"], "notifications/message");
    let mut events = crate::client::Events::of(session.send(Method::GET).await);
    assert_eq!(session.send(Method::GET).await.status(), 409, "there is one at a time");
    let body = call(json!(3), "log", json!({})).to_string();
    let headers = [("mcp-session-id", &*session.id), ("accept", "application/json")];
    let request = crate::stage::client().post(stage.url()).bearer_auth(&session.bearer);
    let request = request.header("content-type", "application/json");
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.body(body).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(events.next().await.unwrap()["params"]["data"], "logged");
}

async fn a_session_ends_with_delete_and_so_does_its_process() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let pid = session.call("pid", json!({})).await;
    assert!(is_alive(&pid));
    assert_eq!(session.send(Method::DELETE).await.status(), 200);
    assert_eq!(session.post(&call(json!(1), "pid", json!({}))).await.status, 404);
    assert_eq!(session.send(Method::DELETE).await.status(), 404);
    soon("its process ends", Duration::from_secs(10), || !is_alive(&pid)).await;
}

async fn a_process_that_is_idle_ends() {
    let server = command("book").idle(Duration::from_millis(700));
    let stage = Stage::set_before(upstream(server)).await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let pid = session.call("pid", json!({})).await;
    // Whoever waits is not idle.
    let text = session.call("echo", json!({"after": 2000})).await;
    assert!(text.contains("2000") && is_alive(&pid));
    soon("its process ends", Duration::from_secs(15), || !is_alive(&pid)).await;
    assert_eq!(session.post(&call(json!(1), "pid", json!({}))).await.status, 404);
    Session::open(&stage, &stage.alice.presents()).await;
}

async fn the_environment_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let server = command("book").env("NAMED", "a value").folder(&folder);
    let stage = Stage::set_before(upstream(server)).await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let told: Value = serde_json::from_str(&session.call("environment", json!({})).await).unwrap();
    assert_eq!(told["all"]["NAMED"], "a value");
    assert_eq!(told["folder"], folder.to_str().unwrap());
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() || std::env::var("PATH").is_ok());
    for name in told["all"].as_object().unwrap().keys() {
        let is_usual = hardtack_mcp::USUAL_ENVIRONMENT.contains(&name.as_str());
        assert!(is_usual || name == "NAMED", "{name}");
    }
}

async fn what_does_not_apply_is_refused() {
    let stage = stage("book").await;
    let bearer = stage.alice.presents();
    let none = stage.post(&bearer, &call(json!(1), "pid", json!({}))).await;
    assert_eq!(none.status, 400, "{none:?}");
    assert!(none.body.contains("initialize"));
    let session = Session::open(&stage, &bearer).await;
    let again = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}});
    assert_eq!(session.post(&again).await.status, 400);
    let request = crate::stage::client().get(stage.url()).bearer_auth(&bearer);
    assert_eq!(request.send().await.unwrap().status(), 405);
}

async fn lists_are_filtered_and_calls_are_judged() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.agent(&["tools:call:echo"]).presents()).await;
    let list = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/list"});
    let listed = session.post(&list).await.json();
    let names: Vec<&str> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["echo"]);
    let refused = session.post(&call(json!(5), "crash", json!({}))).await;
    assert!(refused.is_refused_tool(), "{refused:?}");
    assert!(session.call("echo", json!({"after": 0})).await.contains("echo"), "it has not crashed");
}

async fn a_token_of_progress_is_a_text_or_an_integer_and_short() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    for (token, status) in [
        (json!({"a": "b\nc"}), 400),
        (json!([1]), 400),
        (json!(true), 400),
        (json!(1.5), 400),
        (json!("t".repeat(255)), 400),
        (json!("t".repeat(1024 * 1024)), 400),
        (json!("t".repeat(254)), 200),
        (json!("text"), 200),
        (json!(-7), 200),
        (Value::Null, 200),
    ] {
        let mut message = call(json!(1), "echo", json!({}));
        message["params"]["_meta"] = json!({"progressToken": token});
        let answer = session.post(&message).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(status == 200 || answer.body.contains("a text or an integer"), "{answer:?}");
    }
}
