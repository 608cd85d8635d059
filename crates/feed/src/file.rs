//! File: a small text that is replaced whole, or not at all.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The most bytes of such a file: a checkpoint or a state has a kilobyte or two.
const MOST_BYTES: u64 = 64 << 10;

/// Reads the text; `None` if there is no file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    read_within(path, MOST_BYTES)
}

/// Reads the text of so many bytes at most; `None` if there is no file.
pub(crate) fn read_within(path: &Path, most: u64) -> io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(io::Error::other("it is no regular file")),
        Ok(found) if found.len() > most => Err(io::Error::other("it is too large")),
        Ok(_) => std::fs::read_to_string(path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the text beside the file, then puts it in its place: after a crash, one of the two is there whole.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The name is in the folder, which has to be on disk as well.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    #[cfg(unix)]
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_whole_and_what_is_no_such_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(read(folder.path()).is_err());
        std::fs::write(&path, "x".repeat(65 << 10)).unwrap();
        assert!(read(&path).is_err());
    }
}
