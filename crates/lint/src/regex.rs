//! Regex: what does a pattern match, whatever the text is, and what do all its matches begin with? Read off its syntax tree.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Whether a pattern matches every text, or every one that is not empty.
pub(super) fn matches_all(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| takes_all(&hir))
}

fn takes_all(hir: &Hir) -> bool {
    let properties = hir.properties();
    if properties.minimum_len() == Some(0) && properties.look_set().is_empty() {
        return true;
    }
    let is_many = |hir: &Hir| match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none() && repetition.min <= 1 && is_wide(&repetition.sub)
        }
        HirKind::Capture(capture) => takes_all(&capture.sub),
        _ => false,
    };
    let is_look = |hir: &Hir| matches!(hir.kind(), HirKind::Look(_));
    match hir.kind() {
        HirKind::Look(look) => matches!(look, Look::Start | Look::End),
        HirKind::Capture(capture) => takes_all(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().all(|part| is_look(part) || is_many(part)) && parts.iter().any(is_many)
        }
        HirKind::Alternation(parts) => parts.iter().any(takes_all),
        _ => is_many(hir),
    }
}

/// `.`, `\S`, `[^\n]` and the like: nearly every character, all that names have.
fn is_wide(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(class) => {
            let holds = |c: char| match class {
                Class::Unicode(class) => {
                    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c))
                }
                Class::Bytes(class) => class.ranges().iter().any(|range| {
                    u8::try_from(c).is_ok_and(|c| (range.start()..=range.end()).contains(&c))
                }),
            };
            "azAZ09_-.:/".chars().all(holds)
        }
        HirKind::Capture(capture) => is_wide(&capture.sub),
        _ => false,
    }
}

/// What an anchored pattern begins with in so many letters, and whether that is all of it.
pub(super) fn literal_beginning(text: &str) -> Option<(String, bool)> {
    let hir = regex_syntax::parse(text).ok()?;
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let [start, literal, rest @ ..] = parts.as_slice() else { return None };
    let (HirKind::Look(Look::Start), HirKind::Literal(literal)) = (start.kind(), literal.kind())
    else {
        return None;
    };
    let ends = matches!(rest, [end] if matches!(end.kind(), HirKind::Look(Look::End)));
    Some((String::from_utf8(literal.0.to_vec()).ok()?, ends))
}
