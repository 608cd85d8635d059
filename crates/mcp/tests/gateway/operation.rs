//! What the people who run a gateway see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hardtack_mcp::Needed;
use serde_json::json;

use crate::stage::{Answer, Answers, Stage, call, client};

async fn get(stage: &Stage, path: &str) -> Answer {
    Answer::of(client().get(format!("http://{}{path}", stage.address)).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_told_to_anybody_on_the_machine() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    stage.post(&bearer, &call("search")).await;
    stage.post(&bearer, &call("delete_page")).await;
    stage.post("garbage", &call("search")).await;
    assert_eq!(get(&stage, "/healthz").await.status, 200);
    assert_eq!(get(&stage, "/readyz").await.json(), json!({"ready": true}));
    let metrics = get(&stage, "/metrics").await.body;
    for line in [
        r#"hardtack_decisions_total{verdict="allow",cause=""} 1"#,
        r#"hardtack_decisions_total{verdict="deny",cause="not_granted"} 1"#,
        r#"hardtack_decisions_total{verdict="deny",cause="not_a_token"} 1"#,
        r#"hardtack_requests_total{method="tools/call",status="200"} 2"#,
        r#"hardtack_requests_total{method="other",status="401"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains(&bearer));
    stage.drain.begin();
    assert_eq!(get(&stage, "/readyz").await.status, 503);
}

/// Something that a gateway stands on, as a database is.
struct Ground {
    name: &'static str,
    is_there: Arc<AtomicBool>,
}

impl Needed for Ground {
    fn ready(&self) -> Result<(), String> {
        match self.is_there.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(format!("{} is gone", self.name)),
        }
    }

    fn warnings(&self) -> Vec<String> {
        vec![format!("{} is alone", self.name)]
    }

    fn render(&self, rendered: &mut String) {
        rendered.push_str(&format!("# TYPE {0} gauge\n{0} 1\n", self.name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_gateway_needs_is_asked_and_warnings_are_told_under_its_own_name_alone() {
    let there = [(); 2].map(|()| Arc::new(AtomicBool::new(true)));
    let [first, second] = [("first", 0), ("second", 1)].map(|(name, number)| {
        let is_there: Arc<AtomicBool> = Arc::clone(&there[number]);
        Arc::new(Ground { name, is_there })
    });
    let stage =
        Stage::set_with(Answers::Json, |gateway| gateway.needing(first).needing(second)).await;
    let told = json!({"ready": true, "warnings": ["first is alone", "second is alone"]});
    assert_eq!(get(&stage, "/readyz").await.json(), told);
    let metrics = get(&stage, "/metrics").await.body;
    assert!(metrics.contains("\nfirst 1\n") && metrics.contains("\nsecond 1\n"), "{metrics}");
    let url = format!("http://{}/readyz", stage.address);
    let elsewhere = || async {
        let sent = client().get(&url).header("host", "evil.example");
        Answer::of(sent.send().await.unwrap()).await
    };
    assert_eq!(elsewhere().await.json(), json!({"ready": true}));
    for (gone, name) in there.iter().zip(["first", "second"]) {
        gone.store(false, Ordering::Relaxed);
        let answer = get(&stage, "/readyz").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json(), json!({"ready": false, "why": format!("{name} is gone")}));
        assert_eq!(elsewhere().await.json(), json!({"ready": false}));
        gone.store(true, Ordering::Relaxed);
    }
    assert_eq!(get(&stage, "/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_authorization_server_the_metadata_is_there_and_the_challenge_points_to_it() {
    let servers = ["https://login.example".to_owned()];
    let stage = Stage::set_with(Answers::Json, |gateway| {
        gateway.authorization_servers("https://tools.example/mcp", &servers)
    })
    .await;
    for path in ["", "/mcp"] {
        let metadata = get(&stage, &format!("/.well-known/oauth-protected-resource{path}")).await;
        assert_eq!(metadata.json()["resource"], "https://tools.example/mcp");
        assert_eq!(metadata.json()["authorization_servers"], json!(servers));
    }
    let refused = stage.post("", &call("search")).await;
    let challenge = &refused.headers["www-authenticate"];
    let place =
        "resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge.contains(place), "{challenge}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_by_the_thousand_do_not_fill_the_records() {
    let stage = Stage::set().await;
    let bad = (0..2000).map(|number| {
        let (stage, bearer) = (&stage, format!("AAAA{number:04}"));
        async move { stage.post(&bearer, &call("search")).await.status }
    });
    let answers = futures_util::future::join_all(bad).await;
    assert!(answers.iter().all(|status| [401, 503].contains(status)));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(stage.post("AAAA", &call("search")).await.status, 401);
    let (mut records, mut counted) = (0, 0);
    stage
        .store
        .each_record(|record| {
            records += 1;
            counted += record.decision().map_or(0, |decision| 1 + decision.unrecorded);
        })
        .unwrap();
    assert!(records < 2000, "{records}");
    let refused = answers.iter().filter(|status| **status == 401).count() as u64 + 1;
    assert_eq!(counted, refused, "each is recorded or counted");
}
