//! URLs: is the resource of a call one that every reader takes alike, and of a scheme that is judged? What checks
//! say of it is asked in `sites`.

use crate::case::{Case, Sent, Server};
use crate::chain::Chain;

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(no_normal_form());
    cases.extend(no_urls());
    cases.extend(schemes());
    cases.extend(spellings());
    cases
}

/// URLs that have a normal form, which is another.
fn no_normal_form() -> Vec<Case> {
    let urls = [
        ("a scheme in capitals", "HTTPS://docs.example/a"),
        ("a host in capitals", "https://DOCS.example/a"),
        ("one letter of the host in capitals", "https://dOcs.example/a"),
        ("no slash behind the host", "https://docs.example"),
        ("one slash", "https:/docs.example/a"),
        ("no slashes", "https:docs.example/a"),
        ("three slashes", "https:///docs.example/a"),
        ("backslashes", "https:\\\\docs.example\\a"),
        ("a backslash in the path", "https://docs.example/a\\b"),
        ("a backslash before the user's sign", "https://docs.example\\@evil.example/a"),
        ("the usual port", "https://docs.example:443/a"),
        ("the usual port of http", "http://docs.example:80/a"),
        ("a port with zeros", "https://docs.example:08443/a"),
        ("no port behind its colon", "https://docs.example:/a"),
        ("a step up", "https://docs.example/a/../b"),
        ("a step up at the end", "https://docs.example/a/.."),
        ("steps beyond the root", "https://docs.example/../../a"),
        ("a step here", "https://docs.example/./a"),
        ("a step here at the end", "https://docs.example/a/."),
        ("a step up in escapes", "https://docs.example/a/%2e%2e/b"),
        ("a step up in escapes with capitals", "https://docs.example/a/%2E%2E/b"),
        ("a step up, half in escapes", "https://docs.example/a/.%2e/b"),
        ("a step here in escapes", "https://docs.example/%2e/a"),
        ("a step up with backslashes", "https://docs.example/a\\..\\b"),
        ("a step up in a file", "file:///srv/docs/../keys"),
        ("a step up in escapes, in a file", "file:///srv/docs/%2e%2e/keys"),
        ("a space in the path", "https://docs.example/a b"),
        ("a space first", " https://docs.example/a"),
        ("a space last", "https://docs.example/a "),
        ("a tab", "https://docs.example/a\tb"),
        ("a tab in the scheme", "ht\ttps://docs.example/a"),
        ("a line's end in the host", "https://docs.exa\nmple/a"),
        ("a line's end in the path", "https://docs.example/a\r\nHost: evil.example"),
        ("a NUL last", "https://docs.example/a\0"),
        ("an escape sequence last", "https://docs.example/a\u{1b}"),
        ("an empty user", "https://@docs.example/a"),
        ("an empty user and password", "https://:@docs.example/a"),
        ("a password alone behind its colon", "https://user:@docs.example/a"),
        ("two user's signs", "https://a@b@docs.example/a"),
        ("a decimal address", "http://2130706433/a"),
        ("an octal address", "http://0177.0.0.1/a"),
        ("a hexadecimal address", "http://0x7f.0.0.1/a"),
        ("a hexadecimal address in one", "http://0x7f000001/a"),
        ("a short address", "http://127.1/a"),
        ("an address of three parts", "http://127.0.1/a"),
        ("an address with zeros", "http://127.000.000.001/a"),
        ("an address with a dot behind", "http://127.0.0.1./a"),
        ("an address in fullwidth digits", "http://\u{ff11}27.0.0.1/a"),
        ("an address in circled digits", "http://\u{2460}27.0.0.1/a"),
        ("an address in escapes", "http://%31%32%37.0.0.1/a"),
        ("a long address of IPv6", "http://[0:0:0:0:0:0:0:1]/a"),
        ("an address of IPv6 with zeros", "http://[2001:0db8::1]/a"),
        ("an address of IPv6 in capitals", "http://[2001:DB8::1]/a"),
        ("a mapped address with dots", "http://[::ffff:127.0.0.1]/a"),
        ("a host in another script", "https://b\u{fc}cher.example/a"),
        ("a host with a Cyrillic letter", "https://d\u{43e}cs.example/a"),
        ("a host with a fullwidth letter", "https://\u{ff44}ocs.example/a"),
        ("a host with an ideographic dot", "https://docs\u{3002}example/a"),
        ("a host with a soft hyphen", "https://do\u{ad}cs.example/a"),
        ("a host with a zero-width space", "https://do\u{200b}cs.example/a"),
        ("a host with a Kelvin sign", "https://boo\u{212a}s.example/a"),
        ("a host with a sharp s", "https://stra\u{df}e.example/a"),
        ("a host with an account sign", "https://\u{2100}.example/a"),
        ("a host with an escape", "https://docs%2eexample/a"),
        ("a host with an escaped letter", "https://%64ocs.example/a"),
        ("a letter with its accent in the path", "https://docs.example/caf\u{e9}"),
        ("an accent that combines in the path", "https://docs.example/cafe\u{301}"),
        ("an override of the direction in the path", "https://docs.example/\u{202e}fdp"),
        ("a quote in the path", "https://docs.example/\"a\""),
        ("angle brackets in the path", "https://docs.example/<a>"),
        ("braces in the path", "https://docs.example/{id}"),
        ("a backquote in the path", "https://docs.example/`id`"),
        ("a quote in the query", "https://docs.example/?q='a'"),
        ("a space in the query", "https://docs.example/?q=a b"),
        ("a space in the fragment", "https://docs.example/#a b"),
        ("a file with one slash", "file:/srv/docs/a"),
        ("a file with a host that is this one", "file://localhost/srv/docs/a"),
        ("a file with a drive and a pipe", "file:///C|/keys"),
        ("a file with nothing but a drive and a pipe", "file:///c|"),
        ("a file with a drive and a pipe, and a query", "file:///C|?a"),
        ("a file with backslashes", "file:\\\\server\\share"),
        ("a file and two slashes", "file://srv/../../keys"),
    ];
    urls.map(|(what, url)| inexact(what, url)).into()
}

