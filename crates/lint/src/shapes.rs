//! Shapes: what is written as in another language, told by its shape where a statement cannot be read.

use hardtack::internal::syntax::METHODS;
use hardtack::names::escaped;

use crate::words;

/// What is wrong, and what to write.
type Said = (String, String);

/// The condition in which the reading stopped.
struct Shape<'t> {
    /// As it is written.
    text: &'t str,
    /// The same with `_` for what stands in quotation marks; as long, in bytes.
    code: String,
}

/// What a condition is shaped like, if that is known from elsewhere. `stop` is where in the statement `part` the reading stopped.
pub(super) fn shaped(part: &str, stop: usize) -> Option<Said> {
    let code = without_texts(part);
    let (start, end) = condition(&code, stop);
    let text = part.get(start..end)?;
    let shape = Shape { text, code: code.get(start..end)?.to_owned() };
    let all: [fn(&Shape<'_>) -> Option<Said>; 10] = [
        single_quotes,
        moment,
        fraction,
        negation,
        among,
        function,
        method,
        predicate_compared,
        comparisons,
        operator,
    ];
    all.iter().find_map(|of| of(&shape))
}

/// The statement with `_` for each byte within quotation marks.
fn without_texts(part: &str) -> String {
    let (mut code, mut inside, mut escapes) = (String::with_capacity(part.len()), false, false);
    for c in part.chars() {
        let closes = c == '"' && !escapes;
        escapes = inside && c == '\\' && !escapes;
        match (inside, closes) {
            (true, false) => code.extend(std::iter::repeat_n('_', c.len_utf8())),
            (_, true) => {
                inside = !inside;
                code.push(c);
            }
            (false, _) => code.push(c),
        }
    }
    code
}

/// From the comma or word before the stop to the comma after it, none of them in brackets that it is not in.
fn condition(code: &str, stop: usize) -> (usize, usize) {
    let bytes = code.as_bytes();
    let stop = stop.min(bytes.len());
    let (mut depth, mut start) = (0_usize, 0);
    for at in (0..stop).rev() {
        match bytes.get(at) {
            Some(b')' | b']' | b'}') => depth += 1,
            Some(b'(' | b'[' | b'{') => depth = depth.saturating_sub(1),
            Some(b',' | b';') if depth == 0 => {
                start = at + 1;
                break;
            }
            _ => {}
        }
    }
    for word in [" if ", " or ", "<- "] {
        if let Some(at) = code.get(start..stop).and_then(|before| before.rfind(word)) {
            start += at + word.len();
        }
    }
    let mut depth = 0_usize;
    let mut end = bytes.len();
    for at in stop..bytes.len() {
        match bytes.get(at) {
            Some(b'(' | b'[' | b'{') => depth += 1,
            Some(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            Some(b',' | b';') if depth == 0 => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    (start, end)
}

fn said(why: impl Into<String>, mend: impl Into<String>) -> Option<Said> {
    Some((why.into(), mend.into()))
}

impl Shape<'_> {
    /// The condition as it is written, shown.
    fn shown(&self, from: usize, to: usize) -> String {
        escaped(&self.text.get(from..to).unwrap_or_default().trim())
    }

    /// Each word with its place: letters, digits and `_`, and what stands directly before it.
    fn words(&self) -> Vec<(usize, &str, char)> {
        let is_in = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == ':';
        let (mut found, mut start) = (Vec::new(), None);
        for (at, c) in self.code.char_indices().chain([(self.code.len(), ' ')]) {
            match (is_in(c), start) {
                (true, None) => start = Some(at),
                (false, Some(from)) => {
                    let before =
                        self.code.get(..from).and_then(|before| before.chars().next_back());
                    if let Some(word) = self.code.get(from..at) {
                        found.push((from, word, before.unwrap_or(' ')));
                    }
                    start = None;
                }
                _ => {}
            }
        }
        found
    }

    fn opens_after(&self, at: usize, word: &str) -> bool {
        self.code.get(at + word.len()..).is_some_and(|rest| rest.starts_with('('))
    }

    /// The operators that compare, with their places; `->` and `<-` are none.
    fn operators(&self) -> Vec<(usize, &str)> {
        let (mut found, mut at) = (Vec::new(), 0);
        const ALL: [&str; 8] = ["==", "!=", "<=", ">=", "->", "<-", "<", ">"];
        while let Some(rest) = self.code.get(at..) {
            let Some(first) = rest.chars().next() else { break };
            match ALL.iter().find(|operator| rest.starts_with(**operator)) {
                Some(operator) => {
                    if !["->", "<-"].contains(operator) {
                        found.push((at, *operator));
                    }
                    at += operator.len();
                }
                None => at += first.len_utf8(),
            }
        }
        found
    }
}

fn single_quotes(shape: &Shape<'_>) -> Option<Said> {
    let mut quoted = shape.code.split('\'');
    let text = quoted.nth(1).filter(|_| quoted.next().is_some())?;
    said("a text stands in double quotation marks", format!("write \"{}\"", escaped(&text)))
}

/// The numbers in a text, by what stands between them: 24.12.2026 is 2, 2 and 4 digits.
fn digits(text: &str, between: char) -> Vec<usize> {
    let parts: Vec<&str> = text.split(between).collect();
    let all = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if all { parts.iter().map(|part| part.len()).collect() } else { Vec::new() }
}

/// A date that is none.
fn moment(shape: &Shape<'_>) -> Option<Said> {
    let is_in = |c: char| c.is_ascii_alphanumeric() || ['.', '-', ':', '/', '+'].contains(&c);
    for word in shape.code.split(|c: char| !is_in(c)) {
        let day = word.split(['T', 't']).next().unwrap_or_default();
        let written = digits(day, '-') == [4, 2, 2];
        let elsewhere = [digits(day, '.'), digits(day, '/')]
            .iter()
            .any(|digits| matches!(digits[..], [1 | 2, 1 | 2, 4 | 2] | [4, 1 | 2, 1 | 2]));
        let time = word.get(day.len()..).unwrap_or_default();
        let whole = time.ends_with(['Z', 'z']) || time.contains(['+', '-']);
        if (written && !whole) || elsewhere {
            let day = if written { day } else { "2026-12-24" };
            return said(
                "a moment has a day, a time and a zone, and stands without quotation marks",
                format!("write {}T00:00:00Z", escaped(&day)),
            );
        }
    }
    None
}

fn fraction(shape: &Shape<'_>) -> Option<Said> {
    let is_in = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '$'].contains(&c);
    let mut words = shape.code.split(|c: char| !is_in(c));
    let number = words.find(|word| digits(word, '.').len() == 2)?;
    said(
        format!(
            "there are no fractions: an argument {0} is the text \"{0}\" here",
            escaped(&number)
        ),
        "compare whole numbers, such as cents, and let the tool take these",
    )
}

fn negation(shape: &Shape<'_>) -> Option<Said> {
    let words = shape.words();
    let (at, word, _) = *words.iter().find(|(_, word, _)| word.eq_ignore_ascii_case("not"))?;
    let after = shape.code.get(at + word.len()..)?.trim_start();
    let next = after.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
    if next.is_some_and(|word| word.eq_ignore_ascii_case("in")) {
        let variable = shape.shown(0, at);
        return said("there is no `not in`", format!("write ![\"…\"].contains({variable})"));
    }
    let rest = shape.shown(at + word.len(), shape.text.len());
    if after.starts_with(['$', '(', '"', '[']) {
        let inner = rest.trim_start_matches('(').trim_end_matches(')');
        return said("there is no `not`", format!("write !({inner})"));
    }
    said(
        "Datalog cannot ask for what is not there: `not` before a predicate has no meaning",
        format!(
            "refuse it where it is there, as in `deny if {rest}`, or ask for what must be there"
        ),
    )
}

fn among(shape: &Shape<'_>) -> Option<Said> {
    let words = shape.words();
    let (at, ..) = *words.iter().find(|(_, word, before)| *word == "in" && *before == ' ')?;
    let variable = shape.shown(0, at);
    let variable = variable.trim_start_matches(['!', '(']);
    let list = shape.shown(at + 2, shape.text.len());
    let list = if list.starts_with('[') { list.trim_end_matches(')') } else { "[\"…\"]" };
    said("there is no `in`", format!("write {list}.contains({variable})"))
}

/// Functions that stand before what they are asked of elsewhere, with what to write here.
const FUNCTIONS: [(&[&str], &str); 5] = [
    (
        &["count", "len", "length", "size"],
        "write $list.length() for how many elements a list or letters a text has; how often something was called or is there, no policy can ask",
    ),
    (&["sum", "min", "max", "avg"], "compare each element, as in $list.all($one -> $one <= 100)"),
    (
        &["now", "today", "date"],
        "write time($now), and compare $now, as in $now < 2026-12-24T00:00:00Z",
    ),
    (
        &["lower", "upper", "lowercase", "uppercase", "to_lower", "tolower"],
        "texts are compared letter by letter: list the spellings, or write $text.matches(\"(?i)^search$\")",
    ),
    (
        &["starts_with", "startswith", "ends_with", "endswith", "contains", "matches"],
        "write it behind what is asked, as in $text.starts_with(\"…\")",
    ),
];

fn function(shape: &Shape<'_>) -> Option<Said> {
    let words = shape.words();
    words.iter().find_map(|(at, word, before)| {
        let name = word.to_ascii_lowercase();
        let (_, mend) = FUNCTIONS.iter().find(|(names, _)| names.contains(&name.as_str()))?;
        let is_call = *before != '.' && shape.opens_after(*at, word);
        is_call.then(|| (format!("there is no function `{}()`", escaped(word)), (*mend).to_owned()))
    })
}

/// Methods of other languages, with what to write here.
const ELSEWHERE: [(&[&str], &str); 5] = [
    (
        &["lower", "upper", "lowercase", "uppercase", "tolower", "toupper", "casefold"],
        "texts are compared letter by letter: list the spellings, or write .matches(\"(?i)^search$\")",
    ),
    (
        &["hour", "hours", "minute", "minutes", "day", "weekday", "month", "year", "gethours"],
        "a moment is compared whole, as in $now < 2026-12-24T00:00:00Z; write closing times as facts, as in closed(2026-12-24T18:00:00Z, 2026-12-27T08:00:00Z)",
    ),
    (
        &["trim", "strip", "replace", "split", "substring", "substr", "slice"],
        "texts are not taken apart: compare the whole, or write .starts_with(), .ends_with(), .contains() or .matches()",
    ),
    (
        &["first", "last", "keys", "values", "filter", "map"],
        "write .get(0) for one element, .get(\"key\") for one value, and .all($one -> …) or .any($one -> …) for all of them",
    ),
    (&["isempty", "empty", "exists"], "write .length() == 0, or .length() > 0"),
];

/// The first method of the condition that there is not.
fn method(shape: &Shape<'_>) -> Option<Said> {
    let is_method = |name: &str| {
        METHODS.iter().any(|(known, _)| *known == name)
            || ["length", "type"].contains(&name)
            || name.starts_with("extern::")
    };
    let words = shape.words();
    let bare = |(at, word, before): &&(usize, &str, char)| {
        *before == '.' && is_method(word) && !shape.opens_after(*at, word)
    };
    if let Some((_, word, _)) = words.iter().find(bare) {
        return said("a method has brackets behind it", format!("write .{word}(…)"));
    }
    let (at, word, _) = *words.iter().find(|(_, word, before)| {
        *before == '.' && !is_method(word) && !word.starts_with(|c: char| c.is_ascii_digit())
    })?;
    let name = word.to_ascii_lowercase().replace('_', "");
    let (_, mend) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name.as_str()))?;
    let brackets = if shape.opens_after(at, word) { "()" } else { "" };
    said(format!("there is no method `.{}{brackets}`", escaped(&word)), *mend)
}

