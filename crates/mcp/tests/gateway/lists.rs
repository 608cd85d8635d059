//! What a token is shown of a server.

use std::time::Duration;

use hardtack::Presenting;
use serde_json::{Value, json};

use crate::stage::{AUDIENCE, Answer, Answers, Stage, borrowed, client, modern, request, tools};

pub fn names(answer: &Answer, list: &str) -> Vec<String> {
    let json = answer.json();
    let entries = json["result"][list].as_array().unwrap_or_else(|| panic!("{json}")).clone();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_the_token_may_use_in_json_and_in_events() {
    for answers in [Answers::Json, Answers::Events] {
        let stage = Stage::set_with(answers, |gateway| gateway).await;
        let bearer = stage
            .agent(&["tools:call:search", "tools:call:pay", "prompts:get:brief", "resources:read"])
            .presents();
        let listed = stage.post(&bearer, &request("tools/list", json!({}))).await;
        assert_eq!(names(&listed, "tools"), ["search", "pay"]);
        let result = &listed.json()["result"];
        assert_eq!(result["nextCursor"], "2");
        assert_eq!(result["cacheScope"], "private");
        assert!(result["ttlMs"].as_u64().unwrap() <= 5 * 60 * 1000);
        assert_eq!(result["tools"][0], tools()[0]);
        assert!(listed.body.contains("1.50") || !tools().to_string().contains("1.50"));
        assert!(listed.headers["cache-control"].contains("private"));
        let prompts = stage.post(&bearer, &request("prompts/list", json!({}))).await;
        assert_eq!(names(&prompts, "prompts"), ["brief"]);
        // By its list, the server names a scheme.
        let resources = stage.post(&bearer, &request("resources/list", json!({}))).await;
        assert_eq!(names(&resources, "resources"), ["a", "x"]);
        let nothing = stage.agent(&["tools:call:other"]).presents();
        let listed = stage.post(&nothing, &request("tools/list", json!({}))).await;
        assert_eq!(names(&listed, "tools"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_are_shown_to_whoever_may_get_them() {
    let stage = Stage::set().await;
    let shown = async |bearer: &str| {
        let (headers, body) = modern("skills/list", json!({}));
        let listed = stage.post_with(bearer, &borrowed(&headers), body).await.json();
        let entries = listed["result"]["skills"].as_array().unwrap_or_else(|| panic!("{listed}"));
        let uris: Vec<String> =
            entries.iter().map(|entry| entry["uri"].as_str().unwrap().to_owned()).collect();
        uris
    };
    let (find, delete) = ("https://notion.so/find/SKILL.md", "https://notion.so/delete/SKILL.md");
    let all = stage.agent(&["skills:get"]);
    assert_eq!(shown(&all.presents()).await, [find, delete]);
    let one = stage.alice.delegates_with("agent.finder", &["skills:*"], |part| {
        part.check(format!(r#"check if resource("{find}")"#))
    });
    assert_eq!(shown(&one.presents()).await, [find]);
    assert!(shown(&stage.agent(&["resources:*"]).presents()).await.is_empty());
    for (uri, allowed) in [(find, true), (delete, false)] {
        let (headers, body) = modern("skills/get", json!({"uri": uri}));
        let got = stage.post_with(&one.presents(), &borrowed(&headers), body).await.json();
        assert_eq!(got["result"]["method"] == "skills/get", allowed, "{got}");
        assert_eq!(got["error"]["code"] == 403, !allowed, "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_got_whatever_its_name_and_no_other_by_it() {
    let stage = Stage::set().await;
    let got = async |bearer: &str, name: &str| {
        let answer =
            stage.post(bearer, &request("prompts/get", json!({"name": name}))).await.json();
        match answer["result"]["method"] == "prompts/get" {
            true => None,
            false => Some(answer["error"]["message"].as_str().unwrap().to_owned()),
        }
    };
    let every = stage.agent(&["prompts:get:*"]).presents();
    let one = stage.agent(&["prompts:get:code%20review"]).presents();
    assert_eq!(got(&one, "code review").await, None);
    for name in [
        "brief",
        "git:commit",
        "plan/week",
        "*",
        "a::b",
        "caf\u{e9}",
        "\u{8981}\u{7d04}",
        "code%20review",
    ] {
        assert_eq!(got(&every, name).await, None, "{name}");
        let refused = got(&one, name).await.unwrap();
        assert!(refused.contains("does not grant prompts:get:"), "{name}: {refused}");
    }
    for name in [
        " code review",
        "code review ",
        "code\treview",
        "code\u{200b} review",
        "cafe\u{301}",
        "a\0",
    ] {
        let refused = got(&every, name).await.unwrap();
        assert!(refused.contains("cannot be granted"), "{name:?}: {refused}");
    }
    let shown = stage.post(&one, &request("prompts/list", json!({}))).await;
    assert_eq!(names(&shown, "prompts"), ["code review"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn since_2026_a_list_is_always_private() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let (headers, body) = modern("prompts/list", json!({}));
    let listed = stage.post_with(&bearer, &borrowed(&headers), body).await;
    assert_eq!(listed.json()["result"]["cacheScope"], "private");
    assert_eq!(listed.json()["result"]["ttlMs"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_a_resumed_stream_repeats_is_filtered_too() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let opened = stage.post(&bearer, &request("initialize", json!({}))).await;
    let resumed = client().get(stage.url()).bearer_auth(&bearer).header("last-event-id", "2");
    let resumed = resumed.header("mcp-session-id", &opened.headers["mcp-session-id"]);
    let resumed = Answer::of(resumed.send().await.unwrap()).await;
    assert_eq!(names(&resumed, "tools"), ["search"]);
    assert!(resumed.body.starts_with("id: 3\n"), "{}", resumed.body);
    assert_eq!(stage.behind.seen()[1].headers["last-event-id"], "2");
    // What is resumed is a session's.
    let nobodys = client().get(stage.url()).bearer_auth(&bearer).header("last-event-id", "2");
    assert_eq!(nobodys.send().await.unwrap().status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_arguments_is_shown_and_what_no_argument_allows_is_not() {
    let stage = Stage::set().await;
    let with = |check: &'static str| {
        let agent =
            stage.alice.delegates_with("agent.payer", &["tools:call:*"], |part| part.check(check));
        agent.presents()
    };
    let list = request("tools/list", json!({}));
    let limited = with(r#"check all arg("amount", $a), $a <= 100"#);
    assert!(names(&stage.post(&limited, &list).await, "tools").contains(&"pay".to_owned()));
    let only = with(r#"check if operation($op), $op == "tools:call:pay""#);
    assert_eq!(names(&stage.post(&only, &list).await, "tools"), ["pay"]);
    let either = with(
        r#"check if operation("tools:call:search") or arg("amount", $a), operation("tools:call:pay"), $a < 5"#,
    );
    assert_eq!(names(&stage.post(&either, &list).await, "tools"), ["search", "pay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_for_whoever_started_it() {
    for answers in [Answers::Json, Answers::Events] {
        let stage = Stage::set_with(answers, |gateway| gateway).await;
        let scopes = &["tools:call:search", "tasks:*"];
        let (mine, theirs) = (stage.agent(scopes), stage.agent(scopes));
        let start = json!({"name": "search", "task": {"ttl": 60_000}});
        let started = stage.post(&mine.presents(), &request("tools/call", start)).await;
        let id = started.json()["result"]["task"]["taskId"].as_str().unwrap().to_owned();
        let ask = |id: &str| request("tasks/get", json!({"taskId": id}));
        let asked = stage.post(&mine.presents(), &ask(&id)).await;
        assert_eq!(asked.json()["result"]["method"], "tasks/get");
        let before = stage.behind.seen().len();
        for (agent, id) in [(&theirs, id.as_str()), (&mine, "task-99")] {
            let refused = stage.post(&agent.presents(), &ask(id)).await;
            assert_eq!(refused.json()["error"]["code"], -32602, "{refused:?}");
        }
        let unscoped = stage.agent(&["tools:call:search"]).presents();
        assert!(stage.post(&unscoped, &ask(&id)).await.json().get("error").is_some());
        assert_eq!(stage.behind.seen().len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lived_tokens_list_may_be_kept_no_longer_than_it_lives() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:search"]);
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).ttl(Duration::from_secs(30)));
    let listed = stage.post(&bearer, &request("tools/list", json!({}))).await;
    assert!(
        matches!(&listed.json()["result"]["ttlMs"], Value::Number(ttl) if ttl.as_u64().unwrap() <= 30_000)
    );
}

/// A gateway in front of a server that answers everything with these bytes.
pub async fn in_front_of(media: &'static str, answer: Vec<u8>) -> Stage {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move {
        let response = axum::response::Response::builder().header("content-type", media);
        response.body(axum::body::Body::from(answer)).unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    Stage::set_in_front_of(&url, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_list_is_written_it_shows_no_more() {
    let list = json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools()}}).to_string();
    let escaped =
        list.replace("\"result\"", "\"re\\u0073ult\"").replace("\"tools\"", "\"to\\u006fls\"");
    let mut broken = format!("data: {list}\n\n").into_bytes();
    broken[30] = 0xff;
    for (media, answer) in [
        ("application/json", escaped.clone().into_bytes()),
        ("application/json", format!("\u{feff}{list}").into_bytes()),
        ("application/json", list[..list.len() - 1].into()),
        ("text/plain", list.clone().into_bytes()),
        ("text/event-stream", format!("data: {escaped}\n\n").into_bytes()),
        ("text/event-stream", format!("data: {list}\r\r").into_bytes()),
        ("text/event-stream", format!("data: {list}\n").into_bytes()),
        ("text/event-stream", format!("data: {list}").into_bytes()),
        ("text/event-stream", format!("\u{feff}data: {list}\n\n").into_bytes()),
        ("text/event-stream", format!("data:{}\n\n", list.replace(",", ",\ndata:")).into_bytes()),
        ("text/event-stream", broken),
    ] {
        let stage = in_front_of(media, answer.clone()).await;
        let (_, bearer) = stage.researcher();
        let listed = stage.post(&bearer, &request("tools/list", json!({}))).await;
        let told = String::from_utf8_lossy(&answer);
        assert!(!listed.body.contains("delete_page"), "{media} {told}: {}", listed.body);
        let resumed = client().get(stage.url()).bearer_auth(&bearer).send().await.unwrap();
        let resumed = Answer::of(resumed).await;
        if media != "text/plain" {
            assert!(!resumed.body.contains("delete_page"), "{media} {told}: {}", resumed.body);
        }
    }
}
