//! An orchestrator starts a worker with a part of what it holds, offline: a token, and a key that was
//! made for the worker on the way.
//!
//! Run it with `cargo run --example orchestrator_and_worker`.

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use hardtack::capability::Expect;
use hardtack::{
    Call, Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, PublicKey,
    RootKeys, Store, Timestamp, Verifier,
};

/// What the orchestrator hands to its worker.
struct Task {
    token: String,
    key: PrivateKey,
    invoice: &'static str,
    cents: u32,
}

/// The worker accepts tokens of its orchestrator only, and presents each for the one call that it makes.
fn work(task: &Task, orchestrator: PublicKey) -> Result<(String, Call), Box<dyn Error>> {
    let capability = Capability::accept(&task.token, Expect::Delegator { key: orchestrator })?;
    let arguments = format!(r#"{{"invoice": "{}", "amount": {}}}"#, task.invoice, task.cents);
    let call = Call::tool("pay")?.arguments(&arguments)?;
    let presenting = Presenting::to("payments.example").call(call.clone());
    let bearer = capability.present(presenting, &task.key, now())?;
    Ok((bearer.bearer().to_owned(), call))
}

fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new(PrivateKey::generate());
    let store = Store::in_memory()?;
    let verifier =
        Verifier::new(RootKeys::of(issuer.public()), "payments.example", store.revocations())?;
    let guard = Guard::new(verifier, Policy::builtin(), store);

    let orchestrator = PrivateKey::generate();
    let grant = Grant::to("user:alice").scope("tools:call:*").holder(orchestrator.public());
    let capability = issuer.mint(grant, now())?;

    let (tasks, inbox) = mpsc::channel::<Task>();
    let (answers, outbox) = mpsc::channel();
    let known = orchestrator.public();
    let worker = std::thread::spawn(move || {
        for task in inbox {
            let answer = work(&task, known).map_err(|error| error.to_string());
            if answers.send(answer).is_err() {
                return;
            }
        }
    });

    for (invoice, cents) in [("2026-118", 4_900), ("2026-119", 120_000)] {
        // Two minutes, one tool, at most 500.00: no issuer and no network is needed for that.
        let delegation = Delegation::to("agent.payer")
            .scope("tools:call:pay")
            .audience("payments.example")
            .reason(format!("pay invoice {invoice}"))
            .check(r#"check all arg("amount", $cents), $cents <= 50000"#)
            .ttl(Duration::from_secs(120));
        let (delegation, key) = delegation.new_holder();
        let token = capability.delegate(delegation, &orchestrator, now())?.to_base64();
        tasks.send(Task { token, key, invoice, cents })?;

        let (bearer, call) = outbox.recv()??;
        match guard.check(&bearer, &call, now()) {
            Ok(permit) => println!("paid invoice {invoice} for {}", permit.subject()),
            Err(denial) => println!("did not pay invoice {invoice}: {denial}"),
        }
    }
    drop(tasks);
    worker.join().map_err(|_| "the worker failed")?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "an application reads the clock for the library")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
