//! Staging: a case's real token, presented to a real verifier. What policies say of it is decided elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::authorize::PreparedSets;
use crate::call::{Call, CallError};
use crate::capability::Capability;
use crate::delegate::Delegation;
use crate::keys::{PrivateKey, PublicKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::present::{Presentation, Presenting};
use crate::revocation::RevocationUnchecked;
use crate::trial::cases::{Case, Hop, PresentedFor};
use crate::verify::{Rejection, VerifiedCapability, Verifier};

/// What stands before a name in the seed of its key. Anybody can make these keys: they are for trials only.
const SEED: &str = "hardtack trial key: ";

/// No subject and no agent can be called this.
const ROOT: &str = "the root";

/// The keys of a trial, made from names.
#[derive(Debug, Default)]
pub(crate) struct Keyring(RefCell<HashMap<String, PublicKey>>);

impl Keyring {
    /// The public key of a subject or an agent. Making one costs as much as a signature.
    pub(crate) fn public(&self, name: &str) -> PublicKey {
        let mut known = self.0.borrow_mut();
        *known.entry(name.to_owned()).or_insert_with(|| private(name).public())
    }

    /// The policies with the trial's keys where they name those of the agents for which they stand in: a trial
    /// cannot sign with a key that it does not have.
    pub(crate) fn stand_in(
        &self,
        keys: &BTreeMap<String, String>,
        mut files: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        for (name, real) in keys {
            let own = hex::encode(self.public(name).to_bytes());
            for (_, text) in &mut files {
                *text = text.replace(&format!("\"{real}\""), &format!("\"{own}\""));
            }
        }
        files
    }

    /// The keys that stand for real ones, as policies see them, each with the real one.
    pub(crate) fn stand_ins(&self, keys: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let own = |name: &String| hex::encode(self.public(name).to_bytes());
        keys.iter().map(|(name, real)| (own(name), real.clone())).collect()
    }

    /// The first of these names whose key for trials stands in a policy, where anybody could sign with it.
    pub(crate) fn misplaced<'n>(
        &self,
        mut names: impl Iterator<Item = &'n str>,
        files: &[(String, String)],
    ) -> Option<&'n str> {
        names.find(|name| {
            let own = hex::encode(self.public(name).to_bytes());
            files.iter().any(|(_, text)| text.contains(&own))
        })
    }
}

fn private(name: &str) -> PrivateKey {
    PrivateKey::from_bytes(&Sha256::digest(format!("{SEED}{name}")).into())
}

/// What the server made of a case's token, and the call.
pub(crate) struct Staged {
    pub(crate) call: Call,
    pub(crate) token: Rc<Token>,
}

/// A case's token, as the server that it was presented to has it.
pub(crate) struct Token {
    pub(crate) verifier: Verifier,
    pub(crate) bearer: String,
    pub(crate) verified: Result<VerifiedCapability, Box<Rejection>>,
    /// What decisions about it have in common.
    pub(crate) prepared: PreparedSets,
}

/// Why a case cannot be staged.
pub(crate) enum Unstaged {
    /// Its call is none that could be judged, which every door refuses: that is the case's verdict.
    Call(CallError),
    /// Its token cannot be made: which part of it, and why.
    Token(String),
}

impl From<String> for Unstaged {
    fn from(problem: String) -> Unstaged {
        Unstaged::Token(problem)
    }
}

/// How many tokens are kept: cases of a file mostly take one of a few, in turns.
const KEPT_TOKENS: usize = 64;

/// The stage: what is made for one case and serves the next that says the same.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) keys: Keyring,
    /// The tokens that were made last, each with what its cases say of it.
    tokens: RefCell<VecDeque<(String, Rc<Token>)>>,
}

impl Stage {
    /// Mints, delegates, presents and verifies, unless that was done for a case of the same token.
    pub(crate) fn set(&self, case: &Case) -> Result<Staged, Unstaged> {
        let call = call(case).map_err(Unstaged::Call)?;
        let said = said_of_token(case);
        let known = self.tokens.borrow().iter().find(|(known, _)| *known == said).cloned();
        if let Some((_, token)) = known {
            return Ok(Staged { call, token });
        }
        let token = Rc::new(token(case, &call, &self.keys)?);
        let mut tokens = self.tokens.borrow_mut();
        if tokens.len() == KEPT_TOKENS {
            tokens.pop_front();
        }
        tokens.push_back((said, Rc::clone(&token)));
        Ok(Staged { call, token })
    }
}

