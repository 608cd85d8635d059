//! Normal: a body with one name for what is one thing (a normal form, by unification), and what in it contradicts itself.

use std::collections::HashMap;

use biscuit_parser::builder::Binary;

use crate::always::{Holds, Known, truth};
use crate::set::{self, Set};
use crate::words::{self, Column};
use hardtack::internal::By;
use hardtack::internal::syntax::{Atom, Expr, Node, Query, Span, Term, Value};

/// A body in which equal things have one name.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    pub(super) atoms: Vec<Atom>,
    /// All must hold; what always holds is left out.
    pub(super) conditions: Vec<Expr>,
}

/// Why a body can never match.
#[derive(Debug, Clone)]
pub(super) struct Conflict {
    pub(super) span: Span,
    pub(super) why: String,
}

/// The most values that a variable is tried with.
const MAX_VALUES: usize = 64;

/// The most facts of one name that are looked through.
const MAX_ROWS: usize = 1000;

/// What stands for what.
#[derive(Debug, Default)]
struct Names(HashMap<String, Term>);

impl Names {
    fn resolve(&self, term: &Term) -> Term {
        let mut found = term;
        // Each name stands for one that was there before it, so that this ends.
        while let Some(next) = found.variable().and_then(|name| self.0.get(name)) {
            found = next;
        }
        found.clone()
    }

    fn unify(&mut self, a: &Term, b: &Term) -> Result<(), Both> {
        let (a, b) = (self.resolve(a), self.resolve(b));
        if a == b {
            return Ok(());
        }
        match (a.variable(), b.variable()) {
            (Some(name), _) => drop(self.0.insert(name.to_owned(), b)),
            (_, Some(name)) => drop(self.0.insert(name.to_owned(), a)),
            _ => return Err(Box::new((a, b))),
        }
        Ok(())
    }
}

/// Brings a body to its normal form, or says why it can never match.
pub(super) fn normal(set: &Set, query: &Query, now: Option<u64>) -> Result<Normal, Conflict> {
    let mut names = Names::default();
    let differ = |span: Span, what: &str, both: Both| Conflict {
        span,
        why: format!(
            "{what} is one value, and this asks for both {} and {}",
            shown(&both.0),
            shown(&both.1)
        ),
    };
    once_only(query, &mut names).map_err(|(span, name, both)| differ(span, name, both))?;
    let parts: Vec<&Expr> = query.conditions.iter().flat_map(Expr::parts).collect();
    let mut absorbed = vec![false; parts.len()];
    for (part, absorbed) in parts.iter().zip(&mut absorbed) {
        let Some((left, right)) = equated(part) else { continue };
        names.unify(&left, &right).map_err(|both| differ(part.span, "this", both))?;
        *absorbed = true;
    }
    link_tool(query, &mut names).map_err(|(span, both)| differ(span, "the tool", both))?;
    let mut atoms: Vec<Atom> = Vec::new();
    for atom in &query.atoms {
        let mut atom = atom.clone();
        atom.terms
            .iter_mut()
            .for_each(|term| *term = Term { span: term.span, ..names.resolve(term) });
        if atom.name == "granted" && atom.terms.len() == 1 {
            atom.name = "operation".to_owned();
        }
        if !atoms.iter().any(|known| known.name == atom.name && known.terms == atom.terms) {
            atoms.push(atom);
        }
    }
    let known = Known::of(set, query, now);
    let mut conditions = Vec::new();
    for (part, absorbed) in parts.iter().zip(absorbed) {
        let replaced = replaced(part, &|term| names.resolve(term));
        match known.holds(&replaced) {
            Holds::Always => continue,
            Holds::Never => {
                let why = "what the other conditions ask for makes this false".to_owned();
                return Err(Conflict { span: part.span, why });
            }
            _ => {}
        }
        if !absorbed {
            conditions.push(as_membership(&replaced).unwrap_or(replaced));
        }
    }
    Ok(Normal { atoms, conditions })
}

type Both = Box<(Term, Term)>;

/// What is there once has one value, however often it is asked for.
fn once_only<'q>(query: &'q Query, names: &mut Names) -> Result<(), (Span, &'q str, Both)> {
    let mut seen: HashMap<(&str, String), &Atom> = HashMap::new();
    for atom in &query.atoms {
        let Some(word) = words::find(&atom.name) else { continue };
        // An argument of a name, a hop of a number and a weekday of a zone are there once.
        let keyed =
            matches!(word.columns.first(), Some(Column::ArgumentName | Column::Hop | Column::Zone));
        let key = atom.terms.first().filter(|term| keyed && term.variable().is_none());
        if word.most() != 1 && key.is_none() || word.columns.len() != atom.terms.len() {
            continue;
        }
        let name = if word.name == "granted" { "operation" } else { word.name };
        let first = *seen.entry((name, key.map(shown).unwrap_or_default())).or_insert(atom);
        for (a, b) in first.terms.iter().zip(&atom.terms) {
            names.unify(a, b).map_err(|both| (b.span, atom.name.as_str(), both))?;
        }
    }
    Ok(())
}

