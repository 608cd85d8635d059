//! Paths and URLs of files that lie in a folder, beside it, or where readers disagree.

use super::*;

fn within(path: &str) -> Option<bool> {
    Root::parse("/srv/data").unwrap().holds(path).ok()
}

fn within_url(url: &str) -> Option<bool> {
    Root::parse("file:///srv/data").unwrap().holds(url).ok()
}

#[test]
fn what_lies_in_the_folder_is_within() {
    for path in [
        "/srv/data",
        "/srv/data/",
        "/srv/data/a",
        "/srv/data/a/b.txt",
        "/srv//data/./a",
        "/srv/data/a/../b",
        "/srv/data/..data/x",
        "/srv/data/Zoë's report (2).pdf",
        "/srv/data/my file.txt",
        "/srv/data/a;b.txt",
        "/srv/data/12:30, in the evening.txt",
        "/srv/data/Acme Inc./a",
        "/srv/data/\u{65e5}\u{672c}/a",
        "/srv/data/-/../a",
        "/srv/data/100%.txt",
        "/srv/data/a/100%",
        "/srv/data/100% sure (2).txt",
        "/srv/data/\u{58f2}\u{4e0a}100\u{ff05}.pdf",
        "/srv/data/100\u{ff05}\u{30aa}\u{30d5}.pdf",
        "/srv/data/\u{6771}\u{4eac}\u{3002}/a",
        "/srv/data/1\u{ff0e}\u{6982}\u{8981}.md",
        "/srv/data/wait\u{2026}/a",
        "/srv/data/\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.txt",
        "/srv/data/\u{915}\u{94d}\u{200d}\u{937}.txt",
        "/srv/data/\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}.png",
        "/srv/data/\u{2764}\u{fe0f}\u{200d}\u{1f525} 1\u{fe0f}\u{20e3}.md",
    ] {
        assert_eq!(within(path), Some(true), "{path}");
    }
    assert_eq!(Root::parse("/").unwrap().holds("/etc/passwd"), Ok(true));
}

#[test]
fn what_lies_beside_it_is_not() {
    for path in [
        "/",
        "/srv",
        "/srv/database",
        "/srv/data.bak",
        "/SRV/data/a",
        "/srv/d\u{430}ta/a",
        "/etc/passwd",
    ] {
        assert_eq!(within(path), Some(false), "{path}");
    }
}

