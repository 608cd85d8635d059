//! Left out: what was taken out of lists, why, and how does whoever runs the gateway hear of it?
//!
//! What a token may not use is no news. An entry that nobody can use, whatever the token, is: without a word it would look
//! as if the server had none.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::listing::Listing;

/// How often it is said of one list, at most: agents ask for lists all the time.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// How many schemes are named at most: servers choose them.
const MAX_NAMED: usize = 8;

/// Why an entry is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The token or the policies do not allow its use.
    NotAllowed,
    /// Its URI has a scheme that is not judged.
    Scheme,
    /// Its URI has other spellings, or no URI of its template has one alone.
    Form,
    /// Its name can be no part of an operation.
    Name,
    /// Readers would take it differently, or it says nothing by which it could be used.
    Unreadable,
}

impl Why {
    const ALL: [Why; 5] = [Why::NotAllowed, Why::Scheme, Why::Form, Why::Name, Why::Unreadable];

    fn label(self) -> &'static str {
        match self {
            Why::NotAllowed => "not_allowed",
            Why::Scheme => "scheme",
            Why::Form => "form",
            Why::Name => "name",
            Why::Unreadable => "unreadable",
        }
    }
}

/// What was left out of the lists of one answer.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    counts: [[u64; Why::ALL.len()]; Listing::ALL.len()],
    schemes: BTreeSet<String>,
}

impl LeftOut {
    pub(crate) fn count(&mut self, listing: Listing, why: Why) {
        self.counts[listing as usize][why as usize] += 1;
    }

    /// Of a scheme that is not judged.
    pub(crate) fn count_scheme(&mut self, listing: Listing, scheme: &str) {
        self.count(listing, Why::Scheme);
        let is_scheme = scheme.len() <= 64
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if is_scheme && self.schemes.len() < MAX_NAMED {
            self.schemes.insert(scheme.to_owned());
        }
    }

    pub(crate) fn add(&mut self, other: LeftOut) {
        for (counts, others) in self.counts.iter_mut().zip(other.counts) {
            for (count, other) in counts.iter_mut().zip(others) {
                *count += other;
            }
        }
        for scheme in other.schemes {
            if self.schemes.len() < MAX_NAMED {
                self.schemes.insert(scheme);
            }
        }
    }

    fn of(&self, listing: Listing, why: Why) -> u64 {
        self.counts[listing as usize][why as usize]
    }

