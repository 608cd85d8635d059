//! Scene: a call and how it came about, in a form in which changes can be carried out.

use std::time::Duration;

use hardtack::explain::{Change, Explanation};
use hardtack::*;
use hardtack_testkit::NOW;

const SERVER: &str = "server.example";

/// What was refused, and what is to be said of it.
#[derive(Clone)]
pub(crate) struct Denial {
    pub(crate) name: &'static str,
    pub(crate) scene: Scene,
    pub(crate) cause: &'static str,
    pub(crate) hop: Option<usize>,
    pub(crate) near: Near,
    pub(crate) helps: Vec<&'static str>,
    /// What is said once.
    pub(crate) says: &'static [&'static str],
    /// Whether the remedy can be carried out here.
    pub(crate) carried_out: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Near {
    /// A block, and what it demands or lacks.
    Hop(usize, &'static str),
    /// A statement of the policies, by how its line begins.
    Policy(&'static str),
    Nothing,
}

#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) policy: String,
    subject: String,
    facts: Vec<String>,
    scopes: Vec<String>,
    allow: Vec<String>,
    pub(crate) hops: Vec<HopOf>,
    presented: Option<&'static str>,
    audience: String,
    at: Timestamp,
    operation: String,
    resource: Option<String>,
    pub(crate) arguments: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone)]
pub(crate) struct HopOf {
    pub(crate) name: String,
    scopes: Vec<String>,
    allow: Vec<String>,
    checks: Vec<String>,
    /// How long before the decision it was made; it lives ten minutes.
    age: Duration,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The key of whoever is called so.
pub(crate) fn key(name: &str) -> PrivateKey {
    let mut seed = [7; 32];
    name.bytes().enumerate().for_each(|(index, byte)| seed[index % 32] ^= byte);
    PrivateKey::from_bytes(&seed)
}

pub(crate) fn hex_of(name: &str) -> String {
    hex::encode(key(name).public().to_bytes())
}

const KNOWN: [&str; 3] = ["agent.approval", "agent.exporter", "agent.review"];

fn name_of(key: &str) -> &'static str {
    KNOWN.into_iter().find(|name| hex_of(name) == key).expect("a known key")
}