/// What is no URL at all.
fn no_urls() -> Vec<Case> {
    let long = format!("https://docs.example/{}", "a".repeat(7980));
    [
        ("nothing", ""),
        ("a space", " "),
        ("a path", "/srv/docs/a"),
        ("a path from here", "docs/a"),
        ("a path with a drive's slashes", "\\\\server\\share\\a"),
        ("a host", "docs.example/a"),
        ("two slashes and a host", "//docs.example/a"),
        ("no host", "https://"),
        ("no host and a path", "https:///"),
        ("no host but a port", "https://:443/a"),
        ("no host but a user", "https://user@/a"),
        ("no host but a query", "https://?a"),
        ("no host but a fragment", "https://#a"),
        ("no scheme", "://docs.example/a"),
        ("a scheme that begins with a digit", "1https://docs.example/a"),
        ("a scheme with a space", "http s://docs.example/a"),
        ("a scheme with a Cyrillic letter", "http\u{455}://docs.example/a"),
        ("a port beyond all", "https://docs.example:65536/a"),
        ("a port that is none", "https://docs.example:x/a"),
        ("a negative port", "https://docs.example:-1/a"),
        ("two ports", "https://docs.example:80:443/a"),
        ("an address with five parts", "http://127.0.0.0.1/a"),
        ("an address beyond all", "http://256.0.0.1/a"),
        ("a decimal address beyond all", "http://4294967296/a"),
        ("an octal digit that is none", "http://0189.0.0.1/a"),
        ("an open bracket", "http://[::1/a"),
        ("a zone", "http://[fe80::1%25eth0]/a"),
        ("a zone without its escape", "http://[fe80::1%eth0]/a"),
        ("nine groups", "http://[1:2:3:4:5:6:7:8:9]/a"),
        ("two gaps", "http://[1::2::3]/a"),
        ("IPv6 without brackets", "http://::1/a"),
        ("something behind the brackets", "http://[::1].evil.example/a"),
        ("a host with a space", "https://docs .example/a"),
        ("a host with an escaped NUL", "https://docs%00.example/a"),
        ("a host with an escaped slash", "https://docs%2f.example/a"),
        ("a host with an escaped user's sign", "https://docs%40evil.example/a"),
        ("a host with a caret", "https://docs^.example/a"),
        ("a host with a pipe", "https://docs|evil.example/a"),
        ("a host in Punycode that is none", "https://xn--a.example/a"),
        ("a host of nothing that prints", "https://\u{ad}/a"),
        ("more bytes than a resource has", &long),
    ]
    .map(|(what, url)| inexact(what, url))
    .into()
}

