//! A clock that measures what a thread does, without what it waits for a core on a machine that has other things to do.

#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

use std::time::{Duration, Instant};

pub struct Clock {
    outer: Instant,
    waited: Duration,
    inner: Instant,
}

/// What takes no longer than this is seldom interrupted, and the shortest of several tries is not.
const SHORT: Duration = Duration::from_micros(500);

impl Clock {
    pub fn start() -> Clock {
        let outer = Instant::now();
        Clock { outer, waited: waited(), inner: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        let inner = self.inner.elapsed();
        if inner < SHORT {
            return inner;
        }
        let waited = waited().saturating_sub(self.waited);
        self.outer.elapsed().saturating_sub(waited)
    }
}

/// How long this thread has waited so far, where the system says so.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split(' ').nth(1).and_then(|waited| waited.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}
