//! Request: who asks an issuer for what, as facts that its policies read.

use biscuit_auth::builder::{Fact, Term, fact, string};
use serde_json::{Map, Value};

use crate::issuance::Refused;
use crate::timestamp::Timestamp;

/// The most values of claims that policies see. An assertion has at most a few hundred groups; one with more is refused, for a `deny if`
/// could rest on what is left out.
const MAX_CLAIM_VALUES: usize = 1000;

/// The most scopes and audiences of one request: as many as a person can agree to.
pub(crate) const MAX_WANTED_SCOPES: usize = 32;
pub(crate) const MAX_WANTED_AUDIENCES: usize = 8;

/// The ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// A person signs in at a terminal.
    Login,
    /// A service brings a token of its user (RFC 8693).
    Exchange,
    /// A client that knows OAuth only sends its user here (RFC 6749, section 4.1).
    Code,
}

impl Way {
    /// Returns the way's name, as policies read it: `login`, `exchange` or `code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Login => "login",
            Way::Exchange => "exchange",
            Way::Code => "code",
        }
    }
}

/// Who has the private half of the key to which the capability is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHeld {
    /// Whoever asks, and proved it.
    Own,
    /// The issuer, for a client that cannot sign.
    Hosted,
}

impl KeyHeld {
    fn as_str(self) -> &'static str {
        match self {
            KeyHeld::Own => "own",
            KeyHeld::Hosted => "hosted",
        }
    }
}

/// A request to an issuer: who asks, by which claims, and what is wanted. Everything in it was verified before; only what is wanted is
/// the asker's own.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) subject: String,
    idp: String,
    pub(super) way: Way,
    pub(super) claims: Map<String, Value>,
    pub(super) signed_in: Option<Timestamp>,
    client: Option<String>,
    client_host: Option<String>,
    actor: Option<String>,
    key: KeyHeld,
    pub(super) scopes: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) seconds: Option<u64>,
    pub(super) depth: Option<u8>,
}

impl Request {
    /// Begins a request of `subject` ([`subject`](crate::issuance::subject)) with the claims of an assertion by the provider `idp`.
    pub fn of(subject: &str, idp: &str, way: Way, claims: &Map<String, Value>) -> Request {
        Request {
            subject: subject.to_owned(),
            idp: idp.to_owned(),
            way,
            claims: claims.clone(),
            signed_in: None,
            client: None,
            client_host: None,
            actor: None,
            key: KeyHeld::Own,
            scopes: Vec::new(),
            audiences: Vec::new(),
            seconds: None,
            depth: None,
        }
    }

    /// Says when the person signed in (`auth_time`).
    pub fn signed_in(mut self, moment: Timestamp) -> Request {
        self.signed_in = Some(moment);
        self
    }

    /// Names the client that asks; `host` is that of its id, if that is a URL.
    pub fn client(mut self, id: &str, host: Option<&str>) -> Request {
        self.client = Some(id.to_owned());
        self.client_host = host.map(str::to_owned);
        self
    }

    /// Names who acts for the subject.
    pub fn actor(mut self, name: &str) -> Request {
        self.actor = Some(name.to_owned());
        self
    }

    /// Says who has the key to which the capability is bound. By default it is the asker's own.
    pub fn key(mut self, key: KeyHeld) -> Request {
        self.key = key;
        self
    }

    /// Asks for a scope. Call it again for more.
    pub fn scope(mut self, scope: &str) -> Request {
        self.scopes.push(scope.to_owned());
        self
    }

    /// Asks for use at a server. Call it again for more; without one, for use at any server.
    pub fn audience(mut self, audience: &str) -> Request {
        self.audiences.push(audience.to_owned());
        self
    }

    /// Asks for a life in seconds. Without it, it is an hour.
    pub fn seconds(mut self, seconds: u64) -> Request {
        self.seconds = Some(seconds);
        self
    }

    /// Asks for so many hops. Without it, there are eight.
    pub fn depth(mut self, hops: u8) -> Request {
        self.depth = Some(hops);
        self
    }

    /// All that policies see of it.
    pub(super) fn facts(&self, now: Timestamp) -> Result<Vec<Fact>, Refused> {
        if self.scopes.len() > MAX_WANTED_SCOPES || self.audiences.len() > MAX_WANTED_AUDIENCES {
            return Err(Refused::TooMuchWanted);
        }
        let mut facts = vec![
            fact("time", &[Term::Date(now.unix_seconds())]),
            fact("subject", &[string(&self.subject)]),
            fact("idp", &[string(&self.idp)]),
            fact("way", &[string(self.way.as_str())]),
            fact("key", &[string(self.key.as_str())]),
        ];
        let mut named = |name: &str, text: &Option<String>| {
            facts.extend(text.iter().map(|text| fact(name, &[string(text)])));
        };
        named("client", &self.client);
        named("client_host", &self.client_host);
        named("actor", &self.actor);
        let signed_in = self.signed_in.map(|moment| Term::Date(moment.unix_seconds()));
        facts.extend(signed_in.map(|moment| fact("signed_in", &[moment])));
        facts.extend(self.scopes.iter().map(|scope| fact("wanted_scope", &[string(scope)])));
        facts.extend(self.audiences.iter().map(|name| fact("wanted_audience", &[string(name)])));
        let whole = |number: u64| Term::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        facts.extend(self.seconds.map(|seconds| fact("wanted_seconds", &[whole(seconds)])));
        facts.extend(self.depth.map(|hops| fact("wanted_depth", &[Term::Integer(hops.into())])));
        facts.extend(self.claim_facts()?);
        Ok(facts)
    }

    fn claim_facts(&self) -> Result<Vec<Fact>, Refused> {
        let mut facts = Vec::new();
        for (name, value) in &self.claims {
            let name = string(name);
            facts.extend(values(value).map(|value| fact("claim", &[name.clone(), value])));
            let Value::Object(members) = value else { continue };
            for (member, value) in members {
                let named = [name.clone(), string(member)];
                let of_member =
                    |value| fact("claim_in", &[named[0].clone(), named[1].clone(), value]);
                facts.extend(values(value).map(of_member));
            }
        }
        match facts.len() > MAX_CLAIM_VALUES {
            true => Err(Refused::TooManyClaims),
            false => Ok(facts),
        }
    }
}

/// The value, or each of a list. What Datalog has no term for is not seen.
fn values(value: &Value) -> impl Iterator<Item = Term> {
    let list = value.as_array().map(Vec::as_slice);
    list.unwrap_or(std::slice::from_ref(value)).iter().filter_map(|value| match value {
        Value::String(text) => Some(string(text)),
        Value::Bool(value) => Some(Term::Bool(*value)),
        Value::Number(number) => number.as_i64().map(Term::Integer),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}
