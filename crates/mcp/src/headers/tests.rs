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
    Message::read(body.as_bytes(), None).unwrap()
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
    let allowed_hosts = AllowedHosts {
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
        assert_eq!(allowed_hosts.admits(&parts(&headers)), admitted, "{host} {origin:?}");
    }
    assert!(!allowed_hosts.admits(&parts(&[])));
    assert!(!allowed_hosts.admits(&parts(&[("host", "localhost"), ("host", "localhost")])));
    assert!(
        !allowed_hosts.admits(&parts(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]))
    );
    let request = http::Request::get("http://evil.example/mcp").header("host", "localhost");
    assert!(!allowed_hosts.admits(&request.body(()).unwrap().into_parts().0));
}

#[test]
fn whatever_two_readers_would_choose_from_stands_once() {
    for name in [
        "host",
        "origin",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "last-event-id",
        "mcp-param-region",
    ] {
        let session = ("mcp-session-id", "a");
        let once = parts(&[(name, "identity"), session]);
        let expected = match name {
            "mcp-session-id" => Err(HeaderError::Repeated(SESSION_ID)),
            _ => Ok(()),
        };
        assert_eq!(check(&once, None), expected, "{name} once");
        let twice = check(&parts(&[(name, "identity"), (name, "identity")]), None);
        let name = HeaderName::from_static(name);
        assert_eq!(twice, Err(HeaderError::Repeated(name.clone())), "{name} may stand twice");
    }
    // Lists may be sent in parts.
    assert_eq!(check(&parts(&[("accept", "a/b"), ("accept", "c/d")]), None), Ok(()));
}

#[test]
fn the_bearer_is_found_without_its_padding_and_encoded() {
    let carries = |value: &str, bearer: &str| {
        let name = HeaderName::from_static("mcp-param-x");
        match check(&parts(&[("mcp-param-x", value)]), Some(bearer)) {
            Err(error) => {
                assert_eq!(error, HeaderError::CarriesBearer(name));
                true
            }
            Ok(()) => false,
        }
    };
    let encoded = |text: &str| format!("=?base64?{}?=", STANDARD.encode(text));
    assert!(carries("see c2VjcmV0", "c2VjcmV0=="), "without its padding it passes");
    assert!(carries("see c2VjcmV0==", "c2VjcmV0=="), "with its padding it passes");
    assert!(carries(&encoded("see c2VjcmV0=="), "c2VjcmV0=="), "encoded it passes");
    assert!(carries(&encoded("see c2VjcmV0"), "c2VjcmV0="), "encoded without padding it passes");
    assert!(carries("=?base64?c2VjcmV0?=", "c2VjcmV0"), "as what is encoded it passes");
    // What no base64 reader reads is a text as it stands.
    assert!(carries("=?base64?c2VjcmV0!?=", "c2VjcmV0"), "in what looks encoded it passes");
    assert!(!carries(&encoded("something else"), "c2VjcmV0"));
}

#[test]
fn what_is_resumed_is_a_sessions() {
    let nobodys = parts(&[("last-event-id", "2")]);
    assert_eq!(check(&nobodys, None), Err(HeaderError::Missing(SESSION_ID)));
    assert_eq!(check(&parts(&[("last-event-id", "2"), ("mcp-session-id", "a")]), None), Ok(()));
}

fn message(method: &str, params: &str) -> Message {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    Message::read(body.as_bytes(), None).unwrap()
}

/// The methods whose parameter the header repeats, with the parameter, and whether clients must send it.
const NAMED: [(&str, &str, bool); 11] = [
    ("tools/call", "name", true),
    ("prompts/get", "name", true),
    ("resources/read", "uri", true),
    // No list of headers names these, or the protocol does not have them any more.
    ("resources/directory/read", "uri", false),
    ("skills/get", "uri", false),
    ("resources/subscribe", "uri", false),
    ("resources/unsubscribe", "uri", false),
    ("tasks/get", "taskId", true),
    ("tasks/result", "taskId", false),
    ("tasks/update", "taskId", true),
    ("tasks/cancel", "taskId", true),
];