/// `$a == "x"`, `$a == $b` and `["x"].contains($a)`.
fn equated(part: &Expr) -> Option<(Term, Term)> {
    if let Some((left, right)) = set::equality(part) {
        let (left, right) = (left.term()?, right.term()?);
        let one = left.variable().is_some() || right.variable().is_some();
        return one.then(|| (left.clone(), right.clone()));
    }
    let (elements, looked_for) = membership(part)?;
    let [element] = elements else { return None };
    looked_for.variable()?;
    Some((looked_for.clone(), element.clone()))
}

/// `$x == "a" || $x == "b"` as `["a", "b"].contains($x)`.
fn as_membership(part: &Expr) -> Option<Expr> {
    fn gather<'e>(
        part: &'e Expr,
        name: &mut Option<&'e str>,
        values: &mut Vec<Term>,
    ) -> Option<()> {
        if let Node::Binary(Binary::LazyOr, left, right) = &part.bare().node {
            gather(left, name, values)?;
            return gather(right, name, values);
        }
        let (left, right) = set::equality(part)?;
        let (variable, value) = match (left.variable(), right.constant()) {
            (Some(variable), Some(value)) => (variable, value),
            _ => (right.variable()?, left.constant()?),
        };
        values.push(value.clone());
        (*name.get_or_insert(variable) == variable).then_some(())
    }
    let (mut name, mut values) = (None, Vec::new());
    gather(part, &mut name, &mut values)?;
    let term = |value: Value| Expr {
        node: Node::Term(Term { value, span: part.span }),
        span: part.span,
        op: part.op,
    };
    let (left, right) = (term(Value::Array(values)), term(Value::Variable(name?.to_owned())));
    let node = Node::Binary(Binary::Contains, Box::new(left), Box::new(right));
    Some(Expr { node, span: part.span, op: part.op })
}

/// The elements and what is looked for in `[…].contains($x)`.
fn membership(part: &Expr) -> Option<(&[Term], &Term)> {
    match &part.bare().node {
        Node::Binary(Binary::Contains, left, right) => {
            Some((left.constant()?.elements()?, right.term()?))
        }
        _ => None,
    }
}

/// The tool is what follows `tools:call:` in the operation.
fn link_tool(query: &Query, names: &mut Names) -> Result<(), (Span, Both)> {
    let find = |name: &str| {
        query.atoms.iter().find(|atom| atom.name == name && atom.terms.len() == 1)?.terms.first()
    };
    let Some(operation) = find("operation").or(find("granted")) else { return Ok(()) };
    let Some(tool) = find("tool") else { return Ok(()) };
    let (is_operation, is_tool) = (names.resolve(operation), names.resolve(tool));
    if is_operation.variable().is_some() && is_operation == is_tool {
        return Err((tool.span, Box::new((operation.clone(), tool.clone()))));
    }
    // What is no operation is reported for what it is.
    if is_operation.text().is_some_and(|text| text.parse::<hardtack::Operation>().is_err()) {
        return Ok(());
    }
    if let Some(name) = is_tool.text() {
        // A name that is no tool's is reported for what it is.
        if name.starts_with("tools:") {
            return Ok(());
        }
        let value = Value::Text(format!("tools:call:{name}"));
        let whole = Term { value, span: tool.span };
        return names.unify(&is_operation, &whole).map_err(|both| (tool.span, both));
    }
    if let Some(name) = is_operation.text().and_then(|text| text.strip_prefix("tools:call:")) {
        let name = Term { value: Value::Text(name.to_owned()), span: operation.span };
        return names.unify(&is_tool, &name).map_err(|both| (tool.span, both));
    }
    if let Some(text) = is_operation.text() {
        let asked = Term { value: Value::Text("tools:call:…".to_owned()), span: tool.span };
        let is = Term { value: Value::Text(text.to_owned()), span: operation.span };
        return Err((operation.span, Box::new((asked, is))));
    }
    Ok(())
}

