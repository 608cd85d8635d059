//! Envelope: every field around the blocks, which nobody signs or which the signatures are.

use prost::Message as _;

use super::expected::Verdict::{self, Accepted, Refused};
use super::{Change, case, changed, tokens};
use crate::case::Case;
use crate::wire::{Label, Message};

pub(super) fn cases() -> Vec<Case> {
    let token = tokens::all().remove(0);
    let mut forge = tokens::copy(&token.forge);
    forge.root_key_id = Some(7);
    let tree = Message::read("Biscuit", &forge.sign().encode_to_vec());
    let mut cases = Vec::new();
    for path in tree.places() {
        let (last, above) = path.split_last().unwrap();
        let field = tree.at(above).fields[*last].described;
        for (change, what) in Change::ALL {
            // A block's content is changed field by field, and without the hint it is the token as it was.
            let elsewhere = [("block", Change::Another), ("rootKeyId", Change::Removed)];
            if elsewhere.contains(&(field.name, change)) {
                continue;
            }
            let Some(bytes) = changed(&tree, &path, change) else { continue };
            let name = tree.name_of(&path);
            let verdict = expected(&name, field.label, change);
            let bearer = hardtack_testkit::forge::base64(&bytes);
            cases.push(case(&token, format!("{name} of the envelope, {what}"), bearer, verdict));
        }
    }
    cases
}

fn expected(name: &str, label: Label, change: Change) -> Verdict {
    let removed = change == Change::Removed;
    if removed && matches!(label, Label::Required | Label::OneOf) {
        return Refused("not_a_token", None);
    }
    let block = match name.split('/').next().unwrap_or_default() {
        "authority" => 0,
        "blocks[0]" => 1,
        "blocks[1]" => 2,
        _ => 3,
    };
    let here = |cause| Refused(cause, Some(block));
    match (name.split_once('/').map_or(name, |(_, field)| field), change) {
        // A hint, that nothing signs.
        ("rootKeyId", _) => Accepted,
        // Behind it a block stands that was signed over more, or over less.
        ("blocks[0]" | "blocks[1]", Change::Removed) => Refused("other_parent", Some(2)),
        // The seal is of the block that is gone.
        ("blocks[2]", Change::Removed) => Refused("signature", Some(2)),
        ("blocks[0]", _) => Refused("other_parent", Some(2)),
        // Nobody signs a caveat, and its words are there already.
        ("blocks[1]", _) => Refused("symbols", Some(3)),
        ("blocks[2]", _) => Refused("other_parent", Some(4)),
        ("block", _) => here("encoding"),
        ("version", _) => here("signature_version"),
        // The words of a block that nobody signs are those of the grant, which it defines again.
        ("externalSignature", _) => here("symbols"),
        ("nextKey/algorithm" | "externalSignature/publicKey/algorithm", _) => here("algorithm"),
        ("nextKey/key" | "externalSignature/publicKey/key", Change::Empty) => here("algorithm"),
        // Who signed is what later blocks say of their parent.
        ("externalSignature/publicKey/key", _) if block < 3 => Refused("other_parent", Some(3)),
        ("nextKey/key" | "externalSignature/publicKey/key", _) => here("signature"),
        (_, Change::Empty) => here("signature_version"),
        _ => here("signature"),
    }
}
