//! Tenuo: a stack of warrants from the wire, and a proof of possession for one call.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tenuo::wire::{WarrantStack, decode_stack, encode_stack};
use tenuo::{Authorizer, ConstraintSet, ConstraintValue, Signature, SigningKey, Warrant};

pub(crate) struct Warrants {
    authorizer: Authorizer,
    stack: WarrantStack,
    holder: SigningKey,
    arguments: HashMap<String, ConstraintValue>,
    wire: String,
}

impl Warrants {
    /// A root warrant and three that were passed on, each signed by another key.
    pub(crate) fn new() -> Warrants {
        let keys: Vec<SigningKey> = (0..5).map(|_| SigningKey::generate()).collect();
        let root = Warrant::builder()
            .capability("search", ConstraintSet::new())
            .ttl(Duration::from_secs(3600))
            .holder(keys[1].public_key())
            .build(&keys[0]);
        let mut stack = vec![root.expect("a warrant")];
        for hop in 1..4 {
            let next = stack[hop - 1].attenuate().inherit_all().holder(keys[hop + 1].public_key());
            let next = next.build(&keys[hop]).expect("a warrant");
            stack.push(next);
        }
        let mut authorizer = Authorizer::new();
        authorizer.add_trusted_root(keys[0].public_key());
        let stack = WarrantStack::new(stack);
        let wire = URL_SAFE_NO_PAD.encode(encode_stack(&stack).expect("bytes"));
        let query = ConstraintValue::String("roadmap".to_owned());
        let arguments = HashMap::from([("query".to_owned(), query)]);
        Warrants { authorizer, stack, holder: keys[4].clone(), arguments, wire }
    }

    /// A proof of now, as text. It holds for some minutes by the machine's clock.
    pub(crate) fn proof(&self) -> String {
        let leaf = self.stack.leaf().expect("a warrant");
        let proof = leaf.sign(&self.holder, "search", &self.arguments).expect("a proof");
        URL_SAFE_NO_PAD.encode(proof.to_bytes())
    }

    pub(crate) fn check(&self, proof: &str) -> bool {
        let stack = decode_stack(&URL_SAFE_NO_PAD.decode(&self.wire).expect("base64"));
        let proof = URL_SAFE_NO_PAD.decode(proof).expect("base64");
        let proof = Signature::from_bytes(proof.as_slice().try_into().expect("64 bytes"));
        let (stack, proof) = (stack.expect("a stack"), proof.expect("a signature"));
        self.authorizer.check_chain(&stack.0, "search", &self.arguments, Some(&proof), &[]).is_ok()
    }
}
