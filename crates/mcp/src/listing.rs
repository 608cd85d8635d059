//! Listing: what of a server's lists may this token use?
//!
//! An agent is not offered what it would be refused. The list is a courtesy and no decision: the call is
//! checked all the same.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::left_out::{LeftOut, Why};
use crate::reading::Members;
use crate::review::write_name;
use crate::tasks::Tasks;
use crate::template::{Stands, stands};
use hardtack::authorize::PreparedSets;
use hardtack::call::{Call, CallError};
use hardtack::cause::Cause;
use hardtack::guard::Denial;
use hardtack::policy::Policy;
use hardtack::preview::{Outlook, TooMuch};
use hardtack::timestamp::Timestamp;
use hardtack::verify::VerifiedCapability;

/// The most entries in the lists of one answer: some ten times what large servers have. Each costs some microseconds.
pub(crate) const MAX_LIST_ENTRIES: usize = 10_000;

/// The most work for the lists of one answer, in the units of [`cost`](hardtack::profile::cost): at most a fifth of a
/// second, that of a hundred of the dearest decisions. A chain of two hops needs some 400 units for an entry, one of
/// eight 1,600, so that three thousand entries fit.
pub(crate) const MAX_LIST_COST: u64 = 5_000_000;

/// The members of a result that are read, besides the lists.
const MARKS: [&str; 2] = ["cacheScope", "ttlMs"];

/// The members of an entry that are read.
const ENTRY: [&str; 4] = ["name", "uri", "uriTemplate", "taskId"];

/// The lists by which a server says of which schemes its resources are.
const NAMING: [(&str, Listing); 2] = [
    ("resources/list", Listing::Resources),
    ("resources/templates/list", Listing::ResourceTemplates),
];

/// What may still be done for the lists of one answer, or of those that came together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    entries: usize,
    cost: u64,
}

impl Default for Left {
    fn default() -> Left {
        Left { entries: MAX_LIST_ENTRIES, cost: MAX_LIST_COST }
    }
}

/// Takes out of a server's answers what a token may not use.
pub(crate) struct Filter<'a> {
    pub(crate) verified: &'a VerifiedCapability,
    pub(crate) tasks: &'a Tasks,
    pub(crate) now: Timestamp,
    /// Whether answers say how long and by whom they may be kept (2026-07-28).
    pub(crate) mark_private: bool,
    /// Says that nobody waits for it any more.
    pub(crate) given_up: &'a CancellationToken,
    /// Which method was asked, if one was, and who is told of which schemes the server's resources are.
    pub(crate) asked_for: Option<(&'static str, NamesScheme<'a>)>,
    /// What was not shown.
    pub(crate) left_out: LeftOut,
    outlook: Outlook<'a>,
    entries: usize,
}

/// Is told of a scheme; whether it is judged now.
pub(crate) type NamesScheme<'a> = &'a dyn Fn(&str) -> bool;

/// Why a result is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unshown {
    /// Readers would take it differently.
    Unreadable,
    /// A list has too many entries.
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
    /// What is said of a list of which it cannot be said what of it the token may use; `None` if there is nothing to say.
    pub(crate) fn denial(self) -> Option<Denial> {
        let (cause, message) = match self {
            Unshown::TooLong => (
                Cause::ListTooLong,
                format!(
                    "the list has more than {MAX_LIST_ENTRIES} entries, and is neither shown nor shortened; the \
                     upstream server must give it in parts"
                ),
            ),
            Unshown::TooCostly => (
                Cause::ListTooCostly,
                "to say what of this list the token may use takes more work than a list may; trying again will \
                 not help, but a token with simpler conditions on operations and resources will"
                    .to_owned(),
            ),
            Unshown::Unreadable | Unshown::GivenUp => return None,
        };
        Some(Denial::undecided_list(cause, message))
    }
}

impl<'a> Filter<'a> {
    /// What of lists this token may use by these policies, with so much work left for it.
    pub(crate) fn new(
        (prepared, verified, policy): (&'a PreparedSets, &'a VerifiedCapability, &'a Policy),
        tasks: &'a Tasks,
        now: Timestamp,
        mark_private: bool,
        given_up: &'a CancellationToken,
        left: Left,
    ) -> Filter<'a> {
        let outlook = Outlook::over(prepared, verified, policy, left.cost);
        Filter {
            verified,
            tasks,
            now,
            mark_private,
            given_up,
            asked_for: None,
            left_out: LeftOut::default(),
            outlook,
            entries: left.entries,
        }
    }

