//! OAuth: how are refusals said to clients (RFC 6749, section 5.2), and what does the issuer say of itself (RFC 8414)?

use hardtack::issuance::Refused;
use hardtack::{Cause, Class};
use serde_json::{Value, json};
use url::Url;

use crate::assertion::AssertionError;
use crate::dpop::ProofError;

/// The grant type of token exchange (RFC 8693).
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The types of tokens that are taken and given.
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// An access token, or any JWT, which must then be an access token by its `typ`.
pub const ACCESS_TOKENS: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];
/// A capability.
pub const CAPABILITY: &str = "urn:dev.hardtack:token-type:capability";

/// A refusal, as a client reads it. It names no policy and shows nothing of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code: `invalid_request`, `invalid_scope` and others.
    pub error: &'static str,
    /// What was wrong, in words.
    pub description: String,
    /// The stable name of the cause.
    pub cause: Cause,
    /// In how many seconds to ask again, if that may help.
    pub retry_after: Option<u64>,
    /// What sign-in is needed (RFC 9470).
    step_up: Option<(Option<String>, Option<u64>)>,
}

impl Refusal {
    pub(crate) fn of(
        status: u16,
        error: &'static str,
        cause: Cause,
        why: impl ToString,
    ) -> Refusal {
        let description = why.to_string();
        Refusal { status, error, description, cause, retry_after: None, step_up: None }
    }

    pub(crate) fn request(why: impl ToString) -> Refusal {
        Refusal::of(400, "invalid_request", Cause::MalformedRequest, why)
    }

    pub(crate) fn later(cause: Cause, why: impl ToString, seconds: u64) -> Refusal {
        let refusal = Refusal::of(503, "temporarily_unavailable", cause, why);
        Refusal { retry_after: Some(seconds), ..refusal }
    }

    pub(crate) fn too_often(seconds: u64) -> Refusal {
        let why = "more is asked for in a minute than is answered";
        let refusal = Refusal::of(429, "temporarily_unavailable", Cause::Overloaded, why);
        Refusal { retry_after: Some(seconds), ..refusal }
    }

    /// Returns the answer's body.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description,
            "hardtack_cause": self.cause.as_str(),
        });
        if let Some((acr, seconds)) = &self.step_up {
            body["acr_values"] = json!(acr);
            body["max_age"] = json!(seconds);
        }
        body
    }
}

/// RFC 8693, section 2.2.2: a subject token that is not valid, for whatever reason, is `invalid_request`.
impl From<AssertionError> for Refusal {
    fn from(error: AssertionError) -> Refusal {
        let why = format!("the subject_token is refused: {error}");
        Refusal::of(400, "invalid_request", error.cause(), why)
    }
}

impl From<ProofError> for Refusal {
    fn from(error: ProofError) -> Refusal {
        let why = format!("the DPoP proof is refused: {error}");
        Refusal::of(400, "invalid_dpop_proof", error.cause(), why)
    }
}

impl From<&Refused> for Refusal {
    fn from(refused: &Refused) -> Refusal {
        let cause = refused.cause();
        // By which policy is the business of those who run the issuer, and stands in their log.
        let (error, why) = match refused {
            Refused::Scopes { .. } => {
                ("invalid_scope", "none of these scopes is offered".to_owned())
            }
            Refused::NothingWanted | Refused::Scope(_) | Refused::TooMuchWanted => {
                ("invalid_scope", refused.to_string())
            }
            Refused::Audience { .. } => {
                ("invalid_target", "nothing is offered for this server".to_owned())
            }
            Refused::Name(_) => ("invalid_target", refused.to_string()),
            Refused::ConsentNeeded => ("access_denied", refused.to_string()),
            Refused::StepUp { .. } => ("insufficient_user_authentication", refused.to_string()),
            Refused::TooManyClaims | Refused::NoLife => ("invalid_request", refused.to_string()),
            _ if cause.class() == Class::Undecided => {
                return Refusal::later(cause, "the issuer's policies cannot be used now", 60);
            }
            _ => ("access_denied", "the issuer's policies refuse it".to_owned()),
        };
        let refusal = Refusal::of(400, error, cause, why);
        match refused {
            Refused::StepUp { acr, seconds } => {
                Refusal { step_up: Some((acr.clone(), *seconds)), ..refusal }
            }
            _ => refusal,
        }
    }
}

/// Returns what the issuer says of itself.
pub fn metadata(issuer: &Url) -> Value {
    let base = issuer.as_str().trim_end_matches('/');
    json!({
        "issuer": base,
        "token_endpoint": format!("{base}/token"),
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": [],
        "grant_types_supported": [EXCHANGE],
        "token_endpoint_auth_methods_supported": ["none"],
        "dpop_signing_alg_values_supported": ["EdDSA", "Ed25519"],
        "subject_token_types_supported": [ID_TOKEN, ACCESS_TOKENS[0], ACCESS_TOKENS[1]],
        "requested_token_types_supported": [CAPABILITY],
    })
}
