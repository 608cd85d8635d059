//! Terminal: how things are said to people. Colour where somebody looks, none in a pipe.

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use hardtack::Timestamp;

use crate::reading::MAX_TOKEN_BYTES;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default().bold();

/// What a verb ends with.
pub(crate) type Done = Result<std::process::ExitCode, Box<dyn Error>>;

/// The token on standard input.
pub(crate) fn read_token() -> Result<String, Box<dyn Error>> {
    let mut input = Vec::new();
    std::io::stdin().take(MAX_TOKEN_BYTES).read_to_end(&mut input)?;
    // What is no text is no token, which whoever reads it will say.
    let text = String::from_utf8_lossy(&input);
    let text = text.trim();
    match text.is_empty() {
        true => {
            Err("no token on standard input; give one, as in: hardtack inspect < grant.token"
                .into())
        }
        false => Ok(text.to_owned()),
    }
}

/// The clock, read here and nowhere else.
#[allow(clippy::disallowed_methods, reason = "a door reads the clock for the library")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// A line on standard output, which may be a full disk. Whoever closed the pipe has read enough.
pub(crate) fn say(text: impl Display) -> Result<(), Box<dyn Error>> {
    match writeln!(anstream::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(format!("standard output cannot be written: {error}").into()),
        Ok(()) => Ok(()),
    }
}

/// An error with all its causes, on standard error.
pub(crate) fn complain(error: &dyn Error) {
    anstream::eprintln!("{BAD}error:{BAD:#} {}", with_causes(error));
}

/// An error and all that led to it, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Something to know, on standard error.
pub(crate) fn warn(text: &str) {
    anstream::eprintln!("{WARN}note:{WARN:#} {text}");
}

/// A long id or key, shortened for people.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Enough of an id to tell it from the others on the screen.
const SHORT: usize = 24;
