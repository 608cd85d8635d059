//! An axum service whose routes are guarded: which pages an agent may read and change is in its token.
//!
//! `cargo run --example axum` serves it on loopback, sends it an allowed request and some that are refused, and
//! shows what each is answered.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Path;
use axum::routing::get;
use axum::{Extension, Router};
use hardtack::http::{GuardLayer, Reading};
use hardtack::{
    Call, CallError, Chain, Delegation, Grant, Guard, Issuer, Permit, Policy, Presenting,
    PrivateKey, RootKeys, Store, Timestamp, Verifier,
};
use http::Method;
use http::request::Parts;
use tokio::net::TcpListener;

/// What a request means: for Hardtack to judge, before any handler runs.
fn meaning(request: &Parts, body: &bytes::Bytes) -> Result<Call, CallError> {
    let page = request.uri.path().trim_start_matches("/pages/");
    match request.method {
        Method::GET => Call::new("pages:read")?.argument("page", &format!("{page:?}")),
        // The arguments of a change are what its body says.
        Method::PUT => Call::new("pages:write")?.arguments(&String::from_utf8_lossy(body)),
        _ => Call::new("pages:other"),
    }
}

async fn read(Path(page): Path<String>, Extension(permit): Extension<Arc<Permit>>) -> String {
    format!("{page}, read for {}", permit.subject())
}

async fn write(Path(page): Path<String>, Extension(chain): Extension<Arc<Chain>>) -> String {
    let why = chain.hops.last().map_or("", |hop| hop.reason.as_str());
    format!("{page}, changed to {why:?}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[allow(
        clippy::disallowed_methods,
        reason = "the service reads the clock, and so must its tokens"
    )]
    let now = Timestamp::from(SystemTime::now());

    // Alice grants; her assistant may read pages, and give them titles of at most 20 characters.
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("pages:*").new_holder();
    let (part, assistant) = Delegation::to("agent.assistant")
        .scope("pages:read")
        .scope("pages:write")
        .check(r#"check if operation("pages:read") or arg("title", $title), $title.length() <= 20"#)
        .reason("tidy up the roadmap")
        .new_holder();
    let capability = issuer.mint(grant, now)?.delegate(part, &alice, now)?;
    let bearer = capability.present(Presenting::to("pages.example"), &assistant, now)?;

    // The service: one layer in front of all routes.
    let store = Store::in_memory()?;
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "pages.example", store.revocations())?;
    let guard = Guard::new(verifier, Policy::builtin(), store);
    let routes = Router::new()
        .route("/pages/{page}", get(read).put(write).delete(write))
        .layer(GuardLayer::new(guard, Reading::up_to(64 * 1024, meaning)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let pages = format!("http://{}/pages/roadmap", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });

    // Whoever asks sends the bearer, and nothing else that is special.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let token = bearer.bearer();
    for (what, request, expected) in [
        ("read", client.get(&pages).bearer_auth(token), 200),
        ("change", client.put(&pages).bearer_auth(token).body(r#"{"title": "Roadmap 2027"}"#), 200),
        (
            "change too much",
            client
                .put(&pages)
                .bearer_auth(token)
                .body(r#"{"title": "Roadmap for the next seven years"}"#),
            403,
        ),
        ("delete", client.delete(&pages).bearer_auth(token), 403),
        ("without a token", client.get(&pages), 401),
    ] {
        let answer = request.send().await?;
        let status = answer.status();
        println!("{what:<16} {} {}", status.as_u16(), answer.text().await?);
        if status != expected {
            return Err(format!("{what}: {expected} was expected").into());
        }
    }
    Ok(())
}
