//! Wrapping: where does a line end that is wider than the terminal?
//!
//! Between words, and what follows is indented to where the text of the line began. Columns of a table and the guides of a
//! tree go on. What people copy is never broken: keys, ids and tokens, which are single words, and commands. Where they do not
//! fit, they stand on a line of their own. What no terminal shows is not wrapped: scripts read lines.

use std::iter;

use textwrap::core::{Word, display_width};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Below so many columns nothing is wrapped: what is left of an indented text would be single words.
pub(crate) const LEAST_COLUMNS: usize = 40;

/// The fewest columns in which a text is set beside its label: some four words. Where less is left, it goes on below.
const LEAST_TEXT: usize = 24;

/// How far a text is indented that goes on below its label.
const BELOW: usize = 4;

/// Stands in a line where its text begins. An escape that no outsider can write, and that is never printed.
pub(crate) const TEXT_BEGINS: &str = "\u{1b}H";

/// Stands in a line that is to be pasted, or whose columns belong to those of other lines.
pub(crate) const AS_IT_IS: &str = "\u{1b}W";

/// Lines as they are to be written: for a terminal of so many columns, or for something else.
pub(crate) fn laid_out(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|columns| *columns >= LEAST_COLUMNS) else {
        return without_marks(text);
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let below = lines.iter().skip(1).copied().chain(iter::once(""));
    let wrapped = lines.iter().zip(below).map(|(line, next)| wrapped(line, next, columns));
    wrapped.collect::<Vec<_>>().join("\n")
}

fn without_marks(text: &str) -> String {
    text.replace(TEXT_BEGINS, "").replace(AS_IT_IS, "")
}

/// One line as several. `next` is the line below it, whose guides go on beside this one.
fn wrapped(line: &str, next: &str, columns: usize) -> String {
    let plain = without_marks(line);
    if line.contains(AS_IT_IS) || display_width(&plain) <= columns {
        return plain;
    }
    let (margin, whole) = plain.split_at(margin(line));
    let marked = line.split_once(TEXT_BEGINS).map(|(head, text)| (head, without_marks(text)));
    let (head, text, below) = match &marked {
        Some((head, text)) if is_room_beside(head, text, columns) => (*head, text.as_str(), 0),
        Some(_) => (margin, whole, BELOW),
        None => (margin, whole, 0),
    };
    let (guides, indent) = (guides(next), display_width(head) + below);
    // What hangs below this line is seen to do so.
    let hangs = guides.contains('│').then(|| guides.chars().count());
    let indent = indent.max(hangs.unwrap_or_default()).min(columns / 2);
    let indent: String = guides.chars().chain(iter::repeat(' ')).take(indent).collect();
    let options = options(columns, |line| Box::new(parts(line, part_end)));
    let lines = textwrap::wrap(text, options.initial_indent(head).subsequent_indent(&indent));
    restyled(lines.iter().map(|line| &**line), &indent, columns)
}

fn is_room_beside(head: &str, text: &str, columns: usize) -> bool {
    let first = display_width(&text[..part_end(text)]);
    display_width(head) + first.max(LEAST_TEXT) <= columns
}

type Words<'a> = Box<dyn Iterator<Item = Word<'a>> + 'a>;

fn options<'a>(columns: usize, words: fn(&str) -> Words<'_>) -> Options<'a> {
    Options::new(columns)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

/// How a command is used, broken between its options, if a line with so many columns before it is too wide.
pub(crate) fn usage_laid_out(usage: &str, before: usize, columns: usize) -> Option<String> {
    let lines: Vec<&str> = usage.lines().map(str::trim_start).collect();
    if lines.iter().all(|line| before + display_width(line) <= columns) {
        return None;
    }
    let indent = " ".repeat(before);
    let lines = lines.iter().map(|line| {
        let options = options(columns, |line| Box::new(parts(line, usage_part_end)));
        let options = options.initial_indent(&indent).subsequent_indent(&indent);
        restyled(textwrap::wrap(line, options).iter().map(|line| &**line), &indent, columns)
    });
    let laid_out = lines.collect::<Vec<_>>().join("\n");
    Some(laid_out[before..].to_owned())
}

/// Where an option with its value ends, or one of several between which to choose.
fn usage_part_end(text: &str) -> usize {
    let mut end = 0;
    loop {
        let word = word_end(&text[end..]);
        if let Some(bar) = text[end..end + word].find('|') {
            return end + bar + 1;
        }
        end += word;
        let next = unstyled(text[end..].trim_start());
        if !next.starts_with('<') || next.starts_with("<-") {
            return end;
        }
    }
}

/// How many bytes of a line are its indentation and its guides, with the styles among them.
fn margin(line: &str) -> usize {
    let mut rest = line;
    loop {
        rest = match rest.chars().next() {
            Some(c) if is_margin(c) => &rest[c.len_utf8()..],
            Some('\u{1b}') => match style(rest) {
                Some(style) => &rest[style.len()..],
                None => break,
            },
            _ => break,
        };
    }
    line.len() - rest.len()
}

