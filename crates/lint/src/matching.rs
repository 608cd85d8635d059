//! Matching: which comparisons of text let more through than they seem to?

use std::collections::BTreeSet;

use biscuit_parser::builder::{Binary, Unary};
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::always;
use crate::set::{self, Set};
use crate::tree::{Expr, Kind, Node, Span, Statement, Term};
use crate::words::Column;
use crate::{Code, Findings};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    for (statement, query) in set.queries() {
        let mut places = set::places(query);
        for atom in &query.atoms {
            for (index, term) in atom.terms.iter().enumerate() {
                let derived = set.derived.get(&(atom.name.clone(), atom.terms.len(), index));
                if let (Some(name), Some(derived)) = (term.variable(), derived) {
                    places.entry(name).or_default().extend(derived);
                }
            }
        }
        let file = statement.file;
        for condition in &query.conditions {
            condition.walk(&mut |expr| hides_errors(expr, file, findings));
            polar(condition, lets_through(set, statement), &mut |expr, lets_through| {
                let Node::Binary(operator, left, right) = &expr.node else { return };
                let columns = left.variable().and_then(|name| places.get(name));
                let columns = columns.map(Vec::as_slice).unwrap_or_default();
                if *operator == Binary::Regex {
                    regex(columns, right, lets_through, file, findings);
                    return;
                }
                if !lets_through {
                    return;
                }
                if let (Binary::Any | Binary::All, Node::Closure(own, body)) =
                    (operator, &right.node)
                {
                    elements(left, own, body, &places, file, findings);
                }
                let Some((term, text)) = right.constant().and_then(|t| Some((t, t.text()?))) else {
                    return;
                };
                let column = columns.first().copied();
                match operator {
                    Binary::Prefix => {
                        if let Some(column) = column {
                            beginning(column, text, term.span, file, findings);
                        }
                    }
                    Binary::Suffix => ending(column, text, term.span, file, findings),
                    Binary::Contains => part(column, text, term.span, file, findings),
                    Binary::Ffi(name) => function(name, text, term.span, file, findings),
                    _ => {}
                }
            });
        }
    }
}

/// `["…"].any($one -> $value.starts_with($one))`
fn elements(
    left: &Expr,
    own: &str,
    body: &Expr,
    places: &std::collections::HashMap<&str, Vec<Column>>,
    file: usize,
    findings: &mut Findings,
) {
    let Some(elements) = left.constant().and_then(Term::elements) else { return };
    polar(body, true, &mut |expr, lets_through| {
        let Node::Binary(operator, whole, one) = &expr.node else { return };
        if !lets_through || one.variable() != Some(own) {
            return;
        }
        let column = whole.variable().and_then(|name| places.get(name)?.first()).copied();
        for (term, text) in elements.iter().filter_map(|term| Some((term, term.text()?))) {
            match (operator, column) {
                (Binary::Prefix, Some(column)) => {
                    beginning(column, text, term.span, file, findings)
                }
                (Binary::Suffix, column) => ending(column, text, term.span, file, findings),
                (Binary::Contains, column) => part(column, text, term.span, file, findings),
                _ => {}
            }
        }
    });
}

/// Whether a call gets further where the statement holds: an `allow if`, a check, or a rule that one reads.
pub(super) fn lets_through(set: &Set, statement: &Statement) -> bool {
    match statement.kind {
        Kind::Allow | Kind::CheckIf | Kind::CheckAll => true,
        Kind::Deny | Kind::RejectIf | Kind::Fact => false,
        Kind::Rule => {
            statement.head.as_ref().is_some_and(|head| set.lets_through.contains(&head.name))
        }
    }
}

