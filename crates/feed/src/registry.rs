//! Registry: which gateways are enrolled with a publisher of a feed, each by its name and its key?
//!
//! A file of its own, beside the state of the feed and not in the store: a store that is restored must not bring back a gateway that was
//! retired since, nor lose one.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use hardtack::names::{NameError, check_agent};
use hardtack::{Cause, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::file;

const FORMAT: &str = "hardtack-feed-gateways-1";

/// The most gateways that are enrolled at once: what is kept of each in memory is some kilobytes, and each asks every few seconds.
const MOST_ENROLLED: usize = 1000;

/// The most entries with those that were retired, whose keys are never taken again.
const MOST_ENTRIES: usize = 10_000;

/// The most bytes of the file: so many entries of some 300 bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The longest life of a grant that a gateway can have revocations kept for, 366 days: longer is a mistake of units.
pub(crate) const LONGEST_LIFE: u64 = 366 * 24 * 3600;

/// A gateway that is or was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Enrolled {
    /// Its name.
    pub name: String,
    /// The key by which it signs.
    pub key: PublicKey,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// When it was retired; `None` while it is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
    /// The longest life of a grant that it ever said it accepts, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_life: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    gateways: Vec<Enrolled>,
}

/// The file of the gateways that are enrolled. Each change is whole and on disk before it returns; several processes may change it.
#[derive(Debug, Clone)]
pub struct Registry(PathBuf);