/// `arg("x") <= 5`
fn predicate_compared(shape: &Shape<'_>) -> Option<Said> {
    let (at, operator) = *shape.operators().first()?;
    let before = shape.code.get(..at)?.trim_end();
    let (name, inner) = before.strip_suffix(')')?.split_once('(')?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) || inner.contains(['(', ')']) {
        return None;
    }
    let right = shape.shown(at + operator.len(), shape.text.len());
    let inner = shape.text.get(before.len() - 1 - inner.len()..before.len() - 1)?;
    let value = inner.rsplit(',').next().unwrap_or_default().trim();
    let (whole, variable) = match value.strip_prefix('$') {
        Some(_) => (inner.trim().to_owned(), value.to_owned()),
        None if name == "arg" => (format!("{}, $value", inner.trim()), "$value".to_owned()),
        None => ("$value".to_owned(), "$value".to_owned()),
    };
    said(
        format!("`{name}(…)` is a fact and has no value to compare; a variable in it has"),
        format!("write {name}({}), {} {operator} {right}", escaped(&whole), escaped(&variable)),
    )
}

/// `$a < $n < $b`
fn comparisons(shape: &Shape<'_>) -> Option<Said> {
    let operators = shape.operators();
    let [(first, one), (second, other)] = operators[..] else { return None };
    // Those that are joined by a word are two conditions already.
    if shape.code.contains("&&") || shape.code.contains("||") || shape.code.contains("->") {
        return None;
    }
    let left = shape.shown(0, first);
    let middle = shape.shown(first + one.len(), second);
    let right = shape.shown(second + other.len(), shape.text.len());
    if left.is_empty() || middle.is_empty() || right.is_empty() {
        return None;
    }
    said(
        "a comparison has two sides",
        format!("write {left} {one} {middle}, {middle} {other} {right}"),
    )
}

