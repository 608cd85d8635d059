//! Refused for what was revoked, used or cannot be known.

use crate::*;

/// Somebody who once held the token of the hop's parent wraps a copy of the signed hop anew.
fn wrapped_anew(token: &schema::Biscuit, parent: &Forge) -> Forge {
    let signers = [&Cast::new().orchestrator, &Cast::new().researcher].map(forge::pair);
    let mut signers = signers.into_iter();
    Forge {
        root: forge::pair(&Cast::new().root),
        root_key_id: token.root_key_id,
        blocks: std::iter::once(&token.authority)
            .chain(&token.blocks)
            .enumerate()
            .map(|(index, block)| forge::Part {
                bytes: block.block.clone(),
                signer: (index > 0).then(|| signers.next().unwrap()),
                next: if index == 0 { copy(&parent.blocks[0].next) } else { KeyPair::new() },
                version: Some(1),
            })
            .collect(),
        proof: Proof::Secret,
    }
}

fn copy(key: &KeyPair) -> KeyPair {
    KeyPair::from(&key.private())
}

#[test]
fn a_revoked_hop_cannot_be_healed_by_wrapping_it_anew() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let original = seed();
    let token = original.sign();
    let healed = wrapped_anew(&token, &original);
    let chain = |bearer: &str| Capability::parse(bearer).unwrap().chain().clone();
    let (before, after) = (chain(&forge::base64(&token.encode_to_vec())), chain(&healed.bearer()));
    let signatures = |chain: &Chain| {
        chain.signatures().filter(|(block, _)| *block == 1).map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_ne!(signatures(&before)[1], signatures(&after)[1], "the block signature is another");
    assert_eq!(signatures(&before)[0], signatures(&after)[0], "the id is the same");
    let id = before.hops[0].revocation_id;
    revoke(&store, Revocation::Id { id });
    assert_eq!(refusal(&cast.guard(&store), &healed.bearer(), &search()), ("revoked", Some(1)));
}

#[test]
fn a_list_made_for_other_biscuit_verifiers_works() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let bearer = cast.presented();
    let theirs = biscuit_auth::UnverifiedBiscuit::from_base64(bearer.bearer())
        .unwrap()
        .revocation_identifiers();
    let id = RevocationId::from_bytes(theirs[1].as_slice().try_into().unwrap());
    revoke(&store, Revocation::Id { id });
    assert_eq!(refusal(&cast.guard(&store), bearer.bearer(), &search()), ("revoked", Some(1)));
}

#[test]
fn a_call_bound_presentation_wrapped_anew_is_the_same_one() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let presenting = Presenting::to(AUDIENCE).call(search());
    let bearer = cast.researchers().present(presenting, &cast.researcher, NOW).unwrap();
    let bytes = Capability::parse(bearer.bearer()).unwrap().to_bytes();
    let taken = Forge::of(&bytes, &cast.root, &[&cast.orchestrator, &cast.researcher]);
    let first = taken.sign();
    guard.check(&forge::base64(&first.encode_to_vec()), &search(), NOW).unwrap();
    // Only the last block is wrapped anew: its external signature stays valid.
    let again = Forge {
        blocks: taken.blocks,
        ..Forge::of(&bytes, &cast.root, &[&cast.orchestrator, &cast.researcher])
    };
    let again = again.change(|f| f.blocks[2].next = KeyPair::new());
    let second = again.sign();
    assert_ne!(first.blocks[1].signature, second.blocks[1].signature);
    assert_eq!(
        refusal(&guard, &forge::base64(&second.encode_to_vec()), &search()),
        ("replayed", Some(2))
    );
    let unsealed = again.change(|f| f.proof = Proof::Secret);
    assert_eq!(refusal(&guard, &unsealed.bearer(), &search()), ("replayed", Some(2)));
}

#[test]
fn a_refused_call_burns_nothing_and_what_was_forgotten_stays_refused() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let once = |at| {
        let presenting = Presenting::to(AUDIENCE).call(search());
        let grant = cast.issuer().mint(cast.grant_of(&["tools:call:*"]), at).unwrap();
        grant.present(presenting, &cast.orchestrator, at).unwrap()
    };
    let bearer = once(NOW);
    assert_eq!(refusal(&guard, bearer.bearer(), &Call::tool("fetch").unwrap()).0, "other_call");
    guard.check(bearer.bearer(), &search(), NOW).unwrap();
    // The clock jumps a day ahead, old presentations are forgotten, and it jumps back.
    let tomorrow = NOW + Duration::from_secs(24 * 3600);
    guard.check(once(tomorrow).bearer(), &search(), tomorrow).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(refusal(&guard, bearer.bearer(), &search()), ("replayed", Some(1)));
}

