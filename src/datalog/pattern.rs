//! Pattern: how does a pattern read that is held against folded names?
//!
//! A name is folded to small letters. A pattern that tells capitals from small letters, or has letters that have other
//! spellings themselves, would find some spellings of a name and not others, and is not followed.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    Ast, ClassAsciiKind, ClassSet, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind,
};

use crate::datalog::following::Unfollowed;
use crate::function::Function;
use crate::spelling::fold_piece;

/// The regular expression for folded names.
///
/// # Errors
///
/// [`Unfollowed`] if it is not ASCII, or tells capitals from small letters.
pub(super) fn regex_of_names(pattern: &str) -> Result<String, Unfollowed> {
    let syntax = Parser::new().parse(pattern).map_err(|_| Unfollowed::Pattern)?;
    is_followed(&syntax, false)?;
    let folded = format!("(?i){pattern}");
    // It is larger than what was written, and one that is too large would match nothing.
    regex::Regex::new(&folded).map_err(|_| Unfollowed::Pattern)?;
    Ok(folded)
}

/// The pattern of `hardtack_glob` for folded names.
///
/// # Errors
///
/// [`Unfollowed`] if folded it would be another pattern, or none.
pub(super) fn glob_of_names(pattern: &str) -> Result<String, Unfollowed> {
    let folded = fold_piece(pattern).into_owned();
    let signs = |text: &str| text.chars().filter(|c| ['*', '?', '/'].contains(c)).count();
    let same = signs(&folded) == signs(pattern) && Function::Glob.check_operand(&folded).is_ok();
    same.then_some(folded).ok_or(Unfollowed::Pattern)
}

/// `alike`: where it stands, capitals and small letters are one for the pattern itself.
fn is_followed(syntax: &Ast, mut alike: bool) -> Result<(), Unfollowed> {
    match syntax {
        Ast::Empty(_) | Ast::Dot(_) | Ast::Assertion(_) | Ast::ClassPerl(_) => Ok(()),
        Ast::Literal(literal) => ascii(literal.c),
        Ast::Flags(set) => flags(&set.flags).map(drop),
        Ast::ClassUnicode(_) => Err(Unfollowed::Pattern),
        Ast::ClassBracketed(class) => {
            let mut letters = Letters::default();
            letters.add_set(&class.kind)?;
            if alike { Ok(()) } else { letters.tell_no_capitals() }
        }
        Ast::Repetition(repetition) => is_followed(&repetition.ast, alike),
        Ast::Group(group) => {
            if let GroupKind::NonCapturing(set) = &group.kind {
                alike |= flags(set)?;
            }
            is_followed(&group.ast, alike)
        }
        Ast::Alternation(parts) => parts.asts.iter().try_for_each(|one| is_followed(one, alike)),
        Ast::Concat(parts) => parts.asts.iter().try_for_each(|one| {
            if let Ast::Flags(set) = one {
                alike |= flags(&set.flags)?;
            }
            is_followed(one, alike)
        }),
    }
}

fn ascii(c: char) -> Result<(), Unfollowed> {
    if c.is_ascii() { Ok(()) } else { Err(Unfollowed::Pattern) }
}

/// Flags that only make more of a text the same; whether capitals and small letters are among that.
fn flags(flags: &Flags) -> Result<bool, Unfollowed> {
    let narrows = |kind: &FlagsItemKind| {
        matches!(kind, FlagsItemKind::Negation | FlagsItemKind::Flag(Flag::Unicode))
    };
    if flags.items.iter().any(|item| narrows(&item.kind)) {
        return Err(Unfollowed::Pattern);
    }
    let alike = FlagsItemKind::Flag(Flag::CaseInsensitive);
    Ok(flags.items.iter().any(|item| item.kind == alike))
}

/// Which letters stand in a class, whether what stands there is meant or left out.
struct Letters([bool; 128]);

impl Default for Letters {
    fn default() -> Letters {
        Letters([false; 128])
    }
}

