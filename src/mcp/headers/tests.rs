use bytes::Bytes;

use super::*;

fn parts(headers: &[(&str, &str)]) -> Parts {
    let request = headers
        .iter()
        .fold(http::Request::post("/mcp"), |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

fn call(meta: &str) -> Message {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search"{meta}}}}}"#
    );
    Message::read(Bytes::from(body), None).unwrap()
}

const MODERN_META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn headers_of_the_new_protocol_must_say_what_the_body_says() {
    let version = ("mcp-protocol-version", "2026-07-28");
    let (method, name) = (("mcp-method", "tools/call"), ("mcp-name", "search"));
    let modern = call(MODERN_META);
    let check = |headers: &[(&str, &str)]| check_against(&parts(headers), &modern);
    assert_eq!(check(&[JSON, version, method, name]), Ok(Era::Modern));
    let encoded = ("mcp-name", "=?base64?c2VhcmNo?=");
    assert_eq!(check(&[JSON, version, method, encoded]), Ok(Era::Modern));
    for headers in [
        vec![JSON, version, method, ("mcp-name", "delete_page")],
        vec![JSON, version, method, ("mcp-name", "=?base64?ZGVsZXRlX3BhZ2U=?=")],
        vec![JSON, version, ("mcp-method", "tools/list"), name],
        vec![JSON, ("mcp-protocol-version", "2025-11-25"), method, name],
        vec![JSON, method, name],
        vec![JSON, version, name],
        vec![JSON, version, method],
    ] {
        assert!(check(&headers).unwrap_err().is_mismatch(), "{headers:?}");
    }
}

#[test]
fn the_old_protocol_needs_no_such_headers_but_none_may_lie() {
    let legacy = call("");
    assert_eq!(check_against(&parts(&[JSON]), &legacy), Ok(Era::Legacy));
    let lies = check_against(&parts(&[JSON, ("mcp-name", "delete_page")]), &legacy);
    assert!(lies.unwrap_err().is_mismatch());
}

#[test]
fn other_encodings_are_refused() {
    for media in ["text/plain", "application/json; charset=utf-16", "application/jsonx", ""] {
        let refused = check_against(&parts(&[("content-type", media)]), &call(""));
        assert_eq!(refused, Err(HeaderError::ContentType), "{media}");
    }
    let gzip = parts(&[JSON, ("content-encoding", "gzip")]);
    assert!(matches!(check(&gzip, None), Err(HeaderError::Encoded(_))));
}

#[test]
fn what_two_readers_take_differently_and_the_bearer_are_refused() {
    let twice = parts(&[("mcp-session-id", "a"), ("mcp-session-id", "b")]);
    assert!(matches!(check(&twice, None), Err(HeaderError::Repeated(_))));
    let carries = parts(&[("mcp-param-x", "a secret b"), ("authorization", "Bearer secret")]);
    assert!(matches!(check(&carries, Some("secret")), Err(HeaderError::CarriesBearer(_))));
    let own = parts(&[("authorization", "Bearer secret")]);
    assert_eq!(check(&own, Some("secret")), Ok(()));
}

#[test]
fn only_what_the_protocol_knows_passes() {
    let headers = parts(&[
        JSON,
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("mcp-param-region", "eu"),
        ("accept-encoding", "gzip"),
    ]);
    let forwarded = forwarded(&headers.headers);
    let names: Vec<&str> = forwarded.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "mcp-param-region"]);
}

#[test]
fn a_rebound_name_and_a_strange_page_are_turned_away() {
    let doorbell = Doorbell {
        hosts: vec!["tools.example".to_owned()],
        origins: vec!["https://app.example".to_owned()],
    };
    for (host, origin, admitted) in [
        ("127.0.0.1:8080", None, true),
        ("localhost", None, true),
        ("[::1]:8080", None, true),
        ("tools.example", None, true),
        ("TOOLS.example:443", None, true),
        ("evil.example", None, false),
        ("127.0.0.1.evil.example", None, false),
        ("localhost.evil.example:80", None, false),
        ("", None, false),
        ("evil@127.0.0.1", None, false),
        ("127.0.0.1", Some("https://app.example"), true),
        ("127.0.0.1", Some("https://evil.example"), false),
        ("127.0.0.1", Some("http://127.0.0.1"), false),
        ("127.0.0.1", Some("null"), false),
    ] {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        assert_eq!(doorbell.admits(&parts(&headers)), admitted, "{host} {origin:?}");
    }
    assert!(!doorbell.admits(&parts(&[])));
    assert!(!doorbell.admits(&parts(&[("host", "localhost"), ("host", "localhost")])));
    assert!(!doorbell.admits(&parts(&[("host", "localhost"), ("sec-fetch-site", "cross-site")])));
    let request = http::Request::get("http://evil.example/mcp").header("host", "localhost");
    assert!(!doorbell.admits(&request.body(()).unwrap().into_parts().0));
}
