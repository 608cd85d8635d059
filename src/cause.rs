//! Cause: why a call is refused, or why something fails, under a name that stays.
//!
//! One table has every name, what a caller does about it, and what a door answers. Records, refusals, `--json` and metrics
//! say the name; programs compare the [`Cause`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The classes of errors, by what a caller does about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The token is not valid here: get another one, or present it anew.
    Unauthenticated,
    /// The right is missing: ask for less, or have whoever delegated or runs the server allow more.
    Forbidden,
    /// What was given is not of its form: give it otherwise.
    Malformed,
    /// It cannot be decided now: ask again later. Until then, nothing is allowed.
    Undecided,
    /// A file, a store or a server cannot be used as it is now: see to it, and try again.
    Unavailable,
    /// What was asked does not fit the key, the capability or the store that it was asked of: use another one.
    Conflict,
    /// What was recorded is damaged, was changed or is lost: look into it before anything else.
    Damaged,
}

impl Class {
    /// All classes.
    pub const ALL: &'static [Class] = &[
        Class::Unauthenticated,
        Class::Forbidden,
        Class::Malformed,
        Class::Undecided,
        Class::Unavailable,
        Class::Conflict,
        Class::Damaged,
    ];

    /// Returns the stable name of the class.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Unauthenticated => "unauthenticated",
            Class::Forbidden => "forbidden",
            Class::Malformed => "malformed",
            Class::Undecided => "undecided",
            Class::Unavailable => "unavailable",
            Class::Conflict => "conflict",
            Class::Damaged => "damaged",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row: the variant, its stable name, its class; in brackets, where a door answers with it, the HTTP status and the
/// code beside it; what it means.
macro_rules! causes {
    ($($variant:ident $name:literal $class:ident $(($status:literal $($error:literal)?))?: $meaning:literal;)*) => {
        /// A cause: why a call is refused, or why something fails, under a stable name.
        ///
        /// Names stay: a later version may add some, and changes none.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Cause {
            $(#[doc = $meaning] $variant,)*
        }

        impl Cause {
            /// All causes.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant),*];

            /// Returns the stable name of the cause, such as `revoked`.
            pub fn as_str(self) -> &'static str {
                match self { $(Cause::$variant => $name),* }
            }

            /// Returns the class of the cause, by what a caller does about it. `unbound` and `too_costly` are classed
            /// as a token's here. Of a call they are forbidden: [`AuthorizeError::class`](crate::AuthorizeError::class)
            /// and [`Denial::class`](crate::Denial::class) say so.
            pub fn class(self) -> Class {
                match self { $(Cause::$variant => Class::$class),* }
            }

            /// Returns the HTTP status with which a server answers; `None` for a cause that no server meets.
            pub fn status(self) -> Option<u16> {
                match self { $(Cause::$variant => status!($($status $($error)?)?)),* }
            }

            /// Returns the error code beside the HTTP status: `invalid_token`, `insufficient_scope` or
            /// `invalid_request` (RFC 6750, section 3.1), `access_denied` or `temporarily_unavailable` (RFC 6749,
            /// section 4.1.2.1). `None` for a cause that no server meets, and where no token was sent.
            pub fn error(self) -> Option<&'static str> {
                match self { $(Cause::$variant => error!($($status $($error)?)?)),* }
            }

            /// Returns the meaning of the cause, in one line.
            pub fn meaning(self) -> &'static str {
                match self { $(Cause::$variant => $meaning),* }
            }
        }

        impl FromStr for Cause {
            type Err = UnknownCause;

            fn from_str(name: &str) -> Result<Cause, UnknownCause> {
                match name {
                    $($name => Ok(Cause::$variant),)*
                    _ => Err(UnknownCause),
                }
            }
        }
    };
}

macro_rules! status {
    () => {
        None
    };
    ($status:literal $($error:literal)?) => {
        Some($status)
    };
}

