//! Block: the facts and checks that mint, delegate and present write.
//!
//! Facts say what holds, for Hardtack's own walk; checks enforce the same in every Biscuit verifier.
//! Values go into Datalog as terms and never as text. What reads blocks is [`chain`](crate::chain).

mod content;

use std::collections::BTreeSet;

use biscuit_auth::builder::{
    self, Binary, BlockBuilder, Check, CheckKind, Expression, Fact, Op, Rule, Scope as Trusting,
    Term, Unary, fact, pred, string, var,
};

use crate::cause::Cause;
use crate::keys::PublicKey;
use crate::policy::syntax::{self, Built, TooDeep};
use crate::profile::vocabulary::{is_for_policies, is_predicate_name, is_reserved};
use crate::profile::{MAX_COLLECTION, MAX_OPERATIONS_PER_QUERY, MAX_QUERIES_PER_CHECK};
use crate::scope::{RESERVED_SEGMENT, Scope, ScopeError};
use crate::timestamp::Timestamp;

pub(crate) use content::Defined;

/// The most bytes of Datalog text that is parsed: a check is one line.
const MAX_DATALOG_BYTES: usize = 4096;

/// How deep brackets and negations may nest in Datalog text. The parsers recurse, and 4 kB of `(` overflow
/// their stack.
const MAX_DATALOG_NESTING: usize = 16;

/// Datalog text that cannot go into a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatalogError {
    /// Longer or deeper than is parsed.
    #[error(
        "Datalog text is at most {MAX_DATALOG_BYTES} bytes with brackets at most {MAX_DATALOG_NESTING} deep"
    )]
    TooLarge,
    /// Not one check.
    #[error("this is not one check, such as: check all arg(\"amount\", $a), $a <= 100")]
    NotACheck,
    /// Not one fact.
    #[error("this is not one fact without variables, such as: role(\"editor\")")]
    NotAFact,
    /// A fact whose name Hardtack gives a meaning.
    #[error("`{name}` is reserved: only Hardtack itself asserts it; choose another name")]
    Reserved {
        /// The predicate's name.
        name: String,
    },
    /// A check that reads a word which only policies see.
    #[error(
        "no check in a token sees `{name}`, which servers state for their policies alone; write a lifetime, or a moment, as in: \
         check if time($now), $now < 2026-11-23T18:00:00Z"
    )]
    ForPolicies {
        /// The predicate's name.
        name: String,
    },
    /// An unreplaced `{parameter}`, or a key that is none.
    #[error("this check has a {{parameter}}, or trusts a key that is not a usable ed25519 key")]
    Parameter,
}

impl DatalogError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            DatalogError::TooLarge
            | DatalogError::NotACheck
            | DatalogError::NotAFact
            | DatalogError::Parameter => Cause::MalformedDatalog,
            DatalogError::Reserved { .. } | DatalogError::ForPolicies { .. } => Cause::ReservedName,
        }
    }
}

/// Writes one block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    facts: Vec<Fact>,
    checks: Vec<Check>,
    /// The holder's key in both forms, which costs as much as the rest of the block to read.
    keys: Vec<(PublicKey, biscuit_auth::PublicKey)>,
}

impl Writer {
    pub(crate) fn fact(mut self, name: &str, value: Term) -> Writer {
        self.facts.push(fact(name, &[value]));
        self
    }

    pub(crate) fn text(self, name: &str, value: &str) -> Writer {
        self.fact(name, string(value))
    }

    pub(crate) fn texts<T: AsRef<str>>(self, name: &str, values: &[T]) -> Writer {
        values.iter().fold(self, |writer, value| writer.text(name, value.as_ref()))
    }

    pub(crate) fn custom(mut self, facts: &[Fact]) -> Writer {
        self.facts.extend_from_slice(facts);
        self
    }

    pub(crate) fn check(mut self, check: Check) -> Writer {
        self.checks.push(check);
        self
    }

    pub(crate) fn checks(mut self, checks: &[Check]) -> Writer {
        self.checks.extend_from_slice(checks);
        self
    }

