//! SVG: a picture that stands alone, without script, font or link of elsewhere, in light and in dark.

use std::fmt::Write;

use super::{Card, Picture, Standing};

/// The sizes of a picture, in its own units (pixels where it is shown as large as it is).
const WIDTH: usize = 760;
const MARGIN: usize = 16;
const INDENT: usize = 26;
const GAP: usize = 14;
const LINE: usize = 19;
const PADDING: usize = 10;

/// The deepest indent: deeper cards stand below each other, so that none is narrower than its text needs.
const MAX_DEPTH: usize = 13;

/// How wide a letter of the font is, at most: a card cuts off what is wider still.
const LETTER: usize = 8;

const STYLE: &str = "
.back{fill:#ffffff}.card{fill:#f6f8fa;stroke:#8c959f}.name{fill:#1f2328;font-weight:600}
.line{fill:#424a53}.edge{fill:none;stroke:#8c959f;stroke-width:1.5}.badge{font-weight:600}
.live{fill:#116329}.expired,.unverified{fill:#59636e}.revoked,.stopped{fill:#b3202c}
.card.c-live{stroke:#1a7f37}.card.c-revoked,.card.c-stopped{stroke:#cf222e}
.card.c-stopped,.card.c-expired{stroke-dasharray:5 4}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
@media (prefers-color-scheme:dark){
.back{fill:#0d1117}.card{fill:#161b22;stroke:#6e7681}.name{fill:#f0f6fc}.line{fill:#c9d1d9}
.edge{stroke:#6e7681}.live{fill:#56d364}.expired,.unverified{fill:#9198a1}
.revoked,.stopped{fill:#ff8e87}.card.c-live{stroke:#3fb950}
.card.c-revoked,.card.c-stopped{stroke:#f85149}}
";

pub(super) fn write(picture: &Picture) -> String {
    let (places, height) = places(picture);
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n",
        quoted(&picture.title),
        quoted(&picture.description)
    );
    for (card, top) in picture.cards.iter().zip(&places) {
        if let Some(parent) = card.parent {
            let above = &picture.cards[parent];
            let x = left(above) + INDENT / 2;
            let (from, to) = (places[parent] + height_of(above), top + PADDING + LINE / 2);
            let _ = writeln!(text, "<path class=\"edge\" d=\"M{x} {from}V{to}H{}\"/>", left(card));
        }
    }
    for (card, top) in picture.cards.iter().zip(&places) {
        write_card(&mut text, card, *top);
    }
    if let Some(note) = &picture.note {
        let y = height - MARGIN;
        let _ =
            writeln!(text, "<text class=\"line\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", quoted(note));
    }
    text.push_str("</svg>\n");
    text
}

/// The top of each card, and the height of all.
fn places(picture: &Picture) -> (Vec<usize>, usize) {
    let mut top = MARGIN;
    let mut places = Vec::with_capacity(picture.cards.len());
    for card in &picture.cards {
        places.push(top);
        top += height_of(card) + GAP;
    }
    let note = if picture.note.is_some() { LINE } else { 0 };
    (places, (top + note).max(2 * MARGIN + LINE))
}

fn left(card: &Card) -> usize {
    MARGIN + card.depth.min(MAX_DEPTH) * INDENT
}

fn height_of(card: &Card) -> usize {
    2 * PADDING + LINE * (1 + card.lines.len())
}

fn write_card(text: &mut String, card: &Card, top: usize) {
    let (left, height, word) = (left(card), height_of(card), card.standing.word());
    let width = WIDTH - MARGIN - left;
    let badge = (word.len() + 1) * LETTER;
    let room = width - 2 * PADDING;
    let _ = write!(
        text,
        "<rect class=\"card c-{word}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n<svg x=\"{}\" y=\"{top}\" width=\"{room}\" height=\"{height}\">\n",
        left + PADDING
    );
    let y = PADDING + LINE - 5;
    // What is said beside the name stands on the right, and never below it.
    let heading = fitting(&card.heading, room - if badge_is_shown(card) { badge } else { 0 });
    let _ = writeln!(text, "<text class=\"name\" y=\"{y}\">{heading}</text>");
    if badge_is_shown(card) {
        let _ = writeln!(
            text,
            "<text class=\"badge {word}\" x=\"{room}\" y=\"{y}\" text-anchor=\"end\">{word}</text>"
        );
    }
    for (number, line) in card.lines.iter().enumerate() {
        let y = y + (number + 1) * LINE;
        let _ = writeln!(text, "<text class=\"line\" y=\"{y}\">{}</text>", fitting(line, room));
    }
    text.push_str("</svg>\n");
}

/// Of a token that nobody verified, the picture says so once.
fn badge_is_shown(card: &Card) -> bool {
    card.standing != Standing::Unknown
}

/// As much of a text as there is room for, and the whole of it for whoever points at it.
fn fitting(text: &str, room: usize) -> String {
    let most = room / LETTER;
    // Letters of other scripts are up to two wide.
    let wide = |c: char| if c.is_ascii() { 1 } else { 2 };
    if text.chars().map(wide).sum::<usize>() <= most {
        return quoted(text);
    }
    let mut used = 2;
    let shown: String = text
        .chars()
        .take_while(|c| {
            used += wide(*c);
            used <= most
        })
        .collect();
    format!("{}…<title>{}</title>", quoted(&shown), quoted(text))
}

/// A text between tags. Nothing in it is a control character.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => quoted.push_str("&amp;"),
            '<' => quoted.push_str("&lt;"),
            '>' => quoted.push_str("&gt;"),
            '"' => quoted.push_str("&quot;"),
            '\'' => quoted.push_str("&#39;"),
            c => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup_and_none_is_longer_than_its_room() {
        assert_eq!(quoted("<script>'\"&"), "&lt;script&gt;&#39;&quot;&amp;");
        assert_eq!(fitting("short", 80), "short");
        assert_eq!(fitting("0123456789ab", 80), "01234567…<title>0123456789ab</title>");
        assert_eq!(fitting("日本語日本語", 80), "日本語日…<title>日本語日本語</title>");
    }
}
