//! Forged: a chain as a real token, each block signed with the real key of whoever is to have signed it, and
//! a server as a real guard over a real store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use biscuit_auth::Biscuit;
use biscuit_auth::builder::BlockBuilder;
use biscuit_auth::format::schema;
use hardtack::{Call as RealCall, Directory, Guard, Policy, PrivateKey, Revocation, RootKeys};
use hardtack::{Revoking, Store, Timestamp, Verifier};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::draw::ROOT;
use crate::said::*;
use hardtack_testkit::NOW;
use hardtack_testkit::forge::{self, Forge, Part, Proof};

pub fn key(key: Key) -> PrivateKey {
    PrivateKey::from_bytes(&[key; 32])
}

pub fn moment(seconds: Seconds) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds().checked_add_signed(seconds).unwrap())
}

/// The token of a chain; call-bound presentations of different numbers are different ones.
pub fn bearer(chain: &Chain, number: u64) -> String {
    let grant = format!(
        "hardtack(1); subject(\"{}\"); issued({}); max_depth({}); {}",
        chain.subject,
        moment(chain.issued),
        chain.max_depth,
        facts(&chain.grant)
    );
    let builder = Biscuit::builder().code(grant).unwrap();
    let mut words = builder.build(&forge::pair(&key(ROOT))).unwrap();
    let mut parts = vec![part(0, last_block(&words), None)];
    for block in &chain.blocks {
        let mut content = content(block, number);
        if let Some(is_right) = block.parent {
            let digest = if is_right { parent(&parts) } else { [1; 16] };
            content += &format!(" parent(hex:{});", hex::encode(digest));
        }
        let bytes = match block.signer {
            Some(_) => forge::payload(&content),
            None => {
                words = words.append(BlockBuilder::new().code(&content).unwrap()).unwrap();
                last_block(&words)
            }
        };
        parts.push(part(parts.len(), bytes, block.signer));
    }
    let (hint, root) = chain.root;
    let forge = Forge {
        root: forge::pair(&key(root)),
        root_key_id: hint,
        blocks: parts,
        proof: Proof::Sealed,
    };
    let Some(broken) = chain.broken else { return forge.bearer() };
    let mut token = forge.sign();
    let block = match broken {
        0 => &mut token.authority,
        later => &mut token.blocks[later - 1],
    };
    match &mut block.external_signature {
        Some(external) if chain.broken_of_holder => external.signature[9] ^= 1,
        _ => block.signature[9] ^= 1,
    }
    URL_SAFE.encode(token.encode_to_vec())
}

/// The bytes of the last block. Blocks that nobody in particular signs share their words with the grant, so
/// that a plain Biscuit of these alone says how each is written.
fn last_block(words: &Biscuit) -> Vec<u8> {
    let token = schema::Biscuit::decode(words.to_vec().unwrap().as_slice()).unwrap();
    token.blocks.into_iter().last().unwrap_or(token.authority).block
}

fn part(at: usize, bytes: Vec<u8>, signer: Option<Key>) -> Part {
    Part {
        bytes,
        signer: signer.map(|signer| forge::pair(&key(signer))),
        next: forge::throw_away(at),
        version: Some(1),
    }
}

/// What a block says of the token before it, as the profile defines it.
fn parent(parts: &[Part]) -> [u8; 16] {
    let mut read = Sha256::new();
    for part in parts {
        read.update((part.bytes.len() as u64).to_le_bytes());
        read.update(&part.bytes);
        match &part.signer {
            Some(signer) => read.update([&[1][..], &signer.public().to_bytes()].concat()),
            None => read.update([0]),
        }
    }
    read.finalize()[..16].try_into().unwrap()
}

fn content(block: &Block, number: u64) -> String {
    match &block.kind {
        Kind::Caveat(checks) if checks.is_empty() => "check if true;".to_owned(),
        Kind::Caveat(checks) => self::checks(checks),
        Kind::Hop { agent, has_reason, link } => format!(
            "hop({}); delegate(\"{agent}\"); {} {}",
            block.number,
            if *has_reason { "reason(\"for the model\");" } else { "" },
            facts(link)
        ),
        Kind::Presentation { audience, expires, call } => format!(
            "hop({}); presentation(\"{}\"); audience(\"{audience}\"); expires({}); {}",
            block.number,
            if call.is_some() { "call" } else { "session" },
            moment(*expires),
            call.as_ref().map_or(String::new(), |call| {
                let digest = hex::encode(real(call).digest());
                format!("digest(hex:{digest}); nonce(hex:{number:032x});")
            })
        ),
    }
}

