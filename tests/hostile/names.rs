//! Names: may a subject, an agent or a fact about the subject be called that? Reasons are asked in `reasons`.

use biscuit_auth::builder::{Term, string};

use crate::case::{Case, Server};
use crate::chain::{Block, Chain, bytes, date, key, no_texts};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::pair;

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(no_subjects());
    cases.extend(no_agents());
    cases.extend(of_other_types());
    cases.extend(facts_that_are_not_the_subjects());
    cases.extend(facts_elsewhere());
    cases.extend(known_otherwise());
    cases.extend(revoked());
    cases
}

fn no_subjects() -> Vec<Case> {
    let long = format!("user:{}", "a".repeat(124));
    [
        ("nothing", ""),
        ("no colon", "alice"),
        ("as an agent is called", "agent.researcher"),
        ("129 bytes", &long),
        ("a space", "user:alice smith"),
        ("a space first", " user:alice"),
        ("a space last", "user:alice "),
        ("a tab", "user:\talice"),
        ("a line's end", "user:alice\n"),
        ("two lines", "user:alice\nuser:bob"),
        ("a NUL at the end", "user:alice\0"),
        ("a NUL that hides the rest", "user:alice\0bob"),
        ("a DEL", "user:alice\u{7f}"),
        ("an escape sequence", "user:\u{1b}[31malice"),
        ("a Cyrillic letter", "user:\u{430}lice"),
        ("a Greek letter", "user:b\u{3bf}b"),
        ("a fullwidth letter", "user:\u{ff41}lice"),
        ("a letter of mathematics", "user:\u{1d41a}lice"),
        ("a Kelvin sign", "user:\u{212a}im"),
        ("only a fullwidth colon", "user\u{ff1a}alice"),
        ("only a percent-encoded colon", "user%3Aalice"),
        ("a percent-encoded letter", "user:%61lice"),
        ("a letter with its accent", "user:zo\u{eb}"),
        ("an accent that combines", "user:zoe\u{308}"),
        ("a zero-width space", "user:al\u{200b}ice"),
        ("a zero-width joiner", "user:al\u{200d}ice"),
        ("an override of the direction", "user:\u{202e}ecila"),
        ("a byte order mark", "\u{feff}user:alice"),
        ("a soft hyphen", "user:al\u{ad}ice"),
        ("a tag character", "user:alice\u{e0061}"),
        ("a picture", "user:\u{1f600}"),
        ("everybody", "user:*"),
        ("a list with commas", "user:alice,user:bob"),
        ("a list with semicolons", "user:alice;user:bob"),
        ("quotes", "\"user:alice\""),
        ("a single quote", "user:o'alice"),
        ("a backslash", "user:DOMAIN\\alice"),
        ("a hash", "user:alice#admin"),
        ("a query", "user:alice?role=admin"),
        ("a plus sign", "user:alice+admin"),
        ("an equals sign", "cn=alice:users"),
        ("markup", "user:<b>alice</b>"),
        ("a template", "user:{{name}}"),
        ("a command", "user:$(id)"),
        ("brackets", "user:[alice]"),
        ("a percent sign", "user:%s%n"),
    ]
    .map(|(what, subject)| {
        let chain = Chain::of(1).block(0, |said| said.texts("subject", &[subject]));
        refused(&format!("a subject with {what}"), &chain, "name", 0)
    })
    .into()
}

