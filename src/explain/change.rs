//! Change: what somebody can do so that a call is allowed.

use serde::Serialize;

use crate::cause::Cause;
use crate::timestamp::Timestamp;

/// A remedy: what stands in the way of a call, and the changes of which one takes it away.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Remedy {
    /// The obstacle that stands in the way, in words.
    pub obstacle: String,
    /// The obstacle in one line: who demands what, or which policy lacks what.
    pub summary: String,
    /// The number of the block that stands in the way, if one does.
    pub block: Option<usize>,
    /// The policy that stands in the way or is nearest to allowing it, as file and line, if one is.
    pub policy: Option<String>,
    /// The changes, of which any one takes the obstacle away. The least comes first.
    pub changes: Vec<Change>,
}

impl Remedy {
    pub(super) fn new(obstacle: impl Into<String>, changes: Vec<Change>) -> Remedy {
        let obstacle = obstacle.into();
        Remedy { summary: obstacle.clone(), obstacle, block: None, policy: None, changes }
    }

    /// Of what can happen once a call is allowed.
    pub(super) fn of_record(cause: Option<Cause>) -> Remedy {
        match cause {
            Some(Cause::Replayed) => Remedy::new(
                "a presentation that is bound to a call is good for it once",
                vec![Change::Present {
                    audience: None,
                    kind: Some("call"),
                    text: "present the capability again for this call: hardtack present --call …"
                        .to_owned(),
                }],
            ),
            _ => Remedy::new(
                "what cannot be recorded is not allowed",
                vec![Change::Server {
                    text: "see to the store: hardtack store check FILE".to_owned(),
                }],
            ),
        }
    }
}

/// A change that somebody can make.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Call it with another argument.
    Argument {
        /// The name of the argument.
        argument: String,
        /// The condition that it must satisfy.
        must: String,
        /// A value that satisfies it, if one is known.
        example: Option<serde_json::Value>,
        /// The change in words.
        text: String,
    },
    /// Call it without an argument.
    NoArgument {
        /// The name of the argument.
        argument: String,
        /// The change in words.
        text: String,
    },
    /// Have the grant or a hop made anew, with one more scope.
    Scope {
        /// The number of the block.
        block: usize,
        /// The name of whoever makes that block.
        by: String,
        /// The scope to add.
        scope: String,
        /// The change in words.
        text: String,
    },
    /// Have the grant or a hop made anew, without a check or with one that leaves room.
    Check {
        /// The number of the block.
        block: usize,
        /// The name of whoever makes that block.
        by: String,
        /// The check or constraint as it stands in the token.
        check: String,
        /// A constraint in its place that lets this call through; `None` where it must be left out.
        instead: Option<String>,
        /// The change in words.
        text: String,
    },
    /// Have the grant, a hop or the presentation made anew.
    Renew {
        /// The number of the block.
        block: usize,
        /// The name of whoever makes that block.
        by: String,
        /// The change in words.
        text: String,
    },
    /// Have the issuer state a fact about the subject, or no longer state it.
    Fact {
        /// The fact, in Datalog.
        fact: String,
        /// True if the fact must be stated, false if it must not be.
        stated: bool,
        /// The change in words.
        text: String,
    },
    /// Present the capability in another way.
    Present {
        /// The audience to present it to, if that matters.
        audience: Option<String>,
        /// The kind of presentation, `session` or `call`, if that matters.
        kind: Option<&'static str>,
        /// The change in words.
        text: String,
    },
    /// Call another operation, which is probably meant.
    Operation {
        /// The operation.
        operation: String,
        /// The change in words.
        text: String,
    },
    /// Call it for another resource.
    Resource {
        /// The condition that it must satisfy.
        must: String,
        /// The change in words.
        text: String,
    },
    /// Call it later.
    Wait {
        /// The first moment at which it would be allowed.
        until: Timestamp,
        /// The change in words.
        text: String,
    },
    /// Have it delegated to somebody else, or by way of somebody else.
    Delegation {
        /// The public key of whoever has to take part, 64 hexadecimal digits, if the key matters.
        key: Option<String>,
        /// The name of whoever has to take part, if the name matters.
        agent: Option<String>,
        /// True if they delegate it on to the agent that calls now, false if they call themselves.
        onward: bool,
        /// The change in words.
        text: String,
    },
    /// Have it called by somebody earlier in the chain.
    Caller {
        /// How many hops the chain then has.
        depth: usize,
        /// The name of who calls.
        caller: String,
        /// The change in words.
        text: String,
    },
    /// Call it where something else is so: at another server, for another subject.
    Otherwise {
        /// The condition that must hold, in Datalog.
        must: String,
        /// The change in words.
        text: String,
    },
    /// Change the policies.
    Policy {
        /// The policy to change, as file and line; `None` for a new one.
        at: Option<String>,
        /// A line that would do if it were added.
        add: Option<String>,
        /// A fact that would have to be taken out.
        remove: Option<String>,
        /// The change in words.
        text: String,
    },
    /// Change how the server is set up.
    Server {
        /// The change in words.
        text: String,
    },
    /// Ask somebody for a new token.
    Token {
        /// The change in words.
        text: String,
    },
}

impl Change {
    /// Returns the change in words.
    pub fn text(&self) -> &str {
        match self {
            Change::Argument { text, .. }
            | Change::NoArgument { text, .. }
            | Change::Scope { text, .. }
            | Change::Check { text, .. }
            | Change::Renew { text, .. }
            | Change::Fact { text, .. }
            | Change::Present { text, .. }
            | Change::Resource { text, .. }
            | Change::Operation { text, .. }
            | Change::Otherwise { text, .. }
            | Change::Wait { text, .. }
            | Change::Delegation { text, .. }
            | Change::Caller { text, .. }
            | Change::Policy { text, .. }
            | Change::Server { text }
            | Change::Token { text } => text,
        }
    }
}
