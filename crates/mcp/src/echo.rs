//! Echo: no answer hands the runtime a bearer that was sent for it. A streaming search by a rolling hash (Rabin–Karp).
//!
//! Servers repeat what they are sent: in error pages, in tools that show requests, in logs that a tool reads. What is
//! looked for are parts of what each presentation has of its own, however an answer is cut into chunks and lines:
//! literally, with JSON's and URLs' escapes, and in base64. A server that means to hand it on can write it in a way
//! that nobody looks for; it has the bearer anyway, and it is good for minutes and for this server alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ahash::AHashMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, stream};
use http::HeaderValue;
use http_body_util::BodyExt;

use hardtack::timestamp::Timestamp;

/// How many characters are looked for in one piece: 144 bits, which no other text has by chance.
const WINDOW: usize = 24;

/// How far apart these pieces begin: what is repeated is found if it has [`WINDOW`] and as many characters.
const STRIDE: usize = 8;

/// How many characters at a presentation's end are looked for in base64, too. The signature that seals it is there,
/// without which it is worthless.
const SEAL: usize = 96;

/// How much longer than it lives a presentation is looked for: the server's clock may be slow.
const LONGER: Duration = Duration::from_secs(60);

/// The most presentations that are looked for at once, some 4 KiB each: 200 a second, each for one call.
const MAX_ALIVE: usize = 24 * 1024;

/// What stands where a bearer stood. Fits into JSON, HTML and a line.
const MARK: &[u8] = b"BEARER-WITHHELD-BY-HARDTACK";

/// The most bytes of one character, as it may be escaped: backslashes are doubled at every depth.
const MAX_UNIT_BYTES: usize = 40;

/// There are so many presentations that are still good that no more can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

/// The presentations that were sent and are still good.
#[derive(Default)]
pub(crate) struct Sent(RwLock<Alive>);

#[derive(Default)]
struct Alive {
    /// How many presentations have each piece.
    pieces: AHashMap<u64, u32>,
    /// What is forgotten when.
    until: BinaryHeap<Reverse<(Timestamp, Box<[u64]>)>>,
}

impl Sent {
    /// Looks for `bearer` from now on, until it is no longer good. What it has of its own begins at `own`.
    pub(crate) fn note(
        &self,
        bearer: &str,
        own: usize,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let mut alive = self.0.write().unwrap_or_else(PoisonError::into_inner);
        alive.forget(now);
        if alive.until.len() >= MAX_ALIVE {
            return Err(TooMany);
        }
        let pieces = pieces(bearer.as_bytes().get(own..).unwrap_or_default());
        for piece in &pieces {
            *alive.pieces.entry(*piece).or_default() += 1;
        }
        alive.until.push(Reverse((expires + LONGER, pieces)));
        Ok(())
    }

    /// A text without any of them, and whether one stood in it.
    pub(crate) fn withheld(&self, text: &[u8]) -> (Vec<u8>, bool) {
        let mut scrubber = Scrubber::default();
        let mut clean = scrubber.pass(self, text);
        clean.extend(scrubber.rest(self));
        (clean, scrubber.found)
    }
}

impl Alive {
    fn forget(&mut self, now: Timestamp) {
        while let Some(Reverse((until, _))) = self.until.peek() {
            if *until > now {
                return;
            }
            let Some(Reverse((_, pieces))) = self.until.pop() else { return };
            for piece in pieces {
                if let Some(count) = self.pieces.get_mut(&piece) {
                    *count -= 1;
                    if *count == 0 {
                        self.pieces.remove(&piece);
                    }
                }
            }
        }
    }
}

/// The pieces by which a bearer's own part is found.
fn pieces(own: &[u8]) -> Box<[u64]> {
    let mut found = Vec::new();
    add_pieces(own, &mut found);
    let seal = &own[own.len().saturating_sub(SEAL)..];
    // Whatever stands before it in what is encoded, it begins at one of three places.
    for skipped in 0..3 {
        let encoded = URL_SAFE_NO_PAD.encode(seal.get(skipped..).unwrap_or_default());
        add_pieces(encoded.as_bytes(), &mut found);
    }
    found.into()
}

