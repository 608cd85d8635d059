//! Refused: what may outsiders read of a denial?
//!
//! They learn the class, the missing right and who can help. What policies are in force is for the records. One form for all
//! doors, without a web framework.

use std::fmt::Write;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::cause::Cause;
use crate::guard::{Denial, Helps, Refusal};
use crate::names;

/// How many arguments a refusal names, and how many characters of each: a call can have a thousand.
const MAX_NAMED: usize = 5;
const MAX_NAMED_CHARACTERS: usize = 64;

/// The token holds, no scope is missing, and the call is not allowed all the same. RFC 6750 has no code for it; this is OAuth's
/// (RFC 6749, section 4.1.2.1).
const ACCESS_DENIED: &str = "access_denied";

/// A scope is missing (RFC 6750, section 3.1).
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

/// A refusal as its caller may see it: what a door answers with, a model is shown, or a program reads.
///
/// It is serialized as the JSON body of an answer: `{"error": …, "error_description": …, "cause": …, "scope": …, "retry": …,
/// "retry_after": …, "helps": …, "arguments": […]}`.
///
/// ```
/// use hardtack::guard::Refused;
/// use hardtack::{Call, Denial};
///
/// let twice = Call::tool("pay")?.arguments(r#"{"amount": 1, "amount": 1000}"#).unwrap_err();
/// let refused = Refused::of(&twice.into(), "tools:call:pay");
/// assert_eq!((refused.status, refused.error), (400, Some("invalid_request")));
/// assert!(refused.description.contains("have a member twice"));
/// assert_eq!(serde_json::to_value(&refused)?["helps"], "another_call");
///
/// let refused = Refused::of(&Denial::not_granted("tools:call:pay"), "tools:call:pay");
/// assert_eq!(
///     refused.challenge("notion.mcp", None).as_deref(),
///     Some(concat!(
///         r#"Bearer realm="notion.mcp", error="insufficient_scope", error_description="the token does not grant "#,
///         r#"tools:call:pay. Trying again will not help; whoever delegated to this agent can change that", "#,
///         r#"scope="tools:call:pay""#,
///     )),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The HTTP status: 400, 401, 403, 503, or 409 for a request id that was used for something else; for a request that means no call or cannot be read, 404, 405, 408, 413 or 431, too.
    pub status: u16,
    /// The error's name: `invalid_token`, `insufficient_scope` or `invalid_request` (RFC 6750, section 3.1), `access_denied`, or
    /// `temporarily_unavailable`; `None` if no token was sent at all.
    pub error: Option<&'static str>,
    /// The refusal in words, for whoever sent the request: what it is, and what helps.
    pub description: String,
    /// The scope that the request needs, if one is missing.
    pub scope: Option<String>,
    /// The stable name of the cause (`docs/verification.md`), if outsiders may know it.
    pub cause: Option<Cause>,
    /// The remedy, as one of a few kinds; `None` where none is known.
    pub helps: Option<Helps>,
    /// The names of arguments with which another call could pass, as far as that is told.
    pub arguments: Vec<String>,
    /// The time for which a new grant would be refused as well; `None` if it would not.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Makes the refusal that a client sees of a denial of `operation`.
    pub fn of(denial: &Denial, operation: &str) -> Refused {
        let refusal = denial.refusal();
        let (status, error) = class(denial);
        let scope = (error == INSUFFICIENT_SCOPE).then(|| operation.to_owned());
        // That a server knows something besides what it is shown is its own affair.
        let told = match denial {
            Denial::Unauthenticated(_) => is_told(refusal.cause),
            Denial::Forbidden(_) | Denial::Undecided(_) => {
                !matches!(refusal.cause, Cause::FactsUnavailable | Cause::FactsUnusable)
            }
        };
        let advice = advice(denial);
        Refused {
            status,
            error: Some(error),
            description: format!("{}{advice}", outsiders_words(denial, operation)),
            scope,
            cause: told.then_some(refusal.cause),
            helps: Some(refusal.helps),
            arguments: refusal.arguments.iter().take(MAX_NAMED).cloned().collect(),
            retry_after: refusal.retry_after,
        }
    }

    /// Makes the refusal of a request that a door refuses by itself, which is no decision: `error` is its name. It names no cause and no
    /// remedy; set these where there are any.
    pub fn by_door(
        status: u16,
        error: Option<&'static str>,
        description: impl Into<String>,
    ) -> Refused {
        Refused {
            status,
            error,
            description: description.into(),
            scope: None,
            cause: None,
            helps: None,
            arguments: Vec::new(),
            retry_after: None,
        }
    }

    /// Returns whether the same request may be answered otherwise later.
    pub fn retry(&self) -> bool {
        self.helps == Some(Helps::Later)
    }

    /// Returns what a program may read of the refusal, as a JSON object: `error`, `cause`, `scope`, `retry`, `retry_after` (seconds),
    /// `helps` and `arguments`.
    pub fn facts(&self) -> Value {
        json!({
            "error": self.error,
            "cause": self.cause,
            "scope": self.scope,
            "retry": self.retry(),
            "retry_after": self.retry_after.map(|wait| wait.as_secs()),
            "helps": self.helps.map(Helps::as_str),
            "arguments": self.arguments,
        })
    }

    /// Returns the value of the header `WWW-Authenticate` (RFC 6750, section 3), in printable ASCII; `None` if no other token would help:
    /// for 503 and `access_denied`. `realm` is the server's audience, `resource_metadata` the URL of its metadata (RFC 9728), if an
    /// authorization server gives out tokens for it.
    pub fn challenge(&self, realm: &str, resource_metadata: Option<&str>) -> Option<String> {
        // With a challenge, clients ask for another token, which would be refused, too.
        if self.status == 503 || self.error == Some(ACCESS_DENIED) {
            return None;
        }
        let mut challenge = format!("Bearer realm={}", quoted(realm));
        for (name, value) in [
            ("error", self.error),
            ("error_description", self.error.map(|_| self.description.as_str())),
            ("scope", self.scope.as_deref()),
            ("resource_metadata", resource_metadata),
        ] {
            if let Some(value) = value {
                // Writing to a string does not fail.
                let _ = write!(challenge, ", {name}={}", quoted(value));
            }
        }
        Some(challenge)
    }

    /// The body of an answer.
    fn body(&self) -> Value {
        let mut body = self.facts();
        body["error"] = json!(self.error.unwrap_or("invalid_token"));
        body["error_description"] = json!(self.description);
        body
    }
}

