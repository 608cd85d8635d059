//! Line: one event of a feed, or one entry of a snapshot, as its exact bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::chain::RevocationId;
use crate::feed::MOST_LINE_BYTES;
use crate::keys::PublicKey;
use crate::revocation::{Change, Delta, InForce, Revocation};
use crate::timestamp::Timestamp;

/// An event as a follower hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Delta(Delta),
    /// The publisher missed events: only a snapshot says what is in force.
    Anew,
}

/// What stands in a line. A line with a member or of a kind that is not known is refused, and with it all that follows: none is passed over.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Wire {
    Id {
        sequence: u64,
        id: Short,
        revoked: Timestamp,
        expires: Option<Timestamp>,
    },
    Subject {
        sequence: u64,
        subject: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        root: Option<PublicKey>,
        revoked: Timestamp,
        expires: Option<Timestamp>,
    },
    Holder {
        sequence: u64,
        key: PublicKey,
        revoked: Timestamp,
        expires: Option<Timestamp>,
    },
    AgentUntilNow {
        sequence: u64,
        agent: String,
        revoked: Timestamp,
        expires: Option<Timestamp>,
    },
    Agent {
        sequence: u64,
        agent: String,
        revoked: Timestamp,
        expires: Option<Timestamp>,
    },
    Forgotten {
        sequences: Vec<(u64, u64)>,
        until: Option<Timestamp>,
    },
    Anew {},
}

/// The bytes 32 to 47 of a block's id, by which it is found among what is revoked.
struct Short([u8; 16]);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Short, D::Error> {
        let mut short = [0; 16];
        hex::decode_to_slice(String::deserialize(deserializer)?, &mut short)
            .map_err(serde::de::Error::custom)?;
        Ok(Short(short))
    }
}

impl Short {
    fn of(id: &RevocationId) -> Short {
        let mut short = [0; 16];
        short.copy_from_slice(&id.as_bytes()[32..48]);
        Short(short)
    }

    /// An id that is found by these bytes; its others are zero.
    fn id(&self) -> RevocationId {
        let mut bytes = [0; 64];
        bytes[32..48].copy_from_slice(&self.0);
        RevocationId::from_bytes(bytes)
    }
}

/// The line of an event of a log of revocations.
pub(super) fn of_change(change: &Change) -> String {
    match change {
        Change::Revoked(entry) => of_entry(&InForce::from(entry)),
        Change::Forgotten { sequences, until } => {
            written(&Wire::Forgotten { sequences: sequences.clone(), until: *until })
        }
    }
}

/// The line of what is in force.
pub(super) fn of_entry(entry: &InForce) -> String {
    let InForce { sequence, revocation, revoked, expires } = entry.clone();
    written(&match revocation {
        Revocation::Id { id } => Wire::Id { sequence, id: Short::of(&id), revoked, expires },
        Revocation::Subject { subject, root } => {
            Wire::Subject { sequence, subject, root, revoked, expires }
        }
        Revocation::Holder { key } => Wire::Holder { sequence, key, revoked, expires },
        Revocation::AgentUntilNow { agent } => {
            Wire::AgentUntilNow { sequence, agent, revoked, expires }
        }
        Revocation::Agent { agent } => Wire::Agent { sequence, agent, revoked, expires },
    })
}

/// The line which says that events were missed.
pub(super) fn anew() -> String {
    written(&Wire::Anew {})
}

fn written(wire: &Wire) -> String {
    // What has texts, numbers and moments alone can be written.
    serde_json::to_string(wire).unwrap_or_default()
}

/// Reads a line; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Line> {
    if text.len() > MOST_LINE_BYTES {
        return None;
    }
    let in_force = |sequence, revocation: Revocation, revoked, expires| {
        revocation.check().ok()?;
        Some(Line::Delta(Delta::Revoked(InForce { sequence, revocation, revoked, expires })))
    };
    match serde_json::from_str(text).ok()? {
        Wire::Id { sequence, id, revoked, expires } => {
            in_force(sequence, Revocation::Id { id: id.id() }, revoked, expires)
        }
        Wire::Subject { sequence, subject, root, revoked, expires } => {
            in_force(sequence, Revocation::Subject { subject, root }, revoked, expires)
        }
        Wire::Holder { sequence, key, revoked, expires } => {
            in_force(sequence, Revocation::Holder { key }, revoked, expires)
        }
        Wire::AgentUntilNow { sequence, agent, revoked, expires } => {
            in_force(sequence, Revocation::AgentUntilNow { agent }, revoked, expires)
        }
        Wire::Agent { sequence, agent, revoked, expires } => {
            in_force(sequence, Revocation::Agent { agent }, revoked, expires)
        }
        Wire::Forgotten { sequences, until } => {
            Some(Line::Delta(Delta::Forgotten { sequences, until }))
        }
        Wire::Anew {} => Some(Line::Anew),
    }
}
