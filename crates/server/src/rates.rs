//! Rates: does somebody ask more often than they may?
//!
//! Counted in windows of a minute, of a bounded number of names. Where there are more names than are counted, those that are not yet
//! counted are refused until the next minute: whoever can make names cannot thereby make the others uncounted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hardtack::Timestamp;

/// The length of a window.
const WINDOW_SECONDS: u64 = 60;

/// The most names that are counted at once: some megabytes.
const MAX_NAMES: usize = 20_000;

/// How often each of many may ask in a minute.
#[derive(Debug)]
pub struct Rates {
    most: u32,
    counted: Mutex<(u64, HashMap<String, u32>)>,
}

impl Rates {
    /// Counts up to `most` a minute.
    pub fn new(most: u32) -> Rates {
        Rates { most, counted: Mutex::default() }
    }

    /// Counts one request of `name`. Returns how many seconds it must wait, if it has asked too often.
    pub fn count(&self, name: &str, now: Timestamp) -> Result<(), u64> {
        let window = now.unix_seconds() / WINDOW_SECONDS;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != window {
            *counted = (window, HashMap::new());
        }
        let wait = WINDOW_SECONDS - now.unix_seconds() % WINDOW_SECONDS;
        let names = &mut counted.1;
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            return Err(wait);
        }
        let count = names.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        if *count > self.most { Err(wait) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_rate_and_a_new_one_each_minute() {
        let at = |seconds: u64| Timestamp::from_unix_seconds(1_795_428_000 + seconds);
        let rates = Rates::new(2);
        assert_eq!(rates.count("a", at(0)), Ok(()));
        assert_eq!(rates.count("a", at(10)), Ok(()));
        assert_eq!(rates.count("a", at(20)), Err(40));
        assert_eq!(rates.count("b", at(20)), Ok(()));
        assert_eq!(rates.count("a", at(60)), Ok(()));
    }

    #[test]
    fn more_names_than_are_counted_are_refused_and_not_let_in() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let rates = Rates::new(1);
        assert!((0..MAX_NAMES).all(|name| rates.count(&name.to_string(), now) == Ok(())));
        assert_eq!(rates.count("one more", now), Err(60));
        assert_eq!(rates.count("0", now), Err(60));
    }
}
