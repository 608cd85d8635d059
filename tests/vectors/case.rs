//! Case: a token, how it is put to a verifier, and the answer; as the file has it. `docs/vectors.md` explains each member.

use std::collections::BTreeMap;

use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::format::schema;
use hardtack::revocation::RevocationList;
use hardtack::{Call, PublicKey, RevocationId, Timestamp};
use prost::Message;
use serde::{Deserialize, Serialize};

use hardtack_testkit::forge::{self, Forge};
use hardtack_testkit::{AUDIENCE, NOW};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    pub root_private_key: String,
    pub root_public_key: String,
    /// Private keys, by whose they are.
    pub keys: BTreeMap<String, String>,
    pub testcases: Vec<Case>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub title: String,
    pub bearer: String,
    /// Empty where the bearer cannot be read.
    pub token: Vec<Block>,
    pub validations: BTreeMap<String, Validation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// `None` where Biscuit's library cannot print it.
    pub code: Option<String>,
    pub external_key: Option<String>,
    pub id: String,
    pub revocation_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    pub audience: String,
    pub now: Timestamp,
    pub operation: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<String>,
    /// The text of a JSON object, or what passes itself off as one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arguments: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub params: Option<String>,
    /// `None` for a call that is too inexact to have one.
    pub call_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Options::is_plain", default)]
    pub options: Options,
    pub result: Answer,
}

/// What a verifier was told besides its roots and its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_keys: Option<Vec<RootKey>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_unbound_hops: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub directory: BTreeMap<String, Vec<PublicKey>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_schemes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub large_integers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetimes: Option<Lives>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocations: Option<RevocationList>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accepted_before: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revokes: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKey {
    pub id: Option<u32>,
    pub key: PublicKey,
}

/// In seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lives {
    pub grant: u64,
    pub hop: u64,
    pub session: u64,
    pub call: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Answer {
    Ok { subject: String, agent: Option<String>, depth: usize },
    Err { cause: String, block: Option<usize>, status: u16 },
}

impl Options {
    fn is_plain(&self) -> bool {
        *self == Options::default()
    }
}

impl Case {
    /// A token that no validation was tried on yet.
    pub fn of(title: &str, forge: &Forge) -> Case {
        Case::of_token(title, &forge.sign())
    }

    pub fn of_token(title: &str, token: &schema::Biscuit) -> Case {
        Case {
            token: blocks(token),
            ..Case::of_text(title, &forge::base64(&token.encode_to_vec()))
        }
    }

    /// A bearer that is no token.
    pub fn of_text(title: &str, bearer: &str) -> Case {
        let (title, bearer) = (title.to_owned(), bearer.to_owned());
        Case { title, bearer, token: Vec::new(), validations: BTreeMap::new() }
    }

    /// Is refused for a call of the tool `search`, now.
    pub fn refused(self, cause: &str, block: Option<usize>) -> Case {
        self.with("", search().refused(cause, block))
    }

    /// Is allowed for such a call.
    pub fn allowed(self, agent: Option<&str>, depth: usize) -> Case {
        self.with("", search().allowed(agent, depth))
    }

    /// Tries one thing more.
    pub fn with(mut self, title: &str, validation: Validation) -> Case {
        let before = self.validations.insert(title.to_owned(), validation);
        assert!(before.is_none(), "{}: {title} stands twice", self.title);
        self
    }

    /// Tries one thing more that the researcher of the seed may do.
    pub fn ok(self, title: &str, validation: Validation) -> Case {
        self.with(title, validation.allowed(Some("agent.researcher"), 1))
    }
}

fn blocks(token: &schema::Biscuit) -> Vec<Block> {
    let printed = UnverifiedBiscuit::from(token.encode_to_vec()).ok();
    let signed = std::iter::once(&token.authority).chain(&token.blocks);
    let block = |(index, block): (usize, &schema::SignedBlock)| Block {
        code: match block.external_signature {
            Some(_) => printed_alone(token, block),
            None => printed.as_ref().and_then(|token| token.print_block_source(index).ok()),
        },
        external_key: block.external_signature.as_ref().map(|external| {
            let algorithm = match external.public_key.algorithm {
                0 => "ed25519",
                _ => "secp256r1",
            };
            format!("{algorithm}/{}", hex::encode(&external.public_key.key))
        }),
        id: hex::encode(
            block.external_signature.as_ref().map_or(&block.signature, |it| &it.signature),
        ),
        revocation_id: hex::encode(&block.signature),
    };
    signed.enumerate().map(block).collect()
}

