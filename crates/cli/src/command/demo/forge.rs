//! Forge: what somebody who holds a stolen token can do with the plain Biscuit library.

use std::error::Error;

use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::{Biscuit, PrivateKey as BiscuitPrivateKey};

use hardtack::{Capability, PrivateKey, PublicKey, Timestamp};

/// A presentation of a stolen capability, signed by the thief's own key.
pub(super) fn present(
    stolen: &Capability,
    root: PublicKey,
    thief: &PrivateKey,
    audience: &str,
    expires: Timestamp,
) -> Result<String, Box<dyn Error>> {
    let index = block_count(stolen);
    let block = BlockBuilder::new().code_with_params(
        "hop({index}); presentation(\"session\"); audience({audience}); expires({expires});",
        [
            ("index".to_owned(), i64::try_from(index)?.into()),
            ("audience".to_owned(), audience.into()),
            ("expires".to_owned(), biscuit_auth::builder::Term::Date(expires.unix_seconds())),
        ]
        .into(),
        Default::default(),
    )?;
    append(stolen, root, thief, block)
}

/// A hop that says more than its parent does, signed by the parent's own holder.
pub(super) fn widen(
    parent: &Capability,
    root: PublicKey,
    holder: &PrivateKey,
    expires: Timestamp,
) -> Result<Capability, Box<dyn Error>> {
    let index = block_count(parent);
    let block = BlockBuilder::new().code_with_params(
        "hop({index}); delegate(\"agent.greedy\"); scope(\"tools:call:*\"); reason(\"because I can\");
         expires({expires}); holder({holder});",
        [
            ("index".to_owned(), i64::try_from(index)?.into()),
            ("expires".to_owned(), biscuit_auth::builder::Term::Date(expires.unix_seconds())),
            ("holder".to_owned(), holder.public().to_bytes().to_vec().into()),
        ]
        .into(),
        Default::default(),
    )?;
    Ok(Capability::parse(&append(parent, root, holder, block)?)?)
}

fn append(
    token: &Capability,
    root: PublicKey,
    signer: &PrivateKey,
    block: BlockBuilder,
) -> Result<String, Box<dyn Error>> {
    let root = biscuit_auth::PublicKey::from_bytes(&root.to_bytes(), Algorithm::Ed25519)?;
    let token = Biscuit::from(token.to_bytes(), root)?;
    let signer: BiscuitPrivateKey = signer.to_text().parse()?;
    let block = token.third_party_request()?.create_block(&signer, block)?;
    Ok(token.append_third_party(signer.public(), block)?.to_base64()?)
}

fn block_count(token: &Capability) -> usize {
    1 + token.chain().hops.len() + token.chain().caveats.len()
}