/// All of a case that its token, and what the server makes of it, depend on. No field of a case can be forgotten here.
fn said_of_token(case: &Case) -> String {
    let Case {
        name: _,
        subject,
        scopes,
        audience,
        facts,
        allow,
        max_depth,
        unbound,
        hops,
        operation,
        resource,
        arguments,
        presented,
        server,
        issuer,
        at,
        accept_unbound_hops,
        resource_schemes,
        expect: _,
        expect_at: _,
        expect_also: _,
        large_integers,
    } = case;
    let grant = (subject, scopes, audience, facts, allow, max_depth, unbound);
    let settings = (server, issuer, at, accept_unbound_hops, resource_schemes);
    let call = match presented {
        PresentedFor::Session => None,
        PresentedFor::Call => Some((operation, resource, arguments, large_integers)),
    };
    format!("{:?}", (grant, hops, settings, call))
}

fn token(case: &Case, call: &Call, keys: &Keyring) -> Result<Token, String> {
    let presentation = present(case, call, keys)?;
    let roots = RootKeys::of(keys.public(ROOT));
    let roots = match &case.issuer {
        Some(issuer) => roots.named(issuer),
        None => roots,
    };
    let mut verifier = Verifier::new(roots, &case.server, RevocationUnchecked)
        .map_err(|error| format!("the server: {error}"))?
        .remember(0);
    if case.accept_unbound_hops {
        verifier = verifier.accept_unbound_hops();
    }
    if !case.resource_schemes.is_empty() {
        verifier = verifier.resource_schemes(case.resource_schemes.iter().cloned());
    }
    let bearer = presentation.bearer().to_owned();
    let verified = verifier.examine(&bearer, None, case.at);
    Ok(Token { verifier, bearer, verified, prepared: PreparedSets::default() })
}

fn call(case: &Case) -> Result<Call, CallError> {
    let mut call = Call::new(&case.operation)?;
    if case.large_integers {
        call = call.large_integers();
    }
    if let Some(uri) = &case.resource {
        call = call.resource(uri)?;
    }
    if let Some(json) = &case.arguments {
        call = call.arguments(json)?;
    }
    Ok(call)
}

fn present(case: &Case, call: &Call, keys: &Keyring) -> Result<Presentation, String> {
    let mut holder = (!case.unbound).then_some(case.subject.as_str());
    let mut capability = mint(case, keys).map_err(|error| format!("the grant: {error}"))?;
    let mut scopes = &case.scopes;
    for (index, hop) in case.hops.iter().enumerate() {
        scopes = hop.scopes.as_ref().unwrap_or(scopes);
        let delegation = delegation(hop, scopes, keys);
        let delegated = match holder {
            Some(holder) => capability.delegate(delegation, &private(holder), case.at),
            None => capability.delegate_unbound(delegation, case.at),
        };
        capability = delegated.map_err(|error| format!("hop {}: {error}", index + 1))?;
        holder = (!hop.unbound).then_some(hop.to.as_str());
    }
    let presenting = Presenting::to(&case.server);
    let presenting = match case.presented {
        PresentedFor::Session => presenting,
        PresentedFor::Call => presenting.call(call.clone()),
    };
    let presented = match holder {
        Some(holder) => capability.present(presenting, &private(holder), case.at),
        None => capability.present_unbound(presenting, case.at),
    };
    presented.map_err(|error| format!("the presentation: {error}"))
}

fn mint(case: &Case, keys: &Keyring) -> Result<Capability, Box<dyn Error>> {
    let mut grant = Grant::to(&case.subject);
    grant = case.scopes.iter().fold(grant, |grant, scope| grant.scope(scope));
    grant = case.audience.iter().fold(grant, |grant, audience| grant.audience(audience));
    grant = case.facts.iter().fold(grant, |grant, fact| grant.fact_datalog(fact));
    grant = case.allow.iter().fold(grant, |grant, allowed| grant.allow(allowed));
    if let Some(hops) = case.max_depth {
        grant = grant.max_depth(hops);
    }
    grant = match case.unbound {
        true => grant.unbound(),
        false => grant.holder(keys.public(&case.subject)),
    };
    Ok(Issuer::new(private(ROOT)).mint(grant, case.at)?)
}

fn delegation(hop: &Hop, scopes: &[String], keys: &Keyring) -> Delegation {
    let delegation = Delegation::to(&hop.to).reason(&hop.reason);
    let delegation = scopes.iter().fold(delegation, |hop, scope| hop.scope(scope));
    let delegation = hop.audience.iter().fold(delegation, |hop, audience| hop.audience(audience));
    let delegation = hop.allow.iter().fold(delegation, |hop, allowed| hop.allow(allowed));
    let delegation = hop.checks.iter().fold(delegation, |hop, check| hop.check(check));
    match hop.unbound {
        true => delegation.unbound(),
        false => delegation.holder(keys.public(&hop.to)),
    }
}
