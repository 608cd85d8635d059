//! Words: Datalog as people read it, with nothing in it that could hide or reorder text.
//!
//! A printer of the syntax tree. Biscuit's own printing panics on some expressions that anybody can put into a token,
//! and prints texts as they are.

use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, MapKey, Op, Predicate, Rule, Term, Unary,
};

use crate::call::seen::StandIn;
use crate::constraint::Constraint;
use crate::function::Function;
use crate::names::escaped;
use crate::timestamp::Timestamp;

/// The most characters of a text that are shown.
const MAX_SHOWN: usize = 80;

/// The most terms of a collection in a value that are shown. Of what a policy or a check says, all are.
const MAX_SHOWN_TERMS: usize = 8;

/// What stands for a variable: its own name, or what its value is of.
pub(super) type Naming<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A check as one line: as the constraint that it was made of, else as Datalog.
pub(super) fn check(check: &Check) -> String {
    if let Some(constraint) = Constraint::of_check(check) {
        return escaped(&constraint);
    }
    let kind = match check.kind {
        CheckKind::One => "check if",
        CheckKind::All => "check all",
        CheckKind::Reject => "reject if",
    };
    let queries: Vec<String> = check.queries.iter().map(query).collect();
    format!("{kind} {}", queries.join(" or "))
}

/// A query's predicates and expressions, as they were written: whole.
pub(super) fn query(rule: &Rule) -> String {
    let style = Style { naming: &|_| None, most: usize::MAX };
    let predicates = rule.body.iter().map(|predicate| predicate_in(predicate, &style));
    let expressions = rule.expressions.iter().map(|part| expression(part, &|_| None));
    predicates.chain(expressions).collect::<Vec<_>>().join(", ")
}

/// A fact, with values that are cut to what fits on a line.
pub(super) fn predicate(predicate: &Predicate) -> String {
    predicate_in(predicate, &Style { naming: &|_| None, most: MAX_SHOWN_TERMS })
}

fn predicate_in(predicate: &Predicate, style: &Style<'_>) -> String {
    let terms: Vec<String> = predicate.terms.iter().map(|part| term(part, style)).collect();
    format!("{}({})", escaped(&predicate.name), terms.join(", "))
}

/// An expression in Datalog, whole.
pub(super) fn expression(expression: &Expression, naming: Naming<'_>) -> String {
    let style = Style { naming, most: usize::MAX };
    operations(&expression.ops, &style).unwrap_or_else(|| NO_VALUE.to_owned())
}

/// What stands for an expression that nobody could have written.
const NO_VALUE: &str = "an expression without a value";

/// How terms are written.
struct Style<'a> {
    naming: Naming<'a>,
    /// How many terms of a collection are shown.
    most: usize,
}

fn operations(ops: &[Op], style: &Style<'_>) -> Option<String> {
    let mut stack: Vec<String> = Vec::new();
    for op in ops {
        let text = match op {
            Op::Value(value) => term(value, style),
            Op::Unary(unary) => {
                let value = stack.pop()?;
                match unary {
                    Unary::Negate => format!("!{value}"),
                    Unary::Parens => format!("({value})"),
                    Unary::Length => format!("{value}.length()"),
                    Unary::TypeOf => format!("{value}.type()"),
                    Unary::Ffi(name) => format!("{value}.extern::{}()", escaped(name)),
                }
            }
            Op::Binary(binary) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                binary_words(binary, &left, &right)
            }
            Op::Closure(parameters, body) => {
                let body = operations(body, style)?;
                match parameters.as_slice() {
                    [] => body,
                    parameters => {
                        let names: Vec<String> =
                            parameters.iter().map(|name| format!("${}", escaped(name))).collect();
                        format!("{} -> {body}", names.join(", "))
                    }
                }
            }
        };
        stack.push(text);
    }
    stack.pop().filter(|_| stack.is_empty())
}

fn binary_words(binary: &Binary, left: &str, right: &str) -> String {
    let infix = |sign: &str| format!("{left} {sign} {right}");
    let method = |name: &str| format!("{left}.{name}({right})");
    match binary {
        Binary::LessThan => infix("<"),
        Binary::GreaterThan => infix(">"),
        Binary::LessOrEqual => infix("<="),
        Binary::GreaterOrEqual => infix(">="),
        Binary::Equal => infix("==="),
        Binary::NotEqual => infix("!=="),
        Binary::HeterogeneousEqual => infix("=="),
        Binary::HeterogeneousNotEqual => infix("!="),
        Binary::Contains => method("contains"),
        Binary::Prefix => method("starts_with"),
        Binary::Suffix => method("ends_with"),
        Binary::Regex => method("matches"),
        Binary::Add => infix("+"),
        Binary::Sub => infix("-"),
        Binary::Mul => infix("*"),
        Binary::Div => infix("/"),
        Binary::And => infix("&&!"),
        Binary::Or => infix("||!"),
        Binary::Intersection => method("intersection"),
        Binary::Union => method("union"),
        Binary::BitwiseAnd => infix("&"),
        Binary::BitwiseOr => infix("|"),
        Binary::BitwiseXor => infix("^"),
        Binary::LazyAnd => infix("&&"),
        Binary::LazyOr => infix("||"),
        Binary::All => method("all"),
        Binary::Any => method("any"),
        Binary::Get => method("get"),
        Binary::Ffi(name) => method(&format!("extern::{}", escaped(name))),
        Binary::TryOr => method("try_or"),
    }
}

