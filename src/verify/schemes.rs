//! Schemes: resources of which URI schemes are judged here?

use std::sync::RwLock;

/// The most schemes that are remembered because a server's lists named them: servers have one or two. One that names more would
/// fill the memory and slow every decision.
const MAX_NAMED_SCHEMES: usize = 32;

/// The longest scheme that is remembered: the longest that IANA has registered is half as long.
const MAX_SCHEME_BYTES: usize = 64;

/// The schemes that are judged: those that were said, and those that were named since, if any may be.
#[derive(Debug)]
pub(crate) struct Schemes {
    said: Vec<String>,
    /// `None` if no other may be named.
    named: Option<RwLock<Vec<String>>>,
}

impl Schemes {
    pub(super) fn of(said: Vec<String>) -> Schemes {
        Schemes { said, named: None }
    }

    /// The same, and those that are named from now on.
    pub(super) fn open(&self) -> Schemes {
        Schemes { said: self.said.clone(), named: Some(RwLock::default()) }
    }

    pub(super) fn are_open(&self) -> bool {
        self.named.is_some()
    }

    pub(super) fn judge(&self, scheme: &str) -> bool {
        let is = |listed: &String| listed == scheme;
        self.said.iter().any(is)
            || self.named.as_ref().is_some_and(|named| {
                named.read().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().any(is)
            })
    }

    /// Remembers a scheme, while there is room for it. Nothing is forgotten for it, so that no later one drives out those that
    /// are in use.
    pub(super) fn name(&self, scheme: &str) -> bool {
        if self.judge(scheme) {
            return true;
        }
        let Some(named) = &self.named else { return false };
        if !is_scheme(scheme) || scheme.len() > MAX_SCHEME_BYTES {
            return false;
        }
        let mut named = named.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_known = named.iter().any(|known| known == scheme);
        if !is_known && named.len() < MAX_NAMED_SCHEMES {
            named.push(scheme.to_owned());
            return true;
        }
        is_known
    }
}

/// A scheme as the WHATWG URL Standard writes it.
fn is_scheme(text: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_part)
}

/// A scheme as far as it is repeated to whoever chose it.
pub(crate) fn shown(scheme: &str) -> &str {
    scheme.get(..MAX_SCHEME_BYTES).unwrap_or(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_opened_learns_nothing() {
        let schemes = Schemes::of(vec!["https".to_owned()]);
        assert!(!schemes.name("memo") && !schemes.judge("memo"));
        assert!(schemes.name("https") && schemes.judge("https"));
    }

    #[test]
    fn schemes_are_remembered_while_there_is_room_and_none_is_driven_out() {
        let schemes = Schemes::of(vec!["https".to_owned()]).open();
        assert!(!schemes.judge("s0"));
        for number in 0..MAX_NAMED_SCHEMES {
            assert!(schemes.name(&format!("s{number}")));
        }
        assert!(!schemes.name("memo") && !schemes.judge("memo"));
        assert!(schemes.name("s0") && schemes.judge("s0") && schemes.judge("https"));
    }

    #[test]
    fn what_is_no_scheme_is_not_remembered() {
        let schemes = Schemes::of(Vec::new()).open();
        let (longest, long) = ("a".repeat(MAX_SCHEME_BYTES), "a".repeat(MAX_SCHEME_BYTES + 1));
        for scheme in ["", "Memo", "1memo", "me mo", "memo:", "m\u{e9}mo", "memo\0", &long] {
            assert!(!schemes.name(scheme), "{scheme}");
        }
        assert!(schemes.name(&longest));
        assert_eq!(shown(&long), longest);
    }
}
