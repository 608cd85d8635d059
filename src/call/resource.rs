//! Resource: is this a URI that every reader takes for the same resource?
//!
//! Of https, http and file the WHATWG URL Standard says which form is the normal one, and servers keep to it. Of other schemes
//! nobody says whether a host has capitals, what an escape stands for or where a step leads. So URIs of these are taken only if
//! no reader knows another spelling of them (equivalence of RFC 3986, section 6.2, and what servers do beyond).

use std::str::FromStr;

use icu_normalizer::ComposingNormalizerBorrowed;
use url::Url;

use crate::call::CallError;
use crate::spelling::is_plain;

/// The schemes whose normal form is one that servers know.
const KNOWN_SCHEMES: [&str; 3] = ["https", "http", "file"];

/// What may be escaped, of ASCII: it may not stand as it is, and separates nothing.
const ESCAPED: &[u8] = b" \"<>[]^`{|}";

/// A URI equal to its WHATWG-normalised form, so that policy and server mean the same thing; of other schemes than the known
/// ones, without another spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource(Url);

impl Resource {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn scheme(&self) -> &str {
        self.0.scheme()
    }
}

impl FromStr for Resource {
    type Err = CallError;

    fn from_str(uri: &str) -> Result<Resource, CallError> {
        let url = Url::parse(uri).map_err(|_| CallError::Resource { normal: None })?;
        let normal = match has_drive_with_pipe(&url) {
            true => url.as_str().replacen('|', ":", 1),
            false => url.to_string(),
        };
        if normal != uri {
            return Err(CallError::Resource { normal: Some(normal) });
        }
        match KNOWN_SCHEMES.contains(&url.scheme()) {
            true => Ok(Resource(url)),
            false => match other_spelling(&url) {
                Some(problem) => Err(CallError::ResourceForms { problem }),
                None => Ok(Resource(url)),
            },
        }
    }
}

/// Whether a file's path begins with a Windows drive written `C|`. The standard writes `C:` for it, which
/// [`Url`] leaves to whoever reads the path.
fn has_drive_with_pipe(url: &Url) -> bool {
    let drive = match url.path().as_bytes() {
        [b'/', drive, b'|'] | [b'/', drive, b'|', b'/', ..] => drive,
        _ => return false,
    };
    url.scheme() == "file" && drive.is_ascii_alphabetic()
}

/// What gives a URI another spelling, in words; `None` if nothing does.
fn other_spelling(url: &Url) -> Option<&'static str> {
    let is_web = url.is_special();
    let (scheme, rest) = url.as_str().split_once(':').unwrap_or_default();
    if rest.contains('#') {
        return Some("it has a fragment (`#`), which some readers leave out");
    }
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let path = match place.strip_prefix("//") {
        Some(place) => {
            let (host, path) = match place.split_once('/') {
                Some((host, path)) => (host, Some(path)),
                None => (place, None),
            };
            if let Some(problem) = host_flaw(host, is_web) {
                return Some(problem);
            }
            // The standard has a slash behind every host of such a scheme.
            path.filter(|path| !(is_web && path.is_empty()))
        }
        None if place.starts_with('/') => {
            return Some("it has one slash behind the scheme; write `://`");
        }
        None if scheme == "data" => {
            return Some("a `data:` URI is content, which can be written in many ways");
        }
        None if place.split_once(':').is_some_and(|(space, name)| {
            has_capitals(space) || scheme == "urn" && space == "uuid" && has_capitals(name)
        }) =>
        {
            return Some(
                "the name before its second colon, or a UUID behind it, has capitals, which some readers write small",
            );
        }
        None => Some(place),
    };
    let path_flaw = path.and_then(|path| path.split('/').find_map(segment_flaw));
    path_flaw.or_else(|| query.and_then(query_flaw)).or_else(|| {
        let written = path.into_iter().chain(query).map(escapes_flaw);
        written.flatten().next()
    })
}

