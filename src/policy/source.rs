//! Source: policy text to statements, each with its file and line, or the reason why not. (Parsing, and static checks
//! of the syntax tree.)

use std::collections::BTreeSet;
use std::fmt;

use biscuit_auth::builder;
use biscuit_parser::builder as ast;
use biscuit_parser::parser::{self, SourceResult};

use crate::block::nesting;
use crate::cause::Cause;
use crate::function::Function;
use crate::names;
use crate::policy::problem::Problem;
use crate::profile::vocabulary::{find, is_reserved};

/// How deep brackets may nest in a policy. The parser recurses.
const MAX_NESTING: usize = 64;

/// The most bytes in a statement: a chain of operators makes the parser recurse as deep as it is long.
const MAX_STATEMENT_BYTES: usize = 4096;

/// The place of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name of the file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The error of a statement that is refused, and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct SourceError {
    /// The place of the statement.
    pub at: Location,
    /// The reason of the refusal, in words.
    pub problem: String,
}

impl SourceError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedPolicy
    }
}

/// The statements of one file.
#[derive(Debug)]
pub struct Statements {
    pub(crate) facts: Vec<(Location, builder::Fact)>,
    pub(crate) rules: Vec<(Location, builder::Rule)>,
    pub(crate) checks: Vec<(Location, builder::Check)>,
    pub(crate) policies: Vec<(Location, builder::Policy)>,
}

/// Reads a file's text. Its statements are judged as they were parsed, before any is built: Biscuit's
/// own conversion panics on some of what it parses.
pub fn read(file: &str, text: &str) -> Result<Statements, SourceError> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
    let source = Source { file, text, ends: ends.collect() };
    if let Some(problem) = unfit(text) {
        return Err(source.wrong(0, &problem));
    }
    let parsed = parser::parse_source(text).map_err(|errors| source.unreadable(&errors))?;
    if is_empty(&parsed) {
        return Err(source.wrong(0, &Problem::Empty));
    }
    if let Some((at, problem)) = problems(&parsed).first() {
        return Err(source.error(at, problem));
    }
    Ok(Statements {
        facts: parsed
            .facts
            .into_iter()
            .map(|(at, fact)| (source.locate(at), fact.into()))
            .collect(),
        rules: parsed
            .rules
            .into_iter()
            .map(|(at, rule)| (source.locate(at), rule.into()))
            .collect(),
        checks: parsed
            .checks
            .into_iter()
            .map(|(at, check)| (source.locate(at), check.into()))
            .collect(),
        policies: parsed
            .policies
            .into_iter()
            .map(|(at, policy)| (source.locate(at), policy.into()))
            .collect(),
    })
}

/// Returns the problem for which the parser should not see this text, if there is one.
pub fn unfit(text: &str) -> Option<Problem> {
    // Comments are measured with the statements: an apostrophe in one hides nothing, a quotation mark must
    // be closed.
    let measured = nesting(&without_comments(text));
    if measured.deepest > MAX_NESTING {
        return Some(Problem::TooDeep { most: MAX_NESTING });
    }
    let too_long = measured.longest_statement > MAX_STATEMENT_BYTES;
    too_long.then_some(Problem::TooLong { most: MAX_STATEMENT_BYTES })
}

pub(crate) fn is_empty(parsed: &SourceResult<'_>) -> bool {
    parsed.facts.is_empty()
        && parsed.rules.is_empty()
        && parsed.checks.is_empty()
        && parsed.policies.is_empty()
}

/// Returns all that is wrong with what was parsed, each with the statement in which it is.
pub fn problems<'a>(parsed: &SourceResult<'a>) -> Vec<(&'a str, Problem)> {
    let mut judge = Judge::default();
    for (at, fact) in &parsed.facts {
        judge.at = at;
        judge.fact(fact);
    }
    for (at, rule) in &parsed.rules {
        judge.at = at;
        judge.asserts(&rule.head);
        judge.query(rule);
    }
    for (at, check) in &parsed.checks {
        judge.at = at;
        check.queries.iter().for_each(|query| judge.query(query));
    }
    for (at, policy) in &parsed.policies {
        judge.at = at;
        policy.queries.iter().for_each(|query| judge.query(query));
    }
    judge.found
}

/// The text with whole-line comments blanked, which is where policies have them; anything else is measured
/// as it stands.
fn without_comments(text: &str) -> String {
    let blank = |line: &str| {
        if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
    };
    text.lines().map(|line| blank(line) + "\n").collect()
}

