//! A clock that measures what a thread does, without what it waits for a core on a machine that has other things to do,
//! and how fast the machine is just now.

#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

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
/// a signature takes at the same moment says how much of a time is the machine's.
pub struct Speed {
    key: VerifyingKey,
    signature: Signature,
    least: Duration,
}

const MESSAGE: &[u8] = b"what every block has at least two of";

/// What one check of a signature takes where limits are stated: on the two cores that the figures of `docs/cost.md` are from.
const SIGNATURE: Duration = Duration::from_micros(44);

/// Enough checks that the least of them was not interrupted.
const CHECKS: usize = 16;

impl Speed {
    #[must_use]
    pub fn measured() -> Speed {
        let secret = SigningKey::from_bytes(&[7; SECRET_KEY_LENGTH]);
        let (key, signature) = (secret.verifying_key(), secret.sign(MESSAGE));
        let mut speed = Speed { key, signature, least: Duration::MAX };
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
    }

    /// What this duration of the stated machine is here and now; never less, so that a fast machine asks no more.
    #[must_use]
    pub fn here(&self, stated: Duration) -> Duration {
        stated.mul_f64((self.least.as_secs_f64() / SIGNATURE.as_secs_f64()).max(1.0))
    }
}

/// How long this thread has waited so far, where the system says so.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split(' ').nth(1).and_then(|waited| waited.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}
