//! Demand: an expression of Datalog in the words of constraints, and what it says if it must not hold.

use biscuit_auth::builder::{Binary, Expression, Op, Term, Unary};

use crate::explain::words::{self, Naming};
use crate::function::Function;
use crate::names::escaped;

/// What each item of a list is called.
const ITEM: &str = "it";

/// A part of an expression: what it says, and what it says if it does not hold.
struct Part {
    says: String,
    /// `None` if that has no words of its own.
    else_says: Option<String>,
    /// It joins others by `and` or `or`.
    joins: bool,
}

/// What an expression demands.
pub(super) fn demand(expression: &Expression, naming: Naming<'_>) -> String {
    match read(&expression.ops, naming) {
        Some(part) => part.says,
        None => words::expression(expression, naming),
    }
}

/// What is demanded if none of these expressions may hold together.
pub(super) fn not_all(expressions: &[&Expression], naming: Naming<'_>) -> String {
    match expressions {
        [one] => match read(&one.ops, naming) {
            Some(part) => part.negated().says,
            None => format!("not ({})", words::expression(one, naming)),
        },
        several => {
            let all: Vec<String> = several.iter().map(|one| demand(one, naming)).collect();
            format!("not ({})", all.join(" and "))
        }
    }
}

impl Part {
    fn plain(says: String) -> Part {
        Part { says, else_says: None, joins: false }
    }

    fn either(says: String, else_says: String) -> Part {
        Part { says, else_says: Some(else_says), joins: false }
    }

    fn negated(self) -> Part {
        match self.else_says {
            Some(other) => Part::either(other, self.says),
            None => Part::either(format!("not ({})", self.says), self.says),
        }
    }

    /// In brackets where it stands beside others.
    fn within(self) -> String {
        if self.joins { format!("({})", self.says) } else { self.says }
    }
}

fn read(ops: &[Op], naming: Naming<'_>) -> Option<Part> {
    let mut stack: Vec<Part> = Vec::new();
    for op in ops {
        let part = match op {
            Op::Value(term) => Part::plain(value(term, naming)),
            Op::Unary(Unary::Negate) => stack.pop()?.negated(),
            Op::Unary(Unary::Parens) => stack.pop()?,
            Op::Unary(Unary::Length) => Part::plain(format!("{} length", stack.pop()?.says)),
            Op::Unary(Unary::TypeOf) => Part::plain(format!("{}{KIND}", stack.pop()?.says)),
            Op::Unary(Unary::Ffi(_)) => return None,
            Op::Binary(binary) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                joined(binary, left, right)?
            }
            Op::Closure(parameters, body) => match parameters.as_slice() {
                [] => read(body, naming)?,
                [item] => read(body, &|name| match name == item {
                    true => Some(ITEM.to_owned()),
                    false => naming(name),
                })?,
                _ => return None,
            },
        };
        stack.push(part);
    }
    let last = stack.pop()?;
    (stack.is_empty() && !last.says.ends_with(KIND)).then_some(last)
}

/// Stands behind a value whose kind is compared.
const KIND: &str = "\u{0}kind";

fn value(term: &Term, naming: Naming<'_>) -> String {
    let list = |terms: &mut dyn Iterator<Item = &Term>| {
        let terms: Vec<String> = terms.map(|term| value(term, naming)).collect();
        format!("[{}]", terms.join(", "))
    };
    match term {
        Term::Variable(name) => naming(name).unwrap_or_else(|| format!("${}", escaped(name))),
        Term::Set(terms) => list(&mut terms.iter()),
        Term::Array(terms) => list(&mut terms.iter()),
        term => words::value(term),
    }
}

