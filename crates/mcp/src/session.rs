//! Session: who opened it? A session id that is authenticated by a MAC (HMAC), and kept nowhere.
//!
//! The server's own session id goes to the client with a code over who opened it, which only gateways with the same store can
//! make. Whoever else sends it is told that there is no such session. So nothing is kept here, and nobody can
//! fill what would keep it.

use std::fmt;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::{Digest, Sha256};

use hardtack::verify::VerifiedCapability;

/// Who a session or a task belongs to: the root and subject that the rights come from, and the key that uses
/// them. A presentation that is renewed has the same, and so has a grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner([u8; 32]);

impl Owner {
    pub(crate) fn of(verified: &VerifiedCapability) -> Owner {
        let chain = verified.chain();
        let holder = verified.presentation().signer.map(|key| key.to_bytes());
        let mut digest = Sha256::new();
        digest.update(verified.root().to_bytes());
        digest.update((verified.subject().len() as u64).to_le_bytes());
        digest.update(verified.subject());
        // Where nobody in particular holds it, whoever has the same last hop does.
        match holder {
            Some(key) => {
                digest.update([1]);
                digest.update(key);
            }
            None => {
                digest.update([0]);
                let last = chain.hops.last();
                let last = last.map_or(chain.grant.revocation_id, |hop| hop.revocation_id);
                digest.update(last.as_bytes());
            }
        }
        Owner(digest.finalize().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Owner {
        Owner(bytes)
    }
}

/// Binds session ids to owners.
pub(crate) struct Sessions([u8; 64]);

/// Between the server's id and the code; no id has it at its end unless it is bound.
const MARK: char = '.';

/// Bytes of the code: 128 bits, since each guess is a request.
const CODE_BYTES: usize = 16;

impl Sessions {
    /// Sessions whose codes are made with this key.
    pub(crate) fn with(key: [u8; 64]) -> Sessions {
        Sessions(key)
    }

    /// Sessions of this process alone. After a restart clients are told that theirs are gone, and open new ones.
    pub(crate) fn new() -> Sessions {
        let mut key = [0; 64];
        OsRng.fill_bytes(&mut key);
        Sessions(key)
    }

    /// What the client is given for the server's `id`.
    pub(crate) fn bind(&self, id: &str, owner: Owner) -> String {
        let code = self.code(id, owner).finalize().into_bytes();
        format!("{id}{MARK}{}", hex::encode(&code[..CODE_BYTES]))
    }

    /// The server's id, if this owner was given it.
    pub(crate) fn unbind<'a>(&self, bound: &'a str, owner: Owner) -> Option<&'a str> {
        let (id, code) = bound.rsplit_once(MARK)?;
        let code: [u8; CODE_BYTES] = hex::decode(code).ok()?.try_into().ok()?;
        self.code(id, owner).verify_truncated_left(&code).ok()?;
        Some(id)
    }

    /// Over the owner, which has one length, and the id.
    fn code(&self, id: &str, owner: Owner) -> Hmac<Sha256> {
        let keyed = <Hmac<Sha256> as KeyInit>::new((&self.0).into());
        keyed.chain_update(owner.0).chain_update(id)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_owners() {
        let sessions = Sessions::new();
        let (mine, theirs) = (Owner([1; 32]), Owner([2; 32]));
        let bound = sessions.bind("a.b-1", mine);
        assert_eq!(sessions.unbind(&bound, mine), Some("a.b-1"));
        assert_eq!(sessions.unbind(&bound, theirs), None);
        assert_eq!(Sessions::new().unbind(&bound, mine), None);
        for other in ["a.b-1", "a.b-1.", "", ".", &bound[..bound.len() - 2], &format!("x{bound}")] {
            assert_eq!(sessions.unbind(other, mine), None, "{other}");
        }
    }

    /// The owner of a session that is presented with what `holder` was granted.
    fn owner(issuer: &hardtack::Issuer, holder: &hardtack::PrivateKey) -> Owner {
        owner_of(issuer, holder, "user:alice")
    }

    fn owner_of(issuer: &hardtack::Issuer, holder: &hardtack::PrivateKey, subject: &str) -> Owner {
        let now = hardtack::Timestamp::from_unix_seconds(1_795_428_000);
        let grant = hardtack::Grant::to(subject).scope("tools:*").holder(holder.public());
        let presenting = hardtack::Presenting::to("notion.mcp");
        let grant = issuer.mint(grant, now).unwrap();
        let presentation = grant.present(presenting, holder, now).unwrap();
        let roots = hardtack::RootKeys::of(issuer.public());
        let verifier =
            hardtack::Verifier::new(roots, "notion.mcp", hardtack::revocation::RevocationUnchecked);
        Owner::of(&verifier.unwrap().verify(presentation.bearer(), now).unwrap())
    }

    #[test]
    fn an_owner_is_one_key_with_the_rights_of_one_subject_of_one_root() {
        let issuer = hardtack::Issuer::new(hardtack::PrivateKey::generate());
        let (one, two) = (hardtack::PrivateKey::generate(), hardtack::PrivateKey::generate());
        assert_ne!(owner(&issuer, &one), owner(&issuer, &two), "two keys");
        assert_eq!(owner(&issuer, &one), owner(&issuer, &one), "a grant that is renewed");
        assert_ne!(owner(&issuer, &one), owner_of(&issuer, &one, "user:bob"), "two subjects");
        let other = hardtack::Issuer::new(hardtack::PrivateKey::generate());
        assert_ne!(owner(&issuer, &one), owner(&other, &one), "two roots");
        let sessions = Sessions::new();
        let bound = sessions.bind("a", Owner([1; 32]));
        assert_eq!(sessions.unbind(&bound.replace("a.", "b."), Owner([1; 32])), None);
    }

    /// Where nobody in particular holds it.
    #[test]
    fn whoever_has_another_last_hop_is_another_owner() {
        let now = hardtack::Timestamp::from_unix_seconds(1_795_428_000);
        let issuer = hardtack::Issuer::new(hardtack::PrivateKey::generate());
        let grant = hardtack::Grant::to("user:alice").scope("tools:*").unbound();
        let grant = issuer.mint(grant, now).unwrap();
        let hop = |name: &str| {
            let hop = hardtack::Delegation::to(name).scope("tools:*").reason("x").unbound();
            grant.delegate_unbound(hop, now).unwrap()
        };
        let verifier = hardtack::Verifier::new(
            hardtack::RootKeys::of(issuer.public()),
            "notion.mcp",
            hardtack::revocation::RevocationUnchecked,
        );
        let verifier = verifier.unwrap().accept_unbound_hops();
        let owner = |capability: &hardtack::Capability| {
            let presenting = hardtack::Presenting::to("notion.mcp");
            let presentation = capability.present_unbound(presenting, now).unwrap();
            Owner::of(&verifier.verify(presentation.bearer(), now).unwrap())
        };
        let (one, two) = (hop("agent.a"), hop("agent.b"));
        assert_eq!(owner(&one), owner(&one), "a presentation that is renewed");
        assert_ne!(owner(&one), owner(&two));
        assert_ne!(owner(&one), owner(&grant));
    }
}
