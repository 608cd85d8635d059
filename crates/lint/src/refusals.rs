//! Refusals: what the loader refuses, statement by statement, each with how to mend it.

use std::collections::BTreeSet;

use biscuit_parser::builder::{Algorithm, Scope};

use crate::likely::likely;
use crate::near;
use crate::{Code, Findings, words};
use hardtack::internal::Function;
use hardtack::internal::Problem;
use hardtack::internal::syntax::{self, Part, Span, Statement};
use hardtack::names;

/// The statements of a file, as far as they can be read; the rest is reported.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) statements: Vec<Statement>,
    pub(super) comments: Vec<Span>,
    /// How many statements are policies or checks, whether they could be read or not.
    pub(super) policies: usize,
    /// The words of what could not be read: what it may allow, assert or read.
    pub(super) unread: BTreeSet<String>,
}

pub(super) fn read(file: usize, name: &str, text: &str, findings: &mut Findings) -> Read {
    let source = syntax::read(file, name, text);
    let mut found = Read { comments: source.comments, ..Read::default() };
    for (span, problem) in source.flaws {
        findings.add(code(&problem), file, span, problem.to_string(), mend(&problem, ""));
    }
    for part in source.statements {
        let written = text.get(part.span.start..part.span.end).unwrap_or_default();
        found.policies += usize::from(is_policy(written));
        for (span, problem) in &part.problems {
            let (message, mend) = said(text, &part, *span, problem);
            findings.add(code(problem), file, *span, message, mend);
        }
        part.statement.iter().for_each(|statement| keys_of_scopes(statement, findings));
        // A policy that Biscuit's parser does not read says nothing sure; of a fact or rule its name does.
        let is_unread = |(_, problem): &(Span, Problem)| {
            matches!(problem, Problem::Unreadable { .. } | Problem::ReadDifferently)
        };
        let is_sure =
            |statement: &&Statement| !statement.asks() || !part.problems.iter().any(is_unread);
        match part.statement.as_ref().filter(is_sure) {
            Some(statement) => found.statements.push(statement.clone()),
            None => found.unread.extend(words_of(written)),
        }
    }
    found
}