impl Letters {
    fn add_set(&mut self, set: &ClassSet) -> Result<(), Unfollowed> {
        match set {
            ClassSet::Item(item) => self.add(item),
            ClassSet::BinaryOp(_) => Err(Unfollowed::Pattern),
        }
    }

    fn add(&mut self, item: &ClassSetItem) -> Result<(), Unfollowed> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Perl(_) => Ok(()),
            ClassSetItem::Literal(literal) => self.range(literal.c, literal.c),
            ClassSetItem::Range(range) => self.range(range.start.c, range.end.c),
            ClassSetItem::Ascii(class) => match class.kind {
                _ if class.negated => Err(Unfollowed::Pattern),
                ClassAsciiKind::Upper => self.range('A', 'Z'),
                ClassAsciiKind::Lower => self.range('a', 'z'),
                // All others have both or neither.
                _ => Ok(()),
            },
            ClassSetItem::Unicode(_) | ClassSetItem::Bracketed(_) => Err(Unfollowed::Pattern),
            ClassSetItem::Union(union) => union.items.iter().try_for_each(|item| self.add(item)),
        }
    }

    fn range(&mut self, from: char, to: char) -> Result<(), Unfollowed> {
        ascii(from)?;
        ascii(to)?;
        for c in from..=to {
            if let Some(letter) = self.0.get_mut(c as usize) {
                *letter = true;
            }
        }
        Ok(())
    }

    /// Whether each capital stands there with its small letter.
    fn tell_no_capitals(&self) -> Result<(), Unfollowed> {
        let has = |c: char| self.0.get(c as usize).is_some_and(|letter| *letter);
        match ('A'..='Z').all(|c| !has(c) || has(c.to_ascii_lowercase())) {
            true => Ok(()),
            false => Err(Unfollowed::Pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_tells_how_a_name_is_spelled_is_not_followed() {
        for followed in [
            "^force$",
            "^For[c]e$",
            "^[a-z_]+$",
            "^[A-Za-z]",
            "[^a-z]",
            "(?i)^F",
            "^(a|B)+$",
            "\\d",
            "^\\w{1,5}$",
            "[[:alpha:]]",
            "a.c",
            "\\x41",
            "^x-",
            "(?:a)",
            "(?i)^[A-F]or",
            "(?i:[A-F])or",
        ] {
            assert_eq!(regex_of_names(followed), Ok(format!("(?i){followed}")), "{followed}");
        }
        for not in [
            "^zo\u{eb}$",
            "^\u{ff26}orce$",
            "\\x{ff26}orce",
            "[A-Z]",
            "[^A-Z]",
            "(?i:a)[A-F]",
            "[FG]orce",
            "\\p{Lu}",
            "[[:upper:]]",
            "[[:^lower:]]",
            "(?-i)Force",
            "(?i)(?-i:F)orce",
            "(?-u)a",
            "[a-z&&[^f]]",
            "[\u{e4}-\u{fc}]",
            "(",
        ] {
            assert_eq!(regex_of_names(not), Err(Unfollowed::Pattern), "{not}");
        }
    }

    #[test]
    fn a_pattern_that_is_too_large_without_capitals_is_not_followed() {
        let pattern = "(?:k{1000}){80}";
        assert!(regex::Regex::new(pattern).is_ok());
        assert_eq!(regex_of_names(pattern), Err(Unfollowed::Pattern));
    }

    #[test]
    fn a_pattern_of_names_stays_the_same_pattern() {
        assert_eq!(glob_of_names("Zo\u{cb}-*"), Ok("zo\u{eb}-*".to_owned()));
        assert_eq!(glob_of_names("\u{ff26}orce ?"), Ok("force ?".to_owned()));
        for not in ["a\u{ff0a}b", "a\u{ff1f}b", "a\u{ff3b}b"] {
            assert_eq!(glob_of_names(not), Err(Unfollowed::Pattern), "{not}");
        }
    }
}
