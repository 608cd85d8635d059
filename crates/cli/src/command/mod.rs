//! One file a verb.

pub(crate) mod init;
pub(crate) mod doctor;
pub(crate) mod keygen;
pub(crate) mod pubkey;
pub(crate) mod mint;
pub(crate) mod delegate;
pub(crate) mod present;
pub(crate) mod inspect;
pub(crate) mod check;
pub(crate) mod can;
pub(crate) mod revoke;
pub(crate) mod revocations;
pub(crate) mod audit;
pub(crate) mod policy;
pub(crate) mod store;
pub(crate) mod database;
pub(crate) mod gateway;
pub(crate) mod gateways;
mod certificate;
pub(crate) mod agent;
pub(crate) mod connect;
pub(crate) mod wrap;
pub(crate) mod decide;
pub(crate) mod serve;
pub(crate) mod demo;
pub(crate) mod completions;
pub(crate) mod man;
mod token_tree;
pub(crate) mod tree;
mod trusting;
mod deciding;
mod explained;
mod folder;
pub(crate) mod lineage;
mod lines;
mod program;
mod reloading;
mod server_tools;
mod serving;
mod snippets;
mod tending;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use hardtack::profile::ShapeError;
use hardtack::{Capability, Policy, PolicyError, PrivateKey, Store, StoreError, StoreReader};

use crate::reading::{self, MAX_TOKEN_BYTES};
use crate::terminal::{having, read_token, say, warn};

/// The capability on standard input.
fn read_capability() -> Result<Capability, Box<dyn Error>> {
    Ok(parsed(&read_token()?)?)
}

/// The capability in a file, or in a pipe: for verbs that end soon.
fn capability_in(path: &Path) -> Result<Capability, Box<dyn Error>> {
    let text = reading::once(path, MAX_TOKEN_BYTES)?;
    Ok(parsed(text.trim()).map_err(|problem| format!("{}: {problem}", path.display()))?)
}

/// A capability; or what the text is instead, and what to do about it.
fn parsed(text: &str) -> Result<Capability, String> {
    Capability::parse(text).map_err(|error| match error {
        ShapeError::NotAToken { .. }
        | ShapeError::TooLarge
        | ShapeError::TooCostly { .. }
        | ShapeError::OverLimit { .. } => error.to_string(),
        _ => format!(
            "{error}; perhaps some of it was changed on the way: copy it again, or ask whoever gave it for a new one"
        ),
    })
}

/// How often a store that is in use is tried again, a tenth of a second apart: somebody who only looks has it
/// for a moment.
const TRIES: usize = 30;

fn patiently<T>(open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..TRIES {
        match open() {
            Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(100)),
            opened => return opened,
        }
    }
    open()
}

/// Opens a store to look into it.
fn look_into(path: impl AsRef<Path>) -> Result<StoreReader, StoreError> {
    patiently(|| StoreReader::open(path.as_ref()))
}

/// Opens a store that exists. A verb that made one of a mistyped path would say that it revoked, and a gateway
/// would let in whom another store knows to be revoked.
fn open(path: &Path) -> Result<Store, StoreError> {
    patiently(|| Store::open(path))
}

/// Loads a set of policies for a verb that ends soon.
fn load_policy(folder: &Path) -> Result<Policy, PolicyError> {
    warn_of_left_out(folder);
    Policy::load(folder)
}

/// Says which hidden files of a set are no policies.
fn warn_of_left_out(set: &Path) {
    let left_out = folder::left_out(set);
    if let Some(first) = left_out.first() {
        let more = match left_out.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        warn(&format!(
            "{}{more} left out: hidden files are no policies and no cases; one that should be needs a name that does not begin with a dot",
            first.display()
        ));
    }
}

/// Closes a store, and warns of what could not be written: what was acknowledged is in its journal.
fn close(store: &Store) {
    if let Err(error) = store.close() {
        warn(&format!(
            "the store is not brought up to date ({error}); what was recorded is in its journal, and taken over when the store is opened the next time"
        ));
    }
}

/// Saves a key that was made on the way, before the token that is bound to it is given out.
fn save_new_holder(key: Option<PrivateKey>, path: Option<&Path>) -> Result<(), Box<dyn Error>> {
    match (key, path) {
        (Some(key), Some(path)) => Ok(key.save(path)?),
        _ => Ok(()),
    }
}

/// Gives out the token that is bound to a key that was saved before.
fn give_out(token: &str, new_holder: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let said = say(token);
    match new_holder.map(Path::display) {
        Some(path) => having(
            said,
            format_args!(
                "the token was not given out, but its holder's key is in {path}: run it again with --holder \"$(hardtack pubkey {path})\" instead of --new-holder"
            ),
        ),
        None => said,
    }
}

/// What to know about a token without a holder.
const UNBOUND: &str = "the token is bound to no holder: whoever has it can use it, and verifiers refuse it unless told otherwise; bind it with --holder or --new-holder";
