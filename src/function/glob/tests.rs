//! Texts that are of a pattern, that are not, or where readers disagree.

use super::*;

fn is(pattern: &str, text: &str) -> Option<bool> {
    Glob::parse(pattern).unwrap().matches(text).ok()
}

#[test]
fn the_whole_text_is_of_the_pattern() {
    for (pattern, text) in [
        ("report-*.pdf", "report-2026.pdf"),
        ("report-*.pdf", "report-.pdf"),
        ("report-*.pdf", "report-final, really (2).pdf"),
        ("report-*.pdf", "report-100%.pdf"),
        ("report-*.pdf", "report-100\u{ff05}.pdf"),
        ("report-*.pdf", "report-wait\u{2026}\u{3002}.pdf"),
        ("report-*.pdf", "report-\u{645}\u{6cc}\u{200c}\u{62e}.pdf"),
        ("report-*.pdf", "report-\u{1f468}\u{200d}\u{1f469}\u{2764}\u{fe0f}.pdf"),
        ("report-*.pdf", "report-50%20off.pdf"),
        ("report-*.pdf", "report-Stra\u{df}e.pdf"),
        ("report-*.pdf", "report-\u{65e5}\u{672c}.pdf"),
        ("\u{65e5}\u{672c}*", "\u{65e5}\u{672c}.pdf"),
        ("*.PDF", "A.PDF"),
        ("*", ""),
        ("?.txt", "\u{fc}.txt"),
        ("?.txt", "\u{df}.txt"),
        ("?.txt", "\u{65e5}.txt"),
        ("?.txt", "\u{d55c}.txt"),
        ("/srv/*/x", "/srv/a/x"),
        ("/srv/**/x", "/srv/a/b/c/x"),
        ("**", "/anything/at all"),
        ("**/x", "/x"),
        ("docs/", "docs/"),
        ("a*b*c", "aXbXbc"),
        ("*Inc.", "Acme Inc."),
        ("Re: *", "Re: 12:30"),
        ("tools:call:*", "tools:call:search"),
        ("my%20*", "my%20file"),
        ("A~1*", "A~1.txt"),
        ("a'*'", "a'b'"),
    ] {
        assert_eq!(is(pattern, text), Some(true), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("report-*.pdf", "my report-1.pdf"),
        ("report-*.pdf", "report-1.pdf.exe"),
        ("report-*.pdf", "report-a/b.pdf"),
        ("?.txt", ".txt"),
        ("?.txt", "/.txt"),
        ("?.txt", "ab.txt"),
        ("??.txt", "a.txt"),
        ("/srv/*/x", "/srv/a/b/x"),
        ("abc", "ab"),
        ("abc", "abcd"),
        ("r\u{435}port", "report"),
        ("**.exe", "b.txt"),
        ("**.exe", "b.exe.txt"),
        ("my%20*", "my file"),
        ("\u{65e5}\u{8a9e}", "\u{65e5}\u{672c}\u{8a9e}"),
    ] {
        assert_eq!(is(pattern, text), Some(false), "{pattern} {text}");
    }
}

/// What Windows, macOS, servers and libraries open as a file that the pattern has, and the text has not.
#[test]
fn a_pattern_that_denies_is_not_got_around() {
    for text in [
        "b.exe.",
        "b.exe..",
        "b.exe ",
        "b.exe . ",
        "b.exe\u{a0}",
        "b.exe\u{3000}",
        "b.exe:x",
        "b.exe::$DATA",
        "b.exe;v=1",
        "b.exe?x",
        "b.exe#x",
        "b.exe%",
        "b.exe/",
        "b.exe./",
        "b.exe/;x",
        "a/b.exe.",
        "b.EXE",
        "b.Exe:x",
        "b:x.EXE",
        "b.e\u{17f}e",
        "b.\u{ff45}xe",
        "b.\u{e9}xe",
        "b.e\u{301}xe",
        "b.exe\u{65e5}",
        "b.ex'e'",
        "b.e:xe",
        "b.ex?e",
        "\"b.exe\"",
        "b.ex%65",
        "b%2eexe",
        "b.exe%20",
        "b.exe%3ax",
        "b.ex%45",
        "b.ex%C3%A9",
        "B~1.EXE",
        "b\u{ff0e}exe",
        "b\u{3002}exe",
        "b.exe\u{3002}",
        "b.exe\u{ff05}",
        "b.exe. \u{65e5}",
        "b.exe\u{3002}\u{65e5}",
        "'b.exe. '",
        "x:b.exe.",
        "x:b.exe;y",
    ] {
        let sharp = text.contains('\u{17f}');
        let pattern = if sharp { "**.ese" } else { "**.exe" };
        assert_eq!(is(pattern, text), None, "{text:?}");
    }
    for (pattern, text) in [
        ("secret*", "C:secret.txt"),
        ("secret*", "/secret.txt"),
        ("secret*", " secret.txt"),
        ("/secret*", "secret.txt"),
        ("**/secret", "secret"),
        ("**/secret", "secret/"),
        ("a/b*", "a/;x/b.txt"),
        ("a/b*", "a/ /b.txt"),
        ("a/b", "a/b/"),
        ("a/b/", "a/b"),
        ("private/**", "private./x"),
        ("private/**", "PRIVAT~1/x"),
        ("private/**", "private:x/y"),
        ("C:/**.exe", "C:/b.exe:x"),
        ("stra\u{df}e*", "STRASSE.txt"),
        ("i*", "\u{130}.txt"),
        ("i*", "\u{131}.txt"),
        ("k*", "\u{212a}.txt"),
        ("zo\u{eb}*", "zoe\u{308}.txt"),
        ("*Inc.", "Acme Inc"),
    ] {
        assert_eq!(is(pattern, text), None, "{pattern} {text:?}");
    }
}

#[test]
fn a_pattern_that_allows_lets_no_name_through_that_is_another_when_it_is_cut() {
    for (pattern, text) in [
        ("report-*.pdf", "report-x.exe:.pdf"),
        ("report-*.pdf", "report-x.exe;.pdf"),
        ("report-*.pdf", "report-x.exe?.pdf"),
        ("report-*.pdf", "report-x.exe#.pdf"),
        ("report-*.pdf", "report-x.exe\u{ff1a}.pdf"),
        ("report-*.pdf", "report-x.exe%3a.pdf"),
        ("report-*.pdf", "report-x.exe%23.pdf"),
        ("*:*.pdf", "a:x.exe:.pdf"),
        ("*.txt", "C:a.txt"),
        ("*/x.txt", "a:b/c/../x.txt"),
        ("*.*", "a."),
        ("* ", "a. "),
        ("??", "e\u{301}"),
        ("*.pdf", "REPORT~1.pdf"),
        ("docs/*/x", "docs/;a/x"),
        ("docs/*", "docs/."),
        ("docs/?*", "docs/;x"),
    ] {
        let found = is(pattern, text);
        assert_eq!(found, if pattern == "* " { Some(true) } else { None }, "{pattern} {text:?}");
    }
}

#[test]
fn what_readers_take_differently_cannot_be_judged() {
    for text in [
        "/srv/../etc/x",
        "//etc/x",
        "report-..%2f..%2fx",
        "/a/%2e%2e/x",
        "/a/..\u{a0}/x",
        "..",
        "a\0.pdf",
        "a\\b",
        "a\u{202e}b",
        "a\u{ad}b",
        "a\u{200b}b",
        "a\u{ff0f}b",
        ".. /x",
        "/a/..%20/x",
        "/a/%20../x",
        "/a/..,/x",
        "/a/..%2c/x",
        "/a/..\u{ff1b}/x",
        "/a/..\u{65e5}/x",
        "/a/\u{ff05}2e/x",
        "50%/x",
        "50%of",
        "%.x",
        "5% of 6%",
        "50\u{ff05}of",
        "50\u{ff05}/x",
        "a%2fb",
        "a//b",
    ] {
        assert_eq!(is("**?", text), None, "{text:?}");
    }
}

#[test]
fn whatever_is_to_be_seen_is_of_the_pattern_of_all() {
    for text in ["", "a\\b", "https://a.b/../c", "50% off;x:y\u{2026}", "A ", "\u{3002}", "X~1"] {
        assert_eq!(is("**", text), Some(true), "{text:?}");
    }
    for text in ["a\0", "a\nb", "a\tb", "a\u{202e}b", "a\u{200b}", "a\u{ad}", "\u{feff}"] {
        assert_eq!(is("**", text), None, "{text:?}");
    }
}

#[test]
fn a_pattern_says_what_every_reader_takes_it_for() {
    for pattern in ["", "[a-z]", "{a,b}", "a\\*", "!a", "***", "https://*.example.com/*"] {
        assert!(Glob::parse(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn many_stars_take_no_more_than_their_product() {
    let pattern = "*a".repeat(120);
    let glob = Glob::parse(&pattern).unwrap();
    assert_eq!(glob.matches(&"a".repeat(4000)), Ok(true));
    assert_eq!(glob.matches(&format!("{}b", "a".repeat(4000))), Ok(false));
}
