//! Listing: what of a server's lists may this token use?
//!
//! An agent is not offered what it would be refused. The list is a courtesy and no decision: the call is
//! checked all the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::guard::Denial;
use crate::mcp::answer;
use crate::mcp::flow::Rewritten;
use crate::mcp::methods::Listing;
use crate::mcp::tasks::Tasks;
use crate::policy::Policy;
use crate::prospect::{Outlook, TooMuch};
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// The most entries in the lists of one answer: some ten times what large servers have. Each costs some microseconds.
pub(crate) const MAX_LIST_ENTRIES: usize = 10_000;

/// The most work for the lists of one answer, in the units of [`cost`](crate::profile::cost): at most a fifth of a
/// second, that of a hundred of the dearest decisions. A chain of two hops needs some 400 units for an entry, one of
/// eight 1,600, so that three thousand entries fit.
pub(crate) const MAX_LIST_COST: u64 = 5_000_000;

/// Takes out of a server's answers what a token may not use.
pub(crate) struct Filter<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) verified: &'a VerifiedCapability,
    pub(crate) tasks: &'a Tasks,
    pub(crate) now: Timestamp,
    /// The lists that may stand in an answer.
    pub(crate) listings: &'a [Listing],
    /// Whether answers say how long and by whom they may be kept (2026-07-28).
    pub(crate) mark_private: bool,
    /// Says that nobody waits for it any more.
    pub(crate) given_up: &'a CancellationToken,
}

/// What becomes of an answer.
pub(crate) struct Filtered {
    pub(crate) rewritten: Rewritten,
    /// Why a list in it is refused, if one is: it cannot be said what of it the token may use.
    pub(crate) refused: Option<Denial>,
}

/// What may still be done for the lists of one answer.
struct Work<'a> {
    outlook: Outlook<'a>,
    entries: usize,
    refused: Option<Denial>,
}

/// Why a list is not shown.
enum Unshown {
    /// It has too many entries.
    TooLong,
    TooCostly,
    GivenUp,
}

impl From<TooMuch> for Unshown {
    fn from(_: TooMuch) -> Unshown {
        Unshown::TooCostly
    }
}

impl Unshown {
    /// What is said of it. That nobody waits is said to nobody.
    fn denial(&self) -> Denial {
        let (cause, message) = match self {
            Unshown::TooLong => (
                "list_too_long",
                format!(
                    "the list has more than {MAX_LIST_ENTRIES} entries, and is neither shown nor shortened; the \
                     server behind must give it in parts"
                ),
            ),
            Unshown::TooCostly | Unshown::GivenUp => (
                "list_too_costly",
                "to say what of this list the token may use takes more work than a list may; trying again will \
                 not help, but a token with simpler conditions on operations and resources will"
                    .to_owned(),
            ),
        };
        Denial::undecided_list(cause, message)
    }
}

/// Members in the order in which they came do not matter; what is in them passes as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