#[test]
fn the_header_of_the_name_says_what_each_methods_parameter_says() {
    let version = ("mcp-protocol-version", "2026-07-28");
    for (method, parameter, demanded) in NAMED {
        let message = message(method, &format!(r#"{{"{parameter}":"a"}}"#));
        let check = |names: &[(&str, &str)]| {
            let headers = [&[JSON, version, ("mcp-method", method)], names].concat();
            check_against(&parts(&headers), &message)
        };
        assert_eq!(check(&[("mcp-name", "a")]), Ok(Era::Modern), "{method}");
        let without = match demanded {
            true => Err(HeaderError::Missing(NAME)),
            false => Ok(Era::Modern),
        };
        assert_eq!(check(&[]), without, "{method} without the header");
        let other = check(&[("mcp-name", "b")]);
        assert!(other.is_err_and(|error| error.is_mismatch()), "{method} takes another name");
    }
}

#[test]
fn no_header_stands_where_the_body_has_nothing_that_it_could_repeat() {
    let refused = |headers: &[(&str, &str)], message: &Message| {
        let checked = check_against(&parts(&[&[JSON], headers].concat()), message);
        checked.is_err_and(|error| error.is_mismatch())
    };
    let name = ("mcp-name", "a");
    for message in [
        message("ping", "{}"),
        message("tools/list", r#"{"name":"a"}"#),
        message("tools/call", r#"{"uri":"a"}"#),
        message("resources/read", r#"{"name":"a"}"#),
        message("no/such/method", r#"{"name":"a"}"#),
    ] {
        assert!(refused(&[name], &message), "{message:?} has a name in a header only");
    }
    assert!(refused(&[("mcp-method", "tools/call")], &message("ping", "{}")), "another method");
    let version = ("mcp-protocol-version", "2025-11-25");
    let modern = call(MODERN_META);
    assert!(refused(&[version, ("mcp-method", "tools/call"), ("mcp-name", "search")], &modern));
}

#[test]
fn each_header_that_the_protocol_knows_passes_in_its_direction_and_no_other_one() {
    let inwards = [
        "accept",
        "content-type",
        "user-agent",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "last-event-id",
        "traceparent",
        "tracestate",
        "baggage",
        "mcp-param-region",
    ];
    let outwards = ["content-type", "allow", "retry-after", "mcp-protocol-version"];
    let strange = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "host",
        "origin",
        "forwarded",
        "x-forwarded-for",
        "connection",
        "content-length",
        "content-encoding",
        "accept-encoding",
        "location",
        "www-authenticate",
        "mcp-session-id",
    ];
    let names = [&inwards[..], &outwards, &strange].concat();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (*name, "a")).collect();
    let headers = parts(&all).headers;
    let (forwarded, answered) = (forwarded(&headers), answered(&headers));
    for name in names {
        assert_eq!(forwarded.contains_key(name), inwards.contains(&name), "{name} to the server");
        assert_eq!(answered.contains_key(name), outwards.contains(&name), "{name} to the client");
    }
    assert_eq!(answered["cache-control"], "private, no-store", "others may keep the answer");
    let events = parts(&[("content-type", "text/event-stream")]).headers;
    assert_eq!(super::answered(&events)["x-accel-buffering"], "no", "a proxy may hold events back");
}

#[test]
fn a_page_that_says_where_it_comes_from_without_an_origin_is_looked_at() {
    for (site, admitted) in
        [("none", true), ("same-origin", true), ("same-site", false), ("cross-site", false)]
    {
        let request = parts(&[("host", "localhost"), ("sec-fetch-site", site)]);
        assert_eq!(AllowedHosts::default().admits(&request), admitted, "{site}");
    }
}
