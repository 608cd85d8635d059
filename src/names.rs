//! Names: which texts may stand for a subject, an agent, an audience or a reason.
//!
//! Compared byte for byte and never normalised: what is not of the form is refused, so that no two
//! readers can take one name for another.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use unicode_general_category::{GeneralCategory, get_general_category};

/// The most bytes in the name of a subject or an agent.
pub const MAX_NAME_BYTES: usize = 128;

/// The most bytes in an audience: room for a URL, as RFC 8707 has it.
pub const MAX_AUDIENCE_BYTES: usize = 256;

/// The most bytes in a reason: a sentence, not a prompt.
pub const MAX_REASON_BYTES: usize = 256;

/// A name that cannot be used, and the form it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not `[A-Za-z0-9_.:@/-]{1,128}` with at least one `:`.
    #[error(
        "a subject is 1 to {MAX_NAME_BYTES} letters, digits or `_.:@/-` with at least one `:`, such as user:alice"
    )]
    Subject,
    /// Not `[A-Za-z0-9_.@/-]{1,128}`.
    #[error(
        "an agent's name is 1 to {MAX_NAME_BYTES} letters, digits or `_.@/-`, without `:`, such as agent.researcher"
    )]
    Agent,
    /// Not 1 to 256 printable ASCII bytes without spaces.
    #[error(
        "an audience is 1 to {MAX_AUDIENCE_BYTES} printable ASCII characters without spaces, such as notion.mcp"
    )]
    Audience,
    /// Empty, blank, too long, or with characters that do not print.
    #[error(
        "a reason is 1 to {MAX_REASON_BYTES} bytes of printable text on one line, and says why"
    )]
    Reason,
    /// In whose name something is revoked: empty, blank, too long, or with characters that do not print.
    #[error(
        "in whose name something is revoked (by) is 1 to {MAX_REASON_BYTES} bytes of printable text on one line, such as alice"
    )]
    By,
}

/// `[A-Za-z0-9_.:@/-]{1,128}` with at least one `:`.
pub(crate) fn check_subject(name: &str) -> Result<(), NameError> {
    let held = is_name(name, b"_.:@/-") && name.contains(':');
    held.then_some(()).ok_or(NameError::Subject)
}

/// `[A-Za-z0-9_.@/-]{1,128}`: no `:`, so that no agent can be called what a subject is called.
pub(crate) fn check_agent(name: &str) -> Result<(), NameError> {
    is_name(name, b"_.@/-").then_some(()).ok_or(NameError::Agent)
}

/// 1 to 256 printable ASCII bytes without spaces.
pub(crate) fn check_audience(name: &str) -> Result<(), NameError> {
    let held = (1..=MAX_AUDIENCE_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_graphic());
    held.then_some(()).ok_or(NameError::Audience)
}

/// 1 to 256 bytes, every character printable, not blank.
pub(crate) fn check_reason(text: &str) -> Result<(), NameError> {
    let held =
        text.len() <= MAX_REASON_BYTES && !text.trim().is_empty() && text.chars().all(is_printable);
    held.then_some(()).ok_or(NameError::Reason)
}

/// In whose name something is revoked: of the form of a reason.
pub(crate) fn check_by(text: &str) -> Result<(), NameError> {
    check_reason(text).map_err(|_| NameError::By)
}

fn is_name(name: &str, marks: &[u8]) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
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

/// The text with every character that does not print written out, such as `\u{1b}`.
pub fn escaped(text: &impl ToString) -> String {
    let escape =
        |c: char| if is_printable(c) { c.to_string() } else { c.escape_unicode().to_string() };
    text.to_string().chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_agent_can_be_called_what_a_subject_is_called() {
        assert_eq!(check_subject("user:alice"), Ok(()));
        assert_eq!(check_agent("user:alice"), Err(NameError::Agent));
        assert_eq!(check_agent("agent.researcher"), Ok(()));
        assert_eq!(check_subject("agent.researcher"), Err(NameError::Subject));
    }

    #[test]
    fn names_have_bounds() {
        assert_eq!(check_agent(""), Err(NameError::Agent));
        assert_eq!(check_agent(&"a".repeat(128)), Ok(()));
        assert_eq!(check_agent(&"a".repeat(129)), Err(NameError::Agent));
        assert_eq!(check_audience(&"a".repeat(256)), Ok(()));
        assert_eq!(check_audience(&"a".repeat(257)), Err(NameError::Audience));
        assert_eq!(check_audience("notion mcp"), Err(NameError::Audience));
        assert_eq!(check_audience("nötion"), Err(NameError::Audience));
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
            assert_eq!(check_reason(text), Err(NameError::Reason), "{text:?}");
        }
        assert_eq!(check_reason(&"a".repeat(257)), Err(NameError::Reason));
    }
}