    /// What may still be done.
    pub(crate) fn left(&self) -> Left {
        Left { entries: self.entries, cost: self.outlook.left() }
    }

    /// Writes a result without what may not be used; whether there was any list in it.
    pub(crate) fn write(&mut self, result: &RawValue, to: &mut String) -> Result<bool, Unshown> {
        let lists = Listing::ALL.map(Listing::member);
        let known = [&lists[..], &MARKS].concat();
        let members = Members::read(result.get(), &known).ok_or(Unshown::Unreadable)?;
        if !lists.iter().any(|list| members.get(list).is_some()) {
            return Ok(false);
        }
        let marks = MARKS.iter().any(|mark| members.get(mark).is_some());
        let marked = (self.mark_private || marks).then(|| self.marks(members.get("ttlMs")));
        to.push('{');
        for (name, value) in members.iter().filter(|(name, _)| !MARKS.contains(name)) {
            write_name(name, to);
            match Listing::ALL.into_iter().find(|listing| listing.member() == name) {
                Some(listing) => self.list(listing, value, to)?,
                None => to.push_str(value.get()),
            }
            to.push(',');
        }
        match marked {
            Some(marks) => to.push_str(&marks),
            None => drop(to.pop()),
        }
        to.push('}');
        Ok(true)
    }

    /// What is no list shows nothing.
    fn list(&mut self, listing: Listing, list: &RawValue, to: &mut String) -> Result<(), Unshown> {
        let read =
            AtMost(self.entries).deserialize(&mut serde_json::Deserializer::from_str(list.get()));
        let entries = read.unwrap_or(Some(Vec::new())).ok_or(Unshown::TooLong)?;
        self.entries -= entries.len();
        to.push('[');
        let empty = to.len();
        let shown = match listing {
            Listing::Tasks => entries.into_iter().filter(|entry| self.is_own_task(entry)).collect(),
            listing => self.usable(listing, entries)?,
        };
        for entry in shown {
            if to.len() > empty {
                to.push(',');
            }
            to.push_str(entry.get());
        }
        to.push(']');
        Ok(())
    }

    /// Those of a list's entries that the token may use.
    fn usable<'e>(
        &mut self,
        listing: Listing,
        entries: Vec<&'e RawValue>,
    ) -> Result<Vec<&'e RawValue>, Unshown> {
        let uses: Vec<Result<Use, Why>> =
            entries.iter().map(|entry| Use::of(listing, entry)).collect();
        self.learn(listing, &uses);
        let calls: Vec<Option<Call>> =
            uses.into_iter().map(|found| self.call(listing, found)).collect();
        self.outlook.afford(&calls)?;
        let mut shown = Vec::new();
        for (entry, call) in entries.into_iter().zip(&calls) {
            if self.given_up.is_cancelled() {
                return Err(Unshown::GivenUp);
            }
            let Some(call) = call else { continue };
            match self.outlook.of(call)?.is_open() {
                true => shown.push(entry),
                false => self.left_out.count(listing, Why::NotAllowed),
            }
        }
        Ok(shown)
    }

    /// Tells of which schemes the server's resources are, if it was asked for a list of them.
    fn learn(&self, listing: Listing, uses: &[Result<Use, Why>]) {
        let Some((method, names_scheme)) = self.asked_for else { return };
        if !NAMING.contains(&(method, listing)) {
            return;
        }
        let mut last = None;
        for scheme in uses.iter().flatten().filter_map(Use::scheme) {
            // Most have the scheme of the one before.
            if last != Some(scheme) {
                names_scheme(scheme);
                last = Some(scheme);
            }
        }
    }

    /// The call by which an entry is used, if it is one that is judged.
    fn call(&mut self, listing: Listing, found: Result<Use, Why>) -> Option<Call> {
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                self.left_out.count(listing, why);
                return None;
            }
        };
        if let Some(scheme) = found.scheme()
            && !self.verified.judges_scheme(scheme)
        {
            self.left_out.count_scheme(listing, scheme);
            return None;
        }
        Some(found.call)
    }

    fn is_own_task(&self, entry: &RawValue) -> bool {
        let id = Entry::read(entry).and_then(|entry| entry.task_id);
        id.is_some_and(|id| self.tasks.is_of(&id, self.verified))
    }

    /// 2026-07-28, "Caching": for this token alone, and no longer than it lives.
    fn marks(&self, ttl: Option<&RawValue>) -> String {
        let life = self.verified.chain().expires().since(self.now).as_millis() as u64;
        let ttl = ttl.and_then(|ttl| serde_json::from_str::<u64>(ttl.get()).ok());
        let ttl = ttl.map_or(0, |ttl| ttl.min(life));
        format!(r#""cacheScope":"private","ttlMs":{ttl}"#)
    }
}

