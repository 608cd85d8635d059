//! Glob: does a text have this pattern?

use crate::function::segment::may_step;
use crate::function::text::{decoded, hides_separators, is_plain};
use crate::function::{OperandError, Unjudgeable};

/// A pattern: `?` is one character, `*` any number of them, both without slashes; `**` any number of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    One(char),
    AnyOne,
    Any,
    AnyWithSlashes,
}

impl Glob {
    pub(crate) fn parse(pattern: &str) -> Result<Glob, OperandError> {
        if pattern.contains("://") {
            return Err(OperandError::new(
                "a pattern does not know where a URL's host ends; use url https://*.example.com",
            ));
        }
        if pattern.is_empty() {
            return Err(OperandError::new("an empty pattern matches nothing"));
        }
        if let Some(c) = pattern.chars().find(|c| "[]{}\\!".contains(*c)) {
            return Err(OperandError::new(format!(
                "a pattern has *, ** and ? and no {c}, which other readers take for more; \
                 write several patterns with or"
            )));
        }
        let mut parts = Vec::new();
        for c in pattern.chars() {
            match (c, parts.last()) {
                ('*', Some(Part::Any)) => {
                    parts.pop();
                    parts.push(Part::AnyWithSlashes);
                }
                ('*', Some(Part::AnyWithSlashes)) => {
                    return Err(OperandError::new("a pattern has at most two * in a row"));
                }
                ('*', _) => parts.push(Part::Any),
                ('?', _) => parts.push(Part::AnyOne),
                (c, _) => parts.push(Part::One(c)),
            }
        }
        Ok(Glob(parts))
    }

    /// Whether the whole text is of the pattern. A text that does not print plainly, has a backslash or steps up
    /// (`..`) cannot be judged.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, Unjudgeable> {
        let steps = |text: &str| text.split('/').any(may_step);
        let unclear = text.contains('\\') || text.contains("//") || steps(text);
        let escaped = || hides_separators(text) || decoded(text).is_none_or(|text| steps(&text));
        if !is_plain(text) || unclear || (text.contains('%') && escaped()) {
            return Err(Unjudgeable);
        }
        // Which parts can have been matched so far: one bit each, and one that says all.
        let mut reached = vec![false; self.0.len() + 1];
        self.enter(&mut reached, 0);
        let mut next = reached.clone();
        for c in text.chars() {
            next.fill(false);
            for (index, part) in self.0.iter().enumerate().filter(|(index, _)| reached[*index]) {
                match part {
                    Part::One(one) if *one == c => self.enter(&mut next, index + 1),
                    Part::AnyOne if c != '/' => self.enter(&mut next, index + 1),
                    Part::Any if c != '/' => self.enter(&mut next, index),
                    Part::AnyWithSlashes => self.enter(&mut next, index),
                    _ => {}
                }
            }
            std::mem::swap(&mut reached, &mut next);
        }
        Ok(reached.last().copied().unwrap_or_default())
    }

    /// Marks a part as reached, and those behind it that can be empty.
    fn enter(&self, reached: &mut [bool], mut index: usize) {
        reached[index] = true;
        while matches!(self.0.get(index), Some(Part::Any | Part::AnyWithSlashes)) {
            index += 1;
            reached[index] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, text: &str) -> Option<bool> {
        Glob::parse(pattern).unwrap().matches(text).ok()
    }

    #[test]
    fn the_whole_text_is_of_the_pattern() {
        for (pattern, text) in [
            ("report-*.pdf", "report-2026.pdf"),
            ("report-*.pdf", "report-.pdf"),
            ("*", ""),
            ("?.txt", "ü.txt"),
            ("/srv/*/x", "/srv/a/x"),
            ("/srv/**/x", "/srv/a/b/c/x"),
            ("**", "/anything/at all"),
            ("a*b*c", "aXbXbc"),
        ] {
            assert_eq!(is(pattern, text), Some(true), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("report-*.pdf", "my report-1.pdf"),
            ("report-*.pdf", "report-1.pdf.exe"),
            ("report-*.pdf", "Report-1.pdf"),
            ("report-*.pdf", "report-a/b.pdf"),
            ("?.txt", ".txt"),
            ("?.txt", "/.txt"),
            ("/srv/*/x", "/srv/a/b/x"),
            ("abc", "ab"),
            ("r\u{435}port", "report"),
        ] {
            assert_eq!(is(pattern, text), Some(false), "{pattern} {text}");
        }
    }

    #[test]
    fn what_readers_take_differently_cannot_be_judged() {
        for text in [
            "/srv/../etc/x",
            "//etc/x",
            "report-..%2f..%2fx",
            "/a/%2e%2e/x",
            "/a/..\u{a0}/x",
            "..",
            "a\0.pdf",
            "a\\b",
            "a\u{202e}b",
            "a\u{ff0f}b",
            ".. /x",
            "/a/..%20/x",
            "/a/%20../x",
            "/a/..,/x",
            "/a/..%2c/x",
            "/a/..\u{ff1b}/x",
            "/a/..\u{65e5}/x",
            "/a/\u{ff05}2e/x",
            "50%",
            "50\u{ff05}",
            "a%2fb",
            "a//b",
        ] {
            assert_eq!(is("**", text), None, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_says_what_every_reader_takes_it_for() {
        for pattern in ["", "[a-z]", "{a,b}", "a\\*", "!a", "***", "https://*.example.com/*"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_more_than_their_product() {
        let pattern = "*a".repeat(120);
        let glob = Glob::parse(&pattern).unwrap();
        assert_eq!(glob.matches(&"a".repeat(4000)), Ok(true));
        assert_eq!(glob.matches(&format!("{}b", "a".repeat(4000))), Ok(false));
    }
}
