//! Stated: what does the server itself say beside the token, for the decision at hand?
//!
//! Policies see it and the token's checks do not: a check means the same at every server, whatever one of them knows.

use std::sync::Arc;

use biscuit_auth::builder::Fact;

/// Facts that the server states for one decision, and the names that they may have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stated {
    names: Arc<[String]>,
    facts: Arc<[Fact]>,
}

impl Stated {
    /// Facts with these names may be stated, and which will be is not known.
    pub(crate) fn unknown(names: &Arc<[String]>) -> Stated {
        Stated { names: Arc::clone(names), facts: Arc::default() }
    }

    /// These are stated, all of them with one of the names.
    pub(crate) fn known(names: &Arc<[String]>, facts: Vec<Fact>) -> Stated {
        Stated { names: Arc::clone(names), facts: facts.into() }
    }

    /// The predicates whose facts are not known before the call is decided.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn facts(&self) -> &[Fact] {
        &self.facts
    }
}
