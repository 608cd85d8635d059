//! Split: where the statements and comments of a text stand, and at which line and column a byte is.

use crate::tree::Span;

/// The longest statement whose inner comments are looked past: twice what the loader reads.
const MAX_BLANKED_BYTES: usize = 8192;

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
            found.comments.push(Span { start: at, end: at + length });
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

/// The text with the comments in the midst of statements blanked: every byte stays where it is.
pub(super) fn without_inner_comments(text: &str, pieces: &[Piece]) -> String {
    let mut blanked = text.to_owned();
    let blankable = |piece: &&Piece| {
        piece.comment.is_some() && piece.span.end - piece.span.start <= MAX_BLANKED_BYTES
    };
    for piece in pieces.iter().filter(blankable) {
        let mut at = piece.span.start;
        while at < piece.span.end {
            let Some(rest) = text.get(at..piece.span.end) else { break };
            let Some(c) = rest.chars().next() else { break };
            let length = match c {
                '"' => string(rest, true).unwrap_or(1),
                '/' => match comment(rest) {
                    Some(length) => {
                        let part = &text[at..at + length];
                        let blank: String = part
                            .chars()
                            .flat_map(|c| {
                                let blank = if c == '\n' { '\n' } else { ' ' };
                                std::iter::repeat_n(blank, c.len_utf8())
                            })
                            .collect();
                        blanked.replace_range(at..at + length, &blank);
                        length
                    }
                    None => 1,
                },
                c => c.len_utf8(),
            };
            at += length;
        }
    }
    blanked
}

/// How long the comment is with which this begins.
fn comment(text: &str) -> Option<usize> {
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

fn space(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_whitespace() || c == ';').len()
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The line and the column of a byte, both from 1; the column in characters.
    pub(super) fn place(&self, text: &str, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at).max(1);
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

    #[test]
    fn a_comment_in_the_midst_is_blanked_in_place() {
        let text = "a(1, // é;\n 2);";
        let pieces = split(text);
        assert!(pieces.statements[0].comment.is_some());
        let blanked = without_inner_comments(text, &pieces.statements);
        assert_eq!(blanked.len(), text.len());
        assert!(blanked.ends_with("\n 2);") && blanked.starts_with("a(1,     "));
    }
}