impl Filter<'_> {
    /// The answer without what may not be used.
    pub(crate) fn apply(&self, answer: &str) -> Filtered {
        let outlook = Outlook::over(self.verified, self.policy, MAX_LIST_COST);
        let mut work = Work { outlook, entries: MAX_LIST_ENTRIES, refused: None };
        let rewritten = self.rewritten(answer, &mut work);
        Filtered { rewritten, refused: work.refused }
    }

    fn rewritten(&self, answer: &str, work: &mut Work<'_>) -> Rewritten {
        let replaced = |changed: bool, answer: serde_json::Result<String>| match (changed, answer) {
            (false, _) => Rewritten::Same,
            (true, Ok(answer)) => Rewritten::By(answer),
            (true, Err(_)) => Rewritten::Unreadable,
        };
        if let Ok(mut message) = serde_json::from_str::<Members>(answer) {
            let changed = self.message(&mut message, work);
            return replaced(changed, serde_json::to_string(&message));
        }
        // Servers of 2025-03-26 may answer several requests at once.
        let Ok(mut messages) = serde_json::from_str::<Vec<Members>>(answer) else {
            return Rewritten::Unreadable;
        };
        let changed = messages.iter_mut().map(|message| self.message(message, work));
        let changed = changed.fold(false, |any, one| any | one);
        replaced(changed, serde_json::to_string(&messages))
    }

    fn message(&self, message: &mut Members, work: &mut Work<'_>) -> bool {
        let Some(result) = message.get("result") else { return false };
        let Ok(mut members) = serde_json::from_str::<Members>(result.get()) else { return false };
        let lists = self.listings.iter().filter(|listing| members.contains_key(listing.member()));
        let lists: Vec<Listing> = lists.copied().collect();
        if lists.is_empty() {
            return false;
        }
        for listing in &lists {
            if let Err(unshown) = self.list(*listing, &mut members, work) {
                refuse(message, &unshown.denial());
                work.refused.get_or_insert_with(|| unshown.denial());
                return true;
            }
        }
        if self.mark_private || members.contains_key("cacheScope") || members.contains_key("ttlMs")
        {
            self.mark(&mut members);
        }
        match serde_json::value::to_raw_value(&members) {
            Ok(result) => message.insert("result".to_owned(), result).is_some(),
            // What cannot be written anew is not shown as it was.
            Err(_) => message.remove("result").is_some(),
        }
    }

    fn list(
        &self,
        listing: Listing,
        members: &mut Members,
        work: &mut Work<'_>,
    ) -> Result<(), Unshown> {
        let member = listing.member();
        let entries = members.get(member).map(|list| entries(list, work.entries));
        // What is no list is shown to nobody.
        let entries = entries.and_then(Result::ok).unwrap_or(Some(Vec::new()));
        let entries = entries.ok_or(Unshown::TooLong)?;
        work.entries -= entries.len();
        let shown = self.shown(listing, entries, work)?;
        if let Ok(list) = serde_json::value::to_raw_value(&shown) {
            members.insert(member.to_owned(), list);
        } else {
            members.remove(member);
        }
        Ok(())
    }

    /// Those of a list's entries that the token may use.
    fn shown(
        &self,
        listing: Listing,
        entries: Vec<Box<RawValue>>,
        work: &mut Work<'_>,
    ) -> Result<Vec<Box<RawValue>>, Unshown> {
        if listing == Listing::Tasks {
            let own = entries.into_iter().filter(|entry| self.is_own_task(entry));
            return Ok(own.collect());
        }
        let calls: Vec<Option<Call>> =
            entries.iter().map(|entry| call_of(listing, entry)).collect();
        work.outlook.afford(&calls)?;
        let mut shown = Vec::new();
        for (entry, call) in entries.into_iter().zip(&calls) {
            if self.given_up.is_cancelled() {
                return Err(Unshown::GivenUp);
            }
            if let Some(call) = call
                && work.outlook.of(call)?.is_open()
            {
                shown.push(entry);
            }
        }
        Ok(shown)
    }

    fn is_own_task(&self, entry: &RawValue) -> bool {
        let entry = serde_json::from_str::<Entry>(entry.get());
        let id = entry.ok().and_then(|entry| entry.task_id);
        id.is_some_and(|id| self.tasks.is_of(&id, self.verified))
    }

    /// 2026-07-28, "Caching": for this token alone, and no longer than it lives.
    fn mark(&self, members: &mut Members) {
        let life = self.verified.chain().expires().since(self.now).as_millis() as u64;
        let ttl = members.get("ttlMs").and_then(|ttl| serde_json::from_str::<u64>(ttl.get()).ok());
        let ttl = ttl.map_or(0, |ttl| ttl.min(life));
        for (name, value) in [("cacheScope", json!("private")), ("ttlMs", json!(ttl))] {
            if let Ok(value) = serde_json::value::to_raw_value(&value) {
                members.insert(name.to_owned(), value);
            }
        }
    }
}

/// What an entry says of what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    uri: Option<String>,
    task_id: Option<String>,
}

/// The call by which an entry is used; none can be made of what is not judged.
fn call_of(listing: Listing, entry: &RawValue) -> Option<Call> {
    let entry = serde_json::from_str::<Entry>(entry.get()).ok()?;
    let name = entry.name.unwrap_or_default();
    let call = match listing {
        Listing::Tools => Call::tool(&name),
        Listing::Prompts => Call::new(&format!("prompts:get:{name}")),
        Listing::Resources => Call::new("resources:read")
            .and_then(|call| call.resource(&entry.uri.unwrap_or_default())),
        // Which resources a template stands for is not known.
        Listing::ResourceTemplates => Call::new("resources:read"),
        Listing::Tasks => return None,
    };
    call.ok()
}

/// Puts an error in the place of the result.
fn refuse(message: &mut Members, denial: &Denial) {
    message.remove("result");
    let refused = answer::undecided_list(message.get("id").map(|id| &**id), denial);
    for (name, value) in refused.as_object().into_iter().flatten() {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            message.insert(name.clone(), value);
        }
    }
}

/// The entries of a list; `None` if they are more than `most`, which are not kept.
fn entries(list: &RawValue, most: usize) -> serde_json::Result<Option<Vec<Box<RawValue>>>> {
    AtMost(most).deserialize(&mut serde_json::Deserializer::from_str(list.get()))
}

struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Option<Vec<Box<RawValue>>>;

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<Self::Value, D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Option<Vec<Box<RawValue>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.0 {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Some(entries)),
            }
        }
        let more = list.next_element::<IgnoredAny>()?.is_some();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok((!more).then_some(entries))
    }
}
