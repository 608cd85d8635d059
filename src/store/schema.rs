//! Schema: the tables of the database, and how a row is written.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::{LeafHash, SeenBlock};
use crate::chain::RevocationId;
use crate::keys::PublicKey;
use crate::revocation::{Epoch, InForce, RequestId, Revocation, RevocationEntry};
use crate::store::StoreError;
use crate::store::clock::{Clock, Moments};
use crate::timestamp::Timestamp;

/// What says that a file is a store, in which form, whose, and how much must be in it.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Revocations in force by the sequence number of their record, as [`revocation_row`] writes them. Who
/// revoked and why, the record says.
pub(super) const REVOCATIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("revocations");

/// Accepted call-bound presentations by id, with their expiry in seconds since 1970.
pub(super) const ACCEPTED: TableDefinition<[u8; 64], u64> = TableDefinition::new("accepted");

/// Accepted call-bound presentations by expiry, so that the oldest are found first.
pub(super) const ACCEPTED_BY_EXPIRY: TableDefinition<(u64, [u8; 64]), ()> =
    TableDefinition::new("accepted-by-expiry");

/// Blocks of chains that were verified here by id, as JSON.
pub(super) const SEEN: TableDefinition<[u8; 64], &[u8]> = TableDefinition::new("seen");

/// Blocks of chains that were verified here by expiry.
pub(super) const SEEN_BY_EXPIRY: TableDefinition<(u64, [u8; 64]), ()> =
    TableDefinition::new("seen-by-expiry");

/// Where the events of the log of revocations stand among the records: for the first event of each run without other records in between
/// its number, and the number of its record. A store from before there was this table has none, and says so by its first number.
pub(super) const EVENTS: TableDefinition<u64, u64> = TableDefinition::new("events");

/// Requests to revoke that were answered, by their id.
pub(super) const REQUESTS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("requests");

/// The sentinel: without these words a file is no store of this version.
pub(super) const FORMAT: (&str, &[u8]) = ("format", b"hardtack-store-3");

/// What stands there in a store of an earlier version, whose records are not packed. It is read as it is, and
/// [taken over](super::takeover) before it is written.
pub(super) const FORMAT_BEFORE: &[u8] = b"hardtack-store-2";

/// What the words of all versions begin with; a number follows.
pub(super) const FORMATS: &[u8] = b"hardtack-store-";

/// 16 random bytes by which a store's parts know each other.
pub(super) const ID: &str = "id";

/// The secret seed of the key that signs checkpoints.
pub(super) const KEY: &str = "key";

/// The [`State`] as of the last commit.
pub(super) const STATE: &str = "state";

/// Set in a backup, which is to be restored and not opened.
pub(super) const BACKUP: &str = "backup";

/// What must be in the tables, and what the store knows beyond them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Begins anew with each restoration.
    pub(super) epoch: u64,
    /// How many records there are, which is the last one's sequence number.
    pub(super) records: u64,
    /// The last record's leaf hash.
    pub(super) last: LeafHash,
    /// How many rows the other tables have.
    pub(super) rows: Rows,
    pub(super) clock: Clock,
    /// Grants issued up to this moment may be covered by a revocation that was forgotten.
    pub(super) forgotten_until: Option<Timestamp>,
    /// The expiries of accepted presentations that were forgotten.
    pub(super) forgotten_presentations: Moments,
    /// The longest life of a grant that a verifier of this store accepts, in seconds.
    pub(super) longest_life_seconds: u64,
    /// The longest life of a call-bound presentation that it accepts, in seconds.
    #[serde(default)]
    pub(super) longest_call_seconds: u64,
    /// How many verified blocks were not remembered, for want of room.
    pub(super) unseen: u64,
    /// How many events the log of revocations has. A store that a program wrote last which does not count them begins with one that
    /// nobody can read.
    #[serde(default = "one")]
    pub(super) events: u64,
    /// The last record that is in an archive: what is here of the records up to it is what the rest needs.
    #[serde(default)]
    pub(super) archived: u64,
    /// Which log of revocations that is: new with each making and restoration.
    #[serde(default)]
    pub(super) log: Option<Epoch>,
}

fn one() -> u64 {
    1
}

impl State {
    /// How many events are counted. An older program that knows some of this and not all may have left another number.
    pub(super) fn counted(&self) -> u64 {
        if self.rows.events.is_some() { self.events } else { one() }
    }

    /// Which log of revocations this is: a new one each time it is asked, if an older program wrote last, until it is kept. In a store
    /// from before it was kept, the store and its epoch say so.
    pub(super) fn log_epoch(&self, id: &[u8; 16]) -> Epoch {
        // Whoever followed before has heard of nothing that an older program wrote: it takes the list.
        if self.rows.events.is_none() {
            return Epoch::random();
        }
        self.log.unwrap_or_else(|| {
            let digest = Sha256::new().chain_update(id).chain_update(self.epoch.to_le_bytes());
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&digest.finalize()[..16]);
            Epoch::from_bytes(bytes)
        })
    }
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) revocations: u64,
    pub(super) accepted: u64,
    pub(super) seen: u64,
    /// `None`: an older program that knows no events wrote last, and what the table has is not what happened.
    #[serde(default)]
    pub(super) events: Option<u64>,
    /// `None`: an older program that knows no requests wrote last.
    #[serde(default)]
    pub(super) requests: Option<u64>,
}

