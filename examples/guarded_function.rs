//! A service that guards a function: nobody reaches it without a permit.
//!
//! Run it with `cargo run --example guarded_function`.

#![allow(clippy::disallowed_methods, reason = "an application reads the clock for the library")]

use std::error::Error;
use std::time::SystemTime;

use hardtack::{
    Call, Denial, Grant, Guard, Issuer, Permit, Policy, Presenting, PrivateKey, RootKeys, Store,
    Timestamp, Verifier,
};

/// What is guarded. It takes a permit, so that it cannot be called without one.
fn search(permit: &Permit, query: &str) -> String {
    format!("results of “{query}” for {}", permit.subject())
}

/// The server's door: the bearer and the arguments as they came in.
fn handle(guard: &Guard, bearer: &str, arguments: &str) -> Result<String, Box<dyn Error>> {
    let call = Call::tool("search")?.arguments(arguments)?;
    let permit = guard.check(bearer, &call, Timestamp::from(SystemTime::now()))?;
    // What was judged is what is used: the arguments as the call has them.
    let query = call.arguments_json()["query"].as_str().ok_or("query is no text")?;
    Ok(search(&permit, query))
}

fn main() -> Result<(), Box<dyn Error>> {
    // The server knows the root's public key, its own name, a policy and a store.
    let issuer = Issuer::new(PrivateKey::generate());
    let store = Store::in_memory()?;
    let verifier =
        Verifier::new(RootKeys::of(issuer.public()), "notes.example", store.revocations())?;
    let guard = Guard::new(verifier, Policy::load("policies/default")?, store);

    // Elsewhere: a grant for alice, presented by herself.
    let now = Timestamp::from(SystemTime::now());
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:search").new_holder();
    let capability = issuer.mint(grant, now)?;
    let bearer = capability.present(Presenting::to("notes.example"), &alice, now)?;

    println!("{}", handle(&guard, bearer.bearer(), r#"{"query": "roadmap"}"#)?);

    // A token for another server is refused, and the variant says how to answer over HTTP.
    let elsewhere = capability.present(Presenting::to("mail.example"), &alice, now)?;
    let call = Call::tool("search")?;
    match guard.check(elsewhere.bearer(), &call, now) {
        Err(Denial::Unauthenticated(refusal)) => println!("401 invalid_token: {refusal}"),
        Err(Denial::Forbidden(refusal)) => println!("403 insufficient_scope: {refusal}"),
        Err(Denial::Undecided(refusal)) => println!("503: {refusal}"),
        Ok(_) => return Err("a token for another server was accepted".into()),
    }
    Ok(())
}