macro_rules! error {
    ($($status:literal)?) => {
        None
    };
    ($status:literal $error:literal) => {
        Some($error)
    };
}

causes! {
    // A token, in the order of docs/verification.md.
    NotAToken "not_a_token" Unauthenticated (401 "invalid_token"): "It is no Biscuit token.";
    TooLarge "too_large" Unauthenticated (401 "invalid_token"): "The token has more bytes than a token may.";
    OverLimit "over_limit" Unauthenticated (401 "invalid_token"): "A block has more of something than a cap of the profile allows.";
    TooCostly "too_costly" Unauthenticated (401 "invalid_token"): "Evaluating the checks could take more work than a decision may; with the call's arguments, it is the call's and forbidden.";
    Algorithm "algorithm" Unauthenticated (401 "invalid_token"): "A block has a key that is no usable ed25519 key.";
    SignatureVersion "signature_version" Unauthenticated (401 "invalid_token"): "A block is not signed as Biscuit 3.3 signs.";
    Encoding "encoding" Unauthenticated (401 "invalid_token"): "A block is not encoded in the one way that its content is.";
    Symbols "symbols" Unauthenticated (401 "invalid_token"): "A block uses a word or key that it does not define, or defines one twice.";
    Content "content" Unauthenticated (401 "invalid_token"): "A block contains what a token may not.";
    Fact "fact" Unauthenticated (401 "invalid_token"): "A fact of the profile is missing, is said twice, or is not of its type.";
    Name "name" Unauthenticated (401 "invalid_token"): "A name, scope or reason in a block is not of its form.";
    BlockKind "block_kind" Unauthenticated (401 "invalid_token"): "A block is neither grant, hop, caveat nor presentation.";
    AfterPresentation "after_presentation" Unauthenticated (401 "invalid_token"): "A block follows the presentation.";
    OtherParent "other_parent" Unauthenticated (401 "invalid_token"): "A block was signed over another token.";
    NoSubject "no_subject" Unauthenticated (401 "invalid_token"): "A block lacks the subject.";
    NoScope "no_scope" Unauthenticated (401 "invalid_token"): "A block lacks a scope.";
    NoExpiry "no_expiry" Unauthenticated (401 "invalid_token"): "A block lacks the moment at which it expires.";
    NoReason "no_reason" Unauthenticated (401 "invalid_token"): "A hop lacks its reason.";
    Expired "expired" Unauthenticated (401 "invalid_token"): "A block has expired.";
    UnknownRoot "unknown_root" Unauthenticated (401 "invalid_token"): "No trusted root key fits the token's key id.";
    Signature "signature" Unauthenticated (401 "invalid_token"): "A signature is not valid.";
    Revoked "revoked" Unauthenticated (401 "invalid_token"): "A block is revoked.";
    RevocationsForgotten "revocations_forgotten" Unauthenticated (401 "invalid_token"): "The grant is older than what is remembered of revocations.";
    RevocationsUnavailable "revocations_unavailable" Undecided (503 "temporarily_unavailable"): "The source of revocations does not answer.";
    RevocationsStale "revocations_stale" Undecided (503 "temporarily_unavailable"): "What is known of revocations is too old.";
    WrongSigner "wrong_signer" Unauthenticated (401 "invalid_token"): "A block is not signed by the holder that the block before it names.";
    Unbound "unbound" Unauthenticated (401 "invalid_token"): "A block stands on one that names no holder; for an operation of Hardtack itself, it is the call's and forbidden.";
    ForeignSigner "foreign_signer" Unauthenticated (401 "invalid_token"): "A block is signed although the block before it names no holder.";
    RootAsHolder "root_as_holder" Unauthenticated (401 "invalid_token"): "A block names a root key as holder.";
    ScopeWider "scope_wider" Unauthenticated (401 "invalid_token"): "A block has a scope that its parent has not.";
    AudienceWider "audience_wider" Unauthenticated (401 "invalid_token"): "A block has an audience that its parent has not.";
    ExpiryWider "expiry_wider" Unauthenticated (401 "invalid_token"): "A block outlives its parent.";
    TooDeep "too_deep" Unauthenticated (401 "invalid_token"): "There are more hops than the grant allows.";
    TooLongLived "too_long_lived" Unauthenticated (401 "invalid_token"): "A block lives longer than is accepted here.";
    NotYetIssued "not_yet_issued" Unauthenticated (401 "invalid_token"): "The grant was issued in the future.";
    IssuedAfterExpiry "issued_after_expiry" Unauthenticated (401 "invalid_token"): "The grant expired before it was issued.";
    NameMismatch "name_mismatch" Unauthenticated (401 "invalid_token"): "The directory knows an agent's name or key otherwise.";
    NotPresented "not_presented" Unauthenticated (401 "invalid_token"): "It is a capability that was not presented.";
    WrongAudience "wrong_audience" Unauthenticated (401 "invalid_token"): "It is presented to another server.";
    Replayed "replayed" Unauthenticated (401 "invalid_token"): "The presentation was for one call, which was made.";

    // A call.
    InexactCall "inexact_call" Malformed (400 "invalid_request"): "The call is not exact enough to be judged.";
    CallTooLarge "call_too_large" Malformed (400 "invalid_request"): "The call has more than a call may.";
    NotGranted "not_granted" Forbidden (403 "insufficient_scope"): "No scope of the chain covers the operation.";
    ResourceScheme "resource_scheme" Forbidden (403 "access_denied"): "Resources of this scheme are not judged here.";
    OtherCall "other_call" Forbidden (403 "access_denied"): "The presentation is bound to another call.";
    StrangeTask "strange_task" Forbidden (403 "access_denied"): "The task is somebody else's, or there is none.";
    CheckFailed "check_failed" Forbidden (403 "access_denied"): "A check of the token fails.";
    PolicyCheckFailed "policy_check_failed" Forbidden (403 "access_denied"): "A check of the policies fails.";
    PolicyDenied "policy_denied" Forbidden (403 "access_denied"): "A policy denies the call.";
    NothingAllows "nothing_allows" Forbidden (403 "access_denied"): "No policy allows the call.";
    AnswerTooLong "answer_too_long" Forbidden (403 "access_denied"): "The answer to a call went on for longer than the server lets it.";
    NotEvaluable "not_evaluable" Forbidden (403 "access_denied"): "A check or policy cannot be evaluated for the call.";

    // What an issuer gives.
    NotOffered "not_offered" Forbidden (403 "insufficient_scope"): "The issuer offers none of the scopes that are wanted.";
    AudienceNotOffered "audience_not_offered" Forbidden (403 "access_denied"): "The issuer offers nothing for use at the server.";
    AssertionRefused "assertion_refused" Unauthenticated (401 "invalid_token"): "An assertion of who asks is not valid for the issuer.";
    ProofRefused "proof_refused" Unauthenticated (401 "invalid_token"): "A proof of who has the key is not valid.";
    ConsentNeeded "consent_needed" Forbidden (403 "access_denied"): "The person has to agree first, and is not asked here.";
    StepUpNeeded "step_up_needed" Unauthenticated (401 "invalid_token"): "The person has to sign in anew, or in a stronger way.";

    // Revoking over the network.
    RevocationNotCallBound "revocation_not_call_bound" Forbidden (403 "access_denied"): "The presentation is not bound to the request to revoke.";
    RevocationNotAnId "revocation_not_an_id" Forbidden (403 "insufficient_scope"): "Without the scope, only whole ids can be revoked.";
    RevocationIdUnknown "revocation_id_unknown" Forbidden (403 "access_denied"): "No id that was seen begins so.";
    RevocationIdAmbiguous "revocation_id_ambiguous" Forbidden (403 "access_denied"): "Several ids that were seen begin so.";
    RevocationWithoutProof "revocation_without_proof" Forbidden (403 "insufficient_scope"): "Without the scope, a token that contains the hop is needed.";
    RevocationProof "revocation_proof" Forbidden (403 "insufficient_scope"): "The token that was given as proof is not valid.";
    RevocationNotInProof "revocation_not_in_proof" Forbidden (403 "insufficient_scope"): "The token that was given as proof has no such hop.";
    RevocationByStranger "revocation_by_stranger" Forbidden (403 "insufficient_scope"): "Somebody else delegated the hop.";
    RevocationElsewhere "revocation_elsewhere" Forbidden (403 "access_denied"): "Revocations are made at another server.";

    // What cannot be said now.
    Exhausted "exhausted" Undecided (503 "temporarily_unavailable"): "Evaluating the policies took more work than a decision may.";
    FactsUnavailable "facts_unavailable" Undecided (503 "temporarily_unavailable"): "The server's source of facts does not answer.";
    FactsUnusable "facts_unusable" Undecided (503 "temporarily_unavailable"): "The server's source of facts states what it may not.";
    OfferUnusable "offer_unusable" Undecided (503 "temporarily_unavailable"): "The issuer's policies offer what cannot be issued.";
    ListBusy "list_busy" Undecided (503 "temporarily_unavailable"): "Too many lists are asked for at once.";
    ListTooLong "list_too_long" Undecided (503 "temporarily_unavailable"): "A list has more entries than are looked at.";
    ListTooCostly "list_too_costly" Undecided (503 "temporarily_unavailable"): "A list takes more work than is done for one.";
    LedgerUnavailable "ledger_unavailable" Undecided (503 "temporarily_unavailable"): "The decision or the revocation cannot be recorded.";
    StoreUnavailable "store_unavailable" Unavailable (503 "temporarily_unavailable"): "The store cannot be opened, read or written.";
    Overloaded "overloaded" Undecided (503 "temporarily_unavailable"): "More is asked for at once than is looked at.";
    Unfinished "unfinished" Undecided (503 "temporarily_unavailable"): "A decision broke off, and nothing was decided.";

    // A request in which a door finds no call, and which it answers by itself.
    NoToken "no_token" Unauthenticated (401): "No token was sent.";
    MalformedBearer "malformed_bearer" Malformed (400 "invalid_request"): "The token is sent twice, in the query, or not as a bearer.";
    BearerTooLong "bearer_too_long" Malformed (431 "invalid_request"): "The header has more bytes than a token can have.";
    BodyIncomplete "body_incomplete" Malformed (408 "invalid_request"): "The body did not arrive whole and in time.";
    NoRoute "no_route" Malformed (404 "invalid_request"): "There is nothing at this path.";
    NoOperation "no_operation" Malformed (405 "invalid_request"): "This path does not take the method.";
    NotText "not_text" Malformed (400 "invalid_request"): "A parameter or the body is not text.";
    Undescribed "undescribed" Malformed (400 "invalid_request"): "The server finds no call in the request.";

    // What is given to the library, and is not of its form.
    MalformedName "malformed_name" Malformed: "A name, an audience or a reason is malformed.";
    ReservedName "reserved_name" Malformed: "A fact has a name that Hardtack alone asserts.";
    MalformedScope "malformed_scope" Malformed: "A scope or an operation is malformed.";
    MalformedLife "malformed_life" Malformed: "A lifetime is not a whole number of seconds, or is zero.";
    LifeTooLong "life_too_long" Malformed: "A lifetime is longer than verifiers accept.";
    MalformedTime "malformed_time" Malformed: "A time is not written as in RFC 3339.";
    MalformedId "malformed_id" Malformed: "A revocation id, the beginning of one, or another id of hexadecimal digits is malformed.";
    MalformedKey "malformed_key" Malformed: "A text is not a key, or not a usable ed25519 key; or a certificate and its key cannot be used.";
    KeyKind "key_kind" Malformed: "A private key was given where a public one is needed, or a public one where a private one is needed.";
    KeyEncrypted "key_encrypted" Malformed: "A key is encrypted under a passphrase.";
    MalformedDatalog "malformed_datalog" Malformed: "A text is not exactly one check or one fact, as needed.";
    MalformedConstraint "malformed_constraint" Malformed: "A constraint cannot be read or checked.";
    MalformedOperand "malformed_operand" Malformed: "A text is not the folder, site, network or pattern that it should be.";
    MalformedPolicy "malformed_policy" Malformed: "A policy is refused when it is loaded.";
    NoPolicies "no_policies" Malformed: "A folder has no policies, or they could never allow anything.";
    MalformedCase "malformed_case" Malformed: "A case of a trial cannot be read or built.";
    MalformedRequest "malformed_request" Malformed: "A request to revoke is malformed.";
    MalformedProof "malformed_proof" Malformed: "A proof of a record is malformed.";
    MalformedCheckpoint "malformed_checkpoint" Malformed: "A checkpoint is malformed.";
    MalformedRoute "malformed_route" Malformed: "A row of a table of routes is malformed, or stands there twice.";
    MalformedUrl "malformed_url" Malformed: "A URL is not that of a server.";
    MisplacedServer "misplaced_server" Malformed: "Servers of one gateway cannot have the names, paths or audiences that they are given.";
    MalformedCredential "malformed_credential" Malformed: "A credential has characters that no header can hold.";
    Incomplete "incomplete" Malformed: "A scope, a reason or a holder is missing.";
    TooMany "too_many" Malformed: "There is more of something than is allowed.";
    ResultRefused "result_refused" Malformed: "Every verifier would refuse the new token.";

    // A capability that does not give what is asked for, or is none that was expected.
    BeyondScope "beyond_scope" Forbidden: "The capability does not have the scope that is asked for.";
    BeyondAudience "beyond_audience" Forbidden: "The capability does not have the audience that is asked for.";
    BeyondDepth "beyond_depth" Forbidden: "The hops that the grant allows are used up.";
    BeyondExpiry "beyond_expiry" Forbidden: "The lifetime that is asked for ends after the capability.";
    UnexpectedRoot "unexpected_root" Unauthenticated: "The token is not signed by the expected root key.";
    UnexpectedSubject "unexpected_subject" Unauthenticated: "The token is a grant for somebody else.";
    UnexpectedDelegator "unexpected_delegator" Unauthenticated: "The last hop is not signed by the expected delegator.";
    WrongKey "wrong_key" Conflict: "The token is bound to another key.";
    KeyNeeded "key_needed" Conflict: "The token is bound to a key, and none was given.";
    KeyNotNeeded "key_not_needed" Conflict: "The token names no holder, and a key was given.";
    HolderIsRoot "holder_is_root" Conflict: "The root key is named as holder.";
    Sealed "sealed" Conflict: "The token is sealed. Nothing can be appended to it.";
    AlreadyPresented "already_presented" Conflict: "The token is a presentation, which cannot be passed on.";

    // Files, stores and what is recorded in them.
    FileUnavailable "file_unavailable" Unavailable: "A file cannot be read or written.";
    KeyExposed "key_exposed" Unavailable: "Others than the owner can read a key file.";
    StoreNotThere "store_not_there" Unavailable: "There is no store at this path.";
    StoreUnfinished "store_unfinished" Unavailable: "Making or restoring the store was interrupted.";
    StoreInUse "store_in_use" Unavailable: "Another process has the store open for writing.";
    StoreForeign "store_foreign" Conflict: "The file is not a store that this version can read.";
    StoreIsBackup "store_is_backup" Conflict: "The file is a backup, which has to be restored first.";
    StoreClosed "store_closed" Conflict: "The store was closed.";
    StoreForked "store_forked" Conflict: "The process is a fork of the one that opened the store.";
    StoreDamaged "store_damaged" Damaged: "A part of the store is damaged or missing.";
    StoreRolledBack "store_rolled_back" Damaged: "The store is older than what was signed.";
    RestoringLoses "restoring_loses" Conflict: "A restoration would lose revocations, and this was not accepted.";
    NotRevoked "not_revoked" Unavailable: "A revocation is not acknowledged: it was not written, or nobody can say whether it was. It may turn out to be in force later.";
    OtherRequest "other_request" Conflict (409 "invalid_request"): "The same request id was used for another request.";
    NoSuchRecord "no_such_record" Conflict: "The store has no record of this number.";
    ClockDoubted "clock_doubted" Unavailable: "The clock is not trusted enough to forget revocations.";
    NotACopy "not_a_copy" Conflict: "The revocations belong to a store. They cannot be renewed from a list.";
    LogDamaged "log_damaged" Damaged: "A record was changed, moved, inserted or removed.";
    LogCutOff "log_cut_off" Damaged: "Records that were signed are missing at the end.";
    FeedContradicted "feed_contradicted" Damaged: "A feed of revocations went back, or says otherwise than it said before.";
    CheckpointSignature "checkpoint_signature" Damaged: "The checkpoint is not signed by the expected log.";
    RecordNotIncluded "record_not_included" Damaged: "The record is not in the log that the checkpoint signs.";

    // Servers, and what is in front of them.
    NoGuard "no_guard" Conflict: "The route has no guard.";
    PlainHttp "plain_http" Conflict: "A secret would go over plain HTTP to another machine.";
    ClientUnavailable "client_unavailable" Unavailable: "The HTTP client cannot be set up.";
    NoAnswer "no_answer" Unavailable: "The gateway does not answer.";
    RefusedThere "refused_there" Forbidden: "The gateway refused.";
    NotAGateway "not_a_gateway" Conflict: "The server that answers is not a gateway.";
    GatewayKnown "gateway_known" Conflict: "A gateway cannot be enrolled: its name or its key is taken, or there are too many.";
    GatewayUnknown "gateway_unknown" Conflict: "No gateway is enrolled under this name.";
    CaseFailed "case_failed" Conflict: "A case of a trial got another verdict than expected.";
    CaseMissing "case_missing" Conflict: "No case of a trial shows what a policy is for.";
}

