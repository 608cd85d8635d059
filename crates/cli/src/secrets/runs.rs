//! Runs: which parts of a text look like a key, wherever they stand and whatever is glued to them?
//!
//! What is made of chance looks like nothing that people write: the kinds of its characters change all the time. So the
//! longest runs of characters of which keys and tokens are made are looked at, and not the text as a whole.

use std::ops::Range;

/// The fewest hexadecimal digits that are taken for a key, or for a line of one: more than a UUID's 32.
const LEAST_HEX_DIGITS: usize = 33;

/// The fewest characters of a run in base64 that is taken for a key: a seed has 43 of them, and the names of tools that
/// look like chance have fewer.
const LEAST_RUN_CHARS: usize = 40;

/// The fewest characters of each line of a run that was broken over several lines: fewer than any mail program leaves.
const LEAST_LINE_CHARS: usize = 16;

/// How often at the least, of a hundred neighbours, the kind of the character changes. In base64 of anything it is about 64 times,
/// with 8 more or less in the shortest run; in words that are joined about 20.
const LEAST_CHANGES: usize = 40;

/// The same without small letters, as in base32: about 30 times there.
const LEAST_CHANGES_WITHOUT_SMALL: usize = 20;

/// What words that are joined have less of: digits, and, of a hundred neighbours, two capitals.
const LEAST_DIGITS: usize = 3;
const LEAST_DOUBLE_CAPITALS: usize = 8;

/// The most characters that follow a public key's name: its digits.
const PUBLIC_KEY_DIGITS: usize = 64;

/// What a public key begins with, which is no secret.
const PUBLIC_KEY: &str = "ed25519/";

/// What stands before a revocation id, which is no secret, and how many digits that has.
const REVOCATION_ID: &str = "id ";
const REVOCATION_ID_DIGITS: usize = 128;

/// The parts of a text that look like keys or tokens, in their order.
pub(super) fn like_keys(text: &str) -> Vec<Range<usize>> {
    let mut found = hex(text);
    found.extend(chance(text));
    found
}

/// Digits that are together, or in groups, as `openssl` prints them.
fn hex(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_hexdigit() {
            at += 1;
            continue;
        }
        let group = digits(bytes, at);
        if is_public_key(text, &group) || is_revocation_id(text, &group) {
            at = group.end;
            continue;
        }
        let (mut end, mut count) = (group.end, group.len());
        // Groups of two and more, with one sign or blank between them, or the end of a line.
        while group.len() > 1 {
            let Some(next) = after_gap(bytes, end).map(|next| digits(bytes, next)) else { break };
            if next.len() < 2 || is_public_key(text, &next) {
                break;
            }
            (end, count) = (next.end, count + next.len());
        }
        let part = &bytes[at..end];
        let is_mixed =
            part.iter().any(u8::is_ascii_digit) && part.iter().any(u8::is_ascii_alphabetic);
        match count >= LEAST_HEX_DIGITS && is_mixed {
            true => {
                found.push(at..end);
                at = end;
            }
            false => at = group.end,
        }
    }
    found
}

fn digits(bytes: &[u8], at: usize) -> Range<usize> {
    let count = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    at..at + count
}

fn is_public_key(text: &str, digits: &Range<usize>) -> bool {
    let named = text.get(..digits.start).is_some_and(|before| before.ends_with(PUBLIC_KEY));
    let glued = text.as_bytes().get(digits.end).is_some_and(u8::is_ascii_alphanumeric);
    named && digits.len() == PUBLIC_KEY_DIGITS && !glued
}

/// An id that a message of ours names as one.
fn is_revocation_id(text: &str, digits: &Range<usize>) -> bool {
    let named = text.get(..digits.start).is_some_and(|before| before.ends_with(REVOCATION_ID));
    named && digits.len() == REVOCATION_ID_DIGITS
}

/// Where the next group begins, if only what separates groups stands before it.
fn after_gap(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b':' | b'-' | b',' => {
            let next = line_break(bytes, at + 1).unwrap_or(at + 1);
            bytes.get(next).is_some_and(u8::is_ascii_hexdigit).then_some(next)
        }
        b' ' if bytes.get(at + 1)?.is_ascii_hexdigit() => Some(at + 1),
        _ => {
            line_break(bytes, at).filter(|next| bytes.get(*next).is_some_and(u8::is_ascii_hexdigit))
        }
    }
}

/// What base64 of either alphabet is made of. A sign that is written with a percent sign counts as one.
fn sign(bytes: &[u8], at: usize) -> Option<usize> {
    let byte = *bytes.get(at)?;
    if byte.is_ascii_alphanumeric() || b"+/_-=".contains(&byte) {
        return Some(1);
    }
    let encoded = bytes.get(at..at + 3).map(<[u8]>::to_ascii_uppercase);
    let is_encoded = encoded.is_some_and(|encoded| {
        [b"%2B", b"%2F", b"%3D", b"%5F", b"%2D"].iter().any(|sign| encoded == **sign)
    });
    is_encoded.then_some(3)
}

