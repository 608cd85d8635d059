//! Gaps: which refusal or bound on an argument leaves open what it was to close?

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use biscuit_parser::builder::{Binary, Unary};

use crate::listed::ServerTools;
use crate::normal::{comparison, turned};
use crate::reach::{self, Tools};
use crate::schema::Scalar;
use crate::set::{Set, with_polarity};
use crate::strangers::known;
use crate::unfold::unfold;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Statement, Term, Value};

pub(super) fn check(set: &Set, servers: &[ServerTools], now: Option<u64>, findings: &mut Findings) {
    let asked = Asked::of(set, now);
    for (statement, query) in set.queries() {
        bounds(set, &asked, statement, query, findings);
        for condition in &query.conditions {
            with_polarity(condition, set.lets_through(statement), &mut |expr, lets_through| {
                excludes(statement, query, expr, lets_through, findings);
                one_of_many(statement, query, expr, lets_through, findings);
            });
        }
        if matches!(statement.kind, Kind::Deny | Kind::RejectIf) {
            may_be_left_out(set, (&asked, servers), statement, query, now, findings);
        }
    }
}

/// An argument that is asked for by its name: that, and what stands for its value.
fn arguments(query: &Query) -> impl Iterator<Item = (&Atom, &str, &Term)> {
    query.atoms.iter().filter(|atom| atom.name == "arg").filter_map(|atom| {
        let [name, value] = atom.terms.as_slice() else { return None };
        Some((atom, name.text()?, value))
    })
}

/// Whether a variable is the value of an argument; its name, if that is written.
fn is_value<'q>(query: &'q Query, variable: &str) -> Option<Option<&'q str>> {
    query.atoms.iter().filter(|atom| atom.name == "arg").find_map(|atom| {
        let [name, value] = atom.terms.as_slice() else { return None };
        (value.variable() == Some(variable)).then(|| name.text())
    })
}

/// `deny if tool("merge"), arg("base", $b), $b == "main"`, where nothing asks that there be a `base`.
fn may_be_left_out(
    set: &Set,
    (asked, servers): (&Asked<'_>, &[ServerTools]),
    statement: &Statement,
    query: &Query,
    now: Option<u64>,
    findings: &mut Findings,
) {
    // Where no tool is named, it is about whatever has such an argument.
    let Some(tools) = reach::tools(set, query, now) else { return };
    let known = known(set, servers, query, now);
    for (atom, name, value) in arguments(query) {
        let default = known.iter().find_map(|one| one.shape.members.get(name)?.default.as_ref());
        // What it refuses is what the server takes without the argument.
        let refuses_default =
            default.is_some() && Scalar::of_value(&value.value).as_ref() == default;
        // A schema says for certain that it must be there, or that there is none.
        let certain = !known.is_empty()
            && known.iter().all(|one| one.shape.required.contains(name) || one.shape.lacks(name));
        if !(rests_on(query, value) || refuses_default) || certain || asked.requires(&tools, name) {
            continue;
        }
        let name = name.escape_debug();
        let message = match refuses_default {
            true => format!(
                "a call without `{name}` is not refused by this, and the server's schema says that this value is the default"
            ),
            false => format!(
                "a call without `{name}` is not refused by this, and the tool then takes its own default"
            ),
        };
        let tool = tools.iter().next().map(String::as_str).unwrap_or("tools:call:…");
        let mend = format!(
            "require it, as in `check if operation($op), $op != \"{}\" or arg(\"{name}\", $value)`, or say in the `allow if` which values are allowed",
            tool.escape_debug()
        );
        findings.add(Code::OptionalArgument, statement.file, atom.span, message, mend);
    }
}

/// Whether a refusal rests on which value an argument has. It does not where it refuses what is switched on, what is there at all, what
/// has another type, or what is too long or has something bad in it: all of these are absent where the argument is.
fn rests_on(query: &Query, value: &Term) -> bool {
    let Some(variable) = value.variable() else { return !matches!(value.value, Value::Bool(true)) };
    query.conditions.iter().flat_map(Expr::parts).any(|part| compares_value(part, variable))
}

fn compares_value(part: &Expr, variable: &str) -> bool {
    let is_it = |expr: &Expr| expr.variable() == Some(variable);
    match &part.bare().node {
        Node::Unary(Unary::Negate, inner) => match &inner.bare().node {
            // What has nothing good in it.
            Node::Binary(Binary::Contains, left, _) if is_it(left) => true,
            _ => compares_value(inner, variable),
        },
        Node::Binary(Binary::LazyAnd | Binary::LazyOr, left, right) => {
            compares_value(left, variable) || compares_value(right, variable)
        }
        Node::Binary(Binary::Contains, left, right) => !is_it(left) && is_it(right),
        Node::Binary(_, left, right) => {
            let switched_on = |other: &Expr| {
                other.constant().is_some_and(|term| matches!(term.value, Value::Bool(true)))
            };
            is_it(left) && !switched_on(right) || is_it(right) && !switched_on(left)
        }
        _ => false,
    }
}

/// What the set as a whole asks of arguments, found out once.
struct Asked<'s> {
    /// By operation, the arguments for which each `allow if` of it asks.
    allows: HashMap<String, Vec<Rc<HashSet<String>>>>,
    /// The same of those that name no operation.
    anywhere: Vec<HashSet<String>>,
    /// For which some alternative of a check asks.
    checked: HashSet<String>,
    /// That some statement bounds from below, by letting through what is more or refusing what is less.
    bounded: HashSet<&'s str>,
}

