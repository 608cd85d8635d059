//! Set: what the statements of one set assert and read, and of which types.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::Options;
use crate::words::{self, Column, Types, Values, Word};
use biscuit_parser::builder::{Binary, Unary};
use hardtack::internal::syntax::{self, Atom, Expr, Kind, Node, Query, Span, Statement, Term};

/// How often types are handed on from rule to rule, up to a fixpoint.
const MAX_ROUNDS: usize = 20;

/// All statements that could be read, and what is known of their predicates.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) statements: Vec<Statement>,
    pub(super) own: BTreeMap<String, Own>,
    /// What issuers say, as far as the set declares it: the types of each form.
    pub(super) grant: BTreeMap<String, Vec<Vec<Types>>>,
    /// The names that an `allow if` or a check reads, through whatever rules.
    pub(super) lets_through: BTreeSet<String>,
    /// The words of statements that could not be read: of these nobody knows who asserts or reads them.
    pub(super) unread: BTreeSet<String>,
    /// Whether it says what an issuer offers, and decides no calls.
    pub(super) is_of_issuer: bool,
    /// From which of Hardtack's columns come all values that rules derive, by name, number of terms and place.
    pub(super) derived: BTreeMap<(String, usize, usize), Vec<Column>>,
}

/// A predicate that the set itself asserts: its facts and rules, as numbers of statements.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) facts: Vec<usize>,
    pub(super) rules: Vec<usize>,
    /// Whether one of its facts has variables, which the loader refuses.
    has_variables: bool,
    /// By the number of terms, the types in each place.
    columns: BTreeMap<usize, Vec<Types>>,
}

impl Set {
    pub(super) fn of(
        statements: Vec<Statement>,
        declared: &[Vec<Span>],
        files: &[(String, String)],
        options: &Options,
    ) -> Set {
        let mut own: BTreeMap<String, Own> = BTreeMap::new();
        for (number, statement) in statements.iter().enumerate() {
            let Some(head) = &statement.head else { continue };
            let entry = own.entry(head.name.clone()).or_default();
            let columns = entry.columns.entry(head.terms.len());
            let columns = columns.or_insert_with(|| vec![Types::NONE; head.terms.len()]);
            match statement.kind {
                Kind::Fact => {
                    for (column, term) in columns.iter_mut().zip(&head.terms) {
                        *column = column.or(Types::of(&term.value));
                    }
                    entry.facts.push(number);
                    entry.has_variables |= head.terms.iter().any(|term| term.variable().is_some());
                }
                _ => entry.rules.push(number),
            }
        }
        let mut grant: BTreeMap<String, Vec<Vec<Types>>> = BTreeMap::new();
        let comments = declared.iter().zip(files).flat_map(|(spans, (_, text))| {
            spans.iter().filter_map(|span| declaration(text.get(span.start..span.end)?))
        });
        let facts = options.grant_facts.iter().filter_map(|fact| fact_of_the_grant(fact));
        for (name, types) in comments.chain(facts) {
            let forms = grant.entry(name).or_default();
            match forms.iter_mut().find(|form| form.len() == types.len()) {
                Some(form) => form.iter_mut().zip(types).for_each(|(old, new)| *old = old.or(new)),
                None => forms.push(types),
            }
        }
        let is_of_issuer = files.iter().any(|(name, _)| Word::is_of_issuer(name));
        if is_of_issuer {
            // What has a column is known by that.
            let asserted =
                Word::asserted_by_issuer().filter(|(name, _)| words::find(name).is_none());
            for (name, types) in asserted {
                let types = types.iter().map(|name| Types::named(name).unwrap_or(Types::ANY));
                grant.insert(name.to_owned(), vec![types.collect()]);
            }
        } else if !own.contains_key("role") {
            grant.entry("role".to_owned()).or_insert_with(|| vec![vec![Types::STRING]]);
        }
        let through = [Kind::Allow, Kind::CheckIf, Kind::CheckAll];
        let lets_through = readers(&statements, &through);
        let mut set = Set {
            statements,
            own,
            grant,
            lets_through,
            unread: BTreeSet::new(),
            is_of_issuer,
            derived: BTreeMap::new(),
        };
        set.spread_types();
        set.derived = set.derived();
        set
    }

    /// Each question that is asked, with its statement: policies, checks and the bodies of rules.
    pub(super) fn queries(&self) -> impl Iterator<Item = (&Statement, &Query)> {
        self.statements.iter().flat_map(|s| s.queries.iter().map(move |query| (s, query)))
    }

