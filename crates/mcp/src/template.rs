//! Template: may there be a URI of this template (RFC 6570) that can be read?

use hardtack::call::Call;

/// What stands for a value. Servers give one a name, a path, or a host with a path; and some clients put it in as it is.
const VALUES: [&str; 4] = ["x", "x/x", "/x", "1"];

/// What is known of the URIs that a template stands for.
#[derive(Debug, PartialEq)]
pub(crate) enum Stands {
    /// One alone, which is read by this call.
    For(Box<Call>),
    /// Some that can be read, of this scheme.
    ForSome(String),
    /// Whatever its values say, also of any scheme.
    ForAny,
    /// None that can be read: each has another spelling.
    ForNone,
    /// Readers would take it differently.
    Unreadable,
}

/// Tries what a template can stand for.
pub(crate) fn stands(template: &str) -> Stands {
    let Some(parts) = parts(template) else { return Stands::Unreadable };
    let first = match parts.first() {
        Some(Part::Text(first)) => *first,
        _ => "",
    };
    let is_whole = parts.len() == 1 && !first.is_empty();
    let Some((scheme, _)) = first.split_once(':') else {
        return if is_whole || parts.is_empty() { Stands::ForNone } else { Stands::ForAny };
    };
    if is_whole {
        return read(first).map_or(Stands::ForNone, |call| Stands::For(Box::new(call)));
    }
    let values = VALUES.iter().flat_map(|value| [(Some(*value), false), (Some(*value), true)]);
    let mut tries = values.chain([(None, true)]);
    match tries.any(|(value, is_whole)| read(&expanded(&parts, value, is_whole)).is_some()) {
        true => Stands::ForSome(scheme.to_owned()),
        false => Stands::ForNone,
    }
}

fn read(uri: &str) -> Option<Call> {
    Call::new("resources:read").and_then(|call| call.resource(uri)).ok()
}

enum Part<'a> {
    Text(&'a str),
    /// An expression without its braces.
    Expression(&'a str),
}

/// `None` if its braces are not in pairs.
fn parts(template: &str) -> Option<Vec<Part<'_>>> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((text, behind)) = rest.split_once('{') {
        let (expression, behind) = behind.split_once('}')?;
        if text.contains('}') || expression.is_empty() || expression.contains('{') {
            return None;
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        parts.push(Part::Expression(expression));
        rest = behind;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Some(parts)
}

/// The URI with this value for all variables, or with none for those that may be left out: all, or those whose name would not
/// be a part of one spelling (fragments, parameters) alone.
fn expanded(parts: &[Part<'_>], value: Option<&str>, is_whole: bool) -> String {
    let mut uri = String::new();
    for part in parts {
        match (part, value) {
            (Part::Text(text), _) => uri.push_str(text),
            (Part::Expression(_), None) => {}
            (Part::Expression(expression), Some(value)) => {
                expand(expression, value, is_whole, &mut uri);
            }
        }
    }
    uri
}

fn expand(expression: &str, value: &str, is_whole: bool, to: &mut String) {
    let name = |variable: &str| variable.split(['*', ':']).next().unwrap_or_default().to_owned();
    let operator = expression.chars().next().filter(|first| "+#./;?&".contains(*first));
    let variable = name(&expression[operator.map_or(0, char::len_utf8)..]);
    let variable = variable.split(',').next().unwrap_or_default();
    // One of its variables has a value.
    match operator {
        None | Some('+') => to.push_str(value),
        Some('.' | '/') => {
            to.extend(operator);
            to.push_str(value.trim_start_matches('/'));
        }
        Some('?') if is_whole => *to += &format!("?{variable}={}", value.replace('/', "")),
        Some('&') if is_whole => *to += &format!("&{variable}={}", value.replace('/', "")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_which_some_uri_can_be_read_stands_for_some() {
        for (template, scheme) in [
            ("demo://resource/dynamic/text/{resourceId}", "demo"),
            ("users://{user_id}/profile", "users"),
            ("file://{path}", "file"),
            ("file:///{+path}", "file"),
            ("https://{host}/{+path}", "https"),
            ("note:///{id}", "note"),
            ("docs://a{/path*}", "docs"),
            ("docs://a/b{?q,limit}", "docs"),
            ("docs://a/b{#part}", "docs"),
            ("docs://a/b{;x}", "docs"),
            ("docs://a/b?q={q}{&limit}", "docs"),
            ("docs://a/{id}{.format}", "docs"),
            ("docs://a{?q}", "docs"),
            ("urn:isbn:{isbn}", "urn"),
            ("memo://{+all}", "memo"),
        ] {
            assert_eq!(stands(template), Stands::ForSome(scheme.to_owned()), "{template}");
        }
    }

    #[test]
    fn a_template_of_which_no_uri_can_be_read_stands_for_none() {
        for template in [
            "demo://Resource/{id}",
            "demo://user@host/{id}",
            "demo://host:80/{id}",
            "demo://host/../{id}",
            "demo://host//{id}",
            "demo://host/{id}/",
            "demo://host/{id}#part",
            "demo:/a/{id}",
            "demo://host/%61/{id}",
            "HTTPS://host/{id}",
            "data:text/plain,{text}",
            "no scheme",
            "",
        ] {
            assert_eq!(stands(template), Stands::ForNone, "{template}");
        }
    }

    #[test]
    fn what_is_no_template_and_what_says_nothing_of_the_scheme() {
        for template in ["demo://{a", "demo://a}", "demo://{}", "demo://{a{b}}", "demo://a}{b}"] {
            assert_eq!(stands(template), Stands::Unreadable, "{template}");
        }
        for template in ["{+uri}", "{scheme}://a", "de{mo}://a"] {
            assert_eq!(stands(template), Stands::ForAny, "{template}");
        }
        let one = stands("demo://a/b");
        assert!(matches!(one, Stands::For(call) if call.resource_uri() == Some("demo://a/b")));
    }
}
