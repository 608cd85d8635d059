//! Reasons: does what an agent says of why show everything that it says? They stand in records and on terminals,
//! before the people who judge.

use biscuit_auth::builder::string;

use crate::case::Case;
use crate::chain::{Block, Chain, no_texts};

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(characters());
    cases.extend(texts());
    cases.extend(of_other_types());
    cases
}

/// Each stands within a text that would be fine without it.
fn characters() -> Vec<Case> {
    [
        ("a NUL", '\0'),
        ("a bell", '\u{7}'),
        ("a backspace", '\u{8}'),
        ("a tab", '\t'),
        ("a line's end", '\n'),
        ("a vertical tab", '\u{b}'),
        ("a form feed", '\u{c}'),
        ("a carriage return", '\r'),
        ("a shift out", '\u{e}'),
        ("an escape", '\u{1b}'),
        ("a unit separator", '\u{1f}'),
        ("a DEL", '\u{7f}'),
        ("a next line", '\u{85}'),
        ("a C1 introducer", '\u{9b}'),
        ("a C1 string terminator", '\u{9c}'),
        ("a line separator", '\u{2028}'),
        ("a paragraph separator", '\u{2029}'),
        ("a left-to-right embedding", '\u{202a}'),
        ("a right-to-left embedding", '\u{202b}'),
        ("a pop of the direction", '\u{202c}'),
        ("a left-to-right override", '\u{202d}'),
        ("a right-to-left override", '\u{202e}'),
        ("a left-to-right isolate", '\u{2066}'),
        ("a right-to-left isolate", '\u{2067}'),
        ("a first strong isolate", '\u{2068}'),
        ("a pop of the isolate", '\u{2069}'),
        ("a left-to-right mark", '\u{200e}'),
        ("a right-to-left mark", '\u{200f}'),
        ("an Arabic letter mark", '\u{61c}'),
        ("a zero-width space", '\u{200b}'),
        ("a zero-width non-joiner", '\u{200c}'),
        ("a zero-width joiner", '\u{200d}'),
        ("a word joiner", '\u{2060}'),
        ("an invisible plus", '\u{2064}'),
        ("a byte order mark", '\u{feff}'),
        ("a soft hyphen", '\u{ad}'),
        ("a Mongolian vowel separator", '\u{180e}'),
        ("a Mongolian variation selector", '\u{180b}'),
        ("a combining grapheme joiner", '\u{34f}'),
        ("a Hangul filler", '\u{3164}'),
        ("a Hangul initial filler", '\u{115f}'),
        ("a Hangul vowel filler", '\u{1160}'),
        ("a halfwidth Hangul filler", '\u{ffa0}'),
        ("a Khmer inherent vowel", '\u{17b4}'),
        ("a blank of Braille", '\u{2800}'),
        ("a variation selector", '\u{fe0f}'),
        ("a supplementary variation selector", '\u{e0100}'),
        ("a tag letter", '\u{e0041}'),
        ("a language tag", '\u{e0001}'),
        ("a reserved tag", '\u{e0fff}'),
        ("a private character", '\u{e000}'),
        ("a private character of plane 15", '\u{f0000}'),
        ("a private character of plane 16", '\u{10fffd}'),
        ("an unassigned character", '\u{378}'),
        ("an unassigned character of plane 4", '\u{40000}'),
        ("a noncharacter", '\u{fffe}'),
        ("an Arabic noncharacter", '\u{fdd0}'),
        ("the last noncharacter", '\u{10ffff}'),
        ("an annotation anchor", '\u{fff9}'),
        ("a Syriac abbreviation mark", '\u{70f}'),
        ("an Arabic number sign", '\u{600}'),
        ("a deprecated swap of symmetric signs", '\u{206a}'),
        ("a musical beam", '\u{1d173}'),
        ("a shorthand overlap", '\u{1bca0}'),
        ("a hieroglyph joiner", '\u{13430}'),
    ]
    .map(|(what, character)| named(what, &format!("look for{character} the page")))
    .into()
}

fn texts() -> Vec<Case> {
    let long = "a".repeat(257);
    let long_for_its_letters = "\u{20ac}".repeat(86);
    let escape = "ok \u{1b}]8;;https://evil.example\u{1b}\\look\u{1b}]8;;\u{1b}\\";
    let hidden = "look\u{e0070}\u{e0061}\u{e0079}";
    let mut cases: Vec<Case> = [
        ("nothing", ""),
        ("a space alone", " "),
        ("spaces alone", "        "),
        ("no-break spaces alone", "\u{a0}\u{a0}"),
        ("ideographic spaces alone", "\u{3000}"),
        ("an em quad alone", "\u{2001}"),
        ("a byte order mark alone", "\u{feff}"),
        ("a line's end at the end", "look for the page\n"),
        ("a record of its own", "look\r\n{\"outcome\":\"allowed\"}"),
        ("257 bytes", &long),
        ("257 bytes in fewer letters", &long_for_its_letters),
        ("a link for the terminal", escape),
        ("a text in tags", hidden),
        ("a character first that does not print", "\u{200b}look"),
        ("a character last that does not print", "look\u{202e}"),
    ]
    .map(|(what, reason)| named(what, reason))
    .into();
    cases.extend([2, 8].map(|hop| {
        let chain = Chain::of(8).block(hop, |said| said.texts("reason", &["x\u{202e}y"]));
        refused(&format!("an override at hop {hop} of 8"), &chain, "name", hop)
    }));
    cases
}

fn of_other_types() -> Vec<Case> {
    let change = |what: &str, cause, change: &dyn Fn(Block) -> Block| {
        refused(what, &Chain::of(1).block(1, change), cause, 1)
    };
    let mut cases: Vec<Case> = no_texts()
        .map(|(what, value)| {
            change(&format!("{what} for one"), "fact", &|said| said.with("reason", value.clone()))
        })
        .into();
    cases.extend([
        change("none", "no_reason", &|said| said.without("reason")),
        change("two", "fact", &|said| said.and("reason", string("another"))),
        change("the same twice", "fact", &|said| said.and("reason", string("look for the page"))),
        change("of two terms", "fact", &|said| {
            said.without("reason").fact("reason", vec![string("a"), string("b")])
        }),
        change("of no terms", "fact", &|said| said.without("reason").fact("reason", vec![])),
        refused(
            "none at the second hop",
            &Chain::of(2).block(2, |said| said.without("reason")),
            "no_reason",
            2,
        ),
    ]);
    cases
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let longest = "a".repeat(256);
    let longest_of_letters = format!("{}a", "\u{20ac}".repeat(85));
    [
        ("one letter", "x"),
        ("256 bytes", &longest),
        ("256 bytes in fewer letters", &longest_of_letters),
        ("accents and dashes", "for Zo\u{eb} \u{2014} the page"),
        ("an accent that combines", "cafe\u{301}"),
        ("another script", "\u{627}\u{644}\u{635}\u{641}\u{62d}\u{629}"),
        ("a picture", "\u{1f50e} look"),
        ("what looks like markup", "<b>\"look\"</b> \\n {{x}}"),
    ]
    .map(|(what, reason)| {
        let chain = Chain::of(1).block(1, |said| said.texts("reason", &[reason]));
        Case::accepted(format!("names/a reason with {what}"), chain.bearer())
    })
    .into()
}

fn named(what: &str, reason: &str) -> Case {
    let chain = Chain::of(1).block(1, |said| said.texts("reason", &[reason]));
    refused(&format!("with {what}"), &chain, "name", 1)
}

fn refused(what: &str, chain: &Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("names/a reason, {what}"), chain.bearer(), cause, Some(block))
}
