//! Mermaid: a flowchart, for pages that draw such.

use std::fmt::Write;

use super::{Picture, Standing, only_first};

/// The most letters of a line; the picture itself has no way to show more.
const MAX_LINE: usize = 100;

/// The most bytes of a chart but for its end: Mermaid as it is set by default draws nothing of what has over 50,000 characters.
const MAX_CHART: usize = 48_000;

pub(super) fn write(picture: &Picture) -> String {
    let mut text = String::from("flowchart TD\n");
    // Writing to a String does not fail.
    let _ = writeln!(text, "  accTitle: {}", plain(&picture.title));
    let mut note = picture.note.clone();
    for (number, card) in picture.cards.iter().enumerate() {
        let word = match card.standing {
            Standing::Unknown => String::new(),
            standing => format!(" ({})", standing.word()),
        };
        let mut label = quoted(&format!("{}{word}", cut(&card.heading)));
        for line in &card.lines {
            label += "<br/>";
            label += &quoted(&cut(line));
        }
        let mut node = format!("  n{number}[\"{label}\"]:::{}\n", card.standing.word());
        if let Some(parent) = card.parent {
            let _ = writeln!(node, "  n{parent} --> n{number}");
        }
        // What is above a card comes before it, so that none hangs in the air.
        if text.len() + node.len() > MAX_CHART {
            note = Some(only_first(number));
            break;
        }
        text += &node;
    }
    if let Some(note) = &note {
        let _ = writeln!(text, "  note[\"{}\"]:::unverified", quoted(note));
    }
    text.push_str(
        "  classDef live stroke:#1a7f37,stroke-width:2px
  classDef revoked stroke:#cf222e,stroke-width:3px
  classDef stopped stroke:#cf222e,stroke-dasharray:5 4
  classDef expired stroke:#8c959f,stroke-dasharray:5 4
  classDef unverified stroke:#8c959f
",
    );
    text
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A text within a label: whatever could end it, or be markup, is a number between `#` and `;`, as Mermaid has it. A colon is, too:
/// behind the word `style` or `classDef`, it would have Mermaid take away such a `;`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '-' | '/' | '…') {
            true => quoted.push(c),
            // Writing to a String does not fail.
            false => drop(write!(quoted, "#{};", u32::from(c))),
        }
    }
    quoted
}

/// A text to the end of a line, which has no such numbers.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '-'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_label_or_is_markup() {
        let hostile = quoted("\"]; click n0 <script>`_*#quot;\n%%{ style:#");
        assert!(!hostile.contains(['"', ']', '<', '>', '`', '*', '_', '\n', '%', '{', '(', ':']));
        assert!(hostile.starts_with("#34;#93;#59; click n0 #60;script#62;"), "{hostile}");
        assert_eq!(plain("a\n;#b"), "ab");
    }
}
