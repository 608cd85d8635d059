//! Names: which texts may stand for a subject, an agent, an audience or a reason.
//!
//! Names are compared byte for byte and never normalised. What is not of the form is refused, so that no two readers
//! can take one name for another.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::cause::Cause;
use crate::flaw::{Flaw, FlawKind};

/// The most bytes in the name of a subject or an agent.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// The most bytes in an audience: room for a URL, as RFC 8707 has it.
pub(crate) const MAX_AUDIENCE_BYTES: usize = 256;

/// The most bytes in a reason: a sentence, not a prompt.
pub(crate) const MAX_REASON_BYTES: usize = 256;

/// The error of a name that cannot be used. Its message says which form the name must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A subject's name is not `[A-Za-z0-9_.:@/-]{1,128}` with at least one `:`.
    #[error(
        "{0}; a subject is 1 to {MAX_NAME_BYTES} letters, digits or `_.:@/-` with at least one `:`, such as user:alice"
    )]
    Subject(Flaw),
    /// An agent's name is not `[A-Za-z0-9_.@/-]{1,128}`.
    #[error(
        "{0}; an agent's name is 1 to {MAX_NAME_BYTES} letters, digits or `_.@/-`, without `:`, such as agent.researcher"
    )]
    Agent(Flaw),
    /// An audience is not 1 to 256 printable ASCII characters without spaces.
    #[error(
        "{0}; an audience is 1 to {MAX_AUDIENCE_BYTES} printable ASCII characters without spaces, such as notion.mcp"
    )]
    Audience(Flaw),
    /// A reason is empty, blank, too long, or has characters that do not print.
    #[error(
        "{0}; a reason is 1 to {MAX_REASON_BYTES} bytes of printable text on one line, and says why"
    )]
    Reason(Flaw),
    /// The name in which something is revoked is empty, blank, too long, or has characters that do not print.
    #[error(
        "{0}; in whose name something is revoked (by) is 1 to {MAX_REASON_BYTES} bytes of printable text on one line, such as alice"
    )]
    By(Flaw),
}

impl NameError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedName
    }
}

/// Checks the name of a subject: `[A-Za-z0-9_.:@/-]{1,128}` with at least one `:`, such as `user:alice`.
///
/// # Errors
///
/// [`NameError::Subject`] with the first thing that is wrong.
pub fn check_subject(name: &str) -> Result<(), NameError> {
    let no_colon = || (!name.contains(':')).then(|| Flaw::of(name, FlawKind::NoColon));
    refuse(flaw(name, MAX_NAME_BYTES, is_in_name(b"_.:@/-")).or_else(no_colon), NameError::Subject)
}

/// Checks the name of an agent: `[A-Za-z0-9_.@/-]{1,128}`, such as `agent.researcher`. It has no `:`, so that no agent
/// can have the name of a subject.
///
/// # Errors
///
/// [`NameError::Agent`] with the first thing that is wrong.
pub fn check_agent(name: &str) -> Result<(), NameError> {
    refuse(flaw(name, MAX_NAME_BYTES, is_in_name(b"_.@/-")), NameError::Agent)
}

/// Checks the name of an audience: 1 to 256 printable ASCII characters without spaces, such as `notion.mcp` or a URL
/// (RFC 8707).
///
/// # Errors
///
/// [`NameError::Audience`] with the first thing that is wrong.
pub fn check_audience(name: &str) -> Result<(), NameError> {
    refuse(flaw(name, MAX_AUDIENCE_BYTES, |c| c.is_ascii_graphic()), NameError::Audience)
}

/// 1 to 256 bytes, every character printable, not blank.
pub(crate) fn check_reason(text: &str) -> Result<(), NameError> {
    refuse(flaw(text, MAX_REASON_BYTES, is_printable), NameError::Reason)
}

/// In whose name something is revoked: of the form of a reason.
pub(crate) fn check_by(text: &str) -> Result<(), NameError> {
    refuse(flaw(text, MAX_REASON_BYTES, is_printable), NameError::By)
}

fn refuse(flaw: Option<Flaw>, error: fn(Flaw) -> NameError) -> Result<(), NameError> {
    flaw.map_or(Ok(()), |flaw| Err(error(flaw)))
}

/// What is wrong with a text, if anything is.
fn flaw(text: &str, at_most: usize, may_have: impl Fn(char) -> bool) -> Option<Flaw> {
    if text.trim().is_empty() {
        return Some(Flaw::of(text, FlawKind::Empty));
    }
    if text.len() > at_most {
        return Some(Flaw::of(text, FlawKind::TooLong { bytes: text.len() }));
    }
    Flaw::character(text, may_have)
}

fn is_in_name(marks: &[u8]) -> impl Fn(char) -> bool {
    |c| c.is_ascii_alphanumeric() || u8::try_from(c).is_ok_and(|byte| marks.contains(&byte))
}

/// The blank of Braille: it prints nothing, and no property of Unicode says so.
const BRAILLE_BLANK: char = '\u{2800}';

/// Neither a control, format, surrogate, private-use or unassigned character (Unicode C*) nor a
/// line or paragraph separator (Zl, Zp), nor one that most fonts draw as nothing (Default_Ignorable_Code_Point): nothing that
/// could hide or reorder text in a terminal.
pub(crate) fn is_printable(c: char) -> bool {
    use GeneralCategory::*;
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    !ignorable.contains(c)
        && c != BRAILLE_BLANK
        && !matches!(
            get_general_category(c),
            Control
                | Format
                | Surrogate
                | PrivateUse
                | Unassigned
                | LineSeparator
                | ParagraphSeparator
        )
}

/// Returns `text` with every character that does not print written out, such as `\u{1b}`, so that nothing in it can
/// hide or reorder text in a terminal.
pub fn escaped(text: &impl ToString) -> String {
    let text = text.to_string();
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match is_printable(c) {
            true => escaped.push(c),
            false => escaped.extend(c.escape_unicode()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_agent_can_be_called_what_a_subject_is_called() {
        assert_eq!(check_subject("user:alice"), Ok(()));
        assert!(matches!(check_agent("user:alice"), Err(NameError::Agent(_))));
        assert_eq!(check_agent("agent.researcher"), Ok(()));
        assert!(matches!(check_subject("agent.researcher"), Err(NameError::Subject(_))));
    }

    #[test]
    fn names_have_bounds() {
        assert!(matches!(check_agent(""), Err(NameError::Agent(_))));
        assert_eq!(check_agent(&"a".repeat(128)), Ok(()));
        assert!(matches!(check_agent(&"a".repeat(129)), Err(NameError::Agent(_))));
        assert_eq!(check_audience(&"a".repeat(256)), Ok(()));
        assert!(matches!(check_audience(&"a".repeat(257)), Err(NameError::Audience(_))));
        assert!(matches!(check_audience("notion mcp"), Err(NameError::Audience(_))));
        assert!(matches!(check_audience("nötion"), Err(NameError::Audience(_))));
    }

    #[test]
    fn a_reason_is_printable() {
        assert_eq!(check_reason("find the roadmap page — für Zoë"), Ok(()));
        for text in [
            "",
            "   ",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{2028}b",
            "\u{e000}",
            "\u{200b}",
            "a\u{e0101}",
            "\u{3164}",
            "\u{2800}",
            "a\u{fe0f}",
        ] {
            assert!(matches!(check_reason(text), Err(NameError::Reason(_))), "{text:?}");
        }
        assert!(matches!(check_reason(&"a".repeat(257)), Err(NameError::Reason(_))));
    }
}
