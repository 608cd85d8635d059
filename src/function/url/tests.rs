//! URLs that lie at a site, elsewhere, or where readers disagree.

use super::*;

fn at(site: &str, url: &str) -> Option<bool> {
    Site::parse(site).unwrap().holds(url).ok()
}

#[test]
fn a_url_lies_at_a_site_or_not() {
    for (site, url) in [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com", "https://api.example.com/v1?q=a%2Fb#c"),
        ("https://api.example.com:8443", "https://api.example.com:8443/"),
        ("https://*.example.com", "https://a.b.example.com/x"),
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("https://api.example.com/v1", "https://api.example.com/v1/users/@me"),
        ("https://api.example.com/v1", "https://api.example.com/v1/projects/group%2Fname/issues"),
        ("https://api.example.com/v1", "https://api.example.com/v1/@scope%2fname"),
        ("https://api.example.com/v1", "https://api.example.com/v1/a%2Fb%2Fc?q=..%2f"),
        ("https://api.example.com/v1", "https://api.example.com/v1/%D9%85%DB%8C%E2%80%8C%D8%AE"),
        ("https://api.example.com/v1", "https://api.example.com/v1/%E6%9D%B1%E3%80%82"),
        ("https://api.example.com/v1", "https://api.example.com/v1/a%20b/%C3%A9/?q=%2F.."),
        ("https://api.example.com/v1", "https://api.example.com/v1/a;b=1/c,d/t:publish/%E6%97%A5"),
        ("https://api.example.com/v1/t:publish", "https://api.example.com/v1/t:publish"),
        ("https://api.example.com/v1", "https://api.example.com/v1/AT&T/a+b/aux/con.txt"),
        ("http://[::ffff:7f00:1]", "http://[::ffff:7f00:1]/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"),
        ("http://localhost", "http://localhost/x"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]/"),
        ("https://*", "https://example.com/x"),
        ("https://*", "https://8.8.8.8/"),
        ("https://*/hooks", "https://example.com/hooks/1"),
    ] {
        assert_eq!(at(site, url), Some(true), "{site} {url}");
    }
    for (site, url) in [
        ("https://api.example.com", "http://api.example.com/"),
        ("https://api.example.com", "https://api.example.com:8443/"),
        ("https://api.example.com", "https://api.example.com.evil.com/"),
        ("https://api.example.com", "https://evil.com/api.example.com"),
        ("https://api.example.com", "https://evil.com/?https://api.example.com"),
        ("https://*.example.com", "https://example.com/"),
        ("https://*.example.com", "https://evilexample.com/"),
        ("https://api.example.com/v1", "https://api.example.com/v10"),
        ("https://api.example.com/v1", "https://api.example.com/"),
        ("https://*", "https://localhost/"),
        ("https://*", "https://metadata.google.internal/"),
        ("https://*", "https://printer.local/"),
        ("https://*", "https://intranet/"),
        ("https://*", "https://kubernetes.default.svc/"),
        ("https://*", "https://vault.default/"),
        ("http://*", "http://168.63.129.16/machine"),
        ("https://*", "https://127.0.0.1/"),
        ("https://*", "https://169.254.169.254/latest/meta-data"),
        ("https://*", "https://[::1]/"),
        ("https://*", "https://[fe80::1]/"),
        ("https://*", "https://10.0.0.1/"),
    ] {
        assert_eq!(at(site, url), Some(false), "{site} {url}");
    }
}

