//! Preview: could this capability do this operation, whatever the arguments will be?
//!
//! This is for lists of what an agent may use. It is partial evaluation, in three-valued logic: it evaluates what
//! [`authorize`](mod@crate::authorize) does, with a third answer for whatever rests on arguments, and never says no to
//! what could be allowed with some.

mod foresee;
mod outlook;

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Check, Rule};
use serde::Serialize;

use crate::authorize::PreparedSets;
use crate::authorize::unknown::Unknown;
use crate::call::Call;
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::Policy;
use crate::verify::VerifiedCapability;

pub(crate) use foresee::{Foreseen, foresee};
pub use outlook::Outlook;
pub use outlook::TooMuch;

/// The possible results of a call whose arguments are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preview {
    /// The call is allowed, whatever the arguments.
    Allowed,
    /// The call may be allowed with some arguments and refused with others: it is not known without them.
    DependsOnArguments,
    /// The call is refused, whatever the arguments.
    Denied,
}

impl Preview {
    /// Returns true if the call could be allowed with some arguments, so that it is worth trying.
    pub fn is_open(self) -> bool {
        self != Preview::Denied
    }

    fn and(self, other: Preview) -> Preview {
        match (self, other) {
            (Preview::Denied, _) | (_, Preview::Denied) => Preview::Denied,
            (Preview::Allowed, Preview::Allowed) => Preview::Allowed,
            _ => Preview::DependsOnArguments,
        }
    }

    fn or(self, other: Preview) -> Preview {
        match (self, other) {
            (Preview::Allowed, _) | (_, Preview::Allowed) => Preview::Allowed,
            (Preview::Denied, Preview::Denied) => Preview::Denied,
            _ => Preview::DependsOnArguments,
        }
    }

    fn not(self) -> Preview {
        match self {
            Preview::Allowed => Preview::Denied,
            Preview::DependsOnArguments => Preview::DependsOnArguments,
            Preview::Denied => Preview::Allowed,
        }
    }
}

/// The call's operation and resource count, its arguments do not.
pub(crate) fn preview(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Preview {
    // What cannot be decided is not allowed when it is called, either.
    Outlook::over(prepared, verified, policy, u64::MAX).of(call).unwrap_or(Preview::Denied)
}

/// The world, as far as it is known.
struct View<'a> {
    world: &'a World,
    unknown: &'a Unknown,
}

/// What is known of the matches of a query: that there are some, and that all hold.
struct Known {
    some: Preview,
    all: Preview,
}

impl View<'_> {
    fn holds(&self, check: &Check, block: usize) -> Result<Preview, EvaluationError> {
        let found = self.any(&check.queries, block, |known| match check.kind {
            CheckKind::One | CheckKind::Reject => known.some,
            CheckKind::All => known.all,
        })?;
        Ok(if check.kind == CheckKind::Reject { found.not() } else { found })
    }

    fn matches_any(&self, queries: &[Rule]) -> Result<Preview, EvaluationError> {
        self.any(queries, VERIFIER, |known| known.some)
    }

    /// As [`World::holds`] has it: an alternative that cannot be evaluated counts where no other holds.
    fn any(
        &self,
        queries: &[Rule],
        block: usize,
        holds: impl Fn(Known) -> Preview,
    ) -> Result<Preview, EvaluationError> {
        let (mut found, mut failed) = (Preview::Denied, false);
        for query in queries {
            match self.matches(query, block) {
                Ok(known) => found = found.or(holds(known)),
                Err(EvaluationError::Failed) => failed = true,
                Err(error) => return Err(error),
            }
        }
        match (found, failed) {
            (Preview::Denied, true) => Err(EvaluationError::Failed),
            (found, _) => Ok(found),
        }
    }

    fn matches(&self, query: &Rule, block: usize) -> Result<Known, EvaluationError> {
        let certain = |holds: bool| if holds { Preview::Allowed } else { Preview::Denied };
        if !self.unknown.touches(query) {
            let matches = self.world.matches(query, block)?;
            return Ok(Known { some: certain(matches.some), all: certain(matches.all) });
        }
        let part = self.unknown.known_part(query);
        let possible = |could: bool| match could {
            true => Preview::DependsOnArguments,
            false => Preview::Denied,
        };
        if part.body.is_empty() {
            let open = Preview::DependsOnArguments;
            return Ok(Known { some: open, all: open });
        }
        match self.world.matches(&part, block) {
            Ok(matches) => Ok(Known { some: possible(matches.some), all: possible(matches.any) }),
            // With other matches, the whole may be evaluable.
            Err(EvaluationError::Failed) => {
                let open = Preview::DependsOnArguments;
                Ok(Known { some: open, all: open })
            }
            Err(error) => Err(error),
        }
    }
}
