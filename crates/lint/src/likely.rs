//! Likely: what was probably meant where a statement cannot be read.

use crate::near;
use crate::parse::METHODS;
use hardtack::names;

/// What was probably meant where the reading stopped.
pub(super) fn likely(part: &str, rest: &str, word: &str) -> (Option<String>, String) {
    let said = |why: &str, mend: &str| (Some(why.to_owned()), mend.to_owned());
    let lower = word.to_ascii_lowercase();
    if rest.is_empty() || rest == ";" {
        return said("the statement ends too early", "finish it before its `;`");
    }
    if rest.starts_with('\'') {
        return said("a text stands in double quotation marks", "write \"…\"");
    }
    if part.starts_with(['#', '-']) {
        return said("a comment begins with `//`", "write `// …`");
    }
    if part.contains("<-") && lower == "or" {
        return said("a rule has no `or`", "write a rule for each alternative");
    }
    if lower == "in" {
        return said("there is no `in`", "write [\"…\"].contains($value)");
    }
    if rest.starts_with('=') {
        return said("`=` compares nothing", "write `==`");
    }
    if lower == "and" || lower == "not" {
        return said("Datalog has no word for this", "write `,` or `&&` for and, `!` for not");
    }
    let starts_inside = rest.len() < part.len();
    let before = part.get(..part.len() - rest.len()).unwrap_or_default();
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_:.@/".contains(c))
    };
    if starts_inside
        && before.trim_end().ends_with('!')
        && rest.get(word.len()..).is_some_and(|after| after.starts_with('('))
    {
        return said(
            "`!` turns a condition, and no predicate: Datalog cannot ask for what is not there",
            "write a `check if` for what must be there, or compare a value, as in $role != \"admin\"",
        );
    }
    if starts_inside
        && rest.starts_with('.')
        && rest.get(1..2).is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit()))
    {
        return said(
            "there are no fractions: 1.5 is the text \"1.5\" here",
            "compare whole numbers, such as cents",
        );
    }
    if rest.starts_with('.') && ["length", "type"].contains(&word.trim_start_matches('.')) {
        return (Some("a method has brackets behind it".to_owned()), format!("write {word}()"));
    }
    if starts_inside
        && plain(word)
        && before.trim_end().ends_with(['(', ',', '=', '[', '{', '<', '>'])
        && !rest.get(word.len()..).is_some_and(|after| after.starts_with('('))
        && !["allow", "deny", "check", "reject"].contains(&lower.as_str())
    {
        return (
            Some("a text stands in quotation marks, and a variable begins with `$`".to_owned()),
            format!("write \"{word}\" or ${word}"),
        );
    }
    let keyword = ["allow", "deny", "check", "reject"].iter().find(|keyword| lower == **keyword);
    if let (Some(keyword), true) = (keyword, rest.len() < part.len()) {
        return (
            Some(format!("the `;` before this `{keyword}` is missing")),
            "end the statement before it with `;`".to_owned(),
        );
    }
    let start = part.split_whitespace().next().unwrap_or_default();
    let starts = ["allow", "deny", "check", "reject"];
    if rest.len() == part.len()
        || !part.contains('(')
        || starts.contains(&start.to_ascii_lowercase().as_str())
            && rest.len() + start.len() + 1 >= part.len()
    {
        let second = part.split_whitespace().nth(1).unwrap_or_default();
        if starts.contains(&start) && !matches!(second, "if" | "all") {
            return (
                Some(format!("`{start}` is followed by `if`")),
                format!("write `{start} if …`"),
            );
        }
        if let Some(meant) = near::nearest(start, starts.into_iter()) {
            return (
                Some(format!("no statement begins with `{}`", names::escaped(&start))),
                format!("write `{meant} if …`"),
            );
        }
    }
    let methods = || METHODS.iter().map(|(name, _)| *name).chain(["length", "type"]);
    let name = word.trim_start_matches('.');
    if rest.get(word.len()..).is_some_and(|after| after.starts_with('(')) && !name.is_empty() {
        let meant = match name.to_ascii_lowercase().as_str() {
            "startswith" | "begins_with" | "has_prefix" | "prefix" => Some("starts_with"),
            "endswith" | "has_suffix" | "suffix" => Some("ends_with"),
            "includes" | "has" | "in" => Some("contains"),
            "regex" | "match" => Some("matches"),
            "len" | "size" | "count" => Some("length"),
            "typeof" | "type_of" => Some("type"),
            _ => near::nearest(name, methods()),
        };
        let mend = match meant {
            Some(meant) => format!("write .{meant}()"),
            None => format!(
                "put a comma before it if it is a condition of its own; the methods are {}",
                methods().collect::<Vec<_>>().join(", ")
            ),
        };
        return (Some(format!("there is no method `{}`", names::escaped(&name))), mend);
    }
    (None, "see the examples in policies/README.md".to_owned())
}