impl Rows {
    /// Whether an older program wrote last, which does not keep all tables.
    pub(super) fn are_of_older(&self) -> bool {
        self.events.is_none() || self.requests.is_none()
    }

    /// Whether this is what `counted` says that there is, as far as it is known here.
    pub(super) fn agree_with(&self, counted: &Rows) -> bool {
        let known = Rows {
            events: self.events.or(counted.events),
            requests: self.requests.or(counted.requests),
            ..*self
        };
        known == *counted
    }
}

/// What a record does to the tables besides being one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    /// A revocation comes into force.
    Revoke(RevocationEntry),
    /// A call-bound presentation was accepted.
    Accept {
        /// Its id.
        id: RevocationId,
        /// When it expires.
        expires: Timestamp,
    },
    /// A block of a verified chain was seen for the first time.
    See(SeenBlock),
    /// A request to revoke was answered.
    Answer { request: RequestId, answered: Answered },
    /// Revocations were forgotten. It stands in no journal.
    Forget,
}

impl Effect {
    /// Whether programs from before would take a frame with it for one that was never acknowledged.
    pub(super) fn is_newer(&self) -> bool {
        match self {
            Effect::Revoke(entry) => {
                matches!(entry.notice.revocation, Revocation::AgentUntilNow { .. })
            }
            Effect::Answer { .. } | Effect::Forget => true,
            Effect::Accept { .. } | Effect::See(_) => false,
        }
    }
}

/// A request to revoke that was answered, and what with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    /// The digest of what was asked for.
    pub(super) asked: [u8; 32],
    /// Of each, whether it came into force, and the number of its record.
    pub(super) receipts: Vec<(bool, u64)>,
    /// Until when it is kept at least.
    pub(super) until: Timestamp,
}

/// One record on its way to the disk.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) hashes: Vec<[u8; 32]>,
    pub(super) json: Vec<u8>,
    pub(super) effects: Vec<Effect>,
}

impl Entry {
    /// Whether it is an event of the log of revocations.
    pub(super) fn is_event(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Revoke(_) | Effect::Forget))
    }

    pub(super) fn leaf(&self) -> LeafHash {
        self.hashes.first().map_or(LeafHash::of(&self.json), |leaf| LeafHash(*leaf))
    }
}

/// The row of a revocation: a letter for its kind, its moment, when it expires (or all ones), and what
/// it names. There may be a million, which are all read on opening.
pub(super) fn revocation_row(entry: &InForce) -> Vec<u8> {
    let mut row = Vec::with_capacity(96);
    row.push(match &entry.revocation {
        Revocation::Id { .. } => b'i',
        Revocation::Subject { root: None, .. } => b's',
        Revocation::Subject { root: Some(_), .. } => b'r',
        Revocation::Holder { .. } => b'h',
        Revocation::Agent { .. } => b'a',
        Revocation::AgentUntilNow { .. } => b'u',
    });
    let expires = entry.expires.map_or(u64::MAX, Timestamp::unix_seconds);
    row.extend_from_slice(&entry.revoked.unix_seconds().to_le_bytes());
    row.extend_from_slice(&expires.to_le_bytes());
    match &entry.revocation {
        Revocation::Id { id } => row.extend_from_slice(id.as_bytes()),
        Revocation::Holder { key } => row.extend_from_slice(&key.to_bytes()),
        Revocation::Agent { agent } | Revocation::AgentUntilNow { agent } => {
            row.extend_from_slice(agent.as_bytes());
        }
        Revocation::Subject { subject, root } => {
            root.iter().for_each(|root| row.extend_from_slice(&root.to_bytes()));
            row.extend_from_slice(subject.as_bytes());
        }
    }
    row
}

/// What a row of [`REVOCATIONS`] says.
pub(super) fn read_revocation_row(sequence: u64, row: &[u8]) -> Result<InForce, StoreError> {
    parse_revocation_row(sequence, row)
        .ok_or(StoreError::Unreadable { what: "revocation", number: sequence })
}

