//! Several servers that are programs, behind one gateway.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hardtack::{Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Store, Verifier};
use hardtack_mcp::{Place, Roster, Server, Servers, Upstream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::client::{command, upstream};
use crate::stage::{Agent, client, now, start};
use crate::tests;

tests![
    processes_are_counted_for_each_server_and_have_places_for_all_together,
    processes_of_a_server_that_is_taken_away_end_although_a_call_of_another_is_under_way,
];

/// A gateway, in front of whichever servers are put there, and somebody who may use all of them.
struct Several {
    issuer: Issuer,
    alice: Agent,
    store: Store,
    roster: Roster,
    url: String,
}

impl Several {
    async fn set() -> Several {
        let (issuer, key) = (Issuer::new(PrivateKey::generate()), PrivateKey::generate());
        let grant = Grant::to("user:alice").holder(key.public()).scope("tools:*");
        let alice = Agent { capability: issuer.mint(grant, now()).unwrap(), key };
        let servers = Servers::new([], []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (roster, drain) = (servers.roster(), servers.drain());
        start(listener, servers.router(), drain);
        Several { issuer, alice, store: Store::in_memory().unwrap(), roster, url }
    }

    fn server(&self, name: &str, upstream: Upstream) -> (Place, Server) {
        let roots = RootKeys::of(self.issuer.public());
        let verifier = Verifier::new(roots, name, self.store.revocations()).unwrap();
        let guard = Guard::new(verifier, Policy::builtin(), self.store.clone());
        let place = Place::new(name, &format!("/{name}/mcp")).unwrap();
        (place, Server::new(guard, upstream))
    }

    fn program(&self, name: &str) -> (Place, Server) {
        self.server(name, upstream(command("book")))
    }

    /// Status and text of what opens a session.
    async fn open(&self, name: &str) -> (u16, String) {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let request = client().post(format!("{}/{name}/mcp", self.url));
        let request = request.bearer_auth(self.alice.presents_for(Presenting::to(name)));
        let request = request.header("content-type", "application/json");
        let answer = request.body(message.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until there is a place for one more process.
    async fn has_room(&self, name: &str) {
        let has_room = async {
            while self.open(name).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(15), has_room).await;
        in_time.expect("processes are gone in time");
    }
}

async fn processes_are_counted_for_each_server_and_have_places_for_all_together() {
    let several = Several::set().await;
    let both = ["one", "two"].map(|name| several.program(name));
    several.roster.exchange(both.into(), &[], Duration::ZERO).unwrap();
    for number in 0..16 {
        let opened = several.open(if number < 7 { "one" } else { "two" }).await;
        assert_eq!(opened.0, 200, "{number}: {opened:?}");
    }
    let counted = client().get(format!("{}/metrics", several.url)).send().await.unwrap();
    let counted = counted.text().await.unwrap();
    for (server, processes) in [("one", 7), ("two", 9)] {
        for series in ["hardtack_children", "hardtack_children_started_total"] {
            let line = format!("\n{series}{{server=\"{server}\"}} {processes}\n");
            assert!(counted.contains(&line), "{line}: {counted}");
        }
    }
    for name in ["one", "two"] {
        let refused = several.open(name).await;
        assert!(refused.0 == 503 && refused.1.contains("too many processes"), "{refused:?}");
    }
    // Those of a server that is exchanged end, and give their places back.
    several.roster.exchange(vec![several.program("one")], &[], Duration::ZERO).unwrap();
    several.has_room("two").await;
}

async fn processes_of_a_server_that_is_taken_away_end_although_a_call_of_another_is_under_way() {
    let several = Several::set().await;
    let asked = Arc::new(Notify::new());
    let is_asked = Arc::clone(&asked);
    let never = move || async move {
        is_asked.notify_one();
        std::future::pending::<()>().await;
    };
    let slow = several.server("slow", Upstream::service(Router::new().fallback(never)).unwrap());
    let [one, two] = ["one", "two"].map(|name| several.program(name));
    several.roster.exchange(vec![slow, one, two], &[], Duration::ZERO).unwrap();
    for _ in 0..16 {
        assert_eq!(several.open("one").await.0, 200);
    }
    let test = async {
        asked.notified().await;
        several.roster.exchange(Vec::new(), &["one".to_owned()], Duration::ZERO).unwrap();
        several.has_room("two").await;
    };
    tokio::select! {
        answered = several.open("slow") => panic!("{answered:?}"),
        () = test => {}
    }
}