fn words_of(part: &str) -> impl Iterator<Item = String> {
    let words = part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

fn is_policy(part: &str) -> bool {
    let start = part.trim_start().to_ascii_lowercase();
    ["allow", "deny", "check", "reject"].iter().any(|word| start.starts_with(word))
}

/// A problem in words, and how to mend it; of what cannot be read, the likeliest reason.
fn said(text: &str, part: &Part, span: Span, problem: &Problem) -> (String, String) {
    let slice = |start, end| text.get(start..end).unwrap_or_default();
    let written = slice(part.span.start, part.span.end);
    let (why, mend) = match (problem, &part.statement) {
        (Problem::Unreadable { .. }, None) => {
            likely(written, slice(span.start, part.span.end), slice(span.start, span.end))
        }
        _ => (None, mend(problem, written)),
    };
    (why.unwrap_or_else(|| names::escaped(problem)), mend)
}

/// `trusting ed25519/abcd`, which is no key either.
fn keys_of_scopes(statement: &Statement, findings: &mut Findings) {
    for (span, scope) in statement.queries.iter().flat_map(|query| &query.scopes) {
        let Scope::PublicKey(key) = scope else { continue };
        let refusal = match key.algorithm {
            Algorithm::Ed25519 => words::refuses_key(&hex::encode(&key.key)),
            Algorithm::Secp256r1 => {
                Some(("keys are Ed25519 keys here".to_owned(), "take `trusting` out".to_owned()))
            }
        };
        if let Some((why, mend)) = refusal {
            findings.add(Code::KeyLiteral, statement.file, *span, why, mend);
        }
    }
}

fn code(problem: &Problem) -> Code {
    match problem {
        Problem::TooDeep { .. } => Code::TooDeep,
        Problem::TooLong { .. } => Code::TooLong,
        Problem::Empty => Code::EmptyFile,
        Problem::Unreadable { .. }
        | Problem::ReadDifferently
        | Problem::OpenText
        | Problem::InnerComment
        | Problem::OpenComment
        | Problem::LoneReturn => Code::Unreadable,
        Problem::Reserved { .. } => Code::ReservedPredicate,
        Problem::WordOfCalls { .. } => Code::UnknownPredicate,
        Problem::ZoneNotWritten { .. } | Problem::NoZone { .. } | Problem::TooManyZones { .. } => {
            Code::TimeZone
        }
        Problem::OtherForm { .. } => Code::WrongArity,
        Problem::NothingToOffer { .. } => Code::WrongType,
        Problem::VariableInFact => Code::VariableInFact,
        Problem::ReadsGrant { .. } => Code::ReadsGrant,
        Problem::Trusting => Code::TrustsScope,
        Problem::Unbound { .. } | Problem::UnboundInHead { .. } => Code::UnboundVariable,
        Problem::External { .. } => Code::ExternalFunction,
        Problem::OperandNotWritten { .. } | Problem::BadOperand { .. } => Code::FunctionOperand,
        Problem::PatternNotWritten => Code::PatternNotWritten,
        Problem::NoRegex { .. } => Code::NoRegex,
        Problem::Parameter => Code::Parameter,
        Problem::Name { .. } => Code::NameSpelling,
    }
}

fn mend(problem: &Problem, part: &str) -> String {
    match problem {
        Problem::Reserved { name } if part.contains("<-") => {
            format!("derive another word, such as my_{name}(…)")
        }
        Problem::Reserved { name } => format!("call it my_{name}(…), and read that"),
        Problem::ReadsGrant { name } => match name.as_str() {
            "scope" => "write granted($op), which the chain's scopes cover".to_owned(),
            "delegate" | "holder" => {
                "write agent($name), agent_key($key) or delegated($hop, $by, $to)".to_owned()
            }
            "audience" => "write verifier($name)".to_owned(),
            "expires" => {
                "take it out: what has expired is refused before policies are asked".to_owned()
            }
            "max_depth" | "hop" | "parent" => "write depth($hops)".to_owned(),
            _ => "take it out; policies/README.md lists what can be read".to_owned(),
        },
        Problem::WordOfCalls { .. } => {
            "take it out; policies/issuance/README.md lists what can be read".to_owned()
        }
        Problem::ZoneNotWritten { name } => {
            format!("write the zone out, as in {name}(\"Europe/Berlin\", $value)")
        }
        Problem::NoZone { .. } => {
            "write a place as the tz database names it, such as \"Europe/Berlin\", or \"UTC\""
                .to_owned()
        }
        Problem::TooManyZones { .. } => "split it into several sets, or use fewer zones".to_owned(),
        Problem::OtherForm { form, .. } => format!("write {form}"),
        Problem::NothingToOffer { .. } => {
            "write one of the form that policies/issuance/README.md shows".to_owned()
        }
        Problem::Trusting => {
            "take `trusting …` out, and require agent_key(\"…\") or delegated_key($hop, $by, $to)"
                .to_owned()
        }
        Problem::Unbound { name } | Problem::UnboundInHead { name } => {
            format!("bind ${name} with a predicate, as in arg(\"{name}\", ${name})")
        }
        Problem::VariableInFact => "write the value, or make it a rule with `<-`".to_owned(),
        Problem::External { name } => {
            let known = Function::ALL.map(Function::name);
            match near::nearest(name, known.into_iter()) {
                Some(meant) => format!("write extern::{meant}(\"…\")"),
                None => format!("use one of {}", known.join(", ")),
            }
        }
        Problem::OperandNotWritten { name } => {
            format!("write the text out, as in extern::{name}(\"…\")")
        }
        Problem::BadOperand { .. } => {
            "write one of the form that the function compares with".to_owned()
        }
        Problem::PatternNotWritten => {
            "write the pattern out, as in .matches(\"^[a-z]+$\")".to_owned()
        }
        Problem::NoRegex { .. } => {
            "mend the pattern; brackets that stand for themselves are written `\\\\(`".to_owned()
        }
        Problem::Parameter => "write the value itself".to_owned(),
        Problem::Empty => "write an `allow if` or `deny if`, or delete the file".to_owned(),
        Problem::Unreadable { .. } => {
            "compare it with the examples in policies/README.md".to_owned()
        }
        Problem::ReadDifferently => "write it plainer".to_owned(),
        Problem::OpenText => "close it with `\"`".to_owned(),
        Problem::InnerComment => "move it before the statement".to_owned(),
        Problem::OpenComment => "close it with `*/`".to_owned(),
        Problem::LoneReturn => "end the line with a line feed".to_owned(),
        Problem::TooDeep { .. } | Problem::TooLong { .. } => {
            "split it into several statements, or into rules".to_owned()
        }
        Problem::Name { why } => why.mend().to_owned(),
    }
}
