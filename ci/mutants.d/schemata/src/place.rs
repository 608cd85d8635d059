//! Where the source is changed, and the text that comes of it.

use std::collections::BTreeSet;
use std::ops::Range;

/// What a change is called: the file, what is done, the function and the text, and no place.
#[derive(Debug, Clone)]
pub struct Change {
    pub number: u32,
    pub file: String,
    pub name: String,
    /// For who looks for it.
    pub line: usize,
    pub function: String,
}

/// How the changes of a place are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `(if is(1) { changed } else if is(2) { changed } else { original })`
    Choice,
    /// `!is(1) && ` before a condition that binds names, and so can be in no parentheses.
    Chain,
    /// `if is(1) { return changed; } ` at the beginning of a body.
    Body,
    /// `if !is(1) { original }` for a statement that is taken out.
    Statement,
    /// ` if !is(1)` after the pattern of a match arm.
    Guard,
}

#[derive(Debug)]
pub struct Place {
    pub span: Range<usize>,
    pub form: Form,
    /// The number of each change, and its text.
    pub changes: Vec<(u32, String)>,
}

/// Where in the new text a change stands: its own text, and all that it may affect.
#[derive(Debug)]
pub struct Written {
    pub number: u32,
    pub own: Range<usize>,
    pub whole: Range<usize>,
}

/// The source with all of its changes but those left out. No line moves to another number.
///
/// Outer places come before the inner ones.
pub fn write(source: &str, places: &[Place], left_out: &BTreeSet<u32>) -> (String, Vec<Written>) {
    // What ends at an offset ends before anything begins there; the inner ends before the outer, and begins after it.
    let mut events: Vec<(usize, bool, isize)> = Vec::new();
    for (order, place) in places.iter().enumerate() {
        if place.form != Form::Guard {
            events.push((place.span.start, true, order as isize));
        }
        if !matches!(place.form, Form::Body | Form::Chain) {
            events.push((place.span.end, false, -(order as isize)));
        }
    }
    events.sort();

    let (mut text, mut at) = (String::with_capacity(source.len() * 2), 0);
    let mut written: Vec<Written> = Vec::new();
    let mut begun = vec![0; places.len()];
    for (offset, is_begin, order) in events {
        text.push_str(&source[at..offset]);
        at = offset;
        let order = order.unsigned_abs();
        let place = &places[order];
        let changes: Vec<_> =
            place.changes.iter().filter(|(number, _)| !left_out.contains(number)).collect();
        if changes.is_empty() {
            continue;
        }
        let begin = text.len();
        match (place.form, is_begin) {
            (Form::Choice, true) => {
                begun[order] = begin;
                text.push('(');
                for (number, changed) in changes {
                    text.push_str(&format!("if crate::mutated::is({number}) {{ "));
                    let own = text.len();
                    text.push_str(&one_line(changed));
                    written.push(Written { number: *number, own: own..text.len(), whole: 0..0 });
                    text.push_str(" } else ");
                }
                text.push_str("{ ");
            }
            (Form::Choice, false) => {
                text.push_str(" })");
                end(&mut written, &changes, begun[order]..text.len());
            }
            (Form::Statement, true) => {
                begun[order] = begin;
                text.push_str(&format!("if !crate::mutated::is({}) {{ ", changes[0].0));
                written.push(Written { number: changes[0].0, own: begin..text.len(), whole: 0..0 });
            }
            (Form::Statement, false) => {
                text.push_str(" }");
                end(&mut written, &changes, begun[order]..text.len());
            }
            (Form::Chain, true) => {
                text.push_str(&format!("!crate::mutated::is({}) && ", changes[0].0));
                let own = begin..text.len();
                written.push(Written { number: changes[0].0, own: own.clone(), whole: own });
            }
            (Form::Guard, _) => {
                text.push_str(&format!(" if !crate::mutated::is({})", changes[0].0));
                let own = begin..text.len();
                written.push(Written { number: changes[0].0, own: own.clone(), whole: own });
            }
            (Form::Body, true) => {
                for (number, changed) in changes {
                    let begin = text.len();
                    text.push_str(&format!(
                        " if crate::mutated::is({number}) {{ return {changed}; }} "
                    ));
                    let own = begin..text.len();
                    written.push(Written { number: *number, own: own.clone(), whole: own });
                }
            }
            (Form::Chain | Form::Body, false) => {}
        }
    }
    text.push_str(&source[at..]);
    (text, written)
}

fn end(written: &mut [Written], changes: &[&(u32, String)], whole: Range<usize>) {
    for one in written {
        if changes.iter().any(|(number, _)| *number == one.number) {
            one.whole = whole.clone();
        }
    }
}

/// A changed text beside the original must not move the lines after it, nor swallow them by a comment.
fn one_line(text: &str) -> String {
    text.parse::<proc_macro2::TokenStream>().map_or(text.to_owned(), |tokens| tokens.to_string())
}