/// Runs that look as if chance had made them, also over several lines.
fn chance(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let mut end = at;
        while let Some(len) = sign(bytes, end) {
            end += len;
        }
        match end > at {
            true => runs.extend(without_path(text, at..end)),
            // The letter of a break that is written out is no part of what follows.
            false => end = at + written_break(&bytes[at..]).unwrap_or(1),
        }
        at = end;
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut index = 0;
    while index < runs.len() {
        let mut last = index;
        // Lines of one text.
        while runs[last].len() >= LEAST_LINE_CHARS
            && let Some(next) = runs.get(last + 1)
            && is_gap(bytes, runs[last].end, next.start)
            && (next.len() >= LEAST_LINE_CHARS || is_rest(&bytes[next.clone()]))
        {
            last += 1;
        }
        let whole: Vec<u8> =
            runs[index..=last].iter().flat_map(|run| &bytes[run.clone()]).copied().collect();
        if !is_chance(&whole) {
            index += 1;
            continue;
        }
        // What is left of the last line.
        if let Some(next) = runs.get(last + 1)
            && is_gap(bytes, runs[last].end, next.start)
            && is_rest(&bytes[next.clone()])
        {
            last += 1;
        }
        let part = runs[index].start..runs[last].end;
        if !is_named_public_key(&text[part.clone()]) {
            found.push(part);
        }
        index = last + 1;
    }
    found
}

/// A run, or the names of the path that it is: base64 has few slashes, and paths many.
fn without_path(text: &str, run: Range<usize>) -> Vec<Range<usize>> {
    let part = &text[run.clone()];
    let slashes = part.matches('/').count();
    let is_one = !part.starts_with('/') && slashes <= 1 + part.len() / 24;
    // A key may have a slash in front, or many of them, by chance.
    if (is_one || is_chance(part.as_bytes())) && !is_named_public_key(part) {
        return vec![run];
    }
    let mut at = run.start;
    let names = part.split('/').map(|name| {
        let start = at;
        at += name.len() + 1;
        start..start + name.len()
    });
    names.filter(|name| !name.is_empty()).collect()
}