/// This expression with other terms (substitution).
pub(super) fn replaced(expr: &Expr, with: &dyn Fn(&Term) -> Term) -> Expr {
    let node = match &expr.node {
        Node::Term(term) => Node::Term(Term { span: term.span, ..with(term) }),
        Node::Unary(operator, inner) => {
            Node::Unary(operator.clone(), Box::new(replaced(inner, with)))
        }
        Node::Binary(operator, left, right) => Node::Binary(
            operator.clone(),
            Box::new(replaced(left, with)),
            Box::new(replaced(right, with)),
        ),
        Node::Closure(name, body) => {
            // A closure's own variable is another one.
            let inner = |term: &Term| match term.variable() == Some(name) {
                true => term.clone(),
                false => with(term),
            };
            Node::Closure(name.clone(), Box::new(replaced(body, &inner)))
        }
    };
    Expr { node, span: expr.span, op: expr.op }
}

impl Normal {
    /// Each variable for which some values are all that is possible, with these.
    pub(super) fn candidates(&self, set: &Set) -> HashMap<String, (Vec<Term>, Span)> {
        let mut found: HashMap<String, (Vec<Term>, Span)> = HashMap::new();
        let mut narrow = |name: &str, values: Vec<Term>, span: Span| {
            let entry = found.entry(name.to_owned());
            let (known, last) = entry.or_insert_with(|| (values.clone(), span));
            known.retain(|value| values.contains(value));
            *last = span;
        };
        for part in &self.conditions {
            if let Some((elements, looked_for)) = membership(part)
                && let Some(name) = looked_for.variable()
                && elements.len() <= MAX_VALUES
            {
                narrow(name, elements.to_vec(), part.span);
            }
        }
        for atom in self.atoms.iter().filter(|atom| atom.name == "presented") {
            if let Some(term) = atom.terms.first()
                && let Some(name) = term.variable()
            {
                let kind =
                    |text: &str| Term { value: Value::Text(text.to_owned()), span: term.span };
                narrow(name, vec![kind("session"), kind("call")], term.span);
            }
        }
        for atom in self.atoms.iter().filter(|atom| is_stated(set, atom)) {
            let Some(rows) = rows(set, atom) else { continue };
            for (index, term) in atom.terms.iter().enumerate() {
                let Some(name) = term.variable() else { continue };
                let mut values: Vec<Term> = Vec::new();
                for value in rows.iter().filter_map(|row| row.terms.get(index)) {
                    if !values.contains(value) {
                        values.push(value.clone());
                    }
                }
                narrow(name, values, term.span);
            }
        }
        found
    }

    /// Why no values can make all of it true.
    pub(super) fn contradiction(&self, set: &Set) -> Option<Conflict> {
        for atom in self.atoms.iter().filter(|atom| is_stated(set, atom)) {
            if rows(set, atom).is_some_and(|rows| rows.is_empty()) {
                let constant = atom.terms.iter().find(|term| term.variable().is_none());
                let span = constant.map_or(atom.span, |term| term.span);
                let why = format!("no fact `{}` of the set has this value", atom.name);
                return Some(Conflict { span, why });
            }
        }
        for (name, (mut values, span)) in self.candidates(set) {
            let before = values.len();
            values.retain(|value| {
                let with = |term: &Term| match term.variable() == Some(&name) {
                    true => value.clone(),
                    false => term.clone(),
                };
                self.conditions
                    .iter()
                    .all(|condition| truth(&replaced(condition, &with)) != Some(false))
            });
            if values.is_empty() {
                let why = match before {
                    0 => format!("no value of ${name} is among all that it is looked for in"),
                    _ => format!("no value of ${name} fulfils all conditions on it"),
                };
                return Some(Conflict { span, why });
            }
        }
        self.bounds().or_else(|| self.beginnings()).or_else(|| self.hops())
    }

    /// `$x > 5, $x < 3`
    fn bounds(&self) -> Option<Conflict> {
        let mut bounds: HashMap<&str, (i128, i128)> = HashMap::new();
        for part in &self.conditions {
            let Some((name, operator, limit)) = comparison(part) else { continue };
            let (least, most) = bounds.entry(name).or_insert((i128::MIN, i128::MAX));
            match operator {
                Binary::LessThan => *most = (*most).min(limit - 1),
                Binary::LessOrEqual => *most = (*most).min(limit),
                Binary::GreaterThan => *least = (*least).max(limit + 1),
                _ => *least = (*least).max(limit),
            }
            if least > most {
                let why = format!("the other conditions on ${name} leave nothing for this one");
                return Some(Conflict { span: part.span, why });
            }
        }
        None
    }

