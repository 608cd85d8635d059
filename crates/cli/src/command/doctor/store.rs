//! Store: can it be opened and written, by this version, with room for more?

use std::path::{Path, PathBuf};

use hardtack::{StoreError, StoreReader, Timestamp};
use serde::Deserialize;

use super::{Findings, clock, keys};
use crate::command::look_into;
use crate::system::{self, Rights};
use crate::terminal::with_causes;

const CHECK: &str = "store";

/// Room for some forty thousand decisions more, a quarter of an hour of a busy gateway: with less, somebody should act now.
const LEAST_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Of a record, when it was made.
#[derive(Deserialize)]
struct When {
    time: Timestamp,
}

/// Whether another process writes to it.
pub(super) fn look(findings: &mut Findings, path: Option<&Path>) -> bool {
    let Some(path) = path else {
        let mend =
            "make one (hardtack store create hardtack.store), and say store = \"hardtack.store\"";
        findings.found(CHECK, "no store is named", mend);
        return false;
    };
    let reader = match look_into(path) {
        Ok(reader) => reader,
        Err(error) => {
            refused(findings, path, &error);
            return false;
        }
    };
    let has_writer = reader.follows();
    if let Err(error) = contents(findings, path, &reader) {
        refused(findings, path, &error);
    }
    rights(findings, path);
    space(findings, path);
    has_writer
}

fn refused(findings: &mut Findings, path: &Path, error: &StoreError) {
    let says = with_causes(error);
    match error {
        StoreError::InUse { .. } => {
            findings.unseen(CHECK, says, "try again: another process is just opening it");
        }
        StoreError::File { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            findings.unseen(CHECK, says, "run this as the user who runs the gateway");
        }
        StoreError::Foreign { .. } => {
            let mend = "is the path right? A store that a newer version has opened is read by that version; hardtack --version says which this is";
            findings.found(CHECK, says, mend);
        }
        StoreError::NotThere { .. } | StoreError::NoFolder { .. } => {
            let name = path.display();
            let mend = format!(
                "is the path right, seen from this folder? A gateway makes no store; for a new one: hardtack store create {name}"
            );
            findings.found(CHECK, says, mend);
        }
        _ => findings.found(CHECK, says, "docs/recovery.md says how a store is brought back"),
    }
}

fn contents(findings: &mut Findings, path: &Path, reader: &StoreReader) -> Result<(), StoreError> {
    let records = reader.last_record()?;
    let whose = match reader.follows() {
        true => "a gateway or another process has it open, which is fine",
        false => "nobody has it open",
    };
    let name = path.display();
    findings.good(CHECK, format!("{name} opens: {records} records, {whose}"));
    if let Some(last) = reader.records(records.max(1)).next()
        && let Ok(When { time }) = serde_json::from_str(&last?.json)
    {
        clock::compare_with(findings, time, "the last record of the store");
    }
    Ok(())
}

/// The parts of a store, of which the folder is one: the checkpoint is replaced in it.
fn rights(findings: &mut Findings, path: &Path) {
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
    for part in [path.to_owned(), beside(".journal"), beside(".checkpoint")] {
        let name = part.display();
        if let Ok(metadata) = part.metadata()
            && keys::is_of_another_than_root(&metadata)
            && let Some(Rights { mode, owner }) = system::rights(&metadata)
            && mode & 0o077 == 0
        {
            // Who may write all the same would not see what that user may not.
            let says = format!("{name} belongs to another user (user id {owner})");
            findings.note(CHECK, says, keys::AS_THAT_USER);
            continue;
        }
        if let Some((says, _)) = part.metadata().ok().as_ref().and_then(keys::exposure) {
            findings.found(CHECK, format!("{name} {says}"), format!("chmod 600 {name}"));
        }
        if !system::may_write(&part) {
            let says = format!("{name} cannot be written by this user");
            findings.found(CHECK, says, OWNER);
        }
    }
    let folder = keys::folder_of(path);
    if !system::may_write(&folder) {
        let name = folder.display();
        let says =
            format!("no file can be made in the folder {name}, where the checkpoint is replaced");
        findings.found(CHECK, says, OWNER);
    }
    keys::look_at_folder(findings, CHECK, folder);
}

const OWNER: &str = "give the store and its folder to the user who runs the gateway (chown), and run this as that user; if the disk is mounted read-only, mount it otherwise";

fn space(findings: &mut Findings, path: &Path) {
    match system::free_bytes(&keys::folder_of(path)) {
        Ok(free) => {
            let mib = free / (1024 * 1024);
            match free < LEAST_FREE_BYTES {
                true => findings.found(
                    CHECK,
                    format!("the disk has {mib} MiB free"),
                    "free some space: without it, decisions are refused, and only revoking works (docs/recovery.md)",
                ),
                false => findings.good(CHECK, format!("the disk has {mib} MiB free")),
            }
        }
        Err(error) => findings.unseen(
            CHECK,
            format!("how much space is free cannot be asked: {error}"),
            "look with df",
        ),
    }
}
