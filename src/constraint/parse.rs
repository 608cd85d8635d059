//! Parse: a line such as `amount <= 100` to a constraint, or the reason why it is none.

use std::str::FromStr;

use crate::call::{MAX_SAFE_INTEGER, check_resource};
use crate::constraint::hint::hint;
use crate::constraint::{
    Constraint, ConstraintError, Demand, Form, Range, Subject, THE_RESOURCE, Value,
};
use crate::function::Function;
use crate::profile::{MAX_COLLECTION, MAX_QUERIES_PER_CHECK, MAX_STRING_BYTES};

/// The most bytes of a constraint: it is one line that a person types.
pub(super) const MAX_CONSTRAINT_BYTES: usize = 4096;

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Constraint, ConstraintError> {
        if text.len() > MAX_CONSTRAINT_BYTES {
            return Err(ConstraintError::TooMany { what: "bytes", limit: MAX_CONSTRAINT_BYTES });
        }
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(ConstraintError::Combination(
                "a constraint is one line; write several with --allow for each, and control characters as JSON \
                 escapes within double quotes",
            ));
        }
        let alternatives = split_outside_quotes(text, " or ");
        if alternatives.len() == 1 {
            return one(text).map(Constraint);
        }
        if alternatives.len() > MAX_QUERIES_PER_CHECK {
            let limit = MAX_QUERIES_PER_CHECK;
            return Err(ConstraintError::TooMany { what: "alternatives", limit });
        }
        let demands = alternatives.into_iter().map(|alternative| match one(alternative)? {
            Form::Demanded { of, optional: false, demand } => Ok((of, demand)),
            _ => Err(ConstraintError::Combination(
                "`or` stands between demands of arguments that must be there; \
                 write `name?`, `absent` and `only` as constraints of their own",
            )),
        });
        Ok(Constraint(Form::AnyOf(demands.collect::<Result<_, _>>()?)))
    }
}

fn one(text: &str) -> Result<Form, ConstraintError> {
    let form = || ConstraintError::Form { text: text.to_owned(), hint: hint(text) };
    if text == "no arguments" {
        return Ok(Form::Only(Vec::new()));
    }
    if let Some(names) = keyword(text, "only") {
        let mut names = list(names)?
            .into_iter()
            .map(|part| whole_name(part).ok_or_else(form))
            .collect::<Result<Vec<_>, _>>()?;
        names.sort();
        names.dedup();
        return match names.len() {
            0 => Err(form()),
            n if n > MAX_COLLECTION => {
                Err(ConstraintError::TooMany { what: "names", limit: MAX_COLLECTION })
            }
            _ => Ok(Form::Only(names)),
        };
    }
    if let Some(rest) = the_resource(text) {
        return of_resource(rest)?.ok_or_else(form);
    }
    let (each, rest) = match keyword(text, "each").or_else(|| keyword(text, "every item of")) {
        // An argument may be called `each`.
        Some(rest) if name(rest).is_some_and(|(_, behind)| !behind.trim().is_empty()) => {
            (true, rest)
        }
        _ => (false, text),
    };
    let (name, rest) = name(rest).ok_or_else(form)?;
    let (optional, rest) = match rest.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    let (each, rest) = match keyword(rest, "each") {
        Some(rest) => (true, rest),
        None => (each, rest),
    };
    if rest == "absent" && !each && !optional {
        return Ok(Form::Absent(Subject::Argument(name)));
    }
    let demand = demand(rest)?.ok_or_else(form)?;
    let demand = match (each, demand) {
        (false, demand) => demand,
        (true, Demand::Present | Demand::Items(_) | Demand::Includes(_)) => return Err(form()),
        (true, demand) => Demand::Each(Box::new(demand)),
    };
    demanded(Subject::Argument(name), optional, demand)
}

fn demanded(of: Subject, optional: bool, demand: Demand) -> Result<Form, ConstraintError> {
    if optional && demand == Demand::Present {
        return Err(ConstraintError::Combination(
            "`?` says that it may be absent, and `required` that it may not",
        ));
    }
    Ok(Form::Demanded { of, optional, demand })
}

/// What stands behind `the resource`, with its `?`.
fn the_resource(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(THE_RESOURCE)?;
    (rest.is_empty() || rest.starts_with([' ', '?', '=', '!'])).then_some(rest)
}

