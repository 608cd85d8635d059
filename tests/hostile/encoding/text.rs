//! Text: what is no URL-safe base64, or not the only one of its bytes.

use base64::Engine;

use super::{accepted, refused};
use crate::case::Case;
use crate::craft::seed;
use crate::seed::with_hop;
use hardtack_testkit::forge::base64;

const NONE: &str = "not_a_token";

pub(super) fn cases() -> Vec<Case> {
    let bearer = seed().bearer();
    let bare = bearer.trim_end_matches('=').to_owned();
    let bytes = decoded(&bearer);
    let mut cases = vec![
        accepted("without padding", with_padding(1).trim_end_matches('=').to_owned()),
        accepted("with one padding character", with_padding(1)),
        accepted("with two padding characters", with_padding(2)),
    ];
    let (one, two) = (with_padding(1), with_padding(2));
    let half = bare.len() / 2;
    let changed = |at: usize, to: &str| format!("{}{to}{}", &bare[..at], &bare[at + 1..]);
    let mark = bare.find('-').unwrap();
    for (what, text) in [
        ("nothing", String::new()),
        ("a single character", "A".to_owned()),
        ("padding alone", "====".to_owned()),
        ("the standard alphabet", bare.replace('-', "+").replace('_', "/")),
        ("one character of the standard alphabet", changed(mark, "+")),
        ("the alphabet of IMAP", bare.replace('_', ",")),
        ("the alphabet of crypt", standard(&base64::alphabet::CRYPT, &bytes)),
        ("in lower case", bare.to_lowercase()),
        ("in upper case", bare.to_uppercase()),
        ("backwards", bare.chars().rev().collect()),
        ("as hexadecimal digits", hex::encode(&bytes)),
        ("encoded twice", base64(bearer.as_bytes())),
        ("one padding character too many", format!("{one}=")),
        ("two padding characters, one missing", two[..two.len() - 1].to_owned()),
        ("three padding characters", format!("{two}=")),
        ("padding where none is needed", format!("{}=", with_padding(0))),
        ("a full quantum of padding", format!("{}====", with_padding(0))),
        ("padding in the middle", format!("{}={}", &bare[..half], &bare[half..])),
        ("padding at the start", format!("={bare}")),
        ("padding by tildes", one.replace('=', "~")),
        ("padding by dots", two.replace('=', ".")),
        ("padding written as in a URL", two.replace('=', "%3D")),
        ("a space before it", format!(" {bare}")),
        ("a space after it", format!("{bare} ")),
        ("a tab after it", format!("{bare}\t")),
        ("a line end after it", format!("{bare}\n")),
        ("a carriage return after it", format!("{bare}\r")),
        ("a line end as of HTTP after it", format!("{bare}\r\n")),
        ("a zero after it", format!("{bare}\0")),
        ("a zero before it", format!("\0{bare}")),
        ("a space in the middle", format!("{} {}", &bare[..half], &bare[half..])),
        ("lines of 76 characters", lines(&bare)),
        ("a byte order mark before it", format!("\u{feff}{bare}")),
        ("a space that does not break", format!("{bare}\u{a0}")),
        ("a character without width in it", format!("{}\u{200b}{}", &bare[..half], &bare[half..])),
        ("a Cyrillic letter for a Latin one", bare.replacen('A', "\u{410}", 1)),
        ("a letter of full width", bare.replacen('A', "\u{ff21}", 1)),
        ("a combining mark after a letter", changed(half, "a\u{301}")),
        ("a character that replaces a broken one", changed(half, "\u{fffd}")),
        ("a hyphen of another kind", changed(mark, "\u{2010}")),
        ("the scheme before it", format!("Bearer {bare}")),
        ("the scheme in lower case before it", format!("bearer {bare}")),
        ("the scheme after it", format!("{bare} Bearer")),
        ("the prefix of Biscuit's text", format!("biscuit:{bare}")),
        ("the name of the other kind of token", format!("EnY{bare}")),
        ("the prefix of a key", format!("ed25519/{bare}")),
        ("the name of a parameter before it", format!("access_token={bare}")),
        ("the name of a cookie before it", format!("token={bare};")),
        ("in quotation marks", format!("\"{bare}\"")),
        ("in angle brackets", format!("<{bare}>")),
        ("as JSON", format!(r#"{{"token":"{bare}"}}"#)),
        ("as the address of data", format!("data:application/octet-stream;base64,{bare}")),
        ("between the lines of PEM", format!("-----BEGIN TOKEN-----\n{bare}\n-----END TOKEN-----")),
        ("as a part of a JSON Web Token", format!("{bare}.{bare}.{bare}")),
        ("two of them with a comma", format!("{bare},{bare}")),
        ("two of them with a space", format!("{bare} {bare}")),
        ("two of them, one right after the other", format!("{}{bare}", with_padding(0))),
        ("escaped as in a URL", bare.replacen('E', "%45", 1)),
        ("escaped as in JSON", bare.replacen('E', "\\u0045", 1)),
        ("escaped as in HTML", bare.replacen('E', "&#69;", 1)),
        ("one spare bit that is set", spare_bit(&one, 1)),
        ("four spare bits of which one is set", spare_bit(&two, 8)),
        ("a spare bit and no padding", spare_bit(&two, 1).trim_end_matches('=').to_owned()),
        ("a character less", bare[..bare.len() - 1].to_owned()),
        ("the first half", bare[..half].to_owned()),
        ("the second half", bare[half..].to_owned()),
        ("the first character left out", bare[1..].to_owned()),
        ("a character more", format!("{}A", with_padding(0))),
    ] {
        cases.push(refused(what, text, NONE, None));
    }
    for (what, bytes) in [
        ("a byte less", bytes[..bytes.len() - 1].to_vec()),
        ("a byte more", [&bytes[..], &[0]].concat()),
        ("a byte before it", [&[0][..], &bytes].concat()),
        ("a length before it", [&[0x82, 0x08][..], &bytes].concat()),
        ("the bytes twice", [&bytes[..], &bytes].concat()),
        ("the header of a compressed file before it", [&[0x1f, 0x8b, 8][..], &bytes].concat()),
    ] {
        cases.push(refused(what, base64(&bytes), NONE, None));
    }
    let most = 16 * 1024;
    cases.push(refused("as many bytes as may be, all zero", base64(&vec![0; most]), NONE, None));
    cases.push(refused("a byte beyond", base64(&vec![0; most + 1]), "too_large", None));
    let beyond = "A".repeat(most.div_ceil(3) * 4 + 1);
    cases.push(refused("a character beyond", beyond, "too_large", None));
    let unknown = [&bytes[..], &[0x7a, 0xff, 0x7f], &[0; 16383][..]].concat();
    cases.push(refused("filled up beyond the bound", base64(&unknown), "too_large", None));
    let letters = "\u{410}".repeat(11_000);
    cases.push(refused("letters of two bytes beyond the bound", letters, "too_large", None));
    cases
}

/// The text of an accepted token that ends in so many padding characters.
fn with_padding(padding: usize) -> String {
    let text = |word: &str| with_hop(&format!(r#"check if "{word}" != "";"#)).bearer();
    let fits = |text: &String| text.bytes().filter(|byte| *byte == b'=').count() == padding;
    ["x", "xx", "xxx"].map(text).into_iter().find(fits).unwrap()
}

/// The last character but the padding, with a bit set that stands for nothing.
fn spare_bit(text: &str, bit: usize) -> String {
    let letters = base64::alphabet::URL_SAFE.as_str();
    let end = text.trim_end_matches('=').len();
    let last = letters.find(&text[end - 1..end]).unwrap();
    format!("{}{}{}", &text[..end - 1], &letters[last + bit..=last + bit], &text[end..])
}

fn standard(alphabet: &base64::alphabet::Alphabet, bytes: &[u8]) -> String {
    use base64::engine::{GeneralPurpose, general_purpose::PAD};
    GeneralPurpose::new(alphabet, PAD).encode(bytes)
}

fn decoded(bearer: &str) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE.decode(bearer).unwrap()
}

fn lines(text: &str) -> String {
    let lines = text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}