fn parse_revocation_row(sequence: u64, row: &[u8]) -> Option<InForce> {
    let (kind, rest) = row.split_first()?;
    let (revoked, rest) = rest.split_first_chunk().map(|(n, r)| (u64::from_le_bytes(*n), r))?;
    let (expires, named) = rest.split_first_chunk().map(|(n, r)| (u64::from_le_bytes(*n), r))?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let key = |bytes: &[u8]| PublicKey::from_bytes(bytes.try_into().ok()?).ok();
    let revocation = match kind {
        b'i' => Revocation::Id { id: RevocationId::from_bytes(named.try_into().ok()?) },
        b's' => Revocation::Subject { subject: text(named)?, root: None },
        b'r' => {
            let (root, subject) = named.split_at_checked(32)?;
            Revocation::Subject { subject: text(subject)?, root: Some(key(root)?) }
        }
        b'h' => Revocation::Holder { key: key(named)? },
        b'a' => Revocation::Agent { agent: text(named)? },
        b'u' => Revocation::AgentUntilNow { agent: text(named)? },
        _ => return None,
    };
    let expires = (expires != u64::MAX).then(|| Timestamp::from_unix_seconds(expires));
    let revoked = Timestamp::from_unix_seconds(revoked);
    Some(InForce { sequence, revocation, revoked, expires })
}

/// The state as it was committed last.
pub(super) fn read_state(reading: &ReadTransaction) -> Result<State, StoreError> {
    let meta = reading.open_table(META)?;
    let state = meta.get(STATE)?;
    let state = state.ok_or(StoreError::Unreadable { what: "state", number: 0 })?;
    decode(state.value(), "state", 0)
}

/// How many rows there are really.
pub(super) fn count_rows(reading: &ReadTransaction) -> Result<Rows, StoreError> {
    Ok(Rows {
        revocations: reading.open_table(REVOCATIONS)?.len()?,
        accepted: reading.open_table(ACCEPTED)?.len()?,
        seen: reading.open_table(SEEN)?.len()?,
        events: Some(if_there(reading.open_table(EVENTS))?.map_or(Ok(0), |table| table.len())?),
        requests: Some(if_there(reading.open_table(REQUESTS))?.map_or(Ok(0), |table| table.len())?),
    })
}

/// The table of events, if what it has is what happened.
pub(super) fn events_of(
    reading: &ReadTransaction,
    state: &State,
) -> Result<Option<ReadOnlyTable<u64, u64>>, StoreError> {
    match state.rows.events {
        Some(_) => if_there(reading.open_table(EVENTS)),
        None => Ok(None),
    }
}

type RequestsTable = ReadOnlyTable<[u8; 16], &'static [u8]>;

/// The table of requests, if the program that wrote last has kept it.
pub(super) fn requests_of(reading: &ReadTransaction) -> Result<Option<RequestsTable>, StoreError> {
    match read_state(reading)?.rows.requests {
        Some(_) => if_there(reading.open_table(REQUESTS)),
        None => Ok(None),
    }
}

/// A table that a store from before has not.
pub(super) fn if_there<T>(opened: Result<T, redb::TableError>) -> Result<Option<T>, StoreError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(
    json: &[u8],
    what: &'static str,
    number: u64,
) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|_| StoreError::Unreadable { what, number })
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Engine(error.to_string()))
}

/// Every revocation in force, in the order of their records.
pub(super) fn read_revocations(reading: &ReadTransaction) -> Result<Vec<InForce>, StoreError> {
    let table = reading.open_table(REVOCATIONS)?;
    let entries = table.iter()?.map(|row| {
        let (sequence, row) = row?;
        read_revocation_row(sequence.value(), row.value())
    });
    entries.collect()
}

/// The revocations among entries, as far as decisions need them.
pub(super) fn in_force<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> impl Iterator<Item = InForce> {
    revoked_by(entries).map(InForce::from)
}

/// The revocations among entries.
pub(super) fn revoked_by<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> impl Iterator<Item = &'a RevocationEntry> {
    entries.into_iter().flat_map(|entry| &entry.effects).filter_map(|effect| match effect {
        Effect::Revoke(entry) => Some(entry),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_of_a_name_in_a_store_from_before_is_a_ban_for_good() {
        let row = [&b"a"[..], &7_u64.to_le_bytes(), &[0xff; 8], b"agent.a"].concat();
        let entry = read_revocation_row(5, &row).unwrap();
        assert_eq!(entry.revocation, Revocation::Agent { agent: "agent.a".to_owned() });
        assert_eq!(entry.expires, None);
    }

    #[test]
    fn a_revocations_row_says_what_was_revoked() {
        let key = crate::keys::PrivateKey::from_bytes(&[3; 32]).public();
        let id = RevocationId::from_bytes([9; 64]);
        for revocation in [
            Revocation::Id { id },
            Revocation::Subject { subject: "user:alice".to_owned(), root: None },
            Revocation::Subject { subject: "user:alice".to_owned(), root: Some(key) },
            Revocation::Holder { key },
            Revocation::Agent { agent: "agent.a".to_owned() },
            Revocation::AgentUntilNow { agent: "agent.a".to_owned() },
        ] {
            let revoked = Timestamp::from_unix_seconds(7);
            for expires in [None, Some(Timestamp::from_unix_seconds(8))] {
                let entry =
                    InForce { sequence: 5, revocation: revocation.clone(), revoked, expires };
                let row = revocation_row(&entry);
                assert_eq!(read_revocation_row(5, &row).unwrap(), entry);
                assert!(read_revocation_row(5, &row[..10]).is_err());
            }
        }
    }
}
