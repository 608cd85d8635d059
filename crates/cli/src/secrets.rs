//! Secrets: what may be a private key, a token or a password, in places where none belongs.
//!
//! Every process list shows what is typed, so no option takes a secret as text: files hold keys, standard input has
//! tokens. What looks like one is refused wherever it stands, and never repeated.

mod runs;

use std::borrow::Cow;
use std::ffi::OsString;
use std::ops::Range;
use std::sync::LazyLock;

use hardtack::log::LogKey;
use hardtack::{Capability, PublicKey};
use regex::Regex;

/// The fewest characters of a text that is taken for a token: half of what the shortest one has. Names and paths have
/// fewer between their dots and slashes.
const LEAST_TOKEN_CHARS: usize = 100;

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    PrivateKey,
    Token,
}

impl Secret {
    /// What a text is or contains, if that is a secret.
    pub(crate) fn in_text(text: &str) -> Option<Secret> {
        if PRIVATE_KEY.is_match(text) {
            return Some(Secret::PrivateKey);
        }
        // A log's public key has a slash, two pluses and more than a hundred characters, and is no secret.
        if text.trim().parse::<LogKey>().is_ok() {
            return None;
        }
        let is_token = |run: &str| Capability::parse(run).is_ok();
        let whole = joined(text);
        // A path has slashes, too.
        let is_key = |part: &Range<usize>| part.len() == whole.len();
        let is_path = whole.contains('/') && !runs::like_keys(&whole).iter().any(is_key);
        let is_one = WHOLE.is_match(&whole) && is_mixed(&whole) && !is_path;
        (is_one || RUN.find_iter(text).any(|run| is_token(run.as_str()))).then_some(Secret::Token)
    }

    /// Why it does not belong where it was given.
    pub(crate) fn problem(self) -> &'static str {
        match self {
            Secret::PrivateKey => {
                "this looks like a private key, which no option and no setting takes as text; save it in a file, and give the file's name where a private key is asked for, and where a public key is asked for what `hardtack pubkey FILE` prints. Others may have seen it here: treat it as exposed and make a new one"
            }
            Secret::Token => {
                "this looks like a token, which no option and no setting takes as text; tokens come in on standard input, as in: hardtack inspect < grant.token. Others may have seen it here: revoke it, or let it expire, before you rely on it"
            }
        }
    }
}

static PRIVATE_KEY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(ed25519|secp256r1)-private/|PRIVATE KEY-----|BQYDK2VwBCIEI"));

/// What a token is made of, with its padding.
static RUN: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("[A-Za-z0-9_-]{{{LEAST_TOKEN_CHARS},}}={{0,2}}")));

/// The whole of a text without blanks that is a token, in base64 of either alphabet or in hexadecimal digits, or a JWT.
static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"^(?:[A-Za-z0-9+/_-]{{{LEAST_TOKEN_CHARS},}}={{0,2}}|eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]*)$"
    ))
});

/// What is not repeated, by what stands around it: each kind of it a group of its own.
static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        // To its end, or to the end of the text where that is missing.
        r"(?P<pem>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z))",
        r"(?P<key>(?i:(?:ed25519|secp256r1)-private/)[0-9A-Za-z]+)",
        // PKCS #8 of an ed25519 key, in base64 (RFC 8410).
        r"(?P<der>[A-Za-z0-9+/]*BQYDK2VwBCIEI[A-Za-z0-9+/]*=*)",
        r"(?P<jwt>eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*)",
        // As a header has it; in small letters, it is a word of ours.
        r"(?P<header>(?i:authorization: ?)[^\s'`]+(?: [^\s'`]+)?|\b(?:Bearer|Basic|BEARER|BASIC)(?: |%20|\+)[A-Za-z0-9._~+/=%-]{4,})",
        r"(?P<bearer>\b(?:bearer|basic) [A-Za-z0-9._~+/=-]*[0-9A-Z+/=][A-Za-z0-9._~+/=-]*)",
        // To the last @: a password may have any sign in it, also those that end a host.
        r"(?P<user>(?i:://|:\\/\\/|%3a%2f%2f)[^\s]*(?:@|%40))",
        r"(?P<query>[?&;#](?i:[a-z_-]*(?:password|passwd|pwd|secret|token|jwt|key|code|auth|session|sid|signature|sig))=[^\s&'`\x22]+)",
    ];
    pattern(&kinds.join("|"))
});

