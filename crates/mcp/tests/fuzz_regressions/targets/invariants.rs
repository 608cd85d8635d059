//! Invariants: what `docs/profile.md` promises of whatever is accepted, looked at once more.
//!
//! Written from the page and not from the library: segments are compared and not prefixes, and signatures are
//! checked by Biscuit's own code.

use std::time::Duration;

use biscuit_auth::Biscuit;
use hardtack::chain::PresentationKind;
use hardtack::{Chain, PublicKey, Scope, Timestamp, VerifiedCapability};

use hardtack_testkit::forge::pair;
use hardtack_testkit::{AUDIENCE, Cast};

/// What may be added to a list that empty means "any": nothing that the parent lacks.
struct Allowed<'a> {
    scopes: &'a [Scope],
    audiences: &'a [String],
    expires: Timestamp,
    holder: Option<PublicKey>,
}

/// Of a token that was accepted at `now`, by a verifier called [`AUDIENCE`] that trusts the cast's root.
pub fn hold(verified: &VerifiedCapability, now: Timestamp) {
    let chain = verified.chain();
    let grant = &chain.grant;
    let root = Cast::new().root.public();
    assert_eq!(verified.root(), root);
    assert!(grant.issued.since(now) <= Duration::from_secs(60), "from the future");
    assert!(grant.expires > grant.issued, "expired before it was issued");
    assert!(grant.max_depth <= 13 && chain.depth() <= usize::from(grant.max_depth), "too deep");
    assert!(grant.subject.contains(':') && grant.subject.len() <= 128);
    lives(now, grant.expires, 24 * 3600);
    lists(&grant.scopes, &grant.audiences);
    assert_ne!(grant.holder, Some(root), "a root key as holder");
    let mut allowed = Allowed {
        scopes: &grant.scopes,
        audiences: &grant.audiences,
        expires: grant.expires,
        holder: grant.holder,
    };
    for hop in &chain.hops {
        signed_by_holder(&allowed, hop.signer);
        narrows(&allowed, &hop.scopes, &hop.audiences, hop.expires);
        lives(now, hop.expires, 3600);
        lists(&hop.scopes, &hop.audiences);
        assert_ne!(hop.holder, Some(root), "a root key as holder");
        assert!((1..=256).contains(&hop.reason.len()) && !hop.reason.trim().is_empty());
        assert!(!hop.reason.chars().any(char::is_control), "a reason that could move a cursor");
        assert!(!hop.delegate.is_empty() && !hop.delegate.contains(':'), "an agent like a subject");
        allowed = Allowed {
            scopes: &hop.scopes,
            audiences: &hop.audiences,
            expires: hop.expires,
            holder: hop.holder,
        };
    }
    presented(chain, &allowed, now);
    in_order(chain);
}

fn presented(chain: &Chain, allowed: &Allowed<'_>, now: Timestamp) {
    let last = chain.presentation.as_ref().expect("accepted without a presentation");
    assert_eq!(last.audience, AUDIENCE);
    signed_by_holder(allowed, last.signer);
    narrows(allowed, allowed.scopes, std::slice::from_ref(&last.audience), last.expires);
    let longest = if last.kind == PresentationKind::Session { 600 } else { 120 };
    lives(now, last.expires, longest);
    assert_eq!(chain.audiences(), [AUDIENCE]);
}

fn signed_by_holder(allowed: &Allowed<'_>, signer: Option<PublicKey>) {
    assert!(allowed.holder.is_some(), "an unbound hop was accepted");
    assert_eq!(allowed.holder, signer, "signed by somebody else than the holder");
}

fn narrows(allowed: &Allowed<'_>, scopes: &[Scope], audiences: &[String], expires: Timestamp) {
    for scope in scopes {
        let covered = allowed.scopes.iter().any(|wide| covers(wide.as_str(), scope.as_str()));
        assert!(covered, "{scope} is wider than {:?}", allowed.scopes);
    }
    if !allowed.audiences.is_empty() {
        assert!(!audiences.is_empty(), "an audience was lost");
        let known = |audience| allowed.audiences.contains(audience);
        assert!(audiences.iter().all(known), "{audiences:?} is wider than {:?}", allowed.audiences);
    }
    assert!(expires <= allowed.expires, "outlives its parent");
}

fn lives(now: Timestamp, expires: Timestamp, at_most: u64) {
    assert!(expires > now, "expired");
    assert!(expires.since(now) <= Duration::from_secs(at_most), "lives too long");
}

fn lists(scopes: &[Scope], audiences: &[String]) {
    assert!(!scopes.is_empty(), "no scope");
    let distinct: std::collections::BTreeSet<_> = scopes.iter().collect();
    assert_eq!(distinct.len(), scopes.len(), "a scope twice");
    for audience in audiences {
        let is_plain = audience.bytes().all(|byte| byte.is_ascii_graphic());
        assert!((1..=256).contains(&audience.len()) && is_plain, "{audience:?}");
    }
}

/// Every block is one of the chain's, the presentation is the last, and hops ascend.
fn in_order(chain: &Chain) {
    let mut blocks = vec![0];
    blocks.extend(chain.hops.iter().map(|hop| hop.index));
    assert!(blocks.is_sorted_by(|one, next| one < next), "hops out of order");
    blocks.extend(chain.caveats.iter().map(|caveat| caveat.index));
    blocks.extend(chain.presentation.iter().map(|last| last.index));
    let last = blocks.last().copied();
    blocks.sort_unstable();
    assert!(blocks.iter().copied().eq(0..blocks.len()), "a block is missing: {blocks:?}");
    assert_eq!(last, Some(blocks.len() - 1), "something follows the presentation");
    assert!(blocks.len() <= 16);
}

/// One scope within another, or an operation within a scope, segment by segment.
pub fn covers(wide: &str, narrow: &str) -> bool {
    let wide: Vec<&str> = wide.split(':').collect();
    let narrow: Vec<&str> = narrow.split(':').collect();
    match wide.split_last() {
        Some((&"*", [])) => narrow[0] != "hardtack",
        Some((&"*", before)) => narrow.len() > before.len() && narrow.starts_with(before),
        _ => wide == narrow,
    }
}

/// Biscuit's own library takes the token for genuine, too.
pub fn genuine(bytes: &[u8]) -> Biscuit {
    let root = pair(&Cast::new().root).public();
    Biscuit::from(bytes, root).expect("accepted, though Biscuit's own library refuses it")
}