/// What is demanded of texts, and not of URIs.
const OF_TEXTS: [&str; 4] = ["like", "starts with", "ends with", "contains"];

/// What is demanded of the call's resource, which is a URI and nothing else; `None` if it is no demand.
fn of_resource(rest: &str) -> Result<Option<Form>, ConstraintError> {
    let (optional, rest) = match rest.strip_prefix('?') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, rest.trim_start()),
    };
    if rest == "absent" && !optional {
        return Ok(Some(Form::Absent(Subject::Resource)));
    }
    if OF_TEXTS.iter().any(|word| keyword(rest, word).is_some()) {
        return Err(ConstraintError::Combination(
            "of the resource say where it is, for a pattern or a part of a text says nothing of that: write `the resource \
             within file:///srv/data` or `the resource url https://api.example.com/v1`",
        ));
    }
    let Some(demand) = demand(rest)? else { return Ok(None) };
    let text = |values: &[Value]| values.iter().all(|value| matches!(value, Value::Text(_)));
    let fits = match &demand {
        Demand::Judged(Function::Path, folder) => folder.starts_with("file:"),
        Demand::Judged(Function::Url, _) | Demand::Present => true,
        Demand::Equal(value) => text(std::slice::from_ref(value)),
        Demand::OneOf(values) => text(values),
        // One place has many URIs.
        Demand::NoneOf(_) => {
            return Err(ConstraintError::Combination(
                "of the resource say what is allowed, not what is not, since one place has many URIs: write `the resource \
                 within file:///srv/data` or `the resource url https://api.example.com/v1`",
            ));
        }
        _ => false,
    };
    if !fits {
        return Err(ConstraintError::Combination(
            "the resource is a URI: write `the resource within file:///srv/data`, `the resource url \
             https://api.example.com/v1`, `==`, `in`, `required` or `absent`",
        ));
    }
    match &demand {
        Demand::Equal(value) => in_normal_form(std::slice::from_ref(value))?,
        Demand::OneOf(values) => in_normal_form(values)?,
        _ => {}
    }
    demanded(Subject::Resource, optional, demand).map(Some)
}

/// A call's resource is a URI in normal form, so that none would ever equal another text.
fn in_normal_form(values: &[Value]) -> Result<(), ConstraintError> {
    values.iter().try_for_each(|value| match value {
        Value::Text(text) => check_resource(text)
            .map_err(|problem| ConstraintError::Resource { text: text.clone(), problem }),
        _ => Ok(()),
    })
}

/// What stands behind the argument's name; `None` if it is no demand.
fn demand(text: &str) -> Result<Option<Demand>, ConstraintError> {
    if matches!(text, "required" | "present") {
        return Ok(Some(Demand::Present));
    }
    for (word, demand) in [
        ("starts with", Demand::StartsWith as fn(String) -> Demand),
        ("ends with", Demand::EndsWith),
        ("contains", Demand::Contains),
    ] {
        if let Some(rest) = keyword(text, word) {
            let text = operand(rest, "text that says something")?;
            if text.contains("://") || (word == "starts with" && text.starts_with('/')) {
                return Err(ConstraintError::Combination(
                    "a text says nothing of where a path or URL leads (`..`, user@host): use `path within \
                     /srv/data` or `target url https://api.example.com`",
                ));
            }
            return Ok(Some(demand(text)));
        }
    }
    for (word, function) in [
        ("within", Function::Path),
        ("url", Function::Url),
        ("network", Function::Network),
        ("in network", Function::Network),
        ("like", Function::Glob),
    ] {
        if let Some(rest) = keyword(text, word) {
            return judged(function, rest).map(Some);
        }
    }
    for (word, demand) in
        [("length", Demand::Length as fn(Range) -> Demand), ("items", Demand::Items)]
    {
        if let Some(rest) = keyword(text, word) {
            let range = range(rest)?;
            // Nothing is shorter than nothing.
            if range.is_some_and(|range| range.most.is_some_and(|most| most < 0)) {
                return Err(ConstraintError::Value { text: rest.to_owned(), wanted: "length" });
            }
            return Ok(range.map(demand));
        }
    }
    if let Some(rest) = keyword(text, "not in").or_else(|| keyword(text, "none of")) {
        return values(rest).map(|values| Some(Demand::NoneOf(values)));
    }
    if let Some(rest) = keyword(text, "in").or_else(|| keyword(text, "one of")) {
        return values(rest).map(|values| Some(Demand::OneOf(values)));
    }
    if let Some(rest) = keyword(text, "includes") {
        return value(rest).map(|value| Some(Demand::Includes(value)));
    }
    if let Some(rest) = operator(text, "!=") {
        return value(rest).map(|value| Some(Demand::NoneOf(vec![value])));
    }
    if let Some(rest) = operator(text, "==").or_else(|| operator(text, "=")) {
        return value(rest).map(|value| Some(Demand::Equal(value)));
    }
    Ok(range(text)?.map(Demand::Number))
}

