//! Servers that do what no server should.

use std::time::Duration;

use serde_json::json;

use crate::client::{Session, ask, call, command, is_alive, soon, stage, upstream};
use crate::stage::Stage;
use crate::tests;

tests![
    a_crash_answers_whoever_waits_and_the_next_session_works,
    garbage_is_dropped,
    an_answer_to_nothing_that_was_asked_is_dropped,
    standard_error_holds_up_nothing,
    a_line_of_100_mb_is_never_held_and_whoever_waits_is_told,
    a_server_that_does_not_read_times_out_and_holds_up_no_other,
    a_server_that_never_answers_times_out,
    one_that_cannot_be_started_is_unreachable_and_is_not_started_over_and_over,
    so_many_processes_run_for_a_subject,
    who_ends_what_it_starts_starts_no_more_than_one_a_second,
];

async fn a_crash_answers_whoever_waits_and_the_next_session_works() {
    let stage = stage("book").await;
    let bearer = stage.alice.presents();
    let session = Session::open(&stage, &bearer).await;
    let hanging = call(json!("h"), "hang", json!({}));
    let crashing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        session.post(&call(json!(2), "crash", json!({}))).await
    };
    let both = async { tokio::join!(session.post(&hanging), crashing) };
    let (hung, crashed) =
        tokio::time::timeout(Duration::from_secs(5), both).await.expect("quickly");
    for (answer, id) in [(hung, json!("h")), (crashed, json!(2))] {
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.json()["id"], id);
        assert!(answer.body.contains("ended before it answered"));
    }
    assert_eq!(session.post(&call(json!(1), "pid", json!({}))).await.status, 404);
    Session::open(&stage, &bearer).await.call("pid", json!({})).await;
}

async fn garbage_is_dropped() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    assert_eq!(session.call("garbage", json!({})).await, "tidy");
}

async fn an_answer_to_nothing_that_was_asked_is_dropped() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let hanging = call(json!(5), "echo", json!({"after": 800}));
    let (hung, own) = tokio::join!(session.post(&hanging), session.call("strays", json!({})));
    assert_eq!(own, "own");
    assert!(hung.text().contains("800"), "{hung:?}");
}

async fn standard_error_holds_up_nothing() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    assert_eq!(session.call("noise", json!({})).await, "quiet");
}

async fn a_line_of_100_mb_is_never_held_and_whoever_waits_is_told() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let answer = session.post(&call(json!(5), "long", json!({}))).await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &json!(5)), "{answer:?}");
    session.call("pid", json!({})).await;
    // The largest that may be passes whole.
    let text = session.call("big", json!({"bytes": 7 * 1024 * 1024})).await;
    assert_eq!(text.len(), 7 * 1024 * 1024);
}

async fn a_server_that_does_not_read_times_out_and_holds_up_no_other() {
    let timeout = Duration::from_secs(2);
    let upstream =
        hardtack_mcp::Upstream::command(command("book")).unwrap().answer_timeout(timeout);
    let stage = Stage::set_before(upstream).await;
    let (alice, bob) = (stage.alice.presents(), stage.bob.presents());
    let deaf = Session::open(&stage, &alice).await;
    let pid = deaf.call("pid", json!({})).await;
    let other = Session::open(&stage, &bob).await;
    assert_eq!(deaf.call("deaf", json!({})).await, "I hear nothing more");
    // This is no argument, and may be as large as a message.
    let mut waits = call(json!(5), "echo", json!({}));
    waits["params"]["_meta"] = json!({"tracestate": "f".repeat(1024 * 1024)});
    let (answer, others) = tokio::join!(deaf.post(&waits), other.call("pid", json!({})));
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(!others.is_empty());
    // Here is as much as waits for one process at the most.
    let all = (0..20).map(|_| deaf.post(&waits));
    let all = async { futures_util::future::join_all(all).await };
    let (answers, others) = tokio::join!(all, other.call("pid", json!({})));
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.contains(&504) && statuses.contains(&503), "{statuses:?}");
    assert!(!others.is_empty());
    soon("it is ended", Duration::from_secs(60), || !is_alive(&pid)).await;
    assert_eq!(deaf.post(&call(json!(1), "pid", json!({}))).await.status, 404);
    other.call("pid", json!({})).await;
}

