//! Refusals: what the loader refuses, statement by statement, each at the word that is wrong.

use std::collections::{BTreeSet, HashMap};

use biscuit_parser::builder::{Algorithm, Scope};
use biscuit_parser::parser::{self, SourceResult};

use crate::likely::likely;
use crate::near;
use crate::parse;
use crate::split::{self, Piece};
use crate::tree::{Kind, Node, Span, Statement};
use crate::{Code, Findings, words};
use hardtack::internal;
use hardtack::internal::Problem;
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

pub(super) fn read(file: usize, text: &str, findings: &mut Findings) -> Read {
    let pieces = split::split(text);
    let blanked = split::without_inner_comments(text, &pieces.statements);
    let mut found = Read { comments: pieces.comments, ..Read::default() };
    let before = findings.len();
    for piece in &pieces.statements {
        let Some(part) = blanked.get(piece.span.start..piece.span.end) else { continue };
        found.policies += usize::from(is_policy(part));
        match statement(file, text, &blanked, piece, findings) {
            Some(statement) => found.statements.push(statement),
            None => found.unread.extend(words_of(part)),
        }
    }
    if pieces.statements.is_empty() {
        let message = Problem::Empty.to_string();
        let mend = "write an `allow if` or `deny if`, or delete the file";
        findings.add(Code::EmptyFile, file, Span::default(), message, mend);
    }
    // The loader has the last word: what it refuses is not passed over.
    if findings.len() == before
        && let Err(error) = internal::read("", text)
    {
        findings.add(
            Code::Unreadable,
            file,
            Span::default(),
            error.problem,
            "see the line that the loader names",
        );
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

fn statement(
    file: usize,
    text: &str,
    blanked: &str,
    piece: &Piece,
    findings: &mut Findings,
) -> Option<Statement> {
    let Span { start, end } = piece.span;
    let part = blanked.get(start..end)?;
    let here = Span { start, end };
    if let Some(open) = piece.open {
        let message = "this text has no quotation mark at its end";
        findings.add(Code::Unreadable, file, open, message, "close it with `\"`");
        return None;
    }
    if let Some(problem) = internal::unfit(part) {
        let code = match problem {
            Problem::TooDeep { .. } => Code::TooDeep,
            _ => Code::TooLong,
        };
        findings.add(
            code,
            file,
            here,
            problem.to_string(),
            "split it into several statements, or into rules",
        );
        return None;
    }
    if let Some(comment) = piece.comment {
        let message = "a comment may stand between statements only, not within one";
        findings.add(Code::Unreadable, file, comment, message, "move it before the statement");
    }
    let own = parse::parse(blanked.get(..end)?, file, start);
    let parsed = match parser::parse_source(part) {
        Ok(parsed) => parsed,
        Err(errors) => {
            let message = errors.first().and_then(|error| error.message.clone());
            return refused(file, text, piece, own, message, findings);
        }
    };
    let problems = internal::problems(&parsed);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (_, problem) in problems {
        let message = names::escaped(&problem);
        let count = counts.entry(message.clone()).or_default();
        let span =
            find(part, &word(&problem), *count).unwrap_or(Span { start: 0, end: part.len() });
        *count += 1;
        let span = Span { start: start + span.start, end: start + span.end };
        findings.add(code(&problem), file, span, message, mend(&problem, part));
    }
    keys_of_scopes(&parsed, part, start, file, findings);
    own.ok()
}

/// `trusting ed25519/abcd`, which is no key either.
fn keys_of_scopes(
    parsed: &SourceResult<'_>,
    part: &str,
    start: usize,
    file: usize,
    findings: &mut Findings,
) {
    let rules = parsed.rules.iter().map(|(_, rule)| rule);
    let checks = parsed.checks.iter().flat_map(|(_, check)| &check.queries);
    let policies = parsed.policies.iter().flat_map(|(_, policy)| &policy.queries);
    for scope in rules.chain(checks).chain(policies).flat_map(|query| &query.scopes) {
        let Scope::PublicKey(key) = scope else { continue };
        let digits = hex::encode(&key.key);
        let refusal = match key.algorithm {
            Algorithm::Ed25519 => words::refuses_key(&digits),
            Algorithm::Secp256r1 => {
                Some(("keys are Ed25519 keys here".to_owned(), "take `trusting` out".to_owned()))
            }
        };
        let Some((why, mend)) = refusal else { continue };
        let name =
            if matches!(key.algorithm, Algorithm::Ed25519) { "ed25519" } else { "secp256r1" };
        let span = find(part, name, 0).unwrap_or_default();
        let span = Span { start: start + span.start, end: start + span.end };
        findings.add(Code::KeyLiteral, file, span, why, mend);
    }
}

/// What Biscuit's parser does not read, with the likeliest reason.
fn refused(
    file: usize,
    text: &str,
    piece: &Piece,
    own: Result<Statement, usize>,
    message: Option<String>,
    findings: &mut Findings,
) -> Option<Statement> {
    let end = piece.span.end;
    match own {
        Ok(statement) if statement.kind == Kind::Rule => {
            let unbound = unbound(&statement);
            for (name, span) in &unbound {
                let problem = Problem::Unbound { name: name.clone() };
                let message = match statement
                    .head
                    .as_ref()
                    .is_some_and(|head| head.span.start <= span.start && span.end <= head.span.end)
                {
                    true => format!(
                        "${name} stands in the head and no predicate of the body gives it a value"
                    ),
                    false => problem.to_string(),
                };
                findings.add(Code::UnboundVariable, file, *span, message, mend(&problem, ""));
            }
            if unbound.is_empty() {
                unreadable(file, statement.span, message, findings);
            }
            Some(statement)
        }
        Ok(statement) if statement.kind == Kind::Fact => {
            let variable =
                statement.head.iter().flat_map(|head| &head.terms).find(|t| t.variable().is_some());
            match variable {
                Some(term) => {
                    let problem = Problem::VariableInFact;
                    findings.add(
                        Code::VariableInFact,
                        file,
                        term.span,
                        problem.to_string(),
                        mend(&problem, ""),
                    );
                }
                None => unreadable(file, statement.span, message, findings),
            }
            Some(statement)
        }
        Ok(statement) => {
            unreadable(file, statement.span, message, findings);
            None
        }
        Err(at) => {
            let part = text.get(piece.span.start..end).unwrap_or_default();
            let at = if begins_with_a_word(part) { piece.span.start } else { at };
            let at = at.clamp(piece.span.start, end.saturating_sub(1).max(piece.span.start));
            let at = (piece.span.start..=at)
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(piece.span.start);
            let rest = text.get(at..end).unwrap_or_default();
            let word = rest
                .split(|c: char| c.is_whitespace() || "();,".contains(c))
                .next()
                .unwrap_or_default();
            let span = Span {
                start: at,
                end: at + word.len().max(rest.chars().next().map_or(0, char::len_utf8)),
            };
            let (why, mend) = likely(part, rest, word);
            let why = why.unwrap_or_else(|| names::escaped(&Problem::Unreadable { hint: message }));
            findings.add(Code::Unreadable, file, span, why, mend);
            None
        }
    }
}

/// Whether the first word is neither a policy's or check's nor a predicate.
fn begins_with_a_word(part: &str) -> bool {
    let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let word = part.get(..part.len() - rest.len()).unwrap_or_default().to_ascii_lowercase();
    let known = ["allow", "deny", "check", "reject"].contains(&word.as_str());
    !(known || rest.trim_start().starts_with('('))
}

fn unreadable(file: usize, span: Span, hint: Option<String>, findings: &mut Findings) {
    let message = names::escaped(&Problem::Unreadable { hint });
    findings.add(
        Code::Unreadable,
        file,
        span,
        message,
        "compare it with the examples in policies/README.md",
    );
}

/// The variables of a rule that its body does not bind.
fn unbound(rule: &Statement) -> Vec<(String, Span)> {
    let Some(body) = rule.queries.first() else { return Vec::new() };
    let bound: Vec<&str> =
        body.atoms.iter().flat_map(|atom| &atom.terms).filter_map(|term| term.variable()).collect();
    let mut found: Vec<(String, Span)> = Vec::new();
    let mut see = |name: &str, span: Span| {
        if !bound.contains(&name) && !found.iter().any(|(known, _)| known == name) {
            found.push((name.to_owned(), span));
        }
    };
    for term in rule.head.iter().flat_map(|head| &head.terms) {
        if let Some(name) = term.variable() {
            see(name, term.span);
        }
    }
    for condition in &body.conditions {
        let mut own = Vec::new();
        condition.walk(&mut |expr| {
            if let Node::Closure(name, _) = &expr.node {
                own.push(name.clone());
            }
        });
        condition.walk(&mut |expr| {
            if let Node::Term(term) = &expr.node
                && let Some(name) =
                    term.variable().filter(|name| !own.iter().any(|own| own == name))
            {
                see(name, term.span);
            }
        });
    }
    found
}

fn code(problem: &Problem) -> Code {
    match problem {
        Problem::TooDeep { .. } => Code::TooDeep,
        Problem::TooLong { .. } => Code::TooLong,
        Problem::Empty => Code::EmptyFile,
        Problem::Unreadable { .. } => Code::Unreadable,
        Problem::Reserved { .. } => Code::ReservedPredicate,
        Problem::VariableInFact => Code::VariableInFact,
        Problem::ReadsGrant { .. } => Code::ReadsGrant,
        Problem::Trusting => Code::TrustsScope,
        Problem::Unbound { .. } => Code::UnboundVariable,
        Problem::External { .. } => Code::ExternalFunction,
        Problem::OperandNotWritten { .. } | Problem::BadOperand { .. } => Code::FunctionOperand,
        Problem::PatternNotWritten => Code::PatternNotWritten,
        Problem::NoRegex { .. } => Code::NoRegex,
        Problem::Parameter => Code::Parameter,
        Problem::Name { .. } => Code::NameSpelling,
    }
}

/// The word to point at.
fn word(problem: &Problem) -> String {
    match problem {
        Problem::Reserved { name }
        | Problem::ReadsGrant { name }
        | Problem::External { name }
        | Problem::OperandNotWritten { name }
        | Problem::BadOperand { name, .. } => name.clone(),
        Problem::Unbound { name } => format!("${name}"),
        Problem::VariableInFact => "$".to_owned(),
        Problem::Trusting => "trusting".to_owned(),
        Problem::PatternNotWritten | Problem::NoRegex { .. } => "matches".to_owned(),
        Problem::Parameter => "{".to_owned(),
        Problem::TooDeep { .. }
        | Problem::TooLong { .. }
        | Problem::Empty
        | Problem::Name { .. }
        | Problem::Unreadable { .. } => String::new(),
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
        Problem::Trusting => {
            "take `trusting …` out, and require agent_key(\"…\") or delegated_key($hop, $by, $to)"
                .to_owned()
        }
        Problem::Unbound { name } => {
            format!("bind ${name} with a predicate, as in arg(\"{name}\", ${name})")
        }
        Problem::VariableInFact => "write the value, or make it a rule with `<-`".to_owned(),
        Problem::External { name } => {
            let known = internal::Function::ALL.map(internal::Function::name);
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
        _ => "split it".to_owned(),
    }
}

/// The place of a word outside of texts, the n-th.
fn find(part: &str, word: &str, nth: usize) -> Option<Span> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut count = 0;
    let mut inside = false;
    let mut characters = part.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if inside => drop(characters.next()),
            '"' => inside = !inside,
            _ if inside => {}
            _ if word.is_empty() => return None,
            _ if part.get(at..).is_some_and(|rest| rest.starts_with(word)) => {
                let before = part.get(..at).and_then(|before| before.chars().next_back());
                let after = part.get(at + word.len()..).and_then(|after| after.chars().next());
                let named = word.starts_with(is_name) || word.len() > 1;
                let starts = !word.starts_with(is_name)
                    || !before.is_some_and(|c| c == '_' || c == '$' || c.is_ascii_alphanumeric());
                let ends = !named || !after.is_some_and(|c| c == '_' || c.is_ascii_alphanumeric());
                if starts && ends {
                    if count == nth {
                        return Some(Span { start: at, end: at + word.len() });
                    }
                    count += 1;
                }
            }
            _ => {}
        }
    }
    None
}