fn judged(function: Function, text: &str) -> Result<Demand, ConstraintError> {
    let mut text = judged_operand(text)?;
    if function == Function::Path && text.len() > 1 && text.ends_with('/') && !text.ends_with("//")
    {
        text.pop();
    }
    function.check_operand(&text).map_err(ConstraintError::Operand)?;
    Ok(Demand::Judged(function, text))
}

/// `<= 5`, `< 5`, `>= 5`, `> 5`, `between 1 and 5`, or for lengths `== 5`.
fn range(text: &str) -> Result<Option<Range>, ConstraintError> {
    let text = text.trim();
    if let Some(rest) = keyword(text, "between") {
        let Some((least, most)) = rest.split_once(" and ") else { return Ok(None) };
        let (least, most) = (number(least)?, number(most)?);
        if least > most {
            return Err(ConstraintError::Value {
                text: rest.to_owned(),
                wanted: "range, whose first number is the smaller",
            });
        }
        return Ok(Some(Range { least: Some(least), most: Some(most) }));
    }
    let at_least = |least| Some(Range { least: Some(least), most: None });
    let at_most = |most| Some(Range { least: None, most: Some(most) });
    if let Some(rest) = operator(text, "<=") {
        return Ok(at_most(number(rest)?));
    }
    if let Some(rest) = operator(text, ">=") {
        return Ok(at_least(number(rest)?));
    }
    if let Some(rest) = operator(text, "<") {
        return Ok(at_most(number(rest)? - 1));
    }
    if let Some(rest) = operator(text, ">") {
        return Ok(at_least(number(rest)? + 1));
    }
    if let Some(rest) = operator(text, "==") {
        let number = number(rest)?;
        return Ok(Some(Range { least: Some(number), most: Some(number) }));
    }
    Ok(None)
}

fn number(text: &str) -> Result<i64, ConstraintError> {
    let text = text.trim();
    let safe = |n: &i64| n.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs();
    let number: Option<i64> = text.parse().ok().filter(safe);
    let plain = number.filter(|number| number.to_string() == text);
    plain.ok_or(ConstraintError::Value {
        text: text.to_owned(),
        wanted: "whole number between -(2^53-1) and 2^53-1",
    })
}

/// A value: JSON text, number, `true` or `false`; other words are text.
fn value(text: &str) -> Result<Value, ConstraintError> {
    let text = text.trim();
    match text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return number(text).map(Value::Number);
    }
    let wanted = "value: text goes in double quotes unless it is one plain word, numbers are whole";
    if !text.starts_with('"') && (text.contains('/') || RESERVED_WORDS.contains(&text)) {
        return Err(ConstraintError::Value { text: text.to_owned(), wanted });
    }
    operand(text, wanted).map(Value::Text)
}

/// `["a", "b"]`, or the same without brackets. All are of one type.
fn values(text: &str) -> Result<Vec<Value>, ConstraintError> {
    let parts = list(text)?;
    let mut values = parts.into_iter().map(value).collect::<Result<Vec<_>, ConstraintError>>()?;
    values.sort();
    values.dedup();
    if values.is_empty() {
        return Err(ConstraintError::Value { text: text.to_owned(), wanted: "list of values" });
    }
    if values.len() > MAX_COLLECTION {
        return Err(ConstraintError::TooMany { what: "values", limit: MAX_COLLECTION });
    }
    let kind = |value: &Value| std::mem::discriminant(value);
    match values.iter().all(|value| kind(value) == kind(&values[0])) {
        true => Ok(values),
        false => Err(ConstraintError::Combination(
            "the values of a list are of one type: all text, all numbers, or all true and false",
        )),
    }
}

