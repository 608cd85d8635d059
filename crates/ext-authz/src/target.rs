//! Target: which path and which query does a request target say, if all readers find the same in it?
//!
//! It is decoded once (RFC 3986, section 2). What one server reads in one way and another server in another is refused:
//! defence against parser differentials.

use hardtack_http::Undescribed;

/// The most bytes of a request target: what HTTP servers take as a request line (RFC 9110, section 4.1).
pub(crate) const MAX_TARGET_BYTES: usize = 8000;

/// A request target in origin form (RFC 9112, section 3.2.1), decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The segments of the path. The last one is empty if the path ends with a slash.
    pub(crate) segments: Vec<String>,
    /// The members of the query, in their order.
    pub(crate) query: Vec<(String, String)>,
}

/// Why a target is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("the request target has more than {MAX_TARGET_BYTES} bytes")]
    Long,
    #[error(
        "the request target does not begin with a slash; send the path alone, without scheme and host"
    )]
    Form,
    #[error("the request target has a fragment, which is not sent to servers")]
    Fragment,
    #[error("the path has an empty segment; write one slash where there are two")]
    Empty,
    #[error("the path has the segment . or ..; write the path that it leads to")]
    Dots,
    #[error(
        "there is a semicolon, which begins parameters for some servers; write %3B in a query, and no parameters in a path"
    )]
    Semicolon,
    #[error("there is a character that has to be written as an escape (RFC 3986)")]
    Character,
    #[error(
        "a percent sign is not followed by two hexadecimal digits in capitals; write %C3, say, or %25 for a percent sign"
    )]
    Escape,
    #[error(
        "there is an escape of a letter, a digit or one of -._~, which needs none; write the character itself"
    )]
    Needless,
    #[error("there is an escape of an escape (%25 and two hexadecimal digits, or a u)")]
    Double,
    #[error("the path has an escape of / \\ ; ? # or of a character that does not print")]
    Separator,
    #[error("the query has an escape of the character NUL")]
    Nul,
    #[error("the query has an empty member; write one & between two members, and none around them")]
    Member,
    #[error("a member of the query has no =; write name=value, also for an empty value")]
    Value,
    #[error("there is a + in the query, which is a space for some servers; write %20 or %2B")]
    Plus,
    #[error("an escape is no UTF-8 text")]
    Text,
}

impl From<TargetError> for Undescribed {
    fn from(error: TargetError) -> Undescribed {
        match error {
            TargetError::Text => Undescribed::NoText,
            error => Undescribed::Other(error.to_string()),
        }
    }
}

/// What of a target is decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Query,
}

impl Target {
    /// Reads a target. With `plus_is_space`, a `+` in the query is a space, as HTML forms write it; otherwise it is refused.
    pub(crate) fn read(text: &str, plus_is_space: bool) -> Result<Target, TargetError> {
        if text.len() > MAX_TARGET_BYTES {
            return Err(TargetError::Long);
        }
        if text.contains('#') {
            return Err(TargetError::Fragment);
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = path.strip_prefix('/').ok_or(TargetError::Form)?;
        Ok(Target { segments: segments(path)?, query: members(query, plus_is_space)? })
    }
}

fn segments(path: &str) -> Result<Vec<String>, TargetError> {
    let mut segments = Vec::new();
    let mut raw = path.split('/').peekable();
    while let Some(segment) = raw.next() {
        // The last one may be empty: the path ends with a slash then.
        if segment.is_empty() && raw.peek().is_some() {
            return Err(TargetError::Empty);
        }
        if matches!(segment, "." | "..") {
            return Err(TargetError::Dots);
        }
        segments.push(decoded(segment, Part::Path)?);
    }
    Ok(segments)
}

fn members(query: &str, plus_is_space: bool) -> Result<Vec<(String, String)>, TargetError> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let member = |member: &str| {
        if member.is_empty() {
            return Err(TargetError::Member);
        }
        if member.contains('+') && !plus_is_space {
            return Err(TargetError::Plus);
        }
        let member = member.replace('+', "%20");
        let (name, value) = member.split_once('=').ok_or(TargetError::Value)?;
        Ok((decoded(name, Part::Query)?, decoded(value, Part::Query)?))
    };
    query.split('&').map(member).collect()
}

/// Decodes what has escapes only where they are needed.
fn decoded(text: &str, part: Part) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match first {
            b'%' => {
                let (escaped, after) = escape(after)?;
                rest = after;
                refuse_escaped(escaped, after, part)?;
                escaped
            }
            b';' => return Err(TargetError::Semicolon),
            byte if is_plain(byte, part) => byte,
            _ => return Err(TargetError::Character),
        };
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| TargetError::Text)?;
    match part == Part::Path && text.chars().any(char::is_control) {
        true => Err(TargetError::Separator),
        false => Ok(text),
    }
}

/// The byte of an escape whose percent sign was read, and what follows it.
fn escape(after: &[u8]) -> Result<(u8, &[u8]), TargetError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let [high, low, after @ ..] = after else { return Err(TargetError::Escape) };
    match (digit(*high), digit(*low)) {
        (Some(high), Some(low)) => Ok((16 * high + low, after)),
        _ => Err(TargetError::Escape),
    }
}

