//! Directory: which keys does this verifier take for whose?

use std::collections::BTreeMap;

use crate::chain::Hop;
use crate::keys::PublicKey;

/// A list of which agents' names belong to which keys, as far as this server knows
/// ([`Verifier::directory`](crate::Verifier::directory)).
///
/// A listed name with another key, or a listed key with another name, is refused. Without a listing
/// an agent's name is only what its delegator calls it.
#[derive(Debug, Clone, Default)]
pub struct Directory(BTreeMap<String, Vec<PublicKey>>);

impl Directory {
    /// Adds a key of the agent called `name`. An agent may have several keys: call it again for each.
    pub fn and(mut self, name: impl Into<String>, key: PublicKey) -> Directory {
        self.0.entry(name.into()).or_default().push(key);
        self
    }

    pub(super) fn agrees(&self, hop: &Hop) -> bool {
        let keys_of_name = self.0.get(&hop.delegate);
        let of_this_key =
            |keys: &&Vec<PublicKey>| hop.holder.is_some_and(|key| keys.contains(&key));
        let key_is_listed = self.0.values().any(|keys| of_this_key(&keys));
        match keys_of_name {
            Some(keys) => of_this_key(&keys),
            None => !key_is_listed,
        }
    }
}