fn has_capitals(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Names alone: who connects to one of these schemes, by which port, and whether a name is an address, is not known here.
fn host_flaw(host: &str, is_web: bool) -> Option<&'static str> {
    let is_of_name = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
    };
    if host.contains('@') {
        return Some("it names a user before the host, which some readers leave out");
    }
    if host.ends_with('.') {
        return Some("its host ends with a dot, which some readers leave out");
    }
    if host.contains('[') {
        return Some("its host is an address of IPv6, of which one resource has several spellings");
    }
    if is_web {
        return None;
    }
    if has_capitals(host) {
        return Some(
            "its host (what stands between `://` and the next slash) has capitals, which some readers write small",
        );
    }
    if host.contains(':') {
        return Some(
            "its host has a port or is an address of IPv6, of which one resource has several spellings",
        );
    }
    if !host.bytes().all(is_of_name) || host.starts_with('.') || host.ends_with('.') {
        return Some(
            "its host has other characters than small letters, digits, `-`, `_`, `~` and dots between them",
        );
    }
    None
}

fn segment_flaw(segment: &str) -> Option<&'static str> {
    if segment.is_empty() {
        return Some(
            "it has an empty part between two slashes or a slash at the end, which some readers leave out",
        );
    }
    if segment.ends_with('.') {
        return Some(
            "a part of its path ends with a dot, which is a step or is left out by some readers",
        );
    }
    if segment.contains(';') {
        return Some("its path has a `;`, from which on some readers leave a part of it out");
    }
    if segment.starts_with("%20") || segment.ends_with("%20") {
        return Some(
            "a part of its path begins or ends with a space, which some readers leave out",
        );
    }
    None
}

fn query_flaw(query: &str) -> Option<&'static str> {
    if query.is_empty() {
        return Some("it has a `?` and nothing behind it");
    }
    query.contains('+').then_some("its query has a `+`, which some readers take for a space")
}

/// Every character stands in one way: escaped if it must be, and else not.
fn escapes_flaw(text: &str) -> Option<&'static str> {
    let (mut rest, mut decoded) = (text.as_bytes(), Vec::new());
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Some("an escape in it is no `%` with two digits of 0 to 9 and A to F");
                };
                let byte = high * 16 + low;
                if byte.is_ascii() && !ESCAPED.contains(&byte) {
                    return Some(
                        "it has an escape of a character that can stand as it is, or that readers take for a separator",
                    );
                }
                decoded.push(byte);
                rest = behind;
            }
            (b'%', _) => {
                return Some("an escape in it is no `%` with two digits of 0 to 9 and A to F");
            }
            (byte, _) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte) => {
                decoded.push(*byte);
            }
            _ => return Some("it has a character that a URI has in an escape or not at all"),
        }
    }
    let is_one = |text: &str| {
        text.is_ascii()
            || is_plain(text) && ComposingNormalizerBorrowed::new_nfkc().is_normalized(text)
    };
    match std::str::from_utf8(&decoded).is_ok_and(is_one) {
        true => None,
        false => Some("its escapes are no text in UTF-8 that prints and is in normal form (NFKC)"),
    }
}