impl Registry {
    /// The registry in this file, which is made with the first gateway.
    pub fn at(file: impl Into<PathBuf>) -> Registry {
        Registry(file.into())
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns all that are or were enrolled, in the order in which they were.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`] if the file cannot be read or is no registry.
    pub fn list(&self) -> Result<Vec<Enrolled>, RegistryError> {
        let Some(text) =
            file::read_within(&self.0, MOST_BYTES).map_err(|error| self.file(&error))?
        else {
            return Ok(Vec::new());
        };
        let written: Written = serde_json::from_str(&text).map_err(|error| self.file(&error))?;
        let is_one = written.format == FORMAT
            && written.gateways.len() <= MOST_ENTRIES
            && written.gateways.iter().all(|entry| check_agent(&entry.name).is_ok());
        match is_one {
            true => Ok(written.gateways),
            false => Err(self.file(&"it is no registry of gateways that this version can read")),
        }
    }

    /// Enrols a gateway by a key that no other has or had.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]: nothing is changed.
    pub fn add(
        &self,
        name: &str,
        key: PublicKey,
        now: Timestamp,
    ) -> Result<Enrolled, RegistryError> {
        check_agent(name)?;
        let new = Enrolled {
            name: name.to_owned(),
            key,
            enrolled: now,
            retired: None,
            longest_life: None,
        };
        self.change(|entries| {
            if let Some(known) = entries.iter().find(|entry| entry.key == key) {
                return Err(RegistryError::KeyKnown { name: known.name.clone() });
            }
            if enrolled(entries).any(|entry| entry.name == name) {
                return Err(RegistryError::NameTaken(name.to_owned()));
            }
            if enrolled(entries).count() >= MOST_ENROLLED || entries.len() >= MOST_ENTRIES {
                return Err(RegistryError::Full);
            }
            entries.push(new.clone());
            Ok(new)
        })
    }

    /// Retires a gateway. Its key is never taken again; its name may be enrolled again with another key.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]: nothing is changed.
    pub fn retire(&self, name: &str, now: Timestamp) -> Result<Enrolled, RegistryError> {
        self.change(|entries| {
            let entry = entries.iter_mut().find(|e| e.name == name && e.retired.is_none());
            let entry = entry.ok_or_else(|| RegistryError::NotEnrolled(name.to_owned()))?;
            entry.retired = Some(now);
            Ok(entry.clone())
        })
    }

    /// Keeps that a gateway accepts grants that live so long: it only ever grows, to a year at most.
    pub(crate) fn lengthen(&self, key: &PublicKey, seconds: u64) -> Result<(), RegistryError> {
        self.change(|entries| {
            let entry = entries.iter_mut().find(|entry| entry.key == *key);
            if let Some(entry) = entry {
                entry.longest_life = entry.longest_life.max(Some(seconds.min(LONGEST_LIFE)));
            }
            Ok(())
        })
    }

    /// One at a time, whichever process changes it.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Enrolled>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let _alone = self.alone().map_err(|error| self.file(&error))?;
        let mut gateways = self.list()?;
        let changed = change(&mut gateways)?;
        let written = Written { format: FORMAT.to_owned(), gateways };
        let mut text = serde_json::to_string_pretty(&written).map_err(|error| self.file(&error))?;
        text.push('\n');
        file::replace(&self.0, &text).map_err(|error| self.file(&error))?;
        Ok(changed)
    }

    /// Held until it is dropped. The file itself is replaced, so that another one is locked. Only its owner can open it: whoever can, can hold
    /// the lock.
    fn alone(&self) -> io::Result<File> {
        let mut name = self.0.as_os_str().to_owned();
        name.push(".lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(PathBuf::from(name))?;
        lock.lock()?;
        Ok(lock)
    }

    fn file(&self, error: &dyn std::fmt::Display) -> RegistryError {
        RegistryError::File { path: self.0.clone(), problem: error.to_string() }
    }
}

pub(crate) fn enrolled(entries: &[Enrolled]) -> impl Iterator<Item = &Enrolled> {
    entries.iter().filter(|entry| entry.retired.is_none())
}

/// An error of a change of the registry, or of reading it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The name is none.
    #[error("a gateway has a name of the same form as an agent: {0}")]
    Name(#[from] NameError),
    /// Another gateway is enrolled under the name.
    #[error("a gateway is enrolled under the name {0}; retire it first, or choose another name")]
    NameTaken(String),
    /// The key is or was another one's, or this one's.
    #[error(
        "the key is enrolled already, or was retired, as that of {name}: each gateway has a key of its own, and one that was retired is never taken again"
    )]
    KeyKnown {
        /// The name that the key is or was enrolled under.
        name: String,
    },
    /// The key signs something else.
    #[error("the key is that of the feed: make one for this gateway alone (hardtack keygen)")]
    OtherUse,
    /// No gateway is enrolled under the name.
    #[error("no gateway is enrolled under the name {0}")]
    NotEnrolled(String),
    /// There are as many as there may be.
    #[error(
        "no more gateways can be enrolled: {MOST_ENROLLED} at once, and {MOST_ENTRIES} with those that were retired"
    )]
    Full,
    /// The file cannot be used.
    #[error("the registry of gateways {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl RegistryError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RegistryError::Name(error) => error.cause(),
            RegistryError::NameTaken(_) | RegistryError::Full => Cause::GatewayKnown,
            RegistryError::KeyKnown { .. } | RegistryError::OtherUse => Cause::GatewayKnown,
            RegistryError::NotEnrolled(_) => Cause::GatewayUnknown,
            RegistryError::File { .. } => Cause::FileUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardtack::PrivateKey;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    fn key(seed: u8) -> PublicKey {
        PrivateKey::from_bytes(&[seed; 32]).public()
    }

    #[test]
    fn a_key_that_was_retired_is_never_enrolled_again_and_a_name_is_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::at(folder.path().join("gateways"));
        assert_eq!(registry.list().unwrap(), []);
        registry.add("gw-1", key(1), NOW).unwrap();
        assert!(matches!(registry.add("gw-1", key(2), NOW), Err(RegistryError::NameTaken(_))));
        assert!(matches!(registry.add("gw-2", key(1), NOW), Err(RegistryError::KeyKnown { .. })));
        assert!(matches!(registry.add("gw:2", key(2), NOW), Err(RegistryError::Name(_))));
        assert!(matches!(registry.retire("gw-2", NOW), Err(RegistryError::NotEnrolled(_))));
        registry.retire("gw-1", NOW).unwrap();
        assert!(matches!(registry.retire("gw-1", NOW), Err(RegistryError::NotEnrolled(_))));
        assert!(matches!(registry.add("gw-1", key(1), NOW), Err(RegistryError::KeyKnown { .. })));
        registry.add("gw-1", key(2), NOW).unwrap();
        let listed = registry.list().unwrap();
        let told: Vec<_> = listed.iter().map(|e| (e.key, e.retired.is_some())).collect();
        assert_eq!(told, [(key(1), true), (key(2), false)]);
    }

    #[test]
    fn what_several_add_at_once_is_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateways");
        std::thread::scope(|scope| {
            for number in 0..16u8 {
                let registry = Registry::at(&path);
                scope.spawn(move || {
                    registry.add(&format!("gw-{number}"), key(number), NOW).unwrap()
                });
            }
        });
        assert_eq!(Registry::at(&path).list().unwrap().len(), 16);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_hold_the_lock() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Registry::at(folder.path().join("gateways")).add("gw-1", key(1), NOW).unwrap();
        let lock = folder.path().join("gateways.lock").metadata().unwrap();
        assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_life_only_grows_up_to_a_year_and_what_is_no_registry_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::at(folder.path().join("gateways"));
        registry.add("gw-1", key(1), NOW).unwrap();
        for (said, kept) in [(100, 100), (50, 100), (u64::MAX, LONGEST_LIFE)] {
            registry.lengthen(&key(1), said).unwrap();
            assert_eq!(registry.list().unwrap()[0].longest_life, Some(kept));
        }
        for wrong in ["", "{}", r#"{"format":"hardtack-feed-gateways-2","gateways":[]}"#] {
            std::fs::write(registry.path(), wrong).unwrap();
            assert!(matches!(registry.list(), Err(RegistryError::File { .. })), "{wrong}");
            assert!(registry.add("gw-2", key(2), NOW).is_err());
            assert_eq!(std::fs::read_to_string(registry.path()).unwrap(), wrong);
        }
    }
}
