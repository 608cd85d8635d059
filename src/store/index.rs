//! Index: in which stretches of the log can there be records of an agent, a subject, an operation, a verdict or a time?
//!
//! For each stretch of some hundred records there is a row: between which moments they are, and a few bytes of the digest of each name in
//! them (a block range index). A search passes over the stretches that have nothing, and reads the others. What has no row, or one that
//! does not say that it is whole, is read: records that an earlier version wrote, and the last ones. So a store of an earlier version needs
//! nothing done, and a row is never trusted with more than what not to read.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::audit::Verdict;
use crate::store::StoreError;
use crate::store::schema::Entry;
use crate::timestamp::Timestamp;

/// The stretches of the log, by their number from 0.
pub(super) const INDEX: TableDefinition<u64, &[u8]> = TableDefinition::new("log-index");

/// The records of a stretch. Smaller ones are passed over more often, and there are more rows to look at.
pub(super) const STRETCH: u64 = 512;

/// What is looked for in the log. All that is given must hold; the default is everything.
///
/// A record passes a subject, an agent, an operation or a verdict that it has: a decision those of its chain and call, a revocation the
/// subject or the agent that it revokes by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sought {
    /// Records on the rights of this subject.
    pub subject: Option<String>,
    /// Records with an agent of this name.
    pub agent: Option<String>,
    /// Decisions on this operation.
    pub operation: Option<String>,
    /// Decisions with this verdict.
    pub verdict: Option<Verdict>,
    /// Records of this moment and later.
    pub since: Option<Timestamp>,
    /// Records from before this moment.
    pub until: Option<Timestamp>,
}

/// What kind of name it is: the same word can be several.
#[derive(Clone, Copy)]
enum Kind {
    Subject,
    Agent,
    Operation,
    Verdict,
}

/// A part of a digest: names that share it only cost reading in vain.
fn mark(kind: Kind, name: &str) -> u32 {
    let digest = Sha256::new_with_prefix([kind as u8]).chain_update(name).finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The names of a record that can be looked for.
#[derive(Deserialize)]
struct Told {
    time: Timestamp,
    operation: Option<String>,
    decision: Option<String>,
    chain: Option<ToldChain>,
    subject: Option<String>,
    agent: Option<String>,
}

#[derive(Deserialize)]
struct ToldChain {
    subject: String,
    hops: Vec<ToldHop>,
}

#[derive(Deserialize)]
struct ToldHop {
    delegate: String,
}

impl Told {
    fn marks(&self) -> impl Iterator<Item = u32> {
        let chain = self.chain.iter();
        let agents = chain.clone().flat_map(|chain| &chain.hops).map(|hop| &hop.delegate);
        let agents = agents.chain(&self.agent).map(|name| mark(Kind::Agent, name));
        let subjects = chain.map(|chain| &chain.subject).chain(&self.subject);
        let subjects = subjects.map(|name| mark(Kind::Subject, name));
        let operation = self.operation.iter().map(|name| mark(Kind::Operation, name));
        let verdict = self.decision.iter().map(|name| mark(Kind::Verdict, name));
        agents.chain(subjects).chain(operation).chain(verdict)
    }
}

/// What is known of a stretch, up to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The last record that it knows, as it knows all of the stretch before.
    pub(super) last: u64,
    earliest: u64,
    latest: u64,
    /// In ascending order.
    marks: Vec<u32>,
}

/// How many bytes of a row's digest stand before it.
const CHECK: usize = 8;

impl Row {
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![0; CHECK];
        for number in [self.last, self.earliest, self.latest] {
            row.extend_from_slice(&number.to_le_bytes());
        }
        self.marks.iter().for_each(|mark| row.extend_from_slice(&mark.to_le_bytes()));
        let digest = Sha256::digest(&row[CHECK..]);
        row[..CHECK].copy_from_slice(&digest[..CHECK]);
        row
    }

    /// A row that is as it was written.
    pub(super) fn parse(row: &[u8]) -> Option<Row> {
        let (check, rest) = row.split_at_checked(CHECK)?;
        if check != &Sha256::digest(rest)[..CHECK] {
            return None;
        }
        let (numbers, marks) = rest.split_at_checked(24)?;
        let number = |at: usize| numbers.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let marks = marks.chunks_exact(4).map(|mark| mark.try_into().ok().map(u32::from_le_bytes));
        let marks = marks.collect::<Option<_>>()?;
        Some(Row { last: number(0)?, earliest: number(8)?, latest: number(16)?, marks })
    }

    fn add(&mut self, sequence: u64, told: &Told) {
        let time = told.time.unix_seconds();
        self.last = self.last.max(sequence);
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
        self.marks.extend(told.marks());
    }

    /// Whether all records that it knows are from before a moment.
    pub(super) fn is_before(&self, moment: Timestamp) -> bool {
        self.latest < moment.unix_seconds()
    }

    /// Whether some record of those that it knows may be one that is looked for.
    pub(super) fn may_have(&self, sought: &Sought) -> bool {
        let has = |kind: Kind, name: Option<&str>| {
            name.is_none_or(|name| self.marks.binary_search(&mark(kind, name)).is_ok())
        };
        let verdict = sought.verdict.map(|verdict| verdict.to_string());
        sought.since.is_none_or(|since| self.latest >= since.unix_seconds())
            && sought.until.is_none_or(|until| self.earliest < until.unix_seconds())
            && has(Kind::Subject, sought.subject.as_deref())
            && has(Kind::Agent, sought.agent.as_deref())
            && has(Kind::Operation, sought.operation.as_deref())
            && has(Kind::Verdict, verdict.as_deref())
    }
}

