//! Mistake: what does a text look like that is no token?
//!
//! It repeats none of the text: whoever hears of it learns the kind, and none of its characters.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The fewest characters of a text that is taken for a damaged token: half of what the shortest token has.
const LEAST_TOKEN_CHARS: usize = 100;

/// The most characters that no token has in a text that is taken for a damaged one.
const MAX_FOREIGN_CHARS: usize = 3;

/// The fewest hexadecimal digits that are told for what they are.
const LEAST_HEX_DIGITS: usize = 32;

/// What stands before a token in a header, in small letters.
const HEADERS: [&str; 3] = ["bearer ", "bearer:", "authorization:"];

/// The kinds of texts that are given in the place of a token. The message says what to do about it, and never repeats
/// the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenMistake {
    /// The text is empty, or made of blanks.
    #[error("it is empty")]
    Empty,
    /// The text begins with a byte order mark, with which some systems begin a text.
    #[error("it begins with a byte order mark; save it without one, as UTF-8")]
    ByteOrderMark,
    /// The text is a private key.
    #[error(
        "it is a private key, and a token belongs here; give the key's file where a key is asked for, and treat the key as exposed if others may have seen it"
    )]
    PrivateKey,
    /// The text is a public key.
    #[error("it is a public key, and a token belongs here")]
    PublicKey,
    /// The text is a page in HTML, such as one on which somebody has to log in.
    #[error("it is a page in HTML, perhaps one that asks for a login; look at where it comes from")]
    Html,
    /// The text is JSON, such as an answer of which the token is a member.
    #[error("it is JSON; take the token out of it, without its quotation marks")]
    Json,
    /// `Bearer` or `Authorization:` stands before the token.
    #[error(
        "the word Bearer or the name of a header stands before it; leave out all that stands before the token"
    )]
    Header,
    /// The token stands in quotation marks.
    #[error("it stands in quotation marks; leave them out")]
    Quoted,
    /// The text is a JSON Web Token (RFC 7519).
    #[error(
        "it is a JWT, as OAuth servers give out, and those hold no capability; take what hardtack mint, delegate or present wrote"
    )]
    Jwt,
    /// Line breaks or blanks stand in the token or around it.
    #[error(
        "it has line breaks or blanks in it or around it, as mail programs and terminals make them; put it on one line, without any"
    )]
    Wrapped,
    /// The token is written for a URL, with percent signs (RFC 3986, section 2.1).
    #[error("it is written for a URL, with percent signs; decode it (%3D is =)")]
    PercentEncoded,
    /// The text is made of hexadecimal digits.
    #[error(
        "it is made of hexadecimal digits, as ids, digests and keys are; a token is URL-safe base64"
    )]
    Hexadecimal,
    /// The token is in standard base64 instead of the URL-safe alphabet (RFC 4648).
    #[error("it is in standard base64; a token has - in the place of + and _ in the place of /")]
    StandardBase64,
    /// The end of the token is missing.
    #[error("its end is missing; copy the whole of it again")]
    CutOff,
    /// Some characters of the token were changed.
    #[error("some of it was changed on the way; copy it again")]
    Changed,
    /// The text is something else.
    #[error(
        "a token is one line of URL-safe base64, as hardtack mint, delegate and present write it"
    )]
    Other,
}

impl TokenMistake {
    /// What a text looks like that was found to be no token.
    pub(crate) fn of(text: &str) -> TokenMistake {
        match TokenMistake::around(text) {
            Some(mistake) => mistake,
            None => TokenMistake::within(text),
        }
    }

    /// What is plain from how it begins and ends.
    pub(super) fn around(text: &str) -> Option<TokenMistake> {
        let bare = text.trim();
        let begins = |start: &str| {
            bare.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
        };
        let is_mark =
            |c: char| matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»');
        let is_private = begins("ed25519-private/")
            || begins("secp256r1-private/")
            || (begins("-----BEGIN ") && bare.contains("PRIVATE KEY-----"));
        Some(match () {
            () if bare.is_empty() => TokenMistake::Empty,
            () if text.starts_with('\u{feff}') => TokenMistake::ByteOrderMark,
            () if is_private => TokenMistake::PrivateKey,
            () if begins("ed25519/") || begins("secp256r1/") || begins("-----BEGIN PUBLIC") => {
                TokenMistake::PublicKey
            }
            () if bare.starts_with('<') => TokenMistake::Html,
            () if bare.starts_with(['{', '[']) => TokenMistake::Json,
            () if HEADERS.iter().any(|header| begins(header)) => TokenMistake::Header,
            () if bare.starts_with(is_mark) || bare.ends_with(is_mark) => TokenMistake::Quoted,
            () => return None,
        })
    }