/// The value of a hexadecimal digit, which has no small letters here.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(uri: &str) -> Option<&'static str> {
        match uri.parse::<Resource>() {
            Ok(resource) => {
                assert_eq!(resource.as_str(), uri);
                None
            }
            Err(CallError::ResourceForms { problem }) => Some(problem),
            Err(error) => panic!("{uri}: {error}"),
        }
    }

    #[test]
    fn what_servers_list_has_one_form() {
        for uri in [
            "demo://resource/static/document/architecture.md",
            "demo://resource/dynamic/text/1",
            "memo://insights",
            "data://config",
            "ui://get-time/mcp-app.html",
            "note:///1",
            "logs://",
            "urn:isbn:0451450523",
            "urn:example:A",
            "memo:A",
            "users://1/Profile",
            "docs://v1.2/a%20b/caf%C3%A9?q=x&r=y",
            "weather://a-b_c~d/(x)/!$&'*+,=:@",
            "ftp://docs.example/",
            "ftp://docs.example:2121/a",
        ] {
            assert_eq!(problem(uri), None, "{uri}");
        }
    }

    #[test]
    fn what_has_another_spelling_is_refused_and_says_why() {
        for (uri, why) in [
            ("memo://a#b", "fragment"),
            ("memo://a#", "fragment"),
            ("memo://a@b/c", "user"),
            ("ftp://a@b/c", "user"),
            ("memo://a:80/c", "port"),
            ("memo://[::1]/c", "IPv6"),
            ("wss://[::1]/c", "IPv6"),
            ("ftp://[::ffff:7f00:1]/c", "IPv6"),
            ("memo://A/c", "capitals"),
            ("memo://%61/c", "other characters"),
            ("memo://a%20b/c", "other characters"),
            ("memo://..", "ends with a dot"),
            ("memo://a./b", "ends with a dot"),
            ("ftp://docs.example./b", "ends with a dot"),
            ("memo://.a/b", "other characters"),
            ("memo://a*/b", "other characters"),
            ("memo:/a", "one slash"),
            ("memo://a/", "slash at the end"),
            ("memo:///", "slash at the end"),
            ("memo://a//b", "empty part"),
            ("memo://a/b/", "slash at the end"),
            ("memo:a/../b", "dot"),
            ("memo:a/./b", "dot"),
            ("memo:..", "dot"),
            ("urn:ISBN:0451450523", "second colon"),
            ("urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "UUID"),
            ("memo://a/b.", "dot"),
            ("memo://a/...", "dot"),
            ("memo://a/..;x/b", "`;`"),
            ("memo://a/%20b", "space"),
            ("memo://a/b%20", "space"),
            ("memo://a?", "nothing behind"),
            ("memo://a?b+c", "`+`"),
            ("memo://a/%61", "can stand"),
            ("memo://a/b%2Fc", "can stand"),
            ("memo://a/b%2fc", "two digits"),
            ("memo://a/b%5Cc", "can stand"),
            ("memo://a/b%25", "can stand"),
            ("memo://a/b%00", "can stand"),
            ("memo://a/b%0Ac", "can stand"),
            ("memo://a/b%3F", "can stand"),
            ("memo://a/b%2Cc", "can stand"),
            ("memo://a/b%c3%a9", "two digits"),
            ("memo://a/b%", "two digits"),
            ("memo://a/b%4", "two digits"),
            ("memo://a/b\\c", "in an escape"),
            ("memo://a/b|c", "in an escape"),
            ("memo://a/b[c", "in an escape"),
            ("memo://a/b^c", "in an escape"),
            ("memo://a?q=%7e", "two digits"),
            ("memo://a?q=%7E", "can stand"),
            ("memo://a/%FF", "UTF-8"),
            ("memo://a/%C0%AF", "UTF-8"),
            ("memo://a/e%CC%81", "NFKC"),
            ("memo://a/%EF%BC%8F", "NFKC"),
            ("memo://a/%EF%BC%A1", "NFKC"),
            ("memo://a/b%E2%80%8Bc", "UTF-8"),
            ("memo://a/b%C2%A0c", "UTF-8"),
            ("data:text/plain,hi", "content"),
            ("blob:https://a.example/b", "empty part"),
        ] {
            let found = problem(uri);
            assert!(found.is_some_and(|problem| problem.contains(why)), "{uri}: {found:?}");
        }
    }

    #[test]
    fn the_standard_itself_refuses_what_it_writes_in_another_way() {
        for uri in [
            "MEMO://a/b",
            "memo://a/../b",
            "memo://a/%2e%2E/b",
            "memo://a:/b",
            "memo://a:080/b",
            "memo://@a/b",
            "memo://a\tb",
            "memo://a/b c",
            "memo://a/\u{e9}",
            "memo://a/b\0",
            " memo://a",
            "memo://[0::1]/",
        ] {
            let refused = uri.parse::<Resource>();
            assert!(matches!(refused, Err(CallError::Resource { .. })), "{uri}: {refused:?}");
        }
    }
}
