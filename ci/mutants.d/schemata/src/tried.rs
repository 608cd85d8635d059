//! What came of the changes of each file, in a list that is kept beside the source: so the whole can be tried in parts.
//!
//! A file's line counts as long as the file is, byte for byte, what it was.

use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::Change;

const HEAD: &str = "# What came of the changes of each file when all of them were tried last (ci/mutants writes this): the file's FNV-1a hash, how many changes
# compile, how many of them a test noticed, how many no test noticed, how many no test reached, and the file. A line counts while its file
# has this hash.
";

/// The list.
pub struct Tried {
    path: PathBuf,
    files: BTreeMap<String, Line>,
}

/// What came of one file's changes.
#[derive(Clone, Copy)]
struct Line {
    hash: u64,
    changes: usize,
    noticed: usize,
    missed: usize,
    not_reached: usize,
}

impl Tried {
    pub fn read(path: &Path) -> Result<Tried, String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut files = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let wrong = || format!("{}: this is no line of it: {line}", path.display());
            let mut words = line.split_whitespace();
            let hash = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let numbers: Vec<usize> =
                words.by_ref().take(4).filter_map(|word| word.parse().ok()).collect();
            let (Some(hash), &[changes, noticed, missed, not_reached], Some(file)) =
                (hash, numbers.as_slice(), words.next())
            else {
                return Err(wrong());
            };
            files.insert(file.to_owned(), Line { hash, changes, noticed, missed, not_reached });
        }
        Ok(Tried { path: path.to_owned(), files })
    }

    /// Whether all changes of this file were tried, as it is now.
    pub fn knows(&self, file: &str) -> bool {
        self.line(file).is_some()
    }

    fn line(&self, file: &str) -> Option<&Line> {
        self.files.get(file).filter(|line| Some(line.hash) == hash(file))
    }

    /// With the files of which nothing is left to try.
    pub fn with(mut self, mine: &[Change], known: &BTreeMap<String, Value>) -> Tried {
        let mut of: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
        for change in mine {
            let came = known.get(&change.name).and_then(|result| result["came"].as_str());
            of.entry(&change.file).or_default().push(came);
        }
        for (file, came) in of {
            let count = |which: &[&str]| {
                came.iter().filter(|came| came.is_some_and(|came| which.contains(&came))).count()
            };
            let line = Line {
                hash: hash(file).unwrap_or_default(),
                changes: came.len(),
                noticed: count(&["noticed", "took too long"]),
                missed: count(&["missed"]),
                not_reached: count(&["not reached"]),
            };
            // What met its budget was not tried to its end.
            if line.noticed + line.missed + line.not_reached == line.changes {
                self.files.insert(file.to_owned(), line);
            }
        }
        self
    }

    pub fn write(&self) -> Result<(), String> {
        let mut text = HEAD.to_owned();
        for (file, line) in &self.files {
            // A file that is gone has no line.
            if hash(file).is_some() {
                let Line { hash, changes, noticed, missed, not_reached } = line;
                text += &format!("{hash:016x} {changes} {noticed} {missed} {not_reached} {file}\n");
            }
        }
        fs::write(&self.path, text).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// What was tried of these files, in a line.
    pub fn summary(&self, all: &[String]) -> String {
        let lines: Vec<&Line> = all.iter().filter_map(|file| self.line(file)).collect();
        let sum = |of: fn(&Line) -> usize| lines.iter().map(|line| of(line)).sum::<usize>();
        format!(
            "as they are now, {} of {} files were tried whole: {} changes, {} noticed, {} missed, {} not reached",
            lines.len(),
            all.len(),
            sum(|line| line.changes),
            sum(|line| line.noticed),
            sum(|line| line.missed),
            sum(|line| line.not_reached),
        )
    }
}

/// The file's hash, if it is there.
fn hash(file: &str) -> Option<u64> {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(&fs::read(file).ok()?);
    Some(hasher.finish())
}

/// FNV-1a: it tells versions of a file from each other, and protects nothing.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