    /// `holder(hex:…)`, and the check that makes the token worthless until that holder signs one
    /// more block.
    pub(crate) fn holder(self, index: usize, holder: Option<PublicKey>) -> Writer {
        let Some(holder) = holder else { return self };
        let mut writer = self.fact("holder", Term::Bytes(holder.to_bytes().to_vec()));
        let Ok(key) = holder.to_biscuit() else { return writer };
        writer.keys.push((holder, key));
        let later = vec![
            Op::Value(var("hop")),
            Op::Value(Term::Integer(index as i64)),
            Op::Binary(Binary::GreaterThan),
        ];
        writer.check(query(CheckKind::One, "hop", later, vec![Trusting::PublicKey(key)]))
    }

    /// The keys that it has read.
    pub(crate) fn keys(&self) -> &[(PublicKey, biscuit_auth::PublicKey)] {
        &self.keys
    }

    pub(crate) fn finish(self) -> BlockBuilder {
        let Writer { facts, checks, .. } = self;
        BlockBuilder { facts, checks, ..BlockBuilder::default() }
    }
}

/// `check all time($time), $time < expires`
pub(crate) fn check_expiry(expires: Timestamp) -> Check {
    let earlier = vec![
        Op::Value(var("time")),
        Op::Value(Term::Date(expires.unix_seconds())),
        Op::Binary(Binary::LessThan),
    ];
    query(CheckKind::All, "time", earlier, vec![])
}

/// `check all operation($operation), …`: some scope covers the operation. Where one query has no room
/// for all scopes, further ones stand behind `or`.
pub(crate) fn check_scopes(scopes: &[Scope]) -> Result<Check, ScopeError> {
    let exact: Vec<Term> = scopes
        .iter()
        .filter(|scope| scope.wildcard_prefix().is_none())
        .map(|scope| string(scope.as_str()))
        .collect();
    let sets = exact
        .chunks(MAX_COLLECTION)
        .map(|set| contains(set.iter().cloned().collect(), "operation"));
    let patterns = scopes.iter().filter_map(Scope::wildcard_prefix).map(covered_by_prefix);
    let mut check = query(CheckKind::All, "operation", Vec::new(), vec![]);
    let mut groups: Vec<Vec<Vec<Op>>> = Vec::new();
    for alternative in sets.chain(patterns) {
        let room = |group: &Vec<Vec<Op>>| {
            let ops = any_of(group.iter().chain([&alternative]).cloned());
            count(&ops) <= MAX_OPERATIONS_PER_QUERY
        };
        match groups.last_mut().filter(|group| room(group)) {
            Some(group) => group.push(alternative),
            None => groups.push(vec![alternative]),
        }
    }
    if groups.len() > MAX_QUERIES_PER_CHECK {
        return Err(ScopeError::TooMany);
    }
    check.queries = groups
        .into_iter()
        .flat_map(|group| {
            query(CheckKind::All, "operation", any_of(group.into_iter()), vec![]).queries
        })
        .collect();
    Ok(check)
}

/// How many operations there are, those inside closures counted.
fn count(ops: &[Op]) -> usize {
    let inside = ops.iter().map(|op| match op {
        Op::Closure(_, inner) => 1 + count(inner),
        _ => 1,
    });
    inside.sum()
}

/// `check all verifier($verifier), {…}.contains($verifier)`
pub(crate) fn check_audiences(audiences: &[String]) -> Check {
    let allowed = audiences.iter().map(|audience| string(audience)).collect();
    query(CheckKind::All, "verifier", contains(allowed, "verifier"), vec![])
}

/// `reject if depth($depth), $depth > max`. A Datalog 3.3 feature, which makes honest libraries sign this and
/// all later blocks with signature version 1.
pub(crate) fn check_depth(max_depth: u8) -> Check {
    let deeper = vec![
        Op::Value(var("depth")),
        Op::Value(Term::Integer(i64::from(max_depth))),
        Op::Binary(Binary::GreaterThan),
    ];
    query(CheckKind::Reject, "depth", deeper, vec![])
}

/// `check all call($call), $call == hex:…`
pub(crate) fn check_call(digest: &[u8; 32]) -> Check {
    let same = vec![
        Op::Value(var("call")),
        Op::Value(Term::Bytes(digest.to_vec())),
        Op::Binary(Binary::HeterogeneousEqual),
    ];
    query(CheckKind::All, "call", same, vec![])
}