#[allow(clippy::expect_used, reason = "the patterns stand here, and a test compiles all of them")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of this file compiles")
}

/// Digests are in one case, names of tools hardly have all three.
fn is_mixed(run: &str) -> bool {
    run.bytes().any(|b| b.is_ascii_uppercase())
        && run.bytes().any(|b| b.is_ascii_lowercase())
        && run.bytes().any(|b| b.is_ascii_digit())
}

/// A text in which nothing is left that may be a secret.
pub(crate) fn hidden(text: &str) -> Cow<'_, str> {
    replaced(text, |_, what| what.to_owned())
}

/// A text with a star for each byte of what may be a secret, so that each place in it is where it was. For what is shown in part: of a
/// secret that is cut, the rest may look like none.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    let stars = |part: &str| {
        let star =
            |sign: char| if sign == '\n' { "\n".to_owned() } else { "*".repeat(sign.len_utf8()) };
        part.chars().map(star).collect()
    };
    replaced(text, |part, _| stars(part))
}

/// A text with something else in the place of each part that may be a secret: made of the part, and of what is said of it.
fn replaced(text: &str, by: impl Fn(&str, &'static str) -> String) -> Cow<'_, str> {
    let parts = parts(text);
    if parts.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for (part, what) in parts {
        // What is named by what stands around it comes first, and takes in what it overlaps.
        if part.start >= at {
            shown.push_str(&text[at..part.start]);
            shown.push_str(&by(&text[part.clone()], what));
        } else if part.end > at {
            shown.push_str(&by(&text[at..part.end], ""));
        }
        at = at.max(part.end);
    }
    shown.push_str(&text[at..]);
    Cow::Owned(shown)
}

/// The parts of a text that may be secrets, in their order, and what is said of each.
fn parts(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut parts: Vec<(Range<usize>, &'static str)> = HIDDEN
        .captures_iter(text)
        .map(|found| {
            let is = |kind| found.name(kind).is_some();
            let what = match () {
                () if is("pem") || is("key") || is("der") => "[a private key, not shown]",
                () if is("jwt") => "[a JWT, not shown]",
                () if is("header") || is("bearer") => "[a credential, not shown]",
                () if is("query") => "[a part of the query, not shown]",
                () => "://[a user or password, not shown]@",
            };
            (found.get_match().range(), what)
        })
        .collect();
    for part in runs::like_keys(text) {
        let is_hex = text[part.clone()].bytes().all(|b| b.is_ascii_hexdigit());
        let what =
            if is_hex { "[hexadecimal digits, not shown]" } else { "[a token or key, not shown]" };
        parts.push((part, what));
    }
    parts.sort_by_key(|(part, _)| (part.start, std::cmp::Reverse(part.end)));
    parts
}

/// What was given as a URL or a host, without what may be a user and a password before the host.
pub(crate) fn without_user(given: &str) -> String {
    match given.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => given.to_owned(),
    }
}

/// A text as it was before somebody quoted it, broke it over lines or encoded its signs for a URL. A text of several words is
/// none that was broken.
fn joined(text: &str) -> String {
    let text = text.trim().trim_matches(['"', '\'', '`']).trim();
    let text = text
        .get(.."Bearer ".len())
        .filter(|start| start.eq_ignore_ascii_case("Bearer "))
        .map_or(text, |start| &text[start.len()..]);
    let is_broken = text.lines().all(|line| !line.trim().contains(' '));
    let text: String = match is_broken {
        true => text.chars().filter(|c| !c.is_whitespace() && *c != '>').collect(),
        false => text.to_owned(),
    };
    match text.contains('%') {
        true => ["%2B+", "%2b+", "%2F/", "%2f/", "%3D=", "%3d="]
            .iter()
            .fold(text, |text, pair| text.replace(&pair[..3], &pair[3..])),
        false => text,
    }
}

/// What was typed, as it is to be read: public keys in PEM, which look like options, in Biscuit's text form.
///
/// # Errors
///
/// Says which argument may be a secret, and does not repeat it.
pub(crate) fn typed(arguments: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, String> {
    let mut read: Vec<OsString> = Vec::new();
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if is_option(name) => (name.to_owned(), value),
            _ => (after(read.last()), text.as_str()),
        };
        if let Some(secret) = Secret::in_text(value) {
            return Err(format!("{name}: {}", secret.problem()));
        }
        if !text.starts_with("-----BEGIN") {
            read.push(argument);
            continue;
        }
        let key: PublicKey = text.parse().map_err(|error| format!("{name}: {error}"))?;
        read.push(key.to_string().into());
    }
    Ok(read)
}

fn is_option(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    }) && !text.starts_with("---")
}

