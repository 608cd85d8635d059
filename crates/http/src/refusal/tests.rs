use super::*;

#[test]
fn a_challenge_cannot_be_broken_out_of() {
    let refused = Refused::bad(StatusCode::BAD_REQUEST, "a\" b=\"\r\nX: y\\".to_owned());
    let challenge = refused.challenge(&Realm::named("no\"tion")).unwrap();
    assert_eq!(
        challenge.to_str().unwrap(),
        r#"Bearer realm="no\"tion", error="invalid_request", error_description="a\" b=\"??X: y\\""#
    );
}

#[test]
fn without_a_token_the_challenge_names_no_error() {
    let challenge =
        Refused::from(BearerError::Missing).challenge(&Realm::named("notion.mcp")).unwrap();
    assert_eq!(challenge, "Bearer realm=\"notion.mcp\"");
}

fn refused(denial: fn(Refusal) -> Denial, cause: Cause) -> Refused {
    let refusal = Refusal::new(cause, None, "the operator's words".to_owned());
    Refused::of(&denial(refusal), "tools:call:pay")
}

#[test]
fn outsiders_hear_of_each_cause_what_helps_them_and_no_more() {
    use Denial::{Forbidden, Unauthenticated, Undecided};
    let operators = "the operator's words";
    for (denial, cause, words) in [
        (Unauthenticated as fn(Refusal) -> Denial, Cause::Expired, "has expired"),
        (Unauthenticated, Cause::Revoked, "is revoked"),
        (Unauthenticated, Cause::RevocationsForgotten, "too old to be judged"),
        (Unauthenticated, Cause::WrongAudience, "presented to another server"),
        (Unauthenticated, Cause::NotPresented, "must present it first"),
        (Unauthenticated, Cause::Replayed, "for one call, which was made"),
        (Unauthenticated, Cause::Signature, "does not hold here"),
        (Forbidden, Cause::NotGranted, "does not grant tools:call:pay"),
        (Forbidden, Cause::OtherCall, "bound to another call than this one of tools:call:pay"),
        (Forbidden, Cause::CheckFailed, "made conditions that this call of tools:call:pay"),
        (Forbidden, Cause::ResourceScheme, operators),
        (Forbidden, Cause::InexactCall, operators),
        (Forbidden, Cause::RevocationByStranger, operators),
        (Forbidden, Cause::PolicyDenied, "this call of tools:call:pay is not allowed here"),
        (Forbidden, Cause::CallTooLarge, operators),
        (Undecided, Cause::LedgerUnavailable, "cannot be said now"),
        (Undecided, Cause::Overloaded, operators),
        (Undecided, Cause::Exhausted, "more work than a decision may"),
    ] {
        let said = refused(denial, cause).description;
        assert!(said.contains(words), "{cause}: {said}");
        assert_eq!(said.contains(operators), words == operators, "{cause}: {said}");
    }
}

