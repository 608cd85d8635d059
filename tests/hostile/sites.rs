//! Sites: what holds a call to a site, a folder, a network or a pattern, and what tries to get out of it by being
//! read differently elsewhere.

use serde_json::{Value, json};

use crate::case::{Case, Sent};
use crate::chain::Chain;

/// A text that is clearly outside, and one that has not the form that is asked about.
const OUTSIDE: &str = "check_failed";
const UNCLEAR: &str = "not_evaluable";

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(of_a_host());
    cases.extend(of_the_public_internet());
    cases.extend(below_a_path());
    cases.extend(in_a_folder());
    cases.extend(of_a_network());
    cases.extend(of_a_pattern());
    cases.extend(resources());
    cases.extend(operands_and_values());
    cases
}

fn of_a_host() -> Vec<Case> {
    let one = [
        ("another scheme", "http://api.example.com/", OUTSIDE),
        ("a web socket", "wss://api.example.com/", OUTSIDE),
        ("another port", "https://api.example.com:8443/", OUTSIDE),
        ("a domain behind", "https://api.example.com.evil.net/", OUTSIDE),
        ("the host in the path", "https://evil.net/api.example.com", OUTSIDE),
        ("the host in the query", "https://evil.net/?https://api.example.com/", OUTSIDE),
        ("the host in the fragment", "https://evil.net/#api.example.com", OUTSIDE),
        ("a letter more", "https://xapi.example.com/", OUTSIDE),
        ("in Punycode", "https://xn--pi-6kc.example.com/", OUTSIDE),
        ("the host as a user", "https://api.example.com@evil.net/", UNCLEAR),
        ("the host as a user with a port", "https://api.example.com:443@evil.net/", UNCLEAR),
        ("a user", "https://evil.net@api.example.com/", UNCLEAR),
        ("a backslash", "https://evil.net\\@api.example.com/", UNCLEAR),
        ("a backslash behind the host", "https://api.example.com\\.evil.net/", UNCLEAR),
        ("a dot behind", "https://api.example.com./", UNCLEAR),
        ("capitals", "https://API.example.com/", UNCLEAR),
        ("the usual port", "https://api.example.com:443/", UNCLEAR),
        ("a Cyrillic letter", "https://\u{430}pi.example.com/", UNCLEAR),
        ("an ideographic dot", "https://api\u{3002}example.com/", UNCLEAR),
        ("a NUL", "https://api.example.com\0.evil.net/", UNCLEAR),
        ("a line's end", "https://api.example.com/\r\nHost: evil.net", UNCLEAR),
        ("a tab", "https://api.exam\tple.com/", UNCLEAR),
        ("a space first", " https://api.example.com/", UNCLEAR),
        ("an escape in the host", "https://api.example.com%2eevil.net/", UNCLEAR),
        ("one slash", "https:/api.example.com/", UNCLEAR),
        ("no scheme", "//api.example.com/", UNCLEAR),
        ("a script", "javascript:'https://api.example.com/'", UNCLEAR),
        ("data", "data:text/html,https://api.example.com/", UNCLEAR),
        ("a file with the host", "file://api.example.com/etc/passwd", UNCLEAR),
        ("a blob", "blob:https://api.example.com/1", UNCLEAR),
    ];
    let below = [
        ("the domain itself", "https://example.com/", OUTSIDE),
        ("a domain that ends so", "https://evilexample.com/", OUTSIDE),
        ("a domain behind", "https://a.example.com.evil.net/", OUTSIDE),
        ("an empty label", "https://.example.com/", UNCLEAR),
        ("two dots", "https://a..example.com/", UNCLEAR),
        ("a label of 64 letters", "https://LABEL.example.com/", UNCLEAR),
    ];
    let mut cases: Vec<Case> = one
        .map(|(what, url, cause)| {
            held(&format!("a host, {what}"), "hardtack_url", "https://api.example.com", url, cause)
        })
        .into();
    cases.extend(below.map(|(what, url, cause)| {
        let url = url.replace("LABEL", &"l".repeat(64));
        held(&format!("below a host, {what}"), "hardtack_url", "https://*.example.com", &url, cause)
    }));
    cases
}