/// Judges one statement after the other.
#[derive(Default)]
struct Judge<'a> {
    at: &'a str,
    found: Vec<(&'a str, Problem)>,
}

impl Judge<'_> {
    fn fact(&mut self, fact: &ast::Fact) {
        self.asserts(&fact.predicate);
        let terms = &fact.predicate.terms;
        if terms.iter().any(has_variable) {
            self.finds(Problem::VariableInFact);
        }
        self.parameters(terms.iter());
    }

    fn query(&mut self, query: &ast::Rule) {
        query.body.iter().for_each(|predicate| self.reads(predicate));
        if !query.scopes.is_empty() {
            self.finds(Problem::Trusting);
        }
        let bound: BTreeSet<&String> =
            query.body.iter().flat_map(|predicate| &predicate.terms).filter_map(variable).collect();
        for expression in &query.expressions {
            self.operations(&expression.ops, &bound);
        }
        let body = query.body.iter().flat_map(|predicate| &predicate.terms);
        self.parameters(query.head.terms.iter().chain(body));
    }

    /// Nobody but Hardtack says what its predicates say.
    fn asserts(&mut self, predicate: &ast::Predicate) {
        if is_reserved(&predicate.name) {
            self.finds(Problem::Reserved { name: predicate.name.clone() });
        }
    }

    /// Of the token's own facts, policies read only those that are the same for the whole chain.
    fn reads(&mut self, predicate: &ast::Predicate) {
        let name = predicate.name.as_str();
        if find(name).is_some_and(|word| !word.readable) {
            self.finds(Problem::ReadsGrant { name: name.to_owned() });
        }
    }

    fn operations(&mut self, ops: &[ast::Op], bound: &BTreeSet<&String>) {
        for (index, op) in ops.iter().enumerate() {
            match op {
                ast::Op::Value(term) => {
                    if let Some(name) = variable(term).filter(|name| !bound.contains(name)) {
                        self.finds(Problem::Unbound { name: name.clone() });
                    }
                    self.parameters(std::iter::once(term));
                }
                ast::Op::Unary(ast::Unary::Ffi(name)) => {
                    self.finds(Problem::External { name: name.clone() });
                }
                ast::Op::Binary(ast::Binary::Ffi(name)) => {
                    self.function(name, index.checked_sub(1).and_then(|before| ops.get(before)));
                }
                ast::Op::Binary(ast::Binary::Regex) => {
                    self.regex(index.checked_sub(1).and_then(|before| ops.get(before)));
                }
                ast::Op::Closure(names, inner) => {
                    let bound = bound.iter().copied().chain(names).collect();
                    self.operations(inner, &bound);
                }
                ast::Op::Unary(_) | ast::Op::Binary(_) => {}
            }
        }
    }

    /// What a function compares with is written out, so that it can be tried when it is loaded.
    fn function(&mut self, name: &str, operand: Option<&ast::Op>) {
        let name = name.to_owned();
        let Some(function) = Function::named(&name) else {
            return self.finds(Problem::External { name });
        };
        let Some(ast::Op::Value(ast::Term::Str(operand))) = operand else {
            return self.finds(Problem::OperandNotWritten { name });
        };
        if let Err(error) = function.check_operand(operand) {
            let (operand, why) = (operand.clone(), error.to_string());
            self.finds(Problem::BadOperand { name, operand, why });
        }
    }

    /// Biscuit takes a pattern that does not compile to match nothing, so that a `deny` with a typing
    /// error would deny nothing.
    fn regex(&mut self, pattern: Option<&ast::Op>) {
        let Some(ast::Op::Value(ast::Term::Str(pattern))) = pattern else {
            return self.finds(Problem::PatternNotWritten);
        };
        if regex::Regex::new(pattern).is_err() {
            self.finds(Problem::NoRegex { pattern: pattern.clone() });
        }
    }

    fn parameters<'t>(&mut self, mut terms: impl Iterator<Item = &'t ast::Term>) {
        if terms.any(has_parameter) {
            self.finds(Problem::Parameter);
        }
    }

    fn finds(&mut self, problem: Problem) {
        self.found.push((self.at, problem));
    }
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// Where its lines end.
    ends: Vec<usize>,
}

