//! Revocations: what a verifier knows of them, and who may ask for one over the network.

use hardtack::revocation::RevocationList;
use hardtack::{Revocation, RevocationId};
use serde_json::json;

use crate::case::{Case, Options, Validation, call, id, search};
use crate::token::*;
use hardtack_testkit::NOW;
use hardtack_testkit::forge::pair;

pub fn cases() -> Vec<Case> {
    [revoked(), revoking()].concat()
}

/// A verifier that knows of these revocations, as of now.
fn knowing(revocations: &[Revocation]) -> impl FnOnce(&mut Options) {
    knowing_since(0, revocations)
}

/// The same, revoked so many seconds from now.
fn knowing_since(seconds: i64, revocations: &[Revocation]) -> impl FnOnce(&mut Options) {
    let revoked = search().at(seconds).now;
    let entry = |(at, revocation): (usize, &Revocation)| {
        let mut entry = json!({
            "sequence": at, "revoked": revoked, "expires": null, "by": "user:admin", "reason": "lost",
        });
        let revocation = serde_json::to_value(revocation).unwrap();
        entry.as_object_mut().unwrap().extend(revocation.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    };
    let revocations = revocations.iter().enumerate().map(entry).collect();
    let list = RevocationList { as_of: NOW, forgotten_until: None, revocations };
    |options| options.revocations = Some(list)
}

fn known(known: Revocation) -> Validation {
    search().told(knowing(&[known]))
}

fn revoked() -> Vec<Case> {
    let forge = token(
        grant(),
        [by(ORCHESTRATOR, hop()), bare("check if true"), by(RESEARCHER, session(3))],
    );
    let case = Case::of("a chain that is revoked", &forge);
    let signatures: Vec<RevocationId> =
        case.token.iter().map(|block| block.revocation_id.parse().unwrap()).collect();
    let of = |block: usize| Revocation::Id { id: id(&forge, block) };
    let agent = |name: &str| Revocation::Agent { agent: name.to_owned() };
    let until_now = |name: &str| Revocation::AgentUntilNow { agent: name.to_owned() };
    let subject = |name: &str, root| Revocation::Subject { subject: name.to_owned(), root };
    let root = |seed| Some(key(seed).public());
    let holder = |seed| Revocation::Holder { key: key(seed).public() };
    let signature = |block: usize| Revocation::Id { id: signatures[block] };
    let case = (0..4).fold(case, |case, block| {
        let case = case.with(
            &format!("block {block} by its id"),
            known(of(block)).refused("revoked", Some(block)),
        );
        case.with(
            &format!("block {block} by its block signature"),
            known(signature(block)).refused("revoked", Some(block)),
        )
    });
    let as_of = |as_of: i64, forgotten: Option<i64>| {
        let moment = |seconds: i64| search().at(seconds).now;
        let (as_of, forgotten_until) = (moment(as_of), forgotten.map(moment));
        search().told(|o| {
            o.revocations = Some(RevocationList { as_of, forgotten_until, revocations: Vec::new() })
        })
    };
    let healed = seed().change(|f| f.blocks[1].next = pair(&key(HELPER)));
    let hop = Revocation::Id { id: id(&seed(), 1) };
    vec![
        case.ok("nothing", search().told(knowing(&[])))
            .ok("another hop", known(Revocation::Id { id: RevocationId::from_bytes([7; 64]) }))
            .with("the grant's holder", known(holder(ORCHESTRATOR)).refused("revoked", Some(0)))
            .with("the hop's holder", known(holder(RESEARCHER)).refused("revoked", Some(1)))
            .ok("another's key", known(holder(THIEF)))
            .with("the agent", known(agent("agent.researcher")).refused("revoked", Some(1)))
            .ok("another agent", known(agent("agent.Researcher")))
            .with(
                "the agent until now",
                known(until_now("agent.researcher")).refused("revoked", Some(1)),
            )
            .with(
                "the agent until a minute before the grant",
                search()
                    .told(knowing_since(-60, &[until_now("agent.researcher")]))
                    .refused("revoked", Some(1)),
            )
            .ok(
                "the agent until longer before the grant",
                search().told(knowing_since(-61, &[until_now("agent.researcher")])),
            )
            .ok("another agent until now", known(until_now("agent.Researcher")))
            .with(
                "the subject a minute before the grant",
                search()
                    .told(knowing_since(-60, &[subject("user:alice", None)]))
                    .refused("revoked", Some(0)),
            )
            .ok(
                "the subject longer before the grant",
                search().told(knowing_since(-61, &[subject("user:alice", None)])),
            )
            .with("the subject", known(subject("user:alice", None)).refused("revoked", Some(0)))
            .with(
                "the subject of this root",
                known(subject("user:alice", root(ROOT))).refused("revoked", Some(0)),
            )
            .ok("the subject of another root", known(subject("user:alice", root(OTHER_ROOT))))
            .ok("another subject", known(subject("user:bob", None))),
        Case::of("a revoked hop, wrapped anew", &healed)
            .with("by its id", known(hop).refused("revoked", Some(1))),
        Case::of("what a verifier knows of revocations", &seed())
            .ok("half a minute old", as_of(-30, None))
            .with("older", as_of(-31, None).refused("revocations_stale", None))
            .ok("a minute from the future", as_of(60, None))
            .with("more", as_of(61, None).refused("revocations_stale", None))
            .ok("forgotten up to before the grant", as_of(0, Some(-1)))
            .with(
                "forgotten up to the grant",
                as_of(0, Some(0)).refused("revocations_forgotten", Some(0)),
            ),
    ]
}

/// Requests to revoke, each with the presentation that is bound to it.
fn revoking() -> Vec<Case> {
    let chain = token(
        grant(),
        [by(ORCHESTRATOR, hop()), by(RESEARCHER, hop_to(2, "agent.helper", HELPER))],
    );
    let proof = chain.bearer();
    let hop_of = |block: usize| json!({ "kind": "id", "id": id(&chain, block) });
    let asked = |revocation: serde_json::Value, proof: Option<&str>| {
        let mut request = json!({ "revocation": revocation, "reason": "it was stolen" });
        if let Some(proof) = proof {
            request["proof"] = proof.into();
        }
        call("hardtack:revoke").arguments(&request.to_string()).told(|o| o.revokes = true)
    };
    let bound = |grant: String, signer: u8, asked: &Validation| {
        token(grant, [by(signer, for_call(1, &asked.call().unwrap()))])
    };
    let governing = || {
        grant()
            .swap(r#"scope("tools:call:*")"#, r#"scope("hardtack:revoke")"#)
            .without(r#"check all operation($operation), $operation.starts_with("tools:call:");"#)
    };
    let case = |title: &str, grant: String, signer: u8, asked: Validation| {
        let forge = bound(grant, signer, &asked);
        (Case::of(&format!("revoking: {title}"), &forge), asked)
    };
    let allowed = |(case, asked): (Case, Validation)| case.with("", asked.allowed(None, 0));
    let refused =
        |(case, asked): (Case, Validation), cause: &str| case.with("", asked.refused(cause, None));
    let agent = json!({ "kind": "agent", "agent": "agent.researcher" });
    let until_now = json!({ "kind": "agent_until_now", "agent": "agent.researcher" });
    let beginning = json!({ "kind": "id_prefix", "id": &id(&chain, 1).to_string()[..16] });
    let dry_run = json!({ "revocation": agent, "reason": "it was stolen", "dry_run": true });
    let dry_run =
        call("hardtack:revoke").arguments(&dry_run.to_string()).told(|o| o.revokes = true);
    let nobodys = token(grant(), [by(THIEF, hop())]).bearer();
    let anothers = token(grant(), [by(ORCHESTRATOR, hop())])
        .change(|f| f.root = pair(&key(OTHER_ROOT)))
        .bearer();
    let by_session = asked(agent.clone(), None);
    let unbound = token(
        unbound_grant(),
        [bare(for_call(1, &asked(hop_of(1), Some(&proof)).call().unwrap()))],
    );
    vec![
        allowed(case(
            "anything, with the scope",
            governing(),
            ORCHESTRATOR,
            asked(agent.clone(), None),
        )),
        allowed(case(
            "an agent until now, with the scope",
            governing(),
            ORCHESTRATOR,
            asked(until_now.clone(), None),
        )),
        refused(
            case("an agent until now, without it", grant(), ORCHESTRATOR, asked(until_now, None)),
            "revocation_not_an_id",
        ),
        allowed(case("a dry run, with the scope", governing(), ORCHESTRATOR, dry_run.clone())),
        refused(
            case("a dry run, without it", grant(), ORCHESTRATOR, dry_run),
            "revocation_not_an_id",
        ),
        refused(
            case(
                "the beginning of an id that was not seen, with the scope",
                governing(),
                ORCHESTRATOR,
                asked(beginning.clone(), None),
            ),
            "revocation_id_unknown",
        ),
        refused(
            case(
                "the beginning of an id, without it",
                grant(),
                ORCHESTRATOR,
                asked(beginning, Some(&proof)),
            ),
            "revocation_not_an_id",
        ),
        allowed(case(
            "a hop that the key signed",
            grant(),
            ORCHESTRATOR,
            asked(hop_of(1), Some(&proof)),
        )),
        allowed(case(
            "a hop below one that the key signed",
            grant(),
            ORCHESTRATOR,
            asked(hop_of(2), Some(&proof)),
        )),
        refused(
            case("a name, without the scope", grant(), ORCHESTRATOR, asked(agent, None)),
            "revocation_not_an_id",
        ),
        refused(
            case("a hop without a proof", grant(), ORCHESTRATOR, asked(hop_of(1), None)),
            "revocation_without_proof",
        ),
        refused(
            case("a proof that is no token", grant(), ORCHESTRATOR, asked(hop_of(1), Some("AAAA"))),
            "revocation_proof",
        ),
        refused(
            case(
                "a proof in which a thief signed",
                grant(),
                ORCHESTRATOR,
                asked(hop_of(1), Some(&nobodys)),
            ),
            "revocation_proof",
        ),
        refused(
            case(
                "a proof of another root",
                grant(),
                ORCHESTRATOR,
                asked(hop_of(1), Some(&anothers)),
            ),
            "revocation_proof",
        ),
        refused(
            case(
                "a hop that is not in the proof",
                grant(),
                ORCHESTRATOR,
                asked(
                    json!({ "kind": "id", "id": RevocationId::from_bytes([7; 64]) }),
                    Some(&proof),
                ),
            ),
            "revocation_not_in_proof",
        ),
        refused(
            case("the grant", grant(), ORCHESTRATOR, asked(hop_of(0), Some(&proof))),
            "revocation_not_in_proof",
        ),
        refused(
            case(
                "the hop by which the key holds",
                grant_to(RESEARCHER),
                RESEARCHER,
                asked(hop_of(1), Some(&proof)),
            ),
            "revocation_by_stranger",
        ),
        refused(
            case("a stranger's hop", grant_to(THIEF), THIEF, asked(hop_of(2), Some(&proof))),
            "revocation_by_stranger",
        ),
        Case::of("revoking: by a session", &token(governing(), [by(ORCHESTRATOR, session(1))]))
            .with("", by_session.refused("revocation_not_call_bound", None)),
        Case::of("revoking: by a presentation of nobody", &unbound).with(
            "",
            asked(hop_of(1), Some(&proof))
                .told(|o| o.accept_unbound_hops = true)
                .forbidden("unbound", Some(1)),
        ),
        Case::of(
            "revoking: by a presentation for another request",
            &bound(grant(), ORCHESTRATOR, &asked(hop_of(1), Some(&proof))),
        )
        .with("", asked(hop_of(2), Some(&proof)).refused("other_call", None)),
    ]
}