#[test]
fn each_refusal_has_the_headers_of_its_status() {
    let realm = Realm::named("notion.mcp");
    let answer = |denial, cause| refused(denial, cause).response(&realm);
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

/// RFC 6750, section 3.1: a client that hears `insufficient_scope` asks for the scope, and would again.
#[test]
fn only_where_a_scope_is_missing_a_scope_is_named() {
    for (cause, status, error, helps) in [
        (Cause::NotGranted, 403, "insufficient_scope", "delegator"),
        (Cause::RevocationByStranger, 403, "insufficient_scope", "delegator"),
        (Cause::InexactCall, 400, "invalid_request", "another_call"),
        (Cause::CallTooLarge, 400, "invalid_request", "another_call"),
        (Cause::TooCostly, 403, ACCESS_DENIED, "another_call"),
        (Cause::CheckFailed, 403, ACCESS_DENIED, "another_call"),
        (Cause::PolicyDenied, 403, ACCESS_DENIED, "server"),
        (Cause::PolicyCheckFailed, 403, ACCESS_DENIED, "server"),
        (Cause::NothingAllows, 403, ACCESS_DENIED, "server"),
        (Cause::NotEvaluable, 403, ACCESS_DENIED, "another_call"),
        (Cause::ResourceScheme, 403, ACCESS_DENIED, "server"),
        (Cause::OtherCall, 403, ACCESS_DENIED, "new_token"),
        (Cause::RevocationNotCallBound, 403, ACCESS_DENIED, "new_token"),
    ] {
        let refused = refused(Denial::Forbidden, cause);
        assert_eq!((refused.status.as_u16(), refused.error), (status, Some(error)), "{cause}");
        let missing = error == "insufficient_scope";
        assert_eq!(refused.scope.as_deref(), missing.then_some("tools:call:pay"), "{cause}");
        let challenge = refused.challenge(&Realm::named("notion.mcp"));
        assert_eq!(challenge.is_some(), error != ACCESS_DENIED, "{cause}");
        let body: Value = serde_json::from_str(&refused.json()).unwrap();
        assert_eq!((&body["cause"], &body["helps"]), (&json!(cause), &json!(helps)));
        assert_eq!(body["retry"], false, "{cause}");
        assert!(refused.description.contains("Trying again") || helps == "new_token", "{cause}");
    }
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
        let answer = refused.response(&Realm::named("notion.mcp"));
        assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry, "{cause}");
        assert_eq!(answer.status(), 503, "{cause}");
    }
}

#[test]
fn why_a_token_does_not_hold_is_told_as_far_as_its_holder_may_know() {
    let refused = |cause| refused(Denial::Unauthenticated, cause);
    assert_eq!(refused(Cause::Expired).cause, Some(Cause::Expired));
    for cause in [Cause::Signature, Cause::UnknownRoot, Cause::NameMismatch, Cause::TooCostly] {
        let refused = refused(cause);
        assert_eq!(refused.cause, None, "{cause}");
        assert!(!refused.json().contains(cause.as_str()), "{cause}");
    }
}

#[test]
fn a_refusal_names_few_arguments_and_shows_no_more_than_prints() {
    let mut refusal = Refusal::new(Cause::PolicyDenied, None, "why".to_owned());
    refusal.helps = Helps::AnotherCall;
    refusal.arguments = (0..9).map(|n| format!("{n}\u{202e}{}", "x".repeat(99))).collect();
    let refused = Refused::of(&Denial::Forbidden(refusal), "tools:call:pay");
    assert_eq!(refused.arguments.len(), MAX_NAMED);
    assert!(!refused.description.contains('\u{202e}'));
    assert!(refused.description.len() < 800, "{}", refused.description);
}

#[test]
fn whoever_logs_in_again_too_early_hears_how_long_to_wait() {
    let mut refusal = Refusal::new(Cause::Revoked, Some(0), "the operator's words".to_owned());
    refusal.retry_after = Some(Duration::from_secs(42));
    let refused = Refused::of(&Denial::Unauthenticated(refusal), "tools:call:pay");
    assert!(refused.description.contains("within the next 42 seconds"), "{refused:?}");
    assert!(refused.json().contains(r#""retry_after":42"#), "{}", refused.json());
    let answer = refused.response(&Realm::named("notion.mcp"));
    assert_eq!(answer.headers()[header::RETRY_AFTER], "42");
}

#[test]
fn each_status_has_its_grpc_code_and_a_message_that_needs_no_escapes() {
    let realm = Realm::named("notion.mcp");
    for (status, code) in [(401, "16"), (403, "7"), (503, "14"), (408, "4"), (400, "3"), (413, "3")]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Refused::bad(status, "50% ü\n".to_owned()).grpc_response(&realm);
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
        (Undescribed::TooLarge(1).into(), 413),
        (Undescribed::Incomplete.into(), 408),
        (Undescribed::NoRoute.into(), 404),
        (Undescribed::NoOperation.into(), 405),
        (Undescribed::NoText.into(), 400),
        (Undescribed::Other("x".to_owned()).into(), 400),
    ] {
        assert_eq!(refused.status, status, "{refused:?}");
    }
}