/// The names that an `allow if` or a check reads, through whatever rules.
pub(super) fn readers(statements: &[Statement], kinds: &[Kind]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut new: Vec<&Statement> = statements.iter().filter(|s| kinds.contains(&s.kind)).collect();
    let mut rules: std::collections::HashMap<&str, Vec<&Statement>> = Default::default();
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

/// Sees every expression, with whether more gets through where it holds: `!` turns that.
pub(super) fn polar<'a>(expr: &'a Expr, lets_through: bool, see: &mut dyn FnMut(&'a Expr, bool)) {
    see(expr, lets_through);
    match &expr.node {
        Node::Term(_) => {}
        Node::Unary(Unary::Negate, inner) => polar(inner, !lets_through, see),
        Node::Unary(_, inner) | Node::Closure(_, inner) => polar(inner, lets_through, see),
        Node::Binary(_, left, right) => {
            polar(left, lets_through, see);
            polar(right, lets_through, see);
        }
    }
}

fn hides_errors(expr: &Expr, file: usize, findings: &mut Findings) {
    if let Node::Binary(Binary::TryOr, ..) = &expr.node {
        let message = ".try_or() takes what cannot be evaluated for an answer, where a call is otherwise refused";
        let mend = "test the type first, as in `$value.type() == \"integer\", $value <= 100`";
        findings.add(Code::HidesErrors, file, expr.op, message, mend);
    }
}

fn regex(
    columns: &[Column],
    pattern: &Expr,
    lets_through: bool,
    file: usize,
    findings: &mut Findings,
) {
    let Some((term, text)) = pattern.constant().and_then(|term| Some((term, term.text()?))) else {
        return;
    };
    let Ok(hir) = regex_syntax::parse(text) else { return };
    // Of what matches everything, the condition that says so is reported.
    if always::matches_all(text) {
        return;
    }
    if let Some((message, mend)) = loose_pattern(columns, text).filter(|_| lets_through) {
        findings.add(Code::LooseMatch, file, term.span, message, mend);
    }
    let start = hir.properties().look_set_prefix().contains(Look::Start);
    let end = hir.properties().look_set_suffix().contains(Look::End);
    // What refuses may look for a part of an argument's text; a name is meant whole.
    let is_name =
        columns.iter().any(|c| !matches!(c, Column::Any | Column::ArgumentName | Column::Resource));
    let is_loose = if lets_through { !(start && end) } else { is_name && !start && !end };
    if !is_loose {
        return;
    }
    let message = match (start, end) {
        (false, false) => {
            "the pattern matches anywhere in the text, with whatever before and behind it"
        }
        (true, false) => "the pattern is not anchored at its end, so that whatever may follow",
        _ => "the pattern is not anchored at its beginning, so that whatever may stand before it",
    };
    let mend = format!("write \"{}\"", mended(text, &hir).escape_default());
    findings.add(Code::UnanchoredRegex, file, term.span, message, mend);
}

/// What an anchored pattern begins with in so many letters, and whether that is all of it.
pub(super) fn literal_beginning(text: &str) -> Option<(String, bool)> {
    let hir = regex_syntax::parse(text).ok()?;
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let [start, literal, rest @ ..] = parts.as_slice() else { return None };
    let (HirKind::Look(Look::Start), HirKind::Literal(literal)) = (start.kind(), literal.kind())
    else {
        return None;
    };
    let ends = matches!(rest, [end] if matches!(end.kind(), HirKind::Look(Look::End)));
    Some((String::from_utf8(literal.0.to_vec()).ok()?, ends))
}

/// A host whose dots stand for any character, and a path that may be left again.
fn loose_pattern(columns: &[Column], text: &str) -> Option<(String, String)> {
    let host = text.split_once("://").or(text.split_once('@')).map(|(_, rest)| rest);
    let host =
        host.map(|rest| rest.split(['/', '$']).next().unwrap_or_default()).unwrap_or_default();
    let mut before = ' ';
    let mut open = None;
    let mut inside = false;
    for (at, c) in host.char_indices() {
        let next = host.get(at + 1..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
        inside = (inside || c == '[') && c != ']';
        let plain = before.is_ascii_alphanumeric() && next.is_ascii_alphanumeric();
        if c == '.' && plain && !inside {
            open = Some(at);
        }
        before = c;
    }
    if open.is_some() {
        return Some((
            "`.` in a pattern stands for any character, so that other hosts match too".to_owned(),
            "write `\\\\.` for a dot, or use extern::hardtack_url(\"https://…\")".to_owned(),
        ));
    }
    let is_path = columns.contains(&Column::Any) && text.trim_start_matches('^').starts_with('/');
    let any = [".*", ".+"].iter().any(|wide| text.contains(wide));
    (is_path && any).then(|| {
        (
            "a path that matches this may leave the folder again with `..`".to_owned(),
            "write $path.extern::hardtack_path(\"/…\")".to_owned(),
        )
    })
}

fn mended(text: &str, hir: &Hir) -> String {
    let inner = text.strip_prefix('^').unwrap_or(text);
    let inner = inner.strip_suffix('$').filter(|inner| !inner.ends_with('\\')).unwrap_or(inner);
    match hir.kind() {
        HirKind::Alternation(_) => format!("^(?:{inner})$"),
        _ if text.contains('|') || text.starts_with("(?") => format!("^(?:{inner})$"),
        _ => format!("^{inner}$"),
    }
}

/// What `.starts_with()` lets through beyond what it seems to.
pub(super) fn beginning(
    column: Column,
    text: &str,
    span: Span,
    file: usize,
    findings: &mut Findings,
) {
    if text.is_empty() || !column.can_hold(text) {
        return;
    }
    let ends = |marks: &[char]| text.ends_with(marks);
    let quoted = text.escape_debug();
    let (message, mend) = match column {
        Column::Operation if !ends(&[':', '_', '-', '.']) => (
            format!("this also begins {quoted}_and_more, which is another operation"),
            match text.strip_prefix("tools:call:").is_some_and(|name| !name.is_empty()) {
                true => format!("write $op == \"{quoted}\", or end the beginning with `:`"),
                false => format!("write \"{quoted}:\""),
            },
        ),
        Column::Tool if !text.starts_with("tools:") && !ends(&[':', '_', '-', '.']) => (
            format!("this also begins {quoted}_and_more, which is another tool"),
            "list the tools, as in [\"search\", \"fetch\"].contains($name)".to_owned(),
        ),
        Column::Subject | Column::Agent | Column::Delegator | Column::Audience | Column::Issuer
            if !ends(&[':', '.', '/', '-', '_', '@']) =>
        {
            (
                format!("this also begins {quoted}2, which is another name"),
                "compare the whole name with `==`, or end the beginning with its separator"
                    .to_owned(),
            )
        }
        Column::Key => (
            "a key is compared whole: whoever makes keys finds one that begins like this"
                .to_owned(),
            "compare all 64 digits with `==`".to_owned(),
        ),
        Column::Resource | Column::Any => match loose_place(column, text) {
            Some(found) => found,
            None => return,
        },
        _ => return,
    };
    findings.add(Code::LooseMatch, file, span, message, mend);
}

/// A path or URL that is compared as text.
fn loose_place(column: Column, text: &str) -> Option<(String, String)> {
    let quoted = text.escape_debug();
    let is_argument = column == Column::Any;
    let is_path = text.starts_with(['/', '~', '\\'])
        || text.starts_with("./")
        || text.get(1..3) == Some(":\\");
    if is_argument && is_path {
        return Some((
            "a path that begins like this leaves it again with `..`, and a neighbour may begin like it too".to_owned(),
            format!("write $path.extern::hardtack_path(\"{}\")", text.trim_end_matches('/').escape_debug()),
        ));
    }
    if is_argument && text.starts_with("file:") {
        return Some((
            "a path that begins like this leaves it again with `..`".to_owned(),
            "pass the path itself and compare it with extern::hardtack_path(\"…\")".to_owned(),
        ));
    }
    if is_argument && (is_host(text) || matches!(text, "http" | "https" | "http:" | "https:")) {
        return Some((
            format!("this also begins {quoted}.evil.example, which is another host"),
            "write $url.extern::hardtack_url(\"https://…\")".to_owned(),
        ));
    }
    let (scheme, rest) = text.split_once("://")?;
    let mend = format!(
        "write $url.extern::hardtack_url(\"{}\"), or end it with `/`",
        text.trim_end_matches('/').escape_debug()
    );
    if !rest.contains('/') && !(rest.is_empty()) {
        let message = format!(
            "this also begins {quoted}.evil.example and {quoted}@evil.example, which are other hosts"
        );
        return Some((message, mend));
    }
    let whole = column == Column::Resource
        && !text.ends_with(['/', '?', '#', '=', '&', ':'])
        && !rest.is_empty();
    whole.then(|| {
        let mend = match scheme {
            "http" | "https" => mend,
            _ => format!("write \"{quoted}/\""),
        };
        (format!("this also begins {quoted}-and-more, which is another resource"), mend)
    })
}

fn ending(column: Option<Column>, text: &str, span: Span, file: usize, findings: &mut Findings) {
    if text.is_empty() || column.is_some_and(|column| !column.can_hold(text)) {
        return;
    }
    let quoted = text.escape_debug();
    let (message, mend) = match column {
        Some(Column::Subject) if text.starts_with('@') => return,
        Some(Column::Operation | Column::Tool | Column::Subject | Column::Agent | Column::Delegator | Column::Audience | Column::Key) => (
            format!("whatever ends like this passes, such as other_{quoted}"),
            "compare the whole with `==`, or its beginning".to_owned(),
        ),
        Some(Column::Any) | None if is_host(text) => (
            format!("evil{quoted} ends like this too, and is another host"),
            "compare the host with `==`, begin with `.`, or use extern::hardtack_url(\"https://…\")".to_owned(),
        ),
        _ => return,
    };
    findings.add(Code::LooseMatch, file, span, message, mend);
}

fn part(column: Option<Column>, text: &str, span: Span, file: usize, findings: &mut Findings) {
    if text.is_empty() || column.is_some_and(|column| !column.can_hold(text)) {
        return;
    }
    let quoted = text.escape_debug();
    let is_place =
        text.contains("://") || text.starts_with('/') || is_host(text.trim_start_matches('.'));
    let (message, mend) = match column {
        Some(
            Column::Operation
            | Column::Tool
            | Column::Subject
            | Column::Agent
            | Column::Delegator
            | Column::Audience
            | Column::Issuer
            | Column::Kind
            | Column::Key,
        ) => (
            format!("whatever has this in it passes, such as not_{quoted}_at_all"),
            "compare the whole with `==`, or list what is meant: [\"…\"].contains($name)"
                .to_owned(),
        ),
        Some(Column::Resource) => (
            format!("whatever has this in it passes, such as https://evil.example/?{quoted}"),
            "write $uri.extern::hardtack_url(\"https://…\")".to_owned(),
        ),
        Some(Column::Any) | None if is_place => (
            format!("whatever has this in it passes, such as https://evil.example/?{quoted}"),
            "use extern::hardtack_url(\"https://…\") or extern::hardtack_path(\"/…\")".to_owned(),
        ),
        _ => return,
    };
    findings.add(Code::LooseMatch, file, span, message, mend);
}

/// A function whose text everything fits.
fn function(name: &str, text: &str, span: Span, file: usize, findings: &mut Findings) {
    let all = match name {
        "hardtack_path" => text == "/",
        "hardtack_network" => text.ends_with("/0"),
        "hardtack_glob" => !text.is_empty() && text.chars().all(|c| c == '*'),
        _ => false,
    };
    if all {
        let message =
            format!("everything fits {name}(\"{}\"), so it limits nothing", text.escape_debug());
        findings.add(
            Code::LooseMatch,
            file,
            span,
            message,
            "write the folder, network or pattern that is meant",
        );
    }
}

/// Whether this is what a host's name looks like, and no file's.
fn is_host(text: &str) -> bool {
    const FILES: [&str; 24] = [
        "pdf", "csv", "txt", "md", "json", "png", "jpg", "jpeg", "gif", "svg", "xml", "html",
        "yaml", "yml", "toml", "zip", "gz", "log", "doc", "docx", "xls", "xlsx", "ppt", "pptx",
    ];
    let labels: Vec<&str> = text.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
        && last.len() >= 2
        && last.bytes().all(|b| b.is_ascii_lowercase())
        && !FILES.contains(&last)
}