fn of_the_public_internet() -> Vec<Case> {
    [
        ("this machine", "http://localhost/", OUTSIDE),
        ("this machine, below", "http://app.localhost/", OUTSIDE),
        ("this machine's address", "http://127.0.0.1/", OUTSIDE),
        ("this machine's other address", "http://127.8.8.8/", OUTSIDE),
        ("no address", "http://0.0.0.0/", OUTSIDE),
        ("a private address", "http://10.0.0.1/", OUTSIDE),
        ("the end of a private network", "http://172.31.255.255/", OUTSIDE),
        ("an address at home", "http://192.168.1.1/", OUTSIDE),
        ("the metadata of a cloud", "http://169.254.169.254/latest/meta-data/", OUTSIDE),
        ("the host agent of a cloud", "http://168.63.129.16/machine", OUTSIDE),
        ("a carrier's address", "http://100.64.0.1/", OUTSIDE),
        ("multicast", "http://224.0.0.1/", OUTSIDE),
        ("everybody here", "http://255.255.255.255/", OUTSIDE),
        ("this machine in IPv6", "http://[::1]/", OUTSIDE),
        ("no address in IPv6", "http://[::]/", OUTSIDE),
        ("a link's address", "http://[fe80::1]/", OUTSIDE),
        ("a local address in IPv6", "http://[fd00::1]/", OUTSIDE),
        ("the metadata of a cloud in IPv6", "http://[fd00:ec2::254]/", OUTSIDE),
        ("a name inside", "http://metadata.google.internal/", OUTSIDE),
        ("a name of a cluster", "http://kubernetes.default.svc/", OUTSIDE),
        ("a name without a dot", "http://intranet/", OUTSIDE),
        ("a name at home", "http://printer.local/", OUTSIDE),
        ("a hidden service", "http://abcdef.onion/", OUTSIDE),
        ("a mapped address", "http://[::ffff:7f00:1]/", UNCLEAR),
        ("a compatible address", "http://[::7f00:1]/", UNCLEAR),
        ("a translated address", "http://[64:ff9b::7f00:1]/", UNCLEAR),
        ("an address in 6to4", "http://[2002:7f00:1::]/", UNCLEAR),
        ("an address in Teredo", "http://[2001::1]/", UNCLEAR),
        ("a decimal address", "http://2130706433/", UNCLEAR),
        ("an octal address", "http://0177.0.0.1/", UNCLEAR),
        ("a hexadecimal address", "http://0x7f000001/", UNCLEAR),
        ("a short address", "http://127.1/", UNCLEAR),
        ("this machine with a dot behind", "http://localhost./", UNCLEAR),
        ("a public name with a private user", "http://localhost@example.com/", UNCLEAR),
        ("a cloud's own domain", "http://host.openstacklocal/", OUTSIDE),
        ("a router's page", "http://fritz.box/", OUTSIDE),
        ("a name with an address in it", "http://169.254.169.254.nip.io/", OUTSIDE),
        ("a name of this machine", "http://app.localtest.me/", OUTSIDE),
        ("the metadata of a cloud by name", "http://metadata.goog/", OUTSIDE),
        ("a host with a semicolon", "http://localhost;.example.com/", UNCLEAR),
        ("a host with a quote", "http://localhost'.example.com/", UNCLEAR),
        ("a host with a dollar sign", "http://localhost$.example.com/", UNCLEAR),
        ("a password without a user", "http://:secret@example.com/", UNCLEAR),
    ]
    .map(|(what, url, cause)| {
        held(&format!("the public internet, {what}"), "hardtack_url", "http://*", url, cause)
    })
    .into()
}