/// A change, as the tables of denials have it.
pub(crate) fn named(change: &Change) -> String {
    match change {
        Change::Argument { argument, .. } => format!("argument {argument}"),
        Change::NoArgument { argument, .. } => format!("without {argument}"),
        Change::Scope { block, .. } => format!("scope {block}"),
        Change::Check { block, .. } => format!("check {block}"),
        Change::Renew { block, .. } => format!("renew {block}"),
        Change::Fact { fact, stated: true, .. } => format!("fact {fact}"),
        Change::Fact { fact, .. } => format!("no fact {fact}"),
        Change::Present { audience: Some(_), kind: None, .. } => "present here".to_owned(),
        Change::Present { kind, .. } => format!("present {}", kind.unwrap_or_default()),
        Change::Operation { operation, .. } => format!("operation {operation}"),
        Change::Resource { .. } => "resource".to_owned(),
        Change::Wait { until, .. } => format!("wait {until}"),
        Change::Delegation { key: Some(key), onward: true, .. } => {
            format!("by way of {}", name_of(key))
        }
        Change::Delegation { key: Some(key), .. } => format!("to {}", name_of(key)),
        Change::Delegation { agent, .. } => format!("to {}", agent.clone().unwrap_or_default()),
        Change::Caller { caller, .. } => format!("caller {caller}"),
        Change::Policy { add: Some(_), .. } => "policy for this call".to_owned(),
        Change::Policy { remove: Some(_), .. } => "policy without".to_owned(),
        Change::Policy { .. } => "policy".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A call of a tool before these policies.
pub(crate) fn denied(name: &'static str, policy: &str, tool: &str, arguments: &str) -> Denial {
    let mut policy = policy.to_owned();
    for name in KNOWN {
        policy = policy.replace(&format!("KEY({name})"), &hex_of(name));
    }
    let scene = Scene {
        policy,
        subject: "user:alice".to_owned(),
        facts: Vec::new(),
        scopes: texts(&["tools:call:*"]),
        allow: Vec::new(),
        hops: Vec::new(),
        presented: None,
        audience: SERVER.to_owned(),
        at: NOW,
        operation: format!("tools:call:{tool}"),
        resource: None,
        arguments: serde_json::from_str(arguments).unwrap(),
    };
    Denial {
        name,
        scene,
        cause: "nothing_allows",
        hop: None,
        near: Near::Nothing,
        helps: Vec::new(),
        says: &[],
        carried_out: true,
    }
}

impl Denial {
    pub(crate) fn subject(mut self, subject: &str) -> Denial {
        self.scene.subject = subject.to_owned();
        self
    }

    pub(crate) fn facts(mut self, facts: &[&str]) -> Denial {
        self.scene.facts = texts(facts);
        self
    }

    /// What the grant itself bounds.
    pub(crate) fn grant(mut self, scopes: &[&str], allow: &[&str]) -> Denial {
        self.scene.scopes = texts(scopes);
        self.scene.allow = texts(allow);
        self
    }

    /// A hop with all that its parent has.
    pub(crate) fn hop(self, name: &str, allow: &[&str]) -> Denial {
        let scopes = match self.scene.hops.last() {
            Some(last) => last.scopes.clone(),
            None => self.scene.scopes.clone(),
        };
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        self.hop_of(name, &scopes, allow)
    }

    pub(crate) fn hop_of(mut self, name: &str, scopes: &[&str], allow: &[&str]) -> Denial {
        self.scene.hops.push(HopOf {
            name: name.to_owned(),
            scopes: texts(scopes),
            allow: texts(allow),
            checks: Vec::new(),
            age: Duration::ZERO,
        });
        self
    }

    /// The last hop also has this check in Datalog.
    pub(crate) fn check(mut self, check: &str) -> Denial {
        self.scene.hops.last_mut().unwrap().checks.push(check.to_owned());
        self
    }

    /// The last hop was made so many seconds ago.
    pub(crate) fn age(mut self, seconds: u64) -> Denial {
        self.scene.hops.last_mut().unwrap().age = Duration::from_secs(seconds);
        self
    }

    pub(crate) fn call_bound(mut self) -> Denial {
        self.scene.presented = Some("call");
        self
    }

    pub(crate) fn presented_to(mut self, audience: &str) -> Denial {
        self.scene.audience = audience.to_owned();
        self
    }

    pub(crate) fn at(mut self, moment: &str) -> Denial {
        self.scene.at = Timestamp::parse(moment).unwrap();
        self
    }

    /// Another operation than a tool's call.
    pub(crate) fn operation(mut self, operation: &str) -> Denial {
        self.scene.operation = operation.to_owned();
        self
    }

    pub(crate) fn cause(mut self, cause: &'static str, hop: Option<usize>) -> Denial {
        (self.cause, self.hop) = (cause, hop);
        self
    }

    pub(crate) fn near(mut self, near: Near, helps: &[&'static str]) -> Denial {
        (self.near, self.helps) = (near, helps.to_vec());
        self
    }

    pub(crate) fn policy(self, start: &'static str, helps: &[&'static str]) -> Denial {
        self.near(Near::Policy(start), helps)
    }

    pub(crate) fn at_hop(self, block: usize, text: &'static str, helps: &[&'static str]) -> Denial {
        self.near(Near::Hop(block, text), helps)
    }

    pub(crate) fn says(mut self, says: &'static [&'static str]) -> Denial {
        self.says = says;
        self
    }

    pub(crate) fn for_people(mut self) -> Denial {
        self.carried_out = false;
        self
    }
}

impl Scene {
    fn call(&self) -> Call {
        let arguments = serde_json::to_string(&self.arguments).unwrap();
        let call = Call::new(&self.operation).unwrap().arguments(&arguments).unwrap();
        match &self.resource {
            Some(uri) => call.resource(uri).unwrap(),
            None => call,
        }
    }

    /// What policies, issuer and delegators say, and what is asked for.
    pub(crate) fn said_by_others(&self) -> String {
        let demands = self.hops.iter().flat_map(|hop| hop.allow.iter().chain(&hop.checks));
        let said: Vec<&str> = demands.chain(&self.allow).map(String::as_str).collect();
        format!("{} {} {} true or false", self.policy, said.join(" "), self.operation)
    }

    fn before(&self, seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(self.at.unix_seconds() - seconds)
    }

    pub(crate) fn explain(&self) -> Explanation {
        self.explained(|guard| guard).unwrap()
    }

    /// The explanation by a guard that is set up so; an error if the chain cannot be made.
    pub(crate) fn explained(
        &self,
        set_up: impl FnOnce(Guard) -> Guard,
    ) -> Result<Explanation, String> {
        let root = PrivateKey::from_bytes(&[1; 32]);
        let roots = RootKeys::of(root.public());
        let verifier = Verifier::new(roots, SERVER, revocation::RevocationUnchecked).unwrap();
        let policy = Policy::parse("p.datalog", &self.policy).unwrap();
        let guard = set_up(Guard::unrecorded(verifier, policy));
        let presented = self.presented(root)?;
        Ok(guard.explain(presented.bearer(), &self.call(), self.at))
    }