/// Normal URLs of schemes that this server does not judge.
fn schemes() -> Vec<Case> {
    let calls = [
        ("a script", "javascript:alert(1)"),
        ("another script", "vbscript:msgbox(1)"),
        ("a page about nothing", "about:blank"),
        ("ftp", "ftp://docs.example/a"),
        ("a web socket", "wss://docs.example/a"),
        ("mail", "mailto:alice@docs.example"),
        ("a name", "urn:isbn:0451450523"),
        ("a telephone", "tel:+41446681800"),
        ("gopher", "gopher://docs.example/1"),
        ("a directory", "ldap://docs.example/cn=x"),
        ("a share", "smb://docs.example/share"),
        ("a database", "postgresql://docs.example/db"),
        ("a bucket", "s3://docs/a"),
        ("a repository", "git+https://docs.example/a"),
        ("a process", "php://filter/resource=index"),
        ("a host that looks like a scheme", "docs.example:443"),
        ("a longer scheme", "httpss://docs.example/a"),
        ("a shorter scheme", "htt://docs.example/a"),
        ("a scheme with a part behind", "https+unix://docs.example/a"),
        ("a scheme with a dot", "https.://docs.example/a"),
        ("files by another name", "files:///srv/docs/a"),
        ("an intent", "intent://docs.example/a"),
        ("a page of the server's own", "notion://page/1"),
        ("a user interface", "ui://widget/1"),
    ];
    let case = |(what, url): (&str, &str)| {
        let name = format!("urls/a scheme for {what}");
        Case::refused(name, reader(), "resource_scheme", None).calls(resource(url))
    };
    let mut cases: Vec<Case> = calls.map(case).into();
    let uncovered = Case::refused(
        "urls/not granted before the scheme".to_owned(),
        reader(),
        "not_granted",
        Some(0),
    );
    cases.push(uncovered.calls(Sent::operation("tools:call:x").resource("ftp://a.example/")));
    let call = |url: &str| hardtack::Call::new("resources:read").unwrap().resource(url).unwrap();
    let bound =
        |url: &str| Chain::of(1).scopes(&["resources:*"]).bound_to(call(url).digest()).bearer();
    let other = |what: &str, signed: &str, sent: Sent| {
        let name = format!("urls/bound to {what}");
        Case::refused(name, bound(signed), "other_call", None).calls(sent).to(Server::Fresh)
    };
    let a = "https://docs.example/a";
    cases.extend([
        other("another page", a, resource("https://docs.example/b")),
        other("the page with a slash behind", a, resource("https://docs.example/a/")),
        other("the page with an empty query", a, resource("https://docs.example/a?")),
        other("the page with an empty fragment", a, resource("https://docs.example/a#")),
        other("the page in capitals", a, resource("https://docs.example/A")),
        other("the page with an escape", a, resource("https://docs.example/%61")),
        other("the page with a user", a, resource("https://user@docs.example/a")),
        other("the page at another port", a, resource("https://docs.example:8443/a")),
        other("the page without its lock", a, resource("http://docs.example/a")),
        other("the page at a host with a dot behind", a, resource("https://docs.example./a")),
        other("the page below a slash more", a, resource("https://docs.example//a")),
        other("no page", a, Sent::operation("resources:read")),
        Case::refused(
            "urls/a scheme before the digest".to_owned(),
            bound("ftp://docs.example/a"),
            "resource_scheme",
            None,
        )
        .calls(resource("ftp://docs.example/b"))
        .to(Server::Fresh),
    ]);
    cases
}