#[test]
fn what_readers_take_differently_cannot_be_judged() {
    for path in [
        "/srv/data/..",
        "/srv/data/../etc/passwd",
        "/srv/data/a/../../x",
        "/srv/data/../data/a",
        "/srv/x/../data/a",
        "/srv/data/a/../../data/a",
        "/../srv/data/a",
        "/etc/../srv/data",
        "/srv/data/\u{fe30}/etc",
        "/srv/data/..\u{a0}/etc",
        "/srv/data/..\u{a5}..\u{a5}etc",
        "/srv/data/%%32%65%%32%65/etc",
        "/srv/data/%c0%ae%c0%ae/etc",
        "/srv/data/..%20/etc",
        "",
        "srv/data/a",
        "./srv/data/a",
        "~/x",
        "//srv/data/a",
        "C:\\srv\\data",
        "/srv/data/..\\..\\etc",
        "/srv/data/a\0.txt",
        "/srv/data/a\nb",
        "/srv/data/%2e%2e/etc",
        "/srv/data/%2E%2E%2Fetc",
        "/srv/data/%252e%252e/etc",
        "/srv/data/..%2fetc",
        "/srv/data/a%00",
        "/srv/data/.. /etc",
        "/srv/data/..;/etc",
        "/srv/data/.../etc",
        "/srv/data/\u{ff0e}\u{ff0e}/etc",
        "/srv/data/..\u{ff0f}etc",
        "/srv/data/\u{2025}/etc",
        "/srv/data/..\u{2215}etc",
        "/srv/data/\u{202e}txt",
        "file:///srv/data/a",
        "/srv/data/ / / /../../../etc/passwd",
        "/srv/data/;a/;b/;c/../../../etc/passwd",
        "/srv/data/,a/../../etc",
        "/srv/data/\u{a0}/../../etc",
        "/srv/data/\u{3000}/../../etc",
        "/srv/data/ /x",
        "/srv/data/;/x",
        "/srv/data/:x/../../etc",
        "/srv/data/#/../../etc",
        "/srv/data/?/../../etc",
        "/srv/data/..,/etc",
        "/srv/data/..\u{65e5}/etc",
        "/srv/data/\u{65e5}/../../etc",
        "/srv/data/\u{65e5}/../x",
        "/srv/data/\u{ff05}2e\u{ff05}2e/etc",
        "/srv/data/\u{fe6a}2e\u{fe6a}2e/etc",
        "/srv/data/C:/etc",
        "/srv/data/c:x",
        "/srv/data;x/../a",
        "/srv/data /a",
        "/srv/data;x",
        "/srv/data./a",
        "/srv/data::$INDEX_ALLOCATION/a",
        "/srv/\u{ff44}ata/a",
        "/srv;x/data/a",
        "/srv/data/100%/a",
        "/srv/data/100%ig",
        "/srv/data/x%\u{65e5}2f..",
        "/srv/data/x%'2f'",
        "/srv/data/x\u{ff05}\u{fe0f}2f..",
        "/srv/data/x%\u{301}2f..",
        "/srv/data/x%\u{ff12}f..",
        "/srv/data/x%\u{e9}2",
        "/srv/data/%.txt",
        "/srv/data/.%.txt",
        "/srv/data/5% of 6%",
        "/srv/data/100%\u{ff05}",
        "/srv/data/100\u{ff05}2e",
        "/srv/data/\u{ff05}",
        "/srv%/data/a",
        "/srv/data/\u{3002}\u{3002}/etc",
        "/srv/data/\u{ff0e}./etc",
        "/srv/data/\u{2026}/etc",
        "/srv/data/\u{65e5}\u{3002}/../a",
        "/srv/data\u{3002}/a",
        "/srv/data\u{2026}",
        "/srv/DATA~1/a",
        "/srv/da:ta/a",
        "/srv/data/.\u{200d}./etc",
        "/srv/data/..\u{200c}/etc",
        "/srv/data/a\u{200d}b",
        "/srv/data/\u{200d}a",
        "/srv/data/\u{65e5}\u{200d}\u{200d}",
        "/srv/data/\u{65e5}\u{200b}",
        "/srv/data/a\u{fe0f}",
        "/srv/data/\u{65e5}\u{e0100}",
        "/srv/data/\u{bd} cup",
        "/srv/data/a:b.txt",
        "/srv/data/+:",
        "/srv/data/\u{65e5}\u{ff1b}b/../a",
        "/srv/data..\u{65e5}/a",
        "/srv/data/a\u{ff1a}b",
        "/srv/data/\u{65e5}c:x",
        "/srv/\u{65e5}\u{672c}/data/a",
        "/\u{65e5}/srv/data/a",
    ] {
        assert_eq!(within(path), None, "{path:?}");
    }
}