/// Operators of other languages.
fn operator(shape: &Shape<'_>) -> Option<Said> {
    if shape.code.contains("<>") {
        return said("there is no `<>`", "write `!=`");
    }
    if shape.code.contains('%') {
        return said("there is no `%`", "list the numbers, as in [0, 2, 4].contains($n)");
    }
    let words = shape.words();
    let infix = ["matches", "contains", "starts_with", "ends_with", "startswith", "endswith"];
    for (at, word, before) in &words {
        let name = word.to_ascii_lowercase();
        if *before == ' ' && !shape.opens_after(*at, word) {
            if name == "between" {
                let variable = shape.shown(0, *at);
                return said(
                    "there is no `between`",
                    format!("write {variable} >= 1, {variable} <= 5"),
                );
            }
            if infix.contains(&name.as_str()) {
                let (left, right) =
                    (shape.shown(0, *at), shape.shown(at + word.len(), shape.text.len()));
                let name = name.replace("swith", "s_with").replace("dswith", "ds_with");
                return said(
                    format!("`{}` is a method", escaped(word)),
                    format!("write {left}.{name}({right})"),
                );
            }
        }
    }
    None
}

/// A predicate or condition that begins where a comma or semicolon is missing.
pub(super) fn missing_comma(before: &str, word: &str, opens: bool) -> Option<Said> {
    let ended = before.trim_end().ends_with([')', '"', ']']) || {
        let last = before.trim_end().rsplit([' ', ',', '(']).next().unwrap_or_default();
        last.starts_with('$') || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
    };
    let begins = word.starts_with('$') || opens && !word.starts_with('.');
    if !(ended && begins && before.ends_with(char::is_whitespace)) {
        return None;
    }
    let new_line = before.trim_end_matches([' ', '\t']).ends_with('\n');
    let known = words::find(word).is_some();
    let word = escaped(&word);
    match new_line && !known {
        true => said(
            format!("`;` or `,` is missing before `{word}`"),
            "write `;` where a new statement begins, `,` where one more condition does",
        ),
        false => said(
            format!("`,` or `;` is missing before `{word}`"),
            "write `,` where one more condition begins, `;` where a new statement does",
        ),
    }
}