fn is_margin(c: char) -> bool {
    matches!(c, ' ' | '│' | '├' | '└' | '─')
}

/// The guides that lead to a line from above it.
fn guides(line: &str) -> String {
    let margin = unstyled(&line[..margin(line)]);
    let guides = margin.chars().map(|c| if matches!(c, '│' | '├' | '└') { '│' } else { ' ' });
    guides.collect()
}

/// The style with which a text begins.
fn style(text: &str) -> Option<&str> {
    let end = text.strip_prefix("\u{1b}[")?.find('m')?;
    Some(&text[..end + "\u{1b}[m".len()])
}

fn unstyled(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    iter::once(first).chain(rest).collect()
}

/// Lines of which each ends the styles that are on, and the next one begins them again behind its indentation. A single
/// word that is too wide there is indented less.
fn restyled<'a>(lines: impl Iterator<Item = &'a str>, indent: &str, columns: usize) -> String {
    const END: &str = "\u{1b}[0m";
    let (mut text, mut on) = (String::new(), String::new());
    for (number, line) in lines.enumerate() {
        let too_wide = display_width(line).saturating_sub(columns);
        let (before, line) = match number {
            0 if too_wide > 0 => ("", line.trim_start_matches(is_margin)),
            0 => ("", line),
            _ => (indent, line.strip_prefix(indent).unwrap_or(line)),
        };
        if number > 0 {
            text.push('\n');
        }
        text.extend(before.chars().take(before.chars().count().saturating_sub(too_wide)));
        text.extend([on.as_str(), line]);
        for (at, _) in line.match_indices('\u{1b}') {
            match style(&line[at..]) {
                Some(END) => on.clear(),
                Some(style) => on.push_str(style),
                None => {}
            }
        }
        if !on.is_empty() {
            text.push_str(END);
        }
    }
    text
}

/// The parts of a line between which it may be broken; `end` says where the first one of a text ends.
fn parts(line: &str, end: fn(&str) -> usize) -> impl Iterator<Item = Word<'_>> {
    let mut rest = line;
    iter::from_fn(move || {
        let end = match rest {
            "" => return None,
            rest => end(rest),
        };
        let spaces = rest[end..].len() - rest[end..].trim_start_matches(' ').len();
        let (word, after) = rest.split_at(end + spaces);
        rest = after;
        Some(Word::from(word))
    })
}

/// Where the first word of a text ends, or what is kept together with it: the rest of a command, what stands between
/// backticks, and to what an arrow points.
fn part_end(text: &str) -> usize {
    let end = word_end(text);
    let word = unstyled(&text[..end]);
    if word.matches('`').count() % 2 == 1 {
        let Some(close) = text[end..].find('`') else { return end };
        return end + close + word_end(&text[end + close..]);
    }
    match word.trim_start_matches(['(', '"']) {
        "hardtack" => end + command_end(&text[end..]),
        "→" if text[end..].starts_with(' ') => end + 1 + word_end(&text[end + 1..]),
        _ => end,
    }
}

fn word_end(text: &str) -> usize {
    let word = text.trim_start_matches(' ');
    word.find(' ').map_or(text.len(), |end| text.len() - word.len() + end)
}

/// Where a command ends that a text begins with, behind the program's name.
fn command_end(text: &str) -> usize {
    let (mut end, mut before) = (0, String::new());
    while text[end..].starts_with(' ') {
        let mut next = end + word_end(&text[end..]);
        let word = unstyled(text[end..next].trim_start());
        let is_typed = match &*before {
            "" => word.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'),
            "<" | ">" => true,
            "audit" | "policy" | "store" if SECOND_WORDS.contains(&without_stops(&word)) => true,
            _ => looks_typed(&word),
        };
        if !is_typed {
            break;
        }
        // A quoted text with spaces in it.
        if let Some(quote @ ('\'' | '"')) = word.chars().next()
            && !word[1..].contains(quote)
            && let Some(close) = text[next..].find(quote)
        {
            next += close + word_end(&text[next + close..]);
        }
        end = next;
        if word.ends_with(STOPS) {
            break;
        }
        before = word;
    }
    end
}

/// What ends a command in a sentence.
const STOPS: [char; 5] = [',', ';', ':', ')', '.'];

fn without_stops(word: &str) -> &str {
    word.trim_end_matches(STOPS)
}

/// The tasks of the verbs that have some.
const SECOND_WORDS: [&str; 13] = [
    "verify",
    "prove",
    "check-proof",
    "key",
    "test",
    "lint",
    "replay",
    "create",
    "check",
    "backup",
    "restore",
    "recover",
    "collect",
];