fn below_a_path() -> Vec<Case> {
    [
        ("a longer segment", "https://api.example.com/v10", OUTSIDE),
        ("above", "https://api.example.com/", OUTSIDE),
        ("the path in the query", "https://api.example.com/?/v1", OUTSIDE),
        ("the path in the fragment", "https://api.example.com/#/v1", OUTSIDE),
        ("in capitals", "https://api.example.com/V1/x", OUTSIDE),
        ("below something else", "https://api.example.com/x/v1", OUTSIDE),
        ("a step up", "https://api.example.com/v1/../admin", UNCLEAR),
        ("a step up with an escaped slash", "https://api.example.com/v1/..%2fadmin", UNCLEAR),
        ("a step up in escapes, twice", "https://api.example.com/v1/%252e%252e/admin", UNCLEAR),
        ("a step up with a parameter", "https://api.example.com/v1/..;/admin", UNCLEAR),
        ("a step up in overlong letters", "https://api.example.com/v1/%c0%ae%c0%ae/admin", UNCLEAR),
        ("a step up with an escaped backslash", "https://api.example.com/v1/..%5cadmin", UNCLEAR),
        ("an escaped letter", "https://api.example.com/%761/x", UNCLEAR),
        ("an escaped slash", "https://api.example.com/v1%2fx", UNCLEAR),
        ("an escaped NUL", "https://api.example.com/v1/x%00", UNCLEAR),
        ("an escape that is none", "https://api.example.com/v1/%zz", UNCLEAR),
        ("two slashes first", "https://api.example.com//v1/x", UNCLEAR),
        ("two slashes within", "https://api.example.com/v1//x", UNCLEAR),
        ("three dots", "https://api.example.com/v1/.../x", UNCLEAR),
        ("a step up and an escaped space", "https://api.example.com/v1/..%20/admin", UNCLEAR),
        ("an escaped space in a step up", "https://api.example.com/v1/.%20./x", UNCLEAR),
        ("a step up and an escaped comma", "https://api.example.com/v1/..%2C/admin", UNCLEAR),
        (
            "a fullwidth percent sign",
            "https://api.example.com/v1/%EF%BC%852e%EF%BC%852e/x",
            UNCLEAR,
        ),
        ("a small percent sign", "https://api.example.com/v1/%EF%B9%AA2e%EF%B9%AA2e/x", UNCLEAR),
        ("a segment of a space", "https://api.example.com/v1/%20/x", UNCLEAR),
        ("a segment of a parameter", "https://api.example.com/v1/;a/x", UNCLEAR),
        ("a parameter behind the path", "https://api.example.com/v1;a/x", UNCLEAR),
        ("an escape of another kind", "https://api.example.com/v1/%u002e%u002e/x", UNCLEAR),
    ]
    .map(|(what, url, cause)| {
        held(
            &format!("below a path, {what}"),
            "hardtack_url",
            "https://api.example.com/v1",
            url,
            cause,
        )
    })
    .into()
}

fn in_a_folder() -> Vec<Case> {
    [
        ("beside it", "/srv/data2/x", OUTSIDE),
        ("beside it with a dot", "/srv/data.bak", OUTSIDE),
        ("above it", "/srv", OUTSIDE),
        ("the root", "/", OUTSIDE),
        ("another", "/etc/passwd", OUTSIDE),
        ("capitals", "/srv/Data/x", OUTSIDE),
        ("a Cyrillic letter", "/srv/d\u{430}ta/x", OUTSIDE),
        ("out", "/srv/data/../keys", UNCLEAR),
        ("out at the end", "/srv/data/..", UNCLEAR),
        ("out further down", "/srv/data/a/../../keys", UNCLEAR),
        ("out and in again", "/srv/data/../data/x", UNCLEAR),
        ("in by another way", "/srv/x/../data/y", UNCLEAR),
        ("beyond the root and in", "/../srv/data/x", UNCLEAR),
        ("from here", "srv/data/x", UNCLEAR),
        ("from here with a dot", "./srv/data/x", UNCLEAR),
        ("from home", "~/srv/data/x", UNCLEAR),
        ("two slashes first", "//srv/data/x", UNCLEAR),
        ("a backslash", "/srv/data/..\\..\\keys", UNCLEAR),
        ("a drive", "C:\\srv\\data\\x", UNCLEAR),
        ("a share", "\\\\server\\srv\\data", UNCLEAR),
        ("a step in escapes", "/srv/data/%2e%2e/keys", UNCLEAR),
        ("a step in escapes, twice", "/srv/data/%252e%252e/keys", UNCLEAR),
        ("a step in fullwidth dots", "/srv/data/\u{ff0e}\u{ff0e}/keys", UNCLEAR),
        ("a step with two dots in one", "/srv/data/\u{2025}/keys", UNCLEAR),
        ("a slash that is none", "/srv/data/..\u{2215}keys", UNCLEAR),
        ("a step with a space", "/srv/data/.. /keys", UNCLEAR),
        ("a step with a parameter", "/srv/data/..;x/keys", UNCLEAR),
        ("three dots", "/srv/data/.../keys", UNCLEAR),
        ("a NUL", "/srv/data/x\0.txt", UNCLEAR),
        ("a line's end", "/srv/data/x\ny", UNCLEAR),
        ("an override of the direction", "/srv/data/\u{202e}txt.exe", UNCLEAR),
        ("a yen sign", "/srv/data/..\u{a5}keys", UNCLEAR),
        ("a URL", "file:///srv/data/x", UNCLEAR),
        ("nothing", "", UNCLEAR),
        ("segments of spaces", "/srv/data/ / / /../../../etc/passwd", UNCLEAR),
        ("segments of parameters", "/srv/data/;a/;b/;c/../../../etc/passwd", UNCLEAR),
        ("segments of wide spaces", "/srv/data/\u{3000}/\u{a0}/../../etc", UNCLEAR),
        ("segments of another script", "/srv/data/\u{65e5}/\u{672c}/../../x", UNCLEAR),
        ("a step with a comma", "/srv/data/..,/etc", UNCLEAR),
        ("a fullwidth percent sign", "/srv/data/\u{ff05}2e\u{ff05}2e/etc", UNCLEAR),
        ("a drive within", "/srv/data/C:/keys", UNCLEAR),
        ("a parameter behind it", "/srv/data;x/keys", UNCLEAR),
    ]
    .map(|(what, path, cause)| {
        held(&format!("a folder, {what}"), "hardtack_path", "/srv/data", path, cause)
    })
    .into()
}

