//! Glob: does a text have this pattern, whoever reads it?
//!
//! Patterns are for names of files and the like, and readers of these do not agree on what a text names. So a text is held
//! against the pattern as it stands, as those read it who fold letters, and as those read it who cut names short
//! ([`loose`](crate::function::loose)). Where one finds the pattern and another does not, the text cannot be judged: neither an
//! `allow` nor a `deny` is got around.

use std::borrow::Cow;

use crate::function::loose::{Signs, behind_drive, cut, folded};
use crate::function::pattern::{Letter, Part, Pattern};
use crate::function::segment::{has_lone_percent, is_short_name, may_step};
use crate::function::text::{decoded, hides_separators, is_percent, is_plain};
use crate::function::{OperandError, Unjudgeable};
use crate::names::is_printable;

/// A pattern: `?` is one character, `*` any number of them, both without slashes; `**` any number of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob<'a> {
    text: &'a str,
    parts: Vec<Part>,
}

impl<'a> Glob<'a> {
    pub(crate) fn parse(pattern: &'a str) -> Result<Glob<'a>, OperandError> {
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
        if pattern.contains("***") {
            return Err(OperandError::new("a pattern has at most two * in a row"));
        }
        Ok(Glob { text: pattern, parts: parts(pattern) })
    }

    /// Whether the whole text is of the pattern. A text that does not print plainly, has a backslash, steps up (`..`), or
    /// is of the pattern for some readers only cannot be judged.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, Unjudgeable> {
        // Whatever a reader makes of a text that is to be seen, it is of this pattern.
        if self.parts == [Part::AnyWithSlashes] {
            return text.chars().all(is_printable).then_some(true).ok_or(Unjudgeable);
        }
        let steps = |text: &str| text.split('/').any(may_step);
        if !is_plain(text) || text.contains('\\') || text.contains("//") || steps(text) {
            return Err(Unjudgeable);
        }
        let found = Pattern::new(&self.parts).matches(text.chars().map(Letter::plain));
        let mut agree = self.reads_alike(text, self.text, found);
        if text.contains(is_percent) && !has_lone_percent(text) {
            // Two readers at once: of escapes and of what they stand for.
            let read = decoded(text).filter(|read| !hides_separators(text) && !steps(read));
            agree = agree && read.is_some_and(|read| self.reads_alike(&read, &self.read(), found));
        }
        agree.then_some(found).ok_or(Unjudgeable)
    }

    /// Whether those who fold letters, and those who cut names short, find the same as is `found` in the text.
    fn reads_alike(&self, text: &str, pattern: &str, found: bool) -> bool {
        let signs = Signs::of(pattern);
        let short = || text.split('/').any(is_short_name) && !pattern.contains('~');
        let Some(letters) = folded(text, pattern.is_ascii()).filter(|_| !short()) else {
            return false;
        };
        let Some(parts) = folded_parts(pattern) else { return false };
        let is_of_cut = |letters: &[Letter], signs: &Signs| {
            self.is_of_cut(&parts, &cut(letters, signs)) == found
                && behind_drive(letters, signs)
                    .is_none_or(|rest| self.is_of_cut(&parts, &cut(rest, signs)) == found)
        };
        Pattern::new(&parts).matches(letters.iter().copied()) == found
            && signs.sets(&letters).iter().all(|signs| is_of_cut(&letters, signs))
    }

    /// Whether the pattern is found in what is left of a text that was cut short, when the same is done to the pattern.
    fn is_of_cut(&self, parts: &[Part], letters: &[Letter]) -> bool {
        let parts = trimmed(parts);
        let relative = letters.strip_prefix(&[Letter::SLASH]).unwrap_or(letters);
        let pattern = Pattern::new(parts.strip_prefix(&[Part::One('/')]).unwrap_or(&parts));
        match parts.first() {
            // `**/x` is `x` at any depth.
            Some(Part::AnyWithSlashes) => {
                let rooted = std::iter::once(Letter::SLASH).chain(relative.iter().copied());
                pattern.matches(rooted)
            }
            _ => pattern.matches(relative.iter().copied()),
        }
    }

    /// The pattern with its escapes read, if it has such and they stand for no signs of patterns.
    fn read(&self) -> Cow<'a, str> {
        let signs = |text: &str| text.chars().filter(|c| ['*', '?', '/'].contains(c)).count();
        let read = self.text.contains('%').then(|| decoded(self.text)).flatten();
        match read.filter(|read| signs(read) == signs(self.text)) {
            Some(read) => Cow::Owned(read),
            None => Cow::Borrowed(self.text),
        }
    }
}

