//! Value: is this one header's credential, and nothing else?

use http::{HeaderName, HeaderValue, header};

use hardtack::cause::Cause;

/// The longest value: common servers take no longer headers.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Headers that say how a connection or a message is read, or that the gateway writes itself.
const NOT_CREDENTIALS: [&str; 24] = [
    "accept",
    "baggage",
    "connection",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
];

/// And families of them.
const NOT_CREDENTIALS_BEGIN: [&str; 4] = ["content-", "mcp-", "accept-", "sec-"];

/// An error of a credential for a server: it cannot be a header's. It never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The name is none of a header.
    #[error("{0:?} is no name of a header; write a name such as X-API-Key")]
    Name(String),
    /// The header says something else than who asks.
    #[error("the header {0} is the protocol's or the connection's own, and can hold no credential")]
    NotACredential(String),
    /// The header stands there twice.
    #[error("the header {0} is given twice; one of them would be left out")]
    Repeated(String),
    /// The value is empty.
    #[error("the value for {0} is empty")]
    Empty(String),
    /// The value is too long.
    #[error("the value for {0} is longer than 8 KiB")]
    TooLong(String),
    /// The value has a line break within it.
    #[error("the value for {0} has a line break within it; a value is one line")]
    LineBreak(String),
    /// The value has a byte order mark within it.
    #[error("the value for {0} has a byte order mark within it; save it as plain text")]
    ByteOrderMark(String),
    /// The value has characters that no header can hold.
    #[error("the value for {0} has control characters, or characters beyond ASCII")]
    Characters(String),
    /// The value begins with a header's name.
    #[error(
        "the value for {0} has the name of a header in it; write the value alone, without what stands before the colon"
    )]
    NameInValue(String),
    /// An `Authorization` has no scheme.
    #[error("the value for authorization has no scheme; write the scheme, too, as in: Bearer …")]
    NoScheme,
}

impl CredentialError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MalformedCredential
    }
}

/// The name of a header that can hold a credential.
pub(super) fn name(text: &str) -> Result<HeaderName, CredentialError> {
    let shown = || text.chars().take(64).collect::<String>();
    let name = HeaderName::try_from(text).map_err(|_| CredentialError::Name(shown()))?;
    let is_other = NOT_CREDENTIALS.contains(&name.as_str())
        || NOT_CREDENTIALS_BEGIN.iter().any(|begin| name.as_str().starts_with(begin));
    match is_other {
        true => Err(CredentialError::NotACredential(name.to_string())),
        false => Ok(name),
    }
}

/// One header's value, of a text that may have one line break at its end.
pub(super) fn checked(name: &HeaderName, text: &str) -> Result<HeaderValue, CredentialError> {
    let named = name.to_string();
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return Err(CredentialError::Empty(named));
    }
    if text.len() > MAX_VALUE_BYTES {
        return Err(CredentialError::TooLong(named));
    }
    if text.contains(['\n', '\r']) {
        return Err(CredentialError::LineBreak(named));
    }
    if text.contains('\u{feff}') {
        return Err(CredentialError::ByteOrderMark(named));
    }
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(CredentialError::Characters(named));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("authorization:") || lower.starts_with(&format!("{named}:")) {
        return Err(CredentialError::NameInValue(named));
    }
    if *name == header::AUTHORIZATION && !text.contains(' ') {
        return Err(CredentialError::NoScheme);
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| CredentialError::Characters(named))?;
    // Neither a log nor an index of headers that were sent before (HPACK) shows it.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_of_one_header() {
        let key = HeaderName::from_static("x-api-key");
        for good in ["abc", "abc\n", "abc\r\n", " a b ", "a:b"] {
            checked(&key, good).unwrap();
        }
        for (bad, said) in [
            ("", "empty"),
            ("\n", "empty"),
            ("a\n\n", "line break"),
            ("a\r\nX: y", "line break"),
            ("\u{feff}a", "byte order mark"),
            ("a\u{feff}", "byte order mark"),
            ("a\0", "control"),
            ("a\tb", "control"),
            ("ä", "beyond ASCII"),
            ("X-API-Key: a", "name of a header"),
            ("Authorization: Bearer a", "name of a header"),
        ] {
            let error = checked(&key, bad).unwrap_err().to_string();
            assert!(error.contains(said), "{bad:?}: {error}");
        }
        assert!(matches!(checked(&key, &"a".repeat(9000)), Err(CredentialError::TooLong(_))));
        let alone = checked(&header::AUTHORIZATION, "abc");
        assert_eq!(alone, Err(CredentialError::NoScheme));
        checked(&header::AUTHORIZATION, "Bearer abc").unwrap();
    }

    #[test]
    fn headers_of_the_protocol_and_the_connection_hold_no_credential() {
        for good in ["X-API-Key", "authorization", "Cookie", "Notion-Token"] {
            name(good).unwrap();
        }
        for bad in [
            "Host",
            "content-length",
            "MCP-Session-Id",
            "Connection",
            "TE",
            "Accept",
            "Transfer-Encoding",
        ] {
            assert!(matches!(name(bad), Err(CredentialError::NotACredential(_))), "{bad}");
        }
        for bad in ["", "a b", "a:", "ä"] {
            assert!(matches!(name(bad), Err(CredentialError::Name(_))), "{bad}");
        }
    }
}
