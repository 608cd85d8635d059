//! Reading: a block's facts and checks as Biscuit's engine has them, and in its Datalog version.
//!
//! What comes of it, and what is refused, is what Biscuit's own reading of the block says; a test holds the two against each other.
//! That one makes every list with room for four, and reads words and keys once more. These are kept for long, so each list
//! has room for what is in it.

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{
    Binary, Check, Expression, Fact, Op, Predicate, Rule, Unary, get_schema_version,
};
use biscuit_auth::format::convert::{proto_id_to_token_term, proto_scope_to_token_scope};
use biscuit_auth::format::schema;

/// The versions of Datalog that Biscuit's library reads: from 3.0 to 3.3.
const VERSIONS: std::ops::RangeInclusive<u32> = 3..=DATALOG_3_3;

/// The version that brought kinds of checks and trusted origins, and the one that brought `reject if`.
const DATALOG_3_1: u32 = 4;
const DATALOG_3_3: u32 = 6;

/// A block that Biscuit does not read. Which part of it, the profile does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads one fact.
pub(crate) fn fact(fact: &schema::Fact) -> Result<Fact, Unreadable> {
    Ok(Fact { predicate: predicate(&fact.predicate)? })
}

/// Reads a block's checks. `facts` are the same block's: it may not use what its version of Datalog has not.
pub(crate) fn checks(content: &schema::Block, facts: &[Fact]) -> Result<Vec<Check>, Unreadable> {
    let version = content.version.unwrap_or(0);
    if !VERSIONS.contains(&version) {
        return Err(Unreadable);
    }
    let checks = all(&content.checks, |written| check(written, version))?;
    let used = get_schema_version(facts, &[], &checks, &[]);
    used.check_compatibility(version).map_err(|_| Unreadable)?;
    Ok(checks)
}

/// What is read of each, in a list that has no more room than that.
fn all<'a, T, U>(
    written: &'a [T],
    read: impl Fn(&'a T) -> Result<U, Unreadable>,
) -> Result<Vec<U>, Unreadable> {
    let mut all = Vec::with_capacity(written.len());
    for one in written {
        all.push(read(one)?);
    }
    Ok(all)
}

fn check(check: &schema::Check, version: u32) -> Result<Check, Unreadable> {
    let kind = match check.kind {
        None => CheckKind::One,
        Some(_) if version < DATALOG_3_1 => return Err(Unreadable),
        Some(0) => CheckKind::One,
        Some(1) => CheckKind::All,
        Some(2) if version >= DATALOG_3_3 => CheckKind::Reject,
        Some(_) => return Err(Unreadable),
    };
    Ok(Check { queries: all(&check.queries, |query| rule(query, version))?, kind })
}

fn rule(rule: &schema::Rule, version: u32) -> Result<Rule, Unreadable> {
    if version < DATALOG_3_1 && !rule.scope.is_empty() {
        return Err(Unreadable);
    }
    let scope = |scope| proto_scope_to_token_scope(scope).map_err(|_| Unreadable);
    Ok(Rule {
        head: predicate(&rule.head)?,
        body: all(&rule.body, predicate)?,
        expressions: all(&rule.expressions, |one| Ok(Expression { ops: all(&one.ops, op)? }))?,
        scopes: all(&rule.scope, scope)?,
    })
}

fn predicate(predicate: &schema::Predicate) -> Result<Predicate, Unreadable> {
    let term = |term| proto_id_to_token_term(term).map_err(|_| Unreadable);
    Ok(Predicate { name: predicate.name, terms: all(&predicate.terms, term)? })
}

fn op(op: &schema::Op) -> Result<Op, Unreadable> {
    use schema::op::Content;
    match op.content.as_ref().ok_or(Unreadable)? {
        Content::Value(term) => {
            Ok(Op::Value(proto_id_to_token_term(term).map_err(|_| Unreadable)?))
        }
        Content::Unary(one) => Ok(Op::Unary(unary(one)?)),
        Content::Binary(one) => Ok(Op::Binary(binary(one)?)),
        Content::Closure(closure) => {
            Ok(Op::Closure(closure.params.clone(), all(&closure.ops, self::op)?))
        }
    }
}

fn unary(unary: &schema::OpUnary) -> Result<Unary, Unreadable> {
    use schema::op_unary::Kind;
    let kind = Kind::from_i32(unary.kind).ok_or(Unreadable)?;
    match (kind, unary.ffi_name) {
        (Kind::Negate, None) => Ok(Unary::Negate),
        (Kind::Parens, None) => Ok(Unary::Parens),
        (Kind::Length, None) => Ok(Unary::Length),
        (Kind::TypeOf, None) => Ok(Unary::TypeOf),
        (Kind::Ffi, Some(name)) => Ok(Unary::Ffi(name)),
        (Kind::Ffi, None) | (_, Some(_)) => Err(Unreadable),
    }
}

fn binary(binary: &schema::OpBinary) -> Result<Binary, Unreadable> {
    use schema::op_binary::Kind;
    let kind = Kind::from_i32(binary.kind).ok_or(Unreadable)?;
    match (kind, binary.ffi_name) {
        (Kind::Ffi, Some(name)) => return Ok(Binary::Ffi(name)),
        (Kind::Ffi, None) | (_, Some(_)) => return Err(Unreadable),
        _ => {}
    }
    Ok(match kind {
        Kind::LessThan => Binary::LessThan,
        Kind::GreaterThan => Binary::GreaterThan,
        Kind::LessOrEqual => Binary::LessOrEqual,
        Kind::GreaterOrEqual => Binary::GreaterOrEqual,
        Kind::Equal => Binary::Equal,
        Kind::Contains => Binary::Contains,
        Kind::Prefix => Binary::Prefix,
        Kind::Suffix => Binary::Suffix,
        Kind::Regex => Binary::Regex,
        Kind::Add => Binary::Add,
        Kind::Sub => Binary::Sub,
        Kind::Mul => Binary::Mul,
        Kind::Div => Binary::Div,
        Kind::And => Binary::And,
        Kind::Or => Binary::Or,
        Kind::Intersection => Binary::Intersection,
        Kind::Union => Binary::Union,
        Kind::BitwiseAnd => Binary::BitwiseAnd,
        Kind::BitwiseOr => Binary::BitwiseOr,
        Kind::BitwiseXor => Binary::BitwiseXor,
        Kind::NotEqual => Binary::NotEqual,
        Kind::HeterogeneousEqual => Binary::HeterogeneousEqual,
        Kind::HeterogeneousNotEqual => Binary::HeterogeneousNotEqual,
        Kind::LazyAnd => Binary::LazyAnd,
        Kind::LazyOr => Binary::LazyOr,
        Kind::All => Binary::All,
        Kind::Any => Binary::Any,
        Kind::Get => Binary::Get,
        Kind::TryOr => Binary::TryOr,
        Kind::Ffi => return Err(Unreadable),
    })
}

#[cfg(test)]
mod tests;
