//! Does a folder of policies hold something else than before, and does it lie still?
//!
//! Polling by content fingerprint, and debouncing. It looks at names, sizes and texts and at no moment of change: a
//! mount that is exchanged as a whole, as Kubernetes does, and an editor that writes a new file in the place of the old
//! look the same.

use std::fs;
use std::path::{Path, PathBuf};

use hardtack::PolicyError;
use hardtack::internal::{files, parts, read_file};
use sha2::{Digest, Sha256};

/// What Emacs' locks begin with: links to nowhere while a file is being edited.
const LOCK: &str = ".#";

/// What the names of hidden files begin with, which are no policies.
const HIDDEN: &str = ".";

/// The most hidden files that are listed: as many as a set may have policies.
const MAX_LISTED: usize = 1000;

/// A watch over a folder of policies, by polling: call [`FolderWatch::has_changed`] every second or two.
#[derive(Debug)]
pub(crate) struct FolderWatch {
    folder: PathBuf,
    /// What was there when it was loaded last, or tried to.
    tried: Option<Print>,
    /// What was there at the last look.
    seen: Option<Print>,
}

/// SHA-256 over all that is there, or over why it cannot be read.
type Print = [u8; 32];

impl FolderWatch {
    /// Begins to watch `folder`, whose policies the caller loads next. This waits for the disk, and so does every look.
    pub(crate) fn of(folder: impl Into<PathBuf>) -> FolderWatch {
        let folder = folder.into();
        let print = print(&folder);
        FolderWatch { folder, tried: Some(print), seen: Some(print) }
    }

    /// Returns the folder that is watched.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns true if the folder holds something else than when it was loaded last, and held the same at the last
    /// look, so that files that are being written are not taken. If so, load the folder and ask
    /// [`FolderWatch::stayed_unchanged`].
    pub(crate) fn has_changed(&mut self) -> bool {
        let now = Some(print(&self.folder));
        let agrees = self.seen == now;
        self.seen = now;
        let changed = agrees && self.tried != now;
        if changed {
            self.tried = now;
        }
        changed
    }

    /// Returns true if the folder still holds what it held when [`FolderWatch::has_changed`] said that it had changed.
    /// If not, what was loaded meanwhile may be half old and half new: leave it. The folder will be found to have
    /// changed again.
    pub(crate) fn stayed_unchanged(&mut self) -> bool {
        let now = Some(print(&self.folder));
        let still = self.tried == now;
        if !still {
            (self.tried, self.seen) = (None, now);
        }
        still
    }

    /// Takes the folder for changed, whatever it holds: the next [`FolderWatch::has_changed`] says so, unless the folder
    /// is being written.
    pub(crate) fn ask(&mut self) {
        self.tried = None;
    }
}

/// Returns the hidden files of a set that have the ending of a policy or of cases, [`MAX_LISTED`] at most. They are left out when
/// the set is read, and are listed for whoever should know. Where a folder cannot be read there are none. Waits for the
/// disk.
pub(crate) fn left_out(set: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (folder, extension) in parts(set) {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let is_lock = |entry: &fs::DirEntry| {
            entry.file_name().as_encoded_bytes().starts_with(LOCK.as_bytes())
        };
        let hidden = entries.filter(|entry| {
            entry.file_name().as_encoded_bytes().starts_with(HIDDEN.as_bytes()) && !is_lock(entry)
        });
        let hidden = hidden.map(|entry| entry.path());
        found.extend(hidden.filter(|path| path.extension().is_some_and(|e| e == extension)));
    }
    found.sort();
    found.truncate(MAX_LISTED);
    found
}

fn print(set: &Path) -> Print {
    let mut print = Sha256::new();
    for (folder, extension) in parts(set) {
        if folder == set || folder.is_dir() {
            add(&mut print, set, &folder, extension);
        }
    }
    print.finalize().into()
}

fn add(print: &mut Sha256, set: &Path, folder: &Path, extension: &str) {
    let mut part = |bytes: &[u8]| {
        print.update((bytes.len() as u64).to_le_bytes());
        print.update(bytes);
    };
    let paths = match files(folder, extension) {
        Ok(paths) => paths,
        Err(error) => return part(error.to_string().as_bytes()),
    };
    part(&(paths.len() as u64).to_le_bytes());
    for path in paths {
        part(path.as_os_str().as_encoded_bytes());
        match read_file(set, &path) {
            Ok(text) => part(text.as_bytes()),
            Err(PolicyError::Read { source, .. }) => part(source.to_string().as_bytes()),
            Err(error) => part(error.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hardtack::Policy;

    use super::*;

    const ALLOW: &str = "allow if granted($op);";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.datalog"), ALLOW).unwrap();
        folder
    }

    #[test]
    fn a_change_is_taken_when_two_looks_agree_and_once() {
        let folder = folder();
        let mut watch = FolderWatch::of(folder.path());
        assert!(!watch.has_changed());
        fs::write(folder.path().join("b.datalog"), "deny if").unwrap();
        assert!(!watch.has_changed(), "it may be half written");
        fs::write(folder.path().join("b.datalog"), "deny if depth(3);").unwrap();
        assert!(!watch.has_changed(), "it was");
        assert!(watch.has_changed());
        assert!(watch.stayed_unchanged());
        assert!(!watch.has_changed());
        watch.ask();
        assert!(watch.has_changed());
    }

    #[test]
    fn what_changes_while_it_is_loaded_is_loaded_again() {
        let folder = folder();
        let mut watch = FolderWatch::of(folder.path());
        fs::write(folder.path().join("a.datalog"), "deny if depth(3);").unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
        fs::write(folder.path().join("a.datalog"), ALLOW).unwrap();
        assert!(!watch.stayed_unchanged());
        assert!(watch.has_changed() && watch.stayed_unchanged());
    }

    #[test]
    fn names_cases_and_a_folder_that_goes_away_count_and_other_files_do_not() {
        let folder = folder();
        let mut watch = FolderWatch::of(folder.path());
        let mut changes = || !watch.has_changed() && watch.has_changed();
        fs::rename(folder.path().join("a.datalog"), folder.path().join("b.datalog")).unwrap();
        assert!(changes());
        fs::create_dir(folder.path().join("cases")).unwrap();
        fs::write(folder.path().join("cases/a.toml"), "").unwrap();
        assert!(changes());
        fs::write(folder.path().join("README.md"), "").unwrap();
        assert!(!changes());
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(changes());
        assert!(!changes());
    }

    #[cfg(unix)]
    #[test]
    fn a_mount_that_is_exchanged_counts_and_an_editors_lock_does_not() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", ALLOW), ("..2", "allow if depth(1);")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.datalog"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.datalog", at("a.datalog")).unwrap();
        let mut watch = FolderWatch::of(folder.path());
        symlink("nobody@nowhere", at(".#a.datalog")).unwrap();
        fs::write(at("._a.datalog"), b"\0\x05\x16\x07").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed());
        assert_eq!(left_out(folder.path()), [at("._a.datalog")]);
        let before = Policy::load(folder.path()).unwrap();
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
        assert_ne!(Policy::load(folder.path()).unwrap().digest(), before.digest());
    }
}