#[test]
fn what_readers_take_differently_cannot_be_judged() {
    for url in [
        "https://api.example.com./",
        "https://.example.com/",
        "https://[::ffff:7f00:1]/",
        "",
        "api.example.com",
        "//api.example.com/",
        "HTTPS://api.example.com/",
        "https://API.example.com/",
        "https://api.example.com:443/",
        "https://user@api.example.com/",
        "https://user:pass@api.example.com/",
        "https://:pass@api.example.com/",
        "https://@api.example.com/",
        "https://evil.com@api.example.com/",
        "https://evil.com\\@api.example.com/",
        "https:/api.example.com/",
        "https:\\\\api.example.com\\",
        "https://api.example.com\\.evil.com/",
        "https://api.example.com/\t",
        " https://api.example.com/",
        "https://api.example.com/a b",
        "https://api.example.com/../x",
        "https://api.example.com/%2e%2e/x",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://\u{430}pi.example.com/",
        "https://api\u{3002}example.com/",
        "https://ap\u{131}.example.com/",
        "https://api.example.com\0.evil.com/",
        "https://api.example.com%2eevil.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
    ] {
        for site in ["https://api.example.com", "https://*"] {
            assert_eq!(at(site, url), None, "{site} {url:?}");
        }
    }
    for url in [
        "https://api.example.com/v1/..%2fadmin",
        "https://api.example.com/v1/..;/admin",
        "https://api.example.com/v1/%5c..",
        "https://api.example.com/v1/%252e%252e/admin",
        "https://api.example.com/v1/..%3b/admin",
        "https://api.example.com/v1/%%32%65%%32%65/admin",
        "https://api.example.com/v1/%c0%ae%c0%ae/admin",
        "https://api.example.com//v1/x",
        "https://api.example.com/%761/x",
        "https://api.example.com/x/..%2fv1",
        "https://api.example.com/v1/..%20/admin",
        "https://api.example.com/v1/.%20./x",
        "https://api.example.com/v1/..%2C/admin",
        "https://api.example.com/v1/%20/x",
        "https://api.example.com/v1/%20../x",
        "https://api.example.com/v1/..%09/x",
        "https://api.example.com/v1/..%C2%A0/x",
        "https://api.example.com/v1/%E3%80%80../x",
        "https://api.example.com/v1/..%3B/x",
        "https://api.example.com/v1/;x/y",
        "https://api.example.com/v1/..,x/y",
        "https://api.example.com/v1/..:x/y",
        "https://api.example.com/v1/%2C/y",
        "https://api.example.com/v1/..%E6%97%A5/y",
        "https://api.example.com/v1/%EF%BC%852e%EF%BC%852e/x",
        "https://api.example.com/v1/%EF%B9%AA2e/x",
        "https://api.example.com/v1/%EF%BC%8E%EF%BC%8E/x",
        "https://api.example.com/v1/..%EF%BC%8Fx",
        "https://api.example.com/v1/%25EF%25BC%25852e/x",
        "https://api.example.com/v1/%u002e%u002e/x",
        "https://api.example.com/v1/%25u002e/x",
        "https://api.example.com/v1/%e0%80%ae%e0%80%ae/x",
        "https://api.example.com/v1/..%E2%80%8B/x",
        "https://api.example.com/v1/..%C2%AD/x",
        "https://api.example.com/v1/%EF%BB%BF../x",
        "https://api.example.com/v1/..%0a/x",
        "https://api.example.com/v1/'..'/x",
        "https://api.example.com/v1;x/admin",
        "https://api.example.com/v1%20/admin",
        "https://api.example.com/v1,x/admin",
        "https://api.example.com/v1./admin",
        "https://api.example.com/v1%2Fadmin",
        "https://api.example.com/%E6%97%A5/v1/a",
        "https://api.example.com/%E6%97%A5%2Fv1/a",
        "https://api.example.com/v1%2fa/b",
        "https://api.example.com/x%2Fv1",
        "https://api.example.com/v1/a%2F..%2Fadmin",
        "https://api.example.com/v1/a%2F..",
        "https://api.example.com/v1/a%2F",
        "https://api.example.com/v1/%2Fa",
        "https://api.example.com/v1/a%2F%2Fb",
        "https://api.example.com/v1/a%252Fb",
        "https://api.example.com/v1/a%2F;x",
        "https://api.example.com/v1/a%2F.%20",
        "https://api.example.com/v1/a%5Cb",
        "https://api.example.com/v1/100%25",
        "https://api.example.com/v1&x/admin",
        "https://api.example.com/v1%7Cx/admin",
        "https://api.example.com/v1+/admin",
        "https://api.example.com/v1/..&/x",
        "https://api.example.com/v1/..&x/y",
        "https://api.example.com/v1/&x/y",
        "https://api.example.com/v1/..+/x",
        "https://api.example.com/v1/+/x",
        "https://api.example.com/v1/..e%CC%81/x",
        "https://api.example.com/v1/..%E2%91%A0/x",
        "https://api.example.com/v1e%CC%81/x",
        "https://api.example.com/e%CC%81/v1/x",
    ] {
        assert_eq!(at("https://api.example.com/v1", url), None, "{url}");
    }
}

#[test]
fn a_host_has_letters_digits_and_hyphens() {
    for label in [
        "a;b", "a,b", "a$b", "a(b", "a)b", "a'b", "a\"b", "a{b", "a}b", "a!b", "a&b", "a*b", "a+b",
        "a=b", "a~b", "a`b", "a_b", "-a", "a-",
    ] {
        for (site, url) in [
            ("https://*", format!("https://{label}.example.com/")),
            ("https://*.example.com", format!("https://{label}.example.com/")),
            ("https://*.example.com", format!("https://{label}.b.example.com/")),
            ("https://*", format!("https://{label}.com/")),
        ] {
            assert_eq!(at(site, &url), None, "{site} {url}");
        }
    }
    assert_eq!(at("https://*.example.com", "https://xn--bcher-kva.a--b.example.com/"), Some(true));
    assert_eq!(
        at("https://*.example.com", &format!("https://{}.example.com/", "l".repeat(63))),
        Some(true)
    );
    assert_eq!(
        at("https://*.example.com", &format!("https://{}.example.com/", "l".repeat(64))),
        None
    );
    let long = |last: usize| format!("https://{}{}.com/", "abcdefgh.".repeat(27), "l".repeat(last));
    assert_eq!(at("https://*", &long(6)), Some(true));
    assert_eq!(at("https://*", &long(7)), None);
}

#[test]
fn a_password_without_a_user_is_no_site() {
    assert_eq!(at("https://api.example.com", "https://:secret@api.example.com/"), None);
    assert_eq!(at("https://*", "https://:secret@api.example.com/"), None);
}

#[test]
fn a_site_is_written_exactly() {
    for site in [
        "",
        "api.example.com",
        "https://",
        "https://api.example.com?x",
        "https://api.example.com/#x",
        "https://user@api.example.com",
        "https://API.example.com",
        "https://api.example.com:443",
        "https://a.*.com",
        "https://*a.com",
        "https://*.",
        "https://example.com.",
        "https://*.10.0.0.1",
        "file:///etc",
        "https://127.1",
        "https://api.example.com/a/../b",
        "https://api.example.com/a//b",
        "https://api.example.com/a;b",
        "https://api.example.com/a./b",
        "https://api.example.com/a%20",
        "https://api.example.com/%61",
        "https://api.example.com/..%2fb",
        "https://api.example.com/a%2Fb",
        "https://api.example.com/;a",
        "https://a;b.example.com",
        "https://a_b.example.com",
        "https://*.a$b.com",
        "https://*.-a.com",
    ] {
        assert!(Site::parse(site).is_err(), "{site}");
    }
}
