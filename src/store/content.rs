//! Content: what is all that decisions rest on, as one digest that follows each write?
//!
//! The engine compares a page with its checksum only when it is told to check all of them. What is read back when a store is closed may
//! have gone bad since it was read before. So the digest is taken when the store is opened, and follows what is written from there on: a
//! [seal](super::sealed) says what the store has written, and not what the disk has made of it.

use std::cell::Cell;
use std::ops::Deref;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use sha2::{Digest, Sha256};

use crate::store::StoreError;
use crate::store::schema::{EVENTS, META, REVOCATIONS, if_there};

/// The tables that a digest covers: what the store says of itself, the revocations in force, and where their events are. Which
/// presentations were accepted, two tables say, which are compared when one is looked up; records have their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covered {
    Meta,
    Revocations,
    Events,
}

/// The digests of all rows, put together with exclusive or: a row is taken away as it was added. It is held against bad disks; whoever
/// can write the disk can write the seal as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content([u8; 32]);

impl Content {
    pub(super) fn read(reading: &ReadTransaction) -> Result<Content, StoreError> {
        let mut content = Content::default();
        for row in reading.open_table(META)?.iter()? {
            let (name, value) = row?;
            content.turn(Covered::Meta, name.value().as_bytes(), value.value());
        }
        for row in reading.open_table(REVOCATIONS)?.iter()? {
            let (sequence, row) = row?;
            content.turn(Covered::Revocations, &sequence.value().to_le_bytes(), row.value());
        }
        if let Some(events) = if_there(reading.open_table(EVENTS))? {
            for row in events.iter()? {
                let (number, sequence) = row?;
                let sequence = sequence.value().to_le_bytes();
                content.turn(Covered::Events, &number.value().to_le_bytes(), &sequence);
            }
        }
        Ok(content)
    }

    pub(super) fn of_bytes(bytes: [u8; 32]) -> Content {
        Content(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What it is after a change.
    pub(super) fn after(mut self, change: Content) -> Content {
        self.0.iter_mut().zip(change.0).for_each(|(byte, changed)| *byte ^= changed);
        self
    }

    /// Adds a row that is not there, or takes away one that is.
    fn turn(&mut self, table: Covered, key: &[u8], value: &[u8]) {
        let digest = Sha256::new()
            .chain_update([table as u8])
            .chain_update((key.len() as u64).to_le_bytes())
            .chain_update(key)
            .chain_update(value)
            .finalize();
        *self = self.after(Content(digest.into()));
    }
}

/// A transaction that writes, and what it changes of what decisions rest on. Whoever writes to a table that is covered says so.
pub(super) struct Writing<'a> {
    transaction: &'a WriteTransaction,
    changed: Cell<Content>,
}

impl<'a> Writing<'a> {
    pub(super) fn of(transaction: &'a WriteTransaction) -> Writing<'a> {
        Writing { transaction, changed: Cell::default() }
    }

    /// A row was written or removed. `before` is what the table had, as the engine says when it replaces it.
    pub(super) fn changed(
        &self,
        table: Covered,
        key: &[u8],
        before: Option<&[u8]>,
        now: Option<&[u8]>,
    ) {
        let mut changed = self.changed.get();
        for value in [before, now].into_iter().flatten() {
            changed.turn(table, key, value);
        }
        self.changed.set(changed);
    }

    pub(super) fn change(&self) -> Content {
        self.changed.get()
    }
}

impl Deref for Writing<'_> {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        self.transaction
    }
}
