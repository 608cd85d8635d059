//! The copy of the source with all changes in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::find;
use crate::place::{self, Change, Place, Written};
use crate::syntax::is_absent;

const MUTATED: &str = include_str!("mutated.rs");

/// What stands before the root of a crate, on its first line.
const ALLOWING: &str = "#![allow(warnings)] ";

pub struct Tree {
    pub root: PathBuf,
    pub changes: Vec<Change>,
    files: BTreeMap<String, (String, Vec<Place>)>,
    pub left_out: BTreeSet<u32>,
    pub written: BTreeMap<String, Vec<Written>>,
}

impl Tree {
    /// Finds the changes of these files.
    pub fn find(root: PathBuf, files: &[String]) -> Result<Tree, String> {
        let mut tree = Tree {
            root,
            changes: Vec::new(),
            files: BTreeMap::new(),
            left_out: BTreeSet::new(),
            written: BTreeMap::new(),
        };
        let mut sources = Vec::new();
        let mut of_tests = HashSet::new();
        for file in files {
            let source = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            let modules = test_modules(&source).map_err(|error| format!("{file}: {error}"))?;
            let folder = match file.strip_suffix("/mod.rs").or(file.strip_suffix("/lib.rs")) {
                Some(folder) => folder,
                None => file.trim_end_matches(".rs"),
            };
            of_tests.extend(modules.into_iter().map(|module| format!("{folder}/{module}")));
            sources.push((file, source));
        }
        for (file, source) in sources {
            let is_of_tests =
                |of: &String| *file == format!("{of}.rs") || file.starts_with(&format!("{of}/"));
            if of_tests.iter().any(is_of_tests) {
                continue;
            }
            let from = tree.changes.len() as u32;
            let (changes, places) =
                find::find(file, &source, from).map_err(|error| format!("{file}: {error}"))?;
            tree.changes.extend(changes);
            tree.files.insert(file.clone(), (source, places));
        }
        Ok(tree)
    }

    /// Copies what Git knows of, as it is, and removes what it knows no more.
    pub fn copy(&self) -> io::Result<()> {
        let listed =
            Command::new("git").args(["ls-files", "-co", "--exclude-standard", "-z"]).output()?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let listed: BTreeSet<&str> = listed
            .split('\0')
            .filter(|file| !file.is_empty() && Path::new(file).exists())
            .collect();
        let manifest = self.root.with_extension("files");
        for gone in fs::read_to_string(&manifest).unwrap_or_default().lines() {
            if !listed.contains(gone) {
                let _ = fs::remove_file(self.root.join(gone));
            }
        }
        for file in &listed {
            if self.files.contains_key(*file) {
                continue;
            }
            let to = self.root.join(file);
            put(&to, &self.with_switches(file, fs::read(file)?))?;
            fs::set_permissions(&to, fs::metadata(file)?.permissions())?;
        }
        for file in self.crates() {
            put(&self.root.join(file).with_file_name("mutated.rs"), MUTATED.as_bytes())?;
        }
        fs::write(manifest, listed.into_iter().collect::<Vec<_>>().join("\n"))
    }

    /// The roots of the crates that have changes.
    fn crates(&self) -> BTreeSet<String> {
        let root = |file: &String| match file.rsplit_once("/src/") {
            Some((folder, _)) => format!("{folder}/src/lib.rs"),
            None => "src/lib.rs".to_owned(),
        };
        self.files.keys().map(root).collect()
    }

    /// The root of a crate with the module that its changed places ask; other files as they are.
    fn with_switches(&self, file: &str, text: Vec<u8>) -> Vec<u8> {
        match self.crates().contains(file) {
            true => [ALLOWING.as_bytes(), &text[..], b"\npub mod mutated;\n"].concat(),
            false => text,
        }
    }

    /// Writes the changed files.
    pub fn write(&mut self) -> io::Result<()> {
        for (file, (source, places)) in &self.files {
            let (text, mut written) = place::write(source, places, &self.left_out);
            if self.crates().contains(file) {
                for range in written.iter_mut().flat_map(|one| [&mut one.own, &mut one.whole]) {
                    *range = range.start + ALLOWING.len()..range.end + ALLOWING.len();
                }
            }
            let text = self.with_switches(file, text.into_bytes());
            put(&self.root.join(file), &text)?;
            self.written.insert(file.clone(), written);
        }
        Ok(())
    }
}

/// Writes what is not there yet, so that what is there is not compiled again.
fn put(to: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::write(to, bytes)
}

/// Modules that are compiled for tests alone.
fn test_modules(source: &str) -> Result<Vec<String>, syn::Error> {
    let modules = syn::parse_file(source)?.items.into_iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_absent(&module.attrs) => {
            Some(module.ident.to_string())
        }
        _ => None,
    });
    Ok(modules.collect())
}
