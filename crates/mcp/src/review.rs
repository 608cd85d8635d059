//! Review: what of a server's message may its client be shown?
//!
//! Clients take an answer by its id, wherever it comes, so every message of every answer is looked at: a list that was not
//! taken apart must not come as the answer to something else. What clients would read differently is not shown.

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use crate::answer;
use crate::listing::{AtMost, Filter, Unshown};
use crate::reading::{Members, is_same_id, mark_forged};
use hardtack::guard::Denial;
use hardtack::mcp::Id;

/// The most messages of one batch, which 2025-03-26 alone knows. Each takes 16 bytes, and may have one.
const MAX_BATCH: usize = 10_000;

/// The members of a message.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reviewed {
    /// It passes as it is.
    Same,
    /// It is replaced.
    By(String),
    /// It answers something else than what was asked, so it does not pass.
    Strange,
    /// What it says is not known, so it does not pass.
    Unreadable,
}

/// What is known of the request when its answer comes.
pub(crate) struct Review<'a> {
    /// What was asked. A stream that was asked for without a message may repeat the answer to anything.
    pub(crate) asked: Option<&'a Id>,
    /// What lists show.
    pub(crate) filter: Option<Filter<'a>>,
    /// Why a list was refused, if one was.
    pub(crate) refused: Option<Denial>,
    /// Is told each result, after it is known to be what was asked for.
    pub(crate) note: &'a dyn Fn(&RawValue),
}

impl Review<'_> {
    /// Looks at the text of one message, or of several at once (2025-03-26).
    pub(crate) fn apply(&mut self, text: &str) -> Reviewed {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => self.message(text),
            Some(b'[') => self.messages(text),
            // No text without an object has a list in it.
            _ if text.contains('{') => Reviewed::Unreadable,
            _ => Reviewed::Same,
        }
    }

    fn messages(&mut self, text: &str) -> Reviewed {
        let mut json = serde_json::Deserializer::from_str(text);
        let read = AtMost(MAX_BATCH).deserialize(&mut json);
        let read = read.and_then(|messages| json.end().map(|()| messages));
        let Ok(Some(messages)) = read else { return Reviewed::Unreadable };
        let mut shown = String::with_capacity(text.len());
        for message in messages {
            let reviewed = match message.get().starts_with('{') {
                true => self.message(message.get()),
                false => Reviewed::Unreadable,
            };
            shown.push(if shown.is_empty() { '[' } else { ',' });
            match reviewed {
                Reviewed::Same => shown.push_str(message.get()),
                Reviewed::By(message) => shown.push_str(&message),
                not_shown => return not_shown,
            }
        }
        shown.push(']');
        Reviewed::By(if shown == "]" { "[]".to_owned() } else { shown })
    }

    fn message(&mut self, text: &str) -> Reviewed {
        let reviewed = match self.shown(text) {
            // What is said in a list's place is Hardtack's own.
            Err(refused) => return refused,
            Ok(reviewed) => reviewed,
        };
        let shown = match &reviewed {
            Reviewed::Same => text,
            Reviewed::By(shown) => shown,
            Reviewed::Strange | Reviewed::Unreadable => return reviewed,
        };
        mark_forged(shown).map_or(reviewed, Reviewed::By)
    }

    /// What a server's message shows, or what is said in its place.
    fn shown(&mut self, text: &str) -> Result<Reviewed, Reviewed> {
        let Some(members) = Members::read(text, &MEMBERS) else { return Ok(Reviewed::Unreadable) };
        let Some(result) = members.get("result") else { return Ok(Reviewed::Same) };
        if members.get("method").is_some() || members.get("error").is_some() {
            return Ok(Reviewed::Unreadable);
        }
        let id = members.get("id");
        let is_asked = |asked| id.is_some_and(|id| is_same_id(id, asked));
        if !self.asked.is_none_or(is_asked) {
            return Ok(Reviewed::Strange);
        }
        (self.note)(result);
        let Some(filter) = &mut self.filter else { return Ok(Reviewed::Same) };
        let mut shown = String::with_capacity(text.len() + 64);
        for (index, (name, value)) in members.iter().enumerate() {
            shown.push(if index == 0 { '{' } else { ',' });
            write_name(name, &mut shown);
            match name {
                "result" => match filter.write(value, &mut shown) {
                    Ok(true) => {}
                    Ok(false) => return Ok(Reviewed::Same),
                    Err(unshown) => return Err(self.refuse(unshown, id)),
                },
                _ => shown.push_str(value.get()),
            }
        }
        shown.push('}');
        Ok(Reviewed::By(shown))
    }

    fn refuse(&mut self, unshown: Unshown, id: Option<&RawValue>) -> Reviewed {
        let Some(denial) = unshown.denial() else { return Reviewed::Unreadable };
        let said = answer::undecided_list(id, &denial).to_string();
        self.refused.get_or_insert(denial);
        Reviewed::By(said)
    }
}

/// A member's name as JSON has it, and the colon.
pub(crate) fn write_name(name: &str, to: &mut String) {
    to.push_str(&serde_json::Value::from(name).to_string());
    to.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_so_many_messages_and_nothing_behind_it() {
        let apply = |text: &str| {
            Review { asked: None, filter: None, refused: None, note: &|_| {} }.apply(text)
        };
        let event = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        let batch = |count: usize| format!("[{}]", vec![event; count].join(","));
        for count in [1, MAX_BATCH] {
            assert_eq!(apply(&batch(count)), Reviewed::By(batch(count)), "{count}");
        }
        assert_eq!(apply(&batch(MAX_BATCH + 1)), Reviewed::Unreadable);
        assert_eq!(apply(&format!("{}{event}", batch(1))), Reviewed::Unreadable);
    }
}
