//! A clock that measures what a thread does, without what it waits for a core on a machine that has other things to do,
//! and how fast the machine is just now.

#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ed25519_dalek::{SECRET_KEY_LENGTH, Signature, Signer, SigningKey, VerifyingKey};

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

/// How fast this machine is: a limit in milliseconds says something of the code only where the machine is known.
///
/// The same core does two thirds of its work while its sibling is busy, and another machine does half. What a check of
/// a signature takes at the same moment, and what moving texts takes, say how much of a time is the machine's.
pub struct Speed {
    key: VerifyingKey,
    signature: Signature,
    least: Duration,
    least_moved: Duration,
}

const MESSAGE: &[u8] = b"what every block has at least two of";

/// What one check of a signature takes where limits are stated: on the two cores that the figures of `docs/cost.md` are from.
const SIGNATURE: Duration = Duration::from_micros(44);

/// What [`moved`] takes there.
const MOVED: Duration = Duration::from_micros(560);

/// Enough checks that the least of them was not interrupted.
const CHECKS: usize = 16;

impl Speed {
    #[must_use]
    pub fn measured() -> Speed {
        let secret = SigningKey::from_bytes(&[7; SECRET_KEY_LENGTH]);
        let (key, signature) = (secret.verifying_key(), secret.sign(MESSAGE));
        let (least, least_moved) = (Duration::MAX, Duration::MAX);
        let mut speed = Speed { key, signature, least, least_moved };
        speed.measure();
        speed
    }

    /// Measures again, and keeps the best: beside several tries of something, so that both meet the same moments.
    pub fn measure(&mut self) {
        for _ in 0..CHECKS {
            let clock = Clock::start();
            let well = black_box(&self.key).verify_strict(black_box(MESSAGE), &self.signature);
            let time = clock.elapsed();
            assert!(well.is_ok());
            self.least = self.least.min(time);
        }
        for _ in 0..CHECKS / 4 {
            let clock = Clock::start();
            black_box(moved());
            self.least_moved = self.least_moved.min(clock.elapsed());
        }
    }

    /// What this duration of the stated machine is here and now; never less, so that a fast machine asks no more.
    #[must_use]
    pub fn here(&self, stated: Duration) -> Duration {
        let slower = |least: Duration, stated: Duration| least.as_secs_f64() / stated.as_secs_f64();
        let slower = slower(self.least, SIGNATURE).max(slower(self.least_moved, MOVED));
        stated.mul_f64(slower.max(1.0))
    }
}

/// A thousand short texts are put into a map, copied and dropped: what a call with many arguments does most of. Neighbours that use the
/// memory make this slower, and signatures not.
fn moved() -> usize {
    let texts: BTreeMap<String, String> =
        (0..1000).map(|number| (format!("a{number}"), format!("{number:044}"))).collect();
    black_box(texts.clone()).len() + black_box(texts).len()
}

/// How long this thread has waited so far, where the system says so.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split(' ').nth(1).and_then(|waited| waited.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}
