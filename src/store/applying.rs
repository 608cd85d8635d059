//! Applying: what do entries change in the tables of the database?

use redb::{ReadableTable, ReadableTableMetadata};

use crate::audit::SeenBlock;
use crate::store::StoreError;
use crate::store::content::{Covered, Writing};
use crate::store::index;
use crate::store::rows;
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, EVENTS, Effect, Entry, META, REQUESTS, REVOCATIONS, Rows, SEEN,
    SEEN_BY_EXPIRY, STATE, State, decode, encode, revocation_row,
};
use crate::timestamp::Timestamp;

/// Writes entries, and what they do.
pub(super) fn apply(writing: &Writing<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    empty_unkept(writing)?;
    rows::write(writing, entries)?;
    index::add(writing, entries)?;
    let effects = || entries.iter().flat_map(|entry| &entry.effects);
    // A table that is opened is written, needed or not.
    if effects().any(|effect| matches!(effect, Effect::Revoke(_))) {
        let mut revocations = writing.open_table(REVOCATIONS)?;
        for effect in effects() {
            if let Effect::Revoke(entry) = effect {
                if let Some(earlier) = entry.notice.prolongs {
                    unrevoke(writing, &mut revocations, earlier)?;
                }
                let (sequence, row) = (entry.sequence, revocation_row(&entry.into()));
                let before = revocations.insert(sequence, row.as_slice())?;
                let before = before.as_ref().map(|before| before.value());
                let key = sequence.to_le_bytes();
                writing.changed(Covered::Revocations, &key, before, Some(&row));
            }
        }
    }
    if effects().any(|effect| matches!(effect, Effect::Accept { .. })) {
        let mut accepted = writing.open_table(ACCEPTED)?;
        let mut by_expiry = writing.open_table(ACCEPTED_BY_EXPIRY)?;
        for effect in effects() {
            if let Effect::Accept { id, expires } = effect {
                accepted.insert(id.as_bytes(), expires.unix_seconds())?;
                by_expiry.insert((expires.unix_seconds(), *id.as_bytes()), ())?;
            }
        }
    }
    if effects().any(|effect| matches!(effect, Effect::Answer { .. })) {
        let mut requests = writing.open_table(REQUESTS)?;
        for effect in effects() {
            if let Effect::Answer { request, answered } = effect {
                requests.insert(request.as_bytes(), encode(answered)?.as_slice())?;
            }
        }
    }
    let seen = effects().filter_map(|effect| match effect {
        Effect::See(block) => Some(block),
        _ => None,
    });
    see(writing, seen)
}

/// Takes a revocation out of those in force.
pub(super) fn unrevoke(
    writing: &Writing<'_>,
    revocations: &mut redb::Table<'_, u64, &'static [u8]>,
    sequence: u64,
) -> Result<(), StoreError> {
    let before = revocations.remove(sequence)?;
    let before = before.as_ref().map(|before| before.value());
    writing.changed(Covered::Revocations, &sequence.to_le_bytes(), before, None);
    Ok(())
}

/// Remembers blocks of chains.
pub(super) fn see<'a>(
    writing: &Writing<'_>,
    blocks: impl IntoIterator<Item = &'a SeenBlock>,
) -> Result<(), StoreError> {
    let mut blocks = blocks.into_iter().peekable();
    if blocks.peek().is_none() {
        return Ok(());
    }
    let mut seen = writing.open_table(SEEN)?;
    let mut by_expiry = writing.open_table(SEEN_BY_EXPIRY)?;
    for block in blocks {
        seen.insert(block.id.as_bytes(), encode(block)?.as_slice())?;
        by_expiry.insert((block.expires.unix_seconds(), *block.id.as_bytes()), ())?;
    }
    Ok(())
}

/// Forgets presentations that were used and have expired.
pub(super) fn sweep(
    writing: &Writing<'_>,
    swept: &[(Timestamp, [u8; 64])],
) -> Result<(), StoreError> {
    if swept.is_empty() {
        return Ok(());
    }
    let mut accepted = writing.open_table(ACCEPTED)?;
    let mut by_expiry = writing.open_table(ACCEPTED_BY_EXPIRY)?;
    for (expires, id) in swept {
        let known = accepted.remove(id)?.map(|known| known.value());
        // By a moment that went bad, one would be forgotten that can still be presented.
        if known.is_some_and(|known| known != expires.unix_seconds()) {
            return Err(StoreError::Unreadable { what: "accepted presentation", number: 0 });
        }
        by_expiry.remove((expires.unix_seconds(), *id))?;
    }
    Ok(())
}