    /// Whether a call gets further where the statement holds: an `allow if`, a check, or a rule that one reads.
    pub(super) fn lets_through(&self, statement: &Statement) -> bool {
        match statement.kind {
            Kind::Allow | Kind::CheckIf | Kind::CheckAll => true,
            Kind::Deny | Kind::RejectIf | Kind::Fact => false,
            Kind::Rule => {
                statement.head.as_ref().is_some_and(|head| self.lets_through.contains(&head.name))
            }
        }
    }

    /// The facts of this name that the set itself states.
    pub(super) fn facts(&self, name: &str) -> impl Iterator<Item = (&Statement, &Atom)> {
        let numbers = self.own.get(name).map(|own| own.facts.as_slice()).unwrap_or_default();
        numbers.iter().filter_map(|number| {
            let statement = self.statements.get(*number)?;
            Some((statement, statement.head.as_ref()?))
        })
    }

    pub(super) fn rules(&self, name: &str) -> impl Iterator<Item = &Statement> {
        let numbers = self.own.get(name).map(|own| own.rules.as_slice()).unwrap_or_default();
        numbers.iter().filter_map(|number| self.statements.get(*number))
    }

    /// Whether its facts are all written in the set: no issuer says more of them, and no rule.
    pub(super) fn is_closed(&self, name: &str) -> bool {
        let stated = |own: &Own| own.rules.is_empty() && !own.has_variables;
        let said = self.grant.contains_key(name) || self.unread.contains(name);
        self.own.get(name).is_some_and(stated) && !said
    }

    /// The types that can stand in one place.
    pub(super) fn types(&self, atom: &Atom, index: usize) -> Types {
        let arity = atom.terms.len();
        if let Some(word) = words::find(&atom.name) {
            let fits = word.columns.len() == arity;
            return word.columns.get(index).filter(|_| fits).map_or(Types::ANY, |c| c.types());
        }
        let own = self.own.get(&atom.name).and_then(|own| own.columns.get(&arity)?.get(index));
        let forms = self.grant.get(&atom.name).map(Vec::as_slice).unwrap_or_default();
        let granted = forms.iter().filter(|form| form.len() == arity).filter_map(|f| f.get(index));
        let all = granted.chain(own).fold(Types::NONE, |all, types| all.or(*types));
        if all.is_none() { Types::ANY } else { all }
    }

    /// The numbers of terms that a predicate which is not Hardtack's can have.
    pub(super) fn arities(&self, name: &str) -> BTreeSet<usize> {
        let own = self.own.get(name).into_iter().flat_map(|own| own.columns.keys().copied());
        let granted = self.grant.get(name).into_iter().flatten().map(Vec::len);
        own.chain(granted).collect()
    }

    fn derived(&self) -> BTreeMap<(String, usize, usize), Vec<Column>> {
        let mut found: BTreeMap<_, Vec<Column>> = BTreeMap::new();
        let derived = |name: &&String| {
            self.own.get(*name).is_some_and(|own| own.facts.is_empty())
                && !self.grant.contains_key(*name)
        };
        for name in self.own.keys().filter(derived) {
            let mut unknown = BTreeSet::new();
            for rule in self.rules(name) {
                let (Some(head), Some(body)) = (&rule.head, rule.queries.first()) else { continue };
                let places = places(body);
                for (index, term) in head.terms.iter().enumerate() {
                    let place = (name.clone(), head.terms.len(), index);
                    match term.variable().and_then(|name| places.get(name)) {
                        Some(columns) => found.entry(place).or_default().extend(columns),
                        None => drop(unknown.insert(place)),
                    }
                }
            }
            unknown.iter().for_each(|place| drop(found.remove(place)));
        }
        found
    }

    fn spread_types(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut grown = false;
            let rules = self.statements.iter().filter(|statement| statement.kind == Kind::Rule);
            let mut found = Vec::new();
            for (head, query) in
                rules.filter_map(|rule| Some((rule.head.as_ref()?, rule.queries.first()?)))
            {
                let variables = self.variables(query);
                let types = head.terms.iter().map(|term| match term.variable() {
                    Some(name) => variables.get(name).copied().unwrap_or(Types::ANY),
                    None => Types::of(&term.value),
                });
                found.push((head.name.clone(), types.collect::<Vec<_>>()));
            }
            for (name, types) in found {
                let Some(own) = self.own.get_mut(&name) else { continue };
                let Some(columns) = own.columns.get_mut(&types.len()) else { continue };
                for (column, types) in columns.iter_mut().zip(types) {
                    grown |= column.or(types) != *column;
                    *column = column.or(types);
                }
            }
            if !grown {
                return;
            }
        }
    }

    /// The types of a body's variables, as its predicates have them.
    pub(super) fn variables<'q>(&self, query: &'q Query) -> HashMap<&'q str, Types> {
        let mut found = HashMap::new();
        for atom in &query.atoms {
            for (index, term) in atom.terms.iter().enumerate() {
                let Some(name) = term.variable() else { continue };
                let types = self.types(atom, index);
                let entry = found.entry(name).or_insert(types);
                // Where nothing is left it is reported, and taken for what it was first.
                if entry.meets(types) {
                    *entry = entry.and(types);
                }
            }
        }
        found
    }
}