fn no_agents() -> Vec<Case> {
    let long = "a".repeat(129);
    let agents = [
        ("nothing", ""),
        ("called as the subject is", "user:alice"),
        ("a colon first", ":agent"),
        ("a colon last", "agent.researcher:"),
        ("a scope", "tools:call:search"),
        ("129 bytes", &long),
        ("a space", "agent researcher"),
        ("a space last", "agent.researcher "),
        ("a space alone", " "),
        ("a tab", "agent\tresearcher"),
        ("a line's end", "agent.researcher\n"),
        ("a carriage return", "agent.researcher\rroot"),
        ("a NUL at the end", "agent.researcher\0"),
        ("a NUL first", "\0agent.researcher"),
        ("a backspace", "agent.ceo\u{8}\u{8}\u{8}cto"),
        ("an escape sequence", "\u{1b}[2Kagent.ceo"),
        ("a C1 control", "agent\u{9b}31m"),
        ("a DEL", "agent\u{7f}"),
        ("a Cyrillic letter", "agent.rese\u{430}rcher"),
        ("a Greek letter", "agent.\u{3c1}lanner"),
        ("an Armenian letter", "agent.c\u{585}o"),
        ("a fullwidth letter", "agent.\u{ff52}esearcher"),
        ("a fullwidth dot", "agent\u{ff0e}researcher"),
        ("a letter of mathematics", "agent.\u{1d427}ew"),
        ("a dotless i", "agent.adm\u{131}n"),
        ("a long s", "agent.\u{17f}earch"),
        ("a Kelvin sign", "agent.\u{212a}eeper"),
        ("a letter with its accent", "agent.caf\u{e9}"),
        ("an accent that combines", "agent.cafe\u{301}"),
        ("a ligature", "agent.\u{fb01}nder"),
        ("a zero-width space", "agent.\u{200b}ceo"),
        ("a zero-width non-joiner", "agent.c\u{200c}eo"),
        ("a word joiner", "agent.ceo\u{2060}"),
        ("a soft hyphen", "agent.c\u{ad}eo"),
        ("an override of the direction", "agent.\u{202e}oec"),
        ("an isolate", "agent.\u{2066}ceo\u{2069}"),
        ("a mark of the direction", "agent.ceo\u{200f}"),
        ("a byte order mark", "\u{feff}agent.ceo"),
        ("a tag character", "agent.ceo\u{e0078}"),
        ("a variation selector", "agent.ceo\u{fe0f}"),
        ("a filler", "agent.\u{3164}ceo"),
        ("a blank of Braille", "agent.\u{2800}ceo"),
        ("a no-break space", "agent.\u{a0}ceo"),
        ("an ideographic space", "agent.\u{3000}ceo"),
        ("a private character", "agent.\u{e000}"),
        ("an unassigned character", "agent.\u{378}"),
        ("a noncharacter", "agent.\u{ffff}"),
        ("a line separator", "agent.ceo\u{2028}"),
        ("a picture", "agent.\u{1f916}"),
        ("a star", "agent.*"),
        ("a question mark", "agent.?"),
        ("a comma", "agent.a,agent.b"),
        ("quotes", "\"agent.ceo\""),
        ("a backslash", "agent\\ceo"),
        ("a percent-encoded dot", "agent%2Eceo"),
        ("a hash", "agent#ceo"),
        ("a plus sign", "agent+ceo"),
        ("a tilde", "~agent"),
        ("a dollar sign", "$agent"),
        ("an exclamation mark", "!agent.ceo"),
        ("a pipe", "agent|ceo"),
        ("Datalog", "agent\"); scope(\"*"),
    ];
    let mut cases: Vec<Case> = agents
        .map(|(what, agent)| {
            let chain = Chain::of(1).block(1, |said| said.texts("delegate", &[agent]));
            refused(&format!("an agent with {what}"), &chain, "name", 1)
        })
        .into();
    cases.extend([2, 8].map(|hop| {
        let chain = Chain::of(8).block(hop, |said| said.texts("delegate", &["user:alice"]));
        refused(
            &format!("an agent called as the subject is, at hop {hop} of 8"),
            &chain,
            "name",
            hop,
        )
    }));
    cases
}

fn of_other_types() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, value) in no_texts() {
        for (predicate, block) in [("subject", 0), ("delegate", 1)] {
            let chain = Chain::of(1).block(block, |said| said.with(predicate, value.clone()));
            cases.push(refused(&format!("{what} for a {predicate}"), &chain, "fact", block));
        }
    }
    let change = |what: &str, block, cause, change: &dyn Fn(Block) -> Block| {
        refused(what, &Chain::of(1).block(block, change), cause, block)
    };
    cases.extend([
        change("no subject", 0, "no_subject", &|said| said.without("subject")),
        change("two subjects", 0, "fact", &|said| said.and("subject", string("user:bob"))),
        change("one subject twice", 0, "fact", &|said| said.and("subject", string("user:alice"))),
        change("a subject of two terms", 0, "fact", &|said| {
            said.without("subject").fact("subject", vec![string("user:alice"), string("user:bob")])
        }),
        change("a subject of no terms", 0, "fact", &|said| {
            said.without("subject").fact("subject", vec![])
        }),
        change("no agent", 1, "fact", &|said| said.without("delegate")),
        change("two agents", 1, "fact", &|said| said.and("delegate", string("agent.ceo"))),
        change("one agent twice", 1, "fact", &|said| said.and("delegate", string("agent.number1"))),
        change("an agent of two terms", 1, "fact", &|said| {
            said.without("delegate").fact("delegate", vec![string("agent.a"), string("agent.b")])
        }),
    ]);
    cases
}