impl Serialize for Refused {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().serialize(serializer)
    }
}

/// The status of a denial, and its code.
fn class(denial: &Denial) -> (u16, &'static str) {
    let cause = denial.cause();
    match denial {
        Denial::Unauthenticated(_) => (401, "invalid_token"),
        Denial::Undecided(_) => (503, "temporarily_unavailable"),
        Denial::Forbidden(_) if matches!(cause.status(), Some(400 | 409)) => {
            (cause.status().unwrap_or(400), "invalid_request")
        }
        // Who has the scope may revoke anything.
        Denial::Forbidden(_) if cause.error() == Some(INSUFFICIENT_SCOPE) => {
            (403, INSUFFICIENT_SCOPE)
        }
        Denial::Forbidden(_) => (403, ACCESS_DENIED),
    }
}

/// Whether it is a request to revoke that is refused.
fn is_of_revoking(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::RevocationNotCallBound
            | Cause::RevocationNotAnId
            | Cause::RevocationIdUnknown
            | Cause::RevocationIdAmbiguous
            | Cause::RevocationWithoutProof
            | Cause::RevocationProof
            | Cause::RevocationNotInProof
            | Cause::RevocationByStranger
            | Cause::RevocationElsewhere
            | Cause::OtherRequest
    )
}

/// Whether it is told why a token does not hold: what its holder cannot but know, or can change.
fn is_told(cause: Cause) -> bool {
    let told = [
        Cause::Expired,
        Cause::Revoked,
        Cause::RevocationsForgotten,
        Cause::WrongAudience,
        Cause::NotPresented,
        Cause::Replayed,
    ];
    told.contains(&cause)
}