fn add_pieces(text: &[u8], found: &mut Vec<u64>) {
    let text: Vec<u8> = text.iter().map_while(|byte| letter(*byte)).collect();
    let piece = |piece: &[u8]| piece.iter().fold(0, |hash, byte| roll(hash, *byte));
    found.extend(text.windows(WINDOW).step_by(STRIDE).map(piece));
    found.extend(text.windows(WINDOW).next_back().map(piece));
}

/// The base of the rolling hash: odd, and of no meaning.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a letter's share has become when it leaves the piece.
const LEAVING: u64 = power(BASE, WINDOW);

const fn power(base: u64, exponent: usize) -> u64 {
    let (mut product, mut done) = (1_u64, 0);
    while done < exponent {
        product = product.wrapping_mul(base);
        done += 1;
    }
    product
}

/// The rolling hash with one more letter at its end (Rabin–Karp).
fn roll(hash: u64, letter: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(letter) + 1)
}

/// A letter of base64, in the alphabet for URLs.
fn letter(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => Some(byte),
        b'-' | b'+' => Some(b'-'),
        b'_' | b'/' => Some(b'_'),
        _ => None,
    }
}

/// Takes bearers out of an answer that comes in chunks.
#[derive(Default)]
pub(crate) struct Scrubber {
    /// What may be the beginning of an escaped character.
    begun: Vec<u8>,
    /// The last letters, and their hash.
    letters: VecDeque<u8>,
    hash: u64,
    /// The letters that may be part of a bearer, as they were written; at most [`WINDOW`].
    held: VecDeque<Vec<u8>>,
    /// How many letters behind what was found are taken for its rest.
    following: usize,
    marked: bool,
    /// Whether anything was taken out.
    pub(crate) found: bool,
}

impl Scrubber {
    /// What of this and earlier chunks may be handed on.
    pub(crate) fn pass(&mut self, sent: &Sent, chunk: &[u8]) -> Vec<u8> {
        self.take(sent, chunk, false)
    }

    /// What is left at the end.
    pub(crate) fn rest(&mut self, sent: &Sent) -> Vec<u8> {
        let mut out = self.take(sent, &[], true);
        self.release(&mut out);
        out
    }

    fn take(&mut self, sent: &Sent, chunk: &[u8], is_whole: bool) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(chunk);
        let mut out = Vec::with_capacity(text.len() + MARK.len());
        let alive = sent.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut at = 0;
        while at < text.len() {
            let Some((length, letter)) = unit(&text[at..], is_whole) else { break };
            let written = &text[at..at + length];
            match letter {
                Some(letter) => self.letter(&alive, letter, written, &mut out),
                None => {
                    self.release(&mut out);
                    out.extend_from_slice(written);
                }
            }
            at += length;
        }
        self.begun = text.split_off(at);
        out
    }

    fn letter(&mut self, alive: &Alive, letter: u8, written: &[u8], out: &mut Vec<u8>) {
        self.hash = roll(self.hash, letter);
        self.letters.push_back(letter);
        if self.letters.len() > WINDOW {
            let left = self.letters.pop_front().map_or(0, |left| u64::from(left) + 1);
            self.hash = self.hash.wrapping_sub(left.wrapping_mul(LEAVING));
        }
        if self.letters.len() == WINDOW && alive.pieces.contains_key(&self.hash) {
            self.held.clear();
            if !self.marked {
                out.extend_from_slice(MARK);
            }
            (self.marked, self.found, self.following) = (true, true, STRIDE);
        } else if self.following > 0 {
            self.following -= 1;
        } else {
            self.marked = false;
            self.held.push_back(written.to_vec());
            if self.held.len() > WINDOW {
                out.extend(self.held.pop_front().unwrap_or_default());
            }
        }
    }

    /// Behind the last of letters that stand together.
    fn release(&mut self, out: &mut Vec<u8>) {
        out.extend(self.held.drain(..).flatten());
        self.letters.clear();
        (self.hash, self.following, self.marked) = (0, 0, false);
    }
}