async fn a_server_that_never_answers_times_out() {
    let timeout = Duration::from_secs(1);
    let upstream =
        hardtack_mcp::Upstream::command(command("mute")).unwrap().answer_timeout(timeout);
    let stage = Stage::set_before(upstream).await;
    let answer = Session::try_open(&stage, &stage.alice.presents()).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let answer = ask(&stage, &stage.alice.presents(), "tools/list", json!({})).await;
    assert_eq!((answer.status, &answer.json()["id"]), (504, &json!(7)));
}

async fn one_that_cannot_be_started_is_unreachable_and_is_not_started_over_and_over() {
    let own = std::env::current_exe().unwrap();
    let missing = hardtack_mcp::ServerCommand::new(
        "/nowhere/no-such-program",
        ["x"],
        (own, vec!["supervise".into()]),
    );
    for server in [missing, command("broken")] {
        let stage = Stage::set_before(upstream(server)).await;
        let bearer = stage.alice.presents();
        let first = Session::try_open(&stage, &bearer).await;
        assert_eq!(first.status, 502, "{first:?}");
        let second = Session::try_open(&stage, &bearer).await;
        assert_eq!(second.status, 502, "{second:?}");
        let third = Session::try_open(&stage, &bearer).await;
        assert_eq!((third.status, &third.json()["id"]), (503, &json!(0)), "{third:?}");
        let other = Session::try_open(&stage, &stage.bob.presents()).await;
        assert_eq!(other.status, 502, "another subject is not held up by it");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Session::try_open(&stage, &bearer).await.status, 502, "it is tried again");
    }
}

async fn so_many_processes_run_for_a_subject() {
    let stage = stage("book").await;
    let (alice, bob) = (stage.alice.presents(), stage.bob.presents());
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(Session::open(&stage, &alice).await);
    }
    let refused = Session::try_open(&stage, &alice).await;
    assert_eq!((refused.status, &refused.json()["id"]), (503, &json!(0)), "{refused:?}");
    assert!(refused.body.contains("too many processes"), "{refused:?}");
    // Delegating makes new keys, and no new subject.
    let agent = stage.agent(&["tools:*"]).presents();
    assert_eq!(Session::try_open(&stage, &agent).await.status, 503);
    assert_eq!(ask(&stage, &agent, "tools/list", json!({})).await.status, 503);
    Session::open(&stage, &bob).await;
    assert_eq!(sessions[3].send(reqwest::Method::DELETE).await.status(), 200);
    // One that ends makes room, in the time that it takes.
    Session::open(&stage, &alice).await;
    assert_eq!(Session::try_open(&stage, &alice).await.status, 503);
}

async fn who_ends_what_it_starts_starts_no_more_than_one_a_second() {
    let stage = stage("book").await;
    let (alice, bob) = (stage.alice.presents(), stage.bob.presents());
    let began = tokio::time::Instant::now();
    let mut opened = 0;
    let refused = loop {
        let answer = Session::try_open(&stage, &alice).await;
        if answer.status != 200 {
            break answer;
        }
        opened += 1;
        let id = answer.headers["mcp-session-id"].clone();
        let session = Session { stage: &stage, bearer: alice.clone(), id };
        assert_eq!(session.send(reqwest::Method::DELETE).await.status(), 200);
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("in a short time"), "{refused:?}");
    assert!(opened >= 32 && opened <= 32 + began.elapsed().as_secs() + 1, "{opened}");
    Session::open(&stage, &bob).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    Session::open(&stage, &alice).await;
}