struct Silent;

impl RevocationSource for Silent {
    fn revoked(&self, _: &Chain, _: &PublicKey) -> Result<Option<Revoked>, RevocationsUnavailable> {
        Err(RevocationsUnavailable("no answer".to_owned()))
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::Live
    }
}

impl Ledger for Silent {
    fn record(&self, _: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
        Err(LedgerUnavailable("no answer".to_owned()))
    }

    fn record_later(&self, entry: LedgerEntry, done: Done) {
        done(self.record(entry));
    }
}

#[test]
fn a_source_or_ledger_that_does_not_answer_leaves_it_undecided() {
    let cast = Cast::new();
    let bearer = cast.presented();
    let verifier = Verifier::new(cast.roots(), AUDIENCE, Silent).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), Store::in_memory().unwrap());
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(
        matches!(&denial, Denial::Undecided(refusal) if refusal.cause.as_str() == "revocations_unavailable")
    );
    let guard = Guard::new(cast.verifier(), Policy::builtin(), Silent);
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(
        matches!(&denial, Denial::Undecided(refusal) if refusal.cause.as_str() == "ledger_unavailable")
    );
    let denial = guard.check("garbage!", &search(), NOW).unwrap_err();
    assert!(
        matches!(denial, Denial::Undecided(_)),
        "a refusal that cannot be recorded is undecided too"
    );
}

/// What is remembered of a token is that its signatures hold, and not that it had not expired.
#[test]
fn a_remembered_token_expires_and_is_revoked_like_any_other() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let bearer = seed().bearer();
    let verified = verifier.verify(&bearer, NOW).unwrap();
    assert!(verifier.verify_remembered(&bearer, NOW).is_some());
    assert_eq!(verifier.verify_again(&verified, NOW), Ok(()));
    let expired = Err(("expired", Some(2)));
    let later = NOW + minutes(5);
    let said =
        |answer: Result<(), VerifyError>| answer.map_err(|e| (e.cause().as_str(), e.block()));
    assert_eq!(said(verifier.verify(&bearer, later).map(drop)), expired);
    assert_eq!(said(verifier.verify_again(&verified, later)), expired);
    assert!(verifier.verify_remembered(&bearer, later).is_none());
    revoke(&store, Revocation::Holder { key: cast.researcher.public() });
    let revoked = Err(("revoked", Some(1)));
    assert_eq!(said(verifier.verify(&bearer, NOW).map(drop)), revoked);
    assert_eq!(said(verifier.verify_again(&verified, NOW)), revoked);
    assert!(verifier.verify_remembered(&bearer, NOW).is_none());
}

/// An allowed call goes on after its own presentation ended, and not after the hop above it did.
#[test]
fn a_call_under_way_ends_with_its_hops_and_with_a_revocation() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let researchers = cast.researchers();
    let presented = |presenting: Presenting| {
        let bearer = researchers.present(presenting, &cast.researcher, NOW).unwrap();
        verifier.verify(bearer.bearer(), NOW).unwrap()
    };
    let (call, session) =
        (presented(Presenting::to(AUDIENCE).call(search())), presented(Presenting::to(AUDIENCE)));
    let ends = |verified: &VerifiedCapability, after| {
        let answer = verifier.verify_under_way(verified, NOW + after);
        answer.map_err(|error| (error.cause().as_str(), error.block()))
    };
    for presentation in [&call, &session] {
        assert_eq!(ends(presentation, minutes(14)), Ok(()));
        assert_eq!(ends(presentation, minutes(15)), Err(("expired", Some(1))));
    }
    revoke(&store, Revocation::Id { id: call.chain().hops[0].revocation_id });
    assert_eq!(ends(&call, minutes(1)), Err(("revoked", Some(1))));
    assert_eq!(ends(&session, minutes(1)), Err(("revoked", Some(1))));
}