/// What may not be written as an escape, because some servers decode it before or after others do, or twice.
fn refuse_escaped(byte: u8, after: &[u8], part: Part) -> Result<(), TargetError> {
    let is_escape_again = matches!(after, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
        || matches!(after, [b'u' | b'U', ..]);
    match byte {
        // Also %2E and %2E%2E.
        _ if is_unreserved(byte) => Err(TargetError::Needless),
        b'%' if is_escape_again => Err(TargetError::Double),
        b'/' | b'\\' | b';' | b'?' | b'#' if part == Part::Path => Err(TargetError::Separator),
        0..0x20 | 0x7f if part == Part::Path => Err(TargetError::Separator),
        0 => Err(TargetError::Nul),
        _ => Ok(()),
    }
}

/// Unreserved characters (RFC 3986, section 2.3), for which no escape is needed anywhere.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand for itself (RFC 3986, sections 3.3 and 3.4), but `;`.
fn is_plain(byte: u8, part: Part) -> bool {
    let also: &[u8] = match part {
        Part::Path => b"!$&'()*+,=:@",
        Part::Query => b"!$'()*,=:@/?",
    };
    is_unreserved(byte) || also.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Target, TargetError> {
        Target::read(text, false)
    }

    fn path(text: &str) -> Vec<String> {
        read(text).unwrap().segments
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(path("/"), [""]);
        assert_eq!(path("/pages/road map".replace(' ', "%20").as_str()), ["pages", "road map"]);
        assert_eq!(path("/caf%C3%A9/a:b@c,d=e/"), ["café", "a:b@c,d=e", ""]);
        assert_eq!(path("/100%25"), ["100%"]);
        assert_eq!(path("/a+b"), ["a+b"], "a plus is a plus in a path");
        assert_eq!(path("/.../..a"), ["...", "..a"]);
    }

    #[test]
    fn a_query_is_decoded_once() {
        let query = |text: &str| read(text).unwrap().query;
        assert_eq!(query("/?"), []);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query("/?a=1&b=c%20d&e="), [pair("a", "1"), pair("b", "c d"), pair("e", "")]);
        assert_eq!(query("/?a=b=c/d?e"), [pair("a", "b=c/d?e")]);
        assert_eq!(query("/?a=%2F..%26%3B%2B"), [pair("a", "/..&;+")]);
        let spaced = Target::read("/?a=b+c%2Bd", true).unwrap();
        assert_eq!(spaced.query, [pair("a", "b c+d")]);
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        use TargetError::*;
        let long = format!("/{}", "a".repeat(MAX_TARGET_BYTES));
        for (text, error) in [
            ("", Form),
            ("*", Form),
            ("http://other/pages", Form),
            ("pages", Form),
            ("/pages#x", Fragment),
            ("//pages", Empty),
            ("/pages//x", Empty),
            ("/pages//", Empty),
            ("/pages/./x", Dots),
            ("/pages/../admin", Dots),
            ("/..", Dots),
            ("/pages/%2E%2E/admin", Needless),
            ("/pages/.%2E/admin", Needless),
            ("/pages/salarie%73", Needless),
            ("/pages/%7E", Needless),
            ("/pages%2Fsalaries", Separator),
            ("/pages%5Csalaries", Separator),
            ("/pages/a%3Bb", Separator),
            ("/pages/a%3Fb=c", Separator),
            ("/pages/a%23b", Separator),
            ("/pages/a%00", Separator),
            ("/pages/a%0D%0Ab", Separator),
            ("/pages/a%7F", Separator),
            ("/pages/a%C2%85b", Separator),
            ("/pages\\salaries", Character),
            ("/pages/a b", Character),
            ("/pages/caf\u{e9}", Character),
            ("/pages/a;b=c", Semicolon),
            ("/pages/x?a=1;b=2", Semicolon),
            ("/pages/%2fx", Escape),
            ("/pages/%c3%a9", Escape),
            ("/pages/%C3%a9", Escape),
            ("/pages/%", Escape),
            ("/pages/%2", Escape),
            ("/pages/%u0041", Escape),
            ("/pages/%252F", Double),
            ("/pages/%252e%252e", Double),
            ("/?a=%2541", Double),
            ("/pages/%25u002F", Double),
            ("/?a=%25U0041", Double),
            ("/pages/%C0%AF", Text),
            ("/pages/%FF", Text),
            ("/pages/%ED%A0%80", Text),
            ("/?a=%C0%80", Text),
            ("/?a=%00", Nul),
            ("/?a=1&&b=2", Member),
            ("/?&", Member),
            ("/?a=1&", Member),
            ("/?a", Value),
            ("/?a=b+c", Plus),
            ("/?a+b=c", Plus),
            ("/?a[]=1", Character),
            ("/?a=\u{e9}", Character),
            (&long, Long),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn of_every_escape_the_path_takes_those_that_are_needed_and_separate_nothing() {
        let taken: Vec<u8> =
            (0..=0x7f).filter(|byte| read(&format!("/a%{byte:02X}b")).is_ok()).collect();
        assert_eq!(String::from_utf8(taken).unwrap(), " !\"$%&'()*+,:<=>@[]^`{|}");
    }
}