fn of_a_network() -> Vec<Case> {
    [
        ("the next network", "11.0.0.0", OUTSIDE),
        ("the last before it", "9.255.255.255", OUTSIDE),
        ("IPv6", "2001:db8::1", OUTSIDE),
        ("this machine in IPv6", "::1", OUTSIDE),
        ("mapped", "::ffff:10.0.0.1", UNCLEAR),
        ("mapped, in groups", "::ffff:a00:1", UNCLEAR),
        ("compatible", "::10.0.0.1", UNCLEAR),
        ("translated", "64:ff9b::a00:1", UNCLEAR),
        ("in 6to4", "2002:a00:1::1", UNCLEAR),
        ("in ISATAP", "2620::5efe:a00:1", UNCLEAR),
        ("decimal", "167772161", UNCLEAR),
        ("octal", "012.0.0.1", UNCLEAR),
        ("with zeros", "10.0.0.001", UNCLEAR),
        ("hexadecimal", "0xa.0.0.1", UNCLEAR),
        ("short", "10.1", UNCLEAR),
        ("with a port", "10.0.0.1:80", UNCLEAR),
        ("with a length", "10.0.0.1/8", UNCLEAR),
        ("with a space", "10.0.0.1 ", UNCLEAR),
        ("with a line's end", "10.0.0.1\n", UNCLEAR),
        ("with a dot behind", "10.0.0.1.", UNCLEAR),
        ("in fullwidth digits", "\u{ff11}0.0.0.1", UNCLEAR),
        ("a zone", "fe80::1%eth0", UNCLEAR),
        ("in brackets", "[2001:db8::1]", UNCLEAR),
        ("capitals", "2001:DB8::1", UNCLEAR),
        ("a name", "ten.example.com", UNCLEAR),
        ("a list", "10.0.0.1,11.0.0.1", UNCLEAR),
        ("nothing", "", UNCLEAR),
    ]
    .map(|(what, address, cause)| {
        held(&format!("a network, {what}"), "hardtack_network", "10.0.0.0/8", address, cause)
    })
    .into()
}