    fn presented(&self, root: PrivateKey) -> Result<Presentation, String> {
        let mut holder = key(&self.subject);
        let mut grant = Grant::to(&self.subject).holder(holder.public());
        grant = self.scopes.iter().fold(grant, |grant, scope| grant.scope(scope));
        grant = self.facts.iter().fold(grant, |grant, fact| grant.fact_datalog(fact));
        grant = self.allow.iter().fold(grant, Grant::allow);
        let mut capability = Issuer::new(root).mint(grant, self.before(3000)).unwrap();
        for of in &self.hops {
            let next = key(&of.name);
            let mut hop = Delegation::to(&of.name).reason("an errand").holder(next.public());
            hop = hop.ttl(Duration::from_secs(600));
            hop = of.scopes.iter().fold(hop, |hop, scope| hop.scope(scope));
            hop = of.allow.iter().fold(hop, Delegation::allow);
            hop = of.checks.iter().fold(hop, |hop, check| hop.check(check));
            let made = capability.delegate(hop, &holder, self.before(of.age.as_secs()));
            capability = made.map_err(|error| error.to_string())?;
            holder = next;
        }
        let mut presenting = Presenting::to(&self.audience).ttl(Duration::from_secs(60));
        if self.presented == Some("call") {
            presenting = presenting.call(self.call());
        }
        // Where something has expired, it was presented before.
        let oldest = self.hops.iter().map(|hop| hop.age.as_secs()).max().unwrap_or_default();
        let made = if oldest >= 600 { self.before(oldest - 1) } else { self.at };
        capability.present(presenting, &holder, made).map_err(|error| error.to_string())
    }

    /// Does what a change says, and nothing that it does not say.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Argument { argument, example, .. } => {
                // Whoever is given none cannot do it.
                if let Some(example) = example {
                    self.arguments.insert(argument.clone(), example.clone());
                }
            }
            Change::NoArgument { argument, .. } => drop(self.arguments.remove(argument)),
            Change::Scope { block: 0, scope, .. } => self.scopes.push(scope.clone()),
            Change::Scope { block, scope, .. } => self.hops[block - 1].scopes.push(scope.clone()),
            Change::Check { block, check, instead, .. } => self.without(*block, check, instead),
            Change::Renew { block: 0, .. } => {}
            Change::Renew { block, text, .. } => match self.hops.get_mut(block - 1) {
                Some(hop) if text.contains("another agent") => {
                    "agent.other".clone_into(&mut hop.name)
                }
                // With what stands on it.
                Some(_) => {
                    self.hops[block - 1..].iter_mut().for_each(|hop| hop.age = Duration::ZERO);
                }
                // The presentation is made anew at every turn.
                None => {}
            },
            Change::Fact { fact, stated: true, .. } => self.facts.push(fact.clone()),
            Change::Fact { fact, .. } => self.facts.retain(|known| known != fact),
            Change::Present { audience, kind, .. } => {
                if let Some(audience) = audience {
                    self.audience.clone_from(audience);
                }
                if kind.is_some() {
                    self.presented = *kind;
                }
            }
            Change::Operation { operation, .. } => self.operation.clone_from(operation),
            Change::Wait { until, .. } => self.at = *until,
            Change::Delegation { key, agent, onward, .. } => {
                let name = match (key, agent) {
                    (Some(key), _) => name_of(key).to_owned(),
                    (None, Some(name)) => name.clone(),
                    (None, None) => "agent.another".to_owned(),
                };
                let last = self.hops.last().cloned();
                let scopes = last.as_ref().map_or(&self.scopes, |last| &last.scopes).clone();
                let (allow, checks, age) = (Vec::new(), Vec::new(), Duration::ZERO);
                let new = HopOf { name, scopes, allow, checks, age };
                match (onward, last) {
                    (true, Some(_)) => self.hops.insert(self.hops.len() - 1, new),
                    (true, None) => {
                        self.hops.push(new.clone());
                        self.hops.push(HopOf { name: "agent.another".to_owned(), ..new });
                    }
                    (false, _) => self.hops.push(new),
                }
            }
            Change::Caller { depth, .. } => self.hops.truncate(*depth),
            Change::Policy { add: Some(add), .. } => {
                self.policy.push('\n');
                self.policy.push_str(add);
            }
            Change::Policy { remove: Some(remove), .. } => {
                assert!(self.policy.contains(remove), "{remove}");
                self.policy = self.policy.replace(remove, "");
            }
            other => panic!("{other:?} is for people"),
        }
    }

    fn without(&mut self, block: usize, check: &str, instead: &Option<String>) {
        let (allow, checks) = match block {
            0 => (&mut self.allow, None),
            block => {
                let hop = &mut self.hops[block - 1];
                (&mut hop.allow, Some(&mut hop.checks))
            }
        };
        let before = allow.len();
        allow.retain(|known| {
            known.parse::<Constraint>().map(|known| known.to_string()).as_deref() != Ok(check)
        });
        if allow.len() == before {
            checks.expect("a hop").retain(|known| known != check);
        }
        allow.extend(instead.clone());
    }
}