/// The option whose value an argument may be, by the one before it.
fn after(before: Option<&OsString>) -> String {
    let before = before.map(|before| before.to_string_lossy());
    match before.filter(|before| is_option(before)) {
        Some(option) => option.into_owned(),
        None => "what was typed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_of_a_log_is_no_secret_whatever_its_digits() {
        for seed in 0..50 {
            let key = hardtack::PrivateKey::from_bytes(&[seed; 32]);
            let signer = hardtack::log::CheckpointSigner::new(&[seed; 16], key).unwrap();
            let text = signer.key().to_string();
            assert_eq!(Secret::in_text(&text), None, "{text}");
            assert_eq!(Secret::in_text(&format!(" {text}\n")), None, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_the_rest_is_not() {
        let seed = "0123456789abcdef".repeat(4);
        let token = format!("En{}", "aB3-".repeat(60));
        for (text, shown) in [
            (
                format!("invalid value 'ed25519-private/{seed}' for"),
                "invalid value '[a private key, not shown]' for",
            ),
            (format!("value '{seed}'"), "value '[hexadecimal digits, not shown]'"),
            (format!("value 'x{seed}{seed}.'"), "value 'x[hexadecimal digits, not shown].'"),
            (format!("{token}: No such file"), "[a token or key, not shown]: No such file"),
            ("in MC4CAQAwBQYDK2VwBCIEIAbCd+/9=: x".to_owned(), "in [a private key, not shown]: x"),
            (
                "'-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----' x".to_owned(),
                "'[a private key, not shown]' x",
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII".to_owned(), "[a private key, not shown]"),
            (
                "http://user:word@a.example/ is no URL".to_owned(),
                "http://[a user or password, not shown]@a.example/ is no URL",
            ),
            (
                "http://user:pa/s@s?word'@a.example/ is no URL".to_owned(),
                "http://[a user or password, not shown]@a.example/ is no URL",
            ),
            (
                "http%3A%2F%2Fuser%3Aword%40a.example is no URL".to_owned(),
                "http://[a user or password, not shown]@a.example is no URL",
            ),
            (
                "https://a.example/mcp?n=1&api_key=abc is gone".to_owned(),
                "https://a.example/mcp?n=1[a part of the query, not shown] is gone",
            ),
            (
                "Bearer abcdefgh1: no such file".to_owned(),
                "[a credential, not shown]: no such file",
            ),
            ("'eyJhbGciOi.eyJzdWIi.c2ln'".to_owned(), "'[a JWT, not shown]'"),
        ] {
            assert_eq!(hidden(&text), shown);
            // Each place is where it was, and nothing of the secret is left.
            let stars = masked(&text);
            assert_eq!(stars.len(), text.len());
            assert!(stars.contains("***") && hidden(&stars) == stars, "{stars}");
        }
        for text in [
            format!("the key given is ed25519/{seed}"),
            format!("the proof has no hop with the id {seed}{seed}"),
            "/var/lib/Hardtack-2/some/where/else/and/on/and/on/and/on/and/on/and/on/store: is there".to_owned(),
            "write the scheme, too, as in: Bearer …".to_owned(),
            "http://127.0.0.1:8080/mcp, user:alice@example".to_owned(),
        ] {
            assert_eq!(hidden(&text), text);
        }
    }
}
