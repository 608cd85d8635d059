//! An axum service whose routes are guarded: which pages an agent may read and change is in its token.
//!
//! `cargo run --example axum` serves it on loopback, sends it an allowed request and some that are refused, and
//! shows what each is answered.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Json, Path};
use axum::routing::get;
use axum::{Extension, Router};
use hardtack::{
    Chain, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Store,
    Timestamp, Verifier,
};
use hardtack_http::{GuardLayer, Permitted, RouteError, Routes};
use http::Method;
use serde::Deserialize;
use tokio::net::TcpListener;

/// The largest body of a change, in bytes.
const MAX_CHANGE_BYTES: usize = 64 * 1024;

/// What requests mean: for Hardtack to judge, before any handler runs. The arguments of a call are the parameters of
/// the path, decoded as the handlers get them, those of the query, and the members of the body.
fn operations() -> Result<Routes, RouteError> {
    Routes::new()
        .route(Method::GET, "/pages/{page}", "pages:read")?
        .route(Method::PUT, "/pages/{page}", "pages:write")?
        .route(Method::DELETE, "/pages/{page}", "pages:delete")
}

async fn read(Path(page): Path<String>, permit: Permitted) -> String {
    format!("{page}, read for {}", permit.subject())
}

#[derive(Deserialize)]
struct Change {
    title: String,
}

async fn write(
    Path(page): Path<String>,
    Extension(chain): Extension<Arc<Chain>>,
    Json(change): Json<Change>,
) -> String {
    let why = chain.hops.last().map_or("", |hop| hop.reason.as_str());
    format!("{page}, called {:?} to {why:?}", change.title)
}

async fn delete(Path(page): Path<String>) -> String {
    format!("{page}, deleted")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[allow(
        clippy::disallowed_methods,
        reason = "the service reads the clock, and so must its tokens"
    )]
    let now = Timestamp::from(SystemTime::now());

    // Alice grants; her assistant may read pages but the one about salaries, and give them titles of at most 20
    // characters.
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("pages:*").new_holder();
    let (part, assistant) = Delegation::to("agent.assistant")
        .scope("pages:read")
        .scope("pages:write")
        .check(r#"check all arg("page", $page), $page != "salaries""#)
        .check(r#"check if operation("pages:read") or arg("title", $title), $title.length() <= 20"#)
        .reason("tidy up the roadmap")
        .new_holder();
    let capability = issuer.mint(grant, now)?.delegate(part, &alice, now)?;
    let bearer = capability.present(Presenting::to("pages.example"), &assistant, now)?;

    // The service: one layer on all routes.
    let store = Store::in_memory()?;
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "pages.example", store.revocations())?;
    let guard = Guard::new(verifier, Policy::builtin(), store);
    let routes = Router::new()
        .route("/pages/{page}", get(read).put(write).delete(delete))
        .route_layer(GuardLayer::new(guard, operations()?.reading_json(MAX_CHANGE_BYTES)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let page = |name| format!("http://{}/pages/{name}", listener.local_addr().expect("an address"));
    let (roadmap, salaries, encoded) = (page("roadmap"), page("salaries"), page("salarie%73"));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    // Whoever asks sends the bearer, and nothing else that is special.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let token = bearer.bearer();
    let titled = |title: &str| {
        let change =
            client.put(&roadmap).bearer_auth(token).header("content-type", "application/json");
        change.body(format!(r#"{{"title": "{title}"}}"#))
    };
    for (what, request, expected) in [
        ("read", client.get(&roadmap).bearer_auth(token), 200),
        ("read another", client.get(&salaries).bearer_auth(token), 403),
        ("read it encoded", client.get(&encoded).bearer_auth(token), 403),
        ("change", titled("Roadmap 2027"), 200),
        ("change too much", titled("Roadmap for the next seven years"), 403),
        ("delete", client.delete(&roadmap).bearer_auth(token), 403),
        ("without a token", client.get(&roadmap), 401),
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
