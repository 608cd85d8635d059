//! Split: where the statements and comments of a text stand, and at which line and column a byte is.

use super::tree::Span;
use crate::policy::problem::Problem;

/// A statement as it stands in the text, without the space and comments before it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Up to its `;`, with it.
    pub(super) span: Span,
    /// A comment in the midst of it, where none may be.
    pub(super) comment: Option<Span>,
    /// Where a text begins that no quotation mark ends.
    pub(super) open: Option<Span>,
}

/// The statements of a text, and its comments.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) statements: Vec<Piece>,
    pub(super) comments: Vec<Span>,
    /// Comments that do not end as they must.
    pub(super) flaws: Vec<(Span, Problem)>,
}

/// Finds what a `;` ends.
pub(super) fn split(text: &str) -> Pieces {
    let mut found = Pieces::default();
    let mut at = 0;
    let mut by_line = false;
    loop {
        at += space(&text[at..]);
        if at >= text.len() {
            return found;
        }
        if let Some(length) = comment(&text[at..]) {
            let span = Span { start: at, end: at + length };
            found.flaws.extend(flaw(&text[at..at + length]).map(|problem| (span, problem)));
            found.comments.push(span);
            at += length;
            continue;
        }
        let mut piece = piece(text, at, by_line);
        if piece.open.is_some() && !by_line {
            piece = self::piece(text, at, true);
        }
        // From there on no text goes over the end of its line, so that none is looked for twice.
        by_line |= piece.open.is_some();
        at = piece.span.end;
        found.statements.push(piece);
    }
}

fn piece(text: &str, start: usize, by_line: bool) -> Piece {
    let mut found = Piece { span: Span { start, end: text.len() }, comment: None, open: None };
    let mut at = start;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            ';' => {
                found.span.end = at + 1;
                return found;
            }
            '"' => match string(&text[at..], by_line || found.open.is_some()) {
                Some(length) => at += length,
                None => {
                    // What is never closed is taken to end with its line, so that the rest is seen.
                    let line = text[at..].find('\n').unwrap_or(text.len() - at);
                    found.open.get_or_insert(Span { start: at, end: at + line });
                    let ends = text[at..at + line].trim_end().ends_with(';');
                    at += line;
                    if ends {
                        found.span.end = at;
                        return found;
                    }
                }
            },
            '/' => match comment(&text[at..]) {
                Some(length) => {
                    found.comment.get_or_insert(Span { start: at, end: at + length });
                    at += length;
                }
                None => at += 1,
            },
            c => at += c.len_utf8(),
        }
    }
    found
}

/// What is wrong with a comment: Biscuit's parser takes it to go on, or not to be one.
fn flaw(comment: &str) -> Option<Problem> {
    match comment.strip_prefix("/*") {
        Some(inner) => (!inner.ends_with("*/")).then_some(Problem::OpenComment),
        None => comment
            .strip_suffix('\r')
            .unwrap_or(comment)
            .contains('\r')
            .then_some(Problem::LoneReturn),
    }
}

/// How long the comment is with which this begins.
pub(super) fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inner = text.strip_prefix("/*")?;
    Some(inner.find("*/").map_or(text.len(), |end| end + 4))
}

/// How long the text in quotation marks is with which this begins.
fn string(text: &str, by_line: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\n' if by_line => return None,
            '\\' => drop(characters.next()),
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn space(text: &str) -> usize {
    text.len() - text.trim_start_matches(is_space).len()
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Finds the lines of a text.
    pub fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at).max(1)
    }

    /// The line and the column of a byte, both from 1; the column in characters.
    pub fn place(&self, text: &str, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.0.get(line - 1).copied().unwrap_or_default();
        (line, 1 + text.get(start..at).map_or(0, |before| before.chars().count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).statements.iter().map(|piece| &text[piece.span.start..piece.span.end]).collect()
    }

    #[test]
    fn a_semicolon_in_a_text_or_comment_ends_nothing() {
        assert_eq!(texts("// a; b\n a(\";\\\"\");/* ; */ b(1);"), ["a(\";\\\"\");", "b(1);"]);
        assert_eq!(texts("a(1)"), ["a(1)"]);
    }

    #[test]
    fn a_text_that_is_never_closed_ends_with_its_line() {
        assert_eq!(texts("a(\"x);\nb(1);"), ["a(\"x);", "b(1);"]);
    }
}
