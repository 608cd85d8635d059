//! Folder: which files of a folder are a set's, and what do they hold?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file;
use crate::policy::{EXTENSION, MAX_FILE_BYTES, PolicyError};

/// Where a set's cases stand in its folder, and the ending of their files: with others, a set that failed its
/// cases may pass.
pub(crate) const CASES: &str = "cases";
pub(crate) const CASE_EXTENSION: &str = "toml";

/// What the names of hidden files begin with: what other systems leave beside a file, such as the locks of editors and
/// the `._` files of macOS. None is a policy.
const HIDDEN: &str = ".";

/// The most files of a set with one ending: hundreds of subjects. Each may be as large as a file may be.
pub(super) const MAX_FILES: usize = 1000;

fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(HIDDEN.as_bytes())
}

/// The files of a folder with this ending that are not hidden, in the order of their names. What is no regular file is said when it is
/// read.
pub fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if !is_hidden(&entry) && path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(too_many(extension));
        }
    }
    paths.sort();
    Ok(paths)
}

pub(super) fn too_many(extension: &str) -> io::Error {
    let many = format!("there are more than {MAX_FILES} *.{extension} files; split the set");
    io::Error::new(io::ErrorKind::FileTooLarge, many)
}

/// The policy files of a folder that are not hidden, in the order of their names.
pub fn policy_files(folder: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    files(folder, EXTENSION).map_err(|source| PolicyError::Read { path: folder.to_owned(), source })
}

/// The folders of a set in which files of it stand, each with the ending of these: its policies, and its cases.
pub fn parts(set: &Path) -> [(PathBuf, &'static str); 2] {
    [(set.to_owned(), EXTENSION), (set.join(CASES), CASE_EXTENSION)]
}

/// A set to which a link leads out of the folder of sets is none of its sets; to leave it out unsaid would be to
/// leave it untried.
pub(super) fn refuse_link_out(folder: &Path, set: &Path) -> Result<(), PolicyError> {
    file::check_beneath(folder, set).map_err(|source| unread(set, source))
}

/// Reads the text of a file of a set: a policy, or cases for it. `path` begins with the set's folder, out of which no
/// link is followed.
pub fn read(set: &Path, path: &Path) -> Result<String, PolicyError> {
    let inner = path.strip_prefix(set).unwrap_or(path);
    file::read_text_beneath(set, inner, MAX_FILE_BYTES).map_err(|source| unread(path, source))
}

/// Makes the error of a file that cannot be read.
pub fn unread(path: &Path, source: io::Error) -> PolicyError {
    match source.kind() {
        io::ErrorKind::FileTooLarge => PolicyError::TooLarge { path: path.to_owned() },
        _ => PolicyError::Read { path: path.to_owned(), source },
    }
}