fn of_a_pattern() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("something before", "my report-1.pdf", OUTSIDE),
        ("something behind", "report-1.pdf.exe", OUTSIDE),
        ("a slash", "report-a/b.pdf", OUTSIDE),
        ("capitals", "Report-1.pdf", UNCLEAR),
        ("a stream of another file", "report-x.exe:.pdf", UNCLEAR),
        ("a parameter", "report-x.exe;.pdf", UNCLEAR),
        ("a fragment", "report-x.exe#.pdf", UNCLEAR),
        ("a dot behind", "report-1.pdf.", UNCLEAR),
        ("a blank behind", "report-1.pdf ", UNCLEAR),
        ("a fullwidth letter", "report-1.pd\u{ff46}", UNCLEAR),
        ("an escaped letter", "report-1.pd%66", UNCLEAR),
        ("a short name", "REPORT~1.pdf", UNCLEAR),
        ("a soft hyphen", "report-\u{ad}.pdf", UNCLEAR),
        ("a Cyrillic letter", "r\u{435}port-1.pdf", OUTSIDE),
        ("the pattern's own stem", "report-", OUTSIDE),
        ("a step up", "report-/../x.pdf", UNCLEAR),
        ("an escaped slash", "report-%2f.pdf", UNCLEAR),
        ("an escaped step up", "report-..%2f..%2fx.pdf", UNCLEAR),
        ("a backslash", "report-\\..\\x.pdf", UNCLEAR),
        ("a NUL", "report-1.exe\0.pdf", UNCLEAR),
        ("a line's end", "report-1.pdf\n", UNCLEAR),
        ("an override of the direction", "report-\u{202e}fdp.exe.pdf", UNCLEAR),
        ("a zero-width space", "report-\u{200b}.pdf", UNCLEAR),
        ("a fullwidth slash", "report-\u{ff0f}x.pdf", UNCLEAR),
        ("two slashes", "report-//x.pdf", UNCLEAR),
    ]
    .map(|(what, text, cause)| {
        held(&format!("a pattern, {what}"), "hardtack_glob", "report-*.pdf", text, cause)
    })
    .into();
    cases.push(held("a pattern, two letters for one", "hardtack_glob", "?.txt", "ab.txt", OUTSIDE));
    cases.push(held("a pattern, a slash for a letter", "hardtack_glob", "a?b", "a/b", OUTSIDE));
    cases
}

/// The resource of the call, whose form was looked at before.
fn resources() -> Vec<Case> {
    let url = r#"check all resource($r), $r.extern::hardtack_url("https://docs.example.com/v1")"#;
    let glob = r#"check all resource($r), $r.extern::hardtack_glob("file:/**")"#;
    let case = |what: &str, block: usize, check: &str, call: Sent, cause| {
        let bearer = Chain::of(1).block(block, |said| said.check(check)).bearer();
        Case::refused(format!("urls/a resource, {what}"), bearer, cause, Some(block)).calls(call)
    };
    let of = |url: &str| Sent::search().resource(url);
    let at = |what: &str, resource: &str, cause| case(what, 1, url, of(resource), cause);
    let file = r#"check all resource($r), $r.extern::hardtack_path("file:///srv/data")"#;
    let below = |what: &str, resource: &str, cause| {
        case(&format!("a folder, {what}"), 1, file, of(resource), cause)
    };
    vec![
        case("a folder and none", 1, file, Sent::search(), OUTSIDE),
        below("beside it", "file:///srv/database", OUTSIDE),
        below("above it", "file:///srv", OUTSIDE),
        below("a step up with escaped slashes", "file:///srv/data/..%2f..%2fetc/passwd", UNCLEAR),
        below("a step up with an escaped backslash", "file:///srv/data/..%5cetc", UNCLEAR),
        below("a step up with an escaped space", "file:///srv/data/..%20/etc", UNCLEAR),
        below("escapes, twice", "file:///srv/data/%252e%252e/etc", UNCLEAR),
        below("overlong letters", "file:///srv/data/%c0%ae%c0%ae/etc", UNCLEAR),
        below("fullwidth dots", "file:///srv/data/%EF%BC%8E%EF%BC%8E/etc", UNCLEAR),
        below("a segment of a parameter", "file:///srv/data/;a/x", UNCLEAR),
        below("two slashes", "file:///srv/data//x", UNCLEAR),
        below("a host", "file://server/srv/data/x", UNCLEAR),
        below("a query", "file:///srv/data/x?/../..", UNCLEAR),
        below("another scheme", "https://srv/data/x", UNCLEAR),
        case("none, granted", 0, url, Sent::search(), OUTSIDE),
        case("none, passed on", 1, url, Sent::search(), OUTSIDE),
        case("none, presented", 2, url, Sent::search(), OUTSIDE),
        at("in the arguments only", "https://evil.example/?https://docs.example.com/v1", OUTSIDE),
        at("another path", "https://docs.example.com/v2", OUTSIDE),
        at("a user", "https://docs.example.com@evil.example/v1", UNCLEAR),
        at("a dot behind the host", "https://docs.example.com./v1", UNCLEAR),
        at("a file with the host", "file://docs.example.com/v1", UNCLEAR),
        at("a step up with an escaped slash", "https://docs.example.com/v1/..%2fadmin", UNCLEAR),
        at("two slashes", "https://docs.example.com//v1", UNCLEAR),
        case("a pattern and three slashes", 1, glob, of("file:///etc/passwd"), UNCLEAR),
        case("another, presented", 2, url, of("https://docs.example.com/"), OUTSIDE),
    ]
}