/// The first character of a text: its length as it is written, and the letter that it is, if it is one. `None` if
/// more must come before that is known.
fn unit(text: &[u8], is_whole: bool) -> Option<(usize, Option<u8>)> {
    let more = || (!is_whole).then_some(()).map_or(Some((1, None)), |()| None);
    match text[0] {
        b'%' => match text.get(1..3) {
            Some(digits) => Some(hexadecimal(digits).map_or((1, None), |code| (3, letter(code)))),
            None if text[1..].iter().all(u8::is_ascii_hexdigit) => more(),
            None => Some((1, None)),
        },
        b'\\' => {
            let depth = text.iter().take_while(|byte| **byte == b'\\').count();
            if depth + 5 > MAX_UNIT_BYTES {
                return Some((depth, None));
            }
            match text.get(depth) {
                None => more().map(|_| (depth, None)),
                Some(b'u') => match text.get(depth + 1..depth + 5) {
                    Some([b'0', b'0', digits @ ..]) => Some(
                        hexadecimal(digits)
                            .map_or((depth + 1, None), |code| (depth + 5, letter(code))),
                    ),
                    Some(_) => Some((depth + 1, None)),
                    None => more().map(|_| (depth + 1, None)),
                },
                // Some escape what need not be: `\/` and `\_`. With a letter it is another character.
                Some(byte) if byte.is_ascii_punctuation() => Some((depth + 1, letter(*byte))),
                Some(_) => Some((depth + 1, None)),
            }
        }
        byte => Some((1, letter(byte))),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    Some(byte[0])
}

/// An answer without the bearers that the server was sent.
pub(crate) fn without_bearers(answer: reqwest::Response, sent: &Arc<Sent>) -> reqwest::Response {
    let (mut parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    let repeats = |value: &HeaderValue| sent.withheld(value.as_bytes()).1;
    let names: Vec<_> = parts.headers.iter().filter(|(_, value)| repeats(value)).collect();
    let names: Vec<_> = names.into_iter().map(|(name, _)| name.clone()).collect();
    for name in names {
        parts.headers.remove(&name);
        note_repeated("a header");
    }
    let state = Some((body.into_data_stream(), Scrubber::default(), Arc::clone(sent)));
    let clean = stream::unfold(state, |state| async {
        let (mut chunks, mut scrubber, sent) = state?;
        let knew = scrubber.found;
        let (clean, more) = match chunks.next().await {
            Some(Ok(chunk)) => (Ok(scrubber.pass(&sent, &chunk)), true),
            Some(Err(error)) => (Err(error), false),
            None => (Ok(scrubber.rest(&sent)), false),
        };
        if scrubber.found && !knew {
            note_repeated("a body");
        }
        Some((clean, more.then_some((chunks, scrubber, sent))))
    });
    http::Response::from_parts(parts, reqwest::Body::wrap_stream(clean)).into()
}

fn note_repeated(place: &str) {
    tracing::warn!(
        place,
        "the server repeats a bearer that it was sent; it is withheld from the runtime"
    );
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    /// What no presentation has in common with another one, as far as it goes.
    fn bearer(number: u64) -> String {
        let mut state = number;
        let bytes = (0..450).map(|_| {
            state = state.wrapping_mul(BASE).wrapping_add(1);
            (state >> 56) as u8
        });
        URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<u8>>())
    }

    fn sent(bearer: &str) -> Sent {
        let sent = Sent::default();
        sent.note(bearer, 0, NOW + Duration::from_secs(60), NOW).unwrap();
        sent
    }

    /// In chunks of each size, which makes no difference.
    fn passed(sent: &Sent, text: &str) -> String {
        let whole = sent.withheld(text.as_bytes()).0;
        for size in [1, 2, 3, 7, 23, 24, 25, 100] {
            let mut scrubber = Scrubber::default();
            let mut out = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                out.extend(scrubber.pass(sent, chunk));
            }
            out.extend(scrubber.rest(sent));
            assert_eq!(out, whole, "in chunks of {size}");
        }
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn a_bearer_is_withheld_in_whatever_way_it_is_written() {
        let bearer = bearer(1);
        let sent = sent(&bearer);
        let escaped: String = bearer.bytes().map(|byte| format!("\\u00{byte:02x}")).collect();
        let deeper = escaped.replace('\\', "\\\\\\");
        let percent: String = bearer.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let lines: Vec<&str> =
            bearer.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for written in [
            bearer.clone(),
            escaped,
            deeper,
            percent,
            bearer.replace('-', "\\-").replace('_', "\\/"),
            bearer.replace('-', "+").replace('_', "/"),
            STANDARD.encode(&bearer),
            STANDARD.encode(format!("a{bearer}")),
            URL_SAFE_NO_PAD.encode(format!("Bearer {bearer}, and more")),
            lines.join("\n"),
            lines.join("\\n"),
            lines.join("\"}\n\ndata: {\"part\":\""),
        ] {
            let text = format!("{{\"a\":\"Bearer {written}\",\"b\":1}}");
            let shown = passed(&sent, &text);
            assert!(shown.contains("BEARER-WITHHELD-BY-HARDTACK"), "{text}");
            assert!(shown.starts_with("{\"a\":\"") && shown.ends_with("\",\"b\":1}"), "{shown}");
            // Nothing that could be put together again: not a third of the seal.
            let seal = &written[written.len() - SEAL..];
            let left = seal.as_bytes().windows(WINDOW + STRIDE);
            assert!(
                !left
                    .into_iter()
                    .any(|part| { shown.contains(std::str::from_utf8(part).unwrap()) }),
                "{shown}"
            );
        }
    }

    #[test]
    fn whatever_is_no_bearer_passes_as_it_is() {
        let sent = sent(&bearer(1));
        let other = bearer(2);
        let backslashes = "\\".repeat(1000);
        for text in [
            "",
            "a",
            "%",
            "%4",
            "%zz",
            "\\",
            "\\u",
            "\\u00",
            "\\u00e9\\u2028",
            "\\\\\"",
            "héllo %41",
            "{\"a\":\"\\n\\t\\u0041\\/\"}",
            &other,
            &backslashes,
            &STANDARD.encode(&other),
        ] {
            assert_eq!(passed(&sent, text), text);
        }
    }

    #[test]
    fn nothing_is_kept_back_behind_what_ends_a_word() {
        let (sent, mut scrubber) = (sent(&bearer(1)), Scrubber::default());
        let event = b"data: {\"a\":\"abc\"}\n\n";
        assert_eq!(scrubber.pass(&sent, event), event);
    }

    #[test]
    fn what_is_no_longer_good_is_forgotten_and_what_is_not() {
        let (first, second) = (bearer(1), bearer(2));
        let sent = sent(&first);
        let later = NOW + Duration::from_secs(119);
        sent.note(&second, 0, later + LONGER, later).unwrap();
        assert!(sent.withheld(first.as_bytes()).1 && sent.withheld(second.as_bytes()).1);
        let much_later = later + Duration::from_secs(1);
        sent.note(&bearer(3), 0, much_later, much_later).unwrap();
        assert!(!sent.withheld(first.as_bytes()).1 && sent.withheld(second.as_bytes()).1);
    }

    #[test]
    fn more_than_can_be_looked_for_are_not_sent() {
        let sent = Sent::default();
        for _ in 0..MAX_ALIVE {
            sent.note("a", 0, NOW + LONGER, NOW).unwrap();
        }
        assert_eq!(sent.note("a", 0, NOW + LONGER, NOW), Err(TooMany));
        let later = NOW + 2 * LONGER;
        assert_eq!(sent.note("a", 0, later, later), Ok(()));
    }
}