/// What an entry says of what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    uri: Option<String>,
    uri_template: Option<String>,
    task_id: Option<String>,
}

impl Entry {
    /// `None` if it is no entry, or readers may take another name for its own.
    fn read(entry: &RawValue) -> Option<Entry> {
        Members::read(entry.get(), &ENTRY)?;
        serde_json::from_str(entry.get()).ok()
    }
}

/// How an entry is used.
struct Use {
    call: Call,
    /// The scheme of all URIs that the entry stands for, where the call does not say it.
    scheme: Option<String>,
}

impl Use {
    fn of(listing: Listing, entry: &RawValue) -> Result<Use, Why> {
        let entry = Entry::read(entry).ok_or(Why::Unreadable)?;
        let named = |name: Option<String>, call: fn(&str) -> Result<Call, CallError>| {
            call(&name.ok_or(Why::Unreadable)?).map_err(|_| Why::Name)
        };
        let about = |operation: &str, uri: Option<String>| {
            let uri = uri.ok_or(Why::Unreadable)?;
            Call::new(operation).and_then(|call| call.resource(&uri)).map_err(|_| Why::Form)
        };
        let call = match listing {
            Listing::Tools => named(entry.name, Call::tool),
            Listing::Prompts => named(entry.name, Call::prompt),
            Listing::Resources => about("resources:read", entry.uri),
            Listing::Skills => about("skills:get", entry.uri),
            Listing::ResourceTemplates => {
                return Use::of_template(&entry.uri_template.ok_or(Why::Unreadable)?);
            }
            Listing::Tasks => Err(Why::Unreadable),
        }?;
        Ok(Use { call, scheme: None })
    }

    /// Which resources a template stands for is not known, but of which scheme they are, and whether there are any.
    fn of_template(template: &str) -> Result<Use, Why> {
        let any = |scheme| {
            let call = Call::new("resources:read").map_err(|_| Why::Unreadable)?;
            Ok(Use { call, scheme })
        };
        match stands(template) {
            Stands::For(call) => Ok(Use { call: *call, scheme: None }),
            Stands::ForSome(scheme) => any(Some(scheme)),
            Stands::ForAny => any(None),
            Stands::ForNone => Err(Why::Form),
            Stands::Unreadable => Err(Why::Unreadable),
        }
    }

    fn scheme(&self) -> Option<&str> {
        let of_uri = || self.call.resource_uri()?.split_once(':').map(|(scheme, _)| scheme);
        self.scheme.as_deref().or_else(of_uri)
    }
}

/// Reads a list of so many entries; `None` if they are more, which are not kept.
pub(crate) struct AtMost(pub(crate) usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<Self::Value, D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Option<Vec<&'de RawValue>>;

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

/// A list from which is taken what a token may not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Tools,
    Prompts,
    Resources,
    ResourceTemplates,
    Skills,
    Tasks,
}

impl Listing {
    /// The member of the result that holds the list.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Listing::Tools => "tools",
            Listing::Prompts => "prompts",
            Listing::Resources => "resources",
            Listing::ResourceTemplates => "resourceTemplates",
            Listing::Skills => "skills",
            Listing::Tasks => "tasks",
        }
    }

    pub(crate) const ALL: [Listing; 6] = [
        Listing::Tools,
        Listing::Prompts,
        Listing::Resources,
        Listing::ResourceTemplates,
        Listing::Skills,
        Listing::Tasks,
    ];
}
