//! World: what do policies and a token's checks see of a call?
//!
//! This is the one place where facts of a token, of a moment and of a call are put together. What is not known yet can
//! be left out: then a query has one answer more, "unknown" ([`partial`](crate::datalog::partial)).

use biscuit_auth::builder::Fact;

use crate::authorize::facts::{Asked, argument_facts, moment_fact};
use crate::authorize::{AuthorizeError, Prepared, unanswered, words};
use crate::call::Call;
use crate::datalog::World;
use crate::policy::Policy;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// Where it was that a rule had no answer: which of them it was is not known.
pub(crate) const RULES: &str = "a rule of the policies";

impl World {
    /// All that is known of a call, and what the policies' rules derive from it.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] if a rule has no answer, or they derive too much.
    pub(crate) fn of(
        prepared: &Prepared,
        verified: &VerifiedCapability,
        policy: &Policy,
        call: &Call,
    ) -> Result<World, AuthorizeError> {
        let mut world = World::over(&prepared.base);
        let mut facts = Asked::of(verified, call).facts();
        facts.extend(argument_facts(call));
        world.assert_all(&facts);
        world.state_all(verified.stated().facts());
        world.state_calendar(policy, verified.verified_at(), verified.chain().grant.issued);
        world.derive_by(policy)?;
        Ok(world)
    }

    /// What is known of all calls like this one: the same without arguments and without what the server states. Derives
    /// nothing.
    pub(crate) fn without_arguments(prepared: &Prepared, asked: &Asked<'_>) -> World {
        let mut world = World::over(&prepared.base);
        world.assert_all(&asked.facts());
        world
    }

    /// What is known of all calls by a token at the moment at which it was verified. Derives nothing.
    pub(crate) fn before_calls(
        prepared: &Prepared,
        verified: &VerifiedCapability,
        policy: &Policy,
    ) -> World {
        let mut world = World::over(&prepared.base);
        world.assert_all(&[moment_fact(verified.verified_at())]);
        world.state_calendar(policy, verified.verified_at(), verified.chain().grant.issued);
        world
    }

    /// Adds what the verifier says itself.
    pub(crate) fn assert_all(&mut self, facts: &[Fact]) {
        for fact in words::convert(facts, &mut self.symbols) {
            self.assert(fact);
        }
    }

    /// Adds what the server states itself.
    fn state_all(&mut self, facts: &[Fact]) {
        for fact in words::convert(facts, &mut self.symbols) {
            self.state(fact);
        }
    }

    /// Adds what the policies read of the moment besides the moment itself. It is for policies alone.
    pub(crate) fn state_calendar(&mut self, policy: &Policy, now: Timestamp, issued: Timestamp) {
        for fact in policy.calendar.facts(now, issued) {
            self.state(fact);
        }
    }

    /// Applies the policies' rules.
    pub(crate) fn derive_by(&mut self, policy: &Policy) -> Result<(), AuthorizeError> {
        self.derive(&policy.rules).map_err(|error| unanswered(error, RULES, None))
    }
}
