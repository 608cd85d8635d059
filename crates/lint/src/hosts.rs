//! Hosts: which comparisons of a URL, a host or an address with a part of it let other hosts through?

use std::collections::HashMap;

use biscuit_parser::builder::Binary;

use crate::words::Column;
use hardtack::internal::syntax::{Expr, Node, Query, Term};

/// What an argument is, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Url,
    Host,
    Email,
}

/// What the last word of an argument's name says.
const WORDS: [(&str, What); 14] = [
    ("email", What::Email),
    ("mail", What::Email),
    ("url", What::Url),
    ("uri", What::Url),
    ("href", What::Url),
    ("link", What::Url),
    ("endpoint", What::Url),
    ("webhook", What::Url),
    ("callback", What::Url),
    ("origin", What::Url),
    ("host", What::Host),
    ("hostname", What::Host),
    ("domain", What::Host),
    ("ip", What::Host),
];

/// What stands behind such a word without changing what it is: `domain_name`, `ip_address`.
const BEHIND: [&str; 4] = ["address", "addr", "name", "fqdn"];

impl What {
    /// Of `callback_url`, `callbackUrl` and `emails`; an `email_address` is an email, a `domain_name` a domain, and a `domain_type` is none.
    fn named(name: &str) -> Option<What> {
        let mut spaced = String::new();
        let mut before = ' ';
        for c in name.chars() {
            if c.is_uppercase() && before.is_lowercase() || !c.is_alphanumeric() {
                spaced.push(' ');
            }
            if c.is_alphanumeric() {
                spaced.extend(c.to_lowercase());
            }
            before = c;
        }
        let said = |word: &str| {
            let is_it = |known: &str| word == known || word.strip_suffix('s') == Some(known);
            WORDS.iter().find(|(known, _)| is_it(known)).map(|(_, what)| *what)
        };
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let (last, before) = words.split_last()?;
        let host = before.last().filter(|_| BEHIND.contains(last)).and_then(|word| said(word));
        let email = || words.iter().filter_map(|word| said(word)).find(|one| *one == What::Email);
        said(last).or(host.filter(|what| *what == What::Host)).or_else(email)
    }
}

/// What the values of arguments are, by the variables of a question.
pub(super) fn arguments(query: &Query) -> HashMap<&str, What> {
    let arguments = query.atoms.iter().filter(|atom| atom.name == "arg");
    let named = arguments.filter_map(|atom| {
        let [name, value] = atom.terms.as_slice() else { return None };
        Some((value.variable()?, What::named(name.text()?)?))
    });
    named.collect()
}

/// By which end of it a value is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// A URL, whose host stands at its beginning.
    Beginning,
    /// A host or an address, whose domain stands at its end.
    End,
}

/// The variables that the question's conditions bound by an end of theirs, each for itself.
#[derive(Debug)]
pub(super) struct Bounds<'q>(Vec<(&'q str, Bound)>);

