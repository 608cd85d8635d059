//! Terminal: how things are said to people. Colour where somebody looks, none in a pipe.
//!
//! Whatever is said passes one place, where all that does not print is written out: names of files, texts of policies
//! and what servers answer could otherwise move the cursor, hide text or forge lines. Only styles of this program's own
//! come through, by a mark that nobody outside knows.

use std::error::Error;
use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{IsTerminal, Read, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use hardtack::names::escaped;
use hardtack::{Timestamp, internal};

use crate::near;
use crate::output::{self, OutputError};
use crate::reading::MAX_TOKEN_BYTES;
use crate::secrets::{Secret, hidden};
use crate::wrapping::{self, laid_out};

pub(crate) const BOLD: Paint = Paint(Style::new().bold());
pub(crate) const FAINT: Paint = Paint(Style::new().dimmed());
pub(crate) const GOOD: Paint = Paint(AnsiColor::Green.on_default().bold());
pub(crate) const BAD: Paint = Paint(AnsiColor::Red.on_default().bold());
pub(crate) const WARN: Paint = Paint(AnsiColor::Yellow.on_default().bold());
pub(crate) const NAME: Paint = Paint(AnsiColor::Cyan.on_default().bold());

/// A style of this program's own: `{GOOD}` begins it, `{GOOD:#}` ends it.
#[derive(Clone, Copy)]
pub(crate) struct Paint(Style);

impl Display for Paint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => f.write_str(&own(&self.0.render_reset().to_string())),
            false => f.write_str(&own(&self.0.render().to_string())),
        }
    }
}

/// A mark for where a line may be broken.
#[derive(Clone, Copy)]
pub(crate) struct Mark(&'static str);

/// Here the text of a line begins: where it is broken, it goes on below this place.
pub(crate) const TEXT: Mark = Mark(wrapping::TEXT_BEGINS);

/// A line with this is to be pasted, and is never broken.
pub(crate) const WHOLE: Mark = Mark(wrapping::AS_IT_IS);

impl Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&own(self.0))
    }
}

/// A text whose escapes are this program's own: in what it is made of, none stood.
pub(crate) fn own(text: &str) -> String {
    text.replace(ESCAPE, mark())
}

const ESCAPE: char = '\u{1b}';

/// What stands for an escape of this program's own: another one in each process.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("{ESCAPE}{:016x}", RandomState::new().build_hasher().finish()))
}

/// What a terminal may see of a line.
fn line(text: &str) -> String {
    text.split(mark()).map(|part| escaped(&part)).collect::<Vec<_>>().join("\u{1b}")
}

