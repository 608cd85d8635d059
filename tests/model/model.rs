//! The model: what `docs/verification.md` says of a chain, a server and a call, in words, numbers and lists. It
//! knows nothing of Biscuit, keys or bytes, and was written from that page.

use crate::said::*;

/// The cause, and the block at which it is seen.
pub type Refusal = (&'static str, Option<usize>);

impl Chain {
    /// The verdict. `used` is whether this presentation, if it is bound to a call, was accepted before.
    pub fn decide(
        &self,
        on: &Server,
        call: &Call,
        now: Seconds,
        used: bool,
    ) -> Result<(), Refusal> {
        self.shape(now)?;
        self.signatures(on)?;
        self.revocation(on)?;
        let (scopes, bound) = self.walk(on, now)?;
        let covered = |scopes: &[Name]| scopes.iter().any(|scope| covers(scope, call.operation));
        if !covered(scopes) {
            let links = self.hops().map(|(at, _, _, link)| (at, link));
            let mut links = std::iter::once((0, &self.grant)).chain(links);
            let first = links.find(|(_, link)| !covered(&link.scopes)).map(|(at, _)| at);
            return Err(("not_granted", first));
        }
        if segments(call.operation)[0] == "hardtack" {
            let unbound = self.numbered().find(|(_, it)| it.is_link() && it.signer.is_none());
            ensure(unbound.is_none(), "unbound", unbound.map(|(at, _)| at))?;
        }
        ensure(
            call.scheme.is_none_or(|it| ["https", "http", "file"].contains(&it)),
            "resource_scheme",
            None,
        )?;
        ensure(bound.is_none_or(|bound| bound == call), "other_call", None)?;
        self.checks(call, now)?;
        on.policies(call, self.hops().count())?;
        ensure(!used || bound.is_none(), "replayed", Some(self.blocks.len()))
    }

    fn shape(&self, now: Seconds) -> Result<(), Refusal> {
        let mut presented = false;
        for (at, block) in self.numbered() {
            ensure(block.parent != Some(false), "other_parent", Some(at))?;
            ensure(!presented, "after_presentation", Some(at))?;
            ensure(block.signer.is_none() || block.is_link(), "block_kind", Some(at))?;
            ensure(block.number == at || !block.is_link(), "fact", Some(at))?;
            if let Kind::Hop { has_reason, link, .. } = &block.kind {
                ensure(*has_reason, "no_reason", Some(at))?;
                ensure(!link.scopes.is_empty(), "no_scope", Some(at))?;
            }
            presented = matches!(block.kind, Kind::Presentation { .. });
        }
        ensure(self.grant.expires > now, "expired", Some(0))?;
        self.numbered().try_for_each(|(at, block)| match &block.kind {
            Kind::Hop { link: Link { expires, .. }, .. } | Kind::Presentation { expires, .. } => {
                ensure(*expires > now, "expired", Some(at))
            }
            Kind::Caveat(_) => Ok(()),
        })
    }

    fn signatures(&self, on: &Server) -> Result<(), Refusal> {
        let (hint, root) = self.root;
        let tried = |(id, _): &&(Option<u32>, Key)| id.is_none() || *id == hint;
        let tried: Vec<_> = on.roots.iter().filter(tried).collect();
        ensure(!tried.is_empty(), "unknown_root", None)?;
        // The end is signed over the last block with its own signature, not with its holder's, and is looked at first.
        let last = self.blocks.last().filter(|_| self.broken == Some(self.blocks.len()));
        let of_holder = |last: &Block| self.broken_of_holder && last.signer.is_some();
        ensure(last.is_none_or(of_holder), "signature", self.broken)?;
        ensure(tried.iter().any(|(_, key)| *key == root), "signature", Some(0))?;
        ensure(self.broken.is_none(), "signature", self.broken)
    }

    fn revocation(&self, on: &Server) -> Result<(), Refusal> {
        let gone =
            |(subject, at): &(Name, Seconds)| *subject == self.subject && self.issued <= at + 60;
        ensure(!on.revoked_subjects.iter().any(gone), "revoked", Some(0))?;
        let gone = |link: &Link| link.holder.is_some_and(|key| on.revoked_holders.contains(&key));
        ensure(!gone(&self.grant), "revoked", Some(0))?;
        self.hops().try_for_each(|(at, _, _, link)| ensure(!gone(link), "revoked", Some(at)))?;
        let gone = |agent| on.revoked_agents.contains(&agent);
        self.hops().try_for_each(|(at, _, agent, _)| ensure(!gone(agent), "revoked", Some(at)))
    }

    /// What the last link covers, and the call to which the presentation is bound.
    fn walk(&self, on: &Server, now: Seconds) -> Result<(&[Name], Option<&Call>), Refusal> {
        let is_root = |link: &Link| on.roots.iter().any(|(_, key)| link.holder == Some(*key));
        ensure(self.issued <= now + 60, "not_yet_issued", Some(0))?;
        ensure(self.issued < self.grant.expires, "issued_after_expiry", Some(0))?;
        ensure(self.grant.expires <= now + 24 * 3600, "too_long_lived", Some(0))?;
        ensure(!is_root(&self.grant), "root_as_holder", Some(0))?;
        let (mut parent, mut audiences) = (&self.grant, &self.grant.audiences);
        let mut depth = 0;
        for (at, block) in self.numbered() {
            let among = |audience: &Name| audiences.is_empty() || audiences.contains(audience);
            match &block.kind {
                Kind::Caveat(_) => {}
                Kind::Hop { agent, link, .. } => {
                    on.accepts(parent.holder, block.signer, at)?;
                    depth += 1;
                    ensure(depth <= self.max_depth, "too_deep", Some(at))?;
                    let within =
                        |scope: &Name| parent.scopes.iter().any(|above| covers(above, scope));
                    ensure(link.scopes.iter().all(within), "scope_wider", Some(at))?;
                    ensure(link.audiences.iter().all(among), "audience_wider", Some(at))?;
                    ensure(link.expires <= parent.expires, "expiry_wider", Some(at))?;
                    ensure(link.expires <= now + 3600, "too_long_lived", Some(at))?;
                    ensure(!is_root(link), "root_as_holder", Some(at))?;
                    ensure(on.knows(agent, link.holder), "name_mismatch", Some(at))?;
                    parent = link;
                    audiences = if link.audiences.is_empty() { audiences } else { &link.audiences };
                }
                Kind::Presentation { audience, expires, call } => {
                    on.accepts(parent.holder, block.signer, at)?;
                    ensure(among(audience), "audience_wider", Some(at))?;
                    ensure(*expires <= parent.expires, "expiry_wider", Some(at))?;
                    let longest = if call.is_some() { 120 } else { 600 };
                    ensure(*expires <= now + longest, "too_long_lived", Some(at))?;
                    ensure(*audience == on.audience, "wrong_audience", None)?;
                    return Ok((&parent.scopes, call.as_ref()));
                }
            }
        }
        Err(("not_presented", None))
    }

    fn checks(&self, call: &Call, now: Seconds) -> Result<(), Refusal> {
        let of_blocks = self.numbered().map(|(at, block)| match &block.kind {
            Kind::Hop { link, .. } => (at, link.checks.as_slice()),
            Kind::Caveat(checks) => (at, checks.as_slice()),
            Kind::Presentation { .. } => (at, &[][..]),
        });
        for (at, checks) in std::iter::once((0, self.grant.checks.as_slice())).chain(of_blocks) {
            for check in checks {
                let holds = match *check {
                    Check::OneOf(name, texts) => Some(texts.iter().any(|text| call.is(name, text))),
                    Check::AtMost(name, most) => {
                        call.value(name).map_or(Some(false), |it| up_to(it, most))
                    }
                    Check::NotAbove(name, most) => {
                        call.value(name).map_or(Some(true), |it| up_to(it, most))
                    }
                    Check::AtMostOr(_, _, name, text) if call.is(name, text) => Some(true),
                    Check::AtMostOr(name, most, ..) => {
                        call.value(name).map_or(Some(false), |it| up_to(it, most))
                    }
                    Check::Before(moment) => Some(now < moment),
                    Check::Depth(most) => Some(self.hops().count() <= most),
                };
                ensure(holds.is_some(), "not_evaluable", Some(at))?;
                ensure(holds == Some(true), "check_failed", Some(at))?;
            }
        }
        Ok(())
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().map(|(before, block)| (before + 1, block))
    }

    fn hops(&self) -> impl Iterator<Item = (usize, &Block, Name, &Link)> {
        self.numbered().filter_map(|(at, block)| match &block.kind {
            Kind::Hop { agent, link, .. } => Some((at, block, *agent, link)),
            _ => None,
        })
    }
}

impl Server {
    fn accepts(&self, holder: Option<Key>, signer: Option<Key>, at: usize) -> Result<(), Refusal> {
        ensure(holder.is_none() || signer == holder, "wrong_signer", Some(at))?;
        ensure(holder.is_some() || signer.is_none(), "foreign_signer", Some(at))?;
        ensure(holder.is_some() || self.accepts_unbound, "unbound", Some(at))
    }

    /// A name that is listed goes with its keys only, a key that is listed with its names only.
    fn knows(&self, agent: Name, holder: Option<Key>) -> bool {
        let listed =
            self.directory.iter().filter(|(name, key)| *name == agent || Some(*key) == holder);
        listed.clone().count() == 0
            || listed.clone().any(|(name, key)| *name == agent && Some(*key) == holder)
    }

    fn policies(&self, call: &Call, depth: usize) -> Result<(), Refusal> {
        ensure(call.operation != self.checked, "policy_check_failed", None)?;
        let (operation, most) = self.denied_above;
        let amount =
            call.value("amount").filter(|_| call.operation == operation).map(|it| up_to(it, most));
        ensure(amount != Some(None), "not_evaluable", None)?;
        let (operation, hops) = self.denied_beyond;
        let denied = amount == Some(Some(false)) || (call.operation == operation && depth > hops);
        ensure(!denied, "policy_denied", None)?;
        ensure(call.operation != self.unmentioned, "nothing_allows", None)
    }
}

impl Block {
    fn is_link(&self) -> bool {
        !matches!(self.kind, Kind::Caveat(_))
    }
}

impl Call {
    fn value(&self, name: Name) -> Option<Value> {
        self.arguments.iter().find(|(named, _)| *named == name).map(|(_, value)| *value)
    }

    fn is(&self, name: Name, text: Name) -> bool {
        self.value(name) == Some(Value::Text(text))
    }
}

fn ensure(holds: bool, cause: Name, at: Option<usize>) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err((cause, at)) }
}

/// A text is neither above a number nor below.
fn up_to(value: Value, most: i64) -> Option<bool> {
    match value {
        Value::Number(number) => Some(number <= most),
        Value::Text(_) => None,
    }
}

fn segments(text: &str) -> Vec<&str> {
    text.split(':').collect()
}

/// Whether a scope covers an operation, or all that another scope covers.
pub fn covers(scope: &str, other: &str) -> bool {
    let (scope, other) = (segments(scope), segments(other));
    match scope.split_last() {
        Some((&"*", [])) => other[0] != "hardtack",
        Some((&"*", before)) => other.len() > before.len() && other.starts_with(before),
        _ => scope == other,
    }
}
