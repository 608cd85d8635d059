use super::*;

#[test]
fn a_challenge_cannot_be_broken_out_of() {
    let refused = Refused::by_door(400, Some("invalid_request"), "a\" b=\"\r\nX: y\\");
    let challenge = refused.challenge("no\"tion", Some("https://a.b/\n")).unwrap();
    assert_eq!(
        challenge,
        r#"Bearer realm="no\"tion", error="invalid_request", error_description="a\" b=\"??X: y\\", resource_metadata="https://a.b/?""#
    );
}

#[test]
fn it_is_written_as_the_body_that_clients_know() {
    let refused = refused(Denial::Forbidden, Cause::NotGranted);
    let written = r#"{"arguments":[],"cause":"not_granted","error":"insufficient_scope","error_description":"the token does not grant tools:call:pay. Trying again will not help; whoever delegated to this agent can change that","helps":"delegator","retry":false,"retry_after":null,"scope":"tools:call:pay"}"#;
    assert_eq!(serde_json::to_string(&refused).unwrap(), written);
    let nobody = Refused::by_door(401, None, "send the token");
    assert_eq!(nobody.facts()["error"], Value::Null);
    assert_eq!(serde_json::to_value(&nobody).unwrap()["error"], "invalid_token");
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
        (Forbidden, Cause::RevocationElsewhere, operators),
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
        (Cause::RevocationElsewhere, 403, ACCESS_DENIED, "server"),
        (Cause::OtherCall, 403, ACCESS_DENIED, "new_token"),
        (Cause::RevocationNotCallBound, 403, ACCESS_DENIED, "new_token"),
    ] {
        let refused = refused(Denial::Forbidden, cause);
        assert_eq!((refused.status, refused.error), (status, Some(error)), "{cause}");
        let missing = error == "insufficient_scope";
        assert_eq!(refused.scope.as_deref(), missing.then_some("tools:call:pay"), "{cause}");
        let challenge = refused.challenge("notion.mcp", None);
        assert_eq!(challenge.is_some(), error != ACCESS_DENIED, "{cause}");
        let body = serde_json::to_value(&refused).unwrap();
        assert_eq!((&body["cause"], &body["helps"]), (&json!(cause), &json!(helps)));
        assert_eq!(body["retry"], false, "{cause}");
        assert!(refused.description.contains("Trying again") || helps == "new_token", "{cause}");
    }
}

#[test]
fn why_a_token_does_not_hold_is_told_as_far_as_its_holder_may_know() {
    let refused = |cause| refused(Denial::Unauthenticated, cause);
    assert_eq!(refused(Cause::Expired).cause, Some(Cause::Expired));
    for cause in [Cause::Signature, Cause::UnknownRoot, Cause::NameMismatch, Cause::TooCostly] {
        let refused = refused(cause);
        assert_eq!(refused.cause, None, "{cause}");
        assert!(!serde_json::to_string(&refused).unwrap().contains(cause.as_str()), "{cause}");
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