/// What a terminal may see of several lines.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// What a terminal may see of JSON, which is the same JSON: only in texts can anything stand that does not print.
fn json(text: &str) -> String {
    let mut units = [0; 2];
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c == '\n' || escaped(&c).chars().eq([c]) {
            true => written.push(c),
            false => {
                let units = c.encode_utf16(&mut units).iter();
                written.extend(units.map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    written
}

/// What a verb ends with.
pub(crate) type Done = Result<std::process::ExitCode, Box<dyn Error>>;

/// The token on standard input.
pub(crate) fn read_token() -> Result<String, Box<dyn Error>> {
    if std::io::stdin().is_terminal() {
        warn(
            "a token is awaited on standard input: paste it and end with Ctrl-D, or give a file, as in: hardtack inspect < grant.token",
        );
    }
    let mut input = Vec::new();
    std::io::stdin().take(MAX_TOKEN_BYTES).read_to_end(&mut input)?;
    let text =
        internal::text_of(input).map_err(|error| format!("no token on standard input: {error}"))?;
    let text = text.trim();
    if Secret::in_text(text) == Some(Secret::PrivateKey) {
        return Err("a private key came in on standard input, where a token is expected; give the key's file by --key, where a verb takes one, and the token here, as in: hardtack inspect < grant.token".into());
    }
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

/// A line on standard output; several where a terminal is too narrow for it.
pub(crate) fn say(text: impl Display) -> Result<(), Box<dyn Error>> {
    print(&laid_out(&line(&text.to_string()), output::out_columns()))
}

/// Several lines on standard output, such as a drawing.
pub(crate) fn say_lines(text: impl Display) -> Result<(), Box<dyn Error>> {
    print(&laid_out(&lines(&text.to_string()), output::out_columns()))
}

/// JSON on standard output.
pub(crate) fn say_json(text: impl Display) -> Result<(), Box<dyn Error>> {
    print(&json(&text.to_string()))
}

/// What is signed or hashed, on standard output: byte for byte, but where somebody looks.
pub(crate) fn say_exactly(text: &str) -> Result<(), Box<dyn Error>> {
    match output::out_is_terminal() {
        true => print(&json(text)),
        false => print(text),
    }
}

fn print(text: &str) -> Result<(), Box<dyn Error>> {
    Ok(output::out(text)?)
}

/// Whether a verb ended because whoever read its output has gone, which is no failure of its own.
pub(crate) fn is_reader_gone(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(OutputError::ReaderGone))
}

/// Goes on if whoever read the answer has gone: the exit code says it, too.
pub(crate) fn even_unread(said: Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    match said {
        Err(error) if is_reader_gone(&*error) => Ok(()),
        said => said,
    }
}

/// What is done already, for whoever reads that the answer could not be written.
pub(crate) fn having(
    said: Result<(), Box<dyn Error>>,
    done: impl Display,
) -> Result<(), Box<dyn Error>> {
    said.map_err(|error| match error.is::<OutputError>() {
        true => format!("{error}; {done}").into(),
        false => error,
    })
}

/// An error with all its causes, on standard error.
pub(crate) fn complain(error: &dyn Error) {
    let error = with_causes(error);
    note(&line(&format!("{BAD}error:{BAD:#} {}", hidden(&error))));
}

/// An error and all that led to it, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Something to know, on standard error.
pub(crate) fn warn(text: &str) {
    note(&line(&format!("{WARN}note:{WARN:#} {}", hidden(text))));
}

/// Help that is shown because too little was typed.
const HELP_UNASKED: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// Shown lines on standard error.
fn note(shown: &str) {
    output::err(&laid_out(shown, output::err_columns()));
}

/// What is wrong with what was typed, and the help that was asked for. A name that a shell put in the place of a star
/// is typed, too.
pub(crate) fn refuse_arguments(error: &clap::Error) -> ! {
    let typed = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let (text, prints) = (with_tip(error), |text: &str| escaped(&text) == text);
    let shown = hidden(&text);
    let is_plain = typed.into_iter().all(|argument| prints(&argument)) && text.lines().all(prints);
    if is_plain && shown == text && text == error.render().to_string() {
        // Help is broken already.
        if !error.use_stderr() || error.kind() == HELP_UNASKED {
            error.exit();
        }
        let coloured = error.render().ansi().to_string();
        note(&lines(&with_own_colours(coloured.trim_end())));
        std::process::exit(error.exit_code());
    }
    match is_plain {
        true => note(&lines(shown.trim_end())),
        // Which of its lines are whose is not known then.
        false => note(&line(shown.trim_end())),
    }
    std::process::exit(error.exit_code())
}

/// What is wrong with what was typed; of a word that is no verb, with those that may be meant.
fn with_tip(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let word = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => word,
        _ => return text,
    };
    let parent = std::env::args().nth(1).filter(|first| first != word);
    let near = near::verbs(word, parent.as_deref());
    if near.is_empty() {
        return text;
    }
    let near: Vec<String> = near.iter().map(|verb| format!("'hardtack {verb}'")).collect();
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let usage = rest.find("Usage:").map_or(rest, |at| &rest[at..]);
    format!("{first}\n\n  tip: perhaps you mean {}\n\n{usage}", near.join(" or "))
}

/// The log, on standard error: what an event says is one line.
pub(crate) struct Log {
    pub(crate) is_json: bool,
    pub(crate) has_colours: bool,
}

impl Write for Log {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let shown = match (self.is_json, self.has_colours) {
            (true, _) => json(text),
            (false, true) => line(&with_own_colours(text)),
            (false, false) => line(text),
        };
        output::write_err(format!("{shown}{end}").into_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The colours that the log writes between its fields, and clap between its words. Both write out escapes in what they are
/// given, or are given none.
fn with_own_colours(text: &str) -> String {
    let mut parts = text.split(ESCAPE);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !matches!(c, '[' | ';' | '0'..='9')).unwrap_or(part.len());
        let is_colour = part.starts_with('[') && part[end..].starts_with('m');
        written.push_str(if is_colour { mark() } else { "\u{1b}" });
        written.push_str(part);
    }
    written
}

/// A URL for people: its query may hold a secret.
pub(crate) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_styles_of_our_own_reach_a_terminal() {
        let name = "a\u{1b}[8m\u{7}\n\u{202e}\u{9b}2J\u{200b}\r\t";
        let said = line(&format!("{GOOD}allowed{GOOD:#} {name}"));
        let start = "\u{1b}[1m\u{1b}[32mallowed\u{1b}[0m a\\u{1b}[8m";
        assert!(said.starts_with(start), "{said:?}");
        assert_eq!(said.matches(ESCAPE).count(), 3);
        let rest = &said[start.len()..];
        assert_eq!(rest, "\\u{7}\\u{a}\\u{202e}\\u{9b}2J\\u{200b}\\u{d}\\u{9}");
        assert_eq!(lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    }

    #[test]
    fn json_says_the_same_and_shows_nothing_that_does_not_print() {
        let value = serde_json::json!({"a": "\u{1b}\u{7f}\u{9b}\u{202e}\u{e0001} é"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert!(shown.chars().all(|c| c == '\n' || escaped(&c) == c.to_string()), "{shown:?}");
        }
    }

    #[test]
    fn a_log_keeps_its_own_colours_and_no_other_escapes() {
        let event = "\u{1b}[2mnow\u{1b}[0m \u{1b}]0;title\u{7} \u{1b}[2J\n";
        let shown = line(&with_own_colours(event));
        assert_eq!(shown, "\u{1b}[2mnow\u{1b}[0m \\u{1b}]0;title\\u{7} \\u{1b}[2J\\u{a}");
    }
}