/// The error of a text that is no name of a cause that this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no cause that this version knows; docs/verification.md and docs/errors.md list them"
)]
pub struct UnknownCause;

impl UnknownCause {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedName
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A cause as a record has it. Records outlive versions, so a name that a later version wrote is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordedCause {
    /// A cause that this version knows.
    Known(Cause),
    /// The name of a cause that this version does not know.
    Other(String),
}

impl RecordedCause {
    /// Reads the name of a cause. No name is refused: an unknown one becomes [`RecordedCause::Other`].
    pub fn of(name: String) -> RecordedCause {
        match name.parse() {
            Ok(cause) => RecordedCause::Known(cause),
            Err(UnknownCause) => RecordedCause::Other(name),
        }
    }

    /// Returns the name of the cause, whether this version knows it or not.
    pub fn as_str(&self) -> &str {
        match self {
            RecordedCause::Known(cause) => cause.as_str(),
            RecordedCause::Other(name) => name,
        }
    }

    /// Returns the cause if this version knows it, and `None` otherwise.
    pub fn known(&self) -> Option<Cause> {
        match self {
            RecordedCause::Known(cause) => Some(*cause),
            RecordedCause::Other(_) => None,
        }
    }
}

impl From<Cause> for RecordedCause {
    fn from(cause: Cause) -> RecordedCause {
        RecordedCause::Known(cause)
    }
}

impl PartialEq<Cause> for RecordedCause {
    fn eq(&self, cause: &Cause) -> bool {
        self.known() == Some(*cause)
    }
}

impl fmt::Display for RecordedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RecordedCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RecordedCause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RecordedCause, D::Error> {
        String::deserialize(deserializer).map(RecordedCause::of)
    }
}