fn joined(binary: &Binary, left: Part, right: Part) -> Option<Part> {
    let of_kind = left.says.strip_suffix(KIND).map(str::to_owned);
    if let Some(of) = of_kind {
        let kind = match right.says.as_str() {
            "\"integer\"" => "a whole number",
            "\"string\"" => "a text",
            "\"bool\"" => "true or false",
            "\"array\"" => "a list",
            "\"map\"" => "an object",
            _ => return None,
        };
        let (is, is_not) = (format!("{of} is {kind}"), format!("{of} is not {kind}"));
        return match binary {
            Binary::HeterogeneousEqual | Binary::Equal => Some(Part::either(is, is_not)),
            Binary::HeterogeneousNotEqual | Binary::NotEqual => Some(Part::either(is_not, is)),
            _ => None,
        };
    }
    if left.says.ends_with(KIND) || right.says.ends_with(KIND) {
        return None;
    }
    let infix = |sign: &str, other: &str| {
        let with = |sign| format!("{} {sign} {}", left.says, right.says);
        Some(Part::either(with(sign), with(other)))
    };
    match binary {
        Binary::LessThan => infix("<", ">="),
        Binary::GreaterThan => infix(">", "<="),
        Binary::LessOrEqual => infix("<=", ">"),
        Binary::GreaterOrEqual => infix(">=", "<"),
        Binary::Equal | Binary::HeterogeneousEqual => infix("==", "!="),
        Binary::NotEqual | Binary::HeterogeneousNotEqual => infix("!=", "=="),
        // A list that is written out has the value in it; a value has something in it.
        Binary::Contains if left.says.starts_with('[') => {
            let with = |word| format!("{} {word} {}", right.says, left.says);
            Some(Part::either(with("in"), with("not in")))
        }
        Binary::Contains => infix("contains", "without"),
        Binary::Prefix => infix("starts with", "does not start with"),
        Binary::Suffix => infix("ends with", "does not end with"),
        Binary::Regex => infix("matches", "does not match"),
        Binary::Ffi(name) => match Function::named(name)? {
            Function::Path => infix("within", "not within"),
            Function::Url => infix("url", "not url"),
            Function::Network => infix("network", "not network"),
            Function::Glob => infix("like", "not like"),
        },
        Binary::All => Some(Part::plain(format!("each of {}: {}", left.says, right.within()))),
        Binary::Any => Some(Part::plain(format!("one of {}: {}", left.says, right.within()))),
        Binary::LazyAnd | Binary::And => all(left, right, "and"),
        Binary::LazyOr | Binary::Or => all(left, right, "or"),
        Binary::Add => infix_value(left, right, "+"),
        Binary::Sub => infix_value(left, right, "-"),
        Binary::Mul => infix_value(left, right, "*"),
        Binary::Div => infix_value(left, right, "/"),
        _ => None,
    }
}

fn infix_value(left: Part, right: Part, sign: &str) -> Option<Part> {
    Some(Part::plain(format!("{} {sign} {}", left.says, right.says)))
}

fn all(left: Part, right: Part, word: &str) -> Option<Part> {
    let says = format!("{} {word} {}", left.within(), right.within());
    Some(Part { says, else_says: None, joins: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_reads_as_a_constraint_and_so_does_its_contrary() {
        for (expression, says, else_says) in [
            ("$a <= 100", "amount <= 100", "amount > 100"),
            (
                r#"["EUR", "USD"].contains($a)"#,
                r#"amount in ["EUR", "USD"]"#,
                r#"amount not in ["EUR", "USD"]"#,
            ),
            (r#"!["x"].contains($a)"#, r#"amount not in ["x"]"#, r#"amount in ["x"]"#),
            (
                r#"$a.type() == "integer""#,
                "amount is a whole number",
                "amount is not a whole number",
            ),
            (
                r#"$a.starts_with("x")"#,
                r#"amount starts with "x""#,
                r#"amount does not start with "x""#,
            ),
            (
                r#"$a.extern::hardtack_path("/srv")"#,
                r#"amount within "/srv""#,
                r#"amount not within "/srv""#,
            ),
            ("$a > 1 && $a < 5", "amount > 1 and amount < 5", "not (amount > 1 and amount < 5)"),
            (
                r#"$a.all($x -> ["a"].contains($x))"#,
                r#"each of amount: it in ["a"]"#,
                r#"not (each of amount: it in ["a"])"#,
            ),
            ("$a.length() <= 5", "amount length <= 5", "amount length > 5"),
        ] {
            let check =
                crate::block::parse_check(&format!("check if arg(\"amount\", $a), {expression}"));
            let check = check.unwrap();
            let read = &check.queries[0].expressions[0];
            let naming = |name: &str| (name == "a").then(|| "amount".to_owned());
            assert_eq!(demand(read, &naming), says);
            assert_eq!(not_all(&[read], &naming), else_says);
        }
    }
}