/// What helps, and whether trying again does.
fn advice(denial: &Denial) -> String {
    let refusal = denial.refusal();
    let again = ". Trying again in the same way will not help";
    match (refusal.helps, refusal.cause) {
        (Helps::NewToken, Cause::Expired | Cause::Revoked) => "; get a new one".to_owned(),
        (Helps::NewToken, Cause::OtherCall) => {
            ". Trying again will not help; present the capability anew".to_owned()
        }
        (Helps::NewToken, _) => String::new(),
        (Helps::AnotherCall, Cause::InexactCall | Cause::CallTooLarge | Cause::StrangeTask) => {
            again.to_owned()
        }
        (Helps::AnotherCall, cause) if is_of_revoking(cause) => again.to_owned(),
        (Helps::AnotherCall, Cause::CheckFailed) => format!(
            "{again}; another call may pass{}, and whoever delegated to this agent can change the condition",
            named(refusal)
        ),
        (Helps::AnotherCall, _) => format!("{again}; another call may pass{}", named(refusal)),
        (Helps::Delegator, _) => {
            ". Trying again will not help; whoever delegated to this agent can change that"
                .to_owned()
        }
        (Helps::Server, Cause::ResourceScheme) => {
            format!("{again}; whoever runs this server can allow it")
        }
        (Helps::Server, _) => {
            ". Trying again will not help; whoever runs this server can allow it".to_owned()
        }
        (_, _) => String::new(),
    }
}

/// The arguments on which a refusal rests, as far as they are shown.
fn named(refusal: &Refusal) -> String {
    let shown = |name: &String| {
        let name: String = name.chars().take(MAX_NAMED_CHARACTERS).collect();
        format!("\"{}\"", names::escaped(&name))
    };
    let names: Vec<String> = refusal.arguments.iter().take(MAX_NAMED).map(shown).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!(" (see the argument {name})"),
        names => format!(" (see the arguments {})", names.join(", ")),
    }
}

/// What a refused caller is told it is, and nothing of the policies that said so.
fn outsiders_words(denial: &Denial, operation: &str) -> String {
    match (denial, denial.refusal().cause) {
        (Denial::Unauthenticated(_), Cause::Expired) => "the token has expired".to_owned(),
        (Denial::Unauthenticated(_), Cause::Revoked) => {
            format!("the token is revoked{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), Cause::RevocationsForgotten) => {
            format!("the grant is too old to be judged here; ask for a new one{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), Cause::WrongAudience) => {
            "the token is presented to another server".to_owned()
        }
        (Denial::Unauthenticated(_), Cause::NotPresented) => {
            "this is a capability and no presentation; its holder must present it first".to_owned()
        }
        (Denial::Unauthenticated(_), Cause::Replayed) => {
            "the token was for one call, which was made".to_owned()
        }
        (Denial::Unauthenticated(_), _) => "the token does not hold here".to_owned(),
        (Denial::Forbidden(_), Cause::NotGranted) => {
            format!("the token does not grant {operation}")
        }
        (Denial::Forbidden(_), Cause::OtherCall) => {
            format!("the token is bound to another call than this one of {operation}")
        }
        (Denial::Forbidden(_), Cause::CheckFailed) => format!(
            "whoever delegated the token made conditions that this call of {operation} does not meet"
        ),
        (
            Denial::Forbidden(_),
            Cause::ResourceScheme | Cause::InexactCall | Cause::CallTooLarge,
        ) => denial.refusal().message.clone(),
        (Denial::Forbidden(_), cause) if is_of_revoking(cause) => denial.refusal().message.clone(),
        (Denial::Forbidden(_), _) => format!("this call of {operation} is not allowed here"),
        (Denial::Undecided(_), Cause::ListBusy | Cause::ListTooLong | Cause::ListTooCostly) => {
            denial.refusal().message.clone()
        }
        (Denial::Undecided(_), Cause::Exhausted) => {
            format!("to decide this call of {operation} takes more work than a decision may")
        }
        (Denial::Undecided(_), Cause::Overloaded) => {
            format!("{}; try again later", denial.refusal().message)
        }
        (Denial::Undecided(_), _) => {
            format!("whether {operation} is allowed cannot be said now; try again later")
        }
    }
}

/// That a grant is refused, too, which is issued at once.
fn and_wait(denial: &Denial) -> String {
    let wait = denial.refusal().retry_after.map(|wait| {
        format!(
            ", and so is a grant that is issued within the next {} seconds; ask for a new one after that",
            wait.as_secs()
        )
    });
    wait.unwrap_or_default()
}

/// A quoted-string (RFC 9110, section 5.6.4), of what it can hold.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