/// The number of the stretch in which a record is, which counts from 1.
pub(super) fn stretch_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / STRETCH
}

/// Adds entries, in order, to what is known of their stretches.
pub(super) fn add(writing: &WriteTransaction, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut table = writing.open_table(INDEX)?;
    for some in entries.chunk_by(|a, b| stretch_of(a.sequence) == stretch_of(b.sequence)) {
        let Some(first) = some.first() else { continue };
        let stretch = stretch_of(first.sequence);
        let known = table.get(stretch)?.and_then(|row| Row::parse(row.value()));
        match continued(known, stretch, some) {
            Some(row) => drop(table.insert(stretch, row.encode().as_slice())?),
            // What it does not know all of, it says nothing of.
            None => drop(table.remove(stretch)?),
        }
    }
    Ok(())
}

/// The row with these entries added; `None` if there are records before them that it does not know.
fn continued(known: Option<Row>, stretch: u64, entries: &[Entry]) -> Option<Row> {
    let before = stretch * STRETCH;
    let new = Row { last: before, earliest: u64::MAX, latest: 0, marks: Vec::new() };
    let mut row = known.unwrap_or(new);
    for entry in entries {
        if entry.sequence > row.last + 1 {
            return None;
        }
        row.add(entry.sequence, &serde_json::from_slice::<Told>(&entry.json).ok()?);
    }
    row.marks.sort_unstable();
    row.marks.dedup();
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, json: &str) -> Entry {
        Entry { sequence, hashes: Vec::new(), json: json.into(), effects: Vec::new() }
    }

    fn decision(sequence: u64, agent: &str) -> Entry {
        let time = Timestamp::from_unix_seconds(1_795_428_000 + sequence);
        entry(
            sequence,
            &format!(
                r#"{{"sequence":{sequence},"time":"{time}","event":"decision","decision":"deny","operation":"tools:call:x","chain":{{"subject":"user:a","hops":[{{"delegate":"{agent}"}}]}}}}"#
            ),
        )
    }

    #[test]
    fn a_row_knows_the_names_and_moments_of_its_records() {
        let row =
            continued(None, 1, &[decision(513, "agent.a"), decision(514, "agent.b")]).unwrap();
        assert_eq!(Row::parse(&row.encode()), Some(row.clone()));
        let everything = Sought::default;
        let may = |sought: Sought| row.may_have(&sought);
        assert!(may(everything()));
        assert!(may(Sought { agent: Some("agent.b".into()), ..everything() }));
        assert!(!may(Sought { agent: Some("agent.c".into()), ..everything() }));
        // A name is of its kind.
        assert!(!may(Sought { agent: Some("user:a".into()), ..everything() }));
        assert!(may(Sought { subject: Some("user:a".into()), ..everything() }));
        assert!(may(Sought { operation: Some("tools:call:x".into()), ..everything() }));
        assert!(!may(Sought { operation: Some("tools:call:y".into()), ..everything() }));
        assert!(may(Sought { verdict: Some(Verdict::Deny), ..everything() }));
        assert!(!may(Sought { verdict: Some(Verdict::Allow), ..everything() }));
        let moment = |second: u64| Some(Timestamp::from_unix_seconds(1_795_428_000 + second));
        assert!(may(Sought { since: moment(514), ..everything() }));
        assert!(!may(Sought { since: moment(515), ..everything() }));
        assert!(!may(Sought { until: moment(513), ..everything() }));
        assert!(may(Sought { until: moment(514), ..everything() }));
    }

    #[test]
    fn a_row_says_nothing_of_records_that_it_does_not_know() {
        assert_eq!(continued(None, 0, &[decision(2, "agent.a")]), None);
        let row = continued(None, 0, &[decision(1, "agent.a")]);
        assert_eq!(continued(row.clone(), 0, &[decision(3, "agent.a")]), None);
        let again = continued(row.clone(), 0, &[decision(1, "agent.a")]);
        assert_eq!(again, row, "what is written once more changes nothing");
        assert_eq!(continued(row.clone(), 0, &[entry(2, "no record")]), None);
        let mut bytes = row.unwrap().encode();
        bytes[CHECK + 8] ^= 1;
        assert_eq!(Row::parse(&bytes), None);
    }
}
