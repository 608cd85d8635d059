//! Likely: what was probably meant where a statement cannot be read.

use crate::{near, shapes};
use hardtack::internal::syntax::METHODS;
use hardtack::names;

/// The words with which policies and checks begin.
const STARTS: [&str; 4] = ["allow", "deny", "check", "reject"];

/// Where the reading stopped.
struct Stop<'t> {
    /// The statement.
    part: &'t str,
    /// What is left of it.
    rest: &'t str,
    /// The word that comes next.
    word: &'t str,
}

impl Stop<'_> {
    fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word.eq_ignore_ascii_case(word))
    }

    /// Whether something was read before, and ends with one of these.
    fn follows(&self, ends: &[char]) -> bool {
        let before = self.part.get(..self.part.len() - self.rest.len()).unwrap_or_default();
        before.trim_end().ends_with(ends)
    }

    fn is_inside(&self) -> bool {
        self.rest.len() < self.part.len()
    }

    /// Whether a bracket opens right behind the word.
    fn opens(&self) -> bool {
        self.rest.get(self.word.len()..).is_some_and(|after| after.starts_with('('))
    }

    fn is_fraction(&self) -> bool {
        let digit = self.rest.strip_prefix('.').and_then(|rest| rest.chars().next());
        self.is_inside() && digit.is_some_and(|c| c.is_ascii_digit())
    }

    fn is_bare(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_:.@/".contains(c);
        self.is_inside()
            && !self.word.is_empty()
            && self.word.chars().all(plain)
            && self.follows(&['(', ',', '=', '[', '{', '<', '>'])
            && !self.opens()
            && !self.is(&STARTS)
    }
}

/// What shows a slip, what is wrong, and how to mend it; `{}` is the word at which the reading stopped.
type Slip = (fn(&Stop<'_>) -> bool, &'static str, &'static str);

/// The slips that are told apart by their signs; the first that fits counts.
const SLIPS: [Slip; 13] = [
    (|at| at.part == ";", "there is no statement before this `;`", "take it out"),
    (
        |at| at.rest.is_empty() || at.rest == ";",
        "the statement ends too early",
        "finish it before its `;`",
    ),
    (|at| at.rest.starts_with('\''), "a text stands in double quotation marks", "write \"…\""),
    (|at| at.part.starts_with(['#', '-']), "a comment begins with `//`", "write `// …`"),
    (
        |at| at.part.contains("<-") && at.is(&["or"]),
        "a rule has no `or`",
        "write a rule for each alternative",
    ),
    (|at| at.is(&["in"]), "there is no `in`", "write [\"…\"].contains($value)"),
    (|at| at.rest.starts_with('='), "`=` compares nothing", "write `==`"),
    (
        |at| at.is(&["and", "not"]),
        "Datalog has no word for this",
        "write `,` between conditions; `&&` stands within one, as in $a > 1 && $a < 9, and `!` before one",
    ),
    (
        |at| at.is_inside() && at.follows(&['!']) && at.opens(),
        "`!` turns a condition, and no predicate: Datalog cannot ask for what is not there",
        "write a `check if` for what must be there, or compare a value, as in $role != \"admin\"",
    ),
    (
        |at| at.is_fraction(),
        "there are no fractions: 1.5 is the text \"1.5\" here",
        "compare whole numbers, such as cents",
    ),
    (|at| [".length", ".type"].contains(&at.word), "a method has brackets behind it", "write {}()"),
    (
        |at| at.is_bare(),
        "a text stands in quotation marks, and a variable begins with `$`",
        "write \"{}\" or ${}",
    ),
    (
        |at| at.is(&STARTS) && at.is_inside(),
        "the `;` before this `{}` is missing",
        "end the statement before it with `;`",
    ),
];

/// What methods are called elsewhere.
const METHODS_ELSEWHERE: [(&str, &[&str]); 6] = [
    ("starts_with", &["startswith", "begins_with", "has_prefix", "prefix"]),
    ("ends_with", &["endswith", "has_suffix", "suffix"]),
    ("contains", &["includes", "has", "in"]),
    ("matches", &["regex", "match"]),
    ("length", &["len", "size", "count"]),
    ("type", &["typeof", "type_of"]),
];

/// What was probably meant where the reading stopped, and how to mend it.
pub(super) fn likely(part: &str, rest: &str, word: &str) -> (Option<String>, String) {
    let at = Stop { part, rest, word };
    let before = part.get(..part.len() - rest.len()).unwrap_or_default();
    if let Some((why, mend)) = shapes::shaped(part, before.len()) {
        return (Some(why), mend);
    }
    if let Some((_, why, mend)) = SLIPS.iter().find(|(is, ..)| is(&at)) {
        let said = |text: &str| text.replace("{}", &names::escaped(&word));
        return (Some(said(why)), said(mend));
    }
    let missing = || shapes::missing_comma(before, word, at.opens());
    let found = beginning(&at).or_else(missing).or_else(|| method(&at));
    let (why, mend) = found.unzip();
    (why, mend.unwrap_or_else(|| "see the examples in policies/README.md".to_owned()))
}

/// A word that begins no statement, or not alone.
fn beginning(at: &Stop<'_>) -> Option<(String, String)> {
    let mut words = at.part.split_whitespace();
    let (start, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_start = STARTS.iter().any(|word| start.eq_ignore_ascii_case(word));
    let at_once = is_start && at.rest.len() + start.len() + 1 >= at.part.len();
    if at.is_inside() && at.part.contains('(') && !at_once {
        return None;
    }
    if STARTS.contains(&start) && !matches!(second, "if" | "all") {
        return Some((format!("`{start}` is followed by `if`"), format!("write `{start} if …`")));
    }
    let meant = near::nearest(start, STARTS.into_iter())?;
    let why = format!("no statement begins with `{}`", names::escaped(&start));
    Some((why, format!("write `{meant} if …`")))
}

/// A method that there is not.
fn method(at: &Stop<'_>) -> Option<(String, String)> {
    let name = at.word.trim_start_matches('.');
    if !at.opens() || name.is_empty() {
        return None;
    }
    let methods = || METHODS.iter().map(|(name, _)| *name).chain(["length", "type"]);
    let elsewhere = METHODS_ELSEWHERE
        .iter()
        .find(|(_, names)| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
    let meant = elsewhere.map(|(meant, _)| *meant).or_else(|| near::nearest(name, methods()));
    let mend = match meant {
        Some(meant) => format!("write .{meant}()"),
        None => format!(
            "put a comma before it if it is a condition of its own; the methods are {}",
            methods().collect::<Vec<_>>().join(", ")
        ),
    };
    Some((format!("there is no method `{}`", names::escaped(&name)), mend))
}