/// Whether a word of a command is none of the sentence around it: an option, what is quoted, a name of a file, or what
/// stands for something, such as FILE.
fn looks_typed(word: &str) -> bool {
    let name = without_stops(word);
    word.starts_with(['-', '<', '>', '|', '\'', '"', '$', '…', '{'])
        || name.contains(['/', '.'])
        || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(columns: usize, text: &str) -> Vec<String> {
        laid_out(text, Some(columns)).split('\n').map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_broken_between_words_and_goes_on_where_its_text_began() {
        let line =
            format!("why    {TEXT_BEGINS}one {TEXT_BEGINS}two three four five six seven eight");
        assert_eq!(at(40, &line), ["why    one two three four five six seven", "       eight"]);
        let indented = "  one two three four five six seven eight nine";
        assert_eq!(at(40, indented), ["  one two three four five six seven", "  eight nine"]);
    }

    #[test]
    fn what_no_terminal_shows_or_a_very_narrow_one_is_as_it_was() {
        let text = format!("{AS_IT_IS}a {TEXT_BEGINS}b");
        assert_eq!(laid_out(&text, None), "a b");
        let long = format!("{TEXT_BEGINS}{}", "word ".repeat(20));
        assert_eq!(laid_out(&long, Some(LEAST_COLUMNS - 1)), "word ".repeat(20));
        assert_eq!(at(40, &format!("{AS_IT_IS}{}", "word ".repeat(20))).len(), 1);
    }

    #[test]
    fn styles_take_no_room_and_go_on_behind_the_indentation() {
        let line = "   \u{1b}[1m\u{1b}[31mone two three four five six seven eight\u{1b}[0m nine";
        assert_eq!(
            at(40, line),
            [
                "   \u{1b}[1m\u{1b}[31mone two three four five six seven\u{1b}[0m",
                "   \u{1b}[1m\u{1b}[31meight\u{1b}[0m nine"
            ]
        );
        // Twenty signs of two columns each.
        let wide = "水水 ".repeat(10);
        assert!(at(40, &wide).iter().all(|line| display_width(line) <= 40));
        assert_eq!(at(40, &wide).len(), 2);
    }

    #[test]
    fn guides_of_a_tree_go_on() {
        let tree = "alice, who is a person with a very long name\n\
                    ├─ agent.one, who has a very long name as well\n\
                    │  └─ agent.two, whose name is no shorter at all\n\
                    └─ agent.three, who has one of that kind, too";
        assert_eq!(
            at(40, tree),
            [
                "alice, who is a person with a very long",
                "│  name",
                "├─ agent.one, who has a very long name",
                "│  │  as well",
                "│  └─ agent.two, whose name is no",
                "│     shorter at all",
                "└─ agent.three, who has one of that",
                "   kind, too",
            ]
        );
    }

    #[test]
    fn what_is_pasted_is_not_broken() {
        let id = "0123456789abcdef".repeat(8);
        assert_eq!(
            at(60, &format!("the id is {id}, whole")),
            ["the id is", &format!("{id},"), "whole"]
        );
        for (text, command) in [
            (
                "the token is a word: see `hardtack audit verify --store FILE` there",
                "`hardtack audit verify --store FILE`",
            ),
            (
                "a token is awaited here, as in: hardtack inspect < grant.token. Or",
                "hardtack inspect < grant.token.",
            ),
            (
                "state this of the subject in it: hardtack mint --fact 'role(\"a\", \"b\")' and",
                "hardtack mint --fact 'role(\"a\", \"b\")'",
            ),
            (
                "it exists, and is not overwritten; hardtack pubkey a/root.key prints it",
                "hardtack pubkey a/root.key",
            ),
            (
                "this token may do nothing here; hardtack check --explain says what",
                "hardtack check --explain",
            ),
            (
                "be brought back from a backup, which is there (hardtack store restore); to",
                "(hardtack store restore);",
            ),
        ] {
            for columns in 40..80 {
                let lines = at(columns, text);
                assert!(lines.iter().any(|line| line.contains(command)), "{columns}: {lines:?}");
            }
        }
    }

    #[test]
    fn a_text_goes_on_below_a_label_that_leaves_no_room_beside_it() {
        let label = "resources:read https://notion.so/page";
        let line =
            format!("{label}  denied   {TEXT_BEGINS}no scope of block 1 covers this operation");
        assert_eq!(
            at(60, &line),
            [
                "resources:read https://notion.so/page  denied   no scope of",
                "    block 1 covers this operation"
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_word_is_lost_or_broken(
            text in "([ │├└→`'\"<|a-h水é-]|hardtack |--to | store |\u{1b}H|\u{1b}\\[1m|\u{1b}\\[0m|\n){0,80}",
            columns in LEAST_COLUMNS..90,
        ) {
            // Guides that go on are no words of the text.
            let words = |text: &str| {
                let text = unstyled(text).replace(['│', '├', '└'], " ");
                text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            };
            let said = without_marks(&text);
            proptest::prop_assert_eq!(words(&laid_out(&text, Some(columns))), words(&said));
            proptest::prop_assert_eq!(laid_out(&text, None), said);
        }
    }
}