#[test]
fn a_folder_is_written_in_its_shortest_form() {
    for text in [
        "",
        "srv",
        "/srv/",
        "/srv/../etc",
        "/srv//data",
        "/srv/./x",
        "//srv",
        "/a\\b",
        "/srv/*",
        "/srv/a?",
        "/srv/a;b",
        "/srv/a#b",
        "/srv/a.",
        "/srv/a ",
        "/srv/ a",
        "/srv/;a",
        "/srv/C:",
        "/srv/a%20b",
        "/srv/100%",
        "/srv/100\u{ff05}",
        "file:",
        "file://",
        "file:/srv",
        "file://srv",
        "file://localhost/srv",
        "file:///srv/",
        "file:///srv/../etc",
        "file:///srv/%2e%2e",
        "file:///srv//a",
        "file:///srv/./a",
        "file:///srv/a b",
        "file:///srv/a?b",
        "file:///srv/a%3fb",
        "file:///srv/a#b",
        "file:///srv/%61",
        "file:///srv/a%20",
        "file:///srv/a.",
        "file:///srv/a;b",
        "file:///srv/*",
        "FILE:///srv",
        "file:////srv",
        "file:///srv/C:",
        "https://srv/data",
    ] {
        assert!(Root::parse(text).is_err(), "{text}");
    }
    for text in [
        "/",
        "/srv",
        "/srv/my data",
        "file:///",
        "file:///srv",
        "file:///srv/my%20data",
        "file:///C:/docs",
    ] {
        assert!(Root::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn a_url_of_a_file_lies_in_a_folder_or_not() {
    for url in [
        "file:///srv/data",
        "file:///srv/data/",
        "file:///srv/data/a.txt",
        "file:///srv/data/my%20file.txt",
        "file:///srv/data/a;b.txt",
        "file:///srv/data/Zo%C3%AB.txt",
        "file:///srv/data/%D9%85%DB%8C%E2%80%8C%D8%AE.txt",
        "file:///srv/data/%E6%9D%B1%E4%BA%AC%E3%80%82.txt",
    ] {
        assert_eq!(within_url(url), Some(true), "{url}");
    }
    for url in [
        "file:///",
        "file:///srv",
        "file:///srv/database",
        "file:///etc/passwd",
        "file:///C:/srv/data",
    ] {
        assert_eq!(within_url(url), Some(false), "{url}");
    }
    let root = |text| Root::parse(text).unwrap();
    assert_eq!(root("file:///").holds("file:///etc/passwd"), Ok(true));
    assert_eq!(root("file:///C:/docs").holds("file:///C:/docs/a"), Ok(true));
    assert_eq!(root("file:///C:/docs").holds("file:///D:/docs/a"), Ok(false));
    assert_eq!(root("file:///srv/my%20data").holds("file:///srv/my%20data/a"), Ok(true));
}

#[test]
fn a_url_that_readers_take_differently_cannot_be_judged() {
    for url in [
        "",
        "/srv/data/a",
        "file:",
        "file:/srv/data/a",
        "file://srv/data/a",
        "file://localhost/srv/data/a",
        "file:////srv/data/a",
        "FILE:///srv/data/a",
        "https://srv/data/a",
        "http:///srv/data",
        "//srv/data/a",
        "file:///srv/data/../etc",
        "file:///srv/data/a/../b",
        "file:///srv/data/./a",
        "file:///srv/data//a",
        "file:///srv/data/a//",
        "file:///srv/data/..%2f..%2fetc",
        "file:///srv/data/..%5cetc",
        "file:///srv/data/%2e%2e/etc",
        "file:///srv/data/%2E%2E/etc",
        "file:///srv/data/.%2e/etc",
        "file:///srv/data/%252e%252e/etc",
        "file:///srv/data/..%252fetc",
        "file:///srv/data/..%20/etc",
        "file:///srv/data/%20/etc",
        "file:///srv/data/%20../etc",
        "file:///srv/data/..%09/etc",
        "file:///srv/data/..%C2%A0/etc",
        "file:///srv/data/..;/etc",
        "file:///srv/data/..%3b/etc",
        "file:///srv/data/;x/etc",
        "file:///srv/data/..,/etc",
        "file:///srv/data/..%2c/etc",
        "file:///srv/data/%c0%ae%c0%ae/etc",
        "file:///srv/data/%e0%80%ae/etc",
        "file:///srv/data/%u002e%u002e/etc",
        "file:///srv/data/%ef%bc%852e/etc",
        "file:///srv/data/%EF%B9%AA2e/etc",
        "file:///srv/data/%ef%bc%8e./etc",
        "file:///srv/data/..%ef%bc%8fetc",
        "file:///srv/data/\u{ff05}2e/etc",
        "file:///srv/data/a%00",
        "file:///srv/data/a%0a",
        "file:///srv/data/a%",
        "file:///srv/data/%zz",
        "file:///srv/data/a?b",
        "file:///srv/data/a?../..",
        "file:///srv/data/a#b",
        "file:///srv/data/a%23b",
        "file:///srv/data/a%3fb",
        "file:///srv/data/%61",
        "file:///srv/d%61ta/a",
        "file:///srv%2fdata/a",
        "file:///srv/data/C:/etc",
        "file:///srv/data/C%3a/etc",
        "file:///srv/data/C|/etc",
        "file:///srv/data;x/a",
        "file:///srv/data%20/a",
        "file:///srv/data/a b",
        "file:///srv/data/a\\b",
        "file:///srv/data/..%E2%80%8B/etc",
        "file:///srv/data/..%C2%AD/etc",
        "file:///srv/data/%EF%BB%BF../etc",
        "file:///srv/data/%E3%80%82%E3%80%82/etc",
        "file:///srv/data/.%E2%80%8D./etc",
        "file:///srv/data/100%EF%BC%85.txt",
        "file:///srv/data/100%25.txt",
        "file:///srv/data/a%2Fb",
    ] {
        assert_eq!(within_url(url), None, "{url:?}");
    }
}
