//! Verdict: with which words does a case say what must become of its call?

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::cause::{Cause, Class, UnknownCause};
use crate::trial::report::ALLOW;

/// The cause for which a call must be refused; none if it must be allowed. A case says why a call is refused: "deny" is no cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) Option<Cause>);

impl FromStr for Expected {
    type Err = UnknownCause;

    fn from_str(word: &str) -> Result<Expected, UnknownCause> {
        match word {
            ALLOW => Ok(Expected(None)),
            cause => {
                Ok(Expected(Some(causes().find(|one| one.as_str() == cause).ok_or(UnknownCause)?)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expected, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The causes for which a decision refuses a call: those that a server answers with, up to the last of a decision.
fn causes() -> impl Iterator<Item = Cause> {
    let answered = Cause::ALL.iter().copied().filter(|cause| cause.status().is_some());
    answered.filter(|cause| cause.class() != Class::Unavailable && cause.class() != Class::Conflict)
}

/// What is commonly written, and what it is called here.
const CALLED_ELSEWHERE: [(&str, &str); 12] = [
    ("allowed", ALLOW),
    ("permit", ALLOW),
    ("ok", ALLOW),
    ("true", ALLOW),
    ("deny", "policy_denied"),
    ("denied", "policy_denied"),
    ("deny_if", "policy_denied"),
    ("false", "nothing_allows"),
    ("refused", "nothing_allows"),
    ("forbidden", "nothing_allows"),
    ("policy_check", "policy_check_failed"),
    ("check", "policy_check_failed"),
];

/// That a word is no verdict of a case, which one may be meant, and all that there are.
pub(crate) fn unknown(key: &str, word: &str) -> String {
    let meant = meant(word).map_or(String::new(), |meant| format!(" Did you mean \"{meant}\"?"));
    let all: Vec<&str> = causes().map(Cause::as_str).collect();
    format!(
        "{key} = \"{word}\" is no verdict of a case.{meant} Write \"allow\", or the cause of the refusal: \"policy_denied\" (by a `deny if`), \"nothing_allows\" (no `allow if` matches), \"not_granted\" (no scope covers it), \"policy_check_failed\" (a check of a policy), \"check_failed\" (a check of the token). All causes, which docs/verification.md explains: {}",
        all.join(", ")
    )
}

/// The most letters that may be others, missing, too many or in each other's place, for each three letters of a word.
const LETTERS_A_SLIP: usize = 3;

/// No word that is meant has more bytes.
const MAX_WORD_BYTES: usize = 64;

fn meant(word: &str) -> Option<&'static str> {
    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    let written = word.to_lowercase().replace(['-', ' '], "_");
    if let Some((_, meant)) = CALLED_ELSEWHERE.iter().find(|(known, _)| *known == written) {
        return Some(meant);
    }
    let known = causes().map(Cause::as_str).chain([ALLOW]);
    let near = known.map(|known| (slips(&written, known), known)).min()?;
    (near.0 <= (word.chars().count() / LETTERS_A_SLIP).max(1)).then_some(near.1)
}

/// How many letters differ, are missing or too many, or are swapped (optimal string alignment).
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let mut least = (rows[i][j + 1] + 1).min(row[j] + 1);
            least = least.min(rows[i][j] + usize::from(left != right));
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}
