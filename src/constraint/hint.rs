//! Hint: what does somebody want to write whose line is no constraint?

use crate::constraint::THE_RESOURCE;

/// What somebody who wrote this most likely wants to write.
pub(super) fn hint(text: &str) -> &'static str {
    let has = |word: &str| format!(" {text} ").contains(&format!(" {word} "));
    let first = text.split([' ', '<', '>', '=', '!']).next().unwrap_or_default();
    // `the ressource`, `The resource`, `the uri`.
    if first.eq_ignore_ascii_case("the") && !text.starts_with(&format!("{THE_RESOURCE} ")) {
        return "of the call's resource write `the resource`, in small letters and with one space, as in `the resource within \
                file:///srv/data`; an argument's name of several words stands in double quotes";
    }
    if first.contains('.') {
        return "an argument is a top-level member, and those of objects cannot be spoken of; one whose name has a \
                dot is written in double quotes";
    }
    if has("and") || has("AND") || text.contains("&&") {
        return "write one constraint for each part (--allow twice), or `amount between 1 and 100`";
    }
    if has("OR") || text.contains("||") {
        return "alternatives are joined by a lower-case `or`, each with its argument: `a == 5 or b == 6`";
    }
    if has("matches") || text.contains('~') {
        return "there are no regular expressions; use `file like \"report-*.pdf\"`, `in`, `starts with`";
    }
    if text.contains("not within") || text.contains("not url") || text.contains("not like") {
        return "say what is allowed, not what is not: `path within /srv/data`";
    }
    if has("is") || has("missing") {
        return "use `==`, `!=`, `required` or `absent`";
    }
    if has("all") || has("any") || text.contains('[') && text.contains("] ") {
        return "of arrays write `each tags in [a, b]`, `tags includes a` or `tags items <= 5`";
    }
    if text.contains(THE_RESOURCE) {
        return "of the resource write `the resource within file:///srv/data` or `the resource url https://api.example.com`";
    }
    if ["url", "within", "network", "like", "in"].contains(&first) {
        return "the argument's name comes first: `path within /srv/data`";
    }
    "write an argument and what is demanded of it, such as `amount between 1 and 100`, `currency in [EUR, USD]`, \
     `mode == \"read only\"`, `path within /srv/data`, `target url https://*.example.com`, `ip network 10.0.0.0/8`, \
     `file like \"report-*.pdf\"`, `title length <= 80`, `each tag in [a, b]`, `note? length <= 500`, \
     `query required`, `force absent`, `only path, mode`, `no other arguments`, `a <= 5 or b == true`"
}