impl<'q> Bounds<'q> {
    pub(super) fn of(query: &'q Query) -> Bounds<'q> {
        let parts = query.conditions.iter().flat_map(Expr::parts);
        Bounds(parts.filter_map(bound).collect())
    }

    /// Whether a comparison of it with a part of it only narrows what such a bound leaves.
    pub(super) fn cover(&self, name: &str, operator: &Binary, what: Option<What>) -> bool {
        let needed = match (operator, what) {
            (Binary::Prefix | Binary::Contains, Some(What::Host | What::Email)) => Bound::End,
            (Binary::Suffix | Binary::Contains, Some(What::Url) | None) => Bound::Beginning,
            _ => return false,
        };
        self.0.contains(&(name, needed))
    }
}

fn bound(part: &Expr) -> Option<(&str, Bound)> {
    let Node::Binary(operator, left, right) = &part.node else { return None };
    let (name, text) = (left.variable()?, right.constant()?.text()?);
    let bound = match operator {
        // A beginning in which the host has ended.
        Binary::Prefix if text.split_once("://")?.1.contains('/') => Bound::Beginning,
        Binary::Ffi(function) if function == "hardtack_url" => Bound::Beginning,
        Binary::Ffi(function) if function == "hardtack_network" => Bound::End,
        Binary::Suffix if is_host(text.strip_prefix(['.', '@'])?) => Bound::End,
        _ => return None,
    };
    Some((name, bound))
}

/// What a comparison with a part lets through beside what it seems to, and how to mend it.
pub(super) fn loose(
    operator: &Binary,
    column: Option<Column>,
    what: Option<What>,
    term: &Term,
) -> Option<(String, String)> {
    let what = if column == Some(Column::Resource) { What::Url } else { what? };
    let text = term.text().filter(|text| !text.is_empty())?;
    let shown = text.escape_debug();
    match (operator, what) {
        (Binary::Suffix, What::Url) => {
            let host = text.trim_end_matches('/').rsplit(['/', '@', ':', '?', '=']).next()?;
            let mend = url(host)?;
            Some((format!("https://evil.example/?{shown} ends like this too"), mend))
        }
        (Binary::Contains, What::Url) => {
            let host = text.rsplit("//").next()?.trim_start_matches(['/', '@']);
            let mend = url(host.split(['/', ':', '?']).next()?)?;
            let passes = format!(
                "whatever has this in it passes, such as https://evil.example/?{shown}"
            );
            Some((passes, mend))
        }
        (Binary::Suffix, What::Email) => is_host(text).then(|| {
            (
                format!("bob@evil{shown} ends like this too, and is of another domain"),
                format!("write \"@{shown}\""),
            )
        }),
        (Binary::Contains, What::Email) => {
            let host = text.rsplit('@').next()?;
            is_host(host).then(|| {
                (
                    format!("whatever has this in it passes, such as bob@{host}.evil.example"),
                    format!("write .ends_with(\"@{host}\")"),
                )
            })
        }
        (Binary::Prefix, What::Email) => text.contains('@').then(|| {
            (
                format!("this also begins {shown}.evil.example, which is another domain"),
                "compare the whole with `==`, or its end, as in .ends_with(\"@example.com\")"
                    .to_owned(),
            )
        }),
        // No host has a `:` in it; an address of IPv6 may begin so.
        (Binary::Prefix, What::Host) if text.contains(':') => None,
        (Binary::Prefix, What::Host) => Some((
            format!(
                "this also begins {}.evil.example, which is another host",
                text.trim_end_matches('.').escape_debug()
            ),
            "compare the host with `==`, or its end from a `.` on; a network with extern::hardtack_network(\"…\")"
                .to_owned(),
        )),
        // `evilexample.com`; what has a dot in it is found for every argument.
        (Binary::Suffix, What::Host) if is_label(text) => Some((
            format!("evil{shown} ends like this too, and is another host"),
            format!("compare the host with `==`, or write \".{shown}\""),
        )),
        (Binary::Contains, What::Host) => is_host(text.trim_matches('.')).then(|| {
            (
                format!("whatever has this in it passes, such as a{shown}.evil.example"),
                "compare the host with `==`, or its end from a `.` on".to_owned(),
            )
        }),
        _ => None,
    }
}

/// How to compare a URL with a host, or with all hosts below a domain; `None` if it is no host.
fn url(host: &str) -> Option<String> {
    let (before, host) = match host.strip_prefix('.') {
        Some(host) => ("*.", host),
        None => ("", host),
    };
    let host = host.to_lowercase();
    is_host(&host).then(|| format!("write $url.extern::hardtack_url(\"https://{before}{host}\")"))
}

/// Whether this is a word that a host's name can end with.
fn is_label(text: &str) -> bool {
    text.len() >= 2 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Whether this is what a host's name looks like, and no file's.
pub(super) fn is_host(text: &str) -> bool {
    const FILES: [&str; 36] = [
        "pdf", "csv", "txt", "md", "json", "png", "jpg", "jpeg", "gif", "svg", "xml", "html",
        "yaml", "yml", "toml", "zip", "gz", "log", "doc", "docx", "xls", "xlsx", "ppt", "pptx",
        "htm", "php", "css", "js", "ini", "conf", "tar", "tgz", "bak", "tmp", "webp", "sql",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_an_argument_is_by_its_last_word() {
        for (name, what) in [
            ("url", Some(What::Url)),
            ("URL", Some(What::Url)),
            ("callback_url", Some(What::Url)),
            ("callbackUrl", Some(What::Url)),
            ("links", Some(What::Url)),
            ("Host", Some(What::Host)),
            ("remote-hostname", Some(What::Host)),
            ("allowed.domains", Some(What::Host)),
            ("email_address", Some(What::Email)),
            ("recipientEmails", Some(What::Email)),
            ("domain_name", Some(What::Host)),
            ("hostName", Some(What::Host)),
            ("ip", Some(What::Host)),
            ("ip_address", Some(What::Host)),
            ("linkName", None),
            ("name", None),
            ("address", None),
            ("zip", None),
            ("ghost", None),
            ("domain_type", None),
            ("url_count", None),
            ("curl", None),
            ("", None),
        ] {
            assert_eq!(What::named(name), what, "{name}");
        }
    }
}