/// The parts of a list, which may stand in brackets. None is empty.
fn list(text: &str) -> Result<Vec<&str>, ConstraintError> {
    let text = text.trim();
    let inside = match (text.strip_prefix('['), text.ends_with(']')) {
        (Some(inside), true) => &inside[..inside.len() - 1],
        (None, false) => text,
        _ => {
            return Err(ConstraintError::Value { text: text.to_owned(), wanted: "list of values" });
        }
    };
    let parts = split_outside_quotes(inside, ",");
    let mut parts: Vec<&str> = parts.into_iter().map(str::trim).collect();
    if parts.as_slice() == [""] {
        parts.clear();
    }
    match parts.iter().any(|part| part.is_empty()) {
        true => Err(ConstraintError::Value { text: text.to_owned(), wanted: "list of values" }),
        false => Ok(parts),
    }
}

/// Words that mean something where people write them bare, and not the text that they are.
const RESERVED_WORDS: [&str; 14] = [
    "null", "None", "nil", "True", "False", "TRUE", "FALSE", "and", "or", "not", "AND", "OR", "in",
    "network",
];

/// Text in double quotes as JSON has it, or one plain word. What looks like more than a word is not taken for a
/// text: `root, admin` or `root or admin` would then forbid one odd text and allow both.
fn operand(text: &str, wanted: &'static str) -> Result<String, ConstraintError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.@/+-".contains(c);
    quoted_or(text, wanted, |text| text.chars().all(plain))
}

/// The same for a folder, site, network or pattern, which have signs of their own.
fn judged_operand(text: &str) -> Result<String, ConstraintError> {
    let wanted = "folder, site, network or pattern: one of them, in double quotes if it has blanks";
    let plain = |c: char| c.is_ascii_graphic() && !"\"'`{}(),;|<>=!#&".contains(c);
    quoted_or(text, wanted, |text| text.chars().all(plain))
}

fn quoted_or(
    text: &str,
    wanted: &'static str,
    is_plain: impl Fn(&str) -> bool,
) -> Result<String, ConstraintError> {
    let text = text.trim();
    let read = match text.starts_with('"') {
        true => serde_json::from_str(text).ok(),
        false => is_plain(text).then(|| text.to_owned()),
    };
    let read = read.filter(|read: &String| !read.is_empty());
    match read {
        Some(read) if read.len() > MAX_STRING_BYTES => {
            Err(ConstraintError::TooMany { what: "bytes in a text", limit: MAX_STRING_BYTES })
        }
        Some(read) => Ok(read),
        None => Err(ConstraintError::Value { text: text.to_owned(), wanted }),
    }
}

/// The argument's name at the front, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = values.next()?.ok()?;
        return Some((name, &text[values.byte_offset()..]));
    }
    let end = text.find(|c: char| !is_name_character(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    is_bare_name(name).then(|| (name.to_owned(), rest))
}

fn whole_name(text: &str) -> Option<String> {
    name(text).filter(|(_, rest)| rest.trim().is_empty()).map(|(name, _)| name)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Whether an argument's name can stand without quotes.
pub(super) fn is_bare_name(name: &str) -> bool {
    let words = ["only", "each", "no", "every", "or"];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_name_character)
        && !words.contains(&name)
}

/// What follows a word (or several) at the front.
fn keyword<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let mut rest = text;
    for word in words.split(' ') {
        rest = rest.trim_start().strip_prefix(word)?;
        if !(rest.is_empty() || rest.starts_with([' ', '"', '[', '<', '>', '='])) {
            return None;
        }
    }
    Some(rest.trim_start())
}

/// What follows an operator, unless that is the beginning of another (`=<`, `!==`).
fn operator<'a>(text: &'a str, sign: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(sign)?;
    (!rest.trim_start().starts_with(['=', '<', '>', '!', '~', ':'])).then_some(rest)
}

/// The parts between separators that do not stand in double quotes.
fn split_outside_quotes<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