/// A value, cut to what fits on a line.
pub(super) fn value(value: &Term) -> String {
    term(value, &Style { naming: &|_| None, most: MAX_SHOWN_TERMS })
}

fn term(value: &Term, style: &Style<'_>) -> String {
    let list = |terms: &mut dyn Iterator<Item = String>| {
        let mut shown: Vec<String> = terms.take(style.most.saturating_add(1)).collect();
        if shown.len() > style.most {
            shown[style.most] = "…".to_owned();
        }
        shown.join(", ")
    };
    match value {
        Term::Variable(name) => {
            (style.naming)(name).unwrap_or_else(|| format!("${}", escaped(name)))
        }
        Term::Integer(number) => number.to_string(),
        Term::Str(text) => quoted(text),
        Term::Date(seconds) => Timestamp::from_unix_seconds(*seconds).to_string(),
        Term::Bytes(bytes) => match StandIn::of(bytes) {
            Some(represented) => represented.in_words(),
            None => format!("hex:{}", shortened(&hex::encode(bytes))),
        },
        Term::Bool(held) => held.to_string(),
        Term::Null => "null".to_owned(),
        Term::Set(terms) if terms.is_empty() => "{,}".to_owned(),
        Term::Set(terms) => {
            format!("{{{}}}", list(&mut terms.iter().map(|part| term(part, style))))
        }
        Term::Array(terms) => {
            format!("[{}]", list(&mut terms.iter().map(|part| term(part, style))))
        }
        Term::Map(entries) => {
            let mut entries = entries.iter().map(|(key, value)| {
                let key = match key {
                    MapKey::Integer(number) => number.to_string(),
                    MapKey::Str(text) => quoted(text),
                    MapKey::Parameter(_) => "?".to_owned(),
                };
                format!("{key}: {}", term(value, style))
            });
            format!("{{{}}}", list(&mut entries))
        }
        Term::Parameter(name) => format!("{{{}}}", escaped(name)),
    }
}

/// Text in double quotes, such that no character of it can end the quotes, the line or the reading direction.
pub(super) fn quoted(text: &str) -> String {
    escaped(&serde_json::Value::from(shortened(text)))
}

/// One word of a POSIX shell, whatever is in it.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What goes behind a sentence, if there is something to add.
pub(super) fn in_brackets(why: Option<String>) -> String {
    why.map(|why| format!(" ({why})")).unwrap_or_default()
}

/// Why an external function in the expression cannot judge the text that it is given, if one of them cannot.
pub(super) fn reason(ops: &[Op], values: &[(String, Term, Predicate)]) -> Option<String> {
    let judged = ops.windows(3).find_map(|ops| match ops {
        [
            Op::Value(Term::Variable(asked)),
            Op::Value(Term::Str(operand)),
            Op::Binary(Binary::Ffi(name)),
        ] => {
            let (_, value, _) = values.iter().find(|(known, _, _)| known == asked)?;
            let Term::Str(value) = value else { return None };
            Function::named(name)?.reason(value, operand)
        }
        _ => None,
    });
    judged.or_else(|| {
        ops.iter().find_map(|op| match op {
            Op::Closure(_, inner) => reason(inner, values),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attacker_wrote_stays_within_its_quotes() {
        let hostile = Term::Str("a\", admin(\"me\u{202e}\n\u{1b}[31m".to_owned());
        assert_eq!(value(&hostile), r#""a\", admin(\"me\u{202e}\n\u001b[31m""#);
        let long = Term::Str("x".repeat(5000));
        assert_eq!(value(&long).chars().count(), MAX_SHOWN + 3);
        let broken = Expression { ops: vec![Op::Binary(Binary::Add)] };
        assert_eq!(expression(&broken, &|_| None), "an expression without a value");
    }

    #[test]
    fn a_check_reads_as_it_was_written() {
        for text in [
            r#"check if operation($op), $op != "tools:call:pay" or role("editor")"#,
            r#"reject if depth($hops), $hops > 2"#,
            r#"check all arg("tags", $t), $t.all($i -> ["a"].contains($i) && !$i.starts_with("x"))"#,
        ] {
            let parsed = crate::block::parse_check(text).unwrap();
            assert_eq!(check(&parsed), text);
        }
        let constraint: Constraint = "amount <= 100".parse().unwrap();
        assert_eq!(check(&constraint.to_check()), "amount <= 100");
    }
}
