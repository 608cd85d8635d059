//! Reason: what of a text is the matter when it cannot be judged?
//!
//! This is for people who look at a refusal. It decides nothing. Of the text it repeats no more than one part, of
//! bounded length and without characters that do not print.

use url::Url;

use crate::function::loose::names_device;
use crate::function::segment::{has_lone_percent, is_drive, is_name, is_short_name, may_step};
use crate::function::text::{decoded, first_odd, is_percent};
use crate::function::{Function, MAX_JUDGED_BYTES};
use crate::names::escaped;

/// The most characters of a part of the text that are repeated: most names are shorter.
const MAX_SHOWN: usize = 40;

/// Why the function cannot judge the text, and what it could.
pub(super) fn reason(function: Function, text: &str, operand: &str) -> String {
    if text.len() > MAX_JUDGED_BYTES {
        return format!("it has more than {MAX_JUDGED_BYTES} bytes");
    }
    if let Some(c) = first_odd(text) {
        return format!(
            "it has U+{:04X} in it, which does not print there, or looks like a separator",
            u32::from(c)
        );
    }
    let url = matches!(function, Function::Url) || operand.starts_with("file:");
    match function {
        Function::Network => "an address is written in its one normal form, such as 10.1.2.3".to_owned(),
        _ if url => of_url(text),
        _ => of_signs(text).or_else(|| of_names(function, text)).unwrap_or_else(|| match function {
            Function::Glob => "some readers find the pattern in it and others do not: they fold capitals and accents, leave out \
                               quotes and what is not ASCII, cut names at : ; ? # and &, leave blanks and dots off their ends, \
                               find devices (NUL, COM1), and read escapes"
                .to_owned(),
            _ if !text.starts_with('/') => "a path is absolute, such as /srv/data/a.txt".to_owned(),
            _ => "some readers find it in the folder and others do not; write the path without .. and as the folder is written"
                .to_owned(),
        }),
    }
}

fn of_signs(text: &str) -> Option<String> {
    if text.contains('\\') {
        return Some("it has a backslash, which is a separator for some readers".to_owned());
    }
    if text.contains("//") {
        return Some("it has two slashes in a row; write one".to_owned());
    }
    let percent = text.contains(is_percent) && !has_lone_percent(text);
    percent.then(|| {
        "it has a percent sign that may begin an escape; one is let through in the last name, behind a letter or digit and not before one"
            .to_owned()
    })
}

fn of_names(function: Function, text: &str) -> Option<String> {
    // A path may step within its folder.
    let steps = |name: &str| function == Function::Path && matches!(name, "." | "..");
    text.split('/').filter(|name| !name.is_empty() && !steps(name)).find_map(of_name)
}

fn of_name(name: &str) -> Option<String> {
    let what = match name {
        name if !is_name(name) || may_step(name) => {
            "is no name for every reader: some find nothing, . or .. in it"
        }
        name if is_drive(name) => {
            "begins with a drive for some readers; write two characters or more before the colon"
        }
        name if is_short_name(name) => "is such as Windows makes up as a second, short name",
        name if names_device(name) => "is a device for Windows, in whichever folder it stands",
        _ => return None,
    };
    Some(format!("`{}` {what}", shown(name)))
}

fn of_url(text: &str) -> String {
    let Ok(url) = Url::parse(text) else {
        return "it is no URL, such as https://api.example.com/v1".to_owned();
    };
    if url.as_str() != text && url.as_str().strip_suffix('/') != Some(text) {
        return "it is not in the normal form of the WHATWG URL Standard (small letters in the host, no default port, no . or .., \
                escapes for what is not ASCII)"
            .to_owned();
    }
    if !url.username().is_empty() || url.password().is_some() {
        return "it names a user; leave that off".to_owned();
    }
    let name =
        url.path().split('/').skip(1).filter(|name| !name.is_empty()).find_map(
            |name| match decoded(name) {
                Some(read) if !read.contains(['/', '\\']) && !read.contains(is_percent) => {
                    of_name(&read)
                }
                Some(_) if !name.contains("%25") && !name.contains("%5") => None,
                _ => Some(format!(
                    "`{}` has an escape that shows a separator or another escape",
                    shown(name)
                )),
            },
        );
    name.unwrap_or_else(|| {
        "its host or path is not the same to all readers; the host has letters, digits, hyphens and dots, and the path's names stand \
         between single slashes, without needless escapes"
            .to_owned()
    })
}

fn shown(name: &str) -> String {
    let short: String = name.chars().take(MAX_SHOWN).collect();
    let more = if short.len() < name.len() { "…" } else { "" };
    format!("{}{more}", escaped(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_matter_is_said() {
        for (function, operand, text, expected) in [
            (Function::Path, "/srv", "/srv/a\u{200b}b", "U+200B"),
            (Function::Path, "/srv", "/srv/\u{bd} cup", "`\u{bd} cup` is no name"),
            (Function::Path, "/srv", "srv/a", "absolute"),
            (Function::Path, "/srv", "/srv/100%/a", "percent sign"),
            (Function::Path, "/srv", "/srv\\a", "backslash"),
            (Function::Path, "/srv", "//srv/a", "two slashes"),
            (Function::Path, "/srv", "/srv/a:b.txt", "`a:b.txt` begins with a drive"),
            (Function::Path, "/srv", "/srv/..;/a", "`..;` is no name"),
            (Function::Path, "/srv", "/srv/../a", "without .."),
            (Function::Path, "/private", "/PRIVAT~1/a", "short name"),
            (Function::Path, "/srv", "/srv/con.txt", "`con.txt` is a device"),
            (Function::Path, "/srv", "/srv/..&/a", "`..&` is no name"),
            (Function::Glob, "*.txt", "con.txt", "`con.txt` is a device"),
            (Function::Glob, "*.exe", "b.exe\u{2460}", "what is not ASCII"),
            (Function::Path, "file:///srv", "file:///srv/..%20/a", "`.. ` is no name"),
            (Function::Url, "https://a.b/v1", "https://A.b/v1", "normal form"),
            (Function::Url, "https://a.b/v1", "https://u@a.b/v1", "user"),
            (Function::Url, "https://a.b/v1", "x", "no URL"),
            (Function::Url, "https://a.b/v1", "https://a.b/v1/100%25", "`100%25` has an escape"),
            (Function::Url, "https://a.b/v1", "https://a.b/v1%2Fx", "not the same to all"),
            (Function::Network, "10.0.0.0/8", "010.0.0.1", "normal form"),
            (Function::Glob, "*.exe", "b.exe.", "cut names at"),
            (Function::Glob, "*.exe", "a/../b", "`..`"),
            (Function::Glob, "*.exe", "B~1.EXE", "short name"),
        ] {
            assert!(function.judge(text, operand).is_none(), "{text}");
            let said = reason(function, text, operand);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn no_more_than_a_part_is_repeated() {
        let name = format!("..;{}", "\u{65e5}".repeat(1000));
        let said = reason(Function::Path, &format!("/srv/{name}"), "/srv");
        assert!(said.chars().count() < 200, "{said}");
        let said = reason(Function::Path, "/srv/;\u{65e5}\u{200d}x", "/srv");
        assert!(said.contains("\\u{200d}") && !said.contains('\u{200d}'), "{said}");
    }
}
