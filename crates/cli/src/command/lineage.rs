//! Lineage: the chains that a store has seen, drawn for people.

use std::fmt::Write;

use hardtack::names::escaped;
use hardtack::store::{BlockState, SeenBlock, SeenChains};
use hardtack::{Revocation, Timestamp};
use serde_json::{Value, json};

use crate::terminal::{BAD, FAINT, GOOD, NAME, TEXT, WARN, short};

/// How far to the right a chain is drawn: three columns a hop, and deeper than a token can be.
const MAX_MARGIN: usize = 3 * 16;

/// Every chain, with who is live in it and who is stopped by what.
pub(crate) fn draw(lineage: &SeenChains, now: Timestamp) -> String {
    let mut text = String::new();
    for grant in in_order(lineage.grants()) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}  {}", described(grant), standing(lineage, grant, now));
        branches(&mut text, lineage, grant, "", now);
    }
    if text.is_empty() {
        text.push_str("no chain was verified here yet\n");
    }
    note_unseen(&mut text, lineage);
    text
}

/// What revocations would stop, and which live agents are among it.
pub(crate) fn killed(
    lineage: &SeenChains,
    revocations: &[Revocation],
    store: &str,
    now: Timestamp,
) -> String {
    let mut text = String::new();
    for revocation in revocations {
        let killed = lineage.killed_by(revocation, now);
        let live: Vec<_> = killed
            .iter()
            .filter(|block| lineage.standing(block, now) == BlockState::Live)
            .collect();
        let _ = writeln!(
            text,
            "{revocation}\n  would stop {} of chains seen here, {} live",
            blocks(killed.len() as u64),
            live.len()
        );
        for block in live {
            let _ = writeln!(text, "  {BAD}✗{BAD:#} {TEXT}{}", described(block));
        }
        if killed.is_empty() {
            let unseen = unseen(std::slice::from_ref(revocation), store, false);
            let _ = writeln!(text, "  {unseen}");
        }
    }
    let _ = writeln!(text, "{FAINT}nothing was revoked{FAINT:#}");
    note_unseen(&mut text, lineage);
    text
}

/// So many blocks.
pub(crate) fn blocks(number: u64) -> String {
    match number {
        1 => "1 block".to_owned(),
        number => format!("{number} blocks"),
    }
}

/// That nothing which `store` has seen is what revocations name.
pub(crate) fn unseen(revocations: &[Revocation], store: &str, is_revoked: bool) -> String {
    let what = match revocations {
        [
            Revocation::Subject { .. }
            | Revocation::Agent { .. }
            | Revocation::AgentUntilNow { .. },
        ] => "is called so",
        [Revocation::Holder { .. }] => "is bound to this key",
        [Revocation::Id { .. }] => "has this id (it remembers grants and hops)",
        _ => "has one of these ids (it remembers grants and hops)",
    };
    let all_the_same = if is_revoked { "It is revoked all the same: what" } else { "What" };
    format!(
        "{WARN}nothing that {store} has seen {what}{WARN:#}. {all_the_same} was not presented there yet, it does not know"
    )
}

/// The same forest as JSON: one object a block, with how it stands.
pub(crate) fn as_json(lineage: &SeenChains, now: Timestamp) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut next = in_order(lineage.grants());
    while let Some(block) = next.pop() {
        let (standing, by) = match lineage.standing(block, now) {
            BlockState::Live => ("live", None),
            BlockState::Expired => ("expired", None),
            BlockState::Revoked(entry) => ("revoked", Some(entry.sequence)),
            BlockState::RevokedAbove(entry) => ("fallen", Some(entry.sequence)),
        };
        let mut value = json!(block);
        value["standing"] = json!(standing);
        value["by_record"] = json!(by);
        blocks.push(value);
        next.extend(lineage.children(&block.id));
    }
    blocks
}

/// Blocks as they were met: the same order, wherever they are read from.
pub(crate) fn in_order<'a>(blocks: impl Iterator<Item = &'a SeenBlock>) -> Vec<&'a SeenBlock> {
    let mut blocks: Vec<_> = blocks.collect();
    blocks.sort_by_key(|block| (block.seen, block.id));
    blocks
}

/// What hangs below a block; every line begins with `margin`.
fn branches(
    text: &mut String,
    lineage: &SeenChains,
    block: &SeenBlock,
    margin: &str,
    now: Timestamp,
) {
    if margin.chars().count() > MAX_MARGIN {
        return;
    }
    let mut children = in_order(lineage.children(&block.id)).into_iter().peekable();
    while let Some(child) = children.next() {
        let (here, below) =
            if children.peek().is_some() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
        let standing = standing(lineage, child, now);
        let _ = writeln!(text, "{FAINT}{margin}{here}{FAINT:#}{}  {standing}", described(child));
        branches(text, lineage, child, &format!("{margin}{below}"), now);
    }
}

fn standing(lineage: &SeenChains, block: &SeenBlock, now: Timestamp) -> String {
    match lineage.standing(block, now) {
        BlockState::Live => {
            let left = humantime::format_duration(block.expires.since(now));
            format!("{GOOD}live{GOOD:#} {FAINT}{left} left{FAINT:#}")
        }
        BlockState::Expired => format!("{FAINT}expired {}{FAINT:#}", block.expires),
        BlockState::Revoked(entry) => {
            let (sequence, notice) = (entry.sequence, &entry.notice);
            let (by, reason) = (escaped(&notice.by), escaped(&notice.reason));
            format!("{BAD}revoked{BAD:#} by {by}: {reason} (record {sequence})")
        }
        BlockState::RevokedAbove(entry) => {
            format!("{BAD}stopped{BAD:#} with record {}", entry.sequence)
        }
    }
}

/// A block in one line, whatever its texts are: they may come from a gateway, which was perhaps taken over.
fn described(block: &SeenBlock) -> String {
    let why = block.reason.as_ref().map(|reason| format!(" “{}”", escaped(reason)));
    let (why, id) = (why.unwrap_or_default(), short(&block.id.to_string()));
    format!("{NAME}{}{NAME:#}{why} {FAINT}{id}{FAINT:#}", escaped(&block.name))
}

fn note_unseen(text: &mut String, lineage: &SeenChains) {
    if lineage.lost() > 0 {
        let _ = writeln!(
            text,
            "{FAINT}{} more blocks were seen and not remembered, for want of room{FAINT:#}",
            lineage.lost()
        );
    }
}