/// What nothing can be compared with, and values that are no text.
fn operands_and_values() -> Vec<Case> {
    let wrong = [
        ("a folder from here", "hardtack_path", "srv/data", "/srv/data/x"),
        ("a folder with a step up", "hardtack_path", "/srv/../srv/data", "/srv/data/x"),
        ("a folder with a star", "hardtack_path", "/srv/*", "/srv/data/x"),
        ("no folder", "hardtack_path", "", "/srv/data/x"),
        ("a site without a scheme", "hardtack_url", "api.example.com", "https://api.example.com/"),
        ("a site with a star within", "hardtack_url", "https://a.*.com", "https://a.b.com/"),
        (
            "a site with a user",
            "hardtack_url",
            "https://u@api.example.com",
            "https://api.example.com/",
        ),
        ("a site of files", "hardtack_url", "file:///srv", "file:///srv/x"),
        ("a network with bits beyond", "hardtack_network", "10.0.0.1/8", "10.0.0.1"),
        ("a network of 33 bits", "hardtack_network", "10.0.0.0/33", "10.0.0.1"),
        ("a pattern of a class", "hardtack_glob", "[a-z]", "a"),
        ("a pattern of three stars", "hardtack_glob", "***", "a"),
        ("no pattern", "hardtack_glob", "", ""),
        (
            "a pattern of a URL",
            "hardtack_glob",
            "https://*.example.com/*",
            "https://a.example.com/x",
        ),
    ];
    let mut cases: Vec<Case> = wrong
        .map(|(what, function, operand, value)| {
            held(&format!("held to {what}"), function, operand, value, UNCLEAR)
        })
        .into();
    let long = format!("/srv/data/{}", "x".repeat(4087));
    let folder = format!("/{}", "x".repeat(512));
    cases.push(held(
        "a folder, more bytes than are read",
        "hardtack_path",
        "/srv/data",
        &long,
        UNCLEAR,
    ));
    cases.push(held(
        "held to more bytes than are read",
        "hardtack_path",
        &folder,
        &folder,
        UNCLEAR,
    ));
    let values = [
        ("a number", json!(7)),
        ("a truth value", json!(true)),
        ("null", json!(null)),
        ("an array", json!(["/srv/data/x"])),
        ("an object", json!({ "path": "/srv/data/x" })),
        ("a number with a fraction", json!(1.5)),
    ];
    cases.extend(values.map(|(what, value)| {
        held_to(&format!("a folder, {what}"), "", "hardtack_path", "/srv/data", &value, UNCLEAR)
    }));
    // What cannot be judged is no more outside than inside.
    let but = |what: &str, function, operand, value: &str, cause| {
        held_to(&format!("anything but {what}"), "!", function, operand, &json!(value), cause)
    };
    cases.extend([
        but("a folder, which it is", "hardtack_path", "/etc", "/etc/passwd", OUTSIDE),
        but("a folder, by a step up", "hardtack_path", "/etc", "/srv/../etc/passwd", UNCLEAR),
        but("a folder, from here", "hardtack_path", "/etc", "etc/passwd", UNCLEAR),
        but("a network, which it is", "hardtack_network", "10.0.0.0/8", "10.1.1.1", OUTSIDE),
        but("a network, mapped", "hardtack_network", "10.0.0.0/8", "::ffff:10.1.1.1", UNCLEAR),
        but("a network, decimal", "hardtack_network", "10.0.0.0/8", "167772161", UNCLEAR),
        but(
            "a site, which it is",
            "hardtack_url",
            "http://localhost",
            "http://localhost/",
            OUTSIDE,
        ),
        but(
            "a site, with a dot behind",
            "hardtack_url",
            "http://localhost",
            "http://localhost./",
            UNCLEAR,
        ),
        but(
            "a site, in capitals",
            "hardtack_url",
            "http://localhost",
            "http://LOCALHOST/",
            UNCLEAR,
        ),
        but("a pattern, which it is", "hardtack_glob", "*.exe", "a.exe", OUTSIDE),
        but("a pattern, with a NUL", "hardtack_glob", "*.exe", "a.exe\0", UNCLEAR),
        but("a pattern, with an escape", "hardtack_glob", "*.exe", "a%2eexe", UNCLEAR),
        but("a pattern, with a dot behind", "hardtack_glob", "*.exe", "a.exe.", UNCLEAR),
        but("a pattern, with a stream", "hardtack_glob", "*.exe", "a.exe:x", UNCLEAR),
        but("a pattern, in capitals", "hardtack_glob", "*.exe", "a.EXE", UNCLEAR),
        but("a pattern, with a slash behind", "hardtack_glob", "*.exe", "a.exe/", UNCLEAR),
    ]);
    cases
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let longest = format!("/srv/data/{}", "x".repeat(4086));
    let table = [
        ("a host", "hardtack_url", "https://api.example.com", "https://api.example.com/v1?q=%2F"),
        ("below a host", "hardtack_url", "https://*.example.com", "https://a.b.example.com/"),
        ("the public internet", "hardtack_url", "http://*", "http://8.8.8.8/"),
        (
            "below a path",
            "hardtack_url",
            "https://api.example.com/v1",
            "https://api.example.com/v1/x",
        ),
        ("a folder", "hardtack_path", "/srv/data", "/srv/data/a/../b"),
        (
            "a folder, with blanks and signs in names",
            "hardtack_path",
            "/srv/data",
            "/srv/data/my file; a, b.txt",
        ),
        ("a folder, as many bytes as are read", "hardtack_path", "/srv/data", &longest),
        ("a network", "hardtack_network", "10.0.0.0/8", "10.255.255.255"),
        ("a pattern", "hardtack_glob", "report-*.pdf", "report-2026.pdf"),
    ];
    let file = r#"check all resource($r), $r.extern::hardtack_path("file:///srv/data")"#;
    let bounded = Chain::of(1).block(1, |said| said.check(file)).bearer();
    let resource = Case::accepted("urls/a resource, in a folder".to_owned(), bounded)
        .calls(Sent::search().resource("file:///srv/data/my%20file.txt"));
    let mut cases: Vec<Case> = table
        .map(|(what, function, operand, value)| {
            let (chain, call) = constrained("", function, operand, &json!(value));
            Case::accepted(format!("urls/within {what}"), chain.bearer()).calls(call)
        })
        .into();
    cases.push(resource);
    cases
}

fn held(what: &str, function: &str, operand: &str, value: &str, cause: &'static str) -> Case {
    held_to(what, "", function, operand, &json!(value), cause)
}

fn held_to(
    what: &str,
    not: &str,
    function: &str,
    operand: &str,
    value: &Value,
    cause: &'static str,
) -> Case {
    let (chain, call) = constrained(not, function, operand, value);
    Case::refused(format!("urls/within {what}"), chain.bearer(), cause, Some(1)).calls(call)
}

/// A hop that holds the argument `to` to the operand, and a call with this value for it.
fn constrained(not: &str, function: &str, operand: &str, value: &Value) -> (Chain, Sent) {
    let check = format!(r#"check all arg("to", $to), {not}$to.extern::{function}("{operand}")"#);
    let chain = Chain::of(1).block(1, |said| said.check(&check));
    (chain, Sent::search().arguments(&json!({ "to": value }).to_string()))
}
