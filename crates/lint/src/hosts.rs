//! Hosts: which comparisons of a URL, a host or an address with a part of it let other hosts through?

use std::collections::HashMap;

use biscuit_parser::builder::Binary;

use crate::words::Column;
use hardtack::internal::syntax::{Query, Term};

/// What an argument is, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Url,
    Host,
    Email,
}

/// What the last word of an argument's name says.
const WORDS: [(&str, What); 13] = [
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
];

impl What {
    /// Of `callback_url`, `callbackUrl` and `emails`; an `email_address` is an email, and a `domain_type` is no domain.
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
        let words = || spaced.split_whitespace();
        let last = words().last().and_then(said);
        last.or_else(|| words().filter_map(said).find(|what| *what == What::Email))
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
        (Binary::Prefix, What::Host) => Some((
            format!(
                "this also begins {}.evil.example, which is another host",
                text.trim_end_matches('.').escape_debug()
            ),
            "compare the host with `==`, or its end from a `.` on; a network with extern::hardtack_network(\"…\")"
                .to_owned(),
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
