//! One line: how is a JSON text written, so that every reader takes it for one line?

/// Writes a part of a JSON text without what ends a line for some reader. In JSON, line feeds and carriage returns stand between
/// its parts only, and the other three within strings only, where an escape means the same.
pub(crate) fn on_one_line(part: &str, to: &mut String) {
    let mut copied = 0;
    let ends = |c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    for (at, found) in part.match_indices(ends) {
        to.push_str(&part[copied..at]);
        copied = at + found.len();
        to.push_str(match found {
            "\u{85}" => r"\u0085",
            "\u{2028}" => r"\u2028",
            "\u{2029}" => r"\u2029",
            _ => " ",
        });
    }
    to.push_str(&part[copied..]);
}
