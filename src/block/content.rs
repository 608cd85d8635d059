//! Content: a block's facts and checks as the bytes that are signed.
//!
//! They are, byte for byte, what Biscuit's library writes for the same block. Its own writer wants the whole token read
//! first, and makes signatures beside.

use biscuit_auth::builder::{Convert, Scope};
use biscuit_auth::datalog::{SymbolTable, get_schema_version};
use biscuit_auth::format::convert::{token_check_to_proto_check, token_fact_to_proto_fact};
use biscuit_auth::format::schema;
use prost::Message;

use crate::block::Writer;
use crate::profile::shape::THIRD_PARTY_DATALOG;

/// What the blocks before have defined, and a first-party block may use without defining it.
#[derive(Debug, Clone)]
pub(crate) struct Defined {
    pub(crate) symbols: SymbolTable,
    /// The keys in the same table, which does not tell them.
    pub(crate) keys: Vec<biscuit_auth::PublicKey>,
}

impl Writer {
    /// The content of a third-party block, which defines all that it uses.
    pub(crate) fn third_party(&self) -> Vec<u8> {
        let nothing = Defined { symbols: SymbolTable::new(), keys: Vec::new() };
        self.encode(nothing, THIRD_PARTY_DATALOG)
    }

    /// The content of a first-party block, which goes on with what those before it have defined.
    pub(crate) fn first_party(&self, defined: Defined) -> Vec<u8> {
        self.encode(defined, 0)
    }

    fn encode(&self, defined: Defined, least: u32) -> Vec<u8> {
        let Defined { mut symbols, keys } = defined;
        let known = symbols.current_offset();
        let facts = self.facts.iter().map(|fact| fact.convert(&mut symbols)).collect::<Vec<_>>();
        let checks = self.checks.iter().map(|check| check.convert(&mut symbols));
        let checks = checks.collect::<Vec<_>>();
        let version = get_schema_version(&facts, &[], &checks, &[]).version();
        let content = schema::Block {
            symbols: symbols.split_at(known).strings(),
            context: None,
            version: Some(version.max(least)),
            facts: facts.iter().map(token_fact_to_proto_fact).collect(),
            rules: Vec::new(),
            checks: checks.iter().map(token_check_to_proto_check).collect(),
            scope: Vec::new(),
            public_keys: self.new_keys(keys),
        };
        content.encode_to_vec()
    }

    /// The keys that the checks trust and that are not known yet, in the order in which the conversion numbers them.
    fn new_keys(&self, mut keys: Vec<biscuit_auth::PublicKey>) -> Vec<schema::PublicKey> {
        let known = keys.len();
        let queries = self.checks.iter().flat_map(|check| &check.queries);
        for scope in queries.flat_map(|query| &query.scopes) {
            match scope {
                Scope::PublicKey(key) if !keys.contains(key) => keys.push(*key),
                _ => {}
            }
        }
        let new = keys[known..].iter().map(|key| schema::PublicKey {
            algorithm: schema::public_key::Algorithm::Ed25519 as i32,
            key: key.to_bytes(),
        });
        new.collect()
    }
}
