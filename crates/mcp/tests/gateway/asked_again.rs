//! A request to revoke that is made again, by whoever made it and by others.

use hardtack::revocation::{Receipt, RequestId};
use hardtack::{Revocation, RevocationRequest};
use hardtack_mcp::{RevocationAnswer, RevocationFailed, revoke_at};
use hardtack_testkit::losing_answers;

use crate::revoking::{id_of_last_hop, request};
use crate::stage::{Agent, REVOCATIONS, Stage, client, now};

/// Asks at a URL, as this agent, by a new presentation.
async fn ask_at(
    url: &str,
    agent: &Agent,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    let bearer = agent.capability.present_to_revoke(REVOCATIONS, request, &agent.key, now());
    revoke_at(url, bearer.unwrap().bearer(), request).await
}

async fn ask(
    stage: &Stage,
    agent: &Agent,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    ask_at(&format!("http://{}", stage.address), agent, request).await
}

fn agent_until_now(agent: &str) -> Revocation {
    Revocation::AgentUntilNow { agent: agent.to_owned() }
}

/// A stage with two who may revoke anything.
async fn operators() -> (Stage, Agent, Agent) {
    let stage = Stage::set_granting(&["hardtack:revoke", "tools:*"]).await;
    let one = stage.alice.delegates("agent.one", &["hardtack:revoke"]);
    let other = stage.alice.delegates("agent.other", &["hardtack:revoke"]);
    (stage, one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_given_once_more_and_nothing_is_revoked_twice() {
    let (stage, operator, _) = operators().await;
    let losing = losing_answers(&stage.address.to_string(), 2);
    let asked = request(agent_until_now("agent.helper"), None);
    let asked = asked.with_id(RequestId::random()).unwrap();
    for _ in 0..2 {
        let lost = ask_at(&losing, &operator, &asked).await;
        assert!(matches!(lost, Err(RevocationFailed::NoAnswer(_))), "{lost:?}");
    }
    let entries = stage.store.list_revocations().unwrap();
    assert_eq!(entries.len(), 1);
    let answer = ask_at(&losing, &operator, &asked).await.unwrap();
    let revoked = Some(Receipt::Revoked { sequence: entries[0].sequence });
    assert_eq!(answer.receipt, revoked, "as it was answered the first time");
    assert_eq!(ask(&stage, &operator, &asked).await.unwrap().receipt, revoked);
    assert_eq!(stage.store.list_revocations().unwrap(), entries);
    // Without an id each is a request of its own.
    let without = request(agent_until_now("agent.helper"), None);
    assert_ne!(ask(&stage, &operator, &without).await.unwrap().receipt, revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_an_id_that_was_used_something_else_is_refused_in_clear_words() {
    let (stage, operator, _) = operators().await;
    let id = RequestId::random();
    let first = request(agent_until_now("agent.helper"), None).with_id(id).unwrap();
    ask(&stage, &operator, &first).await.unwrap();
    let another = request(agent_until_now("agent.sibling"), None).with_id(id).unwrap();
    let reworded = RevocationRequest::new(agent_until_now("agent.helper"), "laptop found", None);
    for other in [another, reworded.unwrap().with_id(id).unwrap()] {
        let refused = ask(&stage, &operator, &other).await.unwrap_err();
        let RevocationFailed::Refused { status: 409, description } = &refused else {
            panic!("{refused:?}")
        };
        assert!(description.contains(&id.to_string()), "{description}");
        assert!(description.contains("ask for it under a new id"), "{description}");
    }
    assert_eq!(stage.store.list_revocations().unwrap().len(), 1);
}

/// Whoever learns an id learns nothing by it, and keeps nobody from revoking.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_another_caller_neither_shows_nor_suppresses_anything() {
    let (stage, victim, attacker) = operators().await;
    let researcher = stage.alice.delegates("agent.researcher", &["tools:call:search"]);
    let helper = researcher.delegates("agent.helper", &["tools:call:search"]);
    let id = RequestId::random();
    let with = |revocation| request(revocation, None).with_id(id).unwrap();
    // The id is taken before its owner uses it, for the same and for something else.
    let early = with(agent_until_now("agent.nobody"));
    ask(&stage, &attacker, &early).await.unwrap();
    let victims = with(id_of_last_hop(&helper));
    let answer = ask(&stage, &victim, &victims).await.unwrap();
    assert!(matches!(answer.receipt, Some(Receipt::Revoked { .. })), "{answer:?}");
    let revoked = stage.store.list_revocations().unwrap();
    assert!(revoked.iter().any(|entry| entry.notice.revocation == id_of_last_hop(&helper)));
    // The same body once more is the attacker's own request, in its own name.
    let copied = ask(&stage, &attacker, &victims).await.unwrap_err();
    assert!(
        matches!(copied, RevocationFailed::Refused { status: 409, .. }),
        "its own use of the id is what it is held against: {copied:?}"
    );
    // Who may not revoke hears no receipt, whosever id and body it sends.
    let refused = ask(&stage, &researcher, &victims).await.unwrap_err();
    assert!(matches!(refused, RevocationFailed::Refused { status: 403, .. }), "{refused:?}");
    // The victim's answer is what it was.
    assert_eq!(ask(&stage, &victim, &victims).await.unwrap().receipt, answer.receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_part_of_what_the_presentation_is_bound_to_and_has_one_form() {
    let (stage, operator, _) = operators().await;
    let url = format!("http://{}/hardtack/revocations", stage.address);
    let send = |bearer: &str, body: String| {
        let request = client().post(&url).bearer_auth(bearer).body(body).send();
        async { request.await.unwrap().status().as_u16() }
    };
    let asked = request(agent_until_now("agent.helper"), None);
    let with_id = asked.clone().with_id(RequestId::random()).unwrap();
    let bearer = |asked: &RevocationRequest| {
        let key = &operator.key;
        let bound = operator.capability.present_to_revoke(REVOCATIONS, asked, key, now());
        bound.unwrap().bearer().to_owned()
    };
    // Nobody on the way can take the id off, put one in, or exchange it.
    let other = asked.clone().with_id(RequestId::random()).unwrap();
    assert_eq!(send(&bearer(&with_id), asked.to_json()).await, 403);
    assert_eq!(send(&bearer(&asked), with_id.to_json()).await, 403);
    assert_eq!(send(&bearer(&with_id), other.to_json()).await, 403);
    let body = |id: &str| {
        let plain = asked.to_json();
        format!(r#"{{"request_id":{id},{}"#, plain.trim_start_matches('{'))
    };
    for id in ["\"\"", "7", "\"00\"", "[]", &format!("\"{}\"", "0".repeat(33)), "\"../../etc\""] {
        assert_eq!(send(&bearer(&asked), body(id)).await, 400, "{id}");
    }
    let dry = body(&format!("\"{}\",\"dry_run\":true", "0".repeat(32)));
    assert_eq!(send(&bearer(&asked), dry).await, 400);
    assert!(stage.store.list_revocations().unwrap().is_empty());
}