/// A third-party block in Datalog. It has symbols and keys of its own, and what prints a whole token takes the keys
/// of another block for them: so it is printed as the first block of a token that has no other.
fn printed_alone(token: &schema::Biscuit, block: &schema::SignedBlock) -> Option<String> {
    let authority = schema::SignedBlock { external_signature: None, ..block.clone() };
    let alone = schema::Biscuit { authority, blocks: Vec::new(), ..token.clone() };
    let alone = UnverifiedBiscuit::from(alone.encode_to_vec()).ok()?;
    alone.print_block_source(0).ok()
}

/// A call of the tool `search`, now, of a verifier that was told nothing else.
pub fn search() -> Validation {
    call("tools:call:search")
}

pub fn call(operation: &str) -> Validation {
    let validation = Validation {
        audience: AUDIENCE.to_owned(),
        now: NOW,
        operation: operation.to_owned(),
        resource: None,
        arguments: None,
        params: None,
        call_digest: None,
        policy: None,
        options: Options::default(),
        result: Answer::Err { cause: String::new(), block: None, status: 0 },
    };
    validation.digested()
}

impl Validation {
    /// So many seconds later, or earlier.
    pub fn at(mut self, seconds: i64) -> Validation {
        let now = NOW.unix_seconds().checked_add_signed(seconds).unwrap();
        self.now = Timestamp::from_unix_seconds(now);
        self
    }

    pub fn to(mut self, audience: &str) -> Validation {
        audience.clone_into(&mut self.audience);
        self
    }

    pub fn resource(mut self, uri: &str) -> Validation {
        self.resource = Some(uri.to_owned());
        self.digested()
    }

    pub fn arguments(mut self, json: &str) -> Validation {
        self.arguments = Some(json.to_owned());
        self.digested()
    }

    pub fn params(mut self, json: &str) -> Validation {
        self.params = Some(json.to_owned());
        self.digested()
    }

    pub fn policy(mut self, datalog: &str) -> Validation {
        self.policy = Some(datalog.to_owned());
        self
    }

    pub fn told(mut self, tell: impl FnOnce(&mut Options)) -> Validation {
        tell(&mut self.options);
        self.digested()
    }

    pub fn allowed(mut self, agent: Option<&str>, depth: usize) -> Validation {
        let (subject, agent) = ("user:alice".to_owned(), agent.map(str::to_owned));
        self.result = Answer::Ok { subject, agent, depth };
        self
    }

    pub fn refused(mut self, cause: &str, block: Option<usize>) -> Validation {
        let cause = cause.to_owned();
        self.result = Answer::Err { status: status(&cause), cause, block };
        self
    }

    /// For a call that the token's checks or bonds do not allow, where otherwise the token would be refused.
    pub fn forbidden(self, cause: &str, block: Option<usize>) -> Validation {
        let cause = cause.to_owned();
        Validation { result: Answer::Err { cause, block, status: 403 }, ..self }
    }

    /// The call, if it is exact.
    pub fn call(&self) -> Result<Call, hardtack::CallError> {
        let call = Call::new(&self.operation)?;
        let call = if self.options.large_integers { call.large_integers() } else { call };
        let call = match &self.resource {
            Some(uri) => call.resource(uri)?,
            None => call,
        };
        let call = match &self.arguments {
            Some(json) => call.arguments(json)?,
            None => call,
        };
        match &self.params {
            Some(json) => call.params(json),
            None => Ok(call),
        }
    }

    fn digested(mut self) -> Validation {
        self.call_digest = self.call().ok().map(|call| hex::encode(call.digest()));
        self
    }
}

/// How a cause is answered, as the table in `docs/verification.md` has it.
fn status(cause: &str) -> u16 {
    match cause {
        "not_granted"
        | "resource_scheme"
        | "other_call"
        | "check_failed"
        | "policy_check_failed"
        | "policy_denied"
        | "nothing_allows"
        | "not_evaluable" => 403,
        "inexact_call" | "call_too_large" => 400,
        cause if cause.starts_with("revocation_") => 403,
        "revocations_stale" => 503,
        _ => 401,
    }
}

/// The id of a block of the token, as revocations have it.
pub fn id(forge: &Forge, block: usize) -> RevocationId {
    blocks(&forge.sign())[block].id.parse().unwrap()
}
