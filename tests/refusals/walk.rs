//! Refused by the walk: what widens, lives too long, is signed by another.

use crate::*;

#[test]
fn expired() {
    let error = Cast::new().verifier().verify(&seed().bearer(), NOW + minutes(5)).unwrap_err();
    assert_eq!((error.cause().as_str(), error.block()), ("expired", Some(2)));
    let (cast, just_before) = (Cast::new(), NOW + minutes(5) - Duration::from_secs(1));
    cast.verifier().verify(&seed().bearer(), just_before).unwrap();
}

#[test]
fn signed_by_a_thief_or_by_nobody() {
    let cast = Cast::new();
    let thief = || Some(forge::pair(&cast.thief));
    assert_eq!(
        cause(&seed().change(|f| f.blocks[1].signer = thief()).bearer()),
        ("wrong_signer", Some(1))
    );
    assert_eq!(
        cause(&seed().change(|f| f.blocks[2].signer = thief()).bearer()),
        ("wrong_signer", Some(2))
    );
    // A first-party block reads by the shared table of words, so the forge writes it as such.
    let unsigned = cast.researchers();
    let token = biscuit_auth::UnverifiedBiscuit::from(unsigned.to_bytes()).unwrap();
    let block = biscuit_auth::builder::BlockBuilder::new();
    let block = block.code(r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#).unwrap();
    let bearer = token.append(block).unwrap().to_base64().unwrap();
    assert_eq!(cause(&bearer), ("wrong_signer", Some(2)));
}

#[test]
fn a_chain_that_is_bound_to_nobody() {
    let cast = Cast::new();
    let unbound = cast
        .issuer()
        .mint(Grant::to("user:alice").scope("*").scope("hardtack:revoke").unbound(), NOW)
        .unwrap();
    let bearer = unbound.present_unbound(Presenting::to(AUDIENCE), NOW).unwrap();
    assert_eq!(cause(bearer.bearer()), ("unbound", Some(1)));
    let delegated = unbound.delegate_unbound(cast.to_researcher(), NOW).unwrap();
    let second = delegated.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    assert_eq!(cause(second.bearer()), ("unbound", Some(1)));
    let tolerant = cast.verifier().accept_unbound_hops();
    let verified = tolerant.verify(second.bearer(), NOW).unwrap();
    authorize(&verified, &Policy::builtin(), &search()).unwrap();
    let verified = tolerant.verify(bearer.bearer(), NOW).unwrap();
    let governing = Call::new("hardtack:revoke").unwrap();
    assert_eq!(
        authorize(&verified, &Policy::builtin(), &governing).unwrap_err().cause().as_str(),
        "unbound"
    );
}

#[test]
fn a_signature_that_says_nothing() {
    let cast = Cast::new();
    let unbound = cast.issuer().mint(Grant::to("user:alice").scope("*").unbound(), NOW).unwrap();
    let forged = Forge::of(&unbound.to_bytes(), &cast.root, &[])
        .append(&hop(SCOPE), Some(&cast.thief))
        .append(r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#, Some(&cast.researcher));
    let verifier = cast.verifier().accept_unbound_hops();
    assert_eq!(cause_by(&verifier, &forged.bearer()), ("foreign_signer", Some(1)));
}

#[test]
fn hops_that_widen() {
    assert_eq!(cause(&seed().write(1, &hop(r#"scope("*");"#)).bearer()), ("scope_wider", Some(1)));
    assert_eq!(cause(&with_hop(r#"scope("resources:read");"#).bearer()), ("scope_wider", Some(1)));
    let late = hop(SCOPE).replace("10:10:00Z", "11:00:01Z");
    assert_eq!(cause(&seed().write(1, &late).bearer()), ("expiry_wider", Some(1)));
    let late = r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:15:01Z);"#;
    assert_eq!(cause(&seed().write(2, late).bearer()), ("expiry_wider", Some(2)));

    let cast = Cast::new();
    let grant = cast
        .issuer()
        .mint(cast.grant_of(&["tools:call:*"]).audience(AUDIENCE).max_depth(1), NOW)
        .unwrap();
    let forge = || Forge::of(&grant.to_bytes(), &cast.root, &[]);
    let audience = forge()
        .append(&hop(&format!(r#"{SCOPE} audience("mail.mcp");"#)), Some(&cast.orchestrator));
    let presented =
        r#"hop(2); presentation("session"); audience("mail.mcp"); expires(2026-11-23T10:02:00Z);"#;
    assert_eq!(
        cause(&audience.append(presented, Some(&cast.researcher)).bearer()),
        ("audience_wider", Some(1))
    );
    let inherited = forge()
        .append(&hop(SCOPE), Some(&cast.orchestrator))
        .append(presented, Some(&cast.researcher));
    assert_eq!(cause(&inherited.bearer()), ("audience_wider", Some(2)));
    let second = hop(SCOPE).replace("hop(1)", "hop(2)");
    let deep = forge()
        .append(&hop(SCOPE), Some(&cast.orchestrator))
        .append(&second, Some(&cast.researcher));
    assert_eq!(cause(&deep.bearer()), ("too_deep", Some(2)));
}

#[test]
fn lives_longer_than_minutes() {
    let life = |from: &str, to: &str, block: usize, datalog: &str| {
        cause(&seed().write(block, &datalog.replace(from, to)).bearer())
    };
    let cast = Cast::new();
    let holder = hex::encode(cast.orchestrator.public().to_bytes());
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-24T10:00:00Z); max_depth(8); holder(hex:{holder});"#
    );
    assert_eq!(life("24T10:00:00Z", "24T10:00:01Z", 0, &grant), ("too_long_lived", Some(0)));
    let longest = seed().write(0, &grant).write(1, &hop(SCOPE).replace("10:10:00Z", "11:00:01Z"));
    assert_eq!(cause(&longest.bearer()), ("too_long_lived", Some(1)));
    let session = r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:10:01Z);"#;
    assert_eq!(life("", "", 2, session), ("too_long_lived", Some(2)));
    let call = format!(
        r#"hop(2); presentation("call"); audience("notion.mcp"); expires(2026-11-23T10:02:01Z); digest(hex:{}); nonce(hex:{});"#,
        "00".repeat(32),
        "00".repeat(16)
    );
    assert_eq!(life("", "", 2, &call), ("too_long_lived", Some(2)));
    let patient = Lifetimes { session: minutes(60), ..Lifetimes::default() };
    cast.verifier().lifetimes(patient).verify(&seed().write(2, session).bearer(), NOW).unwrap();
}

#[test]
fn a_grant_from_the_future() {
    let verify = |seconds| {
        Cast::new().verifier().verify(&seed().bearer(), NOW - Duration::from_secs(seconds))
    };
    verify(60).unwrap();
    let error = verify(61).unwrap_err();
    assert_eq!((error.cause().as_str(), error.block()), ("not_yet_issued", Some(0)));
}

#[test]
fn a_grant_that_expires_before_it_was_issued() {
    let holder = hex::encode(Cast::new().orchestrator.public().to_bytes());
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:50Z); expires(2026-11-23T10:00:50Z); max_depth(8); holder(hex:{holder});"#
    );
    let forged = seed().write(0, &grant);
    assert_eq!(cause(&forged.bearer()), ("issued_after_expiry", Some(0)));
}

#[test]
fn a_root_key_as_holder() {
    let cast = Cast::new();
    assert!(matches!(
        cast.issuer().mint(Grant::to("user:alice").scope("*").holder(cast.root.public()), NOW),
        Err(MintError::HolderIsRoot)
    ));
    let delegation = cast.to_researcher().holder(cast.root.public());
    let capability = cast.grant().delegate(delegation, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.root, NOW).unwrap();
    assert_eq!(cause(bearer.bearer()), ("root_as_holder", Some(1)));
}

#[test]
fn a_name_that_the_directory_knows_otherwise() {
    let cast = Cast::new();
    let bearer = seed().bearer();
    let by = |directory| {
        cast.verifier()
            .directory(directory)
            .verify(&bearer, NOW)
            .map(|_| ())
            .map_err(|error| (error.cause().as_str(), error.block()))
    };
    let mismatch = Err(("name_mismatch", Some(1)));
    assert_eq!(by(Directory::default().and("agent.researcher", cast.researcher.public())), Ok(()));
    assert_eq!(by(Directory::default().and("agent.other", cast.thief.public())), Ok(()));
    assert_eq!(by(Directory::default().and("agent.researcher", cast.thief.public())), mismatch);
    assert_eq!(by(Directory::default().and("agent.other", cast.researcher.public())), mismatch);
}

#[test]
fn not_presented_or_presented_to_another() {
    let cast = Cast::new();
    assert_eq!(cause(&cast.researchers().to_base64()), ("not_presented", None));
    let elsewhere =
        cast.researchers().present(Presenting::to("mail.mcp"), &cast.researcher, NOW).unwrap();
    assert_eq!(cause(elsewhere.bearer()), ("wrong_audience", None));
}

#[test]
fn a_root_key_as_holder_of_the_grant() {
    let cast = Cast::new();
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); max_depth(8); holder(hex:{});"#,
        hex::encode(cast.root.public().to_bytes())
    );
    assert_eq!(cause(&seed().write(0, &grant).bearer()), ("root_as_holder", Some(0)));
}

#[test]
fn a_verifier_has_a_name_that_a_token_can_name() {
    for audience in ["", "no tion.mcp", "nötion.mcp", &"a".repeat(257)] {
        let verifier = Verifier::new(Cast::new().roots(), audience, RevocationUnchecked);
        let refused = matches!(verifier, Err(hardtack::names::NameError::Audience(_)));
        assert!(refused, "{audience:?}");
    }
}