fn facts(link: &Link) -> String {
    // A block says nothing twice.
    let say = |name: &str, values: &[Name]| -> String {
        let first = |(at, value): &(usize, &Name)| !values[..*at].contains(value);
        let once = values.iter().enumerate().filter(first);
        once.map(|(_, value)| format!("{name}(\"{value}\"); ")).collect()
    };
    let holder = link.holder.map_or(String::new(), |holder| {
        format!("holder(hex:{}); ", hex::encode(key(holder).public().to_bytes()))
    });
    let (scopes, audiences) = (say("scope", &link.scopes), say("audience", &link.audiences));
    let expires = moment(link.expires);
    format!("{scopes}{audiences}expires({expires}); {holder}{}", checks(&link.checks))
}

fn checks(checks: &[Check]) -> String {
    let written = checks.iter().map(|check| match *check {
        Check::OneOf(name, [one, other]) if one == other => {
            format!(r#"check if arg("{name}", "{one}"); "#)
        }
        Check::OneOf(name, [one, other]) => {
            format!(r#"check all arg("{name}", $v), {{"{one}", "{other}"}}.contains($v); "#)
        }
        Check::AtMost(name, most) => format!(r#"check all arg("{name}", $v), $v <= {most}; "#),
        Check::NotAbove(name, most) => format!(r#"reject if arg("{name}", $v), $v > {most}; "#),
        Check::AtMostOr(name, most, other, text) => format!(
            r#"check if arg("{name}", $v), $v <= {most} or arg("{other}", $w), $w === "{text}"; "#
        ),
        Check::Before(end) => format!("check all time($time), $time < {}; ", moment(end)),
        Check::Depth(most) => format!("reject if depth($depth), $depth > {most}; "),
    });
    written.collect()
}

pub fn real(call: &Call) -> RealCall {
    let real = RealCall::new(call.operation).unwrap();
    let real = match call.scheme {
        Some("file") => real.resource("file:///pages/1").unwrap(),
        Some(scheme) => real.resource(&format!("{scheme}://notion.so/1")).unwrap(),
        None => real,
    };
    call.arguments.iter().fold(real, |real, (name, value)| {
        let json = match value {
            Value::Text(text) => format!("{text:?}"),
            Value::Number(number) => number.to_string(),
        };
        real.argument_json(name, &json).unwrap()
    })
}

/// The guard of a server, over a store of its own in memory.
pub fn guard(server: &Server) -> Guard {
    let store = Store::in_memory().unwrap();
    let policy = Policy::parse("model.datalog", &policy(server)).unwrap();
    Guard::new(verifier(server, &store), policy, store.for_supposed_times())
}

/// The verifier of a server that asks this store, in which is revoked what the server was told.
pub fn verifier(server: &Server, store: &Store) -> Verifier {
    let holders = server.revoked_holders.iter();
    let holders = holders.map(|holder| (0, Revocation::Holder { key: key(*holder).public() }));
    let agents = server.revoked_agents.iter();
    let agents = agents.map(|agent| (0, Revocation::Agent { agent: (*agent).to_owned() }));
    let subjects = server.revoked_subjects.iter().map(|(subject, at)| {
        (*at, Revocation::Subject { root: None, subject: (*subject).to_owned() })
    });
    // A store's clock does not go back.
    let mut revoked: Vec<_> = subjects.chain(holders).chain(agents).collect();
    revoked.sort_by_key(|(at, _)| *at);
    for (at, revocation) in revoked {
        store.revoke(Revoking::new(revocation, "tests", "lost").unwrap(), moment(at)).unwrap();
    }
    let roots = server.roots.iter().fold(RootKeys::default(), |roots, (id, root)| match id {
        Some(id) => roots.and_with_id(*id, key(*root).public()),
        None => roots.and(key(*root).public()),
    });
    let directory =
        server.directory.iter().fold(Directory::default(), |directory, (name, holder)| {
            directory.and(*name, key(*holder).public())
        });
    let verifier = Verifier::new(roots, server.audience, store.revocations()).unwrap();
    let verifier = verifier.directory(directory);
    if server.accepts_unbound { verifier.accept_unbound_hops() } else { verifier }
}

pub fn policy(server: &Server) -> String {
    let Server { checked, unmentioned, .. } = server;
    let ((far, hops), (dear, most)) = (server.denied_beyond, server.denied_above);
    format!(
        r#"reject if operation("{checked}");
        deny if operation("{far}"), depth($depth), $depth > {hops};
        deny if operation("{dear}"), arg("amount", $amount), $amount > {most};
        allow if granted($operation), $operation != "{unmentioned}";"#
    )
}