impl Source<'_> {
    fn unreadable(&self, errors: &[parser::Error<'_>]) -> SourceError {
        match errors.first() {
            Some(error) => {
                self.error(error.input, &Problem::Unreadable { hint: error.message.clone() })
            }
            None => self.wrong(0, &Problem::Unreadable { hint: None }),
        }
    }

    fn error(&self, at: &str, problem: &Problem) -> SourceError {
        SourceError { at: self.locate(at), problem: names::escaped(problem) }
    }

    fn wrong(&self, offset: usize, problem: &Problem) -> SourceError {
        SourceError { at: self.line_of(offset), problem: problem.to_string() }
    }

    /// The line of a part of the text, past the space before it.
    fn locate(&self, part: &str) -> Location {
        let trimmed = part.trim_start();
        let offset = (trimmed.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        self.line_of(offset.min(self.text.len()))
    }

    fn line_of(&self, offset: usize) -> Location {
        let line = 1 + self.ends.partition_point(|end| *end < offset);
        Location { file: self.file.to_owned(), line }
    }
}

fn variable(term: &ast::Term) -> Option<&String> {
    match term {
        ast::Term::Variable(name) => Some(name),
        _ => None,
    }
}

fn has_variable(term: &ast::Term) -> bool {
    any_term(term, &|term| matches!(term, ast::Term::Variable(_)))
}

fn has_parameter(term: &ast::Term) -> bool {
    any_term(term, &|term| matches!(term, ast::Term::Parameter(_)))
}

fn any_term(term: &ast::Term, is: &dyn Fn(&ast::Term) -> bool) -> bool {
    let inside = match term {
        ast::Term::Set(terms) => terms.iter().any(|term| any_term(term, is)),
        ast::Term::Array(terms) => terms.iter().any(|term| any_term(term, is)),
        ast::Term::Map(entries) => entries
            .iter()
            .any(|(key, value)| matches!(key, ast::MapKey::Parameter(_)) || any_term(value, is)),
        _ => false,
    };
    inside || is(term)
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, PolicyError};

    fn problem(text: &str) -> String {
        match Policy::parse("p.datalog", text) {
            Err(PolicyError::Source(error)) => error.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn reserved_words_are_refused_with_file_and_line() {
        let text = "allow if granted($op);\n\n// a comment\ngranted(\"tools:call:pay\");\n";
        assert!(
            problem(text).starts_with("p.datalog:4: `granted` is reserved"),
            "{}",
            problem(text)
        );
        let rule = "allow if granted($op);\nhop($n) <- depth($n);";
        assert!(problem(rule).starts_with("p.datalog:2: `hop` is reserved"), "{}", problem(rule));
    }

    #[test]
    fn the_grants_own_words_cannot_be_read() {
        for text in [
            "allow if scope(\"*\");",
            "deny if reason($r);",
            "check if delegate($d);",
            "x($s) <- scope($s);",
        ] {
            assert!(problem(text).contains("the grant's words"), "{text}");
        }
        Policy::parse("p.datalog", r#"allow if subject("user:alice"), issued($t);"#).unwrap();
    }

    #[test]
    fn what_biscuit_accepts_or_dies_of_is_refused() {
        for (text, expected) in [
            ("allow if true trusting ed25519/abcd;", "`trusting` has no use"),
            ("allow if granted($op) trusting previous;", "`trusting` has no use"),
            ("allow if $x > 1;", "$x is compared"),
            ("allow if granted($op), $x > 1;", "$x is compared"),
            ("allow if granted({op});", "{parameter}"),
            ("role([{b}]); allow if true;", "{parameter}"),
            ("allow if granted($op), $op.matches(\"(\");", "no regular expression"),
            ("allow if granted($op), $op.matches($op);", "must be written out"),
            ("allow if granted($op), $op.extern::f();", "external function"),
            ("", "says nothing"),
            ("// nothing\n", "says nothing"),
            ("allow granted($op);", "this is no fact"),
        ] {
            assert!(problem(text).contains(expected), "{text}: {}", problem(text));
        }
        let deep = format!("allow if {}true{};", "(".repeat(4000), ")".repeat(4000));
        assert!(problem(&deep).contains("brackets"));
        let hidden = format!("x({}1);", "[\")\",".repeat(30_000));
        assert!(problem(&hidden).contains("brackets"));
        let chain = format!("allow if {}true;", "true || ".repeat(30_000));
        assert!(problem(&chain).contains("4096 bytes"));
    }

    #[test]
    fn a_set_that_allows_nothing_is_refused() {
        let error = Policy::parse("p.datalog", "deny if depth($d), $d > 3;").unwrap_err();
        assert!(matches!(error, PolicyError::AllowsNothing));
    }
}