/// `check all call($call), {hex:…, …}.contains($call)`
pub(crate) fn check_calls(digests: &[[u8; 32]]) -> Check {
    let allowed = digests.iter().map(|digest| Term::Bytes(digest.to_vec())).collect();
    query(CheckKind::All, "call", contains(allowed, "call"), vec![])
}

/// A query of one predicate, whose variable is called what the predicate is: that word is in the token's
/// table anyway, and any other would cost its bytes in every block.
fn query(kind: CheckKind, predicate: &str, ops: Vec<Op>, scopes: Vec<Trusting>) -> Check {
    let head = pred::<Term>("query", &[]);
    let body = vec![pred(predicate, &[var(predicate)])];
    Check { queries: vec![Rule::new(head, body, vec![Expression { ops }], scopes)], kind }
}

fn contains(set: BTreeSet<Term>, variable: &str) -> Vec<Op> {
    vec![Op::Value(Term::Set(set)), Op::Value(var(variable)), Op::Binary(Binary::Contains)]
}

fn covered_by_prefix(prefix: &str) -> Vec<Op> {
    let starts_with = |prefix: &str| {
        vec![Op::Value(var("operation")), Op::Value(string(prefix)), Op::Binary(Binary::Prefix)]
    };
    if !prefix.is_empty() {
        return starts_with(prefix);
    }
    // `*` alone: anything but the reserved first segment.
    let reserved = vec![
        Op::Value(var("operation")),
        Op::Value(string(RESERVED_SEGMENT)),
        Op::Binary(Binary::HeterogeneousEqual),
    ];
    let mut ops = any_of([starts_with(&format!("{RESERVED_SEGMENT}:")), reserved].into_iter());
    ops.extend([Op::Unary(Unary::Parens), Op::Unary(Unary::Negate)]);
    ops
}

/// `a || b || …`: each later alternative is a closure, looked at only if those before it failed.
fn any_of(alternatives: impl Iterator<Item = Vec<Op>>) -> Vec<Op> {
    alternatives.fold(Vec::new(), |mut ops, alternative| {
        if ops.is_empty() {
            return alternative;
        }
        ops.extend([Op::Closure(Vec::new(), alternative), Op::Binary(Binary::LazyOr)]);
        ops
    })
}

/// Reads one check that a delegator wrote.
pub(crate) fn parse_check(text: &str) -> Result<Check, DatalogError> {
    let Some(Built::Check(check)) = read(text)? else { return Err(DatalogError::NotACheck) };
    let trusted = check.queries.iter().flat_map(|query| &query.scopes);
    for scope in trusted {
        refuse_bad_key(scope)?;
    }
    let read = check.queries.iter().flat_map(|query| &query.body);
    let of_calendar = read.map(|one| one.name.as_str()).find(|name| is_for_policies(name));
    if let Some(name) = of_calendar {
        return Err(DatalogError::ForPolicies { name: name.to_owned() });
    }
    let check = builder::Check::from(check);
    check.validate_parameters().map_err(|_| DatalogError::Parameter)?;
    Ok(check)
}

/// Reads one fact about a subject.
pub(crate) fn parse_fact(text: &str) -> Result<Fact, DatalogError> {
    let Some(Built::Fact(fact)) = read(text)? else { return Err(DatalogError::NotAFact) };
    let fact = Fact::from(fact);
    fact.validate().map_err(|_| DatalogError::NotAFact)?;
    allowed(fact)
}

/// A fact about a subject from its terms.
pub(crate) fn custom_fact(name: &str, terms: &[Term]) -> Result<Fact, DatalogError> {
    match terms.is_empty() {
        true => Err(DatalogError::NotAFact),
        false => allowed(fact(name, terms)),
    }
}

/// The fact, unless Hardtack gives its name a meaning.
fn allowed(fact: Fact) -> Result<Fact, DatalogError> {
    let name = fact.predicate.name.as_str();
    if is_reserved(name) {
        return Err(DatalogError::Reserved { name: name.to_owned() });
    }
    if is_predicate_name(name) { Ok(fact) } else { Err(DatalogError::NotAFact) }
}

