//! What whoever asks a gateway to revoke makes of what it hears.

use hardtack::{Revocation, RevocationRequest};
use hardtack_mcp::{RevocationFailed, revoke_at};
use http::Uri;

/// A server that answers so, and the URL that it is asked at.
async fn answering(status: u16, answer: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |uri: Uri| async move {
        let found = uri.path() == hardtack_mcp::REVOCATIONS;
        let response = axum::response::Response::builder();
        let response = response.status(if found { status } else { 404 });
        response.body(axum::body::Body::from(answer)).unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    url
}

async fn ask(url: &str) -> Result<u64, RevocationFailed> {
    let revocation = Revocation::Agent { agent: "agent.helper".to_owned() };
    let request = RevocationRequest::new(revocation, "lost", None).unwrap();
    revoke_at(url, "bearer", &request).await.map(|answer| answer.receipt.unwrap().sequence())
}

fn receipt(status: &str) -> String {
    format!(r#"{{"status":"{status}","sequence":7}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_says_that_it_is_revoked_is_believed() {
    for status in ["revoked", "already_revoked"] {
        assert_eq!(ask(&answering(200, receipt(status)).await).await, Ok(7), "{status}");
    }
    for (status, answer) in [
        (200, receipt("pending")),
        (200, "{}".to_owned()),
        (200, "<html>".to_owned()),
        (404, receipt("revoked")),
        (500, "<html>".to_owned()),
    ] {
        let failed = ask(&answering(status, answer.clone()).await).await;
        assert!(
            matches!(failed, Err(RevocationFailed::Foreign(_))),
            "{status} {answer}: {failed:?}"
        );
    }
    let refused = r#"{"error":"x","error_description":"no\u001b[31m"}"#.to_owned();
    let failed = ask(&answering(403, refused).await).await.unwrap_err();
    let description = "no\\u{1b}[31m".to_owned();
    assert_eq!(failed, RevocationFailed::Refused { status: 403, description });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_found_from_each_url_of_the_gateway() {
    let url = answering(200, receipt("revoked")).await;
    for rest in ["", "/", "/mcp", "/mcp/", "/hardtack/revocations"] {
        assert_eq!(ask(&format!("{url}{rest}")).await, Ok(7), "{rest}");
    }
    let elsewhere = ask("ftp://127.0.0.1/").await;
    assert!(matches!(elsewhere, Err(RevocationFailed::Url(_))), "{elsewhere:?}");
    let nobody = ask("http://127.0.0.1:1").await;
    assert!(matches!(nobody, Err(RevocationFailed::NoAnswer(_))), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_few_words_is_read_and_no_longer_one() {
    let padded = |bytes: usize| {
        let receipt = receipt("revoked");
        format!("{receipt}{}", " ".repeat(bytes - receipt.len()))
    };
    let most = 64 * 1024;
    assert_eq!(ask(&answering(200, padded(most)).await).await, Ok(7));
    let longer = ask(&answering(200, padded(most + 1)).await).await;
    assert!(matches!(longer, Err(RevocationFailed::NoAnswer(_))), "it is read whole: {longer:?}");
}
