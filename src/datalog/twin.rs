//! Twin: what holds in a world in which all names of arguments are folded?

use std::sync::Arc;

use biscuit_auth::datalog::{Origin, Rule};

use crate::datalog::following::Unfollowed;
use crate::datalog::spelled::Plan;
use crate::datalog::words::{Folds, Words};
use crate::datalog::{Base, EvaluationError, Matches, Names, Stated, World};

/// What decisions have in common, with all names folded.
#[derive(Debug)]
pub(super) struct FoldedBase {
    plan: Arc<Plan>,
    base: Arc<Base>,
    known: Arc<Folds>,
    /// How many bytes that are not ASCII were folded.
    bytes: usize,
}

/// A world in which all names of arguments are folded.
#[derive(Debug)]
pub(super) struct Twin {
    world: World,
    words: Words,
}

impl Base {
    /// Says where the names of arguments go in what refuses, and how often a token's checks are to be reckoned. Folds the
    /// facts of which that is asked: no more are added then.
    pub(crate) fn compare(&mut self, names: Names, times: u64) {
        self.times = times;
        if let Some(plan) = names.plan().cloned() {
            let symbols = std::mem::take(&mut self.symbols);
            let mut words = Words::of(symbols, &plan.known, names.bytes);
            let facts: Vec<_> = self
                .all()
                .map(|(origin, fact)| (origin.clone(), plan.fact(fact, &mut words)))
                .collect();
            words.flush();
            self.symbols.clone_from(&words.symbols);
            self.folded = Some(words.recorded().map(|()| {
                // Of a set with many facts these are as many, too, and rules ask whether one is known.
                let stated = Arc::new(Stated { known: facts.iter().cloned().collect(), facts });
                let signed_by = self.signed_by.clone();
                let base = Base { stated, signed_by, ..Base::default() };
                let bytes = words.bytes();
                Arc::new(FoldedBase {
                    plan,
                    base: Arc::new(base),
                    known: words.into_known(),
                    bytes,
                })
            }));
        }
        self.names = names;
    }
}

impl World {
    /// Whether the queries of a check or denial hold as `holds` has it, when all names are folded: those of the call, and
    /// those with which they are compared. `None` where no query compares names, or reads what rules derived by them.
    pub(super) fn any_folded(
        &self,
        queries: &[Rule],
        block: usize,
        holds: impl Fn(&Matches) -> bool,
    ) -> Result<Option<bool>, EvaluationError> {
        let Some(plan) = self.base.names.plan_of(block) else { return Ok(None) };
        if self.arguments.is_empty() || !queries.iter().any(|query| plan.matters_to(query)) {
            return Ok(None);
        }
        let folded = match &self.base.folded {
            Some(Ok(folded)) => folded,
            Some(Err(error)) => return Err(*error),
            None => return Err(EvaluationError::Failed),
        };
        let mut twin = self.twin.borrow_mut();
        let twin = match &mut *twin {
            Some(twin) => twin,
            none => none.insert(Box::new(self.folded_twin(folded)?)),
        };
        let Twin { world, words } = &mut **twin;
        let queries: Vec<_> = queries.iter().map(|query| plan.rule(query, words)).collect();
        if words.flush() {
            world.symbols.clone_from(&words.symbols);
        }
        words.recorded()?;
        self.folded.set(self.folded.get().max(words.bytes()));
        let followed: Vec<Rule> = queries.iter().flatten().cloned().collect();
        // What is touched there is paid for here.
        world.touched.set(self.touched.get());
        let found = world.any(&followed, block, holds);
        self.touched.set(world.touched.get());
        match found? {
            // What cannot be followed may hold.
            false if followed.len() < queries.len() => Err(EvaluationError::Failed),
            found => Ok(Some(found)),
        }
    }

    fn folded_twin(&self, folded: &FoldedBase) -> Result<Twin, EvaluationError> {
        let FoldedBase { plan, base, known, bytes } = folded;
        let bytes = self.folded.get().saturating_add(*bytes);
        let mut words = Words::of(self.symbols.clone(), known, bytes);
        // What rules derived is derived anew.
        let own = self.facts.iter().filter(|entry| !self.known.contains(*entry));
        let own: Vec<(Origin, _)> =
            own.map(|(origin, fact)| (origin.clone(), plan.fact(fact, &mut words))).collect();
        let rules = self.rules.iter().filter(|rule| plan.derives(rule));
        // What those derive that cannot be followed, is not asked for.
        let rules: Vec<Result<Rule, Unfollowed>> =
            rules.map(|rule| plan.rule(rule, &mut words)).collect();
        let rules: Vec<Rule> = rules.into_iter().flatten().collect();
        words.flush();
        words.recorded()?;
        let (base, symbols) = (Arc::clone(base), words.symbols.clone());
        let mut world = World { base, symbols, ..World::default() };
        own.into_iter().for_each(|entry| world.push(entry));
        world.touched.set(self.touched.get());
        let derived = world.derive(&rules);
        self.touched.set(world.touched.get());
        derived?;
        Ok(Twin { world, words })
    }
}

#[cfg(test)]
mod tests {
    use crate::authorize::{AuthorizeError, authorize};
    use crate::call::Call;
    use crate::keys::{PrivateKey, RootKeys};
    use crate::mint::{Grant, Issuer};
    use crate::policy::Policy;
    use crate::present::Presenting;
    use crate::revocation::RevocationUnchecked;
    use crate::spelling::FOLDED;
    use crate::timestamp::Timestamp;
    use crate::verify::Verifier;

    /// A decision folds the names of its call, and nothing that policies write.
    #[test]
    fn what_policies_write_is_folded_when_they_are_loaded() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let issuer = Issuer::new(PrivateKey::generate());
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let token = issuer.mint(grant, now).unwrap();
        let bearer = token.present(Presenting::to("notion.mcp"), &alice, now).unwrap();
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
        let statement = |n: usize| {
            format!(
                "bad(\"\u{c9}{n}\"); deny if arg(\"A{n}\", 1); deny if arg($n, 1), $n == \"B{n}\";
                 deny if arg($n, 1), [\"C{n}\"].contains($n) || $n.starts_with(\"D{n} \");\n"
            )
        };
        let text: String = (0..50).map(statement).collect();
        let text = format!("allow if true; deny if arg($n, 1), bad($n);\n{text}");
        let policy = Policy::parse("p", &text).unwrap();
        let arguments = r#"{"Q": 2, "r": 3, "\u00c9": 4}"#;
        let call = Call::tool("search").unwrap().arguments(arguments).unwrap();
        let verified = verifier.verify(bearer.bearer(), now).unwrap();
        for _ in 0..3 {
            let before = FOLDED.get();
            assert!(authorize(&verified, &policy, &call).is_ok());
            // Each to find it as it is asked for, and each where it stands among the facts.
            let folded = FOLDED.get() - before;
            assert!((3..=6).contains(&folded), "{folded}");
        }
        for name in ["\u{e9}7", "a7", "b7", "c7", "d7 x"] {
            let arguments = format!("{{\"{name}\": 1}}");
            let call = Call::tool("search").unwrap().arguments(&arguments).unwrap();
            let refused = authorize(&verified, &policy, &call).unwrap_err();
            assert!(matches!(refused, AuthorizeError::Denied { .. }), "{name} {refused}");
        }
    }
}
