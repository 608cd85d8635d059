//! Given: what do the numbers and texts mean that come from JavaScript?

use std::time::{Duration, SystemTime};

use hardtack::{Cause, Timestamp};
use serde::Serialize;

use crate::error;

/// Now, by this machine's clock: the package is a door.
#[allow(clippy::disallowed_methods, reason = "a door reads the clock")]
fn clock() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// The moment of something: now, unless a moment is given, in seconds since 1970.
pub(crate) fn moment(given: Option<f64>) -> napi::Result<Timestamp> {
    match given {
        None => Ok(clock()),
        // Of what is no moment, such as NaN, no comparison holds.
        Some(seconds) if seconds >= 0.0 && seconds < u64::MAX as f64 => {
            Ok(Timestamp::from_unix_seconds(seconds as u64))
        }
        Some(_) => Err(error::of_cause(Cause::MalformedTime, "a moment lies after 1970")),
    }
}

/// A life in seconds.
pub(crate) fn life(seconds: f64) -> napi::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let message = "a life is at least one second, in whole seconds";
        error::of_cause(Cause::MalformedLife, message)
    })
}

/// What is serialized, as the text of its JSON.
pub(crate) fn shown(value: &impl Serialize) -> napi::Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(&error))
}

/// A text of JSON that has not the form that is needed.
pub(crate) fn unreadable(error: &serde_json::Error) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, error.to_string())
}
