//! Change: what somebody can do so that a call is allowed.

use serde::Serialize;

use crate::cause::Cause;

/// What has to be changed, by one of several changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Remedy {
    /// What stands in the way.
    pub obstacle: String,
    /// Any one of these takes it away; the least comes first.
    pub changes: Vec<Change>,
}

impl Remedy {
    pub(super) fn new(obstacle: impl Into<String>, changes: Vec<Change>) -> Remedy {
        Remedy { obstacle: obstacle.into(), changes }
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

/// Something that somebody can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Call it with another argument.
    Argument {
        /// The argument's name.
        argument: String,
        /// What it must satisfy.
        must: String,
        /// A value that does, if one is known.
        example: Option<serde_json::Value>,
        /// In words.
        text: String,
    },
    /// Call it without an argument.
    NoArgument {
        /// The argument's name.
        argument: String,
        /// In words.
        text: String,
    },
    /// Have a hop or the grant made anew with one more scope.
    Scope {
        /// The block.
        block: usize,
        /// Who makes it.
        by: String,
        /// The scope to add.
        scope: String,
        /// In words.
        text: String,
    },
    /// Have a hop or the grant made anew, without a check or with one that leaves room.
    Check {
        /// The block.
        block: usize,
        /// Who makes it.
        by: String,
        /// The check or constraint as it is.
        check: String,
        /// A constraint in its place that lets this call through; none where it must be left out.
        instead: Option<String>,
        /// In words.
        text: String,
    },
    /// Have a hop, the grant or the presentation made anew.
    Renew {
        /// The block.
        block: usize,
        /// Who makes it.
        by: String,
        /// In words.
        text: String,
    },
    /// Have the issuer state something more, or no longer, of the subject.
    Fact {
        /// The fact.
        fact: String,
        /// Whether it must be there or not.
        stated: bool,
        /// In words.
        text: String,
    },
    /// Present the capability otherwise.
    Present {
        /// To which server, if that matters.
        audience: Option<String>,
        /// `session` or `call`, if that matters.
        kind: Option<&'static str>,
        /// In words.
        text: String,
    },
    /// Another operation is meant.
    Operation {
        /// Which.
        operation: String,
        /// The change in words.
        text: String,
    },
    /// Call it for another resource.
    Resource {
        /// What it must satisfy.
        must: String,
        /// In words.
        text: String,
    },
    /// Call it otherwise: through another chain of delegations, at another time, somewhere else.
    Otherwise {
        /// What must hold, in Datalog.
        must: String,
        /// In words.
        text: String,
    },
    /// Change the policies.
    Policy {
        /// The policy to change, as file and line; none for a new one.
        at: Option<String>,
        /// A line that would do, to be added.
        add: Option<String>,
        /// In words.
        text: String,
    },
    /// Change how the server is set up.
    Server {
        /// In words.
        text: String,
    },
    /// Ask somebody for a new token.
    Token {
        /// In words.
        text: String,
    },
}

impl Change {
    /// The change in words.
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
            | Change::Policy { text, .. }
            | Change::Server { text }
            | Change::Token { text } => text,
        }
    }
}