/// What a grant says of its subject may not be called what Hardtack itself says, nor what is no name.
fn facts_that_are_not_the_subjects() -> Vec<Case> {
    let text = || string("x");
    let reserved = [
        ("delegate", text()),
        ("reason", text()),
        ("hop", Term::Integer(0)),
        ("parent", Term::Bytes(vec![0; 16])),
        ("presentation", string("session")),
        ("digest", Term::Bytes(vec![0; 32])),
        ("nonce", Term::Bytes(vec![0; 16])),
        ("time", date(0)),
        ("operation", string("tools:call:search")),
        ("resource", string("https://notion.so/")),
        ("tool", string("search")),
        ("arg", text()),
        ("verifier", string("notion.mcp")),
        ("depth", Term::Integer(0)),
        ("call", Term::Bytes(vec![0; 32])),
        ("agent", string("agent.ceo")),
        ("agent_key", text()),
        ("delegated", text()),
        ("delegated_key", text()),
        ("granted", string("*")),
        ("unbound", Term::Integer(1)),
        ("presented", string("call")),
        ("issuer", text()),
        ("weekday", Term::Integer(1)),
        ("minute_of_day", Term::Integer(600)),
        ("grant_age", Term::Integer(0)),
    ];
    let long = "r".repeat(129);
    let no_names = [
        ("no letters", ""),
        ("129 letters", &long),
        ("a digit first", "1role"),
        ("an underscore first", "_role"),
        ("a colon first", ":role"),
        ("a space", "role admin"),
        ("a line's end", "role\n"),
        ("a NUL", "subject\0"),
        ("a hyphen", "is-admin"),
        ("a dot", "user.role"),
        ("a Cyrillic letter", "r\u{43e}le"),
        ("what is reserved, with a zero-width space", "granted\u{200b}"),
        ("what is reserved, in fullwidth letters", "\u{ff54}\u{ff49}\u{ff4d}\u{ff45}"),
        ("Datalog", "role(\"admin\"); granted"),
    ];
    let says = |what: &str, predicate: &str, value: Term| {
        let chain = Chain::of(1).block(0, |said| said.and(predicate, value));
        refused(&format!("a fact about the subject called {what}"), &chain, "content", 0)
    };
    let reserved = reserved.map(|(predicate, value)| says(predicate, predicate, value));
    let no_names =
        no_names.map(|(what, predicate)| says(&format!("with {what}"), predicate, text()));
    reserved.into_iter().chain(no_names).collect()
}

/// What a hop or a presentation says beside what it must.
fn facts_elsewhere() -> Vec<Case> {
    let role = || string("admin");
    let says = |what: &str, block, predicate: &str, value: Term| {
        let chain = Chain::of(1).block(block, |said| said.and(predicate, value));
        refused(what, &chain, "content", block)
    };
    vec![
        says("a role that a hop gives", 1, "role", role()),
        says("a role that a presentation gives", 2, "role", role()),
        says("a subject that a hop gives", 1, "subject", string("user:bob")),
        says("a subject that a presentation gives", 2, "subject", string("user:bob")),
        says("an agent that a presentation gives", 2, "delegate", string("agent.ceo")),
        says("a reason that a presentation gives", 2, "reason", string("because")),
        says("a holder that a presentation gives", 2, "holder", bytes(&key(9).public())),
        says("an agent's key that a hop gives", 1, "agent_key", role()),
        says("an issuer that a hop gives", 1, "issuer", role()),
        says("a fact of no name in a hop", 1, "", role()),
    ]
}

