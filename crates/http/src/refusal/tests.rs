use super::*;
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Refusal};
use std::time::Duration;

#[test]
fn without_a_token_the_challenge_names_no_error() {
    let challenge = Realm::named("notion.mcp").challenge(&BearerError::Missing.into()).unwrap();
    assert_eq!(challenge, "Bearer realm=\"notion.mcp\"");
}

fn refused(denial: fn(Refusal) -> Denial, cause: Cause) -> Refused {
    let refusal = Refusal::new(cause, None, "the operator's words".to_owned());
    Refused::of(&denial(refusal), "tools:call:pay")
}

#[test]
fn each_refusal_has_the_headers_of_its_status() {
    let realm = Realm::named("notion.mcp");
    let answer = |denial, cause| realm.response(&refused(denial, cause));
    let header = |answer: &Response<Bytes>, name: HeaderName| {
        answer.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
    };
    for (denial, status) in
        [(Denial::Unauthenticated as fn(Refusal) -> Denial, 401), (Denial::Forbidden, 403)]
    {
        let answer = answer(denial, Cause::NotGranted);
        assert_eq!(answer.status(), status);
        assert!(header(&answer, header::WWW_AUTHENTICATE).is_some(), "{status}");
        assert_eq!(header(&answer, header::RETRY_AFTER), None, "{status}");
        assert_eq!(header(&answer, header::CACHE_CONTROL).as_deref(), Some("no-store"));
    }
    let undecided = answer(Denial::Undecided, Cause::LedgerUnavailable);
    assert_eq!(undecided.status(), 503);
    assert_eq!(header(&undecided, header::WWW_AUTHENTICATE), None, "a client would log in again");
    assert_eq!(header(&undecided, header::RETRY_AFTER).as_deref(), Some(RETRY_AFTER));
    assert_eq!(header(&undecided, header::CACHE_CONTROL).as_deref(), Some("no-store"));
}

#[test]
fn trying_again_is_said_to_help_where_it_does() {
    for (cause, retry) in [
        (Cause::LedgerUnavailable, true),
        (Cause::Overloaded, true),
        (Cause::StoreUnavailable, true),
        (Cause::Unfinished, true),
        (Cause::ListBusy, true),
        (Cause::RevocationsStale, true),
        (Cause::RevocationsUnavailable, true),
        (Cause::Exhausted, false),
        (Cause::ListTooLong, false),
        (Cause::ListTooCostly, false),
    ] {
        let refused = refused(Denial::Undecided, cause);
        assert_eq!(refused.retry(), retry, "{cause}");
        let answer = Realm::named("notion.mcp").response(&refused);
        assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry, "{cause}");
        assert_eq!(answer.status(), 503, "{cause}");
    }
}

#[test]
fn whoever_logs_in_again_too_early_hears_how_long_to_wait() {
    let mut refusal = Refusal::new(Cause::Revoked, Some(0), "the operator's words".to_owned());
    refusal.retry_after = Some(Duration::from_secs(42));
    let refused = Refused::of(&Denial::Unauthenticated(refusal), "tools:call:pay");
    assert!(refused.description.contains("within the next 42 seconds"), "{refused:?}");
    assert_eq!(refused.facts()["retry_after"], 42);
    let answer = Realm::named("notion.mcp").response(&refused);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "42");
}

#[test]
fn each_status_has_its_grpc_code_and_a_message_that_needs_no_escapes() {
    let realm = Realm::named("notion.mcp");
    for (status, code) in [(401, "16"), (403, "7"), (503, "14"), (408, "4"), (400, "3"), (413, "3")]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = realm.grpc_response(&bad(status, "50% ü\n".to_owned()));
        assert_eq!(answer.headers()["grpc-status"], code, "{status}");
        assert_eq!(answer.headers()["grpc-message"], "50? ??", "{status}");
        assert_eq!(answer.status(), 200);
    }
}

#[test]
fn what_is_wrong_with_a_request_has_its_status() {
    for (refused, status) in [
        (Refused::from(BearerError::Missing), 401),
        (BearerError::TooLong.into(), 431),
        (BearerError::Repeated.into(), 400),
        (BearerError::InQuery.into(), 400),
        (BearerError::Malformed.into(), 400),
    ] {
        assert_eq!(refused.status, status, "{refused:?}");
    }
    for (undescribed, status, cause) in [
        (Undescribed::TooLarge(1), 413, "call_too_large"),
        (Undescribed::TooManyValues(64), 413, "call_too_large"),
        (Undescribed::Incomplete, 408, "body_incomplete"),
        (Undescribed::NoRoute, 404, "no_route"),
        (Undescribed::NoOperation, 405, "no_operation"),
        (Undescribed::NoText, 400, "not_text"),
        (Undescribed::Other("x".to_owned()), 400, "undescribed"),
    ] {
        let refused = Refused::from(undescribed);
        assert_eq!((refused.status, refused.error), (status, Some("invalid_request")));
        assert_eq!(refused.facts()["cause"], cause);
    }
}