    fn within(text: &str) -> TokenMistake {
        let is_wrapped = |c: char| c.is_whitespace();
        match () {
            () if is_jwt(text.trim()) => TokenMistake::Jwt,
            () if text.contains(is_wrapped) || text.contains("\\n") => {
                // Words are no token that was broken.
                let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let joined = joined.replace("\\n", "");
                match joined.len() >= LEAST_TOKEN_CHARS && foreign(&joined) <= MAX_FOREIGN_CHARS {
                    true => TokenMistake::Wrapped,
                    false => TokenMistake::Other,
                }
            }
            () if is_percent_encoded(text) => TokenMistake::PercentEncoded,
            () if text.len() >= LEAST_HEX_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                TokenMistake::Hexadecimal
            }
            () if is_standard(text) => TokenMistake::StandardBase64,
            () => damaged(text),
        }
    }
}

fn is_in_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=')
}

fn foreign(text: &str) -> usize {
    text.chars().filter(|c| !is_in_token(*c)).count()
}

/// Three parts (RFC 7515) or five (RFC 7516), of which the first is a JSON object.
fn is_jwt(text: &str) -> bool {
    let text = text.split_whitespace().collect::<String>();
    let parts: Vec<&str> = text.split('.').collect();
    let header = URL_SAFE_NO_PAD.decode(parts[0].trim_end_matches('='));
    matches!(parts.len(), 3 | 5) && header.is_ok_and(|header| header.starts_with(b"{"))
}

fn is_percent_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let mut is_encoded = false;
    let all = parts.all(|part| {
        is_encoded = true;
        let sign = part.get(..2).map(str::to_ascii_uppercase);
        sign.is_some_and(|sign| ["2B", "2D", "2F", "3D", "5F"].contains(&sign.as_str()))
            && part.chars().all(is_in_token)
    });
    is_encoded && all && first.len() + 2 < text.len() && first.chars().all(is_in_token)
}

/// A token in the other alphabet.
fn is_standard(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let is_other = bare.contains(['+', '/'])
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    let whole = bare.len() / 4 * 4;
    is_other && STANDARD.decode(&bare[..whole]).is_ok_and(|bytes| end_of(&bytes) != End::Foreign)
}

/// What is wrong with what may be a token that somebody copied.
fn damaged(text: &str) -> TokenMistake {
    let foreign = foreign(text);
    let bare = text.trim_end_matches('=');
    if foreign > 0 || bare.contains('=') {
        let is_token = text.len() >= LEAST_TOKEN_CHARS && begins_as_token(text.as_bytes());
        return match is_token && foreign <= MAX_FOREIGN_CHARS {
            true => TokenMistake::Changed,
            false => TokenMistake::Other,
        };
    }
    // What is left of four characters at the end is no matter here.
    let decoded = URL_SAFE_NO_PAD.decode(&bare[..bare.len() / 4 * 4]);
    match decoded.as_deref().map(end_of) {
        Ok(End::Early) => TokenMistake::CutOff,
        Ok(End::Whole | End::Broken) => TokenMistake::Changed,
        Ok(End::Foreign) | Err(_) => TokenMistake::Other,
    }
}

/// The grant's tag, or that of a root key id before it.
fn begins_as_token(text: &[u8]) -> bool {
    text.starts_with(b"E") || text.starts_with(b"C")
}

/// How the fields of a token end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With the proof, as they must.
    Whole,
    /// Before that.
    Early,
    /// In what is no field of a token, after one that is.
    Broken,
    /// In what is no field of a token, at once.
    Foreign,
}

/// Whether all fields of a token are there, in whatever encoding.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    end_of(bytes) == End::Whole
}

/// The fields of a Biscuit by their numbers: a root key id, the grant, further blocks, the proof.
fn end_of(bytes: &[u8]) -> End {
    const ROOT_KEY_ID: u8 = 1 << 3;
    const BLOCKS: [u8; 2] = [2 << 3 | 2, 3 << 3 | 2];
    const PROOF: u8 = 4 << 3 | 2;
    let (mut rest, mut has_grant, mut has_proof) = (bytes, false, false);
    while let Some((tag, after)) = rest.split_first() {
        let broken = if has_grant { End::Broken } else { End::Foreign };
        let is_block = BLOCKS.contains(tag);
        if !is_block && ![ROOT_KEY_ID, PROOF].contains(tag) {
            return broken;
        }
        let Some((number, after)) = varint(after) else {
            return if after.len() < MAX_VARINT_BYTES && has_grant { End::Early } else { broken };
        };
        if *tag == ROOT_KEY_ID {
            rest = after;
            continue;
        }
        (has_grant, has_proof) = (has_grant || is_block, has_proof || *tag == PROOF);
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        match after.get(number..) {
            Some(after) => rest = after,
            None if number > crate::profile::MAX_TOKEN_BYTES => return broken,
            None => return End::Early,
        }
    }
    match has_proof {
        true => End::Whole,
        false if has_grant => End::Early,
        false => End::Foreign,
    }
}

