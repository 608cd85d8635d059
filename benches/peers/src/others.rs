//! A macaroon, whose caveats are one line each, and Cedar for authorization alone.

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};
use macaroon::{ByteString, Format, Macaroon, MacaroonKey, Verifier};

pub(crate) struct Baked {
    key: MacaroonKey,
    wire: String,
}

impl Baked {
    /// A grant, three hops and a presentation: what each adds are caveats.
    pub(crate) fn new() -> Baked {
        macaroon::initialize().expect("libsodium");
        let key = MacaroonKey::generate(b"the root's secret");
        let mut macaroon = Macaroon::create(None, &key, "user:alice".into()).expect("a macaroon");
        for (agent, scope) in [
            ("user:alice", "tools:call:*"),
            ("agent.orchestrator", "tools:call:*"),
            ("agent.researcher", "tools:call:search"),
            ("agent.helper", "tools:call:search"),
        ] {
            macaroon.add_first_party_caveat(format!("agent = {agent}").as_str().into());
            macaroon.add_first_party_caveat(format!("scope = {scope}").as_str().into());
            macaroon.add_first_party_caveat("time < 4000000000".into());
        }
        macaroon.add_first_party_caveat("audience = notion.mcp".into());
        let wire = macaroon.serialize(Format::V2).expect("a text");
        Baked { key, wire }
    }

    pub(crate) fn check(&self) -> bool {
        let macaroon = Macaroon::deserialize(&self.wire).expect("a macaroon");
        let mut verifier = Verifier::default();
        verifier.satisfy_exact("audience = notion.mcp".into());
        verifier.satisfy_general(in_time);
        verifier.satisfy_general(in_scope);
        verifier.satisfy_general(|caveat| caveat.0.starts_with(b"agent = "));
        verifier.verify(&macaroon, &self.key, Vec::new()).is_ok()
    }
}

fn value<'a>(caveat: &'a ByteString, name: &str) -> Option<&'a str> {
    std::str::from_utf8(&caveat.0).ok()?.strip_prefix(name)
}

fn in_time(caveat: &ByteString) -> bool {
    let end = value(caveat, "time < ").and_then(|end| end.parse::<u64>().ok());
    end.is_some_and(|end| 1_795_428_000 < end)
}

fn in_scope(caveat: &ByteString) -> bool {
    value(caveat, "scope = ").is_some_and(|scope| match scope.strip_suffix('*') {
        Some(beginning) => "tools:call:search".starts_with(beginning),
        None => scope == "tools:call:search",
    })
}

pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    uids: [EntityUid; 3],
}

impl Cedar {
    /// So many policies that differ by the argument only; the last one allows.
    pub(crate) fn new(count: usize) -> Cedar {
        let text: String = (0..count)
            .rev()
            .map(|number| {
                format!(
                    r#"permit(principal == Agent::"agent.helper", action == Action::"tools:call:search", resource == Server::"notion.mcp") when {{ context.page == "p{number}" }};"#
                )
            })
            .collect();
        let uid = |text: &str| text.parse::<EntityUid>().expect("a name");
        Cedar {
            authorizer: Authorizer::new(),
            policies: text.parse().expect("policies"),
            entities: Entities::empty(),
            uids: [
                uid(r#"Agent::"agent.helper""#),
                uid(r#"Action::"tools:call:search""#),
                uid(r#"Server::"notion.mcp""#),
            ],
        }
    }

    pub(crate) fn check(&self) -> bool {
        let page = ("page".to_owned(), RestrictedExpression::new_string("p0".to_owned()));
        let context = Context::from_pairs([page]).expect("a context");
        let [agent, operation, server] = self.uids.clone();
        let request = Request::new(agent, operation, server, context, None).expect("a request");
        let answer = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }
}