/// Writes the state, with what the tables then have, these entries among it.
pub(super) fn keep_state(
    writing: &Writing<'_>,
    entries: &[Entry],
    state: &mut State,
) -> Result<(), StoreError> {
    // That is known here alone.
    state.archived = state_before(writing)?.archived;
    state.events = number_events(writing, entries)?;
    state.rows = Rows {
        revocations: writing.open_table(REVOCATIONS)?.len()?,
        accepted: writing.open_table(ACCEPTED)?.len()?,
        seen: writing.open_table(SEEN)?.len()?,
        events: Some(writing.open_table(EVENTS)?.len()?),
        requests: Some(writing.open_table(REQUESTS)?.len()?),
    };
    put_state(writing, state)
}

fn put_state(writing: &Writing<'_>, state: &State) -> Result<(), StoreError> {
    let encoded = encode(state)?;
    let mut meta = writing.open_table(META)?;
    let before = meta.insert(STATE, encoded.as_slice())?;
    let before = before.as_ref().map(|before| before.value());
    writing.changed(Covered::Meta, STATE.as_bytes(), before, Some(&encoded));
    Ok(())
}

/// The state before this transaction.
pub(super) fn state_before(writing: &Writing<'_>) -> Result<State, StoreError> {
    let meta = writing.open_table(META)?;
    let state = meta.get(STATE)?;
    let state = state.ok_or(StoreError::Unreadable { what: "state", number: 0 })?;
    decode(state.value(), "state", 0)
}

/// Notes that the records up to this one are in archives, after what that has changed in the tables.
pub(super) fn keep_archived(writing: &Writing<'_>, archived: u64) -> Result<(), StoreError> {
    let mut state = State { archived, ..state_before(writing)? };
    if let Some(events) = &mut state.rows.events {
        *events = writing.open_table(EVENTS)?.len()?;
    }
    put_state(writing, &state)
}

/// Empties the tables that the program that wrote last does not know: what it recorded is not in them.
fn empty_unkept(writing: &Writing<'_>) -> Result<(), StoreError> {
    let mut state = state_before(writing)?;
    if !state.rows.are_of_older() {
        return Ok(());
    }
    if state.rows.events.is_none() {
        forget_events(writing)?;
        (state.events, state.rows.events) = (state.counted(), Some(0));
    }
    if state.rows.requests.is_none() {
        writing.delete_table(REQUESTS)?;
        state.rows.requests = Some(0);
    }
    put_state(writing, &state)
}

fn forget_events(writing: &Writing<'_>) -> Result<(), StoreError> {
    for row in writing.open_table(EVENTS)?.iter()? {
        let (number, sequence) = row?;
        let (number, sequence) = (number.value().to_le_bytes(), sequence.value().to_le_bytes());
        writing.changed(Covered::Events, &number, Some(&sequence), None);
    }
    writing.delete_table(EVENTS)?;
    Ok(())
}

/// Numbers the events among entries that the database did not have; returns the last number.
fn number_events(writing: &Writing<'_>, entries: &[Entry]) -> Result<u64, StoreError> {
    let State { records, mut events, .. } = state_before(writing)?;
    let mut table = None;
    for entry in entries.iter().filter(|entry| entry.sequence > records && entry.is_event()) {
        let table = match &mut table {
            Some(table) => table,
            none => none.insert(writing.open_table(EVENTS)?),
        };
        events += 1;
        let last = table.last()?.map(|(number, sequence)| (number.value(), sequence.value()));
        // A run has one row.
        let goes_on =
            last.is_some_and(|(number, sequence)| sequence + (events - number) == entry.sequence);
        if !goes_on {
            let before = table.insert(events, entry.sequence)?;
            let before = before.map(|before| before.value().to_le_bytes());
            let (key, now) = (events.to_le_bytes(), entry.sequence.to_le_bytes());
            let before = before.as_ref().map(|before| before.as_slice());
            writing.changed(Covered::Events, &key, before, Some(&now));
        }
    }
    Ok(events)
}