    /// How many entries of a list nobody can use.
    fn unusable(&self, listing: Listing) -> u64 {
        let others = Why::ALL.into_iter().filter(|why| *why != Why::NotAllowed);
        others.map(|why| self.of(listing, why)).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Entry {
    list: &'static str,
    why: &'static str,
}

/// What was left out of all lists of one server, so far.
pub(crate) struct Omissions {
    entries: Family<Entry, Counter>,
    unsaid: Mutex<Unsaid>,
}

#[derive(Default)]
struct Unsaid {
    last: [Option<Instant>; Listing::ALL.len()],
    left_out: LeftOut,
}

impl Omissions {
    pub(crate) fn of(registry: &mut Registry) -> Omissions {
        let entries = Family::<Entry, Counter>::default();
        let help = "Entries of lists that were not shown, by list and by why";
        registry.register("list_entries_left_out", help, entries.clone());
        Omissions { entries, unsaid: Mutex::default() }
    }

    /// Counts what was left out of an answer, and says it, unless it was said a moment ago. Then it is said with the next.
    pub(crate) fn note(&self, left_out: LeftOut) {
        for listing in Listing::ALL {
            for why in Why::ALL {
                let count = left_out.of(listing, why);
                if count > 0 {
                    let entry = Entry { list: listing.member(), why: why.label() };
                    self.entries.get_or_create(&entry).inc_by(count);
                }
            }
        }
        let said: Vec<String> = {
            let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
            unsaid.left_out.add(left_out);
            Listing::ALL.into_iter().filter_map(|listing| unsaid.say(listing)).collect()
        };
        for said in said {
            tracing::warn!("{said}");
        }
    }
}

impl Unsaid {
    /// What is to be said of a list now, if anything is.
    fn say(&mut self, listing: Listing) -> Option<String> {
        let (place, unusable) = (listing as usize, self.left_out.unusable(listing));
        let is_early = self.last[place].is_some_and(|last| last.elapsed() < SAID_EVERY);
        if unusable == 0 || is_early {
            return None;
        }
        let count = |why| self.left_out.of(listing, why);
        let mut said = format!(
            "the list {} was shown without {unusable} entries that nobody can use here: {} of a scheme that is not judged, {} \
             whose URI has other spellings, {} whose name cannot be granted, {} that cannot be read",
            listing.member(),
            count(Why::Scheme),
            count(Why::Form),
            count(Why::Name),
            count(Why::Unreadable),
        );
        if count(Why::Scheme) > 0 && !self.left_out.schemes.is_empty() {
            let schemes: Vec<&str> = self.left_out.schemes.iter().map(String::as_str).collect();
            said += &format!(
                "; schemes that are not judged: {} (resource-scheme names those that are)",
                schemes.join(", ")
            );
        }
        self.left_out.counts[place] = Default::default();
        if Listing::ALL.iter().all(|listing| self.left_out.of(*listing, Why::Scheme) == 0) {
            self.left_out.schemes.clear();
        }
        self.last[place] = Some(Instant::now());
        Some(said)
    }
}

impl fmt::Debug for Omissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Omissions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry;

    fn left_out(scheme: &str) -> LeftOut {
        let mut left_out = LeftOut::default();
        left_out.count_scheme(Listing::Resources, scheme);
        left_out.count(Listing::Resources, Why::Form);
        left_out.count(Listing::Tools, Why::NotAllowed);
        left_out
    }

    #[test]
    fn what_nobody_can_use_is_said_once_in_a_while_with_all_since() {
        let mut unsaid = Unsaid::default();
        unsaid.left_out.add(left_out("memo"));
        let said = unsaid.say(Listing::Resources).unwrap();
        for part in ["the list resources", "without 2 entries", "1 of a scheme", "not judged: memo"]
        {
            assert!(said.contains(part), "{said}");
        }
        // That a token may not use something is no news.
        assert_eq!(unsaid.say(Listing::Tools), None);
        unsaid.left_out.add(left_out("demo"));
        unsaid.left_out.add(left_out("ui"));
        assert_eq!(unsaid.say(Listing::Resources), None, "it was said a moment ago");
        unsaid.last = Default::default();
        let said = unsaid.say(Listing::Resources).unwrap();
        assert!(said.contains("without 4 entries") && said.contains("demo, ui"), "{said}");
        assert!(!said.contains("memo"), "{said}");
        unsaid.last = Default::default();
        assert_eq!(unsaid.say(Listing::Resources), None);
    }

    #[test]
    fn no_server_fills_the_log_with_schemes() {
        let mut all = LeftOut::default();
        for number in 0..100 {
            all.add(left_out(&format!("s{number}")));
        }
        all.count_scheme(Listing::Resources, "a\nb");
        assert_eq!(all.schemes.len(), MAX_NAMED);
        let mut odd = LeftOut::default();
        odd.count_scheme(Listing::Resources, "a\nb");
        odd.count_scheme(Listing::Resources, &"a".repeat(65));
        assert!(odd.schemes.is_empty());
    }

    #[test]
    fn every_entry_is_counted_by_list_and_by_why() {
        let mut registry = registry(None);
        let omissions = Omissions::of(&mut registry);
        omissions.note(left_out("memo"));
        omissions.note(left_out("memo"));
        let mut rendered = String::new();
        prometheus_client::encoding::text::encode_registry(&mut rendered, &registry).unwrap();
        for line in [
            "hardtack_list_entries_left_out_total{list=\"resources\",why=\"scheme\"} 2",
            "hardtack_list_entries_left_out_total{list=\"tools\",why=\"not_allowed\"} 2",
        ] {
            assert!(rendered.contains(line), "{rendered}");
        }
    }
}