    /// `$op.starts_with("resources:")` of the operation of a tool call, and two beginnings that differ.
    fn beginnings(&self) -> Option<Conflict> {
        let mut known: HashMap<&str, String> = HashMap::new();
        if self.atoms.iter().any(|atom| atom.name == "tool") {
            let operation = self.atoms.iter().find(|atom| atom.name == "operation");
            if let Some(name) = operation.and_then(|atom| atom.terms.first()?.variable()) {
                known.insert(name, "tools:call:".to_owned());
            }
        }
        for part in &self.conditions {
            let Node::Binary(Binary::Prefix, left, right) = &part.bare().node else { continue };
            let (Some(name), Some(text)) = (left.variable(), right.constant().and_then(Term::text))
            else {
                continue;
            };
            let before = known.entry(name).or_insert_with(|| text.to_owned());
            if !before.starts_with(text) && !text.starts_with(before.as_str()) {
                let why =
                    format!("${name} begins with \"{}\", never with this", before.escape_debug());
                return Some(Conflict { span: right.span, why });
            }
            if text.len() > before.len() {
                text.clone_into(before);
            }
        }
        None
    }

    /// Who acts without a hop has no agent.
    fn hops(&self) -> Option<Conflict> {
        let depth = self.atoms.iter().find(|atom| atom.name == "depth")?.terms.first()?;
        let none = match &depth.value {
            Value::Integer(hops) => *hops == 0,
            Value::Variable(name) => {
                self.conditions.iter().filter_map(comparison).any(|(on, operator, limit)| {
                    on == name
                        && (operator == Binary::LessThan && limit <= 1
                            || operator == Binary::LessOrEqual && limit <= 0)
                })
            }
            _ => false,
        };
        let is_of_hop = |word: &words::Word| word.by == By::Hops && !word.is_always();
        let hop = self.atoms.iter().find(|atom| words::find(&atom.name).is_some_and(is_of_hop))?;
        none.then(|| Conflict {
            span: hop.name_span,
            why: format!("without a hop (depth 0) there is no `{}`", hop.name),
        })
    }
}

/// Whether all facts that a predicate can have are written in the set, with as many terms.
fn is_stated(set: &Set, atom: &Atom) -> bool {
    set.is_closed(&atom.name) && set.arities(&atom.name).contains(&atom.terms.len())
}

/// The facts of the set that fit an atom, unless they are too many to look at.
pub(super) fn rows<'s>(set: &'s Set, atom: &Atom) -> Option<Vec<&'s Atom>> {
    let mut found = Vec::new();
    if set.own.get(&atom.name).is_some_and(|own| own.facts.len() > MAX_ROWS) {
        return None;
    }
    for (_, fact) in set.facts(&atom.name) {
        let fits = fact.terms.len() == atom.terms.len()
            && atom.terms.iter().zip(&fact.terms).all(|(a, b)| a.variable().is_some() || a == b);
        if fits {
            found.push(fact);
        }
        if found.len() > MAX_VALUES {
            return None;
        }
    }
    Some(found)
}

/// The comparison that says the same with its sides exchanged; `None` for what compares no order.
pub(super) fn turned(operator: &Binary) -> Option<Binary> {
    Some(match operator {
        Binary::LessThan => Binary::GreaterThan,
        Binary::LessOrEqual => Binary::GreaterOrEqual,
        Binary::GreaterThan => Binary::LessThan,
        Binary::GreaterOrEqual => Binary::LessOrEqual,
        _ => return None,
    })
}

/// A variable, how it is compared, and with what integer or moment.
pub(super) fn comparison(part: &Expr) -> Option<(&str, Binary, i128)> {
    let Node::Binary(operator, left, right) = &part.bare().node else { return None };
    let turned = turned(operator)?;
    let number = |term: &Term| match &term.value {
        Value::Integer(number) => Some(i128::from(*number)),
        Value::Date(moment) => Some(i128::from(*moment)),
        _ => None,
    };
    if let (Some(name), Some(limit)) = (left.variable(), right.constant().and_then(number)) {
        return Some((name, operator.clone(), limit));
    }
    let (limit, name) = (left.constant().and_then(number)?, right.variable()?);
    Some((name, turned, limit))
}

/// A value as it is written.
pub(super) fn shown(term: &Term) -> String {
    let list = |terms: &[Term]| terms.iter().map(shown).collect::<Vec<_>>().join(", ");
    match &term.value {
        Value::Variable(name) => format!("${name}"),
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("\"{}\"", text.escape_debug()),
        Value::Date(seconds) => i64::try_from(*seconds)
            .ok()
            .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok())
            .unwrap_or_else(|| "a date".to_owned()),
        Value::Bytes(bytes) => format!("hex:{}", hex::encode(bytes)),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Parameter(_) => "a parameter".to_owned(),
        Value::Set(terms) => format!("{{{}}}", list(terms)),
        Value::Array(terms) => format!("[{}]", list(terms)),
        Value::Map(_) => "a map".to_owned(),
    }
}