/// Names and keys of which the server's directory knows that they do not belong together.
fn known_otherwise() -> Vec<Case> {
    let cast = Cast::new();
    let thiefs = bytes(&cast.thief.public());
    let named = |hops, hop: usize, name: &str| {
        Chain::of(hops).block(hop, |said| said.texts("delegate", &[name]))
    };
    let stolen = |hops: usize, hop: usize, name: &str| {
        let forge =
            named(hops, hop, name).block(hop, |said| said.with("holder", thiefs.clone())).forge();
        forge.change(|forge| forge.blocks[hop + 1].signer = Some(pair(&cast.thief))).bearer()
    };
    let directory = |what: &str, bearer: String, block| {
        let name = format!("names/directory: {what}");
        Case::refused(name, bearer, "name_mismatch", Some(block)).to(Server::Directory)
    };
    let unbound = named(1, 1, "agent.researcher").block(1, |said| said.without("holder"));
    let accepted = |what: &str, bearer: String| {
        Case::accepted(format!("names/directory: {what}"), bearer).to(Server::Directory)
    };
    let back =
        Chain::of(2).block(1, |b| b.texts("delegate", &["agent.researcher"])).block(2, |said| {
            said.texts("delegate", &["agent.orchestrator2"]).with("holder", bytes(&key(0).public()))
        });
    let back = back.forge().change(|forge| forge.blocks[3].signer = Some(pair(&key(0)))).bearer();
    vec![
        directory("a listed name and a thief's key", stolen(1, 1, "agent.researcher"), 1),
        directory("another listed name and a thief's key", stolen(1, 1, "agent.orchestrator"), 1),
        directory("two listed ones swapped", named(1, 1, "agent.orchestrator").bearer(), 1),
        directory("a listed key and no listed name", named(1, 1, "agent.other").bearer(), 1),
        directory("a listed key and capitals", named(1, 1, "Agent.Researcher").bearer(), 1),
        directory("a listed key and a dot more", named(1, 1, "agent.researcher.").bearer(), 1),
        directory(
            "a listed key and a digit for a letter",
            named(1, 1, "agent.re5earcher").bearer(),
            1,
        ),
        directory("a listed name and no key", unbound.bearer(), 1),
        directory(
            "a listed name and a thief's key, further down",
            {
                let chain = named(2, 1, "agent.researcher");
                let chain = chain.block(2, |said| said.texts("delegate", &["agent.researcher"]));
                chain.bearer()
            },
            2,
        ),
        directory("a listed key that comes back under another name", back, 2),
        accepted("a listed name and its key", named(1, 1, "agent.researcher").bearer()),
        accepted("neither is listed", stolen(1, 1, "agent.reseacher")),
    ]
}

fn revoked() -> Vec<Case> {
    let to = |what: &str, chain: Chain, block| {
        refused(&format!("revoked: {what}"), &chain, "revoked", block).to(Server::Revoking)
    };
    let agent = |hops, hop| {
        Chain::of(hops).block(hop, |said: Block| said.texts("delegate", &["agent.revoked"]))
    };
    let subject = |name| Chain::of(1).block(0, |said| said.texts("subject", &[name]));
    let beside = |what: &str, chain: Chain| {
        Case::accepted(format!("names/not revoked: {what}"), chain.bearer()).to(Server::Revoking)
    };
    vec![
        to("an agent", agent(1, 1), 1),
        to("an agent in the middle", agent(3, 2), 2),
        to("an agent at the last of thirteen", agent(13, 13), 13),
        to("a subject", subject("user:revoked"), 0),
        beside(
            "an agent's capitals",
            Chain::of(1).block(1, |b| b.texts("delegate", &["agent.Revoked"])),
        ),
        beside("a subject that begins so", subject("user:revoked2")),
    ]
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let longest = format!("user:{}", "a".repeat(123));
    let agent = "a".repeat(128);
    let accepted =
        |what: &str, chain: Chain| Case::accepted(format!("names/{what}"), chain.bearer());
    let subject = |name: &str| Chain::of(1).block(0, |said| said.texts("subject", &[name]));
    let named = |name: &str| Chain::of(1).block(1, |said| said.texts("delegate", &[name]));
    let about =
        |predicate: &str| Chain::of(1).block(0, |said| said.and(predicate, string("admin")));
    vec![
        accepted("a subject of 128 bytes", subject(&longest)),
        accepted("a subject with all marks", subject("user:a.b-c_d@e/f:g")),
        accepted("an agent of 128 bytes", named(&agent)),
        accepted("an agent with all marks", named("a.b-c_d@e/f")),
        accepted("a fact about the subject", about("role")),
        accepted("a fact about the subject called in capitals", about("Granted")),
        accepted("a fact about the subject with a colon", about("acme:role")),
        accepted("a fact about the subject of 128 letters", about(&"r".repeat(128))),
        accepted("an agent twice in the chain", {
            let same = |said: Block| said.texts("delegate", &["agent.same"]);
            Chain::of(2).block(1, same).block(2, same)
        }),
    ]
}

fn refused(what: &str, chain: &Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("names/{what}"), chain.bearer(), cause, Some(block))
}
