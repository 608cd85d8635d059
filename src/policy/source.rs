//! Source: policy text to statements, each with its file and line, or the reason why not.

use std::collections::BTreeSet;
use std::fmt;

use biscuit_auth::builder;
use biscuit_parser::builder as ast;
use biscuit_parser::parser;

use crate::block::nesting;
use crate::names;
use crate::profile::vocabulary::{READABLE_TOKEN_PREDICATES, TOKEN_PREDICATES, is_reserved};

/// How deep brackets may nest in a policy. The parser recurses.
const MAX_NESTING: usize = 64;

/// The most bytes in a statement: a chain of operators makes the parser recurse as deep as it is long.
const MAX_STATEMENT_BYTES: usize = 4096;

/// Where a statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A statement that is refused, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct SourceError {
    /// Where.
    pub at: Location,
    /// Why.
    pub problem: String,
}

/// The statements of one file.
pub(crate) struct Statements {
    pub(crate) facts: Vec<builder::Fact>,
    pub(crate) rules: Vec<builder::Rule>,
    pub(crate) checks: Vec<(Location, builder::Check)>,
    pub(crate) policies: Vec<(Location, builder::Policy)>,
}

/// Reads a file's text. Its statements are judged as they were parsed, before any is built: Biscuit's
/// own conversion panics on some of what it parses.
pub(crate) fn read(file: &str, text: &str) -> Result<Statements, SourceError> {
    let source = Source { file, text };
    // Comments are measured with the statements: an apostrophe in one hides nothing, a quotation mark must
    // be closed.
    let measured = nesting(&without_comments(text));
    if measured.deepest > MAX_NESTING {
        return Err(source.wrong(0, format!("brackets stand more than {MAX_NESTING} deep")));
    }
    if measured.longest_statement > MAX_STATEMENT_BYTES {
        return Err(source.wrong(
            0,
            format!("a statement has more than {MAX_STATEMENT_BYTES} bytes; split it into several"),
        ));
    }
    let parsed = parser::parse_source(text).map_err(|errors| source.unreadable(&errors))?;
    if parsed.facts.is_empty()
        && parsed.rules.is_empty()
        && parsed.checks.is_empty()
        && parsed.policies.is_empty()
    {
        return Err(source
            .wrong(0, "the file says nothing; write an `allow if` or `deny if`, or delete it"));
    }
    for (at, fact) in &parsed.facts {
        source.fact(at, fact)?;
    }
    for (at, rule) in &parsed.rules {
        source.asserts(at, &rule.head)?;
        source.query(at, rule)?;
    }
    for (at, check) in &parsed.checks {
        check.queries.iter().try_for_each(|query| source.query(at, query))?;
    }
    for (at, policy) in &parsed.policies {
        policy.queries.iter().try_for_each(|query| source.query(at, query))?;
    }
    Ok(Statements {
        facts: parsed.facts.into_iter().map(|(_, fact)| fact.into()).collect(),
        rules: parsed.rules.into_iter().map(|(_, rule)| rule.into()).collect(),
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

/// The text with whole-line comments blanked, which is where policies have them; anything else is measured
/// as it stands.
fn without_comments(text: &str) -> String {
    let blank = |line: &str| {
        if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
    };
    text.lines().map(|line| blank(line) + "\n").collect()
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn fact(&self, at: &str, fact: &ast::Fact) -> Result<(), SourceError> {
        self.asserts(at, &fact.predicate)?;
        let terms = &fact.predicate.terms;
        if terms.iter().any(has_variable) {
            return Err(
                self.error(at, "a fact has no variables; a rule (`head($x) <- body($x)`) does")
            );
        }
        self.parameters(at, terms.iter())
    }

    fn query(&self, at: &str, query: &ast::Rule) -> Result<(), SourceError> {
        query.body.iter().try_for_each(|predicate| self.reads(at, predicate))?;
        if !query.scopes.is_empty() {
            return Err(self.error(at, "`trusting` has no use in a policy: the facts of hops are not there to be read; use delegated($k, $by, $to) or agent($name)"));
        }
        let bound: BTreeSet<&String> =
            query.body.iter().flat_map(|predicate| &predicate.terms).filter_map(variable).collect();
        for expression in &query.expressions {
            self.operations(at, &expression.ops, &bound)?;
        }
        let body = query.body.iter().flat_map(|predicate| &predicate.terms);
        self.parameters(at, query.head.terms.iter().chain(body))
    }

    /// Nobody but Hardtack says what its predicates say.
    fn asserts(&self, at: &str, predicate: &ast::Predicate) -> Result<(), SourceError> {
        match is_reserved(&predicate.name) {
            true => Err(self.error(
                at,
                format!(
                    "`{}` is reserved: only Hardtack itself asserts it; choose another name",
                    predicate.name
                ),
            )),
            false => Ok(()),
        }
    }

    /// Of the token's own facts, policies read only those that are the same for the whole chain.
    fn reads(&self, at: &str, predicate: &ast::Predicate) -> Result<(), SourceError> {
        let name = predicate.name.as_str();
        match TOKEN_PREDICATES.contains(&name) && !READABLE_TOKEN_PREDICATES.contains(&name) {
            true => Err(self.error(at, format!("`{name}` would show the grant's words and not the chain's; see the words in policies/README.md, such as granted($op) or delegated($k, $by, $to)"))),
            false => Ok(()),
        }
    }

    fn operations(
        &self,
        at: &str,
        ops: &[ast::Op],
        bound: &BTreeSet<&String>,
    ) -> Result<(), SourceError> {
        for (index, op) in ops.iter().enumerate() {
            match op {
                ast::Op::Value(term) => {
                    if let Some(name) = variable(term).filter(|name| !bound.contains(name)) {
                        return Err(self.error(
                            at,
                            format!("${name} is compared but no predicate gives it a value"),
                        ));
                    }
                    self.parameters(at, std::iter::once(term))?;
                }
                ast::Op::Unary(ast::Unary::Ffi(name)) | ast::Op::Binary(ast::Binary::Ffi(name)) => {
                    return Err(self.error(at, format!("there is no external function `{name}`")));
                }
                ast::Op::Binary(ast::Binary::Regex) => {
                    self.regex(at, index.checked_sub(1).and_then(|before| ops.get(before)))?
                }
                ast::Op::Closure(names, inner) => {
                    let bound = bound.iter().copied().chain(names).collect();
                    self.operations(at, inner, &bound)?;
                }
                ast::Op::Unary(_) | ast::Op::Binary(_) => {}
            }
        }
        Ok(())
    }

    /// Biscuit takes a pattern that does not compile to match nothing, so that a `deny` with a typing
    /// error would deny nothing.
    fn regex(&self, at: &str, pattern: Option<&ast::Op>) -> Result<(), SourceError> {
        let Some(ast::Op::Value(ast::Term::Str(pattern))) = pattern else {
            return Err(self.error(at, "a pattern for .matches() must be written out, so that it can be tried when it is loaded"));
        };
        match regex::Regex::new(pattern) {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(self
                    .error(at, format!("`{}` is no regular expression", pattern.escape_debug())))
            }
        }
    }

    fn parameters<'t>(
        &self,
        at: &str,
        mut terms: impl Iterator<Item = &'t ast::Term>,
    ) -> Result<(), SourceError> {
        match terms.any(has_parameter) {
            true => Err(self.error(at, "a {parameter} has no value here; write the value")),
            false => Ok(()),
        }
    }

    fn unreadable(&self, errors: &[parser::Error<'_>]) -> SourceError {
        let Some(error) = errors.first() else { return self.wrong(0, "cannot be read") };
        let hint = error.message.as_deref().map(|message| format!(": {}", message.escape_debug()));
        self.error(
            error.input,
            format!(
                "this is no fact, rule, check, `allow if` or `deny if`, or its `;` is missing{}",
                hint.unwrap_or_default()
            ),
        )
    }

    fn error(&self, at: &str, problem: impl Into<String>) -> SourceError {
        SourceError { at: self.locate(at), problem: names::escaped(&problem.into()) }
    }

    fn wrong(&self, offset: usize, problem: impl Into<String>) -> SourceError {
        SourceError { at: self.line_of(offset), problem: problem.into() }
    }

    /// The line of a part of the text, past the space before it.
    fn locate(&self, part: &str) -> Location {
        let trimmed = part.trim_start();
        let offset = (trimmed.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        self.line_of(offset.min(self.text.len()))
    }

    fn line_of(&self, offset: usize) -> Location {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
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