/// Of a scheme that is judged here, and of which nobody says what its normal form is: whatever some reader takes for the
/// resource that another URI names.
fn spellings() -> Vec<Case> {
    let refused = [
        ("a host in capitals", "memo://Notes/a"),
        ("one letter of the host in capitals", "memo://noteS/a"),
        ("a scheme in capitals", "Memo://notes/a"),
        ("an escaped letter", "memo://notes/%61"),
        ("an escaped letter in the host", "memo://%6eotes/a"),
        ("an escaped capital letter", "memo://notes/%41"),
        ("an escaped digit", "memo://notes/%31"),
        ("an escaped tilde", "memo://notes/%7Ea"),
        ("an escaped hyphen", "memo://notes/a%2Db"),
        ("an escaped colon", "memo://notes/a%3Ab"),
        ("an escaped comma", "memo://notes/a%2Cb"),
        ("an escaped slash", "memo://notes/a%2Fb"),
        ("an escaped backslash", "memo://notes/a%5Cb"),
        ("an escaped question mark", "memo://notes/a%3Fb"),
        ("an escaped number sign", "memo://notes/a%23b"),
        ("an escaped user's sign", "memo://notes/a%40b"),
        ("an escaped percent sign", "memo://notes/a%25b"),
        ("an escape of an escape", "memo://notes/%2561"),
        ("an escaped semicolon", "memo://notes/a%3Bb"),
        ("an escaped plus sign", "memo://notes/a%2Bb"),
        ("an escape with small letters", "memo://notes/a%7bb"),
        ("an escape with one digit", "memo://notes/a%2"),
        ("an escape with nothing", "memo://notes/a%"),
        ("an escape with no digits", "memo://notes/a%zz"),
        ("an escaped NUL", "memo://notes/a%00"),
        ("an escaped tab", "memo://notes/a%09b"),
        ("an escaped line's end", "memo://notes/a%0D%0Ab"),
        ("an escaped delete", "memo://notes/a%7Fb"),
        ("a tab", "memo://notes/a\tb"),
        ("a line's end", "memo://notes/a\nb"),
        ("a NUL", "memo://notes/a\0"),
        ("a space", "memo://notes/a b"),
        ("a letter with its accent", "memo://notes/caf\u{e9}"),
        ("an accent that combines, in escapes", "memo://notes/cafe%CC%81"),
        ("a fullwidth letter in escapes", "memo://notes/%EF%BD%81"),
        ("a fullwidth slash in escapes", "memo://notes/a%EF%BC%8Fb"),
        ("fullwidth dots in escapes", "memo://notes/%EF%BC%8E%EF%BC%8E/a"),
        ("a one dot leader in escapes", "memo://notes/%E2%80%A4%E2%80%A4/a"),
        ("a ligature in escapes", "memo://notes/%EF%AC%81le"),
        ("a Kelvin sign in escapes", "memo://notes/%E2%84%AA"),
        ("a zero-width space in escapes", "memo://notes/a%E2%80%8B"),
        ("a soft hyphen in escapes", "memo://notes/a%C2%ADb"),
        ("a no-break space in escapes", "memo://notes/a%C2%A0b"),
        ("an override of the direction in escapes", "memo://notes/%E2%80%AEfdp"),
        ("a byte order mark in escapes", "memo://notes/%EF%BB%BFa"),
        ("a slash in two bytes", "memo://notes/a%C0%AFb"),
        ("a NUL in two bytes", "memo://notes/a%C0%80"),
        ("half a character in escapes", "memo://notes/a%C3"),
        ("a surrogate in escapes", "memo://notes/%ED%A0%80"),
        ("Latin-1 in escapes", "memo://notes/caf%E9"),
        ("a step up", "memo://notes/a/../b"),
        ("a step up in escapes", "memo://notes/a/%2E%2E/b"),
        ("a step up, half in escapes", "memo://notes/a/.%2e/b"),
        ("a step up without a host", "memo:a/../b"),
        ("a step here without a host", "memo:./a"),
        ("a step up with a parameter", "memo://notes/a/..;x/b"),
        ("a step up as the host", "memo://../a"),
        ("three dots", "memo://notes/.../a"),
        ("a dot behind a name", "memo://notes/a."),
        ("a space before a name", "memo://notes/%20a"),
        ("a space behind a name", "memo://notes/a%20"),
        ("a space as a name", "memo://notes/%20/a"),
        ("a parameter", "memo://notes/a;v=1"),
        ("a parameter further up", "memo://notes;v=1/a"),
        ("a slash behind", "memo://notes/a/"),
        ("two slashes", "memo://notes//a"),
        ("a slash behind the host", "memo://notes/"),
        ("three slashes and none behind", "memo:///"),
        ("four slashes", "memo:////a"),
        ("one slash", "memo:/notes/a"),
        ("a backslash", "memo://notes/a\\b"),
        ("a backslash for a slash", "memo://notes\\a"),
        ("a user", "memo://alice@notes/a"),
        ("an empty user", "memo://@notes/a"),
        ("a user and a password", "memo://alice:secret@notes/a"),
        ("a port", "memo://notes:443/a"),
        ("an empty port", "memo://notes:/a"),
        ("a port with zeros", "memo://notes:0443/a"),
        ("an address of IPv6", "memo://[::1]/a"),
        ("a long address of IPv6", "memo://[0:0:0:0:0:0:0:1]/a"),
        ("a host with a dot behind", "memo://notes./a"),
        ("a host with a dot before", "memo://.notes/a"),
        ("a host with a star", "memo://*/a"),
        ("a host in another script", "memo://b\u{fc}cher/a"),
        ("a host with an escape", "memo://b%C3%BCcher/a"),
        ("a fragment", "memo://notes/a#b"),
        ("an empty fragment", "memo://notes/a#"),
        ("a fragment behind a query", "memo://notes/a?b#c"),
        ("an empty query", "memo://notes/a?"),
        ("a plus sign in the query", "memo://notes/a?q=b+c"),
        ("an escaped letter in the query", "memo://notes/a?q=%62"),
        ("a pipe", "memo://notes/a|b"),
        ("a caret", "memo://notes/a^b"),
        ("brackets", "memo://notes/a[0]"),
        ("braces", "memo://notes/{id}"),
        ("a quote", "memo://notes/\"a\""),
        ("a name space in capitals", "memo:Notes:a"),
        ("data", "data:text/html,hello"),
        ("data in base64", "data:;base64,aGVsbG8="),
        ("a blob", "blob:https://docs.example/9115d58c"),
        ("an archive", "jar:file:///srv/docs/a.jar!/x"),
        ("a source's view", "view-source:https://docs.example/"),
        ("local files", "filesystem:https://docs.example/temporary/a"),
        ("a web socket with a user", "wss://alice@docs.example/a"),
        ("a web socket with a fragment", "wss://docs.example/a#b"),
        ("a web socket and two slashes", "wss://docs.example//a"),
    ];
    let refuse = |(what, url): (&str, &str)| {
        let name = format!("urls/another spelling: {what}");
        let cause = Case::refused(name, reader(), "inexact_call", None);
        cause.calls(resource(url)).to(Server::Schemes)
    };
    let accepted = [
        ("a name", "memo://notes/a"),
        ("a host alone", "memo://notes"),
        ("no host", "memo:///a"),
        ("nothing", "memo://"),
        ("a name alone", "memo:a"),
        ("capitals in the path", "memo://notes/A/README.md"),
        ("a space and an accent", "memo://notes/a%20b/caf%C3%A9"),
        ("what must be escaped", "memo://notes/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("all signs", "memo://a-b.c_d~e/-._~!$&'()*+,=:@"),
        ("a query", "memo://notes/a?q=b&r=/?c"),
        ("a web socket", "wss://docs.example:8443/"),
    ];
    let accept = |(what, url): (&str, &str)| {
        let name = format!("urls/one spelling: {what}");
        Case::accepted(name, reader()).calls(resource(url)).to(Server::Schemes)
    };
    refused.map(refuse).into_iter().chain(accepted.map(accept)).collect()
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let long = format!("https://docs.example/{}", "a".repeat(7979));
    [
        ("a page", "https://docs.example/a"),
        ("another port", "https://docs.example:8443/a"),
        ("an address", "http://127.0.0.1/a"),
        ("an address of IPv6", "http://[2001:db8::1]/a"),
        ("a host in Punycode", "https://xn--bcher-kva.example/a"),
        ("an escape that must be", "https://docs.example/a%20b?q=%2F#c"),
        ("a file", "file:///srv/docs/a"),
        ("a file with a drive", "file:///C:/docs/a"),
        ("a file with a pipe further down", "file:///srv/C|/a"),
        ("8,000 bytes", &long),
    ]
    .map(|(what, url)| {
        Case::accepted(format!("urls/accepted: {what}"), reader()).calls(resource(url))
    })
    .into()
}

fn inexact(what: &str, url: &str) -> Case {
    Case::refused(format!("urls/{what}"), reader(), "inexact_call", None).calls(resource(url))
}

/// The token of somebody who may read whatever there is.
fn reader() -> String {
    Chain::of(1).scopes(&["resources:*"]).bearer()
}

fn resource(url: &str) -> Sent {
    Sent::operation("resources:read").resource(url)
}
