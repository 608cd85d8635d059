use super::*;

#[test]
fn a_credential_goes_over_plain_http_to_loopback_and_to_a_host_that_is_named() {
    let at = |url: &str| Upstream::at(url).unwrap();
    for url in [
        "http://127.0.0.1:1/",
        "http://127.9.9.9/",
        "http://[::1]/",
        "http://LOCALHOST/",
        "http://2130706433/",
    ] {
        at(url).credential("Bearer a").unwrap();
    }
    for url in [
        "http://tools.example/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost.example/",
        "http://127.0.0.1.example/",
        "http://localhost./",
    ] {
        let refused = at(url).credential("Bearer a").unwrap_err();
        assert!(matches!(refused, UpstreamError::PlainHttp { .. }), "{url}");
        assert!(refused.to_string().contains("--allow-plain-http"), "{refused}");
        at(url).accept_plain_http_to("other.example").credential("Bearer a").unwrap_err();
    }
    at("http://Tools.example/").accept_plain_http_to("tools.EXAMPLE").credential("B a").unwrap();
}

#[test]
fn a_server_has_a_plain_url() {
    for url in ["http://127.0.0.1:9000/mcp", "http://a.example/mcp?x=1"] {
        assert_eq!(Upstream::at(url).unwrap().url(), url);
    }
    for (url, why) in [
        ("http://user@a.example/", "a user"),
        ("http://user:word@a.example/", "a user and a password"),
        ("http://a.example/#part", "a fragment"),
        ("ftp://a.example/", "another scheme"),
        ("file:///etc/passwd", "a file"),
        ("a.example/mcp", "no scheme"),
        ("http://", "no host"),
    ] {
        let Err(UpstreamError::Url(shown)) = Upstream::at(url) else { panic!("{why}") };
        assert!(!shown.contains("word") && !shown.contains("part"), "{shown}");
    }
}

#[test]
fn a_credential_is_one_header_and_is_not_shown() {
    let upstream = || Upstream::at("http://127.0.0.1/mcp").unwrap();
    let with = upstream().credential("Bearer hidden").unwrap();
    let held = with.credential.as_ref().unwrap();
    assert!(held.is_sensitive() && !format!("{held:?} {with:?}").contains("hidden"));
    assert!(hidden(HeaderValue::from_static("Bearer a")).is_sensitive());
    let keyed = Upstream::at("http://127.0.0.1/mcp?key=secret").unwrap();
    let shown = format!("{keyed:?}");
    assert!(shown.contains("127.0.0.1/mcp…") && !shown.contains("secret"), "{shown}");
    for credential in ["Bearer a\r\nX: y", "Bearer \0"] {
        let refused = upstream().credential(credential);
        assert!(matches!(refused, Err(UpstreamError::Credential)), "{credential:?}");
    }
}
