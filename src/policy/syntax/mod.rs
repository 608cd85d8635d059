//! Syntax: what stands in the text of a policy file, and where? The one front end of the loader and the linter.
//!
//! A text is split into statements and comments; each statement is read to a tree that keeps the place of every word;
//! what a policy may not say is found in the tree; and what is left is read once more by Biscuit's parser, which must
//! read the same. A statement that the two read differently is refused.

mod convert;
mod issuing;
mod judge;
mod parse;
mod split;
mod terms;
#[cfg(test)]
mod tests;
mod tree;

pub use parse::METHODS;
pub use split::Lines;
pub use tree::{Atom, Expr, Kind, Node, Query, Span, Statement, Term, Value};

use crate::policy::problem::Problem;
use crate::profile::issuing::is_file as is_of_issuer;

pub(crate) use convert::Built;
use convert::{built, read_by_biscuit};
use parse::Stopped;
use split::Piece;

/// How deep brackets and negations may stand within each other in a policy. Both parsers recurse.
const MAX_NESTING: usize = 64;

/// The most bytes in a statement: a chain of operators makes Biscuit's parser recurse as deep as it is long.
const MAX_STATEMENT_BYTES: usize = 4096;

/// The text of a file, as far as it can be read.
#[derive(Debug)]
pub struct Source {
    /// Its statements, in their order.
    pub statements: Vec<Part>,
    /// Where its comments stand.
    pub comments: Vec<Span>,
    /// What is wrong with it outside of its statements.
    pub flaws: Vec<(Span, Problem)>,
}

/// A statement of a file.
#[derive(Debug)]
pub struct Part {
    /// Where it stands, with its `;`.
    pub span: Span,
    /// What it says, if it can be read.
    pub statement: Option<Statement>,
    /// For what it is refused, each at the word that is wrong.
    pub problems: Vec<(Span, Problem)>,
    /// What Biscuit's parser reads, where nothing is wrong.
    pub(crate) built: Option<Built>,
}

impl Source {
    /// The first thing for which the file is refused.
    pub(crate) fn first_problem(&self) -> Option<&(Span, Problem)> {
        let all = self.statements.iter().flat_map(|part| &part.problems);
        all.chain(&self.flaws).min_by_key(|(span, _)| span.start)
    }
}

/// What a file's statements are about, which is known by the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Which calls are allowed.
    Calls,
    /// What an issuer offers.
    Issuing,
}

/// Reads the text of a file, which is the one of this number in its set. What cannot be read is said in its place.
pub fn read(file: usize, name: &str, text: &str) -> Source {
    let purpose = if is_of_issuer(name) { Purpose::Issuing } else { Purpose::Calls };
    let pieces = split::split(text);
    let statements: Vec<Part> =
        pieces.statements.iter().map(|piece| part(file, text, piece, purpose)).collect();
    let mut flaws = pieces.flaws;
    if statements.is_empty() && flaws.is_empty() {
        flaws.push((Span::default(), Problem::Empty));
    }
    Source { statements, comments: pieces.comments, flaws }
}

fn part(file: usize, text: &str, piece: &Piece, purpose: Purpose) -> Part {
    let mut part = Part { span: piece.span, statement: None, problems: Vec::new(), built: None };
    let Span { start, end } = piece.span;
    if let Some(open) = piece.open {
        part.problems.push((open, Problem::OpenText));
        return part;
    }
    if end - start > MAX_STATEMENT_BYTES {
        part.problems.push((piece.span, Problem::TooLong { most: MAX_STATEMENT_BYTES }));
        return part;
    }
    let inner = piece.comment.map(|comment| (comment, Problem::InnerComment));
    part.problems.extend(inner);
    match parse::parse(text.get(..end).unwrap_or_default(), file, start, MAX_NESTING) {
        Err(Stopped { is_too_deep: true, .. }) => {
            part.problems.push((piece.span, Problem::TooDeep { most: MAX_NESTING }));
        }
        Err(Stopped { at, .. }) => part.problems.push(unreadable(text, piece.span, at)),
        Ok(statement) => {
            part.problems.extend(judge::problems(&statement, purpose));
            if part.problems.is_empty() {
                match agreed(text, &statement) {
                    Ok(built) => part.built = Some(built),
                    Err(problem) => part.problems.push((statement.span, problem)),
                }
            }
            part.statement = Some(statement);
        }
    }
    part
}

/// Brackets or negations that stand deeper than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Reads a text that is one statement without its `;`, with brackets and negations at most `most` deep. `None` if it is none, or
/// the two parsers do not agree on it.
pub(crate) fn read_one(text: &str, most: usize) -> Result<Option<Built>, TooDeep> {
    match parse::parse(text, 0, 0, most) {
        Ok(statement) if statement.span == (Span { start: 0, end: text.len() }) => {
            Ok(agreed(text, &statement).ok())
        }
        Err(Stopped { is_too_deep: true, .. }) => Err(TooDeep),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// What both parsers read. Biscuit's is asked for what was read here already and for nothing else: no text makes it
/// recurse deeper, or begin in the midst of a statement.
fn agreed(text: &str, statement: &Statement) -> Result<Built, Problem> {
    let Span { start, end } = statement.span;
    let read = read_by_biscuit(statement.kind, text.get(start..end).unwrap_or_default());
    let read = read.map_err(|hint| Problem::Unreadable { hint })?;
    if read == built(statement) { Ok(read) } else { Err(Problem::ReadDifferently) }
}

/// The word at which a statement cannot be read on.
fn unreadable(text: &str, Span { start, end }: Span, at: usize) -> (Span, Problem) {
    let part = text.get(start..end).unwrap_or_default();
    let at = if begins_with_a_word(part) { start } else { at };
    let at = at.clamp(start, end.saturating_sub(1).max(start));
    let at = (start..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    let rest = text.get(at..end).unwrap_or_default();
    let word = rest.split(|c: char| c.is_whitespace() || "();,".contains(c)).next();
    let length = word.unwrap_or_default().len().max(rest.chars().next().map_or(0, char::len_utf8));
    // The place says where, and the text is not repeated: who gives the wrong file may give a key.
    (Span { start: at, end: at + length }, Problem::Unreadable { hint: None })
}

/// Whether the first word is neither a policy's or check's nor a predicate.
fn begins_with_a_word(part: &str) -> bool {
    let rest = part.trim_start_matches(parse::is_name);
    let word = part.get(..part.len() - rest.len()).unwrap_or_default().to_ascii_lowercase();
    let known = ["allow", "deny", "check", "reject"].contains(&word.as_str());
    !(known || rest.trim_start().starts_with('('))
}
