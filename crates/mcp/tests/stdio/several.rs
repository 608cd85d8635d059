//! Several servers that are programs, behind one gateway.

use std::time::Duration;

use hardtack::{Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Store, Verifier};
use hardtack_mcp::{Place, Server, Servers};
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{command, upstream};
use crate::stage::{Agent, client, now, start};
use crate::tests;

tests![processes_are_counted_for_each_server_and_have_places_for_all_together];

async fn processes_are_counted_for_each_server_and_have_places_for_all_together() {
    let issuer = Issuer::new(PrivateKey::generate());
    let key = PrivateKey::generate();
    let grant = Grant::to("user:alice").holder(key.public()).scope("tools:*");
    let alice = Agent { capability: issuer.mint(grant, now()).unwrap(), key };
    let store = Store::in_memory().unwrap();
    let servers = Servers::new([], []);
    let roster = servers.roster();
    let server = |name: &str| {
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, name, store.revocations()).unwrap();
        let guard = Guard::new(verifier, Policy::builtin(), store.clone());
        let place = Place::new(name, &format!("/{name}/mcp")).unwrap();
        (place, Server::new(guard, upstream(command("book"))))
    };
    roster.exchange(vec![server("one"), server("two")], &[], Duration::ZERO).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let drain = servers.drain();
    start(listener, servers.router(), drain);
    let open = async |name: &str| {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let request = client().post(format!("{url}/{name}/mcp"));
        let request = request.bearer_auth(alice.presents_for(Presenting::to(name)));
        let request = request.header("content-type", "application/json");
        let answer = request.body(message.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let metrics =
        async || client().get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    for number in 0..16 {
        let opened = open(if number < 7 { "one" } else { "two" }).await;
        assert_eq!(opened.0, 200, "{number}: {opened:?}");
    }
    let counted = metrics().await;
    for (server, processes) in [("one", 7), ("two", 9)] {
        for series in ["hardtack_children", "hardtack_children_started_total"] {
            let line = format!("\n{series}{{server=\"{server}\"}} {processes}\n");
            assert!(counted.contains(&line), "{line}: {counted}");
        }
    }
    for name in ["one", "two"] {
        let refused = open(name).await;
        assert!(refused.0 == 503 && refused.1.contains("too many processes"), "{refused:?}");
    }
    // Those of a server that is exchanged end, and give their places back.
    roster.exchange(vec![server("one")], &[], Duration::ZERO).unwrap();
    let has_room = async {
        while open("two").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), has_room).await.expect("they are gone in time");
}
