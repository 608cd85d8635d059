//! Reading: what a verb is given in files, each no larger than such a thing may be.
//!
//! Verbs that end soon take pipes for files, as in `--key <(…)`. `gateway` and `agent` take regular files alone: what
//! they read again would not be there, and what never comes would keep them from starting.

use std::error::Error;
use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hardtack::keys::KeyError;
use hardtack::{PrivateKey, internal};

use crate::system::{self, Rights};
use crate::terminal::with_causes;

/// The most bytes read as a token: four times what a token may have, so that one that is too large is
/// named as such.
pub(crate) const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// The most bytes of a public key: PEM with room for comments.
pub(crate) const MAX_PUBLIC_KEY_BYTES: u64 = 16 * 1024;

/// The most bytes of a configuration: hundreds of root keys.
pub(crate) const MAX_SETTINGS_BYTES: u64 = 256 * 1024;

/// The most bytes of a credential for another server: more than a header may have.
pub(crate) const MAX_CREDENTIAL_BYTES: u64 = 64 * 1024;

/// The most bytes of a list of operations: ten thousand, each with a long resource.
pub(crate) const MAX_OPERATIONS_BYTES: u64 = 16 * 1024 * 1024;

/// The most bytes of a checkpoint: a few lines.
pub(crate) const MAX_CHECKPOINT_BYTES: u64 = 64 * 1024;

/// What some systems begin a text with.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The most bytes of one exported record: what a call's arguments may have, several times.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Whether keys are taken from files that others can read.
static TAKES_EXPOSED_KEYS: AtomicBool = AtomicBool::new(false);

/// From now on, keys are taken from files that others can read.
pub(crate) fn accept_exposed_keys() {
    TAKES_EXPOSED_KEYS.store(true, Ordering::Relaxed);
}

pub(crate) fn takes_exposed_keys() -> bool {
    TAKES_EXPOSED_KEYS.load(Ordering::Relaxed)
}

/// The mode of a file that holds a secret, if others can read or change it. Of a file that is another user's, the group is left out: its
/// owner has given it to the group by which this process reads it, as with a mounted secret.
pub(crate) fn exposed_mode(metadata: &Metadata) -> Option<u32> {
    const GROUP_AND_OTHERS: u32 = 0o077;
    const ALL_BUT_GROUP_READING: u32 = 0o037;
    let Rights { mode, owner } = system::rights(metadata)?;
    let is_own = owner == system::own_user();
    let mode = mode & 0o777;
    (mode & if is_own { GROUP_AND_OTHERS } else { ALL_BUT_GROUP_READING } != 0).then_some(mode)
}

/// A private key of a file, or of a pipe: for verbs that end soon.
pub(crate) fn key(path: &Path) -> Result<PrivateKey, Box<dyn Error>> {
    let loaded = match takes_exposed_keys() {
        false => PrivateKey::load_or_read_pipe(path),
        // Of a pipe there is no mode.
        true => PrivateKey::load_exposed(path).or_else(|error| match error {
            KeyError::File { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                PrivateKey::load_or_read_pipe(path)
            }
            error => Err(error),
        }),
    };
    loaded.map_err(|error| no_key(path, error))
}

/// A private key of a regular file: for verbs that stay up.
pub(crate) fn regular_key(path: &Path) -> Result<PrivateKey, Box<dyn Error>> {
    let loaded = match takes_exposed_keys() {
        true => PrivateKey::load_exposed(path),
        false => PrivateKey::load(path),
    };
    loaded.map_err(|error| no_key(path, error))
}

/// Why a file is no key, with its name.
fn no_key(path: &Path, error: KeyError) -> Box<dyn Error> {
    match error {
        // With its cause in the text, which not everybody asks for: it is said once.
        error @ KeyError::File { .. } => with_causes(&error).into(),
        error @ KeyError::Exposed { .. } => error.into(),
        error => format!("{} is no private key: {error}", path.display()).into(),
    }
}

/// The text of a file, or of a pipe: for verbs that end soon.
pub(crate) fn once(path: &Path, at_most: u64) -> Result<String, Box<dyn Error>> {
    internal::read_text_or_pipe(path, at_most).map_err(|error| wrong(path, &error))
}

/// The text of a regular file: for verbs that stay up.
pub(crate) fn regular(path: &Path, at_most: u64) -> Result<String, Box<dyn Error>> {
    internal::read_text(path, at_most).map_err(|error| wrong(path, &error))
}

/// The lines of a file, a pipe, or of standard input (`-`), which may be any number.
pub(crate) fn lines(path: &Path) -> Result<Lines, Box<dyn Error>> {
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(opened(path)?),
    };
    Ok(Lines(BufReader::new(input)))
}

fn opened(path: &Path) -> Result<File, Box<dyn Error>> {
    internal::open_or_pipe(path).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &dyn Display) -> Box<dyn Error> {
    format!("{}: {error}", path.display()).into()
}

/// Lines, none longer than a record may be.
pub(crate) struct Lines(BufReader<Box<dyn Read>>);

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        let mut line = String::new();
        match self.0.by_ref().take(MAX_LINE_BYTES).read_line(&mut line) {
            Ok(0) => None,
            Ok(read) if read as u64 == MAX_LINE_BYTES && !line.ends_with('\n') => {
                Some(Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("a line is longer than {MAX_LINE_BYTES} bytes"),
                )))
            }
            Ok(_) => {
                if line.starts_with(BYTE_ORDER_MARK) {
                    line.drain(..BYTE_ORDER_MARK.len_utf8());
                }
                let end = line.trim_end_matches('\n').len();
                let end = line[..end].strip_suffix('\r').map_or(end, str::len);
                line.truncate(end);
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    /// Any user who is not the one of the tests.
    const OTHER_USER: u32 = 54_321;

    #[test]
    fn a_secret_is_exposed_to_the_group_unless_its_owner_is_another_and_to_all_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let exposed = |mode: u32| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            exposed_mode(&file.path().metadata().unwrap())
        };
        assert_eq!([0o600, 0o400].map(exposed), [None, None]);
        assert_eq!([0o640, 0o604, 0o620].map(exposed), [Some(0o640), Some(0o604), Some(0o620)]);
        // Only the superuser can give a file away.
        if chown(file.path(), Some(OTHER_USER), None).is_ok() {
            assert_eq!([0o640, 0o440].map(exposed), [None, None]);
            assert_eq!([0o644, 0o660].map(exposed), [Some(0o644), Some(0o660)]);
        }
    }
}
