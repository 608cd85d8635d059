//! Matching: which comparisons of text let more through than they seem to?

use std::collections::HashMap;

use biscuit_parser::builder::Binary;
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::hosts::{self, What, is_host};
use crate::regex::matches_all;
use crate::set::{self, Set, with_polarity};
use crate::words::{
    Column::{
        self, Agent, Any, Audience, Delegator, Issuer, Key, Kind as Presented, Operation, Resource,
        Subject, Tool,
    },
    Values,
};
use crate::{Code, Findings};
use hardtack::internal::syntax::{Expr, Node, Span, Term};

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
        let mut whats = hosts::arguments(query);
        let bounds = hosts::Bounds::of(query);
        for condition in &query.conditions {
            condition.walk(&mut |expr| hides_errors(expr, file, findings));
            with_polarity(condition, set.lets_through(statement), &mut |expr, lets_through| {
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
                    elements(left, own, body, (&places, &whats), file, findings);
                    // Each element is what the list is said to be of.
                    let what = left.variable().and_then(|name| whats.get(name)).copied();
                    what.and_then(|what| whats.insert(own, what));
                }
                let Some((term, text)) = right.constant().and_then(|t| Some((t, t.text()?))) else {
                    return;
                };
                let what = left.variable().and_then(|name| whats.get(name)).copied();
                let is_open = matches!(columns.first(), None | Some(Any | Resource));
                let covered = |name| bounds.cover(name, operator, what);
                if is_open && left.variable().is_some_and(covered) {
                    return;
                }
                compared(operator, (columns.first().copied(), what), term, file, findings);
                if let Binary::Ffi(name) = operator {
                    function(name, text, term.span, file, findings);
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
    (places, whats): (&HashMap<&str, Vec<Column>>, &HashMap<&str, What>),
    file: usize,
    findings: &mut Findings,
) {
    let Some(elements) = left.constant().and_then(Term::elements) else { return };
    with_polarity(body, true, &mut |expr, lets_through| {
        let Node::Binary(operator, whole, one) = &expr.node else { return };
        if !lets_through || one.variable() != Some(own) {
            return;
        }
        let column = whole.variable().and_then(|name| places.get(name)?.first()).copied();
        let what = whole.variable().and_then(|name| whats.get(name)).copied();
        let is = (column, what);
        elements.iter().for_each(|term| compared(operator, is, term, file, findings));
    });
}

/// The comparison with a part, of what is a host or has one in it, or of anything else.
fn compared(
    operator: &Binary,
    (column, what): (Option<Column>, Option<What>),
    term: &Term,
    file: usize,
    findings: &mut Findings,
) {
    match hosts::loose(operator, column, what, term) {
        Some((message, mend)) => findings.add(Code::LooseMatch, file, term.span, message, mend),
        None => loose(operator, column, term, file, findings),
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
    if matches_all(text) {
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

/// A comparison that lets more through than it seems to: the columns of what is compared, of which texts it does so, what else passes,
/// and how to mend it. `{}` is the text, and `{/}` the text without `/` at its end.
type Loose = (&'static [Column], fn(&str) -> bool, &'static str, &'static str);

const OTHER_OPERATION: &str = "this also begins {}_and_more, which is another operation";
const OTHER_RESOURCE: &str = "this also begins {}-and-more, which is another resource";
const OTHER_END: &str = "whatever ends like this passes, such as other_{}";
const OTHER_URL: &str = "whatever has this in it passes, such as https://evil.example/?{}";
const WRITE_URL: &str = "write $url.extern::hardtack_url(\"{/}\"), or end it with `/`";
const COMPARE_END: &str = "compare the whole with `==`, or its beginning";

/// What `.starts_with()` lets through; the first row that fits counts.
const BEGINNINGS: [Loose; 11] = [
    (
        &[Operation],
        |text| !ends_segment(text) && text.len() > CALLS.len() && text.starts_with(CALLS),
        OTHER_OPERATION,
        "write $op == \"{}\", or end the beginning with `:`",
    ),
    (&[Operation], |text| !ends_segment(text), OTHER_OPERATION, "write \"{}:\""),
    (
        &[Tool],
        |text| !ends_segment(text) && !text.starts_with("tools:"),
        "this also begins {}_and_more, which is another tool",
        "list the tools, as in [\"search\", \"fetch\"].contains($name)",
    ),
    (
        &[Subject, Agent, Delegator, Audience, Issuer],
        |text| !ends_segment(text) && !text.ends_with(['/', '@']),
        "this also begins {}2, which is another name",
        "compare the whole name with `==`, or end the beginning with its separator",
    ),
    (
        &[Key],
        |_| true,
        "a key is compared whole: whoever makes keys finds one that begins like this",
        "compare all 64 digits with `==`",
    ),
    (
        &[Any],
        is_path,
        "a path that begins like this leaves it again with `..`, and a neighbour may begin like it too",
        "write $path.extern::hardtack_path(\"{/}\")",
    ),
    (
        &[Any],
        |text| text.starts_with("file:"),
        "a path that begins like this leaves it again with `..`",
        "pass the path itself and compare it with extern::hardtack_path(\"…\")",
    ),
    (
        &[Any],
        |text| is_host(text) || ["http", "https", "http:", "https:"].contains(&text),
        "this also begins {}.evil.example, which is another host",
        "write $url.extern::hardtack_url(\"https://…\")",
    ),
    (
        &[Resource, Any],
        |text| behind_scheme(text).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        "this also begins {}.evil.example and {}@evil.example, which are other hosts",
        WRITE_URL,
    ),
    (
        &[Resource],
        |text| ends_within(text) && (text.starts_with("http:") || text.starts_with("https:")),
        OTHER_RESOURCE,
        WRITE_URL,
    ),
    (&[Resource], ends_within, OTHER_RESOURCE, "write \"{}/\""),
];

/// What `.ends_with()` lets through. What comes from no place of Hardtack's is taken for an argument.
const ENDS: [Loose; 3] = [
    // A subject's domain is a whole part of its name.
    (&[Subject], |text| !text.starts_with('@'), OTHER_END, COMPARE_END),
    (&[Operation, Tool, Agent, Delegator, Audience, Key], |_| true, OTHER_END, COMPARE_END),
    (
        &[Any],
        is_host,
        "evil{} ends like this too, and is another host",
        "compare the host with `==`, begin with `.`, or use extern::hardtack_url(\"https://…\")",
    ),
];

/// What `.contains()` lets through.
const PARTS: [Loose; 3] = [
    (
        &[Operation, Tool, Subject, Agent, Delegator, Audience, Issuer, Presented, Key],
        |_| true,
        "whatever has this in it passes, such as not_{}_at_all",
        "compare the whole with `==`, or list what is meant: [\"…\"].contains($name)",
    ),
    (&[Resource], |_| true, OTHER_URL, "write $uri.extern::hardtack_url(\"https://…\")"),
    (
        &[Any],
        |text| {
            text.contains("://") || text.starts_with('/') || is_host(text.trim_start_matches('.'))
        },
        OTHER_URL,
        "use extern::hardtack_url(\"https://…\") or extern::hardtack_path(\"/…\")",
    ),
];

/// Reports the comparison of a text with a part of it, if it lets more through than it seems to.
pub(super) fn loose(
    operator: &Binary,
    column: Option<Column>,
    term: &Term,
    file: usize,
    findings: &mut Findings,
) {
    let rows: &[Loose] = match (operator, column) {
        // A beginning is judged by what the column's values look like, which is not known of other values.
        (Binary::Prefix, Some(_)) => &BEGINNINGS,
        (Binary::Suffix, _) => &ENDS,
        (Binary::Contains, _) => &PARTS,
        _ => return,
    };
    let Some(text) = term.text().filter(|text| !text.is_empty()) else { return };
    let column = column.unwrap_or(Any);
    if !column.can_hold(text) {
        return;
    }
    let fits = |(columns, is, ..): &&Loose| columns.contains(&column) && is(text);
    let Some((_, _, message, mend)) = rows.iter().find(fits) else { return };
    let said = |words: &str| {
        let whole = text.escape_debug().to_string();
        let bare = text.trim_end_matches('/').escape_debug().to_string();
        words.split("{/}").map(|part| part.replace("{}", &whole)).collect::<Vec<_>>().join(&bare)
    };
    findings.add(Code::LooseMatch, file, term.span, said(message), said(mend));
}

/// What the operations of tool calls begin with.
const CALLS: &str = "tools:call:";

fn ends_segment(text: &str) -> bool {
    text.ends_with([':', '_', '-', '.'])
}

fn behind_scheme(text: &str) -> Option<&str> {
    text.split_once("://").map(|(_, rest)| rest)
}

/// Whether it is the beginning of a URI that ends in the midst of a part.
fn ends_within(text: &str) -> bool {
    behind_scheme(text).is_some_and(|rest| !rest.is_empty())
        && !text.ends_with(['/', '?', '#', '=', '&', ':'])
}

fn is_path(text: &str) -> bool {
    text.starts_with(['/', '~', '\\']) || text.starts_with("./") || text.get(1..3) == Some(":\\")
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