fn is_named_public_key(run: &str) -> bool {
    run.split_once(PUBLIC_KEY).is_some_and(|(_, rest)| {
        rest.len() == PUBLIC_KEY_DIGITS && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Whether between two runs there is nothing but what breaks lines, or a blank.
fn is_gap(bytes: &[u8], from: usize, to: usize) -> bool {
    to == from + 1 && bytes[from] == b' ' || line_break(bytes, from) == Some(to)
}

/// Where a text goes on after a line that ends here: with what quotes it in front, or with the break written out.
fn line_break(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at;
    let mut broken = false;
    loop {
        let rest = &bytes[next..];
        match written_break(rest) {
            Some(len) => (next, broken) = (next + len, true),
            None => match rest.first() {
                Some(b'\n' | b'\r') => (next, broken) = (next + 1, true),
                Some(b' ' | b'\t' | b'>' | b'|' | b'#') => next += 1,
                _ => return broken.then_some(next),
            },
        }
    }
}

/// The length of a break that begins here and is written out, as errors and URLs have it.
fn written_break(rest: &[u8]) -> Option<usize> {
    let known: [&[u8]; 7] = [b"\\r", b"\\n", b"\\u{a}", b"\\u{d}", b"%0A", b"%0D", b"\\\n"];
    known.iter().find(|sign| rest.starts_with(sign)).map(|sign| sign.len())
}

/// Whether a run can be what is left of a token on its last line: words are of one kind.
fn is_rest(run: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
    let is_capitalised = run.iter().skip(1).all(u8::is_ascii_lowercase);
    run.ends_with(b"=")
        || (has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit))
        || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && !is_capitalised)
}

fn is_chance(run: &[u8]) -> bool {
    if run.len() < LEAST_RUN_CHARS {
        return false;
    }
    let kinds: Vec<u8> = run
        .iter()
        .filter(|byte| **byte != b'/')
        .map(|byte| match byte {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            _ => 3,
        })
        .collect();
    let count = |kind: u8| kinds.iter().filter(|each| **each == kind).count();
    // Signs between words are no change of their own.
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1] && pair[1] != 3).count();
    // Words that are joined have one capital each, and few digits.
    let capitals = kinds.windows(2).filter(|pair| **pair == [1, 1]).count();
    let is_joined_words =
        count(2) < LEAST_DIGITS && capitals * 100 < LEAST_DOUBLE_CAPITALS * kinds.len();
    let least = match (count(0) > 0, count(1) > 0) {
        (true, true) if !is_joined_words => LEAST_CHANGES,
        // With signs, it is a name.
        (false, true)
            if count(2) >= LEAST_DIGITS
                && run.iter().all(|byte| *byte == b'=' || byte.is_ascii_alphanumeric()) =>
        {
            LEAST_CHANGES_WITHOUT_SMALL
        }
        _ => return false,
    };
    changes * 100 >= least * kinds.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        like_keys(text).into_iter().map(|part| &text[part]).collect()
    }

    #[test]
    fn digits_are_found_whatever_is_glued_to_them() {
        let seed = "0f1e2d3c4b5a69788796a5b4c3d2e1f0".repeat(2);
        for (before, digits, after) in [
            ("", seed.clone(), ""),
            ("x", seed.clone(), ""),
            ("", seed.clone(), "x"),
            ("0x", seed.to_uppercase(), "."),
            ("key=", format!("{seed}{seed}"), " is"),
            ("ed25519-private/", seed.clone(), ""),
            ("ed25519/", format!("{seed}0a"), ""),
            ("", seed[..60].to_owned(), "y"),
            ("", format!("{}\n{}", &seed[..40], &seed[40..]), ""),
        ] {
            let text = format!("{before}{digits}{after}");
            let all = found(&text).concat();
            assert!(
                all.contains(&digits) || all.ends_with(digits.trim_start_matches('0')),
                "{text}: {all}"
            );
        }
        let groups: Vec<&str> = (0..32).map(|index| &seed[2 * index..2 * index + 2]).collect();
        for text in [groups.join(":"), groups.join(" "), groups.join(":\n    ")] {
            assert_eq!(found(&text), [text.as_str()]);
        }
    }

    /// Slashes fall anywhere, also in front and three at once.
    #[test]
    fn of_keys_in_base64_few_are_missed() {
        use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
        let mut state = 7_u64;
        let mut next = || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        let mut missed = [0; 2];
        for _ in 0..5000 {
            let key: Vec<u8> = (0..4).flat_map(|_| next()).collect();
            let forms = [BASE64_STANDARD.encode(&key), BASE64_URL_SAFE_NO_PAD.encode(&key)];
            for (missed, form) in missed.iter_mut().zip(forms) {
                *missed += u32::from(found(&form) != [form.as_str()]);
            }
        }
        // By chance alone their kinds of letters change seldom enough for words: 6 of 1,000.
        assert!(missed.iter().all(|missed| *missed <= 50), "{missed:?} of 5,000");
    }

    #[test]
    fn what_people_write_is_not_found() {
        for text in [
            "ed25519/0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "1=ed25519/0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0 is",
            "/var/lib/Hardtack-2/some/where/else/and/on/and/on/and/on/and/on/and/on/store: is there",
            "target/debug/build/Some-Thing-1/out/Another-Thing-2/and/more/and/more/of/it/0/1/2",
            "tools:call:get_user_by_id_and_list_all_of_the_Things_that_are_his_2_3",
            "getUserByIdAndListAllOfTheThingsThatAreHisOrHersAndThenSome2",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301 and 2026-11-29T06:04:07Z",
            "a private key is written ed25519-private/<64 hexadecimal digits>, or as PEM",
            "THIS_IS_A_NAME_OF_THE_ENVIRONMENT_THAT_IS_LONG_AND_HAS_A_2",
        ] {
            assert_eq!(found(text), Vec::<&str>::new());
        }
    }

    #[test]
    fn tokens_are_found_in_every_base64_and_over_lines() {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
        let mut bytes = vec![0_u8; 240];
        let mut state = 17_u32;
        for byte in &mut bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        for token in
            [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes[..32])]
        {
            let encoded = token.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
            for form in [token.clone(), format!("x{token}"), format!("'{token}'"), encoded] {
                let text = format!("value {form}: is wrong");
                let all = found(&text).concat();
                assert!(all.contains(form.trim_matches('\'')), "{text}: {all}");
                assert!(!all.contains("wrong") && !all.contains("value"), "{all}");
            }
            for (width, end) in [(76, "\n"), (64, "\r\n"), (20, "\n> "), (72, "\\n"), (30, " ")] {
                let lines: Vec<&str> = token
                    .as_bytes()
                    .chunks(width)
                    .map(|line| std::str::from_utf8(line).unwrap())
                    .collect();
                let text = format!("value {}", lines.join(end));
                let all = found(&text).concat();
                for line in lines.iter().filter(|line| line.len() > 3) {
                    assert!(all.contains(line), "{width} {end:?} {line} of {all}");
                }
            }
        }
    }
}
