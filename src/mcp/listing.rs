//! Listing: what of a server's lists may this token use?
//!
//! An agent is not offered what it would be refused. The list is a courtesy and no decision: the call is
//! checked all the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::mcp::flow::Rewritten;
use crate::mcp::methods::Listing;
use crate::mcp::tasks::Tasks;
use crate::policy::Policy;
use crate::prospect::prospect;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

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
}

/// Members in the order in which they came do not matter; what is in them passes as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

impl Filter<'_> {
    /// The answer without what may not be used.
    pub(crate) fn apply(&self, answer: &str) -> Rewritten {
        let replaced = |changed: bool, answer: serde_json::Result<String>| match (changed, answer) {
            (false, _) => Rewritten::Same,
            (true, Ok(answer)) => Rewritten::By(answer),
            (true, Err(_)) => Rewritten::Unreadable,
        };
        if let Ok(mut message) = serde_json::from_str::<Members>(answer) {
            let changed = self.message(&mut message);
            return replaced(changed, serde_json::to_string(&message));
        }
        // Servers of 2025-03-26 may answer several requests at once.
        let Ok(mut messages) = serde_json::from_str::<Vec<Members>>(answer) else {
            return Rewritten::Unreadable;
        };
        let changed = messages.iter_mut().map(|message| self.message(message));
        let changed = changed.fold(false, |any, one| any | one);
        replaced(changed, serde_json::to_string(&messages))
    }

    fn message(&self, message: &mut Members) -> bool {
        let Some(result) = message.get("result") else { return false };
        let Ok(mut members) = serde_json::from_str::<Members>(result.get()) else { return false };
        let lists = self.listings.iter().filter(|listing| members.contains_key(listing.member()));
        let lists: Vec<Listing> = lists.copied().collect();
        for listing in &lists {
            self.list(*listing, &mut members);
        }
        if lists.is_empty() {
            return false;
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

    fn list(&self, listing: Listing, members: &mut Members) {
        let member = listing.member();
        let entries = members.get(member).map(|list| serde_json::from_str(list.get()));
        // What is no list is shown to nobody.
        let entries: Vec<Box<RawValue>> = entries.and_then(Result::ok).unwrap_or_default();
        let shown = entries.into_iter().filter(|entry| self.may_use(listing, entry));
        if let Ok(list) = serde_json::value::to_raw_value(&shown.collect::<Vec<_>>()) {
            members.insert(member.to_owned(), list);
        } else {
            members.remove(member);
        }
    }

    fn may_use(&self, listing: Listing, entry: &RawValue) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            name: Option<String>,
            uri: Option<String>,
            task_id: Option<String>,
        }
        let Ok(entry) = serde_json::from_str::<Entry>(entry.get()) else { return false };
        let name = entry.name.unwrap_or_default();
        let call = match listing {
            Listing::Tools => Call::tool(&name),
            Listing::Prompts => Call::new(&format!("prompts:get:{name}")),
            Listing::Resources => Call::new("resources:read")
                .and_then(|call| call.resource(&entry.uri.unwrap_or_default())),
            // Which resources a template stands for is not known.
            Listing::ResourceTemplates => Call::new("resources:read"),
            Listing::Tasks => {
                let id = entry.task_id.unwrap_or_default();
                return self.tasks.is_of(&id, self.verified);
            }
        };
        call.is_ok_and(|call| prospect(self.verified, self.policy, &call).is_open())
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