/// What a pattern is made of.
fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(pattern.len());
    for c in pattern.chars() {
        match (c, parts.last_mut()) {
            ('*', Some(last @ Part::Any)) => *last = Part::AnyWithSlashes,
            ('*', _) => parts.push(Part::Any),
            ('?', _) => parts.push(Part::AnyOne),
            (c, _) => parts.push(Part::One(c)),
        }
    }
    parts
}

/// The same with folded letters; `None` for a pattern that grows beyond measure.
fn folded_parts(pattern: &str) -> Option<Vec<Part>> {
    let mut folded_parts = Vec::with_capacity(pattern.len());
    for part in parts(pattern) {
        match part {
            Part::One(c) => {
                let letters = folded(c.encode_utf8(&mut [0; 4]), true)?;
                folded_parts.extend(letters.iter().map(|letter| Part::One(letter.c)));
            }
            part => folded_parts.push(part),
        }
    }
    Some(folded_parts)
}

/// The pattern without what trimming takes off names: blanks at their ends, dots behind them, a slash at the end.
fn trimmed(parts: &[Part]) -> Vec<Part> {
    let blank = |part: &Part| matches!(part, Part::One(c) if c.is_whitespace());
    let loose = |part: &Part| blank(part) || *part == Part::One('.');
    let mut kept: Vec<Part> = Vec::with_capacity(parts.len());
    for (at, segment) in parts.split(|part| *part == Part::One('/')).enumerate() {
        if at > 0 {
            kept.push(Part::One('/'));
        }
        let end = segment.iter().rposition(|part| !loose(part)).map_or(0, |last| last + 1);
        let start = segment[..end].iter().position(|part| !blank(part)).unwrap_or(end);
        kept.extend(&segment[start..end]);
    }
    if kept.len() > 1 && kept.last() == Some(&Part::One('/')) {
        kept.pop();
    }
    kept
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
            ("report-*.pdf", "report-final, really (2).pdf"),
            ("report-*.pdf", "report-100%.pdf"),
            ("report-*.pdf", "report-100\u{ff05}.pdf"),
            ("report-*.pdf", "report-wait\u{2026}\u{3002}.pdf"),
            ("report-*.pdf", "report-\u{645}\u{6cc}\u{200c}\u{62e}.pdf"),
            ("report-*.pdf", "report-\u{1f468}\u{200d}\u{1f469}\u{2764}\u{fe0f}.pdf"),
            ("report-*.pdf", "report-50%20off.pdf"),
            ("report-*.pdf", "report-Stra\u{df}e.pdf"),
            ("report-*.pdf", "report-\u{65e5}\u{672c}.pdf"),
            ("\u{65e5}\u{672c}*", "\u{65e5}\u{672c}.pdf"),
            ("*.PDF", "A.PDF"),
            ("*", ""),
            ("?.txt", "\u{fc}.txt"),
            ("?.txt", "\u{df}.txt"),
            ("?.txt", "\u{65e5}.txt"),
            ("?.txt", "\u{d55c}.txt"),
            ("/srv/*/x", "/srv/a/x"),
            ("/srv/**/x", "/srv/a/b/c/x"),
            ("**", "/anything/at all"),
            ("**/x", "/x"),
            ("docs/", "docs/"),
            ("a*b*c", "aXbXbc"),
            ("*Inc.", "Acme Inc."),
            ("Re: *", "Re: 12:30"),
            ("tools:call:*", "tools:call:search"),
            ("my%20*", "my%20file"),
            ("A~1*", "A~1.txt"),
            ("a'*'", "a'b'"),
        ] {
            assert_eq!(is(pattern, text), Some(true), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("report-*.pdf", "my report-1.pdf"),
            ("report-*.pdf", "report-1.pdf.exe"),
            ("report-*.pdf", "report-a/b.pdf"),
            ("?.txt", ".txt"),
            ("?.txt", "/.txt"),
            ("?.txt", "ab.txt"),
            ("??.txt", "a.txt"),
            ("/srv/*/x", "/srv/a/b/x"),
            ("abc", "ab"),
            ("abc", "abcd"),
            ("r\u{435}port", "report"),
            ("**.exe", "b.txt"),
            ("**.exe", "b.exe.txt"),
            ("my%20*", "my file"),
            ("\u{65e5}\u{8a9e}", "\u{65e5}\u{672c}\u{8a9e}"),
        ] {
            assert_eq!(is(pattern, text), Some(false), "{pattern} {text}");
        }
    }

    /// What Windows, macOS, servers and libraries open as a file that the pattern has, and the text has not.
    #[test]
    fn a_pattern_that_denies_is_not_got_around() {
        for text in [
            "b.exe.",
            "b.exe..",
            "b.exe ",
            "b.exe . ",
            "b.exe\u{a0}",
            "b.exe\u{3000}",
            "b.exe:x",
            "b.exe::$DATA",
            "b.exe;v=1",
            "b.exe?x",
            "b.exe#x",
            "b.exe%",
            "b.exe/",
            "b.exe./",
            "b.exe/;x",
            "a/b.exe.",
            "b.EXE",
            "b.Exe:x",
            "b:x.EXE",
            "b.e\u{17f}e",
            "b.\u{ff45}xe",
            "b.\u{e9}xe",
            "b.e\u{301}xe",
            "b.exe\u{65e5}",
            "b.ex'e'",
            "b.e:xe",
            "b.ex?e",
            "\"b.exe\"",
            "b.ex%65",
            "b%2eexe",
            "b.exe%20",
            "b.exe%3ax",
            "b.ex%45",
            "b.ex%C3%A9",
            "B~1.EXE",
            "b\u{ff0e}exe",
            "b\u{3002}exe",
            "b.exe\u{3002}",
            "b.exe\u{ff05}",
            "b.exe. \u{65e5}",
            "b.exe\u{3002}\u{65e5}",
            "'b.exe. '",
            "x:b.exe.",
            "x:b.exe;y",
        ] {
            let sharp = text.contains('\u{17f}');
            let pattern = if sharp { "**.ese" } else { "**.exe" };
            assert_eq!(is(pattern, text), None, "{text:?}");
        }
        for (pattern, text) in [
            ("secret*", "C:secret.txt"),
            ("secret*", "/secret.txt"),
            ("secret*", " secret.txt"),
            ("/secret*", "secret.txt"),
            ("**/secret", "secret"),
            ("**/secret", "secret/"),
            ("a/b*", "a/;x/b.txt"),
            ("a/b*", "a/ /b.txt"),
            ("a/b", "a/b/"),
            ("a/b/", "a/b"),
            ("private/**", "private./x"),
            ("private/**", "PRIVAT~1/x"),
            ("private/**", "private:x/y"),
            ("C:/**.exe", "C:/b.exe:x"),
            ("stra\u{df}e*", "STRASSE.txt"),
            ("i*", "\u{130}.txt"),
            ("i*", "\u{131}.txt"),
            ("k*", "\u{212a}.txt"),
            ("zo\u{eb}*", "zoe\u{308}.txt"),
            ("*Inc.", "Acme Inc"),
        ] {
            assert_eq!(is(pattern, text), None, "{pattern} {text:?}");
        }
    }

    #[test]
    fn a_pattern_that_allows_lets_no_name_through_that_is_another_when_it_is_cut() {
        for (pattern, text) in [
            ("report-*.pdf", "report-x.exe:.pdf"),
            ("report-*.pdf", "report-x.exe;.pdf"),
            ("report-*.pdf", "report-x.exe?.pdf"),
            ("report-*.pdf", "report-x.exe#.pdf"),
            ("report-*.pdf", "report-x.exe\u{ff1a}.pdf"),
            ("report-*.pdf", "report-x.exe%3a.pdf"),
            ("report-*.pdf", "report-x.exe%23.pdf"),
            ("*:*.pdf", "a:x.exe:.pdf"),
            ("*.txt", "C:a.txt"),
            ("*/x.txt", "a:b/c/../x.txt"),
            ("*.*", "a."),
            ("* ", "a. "),
            ("??", "e\u{301}"),
            ("*.pdf", "REPORT~1.pdf"),
            ("docs/*/x", "docs/;a/x"),
            ("docs/*", "docs/."),
            ("docs/?*", "docs/;x"),
        ] {
            let found = is(pattern, text);
            assert_eq!(
                found,
                if pattern == "* " { Some(true) } else { None },
                "{pattern} {text:?}"
            );
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
            "a\u{ad}b",
            "a\u{200b}b",
            "a\u{ff0f}b",
            ".. /x",
            "/a/..%20/x",
            "/a/%20../x",
            "/a/..,/x",
            "/a/..%2c/x",
            "/a/..\u{ff1b}/x",
            "/a/..\u{65e5}/x",
            "/a/\u{ff05}2e/x",
            "50%/x",
            "50%of",
            "%.x",
            "5% of 6%",
            "50\u{ff05}of",
            "50\u{ff05}/x",
            "a%2fb",
            "a//b",
        ] {
            assert_eq!(is("**?", text), None, "{text:?}");
        }
    }

    #[test]
    fn whatever_is_to_be_seen_is_of_the_pattern_of_all() {
        for text in ["", "a\\b", "https://a.b/../c", "50% off;x:y\u{2026}", "A ", "\u{3002}", "X~1"]
        {
            assert_eq!(is("**", text), Some(true), "{text:?}");
        }
        for text in ["a\0", "a\nb", "a\tb", "a\u{202e}b", "a\u{200b}", "a\u{ad}", "\u{feff}"] {
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