/// Hardtack's own places at which each variable of a body stands.
pub(super) fn places(query: &Query) -> HashMap<&str, Vec<Column>> {
    let mut found: HashMap<&str, Vec<Column>> = HashMap::new();
    for (atom, index, column) in columns(query) {
        if let Some(name) = atom.terms.get(index).and_then(Term::variable) {
            found.entry(name).or_default().push(column);
        }
    }
    // What is compared with such a variable stands where it does.
    for part in query.conditions.iter().flat_map(Expr::parts) {
        let Some((left, right)) = equality(part) else { continue };
        if let (Some(a), Some(b)) = (left.variable(), right.variable()) {
            let both = [found.get(a), found.get(b)].into_iter().flatten().flatten();
            let both: Vec<Column> = both.copied().collect();
            found.insert(a, both.clone());
            found.insert(b, both);
        }
    }
    found
}

/// Every place of Hardtack's own predicates in a body.
pub(super) fn columns(query: &Query) -> impl Iterator<Item = (&Atom, usize, Column)> {
    query.atoms.iter().flat_map(|atom| {
        let columns = words::find(&atom.name).map(|word| word.columns).unwrap_or_default();
        let fits = columns.len() == atom.terms.len();
        let columns = if fits { columns } else { &[] };
        columns.iter().enumerate().map(move |(index, column)| (atom, index, *column))
    })
}

/// Both sides of `==` or `===`.
pub(super) fn equality(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match &expr.bare().node {
        Node::Binary(Binary::Equal | Binary::HeterogeneousEqual, left, right) => {
            Some((left.bare(), right.bare()))
        }
        _ => None,
    }
}

/// The names that an `allow if` or a check reads, through whatever rules.
pub(super) fn readers(statements: &[Statement], kinds: &[Kind]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut new: Vec<&Statement> = statements.iter().filter(|s| kinds.contains(&s.kind)).collect();
    let mut rules: HashMap<&str, Vec<&Statement>> = Default::default();
    for rule in statements.iter().filter(|statement| statement.kind == Kind::Rule) {
        if let Some(head) = &rule.head {
            rules.entry(&head.name).or_default().push(rule);
        }
    }
    while let Some(statement) = new.pop() {
        for atom in statement.queries.iter().flat_map(|query| &query.atoms) {
            if found.insert(atom.name.clone()) {
                new.extend(rules.get(atom.name.as_str()).into_iter().flatten());
            }
        }
    }
    found
}

/// Sees every expression with its polarity: whether more gets through where it holds. `!` turns that.
pub(super) fn with_polarity<'a>(
    expr: &'a Expr,
    lets_through: bool,
    see: &mut dyn FnMut(&'a Expr, bool),
) {
    see(expr, lets_through);
    match &expr.node {
        Node::Term(_) => {}
        Node::Unary(Unary::Negate, inner) => with_polarity(inner, !lets_through, see),
        Node::Unary(_, inner) | Node::Closure(_, inner) => with_polarity(inner, lets_through, see),
        Node::Binary(_, left, right) => {
            with_polarity(left, lets_through, see);
            with_polarity(right, lets_through, see);
        }
    }
}

/// `// fact: team(string, integer)`
fn declaration(comment: &str) -> Option<(String, Vec<Types>)> {
    let text = comment.strip_prefix("//")?.trim().strip_prefix("fact:")?.trim();
    let (name, rest) = text.split_once('(')?;
    let (types, _) = rest.split_once(')')?;
    let types =
        types.split(',').map(|name| Types::named(name.trim())).collect::<Option<Vec<_>>>()?;
    let name = name.trim();
    hardtack::internal::is_predicate_name(name).then(|| (name.to_owned(), types))
}

/// A fact such as `role("editor")`.
fn fact_of_the_grant(text: &str) -> Option<(String, Vec<Types>)> {
    let mut parts = syntax::read(0, "", text).statements.into_iter();
    let fact = parts.next()?.statement.filter(|fact| fact.kind == Kind::Fact)?;
    let head = fact.head.filter(|_| parts.next().is_none())?;
    let plain = head.terms.iter().all(|term| term.variable().is_none());
    let types = head.terms.iter().map(|term| Types::of(&term.value)).collect();
    plain.then_some((head.name, types))
}
