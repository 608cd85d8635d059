//! How processes end with whoever started them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Session, ask, call, is_alive, soon, stage};
use crate::tests;

tests![
    the_whole_group_ends_with_its_session_also_what_hears_no_sigterm,
    the_whole_group_ends_when_the_pipe_is_closed_and_the_server_does_not_read,
    what_a_server_leaves_behind_ends_with_it,
    a_supervisor_that_is_told_to_end_ends_its_group,
    processes_are_counted,
    the_process_of_a_grant_that_is_revoked_ends_with_what_it_was_asked,
    a_process_is_told_of_a_call_that_is_cut_in_both_protocols,
];

async fn the_whole_group_ends_with_its_session_also_what_hears_no_sigterm() {
    let stage = stage("book").await;
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let server = session.call("pid", json!({})).await;
    let stubborn = session.call("stubborn", json!({})).await;
    assert!(is_alive(&server) && is_alive(&stubborn));
    session.send(reqwest::Method::DELETE).await;
    soon("all end", Duration::from_secs(15), || !is_alive(&server) && !is_alive(&stubborn)).await;
}

/// A supervisor with a server, and what it says.
struct Supervised {
    supervisor: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Supervised {
    fn start() -> Supervised {
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(&own);
        command.arg("supervise").arg(own).args(["server", "book"]).process_group(0);
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        Supervised { supervisor, lines }
    }

    fn call(&mut self, tool: &str) -> String {
        let line = format!("{}\n", call(json!(1), tool, json!({})));
        self.supervisor.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

async fn the_whole_group_ends_when_the_pipe_is_closed_and_the_server_does_not_read() {
    let mut supervised = Supervised::start();
    let (server, stubborn) = (supervised.call("pid"), supervised.call("stubborn"));
    supervised.call("deaf");
    let mut pipe = supervised.supervisor.stdin.take().unwrap();
    // As much as pipes take, until one more would wait.
    let filling = std::thread::spawn(move || {
        let _ = pipe.write_all(&vec![b'f'; 64 * 1024]);
        let _ = pipe.write_all(&vec![b'f'; 64 * 1024]);
    });
    filling.join().unwrap();
    soon("all end", Duration::from_secs(15), || !is_alive(&server) && !is_alive(&stubborn)).await;
    supervised.supervisor.wait().unwrap();
}

async fn what_a_server_leaves_behind_ends_with_it() {
    let mut supervised = Supervised::start();
    let stubborn = supervised.call("stubborn");
    let line = format!("{}\n", call(json!(1), "crash", json!({})));
    supervised.supervisor.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    soon("it ends", Duration::from_secs(10), || !is_alive(&stubborn)).await;
    assert_eq!(supervised.supervisor.wait().unwrap().code(), Some(3), "the server's own code");
}

async fn a_supervisor_that_is_told_to_end_ends_its_group() {
    let mut supervised = Supervised::start();
    let (server, stubborn) = (supervised.call("pid"), supervised.call("stubborn"));
    let told = Command::new("kill").arg(supervised.supervisor.id().to_string()).status().unwrap();
    assert!(told.success());
    soon("all end", Duration::from_secs(15), || !is_alive(&server) && !is_alive(&stubborn)).await;
    supervised.supervisor.wait().unwrap();
}

async fn processes_are_counted() {
    let stage = stage("book").await;
    let metrics = || async {
        let url = format!("http://{}/metrics", stage.address);
        crate::stage::client().get(url).send().await.unwrap().text().await.unwrap()
    };
    assert!(metrics().await.contains("\nhardtack_children 0\n"));
    let session = Session::open(&stage, &stage.alice.presents()).await;
    let other = Session::open(&stage, &stage.alice.presents()).await;
    let counted = metrics().await;
    assert!(counted.contains("\nhardtack_children 2\n"), "{counted}");
    assert_eq!(session.post(&call(json!(1), "crash", json!({}))).await.status, 502);
    other.send(reqwest::Method::DELETE).await;
    let ended = async {
        while !metrics().await.contains("\nhardtack_children 0\n") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("both are gone");
    let counted = metrics().await;
    assert!(counted.contains("\nhardtack_children_started_total 2\n"), "{counted}");
    assert!(counted.contains("\nhardtack_children_failed_total 1\n"), "one was asked to end");
}

async fn a_process_is_told_of_a_call_that_is_cut_in_both_protocols() {
    for kind in ["book", "modern"] {
        let stage = stage(kind).await;
        let bearer = stage.alice.presents();
        // Another presentation of hers, which lives shorter, is revoked: the process goes on.
        let presenting = hardtack::Presenting::to(crate::stage::AUDIENCE);
        let presenting = presenting.ttl(Duration::from_secs(200));
        let presented =
            stage.alice.capability.present(presenting, &stage.alice.key, crate::stage::now());
        let presented = presented.unwrap();
        let read = hardtack::Capability::parse(presented.bearer()).unwrap();
        let id = read.chain().presentation.as_ref().unwrap().revocation_id;
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let revocation = hardtack::Revocation::Id { id };
            let revoking = hardtack::Revoking::new(revocation, "tests", "stolen").unwrap();
            stage.store.revoke(revoking, crate::stage::now()).unwrap();
        };
        let hang = json!({"name": "hang", "arguments": {}});
        let (hung, cancelled) = match kind {
            "modern" => {
                let hanging = ask(&stage, presented.bearer(), "tools/call", hang);
                // Another call of the same owner keeps the process.
                let keeps = json!({"name": "echo", "arguments": {"after": 2500}});
                let keeping = ask(&stage, &bearer, "tools/call", keeps);
                let asking = async {
                    tokio::time::sleep(Duration::from_millis(1800)).await;
                    let known = json!({"name": "cancelled", "arguments": {}});
                    ask(&stage, &bearer, "tools/call", known).await.text()
                };
                let (hung, _, cancelled, ()) = tokio::join!(hanging, keeping, asking, revoking);
                (hung, cancelled)
            }
            _ => {
                let session = Session::open(&stage, &bearer).await;
                let stolen = Session {
                    stage: &stage,
                    bearer: presented.bearer().to_owned(),
                    id: session.id.clone(),
                };
                let hanging = call(json!("h"), "hang", json!({}));
                let keeping = call(json!("k"), "echo", json!({"after": 2500}));
                let asking = async {
                    tokio::time::sleep(Duration::from_millis(1800)).await;
                    session.call("cancelled", json!({})).await
                };
                let (hung, _, cancelled, ()) =
                    tokio::join!(stolen.post(&hanging), session.post(&keeping), asking, revoking);
                (hung, cancelled)
            }
        };
        assert!(hung.is_refused_tool(), "{hung:?}");
        let known: Vec<u64> = serde_json::from_str(&cancelled).unwrap();
        assert_eq!(known.len(), 1, "{kind}: {cancelled}");
    }
}

async fn the_process_of_a_grant_that_is_revoked_ends_with_what_it_was_asked() {
    let stage = stage("book").await;
    let agent = stage.agent(&["tools:*"]);
    let session = Session::open(&stage, &agent.presents()).await;
    let other = Session::open(&stage, &stage.bob.presents()).await;
    let (server, others) =
        (session.call("pid", json!({})).await, other.call("pid", json!({})).await);
    let hanging = call(json!("h"), "hang", json!({}));
    let revoking = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let id = agent.capability.chain().hops[0].revocation_id;
        let revoking =
            hardtack::Revoking::new(hardtack::Revocation::Id { id }, "tests", "lost").unwrap();
        stage.store.revoke(revoking, crate::stage::now()).unwrap();
    };
    let (hung, ()) = tokio::join!(session.post(&hanging), revoking);
    assert!(hung.status == 503 || hung.is_refused_tool(), "{hung:?}");
    soon("it ends", Duration::from_secs(10), || !is_alive(&server)).await;
    assert_eq!(other.call("pid", json!({})).await, others);
}
