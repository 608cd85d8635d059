//! Error: how does an error of the library come to JavaScript?
//!
//! As the text of a JSON object, of which `lib/errors.ts` makes one of the package's classes.

use std::error::Error;

use napi::Status;
use napi_derive::napi;
use serde_json::{Value, json};

use hardtack::guard::Refused;
use hardtack::ruling::Ruling;
use hardtack::{Cause, Denial, VerifyError};

/// An error that has a cause, and may have been seen at a block.
pub(crate) trait Caused: Error {
    fn cause_of(&self) -> Cause;

    fn block(&self) -> Option<usize> {
        None
    }
}

macro_rules! caused {
    ($($error:ty),* $(,)?) => {
        $(impl Caused for $error {
            fn cause_of(&self) -> Cause {
                self.cause()
            }
        })*
    };
}

caused!(
    hardtack::CallError,
    hardtack::MintError,
    hardtack::PolicyError,
    hardtack::StoreError,
    hardtack::chain::RevocationIdError,
    hardtack::keys::KeyError,
    hardtack::mcp::MessageError,
    hardtack::names::NameError,
    hardtack::revocation::NotACopy,
    hardtack::revoke::RequestError,
);

impl Caused for hardtack::profile::ShapeError {
    fn cause_of(&self) -> Cause {
        self.cause()
    }

    fn block(&self) -> Option<usize> {
        Ruling::from(&VerifyError::from(self.clone())).hop
    }
}

/// Throws an error of the library as `HardtackError`.
pub(crate) trait OrThrow<T> {
    fn or_throw(self) -> napi::Result<T>;
}

impl<T, E: Caused> OrThrow<T> for Result<T, E> {
    fn or_throw(self) -> napi::Result<T> {
        self.map_err(|error| thrown(error.cause_of(), &whole(&error), error.block()))
    }
}

/// An error that only this package has, by a cause that it shares with the library.
pub(crate) fn of_cause(cause: Cause, message: &str) -> napi::Error {
    thrown(cause, message, None)
}

/// Does what reads something of somebody's. A panic in it would end the process, with all that others wait for; so it is an error.
pub(crate) fn unharmed<T>(work: impl FnOnce() -> napi::Result<T>) -> napi::Result<T> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(of_cause(Cause::Unfinished, "the work was not brought to an end")))
}

/// An error with all that it rests on, each said once.
fn whole(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        inner = error.source();
    }
    said
}

fn thrown(cause: Cause, message: &str, block: Option<usize>) -> napi::Error {
    told(&json!({
        "hardtack": "Error",
        "code": cause.as_str(),
        "message": message,
        "block": block,
        "status": cause.status(),
    }))
}

fn told(error: &Value) -> napi::Error {
    napi::Error::new(Status::GenericFailure, error.to_string())
}

/// Throws a refusal, as the kind of `Denied` that says how to answer it.
pub(crate) fn denied(denial: &Denial, operation: &str) -> napi::Error {
    let kind = match denial {
        Denial::Unauthenticated(_) => "Unauthenticated",
        Denial::Forbidden(_) => "Forbidden",
        Denial::Undecided(_) => "Unavailable",
    };
    let (refusal, refused) = (denial.refusal(), Refused::of(denial, operation));
    told(&json!({
        "hardtack": kind,
        "code": refusal.cause.as_str(),
        "message": &refusal.message,
        "block": refusal.hop,
        "place": refusal.place.as_deref(),
        "refused": {
            "status": refused.status,
            "error": refused.error,
            "description": &refused.description,
            "scope": refused.scope.as_deref(),
            "cause": refused.cause.map(Cause::as_str),
            "retry": refused.retry(),
            "retryAfter": refused.retry_after.map(|wait| wait.as_secs()),
            "helps": refused.helps.map(|helps| helps.as_str()),
            "arguments": &refused.arguments,
        },
    }))
}

/// The names that a refusal's error can have.
const NAMES: [&str; 5] = [
    "invalid_token",
    "insufficient_scope",
    "invalid_request",
    "access_denied",
    "temporarily_unavailable",
];

/// The header `WWW-Authenticate` of a refusal; null where no other token would help.
#[napi]
pub fn challenge(
    status: u16,
    error: Option<String>,
    description: String,
    scope: Option<String>,
    realm: String,
    resource_metadata: Option<String>,
) -> Option<String> {
    let error = error.and_then(|error| NAMES.into_iter().find(|name| *name == error));
    let mut refused = Refused::by_door(status, error, description);
    refused.scope = scope;
    refused.challenge(&realm, resource_metadata.as_deref())
}