const MAX_VARINT_BYTES: usize = 10;

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Capability;
    use crate::delegate::Delegation;
    use crate::keys::PrivateKey;
    use crate::mint::{Grant, Issuer};
    use crate::profile::ShapeError;
    use crate::timestamp::Timestamp;

    fn token() -> String {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let issuer = Issuer::new(PrivateKey::from_bytes(&[1; 32]));
        let key = PrivateKey::from_bytes(&[2; 32]);
        let grant = Grant::to("user:alice").scope("tools:call:*").holder(key.public());
        let hop = Delegation::to("agent.a").scope("tools:call:search").reason("find");
        let hop = hop.holder(PrivateKey::from_bytes(&[3; 32]).public());
        issuer.mint(grant, now).unwrap().delegate(hop, &key, now).unwrap().to_base64()
    }

    fn mistake(text: &str) -> TokenMistake {
        match Capability::parse(text) {
            Err(ShapeError::NotAToken { mistake }) => mistake,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_mistake_is_known_by_its_name() {
        let token = token();
        let standard = token.replace('-', "+").replace('_', "/");
        // A token has them by chance; where it has none, the alphabets are the same.
        assert_ne!(token, standard);
        let lines: Vec<&str> =
            token.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
        let pem = PrivateKey::from_bytes(&[4; 32]).to_pem().unwrap().to_string();
        let public = PrivateKey::from_bytes(&[4; 32]).public();
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        for (text, expected) in [
            (String::new(), TokenMistake::Empty),
            (" \n".to_owned(), TokenMistake::Empty),
            (format!("\u{feff}{token}"), TokenMistake::ByteOrderMark),
            (PrivateKey::from_bytes(&[4; 32]).to_text().to_string(), TokenMistake::PrivateKey),
            (pem, TokenMistake::PrivateKey),
            (public.to_string(), TokenMistake::PublicKey),
            (public.to_pem().unwrap(), TokenMistake::PublicKey),
            ("<!DOCTYPE html><html>".to_owned(), TokenMistake::Html),
            (format!("{{\"token\": \"{token}\"}}"), TokenMistake::Json),
            (format!("Bearer {token}"), TokenMistake::Header),
            (format!("authorization: bearer {token}"), TokenMistake::Header),
            (format!("\"{token}\""), TokenMistake::Quoted),
            (format!("'{token}'"), TokenMistake::Quoted),
            (format!("“{token}”"), TokenMistake::Quoted),
            (jwt.to_owned(), TokenMistake::Jwt),
            (lines.join("\n"), TokenMistake::Wrapped),
            (lines.join(" "), TokenMistake::Wrapped),
            (lines.join("\\n"), TokenMistake::Wrapped),
            (format!("{token}\n"), TokenMistake::Wrapped),
            (standard.replace('+', "%2B").replace('/', "%2F"), TokenMistake::PercentEncoded),
            (hex, TokenMistake::Hexadecimal),
            (standard, TokenMistake::StandardBase64),
            ("some words".to_owned(), TokenMistake::Other),
            ("word".to_owned(), TokenMistake::Other),
        ] {
            assert_eq!(mistake(&text), expected, "{text}");
            let said = Capability::parse(&text).unwrap_err().to_string();
            assert!(said.starts_with("this is no token: "), "{said}");
            assert!(text.len() < 20 || !said.contains(&text), "{said}");
        }
    }

    #[test]
    fn what_is_cut_off_at_any_place_is_known() {
        let token = token();
        let whole = token.trim_end_matches('=').len();
        for end in LEAST_TOKEN_CHARS..whole {
            assert_eq!(mistake(&token[..end]), TokenMistake::CutOff, "{end} of {whole}");
        }
    }

    /// Where it is not seen by its form, it is by a signature: of whoever verifies it.
    #[test]
    fn what_is_changed_at_any_place_is_never_taken_for_something_else() {
        let token = token();
        let (mut changed, mut cut) = (0, 0);
        for place in 0..token.trim_end_matches('=').len() {
            for other in ["A", "_", "%", "é", "="] {
                if token[place..=place] == *other {
                    continue;
                }
                let text = format!("{}{other}{}", &token[..place], &token[place + 1..]);
                match Capability::parse(&text) {
                    Err(ShapeError::NotAToken { mistake: TokenMistake::Changed }) => changed += 1,
                    Err(ShapeError::NotAToken { mistake: TokenMistake::CutOff }) => cut += 1,
                    // With two digits after it, a percent sign is one of a URL.
                    Err(ShapeError::NotAToken { mistake: TokenMistake::PercentEncoded })
                        if other == "%" => {}
                    // It no longer begins as a token does.
                    Err(ShapeError::NotAToken { mistake: TokenMistake::Other }) if place < 4 => {}
                    Err(ShapeError::NotAToken { mistake }) => {
                        panic!("{place} {other}: {mistake:?}")
                    }
                    _ => {}
                }
            }
        }
        assert!(changed > token.len() && cut < token.len() / 4, "{changed} {cut}");
    }
}