/// A key that is none would make Biscuit's conversion panic.
pub(crate) fn refuse_bad_key(scope: &biscuit_parser::builder::Scope) -> Result<(), DatalogError> {
    use biscuit_parser::builder::{Algorithm, Scope};
    match scope {
        Scope::PublicKey(key) if matches!(key.algorithm, Algorithm::Ed25519) => {
            let bytes: Option<&[u8; 32]> = key.key.as_slice().try_into().ok();
            let usable = bytes.is_some_and(|bytes| PublicKey::from_bytes(bytes).is_ok());
            usable.then_some(()).ok_or(DatalogError::Parameter)
        }
        Scope::PublicKey(_) | Scope::Parameter(_) => Err(DatalogError::Parameter),
        Scope::Authority | Scope::Previous => Ok(()),
    }
}

/// Reads one statement. The bounds are for the parsers, which recurse.
fn read(text: &str) -> Result<Option<Built>, DatalogError> {
    let text = text.trim().trim_end_matches(';');
    if text.len() > MAX_DATALOG_BYTES {
        return Err(DatalogError::TooLarge);
    }
    syntax::read_one(text, MAX_DATALOG_NESTING).map_err(|TooDeep| DatalogError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_checks_read_as_the_profile_writes_them() {
        let scopes: Vec<Scope> =
            ["tools:call:*", "resources:read"].iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(
            check_scopes(&scopes).unwrap().to_string(),
            r#"check all operation($operation), {"resources:read"}.contains($operation) || $operation.starts_with("tools:call:")"#
        );
        assert_eq!(
            check_scopes(&["*".parse().unwrap()]).unwrap().to_string(),
            r#"check all operation($operation), !($operation.starts_with("hardtack:") || $operation == "hardtack")"#
        );
        assert_eq!(
            check_expiry(Timestamp::from_unix_seconds(1_795_428_000)).to_string(),
            "check all time($time), $time < 2026-11-23T10:00:00Z"
        );
        assert_eq!(check_depth(8).to_string(), "reject if depth($depth), $depth > 8");
    }

    #[test]
    fn a_check_is_parsed_only_if_it_is_bounded() {
        parse_check(r#"check all arg("amount", $a), $a <= 100"#).unwrap();
        let deep = format!("check if {}true{}", "(".repeat(2000), ")".repeat(2000));
        assert_eq!(parse_check(&deep), Err(DatalogError::TooLarge));
        let negated = format!("check if {}true", "!".repeat(3000));
        assert_eq!(parse_check(&negated), Err(DatalogError::TooLarge));
        let hidden = format!("check if {}1", "[\")\",".repeat(600));
        assert_eq!(parse_check(&hidden), Err(DatalogError::TooLarge));
        let escaped = format!("check if {}1", "[\"\\\")\",".repeat(500));
        assert_eq!(parse_check(&escaped), Err(DatalogError::TooLarge));
        let chained = format!("check if {}1", "!1 + ".repeat(500));
        assert_eq!(parse_check(&chained), Err(DatalogError::TooLarge));
        assert_eq!(parse_check("check if \u{430}(1)"), Err(DatalogError::NotACheck));
        assert_eq!(parse_check("allow if true"), Err(DatalogError::NotACheck));
        assert_eq!(parse_check("check if x({p})"), Err(DatalogError::Parameter));
        assert_eq!(
            parse_check("check if x(1) trusting ed25519/abcd"),
            Err(DatalogError::Parameter)
        );
    }

    #[test]
    fn a_fact_about_a_subject_may_not_say_what_hardtack_says() {
        parse_fact(r#"role("editor")"#).unwrap();
        assert!(matches!(parse_fact(r#"scope("*")"#), Err(DatalogError::Reserved { .. })));
        assert!(matches!(parse_fact(r#"granted("x")"#), Err(DatalogError::Reserved { .. })));
        assert!(matches!(parse_fact("grant_age(1)"), Err(DatalogError::Reserved { .. })));
        for text in
            [r#"reject if weekday("UTC", 7)"#, "check if depth(1) or grant_age($a), $a < 60"]
        {
            let refused = parse_check(text);
            assert!(matches!(refused, Err(DatalogError::ForPolicies { .. })), "{text}");
        }
        assert_eq!(parse_fact("role($x)"), Err(DatalogError::NotAFact));
    }
}
