//! Revoking: may whoever asks end this capability (RFC 7009)?
//!
//! Whoever a block was made for may end it, and all that stands on it: the key that it names proves itself, as when it was issued. The
//! revocation is on disk before it is answered, and gateways hear of it by the feed of the issuer's store. A subject is never revoked
//! here: its next sign-in would be refused.
//!
//! Whoever got a hop can make as many as they like below it, and give each back. So they are counted by the grant, and take no place from
//! its own holder. What is revoked already is not written once more.

use hardtack::capability::Expect;
use hardtack::chain::RevocationId;
use hardtack::{Capability, Chain, PublicKey, Revocation, Revoking, Timestamp};

use crate::form::Form;
use crate::issuing::Issuing;
use crate::oauth::Refusal;

/// What stands in the log.
const REASON: &str = "its holder gave it back";

impl Issuing {
    /// Answers a request to the revocation endpoint: the form of its body, and its headers `DPoP`. A token that is none of this issuer's,
    /// or has expired, is answered as one that was revoked (RFC 7009, section 2.2).
    ///
    /// # Errors
    ///
    /// [`Refusal`], as the client reads it.
    pub async fn revoke(
        &self,
        form: &[u8],
        proofs: &[&str],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let form = Form::read(form)?;
        // Files of tokens end with a line break, and whoever sends one as it is means the token.
        let text = form.one("token")?.trim();
        let proved = self.proved(proofs, &self.revocation_endpoint, now)?;
        let Some(capability) = self.own(text) else {
            tracing::warn!(
                "nothing is revoked: what is given back is no capability of this issuer"
            );
            return Ok(());
        };
        let chain = capability.chain();
        if chain.expires() <= now {
            return Ok(());
        }
        let Some((block, id)) = made_for(chain, &proved.key) else {
            return Err(Refusal::request(
                "the key that is proved is named by no block of the token",
            ));
        };
        let grant = chain.grant.revocation_id;
        let counted = if block == 0 { format!("grant {grant}") } else { format!("below {grant}") };
        self.returns.count(&counted, now).map_err(Refusal::too_often)?;
        self.use_up(&proved, now).await?;
        if self.revoked(chain)?.is_some_and(|revoked| revoked.block <= block) {
            return Ok(());
        }
        // It need not be the subject: an agent gives back what was passed on to it.
        let by = format!("holder {}", proved.key);
        let revoking = Revoking::new(Revocation::Id { id }, by, REASON);
        let revoking = revoking.map_err(Refusal::request)?;
        self.write(revoking, now).await
    }

    /// The capability, if this issuer's key signed it and all its signatures hold.
    fn own(&self, text: &str) -> Option<Capability> {
        let subject = Capability::parse(text).ok()?.chain().grant.subject.clone();
        let expected = Expect::Root { key: self.public(), subject: &subject };
        Capability::accept(text, expected).ok()
    }
}

/// The first block that was made for this key: its number and its id.
fn made_for(chain: &Chain, key: &PublicKey) -> Option<(usize, RevocationId)> {
    let grant = (chain.grant.holder.as_ref(), chain.grant.revocation_id);
    let hops = chain.hops.iter().map(|hop| (hop.holder.as_ref(), hop.revocation_id));
    let mut blocks = std::iter::once(grant).chain(hops).enumerate();
    let (block, (_, id)) = blocks.find(|(_, (holder, _))| *holder == Some(key))?;
    Some((block, id))
}