impl<'s> Asked<'s> {
    fn of(set: &'s Set, now: Option<u64>) -> Asked<'s> {
        let (mut allows, mut anywhere) = (HashMap::<_, Vec<_>>::new(), Vec::new());
        let (mut checked, mut bounded) = (HashSet::new(), HashSet::new());
        for (statement, query) in set.queries() {
            match statement.kind {
                Kind::Allow => match reach::tools(set, query, now) {
                    Some(tools) => {
                        let names = Rc::new(asked_by(set, query));
                        for tool in tools {
                            allows.entry(tool).or_default().push(Rc::clone(&names));
                        }
                    }
                    None => anywhere.push(asked_by(set, query)),
                },
                Kind::CheckIf | Kind::CheckAll => checked.extend(asked_by(set, query)),
                _ => {}
            }
            bounded.extend(bounded_by(set, statement, query));
        }
        Asked { allows, anywhere, checked, bounded }
    }

    /// Whether a call of one of these tools gets through only with this argument: each `allow if` that may be about them asks for it,
    /// or a check does.
    fn requires(&self, tools: &Tools, name: &str) -> bool {
        let mut of_tools = tools.iter().filter_map(|tool| self.allows.get(tool)).flatten();
        self.checked.contains(name)
            || of_tools.all(|names| names.contains(name))
                && self.anywhere.iter().all(|names| names.contains(name))
    }
}

/// The arguments without which a question has no match, through whatever rules.
fn asked_by(set: &Set, query: &Query) -> HashSet<String> {
    let names = |query: &Query| {
        arguments(query).map(|(_, name, _)| name.to_owned()).collect::<HashSet<String>>()
    };
    let all = unfold(set, query);
    let common = all.iter().map(names).reduce(|a, b| a.intersection(&b).cloned().collect());
    common.unwrap_or_default()
}

/// `$b != "main"` and `!["main"].contains($b)` of an argument or resource, where the rest is allowed.
fn excludes(
    statement: &Statement,
    query: &Query,
    expr: &Expr,
    lets_through: bool,
    findings: &mut Findings,
) {
    let (variable, is_text) = match &expr.node {
        Node::Binary(Binary::NotEqual | Binary::HeterogeneousNotEqual, left, right)
            if lets_through =>
        {
            let (variable, constant) = match (left.variable(), right.variable()) {
                (Some(variable), None) => (variable, right.constant()),
                (None, Some(variable)) => (variable, left.constant()),
                _ => return,
            };
            (variable, constant.is_some_and(|term| term.text().is_some()))
        }
        // Within `!`, what holds lets nothing through.
        Node::Binary(Binary::Contains, left, right) if !lets_through => {
            let set_lets_through = matches!(statement.kind, Kind::Allow | Kind::CheckIf);
            let Some(variable) = right.variable().filter(|_| set_lets_through) else { return };
            let elements = left.constant().and_then(Term::elements).unwrap_or_default();
            (variable, !elements.is_empty() && elements.iter().all(|term| term.text().is_some()))
        }
        _ => return,
    };
    let resource = || {
        let mut atoms = query.atoms.iter().filter(|atom| atom.name == "resource");
        atoms.any(|atom| atom.terms.first().and_then(Term::variable) == Some(variable))
    };
    if !is_text || !(is_value(query, variable).is_some() || resource()) {
        return;
    }
    let message = format!(
        "this lets through all other texts, also another spelling of the same (${variable} may be \"refs/heads/main\" for \"main\")"
    );
    let mend = format!("list what is allowed, as in [\"…\", \"…\"].contains(${variable})");
    findings.add(Code::ExcludesValue, statement.file, expr.span, message, mend);
}

/// `$to.any($x -> …)` where one good element is enough, and `.all()` where one bad one is not.
fn one_of_many(
    statement: &Statement,
    query: &Query,
    expr: &Expr,
    lets_through: bool,
    findings: &mut Findings,
) {
    let Node::Binary(operator, left, _) = &expr.node else { return };
    let Some(variable) = left.variable().filter(|name| is_value(query, name).is_some()) else {
        return;
    };
    let (message, mend) = match (operator, lets_through) {
        (Binary::Any, true) => (
            format!(
                "one element of ${variable} is enough for this, and the others may be anything"
            ),
            format!("write ${variable}.all($one -> …), or refuse with the opposite"),
        ),
        (Binary::All, false) => (
            format!(
                "this refuses only if all elements of ${variable} are so: one other among them, and it is allowed"
            ),
            format!("write ${variable}.any($one -> …)"),
        ),
        _ => return,
    };
    findings.add(Code::AnyForAll, statement.file, expr.op, message, mend);
}

/// `$amount < 10000`, which −900000 is, too.
fn bounds(
    set: &Set,
    asked: &Asked<'_>,
    statement: &Statement,
    query: &Query,
    findings: &mut Findings,
) {
    if !set.lets_through(statement) {
        return;
    }
    for part in query.conditions.iter().flat_map(Expr::parts) {
        let Some(variable) = bounded_above(part) else { continue };
        let Some(name) = is_value(query, variable) else { continue };
        let has_least = |part: &Expr| bounded_below(part) == Some(variable);
        if query.conditions.iter().flat_map(Expr::parts).any(has_least)
            || name.is_some_and(|name| asked.bounded.contains(name))
            || findings.has_in(statement.file, part.span)
        {
            continue;
        }
        let message = format!("${variable} has an upper bound and no lower one: it may be -900000");
        let mend = format!("add ${variable} >= 0, or what it must be at least");
        findings.add(Code::NoLowerBound, statement.file, part.span, message, mend);
    }
}

/// The arguments that a statement bounds from below.
fn bounded_by<'q>(
    set: &Set,
    statement: &Statement,
    query: &'q Query,
) -> impl Iterator<Item = &'q str> {
    let bound: fn(&Expr) -> Option<&str> =
        if set.lets_through(statement) { bounded_below } else { bounded_above };
    let parts = query.conditions.iter().flat_map(Expr::parts).flat_map(alternatives);
    let least: HashSet<&str> = parts.filter_map(bound).collect();
    let is_least = move |value: &Term| value.variable().is_some_and(|name| least.contains(name));
    arguments(query).filter(move |(_, _, value)| is_least(value)).map(|(_, name, _)| name)
}

/// Both sides of `||`, however many.
fn alternatives(part: &Expr) -> Vec<&Expr> {
    match &part.bare().node {
        Node::Binary(Binary::LazyOr | Binary::LazyAnd, left, right) => {
            [alternatives(left), alternatives(right)].concat()
        }
        _ => vec![part],
    }
}

/// The variable that is at most a number, or at most another variable.
fn bounded_above(part: &Expr) -> Option<&str> {
    compared(part, |operator| matches!(operator, Binary::LessThan | Binary::LessOrEqual))
}

fn bounded_below(part: &Expr) -> Option<&str> {
    compared(part, |operator| matches!(operator, Binary::GreaterThan | Binary::GreaterOrEqual))
}

fn compared(part: &Expr, wanted: fn(&Binary) -> bool) -> Option<&str> {
    if let Some((name, operator, _)) = comparison(part) {
        return wanted(&operator).then_some(name);
    }
    let Node::Binary(operator, left, right) = &part.bare().node else { return None };
    let turned = turned(operator)?;
    let (left, right) = (left.variable()?, right.variable()?);
    match (wanted(operator), wanted(&turned)) {
        (true, _) => Some(left),
        (_, true) => Some(right),
        _ => None,
    }
}
